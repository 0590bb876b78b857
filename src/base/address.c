/* SPDX-License-Identifier: Apache-2.0
 *
 * address.c - struct tt_address to and from text and struct sockaddr.
 */
#include "base/net.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

void
tt_address_print(const struct tt_address *address, char *text, size_t bytes)
{
	char ip[INET6_ADDRSTRLEN];

	if (address->family == 4 && inet_ntop(AF_INET, address->ip, ip, sizeof(ip)) != NULL)
		snprintf(text, bytes, "%s:%u", ip, (unsigned)address->port);
	else if (address->family == 6 && inet_ntop(AF_INET6, address->ip, ip, sizeof(ip)) != NULL)
		snprintf(text, bytes, "[%s]:%u", ip, (unsigned)address->port);
	else
		snprintf(text, bytes, "(no address)");
}

socklen_t
tt_address_to_sockaddr(const struct tt_address *address, struct sockaddr_storage *out)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(address->port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(address->port)};

	memset(out, 0, sizeof(*out));
	if (address->family == 6) {
		memcpy(&v6.sin6_addr, address->ip, sizeof(v6.sin6_addr));
		memcpy(out, &v6, sizeof(v6));
		return sizeof(v6);
	}
	memcpy(&v4.sin_addr, address->ip, sizeof(v4.sin_addr));
	memcpy(out, &v4, sizeof(v4));
	return sizeof(v4);
}

void
tt_address_from_sockaddr(const struct sockaddr_storage *in, struct tt_address *address)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	memset(address, 0, sizeof(*address));
	if (in->ss_family == AF_INET) {
		memcpy(&v4, in, sizeof(v4));
		address->family = 4;
		address->port = ntohs(v4.sin_port);
		memcpy(address->ip, &v4.sin_addr, sizeof(v4.sin_addr));
	} else if (in->ss_family == AF_INET6) {
		memcpy(&v6, in, sizeof(v6));
		address->family = 6;
		address->port = ntohs(v6.sin6_port);
		memcpy(address->ip, &v6.sin6_addr, sizeof(v6.sin6_addr));
	}
}

bool
tt_address_near(const struct tt_address *a, const struct tt_address *b, int prefix)
{
	const int whole = prefix / 8, rest = prefix % 8;

	if (a->family != b->family || prefix < 0 || prefix > (a->family == 4 ? 32 : 128))
		return false;
	return memcmp(a->ip, b->ip, (size_t)whole) == 0 &&
	       (rest == 0 || ((a->ip[whole] ^ b->ip[whole]) >> (8 - rest)) == 0);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * interfaces.c - which of this host's addresses the job may use, the best first.
 *
 * Link-local IPv6 is left out: it means nothing on another host without a scope that only that host knows.
 */
#include "base/net.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"

#include <fcntl.h>

#define INTERFACES_MOST 64 /* addresses in one list */

struct candidate {
	struct tt_address address;
	bool loopback, link_local;
	int prefix;
	const char *unused; /* why; NULL: it is used */
	long speed; /* Mbit/s, -1 if unknown */
	int order; /* as the system lists them: keeps the result stable */
	char name[IFNAMSIZ];
};

/* A comma-separated list of names; with '^' in front, of names not to take. NULL: automatic. */
static bool
listed(const char *list, const char *name)
{
	const size_t length = strlen(name);

	if (*list == '^')
		list++;
	for (;;) {
		const size_t word = strcspn(list, ",");

		if (word == length && strncmp(list, name, word) == 0)
			return true;
		if (list[word] == '\0')
			return false;
		list += word + 1;
	}
}

/* Why it is not to be used; NULL: it may be. */
static const char *
refusal(const struct ifaddrs *entry, const char *filter)
{
	if ((entry->ifa_flags & IFF_UP) == 0)
		return "it is down";
	if (filter != NULL && filter[0] != '^')
		return listed(filter, entry->ifa_name) ? NULL : "TUTTI_INTERFACES does not name it";
	if (filter != NULL && listed(filter, entry->ifa_name))
		return "TUTTI_INTERFACES excludes it";
	/* Nobody asked for this one by name, so it has to have a cable in it too. */
	return (entry->ifa_flags & IFF_RUNNING) != 0 ? NULL : "no cable, or nobody at its other end";
}

static long
link_speed(const char *name)
{
	char path[64 + IFNAMSIZ], text[32];
	ssize_t n;
	int fd;

	/* The name came from the kernel and holds no slash. */
	snprintf(path, sizeof(path), "/sys/class/net/%.*s/speed", IFNAMSIZ, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	return strtol(text, NULL, 10);
}

static int
prefix_of(const struct sockaddr *mask, bool v6)
{
	struct sockaddr_storage storage;
	struct tt_address bits;
	int n = 0;

	if (mask == NULL)
		return v6 ? 128 : 32;
	memset(&storage, 0, sizeof(storage));
	memcpy(&storage, mask, v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
	/* Of a mask, not every system fills in the family. */
	storage.ss_family = v6 ? AF_INET6 : AF_INET;
	tt_address_from_sockaddr(&storage, &bits);
	while (n < (v6 ? 128 : 32) && (bits.ip[n / 8] & (0x80 >> n % 8)) != 0)
		n++;
	return n;
}

/* true if the entry has an IP address. */
static bool
describe(const struct ifaddrs *entry, const char *filter, struct candidate *out)
{
	struct sockaddr_storage storage;
	bool v6;

	if (entry->ifa_addr == NULL ||
	    (entry->ifa_addr->sa_family != AF_INET6 && entry->ifa_addr->sa_family != AF_INET))
		return false;
	v6 = entry->ifa_addr->sa_family == AF_INET6;
	memset(out, 0, sizeof(*out));
	memset(&storage, 0, sizeof(storage));
	memcpy(&storage, entry->ifa_addr, v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
	tt_address_from_sockaddr(&storage, &out->address);
	out->address.port = 0;
	out->prefix = prefix_of(entry->ifa_netmask, v6);
	out->unused = refusal(entry, filter);
	if (out->unused == NULL && v6 && out->address.ip[0] == 0xfe && (out->address.ip[1] & 0xc0) == 0x80)
		out->unused = "link-local: it means nothing on another host";
	out->link_local = !v6 && out->address.ip[0] == 169 && out->address.ip[1] == 254;
	out->loopback = (entry->ifa_flags & IFF_LOOPBACK) != 0;
	out->speed = link_speed(entry->ifa_name);
	snprintf(out->name, sizeof(out->name), "%s", entry->ifa_name);
	return true;
}

static int
by_quality(const void *left, const void *right)
{
	const struct candidate *a = left, *b = right;

	if ((a->unused != NULL) != (b->unused != NULL))
		return a->unused != NULL ? 1 : -1;
	if (a->loopback != b->loopback)
		return a->loopback ? 1 : -1;
	if (a->link_local != b->link_local)
		return a->link_local ? 1 : -1;
	if (a->speed != b->speed)
		return a->speed > b->speed ? -1 : 1;
	if (a->address.family != b->address.family)
		return a->address.family == 4 ? -1 : 1;
	return a->order - b->order;
}

static tutti_status
nothing_matches(const struct ifaddrs *list, const char *filter)
{
	char names[256] = "";
	size_t used = 0;

	for (const struct ifaddrs *entry = list; entry != NULL; entry = entry->ifa_next) {
		const size_t length = strlen(entry->ifa_name);

		if ((entry->ifa_flags & IFF_UP) == 0 || listed(names, entry->ifa_name) ||
		    used + length + 2 > sizeof(names))
			continue;
		used += (size_t)snprintf(
		    names + used, sizeof(names) - used, "%s%s", used > 0 ? "," : "", entry->ifa_name);
	}
	if (filter == NULL)
		return tt_fail(TUTTI_ERR_SYSTEM, -1, "no network interface is up and has an IP address (up: %s)",
		    used > 0 ? names : "none");
	return tt_fail(TUTTI_ERR_ARGUMENT, -1,
	    "no network interface that is up and has an IP address matches '%.128s': these are up: %s", filter,
	    used > 0 ? names : "none");
}

/* Collects into `found`, which has room for every entry of the list; gives how many there are, *used of them of use. */
static int
collect(const struct ifaddrs *list, const char *filter, struct candidate *found, int *used)
{
	const bool by_name = filter != NULL && filter[0] != '^';
	bool others = false;
	int n = 0;

	for (const struct ifaddrs *entry = list; entry != NULL; entry = entry->ifa_next) {
		if (!describe(entry, filter, &found[n]))
			continue;
		found[n].order = n;
		others |= found[n].unused == NULL && !found[n].loopback;
		n++;
	}
	*used = 0;
	for (int i = 0; i < n; i++) {
		if (found[i].unused == NULL && !by_name && found[i].loopback && others)
			found[i].unused = "loopback: there are others";
		*used += found[i].unused == NULL;
	}
	return n;
}

static void
number_them(struct tt_interface *interfaces, int n)
{
	int numbers = 0;

	for (int i = 0; i < n; i++) {
		interfaces[i].number = -1;
		for (int j = 0; j < i && interfaces[i].number < 0; j++)
			if (strcmp(interfaces[j].name, interfaces[i].name) == 0)
				interfaces[i].number = interfaces[j].number;
		if (interfaces[i].number < 0)
			interfaces[i].number = numbers++;
	}
}

/* `candidates` has room for every entry of the list. */
static tutti_status
choose(const struct ifaddrs *list, const char *filter, bool all, struct candidate *candidates,
    struct tt_interface *interfaces, int capacity, int *n)
{
	int used, found = collect(list, filter, candidates, &used);

	if (used == 0 && !all)
		return nothing_matches(list, filter);
	qsort(candidates, (size_t)found, sizeof(*candidates), by_quality);
	if (!all)
		found = used;
	*n = found < capacity ? found : capacity;
	for (int i = 0; i < *n; i++) {
		interfaces[i] = (struct tt_interface){.address = candidates[i].address,
		    .speed_mbit = candidates[i].speed > 0 ? candidates[i].speed : -1,
		    .prefix = candidates[i].prefix,
		    .unused = candidates[i].unused};
		memcpy(interfaces[i].name, candidates[i].name, sizeof(interfaces[i].name));
	}
	number_them(interfaces, *n);
	return TUTTI_OK;
}

static tutti_status
list_them(const char *filter, bool all, struct tt_interface *interfaces, int capacity, int *n)
{
	struct ifaddrs *list;
	void *memory = NULL;
	size_t entries = 0;
	tutti_status status;

	if (getifaddrs(&list) != 0)
		return tt_fail_errno("cannot list this host's network interfaces");
	for (const struct ifaddrs *entry = list; entry != NULL; entry = entry->ifa_next)
		entries++;
	status = tt_alloc(entries + 1, sizeof(struct candidate), "the list of network interfaces", &memory);
	if (status == TUTTI_OK)
		status = choose(list, filter, all, memory, interfaces, capacity, n);
	tt_free(memory);
	freeifaddrs(list);
	return status;
}

tutti_status
tt_interfaces_describe(const char *filter, struct tt_interface *interfaces, int capacity, int *n)
{
	return list_them(filter, false, interfaces, capacity, n);
}

tutti_status
tt_interfaces_explain(const char *filter, struct tt_interface *interfaces, int capacity, int *n)
{
	return list_them(filter, true, interfaces, capacity, n);
}

tutti_status
tt_interfaces(const char *filter, struct tt_address *addresses, int capacity, int *n)
{
	struct tt_interface interfaces[INTERFACES_MOST];
	int found = 0;

	TT_TRY(tt_interfaces_describe(
	    filter, interfaces, capacity < INTERFACES_MOST ? capacity : INTERFACES_MOST, &found));
	for (int i = 0; i < found; i++)
		addresses[i] = interfaces[i].address;
	*n = found;
	return TUTTI_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * rendezvous.c - a rendezvous as the bytes of a unique id, its addresses in order, and the names it makes secret.
 *
 * An id has a fixed layout, little-endian, with a checksum at its end: it travels through files, environment
 * variables and stores that people write, and a cut or altered one must be told from a rank 0 that is not there.
 */
#include "bootstrap/rendezvous.h"

#include <string.h>

#include "base/error.h"
#include "bootstrap/bytes.h"

#define FORMAT 1
#define ADDRESS_BYTES 20

enum {
	AT_MAGIC = 0,
	AT_FORMAT = 8,
	AT_AUTHENTICATED = 12,
	AT_NADDRESSES = 13,
	AT_PORT_STEP = 14,
	AT_PORTS = 16,
	AT_KEY = 20,
	AT_EPOCH = AT_KEY + TT_KEY_BYTES,
	AT_ADDRESSES = AT_EPOCH + 16,
	AT_CHECKSUM = sizeof(tutti_unique_id) - 8
};

_Static_assert(AT_ADDRESSES + TT_MEETING_ADDRESSES * ADDRESS_BYTES <= AT_CHECKSUM, "an id holds a rendezvous");

static const unsigned char magic[8] = {'t', 'u', 't', 't', 'i', '-', 'i', 'd'};

/* FNV-1a, 64 bits. */
static uint64_t
checksum(const unsigned char *bytes, size_t n)
{
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < n; i++)
		sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
	return sum;
}

static void
put_address(unsigned char *at, const struct tt_address *address)
{
	at[0] = address->family;
	at[1] = 0;
	tt_put_u16(at + 2, address->port);
	memcpy(at + 4, address->ip, sizeof(address->ip));
}

static void
get_address(const unsigned char *at, struct tt_address *address)
{
	memset(address, 0, sizeof(*address));
	address->family = at[0];
	address->port = tt_get_u16(at + 2);
	memcpy(address->ip, at + 4, sizeof(address->ip));
}

void
tt_unique_id_write(const struct tt_rendezvous *rendezvous, tutti_unique_id *id)
{
	unsigned char bytes[sizeof(*id)] = {0};

	memcpy(bytes + AT_MAGIC, magic, sizeof(magic));
	tt_put_u32(bytes + AT_FORMAT, FORMAT);
	bytes[AT_AUTHENTICATED] = rendezvous->authenticated;
	bytes[AT_NADDRESSES] = (unsigned char)rendezvous->naddresses;
	tt_put_u16(bytes + AT_PORT_STEP, rendezvous->port_step);
	tt_put_u32(bytes + AT_PORTS, (uint32_t)rendezvous->ports);
	memcpy(bytes + AT_KEY, rendezvous->key, sizeof(rendezvous->key));
	memcpy(bytes + AT_EPOCH, rendezvous->epoch, sizeof(rendezvous->epoch));
	for (int i = 0; i < rendezvous->naddresses; i++)
		put_address(bytes + AT_ADDRESSES + i * ADDRESS_BYTES, &rendezvous->addresses[i]);
	tt_put_u64(bytes + AT_CHECKSUM, checksum(bytes, AT_CHECKSUM));
	memcpy(id->bytes, bytes, sizeof(bytes));
}

/* What a checksum cannot promise: that whoever computed it kept to the limits. */
static bool
is_sound(const struct tt_rendezvous *rendezvous)
{
	if (rendezvous->naddresses > TT_MEETING_ADDRESSES || rendezvous->ports < 0 ||
	    rendezvous->ports > TT_MEETING_PORTS)
		return false;
	for (int i = 0; i < rendezvous->naddresses; i++)
		if (rendezvous->addresses[i].family != 4 && rendezvous->addresses[i].family != 6)
			return false;
	return true;
}

tutti_status
tt_unique_id_read(const tutti_unique_id *id, struct tt_rendezvous *rendezvous)
{
	unsigned char bytes[sizeof(*id)];
	struct tt_rendezvous read = {.naddresses = 0};

	memcpy(bytes, id->bytes, sizeof(bytes));
	if (memcmp(bytes + AT_MAGIC, magic, sizeof(magic)) != 0)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "the unique id was not made by tutti_unique_id_create: hand over all of its %zu bytes",
		    sizeof(*id));
	if (tt_get_u32(bytes + AT_FORMAT) != FORMAT)
		return tt_fail(TUTTI_ERR_VERSION, -1,
		    "the unique id has format %u and this library reads format %d: install the same version of tutti "
		    "for "
		    "all ranks",
		    (unsigned)tt_get_u32(bytes + AT_FORMAT), FORMAT);
	read.authenticated = bytes[AT_AUTHENTICATED] != 0;
	read.naddresses = bytes[AT_NADDRESSES];
	read.port_step = tt_get_u16(bytes + AT_PORT_STEP);
	read.ports = (int)(tt_get_u32(bytes + AT_PORTS) & INT32_MAX);
	memcpy(read.key, bytes + AT_KEY, sizeof(read.key));
	memcpy(read.epoch, bytes + AT_EPOCH, sizeof(read.epoch));
	for (int i = 0; i < read.naddresses && i < TT_MEETING_ADDRESSES; i++)
		get_address(bytes + AT_ADDRESSES + i * ADDRESS_BYTES, &read.addresses[i]);
	if (tt_get_u64(bytes + AT_CHECKSUM) != checksum(bytes, AT_CHECKSUM) || !is_sound(&read))
		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "the unique id was damaged on its way: hand over all of its %zu bytes, as they are", sizeof(*id));
	*rendezvous = read;
	return TUTTI_OK;
}

int
tt_rendezvous_count(const struct tt_rendezvous *rendezvous)
{
	return rendezvous->naddresses * (rendezvous->ports > 1 ? rendezvous->ports : 1);
}

void
tt_rendezvous_address(const struct tt_rendezvous *rendezvous, int i, struct tt_address *address)
{
	/* The ports that need no privileges. */
	const unsigned first = 1024, range = 65536 - first;
	const unsigned turn = (unsigned)(i / rendezvous->naddresses);
	unsigned port;

	*address = rendezvous->addresses[i % rendezvous->naddresses];
	if (turn == 0)
		return;
	port = (address->port + range - first + turn * rendezvous->port_step) % range + first;
	address->port = (uint16_t)port;
}

void
tt_rendezvous_name(
    const struct tt_rendezvous *rendezvous, const char *what, int number, unsigned char name[TT_NAME_BYTES])
{
	unsigned char half[TT_KEY_BYTES], whole[TT_KEY_BYTES];

	tt_key_derive(rendezvous->key, "unix name", tt_get_u64(rendezvous->epoch), half);
	tt_key_derive(half, "unix name", tt_get_u64(rendezvous->epoch + 8), whole);
	tt_key_derive(whole, what, (uint64_t)number, name);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * blob.c - packing and unpacking an endpoint's address.
 */
#include "tcp/blob.h"

#include <string.h>

void
tt_blob_encode(
    const unsigned char nonce[TT_TCP_NONCE], const struct tt_place *places, int nplaces, unsigned char *out)
{
	memcpy(out, nonce, TT_TCP_NONCE);
	out += TT_TCP_NONCE;
	for (int i = 0; i < nplaces; i++, out += TT_BLOB_ADDRESS) {
		const struct tt_address *address = &places[i].address;

		out[0] = address->family;
		out[1] = (unsigned char)(places[i].nic << 4 | places[i].speed);
		out[2] = (unsigned char)address->port;
		out[3] = (unsigned char)(address->port >> 8);
		memcpy(out + 4, address->ip, sizeof(address->ip));
	}
}

static bool
decode_place(const unsigned char *in, struct tt_place *place)
{
	struct tt_address *address = &place->address;

	place->nic = in[1] >> 4;
	place->speed = in[1] & 15;
	place->prefix = 0;
	place->doubtful = false;
	*address = (struct tt_address){.family = in[0], .port = (uint16_t)(in[2] | in[3] << 8)};
	memcpy(address->ip, in + 4, sizeof(address->ip));
	return (in[0] == 4 || in[0] == 6) && address->port != 0;
}

bool
tt_blob_decode(
    const void *blob, size_t bytes, unsigned char nonce[TT_TCP_NONCE], struct tt_place *places, int *nplaces)
{
	const unsigned char *in = blob;
	size_t n;

	if (bytes < TT_BLOB_BYTES(1) || bytes > TT_BLOB_BYTES(TT_TCP_ADDRESSES) ||
	    (bytes - TT_TCP_NONCE) % TT_BLOB_ADDRESS != 0)
		return false;
	n = (bytes - TT_TCP_NONCE) / TT_BLOB_ADDRESS;
	for (size_t i = 0; i < n; i++)
		if (!decode_place(in + TT_BLOB_BYTES(i), &places[i]))
			return false;
	memcpy(nonce, in, TT_TCP_NONCE);
	*nplaces = (int)n;
	return true;
}

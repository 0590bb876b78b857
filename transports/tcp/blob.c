/* SPDX-License-Identifier: Apache-2.0
 *
 * blob.c - packing and unpacking an endpoint's address.
 */
#include "tcp/blob.h"

#include <string.h>

void
tt_blob_encode(
    const unsigned char nonce[TT_TCP_NONCE], const struct tt_address *addresses, int naddresses, unsigned char *out)
{
	memcpy(out, nonce, TT_TCP_NONCE);
	out += TT_TCP_NONCE;
	for (int i = 0; i < naddresses; i++, out += TT_BLOB_ADDRESS) {
		out[0] = addresses[i].family;
		out[1] = 0;
		out[2] = (unsigned char)addresses[i].port;
		out[3] = (unsigned char)(addresses[i].port >> 8);
		memcpy(out + 4, addresses[i].ip, sizeof(addresses[i].ip));
	}
}

static bool
decode_address(const unsigned char *in, struct tt_address *address)
{
	*address = (struct tt_address){.family = in[0], .port = (uint16_t)(in[2] | in[3] << 8)};
	memcpy(address->ip, in + 4, sizeof(address->ip));
	return (in[0] == 4 || in[0] == 6) && in[1] == 0 && address->port != 0;
}

bool
tt_blob_decode(
    const void *blob, size_t bytes, unsigned char nonce[TT_TCP_NONCE], struct tt_address *addresses, int *naddresses)
{
	const unsigned char *in = blob;
	size_t n;

	if (bytes < TT_BLOB_BYTES(1) || bytes > TT_BLOB_BYTES(TT_TCP_ADDRESSES) ||
	    (bytes - TT_TCP_NONCE) % TT_BLOB_ADDRESS != 0)
		return false;
	n = (bytes - TT_TCP_NONCE) / TT_BLOB_ADDRESS;
	for (size_t i = 0; i < n; i++)
		if (!decode_address(in + TT_BLOB_BYTES(i), &addresses[i]))
			return false;
	memcpy(nonce, in, TT_TCP_NONCE);
	*naddresses = (int)n;
	return true;
}

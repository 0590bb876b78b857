/* SPDX-License-Identifier: Apache-2.0
 *
 * blob.h - an endpoint's address as bytes: its nonce, then its socket addresses, 20 bytes each,
 * with a byte that says which interface each belongs to and how quick that is.
 */
#ifndef TT_TCP_BLOB_H
#define TT_TCP_BLOB_H

#include "tcp/endpoint.h"

#define TT_BLOB_ADDRESS 20 /* family, interface, port (little-endian), ip[16] */
#define TT_BLOB_BYTES(n) (TT_TCP_NONCE + (size_t)(n)*TT_BLOB_ADDRESS)

_Static_assert(TT_BLOB_BYTES(TT_TCP_ADDRESSES) <= TUTTI_ADDRESS_BYTES, "an address must fit");

/* Writes TT_BLOB_BYTES(nplaces). */
void tt_blob_encode(
    const unsigned char nonce[TT_TCP_NONCE], const struct tt_place *places, int nplaces, unsigned char *out);
/* places has room for TT_TCP_ADDRESSES. False: not such bytes. */
bool tt_blob_decode(
    const void *blob, size_t bytes, unsigned char nonce[TT_TCP_NONCE], struct tt_place *places, int *nplaces);

#endif /* TT_TCP_BLOB_H */

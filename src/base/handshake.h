/* SPDX-License-Identifier: Apache-2.0
 *
 * handshake.h - the authenticated hello with which every connection starts.
 *
 * A state machine without I/O: give it bytes that came, take bytes to send. Mutual challenge-response keyed with
 * the job's secret (libsodium crypto_auth, HMAC-SHA512-256): both sides prove that they know the key, for these
 * nonces, this role, this rank, this purpose. Messages have a fixed size; nothing that a peer sends becomes a
 * length or an index before the proof was checked. The caller closes a connection that has not finished after
 * TT_HANDSHAKE_MS.
 */
#ifndef TT_BASE_HANDSHAKE_H
#define TT_BASE_HANDSHAKE_H

#include <tutti/tutti.h>

#include "base/port.h"

#define TT_KEY_BYTES 32
#define TT_HANDSHAKE_MS 2000
#define TT_WIRE_VERSION 3 /* of everything that ranks say to each other; counted up with every change */
#define TT_HELLO_MESSAGE 128 /* bytes of each message; a side sends at most two */

/* What a side says of itself; authenticated. */
struct tt_hello {
	uint32_t purpose; /* a TT_PURPOSE_... ; must be equal on both sides */
	int32_t rank; /* of the sender */
	uint32_t wire; /* protocol version of the sender: filled in by the handshake */
	uint32_t number; /* free for the purpose: connection number, communicator ... */
	unsigned char epoch[16]; /* which communicator; must be equal on both sides */
};

enum {
	TT_PURPOSE_JOIN = 1,
	TT_PURPOSE_NODE = 2,
	TT_PURPOSE_TCP = 3,
	TT_PURPOSE_FABRIC = 4,
	TT_PURPOSE_SURVIVORS = 5
};

struct tt_handshake {
	unsigned char key[TT_KEY_BYTES];
	struct tt_hello mine, theirs;
	unsigned char nonce[2][32]; /* 0: initiator's, 1: responder's */
	unsigned char in[TT_HELLO_MESSAGE], out[2 * TT_HELLO_MESSAGE];
	size_t in_bytes, out_bytes, out_sent;
	int initiator, state;
};

/* `mine` is copied. */
void tt_handshake_init(
    struct tt_handshake *h, int initiator, const unsigned char key[TT_KEY_BYTES], const struct tt_hello *mine);
/* Bytes that the machine wants next: read at most that many, so that nothing after the hello is swallowed. */
size_t tt_handshake_wants(const struct tt_handshake *h);
/* Takes n ≤ wants bytes. TUTTI_IN_PROGRESS: go on. TUTTI_OK: the peer is proven (send what is left in take()).
 * TUTTI_ERR_AUTH, TUTTI_ERR_VERSION (both versions in the record): close silently. */
tutti_status tt_handshake_give(struct tt_handshake *h, const void *bytes, size_t n);
/* Bytes to send now, *n of them (0 = none); then say how many went out. */
const void *tt_handshake_take(struct tt_handshake *h, size_t *n);
void tt_handshake_sent(struct tt_handshake *h, size_t n);
/* Proven and nothing left to send. */
bool tt_handshake_done(const struct tt_handshake *h);

/* A key for another purpose out of the job's secret (BLAKE2b, keyed): label up to 16 bytes. */
void tt_key_derive(
    const unsigned char key[TT_KEY_BYTES], const char *label, uint64_t number, unsigned char out[TT_KEY_BYTES]);

#endif /* TT_BASE_HANDSHAKE_H */

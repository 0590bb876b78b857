/* SPDX-License-Identifier: Apache-2.0
 *
 * handshake.c - mutual challenge-response in three messages of one fixed layout.
 *
 *     initiator                                     responder
 *         |  1 challenge: nonce_i, purpose              |
 *         | ------------------------------------------> |
 *         |  2 answer: nonce_r, hello_r, proof          |
 *         | <------------------------------------------ |
 *         |  3 confirm: hello_i, proof                  |
 *         | ------------------------------------------> |
 *
 * A proof is a keyed MAC over the role, both nonces and the rest of its message: a message that is reflected,
 * replayed or altered proves nothing. Integers are little-endian on the wire. Magic and version come first, keep
 * their places in every version, and are looked at before anything else.
 */
#include "base/handshake.h"

#include <pthread.h>
#include <sodium.h>
#include <string.h>

#include "base/error.h"
#include "base/process.h"

_Static_assert(TT_KEY_BYTES == crypto_auth_KEYBYTES, "the MAC's key");

/* Where things are in a message. */
enum {
	AT_MAGIC = 0,
	AT_VERSION = 8,
	AT_KIND = 12,
	AT_NONCE = 16,
	AT_PURPOSE = 48,
	AT_RANK = 52,
	AT_NUMBER = 56,
	AT_EPOCH = 60,
	AT_PROOF = TT_HELLO_MESSAGE - crypto_auth_BYTES
};

enum { CHALLENGE = 1, ANSWER = 2, CONFIRM = 3 };
enum { WANTS_CHALLENGE, WANTS_ANSWER, WANTS_CONFIRM, PROVEN, FAILED };

static const unsigned char magic[8] = {'t', 'u', 't', 't', 'i', 0x1a, '\r', '\n'};
static const char domain[16] = "tutti handshake";

static void
start_sodium(void)
{
	/* A failure means that no random source was found; the functions used here need none. */
	if (sodium_init() < 0)
		return;
}

static void
need_sodium(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, start_sodium);
}

static void
put_u32(unsigned char *at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = (unsigned char)(value >> (8 * i));
}

static uint32_t
get_u32(const unsigned char *at)
{
	return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void
prove(const struct tt_handshake *h, const unsigned char *message, unsigned char proof[crypto_auth_BYTES])
{
	unsigned char text[sizeof(domain) + sizeof(h->nonce) + AT_PROOF];

	/* The role is the message's kind, which is part of what is signed: only responders send answers. */
	memcpy(text, domain, sizeof(domain));
	memcpy(text + sizeof(domain), h->nonce, sizeof(h->nonce));
	memcpy(text + sizeof(domain) + sizeof(h->nonce), message, AT_PROOF);
	crypto_auth(proof, text, sizeof(text), h->key);
}

static void
send_message(struct tt_handshake *h, uint32_t kind)
{
	unsigned char *message = h->out + h->out_bytes;

	memset(message, 0, TT_HELLO_MESSAGE);
	memcpy(message + AT_MAGIC, magic, sizeof(magic));
	put_u32(message + AT_VERSION, TT_WIRE_VERSION);
	put_u32(message + AT_KIND, kind);
	put_u32(message + AT_PURPOSE, h->mine.purpose);
	if (kind != CONFIRM)
		memcpy(message + AT_NONCE, h->nonce[h->initiator ? 0 : 1], sizeof(h->nonce[0]));
	if (kind != CHALLENGE) {
		put_u32(message + AT_RANK, (uint32_t)h->mine.rank);
		put_u32(message + AT_NUMBER, h->mine.number);
		memcpy(message + AT_EPOCH, h->mine.epoch, sizeof(h->mine.epoch));
		prove(h, message, message + AT_PROOF);
	}
	h->out_bytes += TT_HELLO_MESSAGE;
}

/* After the end, good or bad, the key is of no more use here. */
static void
finish(struct tt_handshake *h, int state)
{
	h->state = state;
	sodium_memzero(h->key, sizeof(h->key));
}

static tutti_status
refuse(struct tt_handshake *h, const char *why)
{
	finish(h, FAILED);
	return tt_fail(TUTTI_ERR_AUTH, -1, "a connection was refused: %s", why);
}

/* The part that every version has in common, as soon as its bytes are here. */
static tutti_status
check_head(struct tt_handshake *h)
{
	uint32_t version;

	if (h->in_bytes >= AT_VERSION && memcmp(h->in + AT_MAGIC, magic, sizeof(magic)) != 0)
		return refuse(h, "the other side does not speak this protocol");
	if (h->in_bytes < AT_KIND)
		return TUTTI_OK;
	version = get_u32(h->in + AT_VERSION);
	if (version == TT_WIRE_VERSION)
		return TUTTI_OK;
	finish(h, FAILED);
	return tt_fail(TUTTI_ERR_VERSION, -1,
	    "this side speaks version %u of the wire protocol and the other side version %u: "
	    "install the same version of tutti for all ranks",
	    (unsigned)TT_WIRE_VERSION, (unsigned)version);
}

static tutti_status
take_challenge(struct tt_handshake *h)
{
	if (get_u32(h->in + AT_PURPOSE) != h->mine.purpose)
		return refuse(h, "it was made for another purpose");
	memcpy(h->nonce[0], h->in + AT_NONCE, sizeof(h->nonce[0]));
	send_message(h, ANSWER);
	h->state = WANTS_CONFIRM;
	return TUTTI_IN_PROGRESS;
}

static tutti_status
take_proof(struct tt_handshake *h)
{
	unsigned char expected[crypto_auth_BYTES];

	prove(h, h->in, expected);
	if (sodium_memcmp(expected, h->in + AT_PROOF, sizeof(expected)) != 0)
		return refuse(h, "it did not prove that it knows the job's secret");
	/* Only now are these words the peer's own. */
	if (get_u32(h->in + AT_PURPOSE) != h->mine.purpose)
		return refuse(h, "it was made for another purpose");
	if (memcmp(h->in + AT_EPOCH, h->mine.epoch, sizeof(h->mine.epoch)) != 0)
		return refuse(h, "it belongs to another communicator of this job");
	h->theirs.purpose = get_u32(h->in + AT_PURPOSE);
	h->theirs.rank = (int32_t)get_u32(h->in + AT_RANK);
	h->theirs.wire = get_u32(h->in + AT_VERSION);
	h->theirs.number = get_u32(h->in + AT_NUMBER);
	memcpy(h->theirs.epoch, h->in + AT_EPOCH, sizeof(h->theirs.epoch));
	return TUTTI_OK;
}

static tutti_status
take_answer(struct tt_handshake *h)
{
	memcpy(h->nonce[1], h->in + AT_NONCE, sizeof(h->nonce[1]));
	TT_TRY(take_proof(h));
	send_message(h, CONFIRM);
	finish(h, PROVEN);
	return TUTTI_OK;
}

static tutti_status
take_confirm(struct tt_handshake *h)
{
	TT_TRY(take_proof(h));
	finish(h, PROVEN);
	return TUTTI_OK;
}

static tutti_status
take_message(struct tt_handshake *h)
{
	static const uint32_t kinds[] = {
	    [WANTS_CHALLENGE] = CHALLENGE, [WANTS_ANSWER] = ANSWER, [WANTS_CONFIRM] = CONFIRM};

	h->in_bytes = 0;
	if (get_u32(h->in + AT_KIND) != kinds[h->state])
		return refuse(h, "its messages are out of order");
	switch (h->state) {
	case WANTS_CHALLENGE:
		return take_challenge(h);
	case WANTS_ANSWER:
		return take_answer(h);
	default:
		return take_confirm(h);
	}
}

void
tt_handshake_init(
    struct tt_handshake *h, int initiator, const unsigned char key[TT_KEY_BYTES], const struct tt_hello *mine)
{
	need_sodium();
	memset(h, 0, sizeof(*h));
	memcpy(h->key, key, sizeof(h->key));
	h->mine = *mine;
	h->mine.wire = TT_WIRE_VERSION;
	h->initiator = initiator;
	h->state = initiator ? WANTS_ANSWER : WANTS_CHALLENGE;
	tt_random(h->nonce[initiator ? 0 : 1], sizeof(h->nonce[0]));
	if (initiator)
		send_message(h, CHALLENGE);
}

size_t
tt_handshake_wants(const struct tt_handshake *h)
{
	return h->state < PROVEN ? TT_HELLO_MESSAGE - h->in_bytes : 0;
}

tutti_status
tt_handshake_give(struct tt_handshake *h, const void *bytes, size_t n)
{
	if (h->state == FAILED)
		return tt_fail(TUTTI_ERR_AUTH, -1, "a connection that was refused before went on talking");
	if (n > tt_handshake_wants(h))
		return refuse(h, "it sent more than the handshake has");
	if (h->state == PROVEN)
		return TUTTI_OK;
	if (n == 0)
		return TUTTI_IN_PROGRESS;
	memcpy(h->in + h->in_bytes, bytes, n);
	h->in_bytes += n;
	TT_TRY(check_head(h));
	return h->in_bytes == TT_HELLO_MESSAGE ? take_message(h) : TUTTI_IN_PROGRESS;
}

const void *
tt_handshake_take(struct tt_handshake *h, size_t *n)
{
	*n = h->state == FAILED ? 0 : h->out_bytes - h->out_sent;
	return h->out + h->out_sent;
}

void
tt_handshake_sent(struct tt_handshake *h, size_t n)
{
	const size_t left = h->out_bytes - h->out_sent;

	h->out_sent += n < left ? n : left;
}

bool
tt_handshake_done(const struct tt_handshake *h)
{
	return h->state == PROVEN && h->out_sent == h->out_bytes;
}

void
tt_key_derive(
    const unsigned char key[TT_KEY_BYTES], const char *label, uint64_t number, unsigned char out[TT_KEY_BYTES])
{
	unsigned char text[16 + 8] = {0};

	need_sodium();
	memcpy(text, label, strnlen(label, 16));
	put_u32(text + 16, (uint32_t)number);
	put_u32(text + 20, (uint32_t)(number >> 32));
	crypto_generichash(out, TT_KEY_BYTES, text, sizeof(text), key, TT_KEY_BYTES);
}

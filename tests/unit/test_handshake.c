/* SPDX-License-Identifier: Apache-2.0
 *
 * test_handshake.c - only who knows the key, now, in this role and for this purpose, gets through.
 *
 * No sockets: the bytes of one machine are handed to the other, whole, split, altered or not at all.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/handshake.h"
#include "base/process.h"

static const unsigned char key[TT_KEY_BYTES] = "the secret of this very good job";
static const unsigned char other_key[TT_KEY_BYTES] = "the secret of this very bad  job";
static const struct tt_hello hello_i = {.purpose = TT_PURPOSE_TCP, .rank = 3, .number = 0xfffffff1, .epoch = "epoch"};
static const struct tt_hello hello_r = {.purpose = TT_PURPOSE_TCP, .rank = 1234567, .number = 7, .epoch = "epoch"};

struct pair {
	struct tt_handshake initiator, responder;
};

static void
begin(struct pair *pair)
{
	tt_handshake_init(&pair->initiator, 1, key, &hello_i);
	tt_handshake_init(&pair->responder, 0, key, &hello_r);
}

/* Moves what `from` has to say to `to`, at most `step` bytes at a time; the last result of give. */
static tutti_status
carry(struct tt_handshake *from, struct tt_handshake *to, size_t step)
{
	tutti_status status = TUTTI_IN_PROGRESS;

	for (;;) {
		const void *bytes;
		size_t n;

		bytes = tt_handshake_take(from, &n);
		if (n > step)
			n = step;
		if (n > tt_handshake_wants(to))
			n = tt_handshake_wants(to);
		if (n == 0)
			return status;
		status = tt_handshake_give(to, bytes, n);
		tt_handshake_sent(from, n);
		if (status != TUTTI_IN_PROGRESS && status != TUTTI_OK)
			return status;
	}
}

/* The next message of `from`, not yet sent on. */
static void
message_of(struct tt_handshake *from, unsigned char message[TT_HELLO_MESSAGE])
{
	size_t n;
	const void *bytes = tt_handshake_take(from, &n);

	cr_assert(eq(sz, n, TT_HELLO_MESSAGE));
	memcpy(message, bytes, TT_HELLO_MESSAGE);
	tt_handshake_sent(from, n);
}

static tutti_status
give(struct tt_handshake *to, const unsigned char message[TT_HELLO_MESSAGE])
{
	return tt_handshake_give(to, message, TT_HELLO_MESSAGE);
}

Test(handshake, a_good_pair_gets_through_at_every_split)
{
	for (size_t step = 1; step <= TT_HELLO_MESSAGE; step++) {
		struct pair p;

		begin(&p);
		cr_assert(eq(int, carry(&p.initiator, &p.responder, step), TUTTI_IN_PROGRESS));
		cr_assert(eq(int, carry(&p.responder, &p.initiator, step), TUTTI_OK));
		cr_assert(not(tt_handshake_done(&p.initiator)), "it still has to prove itself");
		cr_assert(eq(int, carry(&p.initiator, &p.responder, step), TUTTI_OK));
		cr_assert(tt_handshake_done(&p.initiator));
		cr_assert(tt_handshake_done(&p.responder));
		cr_assert(eq(sz, tt_handshake_wants(&p.initiator), 0));
		cr_assert(eq(sz, tt_handshake_wants(&p.responder), 0));
	}
}

Test(handshake, each_side_learns_what_the_other_said_of_itself)
{
	struct pair p;

	begin(&p);
	carry(&p.initiator, &p.responder, SIZE_MAX);
	carry(&p.responder, &p.initiator, SIZE_MAX);
	carry(&p.initiator, &p.responder, SIZE_MAX);
	cr_assert(eq(int, p.initiator.theirs.rank, 1234567));
	cr_assert(eq(u32, p.initiator.theirs.number, 7));
	cr_assert(eq(int, p.responder.theirs.rank, 3));
	cr_assert(eq(u32, p.responder.theirs.number, 0xfffffff1));
	cr_assert(eq(u32, p.responder.theirs.purpose, TT_PURPOSE_TCP));
	cr_assert(eq(u32, p.responder.theirs.wire, TT_WIRE_VERSION));
	cr_assert(memcmp(p.responder.theirs.epoch, hello_i.epoch, 16) == 0);
}

Test(handshake, a_machine_wants_not_a_byte_beyond_its_messages)
{
	struct pair p;
	unsigned char message[TT_HELLO_MESSAGE];

	begin(&p);
	cr_assert(eq(sz, tt_handshake_wants(&p.responder), TT_HELLO_MESSAGE));
	message_of(&p.initiator, message);
	cr_assert(eq(int, tt_handshake_give(&p.responder, message, 100), TUTTI_IN_PROGRESS));
	cr_assert(eq(sz, tt_handshake_wants(&p.responder), TT_HELLO_MESSAGE - 100));
	cr_assert(eq(int, tt_handshake_give(&p.responder, message, TT_HELLO_MESSAGE), TUTTI_ERR_AUTH));
}

Test(handshake, the_wrong_key_is_refused_by_the_initiator_first)
{
	struct pair p;

	begin(&p);
	tt_handshake_init(&p.responder, 0, other_key, &hello_r);
	cr_assert(eq(int, carry(&p.initiator, &p.responder, SIZE_MAX), TUTTI_IN_PROGRESS));
	cr_assert(eq(int, carry(&p.responder, &p.initiator, SIZE_MAX), TUTTI_ERR_AUTH));
	cr_assert(not(tt_handshake_done(&p.initiator)));
	cr_assert(eq(int, p.initiator.theirs.rank, 0));
}

Test(handshake, a_responder_refuses_a_confirm_made_with_another_key)
{
	struct pair p, wrong;
	unsigned char message[TT_HELLO_MESSAGE];

	begin(&p);
	tt_handshake_init(&wrong.initiator, 1, other_key, &hello_i);
	tt_handshake_init(&wrong.responder, 0, other_key, &hello_r);
	carry(&wrong.initiator, &wrong.responder, SIZE_MAX);
	carry(&wrong.responder, &wrong.initiator, SIZE_MAX);
	carry(&p.initiator, &p.responder, SIZE_MAX);
	message_of(&wrong.initiator, message);
	cr_assert(eq(int, give(&p.responder, message), TUTTI_ERR_AUTH));
	cr_assert(not(tt_handshake_done(&p.responder)));
}

Test(handshake, an_initiator_is_not_fooled_by_its_own_messages)
{
	struct pair p;
	unsigned char message[TT_HELLO_MESSAGE];

	begin(&p);
	message_of(&p.initiator, message);
	cr_assert(eq(int, give(&p.initiator, message), TUTTI_ERR_AUTH));
}

Test(handshake, a_responders_answer_does_not_serve_as_a_confirm)
{
	struct pair p;
	unsigned char message[TT_HELLO_MESSAGE];

	/* Reflected as it is, and with the kind of a confirm written over the answer's. */
	for (int disguised = 0; disguised < 2; disguised++) {
		begin(&p);
		carry(&p.initiator, &p.responder, SIZE_MAX);
		message_of(&p.responder, message);
		if (disguised)
			message[12] = 3;
		cr_assert(eq(int, give(&p.responder, message), TUTTI_ERR_AUTH));
	}
}

Test(handshake, another_responder_cannot_be_used_to_answer_for_the_initiator)
{
	struct pair p, q;
	unsigned char message[TT_HELLO_MESSAGE];

	/* The attacker opens a second connection to the job and lets it answer the first one's challenge: what it
	 * gets is a responder's proof, and where an initiator's is needed it is worth nothing. */
	begin(&p);
	begin(&q);
	carry(&p.initiator, &p.responder, SIZE_MAX);
	message_of(&p.responder, message);
	message[12] = 1;
	give(&q.responder, message);
	message_of(&q.responder, message);
	message[12] = 3;
	cr_assert(eq(int, give(&p.responder, message), TUTTI_ERR_AUTH));
}

Test(handshake, yesterdays_messages_prove_nothing_today)
{
	struct pair p, q;
	unsigned char answer[TT_HELLO_MESSAGE], confirm[TT_HELLO_MESSAGE], challenge[TT_HELLO_MESSAGE];

	begin(&p);
	message_of(&p.initiator, challenge);
	give(&p.responder, challenge);
	message_of(&p.responder, answer);
	give(&p.initiator, answer);
	message_of(&p.initiator, confirm);
	cr_assert(eq(int, give(&p.responder, confirm), TUTTI_OK));

	begin(&q);
	cr_assert(eq(int, give(&q.initiator, answer), TUTTI_ERR_AUTH));
	cr_assert(eq(int, give(&q.responder, challenge), TUTTI_IN_PROGRESS));
	cr_assert(eq(int, give(&q.responder, confirm), TUTTI_ERR_AUTH));
}

/* One byte of the n-th message is changed on its way. */
static tutti_status
with_byte_changed(int message_number, size_t at)
{
	struct pair p;
	unsigned char message[TT_HELLO_MESSAGE];
	struct tt_handshake *from = &p.initiator, *to = &p.responder;

	begin(&p);
	for (int i = 0;; i++) {
		struct tt_handshake *swap = from;
		tutti_status status;

		message_of(from, message);
		if (i == message_number)
			message[at] ^= 0x40;
		status = give(to, message);
		if (i == 2 || (status != TUTTI_OK && status != TUTTI_IN_PROGRESS))
			return status;
		from = to;
		to = swap;
	}
}

Test(handshake, no_byte_of_any_message_can_be_changed_unseen)
{
	for (int message = 0; message < 3; message++) {
		for (size_t at = 0; at < TT_HELLO_MESSAGE; at++) {
			const bool version = at >= 8 && at < 12;
			/* The challenge says nothing of its own but nonce and purpose. */
			const bool empty = message == 0 && at >= 52;
			const tutti_status wanted = version ? TUTTI_ERR_VERSION : empty ? TUTTI_OK : TUTTI_ERR_AUTH;

			cr_assert(
			    eq(int, with_byte_changed(message, at), wanted), "message %d, byte %zu", message, at);
		}
	}
}

Test(handshake, a_truncated_stream_is_never_done)
{
	struct pair p;
	unsigned char message[TT_HELLO_MESSAGE];

	begin(&p);
	carry(&p.initiator, &p.responder, SIZE_MAX);
	carry(&p.responder, &p.initiator, SIZE_MAX);
	message_of(&p.initiator, message);
	cr_assert(eq(int, tt_handshake_give(&p.responder, message, TT_HELLO_MESSAGE - 1), TUTTI_IN_PROGRESS));
	cr_assert(not(tt_handshake_done(&p.responder)));
	cr_assert(eq(int, tt_handshake_give(&p.responder, message, 0), TUTTI_IN_PROGRESS));
}

Test(handshake, garbage_is_refused_at_its_first_bytes_and_for_good)
{
	struct pair p;
	unsigned char message[TT_HELLO_MESSAGE];

	for (int round = 0; round < 100; round++) {
		size_t n;

		begin(&p);
		tt_random(message, sizeof(message));
		cr_assert(eq(int, tt_handshake_give(&p.responder, message, 8), TUTTI_ERR_AUTH));
		cr_assert(eq(sz, tt_handshake_wants(&p.responder), 0));
		cr_assert(eq(int, tt_handshake_give(&p.responder, message, 0), TUTTI_ERR_AUTH));
		tt_handshake_take(&p.responder, &n);
		cr_assert(eq(sz, n, 0));
	}
}

Test(handshake, another_version_is_told_apart_before_anything_else)
{
	struct pair p;
	unsigned char message[TT_HELLO_MESSAGE];
	char both[2][32];

	begin(&p);
	message_of(&p.initiator, message);
	memset(message + 12, 0xee, sizeof(message) - 12);
	message[8] = TT_WIRE_VERSION + 41;
	cr_assert(eq(int, tt_handshake_give(&p.responder, message, 12), TUTTI_ERR_VERSION));
	snprintf(both[0], sizeof(both[0]), "version %d ", TT_WIRE_VERSION);
	snprintf(both[1], sizeof(both[1]), "version %d:", TT_WIRE_VERSION + 41);
	cr_assert(strstr(tt_last_error()->message, both[0]) != NULL);
	cr_assert(strstr(tt_last_error()->message, both[1]) != NULL);
}

Test(handshake, another_purpose_is_refused)
{
	struct tt_hello hello = hello_r;
	struct pair p;

	begin(&p);
	hello.purpose = TT_PURPOSE_NODE;
	tt_handshake_init(&p.responder, 0, key, &hello);
	cr_assert(eq(int, carry(&p.initiator, &p.responder, SIZE_MAX), TUTTI_ERR_AUTH));
}

Test(handshake, another_epoch_is_refused)
{
	struct tt_hello hello = hello_r;
	struct pair p;

	begin(&p);
	hello.epoch[15] ^= 1;
	tt_handshake_init(&p.responder, 0, key, &hello);
	cr_assert(eq(int, carry(&p.initiator, &p.responder, SIZE_MAX), TUTTI_IN_PROGRESS));
	cr_assert(eq(int, carry(&p.responder, &p.initiator, SIZE_MAX), TUTTI_ERR_AUTH));
}

Test(handshake, two_initiators_or_two_responders_do_not_meet)
{
	struct pair p;

	begin(&p);
	tt_handshake_init(&p.responder, 1, key, &hello_r);
	cr_assert(eq(int, carry(&p.initiator, &p.responder, SIZE_MAX), TUTTI_ERR_AUTH));
	tt_handshake_init(&p.initiator, 0, key, &hello_r);
	tt_handshake_init(&p.responder, 0, key, &hello_r);
	cr_assert(eq(int, carry(&p.initiator, &p.responder, SIZE_MAX), TUTTI_IN_PROGRESS));
	cr_assert(not(tt_handshake_done(&p.initiator)));
}

Test(handshake, the_key_is_wiped_when_it_is_over)
{
	static const unsigned char zeros[TT_KEY_BYTES];
	struct pair p;

	begin(&p);
	carry(&p.initiator, &p.responder, SIZE_MAX);
	carry(&p.responder, &p.initiator, SIZE_MAX);
	carry(&p.initiator, &p.responder, SIZE_MAX);
	cr_assert(memcmp(p.initiator.key, zeros, sizeof(zeros)) == 0);
	cr_assert(memcmp(p.responder.key, zeros, sizeof(zeros)) == 0);
}

Test(handshake, derived_keys_depend_on_key_label_and_number)
{
	unsigned char out[5][TT_KEY_BYTES];

	tt_key_derive(key, "node", 1, out[0]);
	tt_key_derive(key, "node", 1, out[1]);
	cr_assert(memcmp(out[0], out[1], TT_KEY_BYTES) == 0);
	tt_key_derive(other_key, "node", 1, out[1]);
	tt_key_derive(key, "tcp", 1, out[2]);
	tt_key_derive(key, "node", UINT64_C(1) << 32, out[3]);
	memcpy(out[4], key, TT_KEY_BYTES);
	for (int i = 0; i < 5; i++)
		for (int j = 0; j < i; j++)
			cr_assert(memcmp(out[i], out[j], TT_KEY_BYTES) != 0);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * test_tcp_greeting.c - two ranks agree on one connection: at every split, crossing, and with strangers.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "tcp/greeting.h"

static const unsigned char key[TT_KEY_BYTES] = "thirty-two bytes of a shared key";

static void
open_greeting(struct tt_greeting *g, int initiator, int rank, const unsigned char *secret)
{
	const struct tt_hello hello = {.purpose = TT_PURPOSE_TCP, .rank = rank, .number = 3};

	tt_greeting_init(g, initiator, secret, &hello);
}

/* At most n bytes of what `from` says; returns how many went, -1 if `to` refused. */
static int
carry(struct tt_greeting *from, struct tt_greeting *to, size_t n)
{
	size_t have;
	const void *bytes = tt_greeting_take(from, &have);
	const size_t wants = tt_greeting_wants(to);

	n = n < have ? n : have;
	n = n < wants ? n : wants;
	if (n == 0)
		return 0;
	if (tt_greeting_give(to, bytes, n) != TUTTI_OK)
		return -1;
	tt_greeting_sent(from, n);
	return (int)n;
}

static void
decide(struct tt_greeting *g)
{
	if (g->phase == TT_GREETING_PROVEN && g->chooser)
		tt_greeting_choose(g, 3, &(struct tt_terms){5, false});
	else if (g->phase == TT_GREETING_CHOSEN)
		tt_greeting_agree(g, &(struct tt_terms){7, true});
}

Test(tcp_greeting, both_agree_at_every_split_whoever_calls, .timeout = 20)
{
	for (size_t split = 1; split <= TT_HELLO_MESSAGE; split += split < 8 ? 1 : 15) {
		for (int caller = 0; caller < 2; caller++) {
			struct tt_greeting g[2];

			open_greeting(&g[0], caller == 0, 0, key);
			open_greeting(&g[1], caller == 1, 1, key);
			for (int moved = 1; moved > 0;) {
				moved = carry(&g[0], &g[1], split);
				cr_assert(ge(int, moved, 0));
				decide(&g[1]);
				moved += carry(&g[1], &g[0], split);
				cr_assert(ge(int, moved, 0));
				decide(&g[0]);
			}
			cr_assert(tt_greeting_done(&g[0]));
			cr_assert(tt_greeting_done(&g[1]));
			cr_assert(g[0].chooser);
			cr_assert(not(g[1].chooser));
			cr_assert(eq(sz, tt_greeting_wants(&g[0]) + tt_greeting_wants(&g[1]), (size_t)0));
			cr_assert(eq(int, g[0].handshake.theirs.rank, 1));
			cr_assert(eq(int, g[1].handshake.theirs.rank, 0));
		}
	}
}

/* Neither side goes on before the lower rank has chosen, whatever it is given. */
Test(tcp_greeting, the_higher_rank_waits_for_the_choice, .timeout = 20)
{
	struct tt_greeting low, high;

	open_greeting(&low, 0, 4, key);
	open_greeting(&high, 1, 9, key);
	while (carry(&low, &high, 1000) + carry(&high, &low, 1000) > 0)
		;
	cr_assert(eq(int, (int)low.phase, TT_GREETING_PROVEN));
	cr_assert(eq(int, (int)high.phase, TT_GREETING_PROVEN));
	cr_assert(eq(sz, tt_greeting_wants(&low), (size_t)0));
	cr_assert(not(tt_greeting_done(&low)));
	cr_assert(not(tt_greeting_done(&high)));
}

Test(tcp_greeting, goodbye_is_understood, .timeout = 20)
{
	struct tt_greeting low, high;

	open_greeting(&low, 0, 4, key);
	open_greeting(&high, 1, 9, key);
	while (carry(&low, &high, 1000) + carry(&high, &low, 1000) > 0)
		;
	tt_greeting_goodbye(&low);
	cr_assert(eq(int, carry(&low, &high, 1000), -1));
	cr_assert(high.over);
}

Test(tcp_greeting, another_key_proves_nothing, .timeout = 20)
{
	static const unsigned char other[TT_KEY_BYTES] = "thirty-two bytes of another key!";
	struct tt_greeting low, high;
	int moved;

	open_greeting(&low, 1, 0, key);
	open_greeting(&high, 0, 1, other);
	cr_assert(gt(int, carry(&low, &high, 1000), 0));
	moved = carry(&high, &low, 1000);
	cr_assert(eq(int, moved, -1));
	cr_assert(eq(int, (int)low.phase, TT_GREETING_PROVING));
}

Test(tcp_greeting, another_frame_is_refused_in_the_place_of_the_choice, .timeout = 20)
{
	for (unsigned kind = 0; kind < 256; kind++) {
		struct tt_greeting low, high;
		unsigned char bytes[TT_FRAME_LONG] = {0};
		const struct tt_frame frame = {.kind = (enum tt_frame_kind)kind};

		if (kind == TT_FRAME_CHOOSE)
			continue;
		open_greeting(&low, 0, 0, key);
		open_greeting(&high, 1, 1, key);
		while (carry(&low, &high, 1000) + carry(&high, &low, 1000) > 0)
			;
		if (tt_frame_bytes(kind) > 0)
			tt_frame_encode(&frame, bytes);
		bytes[0] = (unsigned char)kind;
		cr_assert(eq(sz, tt_greeting_wants(&high), (size_t)TT_FRAME_SHORT));
		cr_assert(eq(int, tt_greeting_give(&high, bytes, TT_FRAME_SHORT), TUTTI_ERR_PEER), "kind %u", kind);
		cr_assert(ne(int, (int)high.phase, TT_GREETING_CHOSEN));
	}
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * sum.c - four chains of multiplications, joined at the end. The result does not depend on how the bytes came.
 */
#include "tcp/sum.h"

#include <string.h>

#include "base/checked.h"

#define TURN 32

static uint64_t
stir(uint64_t state, uint64_t word)
{
	state = (state ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	return state ^ state >> 32;
}

static uint64_t
word_at(const unsigned char *bytes)
{
	uint64_t word = 0;

	for (int i = 0; i < 8; i++)
		word |= (uint64_t)bytes[i] << (8 * i);
	return word;
}

static void
add_turn(uint64_t state[4], const unsigned char *bytes)
{
	for (int i = 0; i < 4; i++)
		state[i] = stir(state[i], word_at(bytes + i * 8));
}

void
tt_sum_init(struct tt_sum *sum)
{
	sum->bytes = 0;
	for (int i = 0; i < 4; i++)
		sum->state[i] = UINT64_C(0x7475747469746370) + (uint64_t)i;
}

void
tt_sum_add(struct tt_sum *sum, const void *bytes, size_t n)
{
	const unsigned char *from = bytes;
	const size_t held = sum->bytes % TURN;

	sum->bytes += n;
	if (held > 0) {
		const size_t part = tt_min_size(n, TURN - held);

		memcpy(sum->rest + held, from, part);
		from += part;
		n -= part;
		if (held + part < TURN)
			return;
		add_turn(sum->state, sum->rest);
	}
	for (; n >= TURN; from += TURN, n -= TURN)
		add_turn(sum->state, from);
	if (n > 0)
		memcpy(sum->rest, from, n);
}

void
tt_sum_end(const struct tt_sum *sum, unsigned char out[TT_SUM_BYTES])
{
	unsigned char last[TURN] = {0};
	uint64_t state[4], all = sum->bytes;

	memcpy(state, sum->state, sizeof(state));
	memcpy(last, sum->rest, sum->bytes % TURN);
	add_turn(state, last);
	for (int i = 0; i < 4; i++)
		all = stir(all, state[i]);
	for (int i = 0; i < TT_SUM_BYTES; i++)
		out[i] = (unsigned char)(all >> (8 * i));
}

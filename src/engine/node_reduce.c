/* SPDX-License-Identifier: Apache-2.0
 *
 * node_reduce.c - all_reduce and reduce in the node stage.
 *
 * Tiers: a payload that fits the line needs no slot; up to ONE_SHOT bytes whoever wants the result reduces everything
 * (one meeting); above, member j reduces slice j of each chunk and those who want the result copy it out (two meetings
 * per chunk), and the copy-in of the next chunk fills the wait:
 *
 *	in(0) | meet | in(1) reduce(0) | meet | out(0) | meet | in(2) reduce(1) | meet | out(1) ...
 *
 * Bytes touched per rank: 5 - 2/P of the buffer, all but 2 of them in cache (Jocksch et al. 2025; YHCCL, SC 2023 count
 * likewise). Sums are k-ary, in member order, on all members the same.
 *
 * A result slot of tick t is written again at t + 2, after a meeting at t + 2, which nobody publishes before it has
 * copied out what it wants of t.
 */
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "engine/node_stage_parts.h"

#define BLOCK_BYTES 4096 /* of sums between two passes */

/* Member j's slice of a chunk of `len` bytes, in whole cache lines. */
static void
slice_range(const struct tt_node_stage *s, int j, size_t len, size_t *begin, size_t *slice)
{
	size_t first, n;

	tt_part((len + TT_STAGE_GRAIN - 1) / TT_STAGE_GRAIN, (size_t)s->members, (size_t)j, &first, &n);
	*begin = tt_min_size(first * TT_STAGE_GRAIN, len);
	*slice = tt_min_size((first + n) * TT_STAGE_GRAIN, len) - *begin;
}

/* More sources than one pass takes: `dst`, which may be one of them, is written when a block has had all passes. */
static void
sum_in_passes(const struct tt_node_stage *s, unsigned char *dst, size_t at, size_t bytes)
{
	_Alignas(TT_STAGE_GRAIN) unsigned char sums[BLOCK_BYTES];
	const struct tt_arithmetic *how = &s->job.how;
	const void *src[TT_REDUCE_SOURCES];

	for (int done = 0, before = 0; done < s->members; before = done) {
		int n = done > 0;

		src[0] = sums;
		while (n < TT_REDUCE_SOURCES && done < s->members)
			src[n++] = (const unsigned char *)s->sources[done++] + at;
		if (done < s->members)
			tt_arithmetic_reduce(how, TT_FINISH_NONE, sums, src, n, bytes / how->element, before);
		else
			tt_arithmetic_reduce(how, how->finish, dst, src, n, bytes / how->element, before);
	}
}

/* Few sources, from `at` of each on. */
static void
sum_in_one(const struct tt_node_stage *s, unsigned char *dst, size_t at, size_t bytes)
{
	const struct tt_arithmetic *how = &s->job.how;
	const void *src[TT_REDUCE_SOURCES];

	for (int j = 0; j < s->members; j++)
		src[j] = (const unsigned char *)s->sources[j] + at;
	tt_arithmetic_reduce(how, how->finish, dst, src, s->members, bytes / how->element, 0);
}

void
tt_stage_reduce(struct tt_node_stage *s, unsigned char *dst, size_t at, size_t bytes)
{
	const size_t block = BLOCK_BYTES / s->job.how.element * s->job.how.element;

	if (s->members <= TT_REDUCE_SOURCES) {
		sum_in_one(s, dst, at, bytes);
		return;
	}
	for (size_t done = 0; done < bytes; done += block)
		sum_in_passes(s, dst + done, at + done, tt_min_size(block, bytes - done));
}

void
tt_stage_sum(struct tt_node_stage *s, unsigned char *dst, const unsigned char *own, size_t at, size_t bytes)
{
	if (bytes == 0)
		return;
	for (int j = 0; j < s->members; j++)
		s->sources[j] = j == s->me ? own : tt_stage_payload(s, j) + at;
	tt_stage_reduce(s, dst, 0, bytes);
}

static void
take_in(struct tt_node_stage *s, uint64_t tick)
{
	size_t len, begin, slice;
	const size_t at = tt_stage_chunk(s, tick, s->job.bytes, s->chunk, &len);
	unsigned char *slot = tt_stage_slot(s, s->me, tick);

	if (s->inline_payload) {
		tt_stage_take(s, s->lines[s->me].line[tick % 2].payload, s->job.src, at, len);
	} else if (!s->two_shot) {
		tt_stage_take(s, slot, s->job.src, at, len);
	} else { /* all but the slice that only this member reads */
		slice_range(s, s->me, len, &begin, &slice);
		tt_stage_take(s, slot, s->job.src, at, begin);
		tt_stage_take(s, slot + begin + slice, s->job.src, at + begin + slice, len - begin - slice);
	}
	tt_stage_publish(s, tick);
}

static void
add_slice(struct tt_node_stage *s)
{
	size_t len, begin, slice;
	const size_t at = tt_stage_chunk(s, s->now, s->job.bytes, s->chunk, &len);

	slice_range(s, s->me, len, &begin, &slice);
	tt_stage_sum_own(s, tt_stage_result(s, s->me, s->now), NULL, s->job.src, at + begin, begin, slice);
	tt_stage_publish_done(s, s->now + 1);
}

static void
copy_out(struct tt_node_stage *s)
{
	size_t len, begin, slice;
	const size_t at = tt_stage_chunk(s, s->now, s->job.bytes, s->chunk, &len);

	for (int k = 0; k < s->members; k++) {
		const int j = (s->me + k) % s->members;

		slice_range(s, j, len, &begin, &slice);
		tt_stage_give(s, s->job.dst, at + begin, tt_stage_result(s, j, s->now), slice);
	}
}

/* Two meetings per chunk. TUTTI_OK: the chunk is over. */
static tutti_status
leave(struct tt_node_stage *s)
{
	const bool wants = s->job.kind == TT_NODE_ALL_REDUCE || s->job.root == s->me;

	if (!wants && s->now + 1 == s->end)
		return TUTTI_OK;
	if (!tt_stage_all_done(s, s->now + 1))
		return TUTTI_IN_PROGRESS;
	if (wants)
		copy_out(s);
	return TUTTI_OK;
}

tutti_status
tt_stage_all_reduce(struct tt_node_stage *s, int *moved)
{
	for (;; ++*moved) {
		switch (s->phase) {
		case TT_STAGE_ENTER:
			if (!tt_stage_may_write(s, s->now))
				return TUTTI_IN_PROGRESS;
			take_in(s, s->now);
			s->phase = TT_STAGE_MEET;
			break;
		case TT_STAGE_MEET:
			TT_TRY(tt_stage_all_met(s));
			if (s->now == s->first && s->finished < s->now)
				s->finished = s->now;
			if (!s->two_shot) {
				tt_stage_sum_own(s, NULL, s->job.dst, s->job.src, 0, 0, s->job.bytes);
				s->now++;
				return TUTTI_OK;
			}
			if (s->now + 1 < s->end)
				take_in(s, s->now + 1); /* its slot is free: all are done with now - 1 */
			add_slice(s);
			s->phase = TT_STAGE_LEAVE;
			break;
		default:
			TT_TRY(leave(s));
			s->phase = TT_STAGE_MEET;
			if (++s->now == s->end)
				return TUTTI_OK;
			break;
		}
	}
}

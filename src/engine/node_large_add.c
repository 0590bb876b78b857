/* SPDX-License-Identifier: Apache-2.0
 *
 * node_large_add.c - one chunk of large sums: all_reduce, reduce and reduce_scatter.
 *
 *	member 0's input   |//|  |      its slot    ----|  |         slice j of a chunk is added by member j: read where
 *	member 1's input   |//|  |      ...         |//|----         each input can be reached, in one pass over all
 *	                    ^ slice 0 of the chunk                   members in their order, and written to every
 *	                                                             output that can be reached, else to a result slot
 *
 * A sum that goes to several places is made block by block, so that a block is copied while it is in the nearest
 * cache. With all memory in reach a rank touches 2 n bytes, the least there can be; with none 5 - 2/P of n, all but 2 of
 * them in cache (Jocksch et al. 2025; YHCCL, SC 2023 count likewise). Two members have a shorter way: node_large_pair.c.
 */
#include <string.h>

#include "base/checked.h"
#include "engine/node_large.h"
#include "engine/node_stage_parts.h"
#include "kernels/stream.h"

#define BLOCK_MOST ((size_t)16 << 10) /* on a thread's stack */

static void
put(const struct tt_stage_target *target, size_t at, const unsigned char *from, size_t bytes)
{
	if (target->stream)
		tt_stream_copy(target->to + at, from, bytes);
	else
		memcpy(target->to + at, from, bytes);
}

/* The sum of s->sources, to all of n targets, of which the first is one that is not streamed to, if there is one. */
static void
add_to(struct tt_node_stage *s, const struct tt_stage_target *targets, int n, size_t bytes)
{
	_Alignas(TT_STAGE_GRAIN) unsigned char room[BLOCK_MOST];
	const size_t element = s->job.how.element;
	const size_t block = tt_min_size(s->large.facts.block, BLOCK_MOST) / element * element;
	const bool straight = !targets[0].stream;

	if (straight && n == 1) {
		tt_stage_reduce(s, targets[0].to, 0, bytes);
		return;
	}
	for (size_t at = 0; at < bytes; at += block) {
		const size_t len = tt_min_size(block, bytes - at);
		unsigned char *sum = straight ? targets[0].to + at : room;

		tt_stage_reduce(s, sum, at, len);
		for (int i = straight; i < n; i++)
			put(&targets[i], at, sum, len);
	}
}

/* Is `in` read only by the adding, and `out` read soon by nobody? */
static bool
streams(const struct tt_node_stage *s, const unsigned char *in, const unsigned char *out)
{
	return s->large.stream && in != out;
}

/* Targets of the slice at `at` of the row: at most two for this member, and one for each other. */
static int
targets_of(struct tt_node_stage *s, uint64_t chunk, size_t at, struct tt_stage_target *targets)
{
	const struct tt_stage_large *l = &s->large;
	const bool all = s->job.kind == TT_NODE_ALL_REDUCE;
	int n = 0;

	if (l->results_staged)
		targets[n++] = (struct tt_stage_target){tt_large_result(s, s->me, chunk), false};
	if (all || s->job.root == s->me)
		targets[n++] = (struct tt_stage_target){s->job.dst + at, streams(s, s->job.src, s->job.dst)};
	for (int k = 1; k < s->members; k++) {
		const int j = (s->me + k) % s->members;

		if (l->views[j].out != NULL && (all || s->job.root == j))
			targets[n++] = (struct tt_stage_target){
			    l->views[j].out + at, streams(s, l->views[j].in, l->views[j].out)};
	}
	for (int i = 1; i < n && targets[0].stream; i++)
		if (!targets[i].stream) {
			const struct tt_stage_target first = targets[0];

			targets[0] = targets[i];
			targets[i] = first;
		}
	return n;
}

void
tt_large_fill_slices(struct tt_node_stage *s, uint64_t chunk)
{
	size_t len, begin, slice;
	const size_t at = tt_large_range(s, chunk, s->job.bytes, &len);
	const unsigned char *from = s->job.src + at;
	unsigned char *slot = tt_large_slot(s, s->me, chunk);

	tt_stage_slice(s, s->me, len, &begin, &slice); /* which only this member reads */
	memcpy(slot, from, begin);
	memcpy(slot + begin + slice, from + begin + slice, len - begin - slice);
}

void
tt_large_add_slice(struct tt_node_stage *s, uint64_t chunk)
{
	struct tt_stage_target *targets = s->large.targets;
	size_t len, begin, slice;
	const size_t at = tt_large_range(s, chunk, s->job.bytes, &len);

	tt_stage_slice(s, s->me, len, &begin, &slice);
	if (slice == 0)
		return;
	for (int j = 0; j < s->members; j++) {
		const unsigned char *in = j == s->me ? s->job.src : s->large.views[j].in;

		s->sources[j] = in != NULL ? in + at + begin : tt_large_given(s, j, s->me, chunk) + begin;
	}
	add_to(s, targets, targets_of(s, chunk, at + begin, targets), slice);
}

/* The other slices; its own is there already. */
void
tt_large_take_slices(struct tt_node_stage *s, uint64_t chunk)
{
	size_t len, begin, slice;
	const size_t at = tt_large_range(s, chunk, s->job.bytes, &len);
	const struct tt_stage_target out = {s->job.dst + at, streams(s, s->job.src, s->job.dst)};

	for (int k = 1; k < s->members; k++) {
		const int j = (s->me + k) % s->members;

		tt_stage_slice(s, j, len, &begin, &slice);
		if (slice > 0)
			put(&out, begin, tt_large_result(s, j, chunk), slice);
	}
}

void
tt_large_add_row(struct tt_node_stage *s, uint64_t chunk)
{
	const unsigned char *own = s->job.pieces[s->me].iov_base;
	size_t len;
	const size_t at = tt_large_range(s, chunk, s->job.bytes, &len);
	const struct tt_stage_target out = {s->job.dst + at, streams(s, own, s->job.dst)};

	if (len == 0)
		return;
	for (int j = 0; j < s->members; j++) {
		const unsigned char *in = j == s->me ? own : s->large.views[j].in;

		s->sources[j] = in != NULL ? in + at : tt_large_given(s, j, s->me, chunk);
	}
	add_to(s, &out, 1, len);
}

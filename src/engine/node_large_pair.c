/* SPDX-License-Identifier: Apache-2.0
 *
 * node_large_pair.c - sums of two members, who give each other as much as they are given: reduce_scatter, and an all_reduce
 * in which each gives all it has and adds everything, so that it has one wait per chunk instead of two.
 *
 *	chunk      c                 c + ring          c + 2 ring
 *	slot of 0  0 fills, 1 reads  1 fills, 0 reads  0 fills ...     who has read a place last fills it next
 *	slot of 1  1 fills, 0 reads  0 fills, 1 reads  1 fills ...
 *
 * A line that has been written by one core and read by another is in the caches of both, and to write it again costs as
 * much as to fetch it. So who reads takes the lines over, which costs no more than reading, and fills them next, in its
 * own cache: of two trips of each line between the cores one is left. Two things more, as measured:
 *
 *   - to fetch what is still in the nearest cache of the core that wrote it takes more than twice as long as from its next
 *     one. So both are as many chunks ahead as they have slots but one, and chunks are small;
 *   - the fetching and the filling are done by turns, a few lines each: a core copies while it waits for lines. So it asks for
 *     those of the result, too, which come from memory if the program has not had them lately.
 *
 * The last chunk goes first: of an input that was written from its beginning to its end, that is in the caches.
 */
#include <string.h>

#include "base/checked.h"
#include "engine/node_large.h"
#include "engine/node_stage_parts.h"
#include "kernels/handover.h"
#include "kernels/stream.h"

#define ROOM ((size_t)16 << 10) /* on a thread's stack */

/* What is filled while something else is added. */
struct beside {
	unsigned char *to;
	const unsigned char *from;
	size_t bytes;
};

bool
tt_pair_is(const struct tt_node_stage *s)
{
	return s->members == 2 &&
	       (s->job.kind == TT_NODE_REDUCE_SCATTER || (s->job.kind == TT_NODE_ALL_REDUCE && !s->job.how.heavy));
}

/* How much is fetched ahead of what is added. */
static size_t
ahead(const struct tt_node_stage *s)
{
	return tt_min_size(s->large.facts.step, ROOM);
}

/* What chunk `chunk` has for the other member, and where it goes. */
static struct beside
given(const struct tt_node_stage *s, uint64_t chunk)
{
	const struct iovec all = {(unsigned char *)(uintptr_t)s->job.src, s->job.bytes};
	const struct iovec row = s->job.kind == TT_NODE_ALL_REDUCE ? all : s->job.pieces[!s->me];
	struct beside b;
	const size_t at = tt_large_range(s, chunk, row.iov_len, &b.bytes);

	b.from = b.bytes > 0 ? (const unsigned char *)row.iov_base + at : NULL;
	b.to = tt_large_given(s, s->me, !s->me, chunk);
	return b;
}

void
tt_pair_fill(struct tt_node_stage *s, uint64_t chunk)
{
	const struct beside b = given(s, chunk);

	if (b.bytes > 0)
		memcpy(b.to, b.from, b.bytes);
}

/* At most so many bytes of it; meanwhile lines are taken over, from `from` to `to` of what the other has given. */
static void
move_beside(const struct tt_node_stage *s, struct beside *b, size_t most, size_t from, size_t to)
{
	const size_t bytes = tt_min_size(b->bytes, most);
	const unsigned char *theirs = s->sources[!s->me];

	tt_handover_copy(b->to, b->from, bytes, theirs + from, to - from);
	if (bytes == 0)
		return;
	b->to += bytes;
	b->from += bytes;
	b->bytes -= bytes;
}

/* What will be written, which may be far away. */
static void
take_over(const unsigned char *dst, size_t from, size_t to)
{
	for (size_t at = from; at < to; at += TT_STAGE_GRAIN)
		tt_prefetch_write(dst + at);
}

/* The sum of what is at `begin` to `end` of the sources, which are `bytes` bytes long. */
static void
add_steps(struct tt_node_stage *s, unsigned char *dst, size_t begin, size_t end, size_t bytes, struct beside *b)
{
	const size_t element = s->job.how.element, far = ahead(s);
	/* Narrow types take more instructions for a line, and a core begins only so many ahead of the oldest. A call of the
	 * program's should be worth it. */
	const size_t most = s->job.how.reduce == NULL ? ROOM : element < sizeof(float) ? far / 2 : far;
	const size_t step = most / element * element;

	for (size_t at = begin; at < end; at += step) {
		const size_t len = tt_min_size(step, end - at);

		move_beside(s, b, len, tt_min_size(at + far, bytes), tt_min_size(at + far + step, bytes));
		take_over(dst, at - begin + far, tt_min_size(at - begin + 2 * far, end - begin));
		tt_stage_reduce(s, dst + (at - begin), at, len);
	}
}

static void
add(struct tt_node_stage *s, unsigned char *dst, size_t bytes, bool streams, struct beside *b)
{
	_Alignas(TT_STAGE_GRAIN) unsigned char room[ROOM];
	const size_t element = s->job.how.element;
	const size_t most = streams ? tt_min_size(s->large.facts.block, ROOM) / element * element : bytes;

	move_beside(s, b, ahead(s), 0, tt_min_size(ahead(s), bytes));
	for (size_t at = 0; at < bytes; at += most) {
		const size_t len = tt_min_size(most, bytes - at);

		add_steps(s, streams ? room : dst + at, at, at + len, bytes, b);
		if (streams)
			tt_stream_copy(dst + at, room, len);
	}
	if (b->bytes > 0)
		memcpy(b->to, b->from, b->bytes);
}

void
tt_pair_add(struct tt_node_stage *s, uint64_t chunk, uint64_t next)
{
	const unsigned char *own = s->large.whole ? s->job.src : s->job.pieces[s->me].iov_base;
	struct beside b = {NULL, NULL, 0};
	size_t len;
	const size_t at = tt_large_range(s, chunk, s->job.bytes, &len);

	if (next > 0)
		b = given(s, next);
	if (len > 0) {
		s->sources[s->me] = own + at;
		s->sources[!s->me] = tt_large_given(s, !s->me, s->me, chunk);
		add(s, s->job.dst + at, len, s->large.stream && own != s->job.dst, &b);
	} else if (b.bytes > 0) {
		memcpy(b.to, b.from, b.bytes);
	}
}

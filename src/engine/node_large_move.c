/* SPDX-License-Identifier: Apache-2.0
 *
 * node_large_move.c - one chunk of what only moves, and of the rows that are to be added.
 *
 * What can be reached is copied from where it is, once, if need be by the kernel; the rest goes through a slot, which a
 * member fills while the others still empty the one before.
 */
#include <string.h>

#include "base/checked.h"
#include "engine/node_large.h"
#include "engine/node_stage_parts.h"
#include "kernels/stream.h"

static void
copy(const struct tt_node_stage *s, unsigned char *to, const unsigned char *from, size_t bytes)
{
	if (bytes == 0 || to == from)
		return;
	if (s->large.stream)
		tt_stream_copy(to, from, bytes);
	else
		memcpy(to, from, bytes);
}

void
tt_large_fill_row(struct tt_node_stage *s, uint64_t chunk)
{
	const size_t bytes = s->job.kind == TT_NODE_ALL_GATHER ? s->job.pieces[s->me].iov_len : s->job.bytes;
	size_t len;
	const size_t at = tt_large_range(s, chunk, bytes, &len);

	if (len > 0)
		memcpy(tt_large_slot(s, s->me, chunk), s->job.src + at, len);
}

/* All but its own. */
void
tt_large_fill_rows(struct tt_node_stage *s, uint64_t chunk)
{
	for (int k = 1; k < s->members; k++) {
		const int j = (s->me + k) % s->members;
		size_t len;
		const size_t at = tt_large_range(s, chunk, s->job.pieces[j].iov_len, &len);

		if (len > 0)
			memcpy(tt_large_given(s, s->me, j, chunk),
			    (const unsigned char *)s->job.pieces[j].iov_base + at, len);
	}
}

/* tt_large_range() of all chunks that are taken at once. */
static size_t
take_range(const struct tt_node_stage *s, uint64_t chunk, size_t bytes, size_t *len)
{
	const size_t begin = tt_large_range(s, chunk, bytes, len);

	if (*len > 0)
		*len = tt_min_size((size_t)s->large.run * s->large.chunk, bytes - begin);
	return begin;
}

/* broadcast, scatter */
void
tt_large_take_row(struct tt_node_stage *s, uint64_t chunk)
{
	const int root = s->job.root;
	const bool scatter = s->job.kind == TT_NODE_SCATTER;
	size_t len;
	const size_t at = take_range(s, chunk, s->job.bytes, &len);
	const unsigned char *from;

	if (s->large.views[root].far != 0) {
		tt_far_read(s, root, at, s->job.dst + at, len);
		return;
	}
	if (root == s->me)
		from = (scatter ? (const unsigned char *)s->job.pieces[root].iov_base : s->job.src) + at;
	else if (s->large.views[root].in != NULL)
		from = s->large.views[root].in + at;
	else
		from = tt_large_slot(s, root, chunk) + (scatter ? (size_t)s->me * s->large.chunk : 0);
	copy(s, s->job.dst + at, from, len);
}

/* Where member j's row for this member is: in its slot, or in its memory, or this member's own. */
static const unsigned char *
row_of(const struct tt_node_stage *s, int j, uint64_t chunk, size_t at)
{
	const bool all_to_all = s->job.kind == TT_NODE_ALL_TO_ALL;

	if (j == s->me)
		return (all_to_all ? (const unsigned char *)s->job.pieces[j].iov_base : s->job.src) + at;
	if (s->large.views[j].in != NULL)
		return s->large.views[j].in + at;
	return tt_large_slot(s, j, chunk) + (all_to_all ? (size_t)s->me * s->large.chunk : 0);
}

/* all_gather, all_to_all, gather */
void
tt_large_take_rows(struct tt_node_stage *s, uint64_t chunk)
{
	const struct iovec *rows = s->job.kind == TT_NODE_ALL_TO_ALL ? s->job.into : s->job.pieces;
	const bool pushed = s->job.kind == TT_NODE_GATHER && s->large.views[s->me].out != NULL;

	for (int k = 0; k < (pushed ? 1 : s->members); k++) {
		const int j = (s->me + k) % s->members;
		size_t len;
		const size_t at = take_range(s, chunk, rows[j].iov_len, &len);
		unsigned char *to = (unsigned char *)rows[j].iov_base + at;

		if (len > 0 && s->large.views[j].far != 0)
			tt_far_read(s, j, at, to, len);
		else if (len > 0)
			copy(s, to, row_of(s, j, chunk, at), len);
	}
}

void
tt_large_push_row(struct tt_node_stage *s)
{
	copy(s, s->large.views[s->job.root].out, s->job.src, s->job.bytes);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * node_views.c - where members' memory is: said in the line that opens a large job, read from there.
 *
 * A place is a level and an offset: levels are the segments that all members have mapped, this communicator's own and
 * those of the communicators it was split from. What a place says is checked against the segment before it is used,
 * and its length is what this member knows of the job. Memory elsewhere can be an address in its owner's process, which
 * the kernel checks when it is read (node_far.c).
 */
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/segment.h"
#include "engine/node_large.h"
#include "engine/node_stage_parts.h"

#define LEVEL_SHIFT 56

/* What a line says of a large job. 0: it is staged. */
struct places {
	uint64_t in, out; /* level + 1 above LEVEL_SHIFT, offset below */
	uint64_t stride; /* from one row to the next, at a root */
	uint64_t far; /* `in` as an address of the member's own, if other processes may read it there */
};

_Static_assert(sizeof(struct places) <= TT_STAGE_LINE_PAYLOAD, "a line says where memory is");

void
tt_node_stage_use_memory(struct tt_node_stage *s, struct tt_segment *const *levels, int n)
{
	s->large.nlevels = n < TT_STAGE_LEVELS ? n : TT_STAGE_LEVELS;
	for (int i = 0; i < s->large.nlevels; i++)
		s->large.levels[i] = levels[i];
}

static uint64_t
place_of(const struct tt_node_stage *s, const void *at, size_t bytes)
{
	for (int i = 0; i < s->large.nlevels; i++) {
		uint64_t offset;

		if (tt_segment_find(s->large.levels[i], at, bytes, &offset))
			return (uint64_t)(i + 1) << LEVEL_SHIFT | offset;
	}
	return 0;
}

/* NULL: there is no such place. */
static unsigned char *
at_place(const struct tt_node_stage *s, uint64_t place, uint64_t further, size_t bytes)
{
	const uint64_t level = place >> LEVEL_SHIFT, offset = place & ((UINT64_C(1) << LEVEL_SHIFT) - 1);
	unsigned char *at;
	uint64_t found;

	if (level == 0 || level > (uint64_t)s->large.nlevels || further > (UINT64_C(1) << LEVEL_SHIFT) - offset)
		return NULL;
	at = tt_segment_at(s->large.levels[level - 1], offset + further);
	return at != NULL && tt_segment_find(s->large.levels[level - 1], at, bytes, &found) ? at : NULL;
}

/* The extent of all rows. False: there is nothing in them, or they are not one after the other at equal distances. */
static bool
rows_extent(const struct tt_node_stage *s, bool even, unsigned char **from, size_t *bytes, uint64_t *stride)
{
	const struct iovec *row = s->job.pieces;
	unsigned char *end = NULL;

	*from = NULL;
	for (int j = 0; j < s->members; j++) {
		unsigned char *at = row[j].iov_base;

		if (row[j].iov_len == 0)
			continue;
		if (end != NULL && at < end)
			return false;
		*from = *from == NULL ? at : *from;
		end = at + row[j].iov_len;
	}
	if (*from == NULL)
		return false;
	*bytes = (size_t)(end - *from);
	*stride = even ? (uint64_t)((unsigned char *)row[1].iov_base - (unsigned char *)row[0].iov_base) : 0;
	for (int j = 0; even && j < s->members; j++)
		if ((unsigned char *)row[j].iov_base - *from != (ptrdiff_t)(*stride * (uint64_t)j))
			return false;
	return true;
}

/* Where this member's row is in memory that is laid out as its own. */
static uint64_t
row_offset(const struct tt_node_stage *s)
{
	unsigned char *from;
	uint64_t stride;
	size_t bytes;

	if (s->job.pieces[s->me].iov_len == 0 || !rows_extent(s, false, &from, &bytes, &stride))
		return 0;
	return (uint64_t)((unsigned char *)s->job.pieces[s->me].iov_base - from);
}

/* An all_to_all in place writes what others would read. */
static bool
is_overwritten(const struct tt_node_stage *s)
{
	return s->job.kind == TT_NODE_ALL_TO_ALL && s->job.into[0].iov_base == s->job.pieces[0].iov_base;
}

/* What this member gives that is in no segment, and other processes can read; 0: nothing. */
static uint64_t
far_place(struct tt_node_stage *s, uint64_t *stride)
{
	const struct tt_node_job *job = &s->job;
	unsigned char *from = NULL;
	size_t bytes = 0;

	switch (job->kind) {
	case TT_NODE_ALL_TO_ALL:
		if (is_overwritten(s) || !rows_extent(s, false, &from, &bytes, stride))
			return 0;
		break;
	case TT_NODE_SCATTER:
		if (!rows_extent(s, true, &from, &bytes, stride))
			return 0;
		break;
	case TT_NODE_ALL_GATHER:
		from = (unsigned char *)(uintptr_t)job->src;
		bytes = job->pieces[s->me].iov_len;
		break;
	default:
		return 0;
	}
	return tt_far_offers(s, from, bytes) ? (uint64_t)(uintptr_t)from : 0;
}

/* Of its own memory a member only needs to know whether others reach it. */
void
tt_views_announce(struct tt_node_stage *s)
{
	const struct tt_node_job *job = &s->job;
	struct tt_stage_view *mine = &s->large.views[s->me];
	struct places say = {0, 0, 0, 0};
	unsigned char *from;
	size_t bytes;

	switch (s->large.nlevels == 0 ? TT_NODE_BARRIER : job->kind) {
	case TT_NODE_ALL_REDUCE:
		say.in = place_of(s, job->src, job->bytes);
		say.out = place_of(s, job->dst, job->bytes);
		break;
	case TT_NODE_REDUCE:
		say.in = place_of(s, job->src, job->bytes);
		say.out = job->root == s->me ? place_of(s, job->dst, job->bytes) : 0;
		break;
	case TT_NODE_REDUCE_SCATTER:
	case TT_NODE_ALL_TO_ALL:
		if (!is_overwritten(s) && rows_extent(s, false, &from, &bytes, &say.stride))
			say.in = place_of(s, from, bytes);
		break;
	case TT_NODE_SCATTER:
		if (rows_extent(s, true, &from, &bytes, &say.stride))
			say.in = place_of(s, from, bytes);
		break;
	case TT_NODE_GATHER:
		if (job->root != s->me)
			say.in = place_of(s, job->src, job->bytes);
		else if (rows_extent(s, true, &from, &bytes, &say.stride))
			say.out = place_of(s, from, bytes);
		break;
	case TT_NODE_ALL_GATHER:
		say.in = place_of(s, job->src, job->pieces[s->me].iov_len);
		break;
	case TT_NODE_BROADCAST:
		say.in = place_of(s, job->src, job->bytes);
		break;
	default:
		break;
	}
	if (s->large.single && say.in == 0)
		say.far = far_place(s, &say.stride);
	memcpy(tt_stage_line(s, s->me)->payload, &say, sizeof(say));
	/* Whose own row is empty gives something, too. */
	mine->in = say.in != 0 ? at_place(s, say.in, 0, 0) : NULL;
	mine->out = say.out != 0 ? at_place(s, say.out, 0, 0) : NULL;
	if (say.far != 0)
		mine->in = (const unsigned char *)(uintptr_t)say.far;
}

tutti_status
tt_views_read(struct tt_node_stage *s, int member)
{
	const enum tt_step_kind kind = s->job.kind;
	struct tt_stage_view *view = &s->large.views[member];
	size_t bytes = s->job.bytes;
	uint64_t further = 0;
	struct places said;

	memcpy(&said, tt_stage_line(s, member)->payload, sizeof(said));
	if (kind == TT_NODE_ALL_GATHER)
		bytes = s->job.pieces[member].iov_len;
	if (kind == TT_NODE_REDUCE_SCATTER || kind == TT_NODE_ALL_TO_ALL)
		further = row_offset(s);
	else if (kind == TT_NODE_SCATTER || kind == TT_NODE_GATHER)
		further = said.stride * (uint64_t)s->me;
	view->in = said.in != 0 ? at_place(s, said.in, kind == TT_NODE_GATHER ? 0 : further, bytes) : NULL;
	view->out = said.out != 0 ? at_place(s, said.out, kind == TT_NODE_GATHER ? further : 0, bytes) : NULL;
	if ((said.in != 0) != (view->in != NULL) || (said.out != 0) != (view->out != NULL))
		return tt_fail(TUTTI_ERR_INTERNAL, s->ranks[member],
		    "rank %d says that its memory is where no memory is", s->ranks[member]);
	if (said.far != 0)
		view->far = said.far + further;
	return TUTTI_OK;
}

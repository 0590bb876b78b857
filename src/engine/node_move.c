/* SPDX-License-Identifier: Apache-2.0
 *
 * node_move.c - what everybody reads from everybody, what one member gives to all, and what all give to one.
 *
 *	                    writes              reads               meets
 *	barrier             -                   -                   everybody
 *	all_gather          its row             every row           everybody
 *	reduce_scatter      all but its row     its row of each     everybody
 *	all_to_all          all but its row     its row of each     everybody
 *	broadcast           root: the row       the root's row      everybody the root
 *	scatter             root: all rows      its row             everybody the root
 *	gather, reduce      its row             root: every row     the root everybody
 *
 * One tick for each chunk. In place, a chunk of a row is in the slot before anything is written where it was.
 */
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "engine/node_stage_parts.h"

/* Are lines and slots divided into a row for each member? */
static bool
by_rows(const struct tt_node_stage *s)
{
	return s->job.kind == TT_NODE_REDUCE_SCATTER || s->job.kind == TT_NODE_ALL_TO_ALL ||
	       s->job.kind == TT_NODE_SCATTER;
}

static size_t
each_tick(const struct tt_node_stage *s)
{
	return by_rows(s) ? s->row : s->chunk;
}

/* ---- writing -------------------------------------------------------------------------------------------------- */

/* This tick's chunk of each member's row goes to its place. */
static void
enter_rows(struct tt_node_stage *s)
{
	unsigned char *rows = tt_stage_payload(s, s->me);

	for (int j = 0; j < s->members; j++) {
		size_t len;
		const size_t at = tt_stage_chunk(s, s->now, s->job.pieces[j].iov_len, s->row, &len);

		if (j != s->me)
			tt_stage_take(s, rows + (size_t)j * s->row, s->job.pieces[j].iov_base, at, len);
	}
}

static void
enter_row(struct tt_node_stage *s)
{
	size_t len;
	const size_t at = tt_stage_chunk(s, s->now, s->job.bytes, s->chunk, &len);

	tt_stage_take(s, tt_stage_payload(s, s->me), s->job.src, at, len);
}

static void
enter(struct tt_node_stage *s)
{
	if (by_rows(s))
		enter_rows(s);
	else if (s->job.kind != TT_NODE_BARRIER)
		enter_row(s);
	tt_stage_publish(s, s->now);
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

/* This tick's chunk of another member's data, which lies at `at` of its payload, goes to `to`. */
static void
read_from(struct tt_node_stage *s, int j, size_t at, const struct iovec *to)
{
	size_t len;
	const size_t begin = tt_stage_chunk(s, s->now, to->iov_len, each_tick(s), &len);

	tt_stage_give(s, to->iov_base, begin, tt_stage_payload(s, j) + at, len);
}

/* The same of this member's own, from where it is. */
static void
keep(struct tt_node_stage *s, const struct iovec *to, const unsigned char *own)
{
	size_t len;
	const size_t begin = tt_stage_chunk(s, s->now, to->iov_len, each_tick(s), &len);

	tt_stage_keep(s, to->iov_base, own, begin, len);
}

/* What comes from nobody else is there before the others are waited for; what they read of it is in the slot by now. */
static void
keep_own_row(struct tt_node_stage *s)
{
	if (s->job.kind == TT_NODE_ALL_TO_ALL)
		keep(s, &s->job.into[s->me], s->job.pieces[s->me].iov_base);
	else if (s->job.kind == TT_NODE_ALL_GATHER || s->job.kind == TT_NODE_GATHER)
		keep(s, &s->job.pieces[s->me], s->job.src);
}

static void
read_every_row(struct tt_node_stage *s)
{
	for (int k = 1; k < s->members; k++) {
		const int j = (s->me + k) % s->members;

		read_from(s, j, 0, &s->job.pieces[j]);
	}
}

static void
read_my_rows(struct tt_node_stage *s)
{
	const size_t mine = (size_t)s->me * s->row;

	for (int k = 1; k < s->members; k++) {
		const int j = (s->me + k) % s->members;

		read_from(s, j, mine, &s->job.into[j]);
	}
}

static void
add_my_rows(struct tt_node_stage *s)
{
	size_t len;
	const size_t at = tt_stage_chunk(s, s->now, s->job.bytes, s->row, &len);

	tt_stage_sum_own(s, NULL, s->job.dst, s->job.pieces[s->me].iov_base, at, (size_t)s->me * s->row, len);
}

static void
read_all(struct tt_node_stage *s)
{
	switch (s->job.kind) {
	case TT_NODE_REDUCE:
		tt_stage_sum(s, s->job.dst, s->job.src, 0, s->job.bytes);
		break;
	case TT_NODE_REDUCE_SCATTER:
		add_my_rows(s);
		break;
	case TT_NODE_ALL_TO_ALL:
		read_my_rows(s);
		break;
	case TT_NODE_ALL_GATHER:
	case TT_NODE_GATHER:
		read_every_row(s);
		break;
	default:
		break;
	}
}

/* ---- the operations -------------------------------------------------------------------------------------------- */

tutti_status
tt_stage_in_meet_read(struct tt_node_stage *s, int *moved)
{
	for (;; ++*moved) {
		if (s->phase == TT_STAGE_ENTER) {
			if (!tt_stage_may_write(s, s->now))
				return TUTTI_IN_PROGRESS;
			enter(s);
			keep_own_row(s);
			s->phase = TT_STAGE_MEET;
		} else {
			TT_TRY(tt_stage_all_met(s));
			if (s->finished < s->now)
				s->finished = s->now;
			read_all(s);
			s->phase = TT_STAGE_ENTER;
			if (++s->now == s->end)
				return TUTTI_OK;
		}
	}
}

/* A job of one tick at least, so that a root that differs is noticed: its line is there, with another mark. */
tutti_status
tt_stage_to_root(struct tt_node_stage *s, int *moved)
{
	const bool root = s->job.root == s->me;

	for (;; ++*moved) {
		if (s->phase == TT_STAGE_ENTER) {
			if (!tt_stage_may_write(s, s->now))
				return TUTTI_IN_PROGRESS;
			if (root) {
				tt_stage_publish(s, s->now);
				keep_own_row(s);
			} else {
				enter(s);
				tt_stage_look_ahead(s);
			}
			s->phase = TT_STAGE_MEET;
		}
		if (root) {
			TT_TRY(tt_stage_all_met(s));
			if (s->finished < s->now)
				s->finished = s->now;
			read_all(s);
		}
		tt_stage_publish_done(s, s->now + 1);
		s->phase = TT_STAGE_ENTER;
		if (++s->now == s->end)
			return TUTTI_OK;
	}
}

static void
give(struct tt_node_stage *s)
{
	const struct iovec own = {s->job.dst, s->job.bytes};

	enter(s);
	keep(s, &own, s->job.kind == TT_NODE_SCATTER ? s->job.pieces[s->me].iov_base : s->job.src);
	tt_stage_look_ahead(s);
}

static tutti_status
receive(struct tt_node_stage *s)
{
	const struct iovec own = {s->job.dst, s->job.bytes};
	const tutti_status status = tt_stage_met(s, s->job.root);

	if (status != TUTTI_OK) {
		s->seen = status == TUTTI_ERR_MISMATCH ? s->job.root : 0;
		return status;
	}
	read_from(s, s->job.root, by_rows(s) ? (size_t)s->me * s->row : 0, &own);
	return TUTTI_OK;
}

tutti_status
tt_stage_from_root(struct tt_node_stage *s, int *moved)
{
	for (; s->now < s->end; s->now++, ++*moved) {
		if (s->job.root == s->me) {
			if (!tt_stage_may_write(s, s->now))
				return TUTTI_IN_PROGRESS;
			give(s);
		} else {
			TT_TRY(receive(s));
		}
		tt_stage_publish_done(s, s->now + 1);
	}
	return TUTTI_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * executor_stage.c - the steps of the node stage: what a superinstruction is to do in memory, and whose turn it is.
 *
 * The rule: the stage does one step at a time, and lanes take turns at it, so that steps come in one order on every rank.
 */
#include <assert.h>
#include <string.h>

#include "base/port.h"
#include "engine/executor_parts.h"

/* The one piece of memory that a span without rows is. */
static struct iovec
one_piece(const struct tt_executor *x, const struct tt_lane *lane, const struct tt_span *span)
{
	struct iovec *room = x->stage_pieces + 2 * tt_node_stage_members(x->stage);
	size_t bytes;

	if (TT_UNLIKELY(x->run.operands.portions != NULL)) {
		assert(span->buffer != TT_TMP);
		return tt_operand_stretch(&x->run.operands, span, lane->slice);
	}
	if (tt_operand_pieces(&x->run.operands, &lane->scratch, span, lane->slice, room, &bytes) == 0)
		return (struct iovec){NULL, 0};
	return room[0];
}

static void
member_pieces(struct tt_executor *x, const struct tt_lane *lane, const struct tt_span *span, struct iovec *pieces)
{
	const int members = tt_node_stage_members(x->stage);

	for (int j = 0; j < members && span->buffer != TT_TOKEN; j++) {
		const struct tt_span piece = tt_span_member(*span, j, members);

		pieces[j] = one_piece(x, lane, &piece);
	}
}

/* Which of a step's spans have a piece for each member? */
static void
split_spans(const struct tt_step *step, bool *dst, bool *src)
{
	*dst = step->kind == TT_NODE_ALL_GATHER || step->kind == TT_NODE_GATHER || step->kind == TT_NODE_ALL_TO_ALL;
	*src =
	    step->kind == TT_NODE_REDUCE_SCATTER || step->kind == TT_NODE_SCATTER || step->kind == TT_NODE_ALL_TO_ALL;
}

static void
start_stage(struct tt_executor *x, const struct tt_lane *lane, const struct tt_step *step)
{
	struct iovec *into = x->stage_pieces + tt_node_stage_members(x->stage);
	struct tt_node_job job = {.kind = (enum tt_step_kind)step->kind,
	    .root = -1,
	    .mark = x->run.mark,
	    .pieces = x->stage_pieces,
	    .into = into,
	    .how = tt_executor_arithmetic(&x->run, step),
	    .has_note = x->run.has_note,
	    .note = x->note,
	    .portions = x->run.operands.portions,
	    .nportions = x->run.operands.nportions,
	    .in_portions = x->run.operands.in_portions};
	struct iovec dst = {NULL, 0}, src = {NULL, 0};
	bool split_dst, split_src;

	split_spans(step, &split_dst, &split_src);
	if (step->kind != TT_NODE_BARRIER && split_dst)
		member_pieces(x, lane, tt_step_span(x, step, 0), split_src ? into : x->stage_pieces);
	else if (step->kind != TT_NODE_BARRIER)
		dst = one_piece(x, lane, tt_step_span(x, step, 0));
	if (step->kind != TT_NODE_BARRIER)
		job.reads_out = tt_step_span(x, step, 1)->buffer == TT_OUT;
	if (step->kind != TT_NODE_BARRIER && split_src)
		member_pieces(x, lane, tt_step_span(x, step, 1), x->stage_pieces);
	else if (step->kind != TT_NODE_BARRIER)
		src = one_piece(x, lane, tt_step_span(x, step, 1));
	if (step->kind >= TT_NODE_BROADCAST && step->kind <= TT_NODE_SCATTER)
		job.root = tt_node_stage_member(x->stage, step->peer);
	job.dst = dst.iov_base;
	job.src = src.iov_base;
	job.bytes = split_dst || step->kind == TT_NODE_REDUCE ? src.iov_len : dst.iov_len;
	if (step->kind == TT_NODE_ALL_TO_ALL)
		job.bytes = into[0].iov_len;
	tt_node_stage_start(x->stage, &job);
	x->stage_busy = true;
}

/* To the next lane that has steps of the node stage left: an order that follows from the plan, the slices and the window
 * alone. A step waits only for steps before it in this order, on its own node or, through its slice's messages, on others. */
static void
pass_turn(struct tt_executor *x)
{
	x->lanes[x->stage_turn].stage_left--;
	for (int i = 0; i < x->run.window; i++) {
		x->stage_turn = x->stage_turn + 1 < x->run.window ? x->stage_turn + 1 : 0;
		if (x->lanes[x->stage_turn].stage_left > 0)
			return;
	}
}

uint32_t
tt_plan_stage_steps(const struct tt_plan *plan)
{
	uint32_t n = 0;

	for (uint32_t k = 0; k < plan->nsteps; k++)
		n += plan->steps[k].kind >= TT_NODE_ALL_REDUCE;
	return n;
}

tutti_status
tt_lane_run_stage(struct tt_executor *x, const struct tt_lane *lane, const struct tt_step *step, int *moved)
{
	const void *mark;
	tutti_status status;

	if (lane != &x->lanes[x->stage_turn])
		return TUTTI_IN_PROGRESS;
	if (!x->stage_busy)
		start_stage(x, lane, step);
	status = tt_node_stage_advance(x->stage, moved, &x->fault.peer, &mark);
	if (status == TUTTI_ERR_MISMATCH) {
		memcpy(x->fault.peer_mark, mark, TUTTI_MARK_BYTES);
		x->fault.status = status;
	} else if (status != TUTTI_OK && status != TUTTI_IN_PROGRESS) {
		x->fault.status = status;
	}
	x->stage_busy = status == TUTTI_IN_PROGRESS;
	if (status == TUTTI_OK && !tt_node_stage_agreed(x->stage))
		x->note = 0;
	if (status == TUTTI_OK)
		pass_turn(x);
	return status;
}

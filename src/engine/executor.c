/* SPDX-License-Identifier: Apache-2.0
 *
 * executor.c - the interpreter of plans.
 *
 *	slices   0 1 2 3 4 5 ...          window = 2
 *	lane 0   [0]  [2]  [4]            a lane runs the plan for one slice after the other;
 *	lane 1    [1]  [3]  [5]           its messages have a lane of the links for themselves
 *
 * The rule that keeps it correct: slices on one lane follow each other in the same order on every rank, so
 * messages of a lane match by position; a lane starts its next slice only when all that it posted has ended, so
 * its scratch memory and transfers are free again. The node stage does one step at a time, and lanes take turns at it: its
 * steps, too, come in one order on every rank.
 *
 * What steps do is in executor_local.c, executor_messages.c and executor_stage.c.
 */
#include <assert.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/memory.h"
#include "engine/executor_parts.h"

tutti_status
tt_executor_create(struct tt_ports *ports, size_t staging_bytes, struct tt_executor **executor)
{
	void *memory;

	TT_TRY(tt_alloc(1, sizeof(struct tt_executor), "the executor", &memory));
	*executor = memory;
	(*executor)->ports = ports;
	(*executor)->staging_bytes = staging_bytes;
	return TUTTI_OK;
}

tutti_status
tt_executor_use_stage(struct tt_executor *x, struct tt_node_stage *stage)
{
	void *memory;

	TT_TRY(tt_alloc(
	    2 * (size_t)tt_node_stage_members(stage) + 2, sizeof(struct iovec), "node stage pieces", &memory));
	x->stage = stage;
	x->stage_pieces = memory;
	return TUTTI_OK;
}

static void
lane_free(struct tt_lane *lane)
{
	tt_free(lane->slots);
	tt_free(lane->pieces);
	tt_free(lane->operand_pieces);
	tt_free(lane->operands);
	lane->slots = NULL;
	lane->pieces = lane->operand_pieces = NULL;
	lane->operands = NULL;
}

void
tt_executor_destroy(struct tt_executor *executor)
{
	if (executor == NULL)
		return;
	for (int i = 0; i < TT_EXECUTOR_LANES; i++) {
		lane_free(&executor->lanes[i]);
		tt_free(executor->lanes[i].scratch.base);
	}
	tt_free(executor->stage_pieces);
	tt_free(executor);
}

/* ---- rooms: everything a run needs, before it starts -------------------------------------------------------- */

static tutti_status
lane_fit(struct tt_lane *lane, uint32_t slots, uint32_t pieces, uint32_t operands)
{
	void *memory;

	lane_free(lane);
	TT_TRY(tt_alloc(slots, sizeof(struct tt_slot), "transfers", &memory));
	lane->slots = memory;
	TT_TRY(tt_alloc((size_t)slots * 2 * pieces, sizeof(struct iovec), "transfer pieces", &memory));
	lane->pieces = memory;
	TT_TRY(tt_alloc((size_t)operands * pieces, sizeof(struct iovec), "operand pieces", &memory));
	lane->operand_pieces = memory;
	TT_TRY(tt_alloc(operands, sizeof(struct tt_pieces), "operands", &memory));
	lane->operands = memory;
	return TUTTI_OK;
}

static tutti_status
executor_fit(struct tt_executor *x, const struct tt_run *run)
{
	const struct tt_plan *plan = run->plan;
	const uint32_t most = plan->rows_most * 2;
	uint32_t slots = x->slots_room, pieces = x->pieces_room, operands = x->operands_room;
	bool grow = slots == 0;

	if (plan->posted_most > slots || slots == 0)
		slots = plan->posted_most + 4;
	pieces = most > pieces ? most : pieces;
	operands = plan->spans_most > operands ? plan->spans_most : operands;
	if (run->has_note && most + 1 + run->operands.nportions > pieces)
		pieces = most + 1 + run->operands.nportions;
	pieces = pieces == 0 ? 2 : pieces;
	operands = operands == 0 ? 2 : operands;
	grow = grow || slots > x->slots_room || pieces > x->pieces_room || operands > x->operands_room;
	if (grow) {
		x->slots_room = 0; /* a failure on the way leaves nothing that looks usable */
		for (int i = 0; i < TT_EXECUTOR_LANES; i++)
			TT_TRY(lane_fit(&x->lanes[i], slots, pieces, operands));
		x->slots_room = slots;
		x->pieces_room = pieces;
		x->operands_room = operands;
	}
	return TUTTI_OK;
}

static tutti_status
lane_fit_scratch(struct tt_lane *lane, size_t bytes)
{
	void *memory;

	tt_free(lane->scratch.base);
	lane->scratch.base = NULL;
	lane->scratch_room = 0;
	TT_TRY(tt_alloc(1, bytes, "scratch memory", &memory));
	lane->scratch.base = memory;
	lane->scratch_room = bytes;
	return TUTTI_OK;
}

/* Only of the lanes that the run has. */
static tutti_status
executor_fit_scratch(struct tt_executor *x, const struct tt_run *run)
{
	const struct tt_plan *plan = run->plan;
	size_t slot, bytes;

	if (!plan->uses_tmp)
		return TUTTI_OK;
	slot = tt_operand_slot_bytes(&run->operands, plan->tmp_parts, plan->tmp_of);
	if (!tt_mul_size(slot, (size_t)plan->tmp_slots, &bytes))
		return tt_fail(TUTTI_ERR_NOMEM, -1, "the scratch memory of %s does not fit", plan->algorithm);
	for (int i = 0; i < run->window; i++) {
		x->lanes[i].scratch.slot_bytes = slot;
		if (bytes > x->lanes[i].scratch_room)
			TT_TRY(lane_fit_scratch(&x->lanes[i], bytes));
	}
	return TUTTI_OK;
}

int
tt_executor_slices(
    const struct tt_executor *x, const struct tt_plan *plan, const struct tt_operands *operands, int window)
{
	const size_t widest = tt_rows_widest(tt_operand_like(operands));
	size_t room, part, slice;

	if (plan->tmp_slots == 0 || widest == 0)
		return 1;
	room = x->staging_bytes / (size_t)window / (size_t)plan->tmp_slots;
	room = room > 128 ? room - 64 : 64; /* slots are rounded up to lines */
	part = room / operands->element / (size_t)plan->tmp_parts;
	slice = tt_max_size(part, 1) * (size_t)plan->tmp_of;
	return (int)tt_min_size((widest + slice - 1) / slice, INT32_MAX);
}

/* ---- running ------------------------------------------------------------------------------------------------ */

/* The next steps, or one. TUTTI_OK: go on with those behind. */
static tutti_status
run_steps(struct tt_executor *x, struct tt_lane *lane, int index, int *moved)
{
	const struct tt_step *step = &x->run.plan->steps[lane->pc];
	tutti_status status;
	uint32_t n = 1;

	switch (step->kind) {
	case TT_COPY:
	case TT_REDUCE_STEP:
		n = tt_lane_run_local(x, lane);
		status = TUTTI_OK;
		break;
	case TT_WAIT:
		status = tt_lane_wait(x, lane);
		break;
	case TT_SEND:
	case TT_RECV:
	case TT_RECV_REDUCE:
		status = tt_lane_post(x, lane, index, step);
		break;
	default:
		status = tt_lane_run_stage(x, lane, step, moved);
		break;
	}
	if (status != TUTTI_OK)
		return status;
	lane->pc += n;
	++*moved;
	return TUTTI_OK;
}

static tutti_status
lane_advance(struct tt_executor *x, int index, int *moved)
{
	struct tt_lane *lane = &x->lanes[index];
	const struct tt_plan *plan = x->run.plan;

	while (lane->slice < x->run.operands.slices) {
		while (lane->pc < plan->nsteps) {
			const tutti_status status = run_steps(x, lane, index, moved);

			if (status == TUTTI_IN_PROGRESS)
				return tt_lane_look_for_faults(x, lane);
			if (status != TUTTI_OK)
				return status;
		}
		lane->pc = 0;
		lane->slice += x->run.window;
		tt_lookup_slice(&lane->lookup, lane->slice);
	}
	return TUTTI_OK;
}

tutti_status
tt_executor_start(struct tt_executor *x, const struct tt_run *run)
{
	const uint32_t in_plan = tt_plan_stage_steps(run->plan);
	int moved = 0;

	assert(!x->running && run->window >= 1 && run->window <= TT_EXECUTOR_LANES);
	TT_TRY(executor_fit(x, run));
	TT_TRY(executor_fit_scratch(x, run));
	x->run = *run;
	x->note = run->note;
	x->fault = (struct tt_run_fault){.status = TUTTI_OK, .peer = -1};
	x->running = true;
	x->stage_turn = 0;
	for (int i = 0; i < run->window; i++) {
		struct tt_lane *lane = &x->lanes[i];

		lane->pc = 0;
		lane->slice = i;
		lane->stage_left = in_plan * (uint32_t)((run->operands.slices - 1 - i) / run->window + 1);
		lane->nposted = lane->nended = 0;
		lane->waiting_room = false;
		lane->scratch.like = tt_operand_like(&x->run.operands);
		tt_lookup_init(&lane->lookup, &x->run.operands, &lane->scratch);
		tt_lookup_slice(&lane->lookup, i);
	}
	(void)tt_executor_advance(x, &moved); /* a failure is found again by the caller's advance */
	return TUTTI_OK;
}

struct iovec *
tt_executor_stage_pieces(const struct tt_executor *x)
{
	return x->stage_pieces;
}

void
tt_executor_adopt(struct tt_executor *x, const struct tt_run *run)
{
	assert(!x->running && run->window == 1 && run->plan->nsteps == 1);
	x->run = *run;
	x->note = run->note;
	x->fault = (struct tt_run_fault){.status = TUTTI_OK, .peer = -1};
	x->running = x->stage_busy = true;
	x->lanes[0].pc = 0;
	x->lanes[0].slice = 0;
	x->lanes[0].nposted = x->lanes[0].nended = 0;
	x->lanes[0].stage_left = 1;
	x->stage_turn = 0;
}

tutti_status
tt_executor_advance(struct tt_executor *x, int *moved)
{
	tutti_status result = TUTTI_OK;

	if (x->fault.status != TUTTI_OK)
		return x->fault.status;
	for (int i = 0; i < x->run.window; i++) {
		const tutti_status status = lane_advance(x, i, moved);

		if (status == TUTTI_IN_PROGRESS)
			result = TUTTI_IN_PROGRESS;
		else if (status != TUTTI_OK)
			return status;
	}
	if (result == TUTTI_OK)
		x->running = false;
	return result;
}

const struct tt_run_fault *
tt_executor_fault(const struct tt_executor *x)
{
	return &x->fault;
}

uint64_t
tt_executor_agreed(const struct tt_executor *x)
{
	return x->note;
}

bool
tt_executor_in_stage(const struct tt_executor *x)
{
	return x->stage_busy;
}

void
tt_executor_drop(struct tt_executor *x)
{
	x->running = false;
}

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
 * Notes travel with the data: a rank says its own until a message tells it of another, then 0. What a message carries is
 * made of what has been received before it was posted, and so is its note: whoever has a result that depends on a
 * rank's contribution has heard, by the same messages, of that rank's note.
 */
#include "engine/executor.h"

#include <assert.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/memory.h"
#include "engine/combine.h"

#define PLAIN_SOURCES 16

struct slot {
	tutti_transfer transfer;
	struct tt_fold_context fold;
	int peer;
	bool receives;
	uint64_t note; /* behind the data, if the run has notes */
};

/* One running slice. */
struct lane {
	uint32_t pc;
	int slice; /* ≥ slices: at rest */
	uint32_t nposted; /* slots in use since the last wait */
	uint32_t nended; /* of them, from the first, known to have ended */
	bool waiting_room; /* the last slot was not taken by the transport yet */
	uint32_t stage_left; /* steps of the node stage, of all slices that it has to run */
	struct slot *slots;
	struct iovec *pieces; /* of slot i: 2 * pieces_room from i * 2 * pieces_room */
	struct iovec *operand_pieces;
	struct tt_pieces *operands; /* of a local step */
	struct tt_scratch scratch;
	size_t scratch_room; /* bytes of it */
	struct tt_cut cut;
};

struct tt_executor {
	struct tt_ports *ports;
	size_t staging_bytes;
	struct tt_run run;
	struct tt_run_fault fault;
	bool running;
	struct lane lanes[TT_EXECUTOR_LANES];
	uint32_t slots_room, pieces_room, operands_room; /* of each lane */
	struct tt_node_stage *stage; /* NULL: this rank shares no memory */
	struct iovec *stage_pieces; /* one for each member, twice, and two of room */
	bool stage_busy;
	int stage_turn; /* the lane whose step of the node stage is next */
	uint64_t note; /* of this run, as far as it has been heard of: 0 = there are several */
};

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
lane_free(struct lane *lane)
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
lane_fit(struct lane *lane, uint32_t slots, uint32_t pieces, uint32_t operands)
{
	void *memory;

	lane_free(lane);
	TT_TRY(tt_alloc(slots, sizeof(struct slot), "transfers", &memory));
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
lane_fit_scratch(struct lane *lane, size_t bytes)
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

static const struct tt_span *
step_span(const struct tt_executor *x, const struct tt_step *step, int i)
{
	return &x->run.plan->spans[step->span + (uint32_t)i];
}

static struct tt_pieces
resolve(const struct tt_executor *x, struct lane *lane, const struct tt_span *span, struct iovec *room, size_t *bytes)
{
	struct tt_pieces pieces = {room, 0};
	unsigned char *at;
	size_t elements;

	if (tt_operand_piece(&x->run.operands, &lane->scratch, &lane->cut, span, lane->slice, &at, &elements)) {
		*bytes = elements * x->run.operands.element;
		room[0] = (struct iovec){at, *bytes};
		pieces.n = elements > 0;
		return pieces;
	}
	pieces.n = tt_operand_pieces(&x->run.operands, &lane->scratch, span, lane->slice, room, bytes);
	return pieces;
}

struct tt_arithmetic
tt_executor_arithmetic(const struct tt_run *run, const struct tt_step *step)
{
	return (struct tt_arithmetic){run->reduce, (step->flags & TT_FINAL) ? run->finish : TT_FINISH_NONE,
	    run->divisor, run->operands.element, run->applied, run->heavy};
}

static struct tt_arithmetic
arithmetic(const struct tt_executor *x, const struct tt_step *step)
{
	return tt_executor_arithmetic(&x->run, step);
}

/* A step whose operands are one piece each. False: it is another one, and nothing has happened. */
static bool
plain_step(struct tt_executor *x, struct lane *lane, const struct tt_step *step)
{
	const struct tt_span *span = step_span(x, step, 0);
	const void *from[PLAIN_SOURCES];
	unsigned char *dst, *at;
	struct tt_arithmetic how;
	size_t room, n = 0;

	if (step->nspans > PLAIN_SOURCES + 1 ||
	    !tt_operand_piece(&x->run.operands, &lane->scratch, &lane->cut, span, lane->slice, &dst, &room))
		return false;
	for (int i = 1; i < step->nspans; i++) {
		if (!tt_operand_piece(&x->run.operands, &lane->scratch, &lane->cut, span + i, lane->slice, &at, &n))
			return false;
		from[i - 1] = at;
	}
	if (room != n)
		return false;
	if (n == 0)
		return true;
	if (step->kind == TT_COPY) {
		if (dst != from[0])
			memcpy(dst, from[0], n * x->run.operands.element);
		return true;
	}
	how = arithmetic(x, step);
	tt_arithmetic_reduce(&how, how.finish, dst, from, step->nspans - 1, n, 0);
	return true;
}

static void
local_step(struct tt_executor *x, struct lane *lane, const struct tt_step *step)
{
	struct tt_arithmetic how;
	size_t bytes = 0;

	if (TT_LIKELY(plain_step(x, lane, step)))
		return;

	for (int i = 0; i < step->nspans; i++)
		lane->operands[i] = resolve(
		    x, lane, step_span(x, step, i), lane->operand_pieces + (size_t)i * x->pieces_room, &bytes);
	if (bytes == 0)
		return;
	if (step->kind == TT_COPY) {
		tt_combine_copy(lane->operands[0], lane->operands[1]);
		return;
	}
	how = arithmetic(x, step);
	tt_combine_reduce(&how, lane->operands[0], lane->operands + 1, step->nspans - 1, bytes);
}

static tutti_status
fail_at(struct tt_executor *x, tutti_status status, const struct slot *slot)
{
	x->fault.status = status;
	x->fault.peer = slot->peer;
	x->fault.bytes = slot->transfer.bytes;
	x->fault.peer_bytes = slot->transfer.peer_bytes;
	memcpy(x->fault.peer_mark, slot->transfer.peer_mark, TUTTI_MARK_BYTES);
	return status;
}

static tutti_status
offer(struct tt_executor *x, struct lane *lane, struct slot *slot, bool receive)
{
	const tutti_status status = receive ? tt_ports_recv(x->ports, slot->peer, &slot->transfer)
					    : tt_ports_send(x->ports, slot->peer, &slot->transfer);

	lane->waiting_room = status == TUTTI_IN_PROGRESS;
	if (status != TUTTI_OK && status != TUTTI_IN_PROGRESS)
		return fail_at(x, status, slot);
	return status;
}

/* Data that arrives, with the note behind it. */
static void
fold_with_note(void *context, size_t offset, const void *data, size_t bytes)
{
	struct slot *slot = context;
	const size_t end = slot->transfer.bytes - sizeof(slot->note);
	const size_t first = offset < end ? tt_min_size(bytes, end - offset) : 0;

	if (first > 0)
		tt_combine_fold(&slot->fold, offset, data, first);
	if (first < bytes)
		memcpy((unsigned char *)&slot->note + (offset + first - end), (const unsigned char *)data + first,
		    bytes - first);
}

static void
add_note(const struct tt_executor *x, struct slot *slot, struct tt_pieces *pieces)
{
	slot->note = x->note;
	pieces->piece[pieces->n].iov_base = &slot->note;
	pieces->piece[pieces->n++].iov_len = sizeof(slot->note);
	slot->transfer.bytes += sizeof(slot->note);
	if (slot->transfer.fold == NULL) {
		slot->transfer.nparts = pieces->n;
		return;
	}
	slot->transfer.fold = fold_with_note;
	slot->transfer.fold_context = slot;
}

/* A message has arrived: does its sender know of another note? */
static void
hear_note(struct tt_executor *x, const struct slot *slot)
{
	if (x->run.has_note && slot->receives && slot->note != x->note)
		x->note = 0;
}

/* Fills the next slot for a step that moves data. False: there is nothing to move (no elements in this slice). */
static bool
prepare(struct tt_executor *x, struct lane *lane, const struct tt_step *step, int lane_index)
{
	struct slot *slot = &lane->slots[lane->nposted];
	struct iovec *room = lane->pieces + (size_t)lane->nposted * 2 * x->pieces_room;
	const struct tt_span *first = step_span(x, step, 0);
	struct tt_pieces pieces;
	size_t bytes;

	pieces = resolve(x, lane, first, room, &bytes);
	if (bytes == 0 && first->buffer != TT_TOKEN && !x->run.empty_too)
		return false;
	slot->peer = step->peer;
	slot->receives = step->kind != TT_SEND;
	slot->transfer = (tutti_transfer){.parts = pieces.piece,
	    .nparts = pieces.n,
	    .lane = x->run.first_lane + (uint32_t)lane_index,
	    .bytes = bytes,
	    .mark = x->run.mark,
	    .grain = 1,
	    .status = TUTTI_IN_PROGRESS};
	if (step->kind == TT_RECV_REDUCE) {
		slot->fold.how = arithmetic(x, step);
		slot->fold.dst = pieces;
		slot->fold.src = resolve(x, lane, step_span(x, step, 1), room + x->pieces_room, &bytes);
		slot->fold.message_first = (step->flags & TT_MESSAGE_FIRST) != 0;
		slot->transfer.parts = NULL;
		slot->transfer.nparts = 0;
		slot->transfer.fold = tt_combine_fold;
		slot->transfer.fold_context = &slot->fold;
		slot->transfer.grain = (uint32_t)x->run.operands.element;
		slot->transfer.any_order = 1; /* an element's place follows from the offset, whenever it comes */
	}
	if (x->run.has_note)
		add_note(x, slot, &pieces);
	return true;
}

/* TUTTI_OK: all that was posted has ended. */
static tutti_status
wait_step(struct tt_executor *x, struct lane *lane)
{
	while (lane->nended < lane->nposted) {
		const struct slot *slot = &lane->slots[lane->nended];

		if (slot->transfer.status == TUTTI_IN_PROGRESS)
			return TUTTI_IN_PROGRESS;
		if (slot->transfer.status != TUTTI_OK)
			return fail_at(x, slot->transfer.status, slot);
		hear_note(x, slot);
		lane->nended++;
	}
	lane->nposted = lane->nended = 0;
	return TUTTI_OK;
}

/* A receive that failed must not stay unseen behind a send that cannot end. */
static tutti_status
look_for_faults(struct tt_executor *x, const struct lane *lane)
{
	for (uint32_t i = lane->nended; i < lane->nposted; i++) {
		const struct slot *slot = &lane->slots[i];

		if (slot->transfer.status != TUTTI_IN_PROGRESS && slot->transfer.status != TUTTI_OK)
			return fail_at(x, slot->transfer.status, slot);
	}
	return TUTTI_IN_PROGRESS;
}

/* ---- the node stage ----------------------------------------------------------------------------------------- */

/* The one piece of memory that a span without rows is. */
static struct iovec
one_piece(const struct tt_executor *x, const struct lane *lane, const struct tt_span *span)
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
member_pieces(struct tt_executor *x, const struct lane *lane, const struct tt_span *span, struct iovec *pieces)
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
start_stage(struct tt_executor *x, const struct lane *lane, const struct tt_step *step)
{
	struct iovec *into = x->stage_pieces + tt_node_stage_members(x->stage);
	struct tt_node_job job = {.kind = (enum tt_step_kind)step->kind,
	    .root = -1,
	    .mark = x->run.mark,
	    .pieces = x->stage_pieces,
	    .into = into,
	    .how = arithmetic(x, step),
	    .has_note = x->run.has_note,
	    .note = x->note,
	    .portions = x->run.operands.portions,
	    .nportions = x->run.operands.nportions,
	    .in_portions = x->run.operands.in_portions};
	struct iovec dst = {NULL, 0}, src = {NULL, 0};
	bool split_dst, split_src;

	split_spans(step, &split_dst, &split_src);
	if (step->kind != TT_NODE_BARRIER && split_dst)
		member_pieces(x, lane, step_span(x, step, 0), split_src ? into : x->stage_pieces);
	else if (step->kind != TT_NODE_BARRIER)
		dst = one_piece(x, lane, step_span(x, step, 0));
	if (step->kind != TT_NODE_BARRIER)
		job.reads_out = step_span(x, step, 1)->buffer == TT_OUT;
	if (step->kind != TT_NODE_BARRIER && split_src)
		member_pieces(x, lane, step_span(x, step, 1), x->stage_pieces);
	else if (step->kind != TT_NODE_BARRIER)
		src = one_piece(x, lane, step_span(x, step, 1));
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

static uint32_t
stage_steps(const struct tt_plan *plan)
{
	uint32_t n = 0;

	for (uint32_t k = 0; k < plan->nsteps; k++)
		n += plan->steps[k].kind >= TT_NODE_ALL_REDUCE;
	return n;
}

static tutti_status
stage_step(struct tt_executor *x, const struct lane *lane, const struct tt_step *step, int *moved)
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

/* One step. TUTTI_OK: go on with the next. */
static tutti_status
run_step(struct tt_executor *x, struct lane *lane, int lane_index, const struct tt_step *step, int *moved)
{
	tutti_status status;

	switch (step->kind) {
	case TT_COPY:
	case TT_REDUCE_STEP:
		local_step(x, lane, step);
		return TUTTI_OK;
	case TT_WAIT:
		return wait_step(x, lane);
	case TT_SEND:
	case TT_RECV:
	case TT_RECV_REDUCE:
		if (!lane->waiting_room && !prepare(x, lane, step, lane_index))
			return TUTTI_OK;
		status = offer(x, lane, &lane->slots[lane->nposted], step->kind != TT_SEND);
		if (status == TUTTI_OK)
			lane->nposted++;
		return status;
	default:
		return stage_step(x, lane, step, moved);
	}
}

static tutti_status
lane_advance(struct tt_executor *x, int index, int *moved)
{
	struct lane *lane = &x->lanes[index];
	const struct tt_plan *plan = x->run.plan;

	while (lane->slice < x->run.operands.slices) {
		while (lane->pc < plan->nsteps) {
			const tutti_status status = run_step(x, lane, index, &plan->steps[lane->pc], moved);

			if (status == TUTTI_IN_PROGRESS)
				return look_for_faults(x, lane);
			if (status != TUTTI_OK)
				return status;
			lane->pc++;
			++*moved;
		}
		lane->pc = 0;
		lane->slice += x->run.window;
	}
	return TUTTI_OK;
}

tutti_status
tt_executor_start(struct tt_executor *x, const struct tt_run *run)
{
	const uint32_t in_plan = stage_steps(run->plan);
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
		struct lane *lane = &x->lanes[i];

		lane->pc = 0;
		lane->slice = i;
		lane->stage_left = in_plan * (uint32_t)((run->operands.slices - 1 - i) / run->window + 1);
		lane->nposted = lane->nended = 0;
		lane->waiting_room = false;
		lane->scratch.like = tt_operand_like(&x->run.operands);
		lane->cut.of = 0;
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

bool
tt_executor_has_messages(const struct tt_executor *x)
{
	for (int i = 0; x->running && i < x->run.window; i++)
		if (x->lanes[i].nended < x->lanes[i].nposted)
			return true;
	return false;
}

int
tt_executor_awaited(const struct tt_executor *x)
{
	int taker = -1;

	for (int i = 0; x->running && !x->stage_busy && i < x->run.window; i++) {
		const struct lane *lane = &x->lanes[i];

		for (uint32_t k = lane->nended; k < lane->nposted; k++) {
			const struct slot *slot = &lane->slots[k];

			if (slot->transfer.status != TUTTI_IN_PROGRESS)
				continue;
			if (slot->receives)
				return slot->peer;
			taker = slot->peer;
		}
	}
	return taker;
}

void
tt_executor_drop(struct tt_executor *x)
{
	x->running = false;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * executor_local.c - the steps that only work in this rank's own memory: copies, and sums of what is there.
 *
 * Nearly all operands are one piece of memory, which is looked up in a few instructions. Where a copy or a sum ends, a
 * processor has often guessed wrong and begins anew, and what is to be done next would have to wait for the lookup: so
 * the operands of the step behind, if it is a local one, are looked up before. That is right because where an operand is
 * depends on the plan, the operation and the slice alone, never on data.
 */
#include <string.h>

#include "base/checked.h"
#include "engine/executor_parts.h"

#define SOURCES 16

/* A step whose operands are one piece each. */
struct plain {
	const void *from[SOURCES];
	unsigned char *to;
	size_t n; /* elements */
};

struct tt_pieces
tt_lane_pieces(
    const struct tt_executor *x, struct tt_lane *lane, const struct tt_span *span, struct iovec *room, size_t *bytes)
{
	struct tt_pieces pieces = {room, 0};
	unsigned char *at;
	size_t elements;

	if (tt_lookup_piece(&lane->lookup, span, &at, &elements)) {
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

/* False: the step is another one. */
static bool
look_up(const struct tt_executor *x, struct tt_lane *lane, const struct tt_step *step, struct plain *plain)
{
	const struct tt_span *span = tt_step_span(x, step, 0);
	unsigned char *at;
	size_t n = 0;

	if (step->nspans > SOURCES + 1 || !tt_lookup_piece(&lane->lookup, span, &plain->to, &plain->n))
		return false;
	for (int i = 1; i < step->nspans; i++) {
		if (!tt_lookup_piece(&lane->lookup, span + i, &at, &n))
			return false;
		plain->from[i - 1] = at;
	}
	return plain->n == n;
}

static void
run_plain(const struct tt_executor *x, const struct tt_step *step, const struct plain *plain)
{
	const struct tt_run *run = &x->run;

	if (plain->n == 0)
		return;
	if (step->kind == TT_COPY) {
		if (plain->to != plain->from[0])
			memcpy(plain->to, plain->from[0], plain->n * run->operands.element);
	} else if (TT_LIKELY(run->reduce != NULL)) {
		run->reduce(plain->to, plain->from, step->nspans - 1, plain->n,
		    (step->flags & TT_FINAL) ? run->finish : TT_FINISH_NONE, run->divisor);
	} else {
		const struct tt_arithmetic how = tt_executor_arithmetic(run, step);

		tt_applied_reduce(&how, plain->to, plain->from, step->nspans - 1, plain->n, 0);
	}
}

static void
run_in_pieces(struct tt_executor *x, struct tt_lane *lane, const struct tt_step *step)
{
	struct tt_arithmetic how;
	size_t bytes = 0;

	for (int i = 0; i < step->nspans; i++)
		lane->operands[i] = tt_lane_pieces(
		    x, lane, tt_step_span(x, step, i), lane->operand_pieces + (size_t)i * x->pieces_room, &bytes);
	if (bytes == 0)
		return;
	if (step->kind == TT_COPY) {
		tt_combine_copy(lane->operands[0], lane->operands[1]);
		return;
	}
	how = tt_executor_arithmetic(&x->run, step);
	tt_combine_reduce(&how, lane->operands[0], lane->operands + 1, step->nspans - 1, bytes);
}

uint32_t
tt_lane_run_local(struct tt_executor *x, struct tt_lane *lane)
{
	const struct tt_plan *plan = x->run.plan;
	const struct tt_step *const first = &plan->steps[lane->pc], *const end = &plan->steps[plan->nsteps];
	const struct tt_step *step = first;
	struct plain plain[2], *now = &plain[0], *next = &plain[1];
	bool is_plain = look_up(x, lane, step, now);

	for (;; step++) {
		const bool more = step + 1 < end && tt_step_is_local(step + 1);
		const bool next_is_plain = more && look_up(x, lane, step + 1, next);
		struct plain *const done = now;

		if (TT_LIKELY(is_plain))
			run_plain(x, step, now);
		else
			run_in_pieces(x, lane, step);
		if (!more)
			return (uint32_t)(step + 1 - first);
		is_plain = next_is_plain;
		now = next;
		next = done;
	}
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * plan.c - the builder: appends steps to a plan and keeps the first failure.
 *
 * The rule: a plan that tt_plan_end() accepts has only steps that the executor may run without looking again
 * (peers and rows exist, spans lie inside their buffers, slots are large enough). Whether the steps add up to
 * the collective is the checker's question.
 */
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "plan/plan.h"

/* Rows a buffer has at this rank; 0 where only the root has it. */
static int
rows_of(const struct tt_plan *plan, enum tt_buffer buffer)
{
	const struct tt_shape *s = &plan->shape;
	const bool root = !tt_collective_has_root(s->collective) || s->rank == s->root;

	if (buffer == TT_TMP)
		return plan->tmp_slots;
	if (buffer == TT_IN) {
		const bool root_only = s->collective == TT_BROADCAST || s->collective == TT_SCATTER;
		return root || !root_only ? tt_collective_in_rows(s->collective, s->nranks) : 0;
	}
	const bool root_only = s->collective == TT_REDUCE || s->collective == TT_GATHER;
	return root || !root_only ? tt_collective_out_rows(s->collective, s->nranks) : 0;
}

static void
reject(struct tt_plan *plan, const char *what)
{
	if (plan->error == TUTTI_OK)
		plan->error = tt_fail(TUTTI_ERR_INTERNAL, -1, "%s %s, step %u of rank %d of %d: %s",
		    tt_collective_name(plan->shape.collective), plan->algorithm, plan->nsteps, plan->shape.rank,
		    plan->shape.nranks, what);
}

static bool
grow(struct tt_plan *plan, void **array, uint32_t *room, uint32_t want, size_t size)
{
	void *more;
	uint32_t to = *room ? *room : 32;

	if (want <= *room)
		return true;
	while (to < want)
		to *= 2;
	if (tt_alloc(to, size, "a plan's steps", &more) != TUTTI_OK) {
		plan->error = TUTTI_ERR_NOMEM;
		return false;
	}
	if (*array)
		memcpy(more, *array, *room * size);
	tt_free(*array);
	*array = more;
	*room = to;
	return true;
}

/* What is wrong with a span, or NULL. */
static const char *
span_fault(const struct tt_plan *plan, const struct tt_span *s, bool written)
{
	if (s->buffer == TT_TOKEN)
		return NULL;
	if (s->buffer > TT_TOKEN)
		return "a span names no buffer";
	if (s->of < 1 || s->parts < 0 || s->parts > s->of || s->part < 0 || s->part >= s->of)
		return "a span's parts are not among its row's";
	const int rows = rows_of(plan, s->buffer);
	if (rows == 0)
		return "a span lies in a buffer that this rank does not have";
	if (s->rows < 1 || s->rows > rows || s->row < 0 || s->row >= rows)
		return "a span's rows are not among its buffer's";
	if (s->buffer == TT_IN && written)
		return "the send buffer would be written";
	if (s->buffer != TT_TMP)
		return NULL;
	if (s->row + s->rows > rows)
		return "a span lies beyond the last slot";
	if (s->like < 0 || s->like >= plan->shape.nranks)
		return "a slot is like a row that does not exist";
	if (plan->tmp_parts != plan->tmp_of && (s->of != plan->tmp_of || s->parts > plan->tmp_parts))
		return "a slot is too small";
	return NULL;
}

static void
add(struct tt_plan *plan, enum tt_step_kind kind, int peer, const struct tt_span *spans, int nspans, unsigned flags)
{
	if (plan->error != TUTTI_OK)
		return;
	if (!grow(plan, (void **)&plan->steps, &plan->steps_room, plan->nsteps + 1, sizeof(*plan->steps)) ||
	    !grow(plan, (void **)&plan->spans, &plan->spans_room, plan->nspans + (uint32_t)nspans,
		sizeof(*plan->spans)))
		return;
	for (int i = 0; i < nspans; i++) {
		const bool written = i == 0 && kind != TT_SEND;
		const char *fault = span_fault(plan, &spans[i], written);

		if (fault) {
			reject(plan, fault);
			return;
		}
		plan->spans[plan->nspans + (uint32_t)i] = spans[i];
	}
	plan->steps[plan->nsteps++] = (struct tt_step){
	    .kind = (uint8_t)kind,
	    .flags = (uint8_t)flags,
	    .nspans = (uint16_t)nspans,
	    .peer = peer,
	    .span = plan->nspans,
	};
	plan->nspans += (uint32_t)nspans;
}

static void
post(struct tt_plan *plan, enum tt_step_kind kind, int peer, const struct tt_span *spans, int nspans, unsigned flags)
{
	if (plan->error == TUTTI_OK && (peer < 0 || peer >= plan->shape.nranks || peer == plan->shape.rank))
		reject(plan, "the peer is not another rank");
	add(plan, kind, peer, spans, nspans, flags);
	if (plan->error != TUTTI_OK)
		return;
	plan->posted++;
	if (plan->posted > plan->posted_most)
		plan->posted_most = plan->posted;
	for (int i = 0; i < nspans; i++) {
		const bool wraps = spans[i].part + spans[i].parts > spans[i].of;
		const uint32_t pieces = (uint32_t)spans[i].rows * (wraps ? 2 : 1);

		if (spans[i].buffer != TT_TOKEN && pieces > plan->pieces_most)
			plan->pieces_most = pieces;
	}
}

void
tt_plan_init(struct tt_plan *plan, const char *algorithm, const struct tt_shape *shape)
{
	*plan = (struct tt_plan){.algorithm = algorithm, .shape = *shape, .error = TUTTI_OK};
	plan->shape.node_of = NULL;
	plan->shape.order = plan->shape.position = NULL;
	if (shape->nranks < 1 || shape->rank < 0 || shape->rank >= shape->nranks || shape->root < 0 ||
	    shape->root >= shape->nranks)
		reject(plan, "the shape has no such rank or root");
}

void
tt_plan_fini(struct tt_plan *plan)
{
	tt_free(plan->steps);
	tt_free(plan->spans);
	plan->steps = NULL;
	plan->spans = NULL;
	plan->nsteps = plan->nspans = plan->steps_room = plan->spans_room = 0;
}

void
tt_plan_tmp(struct tt_plan *plan, int slots, int parts, int of)
{
	if (slots < 0 || parts < 1 || of < parts || plan->nsteps) {
		reject(plan, "scratch memory is declared once, before the first step, and not empty");
		return;
	}
	plan->tmp_slots = slots;
	plan->tmp_parts = parts;
	plan->tmp_of = of;
}

void
tt_plan_copy(struct tt_plan *plan, struct tt_span dst, struct tt_span src)
{
	add(plan, TT_COPY, -1, (struct tt_span[]){dst, src}, 2, 0);
}

void
tt_plan_reduce(struct tt_plan *plan, struct tt_span dst, const struct tt_span *src, int nsrc, unsigned flags)
{
	if (nsrc < 1 || nsrc > UINT16_MAX - 1) {
		reject(plan, "a reduction has too few or too many sources");
		return;
	}
	add(plan, TT_REDUCE_STEP, -1, &dst, 1, flags);
	for (int i = 0; i < nsrc && plan->error == TUTTI_OK; i++)
		tt_plan_reduce_also(plan, src[i]);
}

void
tt_plan_reduce_also(struct tt_plan *plan, struct tt_span src)
{
	struct tt_step *step;
	const char *fault;

	if (plan->error != TUTTI_OK)
		return;
	step = plan->nsteps ? &plan->steps[plan->nsteps - 1] : NULL;
	if (!step || step->kind != TT_REDUCE_STEP || step->nspans == UINT16_MAX) {
		reject(plan, "a source is added to something that is not a reduction");
		return;
	}
	fault = span_fault(plan, &src, false);
	if (fault) {
		reject(plan, fault);
		return;
	}
	if (!grow(plan, (void **)&plan->spans, &plan->spans_room, plan->nspans + 1, sizeof(*plan->spans)))
		return;
	plan->spans[plan->nspans++] = src;
	step->nspans++;
}

void
tt_plan_send(struct tt_plan *plan, int peer, struct tt_span src)
{
	post(plan, TT_SEND, peer, &src, 1, 0);
}

void
tt_plan_recv(struct tt_plan *plan, int peer, struct tt_span dst)
{
	post(plan, TT_RECV, peer, &dst, 1, 0);
}

void
tt_plan_recv_reduce(struct tt_plan *plan, int peer, struct tt_span dst, struct tt_span src, unsigned flags)
{
	post(plan, TT_RECV_REDUCE, peer, (struct tt_span[]){dst, src}, 2, flags);
}

void
tt_plan_wait(struct tt_plan *plan)
{
	if (plan->posted == 0)
		return;
	add(plan, TT_WAIT, -1, NULL, 0, 0);
	plan->posted = 0;
}

void
tt_plan_node(
    struct tt_plan *plan, enum tt_step_kind kind, int root, struct tt_span dst, struct tt_span src, unsigned flags)
{
	const bool barrier = kind == TT_NODE_BARRIER;

	if (kind < TT_NODE_ALL_REDUCE || kind > TT_NODE_BARRIER) {
		reject(plan, "not a step of the node stage");
		return;
	}
	tt_plan_wait(plan);
	add(plan, kind, root, (struct tt_span[]){dst, src}, barrier ? 0 : 2, flags);
}

/* What whoever runs the plan needs to know before every run of it. */
static void
sum_up(struct tt_plan *plan)
{
	for (uint32_t i = 0; i < plan->nspans; i++) {
		plan->uses_tmp = plan->uses_tmp || plan->spans[i].buffer == TT_TMP;
		if ((uint32_t)plan->spans[i].rows > plan->rows_most)
			plan->rows_most = (uint32_t)plan->spans[i].rows;
	}
	for (uint32_t i = 0; i < plan->nsteps; i++)
		if (plan->steps[i].nspans > plan->spans_most)
			plan->spans_most = plan->steps[i].nspans;
}

tutti_status
tt_plan_end(struct tt_plan *plan)
{
	tt_plan_wait(plan);
	sum_up(plan);
	return plan->error;
}

struct tt_span
tt_span_part(enum tt_buffer buffer, int row, int part, int parts, int of)
{
	return (struct tt_span){
	    .buffer = (uint8_t)buffer, .row = row, .rows = 1, .like = row, .part = part, .parts = parts, .of = of};
}

struct tt_span
tt_span_rows(enum tt_buffer buffer, int row, int rows)
{
	struct tt_span span = tt_span_part(buffer, row, 0, 1, 1);

	span.along_rows = 1;
	span.rows = rows;
	return span;
}

struct tt_span
tt_span_slot(int slot, int like, int part, int parts, int of)
{
	struct tt_span span = tt_span_part(TT_TMP, slot, part, parts, of);

	span.like = like;
	return span;
}

struct tt_span
tt_span_token(void)
{
	return (struct tt_span){.buffer = TT_TOKEN, .rows = 1, .parts = 1, .of = 1};
}

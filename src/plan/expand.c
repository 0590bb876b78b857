/* SPDX-License-Identifier: Apache-2.0
 *
 * expand.c - the reference of the node stage: its steps in primitive ones.
 *
 * The law of the node stage in one sentence: members exchange what is needed directly, and every sum is one
 * reduction over the members in rank order. The checker proves this expansion, and the node stage must equal it bit
 * for bit.
 */
#include "base/error.h"
#include "base/memory.h"
#include "plan/plan.h"

struct tt_span
tt_span_member(struct tt_span span, int j, int n)
{
	if (span.rows == n && n > 1) {
		span.row += j;
		span.like += span.along_rows || span.buffer != TT_TMP ? j : 0;
		if (span.buffer == TT_TMP && !span.along_rows)
			span.part += j * span.parts;
		span.rows = 1;
		return span;
	}
	span.parts /= n;
	span.part = (span.part + j * span.parts) % span.of;
	return span;
}

struct node {
	int *ranks; /* members, in rank order */
	int n, me;
	int slot; /* the first of n-1 slots of the expansion's own */
};

static tutti_status
find_members(const struct tt_shape *shape, struct node *node)
{
	void *memory;

	TT_TRY(tt_alloc((size_t)shape->nranks, sizeof(int), "a node's members", &memory));
	*node = (struct node){.ranks = memory};
	for (int r = 0; r < shape->nranks; r++) {
		if (r != shape->rank && (!shape->node_of || shape->node_of[r] != shape->node_of[shape->rank]))
			continue;
		if (r == shape->rank)
			node->me = node->n;
		node->ranks[node->n++] = r;
	}
	return TUTTI_OK;
}

/* Does a plan have steps of the node stage whose expansion needs slots: where something is added, or exchanged in
 * place? */
static bool
needs_slots(const struct tt_plan *plan)
{
	for (uint32_t i = 0; i < plan->nsteps; i++)
		if (plan->steps[i].kind == TT_NODE_ALL_REDUCE || plan->steps[i].kind == TT_NODE_REDUCE_SCATTER ||
		    plan->steps[i].kind == TT_NODE_REDUCE || plan->steps[i].kind == TT_NODE_ALL_TO_ALL)
			return true;
	return false;
}

static bool
divides(const struct tt_span *span, int n)
{
	return (span->rows == n && n > 1) || (span->rows == 1 && span->parts % n == 0);
}

/* A slot for what has the width of `span` (one row). */
static struct tt_span
slot_like(const struct tt_shape *shape, int slot, const struct tt_span *span)
{
	const enum tt_collective c = shape->collective;
	const bool own_row = (span->buffer == TT_OUT && (c == TT_REDUCE_SCATTER || c == TT_SCATTER)) ||
			     (span->buffer == TT_IN && (c == TT_ALL_GATHER || c == TT_GATHER));

	return tt_span_slot(slot, own_row ? shape->rank : span->like, span->part, span->parts, span->of);
}

static bool
same_span(const struct tt_span *a, const struct tt_span *b)
{
	return a->buffer == b->buffer && a->row == b->row && a->rows == b->rows && a->part == b->part &&
	       a->parts == b->parts && a->of == b->of;
}

/* Is it the same memory? In place, IN's and OUT's rows are, for equal parts. */
static bool
same_memory(const struct tt_shape *shape, const struct tt_span *dst, const struct tt_span *src)
{
	struct tt_span twin = *src;

	if (shape->in_place && src->buffer == TT_IN && dst->buffer == TT_OUT) {
		twin.buffer = TT_OUT;
		if (shape->collective == TT_ALL_GATHER || shape->collective == TT_GATHER)
			twin.row = shape->rank;
		if (shape->collective == TT_SCATTER || shape->collective == TT_REDUCE_SCATTER)
			twin.row = src->row == shape->rank ? 0 : -1;
	}
	return same_span(dst, &twin);
}

/* dst = sum over the members of their piece of src that is for this rank; `split`: src has a piece for each. */
static void
expand_sum(struct tt_plan *plan, const struct tt_shape *shape, const struct node *node, struct tt_span dst,
    struct tt_span src, bool split, unsigned flags)
{
	const int n = node->n, me = node->me;
	const struct tt_span mine = split ? tt_span_member(src, me, n) : src;

	for (int k = 1; k < n; k++) {
		const int to = (me + k) % n, by = (me + n - k) % n;

		tt_plan_send(plan, node->ranks[to], split ? tt_span_member(src, to, n) : src);
		tt_plan_recv(plan, node->ranks[by], slot_like(shape, node->slot + (by < me ? by : by - 1), &mine));
	}
	tt_plan_wait(plan);
	for (int j = 0; j < n; j++) {
		const struct tt_span from =
		    j == me ? mine : slot_like(shape, node->slot + (j < me ? j : j - 1), &mine);

		if (j == 0)
			tt_plan_reduce(plan, dst, &from, 1, flags);
		else
			tt_plan_reduce_also(plan, from);
	}
}

/* The root's dst = sum over the members of src. */
static void
expand_reduce(struct tt_plan *plan, const struct tt_shape *shape, const struct node *node, int root,
    struct tt_span dst, struct tt_span src, unsigned flags)
{
	const int n = node->n, me = node->me;

	if (shape->rank != root) {
		tt_plan_send(plan, root, src);
		tt_plan_wait(plan);
		return;
	}
	for (int k = 1; k < n; k++) {
		const int by = (me + k) % n;

		tt_plan_recv(plan, node->ranks[by], slot_like(shape, node->slot + (by < me ? by : by - 1), &src));
	}
	tt_plan_wait(plan);
	for (int j = 0; j < n; j++) {
		const struct tt_span from = j == me ? src : slot_like(shape, node->slot + (j < me ? j : j - 1), &src);

		if (j == 0)
			tt_plan_reduce(plan, dst, &from, 1, flags);
		else
			tt_plan_reduce_also(plan, from);
	}
}

/* In place, what arrives waits in a slot until all have been sent. */
static void
expand_all_to_all(struct tt_plan *plan, const struct tt_shape *shape, const struct node *node, struct tt_span dst,
    struct tt_span src)
{
	const int n = node->n, me = node->me;
	const struct tt_span mine = tt_span_member(dst, me, n), own = tt_span_member(src, me, n);
	const bool same = same_memory(shape, &mine, &own);

	for (int k = 1; k < n; k++) {
		const int to = (me + k) % n, by = (me + n - k) % n;
		const struct tt_span at = tt_span_member(dst, by, n);

		tt_plan_send(plan, node->ranks[to], tt_span_member(src, to, n));
		tt_plan_recv(
		    plan, node->ranks[by], same ? slot_like(shape, node->slot + (by < me ? by : by - 1), &at) : at);
	}
	tt_plan_wait(plan);
	if (!same)
		tt_plan_copy(plan, mine, own);
	for (int j = 0; j < n && same; j++) {
		const struct tt_span at = tt_span_member(dst, j, n);

		if (j != me)
			tt_plan_copy(plan, at, slot_like(shape, node->slot + (j < me ? j : j - 1), &at));
	}
}

static void
expand_to_root(struct tt_plan *plan, const struct tt_shape *shape, const struct node *node, int root,
    struct tt_span dst, struct tt_span src)
{
	const struct tt_span mine = tt_span_member(dst, node->me, node->n);

	if (shape->rank != root) {
		tt_plan_send(plan, root, src);
		tt_plan_wait(plan);
		return;
	}
	for (int k = 1; k < node->n; k++) {
		const int by = (node->me + k) % node->n;

		tt_plan_recv(plan, node->ranks[by], tt_span_member(dst, by, node->n));
	}
	tt_plan_wait(plan);
	if (!same_memory(shape, &mine, &src))
		tt_plan_copy(plan, mine, src);
}

static void
expand_scatter(struct tt_plan *plan, const struct tt_shape *shape, const struct node *node, int root,
    struct tt_span dst, struct tt_span src)
{
	const struct tt_span mine = tt_span_member(src, node->me, node->n);

	if (shape->rank != root) {
		tt_plan_recv(plan, root, dst);
		tt_plan_wait(plan);
		return;
	}
	for (int k = 1; k < node->n; k++) {
		const int to = (node->me + k) % node->n;

		tt_plan_send(plan, node->ranks[to], tt_span_member(src, to, node->n));
	}
	tt_plan_wait(plan);
	if (!same_memory(shape, &dst, &mine))
		tt_plan_copy(plan, dst, mine);
}

static void
expand_gather(struct tt_plan *plan, const struct tt_shape *shape, const struct node *node, struct tt_span dst,
    struct tt_span src)
{
	const int n = node->n, me = node->me;
	const struct tt_span mine = tt_span_member(dst, me, n);

	for (int k = 1; k < n; k++) {
		const int to = (me + k) % n, by = (me + n - k) % n;

		tt_plan_send(plan, node->ranks[to], src);
		tt_plan_recv(plan, node->ranks[by], tt_span_member(dst, by, n));
	}
	tt_plan_wait(plan);
	if (!same_memory(shape, &mine, &src))
		tt_plan_copy(plan, mine, src);
}

static void
expand_broadcast(struct tt_plan *plan, const struct tt_shape *shape, const struct node *node, int root,
    struct tt_span dst, struct tt_span src)
{
	if (shape->rank != root) {
		tt_plan_recv(plan, root, dst);
		tt_plan_wait(plan);
		return;
	}
	for (int k = 1; k < node->n; k++)
		tt_plan_send(plan, node->ranks[(node->me + k) % node->n], src);
	tt_plan_wait(plan);
	if (!same_memory(shape, &dst, &src))
		tt_plan_copy(plan, dst, src);
}

static void
expand_barrier(struct tt_plan *plan, const struct node *node)
{
	for (int k = 1; k < node->n; k++) {
		tt_plan_send(plan, node->ranks[(node->me + k) % node->n], tt_span_token());
		tt_plan_recv(plan, node->ranks[(node->me + node->n - k) % node->n], tt_span_token());
	}
	tt_plan_wait(plan);
}

static void
copy_step(struct tt_plan *to, const struct tt_step *step, const struct tt_span *spans)
{
	switch (step->kind) {
	case TT_COPY:
		tt_plan_copy(to, spans[0], spans[1]);
		break;
	case TT_REDUCE_STEP:
		tt_plan_reduce(to, spans[0], spans + 1, step->nspans - 1, step->flags);
		break;
	case TT_SEND:
		tt_plan_send(to, step->peer, spans[0]);
		break;
	case TT_RECV:
		tt_plan_recv(to, step->peer, spans[0]);
		break;
	case TT_RECV_REDUCE:
		tt_plan_recv_reduce(to, step->peer, spans[0], spans[1], step->flags);
		break;
	default:
		tt_plan_wait(to);
		break;
	}
}

static void
expand_step(struct tt_plan *to, const struct tt_shape *shape, const struct node *node, const struct tt_step *step,
    const struct tt_span *spans)
{
	switch (step->kind) {
	case TT_NODE_ALL_REDUCE:
		expand_sum(to, shape, node, spans[0], spans[1], false, step->flags);
		break;
	case TT_NODE_REDUCE_SCATTER:
		expand_sum(to, shape, node, spans[0], spans[1], true, step->flags);
		break;
	case TT_NODE_ALL_GATHER:
		expand_gather(to, shape, node, spans[0], spans[1]);
		break;
	case TT_NODE_ALL_TO_ALL:
		expand_all_to_all(to, shape, node, spans[0], spans[1]);
		break;
	case TT_NODE_REDUCE:
		expand_reduce(to, shape, node, step->peer, spans[0], spans[1], step->flags);
		break;
	case TT_NODE_GATHER:
		expand_to_root(to, shape, node, step->peer, spans[0], spans[1]);
		break;
	case TT_NODE_SCATTER:
		expand_scatter(to, shape, node, step->peer, spans[0], spans[1]);
		break;
	case TT_NODE_BROADCAST:
		expand_broadcast(to, shape, node, step->peer, spans[0], spans[1]);
		break;
	case TT_NODE_BARRIER:
		expand_barrier(to, node);
		break;
	default:
		copy_step(to, step, spans);
		break;
	}
}

/* The pieces of node-stage steps must come out even: one for each member. */
static bool
fits(const struct tt_step *step, const struct tt_span *spans, const struct node *node)
{
	const int n = node->n;

	switch (step->kind) {
	case TT_NODE_ALL_REDUCE:
	case TT_NODE_REDUCE:
		return spans[1].rows == 1;
	case TT_NODE_REDUCE_SCATTER:
		return divides(&spans[1], n);
	case TT_NODE_ALL_TO_ALL:
		return divides(&spans[0], n) && divides(&spans[1], n);
	case TT_NODE_ALL_GATHER:
		return divides(&spans[0], n);
	case TT_NODE_GATHER:
		return spans[0].buffer == TT_TOKEN || divides(&spans[0], n);
	case TT_NODE_SCATTER:
		return spans[1].buffer == TT_TOKEN || divides(&spans[1], n);
	default:
		return true;
	}
}

tutti_status
tt_plan_expand(const struct tt_plan *plan, const struct tt_shape *shape, struct tt_plan *expanded)
{
	struct node node;
	tutti_status status = TUTTI_OK;

	TT_TRY(find_members(shape, &node));
	tt_plan_init(expanded, plan->algorithm, shape);
	node.slot = plan->tmp_slots;
	if (needs_slots(plan) && node.n > 1)
		tt_plan_tmp(expanded, plan->tmp_slots + node.n - 1, 1, 1);
	else if (plan->tmp_slots)
		tt_plan_tmp(expanded, plan->tmp_slots, plan->tmp_parts, plan->tmp_of);
	for (uint32_t i = 0; i < plan->nsteps && status == TUTTI_OK; i++) {
		const struct tt_step *step = &plan->steps[i];
		const struct tt_span *spans = plan->nspans ? plan->spans + step->span : NULL;

		if (!fits(step, spans, &node))
			status = tt_fail(TUTTI_ERR_INTERNAL, -1, "%s: step %u has no piece for each of %d members",
			    plan->algorithm, i, node.n);
		else
			expand_step(expanded, shape, &node, step, spans);
	}
	tt_free(node.ranks);
	if (status == TUTTI_OK)
		status = tt_plan_end(expanded);
	if (status != TUTTI_OK)
		tt_plan_fini(expanded);
	return status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * renumber.c - a plan that was made for ranks in another order.
 *
 * An algorithm whose messages go between neighbours is asked for the plan of the rank at place i of the order, among
 * ranks called by their places; then places become ranks again, in peers and in rows. What a collective promises says
 * nothing of places, so the plan stays right. Spans of several rows have no image in another order: plans with such are
 * refused, on every rank alike, because algorithms say by a flag that they have none.
 */
#include "base/error.h"
#include "plan/plan.h"

static int
rows_of(const struct tt_plan *plan, const struct tt_span *span)
{
	const struct tt_shape *shape = &plan->shape;

	return span->buffer == TT_IN ? tt_collective_in_rows(shape->collective, shape->nranks)
				     : tt_collective_out_rows(shape->collective, shape->nranks);
}

static bool
renumber_span(const struct tt_plan *plan, const int *order, struct tt_span *span)
{
	const int nranks = plan->shape.nranks;

	if (span->buffer == TT_TOKEN)
		return true;
	if (span->buffer != TT_TMP) {
		if (rows_of(plan, span) != nranks || nranks == 1)
			return true;
		if (span->rows != 1)
			return false;
		span->row = order[span->row];
		span->like = span->row;
		return true;
	}
	if (span->rows != 1)
		return false;
	if (span->like >= 0 && span->like < nranks)
		span->like = order[span->like];
	return true;
}

tutti_status
tt_plan_make_ordered(tt_plan_maker maker, const struct tt_shape *shape, struct tt_plan *plan)
{
	struct tt_shape places = *shape;

	if (shape->order == NULL || shape->position == NULL)
		return maker(shape, plan);
	places.rank = shape->position[shape->rank];
	places.root = tt_collective_has_root(shape->collective) ? shape->position[shape->root] : shape->root;
	places.order = places.position = NULL;
	TT_TRY(maker(&places, plan));
	for (uint32_t i = 0; i < plan->nsteps; i++) {
		struct tt_step *step = &plan->steps[i];

		if (step->kind >= TT_NODE_ALL_REDUCE)
			return tt_fail(TUTTI_ERR_INTERNAL, -1,
			    "%s has steps of the node stage: it cannot run in another order", plan->algorithm);
		if (step->kind == TT_SEND || step->kind == TT_RECV || step->kind == TT_RECV_REDUCE)
			step->peer = shape->order[step->peer];
	}
	for (uint32_t i = 0; i < plan->nspans; i++)
		if (!renumber_span(plan, shape->order, &plan->spans[i]))
			return tt_fail(TUTTI_ERR_INTERNAL, -1,
			    "%s takes several rows at once: it cannot run in another order", plan->algorithm);
	plan->shape.rank = shape->rank;
	plan->shape.root = shape->root;
	return TUTTI_OK;
}

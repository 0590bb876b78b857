/* SPDX-License-Identifier: Apache-2.0
 *
 * scatter_linear.c - the root sends each rank its row.
 *
 *	root → 0, 1, 2, ... P-1
 *
 * Cost at the root: P-1 messages, (P-1)/P n bytes: nobody else need know the others' rows, so it serves uneven ones.
 * Source: folklore.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	const int n = shape->nranks, me = shape->rank;

	tt_plan_init(plan, "linear", shape);
	if (tt_build_alone(plan))
		return tt_plan_end(plan);
	if (me != shape->root) {
		tt_plan_recv(plan, shape->root, tt_out(0));
		return tt_plan_end(plan);
	}
	for (int k = 1; k < n; k++)
		tt_plan_send(plan, tt_mod(me + k, n), tt_in(tt_mod(me + k, n)));
	tt_build_own_row(plan, 0, me);
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double others = nranks - 1;

	return (struct tt_algorithm_cost){.messages = nranks > 1,
	    .overheads = nranks > 2 ? others - 1 : 0,
	    .bytes = others / nranks,
	    .both = others / nranks,
	    .kept = 1.0 / nranks,
	    .all_messages = others,
	    .all_bytes = others / nranks};
}

const struct tt_algorithm tt_scatter_linear = {
    .name = "linear",
    .collective = TT_SCATTER,
    .flags = TT_ALG_UNEVEN,
    .make = make,
    .cost = cost,
    .summary = "the root sends each rank its row",
    .source = "folklore",
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * scatter_node.c - one step of the node stage: everyone reads its row from the root.
 *
 * 	rank      0          1          2           root 0
 * 	          a b c                             published in shared memory
 * 	          a          b          c           read into place
 *
 * Cost: no messages; n bytes published by the root and n/P copied per rank, one synchronization.
 * Use whenever all ranks are on one node.
 * Source: folklore.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	tt_plan_init(plan, "node", shape);
	if (!tt_build_alone(plan))
		tt_plan_node(plan, TT_NODE_SCATTER, shape->root, tt_out(0),
		    shape->rank == shape->root ? tt_span_rows(TT_IN, 0, shape->nranks) : tt_span_token(), 0);
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double others = nranks - 1;

	return (struct tt_algorithm_cost){.messages = nranks > 1,
	    .copied = others / nranks,
	    .kept = 1.0 / nranks,
	    .fill = 1.0 / nranks,
	    .all_copied = 2 * others / nranks};
}

const struct tt_algorithm tt_scatter_node = {
    .name = "node",
    .collective = TT_SCATTER,
    .flags = TT_ALG_NODE | TT_ALG_ONE_NODE,
    .make = make,
    .cost = cost,
    .summary = "one step of the node stage; whenever all ranks share memory",
    .source = "folklore",
};

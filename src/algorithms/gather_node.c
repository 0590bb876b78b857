/* SPDX-License-Identifier: Apache-2.0
 *
 * gather_node.c - one step of the node stage: the root reads everyone's row.
 *
 * 	rank      0          1          2           root 0
 * 	          a          b          c           published in shared memory
 * 	          a b c                             read into place by the root
 *
 * Cost: no messages; n/P bytes published per rank and n copied by the root, one synchronization.
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
		tt_plan_node(plan, TT_NODE_GATHER, shape->root,
		    shape->rank == shape->root ? tt_span_rows(TT_OUT, 0, shape->nranks) : tt_span_token(), tt_in(0),
		    0);
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

const struct tt_algorithm tt_gather_node = {
    .name = "node",
    .collective = TT_GATHER,
    .flags = TT_ALG_NODE | TT_ALG_ONE_NODE,
    .make = make,
    .cost = cost,
    .summary = "one step of the node stage; whenever all ranks share memory",
    .source = "folklore",
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * reduce_scatter_node.c - one step of the node stage: rank r adds row r of everyone.
 *
 *	rank      0          1          2
 *	          a0 a1 a2   b0 b1 b2   c0 c1 c2    published in shared memory
 *	          a0+b0+c0   a1+b1+c1   a2+b2+c2    read and added in rank order
 *
 * Cost: no messages; n bytes published and n reduced per rank, one synchronization. One rounding. Serves uneven rows.
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
		tt_plan_node(
		    plan, TT_NODE_REDUCE_SCATTER, -1, tt_out(0), tt_span_rows(TT_IN, 0, shape->nranks), TT_FINAL);
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	return (struct tt_algorithm_cost){.messages = nranks > 1, .reduced = 1, .copied = (nranks - 1.0) / nranks};
}

const struct tt_algorithm tt_reduce_scatter_node = {
    .name = "node",
    .collective = TT_REDUCE_SCATTER,
    .flags = TT_ALG_NODE | TT_ALG_ONE_NODE | TT_ALG_ONE_ROUNDING | TT_ALG_UNEVEN,
    .make = make,
    .cost = cost,
    .summary = "one step of the node stage; whenever all ranks share memory",
    .source = "folklore",
};

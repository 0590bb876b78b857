/* SPDX-License-Identifier: Apache-2.0
 *
 * reduce_node.c - one step of the node stage: the root adds, or all add a part each for it.
 *
 * 	rank      0          1          2           root 0
 * 	          a          b          c           published in shared memory
 * 	          a+b+c                             little: the root reads and adds
 * 	          |a+b+c|    |a+b+c|    |a+b+c|     much: each adds its part, the root reads the sums
 *
 * Cost: no messages; n bytes published and about 2n read and added per rank, one synchronization or two per chunk. One
 * rounding.
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
		tt_plan_node(plan, TT_NODE_REDUCE, shape->root,
		    shape->rank == shape->root ? tt_out(0) : tt_span_token(), tt_in(0), TT_FINAL);
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double others = nranks - 1;

	return (struct tt_algorithm_cost){.messages = 2.0 * (nranks > 1),
	    .reduced = 1,
	    .copied = 2 * others / nranks,
	    .kept = 1.0 / nranks,
	    .all_copied = others + others / nranks};
}

const struct tt_algorithm tt_reduce_node = {
    .name = "node",
    .collective = TT_REDUCE,
    .flags = TT_ALG_NODE | TT_ALG_ONE_NODE | TT_ALG_ONE_ROUNDING,
    .make = make,
    .cost = cost,
    .summary = "one step of the node stage; whenever all ranks share memory",
    .source = "folklore",
};

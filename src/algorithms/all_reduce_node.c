/* SPDX-License-Identifier: Apache-2.0
 *
 * all_reduce_node.c - one step of the node stage: everyone reads everyone's data in shared memory.
 *
 *	rank      0          1          2
 *	          a          b          c           published in shared memory
 *	          a+b+c      a+b+c      a+b+c       read and added in rank order, each what it needs
 *
 * Cost: no messages; n bytes published, n reduced per rank in two synchronizations, or P n in one if that is quicker:
 * the node stage chooses. One rounding either way.
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
		tt_plan_node(plan, TT_NODE_ALL_REDUCE, -1, tt_out(0), tt_in(0), TT_FINAL);
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double others = nranks - 1;

	return (struct tt_algorithm_cost){
	    .messages = nranks > 1 ? 2 : 0, .reduced = 1, .copied = 2 * others / nranks, .kept = 1.0 / nranks};
}

const struct tt_algorithm tt_all_reduce_node = {
    .name = "node",
    .collective = TT_ALL_REDUCE,
    .flags = TT_ALG_NODE | TT_ALG_ONE_NODE | TT_ALG_ONE_ROUNDING,
    .make = make,
    .cost = cost,
    .summary = "one step of the node stage; whenever all ranks share memory",
    .source = "folklore",
};

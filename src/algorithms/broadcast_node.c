/* SPDX-License-Identifier: Apache-2.0
 *
 * broadcast_node.c - one step of the node stage: everyone reads the root's data.
 *
 *	rank      0          1          2           root 0
 *	          a                                 published in shared memory
 *	          a          a          a           read into place
 *
 * Cost: no messages; n bytes published by the root and n copied per rank, one synchronization.
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
		tt_plan_node(plan, TT_NODE_BROADCAST, shape->root, tt_out(0),
		    shape->rank == shape->root ? tt_in(0) : tt_out(0), 0);
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	return (struct tt_algorithm_cost){
	    .messages = nranks > 1, .copied = nranks > 1, .fill = nranks > 1, .all_copied = nranks};
}

const struct tt_algorithm tt_broadcast_node = {
    .name = "node",
    .collective = TT_BROADCAST,
    .flags = TT_ALG_NODE | TT_ALG_ONE_NODE,
    .make = make,
    .cost = cost,
    .summary = "one step of the node stage; whenever all ranks share memory",
    .source = "folklore",
};

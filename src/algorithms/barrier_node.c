/* SPDX-License-Identifier: Apache-2.0
 *
 * barrier_node.c - one step of the node stage: everyone raises a flag and looks at all.
 *
 *	rank      0 ↑        1 ↑        2 ↑
 *
 * Cost: no messages, one synchronization.
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
		tt_plan_node(plan, TT_NODE_BARRIER, -1, tt_span_token(), tt_span_token(), 0);
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	return (struct tt_algorithm_cost){.messages = nranks > 1};
}

const struct tt_algorithm tt_barrier_node = {
    .name = "node",
    .collective = TT_BARRIER,
    .flags = TT_ALG_NODE | TT_ALG_ONE_NODE,
    .make = make,
    .cost = cost,
    .summary = "one step of the node stage; whenever all ranks share memory",
    .source = "folklore",
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * all_to_all_node.c - one step of the node stage: rank r reads row r of everyone.
 *
 * 	rank      0          1          2
 * 	          a0 a1 a2   b0 b1 b2   c0 c1 c2    published in shared memory
 * 	          a0 b0 c0   a1 b1 c1   a2 b2 c2    read into place
 *
 * Cost: no messages; all but a row published and n bytes copied per rank, one synchronization per chunk.
 * Use whenever all ranks are on one node.
 * Source: folklore.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	const int n = shape->nranks;

	tt_plan_init(plan, "node", shape);
	if (!tt_build_alone(plan))
		tt_plan_node(plan, TT_NODE_ALL_TO_ALL, -1, tt_span_rows(TT_OUT, 0, n), tt_span_rows(TT_IN, 0, n), 0);
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double others = nranks - 1;

	return (struct tt_algorithm_cost){
	    .messages = nranks > 1, .copied = 2 * others / nranks, .kept = 1.0 / nranks};
}

const struct tt_algorithm tt_all_to_all_node = {
    .name = "node",
    .collective = TT_ALL_TO_ALL,
    .flags = TT_ALG_NODE | TT_ALG_ONE_NODE,
    .make = make,
    .cost = cost,
    .summary = "one step of the node stage; whenever all ranks share memory",
    .source = "folklore",
};

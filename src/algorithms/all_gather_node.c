/* SPDX-License-Identifier: Apache-2.0
 *
 * all_gather_node.c - one step of the node stage: everyone reads everyone's row.
 *
 *	rank      0          1          2
 *	          a          b          c           published in shared memory
 *	          a b c      a b c      a b c       read into place
 *
 * Cost: no messages; n/P bytes published and n copied per rank, one synchronization. Serves uneven rows.
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
		tt_plan_node(plan, TT_NODE_ALL_GATHER, -1, tt_span_rows(TT_OUT, 0, shape->nranks), tt_in(0), 0);
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	return (struct tt_algorithm_cost){.messages = nranks > 1, .copied = nranks > 1, .kept = 1.0 / nranks};
}

const struct tt_algorithm tt_all_gather_node = {
    .name = "node",
    .collective = TT_ALL_GATHER,
    .flags = TT_ALG_NODE | TT_ALG_ONE_NODE | TT_ALG_UNEVEN,
    .make = make,
    .cost = cost,
    .summary = "one step of the node stage; whenever all ranks share memory",
    .source = "folklore",
};

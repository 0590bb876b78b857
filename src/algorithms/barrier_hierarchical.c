/* SPDX-License-Identifier: Apache-2.0
 *
 * barrier_hierarchical.c - in the nodes, between their first ranks, in the nodes again.
 *
 *	node A      node B
 *	0 1 2 ↑     3 4 5 ↑         the node stage
 *	0 ←———————→ 3               dissemination between first ranks
 *	0 1 2 ↑     3 4 5 ↑         the node stage
 *
 * Cost: log2(N) rounds of empty messages and two steps of the node stage.
 * Use over several nodes with several ranks.
 * Source: folklore.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	const struct tt_span none = tt_span_token();
	struct tt_groups groups;

	tt_plan_init(plan, "hierarchical", shape);
	if (tt_build_alone(plan) || !tt_build_groups(plan, shape, &groups))
		return tt_plan_end(plan);
	if (groups.members > 1)
		tt_plan_node(plan, TT_NODE_BARRIER, -1, none, none, 0);
	for (int d = 1; d < groups.nnodes && groups.local == 0; d *= 2) {
		tt_plan_send(plan, groups.first[tt_mod(groups.node + d, groups.nnodes)], none);
		tt_plan_recv(plan, groups.first[tt_mod(groups.node - d, groups.nnodes)], none);
		tt_plan_wait(plan);
	}
	if (groups.members > 1 && groups.nnodes > 1)
		tt_plan_node(plan, TT_NODE_BARRIER, -1, none, none, 0);
	tt_build_drop_groups(&groups);
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	return (struct tt_algorithm_cost){.messages = tt_log2_up(nnodes) + 2.0, .meetings = 2};
}

const struct tt_algorithm tt_barrier_hierarchical = {
    .name = "hierarchical",
    .collective = TT_BARRIER,
    .flags = TT_ALG_NODE,
    .make = make,
    .cost = cost,
    .summary = "in the nodes, between their first ranks, in the nodes again; several nodes",
    .source = "folklore",
};

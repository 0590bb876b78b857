/* SPDX-License-Identifier: Apache-2.0
 *
 * all_gather_hierarchical.c - between the nodes on many lanes, then inside them.
 *
 * 	node A          node B          2 nodes of 2 ranks
 * 	0 ↔ 2, 1 ↔ 3                    each rank's row goes once to every node: to the member with its place
 * 	0 1 ↕           2 3 ↕           the node stage hands out what has arrived
 *
 * Each row enters a node once, so (N-1)/N n bytes enter a node: the least possible. Where the ranks of a node are not
 * numbered one after the other, or nodes have unequal numbers of ranks, rows are handed out one by one.
 * Cost: one exchange between N ranks and the node stage. Serves uneven rows.
 * Use over several nodes with several ranks.
 * Source: folklore; lanes as in Träff and Hunold, "Decomposing MPI collectives for exploiting multi-lane
 * communication", 2020.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

static void
exchange(struct tt_plan *plan, const struct tt_shape *shape, const struct tt_groups *groups)
{
	for (int node = 0; node < groups->nnodes; node++)
		if (node != groups->node)
			tt_plan_send(plan, tt_groups_rank(groups, shape, node, groups->local), tt_in(0));
	for (int row = 0; row < shape->nranks; row++)
		if (!tt_same_node(shape, row, shape->rank) && groups->place[row] % groups->members == groups->local)
			tt_plan_recv(plan, row, tt_out(row));
	tt_build_own_row(plan, shape->rank, 0);
	tt_plan_wait(plan);
}

static void
hand_out(struct tt_plan *plan, const struct tt_groups *groups)
{
	for (int node = 0; node < groups->nnodes && groups->blocks; node++) {
		const int first = groups->first[node];

		tt_plan_node(plan, TT_NODE_ALL_GATHER, -1, tt_span_rows(TT_OUT, first, groups->members),
		    tt_out(first + groups->local), 0);
	}
	for (int row = 0; row < plan->shape.nranks && !groups->blocks; row++)
		tt_plan_node(plan, TT_NODE_BROADCAST, groups->within[groups->place[row] % groups->members],
		    tt_out(row), tt_out(row), 0);
}

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	struct tt_groups groups;

	tt_plan_init(plan, "hierarchical", shape);
	if (tt_build_alone(plan) || !tt_build_groups(plan, shape, &groups))
		return tt_plan_end(plan);
	exchange(plan, shape, &groups);
	hand_out(plan, &groups);
	tt_build_drop_groups(&groups);
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double others = nnodes - 1;

	return (struct tt_algorithm_cost){.messages = nnodes > 1 ? 2 : 1,
	    .meetings = 1,
	    .overheads = nnodes > 2 ? others - 1 : 0,
	    .bytes = others / nranks,
	    .copied = 1,
	    .kept = (nnodes > 1 ? 2.0 : 1.0) * nnodes / nranks};
}

const struct tt_algorithm tt_all_gather_hierarchical = {
    .name = "hierarchical",
    .collective = TT_ALL_GATHER,
    .flags = TT_ALG_NODE | TT_ALG_UNEVEN,
    .make = make,
    .cost = cost,
    .summary = "one lane per local rank between the nodes, then in shared memory; several nodes",
    .source = "folklore; lanes: Träff and Hunold 2020",
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * reduce_scatter_hierarchical.c - inside the nodes first, then between them on many lanes.
 *
 * 	node A          node B          2 nodes of 2 ranks, rows 0 1 2 3
 * 	0: rows 0 2 of A                each row is added in the node, at the member whose place is
 * 	       1: rows 1 3 of A         that of the row's rank in its node
 * 	0 ← 2, 1 ← 3                    row 0 of B, row 1 of B: to the row's rank, which adds a sum from each node
 *
 * Each row leaves a node once, so (N-1)/N n bytes leave a node: the least possible. Where the ranks of a node are not
 * numbered one after the other, or nodes have unequal numbers of ranks, rows are added one by one.
 * Cost: the node stage and one exchange between N ranks. Serves uneven rows.
 * Use over several nodes with several ranks.
 * Source: folklore; lanes as in Träff and Hunold, "Decomposing MPI collectives for exploiting multi-lane
 * communication", 2020.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

/* Rows 0, 1, ... of the node's sums that this rank holds lie in slots 0, 1, ... */
static void
add_in_node(struct tt_plan *plan, const struct tt_groups *groups)
{
	int held = 0;

	for (int node = 0; node < groups->nnodes && groups->blocks; node++) {
		const int first = groups->first[node];

		tt_plan_node(plan, TT_NODE_REDUCE_SCATTER, -1, tt_slot(node, first + groups->local),
		    tt_span_rows(TT_IN, first, groups->members), groups->nnodes == 1 ? TT_FINAL : 0);
	}
	for (int row = 0; row < plan->shape.nranks && !groups->blocks; row++) {
		const int to = groups->place[row] % groups->members;

		tt_plan_node(plan, TT_NODE_REDUCE, groups->within[to],
		    to == groups->local ? tt_slot(held, row) : tt_span_token(), tt_in(row), 0);
		held += to == groups->local;
	}
}

/* Each sum goes to its row's rank, which gets one from every node: those of other nodes in slots `from`, ... */
static void
exchange(struct tt_plan *plan, const struct tt_shape *shape, const struct tt_groups *groups, int from)
{
	int held = 0, mine = 0;

	for (int row = 0; row < shape->nranks; row++) {
		if (groups->place[row] % groups->members != groups->local)
			continue;
		if (row == shape->rank)
			mine = held;
		else if (!tt_same_node(shape, row, shape->rank))
			tt_plan_send(plan, row, tt_slot(held, row));
		held++;
	}
	for (int node = 0; node < groups->nnodes; node++)
		if (node != groups->node)
			tt_plan_recv(plan, tt_groups_rank(groups, shape, node, groups->local),
			    tt_slot(from + node, shape->rank));
	tt_plan_wait(plan);
	for (int node = 0; node < groups->nnodes; node++) {
		const struct tt_span sum = tt_slot(node == groups->node ? mine : from + node, shape->rank);

		if (node == 0)
			tt_plan_reduce(plan, tt_out(0), &sum, 1, TT_FINAL);
		else
			tt_plan_reduce_also(plan, sum);
	}
}

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	struct tt_groups groups;

	tt_plan_init(plan, "hierarchical", shape);
	if (tt_build_alone(plan) || !tt_build_groups(plan, shape, &groups))
		return tt_plan_end(plan);
	const int held = groups.blocks ? groups.nnodes : shape->nranks;

	if (groups.nnodes == 1) {
		tt_plan_node(
		    plan, TT_NODE_REDUCE_SCATTER, -1, tt_out(0), tt_span_rows(TT_IN, 0, shape->nranks), TT_FINAL);
	} else {
		tt_plan_tmp(plan, held + groups.nnodes, 1, 1);
		add_in_node(plan, &groups);
		exchange(plan, shape, &groups, held);
	}
	tt_build_drop_groups(&groups);
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double others = nnodes - 1, members = nnodes ? (double)nranks / nnodes : 1;

	return (struct tt_algorithm_cost){.messages = nnodes > 1 ? 2 : 1,
	    .meetings = 1,
	    .overheads = nnodes > 2 ? others - 1 : 0,
	    .bytes = others / nranks,
	    .reduced = 1 + (nnodes > 1 ? 1 / members : 0),
	    .copied = (members - 1) / members};
}

const struct tt_algorithm tt_reduce_scatter_hierarchical = {
    .name = "hierarchical",
    .collective = TT_REDUCE_SCATTER,
    .flags = TT_ALG_NODE | TT_ALG_UNEVEN,
    .make = make,
    .cost = cost,
    .summary = "add in the nodes, one lane per local rank between them; several nodes",
    .source = "folklore; lanes: Träff and Hunold 2020",
};

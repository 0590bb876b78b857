/* SPDX-License-Identifier: Apache-2.0
 *
 * all_to_all_hierarchical.c - inside the nodes first, so that rows for one rank leave a node together.
 *
 *	node A          node B          2 nodes of 2 ranks
 *	0: rows for 2 of 0 and 1        in the node each member collects what is for the ranks with its place
 *	       1: rows for 3 of 0 and 1
 *	0 ↔ 2, 1 ↔ 3                    straight into place: the rows of a node's ranks lie side by side
 *
 * Where the ranks of a node are not numbered one after the other, or nodes have unequal numbers of ranks, rows do not
 * lie side by side: then everyone exchanges with everyone.
 * Cost: N-1 messages instead of P-1, (N-1)/N n bytes, and the node stage.
 * Use for small and medium messages over several nodes with several ranks.
 * Source: folklore; lanes as in Träff and Hunold, "Decomposing MPI collectives for exploiting multi-lane
 * communication", 2020.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

enum { WINDOW = 4 /* distances in flight, if everyone exchanges with everyone */ };

/* The rows of this node's members for the rank at this place of another node. */
static struct tt_span
collected(const struct tt_groups *groups, int node)
{
	struct tt_span span = tt_slot(node * groups->members, 0);

	span.along_rows = 1;
	span.rows = groups->members;
	return span;
}

static struct tt_span
rows(enum tt_buffer buffer, const struct tt_groups *groups, int node)
{
	return tt_span_rows(buffer, groups->first[node], groups->members);
}

static void
build(struct tt_plan *plan, const struct tt_groups *groups)
{
	for (int node = 0; node < groups->nnodes; node++)
		tt_plan_node(plan, TT_NODE_ALL_TO_ALL, -1,
		    node == groups->node ? rows(TT_OUT, groups, node) : collected(groups, node),
		    rows(TT_IN, groups, node), 0);
	for (int k = 1; k < groups->nnodes; k++) {
		const int to = tt_mod(groups->node + k, groups->nnodes),
			  by = tt_mod(groups->node - k, groups->nnodes);

		tt_plan_send(plan, groups->across[to], collected(groups, to));
		tt_plan_recv(plan, groups->across[by], rows(TT_OUT, groups, by));
	}
}

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	struct tt_groups groups;

	tt_plan_init(plan, "hierarchical", shape);
	if (tt_build_alone(plan) || !tt_build_groups(plan, shape, &groups))
		return tt_plan_end(plan);
	if (groups.blocks) {
		tt_plan_tmp(plan, shape->nranks, 1, 1);
		build(plan, &groups);
	} else {
		tt_build_pairwise(plan, WINDOW);
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
	    .bytes = nnodes ? others / nnodes : 0,
	    .copied = 2 - 2 / members,
	    .kept = 1 / members + (nnodes > 1)};
}

const struct tt_algorithm tt_all_to_all_hierarchical = {
    .name = "hierarchical",
    .collective = TT_ALL_TO_ALL,
    .flags = TT_ALG_NODE,
    .make = make,
    .cost = cost,
    .summary = "collected in the nodes, then one message to each node's rank of the same place; several nodes",
    .source = "folklore; lanes: Träff and Hunold 2020",
};

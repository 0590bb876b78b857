/* SPDX-License-Identifier: Apache-2.0
 *
 * broadcast_lanes.c - from node to node on many lanes, slice after slice.
 *
 *	node A        node B        node C        nodes of 2 ranks, the root in A
 *	root → all                                the node stage
 *	0: half 0  →  2: half 0  →  4: half 0     each member of a node carries its part to the next node
 *	1: half 1  →  3: half 1  →  5: half 1
 *	              2 ↔ 3         4 ↔ 5         the node stage puts the parts together
 *
 * n bytes leave each node but the last, the least possible for the root's; all network cards of a node's members carry
 * their share, and a slice is handed on while the next one arrives. Nodes with unequal numbers of ranks: as many lanes as
 * the smallest has ranks, and each carrier broadcasts its part in its node.
 * Cost: N-1 latencies until the last node has the first slice, then n bytes at the speed of a node; the node stage.
 * Use for large messages over several nodes with several ranks.
 * Source: folklore; lanes as in Träff and Hunold, "Decomposing MPI collectives for exploiting multi-lane
 * communication", 2020.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

static struct tt_span
part(const struct tt_groups *groups, int lane)
{
	return tt_span_part(TT_OUT, 0, lane, 1, groups->lanes);
}

static void
give_in_node(struct tt_plan *plan, const struct tt_shape *shape, const struct tt_groups *groups)
{
	const bool root = shape->rank == shape->root;

	if (groups->members > 1)
		tt_plan_node(plan, TT_NODE_BROADCAST, shape->root, tt_out(0), root ? tt_in(0) : tt_out(0), 0);
	else
		tt_build_own_row(plan, 0, 0);
}

static void
gather_in_node(struct tt_plan *plan, const struct tt_groups *groups)
{
	if (groups->members == 1)
		return;
	if (groups->members == groups->lanes) {
		tt_plan_node(plan, TT_NODE_ALL_GATHER, -1, tt_span_part(TT_OUT, 0, 0, groups->lanes, groups->lanes),
		    part(groups, groups->local), 0);
		return;
	}
	for (int lane = 0; lane < groups->lanes; lane++)
		tt_plan_node(
		    plan, TT_NODE_BROADCAST, groups->within[lane], part(groups, lane), part(groups, lane), 0);
}

static void
carry(struct tt_plan *plan, const struct tt_groups *groups, int v)
{
	const int n = groups->nnodes;

	if (groups->local >= groups->lanes)
		return;
	if (v > 0) {
		tt_plan_recv(plan, groups->across[tt_mod(groups->node - 1, n)], part(groups, groups->local));
		tt_plan_wait(plan);
	}
	if (v < n - 1)
		tt_plan_send(plan, groups->across[tt_mod(groups->node + 1, n)], part(groups, groups->local));
}

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	struct tt_groups groups;

	tt_plan_init(plan, "lanes", shape);
	if (tt_build_alone(plan) || !tt_build_groups(plan, shape, &groups))
		return tt_plan_end(plan);
	/* Nodes as far behind the root's as their number says. */
	const int v = tt_mod(groups.node - tt_node_of(shape, shape->root), groups.nnodes);

	if (v == 0)
		give_in_node(plan, shape, &groups);
	carry(plan, &groups, v);
	if (v > 0)
		gather_in_node(plan, &groups);
	tt_build_drop_groups(&groups);
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double members = nnodes > 0 ? (double)nranks / nnodes : 1;
	const bool several = nnodes > 1;

	return (struct tt_algorithm_cost){.messages = several ? nnodes + 1.0 : 1,
	    .meetings = several ? 2 : 1,
	    .bytes = several ? 1 / members : 0,
	    .both = several ? (nnodes > 2 ? 2 : 1) / members : 0,
	    .copied = several ? 2 : 1,
	    .fill = several ? 1 + (nnodes - 2) / members : 1,
	    .leaves = several,
	    .all_bytes = several ? nnodes - 1 : 0,
	    .all_messages = several ? members * (nnodes - 1) : 0};
}

const struct tt_algorithm tt_broadcast_lanes = {
    .name = "lanes",
    .collective = TT_BROADCAST,
    .flags = TT_ALG_NODE,
    .make = make,
    .cost = cost,
    .summary = "from node to node on one lane per local rank, slice after slice; large messages, several nodes",
    .source = "folklore; lanes: Träff and Hunold 2020",
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * all_reduce_hierarchical.c - inside the nodes first, then between them on many lanes.
 *
 *	node A          node B          2 nodes of 2 ranks
 *	0: a  1: b      2: c  3: d
 *	0: half 0 of a+b                reduce-scatter in the node: member l gets part l
 *	        1: half 1 of a+b
 *	0 ↔ 2, 1 ↔ 3                    all-reduce of part l between the members l of all nodes: the lanes
 *	all-gather in the node
 *
 * Each rank of a node carries its share of the data over the network, so 2(N-1)/N n bytes leave a node: the least
 * possible. Nodes with unequal numbers of ranks: each node adds everything for all its members, as many lanes as the
 * smallest node has ranks carry the parts, and each carrier broadcasts its part in its node.
 * Cost: the node stage twice and two exchanges between N ranks.
 * Use for medium and large messages over several nodes with several ranks.
 * Source: folklore; lanes as in Träff and Hunold, "Decomposing MPI collectives for exploiting multi-lane
 * communication", 2020.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

static struct tt_span
lane_parts(enum tt_buffer buffer, const struct tt_groups *groups, int lane)
{
	return tt_span_part(buffer, 0, lane * groups->nnodes, groups->nnodes, groups->lanes * groups->nnodes);
}

static void
cross(struct tt_plan *plan, const struct tt_groups *groups, enum tt_buffer from)
{
	const struct tt_lane lane = {.ranks = groups->across,
	    .n = groups->nnodes,
	    .me = groups->node,
	    .first = groups->local * groups->nnodes,
	    .of = groups->lanes * groups->nnodes};

	if (groups->local < groups->lanes)
		tt_build_lane_direct(plan, &lane, from, TT_FINAL);
}

static void
build_even(struct tt_plan *plan, const struct tt_groups *groups)
{
	const struct tt_span mine = lane_parts(TT_OUT, groups, groups->local);
	const int all = groups->lanes * groups->nnodes;

	if (groups->lanes == 1) {
		cross(plan, groups, TT_IN);
		return;
	}
	tt_plan_node(plan, TT_NODE_REDUCE_SCATTER, -1, mine, tt_span_part(TT_IN, 0, 0, all, all),
	    groups->nnodes == 1 ? TT_FINAL : 0);
	if (groups->nnodes > 1)
		cross(plan, groups, TT_OUT);
	tt_plan_node(plan, TT_NODE_ALL_GATHER, -1, tt_span_part(TT_OUT, 0, 0, all, all), mine, 0);
}

static void
build_uneven(struct tt_plan *plan, const struct tt_groups *groups)
{
	tt_plan_node(plan, TT_NODE_ALL_REDUCE, -1, tt_out(0), tt_in(0), 0);
	cross(plan, groups, TT_OUT);
	for (int lane = 0; lane < groups->lanes && groups->members > 1; lane++) {
		const struct tt_span part = lane_parts(TT_OUT, groups, lane);

		tt_plan_node(plan, TT_NODE_BROADCAST, groups->within[lane], part, part, 0);
	}
}

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	struct tt_groups groups;

	tt_plan_init(plan, "hierarchical", shape);
	if (tt_build_alone(plan) || !tt_build_groups(plan, shape, &groups))
		return tt_plan_end(plan);
	if (groups.nnodes > 2) /* of two, what comes is added to what is there */
		tt_plan_tmp(plan, groups.nnodes - 1, 1, groups.lanes * groups.nnodes);
	if (groups.even)
		build_even(plan, &groups);
	else
		build_uneven(plan, &groups);
	tt_build_drop_groups(&groups);
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double others = nnodes - 1, members = nnodes ? (double)nranks / nnodes : 1;

	return (struct tt_algorithm_cost){.messages = nnodes > 1 ? 4 : 2,
	    .meetings = 2,
	    .overheads = nnodes > 2 ? 2 * (others - 1) : 0,
	    .bytes = nnodes ? 2 * others / nnodes / members : 0,
	    .reduced = 1 + (nnodes > 1 ? 1 / members : 0),
	    .copied = 2 - 1 / members,
	    .kept = 1 / members};
}

const struct tt_algorithm tt_all_reduce_hierarchical = {
    .name = "hierarchical",
    .collective = TT_ALL_REDUCE,
    .flags = TT_ALG_NODE,
    .make = make,
    .cost = cost,
    .summary = "reduce in the nodes, one lane per local rank between them, gather in the nodes; several nodes",
    .source = "folklore; lanes: Träff and Hunold 2020",
};

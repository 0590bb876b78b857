/* SPDX-License-Identifier: Apache-2.0
 *
 * reduce_lanes.c - from node to node towards the root on many lanes, slice after slice.
 *
 *	node A            node B        node C        nodes of 2 ranks, the root in A
 *	0 1               2 3           4 5           the node stage: member l gets the node's sum of part l
 *	0: half 0    ←    2: half 0  ←  4: half 0     each adds its node's to what comes, and hands it on
 *	1: half 1    ←    3: half 1  ←  5: half 1
 *	root ← 0, 1                                   the parts come together
 *
 * n bytes leave each node but the root's: the least possible; the members of a node share them, and a slice is handed on
 * while the next one arrives. Nodes with unequal numbers of ranks: as many lanes as the smallest has ranks.
 * Cost: N-1 latencies until the root has the first slice, then n bytes at the speed of a node; the node stage.
 * Use for large messages over several nodes with several ranks.
 * Source: folklore; lanes as in Träff and Hunold, "Decomposing MPI collectives for exploiting multi-lane
 * communication", 2020.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

enum { OF_NODE, OF_ALL_BEFORE, SLOTS };

static struct tt_span
slot(const struct tt_groups *groups, int which)
{
	return tt_span_slot(which, 0, groups->local, 1, groups->lanes);
}

static void
add_in_node(struct tt_plan *plan, const struct tt_groups *groups, unsigned flags)
{
	if (groups->members == groups->lanes) {
		tt_plan_node(plan, TT_NODE_REDUCE_SCATTER, -1, slot(groups, OF_NODE),
		    tt_span_part(TT_IN, 0, 0, groups->lanes, groups->lanes), flags);
		return;
	}
	for (int lane = 0; lane < groups->lanes; lane++)
		tt_plan_node(plan, TT_NODE_REDUCE, groups->within[lane],
		    lane == groups->local ? slot(groups, OF_NODE) : tt_span_token(),
		    tt_span_part(TT_IN, 0, lane, 1, groups->lanes), flags);
}

/* Where this carrier's part of the result, or of the sum so far, is afterwards. */
static struct tt_span
carry(struct tt_plan *plan, const struct tt_groups *groups, int v)
{
	const int n = groups->nnodes;
	const struct tt_span own =
	    groups->members > 1 ? slot(groups, OF_NODE) : tt_span_part(TT_IN, 0, groups->local, 1, groups->lanes);

	if (v == n - 1)
		return own;
	tt_plan_recv_reduce(plan, groups->across[tt_mod(groups->node + 1, n)], slot(groups, OF_ALL_BEFORE), own,
	    v == 0 ? TT_FINAL : 0);
	tt_plan_wait(plan);
	return slot(groups, OF_ALL_BEFORE);
}

static void
bring_to_root(struct tt_plan *plan, const struct tt_shape *shape, const struct tt_groups *groups, struct tt_span mine)
{
	const bool carrier = groups->local < groups->lanes;

	if (shape->rank != shape->root) {
		if (carrier)
			tt_plan_send(plan, shape->root, mine);
		return;
	}
	for (int lane = 0; lane < groups->lanes; lane++)
		if (lane != groups->local)
			tt_plan_recv(plan, groups->within[lane], tt_span_part(TT_OUT, 0, lane, 1, groups->lanes));
	if (carrier)
		tt_plan_copy(plan, tt_span_part(TT_OUT, 0, groups->local, 1, groups->lanes), mine);
}

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	struct tt_groups groups;
	struct tt_span mine = tt_span_token();

	tt_plan_init(plan, "lanes", shape);
	if (tt_build_alone(plan) || !tt_build_groups(plan, shape, &groups))
		return tt_plan_end(plan);
	/* Nodes as far behind the root's as their number says. */
	const int v = tt_mod(groups.node - tt_node_of(shape, shape->root), groups.nnodes);

	tt_plan_tmp(plan, SLOTS, 1, groups.lanes);
	if (groups.members > 1)
		add_in_node(plan, &groups, groups.nnodes == 1 ? TT_FINAL : 0);
	if (groups.local < groups.lanes)
		mine = carry(plan, &groups, v);
	if (v == 0)
		bring_to_root(plan, shape, &groups, mine);
	else if (groups.local < groups.lanes)
		tt_plan_send(plan, groups.across[tt_mod(groups.node - 1, groups.nnodes)], mine);
	tt_build_drop_groups(&groups);
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double members = nnodes > 0 ? (double)nranks / nnodes : 1;
	const double gathered = (members - 1) / members; /* to the root, from its node */
	const bool several = nnodes > 1;

	return (struct tt_algorithm_cost){.messages = nnodes + 1.0,
	    .meetings = 1,
	    .overheads = several || members < 3 ? 0 : members - 2,
	    .bytes = several ? 1 / members : gathered,
	    .both = several ? 2 / members : gathered,
	    .reduced = 1 + (several ? 2 / members : 0),
	    .copied = gathered + (several ? 2 * gathered : 0),
	    .kept = 1 / members,
	    .leaves = several,
	    .all_messages = several ? 0 : members - 1,
	    .all_bytes = several ? 0 : gathered};
}

const struct tt_algorithm tt_reduce_lanes = {
    .name = "lanes",
    .collective = TT_REDUCE,
    .flags = TT_ALG_NODE,
    .make = make,
    .cost = cost,
    .summary = "from node to node towards the root on one lane per local rank, slice after slice; large messages, "
	       "several nodes",
    .source = "folklore; lanes: Träff and Hunold 2020",
};

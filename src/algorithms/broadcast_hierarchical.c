/* SPDX-License-Identifier: Apache-2.0
 *
 * broadcast_hierarchical.c - to one rank of each node, then in shared memory.
 *
 *	node A      node B      node C
 *	root  ————→ leader ...  leader      binomial tree between the nodes
 *	↓ ↓         ↓ ↓         ↓ ↓         the node stage
 *
 * A node's leader is its first rank; in the root's node, the root.
 * Cost: log2(N) messages of n bytes and one step of the node stage.
 * Use over several nodes with several ranks.
 * Source: folklore.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

static int
leader_of(const struct tt_shape *shape, const struct tt_groups *groups, int node)
{
	const int root_node = shape->node_of ? shape->node_of[shape->root] : shape->root;

	return node == root_node ? shape->root : groups->first[node];
}

static void
cross(struct tt_plan *plan, const struct tt_shape *shape, const struct tt_groups *groups)
{
	const int n = groups->nnodes, root_node = shape->node_of ? shape->node_of[shape->root] : shape->root;
	const int v = tt_mod(groups->node - root_node, n);
	int span = 1;

	while (span < n && !(v & span))
		span *= 2;
	if (v) {
		tt_plan_recv(plan, leader_of(shape, groups, tt_mod(groups->node - span, n)), tt_out(0));
		tt_plan_wait(plan);
	}
	for (int d = span / 2; d; d /= 2)
		if (v + d < n)
			tt_plan_send(
			    plan, leader_of(shape, groups, tt_mod(groups->node + d, n)), v ? tt_out(0) : tt_in(0));
	tt_plan_wait(plan);
}

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	struct tt_groups groups;

	tt_plan_init(plan, "hierarchical", shape);
	if (tt_build_alone(plan) || !tt_build_groups(plan, shape, &groups))
		return tt_plan_end(plan);
	const int leader = leader_of(shape, &groups, groups.node);

	if (shape->rank == leader)
		cross(plan, shape, &groups);
	if (groups.members > 1)
		tt_plan_node(
		    plan, TT_NODE_BROADCAST, leader, tt_out(0), shape->rank == shape->root ? tt_in(0) : tt_out(0), 0);
	else if (shape->rank == shape->root)
		tt_build_own_row(plan, 0, 0);
	tt_build_drop_groups(&groups);
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double rounds = tt_log2_up(nnodes), shared = nranks > nnodes;

	return (struct tt_algorithm_cost){.messages = rounds + 1,
	    .meetings = 1,
	    .bytes = rounds,
	    .both = rounds,
	    .copied = shared,
	    .fill = shared,
	    .all_messages = nnodes > 1 ? nnodes - 1 : 0,
	    .all_bytes = nnodes > 1 ? nnodes - 1 : 0,
	    .all_copied = nranks};
}

const struct tt_algorithm tt_broadcast_hierarchical = {
    .name = "hierarchical",
    .collective = TT_BROADCAST,
    .flags = TT_ALG_NODE,
    .make = make,
    .cost = cost,
    .summary = "to one rank of each node, then in shared memory; several nodes",
    .source = "folklore",
};

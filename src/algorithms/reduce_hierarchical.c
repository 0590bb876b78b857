/* SPDX-License-Identifier: Apache-2.0
 *
 * reduce_hierarchical.c - in shared memory to one rank of each node, then between them.
 *
 * 	node A      node B      node C
 * 	↓ ↓         ↓ ↓         ↓ ↓         the node stage
 * 	root  ←———— leader ...  leader      binomial tree between the nodes
 *
 * A node's leader is its first rank; in the root's node, the root.
 * Cost: one step of the node stage and log2(N) messages of n bytes.
 * Use over several nodes with several ranks.
 * Source: folklore.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

/* The node's sum is in slot 0; those of the nodes below come to slots 1, 2, ... */
static void
cross(struct tt_plan *plan, const struct tt_shape *shape, const struct tt_groups *groups)
{
	const int n = groups->nnodes, v = tt_mod(groups->node - tt_node_of(shape, shape->root), n);
	int span = 1, children = 0;

	for (; span < n && !(v & span); span *= 2)
		if (v + span < n)
			tt_plan_recv(plan, tt_groups_leader(groups, shape, tt_mod(groups->node + span, n)),
			    tt_slot(1 + children++, 0));
	tt_plan_wait(plan);
	for (int i = 0; i <= children && (children || v == 0); i++) {
		const struct tt_span sum = tt_slot(i, 0);

		if (i == 0)
			tt_plan_reduce(plan, v ? sum : tt_out(0), &sum, 1, v ? 0 : TT_FINAL);
		else
			tt_plan_reduce_also(plan, sum);
	}
	if (v)
		tt_plan_send(plan, tt_groups_leader(groups, shape, tt_mod(groups->node - span, n)), tt_slot(0, 0));
}

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	struct tt_groups groups;

	tt_plan_init(plan, "hierarchical", shape);
	if (tt_build_alone(plan) || !tt_build_groups(plan, shape, &groups))
		return tt_plan_end(plan);
	const int leader = tt_groups_leader(&groups, shape, groups.node);

	tt_plan_tmp(plan, 1 + tt_log2_up(groups.nnodes), 1, 1);
	tt_plan_node(
	    plan, TT_NODE_REDUCE, leader, shape->rank == leader ? tt_slot(0, 0) : tt_span_token(), tt_in(0), 0);
	if (shape->rank == leader)
		cross(plan, shape, &groups);
	tt_build_drop_groups(&groups);
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double rounds = tt_log2_up(nnodes), members = nnodes ? (double)nranks / nnodes : 1;

	return (struct tt_algorithm_cost){.messages = rounds + 2,
	    .meetings = 2,
	    .bytes = rounds,
	    .both = rounds,
	    .reduced = 1 + (nnodes > 1 ? 1 + rounds : 0),
	    .copied = 2 - 2 / members,
	    .kept = 1,
	    .all_copied = nnodes > 1 ? 0 : nranks - 1 / members,
	    .all_messages = nnodes > 1 ? nnodes - 1 : 0,
	    .all_bytes = nnodes > 1 ? nnodes - 1 : 0};
}

const struct tt_algorithm tt_reduce_hierarchical = {
    .name = "hierarchical",
    .collective = TT_REDUCE,
    .flags = TT_ALG_NODE,
    .make = make,
    .cost = cost,
    .summary = "in shared memory to one rank of each node, then between them; several nodes",
    .source = "folklore",
};

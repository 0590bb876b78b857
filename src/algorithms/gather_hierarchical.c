/* SPDX-License-Identifier: Apache-2.0
 *
 * gather_hierarchical.c - in shared memory to one rank of each node, then all rows of a node in one message.
 *
 * 	node A      node B      node C
 * 	↓ ↓         ↓ ↓         ↓ ↓         the node stage
 * 	root  ←———— leader      leader      the rows of all ranks of a node
 *
 * A node's leader is its first rank; in the root's node, the root. Where a node's ranks are not numbered one after the
 * other, its rows travel one by one.
 * Cost at the root: N-1 messages, (N-1)/N n bytes; one step of the node stage.
 * Use over several nodes with several ranks.
 * Source: folklore.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

/* The rows of this node in slots 0, 1, ... by place, as many as there are. */
static struct tt_span
held(int first, int rows)
{
	struct tt_span span = tt_slot(first, 0);

	span.along_rows = 1;
	span.rows = rows;
	return span;
}

/* The rows of a node's ranks come to the root: from its leader, or out of the slots if it is the root's own. */
static void
take(struct tt_plan *plan, const struct tt_shape *shape, const struct tt_groups *groups, int node)
{
	const int from = tt_groups_leader(groups, shape, node), rows = groups->sizes[node];

	if (node != groups->node && tt_groups_block(groups, shape, node)) {
		tt_plan_recv(plan, from, tt_span_rows(TT_OUT, groups->first[node], rows));
		return;
	}
	for (int i = 0; i < rows; i++) {
		const struct tt_span row = tt_out(tt_groups_rank(groups, shape, node, i));

		if (node == groups->node)
			tt_plan_copy(plan, row, held(i, 1));
		else
			tt_plan_recv(plan, from, row);
	}
}

static void
give(struct tt_plan *plan, const struct tt_shape *shape, const struct tt_groups *groups)
{
	if (tt_groups_block(groups, shape, groups->node))
		tt_plan_send(plan, shape->root, held(0, groups->members));
	else
		for (int i = 0; i < groups->members; i++)
			tt_plan_send(plan, shape->root, held(i, 1));
}

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	struct tt_groups groups;

	tt_plan_init(plan, "hierarchical", shape);
	if (tt_build_alone(plan) || !tt_build_groups(plan, shape, &groups))
		return tt_plan_end(plan);
	const int leader = tt_groups_leader(&groups, shape, groups.node);
	const bool block = tt_groups_block(&groups, shape, groups.node);
	struct tt_span rows = tt_span_token();

	tt_plan_tmp(plan, groups.most, 1, 1);
	if (shape->rank == leader)
		rows = shape->rank == shape->root && block
			   ? tt_span_rows(TT_OUT, groups.first[groups.node], groups.members)
			   : held(0, groups.members);
	tt_plan_node(plan, TT_NODE_GATHER, leader, rows, tt_in(0), 0);
	for (int k = 1; k <= groups.nnodes && shape->rank == shape->root; k++)
		if (k < groups.nnodes || !block)
			take(plan, shape, &groups, tt_mod(groups.node + k, groups.nnodes));
	if (shape->rank == leader && shape->rank != shape->root)
		give(plan, shape, &groups);
	tt_build_drop_groups(&groups);
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double others = nnodes - 1, nodes = nnodes ? nnodes : 1, members = nranks / nodes;

	return (struct tt_algorithm_cost){.messages = nnodes > 1 ? 2 : 1,
	    .meetings = 1,
	    .overheads = nnodes > 2 ? others - 1 : 0,
	    .bytes = others / nodes,
	    .both = others / nodes,
	    .copied = (members - 1) / members / nodes,
	    .kept = 1 / members / nodes,
	    .fill = 1.0 / nranks,
	    .all_messages = nnodes > 1 ? others : 0,
	    .all_bytes = others / nodes,
	    .all_copied = 2 * (members - 1) / members};
}

const struct tt_algorithm tt_gather_hierarchical = {
    .name = "hierarchical",
    .collective = TT_GATHER,
    .flags = TT_ALG_NODE,
    .make = make,
    .cost = cost,
    .summary = "in shared memory to one rank of each node, then all its rows in one message; several nodes",
    .source = "folklore",
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * broadcast_tree.c - two binary trees at once, below the root.
 *
 * Half of the row goes down one in-order tree of all other ranks, the other half a second tree, in which everyone
 * stands one place further: who is a leaf in one is inner in the other, so sending and receiving are even.
 *
 * 	tree 0 of 7      3              tree 1     2          ranks but the root, counted from the one after it
 * 	              1       5                  0      4
 * 	             0 2     4 6                6 1    3 5
 *
 * The root sends a half to the head of each tree. The slices of a row follow each other: that is the pipeline.
 * Cost: about log2(P) + 1 rounds of latency; n bytes, once the pipeline is full.
 * Use for medium to large messages over many ranks.
 * Source: Sanders, Speck and Träff, "Two-tree algorithms for full bandwidth broadcast, reduction and scan", 2009.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

static struct tt_span
half(enum tt_buffer buffer, int tree)
{
	return tt_span_part(buffer, 0, tree, 1, 2);
}

/* The rank that stands at `place` among those that are not the root; -1 stands for the root itself. */
static int
rank_at(const struct tt_shape *shape, int place)
{
	return tt_mod(shape->root + 1 + place, shape->nranks);
}

static void
give(struct tt_plan *plan, const struct tt_shape *shape)
{
	for (int t = 0; t < 2; t++)
		for (int i = 0; i < shape->nranks - 1; i++)
			if (tt_double_tree(t, i, shape->nranks - 1).parent < 0)
				tt_plan_send(plan, rank_at(shape, i), half(TT_IN, t));
	tt_build_own_row(plan, 0, 0);
}

/* First the part for which others wait. A wait depends only on ranks further up the same tree. */
static void
hand_down(struct tt_plan *plan, const struct tt_shape *shape, int me)
{
	const int n = shape->nranks - 1;
	const struct tt_tree_place place[2] = {tt_double_tree(0, me, n), tt_double_tree(1, me, n)};
	const int inner = place[1].lower >= 0;

	tt_plan_recv(plan, rank_at(shape, place[inner].parent), half(TT_OUT, inner));
	tt_plan_wait(plan);
	if (place[inner].lower >= 0)
		tt_plan_send(plan, rank_at(shape, place[inner].lower), half(TT_OUT, inner));
	if (place[inner].higher >= 0)
		tt_plan_send(plan, rank_at(shape, place[inner].higher), half(TT_OUT, inner));
	tt_plan_recv(plan, rank_at(shape, place[!inner].parent), half(TT_OUT, !inner));
}

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	tt_plan_init(plan, "tree", shape);
	if (tt_build_alone(plan))
		return tt_plan_end(plan);
	if (shape->rank == shape->root)
		give(plan, shape);
	else
		hand_down(plan, shape, tt_mod(shape->rank - shape->root - 1, shape->nranks));
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double others = nranks - 1;

	return (struct tt_algorithm_cost){.messages = nranks > 2 ? tt_log2_up(nranks) + 1 : nranks - 1,
	    .overheads = nranks == 2,
	    .bytes = nranks > 1,
	    .both = nranks > 3 ? 2 : nranks / 2.0,
	    .fill = nranks > 2 ? tt_log2_up(nranks) / 2.0 : 0,
	    .leaves = nnodes == nranks ? 1
		      : nnodes > 2     ? 2
				       : 1.5,
	    .all_messages = 2 * others,
	    .all_bytes = others};
}

const struct tt_algorithm tt_broadcast_tree = {
    .name = "tree",
    .collective = TT_BROADCAST,
    .flags = TT_ALG_NEIGHBOURS,
    .make = make,
    .cost = cost,
    .summary = "two binary trees, each with half of the row, pipelined; larger messages over many ranks",
    .source = "Sanders, Speck and Träff 2009",
};

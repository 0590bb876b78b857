/* SPDX-License-Identifier: Apache-2.0
 *
 * all_reduce_tree.c - all-reduce on two binary trees at once.
 *
 * Half of the row goes up and down one in-order tree, the other half a second tree, in which everyone stands one
 * place further: who is a leaf in one is inner in the other, so sending and receiving are even.
 *
 *	tree 0 (P = 7)    3              tree 1     2
 *	              1       5                  0      4
 *	             0 2     4 6                6 1    3 5
 *
 * A rank adds what its children send and its own part in one reduction, sends up, and hands down what comes back.
 * The slices of a row follow each other through the trees: that is the pipeline.
 * Cost: about 2 log2(P) rounds of latency; 2n bytes each way, once the pipeline is full.
 * Use for medium to large messages over many ranks.
 * Source: Sanders, Speck and Träff, "Two-tree algorithms for full bandwidth broadcast, reduction and scan", 2009.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

/* Where a rank is inner: one tree at most. */
static int
inner_tree(const struct tt_tree_place place[2])
{
	if (place[0].lower >= 0)
		return 0;
	return place[1].lower >= 0 ? 1 : -1;
}

static struct tt_span
half(enum tt_buffer buffer, int tree)
{
	return tt_span_part(buffer, 0, tree, 1, 2);
}

static struct tt_span
child_slot(int child, int tree)
{
	return tt_span_slot(child, 0, tree, 1, 2);
}

/* Leaf parts go up as they are, at once; then the inner part, when the children's are there. */
static void
exchange_up(struct tt_plan *plan, const struct tt_tree_place place[2], int inner)
{
	for (int t = 0; t < 2; t++)
		if (t != inner)
			tt_plan_send(plan, place[t].parent, half(TT_IN, t));
	if (inner < 0) {
		tt_plan_wait(plan);
		return;
	}
	const struct tt_tree_place *at = &place[inner];
	const struct tt_span src[3] = {child_slot(0, inner), half(TT_IN, inner), child_slot(1, inner)};

	tt_plan_recv(plan, at->lower, src[0]);
	if (at->higher >= 0)
		tt_plan_recv(plan, at->higher, src[2]);
	tt_plan_wait(plan);
	tt_plan_reduce(plan, half(TT_OUT, inner), src, at->higher >= 0 ? 3 : 2, at->parent < 0 ? TT_FINAL : 0);
	if (at->parent >= 0)
		tt_plan_send(plan, at->parent, half(TT_OUT, inner));
	tt_plan_wait(plan);
}

/* First the inner part, which others wait for through this rank; leaf parts may come last. In this order a wait
 * depends only on ranks further up the same tree, and the two trees cannot block each other. */
static void
exchange_down(struct tt_plan *plan, const struct tt_tree_place place[2], int inner)
{
	if (inner >= 0 && place[inner].parent >= 0)
		tt_plan_recv(plan, place[inner].parent, half(TT_OUT, inner));
	tt_plan_wait(plan);
	if (inner >= 0)
		tt_plan_send(plan, place[inner].lower, half(TT_OUT, inner));
	if (inner >= 0 && place[inner].higher >= 0)
		tt_plan_send(plan, place[inner].higher, half(TT_OUT, inner));
	for (int t = 0; t < 2; t++)
		if (t != inner)
			tt_plan_recv(plan, place[t].parent, half(TT_OUT, t));
	tt_plan_wait(plan);
}

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	tt_plan_init(plan, "tree", shape);
	if (tt_build_alone(plan))
		return tt_plan_end(plan);
	tt_plan_tmp(plan, 2, 1, 2);

	const struct tt_tree_place place[2] = {
	    tt_double_tree(0, shape->rank, shape->nranks),
	    tt_double_tree(1, shape->rank, shape->nranks),
	};
	const int inner = inner_tree(place);

	exchange_up(plan, place, inner);
	exchange_down(plan, place, inner);
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double others = nranks - 1;

	return (struct tt_algorithm_cost){.messages = 2.0 * tt_log2_up(nranks),
	    .bytes = nranks > 3 ? 2 : others / 2 + 0.5 * (nranks > 1),
	    .reduced = nranks > 2 ? 1.5 : 1,
	    .fill = nranks > 2 ? tt_log2_up(nranks) / 2.0 : 0,
	    .leaves = nnodes == nranks ? 0
		      : nnodes > 2     ? 4
				       : 2.5,
	    .all_messages = 4 * others,
	    .all_bytes = 2 * others,
	    .all_reduced = nranks > 1 ? 1.5 * nranks - 1 : 1};
}

const struct tt_algorithm tt_all_reduce_tree = {
    .name = "tree",
    .collective = TT_ALL_REDUCE,
    .flags = TT_ALG_NEIGHBOURS,
    .make = make,
    .cost = cost,
    .summary = "two binary trees, each with half of the row, pipelined; larger messages over many ranks",
    .source = "Sanders, Speck and Träff 2009",
};

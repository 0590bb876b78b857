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

/* Children of tree t send to slots 2t and 2t+1. */
static struct tt_span
child_slot(int tree, bool higher)
{
	return tt_span_slot(2 * tree + higher, 0, tree, 1, 2);
}

static void
add_children(struct tt_plan *plan, int tree, const struct tt_tree_place *place)
{
	const struct tt_span out = tt_span_part(TT_OUT, 0, tree, 1, 2);
	struct tt_span src[3];
	int n = 0;

	if (place->lower >= 0)
		src[n++] = child_slot(tree, false);
	src[n++] = tt_span_part(TT_IN, 0, tree, 1, 2);
	if (place->higher >= 0)
		src[n++] = child_slot(tree, true);
	if (n > 1)
		tt_plan_reduce(plan, out, src, n, place->parent < 0 ? TT_FINAL : 0);
}

static void
exchange_up(struct tt_plan *plan, const struct tt_tree_place place[2])
{
	for (int t = 0; t < 2; t++) {
		if (place[t].lower >= 0)
			tt_plan_recv(plan, place[t].lower, child_slot(t, false));
		if (place[t].higher >= 0)
			tt_plan_recv(plan, place[t].higher, child_slot(t, true));
		if (place[t].lower < 0 && place[t].higher < 0) /* a leaf's part goes up as it is, at once */
			tt_plan_send(plan, place[t].parent, tt_span_part(TT_IN, 0, t, 1, 2));
	}
	tt_plan_wait(plan);
	for (int t = 0; t < 2; t++) {
		add_children(plan, t, &place[t]);
		if (place[t].parent >= 0 && (place[t].lower >= 0 || place[t].higher >= 0))
			tt_plan_send(plan, place[t].parent, tt_span_part(TT_OUT, 0, t, 1, 2));
	}
	tt_plan_wait(plan);
}

static void
exchange_down(struct tt_plan *plan, const struct tt_tree_place place[2])
{
	for (int t = 0; t < 2; t++)
		if (place[t].parent >= 0)
			tt_plan_recv(plan, place[t].parent, tt_span_part(TT_OUT, 0, t, 1, 2));
	tt_plan_wait(plan);
	for (int t = 0; t < 2; t++) {
		if (place[t].lower >= 0)
			tt_plan_send(plan, place[t].lower, tt_span_part(TT_OUT, 0, t, 1, 2));
		if (place[t].higher >= 0)
			tt_plan_send(plan, place[t].higher, tt_span_part(TT_OUT, 0, t, 1, 2));
	}
	tt_plan_wait(plan);
}

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	tt_plan_init(plan, "tree", shape);
	if (tt_build_alone(plan))
		return tt_plan_end(plan);
	tt_plan_tmp(plan, 4, 1, 2);

	const struct tt_tree_place place[2] = {
	    tt_double_tree(0, shape->rank, shape->nranks),
	    tt_double_tree(1, shape->rank, shape->nranks),
	};
	exchange_up(plan, place);
	exchange_down(plan, place);
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	return (struct tt_algorithm_cost){
	    .messages = 2.0 * tt_log2_up(nranks), .bytes = nranks > 1 ? 2 : 0, .reduced = nranks > 1 ? 1.5 : 1};
}

const struct tt_algorithm tt_all_reduce_tree = {
    .name = "tree",
    .collective = TT_ALL_REDUCE,
    .make = make,
    .cost = cost,
    .summary = "two binary trees, each with half of the row, pipelined; larger messages over many ranks",
    .source = "Sanders, Speck and Träff 2009",
};

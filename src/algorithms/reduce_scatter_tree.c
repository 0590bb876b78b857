/* SPDX-License-Identifier: Apache-2.0
 *
 * reduce_scatter_tree.c - sums come together up a tree, and halves of the rows go down again.
 *
 *	rank      0           1     2     3        P = 4, all rows are under way
 *	round 0   +←——————————      +←————
 *	round 1   +←————————————————
 *	round 2   01                23             each gets the rows of the ranks behind it
 *	round 3   0           1     2     3
 *
 * A rank receives from all its children before it adds: what comes while another is waited for has its place. Sums and rows
 * that are under way to others wait in slots, one for each row.
 * Cost: 2 ceil(log2 P) rounds, but only 2(P-1) messages of all ranks together; n log2(P) bytes come to rank 0.
 * Use for small messages where ranks share cores: what counts is how many messages there are, not how many rounds.
 * Source: folklore.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

static int
least(int a, int b)
{
	return a < b ? a : b;
}

/* The rows first .. first+rows-1 of what came from one child, or (of = 0) of this rank's sum. */
static struct tt_span
sums(const struct tt_shape *shape, int of, int first, int rows)
{
	struct tt_span span = tt_slot(of * shape->nranks + first, first);

	span.along_rows = 1;
	span.rows = rows;
	return span;
}

/* true: there are any. */
static bool
add_children(struct tt_plan *plan, const struct tt_shape *shape, int span)
{
	const int n = shape->nranks, me = shape->rank;
	struct tt_span src[33] = {tt_span_rows(TT_IN, 0, n)};
	int children = 0;

	for (int d = 1; d < span && me + d < n; d *= 2) {
		src[1 + children] = sums(shape, children, 0, n);
		tt_plan_recv(plan, me + d, src[1 + children]);
		children++;
	}
	tt_plan_wait(plan);
	if (children)
		tt_plan_reduce(plan, sums(shape, 0, 0, n), src, 1 + children, me ? 0 : TT_FINAL);
	return children > 0;
}

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	const int n = shape->nranks, me = shape->rank;
	int span = 1; /* the rows for me .. me+span-1, as far as there are any, come through this rank */

	tt_plan_init(plan, "tree", shape);
	if (tt_build_alone(plan))
		return tt_plan_end(plan);
	tt_plan_tmp(plan, n * tt_log2_up(n), 1, 1);
	while (span < n && !(me & span))
		span *= 2;
	const int mine = least(span, n - me);
	const bool any = add_children(plan, shape, span);

	if (me) {
		tt_plan_send(plan, me - span, any ? sums(shape, 0, 0, n) : tt_span_rows(TT_IN, 0, n));
		tt_plan_wait(plan);
		tt_plan_recv(plan, me - span, mine > 1 ? sums(shape, 0, me, mine) : tt_out(0));
		tt_plan_wait(plan);
	}
	for (int d = span / 2; d; d /= 2)
		if (me + d < n)
			tt_plan_send(plan, me + d, sums(shape, 0, me + d, least(d, n - me - d)));
	if (mine > 1)
		tt_plan_copy(plan, tt_out(0), sums(shape, 0, me, 1));
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double others = nranks - 1, rounds = tt_log2_up(nranks), depth = tt_log2_down(nranks);

	return (struct tt_algorithm_cost){.messages = 2 * depth,
	    .overheads = 2 * (rounds - depth),
	    .bytes = rounds,
	    .both = rounds + (nranks > 1 ? others / nranks : 0),
	    .reduced = 1 + rounds,
	    .kept = 1.0 / nranks,
	    .leaves =
		tt_log2_up(nnodes) + (nnodes > 1 && !tt_is_power_of_two(nranks / nnodes)), /* subtrees across nodes */
	    .all_messages = 2 * others,
	    .all_bytes = others + tt_bruck_hops(nranks, 2),
	    .all_reduced = nranks > 1 ? 1.5 * nranks - 1 : 1};
}

const struct tt_algorithm tt_reduce_scatter_tree = {
    .name = "tree",
    .collective = TT_REDUCE_SCATTER,
    .flags = TT_ALG_UNEVEN,
    .make = make,
    .cost = cost,
    .summary = "sums come together up a tree and rows go down again; few messages, where ranks share cores",
    .source = "folklore",
};

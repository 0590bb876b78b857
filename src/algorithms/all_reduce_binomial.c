/* SPDX-License-Identifier: Apache-2.0
 *
 * all_reduce_binomial.c - sums come together up a tree, and the result goes down it again.
 *
 *	rank      0  1  2  3  4  5  6  7
 *	up        +←——  +←——  +←——  +←——
 *	          +←————      +←————
 *	          +←——————————
 *	down      ———————————→
 *	          —————→      —————→
 *	          ——→   ——→   ——→   ——→
 *
 * A rank receives from all its children, adds them and its own in one reduction and sends up.
 * Cost: 2 log2(P) rounds of n bytes, but only 2(P-1) messages of all ranks together.
 * Use for small and medium messages where ranks share cores: what counts is how many messages there are, not how many rounds.
 * Source: folklore.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

/* The sum of this rank and those below it is where it sends it from: OUT, or, of a leaf, IN. */
static bool
add_children(struct tt_plan *plan, const struct tt_shape *shape, int span)
{
	const int n = shape->nranks, me = shape->rank;
	struct tt_span src[33] = {tt_in(0)};
	int children = 0;

	for (int d = 1; d < span && me + d < n; d *= 2) {
		tt_plan_recv(plan, me + d, tt_slot(children, 0));
		src[1 + children] = tt_slot(children, 0);
		children++;
	}
	tt_plan_wait(plan);
	if (children)
		tt_plan_reduce(plan, tt_out(0), src, 1 + children, me ? 0 : TT_FINAL);
	return children > 0;
}

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	const int n = shape->nranks, me = shape->rank;
	int span = 1; /* of the ranks whose sum comes through this one */

	tt_plan_init(plan, "binomial", shape);
	if (tt_build_alone(plan))
		return tt_plan_end(plan);
	tt_plan_tmp(plan, tt_log2_up(n), 1, 1);
	while (span < n && !(me & span))
		span *= 2;
	const bool any = add_children(plan, shape, span);

	if (me) {
		tt_plan_send(plan, me - span, any ? tt_out(0) : tt_in(0));
		tt_plan_wait(plan);
		tt_plan_recv(plan, me - span, tt_out(0));
		tt_plan_wait(plan);
	}
	for (int d = span / 2; d; d /= 2)
		if (me + d < n)
			tt_plan_send(plan, me + d, tt_out(0));
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double others = nranks - 1, rounds = tt_log2_up(nranks), depth = tt_log2_down(nranks);

	return (struct tt_algorithm_cost){.messages = 2 * depth,
	    .overheads = 2 * (rounds - depth),
	    .bytes = rounds,
	    .reduced = 1 + rounds,
	    .leaves = nnodes > 1 ? tt_log2_up(nnodes) + (nranks > nnodes) : 0,
	    .all_messages = 2 * others,
	    .all_bytes = 2 * others,
	    .all_reduced = nranks > 1 ? 1.5 * nranks - 1 : 1};
}

const struct tt_algorithm tt_all_reduce_binomial = {
    .name = "binomial",
    .collective = TT_ALL_REDUCE,
    .flags = TT_ALG_NEIGHBOURS,
    .make = make,
    .cost = cost,
    .summary = "sums come together up a tree and the result goes down again; few messages, where ranks share cores",
    .source = "folklore",
};

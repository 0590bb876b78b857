/* SPDX-License-Identifier: Apache-2.0
 *
 * reduce_binomial.c - pairs, then pairs of pairs, towards the root.
 *
 *	rank      0  1  2  3  4  5  6  7        counted from the root
 *	          +←——  +←——  +←——  +←——
 *	          +←————      +←————
 *	          +←——————————
 *
 * A rank receives from all its children, adds them and its own in one reduction and sends up. Partial sums live in
 * scratch memory: only the root has a receive buffer.
 * Cost: log2(P) rounds of n bytes.
 * Use for small messages over many ranks.
 * Source: folklore.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	const int n = shape->nranks, me = shape->rank;

	tt_plan_init(plan, "binomial", shape);
	if (tt_build_alone(plan))
		return tt_plan_end(plan);
	const int v = tt_mod(me - shape->root, n);
	struct tt_span src[33];
	int span = 1, children = 0;

	tt_plan_tmp(plan, tt_log2_up(n), 1, 1);
	src[0] = tt_in(0);
	for (; span < n && !(v & span); span <<= 1) {
		if (v + span >= n)
			continue;
		tt_plan_recv(plan, tt_mod(me + span, n), tt_slot(children, 0));
		src[1 + children] = tt_slot(children, 0);
		children++;
	}
	tt_plan_wait(plan);
	if (v == 0) {
		tt_plan_reduce(plan, tt_out(0), src, 1 + children, TT_FINAL);
		return tt_plan_end(plan);
	}
	if (children)
		tt_plan_reduce(plan, tt_slot(0, 0), src, 1 + children, 0);
	tt_plan_send(plan, tt_mod(me - span, n), children ? tt_slot(0, 0) : tt_in(0));
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double rounds = tt_log2_up(nranks);

	return (struct tt_algorithm_cost){.messages = tt_log2_down(nranks),
	    .overheads = rounds - tt_log2_down(nranks),
	    .bytes = rounds,
	    .both = rounds,
	    .leaves = nnodes > 1 ? tt_log2_up(nnodes) + (nranks > nnodes) : 0, /* a root in the middle of its node */
	    .reduced = 1 + rounds,
	    .all_messages = nranks - 1,
	    .all_bytes = nranks - 1,
	    .all_reduced = nranks > 1 ? 1.5 * nranks - 1 : 1};
}

const struct tt_algorithm tt_reduce_binomial = {
    .name = "binomial",
    .collective = TT_REDUCE,
    .flags = TT_ALG_NEIGHBOURS,
    .make = make,
    .cost = cost,
    .summary = "pairs, then pairs of pairs, towards the root; many ranks",
    .source = "folklore",
};

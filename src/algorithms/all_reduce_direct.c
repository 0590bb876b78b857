/* SPDX-License-Identifier: Apache-2.0
 *
 * all_reduce_direct.c - part r of everyone goes to rank r, which adds and hands the sum to everyone.
 *
 *	rank      0          1          2
 *	          a0 a1 a2   b0 b1 b2   c0 c1 c2
 *	round 0   ←b0 ←c0    ←a1 ←c1    ←a2 ←b2     part r to rank r; one reduction in rank order
 *	round 1   s0→1,2     s1→0,2     s2→0,1      direct all-gather
 *
 * Cost per rank: 2 rounds, 2(P-1) messages, 2(P-1)/P n bytes, n reduced. One rounding.
 * Use in the middle: bandwidth-optimal with two latencies, as long as P-1 connections and messages are cheap.
 * Source: folklore ("two-shot").
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	const int n = shape->nranks;
	int *everyone;

	tt_plan_init(plan, "direct", shape);
	if (tt_build_alone(plan))
		return tt_plan_end(plan);
	if (n > 2) /* of two, what comes is added to what is there */
		tt_plan_tmp(plan, n - 1, 1, n);
	if (tt_build_everyone(plan, &everyone)) {
		const struct tt_lane lane = {.ranks = everyone, .n = n, .me = shape->rank, .of = n};

		tt_build_lane_direct(plan, &lane, TT_IN, TT_FINAL);
		tt_build_drop(everyone);
	}
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double others = nranks - 1;

	return (struct tt_algorithm_cost){.messages = nranks > 1 ? 2 : 0,
	    .overheads = nranks > 2 ? 2 * (others - 1) : 0,
	    .bytes = 2 * others / nranks,
	    .folded = nranks == 2 ? 0.5 : 0,
	    .reduced = 1};
}

const struct tt_algorithm tt_all_reduce_direct = {
    .name = "direct",
    .collective = TT_ALL_REDUCE,
    .flags = TT_ALG_ONE_ROUNDING,
    .make = make,
    .cost = cost,
    .summary = "part r to rank r, which adds in rank order and sends to all; medium messages, few ranks",
    .source = "folklore (two-shot)",
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * reduce_scatter_direct.c - row r of everyone goes to rank r, which adds.
 *
 *	rank      0        1        2
 *	          a0a1a2   b0b1b2   c0c1c2
 *	round 0   ←b0 ←c0  ←a1 ←c1  ←a2 ←b2      one exchange, one reduction in rank order
 *
 * Cost per rank: 1 round, P-1 messages, (P-1)/P n bytes, n reduced. One rounding. Serves uneven rows.
 * Use as long as P-1 connections and messages are cheap.
 * Source: folklore.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	const int n = shape->nranks, me = shape->rank;

	tt_plan_init(plan, "direct", shape);
	if (tt_build_alone(plan))
		return tt_plan_end(plan);
	if (n == 2) {
		tt_plan_send(plan, 1 - me, tt_in(1 - me));
		tt_plan_recv_reduce(plan, 1 - me, tt_out(0), tt_in(me), TT_FINAL | (me == 1 ? TT_MESSAGE_FIRST : 0));
		return tt_plan_end(plan);
	}
	tt_plan_tmp(plan, n - 1, 1, 1);
	for (int k = 1; k < n; k++) {
		const int to = tt_mod(me + k, n), from = tt_mod(me - k, n);

		tt_plan_send(plan, to, tt_in(to));
		tt_plan_recv(plan, from, tt_slot(tt_slot_of(from, me), me));
	}
	tt_plan_wait(plan);
	tt_build_reduce_all(plan, tt_out(0), tt_in(me), tt_slot(0, me));
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double others = nranks - 1;

	return (struct tt_algorithm_cost){.messages = nranks > 1,
	    .overheads = nranks > 2 ? others - 1 : 0,
	    .bytes = others / nranks,
	    .folded = nranks == 2 ? 0.5 : 0,
	    .reduced = 1};
}

const struct tt_algorithm tt_reduce_scatter_direct = {
    .name = "direct",
    .collective = TT_REDUCE_SCATTER,
    .flags = TT_ALG_ONE_ROUNDING | TT_ALG_UNEVEN,
    .make = make,
    .cost = cost,
    .summary = "row r to rank r, which adds in rank order; medium messages, few ranks",
    .source = "folklore",
};

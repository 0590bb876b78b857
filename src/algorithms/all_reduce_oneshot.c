/* SPDX-License-Identifier: Apache-2.0
 *
 * all_reduce_oneshot.c - everyone sends everything to everyone, then adds.
 *
 *	rank      0        1        2
 *	round 0   a→1,2    b→0,2    c→0,1       one exchange
 *	          a+b+c    a+b+c    a+b+c       each adds all, in rank order, in one reduction
 *
 * Cost per rank: 1 round, P-1 messages, (P-1) n bytes, P n reduced. One rounding.
 * Use for the smallest messages, and where ranks share cores: nobody waits twice.
 * Source: folklore; the cheapest in rounds that an all-reduce can be.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	const int n = shape->nranks, me = shape->rank;

	tt_plan_init(plan, "oneshot", shape);
	if (tt_build_alone(plan))
		return tt_plan_end(plan);
	tt_plan_tmp(plan, n - 1, 1, 1);
	for (int k = 1; k < n; k++) {
		const int to = tt_mod(me + k, n), from = tt_mod(me - k, n);

		tt_plan_send(plan, to, tt_in(0));
		tt_plan_recv(plan, from, tt_slot(tt_slot_of(from, me), 0));
	}
	tt_plan_wait(plan);
	tt_build_reduce_all(plan, tt_out(0), tt_in(0), tt_slot(0, 0));
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	return (struct tt_algorithm_cost){
	    .messages = nranks > 1, .overheads = nranks > 2 ? nranks - 2 : 0, .bytes = nranks - 1, .reduced = nranks};
}

const struct tt_algorithm tt_all_reduce_oneshot = {
    .name = "oneshot",
    .collective = TT_ALL_REDUCE,
    .flags = TT_ALG_ONE_ROUNDING,
    .make = make,
    .cost = cost,
    .summary = "everyone sends everything to everyone and adds in rank order; smallest messages",
    .source = "folklore",
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * reduce_direct.c - everyone sends to the root, which adds.
 *
 *	rank      0     1     2     3           root 0
 *	round 0   ←1    ←2    ←3                one reduction in rank order
 *
 * One message alone is added as it arrives.
 * Cost at the root: 1 round, P-1 messages, (P-1) n bytes, P n reduced. One rounding.
 * Use for small messages and few ranks, and where the order of summation must be the ranks'.
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
	if (n > 2)
		tt_plan_tmp(plan, n - 1, 1, 1);
	if (me != shape->root) {
		tt_plan_send(plan, shape->root, tt_in(0));
		return tt_plan_end(plan);
	}
	if (n == 2) {
		tt_plan_recv_reduce(plan, 1 - me, tt_out(0), tt_in(0), TT_FINAL | (me == 1 ? TT_MESSAGE_FIRST : 0));
		return tt_plan_end(plan);
	}
	for (int k = 1; k < n; k++) {
		const int from = tt_mod(me + k, n);

		tt_plan_recv(plan, from, tt_slot(tt_slot_of(from, me), 0));
	}
	tt_plan_wait(plan);
	tt_build_reduce_all(plan, tt_out(0), tt_in(0), tt_slot(0, 0));
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double others = nranks - 1;

	return (struct tt_algorithm_cost){.messages = nranks > 1,
	    .overheads = nranks > 2 ? others - 1 : 0,
	    .bytes = others,
	    .both = others,
	    .folded = nranks == 2,
	    .reduced = nranks,
	    .all_messages = others,
	    .all_bytes = others,
	    .all_reduced = nranks};
}

const struct tt_algorithm tt_reduce_direct = {
    .name = "direct",
    .collective = TT_REDUCE,
    .flags = TT_ALG_ONE_ROUNDING,
    .make = make,
    .cost = cost,
    .summary = "everyone sends to the root, which adds in rank order; small messages, few ranks",
    .source = "folklore",
};

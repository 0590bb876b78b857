/* SPDX-License-Identifier: Apache-2.0
 *
 * all_gather_ring.c - rows go round the ring.
 *
 *	rank      0      1      2      3        P = 4, one column per rank,
 *	round 0   0>     1>     2>     3>       "b>" = sends row b to the
 *	round 1   3>     0>     1>     2>       right
 *	round 2   2>     3>     0>     1>
 *
 * Cost per rank: P-1 rounds of one message, (P-1)/P n bytes. Serves uneven rows.
 * Use for large messages and where only neighbours are well connected.
 * Source: folklore.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	const int n = shape->nranks, me = shape->rank;

	tt_plan_init(plan, "ring", shape);
	if (tt_build_alone(plan))
		return tt_plan_end(plan);
	for (int k = 0; k < n - 1; k++) {
		tt_plan_send(plan, tt_mod(me + 1, n), k ? tt_out(tt_mod(me - k, n)) : tt_in(0));
		tt_plan_recv(plan, tt_mod(me - 1, n), tt_out(tt_mod(me - 1 - k, n)));
		if (k == 0)
			tt_build_own_row(plan, me, 0);
		tt_plan_wait(plan);
	}
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double others = nranks - 1;

	return (struct tt_algorithm_cost){.messages = others, .bytes = others / nranks, .kept = 1.0 / nranks};
}

const struct tt_algorithm tt_all_gather_ring = {
    .name = "ring",
    .collective = TT_ALL_GATHER,
    .flags = TT_ALG_UNEVEN | TT_ALG_NEIGHBOURS,
    .make = make,
    .cost = cost,
    .summary = "rows go round the ring; large messages, neighbours only",
    .source = "folklore",
};

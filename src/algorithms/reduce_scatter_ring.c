/* SPDX-License-Identifier: Apache-2.0
 *
 * reduce_scatter_ring.c - each row goes once round the ring.
 *
 *	rank      0      1      2      3        P = 4, one column per rank,
 *	round 0   3>     0>     1>     2>       "b>" = sends row b to the
 *	round 1   2>     3>     0>     1>       right; every receive adds the
 *	round 2   1>     2>     3>     0>       rank's own contribution.
 *	          0      1      2      3        <- rows complete here
 *
 * Partial sums live in two slots that take turns: the send buffer is never written.
 * Cost per rank: P-1 rounds of one message, (P-1)/P n bytes and as much added. Serves uneven rows.
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
	tt_plan_tmp(plan, 2, 1, 1);
	for (int k = 0; k < n - 1; k++) {
		const int give = tt_mod(me - 1 - k, n), take = tt_mod(me - 2 - k, n);
		const bool last = k == n - 2;

		tt_plan_send(plan, tt_mod(me + 1, n), k ? tt_slot((k - 1) % 2, give) : tt_in(give));
		tt_plan_recv_reduce(plan, tt_mod(me - 1, n), last ? tt_out(0) : tt_slot(k % 2, take), tt_in(take),
		    last ? TT_FINAL : 0);
		tt_plan_wait(plan);
	}
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double others = nranks - 1;

	return (struct tt_algorithm_cost){.messages = others,
	    .bytes = others / nranks,
	    .folded = others / nranks,
	    .reduced = nranks > 1 ? 2 * others / nranks : 1};
}

const struct tt_algorithm tt_reduce_scatter_ring = {
    .name = "ring",
    .collective = TT_REDUCE_SCATTER,
    .flags = TT_ALG_UNEVEN | TT_ALG_NEIGHBOURS,
    .make = make,
    .cost = cost,
    .summary = "each row goes once round the ring; large messages, neighbours only",
    .source = "folklore",
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * all_reduce_ring.c - all-reduce on a ring.
 *
 * The row is cut into P parts. Each starts at its home and travels once round the ring collecting contributions,
 * then once more handing out the total:
 *
 *	rank      0      1      2      3        P = 4, one column per rank,
 *	round 0   0>     1>     2>     3>       "b>" = sends part b to the
 *	round 1   3>     0>     1>     2>       right; every receive adds the
 *	round 2   2>     3>     0>     1>       rank's own contribution.
 *	          1      2      3      0        <- parts complete here
 *
 * Cost per rank: 2(P-1) rounds of one message, 2(P-1)/P n bytes, (P-1)/P n added. The order of summation differs
 * between parts but not between ranks.
 * Use for large messages and where only neighbours are well connected; latency grows with P.
 * Source: Patarasuk and Yuan, "Bandwidth optimal all-reduce algorithms for clusters of workstations", 2009.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	const int n = shape->nranks, me = shape->rank;
	const int right = tt_mod(me + 1, n), left = tt_mod(me - 1, n);

	tt_plan_init(plan, "ring", shape);
	if (tt_build_alone(plan))
		return tt_plan_end(plan);
	for (int k = 0; k < n - 1; k++) {
		const int give = tt_mod(me - k, n), take = tt_mod(me - k - 1, n);

		tt_plan_send(plan, right, tt_span_part(k ? TT_OUT : TT_IN, 0, give, 1, n));
		tt_plan_recv_reduce(plan, left, tt_span_part(TT_OUT, 0, take, 1, n),
		    tt_span_part(TT_IN, 0, take, 1, n), k == n - 2 ? TT_FINAL : 0);
		tt_plan_wait(plan);
	}
	for (int k = 0; k < n - 1; k++) {
		tt_plan_send(plan, right, tt_span_part(TT_OUT, 0, tt_mod(me + 1 - k, n), 1, n));
		tt_plan_recv(plan, left, tt_span_part(TT_OUT, 0, tt_mod(me - k, n), 1, n));
		tt_plan_wait(plan);
	}
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double others = nranks - 1;

	return (struct tt_algorithm_cost){.messages = 2 * others,
	    .bytes = 2 * others / nranks,
	    .folded = others / nranks,
	    .reduced = nranks > 1 ? 2 * others / nranks : 1};
}

const struct tt_algorithm tt_all_reduce_ring = {
    .name = "ring",
    .collective = TT_ALL_REDUCE,
    .flags = TT_ALG_NEIGHBOURS,
    .make = make,
    .cost = cost,
    .summary = "each part goes round the ring twice; large messages, neighbours only",
    .source = "Patarasuk and Yuan 2009",
};

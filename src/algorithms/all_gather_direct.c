/* SPDX-License-Identifier: Apache-2.0
 *
 * all_gather_direct.c - everyone sends its row to everyone.
 *
 *	rank      0        1        2
 *	          a        b        c
 *	round 0   ←b ←c    ←a ←c    ←a ←b        one exchange, straight into place
 *
 * Cost per rank: 1 round, P-1 messages, (P-1)/P n bytes. Serves uneven rows.
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
	for (int k = 1; k < n; k++) {
		const int to = tt_mod(me + k, n), from = tt_mod(me - k, n);

		tt_plan_send(plan, to, tt_in(0));
		tt_plan_recv(plan, from, tt_out(from));
	}
	tt_build_own_row(plan, me, 0);
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double others = nranks - 1;

	return (struct tt_algorithm_cost){.messages = nranks > 1,
	    .overheads = nranks > 2 ? others - 1 : 0,
	    .bytes = others / nranks,
	    .kept = 1.0 / nranks};
}

const struct tt_algorithm tt_all_gather_direct = {
    .name = "direct",
    .collective = TT_ALL_GATHER,
    .flags = TT_ALG_UNEVEN,
    .make = make,
    .cost = cost,
    .summary = "everyone sends its row to everyone; one latency, few ranks",
    .source = "folklore",
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * all_to_all_direct.c - exchange with everybody at once.
 *
 *	rank r    r-2 ↔ r-1 ↔ r ↔ r+1 ↔ r+2 ...      up to 32 peers at a time
 *
 * In place, what arrives waits in a slot until what it replaces has left.
 * Cost per rank: one latency for 32 peers, P-1 messages, (P-1)/P n bytes. Serves uneven rows.
 * Use where latencies are long and receivers are not easily flooded.
 * Source: folklore.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

enum { WINDOW = 16 /* distances in flight: 32 peers */ };

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	tt_plan_init(plan, "direct", shape);
	if (!tt_build_alone(plan))
		tt_build_pairwise(plan, WINDOW);
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double others = nranks - 1, rounds = (nranks / 2 + WINDOW - 1) / WINDOW;

	return (struct tt_algorithm_cost){.messages = rounds,
	    .overheads = others > rounds ? others - rounds : 0,
	    .bytes = others / nranks,
	    .kept = 1.0 / nranks};
}

const struct tt_algorithm tt_all_to_all_direct = {
    .name = "direct",
    .collective = TT_ALL_TO_ALL,
    .flags = TT_ALG_UNEVEN,
    .make = make,
    .cost = cost,
    .summary = "exchange with everybody at once; long latencies",
    .source = "folklore",
};

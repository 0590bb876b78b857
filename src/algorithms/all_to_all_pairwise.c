/* SPDX-License-Identifier: Apache-2.0
 *
 * all_to_all_pairwise.c - exchange with the ranks at distance 1, 2, 3, ... on both sides.
 *
 *	rank r    r-1 ↔ r ↔ r+1      distance 1
 *	          r-2 ↔ r ↔ r+2      distance 2
 *	          ...                up to P/2: everybody once
 *
 * A few distances are in flight at a time, so that no receiver is flooded. A row's way out and its way in belong to
 * the same pair and the same window: in place, what arrives waits in a slot until what it replaces has left.
 * Cost per rank: P-1 messages, (P-1)/P n bytes. Serves uneven rows.
 * Source: folklore.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

enum { WINDOW = 4 /* distances in flight: 8 peers */ };

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	tt_plan_init(plan, "pairwise", shape);
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

const struct tt_algorithm tt_all_to_all_pairwise = {
    .name = "pairwise",
    .collective = TT_ALL_TO_ALL,
    .flags = TT_ALG_UNEVEN,
    .make = make,
    .cost = cost,
    .summary = "exchange with the ranks at distance 1, 2, 3, ..., a few at a time",
    .source = "folklore",
};

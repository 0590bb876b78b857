/* SPDX-License-Identifier: Apache-2.0
 *
 * all_to_all_bruck.c - rows travel in log2(P) hops, many together.
 *
 *	P = 4     slot i = the row for rank r+i
 *	round 0   slots 1 3 → r+1       all rows whose distance has bit 0 set go one further
 *	round 1   slots 2 3 → r+2       bit 1: two further
 *	          slot i has arrived: it is the row from rank r-i
 *
 * Rows that travel together are packed, sent as one message and unpacked.
 * Cost: ceil(log2 P) rounds, log2(P)/2 n bytes, each packed and unpacked.
 * Use for the smallest messages over many ranks.
 * Source: Bruck et al., "Efficient algorithms for all-to-all communications in multiport message-passing systems", 1997.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	tt_plan_init(plan, "bruck", shape);
	if (!tt_build_alone(plan))
		tt_build_bruck(plan, 2);
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double hops = tt_bruck_hops(nranks, 2);

	return (struct tt_algorithm_cost){.messages = tt_log2_up(nranks), .bytes = hops, .kept = 2 + 2 * hops};
}

const struct tt_algorithm tt_all_to_all_bruck = {
    .name = "bruck",
    .collective = TT_ALL_TO_ALL,
    .make = make,
    .cost = cost,
    .summary = "rows travel in log2(P) hops, many together; smallest messages over many ranks",
    .source = "Bruck et al. 1997",
};

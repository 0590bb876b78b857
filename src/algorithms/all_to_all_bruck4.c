/* SPDX-License-Identifier: Apache-2.0
 *
 * all_to_all_bruck4.c - rows travel in log4(P) hops, many together.
 *
 *	P = 16    slot i = the row for rank r+i
 *	round 0   slots 1 5 9 13 → r+1      2 6 10 14 → r+2     3 7 11 15 → r+3       by the distance's last digit
 *	round 1   slots 4 5 6 7 → r+4       8 9 10 11 → r+8     12 13 14 15 → r+12    by the digit before
 *	          slot i has arrived: it is the row from rank r-i
 *
 * Cost: ceil(log4 P) rounds of 3 messages, 3/4 log4(P) n bytes, each packed and unpacked.
 * Use for small messages over many ranks where posting is cheap beside a latency.
 * Source: Bruck et al., "Efficient algorithms for all-to-all communications in multiport message-passing systems", 1997.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	tt_plan_init(plan, "bruck4", shape);
	if (!tt_build_alone(plan))
		tt_build_bruck(plan, 4);
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const int rounds = (tt_log2_up(nranks) + 1) / 2;
	const double hops = tt_bruck_hops(nranks, 4);

	return (struct tt_algorithm_cost){
	    .messages = rounds, .overheads = tt_radix4_peers(nranks) - rounds, .bytes = hops, .kept = 2 + 2 * hops};
}

const struct tt_algorithm tt_all_to_all_bruck4 = {
    .name = "bruck4",
    .collective = TT_ALL_TO_ALL,
    .make = make,
    .cost = cost,
    .summary = "rows travel in log4(P) hops, many together; small messages over many ranks, cheap posting",
    .source = "Bruck et al. 1997",
};

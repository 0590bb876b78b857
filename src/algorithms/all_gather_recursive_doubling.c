/* SPDX-License-Identifier: Apache-2.0
 *
 * all_gather_recursive_doubling.c - exchange all one has at distance 1, 2, 4, ...
 *
 * 	rank      0      1      2      3            P = 4: a power of two
 * 	          0      1      2      3
 * 	round 0   01     01     23     23           with the neighbour
 * 	round 1   0123   0123   0123   0123         at distance 2
 *
 * Near first: where neighbours share a node, the large messages are the last.
 * Cost: log2(P) rounds, (P-1)/P n bytes. Serves uneven rows.
 * Use over a power of two of ranks: messages to one partner a round, each in one piece.
 * Source: Thakur, Rabenseifner and Gropp, "Optimization of collective communication operations in MPICH", 2005.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	const int n = shape->nranks, me = shape->rank;

	tt_plan_init(plan, "recursive_doubling", shape);
	if (tt_build_alone(plan))
		return tt_plan_end(plan);
	tt_build_own_row(plan, me, 0);
	for (int rows = 1; rows < n; rows *= 2) {
		const int mine = me / rows * rows, theirs = mine ^ rows;

		tt_plan_send(plan, me ^ rows, tt_span_rows(TT_OUT, mine, rows));
		tt_plan_recv(plan, me ^ rows, tt_span_rows(TT_OUT, theirs, rows));
		tt_plan_wait(plan);
	}
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	return (struct tt_algorithm_cost){
	    .messages = tt_log2_up(nranks), .bytes = (nranks - 1.0) / nranks, .kept = 1.0 / nranks};
}

const struct tt_algorithm tt_all_gather_recursive_doubling = {
    .name = "recursive_doubling",
    .collective = TT_ALL_GATHER,
    .flags = TT_ALG_POWER_OF_TWO | TT_ALG_UNEVEN,
    .make = make,
    .cost = cost,
    .summary = "exchange all one has at distance 1, 2, 4, ...; a power of two of ranks",
    .source = "Thakur, Rabenseifner and Gropp 2005",
};

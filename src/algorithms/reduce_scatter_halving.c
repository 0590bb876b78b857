/* SPDX-License-Identifier: Apache-2.0
 *
 * reduce_scatter_halving.c - halve the rows one works for while halving the distance.
 *
 * 	rank      0        1        2        3          P = 4: a power of two
 * 	          0123     0123     0123     0123
 * 	round 0   01       01       23       23         with the rank at distance 2: its half is given away
 * 	round 1   0        1        2        3          at distance 1
 *
 * Partial sums live in slots: the send buffer is never written.
 * Cost: log2(P) rounds, (P-1)/P n bytes and as much added. Serves uneven rows.
 * Use over a power of two of ranks: messages to one partner a round, each in one piece.
 * Source: Thakur, Rabenseifner and Gropp, "Optimization of collective communication operations in MPICH", 2005.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

/* Rows first, first+1, ... as slots; those of this rank's half of all ranks have slots 0, 1, ... */
static struct tt_span
sums(int first, int rows, int half)
{
	struct tt_span span = tt_slot(first % half, first);

	span.along_rows = 1;
	span.rows = rows;
	return span;
}

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	const int n = shape->nranks, me = shape->rank, half = n / 2;

	tt_plan_init(plan, "halving", shape);
	if (tt_build_alone(plan))
		return tt_plan_end(plan);
	tt_plan_tmp(plan, half, 1, 1);
	for (int rows = half; rows; rows /= 2) {
		const int keep = me / rows * rows, give = keep ^ rows;
		const bool first = rows == half, last = rows == 1;

		tt_plan_send(plan, me ^ rows, first ? tt_span_rows(TT_IN, give, rows) : sums(give, rows, half));
		tt_plan_recv_reduce(plan, me ^ rows, last ? tt_out(0) : sums(keep, rows, half),
		    first ? tt_span_rows(TT_IN, keep, rows) : sums(keep, rows, half),
		    (me & rows ? TT_MESSAGE_FIRST : 0) | (last ? TT_FINAL : 0));
		tt_plan_wait(plan);
	}
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double others = nranks - 1;

	return (struct tt_algorithm_cost){.messages = tt_log2_up(nranks),
	    .bytes = others / nranks,
	    .folded = others / nranks,
	    .reduced = nranks > 1 ? 2 * others / nranks : 1};
}

const struct tt_algorithm tt_reduce_scatter_halving = {
    .name = "halving",
    .collective = TT_REDUCE_SCATTER,
    .flags = TT_ALG_POWER_OF_TWO | TT_ALG_UNEVEN,
    .make = make,
    .cost = cost,
    .summary = "halve the rows one works for while halving the distance; a power of two of ranks",
    .source = "Thakur, Rabenseifner and Gropp 2005",
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * reduce_scatter_circulant.c - sums gather over a circulant graph in log2(P) rounds.
 *
 *	P = 6, R[i] = row r+i         skips 6 3 2 1
 *	round 0   R[3..5] → r+3       added there to R[0..2]
 *	round 1   R[2]    → r+2       added to R[0]
 *	round 2   R[1]    → r+1       added to R[0]: row r is complete
 *
 * With skips s' = ceil(s/2), a rank sends R[s'..s-1] to rank r+s' and adds what comes from r-s' to R[0..s-s'-1].
 * Partial sums live in slots; of an odd number of rows the middle one is copied there first.
 * Cost: ceil(log2 P) rounds, (P-1)/P n bytes and as much added, any P: all least possible. Serves uneven rows.
 * Use wherever ranks are equally far from each other.
 * Source: Träff, "Optimal, non-pipelined reduce-scatter and all-reduce algorithms", 2024.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

/* R[first..first+rows-1] in slots. */
static struct tt_span
sums(const struct tt_shape *shape, int first, int rows)
{
	struct tt_span span = tt_slot(first, tt_mod(shape->rank + first, shape->nranks));

	span.along_rows = 1;
	span.rows = rows;
	return span;
}

static void
add_up(struct tt_plan *plan, const struct tt_shape *shape, int k)
{
	const int n = shape->nranks, me = shape->rank;
	const int from = tt_skip(n, k), rows = tt_skip(n, k - 1) - from;
	const bool first = k == 1, last = from == 1;

	tt_plan_send(plan, tt_mod(me + from, n),
	    first ? tt_span_rows(TT_IN, tt_mod(me + from, n), rows) : sums(shape, from, rows));
	tt_plan_recv_reduce(plan, tt_mod(me - from, n), last ? tt_out(0) : sums(shape, 0, rows),
	    first ? tt_span_rows(TT_IN, me, rows) : sums(shape, 0, rows), last ? TT_FINAL : 0);
	tt_plan_wait(plan);
}

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	const int n = shape->nranks, me = shape->rank;

	tt_plan_init(plan, "circulant", shape);
	if (tt_build_alone(plan))
		return tt_plan_end(plan);
	tt_plan_tmp(plan, (n + 1) / 2, 1, 1);
	if (n % 2)
		tt_plan_copy(plan, sums(shape, n / 2, 1), tt_in(tt_mod(me + n / 2, n)));
	for (int k = 1; k <= tt_log2_up(n); k++)
		add_up(plan, shape, k);
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double others = nranks - 1;

	return (struct tt_algorithm_cost){.messages = tt_log2_up(nranks),
	    .bytes = others / nranks,
	    .folded = others / nranks,
	    .reduced = nranks > 1 ? 2 * others / nranks : 1,
	    .kept = nranks > 2 ? 0.5 : 0};
}

const struct tt_algorithm tt_reduce_scatter_circulant = {
    .name = "circulant",
    .collective = TT_REDUCE_SCATTER,
    .flags = TT_ALG_UNEVEN,
    .make = make,
    .cost = cost,
    .summary = "sums gather over a circulant graph: fewest rounds, fewest bytes, any number of ranks",
    .source = "Träff 2024",
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * reduce_scatter_gather.c - all add parts over a circulant graph, then the root gathers them.
 *
 * 	rank      0        1        2        3         counted from the root, P = 4
 * 	          0123     0123     0123     0123
 * 	add       0        1        2        3         part v is complete at rank v
 * 	gather    01       :        23                 up a binomial tree
 * 	          0123
 *
 * Partial sums live in slots, a part in each: only the root has a receive buffer.
 * Cost: 2 ceil(log2 P) rounds, 2(P-1)/P n bytes, (P-1)/P n added.
 * Use for large messages.
 * Source: Rabenseifner, "Optimization of collective reduction operations", 2004; Träff 2024 for the first half.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

/* Parts v+first, v+first+1, ... in slots first, first+1, ... */
static struct tt_span
sums(int n, int v, int first, int rows)
{
	struct tt_span span = tt_span_slot(first, 0, tt_mod(v + first, n), 1, n);

	span.rows = rows;
	return span;
}

static void
add_up(struct tt_plan *plan, int v, int k)
{
	const int n = plan->shape.nranks, me = plan->shape.rank;
	const int from = tt_skip(n, k), rows = tt_skip(n, k - 1) - from;
	const bool first = k == 1, last = from == 1;

	tt_plan_send(plan, tt_mod(me + from, n),
	    first ? tt_span_part(TT_IN, 0, tt_mod(v + from, n), rows, n) : sums(n, v, from, rows));
	tt_plan_recv_reduce(plan, tt_mod(me - from, n),
	    last && v == 0 ? tt_span_part(TT_OUT, 0, 0, 1, n) : sums(n, v, 0, rows),
	    first ? tt_span_part(TT_IN, 0, v, rows, n) : sums(n, v, 0, rows), last ? TT_FINAL : 0);
	tt_plan_wait(plan);
}

/* The parts v .. v+span-1 come together at this rank and go up. */
static void
gather(struct tt_plan *plan, int v)
{
	const int n = plan->shape.nranks, me = plan->shape.rank;
	int span = 1;

	for (; span < n && !(v & span); span *= 2) {
		const int rest = n - v - span, parts = rest < span ? rest : span;

		if (rest > 0)
			tt_plan_recv(plan, tt_mod(me + span, n),
			    v ? sums(n, v, span, parts) : tt_span_part(TT_OUT, 0, span, parts, n));
	}
	tt_plan_wait(plan);
	if (v)
		tt_plan_send(plan, tt_mod(me - span, n), sums(n, v, 0, n - v < span ? n - v : span));
}

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	const int n = shape->nranks, v = tt_mod(shape->rank - shape->root, n);

	tt_plan_init(plan, "scatter_gather", shape);
	if (tt_build_alone(plan))
		return tt_plan_end(plan);
	tt_plan_tmp(plan, (n + 1) / 2, 1, n);
	if (n % 2)
		tt_plan_copy(plan, sums(n, v, n / 2, 1), tt_span_part(TT_IN, 0, tt_mod(v + n / 2, n), 1, n));
	for (int k = 1; k <= tt_log2_up(n); k++)
		add_up(plan, v, k);
	gather(plan, v);
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double others = nranks - 1, rounds = tt_log2_up(nranks), all = others + tt_bruck_hops(nranks, 2);

	return (struct tt_algorithm_cost){.messages = 2 * rounds,
	    .bytes = 2 * others / nranks,
	    .both = 3 * others / nranks,
	    .folded = others / nranks,
	    .reduced = nranks > 1 ? 2 * others / nranks : 1,
	    .all_messages = rounds * nranks + others,
	    .leaves = nnodes > 1 && nnodes < nranks ? all / nnodes : 0,
	    .all_bytes = all};
}

const struct tt_algorithm tt_reduce_scatter_gather = {
    .name = "scatter_gather",
    .collective = TT_REDUCE,
    .make = make,
    .cost = cost,
    .summary = "all add parts over a circulant graph, the root gathers them; large messages",
    .source = "Rabenseifner 2004",
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * scatter_binomial.c - halves of the rows go down a tree.
 *
 * 	rank      0           1     2     3             counted from the root, P = 4
 * 	          0123
 * 	round 0   01                23                  the rows for the farther half of the ranks
 * 	round 1   0           1     2     3
 *
 * Rows that are under way to others wait in slots.
 * Cost: ceil(log2 P) rounds; log2(P)/2 of a row's bytes per rank, (P-1)/P n at the root.
 * Use for small rows over many ranks.
 * Source: folklore.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

/* The rows of the ranks v .. v+rows-1 from the root in slots 0, 1, ... */
static struct tt_span
held(const struct tt_shape *shape, int v, int first, int rows)
{
	struct tt_span span = tt_slot(first, tt_mod(shape->root + v + first, shape->nranks));

	span.along_rows = 1;
	span.rows = rows;
	return span;
}

static int
least(int a, int b)
{
	return a < b ? a : b;
}

/* Where the rows for ranks v+first .. are: at the root in its send buffer. */
static struct tt_span
rows_of(const struct tt_shape *shape, int v, int first, int rows)
{
	if (v)
		return held(shape, v, first, rows);
	return tt_span_rows(TT_IN, tt_mod(shape->root + first, shape->nranks), rows);
}

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	const int n = shape->nranks, me = shape->rank, v = tt_mod(me - shape->root, n);
	int span = 1; /* the rows for v .. v+span-1 come through this rank */

	tt_plan_init(plan, "binomial", shape);
	if (tt_build_alone(plan))
		return tt_plan_end(plan);
	tt_plan_tmp(plan, n / 2, 1, 1);
	while (span < n && !(v & span))
		span *= 2;
	const int mine = least(span, n - v);

	if (v) {
		tt_plan_recv(plan, tt_mod(me - span, n), mine > 1 ? held(shape, v, 0, mine) : tt_out(0));
		tt_plan_wait(plan);
	}
	for (int d = span / 2; d; d /= 2)
		if (v + d < n)
			tt_plan_send(plan, tt_mod(me + d, n), rows_of(shape, v, d, least(d, n - v - d)));
	if (v == 0)
		tt_build_own_row(plan, 0, me);
	else if (mine > 1)
		tt_plan_copy(plan, tt_out(0), held(shape, v, 0, 1));
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double others = nranks - 1, rounds = tt_log2_up(nranks);

	return (struct tt_algorithm_cost){.messages = tt_log2_down(nranks),
	    .overheads = rounds - tt_log2_down(nranks),
	    .bytes = others / nranks,
	    .both = others / nranks,
	    .kept = 2.0 / nranks,
	    .all_messages = others,
	    .all_bytes = tt_bruck_hops(nranks, 2)};
}

const struct tt_algorithm tt_scatter_binomial = {
    .name = "binomial",
    .collective = TT_SCATTER,
    .make = make,
    .cost = cost,
    .summary = "halves of the rows go down a tree; small rows over many ranks",
    .source = "folklore",
};

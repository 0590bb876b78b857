/* SPDX-License-Identifier: Apache-2.0
 *
 * gather_binomial.c - rows come together up a tree.
 *
 * 	rank      0           1     2     3             counted from the root, P = 4
 * 	          0           1     2     3
 * 	round 0   01                23                  with the neighbour's
 * 	round 1   0123                                  with those of the farther half
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

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	const int n = shape->nranks, me = shape->rank, v = tt_mod(me - shape->root, n);
	int span = 1, mine = 1; /* the rows of v .. v+mine-1 come through this rank */

	tt_plan_init(plan, "binomial", shape);
	if (tt_build_alone(plan))
		return tt_plan_end(plan);
	tt_plan_tmp(plan, n / 2, 1, 1);
	for (; span < n && !(v & span); span *= 2) {
		const int rows = least(span, n - v - span), from = tt_mod(me + span, n);

		if (rows <= 0)
			continue;
		tt_plan_recv(plan, from, v ? held(shape, v, span, rows) : tt_span_rows(TT_OUT, from, rows));
		mine = span + rows;
	}
	if (v == 0)
		tt_build_own_row(plan, me, 0);
	else if (mine > 1)
		tt_plan_copy(plan, held(shape, v, 0, 1), tt_in(0));
	tt_plan_wait(plan);
	if (v)
		tt_plan_send(plan, tt_mod(me - span, n), mine > 1 ? held(shape, v, 0, mine) : tt_in(0));
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

const struct tt_algorithm tt_gather_binomial = {
    .name = "binomial",
    .collective = TT_GATHER,
    .make = make,
    .cost = cost,
    .summary = "rows come together up a tree; small rows over many ranks",
    .source = "folklore",
};

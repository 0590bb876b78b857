/* SPDX-License-Identifier: Apache-2.0
 *
 * reduce_knomial.c - groups of four, then groups of groups, towards the root.
 *
 * 	rank      0 ← 1 2 3    4 ← 5 6 7    ...     counted from the root, P = 64: 3 rounds
 * 	          0 ← 4 8 12   16 ← 20 24 28   ...
 * 	          0 ← 16 32 48
 *
 * A rank receives from all its children, adds them and its own in one reduction and sends up. Partial sums live in
 * scratch memory: only the root has a receive buffer.
 * Cost: log4(P) rounds of 3 messages of n bytes.
 * Use for small messages where posting is cheap beside a latency.
 * Source: folklore.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

enum { RADIX = 4, MOST_CHILDREN = 3 * 16 };

/* Ranks that send to the one that is `v` from the root: how many of the radix tree's levels it heads. */
static int
span_of(int v, int n)
{
	int span = 1;

	while (span < n && v % (RADIX * span) == 0)
		span *= RADIX;
	return span;
}

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	const int n = shape->nranks, me = shape->rank;

	tt_plan_init(plan, "knomial", shape);
	if (tt_build_alone(plan))
		return tt_plan_end(plan);
	const int v = tt_mod(me - shape->root, n), span = span_of(v, n), rounds = (tt_log2_up(n) + 1) / 2;
	struct tt_span src[1 + MOST_CHILDREN];
	int children = 0;

	tt_plan_tmp(plan, (RADIX - 1) * rounds, 1, 1);
	src[0] = tt_in(0);
	for (int distance = 1; distance < span; distance *= RADIX)
		for (int j = 1; j < RADIX && v + j * distance < n; j++) {
			src[1 + children] = tt_slot(children, 0);
			tt_plan_recv(plan, tt_mod(me + j * distance, n), tt_slot(children++, 0));
		}
	tt_plan_wait(plan);
	if (children || v == 0)
		tt_plan_reduce(plan, v ? tt_slot(0, 0) : tt_out(0), src, 1 + children, v ? 0 : TT_FINAL);
	if (v)
		tt_plan_send(plan, tt_mod(me - v % (RADIX * span), n), children ? tt_slot(0, 0) : tt_in(0));
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const int rounds = (tt_log2_up(nranks) + 1) / 2, peers = tt_radix4_peers(nranks);

	return (struct tt_algorithm_cost){.messages = rounds,
	    .overheads = peers - rounds,
	    .bytes = peers,
	    .both = peers,
	    .reduced = 1 + peers,
	    .all_messages = nranks - 1,
	    .all_bytes = nranks - 1,
	    .all_reduced = nranks > 4 ? 1.25 * nranks - 1 : nranks};
}

const struct tt_algorithm tt_reduce_knomial = {
    .name = "knomial",
    .collective = TT_REDUCE,
    .flags = TT_ALG_NEIGHBOURS,
    .make = make,
    .cost = cost,
    .summary = "groups of four, then groups of groups, towards the root; small messages, cheap posting",
    .source = "folklore",
};

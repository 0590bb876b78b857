/* SPDX-License-Identifier: Apache-2.0
 *
 * reduce_chain.c - from rank to rank towards the root, slice after slice.
 *
 * 	rank   root ← root+1 ← root+2 ← ... ← root-1
 *
 * Each rank adds its own to a slice and hands it on while the next one arrives.
 * Cost: P-1 latencies until the root has the first slice, then n bytes at the speed of one link, n added.
 * Use for large messages over few ranks.
 * Source: folklore.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	const int n = shape->nranks, me = shape->rank;

	tt_plan_init(plan, "chain", shape);
	if (tt_build_alone(plan))
		return tt_plan_end(plan);
	const int v = tt_mod(me - shape->root, n);
	const struct tt_span sum = tt_slot(0, 0);

	tt_plan_tmp(plan, 1, 1, 1);
	if (v < n - 1)
		tt_plan_recv_reduce(plan, tt_mod(me + 1, n), v ? sum : tt_out(0), tt_in(0), v ? 0 : TT_FINAL);
	tt_plan_wait(plan);
	if (v)
		tt_plan_send(plan, tt_mod(me - 1, n), v < n - 1 ? sum : tt_in(0));
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double others = nranks - 1;

	return (struct tt_algorithm_cost){.messages = others,
	    .bytes = nranks > 1,
	    .both = nranks > 2 ? 2 : nranks > 1,
	    .folded = nranks > 1,
	    .reduced = nranks > 1 ? 2 : 1,
	    .fill = nranks > 2 ? nranks - 2 : 0,
	    .all_messages = others,
	    .all_bytes = others,
	    .all_reduced = nranks > 1 ? 2 * others : 1};
}

const struct tt_algorithm tt_reduce_chain = {
    .name = "chain",
    .collective = TT_REDUCE,
    .flags = TT_ALG_NEIGHBOURS,
    .make = make,
    .cost = cost,
    .summary = "from rank to rank, slice after slice; large messages, few ranks",
    .source = "folklore",
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * broadcast_chain.c - from rank to rank, slice after slice.
 *
 *	rank   root → root+1 → root+2 → ... → root-1
 *
 * Each rank hands a slice on while the next one arrives.
 * Cost: P-1 latencies until the last rank has the first slice, then n bytes at the speed of one link.
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

	if (v) {
		tt_plan_recv(plan, tt_mod(me - 1, n), tt_out(0));
		tt_plan_wait(plan);
	}
	if (v < n - 1)
		tt_plan_send(plan, tt_mod(me + 1, n), v ? tt_out(0) : tt_in(0));
	if (v == 0)
		tt_build_own_row(plan, 0, 0);
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	return (struct tt_algorithm_cost){.messages = nranks - 1,
	    .bytes = nranks > 1,
	    .both = nranks > 2 ? 2 : nranks > 1,
	    .fill = nranks > 2 ? nranks - 2 : 0,
	    .all_messages = nranks - 1,
	    .all_bytes = nranks - 1};
}

const struct tt_algorithm tt_broadcast_chain = {
    .name = "chain",
    .collective = TT_BROADCAST,
    .flags = TT_ALG_NEIGHBOURS,
    .make = make,
    .cost = cost,
    .summary = "from rank to rank, slice after slice; large messages, few ranks",
    .source = "folklore",
};

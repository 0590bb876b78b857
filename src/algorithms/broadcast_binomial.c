/* SPDX-License-Identifier: Apache-2.0
 *
 * broadcast_binomial.c - who has the data tells the rank at distance 1/2, 1/4, ... of the whole.
 *
 *	rank      0  1  2  3  4  5  6  7        counted from the root
 *	round 0   +———————————→
 *	round 1   +—————→     +—————→
 *	round 2   +——→  +——→  +——→  +——→
 *
 * Cost: log2(P) rounds of n bytes.
 * Use for small messages.
 * Source: folklore.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	const int n = shape->nranks, me = shape->rank;

	tt_plan_init(plan, "binomial", shape);
	if (tt_build_alone(plan))
		return tt_plan_end(plan);
	const int v = tt_mod(me - shape->root, n);
	int span = 1; /* of the ranks that are told through this one */

	while (span < n && !(v & span))
		span <<= 1;
	if (v) {
		tt_plan_recv(plan, tt_mod(me - span, n), tt_out(0));
		tt_plan_wait(plan);
	}
	for (int distance = span >> 1; distance; distance >>= 1)
		if (v + distance < n)
			tt_plan_send(plan, tt_mod(me + distance, n), v ? tt_out(0) : tt_in(0));
	if (v == 0)
		tt_build_own_row(plan, 0, 0);
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const int rounds = tt_log2_up(nranks);

	return (struct tt_algorithm_cost){.messages = tt_log2_down(nranks),
	    .overheads = rounds - tt_log2_down(nranks),
	    .bytes = rounds,
	    .both = rounds,
	    .leaves = nnodes > 1 ? tt_log2_up(nnodes) + (nranks > nnodes) : 0, /* a root in the middle of its node */
	    .all_messages = nranks - 1,
	    .all_bytes = nranks - 1};
}

const struct tt_algorithm tt_broadcast_binomial = {
    .name = "binomial",
    .collective = TT_BROADCAST,
    .flags = TT_ALG_NEIGHBOURS,
    .make = make,
    .cost = cost,
    .summary = "who has it tells the next half; small messages",
    .source = "folklore",
};

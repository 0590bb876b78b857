/* SPDX-License-Identifier: Apache-2.0
 *
 * broadcast_knomial.c - who has the data tells three others, each at the head of a quarter of its ranks.
 *
 *	rank      0 → 16 32 48         counted from the root, P = 64: 3 rounds
 *	          0 → 4 8 12   16 → 20 24 28   ...
 *	          0 → 1 2 3    4 → 5 6 7       ...
 *
 * Cost: log4(P) rounds of 3 messages of n bytes.
 * Use for small messages where posting is cheap beside a latency.
 * Source: folklore.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	const int n = shape->nranks, me = shape->rank;

	tt_plan_init(plan, "knomial", shape);
	if (tt_build_alone(plan))
		return tt_plan_end(plan);
	const int v = tt_mod(me - shape->root, n);
	int span = 1; /* of the ranks that are told through this one */

	while (span < n && v % (4 * span) == 0)
		span *= 4;
	if (v) {
		tt_plan_recv(plan, tt_mod(me - v % (4 * span), n), tt_out(0));
		tt_plan_wait(plan);
	}
	for (int distance = span / 4; distance; distance /= 4)
		for (int j = 3; j > 0; j--)
			if (v + j * distance < n)
				tt_plan_send(plan, tt_mod(me + j * distance, n), v ? tt_out(0) : tt_in(0));
	if (v == 0)
		tt_build_own_row(plan, 0, 0);
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
	    .all_messages = nranks - 1,
	    .all_bytes = nranks - 1};
}

const struct tt_algorithm tt_broadcast_knomial = {
    .name = "knomial",
    .collective = TT_BROADCAST,
    .flags = TT_ALG_NEIGHBOURS,
    .make = make,
    .cost = cost,
    .summary = "who has it tells three others; small messages, cheap posting",
    .source = "folklore",
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * all_gather_tree.c - rows come together up a tree, and all of them go down again.
 *
 *	rank      0           1     2     3        P = 4
 *	          0           1     2     3
 *	round 0   01                23             with the neighbour's
 *	round 1   0123                             with those of the farther half
 *	round 2   0123              0123           and back
 *	round 3   0123        0123  0123  0123
 *
 * A rank has room for all rows, so nothing waits in slots.
 * Cost: 2 ceil(log2 P) rounds, but only 2(P-1) messages of all ranks together; n log2(P) bytes leave rank 0.
 * Use for small messages where ranks share cores: what counts is how many messages there are, not how many rounds.
 * Source: folklore.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

static int
least(int a, int b)
{
	return a < b ? a : b;
}

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	const int n = shape->nranks, me = shape->rank;
	int span = 1; /* the rows of me .. me+span-1, as far as there are any, come through this rank */

	tt_plan_init(plan, "tree", shape);
	if (tt_build_alone(plan))
		return tt_plan_end(plan);
	tt_build_own_row(plan, me, 0);
	for (; span < n && !(me & span); span *= 2)
		if (me + span < n)
			tt_plan_recv(plan, me + span, tt_span_rows(TT_OUT, me + span, least(span, n - me - span)));
	tt_plan_wait(plan);
	if (me) {
		tt_plan_send(plan, me - span, tt_span_rows(TT_OUT, me, least(span, n - me)));
		tt_plan_wait(plan);
		tt_plan_recv(plan, me - span, tt_span_rows(TT_OUT, 0, n));
		tt_plan_wait(plan);
	}
	for (int d = span / 2; d; d /= 2)
		if (me + d < n)
			tt_plan_send(plan, me + d, tt_span_rows(TT_OUT, 0, n));
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double others = nranks - 1, rounds = tt_log2_up(nranks), depth = tt_log2_down(nranks);

	return (struct tt_algorithm_cost){.messages = 2 * depth,
	    .overheads = 2 * (rounds - depth),
	    .bytes = rounds,
	    .both = rounds + (nranks > 1 ? others / nranks : 0),
	    .kept = 1.0 / nranks,
	    .leaves =
		tt_log2_up(nnodes) + (nnodes > 1 && !tt_is_power_of_two(nranks / nnodes)), /* subtrees across nodes */
	    .all_messages = 2 * others,
	    .all_bytes = others + tt_bruck_hops(nranks, 2)};
}

const struct tt_algorithm tt_all_gather_tree = {
    .name = "tree",
    .collective = TT_ALL_GATHER,
    .flags = TT_ALG_UNEVEN,
    .make = make,
    .cost = cost,
    .summary = "rows come together up a tree and go down again; few messages, where ranks share cores",
    .source = "folklore",
};

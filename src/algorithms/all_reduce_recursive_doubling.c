/* SPDX-License-Identifier: Apache-2.0
 *
 * all_reduce_recursive_doubling.c - exchange everything with a partner at distance 1, 2, 4, ...
 *
 *	rank      0    1    2    3    4    5        P = 6: ranks 0-3 are folded in pairs
 *	fold      +←———┘    +←———┘    |    |
 *	round 0   +←————————→+        +←——→+        four survivors double twice
 *	round 1   +←————————————————→+ ...
 *	unfold    +————→    +————→
 *
 * The lower bracket's sum always comes first, so all ranks compute the same bits, in rank order.
 * Cost: log2(P) rounds of n bytes (two more if P is no power of two).
 * Use for small messages.
 * Source: Thakur, Rabenseifner and Gropp, "Optimization of collective communication operations in MPICH", 2005.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

static void
add_message(struct tt_plan *plan, struct tt_span own, bool message_first, unsigned flags)
{
	const struct tt_span message = tt_slot(0, 0);
	const struct tt_span src[2] = {message_first ? message : own, message_first ? own : message};

	tt_plan_reduce(plan, tt_out(0), src, 2, flags);
}

/* Rank of survivor v when the first 2 * extra ranks were folded in pairs. */
static int
rank_of_survivor(int v, int extra)
{
	return v < extra ? 2 * v : v + extra;
}

static void
double_up(struct tt_plan *plan, int survivors, int extra, int v, bool folded)
{
	for (int mask = 1; mask < survivors; mask <<= 1) {
		const int partner = rank_of_survivor(v ^ mask, extra);
		const struct tt_span own = folded || mask > 1 ? tt_out(0) : tt_in(0);

		tt_plan_send(plan, partner, own);
		tt_plan_recv(plan, partner, tt_slot(0, 0));
		tt_plan_wait(plan);
		add_message(plan, own, (v & mask) != 0, 2 * mask == survivors ? TT_FINAL : 0);
	}
}

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	const int n = shape->nranks, me = shape->rank;
	int survivors = 1;

	tt_plan_init(plan, "recursive_doubling", shape);
	if (tt_build_alone(plan))
		return tt_plan_end(plan);
	while (2 * survivors <= n)
		survivors *= 2;

	const int extra = n - survivors;
	const bool folded = me < 2 * extra;

	tt_plan_tmp(plan, 1, 1, 1);
	if (folded && me % 2) {
		tt_plan_send(plan, me - 1, tt_in(0));
		tt_plan_wait(plan);
		tt_plan_recv(plan, me - 1, tt_out(0));
		return tt_plan_end(plan);
	}
	if (folded) {
		tt_plan_recv_reduce(plan, me + 1, tt_out(0), tt_in(0), 0);
		tt_plan_wait(plan);
	}
	double_up(plan, survivors, extra, folded ? me / 2 : me - extra, folded);
	if (folded)
		tt_plan_send(plan, me + 1, tt_out(0));
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const int up = tt_log2_up(nranks);
	const bool folds = nranks != 1 << up;
	const double doublings = folds ? up - 1 : up;

	return (struct tt_algorithm_cost){.messages = doublings + (folds ? 2 : 0),
	    .bytes = doublings + (folds ? 2 : 0),
	    .reduced = 2 * (doublings + (folds ? 1 : 0))};
}

const struct tt_algorithm tt_all_reduce_recursive_doubling = {
    .name = "recursive_doubling",
    .collective = TT_ALL_REDUCE,
    .make = make,
    .cost = cost,
    .summary = "exchange everything with partners at distance 1, 2, 4, ...; small messages",
    .source = "Thakur, Rabenseifner and Gropp 2005",
};

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

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	tt_plan_init(plan, "recursive_doubling", shape);
	if (tt_build_alone(plan))
		return tt_plan_end(plan);
	tt_build_recursive(plan, 2);
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const int up = tt_log2_up(nranks);
	const bool folds = nranks != 1 << up;
	const int doublings = folds ? up - 1 : up;
	const double all = 1 << doublings, folded = nranks - all;
	/* Who has nobody to add first sends early: unless these are few, who hears of its partner first waits once less. */
	const double waits = folds ? (2 * folded > all ? 2 : 1) : 0;

	return (struct tt_algorithm_cost){.messages = doublings + waits,
	    .bytes = doublings + (folds ? 1 : 0),
	    .both = 2 * (doublings + (folds ? 1 : 0)),
	    .reduced = 2 * (doublings + (folds ? 1 : 0)),
	    .leaves = nnodes > 1 ? (double)nranks / nnodes * tt_log2_up(nnodes) : 0,
	    .all_messages = all * doublings + 2 * folded,
	    .all_bytes = all * doublings + 2 * folded,
	    .all_reduced = 2 * (all * doublings + folded)};
}

const struct tt_algorithm tt_all_reduce_recursive_doubling = {
    .name = "recursive_doubling",
    .collective = TT_ALL_REDUCE,
    .make = make,
    .cost = cost,
    .summary = "exchange everything with partners at distance 1, 2, 4, ...; small messages",
    .source = "Thakur, Rabenseifner and Gropp 2005",
};

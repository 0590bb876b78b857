/* SPDX-License-Identifier: Apache-2.0
 *
 * all_reduce_recursive_multiplying.c - exchange everything in groups of four, then groups of groups.
 *
 *	rank      0  1  2  3   4  5  6  7   8 ... 15        16 ranks: 2 rounds
 *	round 0   (0 1 2 3)    (4 5 6 7)    (8 ...           all to all in each group
 *	round 1   (0 4 8 12)   (1 5 9 13)   (2 ...
 *
 * Each group's sums are added in one reduction, lower ranks first, so all ranks compute the same bits. Ranks beyond the
 * largest power of two are folded into others first; a last round of two completes an odd power of two.
 * Cost: log4(P) rounds (two more if P is no power of two) of 3 n bytes.
 * Use for small messages where posting is cheap beside a latency.
 * Source: recursive multiplying, as in Ruefenacht, Bull and Booth, "Generalisation of recursive doubling for allreduce",
 * 2017.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	tt_plan_init(plan, "recursive_multiplying", shape);
	if (tt_build_alone(plan))
		return tt_plan_end(plan);
	tt_build_recursive(plan, 4);
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const int up = tt_log2_up(nranks);
	const bool folds = nranks != 1 << up;
	const int bits = folds ? up - 1 : up, rounds = (bits + 1) / 2;
	const double exchanged = 3.0 * (bits / 2) + bits % 2, folding = folds ? 1 : 0;
	const double all = 1 << bits, folded = nranks - all;

	return (struct tt_algorithm_cost){.messages = rounds + 2 * folding,
	    .overheads = 2.0 * (bits / 2),
	    .bytes = exchanged + folding,
	    .both = 2 * (exchanged + folding),
	    .reduced = exchanged + rounds + 2 * folding,
	    .all_messages = all * exchanged + 2 * folded,
	    .all_bytes = all * exchanged + 2 * folded,
	    .all_reduced = all * (exchanged + rounds) + 2 * folded};
}

const struct tt_algorithm tt_all_reduce_recursive_multiplying = {
    .name = "recursive_multiplying",
    .collective = TT_ALL_REDUCE,
    .make = make,
    .cost = cost,
    .summary = "exchange everything in groups of four; small messages, cheap posting",
    .source = "Ruefenacht, Bull and Booth 2017",
};

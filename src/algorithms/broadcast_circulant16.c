/* SPDX-License-Identifier: Apache-2.0
 *
 * broadcast_circulant16.c - sixteen blocks of a row travel over a circulant graph.
 *
 *	skip     2       3       1       2       3         P = 5, the first blocks a, b, c; "0>2:a": rank 0 sends
 *	 	0>2:a   0>3:b   0>1:c   ...               rank 2 block a; circulant_blocks.c has all of it
 *	 	                2>3:a   2>4:a   ...
 *	 	                3>4:b   4>1:b   3>1:a
 *
 * Cost: 16 - 1 + log2(P) rounds of n/16 bytes: the fewest rounds in which this can be done block by block. The
 * slices of a row overlap, which makes up for the rounds in which a rank has nothing to send.
 * Use for larger messages over many ranks.
 * Source: Träff, "Optimal broadcast schedules in logarithmic time", 2024.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

enum { BLOCKS = 16 };

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	tt_plan_init(plan, "circulant16", shape);
	if (!tt_build_alone(plan))
		tt_build_circulant_broadcast(plan, BLOCKS);
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	return tt_circulant_cost(nranks, nnodes, BLOCKS, 0);
}

const struct tt_algorithm tt_broadcast_circulant16 = {
    .name = "circulant16",
    .collective = TT_BROADCAST,
    .make = make,
    .cost = cost,
    .summary = "sixteen blocks spread over a circulant graph, one in each round; larger messages over many ranks",
    .source = "Träff 2024",
};

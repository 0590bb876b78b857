/* SPDX-License-Identifier: Apache-2.0
 *
 * reduce_circulant.c - four blocks of a row are added up over a circulant graph, towards the root.
 *
 *	skip     3       2       1       3       2         P = 5, the last blocks a, b, c; "3>0:c": rank 3 sends
 *	 	3>0:c   2>0:c   1>0:c   3>0:b   2>0:a     rank 0 what it has added up of c: the broadcast of
 *	 	4>1:c   4>2:a   3>2:a                     circulant_blocks.c backwards
 *	 	1>3:a   1>4:b   4>3:b
 *	 	2>4:b
 *
 * Cost: 4 - 1 + log2(P) rounds of n/4 bytes, n added: the fewest rounds in which this can be done block by block. The
 * slices of a row overlap, which makes up for the rounds in which a rank has nothing to send.
 * Use for medium messages over many ranks.
 * Source: Träff, "Optimal broadcast schedules in logarithmic time", 2024.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

enum { BLOCKS = 4 };

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	tt_plan_init(plan, "circulant", shape);
	if (!tt_build_alone(plan))
		tt_build_circulant_reduce(plan, BLOCKS);
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	return tt_circulant_cost(nranks, nnodes, BLOCKS, 2);
}

const struct tt_algorithm tt_reduce_circulant = {
    .name = "circulant",
    .collective = TT_REDUCE,
    .make = make,
    .cost = cost,
    .summary = "four blocks are added up over a circulant graph, one in each round; medium messages over many ranks",
    .source = "Träff 2024",
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * all_gather_circulant.c - rows spread over a circulant graph in log2(P) rounds.
 *
 *	P = 6, rank r has rows        skips 6 3 2 1, walked backwards
 *	round 0   r                   ← r+1: 1 row      now r, r+1
 *	round 1   r r+1               ← r+2: 1 row      now r .. r+2
 *	round 2   r r+1 r+2           ← r+3: 3 rows     now all
 *
 * With skips s' = ceil(s/2), a rank that has rows r .. r+s'-1 gets the s-s' first rows of rank r+s', and gives as many of
 * its own to rank r-s'.
 * This is Bruck's all-gather with other skips (his are powers of two, with a short last round): as many rounds and
 * bytes; and rows go straight into place, so nothing is rotated at the end.
 * Cost: ceil(log2 P) rounds, (P-1)/P n bytes, any P: both least possible. Serves uneven rows.
 * Use wherever ranks are equally far from each other.
 * Source: Träff, "Optimal, non-pipelined reduce-scatter and all-reduce algorithms", 2024; Bruck et al. 1997.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	const int n = shape->nranks, me = shape->rank;

	tt_plan_init(plan, "circulant", shape);
	if (tt_build_alone(plan))
		return tt_plan_end(plan);
	tt_build_own_row(plan, me, 0);
	for (int k = tt_log2_up(n); k > 0; k--) {
		const int far = tt_skip(n, k), rows = tt_skip(n, k - 1) - far;

		tt_plan_send(plan, tt_mod(me - far, n), tt_span_rows(TT_OUT, me, rows));
		tt_plan_recv(plan, tt_mod(me + far, n), tt_span_rows(TT_OUT, tt_mod(me + far, n), rows));
		tt_plan_wait(plan);
	}
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	return (struct tt_algorithm_cost){
	    .messages = tt_log2_up(nranks), .bytes = (nranks - 1.0) / nranks, .kept = 1.0 / nranks};
}

const struct tt_algorithm tt_all_gather_circulant = {
    .name = "circulant",
    .collective = TT_ALL_GATHER,
    .flags = TT_ALG_UNEVEN,
    .make = make,
    .cost = cost,
    .summary = "rows spread over a circulant graph: fewest rounds, fewest bytes, any number of ranks",
    .source = "Träff 2024; Bruck et al. 1997",
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * all_reduce_circulant.c - reduce-scatter and all-gather over a circulant graph.
 *
 *	P = 6, R[i] = part r+i        skips 6 3 2 1
 *	round 0   R[3..5] → r+3       added there to R[0..2]
 *	round 1   R[2]    → r+2       added to R[0]
 *	round 2   R[1]    → r+1       added to R[0]: part r is complete
 *	round 3-5 the same edges backwards hand the totals out
 *
 * Cost: 2 ceil(log2 P) rounds, 2(P-1)/P n bytes, (P-1)/P n added, any P.
 * Use for medium and large messages wherever ranks are equally far from each other.
 * Source: Träff, "Optimal, non-pipelined reduce-scatter and all-reduce algorithms", 2024.
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
	const int rounds = tt_log2_up(n);

	if (n % 2 && !shape->in_place)
		tt_plan_copy(plan, tt_span_part(TT_OUT, 0, tt_mod(me + n / 2, n), 1, n),
		    tt_span_part(TT_IN, 0, tt_mod(me + n / 2, n), 1, n));
	for (int k = 1; k <= rounds; k++) {
		const int from = tt_skip(n, k), parts = tt_skip(n, k - 1) - from;
		const enum tt_buffer own = k == 1 ? TT_IN : TT_OUT;

		tt_plan_send(plan, tt_mod(me + from, n), tt_span_part(own, 0, tt_mod(me + from, n), parts, n));
		tt_plan_recv_reduce(plan, tt_mod(me - from, n), tt_span_part(TT_OUT, 0, me, parts, n),
		    tt_span_part(own, 0, me, parts, n), k == rounds ? TT_FINAL : 0);
		tt_plan_wait(plan);
	}
	for (int k = rounds; k > 0; k--) {
		const int far = tt_skip(n, k), parts = tt_skip(n, k - 1) - far;

		tt_plan_send(plan, tt_mod(me - far, n), tt_span_part(TT_OUT, 0, me, parts, n));
		tt_plan_recv(plan, tt_mod(me + far, n), tt_span_part(TT_OUT, 0, tt_mod(me + far, n), parts, n));
		tt_plan_wait(plan);
	}
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double others = nranks - 1;

	return (struct tt_algorithm_cost){.messages = 2.0 * tt_log2_up(nranks),
	    .bytes = 2 * others / nranks,
	    .folded = others / nranks,
	    .reduced = nranks > 1 ? 2 * others / nranks : 1,
	    .kept = nranks > 2 ? 0.5 : 0};
}

const struct tt_algorithm tt_all_reduce_circulant = {
    .name = "circulant",
    .collective = TT_ALL_REDUCE,
    .make = make,
    .cost = cost,
    .summary = "reduce-scatter and all-gather over a circulant graph; medium and large messages, any number of ranks",
    .source = "Träff 2024",
};

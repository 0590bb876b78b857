/* SPDX-License-Identifier: Apache-2.0
 *
 * broadcast_scatter_gather.c - the root scatters parts down a binomial tree, then all gather them.
 *
 *	rank      0        1        2        3         counted from the root, P = 4
 *	          0123
 *	scatter   01       :        23                 halves of what is left go down the tree
 *	          0        1        2        3
 *	gather    0123     0123     0123     0123      over a circulant graph; nobody sends to the root
 *
 * Cost: 2 ceil(log2 P) rounds, 2(P-1)/P n bytes.
 * Use for large messages.
 * Source: Barnett et al., "Interprocessor collective communication library (InterCom)", 1994 (van de Geijn).
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

static void
scatter(struct tt_plan *plan, int v)
{
	const int n = plan->shape.nranks, me = plan->shape.rank;
	int span = 1; /* parts v .. v+span-1 come through this rank */

	while (span < n && !(v & span))
		span *= 2;
	if (v) {
		tt_plan_recv(plan, tt_mod(me - span, n), tt_span_part(TT_OUT, 0, v, n - v < span ? n - v : span, n));
		tt_plan_wait(plan);
	}
	for (int d = span / 2; d; d /= 2) {
		const int rest = n - v - d;

		if (rest > 0)
			tt_plan_send(plan, tt_mod(me + d, n),
			    tt_span_part(v ? TT_OUT : TT_IN, 0, v + d, rest < d ? rest : d, n));
	}
	if (v == 0)
		tt_build_own_row(plan, 0, 0);
	tt_plan_wait(plan);
}

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	const int n = shape->nranks, me = shape->rank;

	tt_plan_init(plan, "scatter_gather", shape);
	if (tt_build_alone(plan))
		return tt_plan_end(plan);
	const int v = tt_mod(me - shape->root, n);

	scatter(plan, v);
	for (int k = tt_log2_up(n); k > 0; k--) {
		const int far = tt_skip(n, k), parts = tt_skip(n, k - 1) - far;

		if (v != far)
			tt_plan_send(plan, tt_mod(me - far, n), tt_span_part(v ? TT_OUT : TT_IN, 0, v, parts, n));
		if (v)
			tt_plan_recv(
			    plan, tt_mod(me + far, n), tt_span_part(TT_OUT, 0, tt_mod(v + far, n), parts, n));
		tt_plan_wait(plan);
	}
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double others = nranks - 1, rounds = tt_log2_up(nranks),
		     all = others * others / nranks + tt_bruck_hops(nranks, 2);

	return (struct tt_algorithm_cost){.messages = nranks > 2 ? 2 * rounds : rounds,
	    .overheads = nranks == 2,
	    .bytes = 2 * others / nranks,
	    .both = 2 * others / nranks + (nranks > 2 ? 0.5 - 1.0 / nranks : 0),
	    .all_messages = others + rounds * others,
	    .leaves = nnodes > 1 && nnodes < nranks ? all / nnodes : 0,
	    .all_bytes = all};
}

const struct tt_algorithm tt_broadcast_scatter_gather = {
    .name = "scatter_gather",
    .collective = TT_BROADCAST,
    .make = make,
    .cost = cost,
    .summary = "scatter down a tree, gather over a circulant graph; large messages",
    .source = "Barnett et al. 1994",
};

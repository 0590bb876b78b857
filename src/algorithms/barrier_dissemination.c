/* SPDX-License-Identifier: Apache-2.0
 *
 * barrier_dissemination.c - tell the rank at distance 1, 2, 4, ... what you heard.
 *
 *	round 0   r → r+1      each round doubles how many ranks one has heard of
 *	round 1   r → r+2
 *	round 2   r → r+4
 *
 * Cost: log2(P) rounds of empty messages, any P.
 * Source: Hensgen, Finkel and Manber, "Two algorithms for barrier synchronization", 1988.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	const int n = shape->nranks, me = shape->rank;

	tt_plan_init(plan, "dissemination", shape);
	if (tt_build_alone(plan))
		return tt_plan_end(plan);
	for (int distance = 1; distance < n; distance *= 2) {
		tt_plan_send(plan, tt_mod(me + distance, n), tt_span_token());
		tt_plan_recv(plan, tt_mod(me - distance, n), tt_span_token());
		tt_plan_wait(plan);
	}
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	return (struct tt_algorithm_cost){.messages = tt_log2_up(nranks)};
}

const struct tt_algorithm tt_barrier_dissemination = {
    .name = "dissemination",
    .collective = TT_BARRIER,
    .make = make,
    .cost = cost,
    .summary = "tell the rank at distance 1, 2, 4, ... what you heard",
    .source = "Hensgen, Finkel and Manber 1988",
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * all_reduce_halving.c - halve the data while doubling the distance, and back: recursive halving and doubling.
 *
 *	rank      0    1    2    3          P = 4: a power of two
 *	round 0   0↔1  :    2↔3             half of the row with the neighbour: reduce-scatter, near first
 *	round 1   0↔2       1↔3             a quarter
 *	round 2   0↔2       1↔3             all-gather, far first
 *	round 3   0↔1       2↔3
 *
 * Near first: where neighbours share a node, most bytes stay in it.
 * Cost: 2 log2(P) rounds, 2(P-1)/P n bytes, (P-1)/P n added.
 * Use for medium and large messages over a power of two of ranks.
 * Source: Rabenseifner, "Optimization of collective reduction operations", 2004.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

/* A range of parts, halved or doubled with the partner whose number differs in one bit. */
struct range {
	int first, len;
};

static struct range
kept_half(struct range all, int rank, int mask)
{
	return (struct range){all.first + (rank & mask ? all.len / 2 : 0), all.len / 2};
}

static struct range
other_half(struct range all, int rank, int mask)
{
	return kept_half(all, rank ^ mask, mask);
}

static struct tt_span
parts(enum tt_buffer buffer, struct range range, int n)
{
	return tt_span_part(buffer, 0, range.first, range.len, n);
}

static struct range
halve(struct tt_plan *plan, struct range all, int mask)
{
	const int n = plan->shape.nranks, me = plan->shape.rank;
	const struct range keep = kept_half(all, me, mask), give = other_half(all, me, mask);
	const enum tt_buffer own = mask == 1 ? TT_IN : TT_OUT;

	tt_plan_send(plan, me ^ mask, parts(own, give, n));
	tt_plan_recv_reduce(plan, me ^ mask, parts(TT_OUT, keep, n), parts(own, keep, n),
	    (me & mask ? TT_MESSAGE_FIRST : 0) | (2 * mask == n ? TT_FINAL : 0));
	tt_plan_wait(plan);
	return keep;
}

static void
gather(struct tt_plan *plan, struct range all, int mask, int n)
{
	const int me = plan->shape.rank;
	const struct range keep = kept_half(all, me, mask), rest = other_half(all, me, mask);

	if (2 * mask < n)
		gather(plan, keep, 2 * mask, n);
	tt_plan_send(plan, me ^ mask, parts(TT_OUT, keep, n));
	tt_plan_recv(plan, me ^ mask, parts(TT_OUT, rest, n));
	tt_plan_wait(plan);
}

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	const int n = shape->nranks;
	struct range range = {0, n};

	tt_plan_init(plan, "halving", shape);
	if (tt_build_alone(plan))
		return tt_plan_end(plan);
	for (int mask = 1; mask < n; mask *= 2)
		range = halve(plan, range, mask);
	gather(plan, (struct range){0, n}, 1, n);
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
	    .leaves = nnodes > 1 ? 2 * (nnodes - 1.0) / nnodes : 0};
}

const struct tt_algorithm tt_all_reduce_halving = {
    .name = "halving",
    .collective = TT_ALL_REDUCE,
    .flags = TT_ALG_POWER_OF_TWO,
    .make = make,
    .cost = cost,
    .summary = "recursive halving, near first, and doubling; a power of two of ranks",
    .source = "Rabenseifner 2004",
};

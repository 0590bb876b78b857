/* SPDX-License-Identifier: Apache-2.0
 *
 * all_to_all_bruck.c - rows travel in log2(P) hops, many together.
 *
 *	P = 4     slot i = the row for rank r+i
 *	round 0   slots 1 3 → r+1       all rows whose distance has bit 0 set go one further
 *	round 1   slots 2 3 → r+2       bit 1: two further
 *	          slot i has arrived: it is the row from rank r-i
 *
 * Rows that travel together are packed, sent as one message and unpacked.
 * Cost: ceil(log2 P) rounds, log2(P)/2 n bytes, each packed and unpacked.
 * Use for the smallest messages over many ranks.
 * Source: Bruck et al., "Efficient algorithms for all-to-all communications in multiport message-passing systems", 1997.
 */
#include "algorithms/build.h"
#include "algorithms/list.h"

static struct tt_span
slots(int first, int rows)
{
	struct tt_span span = tt_slot(first, 0);

	span.along_rows = 1;
	span.rows = rows;
	return span;
}

/* Copies the slots whose number has this bit to `packed` or back; returns how many there are. */
static int
pack(struct tt_plan *plan, int bit, int packed, bool back)
{
	const int n = plan->shape.nranks;
	int count = 0;

	for (int first = bit; first < n; first += 2 * bit) {
		const int rows = n - first < bit ? n - first : bit;
		const struct tt_span loose = slots(first, rows), tight = slots(packed + count, rows);

		tt_plan_copy(plan, back ? loose : tight, back ? tight : loose);
		count += rows;
	}
	return count;
}

static void
rotate_in(struct tt_plan *plan, int n, int me)
{
	tt_plan_copy(plan, slots(0, n - me), tt_span_rows(TT_IN, me, n - me));
	if (me)
		tt_plan_copy(plan, slots(n - me, me), tt_span_rows(TT_IN, 0, me));
}

static tutti_status
make(const struct tt_shape *shape, struct tt_plan *plan)
{
	const int n = shape->nranks, me = shape->rank;

	tt_plan_init(plan, "bruck", shape);
	if (tt_build_alone(plan))
		return tt_plan_end(plan);
	const int send = n, recv = n + n / 2;

	tt_plan_tmp(plan, n + 2 * (n / 2), 1, 1);
	rotate_in(plan, n, me);
	for (int bit = 1; bit < n; bit *= 2) {
		const int rows = pack(plan, bit, send, false);

		tt_plan_send(plan, tt_mod(me + bit, n), slots(send, rows));
		tt_plan_recv(plan, tt_mod(me - bit, n), slots(recv, rows));
		tt_plan_wait(plan);
		pack(plan, bit, recv, true);
	}
	for (int i = 0; i < n; i++)
		tt_plan_copy(plan, tt_out(tt_mod(me - i, n)), slots(i, 1));
	return tt_plan_end(plan);
}

static struct tt_algorithm_cost
cost(int nranks, int nnodes)
{
	const double half = tt_log2_up(nranks) / 2.0;

	return (struct tt_algorithm_cost){.messages = tt_log2_up(nranks), .bytes = half, .copied = 2 + 2 * half};
}

const struct tt_algorithm tt_all_to_all_bruck = {
    .name = "bruck",
    .collective = TT_ALL_TO_ALL,
    .make = make,
    .cost = cost,
    .summary = "rows travel in log2(P) hops, many together; smallest messages over many ranks",
    .source = "Bruck et al. 1997",
};

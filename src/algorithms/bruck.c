/* SPDX-License-Identifier: Apache-2.0
 *
 * bruck.c - rows travel in few hops, many together: what the Bruck all-to-alls of each radix share.
 *
 * Slot i holds a row that has i places still to go. In round j all rows whose distance has the digit d > 0 at place j
 * (in base `radix`) go d * radix^j further, in one message for each d. Rows that travel together are packed, sent as one
 * message and unpacked.
 */
#include "algorithms/build.h"

static struct tt_span
slots(int first, int rows)
{
	struct tt_span span = tt_slot(first, 0);

	span.along_rows = 1;
	span.rows = rows;
	return span;
}

/* Copies the slots whose number has digit `digit` at the place of value `unit` to `packed` or back; returns how many
 * there are. */
static int
pack(struct tt_plan *plan, int radix, int unit, int digit, int packed, bool back)
{
	const int n = plan->shape.nranks;
	int count = 0;

	for (int first = digit * unit; first < n; first += radix * unit) {
		const int rows = n - first < unit ? n - first : unit;
		const struct tt_span loose = slots(first, rows), tight = slots(packed + count, rows);

		tt_plan_copy(plan, back ? loose : tight, back ? tight : loose);
		count += rows;
	}
	return count;
}

static void
hop(struct tt_plan *plan, int radix, int unit)
{
	const int n = plan->shape.nranks, me = plan->shape.rank;
	int packed = n;

	for (int digit = 1; digit < radix && digit * unit < n; digit++) {
		const int distance = digit * unit, rows = pack(plan, radix, unit, digit, packed, false);

		tt_plan_send(plan, tt_mod(me + distance, n), slots(packed, rows));
		tt_plan_recv(plan, tt_mod(me - distance, n), slots(n + packed, rows));
		packed += rows;
	}
	tt_plan_wait(plan);
	packed = 2 * n;
	for (int digit = 1; digit < radix && digit * unit < n; digit++)
		packed += pack(plan, radix, unit, digit, packed, true);
}

void
tt_build_bruck(struct tt_plan *plan, int radix)
{
	const int n = plan->shape.nranks, me = plan->shape.rank;

	tt_plan_tmp(plan, 3 * n, 1, 1);
	tt_plan_copy(plan, slots(0, n - me), tt_span_rows(TT_IN, me, n - me));
	if (me)
		tt_plan_copy(plan, slots(n - me, me), tt_span_rows(TT_IN, 0, me));
	for (int unit = 1; unit < n; unit *= radix)
		hop(plan, radix, unit);
	for (int i = 0; i < n; i++)
		tt_plan_copy(plan, tt_out(tt_mod(me - i, n)), slots(i, 1));
}

/* Once for each digit of its distance that is not 0. */
double
tt_bruck_hops(int nranks, int radix)
{
	double hops = 0;

	for (int64_t digit = 1; digit < nranks; digit *= radix) {
		const int64_t rest = nranks % (digit * radix);
		const int64_t zeros = nranks / (digit * radix) * digit + (rest < digit ? rest : digit);

		hops += (double)(nranks - zeros);
	}
	return hops / nranks;
}

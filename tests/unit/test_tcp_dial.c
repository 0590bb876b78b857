/* SPDX-License-Identifier: Apache-2.0
 *
 * test_tcp_dial.c - when and where a peer is called, in virtual time.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "base/clock.h"
#include "base/handshake.h"
#include "tcp/dial.h"

Test(tcp_dial, idle_asks_for_nothing, .timeout = 20)
{
	struct tt_dial dial = {0};

	cr_assert(eq(int, tt_dial_due(&dial, TT_FOREVER), -1));
	cr_assert(eq(i64, tt_dial_timer(&dial), TT_FOREVER));
	cr_assert(not(tt_dial_expired(&dial, TT_FOREVER)));
}

Test(tcp_dial, all_addresses_are_tried_in_order_without_a_pause, .timeout = 20)
{
	struct tt_dial dial;

	tt_dial_start(&dial, 3, 100, 1000 * TT_MS);
	cr_assert(eq(int, tt_dial_due(&dial, 99), -1));
	cr_assert(eq(i64, tt_dial_timer(&dial), 100));
	for (int i = 0; i < 3; i++) {
		cr_assert(eq(int, tt_dial_due(&dial, 100), i));
		cr_assert(eq(int, tt_dial_due(&dial, 100), -1), "an attempt is under way");
		tt_dial_failed(&dial, 100);
	}
	cr_assert(eq(int, tt_dial_due(&dial, 100), -1));
	cr_assert(gt(i64, tt_dial_timer(&dial), 100));
	cr_assert(eq(int, tt_dial_due(&dial, tt_dial_timer(&dial)), 0));
}

Test(tcp_dial, pauses_grow_to_a_limit, .timeout = 20)
{
	struct tt_dial dial;
	int64_t now = 0, pause = 0;
	int attempts = 0;

	tt_dial_start(&dial, 1, 0, 60000 * TT_MS);
	while (!tt_dial_expired(&dial, now)) {
		const int64_t before = now;

		if (tt_dial_due(&dial, now) == 0) {
			attempts++;
			tt_dial_failed(&dial, now);
		}
		now = tt_dial_timer(&dial);
		cr_assert(gt(i64, now, before));
		cr_assert(ge(i64, now - before, pause < 500 * TT_MS && now < dial.deadline_ns ? pause : 0));
		pause = now - before;
		cr_assert(le(i64, pause, 500 * TT_MS));
	}
	cr_assert(eq(i64, now, 60000 * TT_MS));
	cr_assert(ge(int, attempts, 120));
	cr_assert(le(int, attempts, 130));
}

Test(tcp_dial, a_silent_address_is_left_only_if_there_is_another, .timeout = 20)
{
	struct tt_dial dial;

	tt_dial_start(&dial, 1, 0, 60000 * TT_MS);
	cr_assert(eq(i64, tt_dial_attempt_deadline(&dial, 5), 60000 * TT_MS));
	tt_dial_start(&dial, 2, 0, 60000 * TT_MS);
	cr_assert(eq(i64, tt_dial_attempt_deadline(&dial, 5), 5 + TT_HANDSHAKE_MS * TT_MS));
	cr_assert(eq(i64, tt_dial_attempt_deadline(&dial, 59999 * TT_MS), 60000 * TT_MS));
}

Test(tcp_dial, what_fails_after_the_end_starts_nothing, .timeout = 20)
{
	struct tt_dial dial;

	tt_dial_start(&dial, 2, 0, TT_FOREVER);
	cr_assert(eq(int, tt_dial_due(&dial, 0), 0));
	tt_dial_stop(&dial);
	tt_dial_failed(&dial, 1);
	cr_assert(eq(int, tt_dial_due(&dial, 1000 * TT_MS), -1));
	cr_assert(eq(i64, tt_dial_timer(&dial), TT_FOREVER));
}

Test(tcp_dial, without_an_address_it_waits_to_be_called, .timeout = 20)
{
	struct tt_dial dial;

	tt_dial_start(&dial, 0, 0, 1000 * TT_MS);
	cr_assert(eq(int, tt_dial_due(&dial, 10), -1));
	cr_assert(eq(i64, tt_dial_timer(&dial), 1000 * TT_MS));
	cr_assert(tt_dial_expired(&dial, 1000 * TT_MS));
}

/* A message that has to go out does not wait for the other side as long as a receive does. */
Test(tcp_dial, the_first_attempt_can_be_hurried_and_no_other, .timeout = 20)
{
	struct tt_dial dial;

	tt_dial_start(&dial, 1, 1000, 100 * TT_MS);
	cr_assert(eq(int, tt_dial_due(&dial, 500), -1));
	tt_dial_hurry(&dial, 2000);
	cr_assert(eq(int, tt_dial_due(&dial, 999), -1));
	tt_dial_hurry(&dial, 500);
	cr_assert(eq(int, tt_dial_due(&dial, 500), 0));
	tt_dial_failed(&dial, 600);
	tt_dial_hurry(&dial, 601);
	cr_assert(eq(int, tt_dial_due(&dial, 700), -1));
}

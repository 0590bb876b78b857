/* SPDX-License-Identifier: Apache-2.0
 *
 * test_clock.c - deadlines at the edges of their range.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "base/clock.h"

Test(clock, time_does_not_go_back)
{
	const int64_t before = tt_now_ns();
	const int64_t after = tt_now_ns();

	cr_assert(gt(i64, before, 0));
	cr_assert(ge(i64, after, before));
}

Test(clock, a_negative_limit_is_for_ever)
{
	cr_assert(eq(i64, tt_deadline_ns(-1), TT_FOREVER));
	cr_assert(eq(i64, tt_deadline_ns(INT64_MIN), TT_FOREVER));
}

Test(clock, a_limit_too_far_away_is_for_ever_and_not_in_the_past)
{
	cr_assert(eq(i64, tt_deadline_ns(INT64_MAX), TT_FOREVER));
	cr_assert(eq(i64, tt_deadline_ns(INT64_MAX / TT_MS), TT_FOREVER));
}

Test(clock, a_deadline_lies_as_far_ahead_as_asked)
{
	const int64_t before = tt_now_ns();
	const int64_t deadline = tt_deadline_ns(1000);

	cr_assert(ge(i64, deadline, before + 1000 * TT_MS));
	cr_assert(le(i64, deadline, tt_now_ns() + 1000 * TT_MS));
}

Test(clock, poll_sleeps_until_the_deadline_and_never_short_of_it)
{
	cr_assert(eq(int, tt_poll_ms(100, 100, 50), 0));
	cr_assert(eq(int, tt_poll_ms(99, 100, 50), 0));
	cr_assert(eq(int, tt_poll_ms(101, 100, 50), 1));
	cr_assert(eq(int, tt_poll_ms(100 + TT_MS, 100, 50), 1));
	cr_assert(eq(int, tt_poll_ms(101 + TT_MS, 100, 50), 2));
	cr_assert(eq(int, tt_poll_ms(100 + 1000 * TT_MS, 100, 50), 50));
	cr_assert(eq(int, tt_poll_ms(TT_FOREVER, 100, 50), 50));
}

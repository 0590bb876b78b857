/* SPDX-License-Identifier: Apache-2.0
 *
 * clock.c - monotonic time and deadlines that cannot overflow.
 */
#include "base/clock.h"

#include <time.h>

int64_t
tt_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

int64_t
tt_deadline_ns(int64_t timeout_ms)
{
	int64_t span, deadline;

	if (timeout_ms < 0)
		return TT_FOREVER;
	if (__builtin_mul_overflow(timeout_ms, TT_MS, &span) || __builtin_add_overflow(tt_now_ns(), span, &deadline))
		return TT_FOREVER;
	return deadline;
}

int
tt_poll_ms(int64_t deadline_ns, int64_t now_ns, int most)
{
	int64_t left_ms;

	if (deadline_ns <= now_ns)
		return 0;
	if (deadline_ns == TT_FOREVER)
		return most;
	/* Rounded up: rounded down, the last millisecond would be spent polling without sleeping. */
	left_ms = (deadline_ns - now_ns - 1) / TT_MS + 1;
	return left_ms < most ? (int)left_ms : most;
}

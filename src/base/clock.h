/* SPDX-License-Identifier: Apache-2.0
 *
 * clock.h - the only place that reads the clock. Monotonic nanoseconds; deadlines are absolute.
 */
#ifndef TT_BASE_CLOCK_H
#define TT_BASE_CLOCK_H

#include <stdint.h>

#define TT_FOREVER INT64_MAX
#define TT_MS INT64_C(1000000)

int64_t tt_now_ns(void);
/* timeout_ms from now; negative = TT_FOREVER. */
int64_t tt_deadline_ns(int64_t timeout_ms);
/* For poll(2): milliseconds until the deadline, rounded up, at most `most`, 0 if it has passed. */
int tt_poll_ms(int64_t deadline_ns, int64_t now_ns, int most);

#endif /* TT_BASE_CLOCK_H */

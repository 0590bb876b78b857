/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_statistics.c - medians, because one interrupted iteration must not spoil a mean.
 */
#include "cli/bench/bench_statistics.h"

#include <stdlib.h>

static int
by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

struct tt_bench_times
tt_bench_times_of(const int64_t *durations, int nranks, size_t n, int64_t *worst)
{
	struct tt_bench_times times = {0};
	size_t last;

	if (n == 0)
		return times;
	for (size_t i = 0; i < n; i++) {
		worst[i] = durations[i];
		for (int r = 1; r < nranks; r++) {
			int64_t duration = durations[(size_t)r * n + i];

			if (duration > worst[i])
				worst[i] = duration;
		}
	}
	qsort(worst, n, sizeof *worst, by_size);
	/* The smallest value that at least 99 % do not exceed. */
	last = (99 * n + 99) / 100 - 1;
	times.median_us = (double)(worst[(n - 1) / 2] + worst[n / 2]) / 2e3;
	times.p99_us = (double)worst[last] / 1e3;
	times.min_us = (double)worst[0] / 1e3;
	return times;
}

double
tt_bench_bandwidth(size_t bytes, double us)
{
	return us > 0 ? (double)bytes / us / 1e3 : 0;
}

double
tt_bench_expected(const double *times, int most, int ranks, bool *extrapolated)
{
	const int low = ranks - 1, high = 2 * low;

	*extrapolated = false;
	if (ranks < 3 || ranks > most || (low & (low - 1)) != 0 || times[low] <= 0)
		return 0;
	if (high <= most && times[high] > 0)
		return times[low] + (times[high] - times[low]) / low;
	if (low < 4 || times[low / 2] <= 0)
		return 0;
	*extrapolated = true;
	return times[low] + (times[low] - times[low / 2]) / (low / 2);
}

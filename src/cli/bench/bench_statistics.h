/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_statistics.h - from the ranks' durations to one line of the table.
 */
#ifndef TT_CLI_BENCH_STATISTICS_H
#define TT_CLI_BENCH_STATISTICS_H

#include "cli/bench/bench_types.h"

struct tt_bench_times {
	double median_us, p99_us, min_us;
};

/* durations[r * n + i]: rank r's i-th duration in ns. An iteration took as long as its slowest rank. `worst` holds n
 * numbers and is overwritten. */
struct tt_bench_times tt_bench_times_of(const int64_t *durations, int nranks, size_t n, int64_t *worst);

/* GB/s, 10^9 bytes; 0 for no time at all. */
double tt_bench_bandwidth(size_t bytes, double us);

/* What 2^k + 1 ranks should cost by what their neighbours 2^k and 2^(k+1) do: on the line through both. Where the
 * upper one was not measured, the line goes through 2^(k-1) and 2^k. times[p]: of p ranks, 0 = not measured, p up to
 * `most`. Returns 0 for other numbers, and where a neighbour is missing. */
double tt_bench_expected(const double *times, int most, int ranks, bool *extrapolated);

#endif /* TT_CLI_BENCH_STATISTICS_H */

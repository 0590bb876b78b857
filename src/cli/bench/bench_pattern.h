/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_pattern.h - inputs whose results are known exactly, for every data type and operator, and checking them.
 *
 * Every rank's data repeat a table of TT_BENCH_PERIOD elements of its own; what a reduction must give repeats such
 * a table too. The period is a prime, so a block that landed in the wrong place does not look right. The values
 * are small whole numbers, chosen so that no order of reduction rounds or overflows: comparison is bit for bit.
 * `phase` shifts the data, so that what an earlier operation left behind does not look right either.
 */
#ifndef TT_CLI_BENCH_PATTERN_H
#define TT_CLI_BENCH_PATTERN_H

#include "cli/bench/bench_types.h"

#define TT_BENCH_PERIOD 1021

struct tt_bench_pattern {
	size_t element_bytes;
	int nranks;
	unsigned char *tables; /* owned: nranks tables of inputs, then the table of results */
};

/* op -1: data that are only moved, any bits. false: no memory. */
bool tt_bench_pattern_init(
    struct tt_bench_pattern *pattern, const struct tt_bench_dtype *dtype, tutti_op op, int nranks);
void tt_bench_pattern_fini(struct tt_bench_pattern *pattern);

enum { TT_BENCH_RESULT = -1 }; /* in place of a rank: the reduction of all of them */

/* Writes elements first ... first + count - 1 of a rank's data (or of the result) of this phase. */
void tt_bench_pattern_fill(
    const struct tt_bench_pattern *pattern, int rank, size_t phase, size_t first, size_t count, void *buffer);
/* How many elements of the buffer are not those. */
size_t tt_bench_pattern_wrong(
    const struct tt_bench_pattern *pattern, int rank, size_t phase, size_t first, size_t count, const void *buffer);

#endif /* TT_CLI_BENCH_PATTERN_H */

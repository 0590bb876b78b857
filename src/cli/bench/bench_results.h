/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_results.h - what was measured, and the three forms in which it is shown: table, JSON, drawing.
 */
#ifndef TT_CLI_BENCH_RESULTS_H
#define TT_CLI_BENCH_RESULTS_H

#include <stdio.h>

#include "cli/bench/bench_machine.h"
#include "cli/bench/bench_statistics.h"

struct tt_bench_figures {
	struct tt_bench_times times;
	double algbw, busbw; /* GB/s */
	size_t wrong;
	double eta, copy_us; /* 0 = not measured */
};

struct tt_bench_row {
	enum tt_bench_collective collective;
	int dtype, op; /* indexes into the tables; op -1 = none */
	int root; /* -1 = none */
	size_t bytes, count;
	size_t iterations;
	struct tt_bench_figures figures[2]; /* out of place, in place */
};

/* About the whole run. */
struct tt_bench_run {
	struct tt_bench_machine machine;
	int nranks, node_size;
	const char *transports, *algorithm; /* lent; NULL = automatic */
	bool alloc, cold, check;
	struct tt_bench_row *rows; /* owned */
	size_t nrows, capacity;
};

/* Zeros are an empty run. false: no memory. */
bool tt_bench_run_add(struct tt_bench_run *run, const struct tt_bench_row *row);
void tt_bench_run_fini(struct tt_bench_run *run);
/* Elements found wrong in all rows. */
size_t tt_bench_run_wrong(const struct tt_bench_run *run);

void tt_bench_table_head(FILE *file, const struct tt_bench_run *run);
/* Column titles; once per collective. */
void tt_bench_table_columns(FILE *file, enum tt_bench_collective collective);
void tt_bench_table_row(FILE *file, const struct tt_bench_row *row);
void tt_bench_table_foot(FILE *file, const struct tt_bench_run *run);

void tt_bench_json_write(FILE *file, const struct tt_bench_run *run);
/* Two charts over size: bus bandwidth and time. */
void tt_bench_svg_write(FILE *file, const struct tt_bench_run *run);

/* "48 KiB", "2 MiB", "8 B": as short as it is exact. Returns `text`. */
const char *tt_bench_bytes_text(size_t bytes, char *text, size_t capacity);

#endif /* TT_CLI_BENCH_RESULTS_H */

/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_options.h - the command line of `tutti bench`.
 */
#ifndef TT_CLI_BENCH_OPTIONS_H
#define TT_CLI_BENCH_OPTIONS_H

#include "cli/bench/bench_types.h"

struct tt_bench_options {
	bool collectives[TT_BENCH_COLLECTIVES];
	bool dtypes[TT_BENCH_DTYPES];
	bool ops[TT_BENCH_OPS];
	bool all_ops; /* then those that do not fit a type are left out, else they are an error */
	size_t begin, end;
	double factor;
	int root; /* -1 = every rank in turn */
	int iterations; /* 0 = as many as fit into a fraction of a second */
	int warmup;
	int ranks; /* to launch; 0 = one per usable core, at least 2 */
	const char *algorithm, *json, *plot; /* lent by argv; NULL = none */
	bool alloc, cold, check;
	bool sweep; /* over numbers of ranks */
};

/* What reading gives, if not the exit status after a complaint. */
enum { TT_BENCH_GO = 0, TT_BENCH_HELPED = -1 };
int tt_bench_options_read(int argc, char **argv, struct tt_bench_options *options);

/* The size after `bytes` in the series. */
size_t tt_bench_next_bytes(const struct tt_bench_options *options, size_t bytes);

#endif /* TT_CLI_BENCH_OPTIONS_H */

/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_measure.h - measures one line of the table on all ranks.
 */
#ifndef TT_CLI_BENCH_MEASURE_H
#define TT_CLI_BENCH_MEASURE_H

#include "cli/bench/bench_options.h"
#include "cli/bench/bench_pattern.h"
#include "cli/bench/bench_results.h"

/* One rank's side of the benchmark; one communicator, one thread. */
struct tt_bench_rank {
	tutti_comm *comm;
	const struct tt_bench_options *options;
	tutti_options call; /* what every operation is given */
	int rank, nranks;
	unsigned char *pool; /* owned mapping */
	size_t pool_bytes;
	size_t cold_bytes; /* of all ranks' buffers together that one round must exceed */
	int64_t *mine, *all, *worst; /* owned: durations of this rank, of all ranks, of the slowest */
	size_t durations; /* room in them, per rank */
};

/* l3_bytes: of the node, for cold buffers. */
tutti_status tt_bench_rank_init(
    struct tt_bench_rank *rank, tutti_comm *comm, const struct tt_bench_options *options, size_t l3_bytes);
void tt_bench_rank_fini(struct tt_bench_rank *rank);

/* Fills in the row's figures, equal on all ranks; the row says what to measure. Collective. */
tutti_status tt_bench_measure(struct tt_bench_rank *rank, struct tt_bench_row *row);

#endif /* TT_CLI_BENCH_MEASURE_H */

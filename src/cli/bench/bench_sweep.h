/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_sweep.h - `tutti bench --sweep-ranks`: what each number of ranks costs, and whether 2^k + 1 is a cliff.
 */
#ifndef TT_CLI_BENCH_SWEEP_H
#define TT_CLI_BENCH_SWEEP_H

#include "cli/bench/bench_measure.h"

#define TT_BENCH_SWEEP_RANKS 9 /* launched if nothing else is said */

/* Goes through all lines on the first 2, 3, ... of all ranks. An exit status. */
int tt_bench_sweep(const struct tt_bench_rank *rank, const struct tt_bench_run *run);

#endif /* TT_CLI_BENCH_SWEEP_H */

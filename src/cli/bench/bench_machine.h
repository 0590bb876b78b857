/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_machine.h - what the results are to be judged against: this machine.
 */
#ifndef TT_CLI_BENCH_MACHINE_H
#define TT_CLI_BENCH_MACHINE_H

#include "topology/host.h"

struct tt_bench_machine {
	struct tt_host host;
	double handoff_ns; /* a cache line from one core to another, one way; 0 = only one core */
};

/* Takes some 10 ms, when the machine is idle. */
void tt_bench_machine_probe(struct tt_bench_machine *machine);

#endif /* TT_CLI_BENCH_MACHINE_H */

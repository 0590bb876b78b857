/* SPDX-License-Identifier: Apache-2.0
 *
 * topo_job.h - what the ranks of a running job find out together for `tutti topo`.
 */
#ifndef TT_CLI_TOPO_JOB_H
#define TT_CLI_TOPO_JOB_H

#include "cli/topo/topo_view.h"

struct tt_topo_job {
	tutti_comm *comm;
	int nranks;
	struct tt_topo_rank *ranks; /* owned */
	int *node_of; /* owned */
	struct tt_map *map; /* owned */
	double *latency_us, *bandwidth_gbps; /* owned, NULL = not measured */
	char *
	    findings; /* owned: TT_TOPO_FINDINGS bytes of each rank, only of the first of each node; NULL = not asked */
};

/* Every rank learns the place of every rank. */
tutti_status tt_topo_job_gather(tutti_comm *comm, struct tt_topo_job *job);
/* Pair by pair, the others wait (topo_measure.c). */
tutti_status tt_topo_job_measure(struct tt_topo_job *job);
/* Each host is looked at by its first rank; rank 0 gets what was found. */
tutti_status tt_topo_job_check(struct tt_topo_job *job);
void tt_topo_job_drop(struct tt_topo_job *job);

/* This host's diagnoses (topo_check.c): lines, each a problem and its remedy; "" = none. ranks: of the job on this host,
 * in this many groups that share memory; cores: that they may use together; bound: they are bound to cores. */
struct tt_topo_host {
	const struct tt_topology *topology;
	int ranks, groups, cores;
	double quota;
	bool bound, alone; /* alone: no other host is in the job */
};
void tt_topo_check_host(const struct tt_topo_host *host, char *findings, size_t capacity);

#endif /* TT_CLI_TOPO_JOB_H */

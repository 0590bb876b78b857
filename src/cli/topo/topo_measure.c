/* SPDX-License-Identifier: Apache-2.0
 *
 * topo_measure.c - latency and bandwidth between all pairs of ranks, one pair after the other while the rest waits.
 *
 * The least of several batches counts. Many ranks get shorter batches, so that all pairs take some ten seconds.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "cli/topo/topo_job.h"

#define SMALL ((size_t)8)
#define LARGE ((size_t)1 << 20)
#define BATCHES 3
#define SMALL_ROUNDS 60
#define LARGE_ROUNDS 4
#define MANY_PAIRS 200
#define US 1000.0

#define TRY(call) \
	do { \
		const tutti_status status_ = (call); \
		if (status_ != TUTTI_OK) \
			return status_; \
	} while (0)

struct pair {
	tutti_comm *comm;
	int me, other;
	unsigned char *memory;
};

static tutti_status
echo(const struct pair *p, size_t bytes)
{
	if (p->me > p->other)
		TRY(tutti_recv(p->comm, p->memory, bytes, TUTTI_UINT8, p->other, 0, NULL, NULL, NULL));
	TRY(tutti_send(p->comm, p->memory, bytes, TUTTI_UINT8, p->other, 0, NULL, NULL));
	return p->me < p->other ? tutti_recv(p->comm, p->memory, bytes, TUTTI_UINT8, p->other, 0, NULL, NULL, NULL)
				: TUTTI_OK;
}

/* One way, in ns. */
static tutti_status
measure(const struct pair *p, size_t bytes, int batches, int rounds, double *best)
{
	*best = 0;
	TRY(echo(p, bytes));
	for (int b = 0; b < batches; b++) {
		const int64_t start = tt_now_ns();
		double each;

		for (int i = 0; i < rounds; i++)
			TRY(echo(p, bytes));
		each = (double)(tt_now_ns() - start) / (2.0 * rounds);
		*best = b == 0 || each < *best ? each : *best;
	}
	return TUTTI_OK;
}

static tutti_status
measure_pairs(struct tt_topo_job *job, unsigned char *memory)
{
	const int me = tutti_comm_rank(job->comm), n = job->nranks;
	const bool many = n * (n - 1) / 2 > MANY_PAIRS;

	for (int a = 0; a < n; a++)
		for (int b = a + 1; b < n; b++) {
			const struct pair pair = {job->comm, me, me == a ? b : a, memory};
			double small, large;

			TRY(tutti_barrier(job->comm, NULL, NULL));
			if (me != a && me != b)
				continue;
			TRY(measure(&pair, SMALL, BATCHES, many ? SMALL_ROUNDS / 4 : SMALL_ROUNDS, &small));
			TRY(measure(&pair, LARGE, many ? 1 : BATCHES, many ? 1 : LARGE_ROUNDS, &large));
			if (me == b)
				continue;
			job->latency_us[a * n + b] = job->latency_us[b * n + a] = small / US;
			job->bandwidth_gbps[a * n + b] = job->bandwidth_gbps[b * n + a] = (double)LARGE / large;
		}
	return TUTTI_OK;
}

tutti_status
tt_topo_job_measure(struct tt_topo_job *job)
{
	const size_t cells = (size_t)job->nranks * (size_t)job->nranks;
	unsigned char *memory = malloc(LARGE);
	tutti_status status = TUTTI_OK;

	job->latency_us = calloc(cells, sizeof(double));
	job->bandwidth_gbps = calloc(cells, sizeof(double));
	if (memory == NULL || job->latency_us == NULL || job->bandwidth_gbps == NULL)
		status = tt_fail(TUTTI_ERR_NOMEM, -1, "no memory to measure %d ranks", job->nranks);
	if (status == TUTTI_OK) {
		memset(memory, 0, LARGE);
		status = measure_pairs(job, memory);
	}
	/* Each cell is known to one rank, and zero on the others. */
	if (status == TUTTI_OK)
		status = tutti_all_reduce(
		    job->comm, job->latency_us, job->latency_us, cells, TUTTI_FLOAT64, TUTTI_MAX, NULL, NULL);
	if (status == TUTTI_OK)
		status = tutti_all_reduce(
		    job->comm, job->bandwidth_gbps, job->bandwidth_gbps, cells, TUTTI_FLOAT64, TUTTI_MAX, NULL, NULL);
	free(memory);
	return status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * explain_measure.c - runs every algorithm that can serve a call, forced, and prints measured beside predicted times.
 *
 * The algorithms take turns, so that what disturbs one disturbs all; each repetition takes as long as the slowest rank,
 * and the median of the repetitions counts.
 */
#include "cli/explain_measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "plan/plan.h"

#define MOST 64
#define REPETITIONS 31
#define BUDGET_NS INT64_C(8000000000)

struct entry {
	char name[40];
	double predicted_us;
	double times[REPETITIONS];
};

struct measured {
	tutti_comm *comm;
	enum tt_collective collective;
	size_t bytes;
	float *send, *recv;
	struct entry entry[MOST];
	int n;
};

/* The candidates that are eligible, out of the report. */
static int
read_candidates(const char *report, struct entry *entries)
{
	int n = 0;

	for (const char *at = strstr(report, "\"algorithm\": \""); at != NULL && n < MOST;
	     at = strstr(at + 1, "\"algorithm\": \"")) {
		const char *eligible = strstr(at, "\"eligible\": "), *predicted = strstr(at, "\"predicted_us\": ");

		if (eligible == NULL || predicted == NULL)
			break;
		if (strncmp(eligible + strlen("\"eligible\": "), "true", 4) != 0 ||
		    sscanf(at, "\"algorithm\": \"%39[^\"]", entries[n].name) != 1 ||
		    sscanf(predicted, "\"predicted_us\": %lf", &entries[n].predicted_us) != 1)
			continue;
		n++;
	}
	return n;
}

static tutti_status
run(struct measured *m, const char *algorithm)
{
	const tutti_options options = {.size = sizeof(options), .algorithm = algorithm};
	const size_t ranks = (size_t)tutti_comm_size(m->comm), whole = m->bytes / sizeof(float), row = whole / ranks;
	float *s = m->send, *r = m->recv;
	tutti_comm *c = m->comm;

	switch (m->collective) {
	case TT_ALL_REDUCE:
		return tutti_all_reduce(c, s, r, whole, TUTTI_FLOAT32, TUTTI_SUM, &options, NULL);
	case TT_REDUCE_SCATTER:
		return tutti_reduce_scatter(c, s, r, row, TUTTI_FLOAT32, TUTTI_SUM, &options, NULL);
	case TT_ALL_GATHER:
		return tutti_all_gather(c, s, r, row, TUTTI_FLOAT32, &options, NULL);
	case TT_BROADCAST:
		return tutti_broadcast(c, s, r, whole, TUTTI_FLOAT32, 0, &options, NULL);
	case TT_REDUCE:
		return tutti_reduce(c, s, r, whole, TUTTI_FLOAT32, TUTTI_SUM, 0, &options, NULL);
	case TT_SCATTER:
		return tutti_scatter(c, s, r, row, TUTTI_FLOAT32, 0, &options, NULL);
	case TT_GATHER:
		return tutti_gather(c, s, r, row, TUTTI_FLOAT32, 0, &options, NULL);
	case TT_ALL_TO_ALL:
		return tutti_all_to_all(c, s, r, row, TUTTI_FLOAT32, &options, NULL);
	default:
		return tutti_barrier(c, &options, NULL);
	}
}

static tutti_status
time_once(struct measured *m, struct entry *entry, int repetition)
{
	double mine, slowest = 0;
	int64_t start;
	tutti_status status = tutti_barrier(m->comm, NULL, NULL);

	if (status != TUTTI_OK)
		return status;
	start = tt_now_ns();
	status = run(m, entry->name);
	mine = (double)(tt_now_ns() - start) / 1000;
	if (status == TUTTI_OK)
		status = tutti_all_reduce(m->comm, &mine, &slowest, 1, TUTTI_FLOAT64, TUTTI_MAX, NULL, NULL);
	if (repetition >= 0)
		entry->times[repetition] = slowest;
	return status;
}

static int
by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Rank 0's clock decides for all when it has been enough. */
static tutti_status
measure(struct measured *m, int *repetitions)
{
	const int64_t start = tt_now_ns();
	int32_t go_on = 1;

	*repetitions = 0;
	for (int rep = -2; rep < REPETITIONS && go_on; rep++) {
		for (int i = 0; i < m->n; i++) {
			const tutti_status status = time_once(m, &m->entry[i], rep);

			if (status != TUTTI_OK)
				return status;
		}
		*repetitions = rep + 1 > 0 ? rep + 1 : 0;
		go_on = *repetitions == 0 || tt_now_ns() - start < BUDGET_NS;
		const tutti_status status = tutti_broadcast(m->comm, &go_on, &go_on, 1, TUTTI_INT32, 0, NULL, NULL);

		if (status != TUTTI_OK)
			return status;
	}
	return TUTTI_OK;
}

static void
print(struct measured *m, int repetitions)
{
	int best = 0;

	for (int i = 0; i < m->n; i++) {
		qsort(m->entry[i].times, (size_t)repetitions, sizeof(double), by_value);
		if (m->entry[i].times[repetitions / 2] < m->entry[best].times[repetitions / 2])
			best = i;
	}
	printf("\nmeasured, median of %d (the slowest rank of each):\n\n  %-22s %12s %12s %9s\n", repetitions,
	    "algorithm", "predicted us", "measured us", "ratio");
	for (int i = 0; i < m->n; i++) {
		const double median = m->entry[i].times[repetitions / 2];

		printf("%c %-22s %12.2f %12.2f %9.2f\n", i == best ? '>' : ' ', m->entry[i].name,
		    m->entry[i].predicted_us, median,
		    m->entry[i].predicted_us > 0 ? median / m->entry[i].predicted_us : 0);
	}
	printf("\n> was fastest\n");
}

int
tt_explain_measure(tutti_comm *comm, const char *collective, size_t bytes, const char *report)
{
	struct measured *m = calloc(1, sizeof(*m));
	tutti_error error = TUTTI_ERROR_INIT;
	tutti_status status;
	int repetitions, exit_status = TT_EXIT_OK;

	if (m == NULL)
		return tt_complain("explain", "no memory");
	m->comm = comm;
	m->collective = (enum tt_collective)tt_collective_parse(collective);
	m->bytes = bytes;
	m->send = calloc(1, bytes + sizeof(float));
	m->recv = calloc(1, bytes + sizeof(float));
	m->n = read_candidates(report, m->entry);
	status = m->send != NULL && m->recv != NULL ? measure(m, &repetitions) : TUTTI_ERR_NOMEM;
	if (status != TUTTI_OK) {
		tutti_last_error(&error);
		exit_status = tt_complain("explain", "%s (%s)", error.message, tutti_status_string(status));
	} else if (tutti_comm_rank(comm) == 0 && m->n > 0 && repetitions > 0) {
		print(m, repetitions);
	}
	free(m->send);
	free(m->recv);
	free(m);
	return exit_status;
}

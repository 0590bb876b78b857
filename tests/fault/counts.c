/* SPDX-License-Identifier: Apache-2.0
 *
 * counts.c - uneven calls whose counts only two ranks know, and disagree on: one expects elements where the other
 * gives none, or the other way round. Both hear of a mismatch, and so does every other rank.
 *
 *     counts [LIST OF TRANSPORTS]
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "job.h"
#include "report.h"

enum kind { SCATTERV, GATHERV, ALL_TO_ALLV, KINDS };
static const char *const kind_names[KINDS] = {"scatterv", "gatherv", "all_to_allv"};

#define MOST_RANKS 5
#define MOST_COUNT 70000

struct round {
	enum kind kind;
	const char *transports;
	int ranks;
	size_t given, expected; /* by rank 0 for the last rank, where it is given; by the last rank */
};

/* Elements that `from` gives `to`, as rank `me` has it. */
static size_t
elements(const struct round *round, int me, int from, int to)
{
	const int last = round->ranks - 1;
	const bool odd = round->kind == GATHERV ? from == last && to == 0 : from == 0 && to == last;

	if (!odd)
		return 3;
	return me == from ? round->given : round->expected;
}

static tutti_status
call(tutti_comm *comm, const struct round *round, int me, float *send, float *recv)
{
	size_t out[MOST_RANKS], in[MOST_RANKS];

	for (int r = 0; r < round->ranks; r++) {
		out[r] = elements(round, me, me, r);
		in[r] = elements(round, me, r, me);
	}
	if (round->kind == SCATTERV)
		return tutti_scatterv(comm, send, out, NULL, recv, in[0], TUTTI_FLOAT32, 0, NULL, NULL);
	if (round->kind == GATHERV)
		return tutti_gatherv(comm, send, out[0], recv, in, NULL, TUTTI_FLOAT32, 0, NULL, NULL);
	return tutti_all_to_allv(comm, send, out, NULL, recv, in, NULL, TUTTI_FLOAT32, NULL, NULL);
}

static int
body(struct job_rank *me)
{
	const struct report expected = {
	    .status = TUTTI_ERR_MISMATCH, .nranks = -1, .words = {"disagree on the size"}};
	const struct round *round = me->context;
	const int descriptors = job_descriptors();
	float *send = calloc(MOST_COUNT + 16, sizeof(*send)), *recv = calloc(MOST_COUNT + 16, sizeof(*recv));
	tutti_config config = TUTTI_CONFIG_INIT;
	tutti_comm *comm;
	tutti_status status;
	int failed;

	config.transports = round->transports;
	config.timeout_ms = 15000;
	status = job_comm(me, &config, &comm);
	if (status != TUTTI_OK || send == NULL || recv == NULL)
		return job_complain_status(me, status, "creation");
	job_doing(me, "the call with counts that differ");
	status = call(comm, round, me->rank, send, recv);
	while (status == TUTTI_OK) /* a rank that does not exchange what differs hears of it in its next call */
		status = tutti_barrier(comm, NULL, NULL);
	failed = report_check(me, comm, status, &expected);
	free(send);
	free(recv);
	return failed != 0 ? failed : report_destroy(me, comm, descriptors);
}

int
main(int argc, char **argv)
{
	static const size_t sizes[][2] = {{0, 1}, {1, 0}, {0, MOST_COUNT}, {MOST_COUNT, 0}, {2, 3}};
	struct round round = {.transports = argc > 1 ? argv[1] : "shm,tcp"};
	int rounds = 0, wrong = 0;

	for (int kind = 0; kind < KINDS; kind++)
		for (round.ranks = 2; round.ranks <= MOST_RANKS; round.ranks += 3)
			for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
				struct job job = {.size = round.ranks, .limit_s = 30, .context = &round};
				char name[120];

				round.kind = (enum kind)kind;
				round.given = sizes[s][0];
				round.expected = sizes[s][1];
				snprintf(name, sizeof(name), "%s on %d ranks over %s, %zu given and %zu expected",
				    kind_names[kind], round.ranks, round.transports, round.given, round.expected);
				wrong += job_run(&job, body, name) != 0;
				rounds++;
			}
	printf("%d rounds, %d wrong\n", rounds, wrong);
	return wrong == 0 ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * mismatch.c - ranks that issue different calls: every rank is told so, with who differs and both calls, whatever
 * differs, whoever does it, on few bytes or many. Where a call may return before it can know, the next one tells.
 *
 *     mismatch [--transports LIST] [--all] [--only ROUND] [--every N]
 *
 * --all: every size for every pattern, not one of them; --every: the N-th rounds only.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "job.h"
#include "report.h"

enum difference { COLLECTIVE, COUNT, ZERO, DTYPE, OP, ROOT, ALGORITHM, DIFFERENCES };
static const char *const difference_names[DIFFERENCES] = {
    "collective", "count", "count 0", "dtype", "op", "root", "algorithm"};

#define VARIANTS 3
#define MOST_COUNT 300000
static const size_t sizes[] = {2, 1000, MOST_COUNT - 2};
#define SIZES (int)(sizeof(sizes) / sizeof(sizes[0]))

/* Who calls which variant, rank by rank. */
static const char *const patterns[] = {"01", "10", "001", "010", "100", "00001", "00010", "00100", "01000", "10000",
    "01010", "012", "0011", "1001", "01202"};
#define PATTERNS (int)(sizeof(patterns) / sizeof(patterns[0]))

struct round {
	enum difference difference;
	const char *pattern, *transports;
	size_t count;
	bool nonblocking;
	int number;
};

/* ---- the calls ------------------------------------------------------------------------------------------------------ */

/* The n-th eligible algorithm of all_reduce, the last if there are fewer. */
static void
algorithm_name(tutti_comm *comm, int n, char *name, size_t bytes)
{
	static const char key[] = "\"algorithm\": \"", yes[] = "\", \"eligible\": true";
	char report[16384];
	const char *p = report;

	snprintf(name, bytes, "?");
	if (tutti_explain(comm, "all_reduce", 4096, 1, report, sizeof(report), NULL) != TUTTI_OK)
		return;
	while (n >= 0 && (p = strstr(p, key)) != NULL) {
		const size_t length = strcspn(p += strlen(key), "\"");

		if (strncmp(p + length, yes, strlen(yes)) != 0)
			continue;
		snprintf(name, bytes, "%.*s", (int)length, p);
		n--;
	}
}

static void
tell_words(tutti_comm *comm, const struct round *round, int variant, char *word, size_t bytes)
{
	static const char *const collective[] = {"all_reduce(", "broadcast(", "barrier("};
	static const char *const dtype[] = {"float32", "int32", "uint64"}, *const op[] = {"sum", "max", "min"};
	char name[32];

	switch (round->difference) {
	case COLLECTIVE:
		snprintf(word, bytes, "%s", collective[variant]);
		break;
	case COUNT:
		snprintf(word, bytes, "(%zu ", round->count + (size_t)variant);
		break;
	case ZERO:
		snprintf(word, bytes, "(%zu ", variant == 0 ? round->count : variant == 1 ? 0 : round->count + 1);
		break;
	case DTYPE:
		snprintf(word, bytes, "%s", dtype[variant]);
		break;
	case OP:
		snprintf(word, bytes, "%s", op[variant]);
		break;
	case ROOT:
		snprintf(word, bytes, "root %d", variant);
		break;
	default:
		algorithm_name(comm, variant, name, sizeof(name));
		snprintf(word, bytes, "by %s", name);
		break;
	}
}

static tutti_status
issue(tutti_comm *comm, const struct round *round, int variant, const char *word, void *send, void *recv,
    tutti_request **request)
{
	static const tutti_dtype dtypes[] = {TUTTI_FLOAT32, TUTTI_INT32, TUTTI_UINT64};
	static const tutti_op ops[] = {TUTTI_SUM, TUTTI_MAX, TUTTI_MIN};
	tutti_options options = TUTTI_OPTIONS_INIT;
	tutti_dtype dtype = TUTTI_FLOAT32;
	tutti_op op = TUTTI_SUM;
	size_t count = round->count;

	switch (round->difference) {
	case COLLECTIVE:
		if (variant == 1)
			return tutti_broadcast(comm, send, recv, count, dtype, 0, NULL, request);
		if (variant == 2)
			return tutti_barrier(comm, NULL, request);
		break;
	case COUNT:
		count += (size_t)variant;
		break;
	case ZERO:
		count = variant == 0 ? count : variant == 1 ? 0 : count + 1;
		break;
	case DTYPE:
		dtype = dtypes[variant];
		break;
	case OP:
		op = ops[variant];
		break;
	case ROOT:
		return tutti_broadcast(comm, send, recv, count, dtype, variant, NULL, request);
	default:
		options.algorithm = word + strlen("by ");
		break;
	}
	return tutti_all_reduce(comm, send, recv, count, dtype, op, &options, request);
}

/* ---- the ranks ------------------------------------------------------------------------------------------------------ */

/* Those who differ from the call that most ranks made, else from the lowest rank's. Returns the rank whose call counts. */
static int
culprits(const char *pattern, struct report *expected)
{
	int votes[VARIANTS] = {0}, best = 0;

	for (const char *p = pattern; *p != '\0'; p++)
		votes[*p - '0']++;
	for (int r = 0; pattern[r] != '\0'; r++)
		if (votes[pattern[r] - '0'] > votes[pattern[best] - '0'])
			best = r;
	expected->nranks = 0;
	for (int r = 0; pattern[r] != '\0'; r++)
		if (pattern[r] != pattern[best])
			expected->ranks[expected->nranks++] = r;
	return best;
}

static int
body(struct job_rank *me)
{
	const struct round *round = me->context;
	const int variant = round->pattern[me->rank] - '0', descriptors = report_descriptors(round->transports);
	const size_t bytes = (MOST_COUNT + VARIANTS) * sizeof(uint64_t);
	struct report expected = {.status = TUTTI_ERR_MISMATCH};
	const int best = culprits(round->pattern, &expected);
	void *send = calloc(1, bytes), *recv = calloc(1, bytes);
	tutti_config config = TUTTI_CONFIG_INIT;
	tutti_request *request = NULL;
	char words[VARIANTS][40];
	tutti_comm *comm;
	tutti_status status;
	int failed;

	config.transports = round->transports;
	config.timeout_ms = 15000;
	status = job_comm(me, &config, &comm);
	if (status != TUTTI_OK || send == NULL || recv == NULL)
		return job_complain_status(me, status, "creation");
	for (int v = 0; v < VARIANTS; v++)
		tell_words(comm, round, v, words[v], sizeof(words[v]));
	expected.words[0] = words[round->pattern[best] - '0'];
	expected.words[1] = words[round->pattern[expected.ranks[0]] - '0'];
	job_doing(me, "the call that differs");
	status = issue(comm, round, variant, words[variant], send, recv, round->nonblocking ? &request : NULL);
	if (status == TUTTI_OK && round->nonblocking)
		status = tutti_wait(&request);
	if (status == TUTTI_OK) {
		job_doing(me, "the barrier after the call that differs");
		status = tutti_barrier(comm, NULL, NULL);
	}
	failed = report_check(me, comm, status, &expected);
	free(send);
	free(recv);
	return failed != 0 ? failed : report_destroy(me, comm, descriptors);
}

static int
play(const struct round *round)
{
	struct job job = {.size = (int)strlen(round->pattern), .limit_s = 30, .context = round};
	char name[160];

	snprintf(name, sizeof(name), "round %d: %s differs as in %s, %zu elements, %s%s", round->number,
	    difference_names[round->difference], round->pattern, round->count, round->transports,
	    round->nonblocking ? ", nonblocking" : "");
	return job_run(&job, body, name);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {{"transports", required_argument, NULL, 't'},
	    {"all", no_argument, NULL, 'a'}, {"only", required_argument, NULL, 'o'},
	    {"every", required_argument, NULL, 'e'}, {NULL, 0, NULL, 0}};
	struct round round = {.transports = "shm,tcp"};
	int rounds = 0, wrong = 0, only = -1, every = 1, o;
	bool all = false;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o == 't')
			round.transports = optarg;
		else if (o == 'a')
			all = true;
		else if (o == 'o')
			only = job_number("--only", optarg, 0, 1000000);
		else if (o == 'e')
			every = job_number("--every", optarg, 1, 1000);
		else
			return fputs("usage: mismatch [--transports LIST] [--all] [--only ROUND] [--every N]\n",
				   stderr),
			       2;
	}
	for (int d = 0; d < DIFFERENCES; d++) {
		for (int p = 0; p < PATTERNS; p++) {
			for (int s = all ? 0 : (d + p) % SIZES; s < (all ? SIZES : (d + p) % SIZES + 1); s++) {
				round.difference = (enum difference)d;
				round.pattern = patterns[p];
				round.count = sizes[s];
				round.nonblocking = (d + p + s) % 2 != 0;
				round.number = rounds++;
				if (only < 0 ? round.number % every == 0 : only == round.number)
					wrong += play(&round) != 0;
			}
		}
	}
	printf("%d rounds, %d wrong\n", rounds, wrong);
	return wrong == 0 ? 0 : 1;
}

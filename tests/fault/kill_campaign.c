/* SPDX-License-Identifier: Apache-2.0
 *
 * kill_campaign.c - a rank is killed at an instant by chance, in the middle of collectives by chance, again and again:
 * every survivor is told so, and who it was; nothing hangs, nothing is left.
 *
 * In half of the rounds survivors leave without a word as soon as they know: nobody may blame them. With --env every
 * round is a job of the ranks of a launcher, each of them a child of the rank that the launcher has started.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "job.h"
#include "report.h"
#include "storm.h"

#define MOST_ELEMENTS ((size_t)1 << 19)
#define LIMIT_S 40
#define READY 1
#define REPORTED 2

struct round {
	int number, size, victim;
	const char *transports; /* NULL under a launcher */
	long delay_us;
	bool leave; /* at once, without destroying */
	uint64_t seed;
	int rank; /* mine, under a launcher; else -1 */
	bool alone; /* in namespaces: what is left behind is ours */
};

static int
survive(struct job_rank *me, const struct round *round, tutti_comm *comm)
{
	const struct report expected = {.status = TUTTI_ERR_PEER, .ranks = {round->victim}, .nranks = 1};
	struct storm storm;
	tutti_status status = TUTTI_OK;
	bool right = true;
	int failed;

	storm_init(&storm, comm, round->seed, MOST_ELEMENTS);
	while (status == TUTTI_OK && right) {
		status = storm_step(&storm, &right);
		job_doing(me, "%s number %ld, %zu elements", storm.what, storm.step, storm.count);
	}
	if (!right)
		failed = job_complain(me, "%s number %ld gave wrong numbers", storm.what, storm.step);
	else
		failed = report_check(me, comm, status, &expected);
	storm_fini(&storm);
	return failed;
}

static int
body(struct job_rank *me)
{
	const struct round *round = me->context;
	const int descriptors = report_descriptors(round->rank >= 0 ? getenv("TUTTI_TRANSPORTS") : round->transports);
	tutti_config config = TUTTI_CONFIG_INIT;
	tutti_comm *comm;
	tutti_status status;
	int failed;

	config.transports = round->transports;
	config.timeout_ms = 20000;
	status = round->rank >= 0 ? tutti_comm_create_from_env(&config, &comm) : job_comm(me, &config, &comm);
	if (status != TUTTI_OK)
		return job_complain_status(me, status, "creation");
	job_reach(me, READY);
	failed = survive(me, round, comm);
	if (round->leave)
		_exit(failed);
	if (failed == 0)
		failed = report_destroy(me, comm, descriptors);
	job_reach(me, REPORTED);
	return failed;
}

static void
draw(struct round *round, int number, uint64_t seed, int size, int rank)
{
	static const char *const transports[] = {"shm", "tcp", "shm,tcp"};
	struct random random = {mix64(seed * 7919 + (uint64_t)number)};

	*round = (struct round){.number = number, .size = size, .rank = rank};
	if (size == 0)
		round->size = 2 + (int)random_below(&random, 5);
	round->victim = (int)random_below(&random, (uint64_t)round->size);
	round->transports = transports[random_below(&random, 3)];
	if (rank >= 0)
		round->transports = NULL;
	round->delay_us = (long)random_below(&random, random_below(&random, 2) == 0 ? 2000 : 40000);
	round->leave = random_below(&random, 2) == 0;
	round->seed = random_next(&random);
}

/* Returns how many of the round's reports (here) were wrong. */
static int
play(const struct round *round)
{
	struct job job = {.size = round->rank >= 0 ? 1 : round->size, .limit_s = LIMIT_S, .context = round};
	const int files = job_shared_files(), sockets = job_abstract_sockets();
	char name[160];
	int failed;

	snprintf(name, sizeof(name), "round %d (%d ranks, %s, rank %d killed after %ld us, survivors %s)",
	    round->number, round->size, round->transports != NULL ? round->transports : "launched", round->victim,
	    round->delay_us, round->leave ? "leave" : "stay");
	job_start(&job, body);
	if (round->rank < 0 || round->rank == round->victim) {
		(void)job_await(&job, READY);
		job_sleep_us(round->delay_us);
		job_kill(&job, round->rank < 0 ? round->victim : 0, SIGKILL);
	}
	failed = job_finish(&job, name);
	if (round->alone && (job_shared_files() != files || job_abstract_sockets() != sockets)) {
		fprintf(stderr, "%s: left behind: %d files in /dev/shm, %d abstract sockets\n", name,
		    job_shared_files() - files, job_abstract_sockets() - sockets);
		failed += failed == 0;
	}
	return failed;
}

static int
environment_number(const char *name)
{
	const char *text = getenv(name);

	return text != NULL ? job_number(name, text, 0, JOB_RANKS) : 0;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"env", no_argument, NULL, 'e'}, {"round", required_argument, NULL, 'r'}, {NULL, 0, NULL, 0}};
	int rounds = 25, first = 0, seed = 1, size = 0, rank = -1, right = 0, reports = 0, o;
	bool all_right = true, alone = false;
	const char *why;

	while ((o = getopt_long(argc, argv, "k:s:n:", options, NULL)) != -1) {
		if (o == 'k')
			rounds = job_number("-k", optarg, 1, 1000000);
		else if (o == 's')
			seed = job_number("-s", optarg, 0, 1 << 30);
		else if (o == 'n')
			size = job_number("-n", optarg, 2, JOB_RANKS);
		else if (o == 'e')
			rank = environment_number("TUTTI_RANK");
		else if (o == 'r')
			first = job_number("--round", optarg, 0, 1000000);
		else
			return fputs(
				   "usage: kill_campaign [-k ROUNDS] [-s SEED] [-n RANKS] [--round FIRST] [--env]\n",
				   stderr),
			       2;
	}
	if (rank >= 0) {
		size = environment_number("TUTTI_SIZE");
	} else if ((why = job_isolate()) != NULL) {
		fprintf(stderr,
		    "kill_campaign: shares the machine with others, so what is left behind is not counted "
		    "exactly (%s)\n",
		    why);
	}
	for (int k = first; k < first + rounds; k++) {
		struct round round;
		char job[32];
		int here, wrong;

		draw(&round, k, (uint64_t)seed, size, rank);
		round.alone = alone;
		snprintf(job, sizeof(job), "round-%d-%d", seed, k);
		if (rank >= 0)
			setenv("TUTTI_JOB", job, 1);
		here = rank < 0 ? round.size - 1 : rank != round.victim;
		wrong = play(&round);
		reports += here;
		right += wrong > here ? 0 : here - wrong;
		if (wrong > 0)
			fprintf(stderr, "  again: kill_campaign -k 1 -s %d --round %d\n", seed, k);
		all_right = all_right && wrong == 0;
	}
	printf("%d of %d right reports\n", right, reports);
	return all_right ? 0 : 1;
}

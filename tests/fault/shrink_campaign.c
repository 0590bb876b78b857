/* SPDX-License-Identifier: Apache-2.0
 *
 * shrink_campaign.c - ranks are killed at instants by chance, in collectives and in shrinks, and those that are left
 * shrink until exactly they are together, in their old order, and compute right again. In some rounds nobody dies and one
 * of them wants to shrink all the same: the others hear ABORTED and follow.
 *
 * With --env every round is a job of the ranks of a launcher, as in kill_campaign.c.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "job.h"
#include "report.h"
#include "storm.h"

#define MOST_ELEMENTS ((size_t)1 << 15)
#define LIMIT_S 90
#define READY 1

struct round {
	int number, size, nvictims, initiator; /* initiator: who shrinks unprovoked; -1 = nobody */
	bool victim[JOB_RANKS];
	long delay_us[JOB_RANKS];
	const char *transports; /* NULL under a launcher */
	uint64_t seed;
	int rank; /* mine, under a launcher; else -1 */
};

/* The members of the communicator are the survivors, in their old order. */
static int
check_members(struct job_rank *me, const struct round *round, tutti_comm *comm, int32_t mine)
{
	int32_t ids[JOB_RANKS];
	int at = 0;
	tutti_status status = tutti_all_gather(comm, &mine, ids, 1, TUTTI_INT32, NULL, NULL);

	if (status != TUTTI_OK)
		return job_complain_status(me, status, "the first collective of the survivors");
	for (int r = 0; r < round->size; r++) {
		if (round->victim[r])
			continue;
		if (ids[at] != r)
			return job_complain(
			    me, "rank %d of the survivors was rank %d, should be %d", at, (int)ids[at], r);
		if (r == mine && tutti_comm_rank(comm) != at)
			return job_complain(me, "this rank is number %d, should be %d", tutti_comm_rank(comm), at);
		at++;
	}
	return 0;
}

/* Computes until something happens; the initiator makes it happen. */
static tutti_status
work(struct job_rank *me, const struct round *round, tutti_comm *comm, bool starts, bool *right)
{
	const long steps = starts ? 3 + (long)(round->seed % 40) : -1;
	tutti_status status = TUTTI_OK;
	struct storm storm;

	storm_init(&storm, comm, round->seed + (uint64_t)tutti_comm_size(comm), MOST_ELEMENTS);
	while (status == TUTTI_OK && *right && storm.step != steps) {
		status = storm_step(&storm, right);
		job_doing(me, "%s number %ld of %d ranks", storm.what, storm.step, tutti_comm_size(comm));
	}
	storm_fini(&storm);
	return status;
}

static int
shrink(struct job_rank *me, tutti_comm **comm)
{
	tutti_config config = TUTTI_CONFIG_INIT;
	tutti_status status = TUTTI_OK, used;
	tutti_comm *child;
	int32_t one = 1;

	config.timeout_ms = 30000;
	config.transports = ((const struct round *)me->context)->transports;
	for (int attempt = 0; attempt < 3; attempt++) {
		job_doing(me, "shrink of %d ranks, attempt %d", tutti_comm_size(*comm), attempt);
		status = tutti_comm_shrink(*comm, &config, &child);
		if (status != TUTTI_ERR_PEER && status != TUTTI_ERR_TIMEOUT)
			break;
	}
	if (status != TUTTI_OK)
		return job_complain_status(me, status, "shrink of %d ranks", tutti_comm_size(*comm));
	used = tutti_all_reduce(*comm, &one, &one, 1, TUTTI_INT32, TUTTI_SUM, NULL, NULL);
	if (used != TUTTI_ERR_STATE)
		return job_complain_status(me, used, "a call on what was shrunk");
	status = tutti_comm_destroy(*comm);
	if (status != TUTTI_OK)
		return job_complain_status(me, status, "the end of what was shrunk");
	*comm = child;
	return 0;
}

static int
survive(struct job_rank *me, const struct round *round, tutti_comm **comm, int mine)
{
	const int left = round->size - round->nvictims;
	bool shrunk = false, right = true;
	tutti_status status;

	while (!shrunk || tutti_comm_size(*comm) > left) {
		status = work(me, round, *comm, mine == round->initiator && !shrunk, &right);
		if (!right)
			return job_complain(me, "wrong numbers");
		if (status == TUTTI_OK && mine != round->initiator)
			return job_complain(me, "nothing happened");
		if (status != TUTTI_OK && status != TUTTI_ERR_PEER && status != TUTTI_ERR_ABORTED)
			return job_complain_status(me, status, "the work of %d ranks", tutti_comm_size(*comm));
		if (shrink(me, comm) != 0)
			return 1;
		shrunk = true;
	}
	if (tutti_comm_size(*comm) != left)
		return job_complain(me, "%d ranks are left, should be %d", tutti_comm_size(*comm), left);
	return check_members(me, round, *comm, (int32_t)mine);
}

static int
body(struct job_rank *me)
{
	const struct round *round = me->context;
	const int descriptors = job_descriptors();
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
	failed = survive(me, round, &comm, round->rank >= 0 ? round->rank : me->rank);
	return failed != 0 ? failed : report_destroy(me, comm, descriptors);
}

static void
draw(struct round *round, int number, uint64_t seed, int size, int rank)
{
	static const char *const transports[] = {"shm", "tcp", "shm,tcp"};
	struct random random = {mix64(seed * 104729 + (uint64_t)number)};

	*round = (struct round){.number = number, .size = size, .rank = rank, .initiator = -1};
	if (size == 0)
		round->size = 2 + (int)random_below(&random, 5);
	round->transports = transports[random_below(&random, 3)];
	if (rank >= 0)
		round->transports = NULL;
	round->seed = random_next(&random);
	if (random_below(&random, 5) == 0) {
		round->initiator = (int)random_below(&random, (uint64_t)round->size);
		return;
	}
	round->nvictims = 1 + (int)random_below(&random, (uint64_t)(round->size - 1));
	for (int k = 0; k < round->nvictims;) {
		const int r = (int)random_below(&random, (uint64_t)round->size);

		if (round->victim[r])
			continue;
		round->victim[r] = true;
		/* Together, or one after the other while the rest shrinks. */
		round->delay_us[r] =
		    (long)random_below(&random, 20000) + (random_below(&random, 2) == 0 ? 0 : k * 30000);
		k++;
	}
}

/* The victims that are here, in the order of their time. */
static void
kill_victims(struct job *job, const struct round *round)
{
	const long long start_ms = job_now_ms();
	bool killed[JOB_RANKS] = {false};

	for (;;) {
		int next = -1;

		for (int r = 0; r < round->size; r++)
			if (round->victim[r] && !killed[r] && (round->rank < 0 || round->rank == r) &&
			    (next < 0 || round->delay_us[r] < round->delay_us[next]))
				next = r;
		if (next < 0)
			return;
		while ((job_now_ms() - start_ms) * 1000 < round->delay_us[next])
			job_sleep_us(200);
		job_kill(job, round->rank < 0 ? next : 0, SIGKILL);
		killed[next] = true;
	}
}

static int
play(const struct round *round)
{
	struct job job = {.size = round->rank >= 0 ? 1 : round->size, .limit_s = LIMIT_S, .context = round};
	char name[160];

	snprintf(name, sizeof(name), "round %d (%d ranks, %d killed, initiator %d, %s)", round->number, round->size,
	    round->nvictims, round->initiator, round->transports != NULL ? round->transports : "launched");
	job_start(&job, body);
	if (round->rank < 0 || round->victim[round->rank]) {
		(void)job_await(&job, READY);
		kill_victims(&job, round);
	}
	return job_finish(&job, name);
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
	int rounds = 20, first = 0, seed = 1, size = 0, rank = -1, wrong = 0, o;

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
			return fputs("usage: shrink_campaign [-k ROUNDS] [-s SEED] [-n RANKS] [--round FIRST] "
				     "[--env]\n",
				   stderr),
			       2;
	}
	if (rank >= 0)
		size = environment_number("TUTTI_SIZE");
	for (int k = first; k < first + rounds; k++) {
		struct round round;
		char job[40];

		draw(&round, k, (uint64_t)seed, size, rank);
		snprintf(job, sizeof(job), "shrink-%d-%d", seed, k);
		if (rank >= 0)
			setenv("TUTTI_JOB", job, 1);
		if (play(&round) == 0)
			continue;
		fprintf(stderr, "  again: shrink_campaign -k 1 -s %d --round %d\n", seed, k);
		wrong++;
	}
	printf("%d of %d rounds right\n", rounds - wrong, rounds);
	return wrong == 0 ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * race.c - ranks as threads of one process over one mapping of the shared memory, so that a thread sanitizer sees what
 * they do to each other. Correct without one too: results and errors are checked.
 *
 *     race SCENARIO [-n RANKS] [--transports LIST] [--steps N]
 */
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "job.h"
#include "storm.h"

#define COMMS 3
#define PENDING 8
#define ELEMENTS 3000

struct plan {
	const char *transports;
	int size, steps;
};

struct scenario {
	const char *name, *promise;
	job_body body;
};

static int
make(struct job_rank *me, int progress_thread, tutti_comm **comm)
{
	const struct plan *plan = me->context;
	tutti_config config = TUTTI_CONFIG_INIT;
	tutti_status status;

	config.transports = plan->transports;
	config.timeout_ms = 60000;
	config.progress_thread = progress_thread;
	status = job_comm(me, &config, comm);
	return status == TUTTI_OK ? 0 : job_complain_status(me, status, "creation");
}

static int
unmake(struct job_rank *me, tutti_comm *comm)
{
	const tutti_status status = tutti_comm_destroy(comm);

	return status == TUTTI_OK ? 0 : job_complain_status(me, status, "destruction");
}

/* Somebody may leave meanwhile, if `left` is not NULL: then it says so. */
static int
storm_until(struct job_rank *me, tutti_comm *comm, uint64_t seed, long steps, bool *left)
{
	struct storm storm;
	tutti_status status;
	bool right;

	storm_init(&storm, comm, seed, 40000);
	status = storm_steps(&storm, steps, &right);
	storm_fini(&storm);
	if (left != NULL)
		*left = status == TUTTI_ERR_PEER;
	if (status != TUTTI_OK && (left == NULL || !*left))
		return job_complain_status(me, status, "%s number %ld", storm.what, storm.step);
	return right ? 0 : job_complain(me, "%s number %ld gave wrong numbers", storm.what, storm.step);
}

static int
storm_through(struct job_rank *me, tutti_comm *comm, uint64_t seed, long steps)
{
	return storm_until(me, comm, seed, steps, NULL);
}

/* ---- one communicator, and several at once ------------------------------------------------------------------------ */

static int
collectives(struct job_rank *me)
{
	const struct plan *plan = me->context;
	tutti_comm *comm;

	if (make(me, 0, &comm) != 0 || storm_through(me, comm, 3, plan->steps) != 0)
		return 1;
	return unmake(me, comm);
}

struct worker {
	struct job_rank *me;
	tutti_comm *comm;
	uint64_t seed;
	int failed;
	pthread_t thread;
};

static void *
worker_main(void *argument)
{
	struct worker *worker = argument;
	const struct plan *plan = worker->me->context;

	worker->failed = storm_through(worker->me, worker->comm, worker->seed, plan->steps / 2);
	return NULL;
}

static int
several_comms(struct job_rank *me)
{
	struct worker workers[COMMS];
	int failed = 0;

	for (int i = 0; i < COMMS; i++) {
		workers[i] = (struct worker){.me = me, .seed = (uint64_t)i};
		if (make(me, i == 2 ? 1 : 0, &workers[i].comm) != 0)
			return 1;
	}
	for (int i = 0; i < COMMS; i++)
		pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]);
	for (int i = 0; i < COMMS; i++) {
		pthread_join(workers[i].thread, NULL);
		failed |= workers[i].failed;
	}
	for (int i = 0; i < COMMS && failed == 0; i++)
		failed |= unmake(me, workers[i].comm);
	return failed;
}

/* ---- nonblocking --------------------------------------------------------------------------------------------------- */

/* One thread issues, the other finishes; the lock puts their calls in an order. */
struct hand_over {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	tutti_request *request[PENDING];
	int32_t send[PENDING][ELEMENTS], recv[PENDING][ELEMENTS];
	int issued, finished, rounds;
	tutti_comm *comm;
	tutti_status status;
	bool wrong;
};

static tutti_status
finish_by_testing(tutti_request **request)
{
	tutti_status status = TUTTI_OK;
	int done = 0;

	while (!done) {
		status = tutti_test(request, &done);
		if (!done)
			sched_yield();
	}
	return status;
}

static void *
finisher_main(void *argument)
{
	struct hand_over *h = argument;
	const int32_t p = tutti_comm_size(h->comm);

	pthread_mutex_lock(&h->lock);
	while (h->finished < h->rounds && h->status == TUTTI_OK) {
		while (h->issued < h->finished + PENDING && h->issued < h->rounds)
			pthread_cond_wait(&h->changed, &h->lock);
		for (; h->finished < h->issued && h->status == TUTTI_OK; h->finished++) {
			const int i = h->finished % PENDING;

			h->status = i % 2 == 0 ? tutti_wait(&h->request[i]) : finish_by_testing(&h->request[i]);
			for (int e = 0; e < ELEMENTS; e++)
				h->wrong = h->wrong || h->recv[i][e] != p * (p + 1) / 2 * (h->finished + e);
		}
		pthread_cond_broadcast(&h->changed);
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

static void
issue_rounds(struct hand_over *h)
{
	const int rank = tutti_comm_rank(h->comm);

	pthread_mutex_lock(&h->lock);
	while (h->issued < h->rounds && h->status == TUTTI_OK) {
		const int i = h->issued % PENDING;

		for (int e = 0; e < ELEMENTS; e++)
			h->send[i][e] = (rank + 1) * (h->issued + e);
		h->status = tutti_all_reduce(
		    h->comm, h->send[i], h->recv[i], ELEMENTS, TUTTI_INT32, TUTTI_SUM, NULL, &h->request[i]);
		h->issued += h->status == TUTTI_OK;
		pthread_cond_broadcast(&h->changed);
		while (h->issued == h->finished + PENDING && h->status == TUTTI_OK)
			pthread_cond_wait(&h->changed, &h->lock);
	}
	pthread_cond_broadcast(&h->changed);
	pthread_mutex_unlock(&h->lock);
}

static int
hand_over(struct job_rank *me, int progress_thread)
{
	const struct plan *plan = me->context;
	struct hand_over *h = calloc(1, sizeof(*h));
	pthread_t thread;
	int failed = 0;

	if (h == NULL || make(me, progress_thread, &h->comm) != 0)
		return 1;
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->changed, NULL);
	h->rounds = plan->steps;
	pthread_create(&thread, NULL, finisher_main, h);
	issue_rounds(h);
	pthread_join(thread, NULL);
	if (h->status != TUTTI_OK)
		failed = job_complain_status(me, h->status, "operation %d", h->finished);
	else if (h->wrong)
		failed = job_complain(me, "wrong numbers");
	if (failed == 0)
		failed = unmake(me, h->comm);
	pthread_mutex_destroy(&h->lock);
	pthread_cond_destroy(&h->changed);
	free(h);
	return failed;
}

static int
two_threads(struct job_rank *me)
{
	return hand_over(me, -1);
}

static int
progress_thread(struct job_rank *me)
{
	return hand_over(me, 1);
}

/* ---- the end: aborted, left, destroyed with operations pending ------------------------------------------------------ */

static void *
aborter_main(void *argument)
{
	job_sleep_us(20000);
	(void)tutti_comm_abort(argument);
	return NULL;
}

static int
aborted(struct job_rank *me)
{
	for (int round = 0; round < 5; round++) {
		struct storm storm;
		tutti_status status = TUTTI_OK;
		tutti_comm *comm;
		pthread_t thread;
		bool right = true;

		if (make(me, round % 2 == 0 ? 0 : 1, &comm) != 0)
			return 1;
		if (me->rank == round % me->size)
			pthread_create(&thread, NULL, aborter_main, comm);
		storm_init(&storm, comm, (uint64_t)round, 40000);
		while (status == TUTTI_OK && right)
			status = storm_step(&storm, &right);
		storm_fini(&storm);
		if (me->rank == round % me->size)
			pthread_join(thread, NULL);
		if (status != TUTTI_ERR_ABORTED || tutti_comm_error(comm, NULL) != TUTTI_ERR_ABORTED)
			return job_complain_status(me, status, "an aborted %s", storm.what);
		if (unmake(me, comm) != 0)
			return 1;
	}
	return 0;
}

/* Everybody issues, rank 0 does not wait for what it has issued; the others hear that it left, at the latest when they wait, or
 * come through. */
static int
destroyed(struct job_rank *me)
{
	for (int round = 0; round < 5; round++) {
		int32_t send[64] = {0}, recv[64];
		tutti_request *request = NULL;
		tutti_comm *comm;
		tutti_status status = TUTTI_ERR_PEER;
		bool left;

		if (make(me, round % 2 == 0 ? 0 : 1, &comm) != 0 || storm_until(me, comm, 1, 10, &left) != 0)
			return 1;
		if (!left)
			status = tutti_all_reduce(comm, send, recv, 64, TUTTI_INT32, TUTTI_SUM, NULL, &request);
		if (status == TUTTI_ERR_PEER && me->rank != 0) {
			if (unmake(me, comm) != 0)
				return 1;
			continue;
		}
		if (status != TUTTI_OK)
			return job_complain_status(me, status, "issuing");
		if (me->rank == 0) {
			if (unmake(me, comm) != 0)
				return 1;
			status = tutti_wait(&request);
			if (status != TUTTI_OK && status != TUTTI_ERR_STATE)
				return job_complain_status(me, status, "waiting after destruction");
			continue;
		}
		status = tutti_wait(&request);
		if (status != TUTTI_OK && status != TUTTI_ERR_PEER)
			return job_complain_status(me, status, "waiting while rank 0 leaves");
		if (unmake(me, comm) != 0)
			return 1;
	}
	return 0;
}

/* ---- main ------------------------------------------------------------------------------------------------------------ */

static const struct scenario scenarios[] = {{"collectives", "all collectives, one communicator", collectives},
    {"several", "several communicators at once, each with its own thread", several_comms},
    {"two-threads", "one thread issues, another finishes", two_threads},
    {"progress", "the same with progress_thread = 1", progress_thread},
    {"abort", "an abort from another thread", aborted}, {"destroy", "destruction with operations pending", destroyed},
    {NULL, NULL, NULL}};

static int
usage(void)
{
	fputs("usage: race SCENARIO [-n RANKS] [--transports LIST] [--steps N]\n", stderr);
	for (const struct scenario *s = scenarios; s->name != NULL; s++)
		fprintf(stderr, "  %-12s %s\n", s->name, s->promise);
	return 2;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {{"transports", required_argument, NULL, 't'},
	    {"steps", required_argument, NULL, 's'}, {NULL, 0, NULL, 0}};
	struct plan plan = {.size = 3, .steps = 200};
	struct job job = {.threads = true, .limit_s = 250, .context = &plan};
	const struct scenario *scenario = scenarios;
	int o;

	while ((o = getopt_long(argc, argv, "n:", options, NULL)) != -1) {
		if (o == 'n')
			plan.size = job_number("-n", optarg, 1, JOB_RANKS);
		else if (o == 't')
			plan.transports = optarg;
		else if (o == 's')
			plan.steps = job_number("--steps", optarg, 2, 1000000);
		else
			return usage();
	}
	if (optind != argc - 1)
		return usage();
	while (scenario->name != NULL && strcmp(scenario->name, argv[optind]) != 0)
		scenario++;
	if (scenario->name == NULL)
		return usage();
	job.size = plan.size;
	return job_run(&job, scenario->body, scenario->name) == 0 ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * faults_stop.c - ranks that stop, come late or never come, and jobs that are aborted.
 */
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "faults.h"

/* ---- stopped for a while: nobody minds -------------------------------------------------------------------------- */

/* Storms on until all ranks have seen the signal STOP. */
static int
storm_until_stop(struct job_rank *me, tutti_comm *comm, struct storm *storm)
{
	bool right = true;

	for (;;) {
		int32_t seen = atomic_load(&me->board->signal) >= STOP, all;
		tutti_status status = storm_steps(storm, 20, &right);

		job_doing(me, "%s number %ld", storm->what, storm->step);
		if (!right)
			return job_complain(me, "%s number %ld gave wrong numbers", storm->what, storm->step);
		if (status == TUTTI_OK)
			status = tutti_all_reduce(comm, &seen, &all, 1, TUTTI_INT32, TUTTI_MIN, NULL, NULL);
		if (status != TUTTI_OK)
			return job_complain_status(me, status, "%s number %ld", storm->what, storm->step);
		if (all)
			return 0;
	}
}

static int
work_on(struct job_rank *me)
{
	const struct plan *plan = me->context;
	const int descriptors = job_descriptors();
	struct storm storm;
	tutti_comm *comm;
	int failed;

	if (make_comm(me, 20000, &comm) != 0)
		return 1;
	storm_init(&storm, comm, (uint64_t)plan->seed, 20000);
	job_reach(me, AT_WORK);
	failed = storm_until_stop(me, comm, &storm);
	storm_fini(&storm);
	return failed != 0 ? failed : report_destroy(me, comm, descriptors);
}

static void
stop_and_continue(struct job *job, const struct plan *plan)
{
	struct random random = {(uint64_t)plan->seed};

	(void)job_await(job, AT_WORK);
	for (int i = 0; i < 12; i++) {
		const int rank = (int)random_below(&random, (uint64_t)job->size);

		job_sleep_us((long)random_below(&random, 10000));
		job_kill(job, rank, SIGSTOP);
		job_sleep_us((long)random_below(&random, 150000));
		job_kill(job, rank, SIGCONT);
	}
	job_tell(job, STOP);
}

/* ---- stopped for too long ----------------------------------------------------------------------------------------- */

#define STOPPED(size) ((size)-1)

static int
hear_of_stopped(struct job_rank *me)
{
	const struct plan *plan = me->context;
	const struct report expected = {.status = TUTTI_ERR_TIMEOUT, .ranks = {STOPPED(me->size)}, .nranks = 1};
	const int descriptors = job_descriptors();
	tutti_status status = TUTTI_OK;
	struct storm storm;
	tutti_comm *comm;
	bool right = true;
	int failed;

	if (make_comm(me, 1500, &comm) != 0)
		return 1;
	storm_init(&storm, comm, (uint64_t)plan->seed, 20000);
	job_reach(me, AT_WORK);
	while (status == TUTTI_OK && right)
		status = storm_steps(&storm, 1, &right);
	storm_fini(&storm);
	failed = right ? report_check(me, comm, status, &expected) : job_complain(me, "wrong numbers");
	job_reach(me, AT_REPORT);
	return failed != 0 ? failed : report_destroy(me, comm, descriptors);
}

/* Goes on after all others have reported: it must hear the same. */
static void
stop_for_long(struct job *job, const struct plan *plan)
{
	const int stopped = STOPPED(plan->size);

	(void)job_await(job, AT_WORK);
	job_sleep_us(20000);
	job_kill(job, stopped, SIGSTOP);
	for (int r = 0; r < job->size; r++)
		while (r != stopped && atomic_load(&job->board->slot[r].phase) < AT_REPORT &&
		       atomic_load(&job->board->slot[r].ended) == 0 && job_now_ms() < job->ends_ms)
			job_sleep_us(1000);
	job_kill(job, stopped, SIGCONT);
}

/* ---- left out by a shrink ------------------------------------------------------------------------------------------ */

/* Rank 0, the hub of the control plane, where word gets around without it: through the memory of the node. */
static int
left_out(const struct plan *plan)
{
	return strcmp(plan->transports, "tcp") != 0 && plan->seed % 2 == 1 ? 0 : plan->size - 1;
}

/* It wakes up when the others have gone on. */
static int
wake_up_late(struct job_rank *me, tutti_comm *comm, tutti_status status, int descriptors)
{
	tutti_config config = TUTTI_CONFIG_INIT;
	tutti_comm *child = NULL;

	config.timeout_ms = 4000;
	if (status != TUTTI_ERR_ABORTED && status != TUTTI_ERR_TIMEOUT && status != TUTTI_ERR_PEER)
		return job_complain_status(me, status, "what the stopped rank heard");
	status = tutti_comm_shrink(comm, &config, &child);
	if (status != TUTTI_ERR_STATE)
		return job_complain_status(me, status, "the shrink of the stopped rank");
	return report_destroy(me, comm, descriptors);
}

static int
go_on_without(struct job_rank *me, tutti_comm *comm, int descriptors)
{
	tutti_config config = TUTTI_CONFIG_INIT;
	int32_t one = 1, sum = 0;
	tutti_comm *child = NULL;
	tutti_status status;

	config.timeout_ms = 4000;
	config.transports = ((const struct plan *)me->context)->transports;
	status = tutti_comm_shrink(comm, &config, &child);
	if (status == TUTTI_OK)
		status = tutti_all_reduce(child, &one, &sum, 1, TUTTI_INT32, TUTTI_SUM, NULL, NULL);
	if (status != TUTTI_OK)
		return job_complain_status(me, status, "shrink without the stopped rank");
	if (sum != me->size - 1)
		return job_complain(me, "%d ranks are left, should be %d", (int)sum, me->size - 1);
	job_reach(me, AT_REPORT);
	status = tutti_comm_destroy(child);
	if (status != TUTTI_OK)
		return job_complain_status(me, status, "destroy");
	return report_destroy(me, comm, descriptors);
}

static int
shrink_while_stopped(struct job_rank *me)
{
	const struct plan *plan = me->context;
	const int descriptors = job_descriptors();
	tutti_status status = TUTTI_OK;
	struct storm storm;
	tutti_comm *comm;
	bool right = true;

	if (make_comm(me, 20000, &comm) != 0)
		return 1;
	storm_init(&storm, comm, (uint64_t)plan->seed, 20000);
	job_reach(me, AT_WORK);
	/* One of the others decides that it has waited long enough. */
	if (me->rank == 1) {
		job_listen(me, GO);
		storm_fini(&storm);
		return go_on_without(me, comm, descriptors);
	}
	while (status == TUTTI_OK && right)
		status = storm_steps(&storm, 1, &right);
	storm_fini(&storm);
	if (!right)
		return job_complain(me, "wrong numbers");
	if (me->rank == left_out(plan))
		return wake_up_late(me, comm, status, descriptors);
	if (status != TUTTI_ERR_ABORTED)
		return job_complain_status(me, status, "what a pending rank heard of the shrink");
	return go_on_without(me, comm, descriptors);
}

static void
stop_and_leave_out(struct job *job, const struct plan *plan)
{
	const int stopped = left_out(plan);

	(void)job_await(job, AT_WORK);
	job_sleep_us(20000);
	job_kill(job, stopped, SIGSTOP);
	job_tell(job, GO);
	for (int r = 0; r < job->size; r++)
		while (r != stopped && atomic_load(&job->board->slot[r].phase) < AT_REPORT &&
		       atomic_load(&job->board->slot[r].ended) == 0 && job_now_ms() < job->ends_ms)
			job_sleep_us(1000);
	job_kill(job, stopped, SIGCONT);
}

/* ---- never called ------------------------------------------------------------------------------------------------- */

static bool
is_absent(int rank)
{
	return rank % 2 == 1;
}

static int
some_never_call(struct job_rank *me)
{
	struct report expected = {.status = TUTTI_ERR_TIMEOUT};
	const int descriptors = job_descriptors();
	int32_t data = 1, result = -7;
	tutti_comm *comm;

	for (int r = 0; r < me->size; r++)
		if (is_absent(r) && expected.nranks < 16)
			expected.ranks[expected.nranks++] = r;
	if (make_comm(me, 700, &comm) != 0)
		return 1;
	job_doing(me, "all_reduce that some ranks never call");
	if (is_absent(me->rank))
		job_listen(me, GO);
	/* The late ones hear what the others were told. */
	if (report_check(me, comm, tutti_all_reduce(comm, &data, &result, 1, TUTTI_INT32, TUTTI_SUM, NULL, NULL),
		&expected) != 0)
		return 1;
	if (result != -7)
		return job_complain(me, "the failed call has written its output");
	job_meet(me, AT_REPORT);
	return report_destroy(me, comm, descriptors);
}

static void
late_ones_after(struct job *job, const struct plan *plan)
{
	for (int r = 0; r < plan->size; r++)
		while (!is_absent(r) && atomic_load(&job->board->slot[r].phase) < AT_REPORT &&
		       atomic_load(&job->board->slot[r].ended) == 0 && job_now_ms() < job->ends_ms)
			job_sleep_us(1000);
	job_tell(job, GO);
}

/* ---- aborted ------------------------------------------------------------------------------------------------------ */

static void *
abort_soon(void *argument)
{
	tutti_comm *comm = argument;
	tutti_status first, second;

	job_sleep_us(100000);
	first = tutti_comm_abort(comm);
	second = tutti_comm_abort(comm);
	return first == TUTTI_OK && second == TUTTI_OK ? NULL : comm;
}

/* Rank 0 aborts from another thread while it waits itself; the last rank has not called. */
static int
hear_of_abort(struct job_rank *me)
{
	const struct report expected = {.status = TUTTI_ERR_ABORTED, .nranks = -1};
	const int descriptors = job_descriptors();
	const bool late = me->rank == me->size - 1 && me->rank > 0;
	pthread_t thread;
	tutti_comm *comm;
	void *failed = NULL;

	if (make_comm(me, 30000, &comm) != 0)
		return 1;
	job_doing(me, "a barrier that is aborted");
	if (me->rank == 0)
		pthread_create(&thread, NULL, abort_soon, comm);
	if (late)
		for (int r = 0; r < me->size - 1; r++)
			while (atomic_load(&me->board->slot[r].phase) < AT_REPORT &&
			       atomic_load(&me->board->slot[r].ended) == 0)
				job_sleep_us(1000);
	if (report_check(me, comm, tutti_barrier(comm, NULL, NULL), &expected) != 0)
		return 1;
	if (me->rank == 0)
		pthread_join(thread, &failed);
	if (failed != NULL)
		return job_complain(me, "tutti_comm_abort failed");
	job_meet(me, AT_REPORT);
	return report_destroy(me, comm, descriptors);
}

const struct scenario stop_scenarios[] = {
    {"stop_continue", "ranks that are stopped and continued: right results, no error", work_on, stop_and_continue},
    {"stop_timeout", "a rank stopped for longer than the limit: TIMEOUT names it", hear_of_stopped, stop_for_long},
    {"shrink_stopped", "the others shrink without a stopped rank, which then hears STATE", shrink_while_stopped,
	stop_and_leave_out},
    {"absent", "ranks that never call: TIMEOUT names them, and they hear it too", some_never_call, late_ones_after},
    {"abort", "an abort from another thread ends everybody's operations", hear_of_abort, NULL},
    {NULL, NULL, NULL, NULL}};

/* SPDX-License-Identifier: Apache-2.0
 *
 * faults_process.c - what a program does to its process: fork, exec, signals, few descriptors.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults.h"

static int
finish(struct job_rank *me, tutti_comm *comm, long steps, int descriptors)
{
	struct storm storm;
	tutti_status status;
	bool right;

	storm_init(&storm, comm, 5, 20000);
	status = storm_steps(&storm, steps, &right);
	storm_fini(&storm);
	if (status != TUTTI_OK)
		return job_complain_status(me, status, "%s number %ld", storm.what, storm.step);
	if (!right)
		return job_complain(me, "%s number %ld gave wrong numbers", storm.what, storm.step);
	return report_destroy(me, comm, descriptors);
}

static int
exit_status_of(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- fork --------------------------------------------------------------------------------------------------------- */

/* Which of the calls that a forked child makes is not refused; 0 = all are. */
static int
child_calls(tutti_comm *comm)
{
	tutti_request *request = NULL;
	tutti_error error = TUTTI_ERROR_INIT;
	int32_t data = 0;

	alarm(20);
	if (tutti_all_reduce(comm, &data, &data, 1, TUTTI_INT32, TUTTI_SUM, NULL, NULL) != TUTTI_ERR_STATE)
		return 1;
	if (tutti_last_error(&error) != TUTTI_OK || strstr(error.message, "fork") == NULL)
		return 2;
	if (tutti_barrier(comm, NULL, &request) != TUTTI_ERR_STATE || request != NULL)
		return 3;
	if (tutti_broadcast(comm, &data, &data, 1, TUTTI_INT32, 0, NULL, NULL) != TUTTI_ERR_STATE)
		return 4;
	if (tutti_comm_abort(comm) != TUTTI_ERR_STATE)
		return 5;
	return tutti_comm_destroy(comm) == TUTTI_ERR_STATE ? 0 : 6;
}

static int
fork_and_call(struct job_rank *me)
{
	const int descriptors = job_descriptors();
	tutti_comm *comm;
	pid_t pid;
	int refused;

	if (make_comm(me, 20000, &comm) != 0)
		return 1;
	job_doing(me, "waiting for a forked child's calls");
	pid = fork();
	if (pid == 0)
		_exit(child_calls(comm));
	refused = exit_status_of(pid);
	if (refused != 0)
		return job_complain(me, "call %d of a forked child did not return TUTTI_ERR_STATE", refused);
	return finish(me, comm, 100, descriptors);
}

static int
count_in_exec(const struct plan *plan)
{
	const pid_t pid = fork();

	if (pid == 0) {
		execl("/proc/self/exe", plan->program, "--count-descriptors", (char *)NULL);
		_exit(127);
	}
	return exit_status_of(pid);
}

static int
exec_keeps_nothing(struct job_rank *me)
{
	const struct plan *plan = me->context;
	const int descriptors = job_descriptors(), before = count_in_exec(plan);
	tutti_comm *comm;
	int after;

	if (make_comm(me, 20000, &comm) != 0)
		return 1;
	after = count_in_exec(plan);
	if (before != after)
		return job_complain(
		    me, "a program started from here has %d descriptors, %d before creation", after, before);
	return finish(me, comm, 100, descriptors);
}

/* Rank 0 has a child that lives on after it. */
static int
child_outlives(struct job_rank *me)
{
	const struct report expected = {.status = TUTTI_ERR_PEER, .ranks = {0}, .nranks = 1};
	const int descriptors = job_descriptors();
	tutti_status status = TUTTI_OK;
	tutti_comm *comm;
	pid_t pid;

	if (make_comm(me, 20000, &comm) != 0)
		return 1;
	if (me->rank == 0) {
		pid = fork();
		if (pid == 0) {
			alarm(60);
			pause();
			_exit(0);
		}
		atomic_store(&me->slot->extra_pid, pid);
	}
	job_reach(me, AT_WORK);
	job_doing(me, "barriers with a rank that is killed and has a child");
	while (status == TUTTI_OK)
		status = tutti_barrier(comm, NULL, NULL);
	return report_check(me, comm, status, &expected) != 0 ? 1 : report_destroy(me, comm, descriptors);
}

static void
kill_rank_0(struct job *job, const struct plan *plan)
{
	(void)job_await(job, AT_WORK);
	job_sleep_us(20000);
	job_kill(job, 0, SIGKILL);
}

static void *
fork_on_and_on(void *argument)
{
	atomic_int *stop = argument;

	while (atomic_load(stop) == 0) {
		const pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		(void)exit_status_of(pid);
		job_sleep_us(2000);
	}
	return NULL;
}

static int
fork_storm(struct job_rank *me)
{
	const int descriptors = job_descriptors();
	atomic_int stop = 0;
	pthread_t thread;
	tutti_comm *comm;
	int failed;

	if (make_comm(me, 20000, &comm) != 0)
		return 1;
	pthread_create(&thread, NULL, fork_on_and_on, &stop);
	job_doing(me, "working in a storm of forks");
	failed = finish(me, comm, 400, descriptors);
	atomic_store(&stop, 1);
	pthread_join(thread, NULL);
	return failed;
}

/* ---- signals ------------------------------------------------------------------------------------------------------- */

static atomic_int alarms;

static void
on_alarm(int number)
{
	atomic_fetch_add(&alarms, 1);
}

/* System calls are interrupted all the time: during creation, operations, and destruction. */
static int
signal_storm(struct job_rank *me)
{
	const struct sigaction action = {.sa_handler = on_alarm};
	const struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
	const int descriptors = job_descriptors();
	struct sigaction pipe_before, pipe_after;
	tutti_comm *comm;
	int failed;

	sigaction(SIGALRM, &action, NULL);
	sigaction(SIGPIPE, NULL, &pipe_before);
	setitimer(ITIMER_REAL, &often, NULL);
	failed = make_comm(me, 20000, &comm);
	job_doing(me, "working in a storm of signals");
	if (failed == 0)
		failed = finish(me, comm, 400, descriptors);
	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGPIPE, NULL, &pipe_after);
	if (failed == 0 && atomic_load(&alarms) == 0)
		return job_complain(me, "no signal came");
	if (failed == 0 && pipe_before.sa_handler != pipe_after.sa_handler)
		return job_complain(me, "the library has changed the handler of SIGPIPE");
	return failed;
}

/* ---- few descriptors ----------------------------------------------------------------------------------------------- */

static void
limit_descriptors(int n)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = n < 0 ? limit.rlim_max : (rlim_t)n;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* The limit may stop the memory that is shared: then there is a transport less. */
static bool
says_the_limit(tutti_status status, const char *message)
{
	return (status == TUTTI_ERR_SYSTEM && strstr(message, strerror(EMFILE)) != NULL) ||
	       (status == TUTTI_ERR_UNSUPPORTED && strstr(message, "share no memory") != NULL);
}

/* Creation fails on all ranks or on none, and for the same reason, or because the last rank did not get to the others. */
static int
compare_with_poor(struct job_rank *me, tutti_status status, const tutti_error *error, tutti_status poors, int spare)
{
	if ((status == TUTTI_OK) != (poors == TUTTI_OK))
		return job_complain(me, "with %d more descriptors for the last rank it has %s and this rank %s",
		    spare, tutti_status_string(poors), tutti_status_string(status));
	if (status != poors && (status != TUTTI_ERR_TIMEOUT || error->rank != me->size - 1))
		return job_complain_status(
		    me, status, "the last rank says %s with %d more descriptors", tutti_status_string(poors), spare);
	return 0;
}

/* The last rank may open `spare` more. */
static int
create_with(struct job_rank *me, int spare, int phase, bool *made)
{
	const struct plan *plan = me->context;
	const int descriptors = job_descriptors();
	const bool poor = me->rank == me->size - 1;
	tutti_config config = TUTTI_CONFIG_INIT;
	tutti_error error = TUTTI_ERROR_INIT;
	tutti_comm *comm = NULL;
	tutti_status status, poors;
	int left;

	config.transports = plan->transports;
	config.timeout_ms = 2500;
	if (poor)
		limit_descriptors(descriptors + spare);
	status = job_comm(me, &config, &comm);
	limit_descriptors(-1);
	job_doing(me, "%d more descriptors for the last rank", spare);
	(void)tutti_last_error(&error);
	*made = status == TUTTI_OK;
	if (poor)
		atomic_store(&me->board->signal, (int)status);
	job_meet(me, phase);
	poors = (tutti_status)atomic_load(&me->board->signal);
	job_meet(me, phase + 1);
	if (compare_with_poor(me, status, &error, poors, spare) != 0)
		return 1;
	if (status == TUTTI_OK)
		return finish(me, comm, 20, descriptors);
	if (comm != NULL)
		return job_complain(me, "creation failed but gave a communicator");
	if (poor && !says_the_limit(status, error.message))
		return job_complain_status(me, status, "creation with %d more descriptors", spare);
	left = job_descriptors();
	if (left != descriptors)
		return job_complain(me, "a failed creation left %d descriptors open", left - descriptors);
	return 0;
}

static int
few_descriptors(struct job_rank *me)
{
	bool made = false;

	/* At first there is none for a connection; from then on each may be the one that it lacks. */
	for (int spare = -2, phase = AT_START + 1; spare < 40; spare += spare < 20 ? 1 : 9, phase += 2)
		if (create_with(me, spare, phase, &made) != 0)
			return 1;
	if (!made)
		return job_complain(me, "39 more descriptors are not enough for %d ranks", me->size);
	return 0;
}

const struct scenario process_scenarios[] = {
    {"fork_call", "a forked child's calls are refused; the parent works on", fork_and_call, NULL},
    {"fork_exec", "a program started from a rank gets none of our descriptors", exec_keeps_nothing, NULL},
    {"fork_outlives", "a child that lives on does not hide its parent's death", child_outlives, kill_rank_0},
    {"fork_storm", "forks all the time: right results", fork_storm, NULL},
    {"signal_storm", "signals all the time: right results, no handler changed", signal_storm, NULL},
    {"few_descriptors", "too few descriptors: an error on all ranks that says so", few_descriptors, NULL},
    {NULL, NULL, NULL, NULL}};

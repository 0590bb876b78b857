/* SPDX-License-Identifier: Apache-2.0
 *
 * job.c - see job.h. Ranks that are processes end with _exit: they must not run what the test's process has
 * registered for its own end.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "job.h"

#define DEFAULT_LIMIT_S 60
#define NAP_US 300

static void
give_up(const char *what)
{
	fprintf(stderr, "job: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- starting ------------------------------------------------------------------------------------------------- */

static void
run_body(struct job_rank *me, job_body body)
{
	me->slot->result = body(me);
	atomic_store(&me->slot->ended, 1);
}

static void *
thread_main(void *argument)
{
	struct job_rank *me = argument;
	struct job *job = (struct job *)(uintptr_t)me->context;

	me->context = job->context;
	run_body(me, job->body);
	return NULL;
}

static void
start_process(struct job *job, int rank, pid_t parent)
{
	const pid_t pid = fork();

	if (pid < 0)
		give_up("fork");
	if (pid > 0) {
		job->pid[rank] = pid;
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	alarm((unsigned)job->limit_s + 10);
	job->rank[rank].context = job->context;
	run_body(&job->rank[rank], job->body);
	_exit(job->rank[rank].slot->result == 0 ? 0 : 1);
}

void
job_start(struct job *job, job_body body)
{
	const pid_t parent = getpid();

	if (job->limit_s == 0)
		job->limit_s = DEFAULT_LIMIT_S;
	job->board = mmap(NULL, sizeof(*job->board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (job->board == MAP_FAILED)
		give_up("mmap");
	job->ends_ms = job_now_ms() + 1000LL * job->limit_s;
	job->body = body;
	fflush(NULL);
	for (int r = 0; r < job->size; r++)
		job->rank[r] = (struct job_rank){
		    .rank = r, .size = job->size, .context = job, .board = job->board, .slot = &job->board->slot[r]};
	for (int r = 0; r < job->size; r++) {
		job->signal[r] = 0;
		if (!job->threads)
			start_process(job, r, parent);
		else if ((errno = pthread_create(&job->thread[r], NULL, thread_main, &job->rank[r])) != 0)
			give_up("pthread_create");
	}
	job->started = job->size;
}

/* ---- while they run ------------------------------------------------------------------------------------------ */

/* A process's end as its rank's result; `expected` is the signal that the test has sent. */
static void
note_end(struct job_rank *me, int status, int expected)
{
	char doing[sizeof(me->slot->doing)];

	memcpy(doing, me->slot->doing, sizeof(doing));
	if (WIFSIGNALED(status) && WTERMSIG(status) == expected)
		me->slot->result = 0;
	else if (WIFSIGNALED(status))
		me->slot->result = job_complain(me, "died of signal %d while %s", WTERMSIG(status), doing);
	else if (WEXITSTATUS(status) != 0 && me->slot->result == 0)
		me->slot->result = job_complain(me, "exit status %d while %s", WEXITSTATUS(status), doing);
}

/* Takes notice of processes that have ended. A rank that died is marked as ended, whatever the board says. */
static int
still_running(struct job *job)
{
	int running = 0, status;

	for (int r = 0; r < job->size; r++) {
		struct job_slot *slot = &job->board->slot[r];

		if (job->threads) {
			running += atomic_load(&slot->ended) == 0;
			continue;
		}
		if (job->pid[r] == 0)
			continue;
		if (waitpid(job->pid[r], &status, WNOHANG) != job->pid[r]) {
			running++;
			continue;
		}
		job->pid[r] = 0;
		note_end(&job->rank[r], status, job->signal[r]);
		atomic_store(&slot->ended, 1);
	}
	return running;
}

static bool
all_at(const struct job_board *board, int size, int phase)
{
	for (int r = 0; r < size; r++)
		if (atomic_load(&board->slot[r].phase) < phase && atomic_load(&board->slot[r].ended) == 0)
			return false;
	return true;
}

bool
job_await(struct job *job, int phase)
{
	while (!all_at(job->board, job->size, phase)) {
		(void)still_running(job);
		if (job_now_ms() > job->ends_ms)
			return false;
		job_sleep_us(NAP_US);
	}
	return true;
}

void
job_tell(struct job *job, int value)
{
	atomic_store(&job->board->signal, value);
}

void
job_kill(struct job *job, int rank, int number)
{
	if (job->pid[rank] == 0)
		return;
	if (number == SIGKILL)
		job->signal[rank] = SIGKILL;
	kill(job->pid[rank], number);
}

/* ---- the end -------------------------------------------------------------------------------------------------- */

static void
end_late(struct job *job)
{
	char doing[sizeof(job->board->slot[0].doing)];

	for (int r = 0; r < job->size; r++) {
		struct job_slot *slot = &job->board->slot[r];

		if (job->threads ? atomic_load(&slot->ended) != 0 : job->pid[r] == 0)
			continue;
		memcpy(doing, slot->doing, sizeof(doing));
		slot->result = job_complain(&job->rank[r], "HANGS: not done after %d s while %s", job->limit_s,
		    doing[0] != '\0' ? doing : "starting");
		if (job->threads)
			continue;
		kill(job->pid[r], SIGKILL);
		while (waitpid(job->pid[r], NULL, 0) < 0 && errno == EINTR)
			;
		job->pid[r] = 0;
	}
}

int
job_finish(struct job *job, const char *name)
{
	bool late = false;
	int failed = 0;

	while (still_running(job) > 0 && !late) {
		late = job_now_ms() > job->ends_ms;
		job_sleep_us(NAP_US);
	}
	if (late)
		end_late(job);
	for (int r = 0; r < job->size; r++) {
		const struct job_slot *slot = &job->board->slot[r];
		const int extra = atomic_load(&slot->extra_pid);

		if (extra > 0)
			kill(extra, SIGKILL);
		if (slot->result == 0)
			continue;
		fprintf(stderr, "%s: rank %d: %s\n", name, r, slot->text[0] != '\0' ? slot->text : "failed");
		failed++;
	}
	fflush(NULL);
	if (late && job->threads)
		_exit(1); /* threads cannot be ended */
	for (int r = 0; job->threads && r < job->size; r++)
		pthread_join(job->thread[r], NULL);
	munmap(job->board, sizeof(*job->board));
	job->board = NULL;
	return failed;
}

int
job_run(struct job *job, job_body body, const char *name)
{
	job_start(job, body);
	return job_finish(job, name);
}

/* ---- a rank's side --------------------------------------------------------------------------------------------- */

tutti_status
job_id(struct job_rank *me, const tutti_config *config, tutti_unique_id *id)
{
	const int k = me->ncomms++;
	tutti_status status;

	if (k >= JOB_COMMS) {
		fprintf(stderr, "job: more than %d communicators\n", JOB_COMMS);
		_exit(2);
	}
	if (me->rank == 0) {
		status = tutti_unique_id_create_with(config, id);
		me->board->comm[k].id = *id;
		atomic_store(&me->board->comm[k].made, status == TUTTI_OK ? 1 : -1);
		return status;
	}
	while (atomic_load(&me->board->comm[k].made) == 0) {
		if (atomic_load(&me->board->slot[0].ended) != 0)
			return TUTTI_ERR_STATE;
		job_sleep_us(NAP_US);
	}
	*id = me->board->comm[k].id;
	return atomic_load(&me->board->comm[k].made) == 1 ? TUTTI_OK : TUTTI_ERR_STATE;
}

tutti_status
job_comm(struct job_rank *me, const tutti_config *config, tutti_comm **comm)
{
	const tutti_config none = TUTTI_CONFIG_INIT;
	tutti_unique_id id;
	tutti_status status;

	if (config == NULL)
		config = &none;
	job_doing(me, "creating communicator %d", me->ncomms);
	if (me->size == 1)
		return tutti_comm_create(1, 0, NULL, config, comm);
	status = job_id(me, config, &id);
	if (status != TUTTI_OK)
		return status;
	return tutti_comm_create(me->size, me->rank, &id, config, comm);
}

void
job_reach(struct job_rank *me, int phase)
{
	atomic_store(&me->slot->phase, phase);
}

void
job_meet(struct job_rank *me, int phase)
{
	job_reach(me, phase);
	while (!all_at(me->board, me->size, phase))
		job_sleep_us(NAP_US);
}

void
job_listen(struct job_rank *me, int value)
{
	while (atomic_load(&me->board->signal) < value)
		job_sleep_us(NAP_US);
}

void
job_doing(struct job_rank *me, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(me->slot->doing, sizeof(me->slot->doing), format, arguments);
	va_end(arguments);
}

int
job_complain(struct job_rank *me, const char *format, ...)
{
	va_list arguments;

	if (me->slot->text[0] == '\0') {
		va_start(arguments, format);
		vsnprintf(me->slot->text, sizeof(me->slot->text), format, arguments);
		va_end(arguments);
	}
	return 1;
}

int
job_complain_status(struct job_rank *me, tutti_status status, const char *format, ...)
{
	tutti_error error = TUTTI_ERROR_INIT;
	char text[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	(void)tutti_last_error(&error);
	return job_complain(me, "%s: %s, rank %d of %d, \"%s\"", text, tutti_status_string(status), error.rank,
	    error.nranks, error.message);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * job.h - many ranks on this machine, for tests: as processes, or as threads of one.
 *
 * A test fills a struct job, starts a body on every rank, may send signals while they run, and finishes. What the
 * ranks tell the test goes over a board in shared memory, so that a rank may die at any instant. Nothing outlives
 * a job: ranks die with the process that started them, and whoever is late is killed and said to hang.
 */
#ifndef TT_TESTS_JOB_H
#define TT_TESTS_JOB_H

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include <tutti/tutti.h>

#define JOB_RANKS 64 /* at most */
#define JOB_COMMS 64 /* made by job_comm in one job, at most */

struct job_rank;
/* Returns 0 if all went well; else it has said why with job_complain. */
typedef int (*job_body)(struct job_rank *me);

/* What one rank tells the others. */
struct job_slot {
	atomic_int phase; /* the test's own meaning; only grows */
	atomic_int ended;
	int result;
	atomic_int extra_pid; /* a process that the rank has made; killed at the end */
	char doing[96]; /* what it was doing, for the report of a hang */
	char text[1024]; /* the first complaint */
};

struct job_board {
	struct {
		atomic_int made; /* 1: the id is there, -1: rank 0 could not make it */
		tutti_unique_id id;
	} comm[JOB_COMMS];
	atomic_int signal; /* the test's own meaning, set by job_tell */
	struct job_slot slot[JOB_RANKS];
};

/* What a rank's body gets. */
struct job_rank {
	int rank, size;
	const void *context;
	struct job_board *board;
	struct job_slot *slot; /* mine */
	int ncomms; /* made so far by job_comm */
};

struct job {
	/* set by the test */
	int size;
	bool threads; /* not processes */
	int limit_s; /* 0 = 60 */
	const void *context; /* for the body */
	/* the job's own */
	struct job_board *board;
	job_body body;
	struct job_rank rank[JOB_RANKS];
	pid_t pid[JOB_RANKS]; /* 0 once it has ended */
	pthread_t thread[JOB_RANKS];
	int signal[JOB_RANKS]; /* sent by job_kill, so its death is right */
	long long ends_ms;
	int started;
};

/* ---- the test's side --------------------------------------------------------------------------------------- */

/* Starts `body` on every rank. */
void job_start(struct job *job, job_body body);
/* Waits until every rank has reached the phase or ended; false: the job's limit has passed. */
bool job_await(struct job *job, int phase);
/* Sets board->signal. */
void job_tell(struct job *job, int value);
/* Sends a signal to a rank that is a process. After SIGKILL its death counts as right. */
void job_kill(struct job *job, int rank, int number);
/* Waits for all ranks, kills who is late; tells on stderr why each failing rank failed, headed by `name`. Returns the
 * number of ranks that failed. */
int job_finish(struct job *job, const char *name);
/* job_start and job_finish. */
int job_run(struct job *job, job_body body, const char *name);

/* ---- a rank's side --------------------------------------------------------------------------------------------- */

/* A communicator of all ranks of the job; config may be NULL. The k-th call of every rank makes the k-th one. */
tutti_status job_comm(struct job_rank *me, const tutti_config *config, tutti_comm **comm);
/* The id that rank 0 makes for the k-th communicator, without creating it. */
tutti_status job_id(struct job_rank *me, const tutti_config *config, tutti_unique_id *id);
/* Says that this rank has come to a phase. */
void job_reach(struct job_rank *me, int phase);
/* Waits, outside of the library, until every rank has reached the phase or ended. */
void job_meet(struct job_rank *me, int phase);
/* Waits until the test has set the signal to at least `value`. */
void job_listen(struct job_rank *me, int value);
__attribute__((format(printf, 2, 3))) void job_doing(struct job_rank *me, const char *format, ...);
/* Keeps the first complaint; returns 1. */
__attribute__((format(printf, 2, 3))) int job_complain(struct job_rank *me, const char *format, ...);
/* The same with the status's name and the thread's last error. */
__attribute__((format(printf, 3, 4))) int job_complain_status(
    struct job_rank *me, tutti_status status, const char *format, ...);

/* ---- the machine (place.c) -------------------------------------------------------------------------------------- */

/* Gives this process, and all that it starts, a network, a /dev/shm and IPC of its own, so that what is left there is
 * ours. NULL: done; else why it is not possible. Before any thread is started. */
const char *job_isolate(void);
/* Open descriptors of this process. */
int job_descriptors(void);
/* Files in /dev/shm and abstract Unix sockets that are there now; exact after job_isolate. */
int job_shared_files(void);
int job_abstract_sockets(void);
long long job_now_ms(void);
void job_sleep_us(long us);

/* An int from text, or an error on stderr and exit status 2. */
int job_number(const char *option, const char *text, int least, int most);

#endif /* TT_TESTS_JOB_H */

/* SPDX-License-Identifier: Apache-2.0
 *
 * progress.c - the optional thread that advances nonblocking operations while the program computes
 * (progress_thread = 1). It sleeps while nothing is pending, and waits like any other waiter else.
 */
#include <sched.h>
#include <signal.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "comm/comm.h"

#define PROGRESS_SLEEP_MS 10

/* Until nothing is pending. */
static void
drive(tutti_comm *comm)
{
	struct tt_ladder *ladder = &comm->ladder;

	tt_comm_lock(comm);
	while (tt_comm_busy(comm) && tt_load_relaxed(&comm->progress_stop) == 0) {
		if (tt_comm_advance(comm) > 0) {
			tt_ladder_reset(ladder);
		} else if (tt_family_busy(comm) && tt_family_advance(comm, 0) > 0) {
			tt_ladder_reset(ladder); /* a program's thread that waits has left this to us, too */
		} else if (tt_ladder_step(ladder)) {
			const int64_t now_ns = tt_now_ns();

			tt_comm_look_around(comm, now_ns);
			(void)tt_family_advance(comm, now_ns);
			if (!tt_failure_raised(comm->failure) && tt_load_relaxed(&comm->contenders) == 0)
				tt_comm_sleep(comm, tt_family_busy(comm) ? TT_FAMILY_SLEEP_MS : PROGRESS_SLEEP_MS);
		}
		if (tt_load_relaxed(&comm->contenders) != 0) {
			tt_comm_unlock(comm);
			sched_yield();
			tt_comm_lock(comm);
		}
	}
	tt_comm_unlock(comm);
}

static void *
progress_main(void *context)
{
	tutti_comm *comm = context;

	for (;;) {
		/* Taken before looking whether to stop or to drive, so that a wake in between is not lost; pairs with
		 * tt_comm_progress_wake(). */
		const uint32_t wanted = tt_load_acquire(&comm->progress_wanted);

		/* Pairs with the release in tt_comm_progress_stop(). */
		if (tt_load_acquire(&comm->progress_stop) != 0)
			break;
		drive(comm);
		tt_futex_wait(&comm->progress_wanted, wanted, TT_FOREVER);
	}
	return NULL;
}

tutti_status
tt_comm_progress_start(tutti_comm *comm)
{
	sigset_t all, before;
	int error;

	/* The program's signals are for the program's threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&comm->progress_thread, NULL, progress_main, comm);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error != 0)
		return tt_fail(TUTTI_ERR_SYSTEM, -1, "cannot start the progress thread: %s", strerror(error));
	comm->progress_running = true;
	(void)pthread_setname_np(comm->progress_thread, "tutti-progress");
	return TUTTI_OK;
}

void
tt_comm_progress_wake(tutti_comm *comm)
{
	if (!comm->progress_running)
		return;
	tt_fetch_add_acq_rel(&comm->progress_wanted, 1u); /* pairs with the acquire in progress_main() */
	tt_futex_wake(&comm->progress_wanted, 1);
}

void
tt_comm_progress_stop(tutti_comm *comm)
{
	if (!comm->progress_running)
		return;
	tt_store_release(&comm->progress_stop, 1);
	tt_comm_progress_wake(comm);
	tt_comm_wake(comm);
	pthread_join(comm->progress_thread, NULL);
	comm->progress_running = false;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * wait.c - the rungs of the waiting ladder, and the futex at its end.
 *
 * The numbers of rungs aim at a time, not at a count: a handoff between cores takes 60 to 300 ns, a sleep and its
 * wake-up 25 to 40 us, so spinning for about as long as the latter costs at most twice the best choice. A pause is
 * 10 to 50 ns on the processors in use.
 */
#include "base/wait.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <sched.h>

#include "base/clock.h"

#define TIGHT_POLLS 64 /* without a pause: what comes within a few hundred ns is seen at once */
#define SPIN_POLLS 200 /* with a pause: 4 to 10 us in all */
#define YIELD_POLLS 200 /* some 60 us if nobody else is runnable here; else the peer may be, and gets its turn */
#define CROWDED_YIELDS 200 /* where the peer probably needs this very core; what it computes is no part of them */
#define SWITCH_NS INT64_C(1000) /* a yield that nobody takes is back sooner */
#define BESIDE_LEAST \
	256 /* yields in a row that were taken, 0.3 ms: a sleep, whose waker finds a core that is idle ... */
#define BESIDE_AGAIN 64 /* ... or does not, as it turned out: then to ask for another one ... */
#define BESIDE_MOST 16384 /* ... less often where that does not help either */
#define HOG_NS INT64_C(200000) /* no peer keeps a core so long between two polls */
#define CROWDED_HOG_NS INT64_C(1000000) /* some do, each with its part of a large job; a hog takes a time slice */
#define CROWDED_HOG_MOST INT64_C(3000000) /* which is as long as this at least where programs are to compute */
#define ALIKE 4 /* peers on this core that have computed between two waits as long as this rank did */
#define HOG_COST 16 /* quick yields that make up for a slow one */
#define BRISK 4 /* yields among ranks that share cores: if all of them take ... */
#define BRISK_NS INT64_C(100000) /* ... no longer than this with what is done in between, none of them was slow */
#define HOG_SURE 64 /* so many more slow ones: it is no accident */
#define HOGGED_LEAST 64 /* moves: a peer that computed for a while is no hog for long ... */
#define HOGGED_MOST 1000 /* ... and one that is found out again and again is */
#define CALM 64 /* quick yields in between: it was not the same one */
#define HOGGED_POLLS 600 /* with a pause; then to sleep: a waker gets the core back from a hog at once */
#define HOGGED_NS INT64_C(30000) /* or before that, where a poll is a system call: every 16 polls the clock is read */
#define CROWDED_HOGGED_POLLS 0 /* the peer needs this core, and a poll of many sockets takes microseconds */
#define NS_PER_S INT64_C(1000000000)

void
tt_ladder_init(struct tt_ladder *ladder, bool crowded)
{
	ladder->spins = crowded ? 0 : SPIN_POLLS;
	ladder->yields = crowded ? CROWDED_YIELDS : YIELD_POLLS;
	ladder->step = 0;
	ladder->crowded = crowded;
	ladder->beside = 0;
	ladder->beside_least = ladder->beside_most = BESIDE_LEAST;
	ladder->hogged = ladder->slow = ladder->hog_moves = ladder->calm = 0;
	ladder->back_ns = ladder->worked_ns = ladder->since_ns = 0;
	ladder->unread = 0;
	ladder->brisk = false;
}

static void
found_hog(struct tt_ladder *ladder)
{
	const uint32_t more = 2 * ladder->hog_moves;
	const bool again = ladder->hog_moves > 0 && ladder->calm < CALM;

	ladder->hog_moves = !again ? HOGGED_LEAST : more < HOGGED_MOST ? more : HOGGED_MOST;
	ladder->hogged = ladder->hog_moves;
	ladder->since_ns = tt_now_ns();
	ladder->slow = ladder->calm = 0;
}

static void
note_company(struct tt_ladder *ladder, bool taken)
{
	if (taken)
		ladder->beside += ladder->beside < ladder->beside_most;
	else if (ladder->beside_most > ladder->beside_least)
		ladder->beside_most /= 2;
	if (!taken)
		ladder->beside = 0;
}

/* So long on one core with somebody: if one is idle, the scheduler finds it for who wakes up. */
static bool
wants_another_core(const struct tt_ladder *ladder)
{
	return !ladder->crowded && ladder->beside >= ladder->beside_most;
}

void
tt_ladder_slept(struct tt_ladder *ladder)
{
	if (!wants_another_core(ladder))
		return;
	ladder->beside = 1;
	/* Not both at the same time. */
	ladder->beside_least = ladder->beside_most = BESIDE_AGAIN + (uint32_t)gettid() % 4 * (BESIDE_AGAIN / 2);
}

/* Goes on on any other core that the thread may use; where it may run is as before, afterwards. */
static void
leave_core(void)
{
	const int here = sched_getcpu();
	cpu_set_t all, others;

	if (here < 0 || sched_getaffinity(0, sizeof(all), &all) != 0 || !CPU_ISSET((unsigned)here, &all))
		return;
	others = all;
	CPU_CLR((unsigned)here, &others);
	if (CPU_COUNT(&others) > 0 && sched_setaffinity(0, sizeof(others), &others) == 0)
		(void)sched_setaffinity(0, sizeof(all), &all);
}

/* A sleep has been tried; there are schedulers that look for no idle core, or only near the waker's. */
static bool
leaves(struct tt_ladder *ladder)
{
	if (ladder->beside_least == BESIDE_LEAST || !wants_another_core(ladder))
		return false;
	leave_core();
	ladder->beside = 0;
	ladder->beside_most = 2 * ladder->beside_most < BESIDE_MOST ? 2 * ladder->beside_most : BESIDE_MOST;
	return true;
}

void
tt_ladder_worked(struct tt_ladder *ladder, int64_t ns)
{
	ladder->worked_ns = ns > ladder->worked_ns / 2 ? ns : ladder->worked_ns / 2;
}

/* Longer than peers keep a core. */
static int64_t
hog_ns(const struct tt_ladder *ladder)
{
	if (!ladder->crowded)
		return HOG_NS;
	if (ladder->worked_ns > (CROWDED_HOG_MOST - CROWDED_HOG_NS) / ALIKE)
		return CROWDED_HOG_MOST;
	return CROWDED_HOG_NS + ALIKE * ladder->worked_ns;
}

bool
tt_ladder_yielded(struct tt_ladder *ladder, int64_t ns)
{
	if (ns <= hog_ns(ladder)) {
		note_company(ladder, ns > SWITCH_NS);
		ladder->slow -= ladder->slow > 0;
		ladder->calm += ladder->calm < CALM;
		return false;
	}
	ladder->beside = 0;
	ladder->slow += HOG_COST;
	if (!ladder->crowded || ladder->slow >= HOG_SURE)
		found_hog(ladder);
	return ladder->crowded;
}

/* To read the clock costs a tenth of a switch between ranks, and twice at each yield it would be read. If so many yields
 * were slow after all, or this rank has done something else, which of both is seen from the next one on. */
static bool
yield_briskly(struct tt_ladder *ladder)
{
	sched_yield();
	ladder->slow -= ladder->slow > 0;
	ladder->calm += ladder->calm < CALM;
	if (++ladder->unread < BRISK)
		return false;
	const int64_t now_ns = tt_now_ns();

	ladder->unread = 0;
	ladder->brisk = now_ns - ladder->back_ns <= BRISK_NS;
	ladder->back_ns = now_ns;
	return false;
}

static bool
yield(struct tt_ladder *ladder)
{
	if (TT_LIKELY(ladder->brisk))
		return yield_briskly(ladder);
	const int64_t before = tt_now_ns(), begun = ladder->back_ns;

	if (begun != 0)
		tt_ladder_worked(ladder, before - begun);
	sched_yield();
	ladder->back_ns = tt_now_ns();
	ladder->brisk = ladder->crowded && begun != 0 && ladder->back_ns - begun <= BRISK_NS / BRISK;
	return tt_ladder_yielded(ladder, ladder->back_ns - before);
}

static uint32_t
spins_of(const struct tt_ladder *ladder)
{
	if (ladder->hogged == 0)
		return ladder->spins;
	return ladder->crowded ? CROWDED_HOGGED_POLLS : HOGGED_POLLS;
}

/* Of a core that somebody else computes on, a waiter takes no more than a sleep and its wake-up would cost. */
static bool
has_hogged_itself(struct tt_ladder *ladder)
{
	if (ladder->hogged == 0 || ladder->step % 16 != 0)
		return false;
	const int64_t now_ns = tt_now_ns();

	if (ladder->step == 0)
		ladder->since_ns = now_ns;
	return now_ns - ladder->since_ns >= HOGGED_NS;
}

bool
tt_ladder_step(struct tt_ladder *ladder)
{
	if (leaves(ladder))
		return false;
	const uint32_t spins = spins_of(ladder);
	const bool skips = ladder->beside > 0 && ladder->step < spins;
	const uint32_t step = skips ? spins : ladder->step;

	if (has_hogged_itself(ladder) ||
	    (step >= spins && (ladder->hogged > 0 || step - spins >= ladder->yields || wants_another_core(ladder)))) {
		ladder->back_ns = 0; /* a sleep is no work */
		ladder->brisk = false;
		ladder->unread = 0;
		return true;
	}
	if (step >= spins) {
		if (yield(ladder))
			ladder->step =
			    spins + ladder->yields; /* enough for this wait; another look before the sleep */
		else if (!skips || ladder->beside > 0)
			ladder->step = step + 1;
		/* else nobody is here any more: the spinning that was skipped comes now */
		return false;
	}
	ladder->step = step + 1;
	if (step >= TIGHT_POLLS)
		tt_pause();
	return false;
}

void
tt_futex_wait(tt_atomic_u32 *word, uint32_t value, int64_t deadline_ns)
{
	struct timespec left, *limit = NULL;

	if (deadline_ns != TT_FOREVER) {
		const int64_t ns = deadline_ns - tt_now_ns();

		if (ns <= 0)
			return;
		left.tv_sec = (time_t)(ns / NS_PER_S);
		left.tv_nsec = (long)(ns % NS_PER_S);
		limit = &left;
	}
	/* Every way to return is a reason to look at the word again, so the result tells the caller nothing. */
	syscall(SYS_futex, word, FUTEX_WAIT, value, limit, NULL, 0);
}

void
tt_futex_wake(tt_atomic_u32 *word, int n)
{
	syscall(SYS_futex, word, FUTEX_WAKE, n, NULL, NULL, 0);
}

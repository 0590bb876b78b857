/* SPDX-License-Identifier: Apache-2.0
 *
 * owned_lock.c - see owned_lock.h.
 *
 * The rule that keeps it correct: nobody waits for the owner to leave while holding the mutex, because the owner may leave
 * by taking it; and nobody keeps the mutex who finds, once he has it, that another thread may enter.
 */
#include "base/owned_lock.h"

#include <errno.h>
#include <sched.h>
#include <time.h>

#define NS_PER_S 1000000000
#define DRAIN_NS 1000000 /* a store that is a microsecond old has left its buffer */
#define YIELDS 100
#define NAP_NS 50000

void
tt_owned_lock_init(struct tt_owned_lock *lock, bool may_be_owned)
{
	pthread_mutex_init(&lock->mutex, NULL);
	tt_store_relaxed(&lock->owner, may_be_owned ? TT_OWNED_NOT_YET : TT_OWNED_NEVER);
	tt_store_relaxed(&lock->inside, 0);
}

void
tt_owned_lock_destroy(struct tt_owned_lock *lock)
{
	pthread_mutex_destroy(&lock->mutex);
}

static bool
others_may_enter(const struct tt_owned_lock *lock)
{
	const uint64_t owner = tt_load_acquire(&lock->owner); /* pairs with the releases here */

	return owner != TT_OWNED_NOT_YET && owner != TT_OWNED_NEVER && owner != tt_owned_lock_self();
}

/* What was written when this began has been seen everywhere when it ends. */
static void
fence(void)
{
	struct timespec until;

	if (tt_heavy_fence())
		return;
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += DRAIN_NS;
	if (until.tv_nsec >= NS_PER_S) {
		until.tv_nsec -= NS_PER_S;
		until.tv_sec++;
	}
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
}

/* Nobody is the owner from now on, and whoever enters afterwards sees that. */
static void
revoke(struct tt_owned_lock *lock)
{
	uint64_t owner = tt_load_acquire(&lock->owner);

	if (owner != TT_OWNED_REVOKED)
		(void)tt_cas_acq_rel(&lock->owner, &owner, TT_OWNED_REVOKED);
	/* Whoever finds it revoked does the same: the one who did it may not have come this far. */
	fence();
}

/* It is revoked, and the caller's fence has been: is the one who was inside gone? */
static bool
is_left(struct tt_owned_lock *lock)
{
	uint64_t owner = TT_OWNED_REVOKED;

	if (tt_load_acquire(&lock->inside) != 0) /* pairs with the releases of who leaves */
		return false;
	(void)tt_cas_acq_rel(&lock->owner, &owner, TT_OWNED_NEVER);
	return true;
}

/* No other thread may enter from now on. It is not for long that the owner is inside, but on this core it may be
 * this very thread that keeps it from going on: so the waiter sleeps, in the end. */
static void
disown(struct tt_owned_lock *lock)
{
	if (!others_may_enter(lock))
		return;
	revoke(lock);
	for (int turn = 0; !is_left(lock); turn++)
		if (turn < YIELDS)
			sched_yield();
		else
			(void)nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
}

bool
tt_owned_lock_try(struct tt_owned_lock *lock)
{
	if (others_may_enter(lock)) {
		revoke(lock);
		if (!is_left(lock))
			return false;
	}
	if (pthread_mutex_trylock(&lock->mutex) != 0)
		return false;
	if (TT_LIKELY(!others_may_enter(lock)))
		return true;
	pthread_mutex_unlock(&lock->mutex); /* somebody has adopted it in between */
	return false;
}

void
tt_owned_lock_take(struct tt_owned_lock *lock)
{
	for (;;) {
		disown(lock);
		pthread_mutex_lock(&lock->mutex);
		if (TT_LIKELY(!others_may_enter(lock)))
			return;
		pthread_mutex_unlock(&lock->mutex); /* somebody has adopted it in between */
	}
}

void
tt_owned_lock_release(struct tt_owned_lock *lock)
{
	pthread_mutex_unlock(&lock->mutex);
}

void
tt_owned_lock_adopt(struct tt_owned_lock *lock)
{
	if (tt_load_relaxed(&lock->owner) == TT_OWNED_NOT_YET)
		tt_store_release(&lock->owner, tt_owned_lock_self()); /* pairs with others_may_enter() */
}

void
tt_owned_lock_deepen(struct tt_owned_lock *lock)
{
	pthread_mutex_lock(&lock->mutex);
	tt_owned_lock_leave(lock);
}

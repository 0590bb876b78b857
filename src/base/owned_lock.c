/* SPDX-License-Identifier: Apache-2.0
 *
 * owned_lock.c - see owned_lock.h.
 *
 * The rule that keeps it correct: nobody waits for the owner to leave while holding the mutex, because the owner may leave
 * by taking it; and nobody keeps the mutex who finds, once he has it, that another thread may enter.
 */
#include "base/owned_lock.h"

#include <sched.h>
#include <time.h>

#define DRAIN_NS 1000000 /* a store that is a microsecond old has left its buffer */

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
	const uint64_t owner = tt_load_acquire(&lock->owner); /* pairs with the release in disown() */

	return owner != TT_OWNED_NOT_YET && owner != TT_OWNED_NEVER && owner != tt_owned_lock_self();
}

/* No other thread may enter from now on. False: it has been told, but the owner is still inside. */
static bool
disown(struct tt_owned_lock *lock)
{
	uint64_t owner = tt_load_acquire(&lock->owner);

	if (!others_may_enter(lock))
		return true;
	if (owner != TT_OWNED_REVOKED)
		(void)tt_cas_acq_rel(&lock->owner, &owner, TT_OWNED_REVOKED);
	/* Whoever finds it revoked does the same: the one who did it may not have come this far. */
	if (!tt_heavy_fence())
		(void)nanosleep(&(struct timespec){.tv_nsec = DRAIN_NS}, NULL);
	if (tt_load_acquire(&lock->inside) != 0) /* pairs with the releases of who leaves */
		return false;
	owner = TT_OWNED_REVOKED;
	(void)tt_cas_acq_rel(&lock->owner, &owner, TT_OWNED_NEVER);
	return true;
}

bool
tt_owned_lock_try(struct tt_owned_lock *lock)
{
	if (!disown(lock) || pthread_mutex_trylock(&lock->mutex) != 0)
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
		while (TT_UNLIKELY(!disown(lock)))
			sched_yield();
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

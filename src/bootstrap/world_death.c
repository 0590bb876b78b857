/* SPDX-License-Identifier: Apache-2.0
 *
 * world_death.c - death words.
 *
 * The rule: nobody but the owner locks a word whose state is not HELD, and the owner locks before HELD and unlocks
 * after LEFT. So whoever finds the mutex without a living owner while the state is HELD has found a death, and a
 * looker that dies with the mutex in its hands accuses nobody else.
 */
#include "bootstrap/world_death.h"

#include <errno.h>

#include "base/error.h"

enum { UNUSED, HELD, LEFT, DEAD };

tutti_status
tt_death_init(struct tt_death_word *word)
{
	pthread_mutexattr_t attributes;
	int result = pthread_mutexattr_init(&attributes);

	if (result == 0) {
		result = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
		if (result == 0)
			result = pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
		if (result == 0)
			result = pthread_mutex_init(&word->lock, &attributes);
		pthread_mutexattr_destroy(&attributes);
	}
	tt_store_relaxed(&word->state, UNUSED);
	tt_store_relaxed(&word->revoked, 0);
	tt_store_relaxed(&word->excluded, 0);
	if (result == 0)
		return TUTTI_OK;
	errno = result;
	return tt_fail_errno("cannot make a robust lock in shared memory");
}

void
tt_death_hold(struct tt_death_word *word)
{
	uint32_t unused = UNUSED;

	if (pthread_mutex_lock(&word->lock) != 0)
		return;
	/* Pairs with the acquire in tt_death_is_dead. Not over a goodbye that came first. */
	tt_cas_acq_rel(&word->state, &unused, HELD);
}

void
tt_death_release(struct tt_death_word *word)
{
	pthread_mutex_unlock(&word->lock);
}

void
tt_death_leave(struct tt_death_word *word)
{
	/* Pairs with the acquires below: who sees the mutex free sees the goodbye. */
	tt_store_release(&word->state, LEFT);
}

bool
tt_death_is_dead(struct tt_death_word *word)
{
	/* Pairs with the compare-and-swap in tt_death_hold. */
	uint32_t state = tt_load_acquire(&word->state);
	bool dead = false;
	int result;

	if (state != HELD)
		return state == DEAD;
	result = pthread_mutex_trylock(&word->lock);
	if (result == ENOTRECOVERABLE)
		return true;
	if (result == EOWNERDEAD) {
		dead = tt_cas_acq_rel(&word->state, &state, DEAD) || state == DEAD;
		/* Not made consistent: from now on nobody gets it. */
		pthread_mutex_unlock(&word->lock);
	} else if (result == 0) {
		/* The owner left between the load and here. */
		pthread_mutex_unlock(&word->lock);
	}
	return dead;
}

bool
tt_death_has_left(const struct tt_death_word *word)
{
	/* Pairs with the release in tt_death_leave. */
	return tt_load_acquire(&word->state) == LEFT;
}

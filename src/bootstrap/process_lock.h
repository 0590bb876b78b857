/* SPDX-License-Identifier: Apache-2.0
 *
 * process_lock.h - a lock around a process-wide list, for a few instructions.
 *
 * A child forked by another thread while the lock is held would wait for ever for an owner that it does not have.
 * So the lock remembers the generation of the process that took it, and another generation's lock counts as free.
 * That is safe only if every change under it is one store: then the child finds the list whole.
 */
#ifndef TT_BOOTSTRAP_PROCESS_LOCK_H
#define TT_BOOTSTRAP_PROCESS_LOCK_H

#include <sched.h>

#include "base/atomics.h"
#include "base/process.h"

struct tt_process_lock {
	tt_atomic_u32 owner; /* a process generation, 0 = free */
};

static inline void
tt_process_lock(struct tt_process_lock *lock)
{
	const uint32_t mine = tt_process_generation();
	uint32_t seen = 0;

	/* Pairs with the release in tt_process_unlock. */
	while (!tt_cas_acq_rel(&lock->owner, &seen, mine)) {
		if (seen == mine) {
			sched_yield();
			seen = 0;
		}
	}
}

static inline void
tt_process_unlock(struct tt_process_lock *lock)
{
	/* Pairs with the compare-and-swap in tt_process_lock. */
	tt_store_release(&lock->owner, 0);
}

#endif /* TT_BOOTSTRAP_PROCESS_LOCK_H */

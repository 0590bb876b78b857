/* SPDX-License-Identifier: Apache-2.0
 *
 * owned_lock.h - a mutex that one thread, its owner, may also enter without an atomic instruction.
 *
 * An atomic instruction waits until everything written before has reached the caches. Whoever has just published a
 * line for others waits there for as long as the line takes to come from them, and so gains nothing by being done. The
 * owner only writes that it is inside, and looks whether it still is the owner. Any other thread that wants the lock takes the
 * ownership away first, for good:
 *
 *	owner                               another thread
 *	inside = 1                          owner = nobody
 *	light fence                         heavy fence (asymmetric.h)
 *	still the owner? else back out      wait for inside = 0, then the mutex
 *
 * One of them sees the other's. So a lock that only one thread uses costs two plain stores, and one that several use
 * costs what a mutex costs, and once a system call.
 * tests/models/owned.pml is this as a model.
 */
#ifndef TT_BASE_OWNED_LOCK_H
#define TT_BASE_OWNED_LOCK_H

#include <pthread.h>
#include <stdbool.h>

#include "base/asymmetric.h"
#include "base/port.h"

struct tt_owned_lock {
	pthread_mutex_t mutex;
	tt_atomic_u64 owner; /* a thread, or one of those below */
	tt_atomic_u32 inside;
};

/* No thread's number: nobody yet, nobody once `inside` is 0, nobody any more. */
enum { TT_OWNED_NOT_YET, TT_OWNED_REVOKED, TT_OWNED_NEVER };

/* `may_be_owned`: the heavy fences of this process reach all its threads. */
void tt_owned_lock_init(struct tt_owned_lock *lock, bool may_be_owned);
void tt_owned_lock_destroy(struct tt_owned_lock *lock);

/* The mutex, for anybody who is not inside. */
bool tt_owned_lock_try(struct tt_owned_lock *lock);
void tt_owned_lock_take(struct tt_owned_lock *lock);
void tt_owned_lock_release(struct tt_owned_lock *lock);
/* The caller has the mutex. From its release on it may enter, unless another thread may, or might have. */
void tt_owned_lock_adopt(struct tt_owned_lock *lock);

static inline uint64_t
tt_owned_lock_self(void)
{
	return (uint64_t)(uintptr_t)pthread_self();
}

/* True: the caller is the owner, and is inside now: soon it leaves again, or takes the mutex. */
static inline bool
tt_owned_lock_enter(struct tt_owned_lock *lock)
{
	const uint64_t self = tt_owned_lock_self();

	if (tt_load_relaxed(&lock->owner) != self)
		return false;
	tt_store_relaxed(&lock->inside, 1);
	tt_light_fence(); /* pairs with the heavy fence in owned_lock.c */
	if (TT_LIKELY(tt_load_relaxed(&lock->owner) == self))
		return true;
	tt_store_release(&lock->inside, 0); /* pairs with the acquire in owned_lock.c */
	return false;
}

static inline void
tt_owned_lock_leave(struct tt_owned_lock *lock)
{
	tt_store_release(&lock->inside, 0); /* pairs with the acquire in owned_lock.c */
}

/* From inside to the mutex, with nobody in between. */
void tt_owned_lock_deepen(struct tt_owned_lock *lock);

#endif /* TT_BASE_OWNED_LOCK_H */

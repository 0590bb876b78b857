/* SPDX-License-Identifier: Apache-2.0
 *
 * test_owned_lock.c - one at a time, whoever the owner is and however it comes in.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "base/owned_lock.h"

#define TURNS 1000
#define ROUNDS 20
#define THREADS 3

static struct tt_owned_lock lock;
static unsigned count; /* of turns: guarded by the lock, and no atomic */

/* The short way, and now and then from there to the mutex; or the mutex, and the lock for itself. */
static void
turn(unsigned k)
{
	if (tt_owned_lock_enter(&lock)) {
		count++;
		if (k % 7 != 0) {
			tt_owned_lock_leave(&lock);
			return;
		}
		tt_owned_lock_deepen(&lock);
	} else {
		if (k % 3 != 0 || !tt_owned_lock_try(&lock))
			tt_owned_lock_take(&lock);
		count++;
		tt_owned_lock_adopt(&lock);
	}
	tt_owned_lock_release(&lock);
}

static void *
take_turns(void *context)
{
	const unsigned *turns = context;

	for (unsigned k = 0; k < *turns; k++)
		turn(k);
	return NULL;
}

static void
contend(bool may_be_owned)
{
	unsigned turns[THREADS] = {50 * TURNS, TURNS, TURNS}, all = 0; /* the first one is the owner for a while */
	pthread_t thread[THREADS];

	tt_owned_lock_init(&lock, may_be_owned);
	count = 0;
	for (int i = 0; i < THREADS; i++) {
		all += turns[i];
		cr_assert(zero(i32, pthread_create(&thread[i], NULL, take_turns, &turns[i])));
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	cr_assert(eq(u32, count, all));
	tt_owned_lock_destroy(&lock);
}

Test(owned_lock, of_several_threads_one_at_a_time_is_in_it, .timeout = 60)
{
	for (int i = 0; i < ROUNDS; i++)
		contend(!TT_TSAN && tt_heavy_fence_join());
}

Test(owned_lock, without_fences_for_all_nobody_owns_it, .timeout = 60)
{
	contend(false);
	tt_owned_lock_init(&lock, false);
	tt_owned_lock_take(&lock);
	tt_owned_lock_adopt(&lock);
	tt_owned_lock_release(&lock);
	cr_assert(not(tt_owned_lock_enter(&lock)));
	tt_owned_lock_destroy(&lock);
}

Test(owned_lock, who_is_alone_enters_from_the_second_time_on, .timeout = 30)
{
	tt_owned_lock_init(&lock, true);
	cr_assert(not(tt_owned_lock_enter(&lock)));
	cr_assert(tt_owned_lock_try(&lock));
	tt_owned_lock_adopt(&lock);
	tt_owned_lock_release(&lock);
	for (int i = 0; i < 3; i++) {
		cr_assert(tt_owned_lock_enter(&lock));
		tt_owned_lock_leave(&lock);
		tt_owned_lock_take(&lock); /* the owner may, too, and stays the owner */
		tt_owned_lock_release(&lock);
	}
	tt_owned_lock_destroy(&lock);
}

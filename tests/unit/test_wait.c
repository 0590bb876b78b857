/* SPDX-License-Identifier: Apache-2.0
 *
 * test_wait.c - the ladder ends, and a sleeper is woken.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/wait.h"

static uint32_t
steps_until_sleep(struct tt_ladder *ladder)
{
	uint32_t steps = 0;

	while (!tt_ladder_step(ladder) && steps < 1000000)
		steps++;
	return steps;
}

Test(wait, a_ladder_ends_and_stays_at_its_end_until_it_is_reset)
{
	struct tt_ladder ladder;
	uint32_t steps;

	tt_ladder_init(&ladder, false);
	steps = steps_until_sleep(&ladder);
	cr_assert(gt(u32, steps, 0));
	cr_assert(tt_ladder_step(&ladder));
	tt_ladder_reset(&ladder);
	cr_assert(not(tt_ladder_step(&ladder)));
	cr_assert(gt(u32, steps_until_sleep(&ladder), 0));
}

Test(wait, a_crowded_ladder_does_not_spin)
{
	struct tt_ladder ladder;

	tt_ladder_init(&ladder, true);
	cr_assert(eq(u32, ladder.spins, 0));
	cr_assert(gt(u32, ladder.yields, 0));
	cr_assert(le(u32, steps_until_sleep(&ladder), ladder.yields));
}

Test(wait, among_ranks_that_share_cores_one_slow_yield_ends_only_this_wait)
{
	struct tt_ladder ladder;

	tt_ladder_init(&ladder, true);
	for (int wait = 0; wait < 100; wait++) {
		tt_ladder_reset(&ladder);
		cr_assert(tt_ladder_yielded(&ladder, 3000000));
		for (int i = 0; i < 20; i++)
			cr_assert(not(tt_ladder_yielded(&ladder, 1000)));
		cr_assert(eq(u32, ladder.hogged, 0));
	}
}

Test(wait, a_hog_beside_ranks_that_share_cores_is_found_out)
{
	struct tt_ladder ladder;

	tt_ladder_init(&ladder, true);
	for (int i = 0; i < 4; i++) {
		cr_assert(eq(u32, ladder.hogged, 0));
		tt_ladder_yielded(&ladder, 3000000);
	}
	cr_assert(gt(u32, ladder.hogged, 0));
}

Test(wait, who_shares_cores_and_must_not_yield_goes_to_sleep_at_once)
{
	struct tt_ladder ladder;

	tt_ladder_init(&ladder, true);
	for (int i = 0; i < 4; i++)
		tt_ladder_yielded(&ladder, 3000000);
	tt_ladder_reset(&ladder);
	cr_assert(eq(u32, steps_until_sleep(&ladder), 0));
}

Test(wait, ranks_that_share_cores_work_on_large_jobs_beside_each_other_and_are_no_hogs)
{
	struct tt_ladder ladder;

	tt_ladder_init(&ladder, true);
	for (int i = 0; i < 1000; i++)
		cr_assert(not(tt_ladder_yielded(&ladder, 700000)));
	cr_assert(eq(u32, ladder.hogged, 0));
}

Test(wait, ranks_that_share_cores_and_compute_as_long_as_this_one_are_no_hogs)
{
	struct tt_ladder ladder;

	tt_ladder_init(&ladder, true);
	for (int i = 0; i < 1000; i++) {
		tt_ladder_worked(&ladder, 400000);
		cr_assert(not(tt_ladder_yielded(&ladder, 2000000)));
	}
	cr_assert(eq(u32, ladder.hogged, 0));
	for (int i = 0; i < 20; i++)
		tt_ladder_worked(&ladder, 1000); /* that was long ago */
	cr_assert(tt_ladder_yielded(&ladder, 2000000));
}

Test(wait, whoever_takes_time_slices_is_a_hog_however_long_this_rank_computes)
{
	struct tt_ladder ladder;

	tt_ladder_init(&ladder, true);
	for (int i = 0; i < 4; i++) {
		cr_assert(eq(u32, ladder.hogged, 0));
		tt_ladder_worked(&ladder, INT64_C(1000000000000000));
		cr_assert(tt_ladder_yielded(&ladder, 4000000));
	}
	cr_assert(gt(u32, ladder.hogged, 0));
}

Test(wait, a_peer_that_computes_for_a_while_is_no_hog_for_long)
{
	struct tt_ladder ladder;
	uint32_t first, again;

	tt_ladder_init(&ladder, false);
	tt_ladder_yielded(&ladder, 3000000);
	first = ladder.hogged;
	for (uint32_t i = 0; i < first; i++)
		tt_ladder_reset(&ladder);
	cr_assert(eq(u32, ladder.hogged, 0));
	tt_ladder_yielded(&ladder, 3000000);
	again = ladder.hogged;
	cr_assert(gt(u32, again, first));
	for (int i = 0; i < 100; i++)
		tt_ladder_yielded(&ladder, 1000);
	tt_ladder_yielded(&ladder, 3000000);
	cr_assert(eq(u32, ladder.hogged, first));
}

Test(wait, a_core_that_somebody_took_for_a_moment_is_given_up_at_once_in_the_next_wait)
{
	struct tt_ladder ladder;

	tt_ladder_init(&ladder, false);
	cr_assert(not(tt_ladder_yielded(&ladder, 3000)));
	tt_ladder_reset(&ladder);
	cr_assert(not(tt_ladder_step(&ladder)));
	/* A yield; and whether somebody took this one, too, says whether what it skipped comes now. */
	cr_assert(eq(u32, ladder.step, ladder.beside > 0 ? ladder.spins + 1 : 0));
	cr_assert(lt(u32, steps_until_sleep(&ladder), 2000));
}

Test(wait, whoever_keeps_the_core_for_long_is_no_peer)
{
	struct tt_ladder ladder;

	tt_ladder_init(&ladder, false);
	tt_ladder_yielded(&ladder, 3000);
	cr_assert(gt(u32, ladder.beside, 0));
	tt_ladder_yielded(&ladder, 3000000);
	cr_assert(eq(u32, ladder.beside, 0));
	cr_assert(gt(u32, ladder.hogged, 0));
	tt_ladder_yielded(&ladder, 3000);
	cr_assert(gt(u32, ladder.beside, 0));
	tt_ladder_yielded(&ladder, 200);
	cr_assert(eq(u32, ladder.beside, 0));
}

Test(wait, beside_a_hog_it_is_time_that_counts_where_polls_are_slow)
{
	struct tt_ladder ladder;

	tt_ladder_init(&ladder, false);
	tt_ladder_yielded(&ladder, 3000000);
	cr_assert(not(tt_ladder_step(&ladder)));
	usleep(1000); /* a slow poll */
	cr_assert(le(u32, steps_until_sleep(&ladder), 16));
	cr_assert(tt_ladder_step(&ladder)); /* until something moves */
	tt_ladder_reset(&ladder);
	cr_assert(not(tt_ladder_step(&ladder)));
}

static void
stay_beside_a_peer(struct tt_ladder *ladder)
{
	for (uint32_t i = ladder->beside; i < ladder->beside_most; i++)
		tt_ladder_yielded(ladder, 3000);
	tt_ladder_reset(ladder);
}

Test(wait, long_on_one_core_with_a_peer_ends_with_a_sleep_whose_waker_may_find_another_core)
{
	struct tt_ladder ladder;

	tt_ladder_init(&ladder, false);
	stay_beside_a_peer(&ladder);
	cr_assert(tt_ladder_step(&ladder));
	tt_ladder_reset(&ladder);
	cr_assert(tt_ladder_step(&ladder)); /* until it has slept */
	tt_ladder_slept(&ladder);
	cr_assert(not(tt_ladder_step(&ladder)));
}

Test(wait, where_sleeping_did_not_help_a_thread_asks_for_another_core_and_may_run_where_it_might_before)
{
	struct tt_ladder ladder;
	cpu_set_t before, after;
	uint32_t first;
	bool same;

	cr_assert(zero(int, sched_getaffinity(0, sizeof(before), &before)));
	tt_ladder_init(&ladder, false);
	stay_beside_a_peer(&ladder);
	tt_ladder_slept(&ladder);
	first = ladder.beside_most;
	stay_beside_a_peer(&ladder);
	cr_assert(not(tt_ladder_step(&ladder)));
	cr_assert(eq(u32, ladder.beside, 0));
	cr_assert(gt(u32, ladder.beside_most, first)); /* if it did not help, later */
	cr_assert(zero(int, sched_getaffinity(0, sizeof(after), &after)));
	same = CPU_EQUAL(&before, &after) != 0;
	cr_assert(same);
	for (int i = 0; i < 20; i++)
		tt_ladder_yielded(&ladder, 200);
	cr_assert(eq(u32, ladder.beside_most, first));
}

Test(wait, a_word_that_changed_already_is_not_slept_on)
{
	tt_atomic_u32 word = 1;

	tt_futex_wait(&word, 0, TT_FOREVER);
}

Test(wait, a_deadline_ends_a_sleep)
{
	tt_atomic_u32 word = 0;

	tt_futex_wait(&word, 0, tt_now_ns() - 1);
	tt_futex_wait(&word, 0, tt_deadline_ns(5));
}

static void *
set_and_wake(void *word)
{
	/* Pairs with the load in the waiter's loop. */
	tt_store_release((tt_atomic_u32 *)word, 1);
	tt_futex_wake(word, 1);
	return NULL;
}

Test(wait, a_thread_wakes_another)
{
	tt_atomic_u32 word = 0;
	pthread_t thread;

	cr_assert(eq(int, pthread_create(&thread, NULL, set_and_wake, &word), 0));
	while (tt_load_acquire(&word) == 0)
		tt_futex_wait(&word, 0, TT_FOREVER);
	pthread_join(thread, NULL);
}

Test(wait, a_process_wakes_another)
{
	tt_atomic_u32 *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t child;

	cr_assert(word != MAP_FAILED);
	child = fork();
	if (child == 0) {
		set_and_wake(word);
		_exit(0);
	}
	while (tt_load_acquire(word) == 0)
		tt_futex_wait(word, 0, TT_FOREVER);
	cr_assert(eq(int, waitpid(child, &status, 0), child));
	cr_assert(eq(int, status, 0));
	munmap(word, 4096);
}

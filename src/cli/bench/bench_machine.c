/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_machine.c - measures how long a cache line takes from one core to another.
 *
 * Two threads on two cores count one word up in turns. The quickest of some batches counts: a disturbed one tells
 * about the disturbance.
 */
#include "cli/bench/bench_machine.h"

#include <pthread.h>

#include "base/atomics.h"
#include "base/clock.h"
#include "base/port.h"

#define BATCHES 20
#define ROUNDS 2000
#define LIMIT_NS (300 * TT_MS) /* a machine so busy that the threads do not run side by side */

struct game {
	TT_ALIGNED(TT_LINE) tt_atomic_u32 word; /* even: the first player's turn */
	TT_ALIGNED(TT_LINE) tt_atomic_u32 over;
	struct tt_cpu_set cpus[2];
};

/* Waits for the word to become `value`; false when the game is over. The loads pair with the other's store. */
static bool
await(struct game *game, uint32_t value)
{
	for (uint32_t polls = 1;; polls++) {
		if (tt_load_acquire(&game->word) == value)
			return true;
		if (polls % 1024 == 0 && tt_load_relaxed(&game->over) != 0)
			return false;
		tt_pause();
	}
}

static void *
second_player(void *context)
{
	struct game *game = context;

	(void)tt_host_bind(&game->cpus[1]);
	for (uint32_t turn = 1; await(game, turn); turn += 2)
		tt_store_release(&game->word, turn + 1);
	return NULL;
}

static void *
referee(void *context)
{
	struct game *game = context;
	struct timespec pause = {0, 1000000};
	int64_t end = tt_now_ns() + LIMIT_NS;

	while (tt_load_relaxed(&game->over) == 0 && tt_now_ns() < end)
		nanosleep(&pause, NULL);
	tt_store_relaxed(&game->over, 1);
	return NULL;
}

/* The first player's part: the quickest batch, in ns per one-way handoff; 0 if none was completed. */
static double
play(struct game *game)
{
	uint32_t turn = 0;
	double best = 0;

	for (int batch = 0; batch < BATCHES; batch++) {
		int64_t start = tt_now_ns();
		double each;

		for (int round = 0; round < ROUNDS; round++) {
			tt_store_release(&game->word, turn + 1);
			turn += 2;
			if (!await(game, turn))
				return best;
		}
		each = (double)(tt_now_ns() - start) / (2.0 * ROUNDS);
		if (best == 0 || each < best)
			best = each;
	}
	return best;
}

/* The first and the second CPU of the mask. */
static void
choose_cpus(const struct tt_cpu_set *mask, struct tt_cpu_set cpus[2])
{
	int n = 0;

	for (int cpu = 0; cpu < TT_HOST_CPUS && n < 2; cpu++) {
		if ((mask->bits[cpu / 64] >> (cpu % 64) & 1) == 0)
			continue;
		cpus[n++].bits[cpu / 64] = UINT64_C(1) << (cpu % 64);
	}
}

static double
handoff_ns(void)
{
	struct game game = {.word = 0};
	struct tt_cpu_set mask;
	pthread_t second, third;
	double best;

	if (tt_host_affinity(&mask) != TUTTI_OK || tt_cpu_set_count(&mask) < 2)
		return 0;
	choose_cpus(&mask, game.cpus);
	if (pthread_create(&second, NULL, second_player, &game) != 0)
		return 0;
	if (pthread_create(&third, NULL, referee, &game) != 0) {
		tt_store_relaxed(&game.over, 1);
		pthread_join(second, NULL);
		return 0;
	}
	(void)tt_host_bind(&game.cpus[0]);
	best = play(&game);
	tt_store_relaxed(&game.over, 1);
	pthread_join(second, NULL);
	pthread_join(third, NULL);
	(void)tt_host_bind(&mask);
	return best;
}

void
tt_bench_machine_probe(struct tt_bench_machine *machine)
{
	tt_host_probe(&machine->host);
	machine->handoff_ns = handoff_ns();
}

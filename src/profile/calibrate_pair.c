/* SPDX-License-Identifier: Apache-2.0
 *
 * calibrate_pair.c - what passes between two cores: a cache line, a wake-up; and between two threads of one: a yield.
 */
#include <sched.h>
#include <string.h>
#include <unistd.h>
#include <sys/syscall.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/wait.h"
#include "profile/calibrate.h"

#define HANDOFFS 200 /* of a batch */
#define HANDOFF_BATCHES 12
#define WAKES 12
#define WAKE_BATCHES 3
#define ASLEEP_NS INT64_C(30000)
#define YIELDS 150
#define YIELD_BATCHES 4
#define CALLS 500
#define SHARED_BYTES ((size_t)128 << 10) /* a chunk of the node stage: more than twice a first-level cache */
#define NEAR_BYTES ((size_t)8 << 10) /* four of them fit a first-level cache */
#define SHARED_ROUNDS 20
#define SHARED_BATCHES 8
#define PS_PER_NS 1000.0
#define PROCESSES 1.4 /* what the kernel takes longer to change between processes than between threads */
#define POLLS_BETWEEN_LOOKS 4096 /* at the clock */

struct game {
	TT_ALIGNED(TT_LINE) tt_atomic_u32 word;
	TT_ALIGNED(TT_LINE) tt_atomic_u32 over;
	const struct tt_calibration *calibration;
	int batches, rounds;
	void (*wait)(struct game *game, uint32_t turn);
	int64_t pause_ns; /* before each turn: until the other side certainly sleeps */
	double best_ns; /* of one way; written by side 0 */
};

static bool
is_over(struct game *game)
{
	if (tt_load_relaxed(&game->over) == 0 && tt_calibrate_over(game->calibration))
		tt_store_relaxed(&game->over, 1);
	return tt_load_relaxed(&game->over) != 0;
}

static void
wait_spinning(struct game *game, uint32_t turn)
{
	for (uint32_t polls = 1; tt_load_acquire(&game->word) < turn; polls++)
		if (polls % POLLS_BETWEEN_LOOKS == 0 && is_over(game))
			return;
}

static void
wait_sleeping(struct game *game, uint32_t turn)
{
	for (;;) {
		const uint32_t word = tt_load_acquire(&game->word);

		if (word >= turn || is_over(game))
			return;
		tt_futex_wait(&game->word, word, game->calibration->deadline_ns);
	}
}

static void
wait_yielding(struct game *game, uint32_t turn)
{
	while (tt_load_acquire(&game->word) < turn) {
		sched_yield();
		if (is_over(game))
			return;
	}
}

static void
idle(int64_t ns)
{
	const int64_t until = tt_now_ns() + ns;

	while (tt_now_ns() < until)
		tt_pause();
}

/* The sides take turns: side 0 makes the word odd, side 1 even. */
static void
play(void *argument, int side)
{
	struct game *game = argument;
	uint32_t turn = (uint32_t)side;

	for (int batch = 0; batch < game->batches; batch++) {
		const int64_t start = tt_now_ns();
		double each;

		for (int round = 0; round < game->rounds; round++, turn += 2) {
			game->wait(game, turn);
			if (tt_load_relaxed(&game->over) != 0)
				return;
			if (game->pause_ns > 0)
				idle(game->pause_ns);
			tt_store_release(&game->word, turn + 1); /* pairs with the acquires above */
			if (game->wait == wait_sleeping)
				tt_futex_wake(&game->word, 1);
		}
		each = (double)(tt_now_ns() - start) / (2.0 * game->rounds) - (double)game->pause_ns;
		if (side == 0 && (game->best_ns <= 0 || each < game->best_ns))
			game->best_ns = each;
	}
}

static void
measure(const struct tt_calibration *c, enum tt_constant constant, int other, int batches, int rounds,
    void (*wait)(struct game *, uint32_t))
{
	struct game game = {.calibration = c,
	    .batches = batches,
	    .rounds = rounds,
	    .wait = wait,
	    .pause_ns = wait == wait_sleeping ? ASLEEP_NS : 0};

	if (tt_calibrate_over(c) || !tt_calibrate_pair(c->cpu[TT_NEAR_SELF], other, play, &game))
		return;
	if (game.best_ns > 0)
		tt_constants_set(c->constants, constant, game.best_ns * (wait == wait_yielding ? PROCESSES : 1),
		    TT_CONSTANT_MEASURED);
}

struct exchange {
	struct {
		TT_ALIGNED(TT_LINE) tt_atomic_u32 rounds; /* that this side has copied in */
	} in[2];
	TT_ALIGNED(TT_LINE) tt_atomic_u32 over;
	const struct tt_calibration *calibration;
	unsigned char *slots[2][2], *own[2], *got[2]; /* of each side; slots by turns */
	size_t bytes;
	double best_ns; /* of a round; written by side 0 */
};

static bool
exchange_round(struct exchange *x, int side, uint32_t round)
{
	memcpy(x->slots[side][round % 2], x->own[side], x->bytes);
	tt_store_release(&x->in[side].rounds, round); /* pairs with the acquire of the other side */
	for (uint32_t polls = 1; tt_load_acquire(&x->in[!side].rounds) < round; polls++) {
		if (polls % POLLS_BETWEEN_LOOKS == 0 && tt_calibrate_over(x->calibration))
			tt_store_relaxed(&x->over, 1);
		if (tt_load_relaxed(&x->over) != 0)
			return false;
	}
	memcpy(x->got[side], x->slots[!side][round % 2], x->bytes);
	return true;
}

/* Both give each other something at the same time: each copies it in, and the other's out. */
static void
play_exchange(void *argument, int side)
{
	struct exchange *x = argument;

	for (uint32_t batch = 0, round = 0; batch < SHARED_BATCHES; batch++) {
		const int64_t start = tt_now_ns();
		double each;

		for (int i = 0; i < SHARED_ROUNDS; i++)
			if (!exchange_round(x, side, ++round))
				return;
		each = (double)(tt_now_ns() - start) / SHARED_ROUNDS;
		if (side == 0 && (x->best_ns <= 0 || each < x->best_ns))
			x->best_ns = each;
	}
}

/* Per byte that is copied in or out; two lines that say that it is there pass meanwhile. */
static void
measure_exchange(const struct tt_calibration *c, enum tt_constant constant, size_t bytes)
{
	struct exchange x = {.calibration = c, .bytes = bytes};
	double each;
	void *memory;

	if (tt_calibrate_over(c) || tt_alloc(8, bytes, "a calibration", &memory) != TUTTI_OK)
		return;
	for (size_t side = 0; side < 2; side++) {
		unsigned char *mine = (unsigned char *)memory + 4 * side * bytes;

		x.slots[side][0] = mine;
		x.slots[side][1] = mine + bytes;
		x.own[side] = mine + 2 * bytes;
		x.got[side] = mine + 3 * bytes;
		memset(mine, (int)side, 4 * bytes); /* untouched memory is one page for all */
	}
	if (tt_calibrate_pair(c->cpu[TT_NEAR_SELF], c->cpu[TT_NEAR_CACHE], play_exchange, &x) && x.best_ns > 0) {
		each = x.best_ns - c->constants->value[TT_CONSTANT_HANDOFF];
		tt_constants_set(
		    c->constants, constant, each * PS_PER_NS / (2.0 * (double)bytes), TT_CONSTANT_MEASURED);
	}
	tt_free(memory);
}

void
tt_calibrate_handoffs(const struct tt_calibration *c)
{
	measure(c, TT_CONSTANT_HANDOFF, c->cpu[TT_NEAR_CACHE], HANDOFF_BATCHES, HANDOFFS, wait_spinning);
	measure(c, TT_CONSTANT_HANDOFF_CACHE, c->cpu[TT_NEAR_PACKAGE], HANDOFF_BATCHES, HANDOFFS, wait_spinning);
	measure(c, TT_CONSTANT_HANDOFF_PACKAGE, c->cpu[TT_NEAR_HOST], HANDOFF_BATCHES, HANDOFFS, wait_spinning);
	measure_exchange(c, TT_CONSTANT_COPY_SHARED, SHARED_BYTES);
	measure_exchange(c, TT_CONSTANT_COPY_NEAR, NEAR_BYTES);
}

static void
measure_calls(const struct tt_calibration *c)
{
	double best = 0;

	for (int batch = 0; batch < 4; batch++) {
		const int64_t start = tt_now_ns();
		double each;

		for (int i = 0; i < CALLS; i++)
			(void)syscall(SYS_getppid);
		each = (double)(tt_now_ns() - start) / CALLS;
		best = best <= 0 || each < best ? each : best;
	}
	tt_constants_set(c->constants, TT_CONSTANT_SYSCALL, best, TT_CONSTANT_MEASURED);
}

void
tt_calibrate_switches(const struct tt_calibration *c)
{
	measure_calls(c);
	measure(c, TT_CONSTANT_YIELD, c->cpu[TT_NEAR_SELF], YIELD_BATCHES, YIELDS, wait_yielding);
	measure(c, TT_CONSTANT_WAKE, c->cpu[TT_NEAR_CACHE], WAKE_BATCHES, WAKES, wait_sleeping);
}

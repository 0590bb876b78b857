/* SPDX-License-Identifier: Apache-2.0
 *
 * floor_exchange.h - an exchange between processes by hand: the floor under every library's all-reduce and barrier.
 *
 * Each rank has two lines, used in turn: a number of the exchange and what fits beside it; larger contributions
 * lie in a slot of their own. A rank writes its line (release), waits for each other's (acquire), and adds in rank order.
 * Two lines are enough: whoever publishes exchange k + 1 has read all of exchange k.
 * No checks, no deadlines, nothing shared with Tutti but the idea.
 */
#ifndef FLOOR_EXCHANGE_H
#define FLOOR_EXCHANGE_H

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define FLOOR_RANKS 64
#define FLOOR_FLOATS 4096
#define INLINE_FLOATS 12

struct line {
	_Atomic uint64_t sequence;
	float payload[INLINE_FLOATS];
} __attribute__((aligned(128)));

struct exchange {
	struct line line[FLOOR_RANKS][2];
	struct line ping[2];
	float slot[FLOOR_RANKS][2][FLOOR_FLOATS] __attribute__((aligned(128)));
};

struct party {
	struct exchange *exchange;
	int rank, ranks;
	bool crowded; /* more ranks than cores: yield between two looks */
	uint64_t sequence, pings;
};

static inline void
party_join(struct party *p, struct exchange *exchange, int rank, int ranks, bool crowded)
{
	*p = (struct party){.exchange = exchange, .rank = rank, .ranks = ranks, .crowded = crowded};
}

static inline void
await(const struct party *p, _Atomic uint64_t *word, uint64_t value)
{
	while (atomic_load_explicit(word, memory_order_acquire) < value)
		if (p->crowded)
			sched_yield();
}

/* Of the first two ranks: a line there and back. */
static inline void
ping(struct party *p)
{
	const uint64_t n = ++p->pings;

	if (p->rank == 1)
		await(p, &p->exchange->ping[0].sequence, n);
	atomic_store_explicit(&p->exchange->ping[p->rank].sequence, n, memory_order_release);
	if (p->rank == 0)
		await(p, &p->exchange->ping[1].sequence, n);
}

/* The sum of all ranks' `floats` floats; 0 of them: a barrier. */
static inline void
exchange(struct party *p, const float *send, float *recv, size_t floats)
{
	const uint64_t n = ++p->sequence;
	const size_t turn = n % 2;
	struct line(*lines)[2] = p->exchange->line;
	const bool small = floats <= INLINE_FLOATS;
	float *own = small ? lines[p->rank][turn].payload : p->exchange->slot[p->rank][turn];

	if (small)
		for (size_t i = 0; i < floats; i++)
			own[i] = send[i];
	else
		memcpy(own, send, floats * sizeof(float));
	atomic_store_explicit(&lines[p->rank][turn].sequence, n, memory_order_release);
	for (int j = 0; j < p->ranks; j++) {
		const float *theirs = small ? lines[j][turn].payload : p->exchange->slot[j][turn];

		await(p, &lines[j][turn].sequence, n);
		for (size_t i = 0; i < floats; i++)
			recv[i] = j == 0 ? theirs[i] : recv[i] + theirs[i];
	}
}

#endif /* FLOOR_EXCHANGE_H */

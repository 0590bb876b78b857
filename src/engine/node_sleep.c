/* SPDX-License-Identifier: Apache-2.0
 *
 * node_sleep.c - how a member of the node stage sleeps and is woken: a futex word in shared memory.
 *
 * The sleeper says that it sleeps and looks once more; a publisher publishes and looks who sleeps. A fence on each
 * side between the two makes sure that one of them sees the other:
 *
 *	publisher                           sleeper
 *	line.tick = t + 1                   bed.sleeping = 1
 *	fence                               fence
 *	bed.sleeping?  yes: ring            line.tick?  not yet: sleep
 *
 * The publisher looks at the beds only if some of them are taken, which one word says: it counts up after a bed says so
 * and before the fence, so whoever reads 0 would have read that nobody sleeps.
 *
 * The publisher is in a hurry: where all members can, it is the sleeper whose fence counts for both (asymmetric.h), and
 * the publisher need not wait for its own write. A member that can says so in `bed.joined` before the first job
 * and from then on always pays; so a publisher that reads 1 of all, and can be reached itself, needs none. Members that
 * share cores say that they cannot.
 * Where cores are shared a publisher of a small job whose caller waits for it looks without a fence first, and yields. It
 * fences and looks again when it comes back, before it looks at the job: by then its own line has left, and the fence costs
 * nothing. So nobody is overlooked for longer than a yield. A job that ends at once ends with the fence.
 * To publish costs a system call only if somebody sleeps. A ring counts until it has been heard: one that comes before
 * the sleep ends it at once.
 */
#include <sched.h>

#include "base/asymmetric.h"
#include "base/wait.h"
#include "engine/node_stage.h"
#include "engine/node_stage_parts.h"

void
tt_stage_make_bed(struct tt_node_stage *s)
{
	s->joined = tt_heavy_fence_join();
	tt_store_relaxed(&s->lines[s->me].bed.joined, s->joined);
}

static bool
all_have_joined(const struct tt_node_stage *s)
{
	for (int j = 0; j < s->members; j++)
		if (tt_load_relaxed(&s->lines[j].bed.joined) == 0)
			return false;
	return s->joined;
}

/* ---- cores -------------------------------------------------------------------------------------------------- */

void
tt_node_stage_share_cores(struct tt_node_stage *s, int cores)
{
	s->shares_cores = true;
	tt_stage_spread_init(&s->spread, cores);
	/* Members sleep often, and to interrupt every core each time costs more than the publishers' fences. */
	s->joined = false;
	tt_store_relaxed(&s->lines[s->me].bed.joined, 0u);
}

void
tt_stage_tell_core(struct tt_node_stage *s)
{
	const uint32_t core = (uint32_t)sched_getcpu() + 1; /* 0, where it cannot be told */

	if (TT_UNLIKELY(core != tt_load_relaxed(&s->cores[s->me])))
		tt_store_relaxed(&s->cores[s->me], core);
}

bool
tt_node_stage_needs_core(const struct tt_node_stage *s)
{
	const uint32_t core = (uint32_t)sched_getcpu() + 1;
	size_t word;

	/* Who speaks for a group may wait for somebody here itself. */
	if (s->awaited == NULL || s->groups.meet)
		return true;
	word = (size_t)((const char *)s->awaited - (const char *)&s->lines[s->awaited_member]);
	for (int j = s->awaited_member; j < s->awaited_end; j++) {
		const char *member = (const char *)&s->lines[j];
		const uint32_t where = tt_load_relaxed(&s->cores[j]);

		if (j != s->me && (where == core || where == 0) &&
		    tt_load_relaxed((const tt_atomic_u64 *)(const void *)(member + word)) < s->awaited_value)
			return true;
	}
	return false;
}

/* ---- sleeping ----------------------------------------------------------------------------------------------- */

static void
ring(struct tt_node_stage *s, int member)
{
	/* Pairs with the acquire in tt_node_stage_sleep(). */
	tt_fetch_add_acq_rel(&s->lines[member].bed.rung, 1u);
	tt_futex_wake(&s->lines[member].bed.rung, 1);
}

static void
ring_sleepers(struct tt_node_stage *s)
{
	for (int j = 0; j < s->members; j++)
		if (tt_load_relaxed(&s->lines[j].bed.sleeping) != 0 && j != s->me)
			ring(s, j);
}

void
tt_stage_wake_sleepers(struct tt_node_stage *s)
{
	if (TT_LIKELY(s->all_joined)) {
		tt_light_fence(); /* pairs with the heavy fence in tt_node_stage_sleep() */
	} else {
		tt_fence_seq_cst(); /* pairs with either fence in tt_node_stage_sleep() */
		s->all_joined = all_have_joined(s);
	}
	if (TT_UNLIKELY(tt_load_relaxed(&s->beds->sleepers) != 0))
		ring_sleepers(s);
}

void
tt_stage_ring_owed(struct tt_node_stage *s)
{
	s->owes_ring = false;
	tt_stage_wake_sleepers(s);
}

void
tt_node_stage_wake(struct tt_node_stage *s)
{
	ring(s, s->me);
}

/* Orders what this member has said before what it looks at next, for publishers with and without a fence. */
static bool
fence(const struct tt_node_stage *s)
{
	if (s->joined)
		return tt_heavy_fence();
	tt_fence_seq_cst();
	return true;
}

void
tt_node_stage_sleep(struct tt_node_stage *s, int64_t deadline_ns)
{
	struct tt_stage_member *me = &s->lines[s->me];
	const void *mark;
	int moved = 0, rank;

	tt_store_relaxed(&me->bed.sleeping, 1);
	tt_fetch_add_acq_rel(&s->beds->sleepers, 1u);
	/* Pairs with the fences in tt_stage_wake_sleepers(); without it nobody might wake this member. */
	if (fence(s) && tt_node_stage_advance(s, &moved, &rank, &mark) == TUTTI_IN_PROGRESS && moved == 0)
		tt_futex_wait(&me->bed.rung, s->heard, deadline_ns);
	tt_fetch_add_acq_rel(&s->beds->sleepers, (uint32_t)-1);
	tt_store_relaxed(&me->bed.sleeping, 0);
	s->heard = tt_load_acquire(&me->bed.rung); /* pairs with ring() */
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * node_sleep.c - how a member of the node stage sleeps and is woken: a futex word in shared memory.
 *
 * The sleeper says that it sleeps and looks once more; a publisher publishes and looks who sleeps. A fence on each
 * side between the two makes sure that one of them sees the other. To publish costs a system call only if somebody
 * sleeps. A ring counts until it has been heard: one that comes before the sleep ends it at once.
 */
#include "base/wait.h"
#include "engine/node_stage.h"
#include "engine/node_stage_parts.h"

static void
ring(struct tt_node_stage *s, int member)
{
	/* Pairs with the acquire in tt_node_stage_sleep(). */
	tt_fetch_add_acq_rel(&s->lines[member].bed.rung, 1u);
	tt_futex_wake(&s->lines[member].bed.rung, 1);
}

void
tt_stage_wake_sleepers(struct tt_node_stage *s)
{
	tt_fence_seq_cst(); /* pairs with the fence in tt_node_stage_sleep() */
	for (int j = 0; j < s->members; j++)
		if (TT_UNLIKELY(tt_load_relaxed(&s->lines[j].bed.sleeping) != 0) && j != s->me)
			ring(s, j);
}

void
tt_node_stage_wake(struct tt_node_stage *s)
{
	ring(s, s->me);
}

void
tt_node_stage_sleep(struct tt_node_stage *s, int64_t deadline_ns)
{
	struct tt_stage_member *me = &s->lines[s->me];
	const void *mark;
	int moved = 0, rank;

	tt_store_relaxed(&me->bed.sleeping, 1);
	tt_fence_seq_cst(); /* pairs with the fence in tt_stage_wake_sleepers() */
	if (tt_node_stage_advance(s, &moved, &rank, &mark) == TUTTI_IN_PROGRESS && moved == 0)
		tt_futex_wait(&me->bed.rung, s->heard, deadline_ns);
	tt_store_relaxed(&me->bed.sleeping, 0);
	s->heard = tt_load_acquire(&me->bed.rung); /* pairs with ring() */
}

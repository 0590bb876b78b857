/* SPDX-License-Identifier: Apache-2.0
 *
 * node_spread.c - members of the node stage that share cores share them evenly.
 *
 *	core 0   core 1            core 0   core 1
 *	0 1 2    3         ──►     0 1      2 3        a call takes as long as the fullest core
 *
 * Members that take turns by yielding have always just run, and such threads the scheduler's balancer does not move: three
 * ranks may stay on one of two cores for as long as they work, and each call takes half as long again. Each member
 * says where it runs, so who is one too many on its core, and finds a core with two less, asks to go on there. Where it may run
 * is as before, afterwards; what the scheduler undoes is tried less and less often.
 */
#include <sched.h>

#include "engine/node_stage.h"
#include "engine/node_stage_parts.h"

#define EVERY 32 /* publications */
#define SEEN_LEAST 4 /* times in a row, then it is no passing thing */
#define SEEN_MOST 1024

static int
count_on(const struct tt_node_stage *s, uint32_t core)
{
	int n = 0;

	for (int j = 0; j < s->members; j++)
		n += tt_load_relaxed(&s->cores[j]) == core;
	return n;
}

bool
tt_stage_is_surplus(const struct tt_node_stage *s, int cores)
{
	const uint32_t here = tt_load_relaxed(&s->cores[s->me]);
	const int fair = (s->members + cores - 1) / cores;
	int same = 0, behind = 0;

	for (int j = 0; j < s->members; j++) {
		const uint32_t where = tt_load_relaxed(&s->cores[j]);

		if (where == 0)
			return false;
		same += where == here;
		behind += where == here && j > s->me;
	}
	return behind < same - fair;
}

/* The allowed core with the fewest members, if it has two less than this one has. */
static int
emptier_core(const struct tt_node_stage *s, const cpu_set_t *allowed)
{
	int fewest = count_on(s, tt_load_relaxed(&s->cores[s->me])) - 1, best = -1;

	for (int cpu = 0; cpu < CPU_SETSIZE && fewest > 0; cpu++) {
		const int n = CPU_ISSET((unsigned)cpu, allowed) ? count_on(s, (uint32_t)cpu + 1) : fewest;

		if (n < fewest) {
			fewest = n;
			best = cpu;
		}
	}
	return best;
}

static void
move(const struct tt_node_stage *s)
{
	cpu_set_t allowed, one;
	int cpu;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
		return;
	cpu = emptier_core(s, &allowed);
	if (cpu < 0)
		return;
	CPU_ZERO(&one);
	CPU_SET((unsigned)cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one) == 0)
		(void)sched_setaffinity(0, sizeof(allowed), &allowed);
}

void
tt_stage_spread(struct tt_node_stage *s)
{
	struct tt_stage_spread *spread = &s->spread;

	if (TT_LIKELY(++spread->turn % EVERY != 0))
		return;
	if (!tt_stage_is_surplus(s, spread->cores)) {
		spread->seen = 0;
		spread->most -= spread->most > SEEN_LEAST;
		return;
	}
	if (++spread->seen < spread->most)
		return;
	spread->seen = 0;
	spread->most = 2 * spread->most < SEEN_MOST ? 2 * spread->most : SEEN_MOST;
	move(s);
}

void
tt_stage_spread_init(struct tt_stage_spread *spread, int cores)
{
	*spread = (struct tt_stage_spread){.cores = cores > 0 ? cores : 1, .most = SEEN_LEAST};
}

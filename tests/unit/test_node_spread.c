/* SPDX-License-Identifier: Apache-2.0
 *
 * test_node_spread.c - of members that share cores unevenly, as many move as must, and no others.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <sched.h>

#include "engine/node_stage.h"
#include "engine/node_stage_parts.h"

#define MOST 16

/* Which members are one too many on their core: a bit for each. */
static unsigned
surplus(int members, int cores, const int *places)
{
	static tt_atomic_u32 where[MOST];
	struct tt_node_stage s = {.members = members, .cores = where};
	unsigned movers = 0;

	for (int j = 0; j < members; j++)
		tt_store_relaxed(&where[j], (uint32_t)places[j]);
	for (s.me = 0; s.me < members; s.me++)
		movers |= (unsigned)tt_stage_is_surplus(&s, cores) << s.me;
	return movers;
}

Test(node_spread, the_last_ones_of_a_core_that_has_too_many_move)
{
	cr_assert(eq(uint, surplus(4, 2, (const int[]){1, 1, 1, 2}), 1u << 2));
	cr_assert(eq(uint, surplus(8, 2, (const int[]){1, 2, 1, 1, 1, 2, 1, 1}), 1u << 6 | 1u << 7));
	cr_assert(eq(uint, surplus(4, 2, (const int[]){7, 7, 7, 7}), 1u << 2 | 1u << 3));
}

Test(node_spread, who_shares_evenly_stays)
{
	cr_assert(eq(uint, surplus(4, 2, (const int[]){1, 2, 2, 1}), 0));
	cr_assert(eq(uint, surplus(3, 2, (const int[]){1, 1, 2}), 0));
	cr_assert(eq(uint, surplus(3, 1, (const int[]){1, 1, 1}), 0));
}

Test(node_spread, nobody_moves_while_somebody_has_not_said_where_it_is)
{
	cr_assert(eq(uint, surplus(4, 2, (const int[]){1, 1, 1, 0}), 0));
}

Test(node_spread, who_has_moved_may_run_where_it_might_before)
{
	static tt_atomic_u32 where[4];
	struct tt_node_stage s = {.members = 4, .me = 3, .cores = where};
	cpu_set_t before, after;
	bool same;

	cr_assert(zero(int, sched_getaffinity(0, sizeof(before), &before)));
	tt_stage_spread_init(&s.spread, 2);
	for (int j = 0; j < 4; j++)
		tt_store_relaxed(&where[j], (uint32_t)sched_getcpu() + 1);
	for (int i = 0; i < 1000; i++)
		tt_stage_spread(&s);
	cr_assert(zero(int, sched_getaffinity(0, sizeof(after), &after)));
	same = CPU_EQUAL(&before, &after) != 0;
	cr_assert(same);
	cr_assert(gt(u32, s.spread.most, 4)); /* it has moved at least once, and is slower to do it again */
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * node_groups.c - how many members meet: one of each group speaks for it.
 *
 *	member    line ─┐
 *	member    line ─┤►  leader reads the lines of its group,
 *	leader    line ─┘   and binds them into a sheaf  ──────────►  everybody reads the sheaves of all groups
 *
 * Of P members in groups of G a member waits for P / G lines of others instead of P - 1, and a leader for G - 1 more before.
 * Groups are made of members that are near each other on the machine, so most lines stay within one cache. Payloads that
 * are in lines travel in the sheaf, one after the other: sums are made of the same terms in the same order as without
 * groups, so they have the same bits, wherever the ranks sit.
 *
 * Why it is correct. A leader binds tick t when it has met its group there (acquire), and the sheaf's tick is a release: who
 * acquires it has met the group, and may read what its members wrote before they published. A sheaf is one of two, used in
 * turn like lines: a leader enters t when all are done with t - 2, and with its sheaf of that tick.
 * It holds only where everybody meets everybody: a leader that has nothing to wait for would not come to bind.
 */
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "engine/node_stage_parts.h"

/* A handoff between cores is taken to last as long as so many lines that are fetched one after the other without waiting. */
#define HANDOFF_LINES 8

/* ---- groups ----------------------------------------------------------------------------------------------------- */

/* Members of one place, in their order, in as few groups as hold them, as large as each other. Returns how many. */
static int
group_place(const int *near, int members, int first, int *group, int next)
{
	int n = 0, done = 0, groups;

	for (int j = first; j < members; j++)
		n += near[j] == near[first];
	groups = (n + TT_STAGE_GROUP_MOST - 1) / TT_STAGE_GROUP_MOST;
	for (int j = first; j < members; j++)
		if (near[j] == near[first])
			group[j] = next + done++ * groups / n;
	return groups;
}

/* Which group is each member's? Returns how many there are. */
static int
group_all(const int *near, int members, int *group)
{
	int n = 0;

	for (int j = 0; j < members; j++)
		group[j] = -1;
	for (int j = 0; j < members; j++)
		if (group[j] < 0)
			n += group_place(near, members, j, group, n);
	return n;
}

static int
size_of(const int *group, int members, int which)
{
	int n = 0;

	for (int j = 0; j < members; j++)
		n += group[j] == which;
	return n;
}

int
tt_node_stage_group_lines(const struct tt_node_stage *s, const int *near)
{
	int *const group = s->groups.group;
	const int n = group_all(near, s->members, group);
	int largest = 0;

	for (int k = 0; k < n; k++) {
		const int size = size_of(group, s->members, k);

		largest = size > largest ? size : largest;
	}
	return largest - 1 + n - 1;
}

bool
tt_node_stage_wants_groups(const struct tt_node_stage *s, const int *near)
{
	return s->members - 1 > tt_node_stage_group_lines(s, near) + HANDOFF_LINES;
}

void
tt_node_stage_use_groups(struct tt_node_stage *s, const int *near)
{
	struct tt_stage_groups *g = &s->groups;

	g->n = group_all(near, s->members, g->group);
	for (int k = 0; k < g->n; k++)
		g->leader[k] = -1;
	for (int j = 0; j < s->members; j++) {
		const int k = g->group[j];

		if (g->leader[k] < 0)
			g->leader[k] = j;
		g->place[j] = size_of(g->group, j, k);
	}
	g->mine = g->group[s->me];
	g->own = 0;
	for (int j = 0; j < s->members; j++)
		if (g->leader[g->mine] == s->me && j != s->me && g->group[j] == g->mine)
			g->members[g->own++] = j;
}

/* ---- meeting ----------------------------------------------------------------------------------------------------- */

void
tt_groups_start(struct tt_node_stage *s, size_t widest)
{
	struct tt_stage_groups *g = &s->groups;
	const enum tt_step_kind kind = s->job.kind;
	const bool all_meet = kind != TT_NODE_BROADCAST && kind != TT_NODE_SCATTER && kind != TT_NODE_GATHER &&
			      (kind != TT_NODE_REDUCE || s->two_shot || s->is_large);

	g->meet = g->n > 0 && all_meet;
	g->bind = g->meet && s->inline_payload && !s->is_large &&
		  (kind == TT_NODE_ALL_REDUCE || kind == TT_NODE_ALL_GATHER);
	g->each = tt_round_up(widest, TT_STAGE_ALIGN);
	g->bound = false;
	g->next = 0;
}

static struct tt_stage_sheaf *
sheaf_of(const struct tt_node_stage *s, int group)
{
	return &s->groups.sheaves[2 * group + (int)(s->now % 2)];
}

unsigned char *
tt_groups_payload(const struct tt_node_stage *s, int member)
{
	const struct tt_stage_groups *g = &s->groups;

	return sheaf_of(s, g->group[member])->payload + (size_t)g->place[member] * g->each;
}

/* The whole group has been met. */
static void
bind(struct tt_node_stage *s)
{
	struct tt_stage_groups *g = &s->groups;
	struct tt_stage_sheaf *sheaf = sheaf_of(s, g->mine);

	if (g->bind) {
		memcpy(tt_groups_payload(s, s->me), tt_stage_line(s, s->me)->payload, g->each);
		for (int i = 0; i < g->own; i++)
			memcpy(
			    tt_groups_payload(s, g->members[i]), tt_stage_line(s, g->members[i])->payload, g->each);
	}
	if (s->now == s->first) {
		memcpy(sheaf->mark, s->mark, TUTTI_MARK_BYTES);
		sheaf->past = s->past;
		sheaf->agreed = s->agreed;
	}
	tt_store_release(&sheaf->tick, s->now + 1); /* pairs with the acquire in tt_stage_reached() */
	tt_stage_wake_sleepers(s);
}

/* A leader's own part. */
static tutti_status
gather(struct tt_node_stage *s)
{
	struct tt_stage_groups *g = &s->groups;

	for (; g->next < g->own; g->next++) {
		const tutti_status status = tt_stage_met(s, g->members[g->next]);

		if (status == TUTTI_ERR_MISMATCH)
			s->seen = g->members[g->next];
		if (status != TUTTI_OK)
			return status;
	}
	bind(s);
	g->next = 0;
	g->bound = true;
	return TUTTI_OK;
}

/* A leader that has called something else may have ended it and bind nothing: its own group looks at its line, too. */
static tutti_status
look_at_leader(struct tt_node_stage *s, int leader)
{
	const struct tt_stage_line *line = tt_stage_line(s, leader);
	tutti_status status;

	/* Pairs with the release in tt_stage_publish(). */
	if (s->now != s->first || tt_load_acquire(&line->tick) < s->now + 1)
		return TUTTI_IN_PROGRESS;
	status = tt_stage_compare(s, line->past, line->mark);
	if (status == TUTTI_OK)
		return TUTTI_IN_PROGRESS;
	s->seen = leader;
	return status;
}

static tutti_status
met_group(struct tt_node_stage *s, int group)
{
	const struct tt_stage_sheaf *sheaf = sheaf_of(s, group);
	const int leader = s->groups.leader[group];
	tutti_status status;

	if (!tt_stage_reached(s, leader, &sheaf->tick, s->now + 1))
		return group == s->groups.mine ? look_at_leader(s, leader) : TUTTI_IN_PROGRESS;
	if (s->now != s->first)
		return TUTTI_OK;
	if (sheaf->agreed == 0)
		s->agreed = false;
	status = tt_stage_compare(s, sheaf->past, sheaf->mark);
	if (status == TUTTI_ERR_MISMATCH)
		s->seen = leader;
	return status;
}

static bool
leads(const struct tt_node_stage *s)
{
	return s->groups.leader[s->groups.mine] == s->me;
}

bool
tt_groups_owe(const struct tt_node_stage *s)
{
	return s->groups.meet && leads(s) && !s->groups.bound;
}

tutti_status
tt_groups_all_met(struct tt_node_stage *s)
{
	struct tt_stage_groups *g = &s->groups;

	if (leads(s) && !g->bound)
		TT_TRY(gather(s));
	for (; g->next < g->n; g->next++) {
		const int group = (g->mine + g->next) % g->n;

		if (group != g->mine || !leads(s))
			TT_TRY(met_group(s, group));
	}
	g->next = 0;
	g->bound = false;
	return TUTTI_OK;
}

/* What the leader has bound of this job has this member's line in it: whoever it is, the sheaf is not out any more. */
void
tt_groups_take_back(struct tt_node_stage *s)
{
	const struct tt_stage_groups *g = &s->groups;

	for (int i = 0; i < 2 && g->n > 0; i++) {
		struct tt_stage_sheaf *sheaf = &g->sheaves[2 * g->mine + i];
		uint64_t tick = tt_load_relaxed(&sheaf->tick);

		/* Others of the group may do the same. Pairs with the acquire in tt_stage_reached(). */
		while (tick > s->first && !tt_cas_acq_rel(&sheaf->tick, &tick, s->first))
			;
	}
}

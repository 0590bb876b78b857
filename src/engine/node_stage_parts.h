/* SPDX-License-Identifier: Apache-2.0
 *
 * node_stage_parts.h - what the files of the node stage share: its memory, its meetings, and where a job stands.
 *
 * node_stage.c keeps jobs, node_meet.c the protocol of ticks (read its head comment first), node_groups.c how many meet,
 * node_reduce.c what adds, node_move.c what only moves, node_portions.c rows that are not in one piece.
 */
#ifndef TT_ENGINE_NODE_STAGE_PARTS_H
#define TT_ENGINE_NODE_STAGE_PARTS_H

#include <string.h>

#include "base/atomics.h"
#include "engine/node_large.h"
#include "engine/node_stage.h"

#define TT_STAGE_LINE_PAYLOAD (TT_LINE - 16 - TUTTI_MARK_BYTES)
#define TT_STAGE_ALIGN 8 /* rows in a line begin at multiples of it: any element is aligned */
#define TT_STAGE_GRAIN 64 /* bytes: what members work on begins and ends at multiples of it */

struct tt_stage_line {
	tt_atomic_u64 tick; /* one more than the tick that the line belongs to */
	uint64_t past; /* the marks of all earlier jobs: two roots of one broadcast do not look at each other */
	unsigned char mark[TUTTI_MARK_BYTES];
	unsigned char payload[TT_STAGE_LINE_PAYLOAD];
} TT_ALIGNED(TT_LINE);

struct tt_stage_member {
	struct tt_stage_line line[2];
	struct {
		tt_atomic_u64 ticks;
	} TT_ALIGNED(TT_LINE) done;
	struct {
		tt_atomic_u32 sleeping; /* set by the member, read by whoever publishes */
		tt_atomic_u32 rung; /* counts up to wake it: its futex */
		tt_atomic_u32 joined; /* its fence counts for both sides; set at creation: see node_sleep.c */
	} TT_ALIGNED(TT_LINE) bed;
};

_Static_assert(sizeof(struct tt_stage_line) == TT_LINE && sizeof(struct tt_stage_member) == 4 * TT_LINE,
    "writers do not share lines");

/* Of all members together, and hardly ever written: so that who publishes has one line to look at, and not one of each. */
struct tt_stage_beds {
	tt_atomic_u32 sleepers; /* members that have said in their beds that they sleep */
} TT_ALIGNED(TT_LINE);

#define TT_STAGE_GROUP_MOST 8 /* members that one of them speaks for */

/* What a group's leader says for it (node_groups.c). */
struct tt_stage_sheaf {
	tt_atomic_u64 tick; /* as in a line, ... */
	uint64_t past; /* ... like this */
	unsigned char mark[TUTTI_MARK_BYTES];
	uint64_t agreed; /* nobody in the group has said another note than the mark */
	unsigned char payload[TT_STAGE_GROUP_MOST * TT_STAGE_LINE_PAYLOAD];
} TT_ALIGNED(TT_LINE);

struct tt_stage_groups {
	int n; /* 0: everybody meets everybody */
	int *group, *place, *leader; /* of each member: its group, its place in it; and of each group */
	int mine; /* this member's group */
	int members[TT_STAGE_GROUP_MOST], own; /* of those that this member leads: all but itself */
	struct tt_stage_sheaf *sheaves; /* shared: two of each group */

	/* The job: */
	bool meet; /* all meet by groups */
	bool bind; /* and payloads are in the sheaf, ... */
	size_t each; /* ... so many bytes of each */
	int next; /* members of this group, then groups, that have been met in this wait */
	bool bound; /* this member's sheaf of this tick is out */
};

/* Where an operation stands. */
enum tt_stage_phase { TT_STAGE_ENTER, TT_STAGE_MEET, TT_STAGE_LEAVE, TT_STAGE_ENDED };

/* How members that share cores share them evenly (node_spread.c). */
struct tt_stage_spread {
	int cores; /* for all members */
	uint32_t turn, seen; /* publications; looks in a row that found this one too many on its core */
	uint32_t most; /* then to move */
};

struct tt_node_stage {
	int members, me;
	int *ranks;
	const void **sources; /* room for one of each member */
	struct tt_stage_member *lines; /* shared: one of each member */
	struct tt_stage_beds *beds; /* shared */
	tt_atomic_u32 *cores; /* shared: where each member ran when it last published, + 1; 0 = it does not say */
	unsigned char *data; /* shared: the slots and results */
	size_t chunk, result; /* bytes of a slot, of a result slot */
	size_t row_most; /* bytes of a row, where a slot holds one for each member */
	size_t row; /* the same, of this job */
	struct tt_stage_places places; /* of this job's data in a slot, or of each row in its part of one */
	uint32_t heard; /* rings up to here have ended a sleep */
	bool joined, all_joined; /* this member has; all are known to have */
	const tt_atomic_u64 *awaited; /* NULL, or the last look did not find it at ... */
	uint64_t awaited_value; /* ... so much; nor did it look at the same of the members ... */
	int awaited_member, awaited_end; /* ... after this one and before that */
	bool shares_cores;
	bool owes_ring; /* something has been published, and who sleeps has not been looked for */
	struct tt_stage_spread spread; /* where it does */
	uint64_t finished; /* everybody is done with all ticks before this one */
	uint64_t tick; /* next one to be used */
	uint64_t past; /* of the marks of all earlier jobs */
	uint64_t next_past; /* the same with this job's, ... */
	bool remembered; /* ... if it has been computed */
	unsigned char previous[TUTTI_MARK_BYTES]; /* the latest of them that is not the job's own */
	unsigned char mark[TUTTI_MARK_BYTES]; /* of the job */
	bool strayed; /* it was the past that differed */
	bool noted; /* the mark ends with a note */
	bool agreed; /* nobody has said another note */

	struct tt_node_job job;
	uint64_t first, end, now; /* ticks of the job */
	enum tt_stage_phase phase;
	bool inline_payload, two_shot;
	int seen; /* members whose line or counter has been seen in this wait */
	struct tt_stage_groups groups;
	bool is_large; /* the job is: see node_large.c */
	struct tt_stage_large large;
};

/* ---- meeting (node_meet.c) ---------------------------------------------------------------------------------- */

/* A member's line of tick `now`. */
struct tt_stage_line *tt_stage_line(const struct tt_node_stage *s, int member);
void tt_stage_publish(struct tt_node_stage *s, uint64_t tick);
/* This member reads nothing any more of the ticks before `ticks`. */
void tt_stage_publish_done(struct tt_node_stage *s, uint64_t ticks);
/* Once for each job, at any time (node_stage.c). */
void tt_stage_remember(struct tt_node_stage *s);
/* Before anything is published (node_sleep.c). */
void tt_stage_make_bed(struct tt_node_stage *s);
/* Where cores are shared, before something is published: where this member runs. */
void tt_stage_tell_core(struct tt_node_stage *s);
void tt_stage_spread_init(struct tt_stage_spread *spread, int cores);
/* Now and then, before something is published: moves this thread to an emptier core if it is one too many on its own. */
void tt_stage_spread(struct tt_node_stage *s);
/* Is it, with so many cores for all members? */
bool tt_stage_is_surplus(const struct tt_node_stage *s, int cores);
/* After something was published: wakes who sleeps (node_sleep.c). */
void tt_stage_wake_sleepers(struct tt_node_stage *s);
/* For a job whose caller stays: does anybody sleep, as far as can be told without a fence; and then, or at the next look at
 * the job at the latest, with it. */
static inline bool
tt_stage_sees_sleepers(const struct tt_node_stage *s)
{
	return tt_load_relaxed(&s->beds->sleepers) != 0;
}
void tt_stage_ring_owed(struct tt_node_stage *s);
/* Has `member` published tick `now`? Its mark is compared at the job's first tick. */
tutti_status tt_stage_met(struct tt_node_stage *s, int member);
/* Has the member's word come to `value`? If not, it is what tt_node_stage_spin() looks at. */
bool tt_stage_reached(struct tt_node_stage *s, int member, const tt_atomic_u64 *word, uint64_t value);
/* Does this mean the call that this member means? */
tutti_status tt_stage_compare(struct tt_node_stage *s, uint64_t past, const unsigned char *mark);
/* Have all, from `seen` on? Then nobody reads anything of earlier ticks. */
tutti_status tt_stage_all_met(struct tt_node_stage *s);
/* Is everybody done with all ticks before `ticks`? */
bool tt_stage_all_done(struct tt_node_stage *s, uint64_t ticks);
/* Asks before there is need whether all are done with what they read before this tick, after something was published:
 * while the others fetch that. */
void tt_stage_look_ahead(struct tt_node_stage *s);
/* May this member write at `tick`? */
bool tt_stage_may_write(struct tt_node_stage *s, uint64_t tick);

/* ---- groups (node_groups.c) ----------------------------------------------------------------------------------- */

/* A job begins, with rows of so many bytes at most. */
void tt_groups_start(struct tt_node_stage *s, size_t widest);
/* As tt_stage_all_met(). */
tutti_status tt_groups_all_met(struct tt_node_stage *s);
/* Where a member's payload is, if sheaves bind them. */
unsigned char *tt_groups_payload(const struct tt_node_stage *s, int member);
/* Do others wait for a sheaf of this member's? */
bool tt_groups_owe(const struct tt_node_stage *s);
/* As tt_node_stage_take_back(). */
void tt_groups_take_back(struct tt_node_stage *s);

/* ---- memory (node_meet.c) ----------------------------------------------------------------------------------- */

unsigned char *tt_stage_slot(const struct tt_node_stage *s, int member, uint64_t tick);
unsigned char *tt_stage_result(const struct tt_node_stage *s, int member, uint64_t tick);
/* Where this tick's payload of a member is: in its line or in its slot, or in its group's sheaf. */
unsigned char *tt_stage_payload(const struct tt_node_stage *s, int member);
/* The chunk of tick `tick` of `bytes` bytes that go `each` a tick: where it begins. */
size_t tt_stage_chunk(const struct tt_node_stage *s, uint64_t tick, size_t bytes, size_t each, size_t *len);

/* ---- the operations: TUTTI_OK when the job has ended ---------------------------------------------------------- */

tutti_status tt_stage_all_reduce(struct tt_node_stage *s, int *moved); /* and reduce */
/* dst = sum over the members, in their order, of `own` (this member's) and of what is at `at` of their payloads. */
void tt_stage_sum(struct tt_node_stage *s, unsigned char *dst, const unsigned char *own, size_t at, size_t bytes);
/* dst = sum over the members, in their order, of what s->sources says, from `at` of each on. dst may be one of them. */
void tt_stage_reduce(struct tt_node_stage *s, unsigned char *dst, size_t at, size_t bytes);
tutti_status tt_stage_in_meet_read(struct tt_node_stage *s, int *moved); /* where everybody reads everybody */
tutti_status tt_stage_from_root(struct tt_node_stage *s, int *moved); /* broadcast, scatter */
tutti_status tt_stage_to_root(struct tt_node_stage *s, int *moved); /* gather, and small reduce */

/* ---- this member's own memory -------------------------------------------------------------------------------------
 *
 * `at` bytes behind what the job gives, which is an address, or an offset if the row is in portions. */

/* node_portions.c */
void tt_portions_take(const struct tt_node_job *job, unsigned char *to, size_t offset, size_t bytes);
void tt_portions_give(const struct tt_node_job *job, size_t offset, const unsigned char *from, size_t bytes);
void tt_portions_keep(const struct tt_node_job *job, size_t offset, size_t bytes);
void tt_portions_sum(struct tt_node_stage *s, unsigned char *result, size_t offset, size_t at, size_t bytes);

/* Out of it. */
static inline void
tt_stage_take(const struct tt_node_stage *s, unsigned char *to, const unsigned char *src, size_t at, size_t bytes)
{
	if (bytes == 0)
		return;
	if (TT_UNLIKELY(s->job.portions != NULL))
		tt_portions_take(&s->job, to, (size_t)(uintptr_t)src + at, bytes);
	else
		memcpy(to, src + at, bytes);
}

/* Into it. */
static inline void
tt_stage_give(const struct tt_node_stage *s, unsigned char *dst, size_t at, const unsigned char *from, size_t bytes)
{
	if (bytes == 0)
		return;
	if (TT_UNLIKELY(s->job.portions != NULL))
		tt_portions_give(&s->job, (size_t)(uintptr_t)dst + at, from, bytes);
	else
		memcpy(dst + at, from, bytes);
}

/* From one place to another; in portions, both have one offset. */
static inline void
tt_stage_keep(const struct tt_node_stage *s, unsigned char *dst, const unsigned char *src, size_t at, size_t bytes)
{
	if (bytes == 0)
		return;
	if (TT_UNLIKELY(s->job.portions != NULL))
		tt_portions_keep(&s->job, (size_t)(uintptr_t)dst + at, bytes);
	else if (dst != src)
		memcpy(dst + at, src + at, bytes);
}

/* tt_stage_sum() of what is `row` bytes behind src, into `result`; NULL: as far behind dst. */
static inline void
tt_stage_sum_own(struct tt_node_stage *s, unsigned char *result, unsigned char *dst, const unsigned char *src,
    size_t row, size_t at, size_t bytes)
{
	if (bytes == 0)
		return;
	if (TT_UNLIKELY(s->job.portions != NULL))
		tt_portions_sum(s, result, (size_t)(uintptr_t)src + row, at, bytes);
	else
		tt_stage_sum(s, result != NULL ? result : dst + row, src + row, at, bytes);
}

#endif /* TT_ENGINE_NODE_STAGE_PARTS_H */

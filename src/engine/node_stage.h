/* SPDX-License-Identifier: Apache-2.0
 *
 * node_stage.h - collectives between the ranks of a node, by hand, in shared memory: what the superinstructions of
 * the plan language run on. They equal their reference expansion (tt_plan_expand) bit for bit.
 *
 * Each member has two control lines, used in turn, a counter of finished ticks, and a staging area of two slots. Time is
 * counted in ticks that only grow: an operation takes one tick for each chunk. See node_meet.c for the protocol.
 * One thread at a time; never blocks.
 */
#ifndef TT_ENGINE_NODE_STAGE_H
#define TT_ENGINE_NODE_STAGE_H

#include <tutti/transport.h>

#include "engine/combine.h"
#include "engine/portions.h"
#include "plan/plan.h"
#include "select/stage_facts.h"

#define TT_STAGE_LEVELS 4 /* segments that memory of the program's may be in */

struct tt_node_stage;
struct tt_remote;
struct tt_segment;

/* A mark's last bytes are a note where jobs have one: zero in `mark`, and compared apart. */
#define TT_MARK_NOTE_BYTES 8
#define TT_MARK_NOTE_AT (TUTTI_MARK_BYTES - TT_MARK_NOTE_BYTES)

/* What one superinstruction is to do, in memory. */
struct tt_node_job {
	enum tt_step_kind kind;
	int root; /* member, where there is one */
	unsigned char *dst; /* all_reduce, reduce_scatter, broadcast, scatter, reduce (the root's): `bytes` of them */
	const unsigned char *src; /* all_reduce, reduce, all_gather, gather, broadcast (the root's): as many */
	size_t bytes; /* on all members the same, but of reduce_scatter and all_gather; all_to_all: of a row */
	/* Lent; of each member its dst (all_gather, gather: the root's), or what is for it (reduce_scatter, all_to_all,
	 * scatter: the root's). In gather, scatter and all_to_all all are as long. */
	const struct iovec *pieces;
	const struct iovec *into; /* all_to_all: where each member's goes; lent */
	struct tt_arithmetic how;
	const void *mark; /* TUTTI_MARK_BYTES, lent */
	bool has_note;
	uint64_t note; /* see tt_node_stage_agreed() */
	/* all_reduce, reduce_scatter, all_gather, broadcast: of what a row of this member consists; then dst, src and
	 * pieces are offsets in it. NULL = they are addresses. Lent. */
	const struct tt_portion *portions;
	uint32_t nportions;
	bool in_portions; /* some member's may be: the same on all. Such a job is never a large one */
	bool reads_out; /* src is where results go */
	bool is_awaited; /* the caller does nothing but advance it until its end, yield and sleep */
};

/* Bytes of zeroed memory that `members` ranks must share. */
size_t tt_node_stage_need(int members, const struct tt_stage_facts *facts);
/* ranks[i]: rank of member i (copied). `shared` outlives the stage and is as large as need() says; the facts (copied)
 * are the same on all members. */
tutti_status tt_node_stage_create(void *shared, int members, int me, const int *ranks,
    const struct tt_stage_facts *facts, struct tt_node_stage **stage);
/* Large jobs read and write memory in these segments where it is, without copies. Level i means the same segment on all
 * members; they outlive the stage. At most TT_STAGE_LEVELS are used. */
void tt_node_stage_use_memory(struct tt_node_stage *stage, struct tt_segment *const *levels, int n);
/* Every member can read every other's memory with these cards, one of each (lent): large jobs that only move do so. On
 * all members, or on none. */
void tt_node_stage_use_remotes(struct tt_node_stage *stage, const struct tt_remote *remotes);
/* The job in progress, and all others, end here: what this member had lent to the others is its own again. A member that
 * still reads it will not say that it has ended. */
void tt_node_stage_withdraw(struct tt_node_stage *stage);
/* Is a job in progress that others cannot end once this member has withdrawn? */
bool tt_node_stage_is_owed(const struct tt_node_stage *stage);
/* After a failure: members that come to the job in progress from now on do not meet this one there. They will hear why. */
void tt_node_stage_take_back(struct tt_node_stage *stage);
void tt_node_stage_destroy(struct tt_node_stage *stage);

int tt_node_stage_members(const struct tt_node_stage *stage);
/* The member number of a rank; -1: it is not one. */
int tt_node_stage_member(const struct tt_node_stage *stage, int rank);

/* Where the stage keeps its job: who fills this one spares start() the copy. */
struct tt_node_job *tt_node_stage_job(struct tt_node_stage *stage);
/* The job is copied, but for what it lends. One at a time, in the same order on all members. */
void tt_node_stage_start(struct tt_node_stage *stage, const struct tt_node_job *job);
/* TUTTI_IN_PROGRESS, TUTTI_OK, TUTTI_ERR_MISMATCH: *rank said *mark instead, or TUTTI_ERR_PEER: the memory of *rank
 * cannot be read (the record says why). `moved` counts what happened. */
tutti_status tt_node_stage_advance(struct tt_node_stage *stage, int *moved, int *rank, const void **mark);

/* After an advance that returned TUTTI_IN_PROGRESS: would another one find what it waits for? Looks `tight` times, and
 * then `polls` times with a pause before. True at once where it cannot tell. */
bool tt_node_stage_spin(const struct tt_node_stage *stage, int tight, int polls);

/* There are more members than cores, of which there are so many; those for whom it is so say it before anybody's first job. */
void tt_node_stage_share_cores(struct tt_node_stage *stage, int cores);
/* Members with equal numbers are near each other; of each member, lent, the same on all. How many lines would be fetched one after
 * the other if they met by groups, ... */
int tt_node_stage_group_lines(const struct tt_node_stage *stage, const int *near);
/* ... and would so many meet sooner? */
bool tt_node_stage_wants_groups(const struct tt_node_stage *stage, const int *near);
/* They do, before the first job, on all members. Then a member that others wait for must be driven to the end of its job,
 * even of one in which it only says something. */
void tt_node_stage_use_groups(struct tt_node_stage *stage, const int *near);
/* After an advance that returned TUTTI_IN_PROGRESS: is one of those that are waited for likely to need this core? If not,
 * nobody here has anything to do but to look, and to give up the core is a waste. */
bool tt_node_stage_needs_core(const struct tt_node_stage *stage);

/* Of the job that has ended: did every member whose line this one has read say the same note? True without notes. */
bool tt_node_stage_agreed(const struct tt_node_stage *stage);

/* Sleeps until another member publishes something, tt_node_stage_wake() is called, or the deadline has passed. Returns
 * early for no reason, too. The caller advances next. */
void tt_node_stage_sleep(struct tt_node_stage *stage, int64_t deadline_ns);
/* Wakes this member's sleeper; any thread of this process. */
void tt_node_stage_wake(struct tt_node_stage *stage);

#endif /* TT_ENGINE_NODE_STAGE_H */

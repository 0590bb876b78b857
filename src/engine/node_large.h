/* SPDX-License-Identifier: Apache-2.0
 *
 * node_large.h - the node stage's way with large jobs, seen by its own files and by node_stage.c.
 *
 * A large job takes one tick, in which the members meet and say where their memory is, and then goes chunk by chunk
 * at each member's own pace: see node_large.c. node_views.c keeps where memory is, node_large_add.c what adds,
 * node_large_move.c what only moves.
 */
#ifndef TT_ENGINE_NODE_LARGE_H
#define TT_ENGINE_NODE_LARGE_H

#include <stdbool.h>

#include "base/atomics.h"
#include "base/port.h"
#include "base/remote.h"
#include "engine/node_stage.h"

/* How far a member has come, in chunks of all large jobs since the beginning. One writer. */
enum tt_stage_count {
	TT_STAGE_FILLED, /* what it gives is where the others find it */
	TT_STAGE_ADDED, /* and it reads nothing any more of what others have filled */
	TT_STAGE_TAKEN, /* nor of anything else of that chunk */
	TT_STAGE_COUNTS
};

struct tt_stage_flow {
	tt_atomic_u64 count[TT_STAGE_COUNTS];
	tt_atomic_u64 withdrawn; /* 0, or one more than the first tick of the job that it has left unfinished */
} TT_ALIGNED(TT_LINE);

_Static_assert(sizeof(struct tt_stage_flow) == TT_LINE, "writers do not share lines");

/* Where a member's memory is in this process; NULL: it is staged. */
struct tt_stage_view {
	const unsigned char *in; /* what it gives; of rows, the one that is for this member */
	unsigned char *out; /* where its result goes; gather: this member's row at the root */
	uint64_t far; /* `in`, as an address of its process, which is not this one and can be read; 0 = it cannot */
};

/* Where data is in a slot that has room for more of it: at a few places, in turn. */
struct tt_stage_places {
	size_t bytes; /* from one to the next */
	uint64_t n;
};

/* Where a sum goes. */
struct tt_stage_target {
	unsigned char *to;
	bool stream; /* past the caches */
};

struct tt_stage_large {
	struct tt_stage_facts facts;
	struct tt_stage_flow *flows; /* shared: of each member */
	unsigned char *slots; /* shared: of each member `ring` slots and as many results */
	size_t slot, result; /* bytes of one */
	uint64_t ring;
	struct tt_segment *levels[TT_STAGE_LEVELS]; /* lent */
	int nlevels;
	const struct tt_remote *remotes; /* of each member, lent; NULL: nobody reads another's memory */
	const void *offered; /* of this member, and found readable: the last one, ... */
	size_t offered_bytes; /* ... and how much of it */
	struct tt_stage_view *views; /* of each member, in this job */
	struct tt_stage_target *targets; /* room for one of each member, and one more */

	/* The job: */
	uint64_t base, end; /* its chunks; `end` is where the next job's begin */
	size_t chunk; /* bytes, of each row if there are rows */
	struct tt_stage_places places; /* of a chunk in a slot */
	size_t longest; /* bytes of the longest row, or of the only one */
	uint64_t mine[TT_STAGE_COUNTS]; /* how far this member is */
	uint64_t least[TT_STAGE_COUNTS]; /* all others are known to have come so far */
	bool stream; /* results go past the caches */
	bool changes_hands; /* two members stage for each other in either's slots, by turns: see node_large_pair.c */
	bool all_staged; /* nobody's memory is in reach */
	bool whole; /* an all-reduce of two, in which each adds everything */
	bool results_staged; /* another member takes results from slots */
	bool single; /* what is not in reach is read from the memory of other processes */
	uint64_t run; /* chunks that are taken at once */
	int refusal, refusing; /* an errno: the memory of this member could not be read; 0 = it could */
};

/* ---- memory (node_large.c) ------------------------------------------------------------------------------------ */

/* Bytes of shared memory that large jobs need, and where they are. */
/* room: bytes that the slots and results of a member may take, if that is enough for two small ones. */
size_t tt_large_need(int members, const struct tt_stage_facts *facts, size_t room);
void tt_large_init(struct tt_node_stage *s, const struct tt_stage_facts *facts, size_t room, void *shared);
unsigned char *tt_large_slot(const struct tt_node_stage *s, int member, uint64_t chunk);
unsigned char *tt_large_result(const struct tt_node_stage *s, int member, uint64_t chunk);
/* What one member stages for another: in its slot or, where that changes hands, in the reader's. */
unsigned char *tt_large_given(const struct tt_node_stage *s, int giver, int reader, uint64_t chunk);
/* The part of a row of `bytes` bytes that a chunk carries: where it begins. */
size_t tt_large_range(const struct tt_node_stage *s, uint64_t chunk, size_t bytes, size_t *len);
/* Member j's slice of a chunk of `len` bytes, in whole cache lines. */
void tt_stage_slice(const struct tt_node_stage *s, int j, size_t len, size_t *begin, size_t *slice);

/* Data of so many bytes in `slots` slots that are used in turn, each with room for `room` of them. */
void tt_stage_places_init(
    struct tt_stage_places *places, const struct tt_stage_facts *facts, size_t bytes, size_t room, size_t slots);

/* Where the data of a slot's `turn`th use begins. What may be written to a slot, may be written anywhere in it. */
static inline size_t
tt_stage_place(const struct tt_stage_places *places, uint64_t turn)
{
	return places->n > 1 ? (size_t)(turn % places->n) : 0;
}

/* ---- jobs (node_large.c) -------------------------------------------------------------------------------------- */

/* Is the job large? The same on all members. */
bool tt_large_is(const struct tt_node_stage *s, const struct tt_node_job *job);
void tt_large_start(struct tt_node_stage *s);
/* As tt_node_stage_advance(). */
tutti_status tt_large_advance(struct tt_node_stage *s, int *moved);

/* ---- other processes' memory (node_far.c) ---------------------------------------------------------------------------- */

/* Is a job of this kind, with rows of so many bytes, one that reads it? The same on all members. */
bool tt_far_is(const struct tt_node_stage *s, enum tt_step_kind kind, size_t longest);
/* May others read these bytes of this member's? */
bool tt_far_offers(struct tt_node_stage *s, const void *from, size_t bytes);
/* All have been met who are to be. */
void tt_far_begin(struct tt_node_stage *s);
/* From `at` behind a member's `far`. What fails is remembered. */
void tt_far_read(struct tt_node_stage *s, int member, size_t at, unsigned char *to, size_t bytes);
/* Has anybody left this job, or one before it, before it ended? Then what was read of it may be anything. */
bool tt_far_withdrawn(const struct tt_node_stage *s);
/* After a failure: the error, or TUTTI_IN_PROGRESS if another one is on its way that has caused it. */
tutti_status tt_far_refused(const struct tt_node_stage *s);

/* ---- counting (node_large.c) ---------------------------------------------------------------------------------- */

/* Are all others so far? */
bool tt_large_others(struct tt_node_stage *s, enum tt_stage_count which, uint64_t value);
/* Is one? */
bool tt_large_other(const struct tt_node_stage *s, int member, enum tt_stage_count which, uint64_t value);
/* This member is so far. */
void tt_large_count(struct tt_node_stage *s, enum tt_stage_count which, uint64_t value);

/* ---- where memory is (node_views.c) --------------------------------------------------------------------------- */

/* Says it in this member's line, which is about to be published. */
void tt_views_announce(struct tt_node_stage *s);
/* Reads it from the line of a member that has been met. ERR_INTERNAL: what it says cannot be. */
tutti_status tt_views_read(struct tt_node_stage *s, int member);

/* ---- what one chunk takes: nothing here waits (node_large_add.c, node_large_move.c) ------------------------------ */

void tt_large_fill_slices(struct tt_node_stage *s, uint64_t chunk);
void tt_large_add_slice(struct tt_node_stage *s, uint64_t chunk);
void tt_large_take_slices(struct tt_node_stage *s, uint64_t chunk);
void tt_large_add_row(struct tt_node_stage *s, uint64_t chunk);

void tt_large_fill_row(struct tt_node_stage *s, uint64_t chunk);
void tt_large_fill_rows(struct tt_node_stage *s, uint64_t chunk);
void tt_large_take_row(struct tt_node_stage *s, uint64_t chunk); /* the root's, or this member's of the root's */
void tt_large_take_rows(struct tt_node_stage *s, uint64_t chunk); /* a row of each */
void tt_large_push_row(struct tt_node_stage *s); /* all of it, to the root's memory */

/* ---- two members that give each other as much as they are given (node_large_pair.c) --------------------------------- */

/* Is the job theirs? The same on both. */
bool tt_pair_is(const struct tt_node_stage *s);
void tt_pair_fill(struct tt_node_stage *s, uint64_t chunk);
/* Adds the chunk, which both have staged, and meanwhile fills chunk `next`; 0: none. */
void tt_pair_add(struct tt_node_stage *s, uint64_t chunk, uint64_t next);

#endif /* TT_ENGINE_NODE_LARGE_H */

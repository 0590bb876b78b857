/* SPDX-License-Identifier: Apache-2.0
 *
 * arena.h - memory that a communicator has given out with tutti_alloc: pieces of a segment that the ranks of the node
 * have mapped already.
 *
 * An arena belongs to one rank. Its communicator has it, and the communicators that were split from that one hold it: their
 * operations may use the memory, too. Any thread.
 */
#ifndef TT_COMM_ARENA_H
#define TT_COMM_ARENA_H

#include "base/segment.h"
#include "engine/node_stage.h"

struct tt_arena;

/* What a communicator's operations may find memory in: its own arena first, then those it was split from. */
struct tt_lineage {
	struct tt_arena *arena[TT_STAGE_LEVELS];
	int n;
};

/* In this segment (a share is taken); NULL: in one of its own, made when first asked. */
tutti_status tt_lineage_found(
    struct tt_lineage *lineage, struct tt_segment *segment, const struct tt_lineage *parent);
/* The communicator goes: what it has given out goes with it, what it holds of others is let go. Twice is fine. */
void tt_lineage_leave(struct tt_lineage *lineage);
/* Peers may still read and write what they were told of, at any later time: memory that was given out is not given out
 * again, nor are its pages taken away, until the segment goes. */
void tt_lineage_taint(const struct tt_lineage *lineage);
/* The identity of a level's segment (TT_SEGMENT_ID bytes); zeros: nobody else has it. */
void tt_lineage_id(const struct tt_lineage *lineage, int level, unsigned char *id);
/* NULL: nobody else has it. */
struct tt_segment *tt_lineage_segment(const struct tt_lineage *lineage, int level);

tutti_status tt_arena_take(struct tt_arena *arena, size_t bytes, void **memory);
/* ERR_ARGUMENT: it was not given out here. */
tutti_status tt_arena_give(struct tt_arena *arena, void *memory);

#endif /* TT_COMM_ARENA_H */

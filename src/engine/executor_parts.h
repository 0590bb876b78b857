/* SPDX-License-Identifier: Apache-2.0
 *
 * executor_parts.h - the executor from inside, for its own files.
 *
 * executor.c runs lanes through the steps of a plan; what a step does is in executor_local.c (work in this rank's own
 * memory), executor_messages.c (sends, receives and waits) and executor_stage.c (superinstructions of the node stage).
 */
#ifndef TT_ENGINE_EXECUTOR_PARTS_H
#define TT_ENGINE_EXECUTOR_PARTS_H

#include "engine/combine.h"
#include "engine/executor.h"

struct tt_slot {
	tutti_transfer transfer;
	struct tt_fold_context fold;
	int peer;
	bool receives;
	uint64_t note; /* behind the data, if the run has notes */
};

/* One running slice. */
struct tt_lane {
	uint32_t pc;
	int slice; /* ≥ slices: at rest */
	uint32_t nposted; /* slots in use since the last wait */
	uint32_t nended; /* of them, from the first, known to have ended */
	bool waiting_room; /* the last slot was not taken by the transport yet */
	uint32_t stage_left; /* steps of the node stage, of all slices that it has to run */
	struct tt_slot *slots;
	struct iovec *pieces; /* of slot i: 2 * pieces_room from i * 2 * pieces_room */
	struct iovec *operand_pieces;
	struct tt_pieces *operands; /* of a local step */
	struct tt_scratch scratch;
	size_t scratch_room; /* bytes of it */
	struct tt_lookup lookup;
};

struct tt_executor {
	struct tt_ports *ports;
	size_t staging_bytes;
	struct tt_run run;
	struct tt_run_fault fault;
	bool running;
	struct tt_lane lanes[TT_EXECUTOR_LANES];
	uint32_t slots_room, pieces_room, operands_room; /* of each lane */
	struct tt_node_stage *stage; /* NULL: this rank shares no memory */
	struct iovec *stage_pieces; /* one for each member, twice, and two of room */
	bool stage_busy;
	int stage_turn; /* the lane whose step of the node stage is next */
	uint64_t note; /* of this run, as far as it has been heard of: 0 = there are several */
};

static inline const struct tt_span *
tt_step_span(const struct tt_executor *x, const struct tt_step *step, int i)
{
	return &x->run.plan->spans[step->span + (uint32_t)i];
}

/* ---- executor_local.c ------------------------------------------------------------------------------------------- */

/* The pieces of a span in the lane's slice, in `room`. */
struct tt_pieces tt_lane_pieces(
    const struct tt_executor *x, struct tt_lane *lane, const struct tt_span *span, struct iovec *room, size_t *bytes);

static inline bool
tt_step_is_local(const struct tt_step *step)
{
	return step->kind == TT_COPY || step->kind == TT_REDUCE_STEP;
}

/* Runs the lane's next step, which is local, and those behind it that are. Returns how many. */
uint32_t tt_lane_run_local(struct tt_executor *x, struct tt_lane *lane);

/* ---- executor_messages.c ---------------------------------------------------------------------------------------- */

/* Posts what a step sends or receives. TUTTI_IN_PROGRESS: the transport has no room for it yet. */
tutti_status tt_lane_post(struct tt_executor *x, struct tt_lane *lane, int index, const struct tt_step *step);
/* TUTTI_OK: all that was posted has ended. */
tutti_status tt_lane_wait(struct tt_executor *x, struct tt_lane *lane);
/* A lane that cannot go on: has anything of what it posted failed? Else TUTTI_IN_PROGRESS. */
tutti_status tt_lane_look_for_faults(struct tt_executor *x, const struct tt_lane *lane);

/* ---- executor_stage.c ------------------------------------------------------------------------------------------- */

/* How many of a plan's steps are of the node stage. */
uint32_t tt_plan_stage_steps(const struct tt_plan *plan);
/* A step of the node stage, when it is the lane's turn. */
tutti_status tt_lane_run_stage(
    struct tt_executor *x, const struct tt_lane *lane, const struct tt_step *step, int *moved);

#endif /* TT_ENGINE_EXECUTOR_PARTS_H */

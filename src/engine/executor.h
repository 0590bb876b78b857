/* SPDX-License-Identifier: Apache-2.0
 *
 * executor.h - runs one plan at a time: all its slices, several at once, each on a lane of its own.
 *
 * Knows links, kernels and memory, but not which collective it runs or why. One thread at a time. After start()
 * nothing is allocated.
 */
#ifndef TT_ENGINE_EXECUTOR_H
#define TT_ENGINE_EXECUTOR_H

#include "engine/node_stage.h"
#include "engine/operands.h"
#include "engine/ports.h"
#include "kernels/kernels.h"
#include "plan/plan.h"

#define TT_EXECUTOR_LANES 4 /* most slices at once */

/* What to run. Everything is lent until the run has ended. */
struct tt_run {
	const struct tt_plan *plan;
	struct tt_operands operands;
	int window; /* lanes to use, ≤ TT_EXECUTOR_LANES */
	uint32_t first_lane; /* of the links */
	tt_reduce_fn reduce; /* NULL: `applied`, or the plan reduces nothing */
	const struct tt_applied *applied;
	bool heavy; /* see tt_arithmetic */
	enum tt_finish finish; /* of reductions that are TT_FINAL */
	uint32_t divisor;
	unsigned char mark[TUTTI_MARK_BYTES];
	bool
	    empty_too; /* messages of 0 bytes are sent: ranks do not know each other's counts, and a message that one of
	                   them expects must come, if only to show that it is empty */
	/* Every message says what this rank's note is, or 0 once it has heard of another one: see tt_executor_agreed(). The
	 * same on all ranks; the notes may differ. Takes the end of the mark (TT_MARK_NOTE_AT), which is zero. */
	bool has_note;
	uint64_t note;
};

/* Why a run failed. */
struct tt_run_fault {
	tutti_status status;
	int peer; /* -1: none */
	unsigned char peer_mark[TUTTI_MARK_BYTES];
	size_t peer_bytes, bytes;
};

struct tt_executor;

/* staging_bytes: bound of the scratch memory of all lanes together. */
tutti_status tt_executor_create(struct tt_ports *ports, size_t staging_bytes, struct tt_executor **executor);
/* Plans with steps of the node stage need one; it outlives the executor. Every rank of a node has as many of them. */
tutti_status tt_executor_use_stage(struct tt_executor *executor, struct tt_node_stage *stage);
void tt_executor_destroy(struct tt_executor *executor);

/* The fewest slices with which the plan's scratch memory stays within the bound; the same on every rank. */
int tt_executor_slices(
    const struct tt_executor *executor, const struct tt_plan *plan, const struct tt_operands *operands, int window);
/* Takes the run (copied) and posts its first steps. Only one at a time. ERR_NOMEM. */
tutti_status tt_executor_start(struct tt_executor *executor, const struct tt_run *run);
/* The same for a plan of one step that the caller has started on the node stage already; nothing is allocated. */
void tt_executor_adopt(struct tt_executor *executor, const struct tt_run *run);
/* Room for the pieces of two sides of a job, for who starts one; free while nothing runs. */
struct iovec *tt_executor_stage_pieces(const struct tt_executor *executor);
/* How a step of a run adds. */
struct tt_arithmetic tt_executor_arithmetic(const struct tt_run *run, const struct tt_step *step);
/* Goes as far as possible without waiting. TUTTI_IN_PROGRESS, TUTTI_OK (done), or a failure: see fault. `moved`
 * counts up with whatever happened. */
tutti_status tt_executor_advance(struct tt_executor *executor, int *moved);
const struct tt_run_fault *tt_executor_fault(const struct tt_executor *executor);
/* Of the run that has ended: the note, if all ranks that this one's result depends on have said the same, else 0. Where
 * every rank's result depends on all, as in an all_reduce, every rank learns the same. */
uint64_t tt_executor_agreed(const struct tt_executor *executor);
/* Does the run wait for other members of the node stage (and not for messages)? */
bool tt_executor_in_stage(const struct tt_executor *executor);
/* Has any slice a transfer under way? */
bool tt_executor_has_messages(const struct tt_executor *executor);
/* A rank whose message the run waits for, else one that has not taken this rank's; -1: none, or it waits in the stage. */
int tt_executor_awaited(const struct tt_executor *executor);
/* Forgets the run; the ports must have been cancelled if it had not ended. */
void tt_executor_drop(struct tt_executor *executor);

#endif /* TT_ENGINE_EXECUTOR_H */

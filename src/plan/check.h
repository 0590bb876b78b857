/* SPDX-License-Identifier: Apache-2.0
 *
 * check.h - the checker's world: every rank's memory in symbols, and the messages between them.
 *
 * check.c builds it and judges the results; check_run.c runs the plans in it.
 */
#ifndef TT_PLAN_CHECK_H
#define TT_PLAN_CHECK_H

#include "base/port.h"
#include "plan/geometry.h"
#include "plan/values.h"

struct tt_cell {
	uint32_t origin; /* which element of which row of which round */
	uint32_t value; /* see values.h; 0 = undefined */
};

struct tt_message {
	size_t payload, len;
	uint32_t heard; /* the sender's knowledge of who has entered */
	uint32_t next; /* in its channel, 0 = last */
};

/* One direction of one pair on one lane. */
struct tt_channel {
	uint32_t sends, recvs; /* posted so far */
	uint32_t first, last; /* messages not taken out yet, 0 = none */
	uint32_t sender_waits, receiver_waits; /* fiber + 1 */
	int32_t src, dst;
};

/* The cells of an operand: side by side from `at`, or else those that the index has from `at` on. */
struct tt_cells {
	uint32_t at;
	bool scattered;
};

struct tt_posted {
	uint32_t step, channel, index, len;
	struct tt_cells cells[2]; /* of its spans: not looked for twice */
	bool known; /* unless they are scattered: the index is the next step's */
};

/* One lane of one rank. */
struct tt_fiber {
	int rank, lane, slice;
	uint32_t pc;
	struct tt_posted *posted;
	uint32_t nposted, waited; /* the first `waited` of them have ended */
	bool ready, done;
	uint32_t heard;
};

struct tt_world {
	const struct tt_plan *const *plans;
	const struct tt_check_options *options;
	struct tt_check_report *report;
	int nranks, slices, window, rounds;
	bool barrier;
	struct tt_widths widths;
	size_t *sums;
	void *block[2]; /* of memory, for all arrays of a fixed length */
	struct tt_values values;
	struct tt_geometry *geometry; /* of each rank */
	size_t *base; /* where each rank's memory begins among the cells */
	int *round, *lanes_left; /* of each rank */
	struct tt_cell *cells;
	uint16_t *marks; /* of each cell: posted readers, or TT_WRITING */
	struct tt_fiber *fibers;
	struct tt_posted *posted;
	uint32_t *ready; /* a stack of fibers */
	uint32_t nready;
	int32_t *pair; /* [src * P + dst]: first channel, -1 = none yet */
	struct tt_channel *channels;
	uint32_t nchannels, channels_room;
	struct tt_message *messages;
	uint32_t nmessages, messages_room;
	uint32_t free_messages[32]; /* by size: those with room for 2^i elements; 0 = none */
	struct tt_cell *payload;
	size_t npayload, payload_room;
	struct tt_piece *pieces;
	struct tt_cells *operand; /* of a step's spans */
	uint32_t *index; /* cells of those that are scattered, one after the other */
	size_t nindex, index_room;
	uint32_t *added, *result; /* values being combined; [count] results, the same on every rank */
};

#define TT_WRITING UINT16_MAX

/* Records the first fault found. */
void tt_world_fault(struct tt_world *world, int rank, uint32_t step, const char *format, ...) TT_PRINTF(4, 5);
tutti_status tt_world_grow(void **array, size_t used, size_t *room, size_t want, size_t size);

/* Starts the next round of a rank: fresh contributions, everything else undefined. */
void tt_world_enter(struct tt_world *world, int rank);
/* Judges what a rank's round has left in its receive buffer. */
void tt_world_judge(struct tt_world *world, int rank);
/* Runs until nothing moves any more or a fault is found. */
tutti_status tt_world_run(struct tt_world *world);

#endif /* TT_PLAN_CHECK_H */

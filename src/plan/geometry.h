/* SPDX-License-Identifier: Apache-2.0
 *
 * geometry.h - where spans lie: rows, slices, parts and slots as ranges of elements.
 *
 * One rank's memory is one line of elements: its send buffer, its receive buffer (inside each other in place), and
 * the slots of every lane. For the checker and the simulator; the executor knows addresses instead.
 */
#ifndef TT_PLAN_GEOMETRY_H
#define TT_PLAN_GEOMETRY_H

#include "plan/plan.h"

/* Widths of the rows of all ranks. */
struct tt_widths {
	enum tt_collective collective;
	int nranks;
	size_t count; /* of every row, if even */
	const size_t *sum; /* uneven: [2P+1] sums of counts[0..P-1] twice over; all_to_all: i to j is (i+j)'s */
	size_t widest;
};

struct tt_geometry {
	const struct tt_plan *plan;
	const struct tt_widths *widths;
	int slices, window;
	bool has_in, has_out;
	int rows[3]; /* of each buffer here */
	bool many[3]; /* a row for each rank, of more than one */
	size_t in, out, tmp; /* where the buffers begin */
	size_t slot, lane, end; /* elements per slot, per lane; of the whole */
};

struct tt_piece {
	size_t begin, len;
};

size_t tt_width(const struct tt_widths *widths, int rank, int row); /* of the buffer with P rows, or the only row */
void tt_geometry_init(
    struct tt_geometry *geometry, const struct tt_plan *plan, const struct tt_widths *widths, int slices, int window);
/* What is wrong with a span (static text), or NULL. */
const char *tt_geometry_fault(const struct tt_geometry *geometry, const struct tt_span *span, bool written);
/* The pieces of a faultless span (room for 2 * rows), empty ones left out; returns how many. */
int tt_geometry_pieces(
    const struct tt_geometry *geometry, const struct tt_span *span, int slice, int lane, struct tt_piece *pieces);
/* A row's slice in IN or OUT. */
struct tt_piece tt_geometry_row(const struct tt_geometry *geometry, enum tt_buffer buffer, int row, int slice);

#endif /* TT_PLAN_GEOMETRY_H */

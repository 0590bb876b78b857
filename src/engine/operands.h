/* SPDX-License-Identifier: Apache-2.0
 *
 * operands.h - where a plan's symbolic operands are in memory, for one operation and one of its slices.
 */
#ifndef TT_ENGINE_OPERANDS_H
#define TT_ENGINE_OPERANDS_H

#include <sys/uio.h>

#include "base/port.h"
#include "engine/portions.h"
#include "plan/plan.h"

/* One side of an operation: rows of elements in the caller's memory. Even: nrows rows of `count` elements, one
 * after the other. Uneven: counts[r] elements at offsets[r] (both lent by the operation). */
struct tt_rows {
	unsigned char *base;
	int nrows;
	size_t count;
	const size_t *counts; /* NULL = even */
	const size_t *offsets; /* with counts */
};

struct tt_operands {
	struct tt_rows in, out;
	size_t element; /* bytes */
	int slices;
	const struct tt_portion *portions; /* of what both sides' only rows consist, then without bases; NULL; lent */
	uint32_t nportions;
	bool in_portions; /* some rank's rows may be */
};

/* The scratch memory of one lane. */
struct tt_scratch {
	unsigned char *base;
	size_t slot_bytes;
	const struct tt_rows *like; /* the side whose rows TMP contents are measured by */
};

/* How a slice of rows of one width is cut into parts: divided once, and used by one span after the other. */
struct tt_cut {
	size_t width; /* of the rows, ... */
	int slice; /* ... the slice, ... */
	int32_t of; /* ... and the parts that it holds for; 0: for none */
	size_t begin; /* of the slice */
	size_t each, more; /* parts of `each` elements, the first `more` of them one longer */
};

size_t tt_rows_width(const struct tt_rows *rows, int row);
/* The widest row, in elements. */
size_t tt_rows_widest(const struct tt_rows *rows);

/* The pieces of `span` in slice `slice`, adjacent ones joined: at most span.rows * 2. Returns their number;
 * *bytes = their sum. `pieces` has room for them, and with portions for one more of each. */
uint32_t tt_operand_pieces(const struct tt_operands *operands, const struct tt_scratch *scratch,
    const struct tt_span *span, int slice, struct iovec *pieces, size_t *bytes);

void tt_cut_make(struct tt_cut *cut, size_t width, int slices, int slice, int32_t of);

static inline size_t
tt_cut_at(const struct tt_cut *cut, size_t part)
{
	return part * cut->each + (part < cut->more ? part : cut->more);
}

/* The same as tt_operand_pieces() for the spans that nearly all are: parts of one even row, or of a slot, that do not
 * go round. False: this is another one. */
static inline bool
tt_operand_piece(const struct tt_operands *operands, const struct tt_scratch *scratch, struct tt_cut *cut,
    const struct tt_span *span, int slice, unsigned char **at, size_t *elements)
{
	const bool in_slot = span->buffer == TT_TMP;
	const struct tt_rows *rows = in_slot ? scratch->like : span->buffer == TT_IN ? &operands->in : &operands->out;
	size_t first;

	if (TT_UNLIKELY(span->rows != 1 || span->part + span->parts > span->of || span->buffer == TT_TOKEN ||
			rows->counts != NULL || operands->portions != NULL))
		return false;
	if (TT_UNLIKELY(cut->of != span->of || cut->width != rows->count || cut->slice != slice))
		tt_cut_make(cut, rows->count, operands->slices, slice, span->of);
	first = tt_cut_at(cut, (size_t)span->part);
	*elements = tt_cut_at(cut, (size_t)(span->part + span->parts)) - first;
	if (*elements == 0)
		*at = NULL;
	else if (in_slot)
		*at = scratch->base + (size_t)span->row * scratch->slot_bytes;
	else
		*at = rows->base + ((size_t)span->row * rows->count + cut->begin + first) * operands->element;
	return true;
}

/* With portions: the one stretch of the row that `span` is, as an offset and its bytes. */
struct iovec tt_operand_stretch(const struct tt_operands *operands, const struct tt_span *span, int slice);

/* Bytes of one scratch slot that holds `parts` of `of` parts of the widest row's widest slice. */
size_t tt_operand_slot_bytes(const struct tt_operands *operands, int parts, int of);
/* The side that TMP contents are measured by: the one with the more rows. */
const struct tt_rows *tt_operand_like(const struct tt_operands *operands);

#endif /* TT_ENGINE_OPERANDS_H */

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
	int32_t of; /* ... and the parts that it holds for; 0: for none */
	size_t begin; /* of the slice */
	size_t each, more; /* parts of `each` elements, the first `more` of them one longer */
};

#define TT_BUFFERS (TT_TOKEN + 1)
#define TT_NO_WIDTH SIZE_MAX

/* What it takes to find the one piece of memory that nearly all spans are: parts of one even row, or of a slot, that do
 * not go round. Made for a run and used for one slice of it at a time. */
struct tt_lookup {
	struct tt_buffer_rows {
		unsigned char *base;
		size_t row; /* bytes from one row or slot to the next */
		size_t width; /* elements of a row, or of the one that slots are like; TT_NO_WIDTH: they differ */
		size_t element; /* bytes from one to the next; 0: slots begin with what they hold */
	} rows[TT_BUFFERS];
	int slices, slice;
	struct tt_cut cut;
};

size_t tt_rows_width(const struct tt_rows *rows, int row);
/* The widest row, in elements. */
size_t tt_rows_widest(const struct tt_rows *rows);

/* The pieces of `span` in slice `slice`, adjacent ones joined: at most span.rows * 2. Returns their number;
 * *bytes = their sum. `pieces` has room for them, and with portions for one more of each. */
uint32_t tt_operand_pieces(const struct tt_operands *operands, const struct tt_scratch *scratch,
    const struct tt_span *span, int slice, struct iovec *pieces, size_t *bytes);

void tt_lookup_init(struct tt_lookup *lookup, const struct tt_operands *operands, const struct tt_scratch *scratch);
/* False: the rows' widths differ. */
bool tt_lookup_cut(struct tt_lookup *lookup, size_t width, int32_t of);

static inline void
tt_lookup_slice(struct tt_lookup *lookup, int slice)
{
	lookup->slice = slice;
	lookup->cut.of = 0;
}

static inline size_t
tt_cut_at(const struct tt_cut *cut, size_t part)
{
	return part * cut->each + (part < cut->more ? part : cut->more);
}

/* The same as tt_operand_pieces(). False: this span is another one. */
static inline bool
tt_lookup_piece(struct tt_lookup *lookup, const struct tt_span *span, unsigned char **at, size_t *elements)
{
	const struct tt_buffer_rows *rows = &lookup->rows[span->buffer];
	const struct tt_cut *cut = &lookup->cut;
	size_t first;

	if (TT_UNLIKELY(span->rows != 1 || span->part + span->parts > span->of))
		return false;
	if (TT_UNLIKELY(cut->of != span->of || cut->width != rows->width) &&
	    !tt_lookup_cut(lookup, rows->width, span->of))
		return false;
	first = tt_cut_at(cut, (size_t)span->part);
	*elements = tt_cut_at(cut, (size_t)(span->part + span->parts)) - first;
	*at =
	    *elements == 0 ? NULL : rows->base + (size_t)span->row * rows->row + (cut->begin + first) * rows->element;
	return true;
}

/* With portions: the one stretch of the row that `span` is, as an offset and its bytes. */
struct iovec tt_operand_stretch(const struct tt_operands *operands, const struct tt_span *span, int slice);

/* Bytes of one scratch slot that holds `parts` of `of` parts of the widest row's widest slice. */
size_t tt_operand_slot_bytes(const struct tt_operands *operands, int parts, int of);
/* The side that TMP contents are measured by: the one with the more rows. */
const struct tt_rows *tt_operand_like(const struct tt_operands *operands);

#endif /* TT_ENGINE_OPERANDS_H */

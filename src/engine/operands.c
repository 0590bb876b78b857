/* SPDX-License-Identifier: Apache-2.0
 *
 * operands.c - symbolic operands to pieces of memory.
 *
 * The rule: a row is cut into slices, the slice into parts, both balanced (tt_part), so that every rank computes
 * the same lengths from the same counts.
 */
#include "engine/operands.h"

#include <assert.h>

#include "base/checked.h"
#include "base/port.h"

size_t
tt_rows_width(const struct tt_rows *rows, int row)
{
	return rows->counts != NULL && rows->nrows > 1 ? rows->counts[row] : rows->count;
}

size_t
tt_rows_widest(const struct tt_rows *rows)
{
	size_t widest = rows->count;

	if (rows->counts == NULL || rows->nrows <= 1)
		return widest;
	widest = 0;
	for (int r = 0; r < rows->nrows; r++)
		widest = tt_max_size(widest, rows->counts[r]);
	return widest;
}

static size_t
row_offset(const struct tt_rows *rows, int row)
{
	if (rows->nrows <= 1)
		return 0;
	return rows->counts != NULL ? rows->offsets[row] : (size_t)row * rows->count;
}

const struct tt_rows *
tt_operand_like(const struct tt_operands *operands)
{
	return operands->in.nrows > operands->out.nrows ? &operands->in : &operands->out;
}

size_t
tt_operand_slot_bytes(const struct tt_operands *operands, int parts, int of)
{
	size_t begin, slice, part;

	/* The first slice and the first part are the longest of a row. */
	tt_part(tt_rows_widest(tt_operand_like(operands)), (size_t)operands->slices, 0, &begin, &slice);
	tt_part(slice, (size_t)of, 0, &begin, &part);
	return tt_round_up(tt_min_size(part * (size_t)parts, slice) * operands->element, 64);
}

/* Elements of parts [part, part + parts) of a slice of `width` elements of a row. */
static void
parts_range(size_t width, int slices, int slice, int part, int parts, int of, size_t *begin, size_t *len)
{
	size_t slice_begin = 0, slice_len = width, first, first_len, last, last_len;

	if (slices > 1)
		tt_part(width, (size_t)slices, (size_t)slice, &slice_begin, &slice_len);
	*begin = slice_begin;
	*len = slice_len;
	if (of == 1)
		return; /* divisions are what this costs */
	tt_part(slice_len, (size_t)of, (size_t)part, &first, &first_len);
	tt_part(slice_len, (size_t)of, (size_t)(part + parts - 1), &last, &last_len);
	*begin = slice_begin + first;
	*len = last + last_len - first;
}

static struct tt_buffer_rows
buffer_rows(const struct tt_operands *operands, const struct tt_rows *rows)
{
	const bool even = rows->counts == NULL && operands->portions == NULL;

	return (struct tt_buffer_rows){
	    rows->base, rows->count * operands->element, even ? rows->count : TT_NO_WIDTH, operands->element};
}

void
tt_lookup_init(struct tt_lookup *lookup, const struct tt_operands *operands, const struct tt_scratch *scratch)
{
	const struct tt_buffer_rows like = buffer_rows(operands, scratch->like);

	lookup->rows[TT_IN] = buffer_rows(operands, &operands->in);
	lookup->rows[TT_OUT] = buffer_rows(operands, &operands->out);
	lookup->rows[TT_TMP] = (struct tt_buffer_rows){scratch->base, scratch->slot_bytes, like.width, 0};
	lookup->rows[TT_TOKEN] = (struct tt_buffer_rows){.width = TT_NO_WIDTH};
	lookup->slices = operands->slices;
	tt_lookup_slice(lookup, 0);
}

bool
tt_lookup_cut(struct tt_lookup *lookup, size_t width, int32_t of)
{
	struct tt_cut *cut = &lookup->cut;
	size_t len = width;

	if (width == TT_NO_WIDTH)
		return false;
	cut->width = width;
	cut->of = of;
	cut->begin = 0;
	if (lookup->slices > 1)
		tt_part(width, (size_t)lookup->slices, (size_t)lookup->slice, &cut->begin, &len);
	cut->each = of == 1 ? len : len / (size_t)of;
	cut->more = of == 1 ? 0 : len % (size_t)of;
	return true;
}

static uint32_t
add_piece(struct iovec *pieces, uint32_t n, unsigned char *at, size_t len)
{
	if (len == 0)
		return n;
	if (n > 0 && (unsigned char *)pieces[n - 1].iov_base + pieces[n - 1].iov_len == at) {
		pieces[n - 1].iov_len += len;
		return n;
	}
	pieces[n].iov_base = at;
	pieces[n].iov_len = len;
	return n + 1;
}

static uint32_t
slot_pieces(const struct tt_operands *operands, const struct tt_scratch *scratch, const struct tt_span *span,
    int slice, struct iovec *pieces, size_t *bytes)
{
	uint32_t n = 0;

	for (int j = 0; j < span->rows; j++) {
		const int nlike = scratch->like->nrows > 1 ? scratch->like->nrows : 1;
		const int like = span->along_rows ? (span->like + j) % nlike : span->like;
		const size_t width = tt_rows_width(scratch->like, nlike > 1 ? like : 0);
		int part = span->along_rows ? span->part : (span->part + j * span->parts) % span->of;
		int left = span->parts;
		unsigned char *at = scratch->base + (size_t)(span->row + j) * scratch->slot_bytes;

		while (left > 0) {
			const int now = left < span->of - part ? left : span->of - part;
			size_t begin, len;

			parts_range(width, operands->slices, slice, part, now, span->of, &begin, &len);
			n = add_piece(pieces, n, at, len * operands->element);
			*bytes += len * operands->element;
			at += len * operands->element;
			left -= now;
			part = 0;
		}
	}
	return n;
}

/* `len` bytes from `offset` of a row in portions. */
static uint32_t
add_portions(const struct tt_operands *operands, bool in, struct iovec *pieces, uint32_t n, size_t offset, size_t len)
{
	uint32_t i;

	if (len == 0)
		return n;
	i = tt_portion_find(operands->portions, operands->nportions, offset);
	for (; len > 0; i++) {
		const struct tt_portion *portion = &operands->portions[i];
		const size_t skip = offset - portion->begin, now = tt_min_size(len, portion->bytes - skip);

		/* What is sent from is not written to: no piece needs to be const. */
		n = add_piece(
		    pieces, n, in ? (unsigned char *)(uintptr_t)(portion->in + skip) : portion->out + skip, now);
		offset += now;
		len -= now;
	}
	return n;
}

struct iovec
tt_operand_stretch(const struct tt_operands *operands, const struct tt_span *span, int slice)
{
	size_t begin, len;

	assert(span->part + span->parts <= span->of);
	parts_range(operands->out.count, operands->slices, slice, span->part, span->parts, span->of, &begin, &len);
	return (struct iovec){(void *)(uintptr_t)(begin * operands->element), len * operands->element};
}

uint32_t
tt_operand_pieces(const struct tt_operands *operands, const struct tt_scratch *scratch, const struct tt_span *span,
    int slice, struct iovec *pieces, size_t *bytes)
{
	const struct tt_rows *rows = span->buffer == TT_IN ? &operands->in : &operands->out;
	uint32_t n = 0;

	*bytes = 0;
	if (span->buffer == TT_TOKEN)
		return 0;
	if (span->buffer == TT_TMP)
		return slot_pieces(operands, scratch, span, slice, pieces, bytes);

	assert(rows->nrows > 0);
	for (int j = 0; j < span->rows; j++) {
		const int row = (span->row + j) % rows->nrows;
		const size_t width = tt_rows_width(rows, row);
		int part = span->part, left = span->parts;

		while (left > 0) {
			const int now = left < span->of - part ? left : span->of - part;
			size_t begin, len;

			parts_range(width, operands->slices, slice, part, now, span->of, &begin, &len);
			if (TT_UNLIKELY(operands->portions != NULL))
				n = add_portions(operands, span->buffer == TT_IN, pieces, n,
				    begin * operands->element, len * operands->element);
			else
				n = add_piece(pieces, n,
				    rows->base + (row_offset(rows, row) + begin) * operands->element,
				    len * operands->element);
			*bytes += len * operands->element;
			left -= now;
			part = 0;
		}
	}
	return n;
}

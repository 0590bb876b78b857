/* SPDX-License-Identifier: Apache-2.0
 *
 * geometry.c - where spans lie: see geometry.h.
 */
#include "plan/geometry.h"

static bool
many_rows(const struct tt_geometry *g, enum tt_buffer buffer)
{
	const int n = g->plan->shape.nranks;
	const enum tt_collective c = g->plan->shape.collective;

	return (buffer == TT_IN ? tt_collective_in_rows(c, n) : tt_collective_out_rows(c, n)) == n && n > 1;
}

static int
rows_of(const struct tt_geometry *g, enum tt_buffer buffer)
{
	const struct tt_shape *s = &g->plan->shape;

	if (buffer == TT_TMP)
		return g->plan->tmp_slots;
	if (buffer == TT_IN)
		return g->has_in ? tt_collective_in_rows(s->collective, s->nranks) : 0;
	return g->has_out ? tt_collective_out_rows(s->collective, s->nranks) : 0;
}

/* Where row `row` of the buffer with P rows begins in it. */
static size_t
row_begin(const struct tt_widths *w, int rank, int row)
{
	const int shift = w->collective == TT_ALL_TO_ALL ? rank : 0;

	return w->sum ? w->sum[shift + row] - w->sum[shift] : (size_t)row * w->count;
}

size_t
tt_width(const struct tt_widths *widths, int rank, int row)
{
	const int shift = widths->collective == TT_ALL_TO_ALL ? rank : 0;

	return widths->sum ? widths->sum[shift + row + 1] - widths->sum[shift + row] : widths->count;
}

static size_t
buffer_len(const struct tt_geometry *g, enum tt_buffer buffer)
{
	const struct tt_shape *s = &g->plan->shape;

	if (rows_of(g, buffer) == 0)
		return 0;
	return many_rows(g, buffer) ? row_begin(g->widths, s->rank, s->nranks)
				    : tt_width(g->widths, s->rank, s->rank);
}

void
tt_geometry_init(
    struct tt_geometry *geometry, const struct tt_plan *plan, const struct tt_widths *widths, int slices, int window)
{
	const struct tt_shape *s = &plan->shape;
	const bool root = !tt_collective_has_root(s->collective) || s->rank == s->root;
	struct tt_geometry *g = geometry;
	size_t begin, most;

	*g = (struct tt_geometry){.plan = plan, .widths = widths, .slices = slices, .window = window};
	g->has_in = root || (s->collective != TT_BROADCAST && s->collective != TT_SCATTER);
	g->has_out = root || (s->collective != TT_REDUCE && s->collective != TT_GATHER);
	if (!s->in_place || !g->has_in || !g->has_out) {
		g->out = buffer_len(g, TT_IN);
		g->tmp = g->out + buffer_len(g, TT_OUT);
	} else if (many_rows(g, TT_IN) && !many_rows(g, TT_OUT)) {
		g->out = row_begin(widths, s->rank, s->rank);
		g->tmp = buffer_len(g, TT_IN);
	} else if (many_rows(g, TT_OUT) && !many_rows(g, TT_IN)) {
		g->in = row_begin(widths, s->rank, s->rank);
		g->tmp = buffer_len(g, TT_OUT);
	} else {
		g->tmp = buffer_len(g, TT_IN);
	}
	tt_part(widths->widest, (size_t)slices, 0, &begin, &most);
	g->slot = tt_slot_count(plan, most);
	g->lane = g->slot * (size_t)plan->tmp_slots;
	g->end = g->tmp + g->lane * (size_t)window;
}

const char *
tt_geometry_fault(const struct tt_geometry *geometry, const struct tt_span *span, bool written)
{
	if (span->buffer > TT_TMP)
		return "a span lies in no buffer";
	if (span->of < 1 || span->parts < 0 || span->parts > span->of || span->part < 0 || span->part >= span->of)
		return "a span's parts are not among its row's";
	const int rows = rows_of(geometry, span->buffer);
	if (rows == 0)
		return "a span lies in a buffer that this rank does not have";
	if (span->row < 0 || span->row >= rows || span->rows < 1 || span->rows > rows)
		return "a span's rows are not among its buffer's";
	if (span->buffer == TT_IN && written)
		return "the send buffer is written";
	if (span->buffer == TT_TMP &&
	    (span->row + span->rows > rows || span->like < 0 || span->like >= geometry->plan->shape.nranks))
		return "a span lies beyond the last slot, or is like a row that does not exist";
	return NULL;
}

struct tt_piece
tt_geometry_row(const struct tt_geometry *geometry, enum tt_buffer buffer, int row, int slice)
{
	const struct tt_geometry *g = geometry;
	const int rank = g->plan->shape.rank;
	const bool many = many_rows(g, buffer);
	struct tt_piece piece;

	tt_part(
	    tt_width(g->widths, rank, many ? row : rank), (size_t)g->slices, (size_t)slice, &piece.begin, &piece.len);
	piece.begin += (buffer == TT_IN ? g->in : g->out) + (many ? row_begin(g->widths, rank, row) : 0);
	return piece;
}

/* Parts part.. of a row's slice, at most two pieces, relative to the slice. */
static int
parts_of(size_t len, int part, int parts, int of, struct tt_piece *pieces)
{
	const int straight = part + parts > of ? of - part : parts;
	size_t first, last, n;
	int made = 0;

	if (of == 1) {
		pieces[0] = (struct tt_piece){0, len};
		return parts && len;
	}

	for (int i = 0; i < 2; i++) {
		const int from = i ? 0 : part, many = i ? parts - straight : straight;

		if (many == 0)
			continue;
		tt_part(len, (size_t)of, (size_t)from, &first, &n);
		last = first;
		if (many > 1)
			tt_part(len, (size_t)of, (size_t)(from + many - 1), &last, &n);
		if (last + n > first)
			pieces[made++] = (struct tt_piece){first, last + n - first};
	}
	return made;
}

static int
slot_pieces(const struct tt_geometry *g, const struct tt_span *s, int slice, int lane, struct tt_piece *pieces)
{
	const struct tt_shape *shape = &g->plan->shape;
	int made = 0;

	for (int j = 0; j < s->rows; j++) {
		const int like = s->along_rows ? (s->like + j) % shape->nranks : s->like;
		const int part = s->along_rows ? s->part : (s->part + j * s->parts) % s->of;
		struct tt_piece piece[2], all;
		size_t len;

		tt_part(tt_width(g->widths, shape->rank, like), (size_t)g->slices, (size_t)slice, &all.begin, &len);
		const int n = parts_of(len, part, s->parts, s->of, piece);
		all = (struct tt_piece){g->tmp + (size_t)lane * g->lane + (size_t)(s->row + j) * g->slot, 0};
		for (int i = 0; i < n; i++)
			all.len += piece[i].len;
		if (all.len)
			pieces[made++] = all;
	}
	return made;
}

int
tt_geometry_pieces(
    const struct tt_geometry *geometry, const struct tt_span *span, int slice, int lane, struct tt_piece *pieces)
{
	int made = 0;

	if (span->buffer == TT_TMP)
		return slot_pieces(geometry, span, slice, lane, pieces);
	const int rows = rows_of(geometry, span->buffer);
	for (int j = 0; j < span->rows; j++) {
		const struct tt_piece row = tt_geometry_row(geometry, span->buffer, (span->row + j) % rows, slice);
		const int n = parts_of(row.len, span->part, span->parts, span->of, pieces + made);

		for (int i = 0; i < n; i++)
			pieces[made + i].begin += row.begin;
		made += n;
	}
	return made;
}

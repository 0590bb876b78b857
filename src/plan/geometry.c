/* SPDX-License-Identifier: Apache-2.0
 *
 * geometry.c - where spans lie: see geometry.h.
 */
#include "plan/geometry.h"

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

	if (g->rows[buffer] == 0)
		return 0;
	return g->many[buffer] ? row_begin(g->widths, s->rank, s->nranks) : tt_width(g->widths, s->rank, s->rank);
}

static void
count_rows(struct tt_geometry *g)
{
	const struct tt_shape *s = &g->plan->shape;
	const bool root = !tt_collective_has_root(s->collective) || s->rank == s->root;
	const int in = tt_collective_in_rows(s->collective, s->nranks);
	const int out = tt_collective_out_rows(s->collective, s->nranks);

	g->has_in = root || (s->collective != TT_BROADCAST && s->collective != TT_SCATTER);
	g->has_out = root || (s->collective != TT_REDUCE && s->collective != TT_GATHER);
	g->many[TT_IN] = in == s->nranks && in > 1;
	g->many[TT_OUT] = out == s->nranks && out > 1;
	g->rows[TT_IN] = g->has_in ? in : 0;
	g->rows[TT_OUT] = g->has_out ? out : 0;
	g->rows[TT_TMP] = g->plan->tmp_slots;
}

void
tt_geometry_init(
    struct tt_geometry *geometry, const struct tt_plan *plan, const struct tt_widths *widths, int slices, int window)
{
	const struct tt_shape *s = &plan->shape;
	struct tt_geometry *g = geometry;
	size_t begin, most;

	*g = (struct tt_geometry){.plan = plan, .widths = widths, .slices = slices, .window = window};
	count_rows(g);
	if (!s->in_place || !g->has_in || !g->has_out) {
		g->out = buffer_len(g, TT_IN);
		g->tmp = g->out + buffer_len(g, TT_OUT);
	} else if (g->many[TT_IN] && !g->many[TT_OUT]) {
		g->out = row_begin(widths, s->rank, s->rank);
		g->tmp = buffer_len(g, TT_IN);
	} else if (g->many[TT_OUT] && !g->many[TT_IN]) {
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
	const int rows = geometry->rows[span->buffer];
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

static struct tt_piece
slice_of(const struct tt_geometry *g, size_t len, int slice)
{
	struct tt_piece piece = {0, len};

	if (g->slices > 1)
		tt_part(len, (size_t)g->slices, (size_t)slice, &piece.begin, &piece.len);
	return piece;
}

struct tt_piece
tt_geometry_row(const struct tt_geometry *geometry, enum tt_buffer buffer, int row, int slice)
{
	const struct tt_geometry *g = geometry;
	const int rank = g->plan->shape.rank;
	const bool many = g->many[buffer];
	struct tt_piece piece = slice_of(g, tt_width(g->widths, rank, many ? row : rank), slice);

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

	if (parts == of && part == 0) {
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
		const size_t len = slice_of(g, tt_width(g->widths, shape->rank, like), slice).len;
		struct tt_piece piece[2];
		const int n = parts_of(len, part, s->parts, s->of, piece);
		struct tt_piece all = {g->tmp + (size_t)lane * g->lane + (size_t)(s->row + j) * g->slot, 0};
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
	const int rows = geometry->rows[span->buffer];
	for (int j = 0; j < span->rows; j++) {
		const int i = span->row + j < rows ? span->row + j : span->row + j - rows;
		const struct tt_piece row = tt_geometry_row(geometry, span->buffer, i, slice);
		const int n = parts_of(row.len, span->part, span->parts, span->of, pieces + made);

		for (int k = 0; k < n; k++)
			pieces[made + k].begin += row.begin;
		made += n;
	}
	return made;
}

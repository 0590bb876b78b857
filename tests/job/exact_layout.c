/* SPDX-License-Identifier: Apache-2.0
 *
 * exact_layout.c - which elements lie where in a rank's buffers, before and after a call (see exact.h).
 */
#include <string.h>

#include "exact.h"
#include "random.h"

/* What rank `from` has for rank `to`. In place the counts must be equal both ways. */
static size_t
uneven_count(const struct exact_case *c, int from, int to)
{
	uint64_t h;

	if (!exact_is_uneven(c->kind))
		return c->count;
	if (c->kind != EXACT_ALL_TO_ALLV)
		from = 0;
	else if (c->place != EXACT_APART && from > to)
		return uneven_count(c, to, from);
	h = mix64(c->seed * 31 + (uint64_t)(from * EXACT_RANKS + to));
	return h % 4 == 0 ? 0 : (h >> 8) % (2 * c->count + 1);
}

/* Offsets of the blocks: one after the other in rank order, or in another order with gaps. */
static void
arrange(const struct exact_case *c, const size_t *counts, bool packed, uint64_t salt, size_t *offsets, size_t *extent)
{
	const uint64_t h = mix64(c->seed ^ salt);
	const int first = packed ? 0 : (int)(h % (uint64_t)c->size);
	const bool backwards = !packed && (h >> 32) % 2;
	size_t at = packed ? 0 : (h >> 40) % 3;

	*extent = 0;
	for (int k = 0; k < c->size; k++) {
		const int turn = (first + k) % c->size, r = backwards ? c->size - 1 - turn : turn;

		offsets[r] = at;
		at += counts[r];
		if (counts[r] > 0)
			*extent = at;
		at += packed ? 0 : (h >> (k % 32)) % 3;
	}
}

static void
one_block(struct exact_side *side, size_t count, int from, uint64_t index)
{
	side->n = 1;
	side->extent = count;
	side->block[0] = (struct exact_block){count, 0, from, index};
}

/* A row per rank, arranged; counts and offsets are the arguments. */
static void
rows(const struct exact_case *c, struct exact_side *side, const size_t *counts, const size_t *offsets, size_t extent)
{
	side->n = c->size;
	side->extent = extent;
	for (int r = 0; r < c->size; r++)
		side->block[r] = (struct exact_block){counts[r], offsets[r], 0, 0};
}

/* The number of the first element of row r, when all rows are one logical array. */
static uint64_t
row_index(const struct exact_case *c, int r)
{
	uint64_t index = 0;

	for (int q = 0; q < r; q++)
		index += uneven_count(c, 0, q);
	return index;
}

static void
layout_exchange(const struct exact_case *c, int rank, struct exact_layout *l, size_t send_extent, size_t recv_extent)
{
	rows(c, &l->send, l->send_counts, l->send_offsets, send_extent);
	rows(c, &l->recv, l->recv_counts, l->recv_offsets, recv_extent);
	for (int r = 0; r < c->size; r++) {
		l->send.block[r].from = rank;
		l->send.block[r].index = (uint64_t)r << 32;
		l->recv.block[r].from = r;
		l->recv.block[r].index = (uint64_t)rank << 32;
	}
	l->may_be_in_place = true;
}

/* One block goes out, a row per rank comes in (at the root). */
static void
layout_gather(const struct exact_case *c, int rank, struct exact_layout *l, bool receives, size_t extent)
{
	one_block(&l->send, uneven_count(c, 0, rank), rank, 0);
	if (!receives)
		return;
	rows(c, &l->recv, l->recv_counts, l->recv_offsets, extent);
	for (int r = 0; r < c->size; r++)
		l->recv.block[r].from = r;
	l->may_be_in_place = true;
	l->place = l->recv_offsets[rank];
}

/* A row per rank goes out (at the root), one block comes in. */
static void
layout_scatter(const struct exact_case *c, int rank, struct exact_layout *l, int from, bool sends, size_t extent)
{
	one_block(&l->recv, uneven_count(c, 0, rank), from, row_index(c, rank));
	if (!sends)
		return;
	rows(c, &l->send, l->send_counts, l->send_offsets, extent);
	for (int r = 0; r < c->size; r++) {
		l->send.block[r].from = rank;
		l->send.block[r].index = row_index(c, r);
	}
	l->may_be_in_place = true;
	l->send_holds_recv = true;
	l->place = l->send_offsets[rank];
}

void
exact_layout(const struct exact_case *c, int rank, struct exact_layout *l)
{
	const bool at_root = rank == c->root;
	const uint64_t salt = (uint64_t)rank + 1; /* where blocks lie is each rank's own business */
	size_t send_extent, recv_extent;

	memset(l, 0, sizeof(*l));
	l->packed = !exact_is_uneven(c->kind) || c->kind == EXACT_REDUCE_SCATTERV || mix64(c->seed) % 2 == 0;
	for (int r = 0; r < c->size; r++) {
		l->send_counts[r] = uneven_count(c, rank, r);
		l->recv_counts[r] = uneven_count(c, r, rank);
		/* Only all-to-all has a matrix: elsewhere row r is rank r's. */
		if (c->kind != EXACT_ALL_TO_ALLV)
			l->recv_counts[r] = l->send_counts[r];
	}
	arrange(c, l->send_counts, l->packed, salt, l->send_offsets, &send_extent);
	arrange(c, l->recv_counts, l->packed, c->place == EXACT_APART ? ~salt : salt, l->recv_offsets, &recv_extent);
	switch (c->kind) {
	case EXACT_ALL_REDUCE:
	case EXACT_REDUCE:
		one_block(&l->send, c->count, rank, 0);
		if (c->kind == EXACT_ALL_REDUCE || at_root)
			one_block(&l->recv, c->count, -1, 0);
		l->may_be_in_place = true;
		break;
	case EXACT_BROADCAST:
		if (at_root)
			one_block(&l->send, c->count, rank, 0);
		one_block(&l->recv, c->count, c->root, 0);
		l->may_be_in_place = true;
		break;
	case EXACT_ALL_GATHER:
	case EXACT_ALL_GATHERV:
		layout_gather(c, rank, l, true, recv_extent);
		break;
	case EXACT_GATHER:
	case EXACT_GATHERV:
		layout_gather(c, rank, l, at_root, recv_extent);
		break;
	case EXACT_REDUCE_SCATTER:
	case EXACT_REDUCE_SCATTERV:
		layout_scatter(c, rank, l, -1, true, send_extent);
		break;
	case EXACT_SCATTER:
	case EXACT_SCATTERV:
		layout_scatter(c, rank, l, c->root, at_root, send_extent);
		break;
	case EXACT_ALL_TO_ALL:
	case EXACT_ALL_TO_ALLV:
		layout_exchange(c, rank, l, send_extent, recv_extent);
		break;
	default:
		break;
	}
}

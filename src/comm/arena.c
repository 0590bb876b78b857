/* SPDX-License-Identifier: Apache-2.0
 *
 * arena.c - tutti_alloc and tutti_free.
 *
 * Memory is a piece of the node's segment: every rank of the node has mapped all of it from the beginning, so a piece is
 * reached by its offset, nothing is sent, and a peer that uses an offset too late touches memory of the segment and
 * nothing else. The pages are allocated here and now, so that a full memory limit is an error of this call.
 *
 * The rule: pages and places go back only when no peer can be in the middle of an operation with them. After an operation
 * that ended well none is (see node_large.c); after a failure nobody knows, so nothing goes back any more: the arena
 * is tainted.
 */
#include "comm/arena.h"

#include <pthread.h>
#include <string.h>

#include "base/atomics.h"
#include "base/error.h"
#include "base/memory.h"
#include "comm/arguments.h"
#include "comm/comm.h"

struct piece {
	struct piece *next;
	void *at;
	uint64_t offset;
	size_t bytes;
};

struct tt_arena {
	pthread_mutex_t lock;
	tt_atomic_u32 holders, tainted;
	struct tt_segment *segment; /* NULL: not made yet */
	bool shared; /* with the other ranks of the node */
	struct piece *pieces;
};

/* ---- arenas --------------------------------------------------------------------------------------------------------- */

static tutti_status
create(struct tt_segment *segment, struct tt_arena **arena)
{
	void *memory;

	TT_TRY(tt_alloc(1, sizeof(struct tt_arena), "the list of shared memory", &memory));
	*arena = memory;
	pthread_mutex_init(&(*arena)->lock, NULL);
	tt_store_relaxed(&(*arena)->holders, 1);
	(*arena)->shared = segment != NULL;
	if (segment != NULL)
		(*arena)->segment = tt_segment_share(segment);
	return TUTTI_OK;
}

static void
let_go(struct tt_arena *arena)
{
	/* Pairs with itself: the last holder sees what the others have done. */
	if (tt_fetch_add_acq_rel(&arena->holders, UINT32_MAX) != 1)
		return;
	tt_segment_close(arena->segment);
	pthread_mutex_destroy(&arena->lock);
	tt_free(arena);
}

static void
give_back(struct tt_arena *arena, struct piece *piece)
{
	/* Pairs with the release in tt_lineage_taint(), and comes after it: the failure was told before. */
	if (tt_load_acquire(&arena->tainted) == 0)
		tt_segment_give(arena->segment, piece->offset, piece->bytes);
	tt_free(piece);
}

static tutti_status
take_piece(struct tt_arena *arena, size_t bytes, struct piece *piece)
{
	if (arena->segment == NULL)
		TT_TRY(tt_segment_create(&arena->segment));
	TT_TRY(tt_segment_take(arena->segment, bytes, &piece->offset));
	piece->at = tt_segment_at(arena->segment, piece->offset);
	piece->bytes = bytes;
	piece->next = arena->pieces;
	arena->pieces = piece;
	return TUTTI_OK;
}

tutti_status
tt_arena_take(struct tt_arena *arena, size_t bytes, void **memory)
{
	tutti_status status;
	void *piece;

	TT_TRY(tt_alloc(1, sizeof(struct piece), "a piece of shared memory", &piece));
	pthread_mutex_lock(&arena->lock);
	status = take_piece(arena, bytes, piece);
	pthread_mutex_unlock(&arena->lock);
	if (status == TUTTI_OK)
		*memory = ((struct piece *)piece)->at;
	else
		tt_free(piece);
	return status;
}

tutti_status
tt_arena_give(struct tt_arena *arena, void *memory)
{
	struct piece **at, *piece;

	pthread_mutex_lock(&arena->lock);
	for (at = &arena->pieces; *at != NULL && (*at)->at != memory;)
		at = &(*at)->next;
	piece = *at;
	if (piece != NULL)
		*at = piece->next;
	pthread_mutex_unlock(&arena->lock);
	if (piece == NULL)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "%p was not allocated by tutti_alloc on this communicator, or has been freed", memory);
	give_back(arena, piece);
	return TUTTI_OK;
}

/* ---- lineages ------------------------------------------------------------------------------------------------------- */

tutti_status
tt_lineage_found(struct tt_lineage *lineage, struct tt_segment *segment, const struct tt_lineage *parent)
{
	TT_TRY(create(segment, &lineage->arena[0]));
	lineage->n = 1;
	for (int i = 0; parent != NULL && i < parent->n && lineage->n < TT_STAGE_LEVELS; i++) {
		tt_fetch_add_relaxed(&parent->arena[i]->holders, 1u);
		lineage->arena[lineage->n++] = parent->arena[i];
	}
	return TUTTI_OK;
}

void
tt_lineage_leave(struct tt_lineage *lineage)
{
	for (int i = 0; i < lineage->n; i++) {
		struct tt_arena *arena = lineage->arena[i];

		while (i == 0 && arena->pieces != NULL) {
			struct piece *piece = arena->pieces;

			arena->pieces = piece->next;
			give_back(arena, piece);
		}
		let_go(arena);
	}
	lineage->n = 0;
}

void
tt_lineage_taint(const struct tt_lineage *lineage)
{
	for (int i = 0; i < lineage->n; i++)
		tt_store_release(&lineage->arena[i]->tainted, 1); /* pairs with the acquire in give_back() */
}

struct tt_segment *
tt_lineage_segment(const struct tt_lineage *lineage, int level)
{
	return level < lineage->n && lineage->arena[level]->shared ? lineage->arena[level]->segment : NULL;
}

void
tt_lineage_id(const struct tt_lineage *lineage, int level, unsigned char *id)
{
	const struct tt_segment *segment = tt_lineage_segment(lineage, level);

	memset(id, 0, TT_SEGMENT_ID);
	if (segment != NULL)
		tt_segment_id(segment, id);
}

/* ---- the public calls ------------------------------------------------------------------------------------------------- */

tutti_status
tutti_alloc(tutti_comm *comm, size_t bytes, void **memory)
{
	tutti_status status;

	TT_TRY(tt_check_comm(comm, "tutti_alloc"));
	if (memory == NULL)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "tutti_alloc: the address for the memory is NULL");
	if (TT_UNLIKELY(tt_failure_raised(comm->failure))) {
		tt_comm_lock(comm);
		status = tt_comm_usable(comm);
		tt_comm_unlock(comm);
		return status;
	}
	return tt_arena_take(comm->lineage.arena[0], bytes, memory);
}

tutti_status
tutti_free(tutti_comm *comm, void *memory)
{
	TT_TRY(tt_check_comm(comm, "tutti_free"));
	return memory == NULL ? TUTTI_OK : tt_arena_give(comm->lineage.arena[0], memory);
}

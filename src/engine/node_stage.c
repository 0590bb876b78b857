/* SPDX-License-Identifier: Apache-2.0
 *
 * node_stage.c - the node stage's memory, and its jobs: how many ticks they take and who runs them.
 *
 * The rule that keeps it correct: how many ticks a job takes follows from what all members know.
 */
#include "engine/node_stage.h"

#include <assert.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/memory.h"
#include "engine/node_stage_parts.h"

/* ---- memory ------------------------------------------------------------------------------------------------- */

/* Of one tick. */
static size_t
chunk_bytes(int members, size_t staging_bytes, size_t most)
{
	/* Two slots, and two results of a share each. */
	const size_t room = staging_bytes / 2 * (size_t)members / ((size_t)members + 1);
	const size_t unit = (size_t)members * TT_STAGE_GRAIN;
	const size_t chunk = tt_min_size(room, most) / unit * unit;

	return tt_max_size(chunk, unit);
}

static size_t
result_bytes(int members, size_t chunk)
{
	return tt_round_up(chunk / (size_t)members + TT_STAGE_GRAIN, TT_STAGE_GRAIN);
}

static size_t
lines_bytes(int members)
{
	const size_t of_each =
	    sizeof(struct tt_stage_member) + 2 * sizeof(struct tt_stage_sheaf) + sizeof(tt_atomic_u32);

	return tt_round_up((size_t)members * of_each + sizeof(struct tt_stage_beds), 4096);
}

/* A member's slots and results. */
static size_t
small_data(int members, size_t chunk)
{
	return 2 * (chunk + result_bytes(members, chunk));
}

/* Of lines, slots and results. */
static size_t
small_need(int members, size_t chunk)
{
	return tt_round_up(lines_bytes(members) + (size_t)members * small_data(members, chunk), TT_LINE);
}

/* Of the staging memory one half is the stage's, the other one that of messages (create_facts.c). Of the stage's half the
 * slots of small jobs take up to a half, and those of large ones have the rest. */
static size_t
small_chunk(int members, const struct tt_stage_facts *facts)
{
	return chunk_bytes(members, (size_t)facts->staging_bytes / 4, facts->chunk_least);
}

static size_t
large_room(int members, const struct tt_stage_facts *facts)
{
	const size_t half = (size_t)facts->staging_bytes / 2,
		     small = small_data(members, small_chunk(members, facts));

	return half > small + half / 32 ? half - small - half / 32 : 0;
}

size_t
tt_node_stage_need(int members, const struct tt_stage_facts *facts)
{
	return small_need(members, small_chunk(members, facts)) +
	       tt_large_need(members, facts, large_room(members, facts));
}

/* The stage, and room for what it keeps of each member. */
static tutti_status
make(int members, struct tt_node_stage **stage)
{
	struct tt_node_stage *s;
	const size_t of_each =
	    sizeof(*s->large.views) + sizeof(*s->large.targets) + sizeof(*s->sources) + 4 * sizeof(*s->ranks);
	void *memory;

	TT_TRY(tt_alloc(1, sizeof(*s) + (size_t)(members + 1) * of_each, "the node stage", &memory));
	s = memory;
	s->large.views = (struct tt_stage_view *)(void *)(s + 1);
	s->large.targets = (struct tt_stage_target *)(void *)(s->large.views + members);
	s->sources = (const void **)(void *)(s->large.targets + members + 1);
	s->ranks = (int *)(void *)(s->sources + members);
	s->groups.group = s->ranks + members;
	s->groups.place = s->groups.group + members;
	s->groups.leader = s->groups.place + members;
	*stage = s;
	return TUTTI_OK;
}

tutti_status
tt_node_stage_create(void *shared, int members, int me, const int *ranks, const struct tt_stage_facts *facts,
    struct tt_node_stage **stage)
{
	struct tt_node_stage *s;

	TT_TRY(make(members, &s));
	s->members = members;
	s->me = me;
	memcpy(s->ranks, ranks, (size_t)members * sizeof(int));
	s->lines = shared;
	s->groups.sheaves = (struct tt_stage_sheaf *)(void *)(s->lines + members);
	s->beds = (struct tt_stage_beds *)(void *)(s->groups.sheaves + 2 * members);
	s->cores = (tt_atomic_u32 *)(void *)(s->beds + 1);
	s->data = (unsigned char *)shared + lines_bytes(members);
	s->chunk = small_chunk(members, facts);
	s->result = result_bytes(members, s->chunk);
	tt_large_init(s, facts, large_room(members, facts), (unsigned char *)shared + small_need(members, s->chunk));
	s->row_most = s->chunk / (size_t)members / TT_STAGE_GRAIN * TT_STAGE_GRAIN;
	s->phase = TT_STAGE_ENDED;
	tt_stage_make_bed(s);
	*stage = s;
	return TUTTI_OK;
}

void
tt_node_stage_destroy(struct tt_node_stage *stage)
{
	tt_free(stage);
}

int
tt_node_stage_members(const struct tt_node_stage *s)
{
	return s->members;
}

int
tt_node_stage_member(const struct tt_node_stage *s, int rank)
{
	for (int i = 0; i < s->members; i++)
		if (s->ranks[i] == rank)
			return i;
	return -1;
}

/* ---- jobs ----------------------------------------------------------------------------------------------------------- */

/* Has each member a piece of its own? */
static bool
has_pieces(const struct tt_node_stage *s)
{
	return s->job.kind == TT_NODE_REDUCE_SCATTER || s->job.kind == TT_NODE_ALL_GATHER;
}

/* The longest row or piece, which all members know. */
static size_t
widest(const struct tt_node_stage *s)
{
	size_t bytes = s->job.bytes;

	for (int j = 0; has_pieces(s) && j < s->members; j++)
		bytes = tt_max_size(bytes, s->job.pieces[j].iov_len);
	return bytes;
}

/* Does every member write what others read? */
static bool
is_exchange(enum tt_step_kind kind)
{
	return kind == TT_NODE_ALL_REDUCE || kind == TT_NODE_ALL_GATHER || kind == TT_NODE_REDUCE_SCATTER ||
	       kind == TT_NODE_ALL_TO_ALL;
}

/* How the job's bytes lie in lines and slots, and how many ticks that takes. */
static void
lay_out(struct tt_node_stage *s)
{
	const enum tt_step_kind kind = s->job.kind;
	const bool rows = kind == TT_NODE_REDUCE_SCATTER || kind == TT_NODE_ALL_TO_ALL || kind == TT_NODE_SCATTER;
	const size_t bytes = widest(s), row = tt_round_up(bytes, TT_STAGE_ALIGN);
	size_t each = s->chunk;

	s->inline_payload = bytes <= TT_STAGE_LINE_PAYLOAD;
	if (rows) {
		s->inline_payload = row <= TT_STAGE_LINE_PAYLOAD / (size_t)s->members;
		s->row = s->inline_payload ? row : s->row_most;
		each = s->row;
	}
	s->end = s->first + (bytes <= each ? 1 : (bytes + each - 1) / each);
	s->places.n = 1;
	/* What is less than a block is written again at the same place as soon as elsewhere. */
	if (bytes >= s->large.facts.block && bytes <= each / 2 && is_exchange(kind))
		tt_stage_places_init(&s->places, &s->large.facts, tt_round_up(bytes, TT_STAGE_GRAIN),
		    each / tt_round_up(bytes, TT_STAGE_GRAIN), rows ? 2 * (size_t)s->members : 2);
}

/* Takes the job's mark into the past of the next one: a multiplication per word. Once, while others are waited for. */
void
tt_stage_remember(struct tt_node_stage *s)
{
	uint64_t words[TUTTI_MARK_BYTES / 8], past = s->past;

	memcpy(words, s->mark, sizeof(words));
	if (s->noted) /* what members may say differently is not history */
		words[TT_MARK_NOTE_AT / 8] = 0;
	for (size_t i = 0; i < TT_COUNT_OF(words); i++) {
		past = (past ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
		past ^= past >> 32;
	}
	s->next_past = past;
	s->remembered = true;
}

/* A new mark. Its number has been written a moment ago, and the rest has not: one load of both would wait for the
 * former to reach the cache. */
static void
take_mark(struct tt_node_stage *s, const unsigned char *mark)
{
	if (!s->remembered)
		tt_stage_remember(s);
	s->past = s->next_past;
	s->remembered = false;
	if (s->noted)
		memset(s->mark + TT_MARK_NOTE_AT, 0, TT_MARK_NOTE_BYTES);
	/* An operation may have several jobs. */
	if (memcmp(s->mark, mark, 8) != 0 || memcmp(s->mark + 8, mark + 8, TUTTI_MARK_BYTES - 8) != 0)
		memcpy(s->previous, s->mark, sizeof(s->previous));
	memcpy(s->mark, mark, 8);
	memcpy(s->mark + 8, mark + 8, TUTTI_MARK_BYTES - 8);
	s->noted = s->job.has_note;
	if (s->noted)
		memcpy(s->mark + TT_MARK_NOTE_AT, &s->job.note, TT_MARK_NOTE_BYTES);
	s->agreed = true;
}

struct tt_node_job *
tt_node_stage_job(struct tt_node_stage *s)
{
	return &s->job;
}

void
tt_node_stage_start(struct tt_node_stage *s, const struct tt_node_job *job)
{
	const bool adds_whole = job->kind == TT_NODE_ALL_REDUCE || job->kind == TT_NODE_REDUCE;

	assert(s->phase == TT_STAGE_ENDED);
	if (job != &s->job)
		s->job = *job;
	take_mark(s, job->mark);
	s->phase = TT_STAGE_ENTER;
	s->first = s->now = s->tick;
	s->is_large = !job->in_portions && tt_large_is(s, job);
	lay_out(s);
	if (s->is_large)
		s->end = s->first + 1;
	s->tick = s->end;
	s->seen = 0;
	if (s->is_large)
		tt_large_start(s);
	s->two_shot =
	    adds_whole && !s->inline_payload &&
	    job->bytes > tt_min_size(job->kind == TT_NODE_REDUCE ? s->large.facts.reduce_least
								 : s->large.facts.add_least / (size_t)s->members,
			     s->chunk);
	if (TT_UNLIKELY(s->groups.n > 0))
		tt_groups_start(s, widest(s));
}

bool
tt_node_stage_agreed(const struct tt_node_stage *s)
{
	return s->agreed;
}

static tutti_status
go_on(struct tt_node_stage *s, int *moved)
{
	if (s->is_large)
		return tt_large_advance(s, moved);
	switch (s->job.kind) {
	case TT_NODE_ALL_REDUCE:
		return tt_stage_all_reduce(s, moved);
	case TT_NODE_REDUCE:
		return s->two_shot ? tt_stage_all_reduce(s, moved) : tt_stage_to_root(s, moved);
	case TT_NODE_GATHER:
		return tt_stage_to_root(s, moved);
	case TT_NODE_BROADCAST:
	case TT_NODE_SCATTER:
		return tt_stage_from_root(s, moved);
	default:
		return tt_stage_in_meet_read(s, moved);
	}
}

tutti_status
tt_node_stage_advance(struct tt_node_stage *s, int *moved, int *rank, const void **mark)
{
	tutti_status status;

	if (s->phase == TT_STAGE_ENDED)
		return TUTTI_OK;
	if (s->owes_ring)
		tt_stage_ring_owed(s);
	s->awaited = NULL;
	status = go_on(s, moved);
	if (s->owes_ring && (status != TUTTI_IN_PROGRESS || tt_stage_sees_sleepers(s)))
		tt_stage_ring_owed(s);
	if (status == TUTTI_OK) {
		s->phase = TT_STAGE_ENDED;
	} else if (status == TUTTI_ERR_MISMATCH) {
		*rank = s->ranks[s->seen];
		*mark = s->strayed ? s->previous : tt_stage_line(s, s->seen)->mark;
	} else if (status == TUTTI_ERR_PEER) {
		*rank = s->ranks[s->large.refusing];
	}
	return status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * node_large.c - the protocol of large jobs.
 *
 * The members meet once, by their lines (node_meet.c), which say where each member's memory is. What the others can
 * reach is read and written where it is; the rest goes through slots, chunk by chunk:
 *
 *	fill(c)   what this member gives in chunk c goes into its slot c mod ring       FILLED = c + 1
 *	add(c)    its slice of the chunk, of all members: into its result c mod ring,
 *	          and into the memory of those who can be reached                       ADDED  = c + 1
 *	take(c)   what it wants goes from slots or results to its own memory            TAKEN  = c + 1
 *
 * Each member counts in a line of its own and looks at the others' counts; nobody waits for a round to end, so a
 * member may be `ring` chunks ahead. Chunks are counted over all jobs; a job has as many as its bytes say, whoever
 * goes through slots or not, so all members count alike.
 *
 * Why it is correct. Counts are stored with release after the reads and writes that they stand for and loaded with
 * acquire before those that rely on them:
 *   - who reads slot c has seen the owner's FILLED > c; who reads result c its ADDED > c;
 *   - who writes slot c has seen that all others are done with what it held, chunk c - ring. By what count, depends
 *     on the job: where sums are made, ADDED tells that, else TAKEN. A member's TAKEN is never ahead of its ADDED,
 *     nor ADDED of what it still reads, so a job may rely on either count, whatever the jobs before it were;
 *   - who writes result c has seen all others' TAKEN ≥ c + 1 - ring;
 *   - where a slot changes hands (node_large_pair.c) the same holds of both slots of a chunk: who writes it has seen that
 *     the other has TAKEN chunk c - ring, and has itself, whatever job that was of. Within a job in which both fill every
 *     chunk it need not look: what it writes for c it has read itself for c - ring;
 *   - memory in place: a slice of any buffer is read and written by one member only, and what goes through slots was
 *     put there before its place is written (to take c, ADDED > c of all is needed, for which FILLED > c is);
 *   - what others read or write directly is met first, and its owner leaves the job when they all have counted to its
 *     end: afterwards nobody touches it, and the program may do with it what it likes, also free it.
 * tests/models/large.pml is a model of the counts.
 */
#include "engine/node_large.h"

#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "engine/node_stage_parts.h"

#define PLACES_MOST 16 /* in all slots: more of them leave the nearest translations */

/* ---- memory ------------------------------------------------------------------------------------------------------- */

static size_t
result_bytes(int members, size_t slot)
{
	return tt_round_up(slot / (size_t)members + TT_STAGE_GRAIN, TT_STAGE_GRAIN);
}

/* Are slots divided into a row for each member? */
static bool
by_rows(enum tt_step_kind kind)
{
	return kind == TT_NODE_REDUCE_SCATTER || kind == TT_NODE_ALL_TO_ALL || kind == TT_NODE_SCATTER;
}

/* As many slots as wanted, as large as wanted, within the room; at least two small ones. */
static void
divide(int members, const struct tt_stage_facts *facts, size_t room, size_t *slot, uint64_t *ring)
{
	const size_t unit = (size_t)members * TT_STAGE_GRAIN;

	*ring = facts->slots < 2 ? 2 : facts->slots;
	*slot = tt_max_size(facts->chunk_most / unit * unit, unit);
	while (*ring > 2 && *ring * (*slot + result_bytes(members, *slot)) > room)
		--*ring;
	while (*slot > unit && *ring * (*slot + result_bytes(members, *slot)) > room)
		*slot = tt_max_size(*slot / 2 / unit * unit, unit);
}

size_t
tt_large_need(int members, const struct tt_stage_facts *facts, size_t room)
{
	uint64_t ring;
	size_t slot;

	divide(members, facts, room, &slot, &ring);
	return (size_t)members * (sizeof(struct tt_stage_flow) + ring * (slot + result_bytes(members, slot)));
}

void
tt_large_init(struct tt_node_stage *s, const struct tt_stage_facts *facts, size_t room, void *shared)
{
	struct tt_stage_large *l = &s->large;

	l->facts = *facts;
	divide(s->members, facts, room, &l->slot, &l->ring);
	l->result = result_bytes(s->members, l->slot);
	l->flows = shared;
	l->slots = (unsigned char *)(l->flows + s->members);
}

unsigned char *
tt_large_slot(const struct tt_node_stage *s, int member, uint64_t chunk)
{
	const struct tt_stage_large *l = &s->large;

	return l->slots + ((size_t)member * l->ring + chunk % l->ring) * (l->slot + l->result) +
	       tt_stage_place(&l->places, chunk / l->ring) * l->places.bytes;
}

unsigned char *
tt_large_result(const struct tt_node_stage *s, int member, uint64_t chunk)
{
	const struct tt_stage_large *l = &s->large;

	return l->slots + ((size_t)member * l->ring + chunk % l->ring) * (l->slot + l->result) + l->slot +
	       tt_stage_place(&l->places, chunk / l->ring) * result_bytes(s->members, l->places.bytes);
}

void
tt_stage_places_init(
    struct tt_stage_places *places, const struct tt_stage_facts *facts, size_t bytes, size_t room, size_t slots)
{
	const size_t apart = (size_t)facts->apart / slots / bytes;
	const size_t n = tt_min_size(room, tt_min_size(apart, PLACES_MOST / slots));

	*places = (struct tt_stage_places){bytes, tt_max_size(n, 1)};
}

unsigned char *
tt_large_given(const struct tt_node_stage *s, int giver, int reader, uint64_t chunk)
{
	const struct tt_stage_large *l = &s->large;
	const bool over = l->changes_hands && chunk / l->ring / l->places.n % 2 != 0;
	const size_t row = by_rows(s->job.kind) ? (size_t)(over ? giver : reader) : 0;

	return tt_large_slot(s, over ? reader : giver, chunk) + row * l->chunk;
}

size_t
tt_large_range(const struct tt_node_stage *s, uint64_t chunk, size_t bytes, size_t *len)
{
	const struct tt_stage_large *l = &s->large;
	const size_t each = l->chunk,
		     begin = (size_t)(l->changes_hands ? l->end - 1 - chunk : chunk - l->base) * each;

	*len = begin >= bytes ? 0 : tt_min_size(each, bytes - begin);
	return begin;
}

void
tt_stage_slice(const struct tt_node_stage *s, int j, size_t len, size_t *begin, size_t *slice)
{
	size_t first, n;

	tt_part((len + TT_STAGE_GRAIN - 1) / TT_STAGE_GRAIN, (size_t)s->members, (size_t)j, &first, &n);
	*begin = tt_min_size(first * TT_STAGE_GRAIN, len);
	*slice = tt_min_size((first + n) * TT_STAGE_GRAIN, len) - *begin;
}

/* ---- counting ------------------------------------------------------------------------------------------------------- */

bool
tt_large_others(struct tt_node_stage *s, enum tt_stage_count which, uint64_t value)
{
	struct tt_stage_large *l = &s->large;
	uint64_t least = UINT64_MAX;

	if (l->least[which] >= value)
		return true;
	for (int j = 0; j < s->members; j++) {
		uint64_t count;

		if (j == s->me)
			continue;
		count = tt_load_acquire(&l->flows[j].count[which]); /* pairs with the release in tt_large_count() */
		if (count < value)
			return false;
		least = count < least ? count : least;
	}
	l->least[which] = least;
	return true;
}

bool
tt_large_other(const struct tt_node_stage *s, int member, enum tt_stage_count which, uint64_t value)
{
	/* Pairs with the release in tt_large_count(). */
	return tt_load_acquire(&s->large.flows[member].count[which]) >= value;
}

void
tt_large_count(struct tt_node_stage *s, enum tt_stage_count which, uint64_t value)
{
	if (s->large.mine[which] == value)
		return;
	s->large.mine[which] = value;
	/* Pairs with the acquires in tt_large_others() and tt_large_other(). */
	tt_store_release(&s->large.flows[s->me].count[which], value);
}

/* ---- who does what --------------------------------------------------------------------------------------------------- */

static bool
adds(const struct tt_node_stage *s)
{
	return s->job.kind == TT_NODE_ALL_REDUCE || s->job.kind == TT_NODE_REDUCE ||
	       s->job.kind == TT_NODE_REDUCE_SCATTER;
}

static bool
from_root(const struct tt_node_stage *s)
{
	return s->job.kind == TT_NODE_BROADCAST || s->job.kind == TT_NODE_SCATTER;
}

static bool
is_root(const struct tt_node_stage *s)
{
	return s->job.root == s->me;
}

/* Has this member something that others need? */
static bool
gives(const struct tt_node_stage *s)
{
	if (from_root(s))
		return is_root(s);
	return s->job.kind != TT_NODE_GATHER || !is_root(s);
}

static bool
fills(const struct tt_node_stage *s)
{
	return gives(s) && s->large.views[s->me].in == NULL;
}

/* Does it take results or rows out of what others have filled or can be read of them? Its own part counts, too. */
static bool
takes(const struct tt_node_stage *s)
{
	switch (s->job.kind) {
	case TT_NODE_REDUCE_SCATTER:
		return false;
	case TT_NODE_ALL_REDUCE:
		return s->large.views[s->me].out == NULL && !s->large.whole;
	case TT_NODE_REDUCE:
		return is_root(s) && s->large.views[s->me].out == NULL;
	case TT_NODE_GATHER:
		return is_root(s);
	default:
		return true;
	}
}

/* In a gather into memory that the members can reach, they put their rows there themselves. */
static bool
pushes(const struct tt_node_stage *s)
{
	return s->job.kind == TT_NODE_GATHER && s->large.views[s->job.root].out != NULL;
}

/* ---- the job ----------------------------------------------------------------------------------------------------------- */

static bool
has_pieces(enum tt_step_kind kind)
{
	return kind == TT_NODE_REDUCE_SCATTER || kind == TT_NODE_ALL_GATHER;
}

static size_t
longest_of(const struct tt_node_stage *s, const struct tt_node_job *job)
{
	size_t longest = job->bytes;

	for (int j = 0; has_pieces(job->kind) && j < s->members; j++)
		longest = tt_max_size(longest, job->pieces[j].iov_len);
	return longest;
}

bool
tt_large_is(const struct tt_node_stage *s, const struct tt_node_job *job)
{
	const struct tt_stage_facts *facts = &s->large.facts;
	const size_t longest = longest_of(s, job);

	if (job->kind == TT_NODE_BARRIER)
		return false;
	if (job->kind == TT_NODE_REDUCE)
		return longest > tt_min_size((size_t)facts->reduce_least, s->chunk);
	if (job->kind == TT_NODE_ALL_REDUCE)
		return longest > tt_min_size((size_t)facts->add_least / (size_t)s->members, s->chunk);
	return longest >= facts->row_least || tt_far_is(s, job->kind, longest);
}

/* Enough chunks to overlap, as large as a slot allows. */
static size_t
chunk_for(const struct tt_node_stage *s, size_t longest)
{
	const struct tt_stage_large *l = &s->large;
	const size_t rows = by_rows(s->job.kind) || l->changes_hands ? (size_t)s->members : 1;
	const size_t most = l->slot / rows / TT_STAGE_GRAIN * TT_STAGE_GRAIN;
	const size_t least = tt_round_up(l->facts.chunk_least / rows, TT_STAGE_GRAIN);
	/* Of small ones several are ahead of the reader: see try_fill_ahead(). */
	const size_t wanted = l->changes_hands ? 0 : tt_round_up(longest / l->facts.pieces, TT_STAGE_GRAIN);

	return tt_min_size(tt_max_size(tt_round_up(longest, TT_STAGE_GRAIN), TT_STAGE_GRAIN),
	    tt_min_size(most, tt_max_size(least, wanted)));
}

/* A small job leaves room in its slots. */
static void
choose_places(struct tt_node_stage *s)
{
	struct tt_stage_large *l = &s->large;
	const size_t bytes = l->chunk * (by_rows(s->job.kind) ? (size_t)s->members : 1);
	const size_t room = tt_min_size(l->slot / bytes, l->result / result_bytes(s->members, bytes));

	tt_stage_places_init(
	    &l->places, &l->facts, bytes, l->changes_hands && l->longest > l->chunk ? 1 : room, (uint32_t)l->ring);
}

void
tt_large_start(struct tt_node_stage *s)
{
	struct tt_stage_large *l = &s->large;

	l->longest = longest_of(s, &s->job);
	l->changes_hands = tt_pair_is(s);
	l->all_staged = l->whole = false;
	l->chunk = chunk_for(s, l->longest);
	choose_places(s);
	l->base = l->end;
	l->end += (l->longest + l->chunk - 1) / l->chunk;
	l->stream = l->longest * (by_rows(s->job.kind) || has_pieces(s->job.kind) ? (size_t)s->members : 1) >=
		    l->facts.stream_least;
	l->single = tt_far_is(s, s->job.kind, l->longest);
	for (int j = 0; j < s->members; j++)
		l->views[j] = (struct tt_stage_view){NULL, NULL, 0};
}

/* Everybody publishes a line, but for those who only receive. */
static tutti_status
enter(struct tt_node_stage *s)
{
	struct tt_stage_large *l = &s->large;

	if (gives(s) || !from_root(s)) {
		if (!tt_stage_may_write(s, s->now))
			return TUTTI_IN_PROGRESS;
		tt_views_announce(s);
		tt_stage_publish(s, s->now);
	}
	if (!fills(s))
		tt_large_count(s, TT_STAGE_FILLED, l->end);
	return TUTTI_OK;
}

/* Those whose memory or mark this member needs to know. */
static tutti_status
meet(struct tt_node_stage *s)
{
	const bool root_only = from_root(s) || (s->job.kind == TT_NODE_GATHER && !is_root(s));
	tutti_status status;

	if (from_root(s) && is_root(s))
		return TUTTI_OK;
	if (!root_only) {
		TT_TRY(tt_stage_all_met(s));
		if (s->finished < s->now)
			s->finished = s->now;
		for (int j = 0; j < s->members; j++)
			if (j != s->me)
				TT_TRY(tt_views_read(s, j));
		return TUTTI_OK;
	}
	status = tt_stage_met(s, s->job.root);
	if (status != TUTTI_OK) {
		s->seen = status == TUTTI_ERR_MISMATCH ? s->job.root : 0;
		return status;
	}
	return tt_views_read(s, s->job.root);
}

/* ---- chunks -------------------------------------------------------------------------------------------------------------- */

static bool
may_fill(struct tt_node_stage *s, uint64_t chunk)
{
	const struct tt_stage_large *l = &s->large;
	const uint64_t held = chunk + 1 - tt_min_size(l->ring, chunk + 1); /* chunks before that are to be read */

	if (l->changes_hands) /* where it writes, it has read last itself, if there all fill all chunks */
		return l->mine[TT_STAGE_TAKEN] >= held &&
		       tt_large_others(s, TT_STAGE_TAKEN, l->all_staged && held > l->base ? l->base : held);
	if (adds(s))
		return tt_large_others(s, TT_STAGE_ADDED, held);
	if (s->job.kind != TT_NODE_GATHER)
		return tt_large_others(s, TT_STAGE_TAKEN, held);
	/* Only the root reads in this job. */
	return tt_large_other(s, s->job.root, TT_STAGE_TAKEN, held) &&
	       tt_large_others(s, TT_STAGE_TAKEN, held < l->base ? held : l->base);
}

static bool
try_fill(struct tt_node_stage *s)
{
	const uint64_t chunk = s->large.mine[TT_STAGE_FILLED];

	if (chunk == s->large.end || !fills(s) || !may_fill(s, chunk))
		return false;
	if (s->large.changes_hands)
		tt_pair_fill(s, chunk);
	else if (by_rows(s->job.kind))
		tt_large_fill_rows(s, chunk);
	else if (adds(s))
		tt_large_fill_slices(s, chunk);
	else
		tt_large_fill_row(s, chunk);
	tt_large_count(s, TT_STAGE_FILLED, chunk + 1);
	return true;
}

/* Two members fill while they add. */
static bool
goes_ahead(const struct tt_node_stage *s)
{
	return s->large.changes_hands && s->large.all_staged;
}

/* All slots but one, before any is read: what has just been written is in the writer's nearest cache, out of which others
 * fetch it at less than half the speed. */
static bool
try_fill_ahead(struct tt_node_stage *s)
{
	const struct tt_stage_large *l = &s->large;

	return goes_ahead(s) && l->mine[TT_STAGE_FILLED] + 1 < l->mine[TT_STAGE_ADDED] + l->ring && try_fill(s);
}

static bool
try_add(struct tt_node_stage *s)
{
	const struct tt_stage_large *l = &s->large;
	const uint64_t chunk = l->mine[TT_STAGE_ADDED];
	uint64_t next = 0;

	if (!adds(s) || chunk == l->end || l->mine[TT_STAGE_FILLED] <= chunk ||
	    !tt_large_others(s, TT_STAGE_FILLED, chunk + 1))
		return false;
	if (l->results_staged && chunk + 1 > l->ring && !tt_large_others(s, TT_STAGE_TAKEN, chunk + 1 - l->ring))
		return false;
	if (goes_ahead(s) && l->mine[TT_STAGE_FILLED] < l->end && may_fill(s, l->mine[TT_STAGE_FILLED]))
		next = l->mine[TT_STAGE_FILLED];
	if (l->changes_hands && l->all_staged)
		tt_pair_add(s, chunk, next);
	else if (s->job.kind == TT_NODE_REDUCE_SCATTER)
		tt_large_add_row(s, chunk);
	else
		tt_large_add_slice(s, chunk);
	if (next > 0)
		tt_large_count(s, TT_STAGE_FILLED, next + 1);
	tt_large_count(s, TT_STAGE_ADDED, chunk + 1);
	if (!takes(s))
		tt_large_count(s, TT_STAGE_TAKEN, chunk + 1);
	return true;
}

/* Is there something to take? */
static bool
may_take(struct tt_node_stage *s, uint64_t chunk)
{
	if (adds(s))
		return s->large.mine[TT_STAGE_ADDED] > chunk && tt_large_others(s, TT_STAGE_ADDED, chunk + 1);
	if (from_root(s) && !is_root(s))
		return s->large.views[s->job.root].in != NULL || s->large.views[s->job.root].far != 0 ||
		       tt_large_other(s, s->job.root, TT_STAGE_FILLED, chunk + 1);
	if (s->large.mine[TT_STAGE_FILLED] <= chunk) /* of its own, too, which is in the nearest cache then */
		return false;
	return from_root(s) || tt_large_others(s, TT_STAGE_FILLED, chunk + 1);
}

static bool
try_take(struct tt_node_stage *s)
{
	const uint64_t chunk = s->large.mine[TT_STAGE_TAKEN];
	uint64_t taken;

	if (!takes(s) || chunk == s->large.end || s->large.refusal != 0 || !may_take(s, chunk))
		return false;
	if (adds(s))
		tt_large_take_slices(s, chunk);
	else if (from_root(s))
		tt_large_take_row(s, chunk);
	else
		tt_large_take_rows(s, chunk);
	if (s->large.refusal != 0)
		return false;
	taken = tt_min_size(chunk + s->large.run, s->large.end);
	tt_large_count(s, TT_STAGE_ADDED, tt_max_size(s->large.mine[TT_STAGE_ADDED], taken));
	tt_large_count(s, TT_STAGE_TAKEN, taken);
	return true;
}

/* ---- the end --------------------------------------------------------------------------------------------------------------- */

/* Nobody reads or writes this member's memory any more, and all that it is to have is there. Members whose memory is
 * read by the kernel have it in `in`, like those whose memory is in reach. */
static bool
may_leave(struct tt_node_stage *s)
{
	const struct tt_stage_large *l = &s->large;
	const struct tt_stage_view *mine = &l->views[s->me];

	for (int i = 0; i < TT_STAGE_COUNTS; i++)
		if (l->mine[i] != l->end)
			return false;
	if (s->job.kind == TT_NODE_GATHER && is_root(s))
		return mine->out == NULL || tt_large_others(s, TT_STAGE_TAKEN, l->end);
	if (mine->in == NULL && mine->out == NULL)
		return true;
	if (s->job.kind == TT_NODE_GATHER)
		return pushes(s) || tt_large_other(s, s->job.root, TT_STAGE_TAKEN, l->end);
	return tt_large_others(s, adds(s) ? TT_STAGE_ADDED : TT_STAGE_TAKEN, l->end);
}

/* All have been met who are to be. */
static void
go_on(struct tt_node_stage *s)
{
	struct tt_stage_large *l = &s->large;

	tt_stage_publish_done(s, s->now + 1);
	tt_far_begin(s);
	l->results_staged = false;
	l->all_staged = true;
	for (int j = 0; j < s->members; j++)
		l->all_staged = l->all_staged && l->views[j].in == NULL && l->views[j].out == NULL;
	l->whole = l->all_staged && l->changes_hands && s->job.kind == TT_NODE_ALL_REDUCE;
	for (int j = 0; !l->whole && j < s->members; j++)
		if (j != s->me && (s->job.kind == TT_NODE_ALL_REDUCE || s->job.root == j))
			l->results_staged = l->results_staged || l->views[j].out == NULL;
	if (s->job.kind == TT_NODE_GATHER && !is_root(s)) {
		if (pushes(s)) {
			tt_large_push_row(s);
			tt_large_count(s, TT_STAGE_FILLED, l->end);
		}
		tt_large_count(s, TT_STAGE_ADDED, l->end); /* it reads nothing */
		tt_large_count(s, TT_STAGE_TAKEN, l->end);
	}
	s->phase = TT_STAGE_LEAVE;
}

tutti_status
tt_large_advance(struct tt_node_stage *s, int *moved)
{
	const int before = *moved;

	if (s->phase == TT_STAGE_ENTER) {
		TT_TRY(enter(s));
		s->phase = TT_STAGE_MEET;
		++*moved;
	}
	if (s->phase == TT_STAGE_MEET) {
		const tutti_status status = meet(s);

		while (status == TUTTI_IN_PROGRESS && try_fill(s))
			++*moved;
		if (*moved > before)
			tt_stage_wake_sleepers(s);
		TT_TRY(status);
		go_on(s);
		tt_stage_wake_sleepers(s); /* what it has counted */
		++*moved;
	}
	while (try_fill_ahead(s) || try_take(s) || try_add(s) || try_fill(s)) {
		++*moved;
		tt_stage_wake_sleepers(s);
	}
	if (TT_UNLIKELY(s->large.refusal != 0))
		return tt_far_refused(s);
	return may_leave(s) && !tt_far_withdrawn(s) ? TUTTI_OK : TUTTI_IN_PROGRESS;
}

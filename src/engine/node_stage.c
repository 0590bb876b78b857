/* SPDX-License-Identifier: Apache-2.0
 *
 * node_stage.c - the protocol of ticks.
 *
 * At tick t a member writes into its line and its staging slot number t mod 2 and then publishes t + 1 in the line
 * (release); the others wait for it (acquire) and read. The one danger is to write a slot that somebody still reads:
 *
 *	the rule: whoever writes at tick t knows that all members have finished reading what tick t - 2 held.
 *
 * How it is known: `finished` is the tick before which everybody is known to be done.
 *   - Without overlap (one-shot, all_gather, reduce_scatter, barrier) a member publishes t only when it is done with
 *     t - 1, so to see all lines at t is to know finished = t.
 *   - With overlap (two-shot) and where not everybody publishes (broadcast) members count the ticks they are done with
 *     in `done` (release), and writers look there (acquire).
 *
 * Tiers: a payload that fits the line needs no slot; up to ONE_SHOT bytes everybody reduces everything (one meeting); above,
 * member j reduces slice j of each chunk and all copy it out (two meetings per chunk), and the copy-in of the next
 * chunk fills the wait:
 *
 *	in(0) | meet | in(1) reduce(0) | meet | out(0) | meet | in(2) reduce(1) | meet | out(1) ...
 *
 * Bytes touched per rank: 5 - 2/P of the buffer, all but 2 of them in cache (Jocksch et al. 2025; YHCCL, SC 2023 count
 * likewise). Sums are k-ary, in member order, on all members the same.
 */
#include "engine/node_stage.h"

#include <assert.h>
#include <string.h>

#include "base/atomics.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/memory.h"

#define LINE_PAYLOAD (TT_LINE - 16 - TUTTI_MARK_BYTES)
#define CHUNK_MOST ((size_t)128 << 10) /* of one tick: four of them fit an L2 cache of today */
#define ONE_SHOT_BYTES ((size_t)16 << 10) /* two members; fewer with more of them */
#define GRAIN 64

struct line {
	tt_atomic_u64 tick; /* one more than the tick that the line belongs to */
	uint64_t past; /* the marks of all earlier jobs: two roots of one broadcast do not look at each other */
	unsigned char mark[TUTTI_MARK_BYTES];
	unsigned char payload[LINE_PAYLOAD];
} TT_ALIGNED(TT_LINE);

struct member {
	struct line line[2];
	struct {
		tt_atomic_u64 ticks;
	} TT_ALIGNED(TT_LINE) done;
};

_Static_assert(sizeof(struct line) == TT_LINE && sizeof(struct member) == 3 * TT_LINE, "writers do not share lines");

/* Where an operation stands. */
enum phase { ENTER, MEET, SUM, LEAVE, ENDED };

struct tt_node_stage {
	int members, me;
	int *ranks;
	struct member *lines; /* shared: one of each member */
	unsigned char *data; /* shared: the slots and results */
	size_t chunk, result; /* bytes of a slot, of a result slot */
	uint64_t finished; /* everybody is done with all ticks before this one */
	uint64_t tick; /* next one to be used */
	uint64_t past; /* of the marks of all earlier jobs */
	unsigned char previous[TUTTI_MARK_BYTES]; /* the latest of them */
	unsigned char mark[TUTTI_MARK_BYTES]; /* of the job */
	bool strayed; /* it was the past that differed */

	struct tt_node_job job;
	uint64_t first, end, now; /* ticks of the job */
	enum phase phase;
	bool inline_payload, two_shot;
	int seen; /* members whose line or counter has been seen in this wait */
};

/* ---- layout ------------------------------------------------------------------------------------------------- */

static size_t
chunk_bytes(int members, size_t staging_bytes)
{
	/* Two slots, and two results of a share each. */
	const size_t room = staging_bytes / 2 * (size_t)members / ((size_t)members + 1);
	const size_t unit = (size_t)members * GRAIN;
	const size_t chunk = tt_min_size(room, CHUNK_MOST) / unit * unit;

	return tt_max_size(chunk, unit);
}

static size_t
result_bytes(int members, size_t chunk)
{
	return tt_round_up(chunk / (size_t)members + GRAIN, GRAIN);
}

static size_t
lines_bytes(int members)
{
	return tt_round_up((size_t)members * sizeof(struct member), 4096);
}

size_t
tt_node_stage_need(int members, size_t staging_bytes)
{
	const size_t chunk = chunk_bytes(members, staging_bytes);

	return lines_bytes(members) + (size_t)members * 2 * (chunk + result_bytes(members, chunk));
}

static unsigned char *
slot(const struct tt_node_stage *s, int member, uint64_t tick)
{
	return s->data + (size_t)member * 2 * (s->chunk + s->result) + (tick % 2) * s->chunk;
}

static unsigned char *
result_slot(const struct tt_node_stage *s, int member, uint64_t tick)
{
	return s->data + (size_t)member * 2 * (s->chunk + s->result) + 2 * s->chunk + (tick % 2) * s->result;
}

tutti_status
tt_node_stage_create(
    void *shared, int members, int me, const int *ranks, size_t staging_bytes, struct tt_node_stage **stage)
{
	struct tt_node_stage *s;
	void *memory;

	TT_TRY(tt_alloc(1, sizeof(*s) + (size_t)members * sizeof(int), "the node stage", &memory));
	s = memory;
	s->members = members;
	s->me = me;
	s->ranks = (int *)(void *)(s + 1);
	memcpy(s->ranks, ranks, (size_t)members * sizeof(int));
	s->lines = shared;
	s->data = (unsigned char *)shared + lines_bytes(members);
	s->chunk = chunk_bytes(members, staging_bytes);
	s->result = result_bytes(members, s->chunk);
	s->phase = ENDED;
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

/* ---- meeting ------------------------------------------------------------------------------------------------ */

static struct line *
line_of(const struct tt_node_stage *s, int member)
{
	return &s->lines[member].line[s->now % 2];
}

static void
publish(struct tt_node_stage *s, uint64_t tick)
{
	struct line *line = &s->lines[s->me].line[tick % 2];

	if (tick == s->first) {
		memcpy(line->mark, s->mark, TUTTI_MARK_BYTES);
		line->past = s->past;
	}
	tt_store_release(&line->tick, tick + 1); /* pairs with the acquire in met() */
}

static void
publish_done(struct tt_node_stage *s, uint64_t ticks)
{
	tt_store_release(&s->lines[s->me].done.ticks, ticks); /* pairs with the acquire in all_done() */
}

/* Has `member` published tick `now`? With its mark checked at the job's first tick. */
static tutti_status
met(struct tt_node_stage *s, int member)
{
	const struct line *line = line_of(s, member);

	if (tt_load_acquire(&line->tick) < s->now + 1) /* pairs with the release in publish() */
		return TUTTI_IN_PROGRESS;
	if (s->now != s->first)
		return TUTTI_OK;
	s->strayed = line->past != s->past;
	return s->strayed || memcmp(line->mark, s->mark, TUTTI_MARK_BYTES) != 0 ? TUTTI_ERR_MISMATCH : TUTTI_OK;
}

/* All lines at tick `now`, from `seen` on. */
static tutti_status
all_met(struct tt_node_stage *s)
{
	for (; s->seen < s->members; s->seen++) {
		const tutti_status status = s->seen == s->me ? TUTTI_OK : met(s, s->seen);

		if (status != TUTTI_OK)
			return status;
	}
	s->seen = 0;
	return TUTTI_OK;
}

/* Is everybody done with all ticks before `ticks`? */
static bool
all_done(struct tt_node_stage *s, uint64_t ticks)
{
	for (; s->seen < s->members; s->seen++)
		/* Pairs with the release in publish_done(). */
		if (s->seen != s->me && tt_load_acquire(&s->lines[s->seen].done.ticks) < ticks)
			return false;
	s->seen = 0;
	if (s->finished < ticks)
		s->finished = ticks;
	return true;
}

/* May this member write at `tick`? */
static bool
may_write(struct tt_node_stage *s, uint64_t tick)
{
	return s->finished + 1 >= tick || all_done(s, tick - 1);
}

/* ---- pieces of a chunk ---------------------------------------------------------------------------------------- */

/* The chunk of tick `tick` of `bytes` bytes that go `each` a tick. */
static size_t
chunk_range(const struct tt_node_stage *s, uint64_t tick, size_t bytes, size_t each, size_t *len)
{
	const size_t begin = (size_t)(tick - s->first) * each;

	*len = begin >= bytes ? 0 : tt_min_size(each, bytes - begin);
	return begin;
}

/* Member j's slice of a chunk of `len` bytes, in whole cache lines. */
static void
slice_range(const struct tt_node_stage *s, int j, size_t len, size_t *begin, size_t *slice)
{
	size_t first, n;

	tt_part((len + GRAIN - 1) / GRAIN, (size_t)s->members, (size_t)j, &first, &n);
	*begin = tt_min_size(first * GRAIN, len);
	*slice = tt_min_size((first + n) * GRAIN, len) - *begin;
}

/* Bytes of each member's row that one tick of a reduce_scatter carries. */
static size_t
row_chunk(const struct tt_node_stage *s)
{
	return s->chunk / (size_t)s->members / GRAIN * GRAIN;
}

/* dst = sum over the members, in their order, of own (this member's) and of what `of` says of the others. */
static void
sum(const struct tt_node_stage *s, unsigned char *dst, const unsigned char *own, size_t at, size_t bytes)
{
	const struct tt_arithmetic *how = &s->job.how;
	const void *src[TT_REDUCE_SOURCES];
	int n = 0, done = 0;

	if (bytes == 0)
		return;
	for (int j = 0; j < s->members; j++) {
		if (j == s->me)
			src[n++] = own;
		else
			src[n++] = (s->inline_payload ? line_of(s, j)->payload : slot(s, j, s->now)) + at;
		if (n == TT_REDUCE_SOURCES && j + 1 < s->members) {
			tt_arithmetic_reduce(how, TT_FINISH_NONE, dst, src, n, bytes / how->element, done);
			src[0] = dst;
			n = 1;
			done = j + 1;
		}
	}
	tt_arithmetic_reduce(how, how->finish, dst, src, n, bytes / how->element, done);
}

/* ---- all_reduce ------------------------------------------------------------------------------------------------- */

static void
all_reduce_in(struct tt_node_stage *s, uint64_t tick)
{
	size_t len, begin, slice;
	const size_t at = chunk_range(s, tick, s->job.bytes, s->chunk, &len);
	const unsigned char *from = s->job.src + at;

	if (s->inline_payload) {
		memcpy(s->lines[s->me].line[tick % 2].payload, from, len);
	} else if (!s->two_shot) {
		memcpy(slot(s, s->me, tick), from, len);
	} else { /* all but the slice that only this member reads */
		slice_range(s, s->me, len, &begin, &slice);
		memcpy(slot(s, s->me, tick), from, begin);
		memcpy(slot(s, s->me, tick) + begin + slice, from + begin + slice, len - begin - slice);
	}
	publish(s, tick);
}

static void
all_reduce_sum(struct tt_node_stage *s)
{
	size_t len, begin, slice;
	const size_t at = chunk_range(s, s->now, s->job.bytes, s->chunk, &len);

	slice_range(s, s->me, len, &begin, &slice);
	sum(s, result_slot(s, s->me, s->now), s->job.src + at + begin, begin, slice);
	publish_done(s, s->now + 1);
}

static void
all_reduce_out(struct tt_node_stage *s)
{
	size_t len, begin, slice;
	const size_t at = chunk_range(s, s->now, s->job.bytes, s->chunk, &len);

	for (int k = 0; k < s->members; k++) {
		const int j = (s->me + k) % s->members;

		slice_range(s, j, len, &begin, &slice);
		memcpy(s->job.dst + at + begin, result_slot(s, j, s->now), slice);
	}
}

static tutti_status
all_reduce(struct tt_node_stage *s, int *moved)
{
	tutti_status status;

	for (;; ++*moved) {
		switch (s->phase) {
		case ENTER:
			if (!may_write(s, s->now))
				return TUTTI_IN_PROGRESS;
			all_reduce_in(s, s->now);
			s->phase = MEET;
			break;
		case MEET:
			status = all_met(s);
			if (status != TUTTI_OK)
				return status;
			if (s->now == s->first && s->finished < s->now)
				s->finished = s->now;
			if (!s->two_shot) {
				sum(s, s->job.dst, s->job.src, 0, s->job.bytes);
				s->now++;
				return TUTTI_OK;
			}
			if (s->now + 1 < s->end)
				all_reduce_in(s, s->now + 1); /* its slot is free: all are done with now - 1 */
			all_reduce_sum(s);
			s->phase = LEAVE;
			break;
		default:
			if (!all_done(s, s->now + 1))
				return TUTTI_IN_PROGRESS;
			all_reduce_out(s);
			s->phase = MEET;
			if (++s->now == s->end)
				return TUTTI_OK;
			break;
		}
	}
}

/* ---- reduce_scatter, all_gather, barrier: in, meet, read ------------------------------------------------------- */

static void
enter(struct tt_node_stage *s)
{
	size_t len, at;

	switch (s->job.kind) {
	case TT_NODE_REDUCE_SCATTER:
		for (int j = 0; j < s->members; j++) {
			at = chunk_range(s, s->now, s->job.pieces[j].iov_len, row_chunk(s), &len);
			if (j != s->me && len > 0)
				memcpy(slot(s, s->me, s->now) + (size_t)j * row_chunk(s),
				    (const unsigned char *)s->job.pieces[j].iov_base + at, len);
		}
		break;
	case TT_NODE_ALL_GATHER:
		at = chunk_range(s, s->now, s->job.bytes, s->chunk, &len);
		if (len > 0)
			memcpy(s->inline_payload ? line_of(s, s->me)->payload : slot(s, s->me, s->now),
			    s->job.src + at, len);
		break;
	default:
		break;
	}
	publish(s, s->now);
}

static void
gather_from(struct tt_node_stage *s, int j)
{
	size_t len;
	const size_t at = chunk_range(s, s->now, s->job.pieces[j].iov_len, s->chunk, &len);
	unsigned char *to = (unsigned char *)s->job.pieces[j].iov_base + at;

	if (len == 0)
		return;
	if (j != s->me)
		memcpy(to, s->inline_payload ? line_of(s, j)->payload : slot(s, j, s->now), len);
	else if (to != s->job.src + at)
		memcpy(to, s->job.src + at, len);
}

static void
read_all(struct tt_node_stage *s)
{
	size_t len, at;

	if (s->job.kind == TT_NODE_REDUCE_SCATTER) {
		at = chunk_range(s, s->now, s->job.bytes, row_chunk(s), &len);
		if (len > 0)
			sum(s, s->job.dst + at, (const unsigned char *)s->job.pieces[s->me].iov_base + at,
			    (size_t)s->me * row_chunk(s), len);
	}
	for (int k = 0; s->job.kind == TT_NODE_ALL_GATHER && k < s->members; k++)
		gather_from(s, (s->me + k) % s->members);
}

static tutti_status
in_meet_read(struct tt_node_stage *s, int *moved)
{
	for (;; ++*moved) {
		if (s->phase == ENTER) {
			if (!may_write(s, s->now))
				return TUTTI_IN_PROGRESS;
			enter(s);
			s->phase = MEET;
		} else {
			const tutti_status status = all_met(s);

			if (status != TUTTI_OK)
				return status;
			if (s->finished < s->now)
				s->finished = s->now;
			read_all(s);
			s->phase = ENTER;
			if (++s->now == s->end)
				return TUTTI_OK;
		}
	}
}

/* ---- broadcast ---------------------------------------------------------------------------------------------------- */

static tutti_status
broadcast_tick(struct tt_node_stage *s)
{
	const bool root = s->job.root == s->me;
	struct line *line = line_of(s, s->job.root);
	size_t len;
	const size_t at = chunk_range(s, s->now, s->job.bytes, s->chunk, &len);
	unsigned char *staged = s->inline_payload ? line->payload : slot(s, s->job.root, s->now);
	tutti_status status;

	if (root) {
		if (!may_write(s, s->now))
			return TUTTI_IN_PROGRESS;
		if (len > 0)
			memcpy(staged, s->job.src + at, len);
		publish(s, s->now);
		if (len > 0 && s->job.dst != s->job.src)
			memcpy(s->job.dst + at, s->job.src + at, len);
	} else {
		status = met(s, s->job.root);
		if (status != TUTTI_OK) {
			s->seen = status == TUTTI_ERR_MISMATCH ? s->job.root : 0;
			return status;
		}
		if (len > 0)
			memcpy(s->job.dst + at, staged, len);
	}
	publish_done(s, s->now + 1);
	return TUTTI_OK;
}

static tutti_status
broadcast(struct tt_node_stage *s, int *moved)
{
	while (s->now < s->end) {
		TT_TRY(broadcast_tick(s));
		s->now++;
		++*moved;
	}
	return TUTTI_OK;
}

/* ---- jobs ----------------------------------------------------------------------------------------------------------- */

/* Ticks of a job: the longest of the pieces decides, which all members know. */
static uint64_t
ticks_of(const struct tt_node_stage *s)
{
	size_t bytes = s->job.bytes, each = s->chunk;

	if (s->job.kind == TT_NODE_REDUCE_SCATTER || s->job.kind == TT_NODE_ALL_GATHER)
		for (int j = 0; j < s->members; j++)
			bytes = tt_max_size(bytes, s->job.pieces[j].iov_len);
	if (s->job.kind == TT_NODE_REDUCE_SCATTER)
		each = row_chunk(s);
	return bytes == 0 ? 1 : (bytes + each - 1) / each;
}

static bool
fits_line(const struct tt_node_stage *s)
{
	size_t bytes = s->job.bytes;

	if (s->job.kind == TT_NODE_REDUCE_SCATTER)
		return false;
	for (int j = 0; s->job.kind == TT_NODE_ALL_GATHER && j < s->members; j++)
		bytes = tt_max_size(bytes, s->job.pieces[j].iov_len);
	return bytes <= LINE_PAYLOAD;
}

/* Takes the latest mark into the past: a multiplication per word. */
static void
remember(struct tt_node_stage *s)
{
	uint64_t words[TUTTI_MARK_BYTES / 8];

	memcpy(words, s->mark, sizeof(words));
	memcpy(s->previous, s->mark, sizeof(s->previous));
	for (size_t i = 0; i < TT_COUNT_OF(words); i++) {
		s->past = (s->past ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
		s->past ^= s->past >> 32;
	}
}

void
tt_node_stage_start(struct tt_node_stage *s, const struct tt_node_job *job)
{
	assert(s->phase == ENDED);
	remember(s);
	s->job = *job;
	memcpy(s->mark, job->mark, TUTTI_MARK_BYTES);
	s->phase = ENTER;
	s->first = s->now = s->tick;
	s->end = s->first + ticks_of(s);
	s->tick = s->end;
	s->seen = 0;
	s->inline_payload = fits_line(s);
	s->two_shot = job->kind == TT_NODE_ALL_REDUCE && !s->inline_payload &&
		      job->bytes > tt_min_size(ONE_SHOT_BYTES * 2 / (size_t)s->members, s->chunk);
}

tutti_status
tt_node_stage_advance(struct tt_node_stage *s, int *moved, int *rank, const void **mark)
{
	tutti_status status;

	if (s->phase == ENDED)
		return TUTTI_OK;
	if (s->job.kind == TT_NODE_ALL_REDUCE)
		status = all_reduce(s, moved);
	else if (s->job.kind == TT_NODE_BROADCAST)
		status = broadcast(s, moved);
	else
		status = in_meet_read(s, moved);
	if (status == TUTTI_OK) {
		s->phase = ENDED;
	} else if (status == TUTTI_ERR_MISMATCH) {
		*rank = s->ranks[s->seen];
		*mark = s->strayed ? s->previous : line_of(s, s->seen)->mark;
	}
	return status;
}

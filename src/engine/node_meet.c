/* SPDX-License-Identifier: Apache-2.0
 *
 * node_meet.c - the protocol of ticks.
 *
 * At tick t a member writes into its line and its staging slot number t mod 2 and then publishes t + 1 in the line
 * (release); the others wait for it (acquire) and read. The one danger is to write a slot that somebody still reads:
 *
 *	the rule: whoever writes at tick t knows that all members have finished reading what tick t - 2 held.
 *
 * How it is known: `finished` is the tick before which everybody is known to be done.
 *   - Where everybody publishes and reads everybody without overlap (one-shot, all_gather, reduce_scatter, all_to_all,
 *     barrier) a member publishes t only when it is done with t - 1, so to see all lines at t is to know finished = t.
 *   - With overlap (two-shot), and where not everybody publishes or reads (broadcast, scatter, gather, small reduce),
 *     members count the ticks they are done with in `done` (release), and writers look there (acquire).
 *
 * A job's first line carries its mark, and a digest of all marks before: whoever reads it knows that both mean the
 * same call. The note in a mark, where there is one, may differ: members only learn whether it does.
 */
#include <string.h>

#include "base/checked.h"
#include "engine/node_stage_parts.h"

unsigned char *
tt_stage_slot(const struct tt_node_stage *s, int member, uint64_t tick)
{
	return s->data + (size_t)member * 2 * (s->chunk + s->result) + (tick % 2) * s->chunk +
	       tt_stage_place(&s->places, tick / 2) * s->places.bytes;
}

unsigned char *
tt_stage_result(const struct tt_node_stage *s, int member, uint64_t tick)
{
	return s->data + (size_t)member * 2 * (s->chunk + s->result) + 2 * s->chunk + (tick % 2) * s->result;
}

unsigned char *
tt_stage_payload(const struct tt_node_stage *s, int member)
{
	if (!s->inline_payload)
		return tt_stage_slot(s, member, s->now);
	return TT_UNLIKELY(s->groups.bind) && member != s->me ? tt_groups_payload(s, member)
							      : tt_stage_line(s, member)->payload;
}

size_t
tt_stage_chunk(const struct tt_node_stage *s, uint64_t tick, size_t bytes, size_t each, size_t *len)
{
	const size_t begin = (size_t)(tick - s->first) * each;

	*len = begin >= bytes ? 0 : tt_min_size(each, bytes - begin);
	return begin;
}

struct tt_stage_line *
tt_stage_line(const struct tt_node_stage *s, int member)
{
	return &s->lines[member].line[s->now % 2];
}

void
tt_stage_publish(struct tt_node_stage *s, uint64_t tick)
{
	struct tt_stage_line *line = &s->lines[s->me].line[tick % 2];

	if (s->shares_cores) {
		tt_stage_tell_core(s);
		tt_stage_spread(s);
	}
	if (tick == s->first) {
		memcpy(line->mark, s->mark, 8);
		memcpy(line->mark + 8, s->mark + 8, TUTTI_MARK_BYTES - 8);
		line->past = s->past;
	}
	tt_store_release(&line->tick, tick + 1); /* pairs with the acquire in tt_stage_reached() */
	/* Its readers have gone, and it comes during the wait. Where cores are shared, they have not all run since. */
	if (!s->shares_cores)
		tt_prefetch_write(&s->lines[s->me].line[(tick + 1) % 2]);
	s->owes_ring = s->shares_cores && s->inline_payload && s->job.is_awaited;
	if (!s->owes_ring)
		tt_stage_wake_sleepers(s);
	if (tick == s->first)
		tt_stage_remember(s);
}

void
tt_node_stage_take_back(struct tt_node_stage *s)
{
	struct tt_stage_line *line = s->lines[s->me].line;

	for (int i = 0; s->phase != TT_STAGE_ENDED && i < 2; i++)
		if (tt_load_relaxed(&line[i].tick) > s->first)
			tt_store_release(&line[i].tick, s->first); /* pairs with the acquire in tt_stage_reached() */
	if (s->phase != TT_STAGE_ENDED)
		tt_groups_take_back(s);
}

void
tt_stage_publish_done(struct tt_node_stage *s, uint64_t ticks)
{
	tt_store_release(&s->lines[s->me].done.ticks, ticks); /* pairs with the acquire in tt_stage_reached() */
	tt_stage_wake_sleepers(s);
}

bool
tt_stage_reached(struct tt_node_stage *s, int member, const tt_atomic_u64 *word, uint64_t value)
{
	if (tt_load_acquire(word) >= value) /* pairs with the releases in tt_stage_publish() and _publish_done() */
		return true;
	s->awaited = word;
	s->awaited_value = value;
	s->awaited_member = member;
	s->awaited_end = member + 1;
	return false;
}

bool
tt_node_stage_spin(const struct tt_node_stage *s, int tight, int polls)
{
	if (s->awaited == NULL) {
		tt_pause();
		return true;
	}
	for (int i = 0; i < tight; i++)
		if (tt_load_relaxed(s->awaited) >= s->awaited_value)
			return true;
	for (int i = 0; i < polls; i++) {
		tt_pause();
		if (tt_load_relaxed(s->awaited) >= s->awaited_value)
			return true;
	}
	return false;
}

tutti_status
tt_stage_compare(struct tt_node_stage *s, uint64_t past, const unsigned char *mark)
{
	s->strayed = past != s->past;
	if (s->strayed)
		return TUTTI_ERR_MISMATCH;
	if (TT_LIKELY(memcmp(mark, s->mark, TUTTI_MARK_BYTES) == 0))
		return TUTTI_OK;
	/* Do they differ in more than the note? */
	if (!s->job.has_note || memcmp(mark, s->mark, TT_MARK_NOTE_AT) != 0)
		return TUTTI_ERR_MISMATCH;
	s->agreed = false;
	return TUTTI_OK;
}

tutti_status
tt_stage_met(struct tt_node_stage *s, int member)
{
	const struct tt_stage_line *line = tt_stage_line(s, member);

	if (!tt_stage_reached(s, member, &line->tick, s->now + 1))
		return TUTTI_IN_PROGRESS;
	return s->now != s->first ? TUTTI_OK : tt_stage_compare(s, line->past, line->mark);
}

/* Those of other cores come all at the same time, wherever a look at one ends. */
static void
fetch_lines(const struct tt_node_stage *s)
{
	for (int j = s->seen; j < s->members; j++)
		__builtin_prefetch(tt_stage_line(s, j));
}

tutti_status
tt_stage_all_met(struct tt_node_stage *s)
{
	if (TT_UNLIKELY(s->groups.meet))
		return tt_groups_all_met(s);
	if (s->shares_cores)
		fetch_lines(s);
	for (; s->seen < s->members; s->seen++) {
		const tutti_status status = s->seen == s->me ? TUTTI_OK : tt_stage_met(s, s->seen);

		s->awaited_end = s->members;
		if (status != TUTTI_OK)
			return status;
	}
	s->seen = 0;
	return TUTTI_OK;
}

bool
tt_stage_all_done(struct tt_node_stage *s, uint64_t ticks)
{
	for (; s->seen < s->members; s->seen++) {
		if (s->seen != s->me && !tt_stage_reached(s, s->seen, &s->lines[s->seen].done.ticks, ticks)) {
			s->awaited_end = s->members;
			return false;
		}
	}
	s->seen = 0;
	if (s->finished < ticks)
		s->finished = ticks;
	return true;
}

void
tt_stage_look_ahead(struct tt_node_stage *s)
{
	uint64_t least = s->now;

	if (s->shares_cores)
		return;

	for (int j = 0; j < s->members; j++)
		if (j != s->me) { /* pairs with the release in tt_stage_publish_done() */
			const uint64_t ticks = tt_load_acquire(&s->lines[j].done.ticks);

			least = ticks < least ? ticks : least;
		}
	if (s->finished < least)
		s->finished = least;
}

bool
tt_stage_may_write(struct tt_node_stage *s, uint64_t tick)
{
	return s->finished + 1 >= tick || tt_stage_all_done(s, tick - 1);
}

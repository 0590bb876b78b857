/* SPDX-License-Identifier: Apache-2.0
 *
 * split.c - tutti_comm_split.
 *
 *	run 0   all_gather {color, key, status}      who belongs together; everybody knows everything
 *	run 1   all_gather the same and ids          the first rank of each child has opened its ears in between
 *	then    the members of each child create it, like any communicator
 *
 * The two runs are one operation of the parent, with one number and one mark: it takes its turn, and a rank that
 * calls something else is noticed. A rank that cannot go on says so in its card, so that the members of its child all fail.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"
#include "comm/arguments.h"
#include "comm/comm.h"
#include "comm/transports.h"

#define VERDICT_MS 300 /* a verdict on the parent is there by then, if there is to be one */

/* What every rank tells the others, twice. */
struct card {
	int32_t status; /* of what it needed to take part */
	int32_t color, key;
	char message[244];
	tutti_unique_id id; /* in the second run, of the first rank of a child */
};

struct split {
	tutti_comm *comm;
	struct tt_settings settings;
	struct card mine, *cards; /* cards: one of each rank */
	int run;
	/* the child: */
	int size, rank;
	int leader; /* its first rank, as the parent counts */
	struct tt_meeting meeting; /* the leader's */
	bool has_meeting;
};

/* Does a stand before b in their child? */
static bool
before(const struct card *cards, int a, int b)
{
	return cards[a].key != cards[b].key ? cards[a].key < cards[b].key : a < b;
}

static void
find_place(struct split *s)
{
	const int me = s->comm->rank;

	s->size = s->rank = 0;
	s->leader = me;
	for (int r = 0; r < s->comm->size; r++) {
		if (s->cards[r].color != s->mine.color)
			continue;
		s->size++;
		s->rank += before(s->cards, r, me);
		if (before(s->cards, r, s->leader))
			s->leader = r;
	}
}

/* The first member that failed, or -1. */
static int
failed_member(const struct split *s)
{
	for (int r = 0; r < s->comm->size; r++)
		if (s->cards[r].color == s->mine.color && s->cards[r].status != TUTTI_OK)
			return r;
	return -1;
}

static void
note_failure(struct card *card, tutti_status status)
{
	card->status = (int32_t)status;
	if (status != TUTTI_OK)
		snprintf(card->message, sizeof(card->message), "%.240s", tt_last_error()->message);
}

/* Members that share memory need no network to meet. */
static bool
is_at_home(const struct split *s)
{
	const int *node_of = tt_world_node_of(s->comm->world);
	struct tt_transport_wish wish;

	if (tt_transports_wish(s->settings.text[TT_SET_TRANSPORTS], s->settings.text[TT_SET_PLUGINS], NULL, &wish) !=
		TUTTI_OK ||
	    (wish.set & TT_TRANSPORT_SHM) == 0)
		return false;
	for (int r = 0; r < s->comm->size; r++)
		if (s->cards[r].color == s->mine.color && node_of[r] != node_of[s->comm->rank])
			return false;
	return true;
}

static tutti_status
open_meeting(struct split *s)
{
	struct tt_rendezvous rendezvous = {.authenticated = true};

	if (is_at_home(s)) {
		tt_random(rendezvous.key, sizeof(rendezvous.key));
		tt_random(rendezvous.epoch, sizeof(rendezvous.epoch));
		TT_TRY(tt_meeting_open_at(&rendezvous, &s->meeting));
	} else {
		TT_TRY(tt_meeting_open(&s->settings, &rendezvous, &s->meeting));
	}
	s->has_meeting = true;
	tt_unique_id_write(&rendezvous, &s->mine.id);
	return TUTTI_OK;
}

/* On whichever thread drives the parent. */
static const struct tt_run *
next_run(tutti_request *request)
{
	struct split *s = request->next_context;

	switch (s->run++) {
	case 0:
		return &request->run;
	case 1:
		if (s->mine.color >= 0) {
			find_place(s);
			if (s->size > 1 && s->leader == s->comm->rank && failed_member(s) < 0)
				note_failure(&s->mine, open_meeting(s));
		}
		return &request->run;
	default:
		return NULL;
	}
}

/* Everybody's cards, in the parent's turn. */
static tutti_status
gather(struct split *s, int64_t timeout_ms)
{
	const struct tt_intent intent = {.collective = TT_ALL_GATHER,
	    .send = &s->mine,
	    .recv = s->cards,
	    .count = sizeof(s->mine),
	    .dtype = TUTTI_UINT8,
	    .flags = TT_CALL_SPLIT,
	    .next_run = next_run,
	    .next_context = s};
	tutti_options options = TUTTI_OPTIONS_INIT;

	options.timeout_ms = timeout_ms;
	return tt_comm_issue(s->comm, &intent, &options, NULL);
}

/* Can this rank, and its child, go on? */
static tutti_status
check_members(const struct split *s)
{
	int r;

	if (s->mine.status != TUTTI_OK)
		return tt_fail((tutti_status)s->mine.status, -1, "%.243s", s->mine.message);
	r = s->mine.color >= 0 ? failed_member(s) : -1;
	if (r < 0)
		return TUTTI_OK;
	return tt_fail((tutti_status)s->cards[r].status, r, "rank %d could not take part in the split: %.243s", r,
	    s->cards[r].message);
}

/* Takes settings and meeting over. */
static tutti_status
make_child(struct split *s, int64_t deadline_ns, tutti_comm **child)
{
	struct tt_rendezvous rendezvous;

	if (s->size == 1)
		return tt_comm_build_child(s->comm, 1, 0, NULL, NULL, &s->settings, deadline_ns, child);
	if (tt_unique_id_read(&s->cards[s->leader].id, &rendezvous) != TUTTI_OK) {
		tt_settings_fini(&s->settings);
		return tt_fail(
		    TUTTI_ERR_INTERNAL, s->leader, "rank %d gave no place to meet for the split", s->leader);
	}
	return tt_comm_build_child(s->comm, s->size, s->rank, &rendezvous, s->has_meeting ? &s->meeting : NULL,
	    &s->settings, deadline_ns, child);
}

/* The parent's number of the child's rank `rank`; others as they are. */
static int
in_parent(const struct split *s, int rank)
{
	for (int r = 0; r < s->comm->size; r++) {
		int place = 0;

		if (s->cards[r].color != s->mine.color)
			continue;
		for (int other = 0; other < s->comm->size; other++)
			place += s->cards[other].color == s->mine.color && before(s->cards, other, r);
		if (place == rank)
			return r;
	}
	return rank;
}

/* May that be what another member has heard of the parent, or what comes of it? */
static bool
may_be_echo(tutti_status status)
{
	return status == TUTTI_ERR_PEER || status == TUTTI_ERR_ABORTED || status == TUTTI_ERR_MISMATCH ||
	       status == TUTTI_ERR_TIMEOUT;
}

/* The caller knows the parent only: a child that broke off with its parent fails for the parent's cause, everything
 * else is told in the parent's numbers. What a death or an abort has closed is seen before the verdict comes. */
static tutti_status
tell_failure(const struct split *s)
{
	const int64_t until_ns = tt_deadline_ns(VERDICT_MS);
	tutti_error error = *tt_last_error(), cause;
	char reason[256];

	while (may_be_echo(error.status) && !tt_failure_raised(s->comm->failure) && tt_now_ns() < until_ns)
		(void)poll(NULL, 0, 1);
	if (tt_failure_raised(s->comm->failure)) {
		tt_failure_cause(s->comm->failure, &cause);
		tt_comm_lock(s->comm);
		(void)tt_comm_usable(s->comm); /* the program is told now, if it was not before */
		tt_comm_unlock(s->comm);
		return tt_fail_with(&cause);
	}
	for (int i = 0; i < error.nranks && i < (int)TT_COUNT_OF(error.ranks); i++)
		error.ranks[i] = in_parent(s, error.ranks[i]);
	snprintf(reason, sizeof(reason), "%.255s", error.message);
	if (error.rank >= 0) {
		const int rank = in_parent(s, error.rank);

		snprintf(error.message, sizeof(error.message),
		    "the child of color %d could not be made (its rank %d is rank %d of the parent): %s",
		    s->mine.color, error.rank, rank, reason);
		error.rank = rank;
	}
	return tt_fail_with(&error);
}

/* Settles the rank's own part beforehand: what fails here is told to the others. */
static tutti_status
settle(struct split *s, const tutti_config *config)
{
	struct tt_transport_wish wish;
	tutti_status status;

	if (config == NULL)
		return tt_settings_copy(&s->comm->settings, &s->settings);
	TT_TRY(tt_settings_init(&s->settings, config));
	status =
	    tt_transports_wish(s->settings.text[TT_SET_TRANSPORTS], s->settings.text[TT_SET_PLUGINS], NULL, &wish);
	if (status != TUTTI_OK)
		tt_settings_fini(&s->settings);
	return status;
}

static tutti_status
split(struct split *s, const tutti_config *config, tutti_comm **child)
{
	tutti_comm *made = NULL;
	int64_t deadline_ns, timeout_ms;
	bool settled;
	tutti_status status = settle(s, config);

	settled = status == TUTTI_OK;
	note_failure(&s->mine, status);
	timeout_ms = settled ? s->settings.timeout_ms : s->comm->settings.timeout_ms;
	deadline_ns = tt_deadline_ns(timeout_ms);
	status = gather(s, timeout_ms);
	if (status == TUTTI_OK)
		status = check_members(s);
	if (status == TUTTI_OK && s->mine.color >= 0) {
		status = make_child(s, deadline_ns, &made);
		if (status != TUTTI_OK)
			status = tell_failure(s);
	} else {
		if (s->has_meeting)
			tt_meeting_close(&s->meeting);
		if (settled)
			tt_settings_fini(&s->settings);
	}
	if (status != TUTTI_OK)
		return status;
	if (made != NULL)
		tt_family_join(s->comm, made);
	*child = made;
	return TUTTI_OK;
}

tutti_status
tutti_comm_split(tutti_comm *comm, int color, int key, const tutti_config *config, tutti_comm **child)
{
	struct split s = {.comm = comm, .mine = {.color = color, .key = key}};
	void *memory;
	tutti_status status;

	TT_TRY(tt_check_comm(comm, "tutti_comm_split"));
	if (child == NULL)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "the address for the new communicator is NULL");
	if (tt_group_recording(comm))
		return tt_fail(
		    TUTTI_ERR_STATE, -1, "tutti_comm_split cannot be part of a group: end the group first");
	TT_TRY(tt_family_found(comm));
	TT_TRY(tt_alloc((size_t)comm->size, sizeof(struct card), "the cards of a split", &memory));
	s.cards = memory;
	status = split(&s, config, child);
	tt_free(memory);
	return status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * world_verdict.c - how a creation fails: why, in a sentence for a person, and who is told.
 *
 * A failure is final and goes to everybody who has joined, except to where it came from. All but rank 0 then leave at
 * once, so that whoever still looks for a leader ends up at rank 0, which has stayed: until all who can be expected
 * have been told, for a limited time.
 */
#include "bootstrap/world_roll.h"

#include <stdio.h>

#include "base/error.h"

#define MOST_LISTED 16

static void
say(struct tt_join *join, struct tt_join_peer *peer, enum tt_frame type, const void *bytes, size_t n)
{
	join->io.send(join->io.context, peer, type, bytes, n);
}

/* Rank 0 stays while there may be others that have not been told. */
static void
begin_to_refuse(struct tt_join *join)
{
	const int64_t until_ns = join->now_ns + TT_JOIN_LINGER;

	/* Who has no place in the books yet is among the children all the same, and has been told. */
	for (const struct tt_join_peer *child = join->children; child != NULL; child = child->next)
		join->known += !child->welcomed;
	join->wake_ns = until_ns < join->deadline_ns ? until_ns : join->deadline_ns;
	if (join->known < join->most && join->now_ns < join->wake_ns)
		join->state = TT_JOIN_REFUSES;
}

void
tt_roll_refuse(struct tt_join *join, struct tt_join_peer *peer, const void *bytes, size_t n)
{
	unsigned char failure[TT_FRAME_MOST];
	struct tt_card card;

	if (tt_card_read(bytes, n, &card) && card.size > join->most)
		join->most = card.size;
	/* Cards that a leader passed on before it heard of the failure: it tells those whose they are. */
	if (!peer->carded)
		say(join, peer, TT_FRAME_FAIL, failure, tt_failure_write(&join->error, failure));
	peer->carded = true;
	if (++join->known >= join->most)
		join->state = TT_JOIN_FAILED;
}

void
tt_roll_fail(struct tt_join *join, struct tt_join_peer *from, const tutti_error *error)
{
	unsigned char bytes[TT_FRAME_MOST];
	const size_t n = tt_failure_write(error, bytes);
	/* The members of a leader that never got further may still find another way: they learn it as a lost
	 * connection. A reason that came from above is theirs too. */
	const bool tells_children = join->state == TT_JOIN_JOINED || from != NULL;

	if (join->parent != NULL && join->parent != from && join->state == TT_JOIN_JOINED)
		say(join, join->parent, TT_FRAME_FAIL, bytes, n);
	for (struct tt_join_peer *child = join->children; child != NULL && tells_children; child = child->next)
		if (child != from)
			say(join, child, TT_FRAME_FAIL, bytes, n);
	join->error = *error;
	join->state = TT_JOIN_FAILED;
	if (join->config.rank == 0)
		begin_to_refuse(join);
}

/* " 2 3 5 ..." of the ranks for which `is` holds; returns how many there are. */
static int
list_ranks(const struct tt_join *join, bool (*is)(const struct tt_join *, int), int ranks[MOST_LISTED], char *text,
    size_t room)
{
	size_t used = 0;
	int n = 0;

	text[0] = '\0';
	for (int rank = 0; rank < join->config.size; rank++) {
		if (!is(join, rank))
			continue;
		if (n < MOST_LISTED) {
			ranks[n] = rank;
			used += (size_t)snprintf(text + used, room - used, " %d", rank);
		}
		n++;
	}
	if (n > MOST_LISTED)
		snprintf(text + used, room - used, " ...");
	return n;
}

static bool
is_missing(const struct tt_join *join, int rank)
{
	return join->homes[rank] < 0;
}

static bool
is_silent(const struct tt_join *join, int rank)
{
	return join->via[rank] != NULL && join->via[rank]->rank == rank && !join->via[rank]->ready;
}

static double
waited_s(const struct tt_join *join)
{
	return (double)(join->config.deadline_ns - join->start_ns) / 1e9;
}

static void
fill_missing(const struct tt_join *join, tutti_error *error)
{
	char text[MOST_LISTED * 12 + 8];
	int ranks[MOST_LISTED];
	int n = list_ranks(join, is_missing, ranks, text, sizeof(text));

	if (n > 0) {
		tt_error_fill(error, TUTTI_ERR_TIMEOUT, ranks, n, 0, "%d of %d ranks never came within %.3g s:%s", n,
		    join->config.size, waited_s(join), text);
		return;
	}
	n = list_ranks(join, is_silent, ranks, text, sizeof(text));
	tt_error_fill(error, TUTTI_ERR_TIMEOUT, ranks, n, 0,
	    "all %d ranks came, but the communicator was not complete within %.3g s: no answer from below rank(s)%s",
	    join->config.size, waited_s(join), text);
}

/* Where rank 0 was looked for. */
static void
list_addresses(const struct tt_join *join, char *text, size_t room)
{
	const struct tt_rendezvous *rendezvous = join->config.rendezvous;
	size_t used = 0;

	text[0] = '\0';
	for (int i = 0; i < tt_rendezvous_count(rendezvous) && i < 4; i++) {
		struct tt_address address;
		char one[64];

		tt_rendezvous_address(rendezvous, i, &address);
		tt_address_print(&address, one, sizeof(one));
		used += (size_t)snprintf(text + used, room - used, "%s%s", i > 0 ? ", " : " or ", one);
	}
	if (tt_rendezvous_count(rendezvous) > 4)
		snprintf(text + used, room - used, ", ...");
}

static void
fill_unreached(const struct tt_join *join, tutti_error *error)
{
	const int root = 0;
	char where[320];

	list_addresses(join, where, sizeof(where));
	if (join->refusal.status != TUTTI_OK)
		tt_error_fill(error, join->refusal.status, &root, 1, 0,
		    "rank %d did not get to rank 0 within %.3g s (on this host%s); last answer: %.*s",
		    join->config.rank, waited_s(join), where, 120, join->refusal.message);
	else
		tt_error_fill(error, TUTTI_ERR_TIMEOUT, &root, 1, 0,
		    "rank %d did not reach rank 0 within %.3g s: nobody took it in on this host%s", join->config.rank,
		    waited_s(join), where);
}

void
tt_roll_time_out(struct tt_join *join)
{
	tutti_error error;

	if (join->config.rank == 0)
		fill_missing(join, &error);
	else if (join->state != TT_JOIN_JOINED)
		fill_unreached(join, &error);
	else
		tt_error_fill(&error, TUTTI_ERR_TIMEOUT, NULL, 0, 0,
		    "rank %d joined, but the communicator was not complete within %.3g s, and rank 0 did not say why",
		    join->config.rank, waited_s(join));
	tt_roll_fail(join, NULL, &error);
}

void
tt_roll_forget(struct tt_join *join, struct tt_join_peer *child)
{
	struct tt_join_peer **at = &join->children;

	while (*at != NULL && *at != child)
		at = &(*at)->next;
	if (*at == NULL)
		return;
	*at = child->next;
	if (!child->local)
		join->tcp_children--;
	for (int rank = 0; rank < join->config.size; rank++)
		if (join->via[rank] == child) {
			join->via[rank] = NULL;
			join->homes[rank] = -1;
		}
}

void
tt_roll_lost(struct tt_join *join, struct tt_join_peer *child)
{
	tutti_error error;

	tt_roll_forget(join, child);
	/* A leader that is on its own way up has told nobody of its members yet: they are only late. */
	if (join->state != TT_JOIN_JOINED)
		return;
	tt_error_fill(&error, TUTTI_ERR_PEER, &child->rank, 1, 0,
	    "rank %d went away while the communicator was being made", child->rank);
	tt_roll_fail(join, NULL, &error);
}

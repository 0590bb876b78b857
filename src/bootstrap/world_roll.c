/* SPDX-License-Identifier: Apache-2.0
 *
 * world_roll.c - the roll-call of a world: cards up, the table down, ready up, go down.
 *
 * Rank 0 alone decides: what the others know of other ranks is only which child leads to them. Everything on the
 * way to rank 0 passes through ranks that have joined, so a FAIL from rank 0 finds everyone who has come so far.
 */
#include "bootstrap/world_roll.h"

#include "base/clock.h"
#include "base/error.h"
#include "bootstrap/bytes.h"

static void
say(struct tt_join *join, struct tt_join_peer *peer, enum tt_frame type, const void *bytes, size_t n)
{
	join->io.send(join->io.context, peer, type, bytes, n);
}

static void
send_down(struct tt_join *join, enum tt_frame type, const void *bytes, size_t n)
{
	for (struct tt_join_peer *child = join->children; child != NULL; child = child->next)
		if (child->welcomed)
			say(join, child, type, bytes, n);
}

/* ---- table, ready, go ------------------------------------------------------------------------------------ */

static void
look_whether_ready(struct tt_join *join)
{
	if (join->table < join->config.size || !join->has_words || join->said_ready)
		return;
	for (const struct tt_join_peer *child = join->children; child != NULL; child = child->next)
		if (child->welcomed && !child->ready)
			return;
	join->said_ready = true;
	if (join->config.rank == 0)
		tt_roll_go(join);
	else
		say(join, join->parent, TT_FRAME_READY, NULL, 0);
}

static void
send_words(struct tt_join *join)
{
	unsigned char bytes[8];

	tt_put_u64(bytes, join->words_at);
	for (struct tt_join_peer *child = join->children; child != NULL; child = child->next)
		if (child->welcomed && child->card.home == join->config.rank)
			say(join, child, TT_FRAME_WORDS, bytes, sizeof(bytes));
}

static void
table_is_complete(struct tt_join *join)
{
	const int me = join->config.rank;
	int n = 0;

	for (int rank = 0; rank < join->config.size; rank++)
		n += join->homes[rank] == me;
	if (join->homes[me] == me) {
		if (n > 1 && join->io.words(join->io.context, n, &join->words_at) != TUTTI_OK) {
			tt_join_give_up(join);
			return;
		}
		join->has_words = true;
		if (n > 1)
			send_words(join);
	}
	look_whether_ready(join);
}

/* A home must be at home: everything about nodes is built on that. */
static bool
check_homes(struct tt_join *join)
{
	for (int rank = 0; rank < join->config.size; rank++)
		if (join->homes[join->homes[rank]] != join->homes[rank]) {
			tt_fail(TUTTI_ERR_INTERNAL, rank, "rank %d shares memory with rank %d, which leads no node",
			    rank, join->homes[rank]);
			tt_join_give_up(join);
			return false;
		}
	return true;
}

static void
send_table(struct tt_join *join)
{
	const int size = join->config.size;
	unsigned char bytes[TT_FRAME_MOST];

	if (!check_homes(join))
		return;
	for (int first = 0; first < size; first += TT_TABLE_RUN) {
		const int n = size - first < TT_TABLE_RUN ? size - first : TT_TABLE_RUN;

		send_down(join, TT_FRAME_TABLE, bytes, tt_table_write(first, n, join->homes, bytes));
	}
	join->table = size;
	table_is_complete(join);
}

void
tt_roll_table(struct tt_join *join, const void *bytes, size_t n)
{
	const int run =
	    join->state == TT_JOIN_JOINED ? tt_table_read(bytes, n, join->table, join->config.size, join->homes) : -1;

	if (run < 0) {
		tt_fail(TUTTI_ERR_INTERNAL, join->parent->rank, "rank %d sent a table of ranks that makes no sense",
		    join->parent->rank);
		tt_join_give_up(join);
		return;
	}
	send_down(join, TT_FRAME_TABLE, bytes, n);
	join->table += run;
	if (join->table == join->config.size)
		table_is_complete(join);
}

void
tt_roll_words(struct tt_join *join, const void *bytes, size_t n)
{
	if (n != 8 || join->state != TT_JOIN_JOINED)
		return;
	join->words_at = tt_get_u64(bytes);
	join->has_words = true;
	look_whether_ready(join);
}

void
tt_roll_ready(struct tt_join *join, struct tt_join_peer *peer)
{
	peer->ready = true;
	look_whether_ready(join);
}

void
tt_roll_go(struct tt_join *join)
{
	if (join->state != TT_JOIN_JOINED || !join->said_ready)
		return;
	send_down(join, TT_FRAME_GO, NULL, 0);
	join->state = TT_JOIN_DONE;
}

/* ---- cards ----------------------------------------------------------------------------------------------- */

/* Whoever is the first to run out of time shall hear from rank 0 who is missing: so rank 0 stops a little earlier. */
static void
heed_deadline(struct tt_join *join, uint32_t left_ms)
{
	const int64_t left = left_ms * TT_MS, margin = left / 16 < 250 * TT_MS ? left / 16 : 250 * TT_MS;

	if (left_ms != UINT32_MAX && join->now_ns + left - margin < join->deadline_ns)
		join->deadline_ns = join->now_ns + left - margin;
}

/* Is the card one that rank 0 can accept? Otherwise the world has failed. */
static bool
check_card(struct tt_join *join, const struct tt_card *card)
{
	const int ranks[2] = {card->rank, 0};
	tutti_error error;

	if (card->size != join->config.size)
		tt_error_fill(&error, TUTTI_ERR_MISMATCH, ranks, 2, 0,
		    "rank %d says that there are %d ranks and rank 0 says %d: give every rank the same size",
		    card->rank, card->size, join->config.size);
	else if (join->homes[card->rank] >= 0)
		tt_error_fill(&error, TUTTI_ERR_MISMATCH, ranks, 1, 0,
		    "two processes or threads say that they are rank %d (of %d): give every rank its own number",
		    card->rank, card->size);
	else
		return true;
	join->known++;
	join->most = card->size > join->most ? card->size : join->most;
	tt_roll_fail(join, NULL, &error);
	return false;
}

static void
take_card(struct tt_join *join, const struct tt_card *card, struct tt_join_peer *via)
{
	const bool is_root = join->config.rank == 0;
	unsigned char bytes[TT_CARD_BYTES];

	if (is_root && !check_card(join, card))
		return;
	if (card->size == join->config.size && join->homes[card->rank] < 0) {
		join->homes[card->rank] = card->home;
		join->via[card->rank] = via;
	}
	if (!is_root) {
		tt_card_write(card, bytes);
		say(join, join->parent, TT_FRAME_CARD, bytes, sizeof(bytes));
		return;
	}
	heed_deadline(join, card->left_ms);
	if (++join->known == join->config.size)
		send_table(join);
}

static void
welcome(struct tt_join *join, struct tt_join_peer *peer)
{
	unsigned char bytes[4];

	peer->welcomed = true;
	tt_put_u32(bytes, (uint32_t)peer->card.home);
	say(join, peer, TT_FRAME_WELCOME, bytes, sizeof(bytes));
	take_card(join, &peer->card, peer);
}

void
tt_roll_settle(struct tt_join *join, struct tt_join_peer *peer, bool shares)
{
	peer->settled = true;
	peer->card.home = shares ? join->config.rank : peer->rank;
	if (join->state == TT_JOIN_JOINED)
		welcome(join, peer);
}

void
tt_roll_begin(struct tt_join *join)
{
	for (struct tt_join_peer *child = join->children; child != NULL; child = child->next)
		if (child->settled && !child->welcomed && join->state == TT_JOIN_JOINED)
			welcome(join, child);
}

/* A leader below this one that takes others in, in turn; NULL if there is none. */
static struct tt_join_peer *
next_target(struct tt_join *join)
{
	struct tt_join_peer *target = NULL;
	int n = 0, turn;

	for (struct tt_join_peer *child = join->children; child != NULL; child = child->next)
		n += child->welcomed && child->card.address.family != 0;
	if (n == 0)
		return NULL;
	turn = join->next_target++ % n;
	for (struct tt_join_peer *child = join->children; child != NULL && turn >= 0; child = child->next)
		if (child->welcomed && child->card.address.family != 0) {
			target = child;
			turn--;
		}
	return target;
}

/* Sends a leader on to another one if this rank has enough of them. */
static bool
redirect(struct tt_join *join, struct tt_join_peer *peer)
{
	unsigned char bytes[TT_REDIRECT_BYTES];
	const struct tt_join_peer *target;

	if (peer->local || join->tcp_children < join->config.fanout || (peer->card.flags & TT_CARD_STAYS) != 0)
		return false;
	target = next_target(join);
	if (target == NULL)
		return false;
	tt_redirect_write(target->rank, &target->card.address, bytes);
	say(join, peer, TT_FRAME_REDIRECT, bytes, sizeof(bytes));
	join->io.drop(join->io.context, peer);
	return true;
}

static void
take_child(struct tt_join *join, struct tt_join_peer *peer, const struct tt_card *card)
{
	if (card->rank != peer->rank) {
		join->io.drop(join->io.context, peer);
		return;
	}
	/* It came while this rank led the node, and knocked when this rank had found rank 0 on the same host. */
	if (join->config.rank != 0 && !join->leads) {
		say(join, peer, TT_FRAME_MOVE, NULL, 0);
		join->io.drop(join->io.context, peer);
		return;
	}
	peer->card = *card;
	if (redirect(join, peer))
		return;
	peer->carded = true;
	peer->next = join->children;
	join->children = peer;
	if (!peer->local)
		join->tcp_children++;
	if (peer->local && join->config.shares && (card->flags & TT_CARD_SHARES) != 0)
		join->io.offer(join->io.context, peer);
	else
		tt_roll_settle(join, peer, false);
}

void
tt_roll_card(struct tt_join *join, struct tt_join_peer *peer, const void *bytes, size_t n)
{
	struct tt_card card;

	if (!tt_card_read(bytes, n, &card)) {
		tt_fail(TUTTI_ERR_INTERNAL, peer->rank, "rank %d introduced itself in a way that makes no sense",
		    peer->rank);
		tt_join_give_up(join);
	} else if (!peer->carded) {
		take_child(join, peer, &card);
	} else if (peer->welcomed) {
		take_card(join, &card, peer);
	}
}

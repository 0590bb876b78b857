/* SPDX-License-Identifier: Apache-2.0
 *
 * promises_end.c - mismatches, cancelling, closing and death.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "promises.h"

/* error() tells a status that is an error and a sentence that names the peer. */
static bool
check_dead(struct kit *kit, int peer)
{
	char text[256] = "", number[16];
	const tutti_status status = kit->transport->error(kit->links[peer], text, sizeof(text));

	snprintf(number, sizeof(number), "%d", peer);
	return kit_check(kit, status > TUTTI_IN_PROGRESS, "the link to rank %d should be dead; error() says %d", peer,
		   status) &&
	       kit_check(kit, strstr(text, number) != NULL, "error() does not name rank %d: \"%s\"", peer, text);
}

static bool
check_refuses(struct kit *kit, int peer)
{
	struct kit_message message;
	tutti_status status;

	if (!kit_message_send(kit, &message, peer, 0, 8, 0, 0))
		return false;
	status = kit_try(kit, &message);
	return kit_check(kit, status > TUTTI_IN_PROGRESS, "send() on a dead link says %d", status) &&
	       kit_drop(kit, &message);
}

/* ---- mismatches ---- */

static bool
check_mismatch(struct kit *kit, const struct kit_message *mine, size_t theirs, const unsigned char *mark)
{
	const tutti_transfer *transfer = &mine->transfer;

	return kit_check(kit, transfer->status == TUTTI_ERR_MISMATCH, "a mismatch ended with status %d",
		   transfer->status) &&
	       kit_check(kit, transfer->peer_bytes == theirs, "peer_bytes is %zu, but the other side said %zu",
		   transfer->peer_bytes, theirs) &&
	       kit_check(kit, memcmp(transfer->peer_mark, mark, TUTTI_MARK_BYTES) == 0,
		   "peer_mark is not what the other side said");
}

/* Rank 0 sends what rank 1 does not expect, after a message that both agree on. The mark's last byte is what
 * differs, if it does. */
static void
mismatch(struct kit *kit, size_t sent, size_t expected, bool other_mark, bool sender_must_know)
{
	struct kit_message message;
	unsigned char theirs[TUTTI_MARK_BYTES];
	const bool sends = kit->rank == 0;
	const int peer = 1 - kit->rank;
	const size_t their_bytes = sends ? expected : sent;

	if (kit->rank > 1) {
		kit_barrier(kit);
		return;
	}
	if (!(sends ? kit_send_now(kit, peer, 1, 50, 0) : kit_recv_now(kit, peer, 1, 50, 0)) ||
	    !(sends ? kit_message_send(kit, &message, peer, 1, sent, 1, 0)
		    : kit_message_recv(kit, &message, peer, 1, expected, 1, 0)))
		return;
	memcpy(theirs, message.mark, sizeof(theirs));
	if (other_mark) {
		message.mark[TUTTI_MARK_BYTES - 1] = sends ? 7 : 9;
		theirs[TUTTI_MARK_BYTES - 1] = sends ? 9 : 7;
	}
	if (!kit_post(kit, &message) || !kit_ended(kit, &message))
		return;
	/* A short message may have left before anybody could tell. */
	if (!sends || sender_must_know || message.transfer.status != TUTTI_OK) {
		if (!check_mismatch(kit, &message, their_bytes, theirs) || !check_dead(kit, peer) ||
		    !check_refuses(kit, peer))
			return;
	}
	if (kit_drop(kit, &message))
		kit_barrier(kit);
}

void
promise_reports_another_length(struct kit *kit)
{
	mismatch(kit, 100, 108, false, false);
}

void
promise_reports_another_mark(struct kit *kit)
{
	mismatch(kit, 64, 64, true, false);
}

void
promise_reports_a_mismatch_of_a_long_message_to_both(struct kit *kit)
{
	mismatch(kit, (size_t)24 << 20, 64, true, true);
}

/* ---- cancel ---- */

enum { FLAG_POSTED, FLAG_CANCELLED, FLAG_SENT, FLAG_CLOSED, FLAG_MET /* counts */ };

struct victim {
	struct kit_message recv[4], send;
};

static bool
post_victims(struct kit *kit, struct victim *victim)
{
	for (uint64_t i = 0; i < TT_COUNT_OF(victim->recv); i++) {
		if (!kit_message_recv(kit, &victim->recv[i], 1, (uint32_t)(i % 2), i < 2 ? 2000000 : 64, i / 2, 0) ||
		    !kit_post(kit, &victim->recv[i]))
			return false;
	}
	/* Nobody receives it. */
	return kit_message_send(kit, &victim->send, 1, 2, (size_t)16 << 20, 0, 0) && kit_post(kit, &victim->send);
}

static bool
check_victims(struct kit *kit, struct victim *victim)
{
	for (size_t i = 0; i < TT_COUNT_OF(victim->recv); i++) {
		const tutti_status status = victim->recv[i].transfer.status;

		/* The first may have ended before. */
		if (!kit_check(kit, status == TUTTI_ERR_ABORTED || status == TUTTI_OK,
			"after cancel() a receive has status %d", status))
			return false;
		memset(victim->recv[i].buffer.bytes, 0x11, victim->recv[i].buffer.n);
	}
	return kit_check(kit, victim->send.transfer.status == TUTTI_ERR_ABORTED,
	    "after cancel() a send has status %d", victim->send.transfer.status);
}

static bool
check_untouched(struct kit *kit, struct victim *victim)
{
	for (size_t i = 0; i < TT_COUNT_OF(victim->recv); i++) {
		const struct kit_buffer *buffer = &victim->recv[i].buffer;

		for (size_t at = 0; at < buffer->n; at++) {
			if (buffer->bytes[at] != 0x11)
				return kit_check(kit, false, "a buffer was written after cancel()");
		}
		if (!kit_drop(kit, &victim->recv[i]))
			return false;
	}
	return kit_drop(kit, &victim->send);
}

static void
cancelling_rank(struct kit *kit)
{
	struct victim victim;

	if (!post_victims(kit, &victim))
		return;
	kit_flag_raise(kit, FLAG_POSTED);
	for (int i = 0; i < 20; i++)
		kit->transport->progress(kit->endpoint);
	kit->transport->cancel(kit->endpoint);
	if (!check_victims(kit, &victim) || !check_refuses(kit, 1))
		return;
	kit_flag_raise(kit, FLAG_CANCELLED);
	/* The other side goes on sending meanwhile. */
	if (!kit_flag_wait(kit, FLAG_SENT, true) || !check_untouched(kit, &victim))
		return;
	kit_barrier(kit);
}

/* Sends what the cancelling rank waits for, as far as it goes. */
static void
sending_rank(struct kit *kit)
{
	struct kit_message send[2];
	tutti_status status[2] = {TUTTI_IN_PROGRESS, TUTTI_IN_PROGRESS};

	if (!kit_flag_wait(kit, FLAG_POSTED, false))
		return;
	for (uint32_t lane = 0; lane < 2; lane++) {
		if (!kit_message_send(kit, &send[lane], 0, lane, 2000000, 0, 0))
			return;
		for (int i = 0; i < 1000 && status[lane] == TUTTI_IN_PROGRESS; i++) {
			status[lane] = kit_try(kit, &send[lane]);
			kit->transport->progress(kit->endpoint);
		}
	}
	if (!kit_flag_wait(kit, FLAG_CANCELLED, true))
		return;
	for (int i = 0; i < 100; i++)
		kit->transport->progress(kit->endpoint);
	kit_flag_raise(kit, FLAG_SENT);
	for (uint32_t lane = 0; lane < 2; lane++) {
		if ((status[lane] == TUTTI_OK && !kit_ended(kit, &send[lane])) || !kit_drop(kit, &send[lane]))
			return;
	}
	kit_barrier(kit);
}

void
promise_cancel_ends_everything(struct kit *kit)
{
	if (kit->rank == 0)
		cancelling_rank(kit);
	else if (kit->rank == 1)
		sending_rank(kit);
	else
		kit_barrier(kit);
}

/* ---- what the peers see ---- */

/* Waits until a receive that can never be served ends; the peer may have left even before it is posted. */
static bool
sees_the_end(struct kit *kit, int of)
{
	struct kit_message message;
	tutti_status status = TUTTI_IN_PROGRESS;

	if (!kit_message_recv(kit, &message, of, 0, 1000, 99, 0))
		return false;
	while (status == TUTTI_IN_PROGRESS) {
		status = kit_try(kit, &message);
		kit->transport->progress(kit->endpoint);
		if (!kit_pause(kit, "a receive to be taken"))
			return false;
	}
	kit_flag_raise(kit, FLAG_POSTED);
	if (status == TUTTI_OK) {
		if (!kit_ended(kit, &message))
			return false;
		status = message.transfer.status;
	}
	return kit_check(kit, status > TUTTI_IN_PROGRESS, "a receive from nobody ended with status %d", status) &&
	       check_dead(kit, of) && check_refuses(kit, of) && kit_drop(kit, &message);
}

void
promise_cancel_is_seen_by_the_peers(struct kit *kit)
{
	if (kit->rank == 0) {
		if (!kit_flag_wait(kit, FLAG_POSTED, true))
			return;
		kit->transport->cancel(kit->endpoint);
	} else if (kit->rank == 1 && !sees_the_end(kit, 0)) {
		return;
	}
	kit_barrier(kit);
}

void
promise_close_is_seen_by_the_peers(struct kit *kit)
{
	/* A message first, so that there is a connection to lose. */
	if (kit->rank == 0) {
		if (!kit_send_now(kit, 1, 1, 10, 0) || !kit_flag_wait(kit, FLAG_POSTED, true))
			return;
		kit->transport->close(kit->endpoint);
		kit->endpoint = NULL;
	} else if (kit->rank == 1 && (!kit_recv_now(kit, 0, 1, 10, 0) || !sees_the_end(kit, 0))) {
		return;
	}
	kit_barrier(kit);
}

/* The receiver looks seldom, so that much is under way when the sender leaves, and it also waits for something that
 * will never come: that must not end before the rest has arrived. */
static bool
look_seldom(struct kit *kit, struct kit_message *never)
{
	if (!kit_message_recv(kit, never, 0, 0, 1000, 99, 0) || !kit_post(kit, never))
		return false;
	while (!kit_flag_raised(kit, FLAG_CLOSED)) {
		kit->transport->progress(kit->endpoint);
		if (!kit_pause(kit, "the sender's leaving"))
			return false;
		usleep(5000);
	}
	return true;
}

void
promise_close_lets_completed_sends_arrive(struct kit *kit)
{
	enum { MESSAGES = 24 };
	struct kit_message messages[MESSAGES], never;

	for (uint64_t i = 0; i < MESSAGES && kit->rank < 2; i++) {
		const size_t bytes = i % 6 == 5 ? 300000 : 900 * (size_t)i;
		const uint32_t lane = 1 + (uint32_t)(i % (kit->lanes - 1));
		const bool made = kit->rank == 0 ? kit_message_send(kit, &messages[i], 1, lane, bytes, i, 0)
						 : kit_message_recv(kit, &messages[i], 0, lane, bytes, i, 0);

		if (!made || !kit_post(kit, &messages[i]))
			return;
	}
	if (kit->rank == 1 && !look_seldom(kit, &never))
		return;
	for (size_t i = 0; i < MESSAGES && kit->rank < 2; i++) {
		if (!kit_finish(kit, &messages[i]))
			return;
	}
	if (kit->rank == 0) {
		kit->transport->close(kit->endpoint);
		kit->endpoint = NULL;
		kit_flag_raise(kit, FLAG_CLOSED);
	}
	if (kit->rank == 1 && (!kit_ended(kit, &never) || !check_dead(kit, 0) || !kit_drop(kit, &never)))
		return;
	kit_barrier(kit);
}

/* A message that has been sent may still be in memory that dies with the process, the provider's: all peers have theirs
 * first. */
static bool
has_met_all(struct kit *kit)
{
	for (int peer = 0; peer < kit->nranks; peer++)
		if (peer != kit->rank && !kit_send_now(kit, peer, 1, 10, 0))
			return false;
	while (tt_load_acquire(&kit->world->flags[FLAG_MET]) < (uint32_t)kit->nranks - 1) {
		kit->transport->progress(kit->endpoint);
		if (!kit_pause(kit, "all to have a message"))
			return false;
	}
	return true;
}

void
promise_death_is_seen_by_the_peers(struct kit *kit)
{
	if (kit->rank == 1) {
		if (has_met_all(kit) && kit_flag_wait(kit, FLAG_POSTED, true))
			raise(SIGKILL);
		return;
	}
	if (!kit_recv_now(kit, 1, 1, 10, 0))
		return;
	tt_fetch_add_acq_rel(&kit->world->flags[FLAG_MET], 1);
	sees_the_end(kit, 1);
}

/* ---- reach ---- */

void
promise_refuses_a_peer_out_of_reach(struct kit *kit)
{
	tutti_link *link = NULL;
	const size_t bytes = kit->world->address_bytes[kit->rank];
	const tutti_status status =
	    kit->transport->connect(kit->endpoint, kit->nranks, kit->world->address[kit->rank], bytes, &link);

	if (kit_check(kit, status == TUTTI_ERR_UNSUPPORTED && link == NULL,
		"connect() to a rank that shares no memory says %d", status))
		kit_barrier(kit);
}

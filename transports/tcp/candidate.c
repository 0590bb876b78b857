/* SPDX-License-Identifier: Apache-2.0
 *
 * candidate.c - moving a greeting's bytes.
 *
 * Nothing is read beyond the greeting: the first byte after it belongs to the stream.
 */
#include "tcp/candidate.h"

#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"
#include "tcp/link.h"
#include "tcp/reach.h"

tutti_status
tt_candidate_tune(const tutti_endpoint *endpoint, int fd, const struct tt_address *remote)
{
	TT_TRY(tt_tcp_tune(
	    fd, endpoint->peer_timeout_ms, tt_place_is_near(remote, endpoint->places, endpoint->nlisteners)));
	tt_tcp_be_patient(fd);
	return TUTTI_OK;
}

static void
insert(struct tt_candidate *candidate)
{
	tutti_endpoint *endpoint = candidate->endpoint;

	candidate->next = endpoint->candidates;
	if (candidate->next != NULL)
		candidate->next->prev = candidate;
	endpoint->candidates = candidate;
	if (candidate->link == NULL)
		endpoint->nunproven++;
}

tutti_status
tt_candidate_create(tutti_endpoint *endpoint, int fd, tutti_link *link, int channel,
    const unsigned char nonce[TT_TCP_NONCE], const struct tt_address *remote, int64_t deadline_ns)
{
	struct tt_hello hello = {.purpose = TT_PURPOSE_TCP, .rank = endpoint->rank, .number = endpoint->lanes};
	struct tt_candidate *candidate;
	tutti_status status;
	void *memory;

	status = tt_alloc(1, sizeof(*candidate), "a TCP connection", &memory);
	if (status != TUTTI_OK) {
		tt_fd_close(fd);
		return status;
	}
	candidate = memory;
	candidate->watch = (struct tt_watch){TT_WATCH_CANDIDATE, fd};
	candidate->endpoint = endpoint;
	candidate->link = link;
	candidate->channel = channel;
	candidate->dialed = candidate->connecting = candidate->wants_out = link != NULL;
	candidate->remote = *remote;
	candidate->deadline_ns = deadline_ns;
	/* The responder's nonce stands for the communicator: a call that was meant for another endpoint, which had
	 * this port before, does not get through. */
	memcpy(hello.epoch, nonce, sizeof(hello.epoch));
	tt_greeting_init(&candidate->greeting, link != NULL, endpoint->key, &hello);
	status = tt_watch_add(endpoint, &candidate->watch, link != NULL ? EPOLLIN | EPOLLOUT : EPOLLIN);
	if (status != TUTTI_OK) {
		tt_fd_close(fd);
		tt_free(candidate);
		return status;
	}
	insert(candidate);
	return TUTTI_OK;
}

void
tt_candidate_drop(struct tt_candidate *candidate)
{
	tutti_endpoint *endpoint = candidate->endpoint;

	if (candidate->prev != NULL)
		candidate->prev->next = candidate->next;
	else
		endpoint->candidates = candidate->next;
	if (candidate->next != NULL)
		candidate->next->prev = candidate->prev;
	if (candidate->link == NULL)
		endpoint->nunproven--;
	else if (candidate->link->choice == candidate)
		candidate->link->choice = NULL;
	tt_fd_close(candidate->watch.fd);
	candidate->watch.fd = -1;
	candidate->link = NULL;
	candidate->prev = NULL;
	candidate->next = endpoint->dropped;
	endpoint->dropped = candidate;
}

void
tt_candidate_sweep(tutti_endpoint *endpoint)
{
	while (endpoint->dropped != NULL) {
		struct tt_candidate *candidate = endpoint->dropped;

		endpoint->dropped = candidate->next;
		tt_free(candidate);
	}
}

struct tt_candidate *
tt_candidate_oldest(tutti_endpoint *endpoint)
{
	struct tt_candidate *oldest = NULL;

	for (struct tt_candidate *at = endpoint->candidates; at != NULL; at = at->next) {
		if (at->link == NULL)
			oldest = at; /* new ones are inserted in front */
	}
	return oldest;
}

/* A call from outside has proven its rank: which link is it for? */
static tutti_status
find_link(struct tt_candidate *candidate)
{
	tutti_endpoint *endpoint = candidate->endpoint;
	const struct tt_hello *theirs = &candidate->greeting.handshake.theirs;
	tutti_link *link;

	if (theirs->rank < 0 || theirs->rank >= endpoint->nranks || theirs->rank == endpoint->rank)
		return tt_fail(TUTTI_ERR_AUTH, -1, "a connection says that it comes from rank %d", theirs->rank);
	TT_TRY(tt_endpoint_link(endpoint, theirs->rank, &link));
	candidate->link = link;
	candidate->deadline_ns = TT_FOREVER;
	endpoint->nunproven--;
	return TUTTI_OK;
}

static tutti_status
check_proof(struct tt_candidate *candidate)
{
	const struct tt_hello *theirs = &candidate->greeting.handshake.theirs;

	if (candidate->link == NULL)
		TT_TRY(find_link(candidate));
	if (theirs->rank != candidate->link->peer)
		return tt_fail(TUTTI_ERR_AUTH, candidate->link->peer, "rank %d answered in the place of rank %d",
		    theirs->rank, candidate->link->peer);
	if (theirs->number != candidate->endpoint->lanes)
		return tt_fail(TUTTI_ERR_MISMATCH, candidate->link->peer,
		    "rank %d opened the transport with %u lanes and this rank with %u", theirs->rank,
		    (unsigned)theirs->number, (unsigned)candidate->endpoint->lanes);
	candidate->deadline_ns = TT_FOREVER;
	return TUTTI_OK;
}

/* Everything that is to be said; *all = it is. */
static tutti_status
say(struct tt_candidate *candidate, bool *all)
{
	size_t n, done;

	for (;;) {
		const void *bytes = tt_greeting_take(&candidate->greeting, &n);

		*all = n == 0;
		if (n == 0)
			return TUTTI_OK;
		TT_TRY(tt_write_some(candidate->watch.fd, bytes, n, &done));
		if (done == 0)
			return TUTTI_OK;
		tt_greeting_sent(&candidate->greeting, done);
	}
}

/* One piece of what the other side says; *news = the phase may have changed. */
static tutti_status
listen_to(struct tt_candidate *candidate, bool *news)
{
	unsigned char bytes[TT_HELLO_MESSAGE];
	const size_t wants = tt_greeting_wants(&candidate->greeting);
	size_t n = 0;

	*news = false;
	if (wants == 0)
		return TUTTI_OK;
	TT_TRY(tt_read_some(candidate->watch.fd, bytes, wants < sizeof(bytes) ? wants : sizeof(bytes), &n));
	*news = n > 0;
	return n > 0 ? tt_greeting_give(&candidate->greeting, bytes, n) : TUTTI_OK;
}

/* TUTTI_IN_PROGRESS: nothing more for now. */
static tutti_status
move(struct tt_candidate *candidate)
{
	const enum tt_greeting_phase before = candidate->greeting.phase;
	bool all, news;

	if (candidate->connecting) {
		TT_TRY(tt_connect_result(candidate->watch.fd));
		TT_TRY(tt_candidate_tune(candidate->endpoint, candidate->watch.fd, &candidate->remote));
		candidate->connecting = false;
	}
	TT_TRY(say(candidate, &all));
	if (candidate->wants_out == all) {
		candidate->wants_out = !all;
		tt_watch_change(candidate->endpoint, &candidate->watch, all ? EPOLLIN : EPOLLIN | EPOLLOUT);
	}
	TT_TRY(listen_to(candidate, &news));
	if (before == TT_GREETING_PROVING && candidate->greeting.phase == TT_GREETING_PROVEN)
		TT_TRY(check_proof(candidate));
	return news || tt_greeting_done(&candidate->greeting) ? TUTTI_OK : TUTTI_IN_PROGRESS;
}

void
tt_candidate_step(struct tt_candidate *candidate)
{
	tutti_status status;

	while (candidate->watch.fd >= 0) {
		status = move(candidate);
		if (status == TUTTI_IN_PROGRESS)
			return;
		if (status != TUTTI_OK) {
			/* Whoever could not say who he is, is nobody: no word is wasted on him. */
			if (candidate->link != NULL)
				tt_tcp_link_lost(candidate->link, candidate, status, tt_last_error()->message);
			else
				tt_candidate_drop(candidate);
			return;
		}
		if (candidate->link != NULL)
			tt_tcp_link_consider(candidate->link, candidate);
	}
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * link_join.c - how a link gets its connection.
 *
 * The lower rank calls as soon as it wants something, the higher one only after a moment: as whatever one side
 * sends is received by the other, the lower rank's call is usually on its way by then. With something to send it is a
 * shorter one: a receive from anybody calls nobody, so the lower rank may never call. If they call each other all
 * the same, the lower rank's choice decides (greeting.h). A connection that breaks before both have agreed on it
 * has carried no message, hence it is only an attempt that failed.
 */
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/error.h"
#include "tcp/link.h"

#define HIGHER_RANK_WAITS_NS (20 * TT_MS)
#define WITH_A_MESSAGE_NS (1 * TT_MS)

void
tt_tcp_link_want(tutti_link *link, bool sends)
{
	tutti_endpoint *endpoint = link->endpoint;
	const int64_t now = tt_now_ns();
	const int64_t pause = endpoint->rank < link->peer ? 0 : sends ? WITH_A_MESSAGE_NS : HIGHER_RANK_WAITS_NS;

	if (link->live_index >= 0 || link->status != TUTTI_OK)
		return;
	if (link->dial.state != TT_DIAL_IDLE) {
		tt_dial_hurry(&link->dial, now + pause);
		return;
	}
	tt_dial_start(&link->dial, link->nplaces, now + pause, tt_deadline_ns(endpoint->connect_timeout_ms));
	endpoint->ndialing++;
	tt_tcp_link_tick(link, now);
}

static void
attempt_failed(tutti_link *link, const char *why)
{
	char address[64];

	tt_address_print(&link->flows[0].remote, address, sizeof(address));
	snprintf(link->attempt, sizeof(link->attempt), "%s: %.90s", address, why);
	tt_dial_failed(&link->dial, tt_now_ns());
}

static void
call(tutti_link *link, const struct tt_address *address, int64_t now_ns)
{
	int fd = -1;

	link->flows[0].remote = *address;
	if (tt_connect_tcp(address, &fd) != TUTTI_OK ||
	    tt_candidate_create(link->endpoint, fd, link, 0, link->nonce, address,
		tt_dial_attempt_deadline(&link->dial, now_ns)) != TUTTI_OK)
		attempt_failed(link, tt_last_error()->message);
}

void
tt_tcp_link_tick(tutti_link *link, int64_t now_ns)
{
	int next;

	/* Who does not look at its connections now may do so after the time limit of whoever waits for it. */
	if (tt_dial_expired(&link->dial, now_ns) && link->heard) {
		link->heard = false;
		link->dial.deadline_ns = tt_deadline_ns(link->endpoint->connect_timeout_ms);
	}
	if (tt_dial_expired(&link->dial, now_ns)) {
		tt_tcp_link_die(link, TUTTI_ERR_PEER, "rank %d could not be reached within %lld ms (%s)", link->peer,
		    (long long)link->endpoint->connect_timeout_ms,
		    link->attempt[0] != '\0' ? link->attempt : "it does not answer");
		return;
	}
	next = tt_dial_due(&link->dial, now_ns);
	if (next >= 0)
		call(link, &link->places[next].address, now_ns);
}

void
tt_tcp_link_lost(tutti_link *link, struct tt_candidate *candidate, tutti_status status, const char *why)
{
	const bool dialed = candidate->dialed;
	const int channel = candidate->channel;
	char text[sizeof(link->attempt)];

	/* A stranger who answered at the peer's address is no sign of the peer. */
	if (dialed && channel == 0 && !candidate->connecting && status != TUTTI_ERR_AUTH &&
	    status != TUTTI_ERR_VERSION)
		link->heard = true;
	/* Whoever proves that he is the peer, and says this, means it. */
	snprintf(text, sizeof(text), "%s", why);
	if (link->status == TUTTI_OK && candidate->greeting.phase != TT_GREETING_PROVING && link->live_index < 0 &&
	    (candidate->greeting.over || status == TUTTI_ERR_MISMATCH)) {
		tt_tcp_link_die(link, status, "rank %d: %s", link->peer, text);
		return;
	}
	tt_candidate_drop(candidate);
	if (channel > 0)
		tt_tcp_link_narrow(link, channel);
	else if (dialed)
		attempt_failed(link, text);
}

void
tt_tcp_link_stop(tutti_link *link)
{
	struct tt_candidate *next;

	if (link->dial.state != TT_DIAL_IDLE)
		link->endpoint->ndialing--;
	tt_dial_stop(&link->dial);
	for (struct tt_candidate *at = link->endpoint->candidates; at != NULL; at = next) {
		next = at->next;
		if (at->link == link)
			tt_candidate_drop(at);
	}
}

static void
take_over(tutti_link *link, struct tt_candidate *candidate, int channel)
{
	struct tt_flow *flow = &link->flows[channel];

	flow->remote = candidate->remote;
	flow->watch.fd = candidate->watch.fd;
	candidate->watch.fd = -1;
	tt_watch_change(link->endpoint, &flow->watch, EPOLLIN);
	flow->events = EPOLLIN;
}

/* Within the host. The byte that is left unread is no news: a batch has at least two. */
static void
sip(tutti_link *link)
{
	const int two = 2, fd = link->flows[0].watch.fd;

	link->stream.sips = tt_tcp_at_home(fd) && setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &two, sizeof(two)) == 0;
}

/* The link's first connection: it lives. */
static void
adopt(tutti_link *link, struct tt_candidate *candidate)
{
	tutti_endpoint *endpoint = link->endpoint;
	const struct tt_terms *theirs = &candidate->greeting.theirs;

	link->width = theirs->width < endpoint->terms.width ? theirs->width : endpoint->terms.width;
	if (tt_stream_open(&link->stream, link->width > 1) != TUTTI_OK) {
		tt_tcp_link_die(link, TUTTI_ERR_NOMEM, "rank %d: %s", link->peer, tt_last_error()->message);
		return;
	}
	link->stream.sums = endpoint->terms.sums || theirs->sums;
	take_over(link, candidate, 0);
	sip(link);
	link->live_index = endpoint->nlive;
	endpoint->live[endpoint->nlive++] = link;
	tt_tcp_link_stop(link);
	tt_tcp_link_write(link);
}

/* One more, for chunks. */
static void
adopt_more(tutti_link *link, struct tt_candidate *candidate, int channel)
{
	if (tt_stream_widen(&link->stream, channel) != TUTTI_OK) {
		/* The peer may have put chunks on it already. */
		tt_tcp_link_die(link, TUTTI_ERR_NOMEM, "rank %d: %s", link->peer, tt_last_error()->message);
		return;
	}
	take_over(link, candidate, channel);
	tt_candidate_drop(candidate);
	tt_tcp_link_write(link);
}

/* Nothing will come of it; the other side shall know at once. */
static void
turn_away(tutti_link *link, struct tt_candidate *candidate)
{
	const bool dialed = candidate->dialed && candidate->channel == 0;
	size_t n, done;
	const void *bytes;

	if (link->status != TUTTI_OK) {
		tt_greeting_goodbye(&candidate->greeting);
		bytes = tt_greeting_take(&candidate->greeting, &n);
		if (n > 0)
			(void)tt_write_some(candidate->watch.fd, bytes, n, &done);
	}
	tt_candidate_drop(candidate);
	if (dialed)
		attempt_failed(link, "another connection was preferred");
}

/* Is this connection, for this channel, what the link is waiting for? */
static bool
is_welcome(const tutti_link *link, uint32_t channel)
{
	if (link->status != TUTTI_OK)
		return false;
	if (channel == 0)
		return link->live_index < 0;
	return link->live_index >= 0 && channel < TT_CHANNELS && link->stream.channels[channel] == NULL;
}

/* The lower rank's part. */
static void
choose(tutti_link *link, struct tt_candidate *candidate)
{
	const uint32_t channel = (uint32_t)candidate->channel;

	if (!is_welcome(link, channel) || (channel == 0 && link->choice != NULL)) {
		turn_away(link, candidate);
		return;
	}
	if (channel == 0)
		link->choice = candidate;
	tt_greeting_choose(&candidate->greeting, channel, &link->endpoint->terms);
}

void
tt_tcp_link_consider(tutti_link *link, struct tt_candidate *candidate)
{
	struct tt_greeting *greeting = &candidate->greeting;

	if (greeting->phase == TT_GREETING_PROVING)
		return;
	if (greeting->phase == TT_GREETING_PROVEN && greeting->chooser) {
		choose(link, candidate);
	} else if (greeting->phase == TT_GREETING_PROVEN) {
		/* What it is to be, the lower rank will say. */
		if (link->status != TUTTI_OK)
			turn_away(link, candidate);
	} else if (!is_welcome(link, greeting->channel)) {
		turn_away(link, candidate);
	} else if (greeting->phase == TT_GREETING_CHOSEN) {
		if (greeting->channel == 0)
			link->choice = candidate;
		tt_greeting_agree(greeting, &link->endpoint->terms);
	} else if (tt_greeting_done(greeting) && greeting->channel == 0) {
		adopt(link, candidate);
	} else if (tt_greeting_done(greeting)) {
		adopt_more(link, candidate, (int)greeting->channel);
	}
}

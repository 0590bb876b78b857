/* SPDX-License-Identifier: Apache-2.0
 *
 * endpoint.c - opening, closing, progress, and sleeping.
 *
 * Strangers can delay nobody: accepting, greeting and reading are each bounded in one progress(), and a stranger
 * who says nothing is dropped after TT_HANDSHAKE_MS, or earlier when others want in.
 */
#include "tcp/endpoint.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"
#include "tcp/blob.h"
#include "tcp/candidate.h"
#include "tcp/link.h"

#define SCRATCH_BYTES ((size_t)128 << 10) /* stays in the second-level cache between arrival and fold */
#define DIRECT_LINKS 4 /* so many sockets are read without asking epoll first */
#define LOOK_EVERY 64 /* calls of progress(), when links are read directly */
#define CUTS_EVERY 1024 /* calls of progress(), where nobody sleeps in between */
#define EVENTS 64
#define SPEED_100G 14 /* class of speed: see struct tt_place */
#define ACCEPTS 16 /* in one progress() */
#define DEAF_NS (100 * TT_MS)
#define LINGER_NS (100 * TT_MS) /* at most, in close(), for bytes that the network has not taken */

/* ---- watching ---- */

tutti_status
tt_watch_add(const tutti_endpoint *endpoint, struct tt_watch *watch, uint32_t events)
{
	struct epoll_event event = {.events = events, .data = {.ptr = watch}};

	if (epoll_ctl(endpoint->epoll, EPOLL_CTL_ADD, watch->fd, &event) != 0)
		return tt_fail_errno("cannot watch a connection");
	return TUTTI_OK;
}

void
tt_watch_change(const tutti_endpoint *endpoint, struct tt_watch *watch, uint32_t events)
{
	struct epoll_event event = {.events = events, .data = {.ptr = watch}};

	/* Cannot fail for a descriptor that is watched already. */
	epoll_ctl(endpoint->epoll, EPOLL_CTL_MOD, watch->fd, &event);
}

void
tt_watch_remove(const tutti_endpoint *endpoint, struct tt_watch *watch)
{
	struct epoll_event event = {0};

	epoll_ctl(endpoint->epoll, EPOLL_CTL_DEL, watch->fd, &event);
}

/* ---- opening and closing ---- */

static uint8_t
speed_class(const struct tt_interface *interface)
{
	uint8_t class = 0;

	for (long mbit = interface->speed_mbit; mbit >= 10 && class < 15; mbit /= 2)
		class ++;
	return class;
}

/* Connections for chunks beside the first: one for each interface, several for very quick ones, which a single
 * connection and a single core cannot fill. If that is one, the first does it all. */
static uint32_t
width_of(const tutti_endpoint *endpoint, const tutti_environment *env)
{
	int nics = 0, each = 1, width;

	for (int i = 0; i < endpoint->nlisteners; i++)
		nics = endpoint->places[i].nic >= nics ? endpoint->places[i].nic + 1 : nics;
	if (endpoint->places[0].speed >= SPEED_100G && env->cores >= 4 * env->nlocal)
		each = 4;
	width = env->connections > 0 ? env->connections : nics * each;
	width = width < TT_CHANNELS - 1 ? width : TT_CHANNELS - 1;
	return width > 1 ? (uint32_t)width : 0;
}

static tutti_status
open_listeners(tutti_endpoint *endpoint, const tutti_environment *env)
{
	struct tt_interface found[TT_TCP_ADDRESSES];
	tutti_status status = TUTTI_OK;
	int n = 0;

	TT_TRY(tt_interfaces_describe(env->interfaces, found, TT_TCP_ADDRESSES, &n));
	for (int i = 0; i < n; i++) {
		struct tt_watch *listener = &endpoint->listeners[endpoint->nlisteners];

		status = tt_listen_tcp(&found[i].address, env->port_range, &listener->fd);
		/* An address that just went away, or a full range of ports, is no loss while another one works. */
		if (status != TUTTI_OK)
			continue;
		endpoint->places[endpoint->nlisteners++] = (struct tt_place){.address = found[i].address,
		    .nic = (uint8_t)(found[i].number < 15 ? found[i].number : 15),
		    .speed = speed_class(&found[i]),
		    .prefix = (uint8_t)found[i].prefix};
		TT_TRY(tt_watch_add(endpoint, listener, EPOLLIN));
	}
	return endpoint->nlisteners > 0 ? TUTTI_OK : status;
}

static tutti_status
open_parts(tutti_endpoint *endpoint, const tutti_environment *env)
{
	void *memory;

	TT_TRY(tt_alloc((size_t)env->nranks, 2 * sizeof(tutti_link *), "the links of a TCP endpoint", &memory));
	endpoint->links = memory;
	endpoint->live = endpoint->links + env->nranks;
	TT_TRY(tt_alloc(1, SCRATCH_BYTES, "the TCP transport", &memory));
	endpoint->scratch = memory;
	endpoint->scratch_bytes = SCRATCH_BYTES;
	endpoint->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (endpoint->epoll < 0)
		return tt_fail_errno("cannot make an epoll descriptor");
	tt_fd_guard(endpoint->epoll);
	endpoint->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (endpoint->timer.fd < 0)
		return tt_fail_errno("cannot make a timer descriptor");
	tt_fd_guard(endpoint->timer.fd);
	TT_TRY(tt_watch_add(endpoint, &endpoint->timer, EPOLLIN));
	TT_TRY(open_listeners(endpoint, env));
	endpoint->terms = (struct tt_terms){width_of(endpoint, env), env->checksum != 0};
	return TUTTI_OK;
}

tutti_status
tt_endpoint_open(const tutti_environment *env, tutti_endpoint **endpoint)
{
	tutti_endpoint *made;
	tutti_status status;
	void *memory;

	if (env->nranks < 1 || env->rank < 0 || env->rank >= env->nranks || env->lanes == 0 || env->key == NULL)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "the TCP transport needs a rank, at least one lane and a key");
	TT_TRY(tt_alloc(1, sizeof(*made), "a TCP endpoint", &memory));
	made = memory;
	made->rank = env->rank;
	made->nranks = env->nranks;
	made->lanes = env->lanes;
	made->connect_timeout_ms = env->connect_timeout_ms;
	made->peer_timeout_ms = env->peer_timeout_ms;
	memcpy(made->key, env->key, sizeof(made->key));
	tt_random(made->nonce, sizeof(made->nonce));
	for (int i = 0; i < TT_TCP_ADDRESSES; i++)
		made->listeners[i] = (struct tt_watch){TT_WATCH_LISTENER, -1};
	made->timer = (struct tt_watch){TT_WATCH_TIMER, -1};
	made->epoll = -1;
	status = open_parts(made, env);
	if (status != TUTTI_OK) {
		tt_endpoint_close(made);
		return status;
	}
	*endpoint = made;
	return TUTTI_OK;
}

/* Bytes of completed sends are in the kernel, which goes on sending after close(), unless the peer's own bytes then
 * hit a closed socket. So the last ones get a moment. */
static void
linger(tutti_endpoint *endpoint)
{
	const int64_t deadline = tt_now_ns() + LINGER_NS;
	bool waiting = true;

	while (waiting && tt_now_ns() < deadline) {
		waiting = false;
		for (int i = 0; i < endpoint->nranks; i++)
			if (endpoint->links[i] != NULL)
				waiting |= tt_tcp_link_drain(endpoint->links[i]);
		if (waiting)
			poll(NULL, 0, 1);
	}
}

static void
close_links(tutti_endpoint *endpoint)
{
	for (int i = 0; i < endpoint->nranks; i++)
		if (endpoint->links[i] != NULL && endpoint->links[i]->live_index >= 0)
			tt_tcp_link_leave(endpoint->links[i]);
	linger(endpoint);
	for (int i = 0; i < endpoint->nranks; i++) {
		if (endpoint->links[i] == NULL)
			continue;
		tt_tcp_link_die(endpoint->links[i], TUTTI_ERR_ABORTED, "the endpoint was closed");
		tt_tcp_link_destroy(endpoint->links[i]);
	}
}

void
tt_endpoint_close(tutti_endpoint *endpoint)
{
	if (endpoint == NULL)
		return;
	if (endpoint->links != NULL)
		close_links(endpoint);
	while (endpoint->candidates != NULL)
		tt_candidate_drop(endpoint->candidates);
	tt_candidate_sweep(endpoint);
	for (int i = 0; i < endpoint->nlisteners; i++)
		tt_fd_close(endpoint->listeners[i].fd);
	tt_fd_close(endpoint->timer.fd);
	tt_fd_close(endpoint->epoll);
	tt_free(endpoint->scratch);
	tt_free(endpoint->links);
	explicit_bzero(endpoint->key, sizeof(endpoint->key));
	tt_free(endpoint);
}

void
tt_endpoint_cancel(tutti_endpoint *endpoint)
{
	/* Peers that call later are told by the listeners, which stay. */
	endpoint->cancelled = true;
	for (int i = 0; i < endpoint->nranks; i++)
		if (endpoint->links[i] != NULL)
			tt_tcp_link_die(endpoint->links[i], TUTTI_ERR_ABORTED,
			    "the transfers with rank %d were cancelled by this rank", endpoint->links[i]->peer);
}

tutti_status
tt_endpoint_address(tutti_endpoint *endpoint, void *address, size_t *bytes)
{
	const size_t need = TT_BLOB_BYTES(endpoint->nlisteners);

	if (*bytes < need)
		return tt_fail(
		    TUTTI_ERR_ARGUMENT, -1, "an address of the TCP transport takes %zu bytes, not %zu", need, *bytes);
	tt_blob_encode(endpoint->nonce, endpoint->places, endpoint->nlisteners, address);
	*bytes = need;
	return TUTTI_OK;
}

tutti_status
tt_endpoint_link(tutti_endpoint *endpoint, int peer, tutti_link **link)
{
	if (peer < 0 || peer >= endpoint->nranks)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "rank %d is none of the %d ranks", peer, endpoint->nranks);
	if (endpoint->links[peer] == NULL) {
		TT_TRY(tt_tcp_link_create(endpoint, peer, &endpoint->links[peer]));
		if (endpoint->cancelled)
			tt_tcp_link_die(endpoint->links[peer], TUTTI_ERR_ABORTED,
			    "the transfers with rank %d were cancelled by this rank", peer);
	}
	*link = endpoint->links[peer];
	return TUTTI_OK;
}

/* ---- progress ---- */

static void
listen_again(tutti_endpoint *endpoint, bool deaf)
{
	endpoint->deaf = deaf;
	for (int i = 0; i < endpoint->nlisteners; i++)
		tt_watch_change(endpoint, &endpoint->listeners[i], deaf ? 0 : EPOLLIN);
}

static void
accept_calls(tutti_endpoint *endpoint, const struct tt_watch *listener)
{
	for (int i = 0; i < ACCEPTS; i++) {
		struct tt_address remote = {0};
		struct sockaddr_storage from = {0};
		socklen_t bytes = sizeof(from);
		const int64_t now = tt_now_ns();
		int fd = -1;

		if (tt_accept(listener->fd, &fd) != TUTTI_OK) {
			/* No descriptor is free; the caller stays in the listener's queue meanwhile. */
			endpoint->hear_ns = now + DEAF_NS;
			listen_again(endpoint, true);
			return;
		}
		if (fd < 0)
			return;
		if (endpoint->nunproven == TT_TCP_UNPROVEN)
			tt_candidate_drop(tt_candidate_oldest(endpoint));
		if (getpeername(fd, (struct sockaddr *)&from, &bytes) == 0)
			tt_address_from_sockaddr(&from, &remote);
		if (tt_candidate_tune(endpoint, fd, &remote) != TUTTI_OK) {
			tt_fd_close(fd);
			continue;
		}
		/* Without memory the caller is turned away, and calls again. */
		(void)tt_candidate_create(
		    endpoint, fd, NULL, 0, endpoint->nonce, &remote, now + TT_HANDSHAKE_MS * TT_MS);
	}
}

static void
clear_timer(tutti_endpoint *endpoint)
{
	uint64_t expirations;
	ssize_t n;

	do
		n = read(endpoint->timer.fd, &expirations, sizeof(expirations));
	while (n < 0 && errno == EINTR);
}

static void
handle(tutti_endpoint *endpoint, struct tt_watch *watch)
{
	struct tt_flow *flow;

	/* It went away while an earlier event was handled. */
	if (watch->fd < 0)
		return;
	switch (watch->kind) {
	case TT_WATCH_LISTENER:
		if (!endpoint->deaf)
			accept_calls(endpoint, watch);
		break;
	case TT_WATCH_TIMER:
		clear_timer(endpoint);
		break;
	case TT_WATCH_CANDIDATE:
		tt_candidate_step((struct tt_candidate *)(void *)watch);
		break;
	case TT_WATCH_FLOW:
		flow = (struct tt_flow *)(void *)watch;
		if (flow->link->live_index >= 0)
			tt_tcp_link_turn(flow->link, flow);
		break;
	}
}

static void
look(tutti_endpoint *endpoint)
{
	struct epoll_event events[EVENTS];
	const int n = epoll_wait(endpoint->epoll, events, EVENTS, 0);

	endpoint->look = false;
	for (int i = 0; i < n; i++)
		handle(endpoint, events[i].data.ptr);
}

/* Something that the clock has to be asked for. */
static bool
is_restless(const tutti_endpoint *endpoint)
{
	return endpoint->ndialing > 0 || endpoint->candidates != NULL || endpoint->deaf;
}

static void
drop_late(tutti_endpoint *endpoint, int64_t now)
{
	struct tt_candidate *at = endpoint->candidates;

	while (at != NULL) {
		if (now < at->deadline_ns) {
			at = at->next;
			continue;
		}
		if (at->link != NULL)
			tt_tcp_link_lost(at->link, at, TUTTI_ERR_PEER, "no answer");
		else
			tt_candidate_drop(at);
		/* Others may have gone with it. */
		at = endpoint->candidates;
	}
}

static void
tick(tutti_endpoint *endpoint)
{
	const int64_t now = tt_now_ns();

	drop_late(endpoint, now);
	for (int i = 0; i < endpoint->nranks && endpoint->ndialing > 0; i++)
		if (endpoint->links[i] != NULL)
			tt_tcp_link_tick(endpoint->links[i], now);
	if (endpoint->deaf && now >= endpoint->hear_ns)
		listen_again(endpoint, false);
}

static bool
has_output(const tutti_link *link)
{
	for (int i = 0; i < link->stream.nchannels; i++)
		if (link->flows[i].watch.fd >= 0 && tt_stream_has_output(&link->stream, i))
			return true;
	return false;
}

int
tt_endpoint_progress(tutti_endpoint *endpoint)
{
	const bool direct = endpoint->nlive <= DIRECT_LINKS;
	int news;

	/* From the last to the first: a link that dies gives its place to one that had its turn. */
	for (int i = endpoint->nlive - 1; i >= 0; i--) {
		tutti_link *link = endpoint->live[i];

		if (has_output(link) || (direct && link->stream.pending > 0))
			tt_tcp_link_turn(link, direct ? NULL : &link->flows[0]);
	}
	endpoint->calls++;
	if (!direct || endpoint->look || is_restless(endpoint) || endpoint->calls % LOOK_EVERY == 0)
		look(endpoint);
	if (endpoint->calls % CUTS_EVERY == 0)
		tt_tcp_look_for_cuts(endpoint);
	if (is_restless(endpoint))
		tick(endpoint);
	tt_candidate_sweep(endpoint);
	news = endpoint->news;
	endpoint->news = 0;
	return news;
}

/* ---- sleeping ---- */

int
tt_endpoint_wait_fd(tutti_endpoint *endpoint)
{
	return endpoint->epoll;
}

static int64_t
next_timer(const tutti_endpoint *endpoint)
{
	int64_t next = endpoint->deaf ? endpoint->hear_ns : TT_FOREVER;

	for (const struct tt_candidate *at = endpoint->candidates; at != NULL; at = at->next)
		next = at->deadline_ns < next ? at->deadline_ns : next;
	for (int i = 0; i < endpoint->nranks && endpoint->ndialing > 0; i++) {
		const int64_t at = endpoint->links[i] != NULL ? tt_dial_timer(&endpoint->links[i]->dial) : TT_FOREVER;

		next = at < next ? at : next;
	}
	return next;
}

static void
set_timer(tutti_endpoint *endpoint, int64_t at_ns)
{
	struct itimerspec when = {0};

	if (at_ns != TT_FOREVER) {
		when.it_value.tv_sec = at_ns / (1000 * TT_MS);
		when.it_value.tv_nsec = at_ns % (1000 * TT_MS);
	}
	if (at_ns == TT_FOREVER && !endpoint->timer_set)
		return;
	timerfd_settime(endpoint->timer.fd, TFD_TIMER_ABSTIME, &when, NULL);
	endpoint->timer_set = at_ns != TT_FOREVER;
}

/* What would end a sleep: news, unless the link waits for other news first, and room for what could not be
 * written. False: something can be written right now. */
static bool
arm_link(tutti_link *link)
{
	for (int i = 0; i < link->stream.nchannels; i++) {
		struct tt_flow *flow = &link->flows[i];
		const struct tt_channel *channel = link->stream.channels[i];
		uint32_t events;

		if (flow->watch.fd < 0)
			continue;
		events = channel->in.parked || channel->over ? 0 : EPOLLIN;
		/* One that is passed over waits for the others, and they for room. */
		if (tt_stream_has_output(&link->stream, i) &&
		    (!flow->deferred || tt_stream_has_begun(&link->stream, i))) {
			if (!flow->blocked)
				return false;
			events |= EPOLLOUT;
		}
		tt_tcp_flow_watch(flow, events);
	}
	return true;
}

static void
disarm_link(tutti_link *link)
{
	for (int i = 0; i < link->stream.nchannels; i++)
		if (link->stream.channels[i] != NULL)
			tt_tcp_flow_watch(&link->flows[i], link->stream.channels[i]->over ? 0 : EPOLLIN);
}

tutti_status
tt_endpoint_arm(tutti_endpoint *endpoint)
{
	struct epoll_event event;

	/* A post may have ended other transfers than its own; whoever looks at them after progress() only must not
	 * sleep now. */
	tt_tcp_look_for_cuts(endpoint);
	if (endpoint->news > 0)
		return TUTTI_IN_PROGRESS;
	for (int i = endpoint->nlive - 1; i >= 0; i--) {
		if (!arm_link(endpoint->live[i])) {
			tt_endpoint_disarm(endpoint);
			return TUTTI_IN_PROGRESS;
		}
	}
	set_timer(endpoint, next_timer(endpoint));
	if (epoll_wait(endpoint->epoll, &event, 1, 0) == 0)
		return TUTTI_OK;
	tt_endpoint_disarm(endpoint);
	return TUTTI_IN_PROGRESS;
}

void
tt_endpoint_disarm(tutti_endpoint *endpoint)
{
	endpoint->look = true;
	for (int i = 0; i < endpoint->nlive; i++)
		disarm_link(endpoint->live[i]);
}

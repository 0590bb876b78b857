/* SPDX-License-Identifier: Apache-2.0
 *
 * guard.c - bytes in and out of a guard, until they are frames.
 */
#include "fabric/guard.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"
#include "fabric/link.h"

#define TURNS 64 /* reads in one step */
#define SEND_BYTES (1 << 20) /* asked of the kernel: what a leaving side has to say should fit */

static void
list_stranger(struct tt_fab_guard *guard)
{
	guard->next = guard->endpoint->strangers;
	guard->endpoint->strangers = guard;
	guard->endpoint->nstrangers++;
}

static void
unlist_stranger(struct tt_fab_guard *guard)
{
	struct tt_fab_guard **at = &guard->endpoint->strangers;

	while (*at != NULL && *at != guard)
		at = &(*at)->next;
	if (*at == NULL)
		return;
	*at = guard->next;
	guard->endpoint->nstrangers--;
}

/* fd is taken over. */
static tutti_status
make(tutti_endpoint *endpoint, int fd, bool initiator, const unsigned char *epoch, struct tt_fab_guard **guard)
{
	struct tt_hello hello = {.purpose = TT_PURPOSE_FABRIC, .rank = endpoint->rank, .number = endpoint->lanes};
	struct tt_fab_guard *made;
	const int room = SEND_BYTES;
	tutti_status status;
	void *memory;

	status = tt_tcp_tune(fd, endpoint->peer_timeout_ms, false);
	if (status == TUTTI_OK)
		status = tt_alloc(1, sizeof(*made), "a guard", &memory);
	if (status != TUTTI_OK) {
		tt_fd_close(fd);
		return status;
	}
	made = memory;
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	made->endpoint = endpoint;
	made->initiator = made->connecting = initiator;
	made->watch = (struct tt_fab_watch){TT_FAB_GUARD, fd};
	made->deadline_ns = tt_now_ns() + TT_HANDSHAKE_MS * TT_MS;
	memcpy(hello.epoch, epoch, sizeof(hello.epoch));
	tt_handshake_init(&made->handshake, initiator, endpoint->key, &hello);
	status = tt_fab_watch_add(endpoint, &made->watch, initiator ? EPOLLIN | EPOLLOUT : EPOLLIN);
	if (status != TUTTI_OK) {
		tt_fd_close(fd);
		tt_free(made);
		return status;
	}
	*guard = made;
	return TUTTI_OK;
}

tutti_status
tt_fab_guard_dial(tutti_link *link, struct tt_fab_guard **guard)
{
	int fd;

	TT_TRY(tt_connect_tcp(&link->addresses[link->address], &fd));
	TT_TRY(make(link->endpoint, fd, true, link->nonce, guard));
	(*guard)->link = link;
	return TUTTI_OK;
}

tutti_status
tt_fab_guard_accept(tutti_endpoint *endpoint, int fd)
{
	struct tt_fab_guard *guard;

	TT_TRY(make(endpoint, fd, false, endpoint->nonce, &guard));
	list_stranger(guard);
	return TUTTI_OK;
}

/* What is unread when a socket is closed makes the kernel forget what is unsent. */
static void
empty(int fd)
{
	unsigned char waste[4096];
	size_t done = 1;

	for (int i = 0; i < TURNS && done > 0; i++)
		if (tt_read_some(fd, waste, sizeof(waste), &done) != TUTTI_OK)
			return;
}

void
tt_fab_guard_drop(struct tt_fab_guard *guard)
{
	if (guard->watch.fd < 0)
		return;
	unlist_stranger(guard);
	if (guard->proven)
		empty(guard->watch.fd);
	tt_fd_close(guard->watch.fd);
	guard->watch.fd = -1;
	guard->link = NULL;
	guard->next = guard->endpoint->dropped;
	guard->endpoint->dropped = guard;
}

void
tt_fab_guard_sweep(tutti_endpoint *endpoint)
{
	while (endpoint->dropped != NULL) {
		struct tt_fab_guard *guard = endpoint->dropped;

		endpoint->dropped = guard->next;
		explicit_bzero(&guard->handshake, sizeof(guard->handshake));
		tt_free(guard);
	}
}

/* The connection is of no use any more. */
static void
lose(struct tt_fab_guard *guard, const char *why)
{
	tutti_link *link = guard->link;

	if (link != NULL)
		tt_fab_link_lost(link, guard, why);
	tt_fab_guard_drop(guard);
}

/* ---- out --------------------------------------------------------------------------------------------------------- */

static bool
flush(struct tt_fab_guard *guard)
{
	if (guard->out_bytes == 0)
		return true;
	while (guard->out_sent < guard->out_bytes) {
		size_t done = 0;

		if (tt_write_some(guard->watch.fd, guard->out + guard->out_sent, guard->out_bytes - guard->out_sent,
			&done) != TUTTI_OK)
			return false;
		if (done == 0) {
			tt_fab_watch_change(guard->endpoint, &guard->watch, EPOLLIN | EPOLLOUT);
			return true;
		}
		guard->out_sent += done;
	}
	guard->out_bytes = guard->out_sent = 0;
	tt_fab_watch_change(guard->endpoint, &guard->watch, EPOLLIN);
	return true;
}

static void
put_bytes(struct tt_fab_guard *guard, const void *bytes, size_t n)
{
	if (n > sizeof(guard->out) - guard->out_bytes)
		return; /* only for a peer that takes nothing: its end will be seen */
	memcpy(guard->out + guard->out_bytes, bytes, n);
	guard->out_bytes += n;
}

void
tt_fab_guard_put(struct tt_fab_guard *guard, enum tt_fab_frame kind, const void *bytes, size_t n)
{
	const uint32_t prefix[2] = {(uint32_t)kind, (uint32_t)n};

	if (guard->watch.fd < 0)
		return;
	put_bytes(guard, prefix, sizeof(prefix));
	put_bytes(guard, bytes, n);
	/* A broken connection is found by reading, where the reason may be. */
	(void)flush(guard);
}

bool
tt_fab_guard_force(struct tt_fab_guard *guard, const void *bytes, size_t n, int64_t deadline_ns)
{
	const unsigned char *at = bytes;

	while (n > 0) {
		struct pollfd entry = {.fd = guard->watch.fd, .events = POLLOUT};
		const int64_t now = tt_now_ns();
		size_t done = 0;

		if (tt_write_some(guard->watch.fd, at, n, &done) != TUTTI_OK)
			return false;
		at += done;
		n -= done;
		if (n > 0 && now >= deadline_ns)
			return false;
		if (n > 0 && done == 0)
			(void)poll(&entry, 1, tt_poll_ms(deadline_ns, now, 100));
	}
	return true;
}

void
tt_fab_guard_linger(struct tt_fab_guard *guard, int64_t deadline_ns)
{
	int waiting = 0;

	shutdown(guard->watch.fd, SHUT_WR);
	for (;;) {
		empty(guard->watch.fd);
		if (ioctl(guard->watch.fd, SIOCOUTQ, &waiting) != 0 || waiting == 0 || tt_now_ns() >= deadline_ns)
			return;
		(void)poll(NULL, 0, 1);
	}
}

/* ---- in ---------------------------------------------------------------------------------------------------------- */

/* The peer has proven who it is. */
static bool
prove(struct tt_fab_guard *guard)
{
	tutti_endpoint *endpoint = guard->endpoint;
	const int rank = guard->handshake.theirs.rank;
	tutti_link *link = guard->link;

	guard->proven = true;
	if (guard->handshake.theirs.number != endpoint->lanes || rank < 0 || rank >= endpoint->nranks ||
	    rank == endpoint->rank || (link != NULL && link->peer != rank))
		return false;
	if (link == NULL) {
		unlist_stranger(guard);
		if (tt_fab_endpoint_link(endpoint, rank, &link) != TUTTI_OK || !tt_fab_link_takes(link, guard))
			return false;
		guard->link = link;
	}
	tt_fab_link_greet(link);
	return true;
}

static bool
shake(struct tt_fab_guard *guard)
{
	size_t n;
	const void *bytes;

	while ((bytes = tt_handshake_take(&guard->handshake, &n)), n > 0) {
		size_t done = 0;

		if (tt_write_some(guard->watch.fd, bytes, n, &done) != TUTTI_OK)
			return false;
		if (done == 0) {
			tt_fab_watch_change(guard->endpoint, &guard->watch, EPOLLIN | EPOLLOUT);
			return true;
		}
		tt_handshake_sent(&guard->handshake, done);
	}
	return !tt_handshake_done(&guard->handshake) || guard->proven || prove(guard);
}

/* The peer proves itself: bytes of the handshake and no more. True: go on. */
static bool
read_handshake(struct tt_fab_guard *guard, bool *more)
{
	const size_t wants = tt_handshake_wants(&guard->handshake);
	size_t done = 0;
	tutti_status status;

	*more = false;
	if (wants > 0) {
		if (tt_read_some(guard->watch.fd, guard->in, wants, &done) != TUTTI_OK)
			return false;
		if (done == 0)
			return true;
		status = tt_handshake_give(&guard->handshake, guard->in, done);
		if (status != TUTTI_OK && status != TUTTI_IN_PROGRESS)
			return false;
	}
	*more = wants > 0;
	return shake(guard);
}

/* Whole frames are handed to the link. */
static void
parse(struct tt_fab_guard *guard)
{
	size_t at = 0;

	while (guard->in_bytes - at >= 8 && guard->watch.fd >= 0) {
		uint32_t prefix[2];

		memcpy(prefix, guard->in + at, sizeof(prefix));
		if (prefix[1] > TT_FAB_FRAME_MOST) {
			lose(guard, "it sent a frame that is too long");
			return;
		}
		if (guard->in_bytes - at - 8 < prefix[1])
			break;
		if (!tt_fab_link_frame(guard->link, prefix[0], guard->in + at + 8, prefix[1]))
			return;
		at += 8 + prefix[1];
	}
	memmove(guard->in, guard->in + at, guard->in_bytes - at);
	guard->in_bytes -= at;
}

static void
read_frames(struct tt_fab_guard *guard)
{
	for (int i = 0; i < TURNS && guard->watch.fd >= 0; i++) {
		size_t done = 0;

		if (tt_read_some(guard->watch.fd, guard->in + guard->in_bytes, sizeof(guard->in) - guard->in_bytes,
			&done) != TUTTI_OK) {
			lose(guard, NULL);
			return;
		}
		if (done == 0)
			return;
		guard->in_bytes += done;
		parse(guard);
	}
}

void
tt_fab_guard_step(struct tt_fab_guard *guard)
{
	bool more = true;

	if (guard->watch.fd < 0)
		return;
	if (guard->connecting) {
		const tutti_status status = tt_connect_result(guard->watch.fd);

		if (status == TUTTI_IN_PROGRESS)
			return;
		if (status != TUTTI_OK) {
			lose(guard, tt_last_error()->message);
			return;
		}
		guard->connecting = false;
		tt_fab_watch_change(guard->endpoint, &guard->watch, EPOLLIN);
		if (!shake(guard)) {
			lose(guard, "it does not answer as it should");
			return;
		}
	}
	while (!guard->proven && more) {
		if (!read_handshake(guard, &more)) {
			lose(guard, "it did not prove who it is");
			return;
		}
	}
	if (!guard->proven || guard->watch.fd < 0)
		return;
	if (!flush(guard)) {
		/* Read first: the peer may have said why. */
		read_frames(guard);
		return;
	}
	read_frames(guard);
}

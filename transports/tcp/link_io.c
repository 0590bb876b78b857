/* SPDX-License-Identifier: Apache-2.0
 *
 * link_io.c - a link's socket: bytes of the stream out and in, and what its errors mean.
 *
 * A broken write is not yet the end: what the peer said before (a goodbye, a refusal) may still be there to read,
 * and tells more than the error number.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/net.h"
#include "base/process.h"
#include "tcp/link.h"

#define BATCHES 4 /* written at once where nothing will be read in between */
#define READS 8 /* in one turn .. */
#define READ_BYTES ((size_t)1 << 20) /* .. or that many bytes */

static const char *
name_of(const struct tt_flow *flow, char text[64])
{
	tt_address_print(&flow->remote, text, 64);
	return text;
}

void
tt_tcp_flow_cut(struct tt_flow *flow)
{
	const tutti_endpoint *endpoint = flow->link->endpoint;
	struct sockaddr_storage local = {0};
	socklen_t bytes = sizeof(local);
	struct tt_address here = {0};
	char mine[64], theirs[64];

	if (getsockname(flow->watch.fd, (struct sockaddr *)&local, &bytes) == 0)
		tt_address_from_sockaddr(&local, &here);
	tt_address_print(&here, mine, sizeof(mine));
	flow->link->cut = true;
	tt_tcp_link_die(flow->link, TUTTI_ERR_PEER,
	    "the connection between rank %d (%s) and rank %d (%s) is cut: no answer for %lld s; check firewall and "
	    "cables, "
	    "or choose others with TUTTI_INTERFACES",
	    endpoint->rank, mine, flow->link->peer, name_of(flow, theirs),
	    (long long)endpoint->peer_timeout_ms / 1000);
}

static void
die_of(struct tt_flow *flow, int number)
{
	char address[64], reason[128];

	/* What keepalive found, where this side had nothing to send. */
	if (number == ETIMEDOUT || number == EHOSTUNREACH || number == ENETUNREACH) {
		tt_tcp_flow_cut(flow);
		return;
	}
	tt_tcp_link_die(flow->link, TUTTI_ERR_PEER, "the connection to rank %d (%s) broke: %s", flow->link->peer,
	    name_of(flow, address), strerror_r(number, reason, sizeof(reason)));
}

void
tt_tcp_flow_watch(struct tt_flow *flow, uint32_t events)
{
	if (flow->watch.fd < 0 || flow->events == events)
		return;
	tt_watch_change(flow->link->endpoint, &flow->watch, events);
	flow->events = events;
}

void
tt_tcp_flow_close(struct tt_flow *flow)
{
	if (flow->watch.fd < 0)
		return;
	tt_watch_remove(flow->link->endpoint, &flow->watch);
	tt_fd_close(flow->watch.fd);
	flow->watch.fd = -1;
}

/* How much of `pieces` the socket took; -1 = none, it is full; -2 = it is broken, errno says how. */
static ssize_t
put(int fd, struct iovec *pieces, int n)
{
	struct msghdr message = {.msg_iov = pieces, .msg_iovlen = (size_t)n};
	ssize_t done;

	do {
		if (n == 1)
			done = send(fd, pieces->iov_base, pieces->iov_len, MSG_DONTWAIT | MSG_NOSIGNAL);
		else
			done = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (done < 0 && errno == EINTR);
	if (done >= 0)
		return done;
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? -1 : -2;
}

/* The same for reading; 0 = end of file. */
static ssize_t
get(int fd, struct iovec *pieces, int n)
{
	struct msghdr message = {.msg_iov = pieces, .msg_iovlen = (size_t)n};
	ssize_t done;

	do {
		if (n == 1)
			done = recv(fd, pieces->iov_base, pieces->iov_len, MSG_DONTWAIT);
		else
			done = recvmsg(fd, &message, MSG_DONTWAIT);
	} while (done < 0 && errno == EINTR);
	if (done >= 0)
		return done;
	return errno == EAGAIN || errno == EWOULDBLOCK ? -1 : -2;
}

/* False: the link is dead, or this connection is over. */
static bool
still_goes(struct tt_flow *flow)
{
	tutti_link *link = flow->link;
	char address[64];

	if (link->stream.left) {
		tt_tcp_link_die(link, TUTTI_ERR_PEER, "rank %d (%s) has left: it closed its endpoint", link->peer,
		    name_of(flow, address));
		return false;
	}
	if (!link->stream.channels[flow->index]->over)
		return true;
	/* The first stays, for what this side has still to say. */
	if (flow->index > 0)
		tt_tcp_flow_close(flow);
	return false;
}

static bool
take(struct tt_flow *flow, size_t n)
{
	tutti_link *link = flow->link;
	char address[64];

	if (!tt_stream_read(&link->stream, flow->index, n)) {
		tt_tcp_link_die(link, TUTTI_ERR_PEER, "rank %d (%s) broke the protocol: %s", link->peer,
		    name_of(flow, address), link->stream.fault);
		return false;
	}
	return still_goes(flow);
}

/* One that has carried nothing may be the last trace of a peer that has already left. */
static bool
is_unused(const struct tt_flow *flow)
{
	const struct tt_channel *channel = flow->link->stream.channels[flow->index];

	return flow->index > 0 && channel->out.planned == 0 && channel->in.at_lane == NULL;
}

/* Nothing more will come. */
static void
end_flow(struct tt_flow *flow, int number)
{
	tutti_link *link = flow->link;
	char address[64];

	if ((number == 0 || is_unused(flow)) && tt_stream_eof(&link->stream, flow->index)) {
		still_goes(flow);
		return;
	}
	if (number != 0) {
		die_of(flow, number);
		return;
	}
	tt_tcp_link_die(link, TUTTI_ERR_PEER,
	    "rank %d (%s) closed the connection without a goodbye: its process has ended, or it cancelled",
	    link->peer, name_of(flow, address));
}

/* Reads until nothing is left, or enough. */
static void
read_some(struct tt_flow *flow, int reads)
{
	tutti_link *link = flow->link;
	struct iovec pieces[TT_INPUT_PIECES];
	size_t total = 0;

	if (link->stream.channels[flow->index]->over)
		return;
	for (int i = 0; i < reads && total < READ_BYTES; i++) {
		const int n = tt_stream_input(&link->stream, flow->index, pieces);
		size_t room = 0;
		ssize_t done;

		if (n == 0)
			return;
		for (int j = 0; j < n; j++)
			room += pieces[j].iov_len;
		done = get(flow->watch.fd, pieces, n);
		if (done == -1)
			return;
		if (done == -2 || done == 0) {
			end_flow(flow, done == 0 ? 0 : errno);
			return;
		}
		total += (size_t)done;
		/* Less than there was room for: nothing more is there, and asking would cost a call. */
		if (!take(flow, (size_t)done) || (size_t)done < room ||
		    tt_stream_is_content(&link->stream, flow->index))
			return;
	}
}

static void
broken_write(struct tt_flow *flow, int number)
{
	tutti_link *link = flow->link;

	while (link->live_index >= 0) {
		const uint64_t before = link->stream.moved;

		read_some(&link->flows[0], READS);
		if (link->stream.moved == before)
			die_of(flow, number);
	}
}

static void
write_flow(struct tt_flow *flow, int batches)
{
	struct tt_stream *stream = &flow->link->stream;
	const struct tt_output *out = &stream->channels[flow->index]->out;

	flow->blocked = false;
	for (int i = 0; i < batches && flow->link->live_index >= 0; i++) {
		struct iovec *pieces;
		const int n = tt_stream_output(stream, flow->index, &pieces);
		ssize_t done;

		if (n == 0)
			return;
		done = put(flow->watch.fd, pieces, n);
		if (done == -2) {
			broken_write(flow, errno);
			return;
		}
		if (done > 0)
			tt_stream_written(stream, flow->index, (size_t)done);
		if (out->piece < out->npieces) {
			flow->blocked = true;
			return;
		}
		if (flow->index > 0)
			tt_tcp_flow_measure(flow);
	}
}

/* `again`: also those that took no more the last time. */
static void
write_all(tutti_link *link, bool again)
{
	if (link->stream.bulk.first != NULL && link->stream.ncarriers > 1)
		tt_tcp_link_defer(link);
	for (int i = 0; i < link->stream.nchannels && link->live_index >= 0; i++) {
		struct tt_flow *flow = &link->flows[i];

		if (flow->watch.fd < 0 || (flow->blocked && !again) || !tt_stream_has_output(&link->stream, i))
			continue;
		if (!flow->deferred || tt_stream_has_begun(&link->stream, i))
			write_flow(flow, 1); /* then what has come is read, while it is in the cache */
	}
}

void
tt_tcp_link_write(tutti_link *link)
{
	write_all(link, false);
}

void
tt_tcp_link_differ(tutti_link *link)
{
	struct tt_flow *first = &link->flows[0];

	link->stream.differs = true;
	/* After a refusal from the peer there is nothing to tell it, and it does not read any more. */
	if (link->live_index >= 0 && !link->stream.refused) {
		write_flow(first, BATCHES);
		if (link->status != TUTTI_OK || first->blocked || tt_stream_has_output(&link->stream, 0))
			return;
	}
	tt_tcp_link_die(link, TUTTI_ERR_MISMATCH, "%s", "");
}

/* Without news of it, a connection for chunks is only read while chunks are due. */
static void
read_all(tutti_link *link, const struct tt_flow *news)
{
	for (int i = 0; i < link->stream.nchannels && link->live_index >= 0; i++) {
		struct tt_flow *flow = &link->flows[i];

		if (flow->watch.fd >= 0 && (i == 0 || flow == news || (news == NULL && link->stream.granted > 0)))
			read_some(flow, READS);
	}
}

void
tt_tcp_link_turn(tutti_link *link, struct tt_flow *news)
{
	write_all(link, true);
	if (link->live_index >= 0)
		read_all(link, news);
	if (link->live_index >= 0 && link->stream.differs)
		tt_tcp_link_differ(link);
	if (TT_UNLIKELY(link->stream.large && !link->widened))
		tt_tcp_link_widen(link);
	/* What just came may have made something to say: grants, credit, sends that have been granted. */
	if (link->live_index >= 0)
		write_all(link, false);
	tt_tcp_link_count(link);
}

void
tt_tcp_link_leave(tutti_link *link)
{
	if (link->live_index >= 0 && !link->stream.differs)
		tt_stream_leave(&link->stream);
	for (int i = 0; i < TT_CHANNELS; i++) {
		struct tt_flow *flow = &link->flows[i];

		if (flow->watch.fd >= 0 && link->live_index >= 0 && !link->stream.differs)
			write_flow(flow, BATCHES);
		if (flow->watch.fd >= 0)
			shutdown(flow->watch.fd, SHUT_WR);
	}
}

static bool
drain(const struct tt_flow *flow)
{
	const tutti_endpoint *endpoint = flow->link->endpoint;
	int unsent = 0;

	for (int i = 0; i < READS; i++) {
		struct iovec piece = {endpoint->scratch, endpoint->scratch_bytes};

		if (get(flow->watch.fd, &piece, 1) <= 0)
			break;
	}
	return ioctl(flow->watch.fd, SIOCOUTQNSD, &unsent) == 0 && unsent > 0;
}

bool
tt_tcp_link_drain(tutti_link *link)
{
	bool waiting = false;

	for (int i = 0; i < TT_CHANNELS; i++)
		if (link->flows[i].watch.fd >= 0)
			waiting |= drain(&link->flows[i]);
	return waiting;
}

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
#include "tcp/link.h"

#define BATCHES 4 /* written in one turn */
#define READS 8 /* in one turn .. */
#define READ_BYTES ((size_t)1 << 20) /* .. or that many bytes */

static const char *
name_of(const tutti_link *link, char text[64])
{
	tt_address_print(&link->remote, text, 64);
	return text;
}

static void
die_of(tutti_link *link, int number)
{
	char address[64], reason[128];

	tt_tcp_link_die(link, TUTTI_ERR_PEER, "the connection to rank %d (%s) broke: %s", link->peer,
	    name_of(link, address), strerror_r(number, reason, sizeof(reason)));
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

/* False: the link is dead, or about to be. */
static bool
take(tutti_link *link, size_t n)
{
	char address[64];

	if (!tt_stream_read(&link->stream, n)) {
		tt_tcp_link_die(link, TUTTI_ERR_PEER, "rank %d (%s) broke the protocol: %s", link->peer,
		    name_of(link, address), link->stream.fault);
		return false;
	}
	if (link->stream.left) {
		tt_tcp_link_die(link, TUTTI_ERR_PEER, "rank %d (%s) has left: it closed its endpoint", link->peer,
		    name_of(link, address));
		return false;
	}
	return true;
}

/* Reads until nothing is left, or enough. */
static void
read_some(tutti_link *link, int reads)
{
	struct iovec pieces[TT_INPUT_PIECES];
	size_t total = 0;
	char address[64];

	for (int i = 0; i < reads && total < READ_BYTES; i++) {
		const int n = tt_stream_input(&link->stream, pieces);
		size_t room = 0;
		ssize_t done;

		for (int j = 0; j < n; j++)
			room += pieces[j].iov_len;
		done = get(link->watch.fd, pieces, n);
		if (done == -1)
			return;
		if (done == -2) {
			die_of(link, errno);
			return;
		}
		if (done == 0) {
			tt_tcp_link_die(link, TUTTI_ERR_PEER,
			    "rank %d (%s) closed the connection without a goodbye: its process has ended, or it "
			    "cancelled",
			    link->peer, name_of(link, address));
			return;
		}
		total += (size_t)done;
		/* Less than there was room for: nothing more is there, and asking would cost a call. */
		if (!take(link, (size_t)done) || (size_t)done < room)
			return;
	}
}

static void
broken_write(tutti_link *link, int number)
{
	while (link->live_index >= 0) {
		const uint64_t before = link->stream.moved;

		read_some(link, READS);
		if (link->stream.moved == before)
			die_of(link, number);
	}
}

void
tt_tcp_link_write(tutti_link *link)
{
	link->blocked = false;
	for (int i = 0; i < BATCHES && link->live_index >= 0; i++) {
		struct iovec *pieces;
		const int n = tt_stream_output(&link->stream, &pieces);
		ssize_t done;

		if (n == 0)
			return;
		done = put(link->watch.fd, pieces, n);
		if (done == -2) {
			broken_write(link, errno);
			return;
		}
		if (done > 0)
			tt_stream_written(&link->stream, (size_t)done);
		if (link->stream.out.piece < link->stream.out.npieces) {
			link->blocked = true;
			return;
		}
	}
}

void
tt_tcp_link_differ(tutti_link *link)
{
	link->stream.differs = true;
	/* After a refusal from the peer there is nothing to tell it, and it does not read any more. */
	if (link->live_index >= 0 && !link->stream.refused) {
		tt_tcp_link_write(link);
		if (link->status != TUTTI_OK || link->blocked || tt_stream_has_output(&link->stream))
			return;
	}
	tt_tcp_link_die(link, TUTTI_ERR_MISMATCH, "%s", "");
}

void
tt_tcp_link_turn(tutti_link *link)
{
	if (tt_stream_has_output(&link->stream))
		tt_tcp_link_write(link);
	if (link->live_index >= 0)
		read_some(link, READS);
	if (link->live_index >= 0 && link->stream.differs)
		tt_tcp_link_differ(link);
	/* What just came may have made something to say: grants, credit, sends that have been granted. */
	if (link->live_index >= 0 && !link->blocked && tt_stream_has_output(&link->stream))
		tt_tcp_link_write(link);
	tt_tcp_link_count(link);
}

void
tt_tcp_link_leave(tutti_link *link)
{
	if (link->live_index >= 0 && !link->stream.differs) {
		tt_stream_leave(&link->stream);
		tt_tcp_link_write(link);
	}
	if (link->watch.fd >= 0)
		shutdown(link->watch.fd, SHUT_WR);
}

bool
tt_tcp_link_drain(tutti_link *link)
{
	int unsent = 0;

	if (link->watch.fd < 0)
		return false;
	for (int i = 0; i < READS; i++) {
		struct iovec piece = {link->endpoint->scratch, link->endpoint->scratch_bytes};

		if (get(link->watch.fd, &piece, 1) <= 0)
			break;
	}
	return ioctl(link->watch.fd, SIOCOUTQNSD, &unsent) == 0 && unsent > 0;
}

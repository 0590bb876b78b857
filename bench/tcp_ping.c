/* SPDX-License-Identifier: Apache-2.0
 *
 * tcp_ping.c - the TCP transport against bare sockets, over loopback, in one run.
 *
 * Two processes. Rounds of the transport and of a hand-written non-blocking loop alternate, so that whatever else
 * the machine does meets both. Printed: medians and bests of the rounds, and their ratios (1.00 = the transport
 * costs nothing).
 *
 *     tcp_ping [ROUNDS]
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/net.h"
#include "tcp/tcp.h"

#define PINGS 400
#define WINDOW 4 /* messages posted at a time, for bandwidth */
#define MOST_ROUNDS 1000
#define MOST_BYTES ((size_t)4 << 20)
#define STREAM_BYTES ((size_t)16 << 20)

static const unsigned char key[32] = "a key that only this job knows!";
static const unsigned char mark[TUTTI_MARK_BYTES] = "ping";
static unsigned char *buffer; /* WINDOW * MOST_BYTES */

struct side {
	int rank, raw;
	tutti_endpoint *endpoint;
	tutti_link *link;
};

static void
die(const char *what)
{
	fprintf(stderr, "tcp_ping: %s: %s\n", what, tt_last_error()->message);
	_exit(1);
}

/* ---- bare sockets ---- */

static void
raw_move(int fd, unsigned char *bytes, size_t n, int sends)
{
	while (n > 0) {
		const ssize_t done =
		    sends ? send(fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL) : recv(fd, bytes, n, MSG_DONTWAIT);

		if (done > 0) {
			bytes += done;
			n -= (size_t)done;
		} else if (done == 0 || (errno != EAGAIN && errno != EINTR)) {
			die("a bare socket broke");
		}
	}
}

static void
raw_ping(struct side *side, size_t bytes, int pings)
{
	for (int i = 0; i < pings; i++) {
		raw_move(side->raw, side->rank == 0 ? buffer : buffer + MOST_BYTES, bytes, side->rank == 0);
		raw_move(side->raw, side->rank == 1 ? buffer : buffer + MOST_BYTES, bytes, side->rank == 1);
	}
}

static void
raw_stream(struct side *side, size_t bytes, int messages)
{
	for (int i = 0; i < messages; i++)
		raw_move(side->raw, buffer + (size_t)(i % WINDOW) * MOST_BYTES, bytes, side->rank == 0);
	raw_move(side->raw, buffer, 1, side->rank == 1);
}

/* ---- the transport ---- */

struct message {
	tutti_transfer transfer;
	struct iovec part;
};

static void
post(struct side *side, struct message *m, unsigned char *bytes, size_t n, int sends)
{
	const tutti_transport *tcp = tt_transport_tcp();

	m->part = (struct iovec){bytes, n};
	m->transfer = (tutti_transfer){.parts = &m->part, .nparts = 1, .bytes = n, .mark = mark, .grain = 1};
	if ((sends ? tcp->send : tcp->recv)(side->link, &m->transfer) != TUTTI_OK)
		die("posting");
}

static void
finish(struct side *side, struct message *m)
{
	while (m->transfer.status == TUTTI_IN_PROGRESS)
		tt_transport_tcp()->progress(side->endpoint);
	if (m->transfer.status != TUTTI_OK)
		die("a transfer failed");
}

static void
tutti_ping(struct side *side, size_t bytes, int pings)
{
	struct message send, recv;

	for (int i = 0; i < pings; i++) {
		if (side->rank == 0)
			post(side, &send, buffer, bytes, 1);
		post(side, &recv, buffer + MOST_BYTES, bytes, 0);
		if (side->rank == 0)
			finish(side, &send);
		finish(side, &recv);
		if (side->rank == 1) {
			post(side, &send, buffer, bytes, 1);
			finish(side, &send);
		}
	}
}

static void
tutti_stream(struct side *side, size_t bytes, int messages)
{
	struct message window[WINDOW], last;

	for (int i = 0; i < messages + WINDOW; i++) {
		struct message *m = &window[i % WINDOW];

		if (i >= WINDOW)
			finish(side, m);
		if (i < messages)
			post(side, m, buffer + (size_t)(i % WINDOW) * MOST_BYTES, bytes, side->rank == 0);
	}
	post(side, &last, buffer, 1, side->rank == 1);
	finish(side, &last);
}

/* ---- one run ---- */

typedef void (*pattern)(struct side *side, size_t bytes, int times);

static double
time_of(pattern run, struct side *side, size_t bytes, int times)
{
	const int64_t start = tt_now_ns();

	run(side, bytes, times);
	return (double)(tt_now_ns() - start);
}

static int
by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* What was measured: [0] bare, [1] the transport, in ns. */
struct result {
	double best[2], median[2];
};

static struct result
compare(struct side *side, pattern raw, pattern ours, size_t bytes, int times, int rounds)
{
	static double taken[2][MOST_ROUNDS];
	struct result result;

	time_of(raw, side, bytes, times);
	time_of(ours, side, bytes, times);
	for (int i = 0; i < rounds; i++) {
		taken[0][i] = time_of(raw, side, bytes, times);
		taken[1][i] = time_of(ours, side, bytes, times);
	}
	for (int i = 0; i < 2; i++) {
		qsort(taken[i], (size_t)rounds, sizeof(double), by_value);
		result.best[i] = taken[i][0];
		result.median[i] = taken[i][rounds / 2];
	}
	return result;
}

static void
measure_pings(struct side *side, int rounds)
{
	static const size_t sizes[] = {8, 64, 1024, 8192, 65536, 262144, 1 << 20};

	if (side->rank == 0)
		printf("%-10s %10s   %10s %10s %6s   %10s %10s %6s\n", "one way", "bytes", "bare us", "tutti us",
		    "ratio", "best bare", "best tutti", "ratio");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		const int pings = sizes[i] > 65536 ? PINGS / 8 : PINGS;
		const struct result r = compare(side, raw_ping, tutti_ping, sizes[i], pings, rounds);
		const double unit = pings * 2e3;

		if (side->rank == 0)
			printf("%-10s %10zu   %10.2f %10.2f %6.2f   %10.2f %10.2f %6.2f\n", "", sizes[i],
			    r.median[0] / unit, r.median[1] / unit, r.median[1] / r.median[0], r.best[0] / unit,
			    r.best[1] / unit, r.best[1] / r.best[0]);
	}
}

static void
measure_streams(struct side *side, int rounds)
{
	static const size_t sizes[] = {8192, 65536, 262144, 1 << 20, MOST_BYTES};
	const double total = (double)STREAM_BYTES;

	if (side->rank == 0)
		printf("%-10s %10s   %10s %10s %6s   %10s %10s %6s\n", "stream", "bytes", "bare GB/s", "tutti GB/s",
		    "share", "best bare", "best tutti", "share");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		const int messages = (int)(STREAM_BYTES / sizes[i]);
		const struct result r = compare(side, raw_stream, tutti_stream, sizes[i], messages, rounds);

		if (side->rank == 0)
			printf("%-10s %10zu   %10.2f %10.2f %6.2f   %10.2f %10.2f %6.2f\n", "", sizes[i],
			    total / r.median[0], total / r.median[1], r.median[0] / r.median[1], total / r.best[0],
			    total / r.best[1], r.best[0] / r.best[1]);
	}
}

/* Endpoints, addresses and a bare connection; `wires` is a socket pair between the two. */
static void
join(struct side *side, int wire)
{
	const tutti_transport *tcp = tt_transport_tcp();
	const tutti_environment env = {.size = sizeof(env),
	    .rank = side->rank,
	    .nranks = 2,
	    .lanes = 1,
	    .local_ranks = &side->rank,
	    .nlocal = 1,
	    .key = key,
	    .interfaces = "lo",
	    .cores = 2,
	    .connect_timeout_ms = 10000,
	    .peer_timeout_ms = 10000};
	unsigned char address[TUTTI_ADDRESS_BYTES];
	size_t bytes = sizeof(address);
	struct tt_address at = {.family = 4, .ip = {127, 0, 0, 1}};
	int listener;

	if (tcp->open(&env, &side->endpoint) != TUTTI_OK || tcp->address(side->endpoint, address, &bytes) != TUTTI_OK)
		die("opening the transport");
	if (send(wire, address, bytes, 0) != (ssize_t)bytes ||
	    recv(wire, address, bytes, MSG_WAITALL) != (ssize_t)bytes ||
	    tcp->connect(side->endpoint, 1 - side->rank, address, bytes, &side->link) != TUTTI_OK)
		die("connecting the transport");
	if (side->rank == 0) {
		struct pollfd call;

		if (tt_listen_tcp(&at, NULL, &listener) != TUTTI_OK || send(wire, &at, sizeof(at), 0) != sizeof(at))
			die("listening");
		call = (struct pollfd){.fd = listener, .events = POLLIN};
		poll(&call, 1, 10000);
		if (tt_accept(listener, &side->raw) != TUTTI_OK || side->raw < 0)
			die("accepting");
	} else if (recv(wire, &at, sizeof(at), MSG_WAITALL) != sizeof(at) ||
		   tt_connect_tcp(&at, &side->raw) != TUTTI_OK ||
		   poll(&(struct pollfd){side->raw, POLLOUT, 0}, 1, 10000) != 1) {
		die("connecting");
	}
	if (tt_tcp_tune(side->raw, 10000, true) != TUTTI_OK)
		die("tuning");
}

int
main(int argc, char **argv)
{
	const int wanted = argc > 1 ? atoi(argv[1]) : 50;
	const int rounds = wanted < 1 ? 1 : wanted > MOST_ROUNDS ? MOST_ROUNDS : wanted;
	struct side side = {.raw = -1};
	int wires[2], status = 0;
	pid_t child;

	buffer = calloc(WINDOW, MOST_BYTES);
	if (buffer == NULL || socketpair(AF_UNIX, SOCK_STREAM, 0, wires) != 0)
		return 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	child = fork();
	side.rank = child == 0;
	join(&side, wires[side.rank]);
	measure_pings(&side, rounds);
	measure_streams(&side, rounds / 5 + 1);
	tt_transport_tcp()->close(side.endpoint);
	if (child == 0)
		_exit(0);
	waitpid(child, &status, 0);
	return status != 0;
}

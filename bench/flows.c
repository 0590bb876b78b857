/* SPDX-License-Identifier: Apache-2.0
 *
 * flows.c - how much of a network Tutti fills: large messages between two ranks, beside bare TCP connections.
 *
 * Two ranks, on two hosts if possible. The bare side has one connection for each network card (or -k of them), all in
 * one non-blocking loop of one thread that hands the next piece to whichever connection has room: the sum of the
 * flows. Rounds of both alternate. Printed: medians, and their ratio (1.00 = Tutti fills what the flows fill).
 *
 *     tests/job/hosts.sh -n 2 -s 4 -r 1gbit -- build/bench/flows
 *     tests/job/hosts.sh -n 2 -s 4 -r 1gbit,1gbit,1gbit,250mbit -- build/bench/flows
 *     tutti run -n 2 build/bench/flows -k 1
 *
 *     flows [-b BYTES] [-n ROUNDS] [-k FLOWS]
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tutti/tutti.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/net.h"
#include "base/settings.h"

#define MOST_FLOWS 16
#define MOST_ROUNDS 200
#define PIECE ((size_t)256 << 10)
#define SECONDS 30

struct bench {
	tutti_comm *comm;
	int rank, nflows, flows[MOST_FLOWS];
	size_t bytes;
	unsigned char *out, *in;
};

static void
die(const char *what)
{
	tutti_error why = TUTTI_ERROR_INIT;

	(void)tutti_last_error(&why);
	fprintf(stderr, "flows: %s: %s\n", what, why.message);
	exit(1);
}

static void
must(tutti_status status, const char *what)
{
	if (status != TUTTI_OK)
		die(what);
}

/* ---- bare connections ---- */

static void
wait_for(int fd, short events)
{
	struct pollfd one = {.fd = fd, .events = events};

	if (poll(&one, 1, SECONDS * 1000) != 1) {
		fprintf(stderr, "flows: no bare connection within %d s\n", SECONDS);
		exit(1);
	}
}

/* Rank 0 listens on all of its cards, rank 1 calls them in turn. */
static void
connect_flows(struct bench *b, int wanted)
{
	struct tt_interface cards[MOST_FLOWS];
	struct tt_address places[MOST_FLOWS] = {{0}}, all[2 * MOST_FLOWS];
	int n = 0, used = 0, listeners[MOST_FLOWS];

	if (tt_interfaces_describe(getenv("TUTTI_INTERFACES"), cards, MOST_FLOWS, &n) != TUTTI_OK) {
		fprintf(stderr, "flows: %s\n", tt_last_error()->message);
		exit(1);
	}
	for (int i = 0; i < n; i++) {
		if (cards[i].address.family != 4 || cards[i].number != used)
			continue;
		places[used] = cards[i].address;
		if (b->rank == 0 && tt_listen_tcp(&places[used], NULL, &listeners[used]) != TUTTI_OK)
			exit(1);
		used++;
	}
	must(tutti_all_gather(b->comm, places, all, sizeof(places), TUTTI_UINT8, NULL, NULL), "exchanging addresses");
	used = 0;
	while (all[used].family != 0 && used < MOST_FLOWS)
		used++;
	b->nflows = wanted > 0 ? wanted : used;
	for (int i = 0; i < b->nflows; i++) {
		if (b->rank == 1) {
			if (tt_connect_tcp(&all[i % used], &b->flows[i]) != TUTTI_OK)
				exit(1);
			wait_for(b->flows[i], POLLOUT);
		} else {
			wait_for(listeners[i % used], POLLIN);
			if (tt_accept(listeners[i % used], &b->flows[i]) != TUTTI_OK || b->flows[i] < 0)
				exit(1);
		}
		(void)tt_tcp_tune(b->flows[i], 10000, true);
	}
	for (int i = 0; i < used && b->rank == 0; i++)
		close(listeners[i]);
}

/* One piece that a flow is at: where it is, and what is left of it. */
struct piece {
	size_t at, left;
};

/* Moves what it can; returns how much. */
static size_t
move(int fd, struct piece *piece, unsigned char *buffer, int sends)
{
	const ssize_t done = sends ? send(fd, buffer + piece->at, piece->left, MSG_DONTWAIT | MSG_NOSIGNAL)
				   : recv(fd, buffer + piece->at, piece->left, MSG_DONTWAIT);

	if (done > 0) {
		piece->at += (size_t)done;
		piece->left -= (size_t)done;
		return (size_t)done;
	}
	if (done == 0 || (errno != EAGAIN && errno != EINTR)) {
		fprintf(stderr, "flows: a bare connection broke\n");
		exit(1);
	}
	return 0;
}

/* `sends` and `receives` bytes in all, whichever flow they come by. */
static void
raw_exchange(struct bench *b, size_t sends, size_t receives)
{
	struct piece out[MOST_FLOWS] = {{0, 0}}, in[MOST_FLOWS];
	struct pollfd fds[MOST_FLOWS];
	size_t begun = 0, unsent = sends, missing = receives;

	while (unsent > 0 || missing > 0) {
		size_t moved = 0;

		for (int i = 0; i < b->nflows; i++) {
			if (out[i].left == 0 && begun < sends) {
				const size_t n = sends - begun < PIECE ? sends - begun : PIECE;

				out[i] = (struct piece){begun, n};
				begun += n;
			}
			fds[i] = (struct pollfd){.fd = b->flows[i], .events = missing > 0 ? POLLIN : 0};
			if (out[i].left > 0) {
				const size_t n = move(b->flows[i], &out[i], b->out, 1);

				unsent -= n;
				moved += n;
				fds[i].events |= out[i].left > 0 ? POLLOUT : 0;
			}
			if (missing > 0) {
				size_t n;

				in[i] = (struct piece){receives - missing, missing < PIECE ? missing : PIECE};
				n = move(b->flows[i], &in[i], b->in, 0);
				missing -= n;
				moved += n;
			}
		}
		if (moved == 0)
			poll(fds, (nfds_t)b->nflows, 100);
	}
}

/* ---- what is measured ---- */

static void
raw_one_way(struct bench *b)
{
	unsigned char last = 0;

	raw_exchange(b, b->rank == 0 ? b->bytes : 0, b->rank == 1 ? b->bytes : 0);
	/* Until it has arrived, not until it has been sent. */
	if (b->rank == 1)
		must(tutti_send(b->comm, &last, 1, TUTTI_UINT8, 0, 1, NULL, NULL), "the receipt");
	else
		must(tutti_recv(b->comm, &last, 1, TUTTI_UINT8, 1, 1, NULL, NULL, NULL), "the receipt");
}

static void
tutti_one_way(struct bench *b)
{
	unsigned char last = 0;

	if (b->rank == 0) {
		must(tutti_send(b->comm, b->out, b->bytes, TUTTI_UINT8, 1, 0, NULL, NULL), "sending");
		must(tutti_recv(b->comm, &last, 1, TUTTI_UINT8, 1, 1, NULL, NULL, NULL), "the receipt");
	} else {
		must(tutti_recv(b->comm, b->in, b->bytes, TUTTI_UINT8, 0, 0, NULL, NULL, NULL), "receiving");
		must(tutti_send(b->comm, &last, 1, TUTTI_UINT8, 0, 1, NULL, NULL), "the receipt");
	}
}

static void
raw_both_ways(struct bench *b)
{
	raw_exchange(b, b->bytes, b->bytes);
}

/* Of two ranks each sends, and receives, as many bytes as the buffer has. */
static void
tutti_all_reduce_once(struct bench *b)
{
	must(tutti_all_reduce(b->comm, b->out, b->in, b->bytes / sizeof(float), TUTTI_FLOAT32, TUTTI_SUM, NULL, NULL),
	    "the all-reduce");
}

static double
time_of(struct bench *b, void (*run)(struct bench *))
{
	int64_t start;

	must(tutti_barrier(b->comm, NULL, NULL), "a barrier");
	start = tt_now_ns();
	run(b);
	return (double)(tt_now_ns() - start);
}

static int
by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void
compare(struct bench *b, const char *name, int rounds, void (*raw)(struct bench *), void (*ours)(struct bench *))
{
	static double taken[2][MOST_ROUNDS];

	time_of(b, raw);
	time_of(b, ours);
	for (int i = 0; i < rounds; i++) {
		taken[0][i] = time_of(b, raw);
		taken[1][i] = time_of(b, ours);
	}
	for (int i = 0; i < 2; i++)
		qsort(taken[i], (size_t)rounds, sizeof(double), by_value);
	if (b->rank == 0)
		printf("%-12s %12zu bytes   %d flows %8.1f MB/s   tutti %8.1f MB/s   share %.2f\n", name, b->bytes,
		    b->nflows, (double)b->bytes * 1e3 / taken[0][rounds / 2],
		    (double)b->bytes * 1e3 / taken[1][rounds / 2], taken[0][rounds / 2] / taken[1][rounds / 2]);
}

int
main(int argc, char **argv)
{
	struct bench b = {.bytes = (size_t)64 << 20};
	int rounds = 7, wanted = 0, option, size;

	while ((option = getopt(argc, argv, "b:n:k:")) != -1) {
		if (option == 'b' && tt_parse_size(optarg, &b.bytes) == TUTTI_OK)
			continue;
		if (option == 'n' && (rounds = atoi(optarg)) > 0 && rounds <= MOST_ROUNDS)
			continue;
		if (option == 'k' && (wanted = atoi(optarg)) > 0 && wanted <= MOST_FLOWS)
			continue;
		fprintf(stderr, "usage: flows [-b BYTES] [-n ROUNDS] [-k FLOWS]\n");
		return 2;
	}
	must(tutti_comm_create_from_env(NULL, &b.comm), "joining");
	size = tutti_comm_size(b.comm);
	b.rank = tutti_comm_rank(b.comm);
	b.out = calloc(1, b.bytes);
	b.in = calloc(1, b.bytes);
	if (size != 2 || b.out == NULL || b.in == NULL) {
		fprintf(stderr, "flows: needs two ranks, and memory\n");
		return 1;
	}
	/* Memory that nobody has written is one page of zeros, which is in every cache. */
	memset(b.out, 1, b.bytes);
	memset(b.in, 1, b.bytes);
	connect_flows(&b, wanted);
	compare(&b, "one way", rounds, raw_one_way, tutti_one_way);
	compare(&b, "all-reduce", rounds, raw_both_ways, tutti_all_reduce_once);
	for (int i = 0; i < b.nflows; i++)
		close(b.flows[i]);
	free(b.out);
	free(b.in);
	must(tutti_comm_destroy(b.comm), "leaving");
	return 0;
}

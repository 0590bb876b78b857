/* SPDX-License-Identifier: Apache-2.0
 *
 * flows.c - how much of a network Tutti fills: large messages between two ranks, beside bare TCP connections.
 *
 * Two ranks, on two hosts if possible. The bare side has one connection for each network card (or -k of them), all in
 * one non-blocking loop of one thread: the sum of the flows. Each connection carries a share of the bytes that is known
 * beforehand, what it has been found to be good for, so that all end together: handed out piece by piece, too much
 * would wait in the queue of a slow one. For the all-reduce there is a second bare program, which adds what it receives
 * first (half of it) where it lies in cache. Rounds alternate. Printed: medians, and their ratio to Tutti's (1.00 = Tutti
 * fills what the flows fill).
 *
 *     tests/job/hosts.sh -n 2 -s 4 -r 1gbit -- build/bench/flows
 *     tests/job/hosts.sh -n 2 -s 4 -r 1gbit,1gbit,1gbit,250mbit -- build/bench/flows
 *     tutti run -n 2 build/bench/flows -k 1
 *
 *     flows [-b BYTES] [-n ROUNDS] [-k FLOWS]
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
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
#define SHARE_ROUNDS 4

struct bench {
	tutti_comm *comm;
	int rank, nflows, flows[MOST_FLOWS];
	size_t bytes;
	unsigned char *out, *in;
	double share[MOST_FLOWS]; /* of the bytes, each flow's */
	float *piece; /* room for what is to be added */
	int adds;
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

/* What a flow has to move, and what is left of it. */
struct part {
	size_t at, left;
};

/* Each flow's part of so many bytes, in whole elements. */
static void
cut(const struct bench *b, size_t bytes, struct part *parts)
{
	double sum = 0;
	size_t at = 0;

	for (int i = 0; i < b->nflows; i++) {
		size_t end;

		sum += b->share[i];
		end = i + 1 < b->nflows ? (size_t)((double)bytes * sum) & ~(size_t)63 : bytes;
		parts[i] = (struct part){at, end - at};
		at = end;
	}
}

static void
broken(void)
{
	fprintf(stderr, "flows: a bare connection broke\n");
	exit(1);
}

static size_t
send_some(const struct bench *b, int flow, struct part *part)
{
	const size_t n = part->left < PIECE ? part->left : PIECE;
	const ssize_t done = n > 0 ? send(b->flows[flow], b->out + part->at, n, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;

	if (done < 0 && errno != EAGAIN && errno != EINTR)
		broken();
	part->at += done > 0 ? (size_t)done : 0;
	part->left -= done > 0 ? (size_t)done : 0;
	return done > 0 ? (size_t)done : 0;
}

/* Adds about as many elements as have come: what it costs counts here, not what comes out. */
static void
add(const struct bench *b, size_t at, size_t n)
{
	const float *mine = (const float *)(const void *)(b->out + at);
	float *sum = (float *)(void *)(b->in + at);

	for (size_t i = 0; i < n / sizeof(float); i++)
		sum[i] = mine[i] + b->piece[i];
}

static size_t
receive_some(const struct bench *b, int flow, struct part *part, size_t added)
{
	const bool adds = b->adds && part->left > added;
	const size_t most = adds && part->left - added < PIECE ? part->left - added : PIECE;
	const size_t n = part->left < most ? part->left : most;
	unsigned char *to = adds ? (unsigned char *)b->piece : b->in + part->at;
	const ssize_t done = n > 0 ? recv(b->flows[flow], to, n, MSG_DONTWAIT) : 0;

	if ((done == 0 && n > 0) || (done < 0 && errno != EAGAIN && errno != EINTR))
		broken();
	if (done > 0 && adds)
		add(b, part->at & ~(size_t)3, (size_t)done);
	part->at += done > 0 ? (size_t)done : 0;
	part->left -= done > 0 ? (size_t)done : 0;
	return done > 0 ? (size_t)done : 0;
}

static int64_t ended_ns[MOST_FLOWS]; /* when each flow had moved its part */

static void
raw_exchange(struct bench *b, size_t sends, size_t receives)
{
	struct part out[MOST_FLOWS], in[MOST_FLOWS];
	struct pollfd fds[MOST_FLOWS];
	size_t added[MOST_FLOWS], left = sends + receives;

	cut(b, sends, out);
	cut(b, receives, in);
	for (int i = 0; i < b->nflows; i++)
		added[i] = in[i].left / 2;
	while (left > 0) {
		size_t moved = 0;

		for (int i = 0; i < b->nflows; i++) {
			const size_t n = send_some(b, i, &out[i]) + receive_some(b, i, &in[i], added[i]);

			fds[i] = (struct pollfd){.fd = b->flows[i],
			    .events = (short)((in[i].left > 0 ? POLLIN : 0) | (out[i].left > 0 ? POLLOUT : 0))};
			if (n > 0 && in[i].left == 0 && out[i].left == 0)
				ended_ns[i] = tt_now_ns();
			moved += n;
		}
		left -= moved;
		if (moved == 0)
			poll(fds, (nfds_t)b->nflows, 100);
	}
}

/* What each flow is good for: those that end late get less, until all end together. */
static void
find_shares(struct bench *b)
{
	double speed[MOST_FLOWS], told[2 * MOST_FLOWS], sum;

	for (int i = 0; i < b->nflows; i++)
		b->share[i] = 1.0 / b->nflows;
	for (int round = 0; round < SHARE_ROUNDS && b->nflows > 1; round++) {
		int64_t start;

		must(tutti_barrier(b->comm, NULL, NULL), "a barrier");
		start = tt_now_ns();
		raw_exchange(b, b->bytes, b->bytes);
		for (int i = 0; i < b->nflows; i++)
			speed[i] = b->share[i] / (double)(ended_ns[i] - start);
		must(tutti_all_gather(b->comm, speed, told, (size_t)b->nflows, TUTTI_FLOAT64, NULL, NULL),
		    "the speeds");
		sum = 0;
		for (int i = 0; i < b->nflows; i++)
			sum += speed[i] = told[i] < told[b->nflows + i] ? told[i] : told[b->nflows + i];
		for (int i = 0; i < b->nflows; i++)
			b->share[i] = speed[i] / sum;
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

static void
raw_both_ways_adding(struct bench *b)
{
	b->adds = 1;
	raw_exchange(b, b->bytes, b->bytes);
	b->adds = 0;
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
	b.piece = calloc(1, PIECE);
	if (size != 2 || b.out == NULL || b.in == NULL || b.piece == NULL) {
		fprintf(stderr, "flows: needs two ranks, and memory\n");
		return 1;
	}
	/* Memory that nobody has written is one page of zeros, which is in every cache. */
	memset(b.out, 1, b.bytes);
	memset(b.in, 1, b.bytes);
	connect_flows(&b, wanted);
	find_shares(&b);
	compare(&b, "one way", rounds, raw_one_way, tutti_one_way);
	compare(&b, "all-reduce", rounds, raw_both_ways, tutti_all_reduce_once);
	compare(&b, ".. adding", rounds, raw_both_ways_adding, tutti_all_reduce_once);
	for (int i = 0; i < b.nflows; i++)
		close(b.flows[i]);
	free(b.out);
	free(b.in);
	free(b.piece);
	must(tutti_comm_destroy(b.comm), "leaving");
	return 0;
}

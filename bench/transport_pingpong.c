/* SPDX-License-Identifier: Apache-2.0
 *
 * transport_pingpong.c - what a transport costs between two ranks, next to what the machine costs.
 *
 *     transport_pingpong [--processes] [TRANSPORT]
 *
 * In one run: the bare handoff of a cache line between two cores and the copying into and out of shared memory, then
 * the transport's one-way latency, message rate and bandwidth. The ratios are the result; the absolute numbers are
 * the machine's. Every figure is the best of many short repetitions, because what disturbs only makes it worse.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tutti/transport.h>

#include "base/atomics.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/port.h"
#include "shm/shm.h"
#include "tcp/tcp.h"

#define REPETITIONS 60
#define WINDOW 8 /* messages under way in the bandwidth test */
#define LARGEST ((size_t)1 << 20)

struct shared {
	TT_ALIGNED(TT_LINE) tt_atomic_u64 line[2][TT_LINE / 8]; /* one per direction */
	TT_ALIGNED(TT_LINE) tt_atomic_u32 arrived;
	unsigned char key[32];
	unsigned char address[2][TUTTI_ADDRESS_BYTES];
	size_t address_bytes[2];
	double write_bytes_per_s, read_bytes_per_s;
	TT_ALIGNED(4096) unsigned char relay[128 << 10];
};

struct bench {
	const tutti_transport *transport;
	struct shared *shared;
	void *memory;
	size_t memory_bytes;
	int rank;
	uint32_t met;
	tutti_endpoint *endpoint;
	tutti_link *link;
	unsigned char *buffer; /* WINDOW * LARGEST */
	double handoff_ns;
};

static unsigned char mark[TUTTI_MARK_BYTES];

static void
die(const char *what)
{
	fprintf(stderr, "transport_pingpong: %s: %s\n", what, tt_last_error()->message);
	_exit(1);
}

static void
meet(struct bench *bench)
{
	const uint32_t all = ++bench->met * 2;

	tt_fetch_add_acq_rel(&bench->shared->arrived, 1);
	while (tt_load_acquire(&bench->shared->arrived) < all)
		tt_pause();
}

/* ---- the machine ---- */

static double
handoff_once(struct bench *bench, uint64_t rounds, uint64_t base)
{
	tt_atomic_u64 *mine = &bench->shared->line[bench->rank][0],
		      *theirs = &bench->shared->line[1 - bench->rank][0];
	int64_t start;

	meet(bench);
	start = tt_now_ns();
	for (uint64_t i = base + 1; i <= base + rounds; i++) {
		if (bench->rank == 0)
			tt_store_release(mine, i);
		while (tt_load_acquire(theirs) != i)
			continue;
		if (bench->rank == 1)
			tt_store_release(mine, i);
	}
	return (double)(tt_now_ns() - start) / (double)rounds / 2;
}

static void
keep_most(double *most, size_t bytes, int64_t ns)
{
	const double rate = (double)bytes / (double)ns * 1e9;

	*most = rate > *most ? rate : *most;
}

/* One core copies into shared memory, then the other out of it: the two halves of any transport's way. What they
 * reach bounds it, because the two halves can run at the same time. */
static void
relay_once(struct bench *bench)
{
	struct shared *shared = bench->shared;
	int64_t start;

	meet(bench);
	start = tt_now_ns();
	if (bench->rank == 0) {
		memcpy(shared->relay, bench->buffer, sizeof(shared->relay));
		keep_most(&shared->write_bytes_per_s, sizeof(shared->relay), tt_now_ns() - start);
	}
	meet(bench);
	start = tt_now_ns();
	if (bench->rank == 1) {
		memcpy(bench->buffer, shared->relay, sizeof(shared->relay));
		keep_most(&shared->read_bytes_per_s, sizeof(shared->relay), tt_now_ns() - start);
	}
}

static void
measure_machine(struct bench *bench)
{
	const uint64_t rounds = 2000;

	bench->handoff_ns = 1e30;
	for (uint64_t i = 0; i < REPETITIONS; i++) {
		const double ns = handoff_once(bench, rounds, i * rounds);

		bench->handoff_ns = ns < bench->handoff_ns ? ns : bench->handoff_ns;
	}
	for (int i = 0; i < REPETITIONS; i++)
		relay_once(bench);
	meet(bench);
	if (bench->rank == 0)
		printf("bare handoff of a line       %8.1f ns\ncopy to where the other read %8.2f GB/s\n"
		       "copy what the other wrote    %8.2f GB/s\n",
		    bench->handoff_ns, bench->shared->write_bytes_per_s / 1e9, bench->shared->read_bytes_per_s / 1e9);
}

/* ---- the transport ---- */

struct message {
	tutti_transfer transfer;
	struct iovec part;
};

static void
post(struct bench *bench, struct message *message, bool sends, size_t bytes, size_t slot)
{
	tutti_status status;

	message->part = (struct iovec){bench->buffer + slot * LARGEST, bytes};
	message->transfer =
	    (tutti_transfer){.parts = &message->part, .nparts = 1, .bytes = bytes, .mark = mark, .grain = 1};
	do {
		status = sends ? bench->transport->send(bench->link, &message->transfer)
			       : bench->transport->recv(bench->link, &message->transfer);
		if (status == TUTTI_IN_PROGRESS)
			bench->transport->progress(bench->endpoint);
	} while (status == TUTTI_IN_PROGRESS);
	if (status != TUTTI_OK)
		die("a transfer was not taken");
}

static void
finish(struct bench *bench, struct message *message)
{
	while (message->transfer.status == TUTTI_IN_PROGRESS)
		bench->transport->progress(bench->endpoint);
	if (message->transfer.status != TUTTI_OK)
		die("a transfer failed");
}

static double
latency_once(struct bench *bench, size_t bytes, int rounds)
{
	int64_t start;

	meet(bench);
	start = tt_now_ns();
	for (int i = 0; i < rounds; i++) {
		struct message send, recv;

		if (bench->rank == 0)
			post(bench, &send, true, bytes, 0);
		post(bench, &recv, false, bytes, 1);
		finish(bench, &recv);
		if (bench->rank == 1)
			post(bench, &send, true, bytes, 0);
		finish(bench, &send);
	}
	return (double)(tt_now_ns() - start) / rounds / 2;
}

/* Nanoseconds per message while WINDOW of them are under way, one direction. */
static double
stream_once(struct bench *bench, size_t bytes, int messages)
{
	struct message window[WINDOW], end;
	int64_t start;

	meet(bench);
	start = tt_now_ns();
	for (int i = 0; i < messages + WINDOW; i++) {
		if (i >= WINDOW)
			finish(bench, &window[i % WINDOW]);
		if (i < messages)
			post(bench, &window[i % WINDOW], bench->rank == 0, bytes, (size_t)(i % WINDOW));
	}
	/* Until the receiver has all of it. */
	post(bench, &end, bench->rank == 1, 0, 0);
	finish(bench, &end);
	return (double)(tt_now_ns() - start) / messages;
}

static double
best(struct bench *bench, double (*once)(struct bench *, size_t, int), size_t bytes, int count)
{
	double least = 1e30;

	for (int i = 0; i < REPETITIONS; i++) {
		const double ns = once(bench, bytes, count);

		least = ns < least ? ns : least;
	}
	return least;
}

static void
measure_transport(struct bench *bench)
{
	static const size_t small[] = {0, 8, 16, 64, 256, 1024, 4096, 16384};
	static const size_t large[] = {8, 64, 1024, 4096, 16384, 65536, 262144, LARGEST};

	for (size_t i = 0; i < TT_COUNT_OF(small); i++) {
		const double ns = best(bench, latency_once, small[i], small[i] <= 1024 ? 1000 : 200);

		if (bench->rank == 0)
			printf("one way, %7zu B         %8.1f ns   %6.2f handoffs\n", small[i], ns,
			    ns / bench->handoff_ns);
	}
	for (size_t i = 0; i < TT_COUNT_OF(large); i++) {
		const double ns =
		    best(bench, stream_once, large[i], large[i] <= 1024 ? 5000 : (int)((8u << 20) / large[i]));
		const double rate = (double)large[i] / ns * 1e9;
		const double bound = bench->shared->write_bytes_per_s < bench->shared->read_bytes_per_s
					 ? bench->shared->write_bytes_per_s
					 : bench->shared->read_bytes_per_s;

		if (bench->rank == 0)
			printf("stream,  %7zu B         %8.1f ns   %6.2f GB/s   %5.2f of the slower half\n", large[i],
			    ns, rate / 1e9, rate / bound);
	}
}

/* ---- set-up ---- */

static tutti_environment
environment(struct bench *bench)
{
	static const int local_ranks[] = {0, 1};

	return (tutti_environment){
	    .size = sizeof(tutti_environment),
	    .rank = bench->rank,
	    .nranks = 2,
	    .lanes = 1,
	    .local_ranks = local_ranks,
	    .nlocal = 2,
	    .shared = bench->memory,
	    .shared_bytes = bench->memory_bytes,
	    .key = bench->shared->key,
	    .interfaces = "lo",
	    .cores = 2,
	    .connect_timeout_ms = 10000,
	    .peer_timeout_ms = 10000,
	};
}

static void
pin(int rank)
{
	cpu_set_t allowed, one;
	int seen = 0;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0 || CPU_COUNT(&allowed) < 2)
		return;
	CPU_ZERO(&one);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, &allowed) && seen++ == rank)
			CPU_SET(cpu, &one);
	}
	sched_setaffinity(0, sizeof(one), &one);
}

static void
connect_peer(struct bench *bench)
{
	struct shared *shared = bench->shared;
	const int peer = 1 - bench->rank;
	const tutti_environment env = environment(bench);
	size_t bytes = TUTTI_ADDRESS_BYTES;

	if (bench->transport->open(&env, &bench->endpoint) != TUTTI_OK ||
	    bench->transport->address(bench->endpoint, shared->address[bench->rank], &bytes) != TUTTI_OK)
		die("cannot open an endpoint");
	shared->address_bytes[bench->rank] = bytes;
	meet(bench);
	if (bench->transport->connect(
		bench->endpoint, peer, shared->address[peer], shared->address_bytes[peer], &bench->link) != TUTTI_OK)
		die("cannot connect");
}

static void *
rank_main(void *argument)
{
	struct bench *bench = argument;

	pin(bench->rank);
	bench->buffer = aligned_alloc(4096, WINDOW * LARGEST);
	if (bench->buffer == NULL)
		die("no memory");
	memset(bench->buffer, bench->rank, WINDOW * LARGEST);
	measure_machine(bench);
	connect_peer(bench);
	measure_transport(bench);
	meet(bench);
	bench->transport->close(bench->endpoint);
	free(bench->buffer);
	return NULL;
}

static void *
map_shared(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		die("cannot map memory");
	return memory;
}

static int
run_processes(struct bench *ranks)
{
	const pid_t child = fork();
	int status = 1;

	if (child == 0) {
		rank_main(&ranks[1]);
		_exit(0);
	}
	rank_main(&ranks[0]);
	waitpid(child, &status, 0);
	return status != 0;
}

static int
run_threads(struct bench *ranks)
{
	pthread_t other;

	if (pthread_create(&other, NULL, rank_main, &ranks[1]) != 0)
		die("cannot start a thread");
	rank_main(&ranks[0]);
	pthread_join(other, NULL);
	return 0;
}

int
main(int argc, char **argv)
{
	const tutti_transport *transport = tt_transport_shm();
	struct bench ranks[2] = {{.rank = 0}, {.rank = 1}};
	tutti_environment env;
	bool processes = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--processes") == 0)
			processes = true;
		else if (strcmp(argv[i], "tcp") == 0)
			transport = tt_transport_tcp();
		else if (strcmp(argv[i], "shm") != 0)
			return fprintf(stderr, "usage: transport_pingpong [--processes] [shm|tcp]\n"), 2;
	}
	ranks[0].transport = ranks[1].transport = transport;
	ranks[0].shared = ranks[1].shared = map_shared(sizeof(struct shared));
	env = environment(&ranks[0]);
	ranks[0].memory_bytes = transport->shared_need == NULL ? 0 : transport->shared_need(&env);
	if (ranks[0].memory_bytes > 0)
		ranks[0].memory = map_shared(ranks[0].memory_bytes);
	ranks[1].memory = ranks[0].memory;
	ranks[1].memory_bytes = ranks[0].memory_bytes;
	printf("%s between two %s\n", transport->name, processes ? "processes" : "threads");
	fflush(stdout);
	return processes ? run_processes(ranks) : run_threads(ranks);
}

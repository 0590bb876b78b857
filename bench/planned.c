/* SPDX-License-Identifier: Apache-2.0
 *
 * planned.c - a planned operation beside a hand-written twin: what the interpreter of plans costs where it matters.
 *
 * An all-reduce of two processes through the message transport of shared memory: halves are exchanged and added while they
 * arrive, then sums are exchanged. Once as a plan in the executor, once by hand: the same transfers, posted to the same
 * transport in the same order with the same kernel, by a function that can do nothing else. In turns, in one run:
 *
 *	ratio = median over the rounds of (the plan's time / the twin's time), each of a block of calls back to back
 *
 *     planned [-r ROUNDS]
 */
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "engine/executor.h"
#include "kernels/kernels.h"
#include "shm/shm.h"

#define MOST_ROUNDS 1001
#define BLOCK_BYTES ((size_t)8 << 20) /* of calls back to back, but ... */
#define CALLS_MOST 400
#define WAIT_MS 20000

static const size_t sizes[] = {8, 4 << 10, 64 << 10, 1 << 20};
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))
#define MOST_FLOATS ((size_t)(1 << 20) / sizeof(float))

struct side {
	int rank;
	struct tt_ports ports;
	struct tt_executor *executor;
	struct tt_plan plan;
	tt_reduce_fn reduce;
	float *in, *out;
	size_t floats;
};

/* Shared by both. */
struct board {
	unsigned char address[2][TUTTI_ADDRESS_BYTES];
	size_t address_bytes[2];
	_Atomic int opened;
};

static const unsigned char mark[TUTTI_MARK_BYTES];

static void
must(tutti_status status, const char *what)
{
	if (status == TUTTI_OK)
		return;
	fprintf(stderr, "planned: %s: %s\n", what, tt_last_error()->message);
	_exit(1);
}

/* ---- the plan ------------------------------------------------------------------------------------------------------- */

static void
make_plan(struct side *s)
{
	const int me = s->rank, other = !me;
	const struct tt_shape pair = {.collective = TT_ALL_REDUCE, .rank = me, .nranks = 2, .nnodes = 1};
	const struct tt_span mine = tt_span_part(TT_OUT, 0, me, 1, 2), theirs = tt_span_part(TT_OUT, 0, other, 1, 2);

	tt_plan_init(&s->plan, "planned", &pair);
	tt_plan_recv_reduce(&s->plan, other, mine, tt_span_part(TT_IN, 0, me, 1, 2), TT_FINAL);
	tt_plan_send(&s->plan, other, tt_span_part(TT_IN, 0, other, 1, 2));
	tt_plan_wait(&s->plan);
	tt_plan_recv(&s->plan, other, theirs);
	tt_plan_send(&s->plan, other, mine);
	must(tt_plan_end(&s->plan), "the plan");
}

static void
run_plan(struct side *s)
{
	const struct tt_run run = {.plan = &s->plan,
	    .operands = {.in = {.base = (unsigned char *)s->in, .nrows = 1, .count = s->floats},
		.out = {.base = (unsigned char *)s->out, .nrows = 1, .count = s->floats},
		.element = sizeof(float),
		.slices = 1},
	    .window = 1,
	    .reduce = s->reduce};
	tutti_status status;
	int moved = 0;

	must(tt_executor_start(s->executor, &run), "start");
	while ((status = tt_executor_advance(s->executor, &moved)) == TUTTI_IN_PROGRESS)
		(void)tt_ports_progress(&s->ports);
	must(status, "advance");
}

/* ---- the twin ------------------------------------------------------------------------------------------------------- */

struct adds {
	const struct side *s;
	float *to;
	const float *own;
};

static void
add(void *context, size_t offset, const void *data, size_t bytes)
{
	const struct adds *a = context;
	const void *both[2] = {(const char *)a->own + offset, data};

	a->s->reduce((char *)a->to + offset, both, 2, bytes / sizeof(float), TT_FINISH_NONE, 1);
}

static void
post(struct side *s, bool sends, tutti_transfer *t, struct iovec *part)
{
	const struct tt_peer *peer = &s->ports.peers[!s->rank];
	const tutti_transport *transport = s->ports.port[0].transport;
	tutti_status status;

	t->mark = mark;
	t->status = TUTTI_IN_PROGRESS;
	t->bytes = part->iov_len;
	t->grain = t->fold != NULL ? sizeof(float) : 1;
	if (t->fold == NULL) {
		t->parts = part;
		t->nparts = 1;
	}
	while (
	    (status = sends ? transport->send(peer->link, t) : transport->recv(peer->link, t)) == TUTTI_IN_PROGRESS)
		(void)transport->progress(s->ports.port[0].endpoint);
	must(status, "a transfer");
}

static void
finish(struct side *s, const tutti_transfer *a, const tutti_transfer *b)
{
	const tutti_transport *transport = s->ports.port[0].transport;

	while (a->status == TUTTI_IN_PROGRESS || b->status == TUTTI_IN_PROGRESS)
		(void)transport->progress(s->ports.port[0].endpoint);
	must(a->status, "a receive");
	must(b->status, "a send");
}

static void
run_twin(struct side *s)
{
	const size_t first = s->floats - s->floats / 2, at[2] = {0, first}, len[2] = {first, s->floats - first};
	const int me = s->rank, other = !me;
	struct adds adds = {s, s->out + at[me], s->in + at[me]};
	struct iovec mine = {s->out + at[me], len[me] * sizeof(float)};
	struct iovec theirs = {s->out + at[other], len[other] * sizeof(float)};
	struct iovec given = {s->in + at[other], len[other] * sizeof(float)};
	tutti_transfer in = {.fold = add, .fold_context = &adds, .any_order = 1}, out = {.lane = 0};

	post(s, false, &in, &mine);
	post(s, true, &out, &given);
	finish(s, &in, &out);
	in = out = (tutti_transfer){.lane = 0};
	post(s, false, &in, &theirs);
	post(s, true, &out, &mine);
	finish(s, &in, &out);
}

/* ---- measuring ------------------------------------------------------------------------------------------------------ */

static void
check(const struct side *s)
{
	for (size_t i = 0; i < s->floats; i++)
		if (s->out[i] != 1 + 2 * (float)(i % 7)) {
			fprintf(stderr, "planned: rank %d has a wrong sum at %zu\n", s->rank, i);
			_exit(1);
		}
	memset(s->out, 0, s->floats * sizeof(float));
}

/* ns of a call. */
static double
block(struct side *s, void (*run)(struct side *), int calls)
{
	int64_t before;
	double ns;

	run(s); /* both have come */
	before = tt_now_ns();
	for (int i = 0; i < calls; i++)
		run(s);
	ns = (double)(tt_now_ns() - before) / calls;
	check(s);
	return ns;
}

static int
ascending(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double
median(double *values, int n)
{
	qsort(values, (size_t)n, sizeof(*values), ascending);
	return values[n / 2];
}

static void
measure(struct side *s, size_t bytes, int rounds)
{
	static double plan[MOST_ROUNDS], twin[MOST_ROUNDS], ratio[MOST_ROUNDS];
	const size_t fit = BLOCK_BYTES / bytes;
	const int calls = fit > CALLS_MOST ? CALLS_MOST : (int)fit;

	s->floats = bytes / sizeof(float);
	for (int i = 0; i < rounds; i++) {
		if (i % 2 == 0) { /* whoever is second finds other lines in the caches */
			twin[i] = block(s, run_twin, calls);
			plan[i] = block(s, run_plan, calls);
		} else {
			plan[i] = block(s, run_plan, calls);
			twin[i] = block(s, run_twin, calls);
		}
		ratio[i] = plan[i] / twin[i];
	}
	if (s->rank == 0)
		printf("%8zu %12.1f %12.1f %8.3f\n", bytes, median(twin, rounds), median(plan, rounds),
		    median(ratio, rounds));
}

/* ---- two processes -------------------------------------------------------------------------------------------------- */

/* A core each, if there are two. */
static void
pin(int rank)
{
	cpu_set_t all, one;
	int nth = -1;

	if (sched_getaffinity(0, sizeof(all), &all) != 0 || CPU_COUNT(&all) < 2)
		return;
	CPU_ZERO(&one);
	for (int cpu = 0; cpu < CPU_SETSIZE && nth < rank; cpu++)
		if (CPU_ISSET(cpu, &all) && ++nth == rank)
			CPU_SET(cpu, &one);
	(void)sched_setaffinity(0, sizeof(one), &one);
}

static tutti_environment
environment(int rank)
{
	static const unsigned char key[32] = {1};
	static const int both[2] = {0, 1};

	return (tutti_environment){.size = sizeof(tutti_environment),
	    .rank = rank,
	    .nranks = 2,
	    .lanes = 1,
	    .key = key,
	    .cores = 2,
	    .local_ranks = both,
	    .nlocal = 2,
	    .connect_timeout_ms = WAIT_MS,
	    .peer_timeout_ms = WAIT_MS};
}

static void
join(struct side *s, struct board *board, const tutti_environment *env)
{
	const int me = s->rank, other = !me;

	must(tt_ports_init(&s->ports, me, 2), "ports");
	must(tt_ports_open(&s->ports, tt_transport_shm(), env), "opening the transport");
	board->address_bytes[me] = TUTTI_ADDRESS_BYTES;
	must(tt_ports_address(&s->ports, 0, board->address[me], &board->address_bytes[me]), "its address");
	board->opened++;
	for (int ms = 0; board->opened < 2; ms++) {
		if (ms == WAIT_MS) {
			fprintf(stderr, "planned: the other process has not come\n");
			_exit(1);
		}
		usleep(1000);
	}
	must(tt_ports_connect(&s->ports, 0, other, board->address[other], board->address_bytes[other]), "connecting");
	must(tt_executor_create(&s->ports, 64 << 10, &s->executor), "executor");
}

static int
run_rank(int rank, struct board *board, void *shared, size_t bytes, int rounds)
{
	struct side s = {.rank = rank, .reduce = tt_kernels_best()->reduce[TUTTI_FLOAT32][TUTTI_SUM]};
	tutti_environment env = environment(rank);

	pin(rank);
	env.shared = shared;
	env.shared_bytes = bytes;
	join(&s, board, &env);
	s.in = aligned_alloc(4096, MOST_FLOATS * sizeof(float));
	s.out = aligned_alloc(4096, MOST_FLOATS * sizeof(float));
	if (s.in == NULL || s.out == NULL) {
		fprintf(stderr, "planned: no memory\n");
		_exit(1);
	}
	memset(s.out, 0, MOST_FLOATS * sizeof(float));
	for (size_t i = 0; i < MOST_FLOATS; i++)
		s.in[i] = (float)rank + (float)(i % 7);
	make_plan(&s);
	if (rank == 0)
		printf("%8s %12s %12s %8s\n%8s %12s %12s\n", "bytes", "by hand", "planned", "ratio", "", "ns", "ns");
	for (size_t i = 0; i < SIZES; i++)
		measure(&s, sizes[i], rounds);
	tt_plan_fini(&s.plan);
	tt_executor_destroy(s.executor);
	tt_ports_fini(&s.ports);
	free(s.in);
	free(s.out);
	return fflush(stdout) == 0 ? 0 : 1;
}

static void *
map(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED) {
		perror("planned: mmap");
		exit(1);
	}
	return memory;
}

static int
run(int rounds)
{
	const tutti_environment env = environment(0);
	const size_t bytes = tt_transport_shm()->shared_need(&env);
	struct board *board = map(sizeof(*board));
	void *shared = map(bytes);
	int status, failed = 0;

	for (int rank = 0; rank < 2; rank++) {
		const pid_t pid = fork();

		if (pid < 0) {
			perror("planned: fork");
			return 1;
		}
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			_exit(run_rank(rank, board, shared, bytes, rounds));
		}
	}
	while (wait(&status) > 0)
		failed |= !WIFEXITED(status) || WEXITSTATUS(status) != 0;
	return failed;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	static const char usage[] = "usage: planned [-r ROUNDS]\n"
				    "A planned all-reduce of two processes beside a hand-written twin, in turns.\n"
				    "  -r ROUNDS  how often (101)\n";
	int rounds = 101, c;
	char *end;

	while ((c = getopt_long(argc, argv, "r:h", options, NULL)) != -1) {
		if (c == 'h')
			return fputs(usage, stdout) < 0;
		errno = 0;
		rounds = c == 'r' ? (int)strtol(optarg, &end, 10) : 0;
		if (c != 'r' || errno != 0 || *end != '\0' || rounds < 1 || rounds > MOST_ROUNDS) {
			if (c == 'r')
				fprintf(stderr, "planned: -r %s: give a number from 1 to %d\n", optarg, MOST_ROUNDS);
			fputs(usage, stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "planned: %s: it takes no arguments\n%s", argv[optind], usage);
		return 2;
	}
	return run(rounds);
}

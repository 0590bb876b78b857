/* SPDX-License-Identifier: Apache-2.0
 *
 * overlap.c - how much of an all-reduce hides behind a computation when a progress thread drives it.
 *
 * Every rank does three things in turns, so that whatever else the machine does meets all of them: the computation alone,
 * a blocking all-reduce alone, and a nonblocking all-reduce with the computation between its start and its wait. Of
 * each round counts the slowest rank. Printed are medians of the rounds.
 *
 *     hidden = (compute + all-reduce - together) / the shorter of the two
 *
 * 100 %: together they take as long as the longer one alone. 0 %: as long as one after the other. Less: they disturb each
 * other. A rank needs two cores for that, one to compute and one to drive; with fewer cores than that there is
 * little to hide behind, and the table says so. What a network takes is nobody's core, and hides on any machine.
 *
 *     overlap [-n RANKS] [-t TRANSPORTS] [-r ROUNDS]
 *     overlap -e [-t TRANSPORTS] [-r ROUNDS]        a rank of a job that a launcher has started
 */
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <tutti/tutti.h>

#define MOST_RANKS 64
#define MOST_ROUNDS 1000
#define WARMUP 3

enum kind { COMPUTE, REDUCE, TOGETHER, KINDS };

struct board {
	tutti_unique_id id;
	_Atomic int made;
};

struct options {
	int ranks, rounds;
	bool launched; /* this process is one rank; its launcher knows the others */
	const char *transports;
};

static const size_t sizes[] = {64u << 10, 1u << 20, 4u << 20, 16u << 20};
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static double
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void
must(tutti_status status, const char *what)
{
	tutti_error error = TUTTI_ERROR_INIT;

	if (status == TUTTI_OK)
		return;
	(void)tutti_last_error(&error);
	fprintf(stderr, "overlap: %s: %s: %s\n", what, tutti_status_string(status), error.message);
	_exit(1);
}

/* Arithmetic in registers: what disturbs it is the loss of its core, not of cache or memory. */
static double
compute(long steps)
{
	double a = 1.0, b = 0.5;

	for (long i = 0; i < steps; i++) {
		a = a * 0.999999 + b;
		b = b * 1.000001 - a * 1e-9;
	}
	return a + b;
}

static volatile double sink;

/* Steps that take about that long. */
static long
calibrate(double us)
{
	const long probe = 2000000;
	double best = 1e18;

	for (int i = 0; i < 5; i++) {
		const double begin = now_us();

		sink = compute(probe);
		best = now_us() - begin < best ? now_us() - begin : best;
	}
	return (long)((double)probe * us / best);
}

static double
once(tutti_comm *comm, float *v, size_t count, enum kind kind, long steps)
{
	tutti_request *request = NULL;
	double begin;

	must(tutti_barrier(comm, NULL, NULL), "barrier");
	begin = now_us();
	if (kind == REDUCE)
		must(tutti_all_reduce(comm, v, v, count, TUTTI_FLOAT32, TUTTI_MAX, NULL, NULL), "all_reduce");
	if (kind == TOGETHER)
		must(tutti_all_reduce(comm, v, v, count, TUTTI_FLOAT32, TUTTI_MAX, NULL, &request), "all_reduce");
	if (kind != REDUCE)
		sink = compute(steps);
	if (kind == TOGETHER)
		must(tutti_wait(&request), "wait");
	return now_us() - begin;
}

/* The slowest rank's time, on all ranks. */
static double
slowest(tutti_comm *comm, double us)
{
	must(tutti_all_reduce(comm, &us, &us, 1, TUTTI_FLOAT64, TUTTI_MAX, NULL, NULL), "all_reduce of the times");
	return us;
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
	return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static void
measure(tutti_comm *comm, const struct options *o, float *v, size_t bytes)
{
	static double us[KINDS][MOST_ROUNDS];
	const size_t count = bytes / sizeof(*v);
	double first[WARMUP], hidden, shorter;
	long steps;

	for (int i = 0; i < WARMUP; i++)
		first[i] = slowest(comm, once(comm, v, count, REDUCE, 0));
	steps = calibrate(median(first, WARMUP)); /* about as long as the all-reduce */
	for (int round = 0; round < o->rounds; round++)
		for (int kind = 0; kind < KINDS; kind++)
			us[kind][round] = slowest(comm, once(comm, v, count, (enum kind)kind, steps));
	for (int kind = 0; kind < KINDS; kind++)
		us[kind][0] = median(us[kind], o->rounds);
	shorter = us[COMPUTE][0] < us[REDUCE][0] ? us[COMPUTE][0] : us[REDUCE][0];
	hidden = 100 * (us[COMPUTE][0] + us[REDUCE][0] - us[TOGETHER][0]) / shorter;
	if (tutti_comm_rank(comm) == 0)
		printf("%10zu %12.1f %12.1f %12.1f %12.1f %8.0f %%\n", bytes, us[COMPUTE][0], us[REDUCE][0],
		    us[COMPUTE][0] + us[REDUCE][0], us[TOGETHER][0], hidden);
}

static tutti_comm *
meet_children(const struct options *o, const tutti_config *config, struct board *board, int rank)
{
	tutti_comm *comm;

	if (rank == 0 && o->ranks > 1) {
		must(tutti_unique_id_create_with(config, &board->id), "unique id");
		atomic_store(&board->made, 1);
	}
	while (o->ranks > 1 && atomic_load(&board->made) == 0)
		usleep(500);
	must(tutti_comm_create(o->ranks, rank, &board->id, config, &comm), "creation");
	return comm;
}

static void
say_heads(const tutti_comm *comm, const struct options *o)
{
	cpu_set_t cpus;
	const int threads = 2 * tutti_comm_node_size(comm);
	int cores = 1;

	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
		cores = CPU_COUNT(&cpus);
	printf("%d ranks, each with a computing and a progress thread, %d of them on this node with %d cores; %s; "
	       "medians of %d rounds\n",
	    tutti_comm_size(comm), tutti_comm_node_size(comm), cores,
	    o->transports != NULL ? o->transports : "transports chosen by themselves", o->rounds);
	if (cores < threads)
		printf(
		    "%d threads want %d cores: what a progress thread takes, a computation loses\n", threads, cores);
	printf("%10s %12s %12s %12s %12s %10s\n%10s %12s %12s %12s %12s\n", "bytes", "compute", "all-reduce", "sum",
	    "together", "hidden", "", "us", "us", "us", "us");
}

/* board: NULL if a launcher has started this rank. */
static int
run_rank(const struct options *o, struct board *board, int rank)
{
	tutti_config config = TUTTI_CONFIG_INIT;
	float *v = malloc(sizes[SIZES - 1]);
	tutti_comm *comm;

	config.transports = o->transports;
	config.progress_thread = 1;
	if (board != NULL)
		comm = meet_children(o, &config, board, rank);
	else
		must(tutti_comm_create_from_env(&config, &comm), "creation");
	for (size_t i = 0; i < sizes[SIZES - 1] / sizeof(*v); i++)
		v[i] = (float)(i % 100);
	if (tutti_comm_rank(comm) == 0)
		say_heads(comm, o);
	for (size_t s = 0; s < SIZES; s++)
		measure(comm, o, v, sizes[s]);
	tutti_comm_destroy(comm);
	free(v);
	return fflush(stdout) == 0 ? 0 : 1;
}

static int
number(const char *text, int most)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (errno != 0 || *end != '\0' || n < 1 || n > most) {
		fprintf(stderr, "overlap: %s: give a number from 1 to %d\n", text, most);
		exit(2);
	}
	return (int)n;
}

int
main(int argc, char **argv)
{
	struct options o = {.ranks = 2, .rounds = 31};
	struct board *board;
	int c, status, failed = 0;

	while ((c = getopt(argc, argv, "en:t:r:")) != -1) {
		if (c == 'n') {
			o.ranks = number(optarg, MOST_RANKS);
		} else if (c == 'e') {
			o.launched = true;
		} else if (c == 't') {
			o.transports = optarg;
		} else if (c == 'r') {
			o.rounds = number(optarg, MOST_ROUNDS);
		} else {
			fputs("usage: overlap [-n RANKS | -e] [-t TRANSPORTS] [-r ROUNDS]\n", stderr);
			return 2;
		}
	}
	if (o.launched)
		return run_rank(&o, NULL, 0);
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (board == MAP_FAILED) {
		perror("overlap: mmap");
		return 1;
	}
	for (int rank = 0; rank < o.ranks; rank++) {
		const pid_t pid = fork();

		if (pid < 0) {
			perror("overlap: fork");
			return 1;
		}
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			_exit(run_rank(&o, board, rank));
		}
	}
	while (wait(&status) > 0)
		failed |= !WIFEXITED(status) || WEXITSTATUS(status) != 0;
	return failed;
}

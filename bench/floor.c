/* SPDX-License-Identifier: Apache-2.0
 *
 * floor.c - Tutti beside a hand-written exchange with nothing around it: what the least that ranks must do costs on
 * this machine, in the same run.
 *
 * The exchange (floor_exchange.h): every rank writes its line, reads the others' and adds. Floor and Tutti take turns in
 * blocks of calls, back to back, and before and after each block the handoff is measured: the time that one cache line
 * needs from core to core. Some machines move a program's cores about, and everything small moves with that; so a pair
 * of blocks counts only if the handoff was the same around both, and near and far are told apart.
 *
 *	ratio = median over the pairs of (Tutti's median in the block / the floor's median in the block)
 *
 * With more ranks than cores the exchange yields between two looks, and the ideal is printed beside it: a rank can do its
 * part only when it runs, so an operation cannot take less than ranks / cores switches by yield.
 *
 *     floor [-n RANKS] [-r ROUNDS] [-i CALLS]
 */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <tutti/tutti.h>

#include "floor_exchange.h"

#define MOST_ROUNDS 1000
#define MOST_CALLS 100000
#define WARM 200
#define PINGS 300
#define SAME 1.25 /* handoffs that differ by less are the same */
#define FAR 1.8 /* of the least handoff seen: beyond it the cores are far from each other */
#define IDLE_MS 300

enum who { FLOOR, TUTTI, CONTESTANTS };

/* Shared by the ranks. */
struct board {
	tutti_unique_id id;
	_Atomic int made;
	struct exchange exchange;
	double ns[FLOOR_RANKS]; /* what each rank says */
};

struct options {
	int ranks, rounds, calls, cores;
};

struct cell {
	const char *name;
	size_t floats;
};

static const struct cell cells[] = {
    {"all_reduce", 2}, {"barrier", 0}, {"all_reduce", 16}, {"all_reduce", 1024}, {"all_reduce", 4096}};
#define CELLS (sizeof(cells) / sizeof(cells[0]))

struct bench {
	const struct options *o;
	struct board *board;
	struct party party;
	tutti_comm *comm;
	int rank;
	float *send, *recv;
	double *sample;
};

/* One contestant's block. */
struct block {
	double median, p99;
};

struct pair {
	struct block block[CONTESTANTS];
	double handoff;
	bool steady; /* the same handoff before, between and after */
};

static double
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void
must(tutti_status status, const char *what)
{
	tutti_error error = TUTTI_ERROR_INIT;

	if (status == TUTTI_OK)
		return;
	(void)tutti_last_error(&error);
	fprintf(stderr, "floor: %s: %s: %s\n", what, tutti_status_string(status), error.message);
	_exit(1);
}

static int
ascending(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double
quantile(double *values, int n, double q)
{
	qsort(values, (size_t)n, sizeof(*values), ascending);
	return values[(int)((double)(n - 1) * q)];
}

/* ---- what is measured ----------------------------------------------------------------------------------------- */

static void
call(struct bench *b, enum who who, const struct cell *cell)
{
	if (who == FLOOR)
		exchange(&b->party, b->send, b->recv, cell->floats);
	else if (cell->floats == 0)
		must(tutti_barrier(b->comm, NULL, NULL), "barrier");
	else
		must(tutti_all_reduce(b->comm, b->send, b->recv, cell->floats, TUTTI_FLOAT32, TUTTI_SUM, NULL, NULL),
		    "all_reduce");
}

static void
check(const struct bench *b, const struct cell *cell)
{
	const int p = b->o->ranks;

	for (size_t i = 0; i < cell->floats; i++)
		if (b->recv[i] != (float)(p * (p - 1) / 2) + (float)p * (float)(i % 7)) {
			fprintf(stderr, "floor: rank %d has a wrong sum at %zu\n", b->rank, i);
			_exit(1);
		}
	memset(b->recv, 0, cell->floats * sizeof(float));
}

/* The time from return to return: back to back, on every rank the same but for who is how far ahead. */
static struct block
run_block(struct bench *b, enum who who, const struct cell *cell)
{
	const int calls = b->o->calls;
	struct block block;
	double before, after;

	for (int i = 0; i < WARM; i++)
		call(b, who, cell);
	before = now_ns();
	for (int i = 0; i < calls; i++) {
		call(b, who, cell);
		after = now_ns();
		b->sample[i] = after - before;
		before = after;
	}
	check(b, cell);
	block.median = quantile(b->sample, calls, 0.5);
	block.p99 = b->sample[(int)((double)(calls - 1) * 0.99)];
	return block;
}

/* One way, between the first two ranks; the others wait. */
static double
handoff(struct bench *b)
{
	double ns = 0, before;

	exchange(&b->party, b->send, b->recv, 0);
	for (int i = 0; i < PINGS && b->rank < 2; i++) {
		before = now_ns();
		for (int k = 0; k < 10; k++)
			ping(&b->party);
		b->sample[i] = (now_ns() - before) / 20;
	}
	if (b->rank == 0)
		b->board->ns[0] = quantile(b->sample, PINGS, 0.5);
	exchange(&b->party, b->send, b->recv, 0);
	ns = b->board->ns[0];
	exchange(&b->party, b->send, b->recv, 0);
	return ns;
}

static struct pair
run_pair(struct bench *b, const struct cell *cell, double *before)
{
	struct pair pair = {.handoff = *before, .steady = true};

	for (int who = 0; who < CONTESTANTS; who++) {
		double after = 0;

		pair.block[who] = run_block(b, (enum who)who, cell);
		if (b->o->ranks <= b->o->cores)
			after = handoff(b);
		if (after > pair.handoff * SAME || after * SAME < pair.handoff)
			pair.steady = false;
		*before = after;
	}
	return pair;
}

/* ---- what is said --------------------------------------------------------------------------------------------- */

static void
say_row(const struct cell *cell, const char *where, const struct pair *pairs, int n, double least, bool far)
{
	double v[6][MOST_ROUNDS];
	int k = 0;

	for (int i = 0; i < n; i++) {
		const struct block *f = &pairs[i].block[FLOOR], *t = &pairs[i].block[TUTTI];

		if (!pairs[i].steady || (pairs[i].handoff > least * FAR) != far)
			continue;
		v[0][k] = pairs[i].handoff;
		v[1][k] = f->median;
		v[2][k] = t->median;
		v[3][k] = t->median / f->median;
		v[4][k] = f->p99 / f->median;
		v[5][k++] = t->p99 / t->median;
	}
	if (k == 0)
		return;
	for (int c = 0; c < 6; c++)
		v[c][0] = quantile(v[c], k, 0.5);
	printf("%-10s %7zu %5s %5d %9.0f %10.0f %10.0f %8.2f %11.2f %11.2f\n", cell->name,
	    cell->floats * sizeof(float), where, k, v[0][0], v[1][0], v[2][0], v[3][0], v[4][0], v[5][0]);
}

static void
measure(struct bench *b)
{
	static struct pair pairs[CELLS][MOST_ROUNDS];
	double before = b->o->ranks <= b->o->cores ? handoff(b) : 0, least = INFINITY;

	for (int round = 0; round < b->o->rounds; round++)
		for (size_t c = 0; c < CELLS; c++)
			pairs[c][round] = run_pair(b, &cells[c], &before);
	if (b->rank != 0)
		return;
	for (size_t c = 0; c < CELLS; c++)
		for (int i = 0; i < b->o->rounds; i++)
			least = fmin(least, pairs[c][i].handoff);
	printf("%-10s %7s %5s %5s %9s %10s %10s %8s %11s %11s\n%-10s %7s %5s %5s %9s %10s %10s %8s %11s %11s\n", "",
	    "bytes", "cores", "pairs", "handoff", "floor", "Tutti", "ratio", "p99/p50", "p99/p50", "", "", "", "",
	    "ns", "ns", "ns", "", "floor", "Tutti");
	for (size_t c = 0; c < CELLS; c++) {
		say_row(&cells[c], least > 0 ? "near" : "-", pairs[c], b->o->rounds, least, false);
		if (least > 0)
			say_row(&cells[c], "far", pairs[c], b->o->rounds, least, true);
	}
}

/* ---- one rank alone: what a call costs that waits for nobody -------------------------------------------------------- */

static void
measure_alone(const struct options *o)
{
	double sample[64];
	float v[2] = {1, 2}, sum[2];
	tutti_comm *comm;

	must(tutti_comm_create(1, 0, NULL, NULL, &comm), "creation of a communicator of one rank");
	for (int i = 0; i < 64; i++) {
		const double before = now_ns();

		for (int k = 0; k < o->calls; k++)
			must(tutti_all_reduce(comm, v, sum, 2, TUTTI_FLOAT32, TUTTI_SUM, NULL, NULL), "all_reduce");
		sample[i] = (now_ns() - before) / o->calls;
	}
	printf("one rank alone: %.1f ns for a call of 8 bytes\n", quantile(sample, 64, 0.5));
	tutti_comm_destroy(comm);
}

/* ---- more ranks than cores ------------------------------------------------------------------------------------------ */

/* Two processes on one core that yield to each other. Strictly in turns: if each only waited for the other's last step, it
 * would find two steps done at every switch, and a switch would seem to take half as long. */
static double
switch_ns(void)
{
	struct line *line = mmap(NULL, sizeof(*line), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const int turns = 20000;
	cpu_set_t before, one;
	double begin;
	pid_t pid;
	int cpu = 0;

	if (line == MAP_FAILED || sched_getaffinity(0, sizeof(before), &before) != 0)
		return 0;
	while (!CPU_ISSET(cpu, &before))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
	pid = fork();
	if (pid < 0)
		return 0;
	begin = now_ns();
	for (int i = 0; i < turns; i++) {
		const uint64_t mine = 2 * (uint64_t)i + (pid == 0);

		while (atomic_load_explicit(&line->sequence, memory_order_acquire) != mine)
			sched_yield();
		atomic_store_explicit(&line->sequence, mine + 1, memory_order_release);
	}
	if (pid == 0)
		_exit(0);
	begin = now_ns() - begin;
	waitpid(pid, NULL, 0);
	sched_setaffinity(0, sizeof(before), &before);
	munmap(line, sizeof(*line));
	return begin / turns / 2;
}

static double
cpu_ms(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-3;
}

/* Rank 0 comes late to a barrier: what the others use of their cores meanwhile. */
static void
measure_idle(struct bench *b)
{
	double used;

	must(tutti_barrier(b->comm, NULL, NULL), "barrier");
	used = cpu_ms();
	if (b->rank == 0)
		usleep(IDLE_MS * 1000);
	must(tutti_barrier(b->comm, NULL, NULL), "barrier");
	b->board->ns[b->rank] = (cpu_ms() - used) / IDLE_MS * 100;
	must(tutti_barrier(b->comm, NULL, NULL), "barrier");
	for (int r = 2; r < b->o->ranks && b->rank == 0; r++)
		b->board->ns[1] = fmax(b->board->ns[1], b->board->ns[r]);
	if (b->rank == 0 && b->o->ranks > 1)
		printf("a rank that waits %d ms for another: %.1f %% of a core\n", IDLE_MS, b->board->ns[1]);
}

/* ---- ranks ---------------------------------------------------------------------------------------------------------- */

/* As many ranks on each core: where the scheduler moves them, or leaves a core with more than its share, a median means
 * little. */
static void
pin(const struct options *o, int rank)
{
	cpu_set_t all, one;
	int nth = -1;

	if (sched_getaffinity(0, sizeof(all), &all) != 0)
		return;
	CPU_ZERO(&one);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &all) && ++nth == rank % o->cores)
			CPU_SET(cpu, &one);
	(void)sched_setaffinity(0, sizeof(one), &one);
}

static int
run_rank(const struct options *o, struct board *board, int rank)
{
	const size_t most = cells[CELLS - 1].floats;
	struct bench b = {.o = o, .board = board, .rank = rank};

	if (rank == 0) {
		must(tutti_unique_id_create(&board->id), "unique id");
		atomic_store(&board->made, 1);
	}
	while (atomic_load(&board->made) == 0)
		usleep(500);
	must(tutti_comm_create(o->ranks, rank, &board->id, NULL, &b.comm), "creation");
	pin(o, rank);
	party_join(&b.party, &board->exchange, rank, o->ranks, o->ranks > o->cores);
	b.send = aligned_alloc(64, most * sizeof(float));
	b.recv = aligned_alloc(64, most * sizeof(float));
	b.sample = calloc((size_t)(o->calls > PINGS ? o->calls : PINGS), sizeof(double));
	for (size_t i = 0; i < most; i++)
		b.send[i] = (float)rank + (float)(i % 7);
	measure(&b);
	measure_idle(&b);
	must(tutti_comm_destroy(b.comm), "destruction");
	free(b.sample);
	free(b.recv);
	free(b.send);
	return fflush(stdout) == 0 ? 0 : 1;
}

static void
say_machine(const struct options *o)
{
	printf("%d ranks on %d cores, %d rounds of %d calls\n", o->ranks, o->cores, o->rounds, o->calls);
	measure_alone(o);
	if (o->ranks > o->cores) {
		const double y = switch_ns();

		printf("a switch by yield: %.0f ns; ranks / cores of them: %.0f ns\n", y,
		    y * (double)o->ranks / (double)o->cores);
	}
	fflush(stdout);
}

static int
number(const char *text, int most)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (errno != 0 || *end != '\0' || n < 1 || n > most) {
		fprintf(stderr, "floor: %s: give a number from 1 to %d\n", text, most);
		exit(2);
	}
	return (int)n;
}

static int
run(const struct options *o)
{
	struct board *board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status, failed = 0;

	if (board == MAP_FAILED) {
		perror("floor: mmap");
		return 1;
	}
	for (int rank = 0; rank < o->ranks; rank++) {
		const pid_t pid = fork();

		if (pid < 0) {
			perror("floor: fork");
			return 1;
		}
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			_exit(run_rank(o, board, rank));
		}
	}
	while (wait(&status) > 0)
		failed |= !WIFEXITED(status) || WEXITSTATUS(status) != 0;
	return failed;
}

int
main(int argc, char **argv)
{
	struct options o = {.ranks = 2, .rounds = 41, .calls = 2000, .cores = 1};
	cpu_set_t cpus;
	int c;

	while ((c = getopt(argc, argv, "n:r:i:")) != -1) {
		if (c == 'n') {
			o.ranks = number(optarg, FLOOR_RANKS);
		} else if (c == 'r') {
			o.rounds = number(optarg, MOST_ROUNDS);
		} else if (c == 'i') {
			o.calls = number(optarg, MOST_CALLS);
		} else {
			fputs("usage: floor [-n RANKS] [-r ROUNDS] [-i CALLS]\n", stderr);
			return 2;
		}
	}
	if (o.ranks < 2) {
		fputs("floor: it takes two ranks at least\n", stderr);
		return 2;
	}
	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
		o.cores = CPU_COUNT(&cpus);
	say_machine(&o);
	return run(&o);
}

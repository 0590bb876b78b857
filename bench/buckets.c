/* SPDX-License-Identifier: Apache-2.0
 *
 * buckets.c - many small all-reduces, as of gradients: one by one, in a group, and as one call on packed memory.
 *
 * Every rank does four things in turns, so that whatever else the machine does meets all of them. Of each round counts
 * the slowest rank. Printed are medians of the rounds, and what single calls and the packed call cost beside the group.
 *
 *	singles   a blocking call for each member
 *	group     the same calls in a group; members are not adjacent in memory
 *	packed    one call on memory that holds all of them: what would be if the program kept them so
 *	copied    the same, with the members copied in before and out after: what a program does that packs
 *
 *     buckets [-n RANKS] [-t TRANSPORTS] [-r ROUNDS] [-k MEMBERS]
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <tutti/tutti.h>

#define MOST_RANKS 64
#define MOST_ROUNDS 1000
#define MOST_MEMBERS 1024
#define WARMUP 5
#define GAP 64 /* bytes between members */

enum kind { SINGLES, GROUP, PACKED, COPIED, KINDS };

struct board {
	tutti_unique_id id;
	_Atomic int made;
};

struct options {
	int ranks, rounds, members;
	const char *transports;
};

static const size_t sizes[] = {16, 64, 256, 1024, 4096, 16384};
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

struct memory {
	unsigned char *members, *packed;
	size_t bytes; /* of a member */
	int n;
};

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
	fprintf(stderr, "buckets: %s: %s: %s\n", what, tutti_status_string(status), error.message);
	_exit(1);
}

static unsigned char *
member(const struct memory *m, int i)
{
	return m->members + (size_t)i * (m->bytes + GAP);
}

static void
reduce(tutti_comm *comm, void *at, size_t bytes)
{
	must(tutti_all_reduce(comm, at, at, bytes / sizeof(float), TUTTI_FLOAT32, TUTTI_MAX, NULL, NULL),
	    "all_reduce");
}

static void
go(tutti_comm *comm, const struct memory *m, enum kind kind)
{
	if (kind == GROUP)
		must(tutti_group_begin(comm), "begin");
	for (int i = 0; i < m->n && kind <= GROUP; i++)
		reduce(comm, member(m, i), m->bytes);
	if (kind == GROUP)
		must(tutti_group_end(comm, NULL), "end");
	for (int i = 0; i < m->n && kind == COPIED; i++)
		memcpy(m->packed + (size_t)i * m->bytes, member(m, i), m->bytes);
	if (kind >= PACKED)
		reduce(comm, m->packed, (size_t)m->n * m->bytes);
	for (int i = 0; i < m->n && kind == COPIED; i++)
		memcpy(member(m, i), m->packed + (size_t)i * m->bytes, m->bytes);
}

/* The slowest rank's time, on all ranks. */
static double
once(tutti_comm *comm, const struct memory *m, enum kind kind)
{
	double us;

	must(tutti_barrier(comm, NULL, NULL), "barrier");
	us = now_us();
	go(comm, m, kind);
	us = now_us() - us;
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
measure(tutti_comm *comm, const struct options *o, const struct memory *m)
{
	static double us[KINDS][MOST_ROUNDS];

	for (int round = -WARMUP; round < o->rounds; round++)
		for (int kind = 0; kind < KINDS; kind++)
			us[kind][round < 0 ? 0 : round] = once(comm, m, (enum kind)kind);
	for (int kind = 0; kind < KINDS; kind++)
		us[kind][0] = median(us[kind], o->rounds);
	if (tutti_comm_rank(comm) == 0)
		printf("%5d x %6zu %10.1f %10.1f %10.1f %10.1f %14.2f %14.2f %14.2f\n", m->n, m->bytes,
		    us[SINGLES][0], us[GROUP][0], us[PACKED][0], us[COPIED][0], us[SINGLES][0] / us[GROUP][0],
		    us[PACKED][0] / us[GROUP][0], us[COPIED][0] / us[GROUP][0]);
}

static int
run_rank(const struct options *o, struct board *board, int rank)
{
	const size_t room = (size_t)o->members * (sizes[SIZES - 1] + GAP);
	struct memory m = {.members = calloc(1, room), .packed = calloc(1, room), .n = o->members};
	tutti_config config = TUTTI_CONFIG_INIT;
	tutti_comm *comm;

	config.transports = o->transports;
	if (rank == 0 && o->ranks > 1) {
		must(tutti_unique_id_create_with(&config, &board->id), "unique id");
		atomic_store(&board->made, 1);
	}
	while (o->ranks > 1 && atomic_load(&board->made) == 0)
		usleep(500);
	must(tutti_comm_create(o->ranks, rank, &board->id, &config, &comm), "creation");
	if (rank == 0)
		printf("%14s %10s %10s %10s %10s %14s %14s %14s\n%14s %10s %10s %10s %10s\n", "members", "singles",
		    "group", "packed", "copied", "singles/group", "packed/group", "copied/group", "bytes", "us", "us",
		    "us", "us");
	for (size_t s = 0; s < SIZES; s++) {
		m.bytes = sizes[s];
		measure(comm, o, &m);
	}
	tutti_comm_destroy(comm);
	free(m.members);
	free(m.packed);
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
		fprintf(stderr, "buckets: %s: give a number from 1 to %d\n", text, most);
		exit(2);
	}
	return (int)n;
}

static void
parse(int argc, char **argv, struct options *o)
{
	int c;

	while ((c = getopt(argc, argv, "n:t:r:k:")) != -1) {
		if (c == 'n') {
			o->ranks = number(optarg, MOST_RANKS);
		} else if (c == 't') {
			o->transports = optarg;
		} else if (c == 'r') {
			o->rounds = number(optarg, MOST_ROUNDS);
		} else if (c == 'k') {
			o->members = number(optarg, MOST_MEMBERS);
		} else {
			fputs("usage: buckets [-n RANKS] [-t TRANSPORTS] [-r ROUNDS] [-k MEMBERS]\n", stderr);
			exit(2);
		}
	}
}

int
main(int argc, char **argv)
{
	struct options o = {.ranks = 2, .rounds = 51, .members = 64};
	struct board *board;
	int status, failed = 0;

	parse(argc, argv, &o);
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (board == MAP_FAILED) {
		perror("buckets: mmap");
		return 1;
	}
	printf("%d ranks, %s; medians of %d rounds\n", o.ranks,
	    o.transports != NULL ? o.transports : "transports chosen by themselves", o.rounds);
	fflush(stdout);
	for (int rank = 0; rank < o.ranks; rank++) {
		const pid_t pid = fork();

		if (pid < 0) {
			perror("buckets: fork");
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

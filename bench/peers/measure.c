/* SPDX-License-Identifier: Apache-2.0
 *
 * measure.c - the same measurement for every library: common start by a barrier, the input rewritten by its owner
 * before each call, the time of an iteration is that of the slowest rank, the result checked, the median over the
 * iterations printed.
 *
 *	measure COLLECTIVE,... BYTES,... ITERATIONS
 *
 * BYTES as in nccl-tests: the larger of a rank's whole send and receive buffer. Prints "collective bytes microseconds".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "peer.h"

struct run {
	int rank, size;
	float *send, *recv;
	size_t floats;
};

static double
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static int
call(const struct run *r, const char *what, size_t n)
{
	const size_t each = n / (size_t)r->size;

	if (strcmp(what, "all_reduce") == 0)
		return peer.all_reduce(r->send, r->recv, n);
	if (strcmp(what, "reduce_scatter") == 0)
		return peer.reduce_scatter(r->send, r->recv, each);
	if (strcmp(what, "all_gather") == 0)
		return peer.all_gather(r->send, r->recv, each);
	if (strcmp(what, "broadcast") == 0)
		return peer.broadcast(r->recv, n);
	if (strcmp(what, "reduce") == 0)
		return peer.reduce(r->send, r->recv, n);
	if (strcmp(what, "scatter") == 0)
		return peer.scatter(r->send, r->recv, each);
	if (strcmp(what, "gather") == 0)
		return peer.gather(r->send, r->recv, each);
	if (strcmp(what, "all_to_all") == 0)
		return peer.all_to_all(r->send, r->recv, each);
	if (strcmp(what, "barrier") == 0)
		return peer.barrier();
	fprintf(stderr, "measure: there is no collective \"%s\"\n", what);
	return -1;
}

/* What the owner writes before an iteration: element i of rank r. */
static float
input(int rank, size_t i, int iteration)
{
	return (float)((rank + (int)(i % 31) + iteration) % 64);
}

static void
rewrite(const struct run *r, const char *what, size_t n, int iteration)
{
	const int own = strcmp(what, "broadcast") == 0;
	float *to = own ? r->recv : r->send;

	for (size_t i = 0; i < n && (!own || r->rank == 0); i++)
		to[i] = input(r->rank, i, iteration);
}

/* The first and the last element that this rank must have received. */
static int
wrong(const struct run *r, const char *what, size_t n, int iteration)
{
	const size_t each = n / (size_t)r->size;
	const size_t ends[2] = {0, n - 1};

	if (n == 0 || strcmp(what, "barrier") == 0)
		return 0;
	for (int e = 0; e < 2; e++) {
		const size_t i = ends[e];
		float sum = 0;

		for (int p = 0; p < r->size; p++)
			sum += input(p, i, iteration);
		if (strcmp(what, "all_reduce") == 0 || (strcmp(what, "reduce") == 0 && r->rank == 0)) {
			if (r->recv[i] != sum)
				return 1;
		} else if (strcmp(what, "broadcast") == 0) {
			if (r->recv[i] != input(0, i, iteration))
				return 1;
		} else if (strcmp(what, "all_gather") == 0 || (strcmp(what, "gather") == 0 && r->rank == 0)) {
			if (each > 0 && r->recv[i] != input((int)(i / each), i % each, iteration))
				return 1;
		} else if (strcmp(what, "scatter") == 0) {
			if (each > 0 && r->recv[0] != input(0, (size_t)r->rank * each, iteration))
				return 1;
		}
	}
	return 0;
}

static int
ascending(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int
measure(const struct run *r, const char *what, size_t bytes, int iterations)
{
	const size_t n = bytes / sizeof(float) / (size_t)r->size * (size_t)r->size;
	const size_t count =
	    strcmp(what, "all_reduce") == 0 || strcmp(what, "broadcast") == 0 || strcmp(what, "reduce") == 0
		? bytes / sizeof(float)
		: n;
	const int warm = iterations / 10 + 2;
	double *mine = calloc((size_t)iterations, sizeof(double));
	double *all = calloc((size_t)iterations * (size_t)r->size, sizeof(double));
	double bad = 0;

	for (int k = -warm; k < iterations; k++) {
		double start;

		rewrite(r, what, count, k + warm);
		if (peer.barrier() != 0)
			return -1;
		start = now_us();
		if (call(r, what, count) != 0)
			return -1;
		if (k >= 0)
			mine[k] = now_us() - start;
		if (wrong(r, what, count, k + warm))
			bad = 1;
	}
	if (bad != 0)
		fprintf(stderr, "measure: %s %s of %zu bytes: rank %d has a wrong result\n", peer.name, what, bytes,
		    r->rank);
	if (peer.collect(mine, all, (size_t)iterations) != 0)
		return -1;
	for (int k = 0; k < iterations && r->rank == 0; k++)
		for (int p = 0; p < r->size; p++)
			if (all[(size_t)p * (size_t)iterations + (size_t)k] > mine[k])
				mine[k] = all[(size_t)p * (size_t)iterations + (size_t)k];
	if (r->rank == 0) {
		qsort(mine, (size_t)iterations, sizeof(double), ascending);
		printf("%s %zu %.3f\n", what, bytes, mine[iterations / 2]);
		fflush(stdout);
	}
	free(mine);
	free(all);
	return bad != 0 ? 1 : 0;
}

int
main(int argc, char **argv)
{
	struct run r = {0};
	size_t most = 0;
	int failed = 0;
	char *end;

	if (argc != 4) {
		fprintf(stderr, "usage: measure COLLECTIVE,... BYTES,... ITERATIONS\n");
		return 2;
	}
	if (peer.open(&r.rank, &r.size) != 0)
		return 1;
	for (const char *p = argv[2]; *p != '\0'; p = *end == ',' ? end + 1 : end) {
		const size_t bytes = strtoull(p, &end, 10);

		most = bytes > most ? bytes : most;
	}
	r.floats = most / sizeof(float) + 64;
	r.send = calloc(r.floats, sizeof(float));
	r.recv = calloc(r.floats, sizeof(float));
	for (char *what = strtok(argv[1], ","); what != NULL && !failed; what = strtok(NULL, ","))
		for (const char *p = argv[2]; *p != '\0' && !failed; p = *end == ',' ? end + 1 : end) {
			const size_t bytes = strtoull(p, &end, 10);
			int iterations = atoi(argv[3]);

			/* Large ones take long: fewer of them. */
			if (bytes > 65536)
				iterations = (int)((double)iterations * 65536 / (double)bytes);
			failed = measure(&r, what, bytes, iterations < 15 ? 15 : iterations);
		}
	free(r.send);
	free(r.recv);
	peer.close();
	return failed != 0;
}

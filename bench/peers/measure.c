/* SPDX-License-Identifier: Apache-2.0
 *
 * measure.c - the same measurement for every library: the input is rewritten by its owner before each call, all ranks
 * start at one time (stage.h), an iteration lasts until the slowest rank is back, and the result is checked.
 *
 *	measure COLLECTIVE,... BYTES,... ITERATIONS COLD
 *
 * BYTES as in nccl-tests: the larger of a rank's whole send and receive buffer. COLD: bytes through which the buffers
 * of a rank rotate, so that none of them is in a cache; 0 keeps one pair of buffers. Prints
 * "collective bytes median_us p99_us handoff_ns", the handoff being the mean of those before and after.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "peer.h"
#include "stage.h"

struct run {
	int rank, size;
	struct stage *stage;
	float *memory; /* of all buffers */
	size_t floats; /* of one buffer */
	size_t pairs; /* of buffers */
	float *send, *recv; /* the pair in use */
};

static void
use_pair(struct run *r, size_t k)
{
	r->send = r->memory + 2 * (k % r->pairs) * r->floats;
	r->recv = r->send + r->floats;
}

static bool
can(const char *what)
{
	return strcmp(what, "reduce_scatter") == 0 ? peer.reduce_scatter != NULL
	       : strcmp(what, "scatter") == 0      ? peer.scatter != NULL
	       : strcmp(what, "gather") == 0       ? peer.gather != NULL
						   : true;
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
one_call(struct run *r, const char *what, size_t count, int iteration, double *us, int *bad)
{
	double start;

	use_pair(r, (size_t)iteration);
	rewrite(r, what, count, iteration);
	if (peer.barrier() != 0)
		return -1;
	start = stage_start(r->stage);
	if (call(r, what, count) != 0)
		return -1;
	*us = stage_latest(r->stage, stage_now_us()) - start;
	*bad |= wrong(r, what, count, iteration);
	return 0;
}

static int
measure(struct run *r, const char *what, size_t bytes, int iterations)
{
	const size_t share = bytes / sizeof(float) / (size_t)r->size;
	/* Where every rank has a block of its own, at least one element each: a call with nothing in it measures the
	 * call. */
	const size_t n = (share > 0 ? share : 1) * (size_t)r->size;
	const size_t count =
	    strcmp(what, "all_reduce") == 0 || strcmp(what, "broadcast") == 0 || strcmp(what, "reduce") == 0
		? bytes / sizeof(float)
		: n;
	const int warm = iterations / 10 + 2;
	double *us = calloc((size_t)iterations, sizeof(double));
	double handoff, unused;
	int bad = 0;

	for (int k = 0; k < warm; k++)
		if (one_call(r, what, count, k, &unused, &bad) != 0)
			return -1;
	handoff = stage_handoff(r->stage);
	for (int k = 0; k < iterations; k++)
		if (one_call(r, what, count, warm + k, &us[k], &bad) != 0)
			return -1;
	handoff = (handoff + stage_handoff(r->stage)) / 2;
	if (bad != 0)
		fprintf(stderr, "measure: %s %s of %zu bytes: rank %d has a wrong result\n", peer.name, what, bytes,
		    r->rank);
	if (r->rank == 0) {
		qsort(us, (size_t)iterations, sizeof(double), ascending);
		printf(
		    "%s %zu %.3f %.3f %.0f\n", what, bytes, us[iterations / 2], us[iterations * 99 / 100], handoff);
		fflush(stdout);
	}
	free(us);
	return bad;
}

/* Large ones take long: fewer of them. */
static int
fewer(int iterations, size_t bytes)
{
	if (bytes > 65536)
		iterations = (int)((double)iterations * 65536 / (double)bytes);
	return iterations < 15 ? 15 : iterations;
}

/* A library with threads of its own needs the cores that a spinning wait would take. */
static enum stage_wait
way_to_wait(int ranks)
{
	const char *given = getenv("MEASURE_WAIT");

	if (given != NULL && strcmp(given, "naps") == 0)
		return STAGE_NAPS;
	if (given != NULL && strcmp(given, "naps after") == 0)
		return STAGE_NAPS_AFTER;
	return given != NULL || ranks > sysconf(_SC_NPROCESSORS_ONLN) ? STAGE_YIELDS : STAGE_SPINS;
}

int
main(int argc, char **argv)
{
	struct run r = {.pairs = 1};
	size_t most = 0, cold;
	int failed = 0;
	char *end;

	if (argc != 5) {
		fprintf(stderr, "usage: measure COLLECTIVE,... BYTES,... ITERATIONS COLD\n");
		return 2;
	}
	if (peer.open(&r.rank, &r.size) != 0)
		return 1;
	r.stage = stage_open(r.rank, r.size, way_to_wait(r.size));
	if (r.stage == NULL || (peer.ready != NULL && peer.ready(r.stage) != 0))
		return 1;
	for (const char *p = argv[2]; *p != '\0'; p = *end == ',' ? end + 1 : end) {
		const size_t bytes = strtoull(p, &end, 10);

		most = bytes > most ? bytes : most;
	}
	if (most < (size_t)r.size * sizeof(float)) /* an element for each rank */
		most = (size_t)r.size * sizeof(float);
	r.floats = (most + 256) / 64 * 16;
	cold = strtoull(argv[4], NULL, 10);
	if (cold > 2 * r.floats * sizeof(float))
		r.pairs = cold / (2 * r.floats * sizeof(float));
	r.memory = aligned_alloc(4096, (2 * r.pairs * r.floats * sizeof(float) + 4095) / 4096 * 4096);
	if (r.memory == NULL)
		return 1;
	memset(r.memory, 0, 2 * r.pairs * r.floats * sizeof(float));
	for (char *what = strtok(argv[1], ","); what != NULL && !failed; what = strtok(NULL, ","))
		for (const char *p = argv[2]; *p != '\0' && !failed; p = *end == ',' ? end + 1 : end) {
			const size_t bytes = strtoull(p, &end, 10);

			if (can(what))
				failed = measure(&r, what, bytes, fewer(atoi(argv[3]), bytes));
		}
	free(r.memory);
	peer.close();
	return failed != 0;
}

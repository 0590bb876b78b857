/* SPDX-License-Identifier: Apache-2.0
 *
 * regret.c - what the automatic choice costs, and what was predicted: at each point the automatic choice (twice) and every
 * algorithm that could serve, in turns, each time in another order: what came before leaves its traces in the caches. One
 * job of it has one number of ranks and one transport; bench/regret and bench/simulated run several.
 *
 *	regret SEED POINTS REPETITIONS MOST_BYTES
 *
 * Points are numbers and ranges of them, "0-19,25": those that the seed draws, or with the seed "grid" every collective
 * at sizes a factor of four apart. Prints for each point "number collective bytes dtype in_place chosen repetitions", then
 * "name=microseconds:low:high:predicted" for the automatic choice, the same again, "nothing" (what measuring costs) and each
 * algorithm: the median over the repetitions of the slowest rank's time, all ranks starting together, and between which
 * times it is with 95 % confidence (by order statistics).
 */
#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tutti/tutti.h>

#include "peers/stage.h"

#define MOST_ALGORITHMS 24
#define MOST_REPETITIONS 200
#define REPORT 65536

enum { AUTOMATIC, AGAIN, NOTHING, FORCED };

struct point {
	const char *collective;
	size_t bytes; /* the larger of a rank's whole buffers */
	tutti_dtype dtype;
	const char *dtype_name;
	size_t element;
	bool in_place;
};

struct contest {
	tutti_comm *comm;
	struct stage *stage;
	int rank, size;
	char *send, *recv;
	int n; /* contestants: AUTOMATIC, AGAIN, NOTHING, then the algorithms */
	char name[FORCED + MOST_ALGORITHMS][40], chosen[40];
	double predicted[FORCED + MOST_ALGORITHMS]; /* microseconds */
	double us[FORCED + MOST_ALGORITHMS][MOST_REPETITIONS];
};

static const char *const collectives[] = {
    "all_reduce", "reduce_scatter", "all_gather", "broadcast", "reduce", "scatter", "gather", "all_to_all"};

static uint64_t
random_next(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* Sizes on and off powers of two, all orders of magnitude alike. */
static size_t
draw_bytes(uint64_t *random, size_t most)
{
	static const double off[] = {1, 1, 1.5, 3.3 / 2, 1.01};
	int orders = 0;
	size_t bytes;

	while (((size_t)16 << orders) <= most)
		orders++;
	bytes = (size_t)8 << random_next(random) % (uint64_t)orders;
	bytes = (size_t)((double)bytes * off[random_next(random) % 5]);
	return bytes < most ? bytes : most;
}

static struct point
draw(uint64_t *random, size_t most, int ranks)
{
	static const struct {
		tutti_dtype dtype;
		const char *name;
		size_t element;
	} types[] = {{TUTTI_FLOAT32, "float32", 4}, {TUTTI_BFLOAT16, "bfloat16", 2}, {TUTTI_INT64, "int64", 8}};
	const size_t type = random_next(random) % 3;
	struct point point = {.collective = collectives[random_next(random) % 8],
	    .dtype = types[type].dtype,
	    .dtype_name = types[type].name,
	    .element = types[type].element};

	do
		point.bytes = draw_bytes(random, most);
	while (point.bytes < point.element * (size_t)ranks); /* no empty rows */
	point.in_place = random_next(random) % 2 == 0;
	return point;
}

/* Sizes not on powers of two, which thresholds are. */
static struct point
grid_point(size_t number, size_t most, int ranks)
{
	struct point point = {
	    .collective = collectives[number % 8], .dtype = TUTTI_FLOAT32, .dtype_name = "float32", .element = 4};
	size_t least = 80;

	while (least < (size_t)ranks * point.element)
		least *= 4;
	point.bytes = least << (2 * (number / 8) < 40 ? 2 * (number / 8) : 40);
	point.bytes = point.bytes < most ? point.bytes : most;
	return point;
}

/* One call, the algorithm forced or (NULL) chosen. */
static tutti_status
call(const struct contest *c, const struct point *p, const char *algorithm)
{
	const size_t whole = p->bytes / p->element, each = whole / (size_t)c->size,
		     mine = each * (size_t)c->rank * p->element;
	tutti_options options = TUTTI_OPTIONS_INIT;
	char *send = c->send, *recv = c->recv;

	options.algorithm = algorithm;
	if (strcmp(p->collective, "all_reduce") == 0)
		return tutti_all_reduce(
		    c->comm, p->in_place ? recv : send, recv, whole, p->dtype, TUTTI_SUM, &options, NULL);
	if (strcmp(p->collective, "reduce_scatter") == 0)
		return tutti_reduce_scatter(
		    c->comm, send, p->in_place ? send + mine : recv, each, p->dtype, TUTTI_SUM, &options, NULL);
	if (strcmp(p->collective, "all_gather") == 0)
		return tutti_all_gather(
		    c->comm, p->in_place ? recv + mine : send, recv, each, p->dtype, &options, NULL);
	if (strcmp(p->collective, "broadcast") == 0)
		return tutti_broadcast(c->comm, p->in_place ? recv : send, recv, whole, p->dtype, 0, &options, NULL);
	if (strcmp(p->collective, "reduce") == 0)
		return tutti_reduce(
		    c->comm, p->in_place ? recv : send, recv, whole, p->dtype, TUTTI_SUM, 0, &options, NULL);
	if (strcmp(p->collective, "scatter") == 0)
		return tutti_scatter(c->comm, send, recv, each, p->dtype, 0, &options, NULL);
	if (strcmp(p->collective, "gather") == 0)
		return tutti_gather(c->comm, send, recv, each, p->dtype, 0, &options, NULL);
	return tutti_all_to_all(c->comm, send, recv, each, p->dtype, &options, NULL);
}

/* The algorithms that tutti_explain says could serve. */
static void
find_algorithms(struct contest *c, const struct point *p)
{
	static char report[REPORT];
	size_t length;

	snprintf(c->name[AUTOMATIC], sizeof(c->name[0]), "automatic");
	snprintf(c->name[AGAIN], sizeof(c->name[0]), "again");
	snprintf(c->name[NOTHING], sizeof(c->name[0]), "nothing");
	snprintf(c->chosen, sizeof(c->chosen), "-");
	c->n = FORCED;
	if (tutti_explain(c->comm, p->collective, p->bytes, 1, report, sizeof(report), &length) != TUTTI_OK)
		return;
	(void)sscanf(strstr(report, "\"chosen\""), "\"chosen\": \"%39[^\"]\"", c->chosen);
	for (const char *at = strstr(report, "\"algorithm\""); at != NULL && c->n < FORCED + MOST_ALGORITHMS;
	     at = strstr(at + 1, "\"algorithm\"")) {
		const char *next = strstr(at + 1, "\"algorithm\""), *yes = strstr(at, "\"eligible\": true"),
			   *price = strstr(at, "\"predicted_us\"");
		char name[40];

		if (sscanf(at, "\"algorithm\": \"%39[^\"]\"", name) != 1 || yes == NULL || price == NULL ||
		    (next != NULL && yes > next) || sscanf(price, "\"predicted_us\": %lf", &c->predicted[c->n]) != 1)
			continue;
		/* What does not serve this call (in place, this type) is no choice. */
		if (call(c, p, name) == TUTTI_OK)
			memcpy(c->name[c->n++], name, sizeof(name));
	}
}

static int
ascending(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The same order on every rank. */
static void
shuffle(int *order, int n, uint64_t *random)
{
	for (int i = 0; i < n; i++) {
		const int j = (int)(random_next(random) % (uint64_t)(i + 1));

		order[i] = order[j];
		order[j] = i;
	}
}

static tutti_status
measure(struct contest *c, const struct point *p, int repetitions)
{
	int order[FORCED + MOST_ALGORITHMS];
	uint64_t random = p->bytes;

	for (int k = -2; k < repetitions; k++) {
		shuffle(order, c->n, &random);
		for (int turn = 0; turn < c->n; turn++) {
			const int who = order[turn];
			tutti_status status = tutti_barrier(c->comm, NULL, NULL);
			double start;

			if (status != TUTTI_OK)
				return status;
			start = stage_meet(c->stage);
			if (who != NOTHING)
				status = call(c, p, who < FORCED ? NULL : c->name[who]);
			if (status != TUTTI_OK)
				return status;
			start = stage_latest(c->stage, stage_now_us()) - start;
			if (k >= 0)
				c->us[who][k] = start;
		}
	}
	return TUTTI_OK;
}

static void
print_point(struct contest *c, const struct point *p, size_t number, int repetitions)
{
	const int off = (int)ceil(0.98 * sqrt(repetitions)), middle = repetitions / 2;
	const int low = middle - off > 0 ? middle - off : 0;
	const int high = middle + off < repetitions ? middle + off : repetitions - 1;

	printf("%zu %s %zu %s %d %s %d", number, p->collective, p->bytes, p->dtype_name, p->in_place, c->chosen,
	    repetitions);
	for (int who = 0; who < c->n; who++) {
		const double *us = c->us[who];

		qsort(c->us[who], (size_t)repetitions, sizeof(double), ascending);
		printf(" %s=%.3f:%.3f:%.3f:%.3f", c->name[who], us[middle], us[low], us[high], c->predicted[who]);
	}
	printf("\n");
	fflush(stdout);
}

static int
fail(tutti_status status, const char *what)
{
	tutti_error error = TUTTI_ERROR_INIT;

	(void)tutti_last_error(&error);
	fprintf(stderr, "regret: %s: %s: %s\n", what, tutti_status_string(status), error.message);
	return 1;
}

static int
run_point(struct contest *c, const struct point *point, size_t number, int repetitions)
{
	/* Large ones take long; fewer than 21 would make an accident the median. */
	const int fewer = repetitions / 2 > 21 ? repetitions / 2 : 21;
	const int times = point->bytes > 262144 && repetitions > fewer ? fewer : repetitions;
	tutti_status status;

	find_algorithms(c, point);
	status = measure(c, point, times);
	if (status != TUTTI_OK)
		return fail(status, point->collective);
	if (c->rank == 0)
		print_point(c, point, number, times);
	return 0;
}

/* The points of a list like "0-19,25", which ascends. */
static int
run_points(struct contest *c, const char *seed, const char *list, int repetitions, size_t most)
{
	uint64_t random = strtoull(seed, NULL, 10);
	struct point point = {.collective = NULL};
	size_t drawn = 0;

	while (*list != '\0') {
		char *end;
		const size_t first = strtoull(list, &end, 10),
			     last = *end == '-' ? strtoull(end + 1, &end, 10) : first;

		if (end == list || (*end != ',' && *end != '\0'))
			return fail(TUTTI_ERR_ARGUMENT, "the list of points");
		for (size_t number = first; number <= last; number++) {
			int status;

			if (strcmp(seed, "grid") == 0)
				point = grid_point(number, most, c->size);
			else
				for (; drawn <= number; drawn++)
					point = draw(&random, most, c->size);
			status = run_point(c, &point, number, repetitions);
			if (status != 0)
				return status;
		}
		list = end + (*end == ',');
	}
	return 0;
}

int
main(int argc, char **argv)
{
	static struct contest c;
	int repetitions, result;
	size_t most;
	tutti_status status;

	if (argc != 5) {
		fprintf(stderr, "usage: regret SEED POINTS REPETITIONS MOST_BYTES\n");
		return 2;
	}
	repetitions = atoi(argv[3]);
	most = strtoull(argv[4], NULL, 10);
	if (repetitions < 1 || repetitions > MOST_REPETITIONS || most < 8)
		return fail(TUTTI_ERR_ARGUMENT, "the repetitions or the bytes");
	status = tutti_comm_create_from_env(NULL, &c.comm);
	if (status != TUTTI_OK)
		return fail(status, "creation");
	c.rank = tutti_comm_rank(c.comm);
	c.size = tutti_comm_size(c.comm);
	c.stage = stage_open(c.rank, c.size, c.size > sysconf(_SC_NPROCESSORS_ONLN));
	c.send = aligned_alloc(4096, (most + 8191) / 4096 * 4096);
	c.recv = aligned_alloc(4096, (most + 8191) / 4096 * 4096);
	if (c.stage == NULL || c.send == NULL || c.recv == NULL)
		return 1;
	memset(c.send, 0, most);
	memset(c.recv, 0, most);
	result = run_points(&c, argv[1], argv[2], repetitions, most);
	free(c.send);
	free(c.recv);
	return tutti_comm_destroy(c.comm) != TUTTI_OK || result != 0;
}

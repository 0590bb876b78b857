/* SPDX-License-Identifier: Apache-2.0
 *
 * proofs.c - every algorithm in the table is correct for every number of ranks up to 64, every root, in and out of
 * place, on every N × g split into nodes, ranks placed in blocks or dealt out in turn, when one operation follows
 * another, with rows of all widths or of one; where ranks are placed in blocks, for all the awkward counts; and for some
 * numbers of ranks up to 1024.
 *
 * To be in the table is to be proven here. Prints one line per algorithm, and at the end how many checks were made.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/port.h"
#include "world.h"

enum { MOST_RANKS = 64, MOST_CELLS = 20000000, WORKERS = 2, LARGE_ONES = 2 };

struct item {
	const struct tt_algorithm *algorithm;
	int nranks;
	uint64_t seed; /* 0: exhaustive */
};

static struct item *items;
static int nitems;
static atomic_int next_item;
static atomic_long passed, failed;

static void
report_failure(const struct tt_algorithm *a, const struct job *job, const struct tt_check_options *o,
    const struct tt_check_report *report)
{
	if (atomic_fetch_add(&failed, 1) > 20)
		return;
	fprintf(stderr, "not ok: %s %s, %d ranks on %d nodes, root %d, in place %d, count %zu%s, %d slices: %s\n",
	    tt_collective_name(a->collective), a->name, job->nranks, job->nnodes, job->root, (int)job->in_place,
	    o->count, o->counts ? " (uneven)" : "", o->slices, report->message);
}

static void
check(const struct tt_algorithm *a, const struct job *job, const struct tt_check_options *options)
{
	struct tt_check_options o = *options;
	struct tt_check_report report;

	o.ordered = o.one_rounding = (a->flags & TT_ALG_ONE_ROUNDING) != 0;
	if (tt_plan_check(job->list, job->nranks, &o, &report) != TUTTI_OK) {
		fprintf(stderr, "the checker failed: %s\n", tt_last_error()->message);
		exit(2);
	}
	if (report.ok)
		atomic_fetch_add(&passed, 1);
	else
		report_failure(a, job, &o, &report);
}

static bool
too_large(const struct job *job, size_t count)
{
	const enum tt_collective c = job->plans[0].shape.collective;
	const int rows = tt_collective_in_rows(c, job->nranks) + tt_collective_out_rows(c, job->nranks);
	size_t cells = (size_t)job->nranks * (size_t)rows * count;

	for (int r = 0; r < job->nranks; r++)
		cells += (size_t)job->plans[r].tmp_slots * tt_slot_count(&job->plans[r], count);
	return cells > MOST_CELLS;
}

/* Widths that differ from row to row, some of them 0. */
static void
check_uneven(const struct tt_algorithm *a, const struct job *job, bool thorough)
{
	size_t *counts = calloc((size_t)job->nranks, sizeof(*counts));

	if (!counts)
		exit(2);
	for (int r = 0; r < job->nranks; r++)
		counts[r] = (size_t)((r * 7 + job->root) % 5);
	if (thorough)
		check(a, job, &(struct tt_check_options){.counts = counts, .slices = 1, .window = 1, .rounds = 1});
	check(
	    a, job, &(struct tt_check_options){.counts = counts, .slices = 2, .window = 2, .rounds = 2, .slots = 1});
	free(counts);
}

/* Into how many parts the plans cut a row: the awkward counts are those around it. */
static size_t
parts_of(const struct job *job)
{
	size_t parts = 1;

	for (int r = 0; r < job->nranks; r++)
		for (uint32_t i = 0; i < job->plans[r].nspans; i++)
			if ((size_t)job->plans[r].spans[i].of > parts)
				parts = (size_t)job->plans[r].spans[i].of;
	return parts;
}

/* Long parts of two widths in two operations after each other; parts of which some are empty; a part alone; nothing; and
 * slices that follow each other on their lanes. */
static void
check_job(const struct tt_algorithm *a, const struct job *job, bool thorough)
{
	const size_t n = parts_of(job);
	const size_t counts[] = {2 * n + 3, 1, 0, n - 1};
	const size_t most = n > 1 ? TT_COUNT_OF(counts) : 3; /* of rows that are not cut, the last was there */

	for (size_t i = 0; i < (a->collective == TT_BARRIER ? 1 : thorough ? most : 2); i++)
		if (!too_large(job, counts[i]))
			check(a, job,
			    &(struct tt_check_options){
				.count = counts[i], .slices = 1, .window = 1, .rounds = i == 0 ? 2 : 1});
	if (a->collective != TT_BARRIER)
		check(a, job,
		    &(struct tt_check_options){.count = 5, .slices = 3, .window = 2, .rounds = 1, .slots = 1});
	if (a->flags & TT_ALG_UNEVEN)
		check_uneven(a, job, thorough);
}

static void
check_modes(const struct tt_algorithm *a, int nranks, int root, int *node_of, int nnodes, bool thorough)
{
	const struct tt_shape shape = {
	    .collective = a->collective, .nranks = nranks, .root = root, .node_of = node_of, .nnodes = nnodes};

	if (!tt_algorithm_serves(a, &shape, NULL))
		return;
	for (int mode = 0; mode < IN_PLACE_MODES; mode++) {
		struct job job;

		if (mode != OUT_OF_PLACE && (a->collective == TT_BARRIER || nranks > MOST_RANKS))
			continue;
		if (mode == MIXED && tt_collective_has_root(a->collective))
			continue; /* only the root has both buffers */
		job_make(&job, a, nranks, root, (enum in_place)mode, node_of, nnodes);
		check_job(a, &job, thorough);
		job_drop(&job);
	}
}

/* A divisor of nranks by chance, for the large ones. */
static int
some_divisor(int nranks, uint64_t *state)
{
	int n = 1 + random_below(state, nranks);

	while (nranks % n)
		n--;
	return n;
}

static void
check_split(const struct tt_algorithm *a, int nranks, int root, int *node_of, int n, bool dealt)
{
	for (int r = 0; r < nranks; r++)
		node_of[r] = dealt ? r % n : r / (nranks / n);
	check_modes(a, nranks, root, node_of, n, !dealt && nranks <= MOST_RANKS);
}

/* Every N × g = P, ranks placed in blocks and dealt out in turn, and one uneven placement; of many ranks, one. */
static void
check_nodes(const struct tt_algorithm *a, int nranks, int root, uint64_t seed)
{
	int *node_of = calloc((size_t)nranks, sizeof(int));
	uint64_t state = seed + (uint64_t)nranks;

	if (!node_of)
		exit(2);
	if (seed)
		check_split(a, nranks, root, node_of, a->flags & TT_ALG_ONE_NODE ? 1 : some_divisor(nranks, &state),
		    random_below(&state, 2));
	for (int n = 1; n <= nranks && !seed; n++) {
		if (nranks % n)
			continue;
		check_split(a, nranks, root, node_of, n, false);
		if (n > 1 && n < nranks)
			check_split(a, nranks, root, node_of, n, true);
	}
	for (int r = 0; r < nranks; r++)
		node_of[r] = random_below(&state, 1 + nranks / 2);
	if (!seed)
		check_modes(a, nranks, root, node_of, job_number_nodes(node_of, nranks), true);
	free(node_of);
}

/* What follows the order of the machine, in an order by chance. */
static void
check_order(const struct tt_algorithm *a, int nranks, int root)
{
	int *order = calloc(2 * (size_t)nranks, sizeof(int)), *position = order + nranks;
	uint64_t state = (uint64_t)nranks * 64 + (uint64_t)root;
	struct job job;

	if (!order)
		exit(2);
	for (int i = 0; i < nranks; i++) {
		const int j = random_below(&state, i + 1);

		order[i] = order[j];
		order[j] = i;
	}
	for (int i = 0; i < nranks; i++)
		position[order[i]] = i;
	for (int mode = 0; mode <= (tt_collective_has_root(a->collective) ? OUT_OF_PLACE : IN_PLACE); mode++) {
		job_make_ordered(&job, a, nranks, root, (enum in_place)mode, NULL, nranks, order, position);
		check_job(a, &job, false);
		job_drop(&job);
	}
	free(order);
}

static void
check_root(const struct item *item, int root)
{
	if ((item->algorithm->flags & TT_ALG_NEIGHBOURS) != 0 && item->nranks <= MOST_RANKS)
		check_order(item->algorithm, item->nranks, root);
	if (item->algorithm->flags & TT_ALG_NODE)
		check_nodes(item->algorithm, item->nranks, root, item->seed);
	else
		check_modes(item->algorithm, item->nranks, root, NULL, item->nranks, item->nranks <= MOST_RANKS);
}

static void *
work(void *unused)
{
	for (int i = atomic_fetch_add(&next_item, 1); i < nitems; i = atomic_fetch_add(&next_item, 1)) {
		const struct item *item = &items[i];
		const bool rooted = tt_collective_has_root(item->algorithm->collective);
		uint64_t state = item->seed;

		if (item->seed)
			check_root(item, rooted ? random_below(&state, item->nranks) : 0);
		for (int root = 0; !item->seed && root < (rooted ? item->nranks : 1); root++)
			check_root(item, root);
	}
	return unused;
}

static bool
wanted(size_t algorithm, const char *only)
{
	return only == NULL || strcmp(only, tt_algorithms[algorithm]->name) == 0;
}

/* What takes long comes first, so that no worker is left alone with it at the end. */
static void
list_items(const char *only)
{
	uint64_t state = 20;

	for (size_t a = 0; tt_algorithms[a]; a++)
		nitems += MOST_RANKS + LARGE_ONES;
	items = calloc((size_t)nitems, sizeof(*items));
	if (!items)
		exit(2);
	nitems = 0;
	for (size_t a = 0; tt_algorithms[a]; a++)
		for (int i = 0; i < LARGE_ONES && wanted(a, only); i++)
			items[nitems++] = (struct item){tt_algorithms[a],
			    65 + random_below(&state, (i ? 256 : 1024) - 64), random_next(&state) | 1};
	for (int n = MOST_RANKS; n >= 1; n--)
		for (size_t a = 0; tt_algorithms[a]; a++)
			if (wanted(a, only))
				items[nitems++] = (struct item){tt_algorithms[a], n, 0};
}

int
main(int argc, char **argv)
{
	pthread_t threads[WORKERS];

	/* The checker takes and drops the same large blocks over and over: keep them. */
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	list_items(argc > 1 ? argv[1] : NULL);
	for (int i = 0; i < WORKERS; i++)
		if (pthread_create(&threads[i], NULL, work, NULL) != 0)
			return 2;
	for (int i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	free(items);
	printf("%ld passed, %ld failed\n", atomic_load(&passed), atomic_load(&failed));
	return atomic_load(&failed) != 0 || atomic_load(&passed) == 0;
}

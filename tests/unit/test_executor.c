/* SPDX-License-Identifier: Apache-2.0
 *
 * test_executor.c - every algorithm of the table, executed over the shm transport.
 *
 * All ranks live in one thread: nothing blocks, so they can be advanced in turn. What is expected is computed from
 * the definition of the collective alone.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "algorithms/algorithms.h"
#include "engine/executor.h"
#include "shm/shm.h"

#define MOST_RANKS 7
#define GUARD 0x5a5a5a5a

struct job {
	int n;
	void *shared;
	size_t shared_bytes;
	int local[MOST_RANKS];
	struct tt_ports ports[MOST_RANKS];
	struct tt_executor *executor[MOST_RANKS];
};

static void
job_open(struct job *job, int n)
{
	static const unsigned char key[32] = {1, 2, 3};
	const tutti_transport *shm = tt_transport_shm();
	unsigned char address[MOST_RANKS][TUTTI_ADDRESS_BYTES];
	size_t bytes[MOST_RANKS];
	tutti_environment env = {.size = sizeof(env),
	    .nranks = n,
	    .lanes = TT_EXECUTOR_LANES,
	    .key = key,
	    .cores = 2,
	    .local_ranks = job->local,
	    .nlocal = n,
	    .connect_timeout_ms = 1000,
	    .peer_timeout_ms = 1000};

	job->n = n;
	for (int r = 0; r < n; r++)
		job->local[r] = r;
	job->shared_bytes = shm->shared_need(&env);
	job->shared = mmap(NULL, job->shared_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert(ne(ptr, job->shared, MAP_FAILED));
	env.shared = job->shared;
	env.shared_bytes = job->shared_bytes;
	for (int r = 0; r < n; r++) {
		env.rank = r;
		cr_assert(eq(int, tt_ports_init(&job->ports[r], r, n), TUTTI_OK));
		cr_assert(eq(int, tt_ports_open(&job->ports[r], shm, &env), TUTTI_OK));
		bytes[r] = TUTTI_ADDRESS_BYTES;
		cr_assert(eq(int, tt_ports_address(&job->ports[r], 0, address[r], &bytes[r]), TUTTI_OK));
		cr_assert(eq(int, tt_executor_create(&job->ports[r], 64 << 10, &job->executor[r]), TUTTI_OK));
	}
	for (int r = 0; r < n; r++)
		for (int p = 0; p < n; p++)
			if (p != r)
				cr_assert(
				    eq(int, tt_ports_connect(&job->ports[r], 0, p, address[p], bytes[p]), TUTTI_OK));
}

static void
job_close(struct job *job)
{
	for (int r = 0; r < job->n; r++) {
		tt_executor_destroy(job->executor[r]);
		tt_ports_fini(&job->ports[r]);
	}
	munmap(job->shared, job->shared_bytes);
}

/* What rank r puts into element i of its row for rank q. */
static int32_t
input(int r, int q, size_t i)
{
	return (int32_t)(1000 * r + 7 * q + (int)(i % 97) + 1);
}

/* Element i of row q of rank r's output. */
static int32_t
expected(enum tt_collective c, int n, int root, int r, int q, size_t i)
{
	int32_t sum = 0;

	switch (c) {
	case TT_ALL_REDUCE:
	case TT_REDUCE:
		for (int p = 0; p < n; p++)
			sum += input(p, 0, i);
		return sum;
	case TT_REDUCE_SCATTER:
		for (int p = 0; p < n; p++)
			sum += input(p, r, i);
		return sum;
	case TT_ALL_GATHER:
	case TT_GATHER:
		return input(q, 0, i);
	case TT_BROADCAST:
		return input(root, 0, i);
	case TT_SCATTER:
		return input(root, r, i);
	case TT_ALL_TO_ALL:
		return input(q, r, i);
	default:
		return 0;
	}
}

static bool
has_output(enum tt_collective c, int root, int r)
{
	return c != TT_BARRIER && ((c != TT_REDUCE && c != TT_GATHER) || r == root);
}

struct one {
	const struct tt_algorithm *algorithm;
	int root;
	size_t count;
	bool in_place;
	int slices, window;
};

struct rank_data {
	int32_t *in, *out, *in_memory, *out_memory;
	size_t in_count, out_count;
	struct tt_plan plan;
};

static size_t
in_place_offset(enum tt_collective c, int root, int r, size_t count)
{
	if (c == TT_REDUCE_SCATTER || c == TT_ALL_GATHER)
		return (size_t)r * count;
	if (c == TT_SCATTER || c == TT_GATHER)
		return (size_t)root * count;
	return 0;
}

static void
rank_open(struct job *job, const struct one *one, int r, struct rank_data *d)
{
	const enum tt_collective c = one->algorithm->collective;
	const bool root_only = c == TT_REDUCE || c == TT_BROADCAST || c == TT_SCATTER || c == TT_GATHER;
	const struct tt_shape shape = {.collective = c,
	    .rank = r,
	    .nranks = job->n,
	    .root = one->root,
	    .in_place = one->in_place && (!root_only || r == one->root),
	    .nnodes = 1};
	struct tt_run run = {.plan = &d->plan, .window = one->window, .mark = "test"};

	d->in_count = (size_t)tt_collective_in_rows(c, job->n) * one->count;
	d->out_count = (size_t)tt_collective_out_rows(c, job->n) * one->count;
	d->in_memory = calloc(d->in_count + 2, sizeof(int32_t));
	d->out_memory = calloc(d->out_count + 2, sizeof(int32_t));
	d->in = d->in_memory + 1;
	d->out = d->out_memory + 1;
	if (shape.in_place) {
		if (d->in_count > d->out_count)
			d->out = d->in + in_place_offset(c, one->root, r, one->count);
		else
			d->in = d->out + in_place_offset(c, one->root, r, one->count);
	}
	d->in_memory[0] = d->in_memory[d->in_count + 1] = GUARD;
	d->out_memory[0] = d->out_memory[d->out_count + 1] = GUARD;
	for (size_t i = 0; i < d->in_count; i++)
		d->in[i] = input(r, (int)(i / (one->count ? one->count : 1)), i % (one->count ? one->count : 1));

	cr_assert(eq(int, one->algorithm->make(&shape, &d->plan), TUTTI_OK));
	run.operands = (struct tt_operands){
	    .in = {.base = (unsigned char *)d->in, .nrows = tt_collective_in_rows(c, job->n), .count = one->count},
	    .out = {.base = (unsigned char *)d->out, .nrows = tt_collective_out_rows(c, job->n), .count = one->count},
	    .element = sizeof(int32_t)};
	run.operands.slices = tt_executor_slices(job->executor[r], &d->plan, &run.operands, one->window);
	if (run.operands.slices < one->slices)
		run.operands.slices = one->slices;
	run.reduce = tt_kernels_reference.reduce[TUTTI_INT32][TUTTI_SUM];
	cr_assert(eq(int, tt_executor_start(job->executor[r], &run), TUTTI_OK));
}

static bool
rank_right(const struct job *job, const struct one *one, int r, const struct rank_data *d)
{
	const enum tt_collective c = one->algorithm->collective;

	if (d->in_memory[0] != GUARD || d->in_memory[d->in_count + 1] != GUARD || d->out_memory[0] != GUARD ||
	    d->out_memory[d->out_count + 1] != GUARD)
		return false;
	for (size_t i = 0; has_output(c, one->root, r) && i < d->out_count; i++)
		if (d->out[i] != expected(c, job->n, one->root, r, (int)(i / one->count), i % one->count))
			return false;
	for (size_t i = 0; !one->in_place && i < d->in_count; i++)
		if (d->in[i] != input(r, (int)(i / one->count), i % one->count))
			return false;
	return true;
}

static bool
run_one(struct job *job, const struct one *one)
{
	struct rank_data data[MOST_RANKS] = {0};
	int going = job->n, moved = 0;
	bool right = true, ended[MOST_RANKS] = {false};

	for (int r = 0; r < job->n; r++)
		rank_open(job, one, r, &data[r]);
	for (long turn = 0; going > 0 && turn < 10000000; turn++)
		for (int r = 0; r < job->n; r++) {
			(void)tt_ports_progress(&job->ports[r]);
			if (!ended[r] && tt_executor_advance(job->executor[r], &moved) == TUTTI_OK) {
				ended[r] = true;
				going--;
			}
		}
	for (int r = 0; r < job->n; r++) {
		right = right && ended[r] && rank_right(job, one, r, &data[r]);
		tt_plan_fini(&data[r].plan);
		free(data[r].in_memory);
		free(data[r].out_memory);
	}
	return right;
}

static void
run_algorithm(struct job *job, const struct tt_algorithm *algorithm)
{
	const struct tt_shape shape = {.collective = algorithm->collective, .nranks = job->n, .nnodes = 1};
	const size_t counts[] = {1, (size_t)job->n, (size_t)job->n + 1, 61, 1000, 30011};
	const int roots = tt_collective_has_root(algorithm->collective) ? job->n : 1;

	if ((algorithm->flags & TT_ALG_NODE) != 0 || !tt_algorithm_serves(algorithm, &shape, NULL))
		return;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		for (int root = 0; root < roots; root++)
			for (int in_place = 0; in_place < 2; in_place++)
				for (int window = 1; window <= TT_EXECUTOR_LANES; window += 3) {
					const struct one one = {
					    algorithm, root, counts[i], in_place, window + 1, window};

					cr_expect(run_one(job, &one),
					    "%s %s: %d ranks, root %d, count %zu, %s place, window %d",
					    tt_collective_name(algorithm->collective), algorithm->name, job->n, root,
					    counts[i], in_place ? "in" : "out of", window);
				}
}

Test(executor, every_algorithm_gives_the_defined_result, .timeout = 50)
{
	for (int n = 1; n <= MOST_RANKS; n++) {
		struct job job = {0};

		job_open(&job, n);
		for (size_t i = 0; tt_algorithms[i] != NULL; i++)
			run_algorithm(&job, tt_algorithms[i]);
		job_close(&job);
	}
}

Test(executor, who_waits_for_a_message_says_from_whom, .timeout = 20)
{
	const struct one one = {tt_algorithm_find(TT_BROADCAST, "binomial"), 1, 100000, false, 1, 1};
	struct rank_data data[2] = {0};
	struct job job = {0};
	int moved = 0, ended = 0;

	job_open(&job, 2);
	cr_expect(eq(int, tt_executor_awaited(job.executor[0]), -1));
	rank_open(&job, &one, 0, &data[0]);
	cr_expect(eq(int, tt_executor_awaited(job.executor[0]), 1));
	rank_open(&job, &one, 1, &data[1]);
	for (long turn = 0; ended < 2 && turn < 10000000; turn++) {
		ended = 0;
		for (int r = 0; r < 2; r++) {
			(void)tt_ports_progress(&job.ports[r]);
			ended += tt_executor_advance(job.executor[r], &moved) == TUTTI_OK;
		}
	}
	cr_expect(eq(int, ended, 2));
	cr_expect(eq(int, tt_executor_awaited(job.executor[0]), -1));
	for (int r = 0; r < 2; r++) {
		tt_plan_fini(&data[r].plan);
		free(data[r].in_memory);
		free(data[r].out_memory);
	}
	job_close(&job);
}

/* Slices are computed from a rank's own plan, so every rank's plan must ask for the same scratch memory. */
Test(executor, scratch_memory_is_the_same_on_every_rank, .timeout = 20)
{
	for (size_t i = 0; tt_algorithms[i] != NULL; i++)
		for (int n = 1; n <= 16; n++)
			for (int root = 0; root < n; root++) {
				int slots = -1, parts = -1, of = -1;

				for (int r = 0; r < n; r++)
					for (int in_place = 0; in_place < 2; in_place++) {
						const struct tt_shape shape = {
						    .collective = tt_algorithms[i]->collective,
						    .rank = r,
						    .nranks = n,
						    .root = root,
						    .in_place = in_place,
						    .nnodes = 1};
						struct tt_plan plan;

						if ((tt_algorithms[i]->flags & TT_ALG_NODE) != 0 ||
						    !tt_algorithm_serves(tt_algorithms[i], &shape, NULL))
							continue;
						cr_assert(eq(int, tt_algorithms[i]->make(&shape, &plan), TUTTI_OK));
						if (slots >= 0)
							cr_expect(slots == plan.tmp_slots &&
								      parts == plan.tmp_parts && of == plan.tmp_of,
							    "%s %s: rank %d of %d, root %d, in place %d",
							    tt_collective_name(tt_algorithms[i]->collective),
							    tt_algorithms[i]->name, r, n, root, in_place);
						slots = plan.tmp_slots;
						parts = plan.tmp_parts;
						of = plan.tmp_of;
						tt_plan_fini(&plan);
					}
			}
}

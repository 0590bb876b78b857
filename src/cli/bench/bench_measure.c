/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_measure.c - the timed loop.
 *
 *	prepare the buffers of one round - [barrier, operation] for each - check some - [barrier, memcpy] for each
 *
 * A round has one iteration, or, with cold buffers, as many as there are buffers. Only what stands between a
 * barrier and the return of the operation is timed; a rank that leaves the barrier early waits for the others inside the
 * time, as it does in a program. Before an iteration that is checked, inputs get another phase and the output is
 * overwritten, so that neither an old result nor old inputs can pass. The memcpys that an all-reduce is compared to
 * are measured in turns with it, on the same buffers. Decisions depend on agreed numbers only, never on a rank's
 * own clock.
 */
#include "cli/bench/bench_measure.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/error.h"

#define COLD_MOST ((size_t)1 << 30) /* bytes of all ranks' cold buffers together */
#define MOST_SLOTS 65536
#define LEAST_ITERATIONS 10
#define MOST_ITERATIONS 1000
#define GOAL_NS (100 * TT_MS) /* of timed operations per line and form */
#define PAGE 4096

/* One line of the table, in one of its two forms. */
struct task {
	struct tt_bench_rank *rank;
	const struct tt_bench_row *row;
	const struct tt_bench_collective_info *info;
	const struct tt_bench_dtype *dtype;
	struct tt_bench_pattern pattern;
	bool in_place, copies;
	size_t stride; /* bytes from a slot's first buffer to its second */
	size_t block; /* bytes of `count` elements */
	size_t slots, iterations, wrong;
};

struct buffers {
	unsigned char *send, *recv;
	unsigned char *first, *second; /* the slot's */
};

/* ---- memory ---------------------------------------------------------------------------------------------- */

static tutti_status
take_pool(struct tt_bench_rank *rank)
{
	void *memory;

	if (rank->options->alloc) {
		TT_TRY(tutti_alloc(rank->comm, rank->pool_bytes, &memory));
	} else {
		memory = mmap(NULL, rank->pool_bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (memory == MAP_FAILED)
			return tt_fail_errno(
			    "no memory for buffers of %zu bytes: choose a smaller -e", rank->pool_bytes);
	}
	rank->pool = memory;
	return TUTTI_OK;
}

tutti_status
tt_bench_rank_init(
    struct tt_bench_rank *rank, tutti_comm *comm, const struct tt_bench_options *options, size_t l3_bytes)
{
	const tutti_options none = TUTTI_OPTIONS_INIT;

	*rank = (struct tt_bench_rank){.comm = comm, .options = options, .call = none};
	rank->call.algorithm = options->algorithm;
	rank->rank = tutti_comm_rank(comm);
	rank->nranks = tutti_comm_size(comm);
	rank->pool_bytes = 2 * tt_round_up(options->end, PAGE);
	if (options->cold) {
		size_t wanted = tt_min_size(4 * l3_bytes, COLD_MOST) / (size_t)tutti_comm_node_size(comm);

		rank->pool_bytes = tt_max_size(rank->pool_bytes, tt_round_up(wanted, PAGE));
	}
	TT_TRY(take_pool(rank));
	rank->durations = options->iterations > 0 ? (size_t)options->iterations : MOST_ITERATIONS;
	rank->mine = calloc(2 * rank->durations, sizeof *rank->mine);
	rank->worst = calloc(rank->durations, sizeof *rank->worst);
	rank->all = calloc(rank->durations * (size_t)rank->nranks, sizeof *rank->all);
	if (rank->mine == NULL || rank->worst == NULL || rank->all == NULL)
		return tt_fail(
		    TUTTI_ERR_NOMEM, -1, "no memory for %zu durations: choose a smaller -n", rank->durations);
	return TUTTI_OK;
}

void
tt_bench_rank_fini(struct tt_bench_rank *rank)
{
	if (rank->pool != NULL && rank->options->alloc)
		tutti_free(rank->comm, rank->pool);
	else if (rank->pool != NULL)
		munmap(rank->pool, rank->pool_bytes);
	free(rank->mine);
	free(rank->worst);
	free(rank->all);
	rank->pool = NULL;
	rank->mine = rank->worst = rank->all = NULL;
}

/* ---- what the operation reads and writes ----------------------------------------------------------------- */

static bool
is_root(const struct task *task)
{
	return task->rank->rank == task->row->root;
}

/* Elements of this rank's data. */
static size_t
send_count(const struct task *task)
{
	const size_t count = task->row->count, all = count * (size_t)task->rank->nranks;

	switch (task->row->collective) {
	case TT_BENCH_REDUCE_SCATTER:
	case TT_BENCH_ALL_TO_ALL:
		return all;
	case TT_BENCH_SCATTER:
		return is_root(task) ? all : 0;
	case TT_BENCH_BROADCAST:
		return is_root(task) ? count : 0;
	case TT_BENCH_BARRIER:
		return 0;
	default:
		return count;
	}
}

static struct buffers
buffers_of(const struct task *task, size_t slot)
{
	unsigned char *first = task->rank->pool + slot * 2 * task->stride, *second = first + task->stride;
	const size_t mine = (size_t)task->rank->rank * task->block;
	struct buffers b = {first, second, first, second};

	if (!task->in_place)
		return b;
	b.send = second;
	switch (task->row->collective) {
	case TT_BENCH_ALL_GATHER:
		b.send = second + mine;
		break;
	case TT_BENCH_GATHER:
		b.send = is_root(task) ? second + mine : first;
		break;
	case TT_BENCH_REDUCE_SCATTER:
		b.recv = second + mine;
		break;
	case TT_BENCH_SCATTER:
		b.recv = is_root(task) ? second + mine : second;
		break;
	default:
		break;
	}
	return b;
}

static tutti_status
call(const struct task *task, const struct buffers *b)
{
	const struct tt_bench_row *row = task->row;
	const tutti_dtype dtype = task->dtype->dtype;
	const tutti_op op = row->op >= 0 ? tt_bench_ops[row->op].op : 0;
	const tutti_options *options = &task->rank->call;
	tutti_comm *comm = task->rank->comm;

	switch (row->collective) {
	case TT_BENCH_ALL_REDUCE:
		return tutti_all_reduce(comm, b->send, b->recv, row->count, dtype, op, options, NULL);
	case TT_BENCH_REDUCE_SCATTER:
		return tutti_reduce_scatter(comm, b->send, b->recv, row->count, dtype, op, options, NULL);
	case TT_BENCH_ALL_GATHER:
		return tutti_all_gather(comm, b->send, b->recv, row->count, dtype, options, NULL);
	case TT_BENCH_BROADCAST:
		return tutti_broadcast(comm, b->send, b->recv, row->count, dtype, row->root, options, NULL);
	case TT_BENCH_REDUCE:
		return tutti_reduce(comm, b->send, b->recv, row->count, dtype, op, row->root, options, NULL);
	case TT_BENCH_SCATTER:
		return tutti_scatter(comm, b->send, b->recv, row->count, dtype, row->root, options, NULL);
	case TT_BENCH_GATHER:
		return tutti_gather(comm, b->send, b->recv, row->count, dtype, row->root, options, NULL);
	case TT_BENCH_ALL_TO_ALL:
		return tutti_all_to_all(comm, b->send, b->recv, row->count, dtype, options, NULL);
	default:
		return tutti_barrier(comm, options, NULL);
	}
}

/* ---- inputs and results ---------------------------------------------------------------------------------- */

static size_t
phase_of(size_t iteration)
{
	return (iteration * 389 + 17) % TT_BENCH_PERIOD;
}

static void
fill(const struct task *task, size_t slot, size_t iteration, bool poison)
{
	struct buffers b = buffers_of(task, slot);

	if (poison)
		memset(b.second, 0xa5, task->row->bytes);
	if (send_count(task) > 0)
		tt_bench_pattern_fill(
		    &task->pattern, task->rank->rank, phase_of(iteration), 0, send_count(task), b.send);
}

/* One block per rank, each from the data of that rank. */
static size_t
wrong_in_blocks(const struct task *task, const unsigned char *recv, size_t phase, size_t first)
{
	size_t wrong = 0;

	for (int r = 0; r < task->rank->nranks; r++)
		wrong += tt_bench_pattern_wrong(
		    &task->pattern, r, phase, first, task->row->count, recv + (size_t)r * task->block);
	return wrong;
}

static size_t
wrong_in_result(const struct task *task, const struct buffers *b, size_t phase)
{
	const struct tt_bench_row *row = task->row;
	const size_t mine = (size_t)task->rank->rank * row->count;

	switch (row->collective) {
	case TT_BENCH_ALL_REDUCE:
		return tt_bench_pattern_wrong(&task->pattern, TT_BENCH_RESULT, phase, 0, row->count, b->recv);
	case TT_BENCH_REDUCE_SCATTER:
		return tt_bench_pattern_wrong(&task->pattern, TT_BENCH_RESULT, phase, mine, row->count, b->recv);
	case TT_BENCH_REDUCE:
		return is_root(task)
			   ? tt_bench_pattern_wrong(&task->pattern, TT_BENCH_RESULT, phase, 0, row->count, b->recv)
			   : 0;
	case TT_BENCH_ALL_GATHER:
		return wrong_in_blocks(task, b->recv, phase, 0);
	case TT_BENCH_GATHER:
		return is_root(task) ? wrong_in_blocks(task, b->recv, phase, 0) : 0;
	case TT_BENCH_ALL_TO_ALL:
		return wrong_in_blocks(task, b->recv, phase, mine);
	case TT_BENCH_BROADCAST:
		return tt_bench_pattern_wrong(&task->pattern, row->root, phase, 0, row->count, b->recv);
	case TT_BENCH_SCATTER:
		return tt_bench_pattern_wrong(&task->pattern, row->root, phase, mine, row->count, b->recv);
	default:
		return 0;
	}
}

static size_t
wrong_in(const struct task *task, size_t slot, size_t iteration)
{
	const size_t phase = phase_of(iteration);
	struct buffers b = buffers_of(task, slot);
	size_t wrong = wrong_in_result(task, &b, phase);

	/* The promise that nothing is written into what is sent. */
	if (!task->in_place && send_count(task) > 0)
		wrong += tt_bench_pattern_wrong(&task->pattern, task->rank->rank, phase, 0, send_count(task), b.send);
	return wrong;
}

/* The last iteration and three others that depend on the line; the same on all ranks. */
static bool
is_checked(const struct task *task, size_t iteration)
{
	uint64_t x = (task->row->bytes + 1) * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)task->row->collective;

	if (task->rank->options->check || iteration == task->iterations - 1)
		return true;
	for (int i = 0; i < 3; i++) {
		x = (x ^ x >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
		if (x % task->iterations == iteration)
			return true;
	}
	return false;
}

/* ---- the loop -------------------------------------------------------------------------------------------- */

static tutti_status
timed_call(const struct task *task, size_t slot, int64_t *duration)
{
	struct buffers b = buffers_of(task, slot);
	tutti_status status;
	int64_t start;

	TT_TRY(tutti_barrier(task->rank->comm, NULL, NULL));
	start = tt_now_ns();
	status = call(task, &b);
	*duration = tt_now_ns() - start;
	return status;
}

static tutti_status
timed_copy(const struct task *task, size_t slot, int64_t *duration)
{
	struct buffers b = buffers_of(task, slot);
	int64_t start;

	TT_TRY(tutti_barrier(task->rank->comm, NULL, NULL));
	start = tt_now_ns();
	if (task->in_place)
		memcpy(b.first, b.second, task->row->bytes);
	else
		memcpy(b.second, b.first, task->row->bytes);
	/* The copy is wanted for itself: nothing after it may make it look unnecessary. */
	__asm__ __volatile__("" ::: "memory");
	*duration = tt_now_ns() - start;
	return TUTTI_OK;
}

/* Pushes the buffers of this round out of the caches by touching those that are not in it. */
static void
touch_rest(const struct task *task, size_t slots)
{
	unsigned char *from = task->rank->pool + slots * 2 * task->stride;
	unsigned char *end = task->rank->pool + task->rank->pool_bytes;

	for (; task->rank->options->cold && from < end; from += 64)
		*from = (unsigned char)(*from + 1);
}

/* Iterations first ... first + n - 1, one per slot. */
static tutti_status
run_round(struct task *task, size_t first, size_t n)
{
	int64_t *copies = task->rank->mine + task->rank->durations;

	for (size_t k = 0; k < n; k++) {
		bool checked = is_checked(task, first + k);

		if (checked || task->in_place)
			fill(task, k, first + k, checked);
	}
	touch_rest(task, n);
	for (size_t k = 0; k < n; k++)
		TT_TRY(timed_call(task, k, &task->rank->mine[first + k]));
	for (size_t k = 0; k < n; k++) {
		if (is_checked(task, first + k))
			task->wrong += wrong_in(task, k, first + k);
	}
	for (size_t k = 0; k < n && task->copies; k++)
		TT_TRY(timed_copy(task, k, &copies[first + k]));
	return TUTTI_OK;
}

/* How many of them the iterations come to. */
static size_t
used_slots(const struct task *task)
{
	return tt_min_size(task->slots, task->iterations > 0 ? task->iterations : MOST_ITERATIONS);
}

/* Runs the warm-up and, where the user did not say, agrees on the number of iterations. */
static tutti_status
warm_up(struct task *task)
{
	const struct tt_bench_options *options = task->rank->options;
	int64_t quickest = TT_FOREVER, agreed, duration;
	int rounds = options->warmup;

	/* Memory that the others have not seen costs them page faults the first time: not what is measured. */
	if (options->alloc && options->cold)
		rounds = (int)tt_max_size((size_t)rounds, used_slots(task));
	if (rounds == 0 && task->iterations == 0)
		rounds = 1;
	for (int i = 0; i < rounds; i++) {
		if (task->in_place)
			fill(task, (size_t)i % task->slots, 0, false);
		TT_TRY(timed_call(task, (size_t)i % task->slots, &duration));
		quickest = duration < quickest ? duration : quickest;
	}
	if (task->iterations > 0)
		return TUTTI_OK;
	TT_TRY(tutti_all_reduce(task->rank->comm, &quickest, &agreed, 1, TUTTI_INT64, TUTTI_MAX, NULL, NULL));
	task->iterations = (size_t)(GOAL_NS / (agreed > 0 ? agreed : 1));
	task->iterations = tt_max_size(LEAST_ITERATIONS, tt_min_size(task->iterations, MOST_ITERATIONS));
	return TUTTI_OK;
}

/* The ranks' durations become one set of times. */
static tutti_status
gather(const struct task *task, const int64_t *mine, struct tt_bench_times *times)
{
	struct tt_bench_rank *rank = task->rank;

	TT_TRY(tutti_all_gather(rank->comm, mine, rank->all, task->iterations, TUTTI_INT64, NULL, NULL));
	*times = tt_bench_times_of(rank->all, rank->nranks, task->iterations, rank->worst);
	return TUTTI_OK;
}

static tutti_status
summarize(const struct task *task, struct tt_bench_figures *figures)
{
	struct tt_bench_rank *rank = task->rank;
	struct tt_bench_times copies = {0};
	int64_t wrong = (int64_t)task->wrong, all_wrong;

	TT_TRY(gather(task, rank->mine, &figures->times));
	if (task->copies)
		TT_TRY(gather(task, rank->mine + rank->durations, &copies));
	TT_TRY(tutti_all_reduce(rank->comm, &wrong, &all_wrong, 1, TUTTI_INT64, TUTTI_SUM, NULL, NULL));
	figures->wrong = (size_t)all_wrong;
	figures->algbw = tt_bench_bandwidth(task->row->bytes, figures->times.median_us);
	figures->busbw = figures->algbw * tt_bench_bus_factor(task->row->collective, rank->nranks);
	figures->copy_us = copies.median_us;
	figures->eta = figures->times.median_us > 0 ? copies.median_us / figures->times.median_us : 0;
	return TUTTI_OK;
}

static tutti_status
measure_form(struct task *task, struct tt_bench_figures *figures)
{
	task->wrong = 0;
	for (size_t slot = 0; slot < task->slots; slot++)
		fill(task, slot, 0, true);
	TT_TRY(warm_up(task));
	for (size_t done = 0; done < task->iterations;) {
		size_t n = tt_min_size(task->slots, task->iterations - done);

		TT_TRY(run_round(task, done, n));
		done += n;
	}
	return summarize(task, figures);
}

static tutti_status
shape(struct task *task)
{
	const struct tt_bench_row *row = task->row;
	const size_t slot_bytes = 2 * tt_max_size(tt_round_up(row->bytes, PAGE), PAGE);
	int64_t slots;

	task->stride = slot_bytes / 2;
	task->block = row->count * task->dtype->bytes;
	task->slots = 1;
	if (task->rank->options->cold && row->bytes > 0)
		task->slots = tt_max_size(1, tt_min_size(task->rank->pool_bytes / slot_bytes, MOST_SLOTS));
	/* Ranks of unlike nodes have unlike pools, and all make the same calls. */
	slots = (int64_t)task->slots;
	TT_TRY(tutti_all_reduce(task->rank->comm, &slots, &slots, 1, TUTTI_INT64, TUTTI_MIN, NULL, NULL));
	task->slots = (size_t)slots;
	return TUTTI_OK;
}

tutti_status
tt_bench_measure(struct tt_bench_rank *rank, struct tt_bench_row *row)
{
	const struct tt_bench_collective_info *info = &tt_bench_collectives[row->collective];
	struct task task = {.rank = rank, .row = row, .info = info, .dtype = &tt_bench_dtypes[row->dtype]};
	const int forms = row->collective == TT_BENCH_BARRIER ? 1 : 2;
	tutti_status status = TUTTI_OK;

	if (!tt_bench_pattern_init(
		&task.pattern, task.dtype, row->op >= 0 ? tt_bench_ops[row->op].op : -1, rank->nranks))
		return tt_fail(TUTTI_ERR_NOMEM, -1, "no memory for the inputs of %d ranks", rank->nranks);
	status = shape(&task);
	task.iterations = (size_t)rank->options->iterations;
	task.copies = row->collective == TT_BENCH_ALL_REDUCE;
	for (int form = 0; form < forms && status == TUTTI_OK; form++) {
		task.in_place = form == 1;
		status = measure_form(&task, &row->figures[form]);
	}
	row->iterations = task.iterations;
	tt_bench_pattern_fini(&task.pattern);
	return status;
}

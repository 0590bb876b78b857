/* SPDX-License-Identifier: Apache-2.0
 *
 * test_node_stage.c - the protocol of ticks under every interleaving that a seed can think of.
 *
 * All members live in one thread and share ordinary memory; at each step a random member goes as far as it can, so
 * members are up to a whole sequence of operations apart. What is expected is computed from the definition, sums by
 * the reference kernel over the members in order, and compared bit for bit when a member's operation has ended; what it
 * gave and got is overwritten then, which nobody may notice. Each buffer is in plain memory or in one of two segments,
 * as chance will have it.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/remote.h"
#include "base/segment.h"
#include "engine/node_stage.h"
#include "usual_stage.h"

#define MOST 24
#define FEW 6
#define OPS 12
#define GUARD 64

static const struct tt_stage_facts few = TT_STAGE_FACTS_INIT;

struct op {
	enum tt_step_kind kind;
	int root;
	size_t count[MOST]; /* elements of each member's piece; what has one row uses [0] */
	bool in_place;
};

struct side {
	unsigned char *memory; /* with guards */
	size_t bytes;
	struct tt_segment *segment; /* that it is in, NULL = none */
	uint64_t offset;
};

struct member {
	struct tt_node_stage *stage;
	int next;
	bool busy;
	struct iovec pieces[OPS][MOST], into[OPS][MOST];
	struct side in[OPS]; /* what it gives; never handed out */
	struct side work[OPS], out[OPS]; /* what it hands out: a copy, and room for the result */
};

struct job {
	int n;
	unsigned seed;
	tutti_dtype dtype;
	tutti_op op;
	struct op ops[OPS];
	struct member member[MOST];
	unsigned char marks[OPS][TUTTI_MARK_BYTES];
	struct tt_segment *segments[2];
	unsigned char proofs[MOST][TT_REMOTE_PROOF];
	struct tt_remote remotes[MOST];
};

static size_t
total(const struct job *job, const struct op *op)
{
	size_t sum = 0;

	for (int j = 0; j < job->n; j++)
		sum += op->count[j];
	return sum;
}

static size_t
offset(const struct op *op, int j)
{
	size_t at = 0;

	for (int k = 0; k < j; k++)
		at += op->count[k];
	return at;
}

static void
side_open(struct side *side, size_t bytes, struct tt_segment *segment)
{
	side->bytes = bytes;
	side->segment = segment;
	if (segment == NULL) {
		side->memory = malloc(bytes + 2 * GUARD);
	} else {
		cr_assert(eq(int, tt_segment_take(segment, bytes + 2 * GUARD, &side->offset), TUTTI_OK));
		side->memory = tt_segment_at(segment, side->offset);
	}
	memset(side->memory, 0xa5, bytes + 2 * GUARD);
}

static bool
side_close(struct side *side)
{
	bool whole = true;

	for (int i = 0; i < GUARD; i++)
		whole = whole && side->memory[i] == 0xa5 && side->memory[GUARD + side->bytes + (size_t)i] == 0xa5;
	if (side->segment == NULL)
		free(side->memory);
	else
		tt_segment_give(side->segment, side->offset, side->bytes + 2 * GUARD);
	return whole;
}

/* Plain memory as often as not. */
static struct tt_segment *
random_segment(struct job *job)
{
	const int any = rand_r(&job->seed) % 4;

	return job->segments[0] == NULL || any > 1 ? NULL : job->segments[any];
}

static size_t
random_count(const struct job *job, unsigned *seed)
{
	const size_t most[] = {3, 30, 300, 3000, 60000};

	return (size_t)rand_r(seed) % most[rand_r(seed) % (job->n > FEW ? 3 : 5)];
}

static void
random_op(struct job *job, struct op *op)
{
	static const enum tt_step_kind kinds[] = {TT_NODE_ALL_REDUCE, TT_NODE_ALL_REDUCE, TT_NODE_REDUCE_SCATTER,
	    TT_NODE_ALL_GATHER, TT_NODE_ALL_TO_ALL, TT_NODE_BROADCAST, TT_NODE_BROADCAST, TT_NODE_REDUCE,
	    TT_NODE_REDUCE, TT_NODE_GATHER, TT_NODE_GATHER, TT_NODE_SCATTER, TT_NODE_BARRIER};

	op->kind = kinds[(size_t)rand_r(&job->seed) % TT_COUNT_OF(kinds)];
	op->root = rand_r(&job->seed) % job->n;
	op->in_place = rand_r(&job->seed) % 2;
	for (int j = 0; j < job->n; j++)
		op->count[j] = op->kind == TT_NODE_BARRIER ? 0 : random_count(job, &job->seed);
	for (int j = 1; j < job->n && op->kind != TT_NODE_REDUCE_SCATTER && op->kind != TT_NODE_ALL_GATHER; j++)
		op->count[j] = op->count[0];
}

/* Has the member a row for each in its input, or of each in its output? */
static bool
many_in(const struct op *op, int m)
{
	return op->kind == TT_NODE_REDUCE_SCATTER || op->kind == TT_NODE_ALL_TO_ALL ||
	       (op->kind == TT_NODE_SCATTER && op->root == m);
}

static bool
many_out(const struct op *op, int m)
{
	return op->kind == TT_NODE_ALL_GATHER || op->kind == TT_NODE_ALL_TO_ALL ||
	       (op->kind == TT_NODE_GATHER && op->root == m);
}

/* Has it a result at all? */
static bool
has_result(const struct op *op, int m)
{
	return (op->kind != TT_NODE_GATHER && op->kind != TT_NODE_REDUCE) || op->root == m;
}

/* Where the member's input lies in its output, or its output in its input, in elements. */
static size_t
shared_at(const struct op *op, int m)
{
	return many_in(op, m) != many_out(op, m) ? offset(op, m) : 0;
}

static void
open_buffers(struct job *job, int m, int i)
{
	const struct op *op = &job->ops[i];
	struct member *member = &job->member[m];
	const size_t element = tt_dtype_size(job->dtype), all = total(job, op) * element;
	unsigned seed = (unsigned)(i * 131 + m * 7 + 1);

	side_open(&member->in[i], many_in(op, m) ? all : op->count[m] * element, NULL);
	side_open(&member->work[i], member->in[i].bytes, random_segment(job));
	side_open(&member->out[i], many_out(op, m) ? all : op->count[m] * element, random_segment(job));
	for (size_t b = 0; b < member->in[i].bytes; b++)
		member->in[i].memory[GUARD + b] = (unsigned char)(rand_r(&seed) >> 4);
	memcpy(member->work[i].memory, member->in[i].memory, member->in[i].bytes + 2 * GUARD);
	for (int j = 0; j < job->n; j++) {
		const struct iovec piece = {NULL, op->count[j] * element};

		member->pieces[i][j] = member->into[i][j] = piece;
	}
}

/* Addresses of the job's source and destination; in place, the smaller lies in the larger. */
static void
place(struct job *job, int m, int i, unsigned char **src, unsigned char **dst)
{
	const struct op *op = &job->ops[i];
	struct member *member = &job->member[m];
	const size_t at = shared_at(op, m) * tt_dtype_size(job->dtype);

	*src = member->work[i].memory + GUARD;
	*dst = member->out[i].memory + GUARD;
	if (!op->in_place || !has_result(op, m))
		return;
	if (many_in(op, m) && !many_out(op, m)) {
		*dst = *src + at;
	} else {
		memcpy(*dst + at, *src, member->work[i].bytes);
		*src = *dst + at;
	}
}

static void
start(struct job *job, int m)
{
	struct member *member = &job->member[m];
	const int i = member->next;
	const struct op *op = &job->ops[i];
	const size_t element = tt_dtype_size(job->dtype);
	unsigned char *src, *dst;

	place(job, m, i, &src, &dst);
	for (int j = 0; j < job->n; j++) {
		member->pieces[i][j].iov_base = (many_in(op, m) ? src : dst) + offset(op, j) * element;
		member->into[i][j].iov_base = dst + offset(op, j) * element;
	}
	const struct tt_node_job work = {.kind = op->kind,
	    .root = op->root,
	    .dst = dst,
	    .src = src,
	    .bytes = op->count[m] * element,
	    .pieces = member->pieces[i],
	    .into = member->into[i],
	    .how = {.reduce = tt_kernels_reference.reduce[job->dtype][job->op],
		.finish = job->op == TUTTI_AVG ? TT_FINISH_DIVIDE : TT_FINISH_NONE,
		.divisor = (uint32_t)job->n,
		.element = tt_dtype_size(job->dtype)},
	    .mark = job->marks[i]};

	tt_node_stage_start(member->stage, &work);
	member->busy = true;
}

/* What operation i promises member m, into `wanted`. */
static void
define(const struct job *job, int i, int m, size_t bytes, unsigned char *wanted)
{
	const struct op *op = &job->ops[i];
	const size_t element = tt_dtype_size(job->dtype);
	const void *src[MOST];

	for (int j = 0; j < job->n; j++)
		src[j] = job->member[j].in[i].memory + GUARD + (many_in(op, j) ? offset(op, m) * element : 0);
	if (op->kind == TT_NODE_ALL_REDUCE || op->kind == TT_NODE_REDUCE_SCATTER || op->kind == TT_NODE_REDUCE)
		tt_kernels_reference.reduce[job->dtype][job->op](wanted, src, job->n, bytes / element,
		    job->op == TUTTI_AVG ? TT_FINISH_DIVIDE : TT_FINISH_NONE, (uint32_t)job->n);
	else if (!many_out(op, m))
		memcpy(wanted, src[op->root], bytes);
	for (int j = 0; many_out(op, m) && j < job->n; j++)
		memcpy(wanted + offset(op, j) * element, src[j], op->count[j] * element);
}

/* The member's operation has ended: it has its result, and what it handed out is its own again. */
static void
expect_op(struct job *job, int i, int m)
{
	const struct op *op = &job->ops[i];
	struct member *member = &job->member[m];
	const struct side *out = &member->out[i];
	unsigned char *wanted = malloc(out->bytes + 1), *got = out->memory + GUARD;

	if (op->in_place && many_in(op, m) && !many_out(op, m))
		got = member->work[i].memory + GUARD + shared_at(op, m) * tt_dtype_size(job->dtype);
	if (has_result(op, m) && op->kind != TT_NODE_BARRIER) {
		define(job, i, m, out->bytes, wanted);
		cr_expect(memcmp(wanted, got, out->bytes) == 0,
		    "operation %d (kind %d, %zu bytes, root %d, in place %d), member %d of %d", i, (int)op->kind,
		    out->bytes, op->root, op->in_place, m, job->n);
	}
	memset(member->work[i].memory + GUARD, 0x5a, member->work[i].bytes);
	memset(out->memory + GUARD, 0x5a, out->bytes);
	free(wanted);
}

/* Sizes that no machine would ask for, but that bring every case about. */
static struct tt_stage_facts
random_facts(unsigned seed)
{
	struct tt_stage_facts facts = TT_STAGE_FACTS_INIT;

	facts.staging_bytes = seed % 2 ? 4 << 20 : 16384;
	if (seed % 3 == 0)
		return facts;
	facts.add_least = seed % 4 == 1 ? 0 : facts.add_least;
	facts.row_least = seed % 4 == 1 ? 1 : facts.row_least;
	facts.chunk_least = seed % 5 == 1 ? 64 : 4096;
	facts.chunk_most = seed % 7 == 1 ? 1024 : facts.chunk_most;
	facts.pieces = 1 + seed % 9;
	facts.slots = 2 + seed % 6;
	facts.block = seed % 11 == 1 ? 64 : facts.block;
	facts.step = seed % 7 == 2 ? 256 : facts.step;
	facts.apart = seed % 9 == 2 ? 1 : facts.apart;
	facts.run_least = seed % 5 == 2 ? 1 : facts.run_least;
	facts.run_most = seed % 5 == 2 ? 1 : facts.run_most;
	facts.single_least = seed % 13 == 1 ? facts.single_least : 1;
	facts.stream_least = seed % 4 == 3 ? 1 : UINT64_MAX;
	return facts;
}

/* Members meet by groups, some of which are one member or more than one can speak for. */
static void
use_groups(struct job *job, unsigned seed)
{
	int near[MOST];

	for (int j = 0; j < job->n; j++)
		near[j] = seed % 5 == 0 ? 7 : (int)((unsigned)j * (seed % 7 + 1) / 5 % (seed % 4 + 2));
	for (int m = 0; m < job->n; m++)
		tt_node_stage_use_groups(job->member[m].stage, near);
}

static void
run_job(unsigned seed, int n, bool groups, struct tt_segment *const *segments)
{
	static const tutti_dtype dtypes[] = {TUTTI_INT8, TUTTI_INT32, TUTTI_FLOAT32, TUTTI_BFLOAT16, TUTTI_FLOAT64};
	struct job job = {
	    .n = n, .seed = seed, .dtype = dtypes[seed % 5], .op = seed % 3 == 0 ? TUTTI_AVG : TUTTI_SUM};
	const struct tt_stage_facts facts = random_facts(seed);
	void *shared = aligned_alloc(4096, tt_round_up(tt_node_stage_need(job.n, &facts), 4096));
	int ranks[MOST], left = job.n;

	memset(shared, 0, tt_node_stage_need(job.n, &facts));
	for (int i = 0; i < OPS; i++) {
		random_op(&job, &job.ops[i]);
		memset(job.marks[i], i + 1, TUTTI_MARK_BYTES);
	}
	if (seed % 8 != 0)
		memcpy(job.segments, segments, sizeof(job.segments));
	for (int m = 0; m < job.n; m++) {
		ranks[m] = 10 * m;
		for (int i = 0; i < OPS; i++)
			open_buffers(&job, m, i);
	}
	for (int m = 0; m < job.n; m++) {
		cr_assert(
		    eq(int, tt_node_stage_create(shared, job.n, m, ranks, &facts, &job.member[m].stage), TUTTI_OK));
		tt_node_stage_use_memory(job.member[m].stage, segments, job.segments[0] != NULL ? 2 : 0);
		tt_remote_init(&job.remotes[m], job.proofs[m]);
		if (seed % 2 == 0 && tt_remote_prove(&job.remotes[m]) == 0) /* the same for all: it is one process */
			tt_node_stage_use_remotes(job.member[m].stage, job.remotes);
		if (seed % 6 == 2)
			tt_node_stage_share_cores(job.member[m].stage, 1);
	}
	if (groups)
		use_groups(&job, seed);
	for (long turn = 0; left > 0 && turn < 10000000; turn++) {
		/* A favourite for a while, so that members drift apart. */
		const int m = rand_r(&job.seed) % 8 ? (int)(turn / 50) % job.n : rand_r(&job.seed) % job.n;
		struct member *member = &job.member[m];
		int moved = 0, rank;
		const void *mark;
		tutti_status status;

		if (member->next == OPS)
			continue;
		if (!member->busy)
			start(&job, m);
		status = tt_node_stage_advance(member->stage, &moved, &rank, &mark);
		cr_assert(status == TUTTI_OK || status == TUTTI_IN_PROGRESS);
		if (status == TUTTI_OK) {
			member->busy = false;
			expect_op(&job, member->next, m);
			left -= ++member->next == OPS;
		}
	}
	cr_expect(left == 0, "seed %u: %d members did not end", seed, left);
	for (int m = 0; m < job.n; m++) {
		for (int i = 0; i < OPS; i++) {
			const bool in = side_close(&job.member[m].in[i]), out = side_close(&job.member[m].out[i]);
			const bool work = side_close(&job.member[m].work[i]);

			cr_expect(in && out && work, "seed %u: written beyond a buffer", seed);
		}
		tt_node_stage_destroy(job.member[m].stage);
	}
	free(shared);
}

Test(node_stage, random_sequences_give_the_defined_bits, .timeout = 55)
{
	struct tt_segment *segments[2];

	for (int i = 0; i < 2; i++)
		cr_assert(eq(int, tt_segment_create(&segments[i]), TUTTI_OK));
	for (unsigned seed = 1; seed <= 250; seed++)
		run_job(seed, 2 + (int)(seed % (FEW - 1)), false, segments);
	for (int i = 0; i < 2; i++)
		tt_segment_close(segments[i]);
}

/* Their slots change hands, from job to job of any kind. */
Test(node_stage, so_do_those_of_two_members, .timeout = 55)
{
	struct tt_segment *segments[2];

	for (int i = 0; i < 2; i++)
		cr_assert(eq(int, tt_segment_create(&segments[i]), TUTTI_OK));
	for (unsigned seed = 1; seed <= 250; seed++)
		run_job(seed, 2, false, segments);
	for (int i = 0; i < 2; i++)
		tt_segment_close(segments[i]);
}

Test(node_stage, so_do_members_that_meet_by_groups, .timeout = 55)
{
	struct tt_segment *segments[2];

	for (int i = 0; i < 2; i++)
		cr_assert(eq(int, tt_segment_create(&segments[i]), TUTTI_OK));
	for (unsigned seed = 1; seed <= 120; seed++)
		run_job(seed, 2 + (int)(seed % (FEW - 1)), true, segments);
	for (unsigned seed = 1; seed <= 60; seed++)
		run_job(seed, FEW + 1 + (int)(seed % (MOST - FEW)), true, segments);
	for (int i = 0; i < 2; i++)
		tt_segment_close(segments[i]);
}

/* Stages of many members that meet by groups of four neighbours. */
static void
open_many(void *shared, int members, struct tt_node_stage **stages)
{
	int ranks[64], near[64];

	memset(shared, 0, tt_node_stage_need(members, &few));
	for (int m = 0; m < members; m++) {
		ranks[m] = m;
		near[m] = m / 4;
	}
	for (int m = 0; m < members; m++) {
		cr_assert(eq(int, tt_node_stage_create(shared, members, m, ranks, &few, &stages[m]), TUTTI_OK));
		tt_node_stage_use_groups(stages[m], near);
	}
}

Test(node_stage, its_memory_stays_within_half_of_the_staging_memory, .timeout = 10)
{
	struct tt_stage_facts facts = TT_STAGE_FACTS_INIT;
	const uint32_t slots = facts.slots;

	for (facts.staging_bytes = 256 << 10; facts.staging_bytes <= 64 << 20; facts.staging_bytes *= 2)
		for (int crowded = 0; crowded < 2; crowded++)
			for (int members = 2; members <= 64; members++) {
				facts.slots = crowded ? facts.crowded_slots : slots;
				cr_expect(tt_node_stage_need(members, &facts) <=
					      (size_t)members * (facts.staging_bytes / 2),
				    "%d members, staging of %llu", members, (unsigned long long)facts.staging_bytes);
			}
}

Test(node_stage, only_many_members_on_a_machine_with_levels_meet_by_groups, .timeout = 10)
{
	void *shared = aligned_alloc(4096, tt_round_up(tt_node_stage_need(64, &few), 4096));
	struct tt_node_stage *stage;
	int ranks[64], near[64] = {0};

	for (int m = 0; m < 64; m++)
		ranks[m] = m;
	for (int members = 2; members <= 64; members *= 2) {
		cr_assert(eq(int, tt_node_stage_create(shared, members, 0, ranks, &few, &stage), TUTTI_OK));
		cr_expect(eq(int, tt_node_stage_wants_groups(stage, near), members > 16), "%d members", members);
		tt_node_stage_destroy(stage);
	}
	for (int m = 0; m < 64; m++)
		near[m] = m; /* each for itself: nobody speaks for anybody */
	cr_assert(eq(int, tt_node_stage_create(shared, 64, 0, ranks, &few, &stage), TUTTI_OK));
	cr_expect(not(tt_node_stage_wants_groups(stage, near)));
	tt_node_stage_destroy(stage);
	free(shared);
}

/* Which member says something else: one that leads, and one that does not. All must hear of it, or wait for ever. */
Test(node_stage, another_call_in_a_group_lets_nobody_through, .timeout = 10)
{
	enum { MANY = 12 };
	const unsigned char mine[TUTTI_MARK_BYTES] = "mine", other[TUTTI_MARK_BYTES] = "other";
	void *shared = aligned_alloc(4096, tt_round_up(tt_node_stage_need(MANY, &few), 4096));

	for (int stray = 4; stray < 6; stray++) {
		struct tt_node_stage *stage[MANY];
		int noticed = 0;

		open_many(shared, MANY, stage);
		for (int m = 0; m < MANY; m++) {
			const struct tt_node_job job = {
			    .kind = TT_NODE_BARRIER, .root = -1, .mark = m == stray ? other : mine};

			tt_node_stage_start(stage[m], &job);
		}
		for (int turn = 0; turn < 3; turn++)
			for (int m = 0; m < MANY; m++) {
				int moved = 0, rank = -1;
				const void *mark = NULL;
				tutti_status status;

				if (stage[m] == NULL)
					continue;
				status = tt_node_stage_advance(stage[m], &moved, &rank, &mark);
				cr_assert(ne(int, status, TUTTI_OK));
				if (status != TUTTI_ERR_MISMATCH)
					continue;
				cr_expect(m == stray || rank == stray, "member %d names rank %d", m, rank);
				cr_expect(memcmp(mark, m == stray ? mine : other, TUTTI_MARK_BYTES) == 0);
				noticed++;
				tt_node_stage_destroy(stage[m]);
				stage[m] = NULL;
			}
		cr_expect(gt(int, noticed, 0));
		for (int m = 0; m < MANY; m++)
			tt_node_stage_destroy(stage[m]);
	}
	free(shared);
}

/* It has ended its own call, and will never look at the others': their lines are none of its business. */
Test(node_stage, a_leader_that_called_something_else_is_noticed_by_its_group, .timeout = 10)
{
	enum { MANY = 12, LEADER = 4 };
	const unsigned char mine[TUTTI_MARK_BYTES] = "mine", other[TUTTI_MARK_BYTES] = "other";
	void *shared = aligned_alloc(4096, tt_round_up(tt_node_stage_need(MANY, &few), 4096));
	const struct tt_node_job barrier = {.kind = TT_NODE_BARRIER, .root = -1, .mark = mine};
	unsigned char row[8] = "row";
	const struct tt_node_job broadcast = {
	    .kind = TT_NODE_BROADCAST, .root = LEADER, .src = row, .dst = row, .bytes = 8, .mark = other};
	struct tt_node_stage *stage[MANY];
	int moved = 0, rank = -1;
	const void *mark = NULL;

	open_many(shared, MANY, stage);
	for (int m = 0; m < MANY; m++)
		tt_node_stage_start(stage[m], m == LEADER ? &broadcast : &barrier);
	cr_assert(eq(int, tt_node_stage_advance(stage[LEADER], &moved, &rank, &mark), TUTTI_OK));
	for (int m = 0; m < MANY; m++) {
		const bool led = m / 4 == LEADER / 4 && m != LEADER;

		if (m == LEADER)
			continue;
		cr_assert(eq(int, tt_node_stage_advance(stage[m], &moved, &rank, &mark),
		    led ? TUTTI_ERR_MISMATCH : TUTTI_IN_PROGRESS));
		if (!led)
			continue;
		cr_expect(eq(int, rank, LEADER));
		cr_expect(zero(int, memcmp(mark, other, TUTTI_MARK_BYTES)));
	}
	for (int m = 0; m < MANY; m++)
		tt_node_stage_destroy(stage[m]);
	free(shared);
}

Test(node_stage, a_note_that_differs_in_one_group_is_known_in_all, .timeout = 10)
{
	enum { MANY = 12 };
	const unsigned char mark[TUTTI_MARK_BYTES] = "call";
	void *shared = aligned_alloc(4096, tt_round_up(tt_node_stage_need(MANY, &few), 4096));

	for (int stray = -1; stray < MANY; stray++) {
		struct tt_node_stage *stage[MANY];
		bool ended[MANY] = {false};
		int left = MANY;

		open_many(shared, MANY, stage);
		for (int m = 0; m < MANY; m++) {
			const struct tt_node_job job = {.kind = TT_NODE_BARRIER,
			    .root = -1,
			    .mark = mark,
			    .has_note = true,
			    .note = m == stray ? 5 : 3};

			tt_node_stage_start(stage[m], &job);
		}
		for (int turn = 0; turn < 5; turn++)
			for (int m = 0; m < MANY; m++) {
				int moved = 0, rank;
				const void *said;

				if (ended[m])
					continue;
				ended[m] = tt_node_stage_advance(stage[m], &moved, &rank, &said) == TUTTI_OK;
				left -= ended[m];
			}
		cr_expect(eq(int, left, 0));
		for (int m = 0; m < MANY; m++) {
			cr_expect(
			    eq(int, tt_node_stage_agreed(stage[m]), stray < 0), "member %d, stray %d", m, stray);
			tt_node_stage_destroy(stage[m]);
		}
	}
	free(shared);
}

Test(node_stage, a_sum_over_very_many_members_rounds_once, .timeout = 10)
{
	enum { MANY = 70, ELEMENTS = 300 };
	const unsigned char mark[TUTTI_MARK_BYTES] = "sum";
	const tt_reduce_fn reduce = tt_kernels_reference.reduce[TUTTI_BFLOAT16][TUTTI_SUM];
	void *shared = aligned_alloc(4096, tt_round_up(tt_node_stage_need(MANY, &few), 4096));
	static uint16_t in[MANY][ELEMENTS], out[MANY][ELEMENTS], wanted[ELEMENTS];
	struct tt_node_stage *stage[MANY];
	const void *src[MANY], *said;
	int ranks[MANY], left = MANY, moved = 0, rank;
	bool ended[MANY] = {false};

	memset(shared, 0, tt_node_stage_need(MANY, &few));
	for (int m = 0; m < MANY; m++) {
		ranks[m] = m;
		src[m] = in[m];
		for (int i = 0; i < ELEMENTS;
		     i++) /* 256, then ones: every fourth or so is lost if it is rounded early */
			in[m][i] = tt_float_to_bfloat16(m == i % 3 ? 256 : 1);
	}
	reduce(wanted, src, MANY, ELEMENTS, TT_FINISH_NONE, 1);
	cr_assert(eq(u16, wanted[0], tt_float_to_bfloat16(325)));
	for (int m = 0; m < MANY; m++) {
		const struct tt_node_job job = {.kind = TT_NODE_ALL_REDUCE,
		    .root = -1,
		    .mark = mark,
		    .dst = (unsigned char *)out[m],
		    .src = (const unsigned char *)in[m],
		    .bytes = sizeof(in[m]),
		    .how = {.reduce = reduce, .element = 2}};

		cr_assert(eq(int, tt_node_stage_create(shared, MANY, m, ranks, &few, &stage[m]), TUTTI_OK));
		tt_node_stage_start(stage[m], &job);
	}
	for (int turn = 0; left > 0 && turn < 10000; turn++)
		for (int m = 0; m < MANY; m++)
			if (!ended[m] && tt_node_stage_advance(stage[m], &moved, &rank, &said) == TUTTI_OK) {
				ended[m] = true;
				left--;
			}
	cr_expect(eq(int, left, 0));
	for (int m = 0; m < MANY; m++) {
		cr_expect(memcmp(out[m], wanted, sizeof(wanted)) == 0, "member %d", m);
		tt_node_stage_destroy(stage[m]);
	}
	free(shared);
}

Test(node_stage, another_call_is_a_mismatch_that_names_its_rank, .timeout = 10)
{
	const unsigned char mine[TUTTI_MARK_BYTES] = "mine", other[TUTTI_MARK_BYTES] = "other";
	void *shared = calloc(1, tt_node_stage_need(2, &few) + 4096);
	void *aligned = (void *)(((uintptr_t)shared + 4095) & ~(uintptr_t)4095);
	const int ranks[2] = {4, 9};
	struct tt_node_stage *stage[2];
	struct tt_node_job job = {.kind = TT_NODE_BARRIER, .mark = mine};
	const void *mark = NULL;
	int moved = 0, rank = -1;

	for (int m = 0; m < 2; m++)
		cr_assert(eq(int, tt_node_stage_create(aligned, 2, m, ranks, &few, &stage[m]), TUTTI_OK));
	tt_node_stage_start(stage[0], &job);
	cr_expect(eq(int, tt_node_stage_advance(stage[0], &moved, &rank, &mark), TUTTI_IN_PROGRESS));
	job.mark = other;
	tt_node_stage_start(stage[1], &job);
	cr_expect(eq(int, tt_node_stage_advance(stage[1], &moved, &rank, &mark), TUTTI_ERR_MISMATCH));
	cr_expect(eq(int, rank, 4));
	cr_expect(memcmp(mark, mine, TUTTI_MARK_BYTES) == 0);
	cr_expect(eq(int, tt_node_stage_advance(stage[0], &moved, &rank, &mark), TUTTI_ERR_MISMATCH));
	cr_expect(eq(int, rank, 9));
	for (int m = 0; m < 2; m++)
		tt_node_stage_destroy(stage[m]);
	free(shared);
}

Test(node_stage, who_has_taken_its_arrival_back_is_not_met, .timeout = 10)
{
	const unsigned char mark[2][TUTTI_MARK_BYTES] = {"first", "second"};
	void *shared = aligned_alloc(4096, tt_round_up(tt_node_stage_need(2, &few), 4096));
	struct tt_node_job job = {.kind = TT_NODE_BARRIER, .mark = mark[0]};
	const int ranks[2] = {0, 1};
	struct tt_node_stage *stage[2];
	const void *said;
	int moved = 0, rank;

	memset(shared, 0, tt_node_stage_need(2, &few));
	for (int m = 0; m < 2; m++)
		cr_assert(eq(int, tt_node_stage_create(shared, 2, m, ranks, &few, &stage[m]), TUTTI_OK));
	tt_node_stage_start(stage[0], &job);
	tt_node_stage_start(stage[1], &job);
	(void)tt_node_stage_advance(stage[0], &moved, &rank, &said);
	cr_expect(eq(int, tt_node_stage_advance(stage[1], &moved, &rank, &said), TUTTI_OK));
	/* After a job that has ended it changes nothing: who is late in that one still ends it. */
	tt_node_stage_take_back(stage[1]);
	cr_expect(eq(int, tt_node_stage_advance(stage[0], &moved, &rank, &said), TUTTI_OK));
	job.mark = mark[1];
	tt_node_stage_start(stage[0], &job);
	cr_expect(eq(int, tt_node_stage_advance(stage[0], &moved, &rank, &said), TUTTI_IN_PROGRESS));
	tt_node_stage_take_back(stage[0]);
	tt_node_stage_start(stage[1], &job);
	cr_expect(eq(int, tt_node_stage_advance(stage[1], &moved, &rank, &said), TUTTI_IN_PROGRESS));
	for (int m = 0; m < 2; m++)
		tt_node_stage_destroy(stage[m]);
	free(shared);
}

/* Of many in groups of four the last one comes late, when the others have met, and one of them has taken its arrival back. */
static void
expect_not_met_without(int member)
{
	enum { MANY = 12 };
	static const unsigned char mark[TUTTI_MARK_BYTES] = "mark";
	void *shared = aligned_alloc(4096, tt_round_up(tt_node_stage_need(MANY, &few), 4096));
	const struct tt_node_job job = {.kind = TT_NODE_BARRIER, .root = -1, .mark = mark};
	struct tt_node_stage *stage[MANY];
	const void *said;
	int moved = 0, rank;

	open_many(shared, MANY, stage);
	for (int turn = 0; turn < 3; turn++)
		for (int m = 0; m < MANY - 1; m++) {
			if (turn == 0)
				tt_node_stage_start(stage[m], &job);
			cr_assert(eq(int, tt_node_stage_advance(stage[m], &moved, &rank, &said), TUTTI_IN_PROGRESS));
		}
	tt_node_stage_take_back(stage[member]);
	tt_node_stage_start(stage[MANY - 1], &job);
	for (int turn = 0; turn < 3; turn++)
		cr_expect(eq(int, tt_node_stage_advance(stage[MANY - 1], &moved, &rank, &said), TUTTI_IN_PROGRESS),
		    "member %d", member);
	for (int m = 0; m < MANY; m++)
		tt_node_stage_destroy(stage[m]);
	free(shared);
}

Test(node_stage, who_has_taken_its_arrival_back_is_not_met_in_its_group, .timeout = 10)
{
	expect_not_met_without(4);
	expect_not_met_without(5);
}

/* What others wait for, and would not get any more if this member went. */
Test(node_stage, a_member_that_has_not_given_all_owes_it, .timeout = 10)
{
	static const unsigned char mark[TUTTI_MARK_BYTES] = "mark";
	static unsigned char value[8];
	void *shared = aligned_alloc(4096, tt_round_up(tt_node_stage_need(2, &few), 4096));
	struct tt_node_job job = {
	    .kind = TT_NODE_BROADCAST, .root = 0, .mark = mark, .src = value, .dst = value, .bytes = sizeof(value)};
	const int ranks[2] = {0, 1};
	struct tt_node_stage *stage[2];
	tutti_status status = TUTTI_OK;
	const void *said;
	int moved = 0, rank;

	memset(shared, 0, tt_node_stage_need(2, &few));
	for (int m = 0; m < 2; m++)
		cr_assert(eq(int, tt_node_stage_create(shared, 2, m, ranks, &few, &stage[m]), TUTTI_OK));
	/* A root runs ahead as long as there is room. */
	for (int k = 0; k < 10 && status == TUTTI_OK; k++) {
		cr_expect(not(tt_node_stage_is_owed(stage[0])));
		tt_node_stage_start(stage[0], &job);
		status = tt_node_stage_advance(stage[0], &moved, &rank, &said);
	}
	cr_assert(eq(int, status, TUTTI_IN_PROGRESS));
	cr_expect(tt_node_stage_is_owed(stage[0]));
	/* Who has come to a barrier is not needed any more. */
	for (int m = 0; m < 2; m++)
		tt_node_stage_destroy(stage[m]);
	memset(shared, 0, tt_node_stage_need(2, &few));
	for (int m = 0; m < 2; m++)
		cr_assert(eq(int, tt_node_stage_create(shared, 2, m, ranks, &few, &stage[m]), TUTTI_OK));
	job = (struct tt_node_job){.kind = TT_NODE_BARRIER, .root = -1, .mark = mark};
	tt_node_stage_start(stage[0], &job);
	cr_assert(eq(int, tt_node_stage_advance(stage[0], &moved, &rank, &said), TUTTI_IN_PROGRESS));
	cr_expect(not(tt_node_stage_is_owed(stage[0])));
	for (int m = 0; m < 2; m++)
		tt_node_stage_destroy(stage[m]);
	free(shared);
}

Test(node_stage, a_wake_before_the_sleep_ends_it, .timeout = 10)
{
	const unsigned char mark[TUTTI_MARK_BYTES] = "mark";
	void *shared = aligned_alloc(4096, tt_round_up(tt_node_stage_need(2, &few), 4096));
	const struct tt_node_job job = {.kind = TT_NODE_BARRIER, .mark = mark};
	const int ranks[2] = {0, 1};
	struct tt_node_stage *stage;
	const void *said;
	int moved = 0, rank;

	memset(shared, 0, tt_node_stage_need(2, &few));
	cr_assert(eq(int, tt_node_stage_create(shared, 2, 0, ranks, &few, &stage), TUTTI_OK));
	tt_node_stage_start(stage, &job);
	cr_expect(eq(int, tt_node_stage_advance(stage, &moved, &rank, &said), TUTTI_IN_PROGRESS));
	for (int i = 0; i < 3; i++) {
		tt_node_stage_wake(stage);
		tt_node_stage_sleep(stage, TT_FOREVER);
	}
	tt_node_stage_destroy(stage);
	free(shared);
}

static tutti_status
run_one(struct tt_node_stage *stage, enum tt_step_kind kind, int root, const void *mark, const void **said)
{
	unsigned char src[8] = {0}, dst[8];
	const struct tt_node_job job = {
	    .kind = kind, .root = root, .dst = dst, .src = src, .bytes = sizeof(src), .mark = mark};
	int moved = 0, rank;

	tt_node_stage_start(stage, &job);
	return tt_node_stage_advance(stage, &moved, &rank, said);
}

Test(node_stage, an_earlier_difference_is_told_by_the_earlier_mark_also_in_a_later_job, .timeout = 10)
{
	const unsigned char mine[TUTTI_MARK_BYTES] = "mine", theirs[TUTTI_MARK_BYTES] = "theirs";
	const unsigned char next[TUTTI_MARK_BYTES] = "next";
	void *shared = aligned_alloc(4096, tt_round_up(tt_node_stage_need(3, &few), 4096));
	const int ranks[3] = {0, 1, 2};
	struct tt_node_stage *stage[3];
	const void *said = NULL;

	memset(shared, 0, tt_node_stage_need(3, &few));
	for (int m = 0; m < 3; m++)
		cr_assert(eq(int, tt_node_stage_create(shared, 3, m, ranks, &few, &stage[m]), TUTTI_OK));
	/* Member 0 broadcasts, the others broadcast from member 1: nobody notices. */
	cr_assert(eq(int, run_one(stage[0], TT_NODE_BROADCAST, 0, mine, &said), TUTTI_OK));
	for (int m = 1; m < 3; m++)
		cr_assert(eq(int, run_one(stage[m], TT_NODE_BROADCAST, 1, theirs, &said), TUTTI_OK));
	/* The next operation has two jobs, and member 0 looks at nobody in the first. */
	for (int m = 0; m < 2; m++)
		cr_assert(eq(int, run_one(stage[m], TT_NODE_GATHER, 2, next, &said), TUTTI_OK));
	cr_assert(eq(int, run_one(stage[1], TT_NODE_BROADCAST, 1, next, &said), TUTTI_OK));
	cr_assert(eq(int, run_one(stage[0], TT_NODE_BROADCAST, 1, next, &said), TUTTI_ERR_MISMATCH));
	cr_expect(memcmp(said, mine, TUTTI_MARK_BYTES) == 0);
	for (int m = 0; m < 3; m++)
		tt_node_stage_destroy(stage[m]);
	free(shared);
}

/* ---- memory that the kernel reads ------------------------------------------------------------------------------------ */

#define ROW ((size_t)160 << 10)

/* Two members in the middle of an all_gather of plain memory. */
struct pair {
	void *shared;
	struct tt_node_stage *stage[2];
	unsigned char proof[2][TT_REMOTE_PROOF];
	struct tt_remote remotes[2];
	unsigned char *in[2], *out[2];
	struct iovec pieces[2][2];
};

static void
pair_open(struct pair *pair)
{
	static const unsigned char mark[TUTTI_MARK_BYTES] = "pair";
	const int ranks[2] = {3, 8};

	pair->shared = aligned_alloc(4096, tt_round_up(tt_node_stage_need(2, &few), 4096));
	memset(pair->shared, 0, tt_node_stage_need(2, &few));
	for (int m = 0; m < 2; m++)
		tt_remote_init(&pair->remotes[m], pair->proof[m]);
	if (tt_remote_prove(&pair->remotes[0]) != 0)
		cr_skip_test("this process may not even read itself");
	for (int m = 0; m < 2; m++) {
		pair->in[m] = malloc(ROW);
		pair->out[m] = malloc(2 * ROW);
		memset(pair->in[m], 'a' + m, ROW);
		for (size_t j = 0; j < 2; j++)
			pair->pieces[m][j] = (struct iovec){pair->out[m] + j * ROW, ROW};
		const struct tt_node_job job = {.kind = TT_NODE_ALL_GATHER,
		    .root = -1,
		    .mark = mark,
		    .src = pair->in[m],
		    .bytes = ROW,
		    .pieces = pair->pieces[m]};

		cr_assert(eq(int, tt_node_stage_create(pair->shared, 2, m, ranks, &few, &pair->stage[m]), TUTTI_OK));
		tt_node_stage_use_remotes(pair->stage[m], pair->remotes);
		tt_node_stage_start(pair->stage[m], &job);
	}
}

static tutti_status
pair_advance(struct pair *pair, int m, int *rank)
{
	const void *said;
	int moved = 0;

	return tt_node_stage_advance(pair->stage[m], &moved, rank, &said);
}

static void
pair_close(struct pair *pair)
{
	for (int m = 0; m < 2; m++) {
		tt_node_stage_destroy(pair->stage[m]);
		free(pair->in[m]);
		free(pair->out[m]);
	}
	free(pair->shared);
}

Test(node_stage, memory_that_the_kernel_reads_is_lent_until_all_have_it, .timeout = 10)
{
	struct pair pair;
	int rank;

	pair_open(&pair);
	cr_expect(eq(int, pair_advance(&pair, 0, &rank), TUTTI_IN_PROGRESS));
	cr_expect(eq(int, pair_advance(&pair, 1, &rank), TUTTI_IN_PROGRESS), "it must not end before 0 has its row");
	cr_expect(eq(int, pair.out[1][0], 'a'));
	cr_expect(eq(int, pair_advance(&pair, 0, &rank), TUTTI_OK));
	cr_expect(eq(int, pair_advance(&pair, 1, &rank), TUTTI_OK));
	for (int m = 0; m < 2; m++)
		for (size_t i = 0; i < 2 * ROW; i++)
			cr_assert(pair.out[m][i] == (i < ROW ? 'a' : 'b'));
	pair_close(&pair);
}

Test(node_stage, what_was_read_of_a_member_that_has_withdrawn_is_no_result, .timeout = 10)
{
	struct pair pair;
	int rank;

	pair_open(&pair);
	cr_expect(eq(int, pair_advance(&pair, 0, &rank), TUTTI_IN_PROGRESS));
	cr_expect(eq(int, pair_advance(&pair, 1, &rank), TUTTI_IN_PROGRESS));
	tt_node_stage_withdraw(pair.stage[1]);
	memset(pair.in[1], 'x', ROW);
	for (int i = 0; i < 3; i++)
		cr_expect(eq(int, pair_advance(&pair, 0, &rank), TUTTI_IN_PROGRESS), "it must wait for the failure");
	pair_close(&pair);
}

Test(node_stage, a_member_that_withdraws_after_a_job_does_not_spoil_it, .timeout = 10)
{
	struct pair pair;
	int rank;

	pair_open(&pair);
	cr_expect(eq(int, pair_advance(&pair, 0, &rank), TUTTI_IN_PROGRESS));
	cr_expect(eq(int, pair_advance(&pair, 1, &rank), TUTTI_IN_PROGRESS));
	cr_expect(eq(int, pair_advance(&pair, 0, &rank), TUTTI_OK));
	tt_node_stage_withdraw(pair.stage[0]);
	cr_expect(eq(int, pair_advance(&pair, 1, &rank), TUTTI_OK));
	pair_close(&pair);
}

Test(node_stage, memory_that_cannot_be_read_is_an_error_that_names_its_rank, .timeout = 10)
{
	struct pair pair;
	int rank = -1;

	pair_open(&pair);
	cr_expect(eq(int, pair_advance(&pair, 0, &rank), TUTTI_IN_PROGRESS));
	pair.proof[0][5] ^= 1; /* as if another process had its number now */
	for (int i = 0; i < 3; i++) {
		rank = -1;
		cr_expect(eq(int, pair_advance(&pair, 1, &rank), TUTTI_ERR_PEER));
		cr_expect(eq(int, rank, 3));
	}
	cr_expect(ne(ptr, strstr(tt_last_error()->message, "rank 3"), NULL));
	pair_close(&pair);
}

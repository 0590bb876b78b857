/* SPDX-License-Identifier: Apache-2.0
 *
 * test_node_portions.c - jobs of the node stage on rows that are not in one piece, and the notes that jobs carry.
 *
 * All members live in one thread; at each step a random one goes as far as it can. Each member's row is cut as a seed
 * likes, every portion lies somewhere else in memory, misaligned and between guards; member 0 has its row whole.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "engine/node_stage.h"
#include "kernels/kernels.h"
#include "usual_stage.h"

#define MOST 6
#define CUTS 40
#define GUARD 32
#define NOTE UINT64_C(0x123456789abcdef0)

struct member {
	struct tt_node_stage *stage;
	size_t nportions;
	struct tt_portion portions[CUTS + 1];
	unsigned char *memory[CUTS + 1][2]; /* of each portion, with guards: its input and its result */
	float *row, *result; /* in one piece */
	struct iovec pieces[MOST];
	int phase; /* jobs that it has done */
	bool busy, agreed;
};

struct world {
	unsigned seed;
	int n;
	size_t count;
	bool in_two; /* reduce_scatter and all_gather instead of all_reduce */
	bool notes_differ;
	struct member member[MOST];
	void *shared;
	unsigned char mark[TUTTI_MARK_BYTES];
};

/* ---- memory ------------------------------------------------------------------------------------------------------- */

static unsigned char *
guarded(size_t bytes, unsigned char **memory, unsigned *seed)
{
	const size_t shift = (size_t)rand_r(seed) % 8;

	*memory = malloc(bytes + 2 * GUARD + 8);
	memset(*memory, 0xa5, bytes + 2 * GUARD + 8);
	return *memory + GUARD + shift;
}

static void
add_portion(struct world *w, struct member *m, size_t begin, size_t elements)
{
	struct tt_portion *portion = &m->portions[m->nportions];
	unsigned char **memory = m->memory[m->nportions];
	const size_t bytes = elements * sizeof(float);
	unsigned char *in = guarded(bytes, &memory[0], &w->seed);

	memcpy(in, m->row + begin, bytes);
	*portion = (struct tt_portion){.in = in, .out = in, .begin = begin * sizeof(float), .bytes = bytes};
	if (rand_r(&w->seed) % 3 != 0)
		portion->out = guarded(bytes, &memory[1], &w->seed);
	m->nportions++;
}

static void
open_member(struct world *w, int number)
{
	struct member *m = &w->member[number];
	const size_t piece = 1 + w->count / (1 + (size_t)rand_r(&w->seed) % CUTS);

	m->row = malloc((w->count + 1) * sizeof(float));
	m->result = malloc((w->count + 1) * sizeof(float));
	for (size_t i = 0; i < w->count; i++)
		m->row[i] = (float)(rand_r(&w->seed) % 100000) / 7.0f;
	for (size_t at = 0; at < w->count && number != 0; at += piece)
		add_portion(w, m, at, tt_min_size(piece, w->count - at));
	for (int j = 0; j < w->n; j++) {
		size_t begin, len;

		tt_part(w->count, (size_t)w->n, (size_t)j, &begin, &len);
		m->pieces[j].iov_base = (void *)(uintptr_t)(begin * sizeof(float));
		m->pieces[j].iov_len = len * sizeof(float);
	}
}

/* The result in one piece. The guards are whole. */
static void
close_member(struct world *w, int number)
{
	struct member *m = &w->member[number];

	for (size_t i = 0; i < m->nportions; i++) {
		const struct tt_portion *portion = &m->portions[i];
		const unsigned char *end = portion->out + portion->bytes;

		memcpy((unsigned char *)m->result + portion->begin, portion->out, portion->bytes);
		cr_expect(portion->out[-1] == 0xa5 && portion->out[-GUARD] == 0xa5 && end[0] == 0xa5 &&
			      end[GUARD - 1] == 0xa5,
		    "seed %u: written beside portion %zu of member %d", w->seed, i, number);
		if (portion->in != portion->out)
			cr_expect(memcmp(portion->in, (unsigned char *)m->row + portion->begin, portion->bytes) == 0,
			    "an input was written");
		free(m->memory[i][0]);
		free(m->memory[i][1]);
	}
}

/* ---- running ------------------------------------------------------------------------------------------------------ */

static void
start(struct world *w, int number)
{
	struct member *m = &w->member[number];
	const bool whole = m->nportions == 0;
	unsigned char *const in = whole ? (unsigned char *)m->row : NULL;
	unsigned char *const out = whole ? (unsigned char *)m->result : NULL;
	const size_t mine = (size_t)(uintptr_t)m->pieces[number].iov_base;
	static struct iovec pieces[MOST][MOST];
	struct tt_node_job job = {.kind = TT_NODE_ALL_REDUCE,
	    .root = -1,
	    .dst = out,
	    .src = in,
	    .bytes = w->count * sizeof(float),
	    .pieces = pieces[number],
	    .how = {.reduce = tt_kernels_reference.reduce[TUTTI_FLOAT32][TUTTI_SUM], .divisor = 1, .element = 4},
	    .mark = w->mark,
	    .has_note = true,
	    .note = w->notes_differ && number == w->n - 1 ? NOTE + 1 : NOTE,
	    .portions = whole ? NULL : m->portions,
	    .nportions = (uint32_t)m->nportions,
	    .in_portions = true};

	if (w->in_two) {
		unsigned char *const base = m->phase == 0 ? in : out;

		job.kind = m->phase == 0 ? TT_NODE_REDUCE_SCATTER : TT_NODE_ALL_GATHER;
		job.reads_out = m->phase == 1;
		job.dst = (unsigned char *)((uintptr_t)out + mine);
		job.src = (unsigned char *)((uintptr_t)out + mine);
		job.bytes = m->pieces[number].iov_len;
		for (int j = 0; j < w->n; j++) {
			pieces[number][j] = m->pieces[j];
			pieces[number][j].iov_base = (void *)((uintptr_t)base + (uintptr_t)m->pieces[j].iov_base);
		}
	}
	tt_node_stage_start(m->stage, &job);
	m->busy = true;
}

static int
step(struct world *w, int number)
{
	struct member *m = &w->member[number];
	const int phases = w->in_two ? 2 : 1;
	const void *mark;
	int moved = 0, rank;
	tutti_status status;

	if (m->phase == phases)
		return 0;
	if (!m->busy)
		start(w, number);
	status = tt_node_stage_advance(m->stage, &moved, &rank, &mark);
	cr_assert(status == TUTTI_OK || status == TUTTI_IN_PROGRESS);
	if (status == TUTTI_IN_PROGRESS)
		return 0;
	m->busy = false;
	m->agreed = tt_node_stage_agreed(m->stage);
	cr_expect(eq(int, m->agreed, !w->notes_differ), "what a member heard of the notes");
	return ++m->phase == phases;
}

static void
run(unsigned seed)
{
	static const size_t most[] = {20, 300, 5000, 70000};
	struct world *w = calloc(1, sizeof(*w));
	struct tt_stage_facts facts = TT_STAGE_FACTS_INIT;
	const void *src[MOST];
	float *wanted;
	int ranks[MOST] = {0, 1, 2, 3, 4, 5}, left;

	w->seed = seed;
	w->n = left = 2 + (int)(seed % (MOST - 1));
	w->count = 1 + (size_t)rand_r(&w->seed) % most[seed % 4];
	w->in_two = seed % 3 == 0;
	w->notes_differ = seed % 5 == 0;
	memcpy(w->mark, "a job", 5);
	facts.staging_bytes = seed % 2 ? 4 << 20 : 16384;
	facts.add_least = seed % 7 == 1 ? 0 : seed % 7 == 2 ? 1 << 20 : facts.add_least;
	facts.chunk_least = seed % 11 == 1 ? 4096 : facts.chunk_least;
	w->shared = aligned_alloc(4096, tt_round_up(tt_node_stage_need(w->n, &facts), 4096));
	memset(w->shared, 0, tt_node_stage_need(w->n, &facts));
	for (int m = 0; m < w->n; m++) {
		open_member(w, m);
		cr_assert(
		    eq(int, tt_node_stage_create(w->shared, w->n, m, ranks, &facts, &w->member[m].stage), TUTTI_OK));
		src[m] = w->member[m].row;
	}
	wanted = malloc((w->count + 1) * sizeof(float));
	tt_kernels_reference.reduce[TUTTI_FLOAT32][TUTTI_SUM](wanted, src, w->n, w->count, TT_FINISH_NONE, 1);
	for (long turn = 0; left > 0 && turn < 1000000; turn++)
		left -= step(w, rand_r(&w->seed) % w->n);
	cr_expect(eq(int, left, 0));
	for (int m = 0; m < w->n; m++) {
		close_member(w, m);
		cr_expect(memcmp(w->member[m].result, wanted, w->count * sizeof(float)) == 0,
		    "seed %u: member %d of %d, %zu elements", seed, m, w->n, w->count);
		tt_node_stage_destroy(w->member[m].stage);
		free(w->member[m].row);
		free(w->member[m].result);
	}
	free(wanted);
	free(w->shared);
	free(w);
}

Test(node_portions, rows_in_portions_give_the_bits_of_whole_rows_and_notes_are_compared, .timeout = 50)
{
	for (unsigned seed = 1; seed <= 300; seed++)
		run(seed);
}

static tutti_status
barrier(struct tt_node_stage *stage, const unsigned char *mark, bool has_note, uint64_t note)
{
	const struct tt_node_job job = {.kind = TT_NODE_BARRIER, .mark = mark, .has_note = has_note, .note = note};
	const void *said;
	int moved = 0, rank;

	tt_node_stage_start(stage, &job);
	return tt_node_stage_advance(stage, &moved, &rank, &said);
}

Test(node_portions, notes_that_differ_are_no_mismatch_now_or_later_but_marks_are, .timeout = 10)
{
	const unsigned char one[TUTTI_MARK_BYTES] = "one", two[TUTTI_MARK_BYTES] = "two",
			    other[TUTTI_MARK_BYTES] = "2";
	const struct tt_stage_facts facts = TT_STAGE_FACTS_INIT;
	void *shared = aligned_alloc(4096, tt_round_up(tt_node_stage_need(2, &facts), 4096));
	const int ranks[2] = {0, 1};
	struct tt_node_stage *stage[2];
	const void *said;
	int moved = 0, rank;

	memset(shared, 0, tt_node_stage_need(2, &facts));
	for (int m = 0; m < 2; m++)
		cr_assert(eq(int, tt_node_stage_create(shared, 2, m, ranks, &facts, &stage[m]), TUTTI_OK));
	cr_expect(eq(int, barrier(stage[0], one, true, 5), TUTTI_IN_PROGRESS));
	cr_expect(eq(int, barrier(stage[1], one, true, 6), TUTTI_OK));
	cr_expect(not(tt_node_stage_agreed(stage[1])));
	cr_expect(eq(int, tt_node_stage_advance(stage[0], &moved, &rank, &said), TUTTI_OK));
	cr_expect(not(tt_node_stage_agreed(stage[0])));
	cr_expect(eq(int, barrier(stage[0], two, false, 0), TUTTI_IN_PROGRESS));
	cr_expect(eq(int, barrier(stage[1], two, false, 0), TUTTI_OK));
	cr_expect(eq(int, tt_node_stage_advance(stage[0], &moved, &rank, &said), TUTTI_OK));
	cr_expect(eq(int, barrier(stage[0], two, true, 7), TUTTI_IN_PROGRESS));
	cr_expect(eq(int, barrier(stage[1], other, true, 7), TUTTI_ERR_MISMATCH));
	for (int m = 0; m < 2; m++)
		tt_node_stage_destroy(stage[m]);
	free(shared);
}

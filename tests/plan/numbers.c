/* SPDX-License-Identifier: Apache-2.0
 *
 * numbers.c - runs plans on real numbers in a random interleaving: see numbers.h.
 *
 * The operator is the sum modulo 2^64, the final reduction multiplies by an odd constant (as AVG divides). Sends read
 * their memory and receives write theirs at random moments; half of the runs let a send go only when its receive is
 * posted. A barrier is tried with each rank held back in turn: nobody else may leave.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "numbers.h"
#include "plan/geometry.h"
#include "world.h"

#define FINAL_FACTOR UINT64_C(0x5851f42d4c957f2d)

struct letter {
	uint64_t *data;
	size_t len;
	struct letter *next;
};

struct pipe {
	struct letter *first, **last;
	uint32_t sends, recvs; /* posted */
	uint32_t sent, taken;
};

struct transfer {
	uint32_t step, index;
	bool over;
};

struct rank {
	const struct tt_plan *plan;
	struct tt_geometry geometry;
	uint64_t *memory;
	struct transfer *posted;
	uint32_t nposted, pc;
	int round;
	bool done;
};

struct run {
	int n, rounds, held; /* held: the rank that does not move, -1 = none */
	size_t count;
	bool rendezvous, wrong;
	struct tt_widths widths;
	struct rank *ranks;
	struct pipe *pipes;
	struct tt_piece *pieces;
	uint64_t random;
};

static void *
zeroed(size_t n, size_t size)
{
	void *memory = calloc(n ? n : 1, size);

	if (!memory)
		exit(2);
	return memory;
}

static uint64_t
contribution(int round, int rank, int row, size_t element)
{
	uint64_t state = (uint64_t)round * 1000003 + (uint64_t)rank * 7919 + (uint64_t)row * 104729 + element;

	return random_next(&state);
}

static int
in_rows(const struct rank *r)
{
	const struct tt_shape *s = &r->plan->shape;

	return r->geometry.has_in ? tt_collective_in_rows(s->collective, s->nranks) : 0;
}

static int
out_rows(const struct rank *r)
{
	const struct tt_shape *s = &r->plan->shape;

	return r->geometry.has_out ? tt_collective_out_rows(s->collective, s->nranks) : 0;
}

static void
enter(struct run *run, struct rank *r)
{
	for (size_t i = 0; i < r->geometry.end; i++)
		r->memory[i] = random_next(&run->random);
	for (int row = 0; row < in_rows(r); row++) {
		const struct tt_piece at = tt_geometry_row(&r->geometry, TT_IN, row, 0);

		for (size_t i = 0; i < at.len; i++)
			r->memory[at.begin + i] = contribution(r->round, r->plan->shape.rank, row, i);
	}
	r->pc = 0;
}

static uint64_t
promised(const struct run *run, const struct tt_shape *s, int round, int row, size_t element)
{
	const bool from_mine = tt_collective_in_rows(s->collective, run->n) == run->n;
	uint64_t sum = 0;

	if (!tt_collective_reduces(s->collective)) {
		const bool by_row = tt_collective_out_rows(s->collective, run->n) == run->n;
		return contribution(round, by_row ? row : s->root, from_mine ? s->rank : 0, element);
	}
	for (int r = 0; r < run->n; r++)
		sum += contribution(round, r, from_mine ? s->rank : 0, element);
	return sum * FINAL_FACTOR;
}

static void
leave(struct run *run, struct rank *r)
{
	for (int row = 0; row < out_rows(r); row++) {
		const struct tt_piece at = tt_geometry_row(&r->geometry, TT_OUT, row, 0);

		for (size_t i = 0; i < at.len; i++)
			if (r->memory[at.begin + i] != promised(run, &r->plan->shape, r->round, row, i))
				run->wrong = true;
	}
	if (r->nposted)
		run->wrong = true;
	r->nposted = 0;
	if (++r->round == run->rounds)
		r->done = true;
	else
		enter(run, r);
}

/* Gathers a span into data (room for all), or scatters data into it; returns how many elements it has. */
static size_t
move_span(struct run *run, struct rank *r, const struct tt_span *span, uint64_t *data, bool in)
{
	size_t n = 0;

	if (span->buffer == TT_TOKEN)
		return 0;
	const int npieces = tt_geometry_pieces(&r->geometry, span, 0, 0, run->pieces);

	for (int i = 0; i < npieces; i++) {
		uint64_t *at = r->memory + run->pieces[i].begin;
		const size_t len = run->pieces[i].len;

		if (data && in)
			memcpy(data + n, at, len * sizeof(*at));
		else if (data)
			memcpy(at, data + n, len * sizeof(*at));
		n += len;
	}
	return n;
}

static void
run_local(struct run *run, struct rank *r, const struct tt_step *step)
{
	const struct tt_span *spans = r->plan->spans + step->span;
	const size_t n = move_span(run, r, &spans[0], NULL, true);
	uint64_t *sum = zeroed(n, sizeof(*sum)), *one = zeroed(n, sizeof(*one));

	for (int s = 1; s < step->nspans; s++) {
		move_span(run, r, &spans[s], one, true);
		for (size_t i = 0; i < n; i++)
			sum[i] += one[i];
	}
	for (size_t i = 0; i < n && (step->flags & TT_FINAL); i++)
		sum[i] *= FINAL_FACTOR;
	move_span(run, r, &spans[0], sum, false);
	free(sum);
	free(one);
}

static struct pipe *
pipe_of(struct run *run, const struct rank *r, const struct tt_step *step)
{
	const int me = r->plan->shape.rank, peer = step->peer;

	return &run->pipes[step->kind == TT_SEND ? me * run->n + peer : peer * run->n + me];
}

static void
post(struct run *run, struct rank *r, const struct tt_step *step)
{
	const struct tt_span *span = &r->plan->spans[step->span];
	struct pipe *pipe = pipe_of(run, r, step);

	if (span->buffer != TT_TOKEN && move_span(run, r, span, NULL, true) == 0)
		return;
	r->posted[r->nposted++] = (struct transfer){.step = (uint32_t)(step - r->plan->steps),
	    .index = step->kind == TT_SEND ? pipe->sends++ : pipe->recvs++};
}

static bool
try_send(struct run *run, struct rank *r, const struct tt_step *step, uint32_t index)
{
	struct pipe *pipe = pipe_of(run, r, step);
	const struct tt_span *span = &r->plan->spans[step->span];
	struct letter *letter;

	if (pipe->sent != index || (run->rendezvous && pipe->recvs <= index))
		return false;
	letter = zeroed(1, sizeof(*letter));
	letter->len = move_span(run, r, span, NULL, true);
	letter->data = zeroed(letter->len, sizeof(*letter->data));
	move_span(run, r, span, letter->data, true);
	if (!pipe->first)
		pipe->last = &pipe->first;
	*pipe->last = letter;
	pipe->last = &letter->next;
	pipe->sent++;
	return true;
}

static bool
try_recv(struct run *run, struct rank *r, const struct tt_step *step, uint32_t index)
{
	struct pipe *pipe = pipe_of(run, r, step);
	const struct tt_span *spans = &r->plan->spans[step->span];
	struct letter *letter = pipe->first;

	if (!letter || pipe->taken != index)
		return false;
	const size_t n = move_span(run, r, &spans[0], NULL, true);

	if (n != letter->len) {
		run->wrong = true;
	} else {
		uint64_t *data = zeroed(n, sizeof(*data));

		if (step->kind == TT_RECV_REDUCE)
			move_span(run, r, &spans[1], data, true);
		for (size_t i = 0; i < n; i++)
			data[i] = (data[i] + letter->data[i]) * (step->flags & TT_FINAL ? FINAL_FACTOR : 1);
		move_span(run, r, &spans[0], data, false);
		free(data);
	}
	pipe->first = letter->next;
	pipe->taken++;
	free(letter->data);
	free(letter);
	return true;
}

/* Tries to end one posted transfer, beginning anywhere. */
static bool
move_posted(struct run *run, struct rank *r)
{
	const uint32_t n = r->nposted, first = n ? (uint32_t)random_below(&run->random, (int)n) : 0;

	for (uint32_t i = 0; i < n; i++) {
		struct transfer *t = &r->posted[(first + i) % n];
		const struct tt_step *step = &r->plan->steps[t->step];

		if (t->over)
			continue;
		t->over = step->kind == TT_SEND ? try_send(run, r, step, t->index) : try_recv(run, r, step, t->index);
		if (t->over)
			return true;
	}
	return false;
}

static bool
move_program(struct run *run, struct rank *r)
{
	const struct tt_step *step = &r->plan->steps[r->pc];

	if (r->pc == r->plan->nsteps) {
		leave(run, r);
		return true;
	}
	if (step->kind == TT_WAIT) {
		for (uint32_t i = 0; i < r->nposted; i++)
			if (!r->posted[i].over)
				return false;
		r->nposted = 0;
	} else if (step->kind == TT_COPY || step->kind == TT_REDUCE_STEP) {
		run_local(run, r, step);
	} else {
		post(run, r, step);
	}
	r->pc++;
	return true;
}

static bool
move_rank(struct run *run, int rank)
{
	struct rank *r = &run->ranks[rank];

	if (r->done || rank == run->held)
		return false;
	if (random_below(&run->random, 2))
		return move_posted(run, r) || move_program(run, r);
	return move_program(run, r) || move_posted(run, r);
}

/* Moves ranks at random until nothing moves. */
static void
run_all(struct run *run)
{
	for (;;) {
		const int first = random_below(&run->random, run->n);
		bool moved = false;

		for (int i = 0; i < run->n && !moved; i++)
			moved = move_rank(run, (first + i) % run->n);
		if (!moved)
			return;
	}
}

static void
start(struct run *run, const struct tt_plan *const *plans)
{
	size_t most_rows = (size_t)run->n;

	run->ranks = zeroed((size_t)run->n, sizeof(*run->ranks));
	run->pipes = zeroed((size_t)run->n * (size_t)run->n, sizeof(*run->pipes));
	for (int i = 0; i < run->n; i++) {
		struct rank *r = &run->ranks[i];

		r->plan = plans[i];
		tt_geometry_init(&r->geometry, plans[i], &run->widths, 1, 1);
		r->memory = zeroed(r->geometry.end, sizeof(*r->memory));
		r->posted = zeroed(plans[i]->nsteps, sizeof(*r->posted));
		if ((size_t)plans[i]->tmp_slots > most_rows)
			most_rows = (size_t)plans[i]->tmp_slots;
		enter(run, r);
	}
	run->pieces = zeroed(2 * most_rows, sizeof(*run->pieces));
}

static void
stop(struct run *run)
{
	for (int i = 0; i < run->n * run->n; i++)
		for (struct letter *l = run->pipes[i].first, *next; l; l = next) {
			next = l->next;
			free(l->data);
			free(l);
			run->wrong = true;
		}
	for (int i = 0; i < run->n; i++) {
		free(run->ranks[i].memory);
		free(run->ranks[i].posted);
	}
	free(run->ranks);
	free(run->pipes);
	free(run->pieces);
}

static bool
right_once(struct run run, const struct tt_plan *const *plans)
{
	start(&run, plans);
	run_all(&run);
	for (int i = 0; i < run.n; i++)
		if (run.held < 0 ? !run.ranks[i].done : (i != run.held && run.ranks[i].round > 0))
			run.wrong = true;
	const bool wrong = run.wrong;

	stop(&run);
	return run.held < 0 ? !run.wrong : !wrong;
}

bool
numbers_right(const struct tt_plan *const *plans, int nranks, size_t count, int rounds, uint64_t seed)
{
	struct run run = {.n = nranks,
	    .rounds = rounds,
	    .held = -1,
	    .count = count,
	    .rendezvous = seed % 2,
	    .widths = {.collective = plans[0]->shape.collective, .nranks = nranks, .count = count, .widest = count},
	    .random = seed};
	bool right = right_once(run, plans);

	for (int held = 0; held < nranks && plans[0]->shape.collective == TT_BARRIER; held++) {
		run.held = held;
		right = right && right_once(run, plans);
	}
	return right;
}

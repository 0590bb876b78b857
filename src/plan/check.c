/* SPDX-License-Identifier: Apache-2.0
 *
 * check.c - the checker: builds the symbolic world, runs the plans in it, judges the results.
 *
 * What a plan does cannot depend on timing: messages match by position, and a transfer's memory is not touched by
 * anyone between its post and its wait (that is checked). So one run stands for all runs.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/checked.h"
#include "plan/check.h"

#define ALIGNMENT 64 /* of arrays */

void
tt_world_fault(struct tt_world *world, int rank, uint32_t step, const char *format, ...)
{
	struct tt_check_report *report = world->report;
	va_list args;

	if (!report->ok)
		return;
	report->ok = false;
	report->rank = rank;
	report->step = (int)step;
	va_start(args, format);
	const int n = vsnprintf(report->message, sizeof(report->message), format, args);
	va_end(args);
	if (rank >= 0 && n >= 0 && (size_t)n < sizeof(report->message))
		snprintf(report->message + n, sizeof(report->message) - (size_t)n, " (rank %d, step %u)", rank, step);
}

tutti_status
tt_world_grow(void **array, size_t used, size_t *room, size_t want, size_t size)
{
	const size_t to = want > 2 * *room ? want : 2 * *room;
	void *more;

	if (want <= *room)
		return TUTTI_OK;
	TT_TRY(tt_alloc(to, size, "the checker's world", &more));
	if (*array)
		memcpy(more, *array, used * size);
	tt_free(*array);
	*array = more;
	*room = to;
	return TUTTI_OK;
}

/* ---- contributions and results ------------------------------------------------------------------------------ */

static uint32_t
origin_of(const struct tt_world *w, int round, int row, size_t element)
{
	const size_t stride = w->widths.widest * (size_t)w->nranks;

	return (uint32_t)((size_t)round * stride + (size_t)row * w->widths.widest + element);
}

static void
fill(struct tt_world *w, int rank, enum tt_buffer buffer, int rows, bool defined)
{
	const struct tt_geometry *g = &w->geometry[rank];
	struct tt_geometry whole = *g;

	whole.slices = 1;
	for (int row = 0; row < rows; row++) {
		const struct tt_piece at = tt_geometry_row(&whole, buffer, row, 0);

		for (size_t i = 0; i < at.len; i++)
			w->cells[w->base[rank] + at.begin + i] =
			    (struct tt_cell){.origin = origin_of(w, w->round[rank], row, i),
				.value = defined ? 1 + (uint32_t)rank : 0};
	}
}

void
tt_world_enter(struct tt_world *world, int rank)
{
	const struct tt_shape *s = &world->plans[rank]->shape;
	const struct tt_geometry *g = &world->geometry[rank];

	if (g->has_out)
		fill(world, rank, TT_OUT, tt_collective_out_rows(s->collective, s->nranks), false);
	if (g->has_in)
		fill(world, rank, TT_IN, tt_collective_in_rows(s->collective, s->nranks), true);
	world->lanes_left[rank] = 0;
	for (int lane = 0; lane < world->window && lane < world->slices; lane++) {
		const uint32_t i = (uint32_t)(rank * world->window + lane);
		struct tt_fiber *f = &world->fibers[i];

		*f = (struct tt_fiber){.rank = rank,
		    .lane = lane,
		    .slice = lane,
		    .posted = f->posted,
		    .ready = true,
		    .heard = 1 + (uint32_t)rank};
		world->ready[world->nready++] = i;
		world->lanes_left[rank]++;
	}
}

/* Which rank's contribution belongs in this row of OUT, and from which row of its IN; -1 = the sum of all. */
static void
expected(const struct tt_shape *s, int row, int *source, int *from)
{
	const bool many = tt_collective_out_rows(s->collective, s->nranks) == s->nranks && s->nranks > 1;

	*source = tt_collective_has_root(s->collective) ? s->root : row;
	*from = s->collective == TT_ALL_TO_ALL || tt_collective_in_rows(s->collective, s->nranks) > 1 ? s->rank : 0;
	if (many)
		*source = row;
	if (tt_collective_reduces(s->collective))
		*source = -1;
}

static const char *
judge_sum(struct tt_world *w, const struct tt_shape *s, uint32_t value, size_t element)
{
	const struct tt_value *v = &w->values.value[value];
	uint32_t *first;

	if (v->ranks != w->nranks)
		return "a result lacks contributions";
	if (!v->final)
		return "a result was not marked final";
	if (w->options->ordered && !v->ordered)
		return "contributions were not combined in rank order";
	if (w->options->one_rounding && !v->once)
		return "a result took more than one reduction";
	if (s->collective != TT_ALL_REDUCE)
		return NULL;
	first = &w->result[(size_t)w->round[s->rank] * w->widths.widest + element];
	if (*first == 0)
		*first = value;
	return *first == value ? NULL : "ranks add in different orders: their results differ in the last bits";
}

static const char *
judge_cell(struct tt_world *w, const struct tt_shape *s, int row, size_t element, struct tt_cell cell)
{
	int source, from;

	expected(s, row, &source, &from);
	if (cell.value == 0)
		return "a part of the result was never written";
	if (cell.origin != origin_of(w, w->round[s->rank], from, element))
		return "a part of the result is at the wrong place";
	if (source < 0)
		return judge_sum(w, s, cell.value, element);
	return cell.value == 1 + (uint32_t)source ? NULL : "a part of the result comes from the wrong rank";
}

void
tt_world_judge(struct tt_world *world, int rank)
{
	const struct tt_plan *plan = world->plans[rank];
	const struct tt_shape *s = &plan->shape;
	struct tt_geometry whole = world->geometry[rank];
	const int rows = whole.has_out ? tt_collective_out_rows(s->collective, s->nranks) : 0;

	whole.slices = 1;
	for (int row = 0; row < rows; row++) {
		const struct tt_piece at = tt_geometry_row(&whole, TT_OUT, row, 0);

		for (size_t i = 0; i < at.len; i++) {
			const char *fault =
			    judge_cell(world, s, row, i, world->cells[world->base[rank] + at.begin + i]);

			if (fault) {
				tt_world_fault(world, rank, plan->nsteps, "%s: row %d, element %zu", fault, row, i);
				return;
			}
		}
	}
}

/* ---- the world ---------------------------------------------------------------------------------------------- */

static tutti_status
measure_widths(struct tt_world *w)
{
	const struct tt_shape *s = &w->plans[0]->shape;
	const bool rows = tt_collective_in_rows(s->collective, w->nranks) > 1 ||
			  tt_collective_out_rows(s->collective, w->nranks) > 1;
	void *memory;

	w->widths = (struct tt_widths){.collective = s->collective,
	    .nranks = w->nranks,
	    .count = w->options->count,
	    .widest = w->options->count};
	if (!w->options->counts || !rows)
		return TUTTI_OK;
	TT_TRY(tt_alloc(2 * (size_t)w->nranks + 1, sizeof(size_t), "the checker's rows", &memory));
	w->sums = memory;
	w->widths.sum = w->sums;
	w->widths.widest = 0;
	for (int i = 0; i < 2 * w->nranks; i++) {
		const size_t count = w->options->counts[i % w->nranks];

		w->sums[i + 1] = w->sums[i] + count;
		if (count > w->widths.widest)
			w->widths.widest = count;
	}
	return TUTTI_OK;
}

static uint32_t
count_posts(const struct tt_plan *plan)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < plan->nsteps; i++)
		n += plan->steps[i].kind == TT_SEND || plan->steps[i].kind == TT_RECV ||
		     plan->steps[i].kind == TT_RECV_REDUCE;
	return n;
}

struct need {
	size_t cells, posts, rows, operands;
};

static void
measure_rank(struct tt_world *w, int rank, struct need *need)
{
	const struct tt_plan *plan = w->plans[rank];

	tt_geometry_init(&w->geometry[rank], plan, &w->widths, w->slices, w->window);
	w->base[rank] = need->cells;
	need->cells += w->geometry[rank].end;
	need->posts += count_posts(plan);
	if ((size_t)plan->tmp_slots > need->rows)
		need->rows = (size_t)plan->tmp_slots;
	for (uint32_t i = 0; i < plan->nsteps; i++)
		if (plan->steps[i].nspans > need->operands)
			need->operands = plan->steps[i].nspans;
}

/* An array that the world needs: where its pointer is, and how much. */
struct room {
	void *array;
	size_t n, size;
};

/* All of them in one block of zeroed memory: a check must be quick, there are very many. */
static tutti_status
take(const struct room *rooms, size_t nrooms, void **block)
{
	unsigned char *at;
	size_t bytes = 0;

	for (size_t i = 0; i < nrooms; i++)
		bytes += tt_round_up(rooms[i].n * rooms[i].size, ALIGNMENT);
	TT_TRY(tt_alloc(bytes, 1, "the checker's world", block));
	at = *block;
	for (size_t i = 0; i < nrooms; i++) {
		memcpy(rooms[i].array, &at, sizeof(at));
		at += tt_round_up(rooms[i].n * rooms[i].size, ALIGNMENT);
	}
	return TUTTI_OK;
}

static tutti_status
take_ranks(struct tt_world *w)
{
	const size_t n = (size_t)w->nranks;
	const struct room rooms[] = {
	    {&w->geometry, n, sizeof(*w->geometry)},
	    {&w->base, n, sizeof(*w->base)},
	    {&w->round, n, sizeof(*w->round)},
	    {&w->lanes_left, n, sizeof(*w->lanes_left)},
	};

	return take(rooms, TT_COUNT_OF(rooms), &w->block[0]);
}

static tutti_status
take_rest(struct tt_world *w, const struct need *need)
{
	const size_t n = (size_t)w->nranks, lanes = n * (size_t)w->window;
	const struct room rooms[] = {
	    {&w->cells, need->cells, sizeof(*w->cells)},
	    {&w->marks, need->cells, sizeof(*w->marks)},
	    {&w->fibers, lanes, sizeof(*w->fibers)},
	    {&w->posted, need->posts * (size_t)w->window, sizeof(*w->posted)},
	    {&w->ready, lanes, sizeof(*w->ready)},
	    {&w->pair, n * n, sizeof(*w->pair)},
	    {&w->pieces, 2 * need->rows, sizeof(*w->pieces)},
	    {&w->operand, need->operands, sizeof(*w->operand)},
	    {&w->added, need->operands, sizeof(*w->added)},
	    {&w->result, (size_t)w->rounds * w->widths.widest, sizeof(*w->result)},
	};

	return take(rooms, TT_COUNT_OF(rooms), &w->block[1]);
}

static void
deal_posted(struct tt_world *w)
{
	struct tt_posted *at = w->posted;

	for (int r = 0, lane = 0; r < w->nranks; r++)
		for (int l = 0; l < w->window; l++, lane++) {
			w->fibers[lane].posted = at;
			at += count_posts(w->plans[r]);
		}
}

static tutti_status
build_world(struct tt_world *w)
{
	const size_t n = (size_t)w->nranks;
	struct need need = {.rows = n, .operands = 2};

	TT_TRY(measure_widths(w));
	TT_TRY(tt_values_init(&w->values, w->nranks));
	TT_TRY(take_ranks(w));
	for (int r = 0; r < w->nranks; r++)
		measure_rank(w, r, &need);
	if (need.cells > UINT32_MAX || (size_t)w->rounds * n * w->widths.widest > UINT32_MAX)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "too many elements to check: use smaller counts");
	TT_TRY(take_rest(w, &need));
	memset(w->pair, 0xff, n * n * sizeof(*w->pair));
	deal_posted(w);
	return TUTTI_OK;
}

static void
drop_world(struct tt_world *w)
{
	void *const owned[] = {w->sums, w->block[0], w->block[1], w->channels, w->messages, w->payload, w->index};

	tt_values_fini(&w->values);
	for (size_t i = 0; i < TT_COUNT_OF(owned); i++)
		tt_free(owned[i]);
}

/* Nothing moves any more: is that the end, or a deadlock? */
static void
judge_end(struct tt_world *w)
{
	for (int i = 0; i < w->nranks * w->window; i++) {
		const struct tt_fiber *f = &w->fibers[i];
		const struct tt_posted *p = &f->posted[f->waited];

		if (f->done || f->lane >= w->slices)
			continue;
		const struct tt_step *step = &w->plans[f->rank]->steps[p->step];

		tt_world_fault(w, f->rank, p->step, "deadlock: the %s rank %d never completes",
		    step->kind == TT_SEND ? "send to" : "receive from", step->peer);
	}
	for (uint32_t i = 0; i < w->nchannels; i++)
		if (w->channels[i].sends != w->channels[i].recvs)
			tt_world_fault(w, w->channels[i].src, 0,
			    "rank %d sends %u messages to rank %d, which receives %u", w->channels[i].src,
			    w->channels[i].sends, w->channels[i].dst, w->channels[i].recvs);
}

static tutti_status
reject_options(const struct tt_plan *const *plans, int nranks, const struct tt_check_options *o)
{
	if (nranks < 1 || o->slices < 1 || o->window < 1 || o->rounds < 1 || o->slots < 0)
		return tt_fail(
		    TUTTI_ERR_ARGUMENT, -1, "a check needs ranks, slices, a window and rounds: at least one each");
	for (int r = 0; r < nranks; r++)
		if (plans[r]->shape.rank != r || plans[r]->shape.nranks != nranks ||
		    plans[r]->shape.collective != plans[0]->shape.collective ||
		    plans[r]->shape.root != plans[0]->shape.root)
			return tt_fail(
			    TUTTI_ERR_ARGUMENT, r, "plan %d is not the plan of rank %d of %d", r, r, nranks);
	return TUTTI_OK;
}

tutti_status
tt_plan_check(const struct tt_plan *const *plans, int nranks, const struct tt_check_options *options,
    struct tt_check_report *report)
{
	struct tt_world world = {.plans = plans,
	    .options = options,
	    .report = report,
	    .nranks = nranks,
	    .slices = options->slices,
	    .window = options->window < options->slices ? options->window : options->slices,
	    .rounds = options->rounds};
	tutti_status status;

	TT_TRY(reject_options(plans, nranks, options));
	*report = (struct tt_check_report){.ok = true, .rank = -1, .step = -1};
	world.barrier = plans[0]->shape.collective == TT_BARRIER;
	status = build_world(&world);
	for (int r = 0; r < nranks && status == TUTTI_OK; r++)
		tt_world_enter(&world, r);
	if (status == TUTTI_OK)
		status = tt_world_run(&world);
	if (status == TUTTI_OK && report->ok)
		judge_end(&world);
	drop_world(&world);
	return status;
}

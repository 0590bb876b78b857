/* SPDX-License-Identifier: Apache-2.0
 *
 * steps.c - what the interpreter of plans adds to the work of a step: a plan of many copies, or sums of two, beside a loop
 * that does the same by hand with the same kernels, in turns.
 *
 *     added = (the plan's time - the loop's time) / steps
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/executor.h"
#include "kernels/kernels.h"

#define STEPS 256
#define ROUNDS 201
#define FLOATS_MOST ((size_t)16 << 10)

struct work {
	struct tt_plan plan;
	struct tt_run run;
	struct tt_executor *executor;
	bool adds;
	float *in, *out;
	size_t floats;
};

static double
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void
must(tutti_status status, const char *what)
{
	if (status == TUTTI_OK)
		return;
	fprintf(stderr, "steps: %s: status %d\n", what, (int)status);
	exit(1);
}

static void
make_plan(struct work *w)
{
	const struct tt_shape alone = {.collective = TT_ALL_REDUCE, .rank = 0, .nranks = 1, .nnodes = 1};
	const struct tt_span in = tt_span_part(TT_IN, 0, 0, 1, 1), out = tt_span_part(TT_OUT, 0, 0, 1, 1);
	const struct tt_span both[2] = {in, out};

	tt_plan_init(&w->plan, "steps", &alone);
	tt_plan_copy(&w->plan, out, in);
	for (int i = 1; i < STEPS; i++)
		if (w->adds)
			tt_plan_reduce(&w->plan, out, both, 2, 0);
		else
			tt_plan_copy(&w->plan, out, in);
	must(tt_plan_end(&w->plan), "plan");
}

static double
run_plan(struct work *w)
{
	const double before = now_ns();
	int moved = 0;

	must(tt_executor_start(w->executor, &w->run), "start");
	must(tt_executor_advance(w->executor, &moved), "advance");
	return now_ns() - before;
}

/* The loop by hand. */
static double
run_loop(struct work *w)
{
	const void *both[2] = {w->in, w->out};
	const double before = now_ns();

	memcpy(w->out, w->in, w->floats * sizeof(float));
	for (int i = 1; i < STEPS; i++) {
		if (w->adds)
			w->run.reduce(w->out, both, 2, w->floats, TT_FINISH_NONE, 1);
		else
			memcpy(w->out, w->in, w->floats * sizeof(float));
		__asm__ __volatile__("" : : : "memory"); /* every one of them is wanted */
	}
	return now_ns() - before;
}

static int
ascending(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void
measure(struct work *w)
{
	static double plan[ROUNDS], loop[ROUNDS], ratio[ROUNDS];

	w->run = (struct tt_run){.plan = &w->plan,
	    .operands = {.in = {.base = (unsigned char *)w->in, .nrows = 1, .count = w->floats},
		.out = {.base = (unsigned char *)w->out, .nrows = 1, .count = w->floats},
		.element = sizeof(float),
		.slices = 1},
	    .window = 1,
	    .reduce = tt_kernels_best()->reduce[TUTTI_FLOAT32][TUTTI_SUM]};
	for (int i = 0; i < ROUNDS; i++) {
		plan[i] = run_plan(w);
		loop[i] = run_loop(w);
		ratio[i] = plan[i] / loop[i];
	}
	qsort(plan, ROUNDS, sizeof(double), ascending);
	qsort(loop, ROUNDS, sizeof(double), ascending);
	qsort(ratio, ROUNDS, sizeof(double), ascending);
	printf("%-6s %8zu %12.1f %12.1f %12.1f %8.3f\n", w->adds ? "add" : "copy", w->floats * sizeof(float),
	    loop[ROUNDS / 2] / STEPS, plan[ROUNDS / 2] / STEPS, (plan[ROUNDS / 2] - loop[ROUNDS / 2]) / STEPS,
	    ratio[ROUNDS / 2]);
}

int
main(void)
{
	struct tt_ports ports;
	struct work w = {.in = aligned_alloc(64, FLOATS_MOST * sizeof(float)),
	    .out = aligned_alloc(64, FLOATS_MOST * sizeof(float))};

	if (w.in == NULL || w.out == NULL)
		return 1;
	memset(w.in, 0, FLOATS_MOST * sizeof(float));
	memset(w.out, 0, FLOATS_MOST * sizeof(float));
	must(tt_ports_init(&ports, 0, 1), "ports");
	must(tt_executor_create(&ports, 64 << 10, &w.executor), "executor");
	printf("%-6s %8s %12s %12s %12s %8s\n%-6s %8s %12s %12s %12s\n", "step", "bytes", "by hand", "plan", "added",
	    "ratio", "", "", "ns", "ns", "ns");
	for (int adds = 0; adds < 2; adds++) {
		w.adds = adds;
		make_plan(&w);
		for (w.floats = 2; w.floats <= FLOATS_MOST; w.floats = w.floats == 2 ? 1024 : w.floats * 4)
			measure(&w);
		tt_plan_fini(&w.plan);
	}
	tt_executor_destroy(w.executor);
	tt_ports_fini(&ports);
	free(w.in);
	free(w.out);
	return 0;
}

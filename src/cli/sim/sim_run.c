/* SPDX-License-Identifier: Apache-2.0
 *
 * sim_run.c - runs plans of all ranks in virtual time, on the constants that the selector prices with.
 *
 * A plan's size does not depend on bytes, so the plans of an algorithm are made once and run for each size. What would
 * take too long is left to the closed form: that is told from the size of one rank's plan before the others are made.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "cli/sim/sim.h"
#include "select/price.h"

#define MOST_STEPS 1600000.0 /* of all ranks and slices of a run: half a second */
#define MOST_PLAN_STEPS 1600000.0 /* of all ranks' plans: memory */
#define MOST_SLICES 32 /* more of them overlap no better */
#define MOST_MOVED 16

struct plans {
	struct tt_plan *plan; /* [made] */
	const struct tt_plan **list;
	int made;
};

static void
drop_plans(struct plans *plans)
{
	for (int r = 0; r < plans->made; r++)
		tt_plan_fini(&plans->plan[r]);
	free(plans->plan);
	free(plans->list);
	*plans = (struct plans){NULL, NULL, 0};
}

static tutti_status
make_plan(const struct tt_sim *sim, const struct tt_algorithm *algorithm, int rank, struct tt_plan *plan)
{
	const struct tt_described *job = sim->job;
	struct tt_shape shape = {.collective = sim->collective,
	    .rank = rank,
	    .nranks = job->ranks,
	    .node_of = job->node_of,
	    .nnodes = job->nodes};

	if ((algorithm->flags & TT_ALG_NEIGHBOURS) != 0) {
		shape.order = job->map->order;
		shape.position = job->map->position;
	}
	return tt_plan_make_ordered(algorithm->make, &shape, plan);
}

/* false: too large. */
static bool
make_plans(const struct tt_sim *sim, const struct tt_algorithm *algorithm, struct plans *plans, tutti_status *status)
{
	const int n = sim->job->ranks;

	plans->plan = calloc((size_t)n, sizeof(*plans->plan));
	plans->list = calloc((size_t)n, sizeof(*plans->list));
	if (plans->plan == NULL || plans->list == NULL) {
		*status = tt_fail(TUTTI_ERR_NOMEM, -1, "no memory for the plans of %d ranks", n);
		return false;
	}
	for (int r = 0; r < n; r++) {
		*status = make_plan(sim, algorithm, r, &plans->plan[r]);
		plans->made = r + 1;
		if (*status != TUTTI_OK)
			return false;
		if (r == 0 && (double)plans->plan[0].nsteps * n > MOST_PLAN_STEPS)
			return false;
		plans->list[r] = &plans->plan[r];
	}
	return true;
}

static size_t
row_bytes(const struct tt_sim *sim, uint64_t bytes)
{
	const int n = sim->job->ranks;
	const bool rows =
	    tt_collective_in_rows(sim->collective, n) > 1 || tt_collective_out_rows(sim->collective, n) > 1;

	return (size_t)(rows ? (bytes + (uint64_t)n - 1) / (uint64_t)n : bytes);
}

static tutti_status
run_size(const struct tt_sim *sim, const struct plans *plans, const struct tt_algorithm *algorithm, int size,
    struct tt_sim_price *price)
{
	const struct tt_select_call call = {.collective = sim->collective,
	    .dtype = TUTTI_FLOAT32,
	    .op = TUTTI_SUM,
	    .bytes = sim->size[size],
	    .forced = algorithm->name};
	struct tt_choice choice;
	struct tt_machine machine;
	int slices;

	tt_price_machine(&sim->job->facts, &call, &machine);
	TT_TRY(tt_select(&sim->job->facts, &call, &choice));
	slices = choice.slices < MOST_SLICES ? choice.slices : MOST_SLICES;
	if ((double)plans->plan[0].nsteps * sim->job->ranks * slices > MOST_STEPS)
		return TUTTI_OK;
	price->seconds = 0;
	for (int turn = 0; turn < sim->placements; turn++) {
		double seconds;

		if (machine.cores > 0)
			machine.core_of = sim->core_of + (size_t)turn * (size_t)sim->job->ranks;
		TT_TRY(tt_plan_simulate(plans->list, sim->job->ranks, sim->job->node_of, &machine,
		    row_bytes(sim, sim->size[size]), slices, choice.window, &seconds));
		price->seconds += seconds / sim->placements;
	}
	price->method = TT_SIM_EVENTS;
	return TUTTI_OK;
}

static tutti_status
run_algorithm(struct tt_sim *sim, int a)
{
	struct plans plans = {NULL, NULL, 0};
	tutti_status status = TUTTI_OK;

	if (make_plans(sim, sim->algorithm[a], &plans, &status))
		for (int s = 0; s < sim->nsizes && status == TUTTI_OK; s++)
			if (sim->price[a][s].method != TT_SIM_NOT_POSSIBLE)
				status = run_size(sim, &plans, sim->algorithm[a], s, &sim->price[a][s]);
	drop_plans(&plans);
	return status;
}

/* Closed forms first: they tell what is possible at all. */
static void
price_closed(struct tt_sim *sim)
{
	for (int s = 0; s < sim->nsizes; s++) {
		const struct tt_select_call call = {
		    .collective = sim->collective, .dtype = TUTTI_FLOAT32, .op = TUTTI_SUM, .bytes = sim->size[s]};
		struct tt_candidate candidates[TT_SIM_ALGORITHMS];
		const int n = tt_select_candidates(&sim->job->facts, &call, candidates, TT_SIM_ALGORITHMS);
		struct tt_choice choice;

		sim->chosen[s] = tt_select(&sim->job->facts, &call, &choice) == TUTTI_OK ? choice.algorithm : NULL;
		for (int a = 0; a < sim->nalgorithms; a++)
			for (int c = 0; c < n; c++)
				if (candidates[c].algorithm == sim->algorithm[a])
					sim->price[a][s] = (struct tt_sim_price){.method = candidates[c].eligible
											       ? TT_SIM_CLOSED_FORM
											       : TT_SIM_NOT_POSSIBLE,
					    .seconds = candidates[c].predicted_s,
					    .closed_s = candidates[c].predicted_s};
	}
}

/* The ranks of a host take turns at its cores. Where that leaves some alone and they are few, the system moves them about:
 * each of them is the one in turn. */
static tutti_status
share_cores(struct tt_sim *sim)
{
	const struct tt_map *map = sim->job->map;
	const int cores = sim->job->facts.cores, n = map->nranks;
	void *memory, *ranks;
	int *here;

	sim->placements = map->nhosts == 1 && n > cores && n % cores != 0 && n <= MOST_MOVED ? n : 1;
	TT_TRY(
	    tt_alloc((size_t)sim->placements * (size_t)n, sizeof(*sim->core_of), "the cores of the ranks", &memory));
	sim->core_of = memory;
	TT_TRY(tt_alloc((size_t)map->nhosts, sizeof(*here), "the ranks of the hosts", &ranks));
	here = ranks;
	for (int turn = 0; turn < sim->placements; turn++) {
		memset(here, 0, (size_t)map->nhosts * sizeof(*here));
		for (int i = 0; i < n; i++) {
			const int r = (i + turn) % n, host = map->place[r].host;

			sim->core_of[turn * n + r] = host * cores + here[host]++ % cores;
		}
	}
	tt_free(ranks);
	return TUTTI_OK;
}

tutti_status
tt_sim_run(struct tt_sim *sim)
{
	TT_TRY(share_cores(sim));
	price_closed(sim);
	for (int a = 0; a < sim->nalgorithms; a++) {
		bool possible = false;

		for (int s = 0; s < sim->nsizes; s++)
			possible = possible || sim->price[a][s].method != TT_SIM_NOT_POSSIBLE;
		if (possible)
			TT_TRY(run_algorithm(sim, a));
	}
	return TUTTI_OK;
}

int
tt_sim_best(const struct tt_sim *sim, int size)
{
	int best = -1;

	for (int a = 0; a < sim->nalgorithms; a++) {
		const struct tt_sim_price *p = &sim->price[a][size];

		if (p->method != TT_SIM_NOT_POSSIBLE && (best < 0 || p->seconds < sim->price[best][size].seconds))
			best = a;
	}
	return best;
}

const char *
tt_sim_size_text(uint64_t bytes, char *text, size_t capacity)
{
	static const char letters[] = " KMGT";
	int unit = 0;

	while (bytes >= 1024 && bytes % 1024 == 0 && unit < 4) {
		bytes /= 1024;
		unit++;
	}
	snprintf(text, capacity, "%llu%.*s", (unsigned long long)bytes, unit > 0, &letters[unit]);
	return text;
}

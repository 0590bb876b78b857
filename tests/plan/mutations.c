/* SPDX-License-Identifier: Apache-2.0
 *
 * mutations.c - damaged plans are noticed.
 *
 * Takes an algorithm and a number of ranks at random, damages one step of one rank's plan, and asks the checker.
 * A damaged plan that the checker accepts is run on numbers in random interleavings: if all come out right, the damage
 * was harmless as far as runs can tell; if not, the checker has missed it. Fails if it misses more than one in a
 * thousand. Usage: mutations [COUNT [SEED]]
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "numbers.h"
#include "world.h"

enum { MOST_RANKS = 13, INTERLEAVINGS = 10, PER_JOB = 20 };

enum mutation {
	DROP_STEP,
	WRONG_PEER,
	SHIFTED_PART,
	SWAPPED_STEPS,
	DROPPED_WAIT,
	RECEIVE_KIND, /* receive for receive-and-reduce, or the other way round */
	WRONG_BUFFER,
	WRONG_FLAG,
	SWAPPED_SOURCES,
	MUTATIONS
};

static const char *const names[MUTATIONS] = {"dropped step", "wrong peer", "shifted part", "swapped steps",
    "dropped wait", "receive kind", "wrong buffer", "wrong flag", "swapped sources"};

static void *
copy_of(const void *from, size_t bytes, size_t room)
{
	void *to = calloc(1, room);

	if (!to)
		exit(2);
	if (bytes)
		memcpy(to, from, bytes);
	return to;
}

static void
drop_step(struct tt_plan *plan, uint32_t at)
{
	memmove(&plan->steps[at], &plan->steps[at + 1], (plan->nsteps - at - 1) * sizeof(*plan->steps));
	plan->nsteps--;
}

static bool
shift_span(struct tt_plan *plan, struct tt_span *span, uint64_t *random)
{
	const int by = random_below(random, 2) ? 1 : -1;

	if (span->buffer == TT_TOKEN)
		return false;
	if (span->of > 1 && (span->parts < span->of || span->buffer == TT_TMP)) {
		span->part = (span->part + by + span->of) % span->of;
		return true;
	}
	const int rows = span->buffer == TT_TMP ? plan->tmp_slots : plan->shape.nranks;

	span->row = (span->row + by + rows) % rows;
	return rows > 1;
}

static bool
change_receive(struct tt_plan *plan, struct tt_step *step)
{
	const struct tt_span dst = plan->spans[step->span];

	if (step->kind == TT_RECV_REDUCE) {
		step->kind = TT_RECV;
		step->nspans = 1;
		return true;
	}
	if (step->kind != TT_RECV)
		return false;
	step->kind = TT_RECV_REDUCE; /* the copy of the plan has room for two more spans */
	step->span = plan->nspans;
	step->nspans = 2;
	plan->spans[plan->nspans++] = dst;
	plan->spans[plan->nspans++] = dst;
	return true;
}

static bool
swap_sources(struct tt_plan *plan, const struct tt_step *step, uint64_t *random)
{
	struct tt_span *spans = plan->spans + step->span, first;

	if (step->kind != TT_REDUCE_STEP || step->nspans < 3)
		return false;
	const int i = 1 + random_below(random, step->nspans - 2);

	first = spans[i];
	spans[i] = spans[i + 1];
	spans[i + 1] = first;
	return true;
}

/* Damages one step; false: this kind of damage does not apply to it. */
static bool
mutate(struct tt_plan *plan, enum mutation mutation, uint64_t *random)
{
	const uint32_t at = (uint32_t)random_below(random, (int)plan->nsteps);
	struct tt_step *step = &plan->steps[at], other;
	struct tt_span *span =
	    step->nspans ? &plan->spans[step->span + (uint32_t)random_below(random, step->nspans)] : NULL;
	const int n = plan->shape.nranks;
	const bool transfer = step->kind == TT_SEND || step->kind == TT_RECV || step->kind == TT_RECV_REDUCE;

	switch (mutation) {
	case DROP_STEP:
		drop_step(plan, at);
		return true;
	case WRONG_PEER:
		step->peer = (step->peer + 1 + random_below(random, n - 1)) % n;
		return transfer;
	case SHIFTED_PART:
		return span && shift_span(plan, span, random);
	case SWAPPED_STEPS:
		if (at + 1 == plan->nsteps)
			return false;
		other = step[0];
		step[0] = step[1];
		step[1] = other;
		return true;
	case DROPPED_WAIT:
		if (step->kind != TT_WAIT)
			return false;
		drop_step(plan, at);
		return true;
	case RECEIVE_KIND:
		return change_receive(plan, step);
	case WRONG_BUFFER:
		if (!span || span->buffer == TT_TOKEN)
			return false;
		span->buffer = (uint8_t)((span->buffer + 1 + random_below(random, 2)) % 3);
		return true;
	case WRONG_FLAG:
		step->flags ^= TT_FINAL;
		return step->kind == TT_REDUCE_STEP || step->kind == TT_RECV_REDUCE;
	case SWAPPED_SOURCES:
		return swap_sources(plan, step, random);
	default:
		return false;
	}
}

struct tally {
	long reported, harmless, missed;
};

static bool
accepted(const struct tt_plan *const *plans, int nranks, const struct tt_algorithm *a, size_t count)
{
	const bool one = (a->flags & TT_ALG_ONE_ROUNDING) != 0;
	const struct tt_check_options options = {
	    .count = count, .slices = 1, .window = 1, .rounds = 2, .ordered = one, .one_rounding = one};
	struct tt_check_report report;

	if (tt_plan_check(plans, nranks, &options, &report) != TUTTI_OK) {
		fprintf(stderr, "the checker failed: %s\n", tt_last_error()->message);
		exit(2);
	}
	return report.ok;
}

static bool
harmless(const struct tt_plan *const *plans, int nranks, size_t count, uint64_t *random)
{
	for (int i = 0; i < INTERLEAVINGS; i++)
		if (!numbers_right(plans, nranks, count, 2, random_next(random) * 2 + (uint64_t)(i % 2)))
			return false;
	return true;
}

static void
report_missed(const struct job *job, const struct tt_plan *mutant, enum mutation mutation)
{
	char text[4096];

	tt_plan_print(mutant, text, sizeof(text));
	fprintf(stderr, "missed: %s, in place %d, in\n%s", names[mutation], (int)job->in_place, text);
}

static bool
try_one(const struct tt_algorithm *a, struct job *job, size_t count, struct tally tally[MUTATIONS], uint64_t *random)
{
	const int victim = random_below(random, job->nranks);
	const struct tt_plan *original = job->list[victim];
	const enum mutation mutation = (enum mutation)random_below(random, MUTATIONS);
	struct tt_plan mutant = *original;
	bool applies;

	if (original->nsteps == 0)
		return false;
	mutant.steps = copy_of(
	    original->steps, original->nsteps * sizeof(*mutant.steps), original->nsteps * sizeof(*mutant.steps));
	mutant.spans = copy_of(original->spans, original->nspans * sizeof(*mutant.spans),
	    (original->nspans + 2) * sizeof(*mutant.spans));
	applies = mutate(&mutant, mutation, random);
	job->list[victim] = &mutant;
	if (applies && !accepted(job->list, job->nranks, a, count)) {
		tally[mutation].reported++;
	} else if (applies && harmless(job->list, job->nranks, count, random)) {
		tally[mutation].harmless++;
	} else if (applies) {
		tally[mutation].missed++;
		report_missed(job, &mutant, mutation);
	}
	job->list[victim] = original;
	free(mutant.steps);
	free(mutant.spans);
	return applies;
}

static long
try_job(const struct tt_algorithm *a, struct tally tally[MUTATIONS], uint64_t *random)
{
	const int nranks = 2 + random_below(random, MOST_RANKS - 1);
	const bool one_node = (a->flags & TT_ALG_ONE_NODE) != 0;
	const struct tt_shape shape = {.collective = a->collective, .nranks = nranks};
	int node_of[MOST_RANKS];
	struct job job;
	long tried = 0;

	if ((a->flags & TT_ALG_POWER_OF_TWO) && !tt_algorithm_serves(a, &shape, NULL))
		return 0;
	for (int r = 0; r < nranks; r++)
		node_of[r] = one_node ? 0 : random_below(random, 1 + nranks / 3);
	job_make(&job, a, nranks, tt_collective_has_root(a->collective) ? random_below(random, nranks) : 0,
	    (enum in_place)random_below(random, IN_PLACE_MODES), node_of, job_number_nodes(node_of, nranks));
	if (!numbers_right(job.list, nranks, 2 * (size_t)nranks + 3, 2, random_next(random))) {
		fprintf(stderr, "%s %s is wrong undamaged\n", tt_collective_name(a->collective), a->name);
		exit(1);
	}
	for (int i = 0; i < PER_JOB; i++)
		tried += try_one(a, &job, 2 * (size_t)nranks + 3, tally, random);
	job_drop(&job);
	return tried;
}

int
main(int argc, char **argv)
{
	const long want = argc > 1 ? atol(argv[1]) : 24000;
	uint64_t random = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	struct tally tally[MUTATIONS] = {{0}}, all = {0};
	int nalgorithms = 0;
	long tried = 0;

	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	while (tt_algorithms[nalgorithms])
		nalgorithms++;
	while (tried < want)
		tried += try_job(tt_algorithms[random_below(&random, nalgorithms)], tally, &random);
	for (int m = 0; m < MUTATIONS; m++) {
		printf("%-16s %6ld reported, %5ld harmless, %ld missed\n", names[m], tally[m].reported,
		    tally[m].harmless, tally[m].missed);
		all.reported += tally[m].reported;
		all.harmless += tally[m].harmless;
		all.missed += tally[m].missed;
	}
	const double rate = (double)all.reported / (double)(all.reported + all.missed);

	printf("%ld mutations: %ld reported, %ld harmless, %ld missed: %.3f %% of the harmful\n", tried, all.reported,
	    all.harmless, all.missed, 100 * rate);
	printf("%ld passed, %ld failed\n", all.reported + all.harmless, all.missed);
	return rate < 0.999;
}

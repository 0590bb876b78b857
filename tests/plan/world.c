/* SPDX-License-Identifier: Apache-2.0
 *
 * world.c - the plans of all ranks of a job: see world.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "world.h"

static void *
zeroed(size_t n, size_t size)
{
	void *memory = calloc(n, size);

	if (!memory) {
		fprintf(stderr, "no memory for the test's own tables\n");
		exit(2);
	}
	return memory;
}

static void
expand(struct tt_plan *plan, const struct tt_shape *shape)
{
	struct tt_plan expanded;

	if (tt_plan_expand(plan, shape, &expanded) != TUTTI_OK) {
		fprintf(stderr, "%s does not expand: %s\n", plan->algorithm, tt_last_error()->message);
		exit(2);
	}
	tt_plan_fini(plan);
	*plan = expanded;
}

void
job_make(struct job *job, const struct tt_algorithm *algorithm, int nranks, int root, enum in_place in_place,
    int *node_of, int nnodes)
{
	job_make_ordered(job, algorithm, nranks, root, in_place, node_of, nnodes, NULL, NULL);
}

void
job_make_ordered(struct job *job, const struct tt_algorithm *algorithm, int nranks, int root, enum in_place in_place,
    int *node_of, int nnodes, const int *order, const int *position)
{
	*job =
	    (struct job){.nranks = nranks, .nnodes = nnodes, .root = root, .in_place = in_place, .node_of = node_of};
	job->plans = zeroed((size_t)nranks, sizeof(*job->plans));
	job->list = zeroed((size_t)nranks, sizeof(*job->list));
	for (int r = 0; r < nranks; r++) {
		const struct tt_shape shape = {
		    .collective = algorithm->collective,
		    .rank = r,
		    .nranks = nranks,
		    .root = root,
		    .in_place = in_place == IN_PLACE || (in_place == MIXED && r % 2),
		    .node_of = node_of,
		    .nnodes = nnodes,
		    .order = order,
		    .position = position,
		};

		if (tt_plan_make_ordered(algorithm->make, &shape, &job->plans[r]) != TUTTI_OK) {
			fprintf(stderr, "%s is not made: %s\n", algorithm->name, tt_last_error()->message);
			exit(2);
		}
		if (algorithm->flags & TT_ALG_NODE)
			expand(&job->plans[r], &shape);
		job->list[r] = &job->plans[r];
	}
}

void
job_drop(struct job *job)
{
	for (int r = 0; r < job->nranks; r++)
		tt_plan_fini(&job->plans[r]);
	free(job->plans);
	free(job->list);
	*job = (struct job){0};
}

int
job_number_nodes(int *node_of, int nranks)
{
	int *number = zeroed((size_t)nranks, sizeof(int)), n = 0;

	for (int r = 0; r < nranks; r++) {
		if (number[node_of[r]] == 0)
			number[node_of[r]] = ++n;
		node_of[r] = number[node_of[r]] - 1;
	}
	free(number);
	return n;
}

uint64_t
random_next(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

int
random_below(uint64_t *state, int n)
{
	return (int)(random_next(state) % (uint64_t)n);
}

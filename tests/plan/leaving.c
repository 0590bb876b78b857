/* SPDX-License-Identifier: Apache-2.0
 *
 * leaving.c - no more bytes leave a node than must: every collective's hierarchical plan, on every N × g of at most 64
 * ranks and on nodes of unequal numbers of ranks.
 *
 * What must leave a node, n being the larger of a rank's whole send and receive buffer: all_reduce 2(N-1)/N n;
 * reduce_scatter what it adds for the ranks of others; all_gather, gather and all_to_all its ranks' rows for others;
 * scatter the rows for others, from the root's node; broadcast n from all nodes but one; reduce n from all but the
 * root's. The plans may need 2 % more than the most that a node must send.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

enum { COUNT = 10080, MOST = 64, SPANS = 4 * MOST };

static long checked, failed;

static double
elements(const struct tt_span *span)
{
	double sum = 0;

	if (span->buffer == TT_TOKEN)
		return 0;
	for (int k = 0; k < span->parts; k++) {
		size_t begin, len;

		tt_part(COUNT, (size_t)span->of, (size_t)((span->part + k) % span->of), &begin, &len);
		sum += (double)len;
	}
	return sum * span->rows;
}

/* Of the node that sends most. */
static double
leaves(const struct job *job)
{
	double most = 0;

	for (int node = 0; node < job->nnodes; node++) {
		double sum = 0;

		for (int r = 0; r < job->nranks; r++)
			for (uint32_t s = 0; s < job->plans[r].nsteps && job->node_of[r] == node; s++) {
				const struct tt_step *step = &job->plans[r].steps[s];

				if (step->kind == TT_SEND && job->node_of[step->peer] != node)
					sum += elements(&job->plans[r].spans[step->span]);
			}
		most = sum > most ? sum : most;
	}
	return most;
}

static double
bound(const struct job *job, enum tt_collective collective)
{
	const double n = job->nnodes, all = job->nranks;
	double most = 0;

	if (job->nnodes == 1)
		return 0;
	for (int node = 0; node < job->nnodes; node++) {
		double members = 0, must = 0;

		for (int r = 0; r < job->nranks; r++)
			members += job->node_of[r] == node;
		switch (collective) {
		case TT_ALL_REDUCE:
			must = 2 * (n - 1) / n;
			break;
		case TT_REDUCE_SCATTER:
			must = all - members;
			break;
		case TT_ALL_GATHER:
			must = members * (n - 1);
			break;
		case TT_ALL_TO_ALL:
			must = members * (all - members);
			break;
		case TT_SCATTER:
			must = node == job->node_of[job->root] ? all - members : 0;
			break;
		case TT_GATHER:
			must = node == job->node_of[job->root] ? 0 : members;
			break;
		default:
			must = 1;
			break;
		}
		most = must > most ? must : most;
	}
	return most * COUNT;
}

static void
check(const struct tt_algorithm *algorithm, int nranks, int root, int *node_of, int nnodes)
{
	struct job job;
	double sent, least;

	job_make(&job, algorithm, nranks, root, OUT_OF_PLACE, node_of, nnodes);
	sent = leaves(&job);
	least = bound(&job, algorithm->collective);
	checked++;
	if (sent > 1.02 * least) {
		failed++;
		fprintf(stderr,
		    "not ok: %s %s, %d ranks on %d nodes, root %d: %.0f elements leave a node, %.0f must\n",
		    tt_collective_name(algorithm->collective), algorithm->name, nranks, nnodes, root, sent, least);
	}
	job_drop(&job);
}

static void
check_all(const struct tt_algorithm *algorithm)
{
	uint64_t random = 1;
	int node_of[MOST];

	for (int nodes = 1; nodes <= MOST; nodes++)
		for (int each = 1; nodes * each <= MOST; each++) {
			const int nranks = nodes * each, root = random_below(&random, nranks);

			for (int r = 0; r < nranks; r++)
				node_of[r] = r / each;
			check(algorithm, nranks, root, node_of, nodes);
		}
	for (int k = 0; k < 200; k++) {
		const int nranks = 2 + random_below(&random, MOST - 1), nodes = 1 + random_below(&random, nranks);

		for (int r = 0; r < nranks; r++)
			node_of[r] = r < nodes ? r : random_below(&random, nodes);
		check(algorithm, nranks, random_below(&random, nranks), node_of, job_number_nodes(node_of, nranks));
	}
}

int
main(void)
{
	static const char *const names[TT_COLLECTIVES] = {[TT_ALL_REDUCE] = "hierarchical",
	    [TT_REDUCE_SCATTER] = "hierarchical",
	    [TT_ALL_GATHER] = "hierarchical",
	    [TT_BROADCAST] = "lanes",
	    [TT_REDUCE] = "lanes",
	    [TT_SCATTER] = "hierarchical",
	    [TT_GATHER] = "hierarchical",
	    [TT_ALL_TO_ALL] = "hierarchical"};

	for (int c = 0; c < TT_COLLECTIVES; c++)
		if (names[c] != NULL)
			check_all(tt_algorithm_find((enum tt_collective)c, names[c]));
	printf("%ld checked, %ld failed\n", checked, failed);
	return failed == 0 ? 0 : 1;
}

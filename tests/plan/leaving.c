/* SPDX-License-Identifier: Apache-2.0
 *
 * leaving.c - no more bytes leave a node than must: every collective's hierarchical plan, on every N × g of at most 64
 * ranks and on nodes of unequal numbers of ranks.
 *
 * What must leave a node, n being the larger of a rank's whole send and receive buffer: all_reduce 2(N-1)/N n;
 * reduce_scatter what it adds for the ranks of others; all_gather, gather and all_to_all its ranks' rows for others;
 * scatter the rows for others, from the root's node; broadcast n from all nodes but one; reduce n from all but the
 * root's. The plans may need 2 % more than the most that a node must send.
 *
 * And what the selector takes to leave a node, or to enter it, is about what every algorithm's plans let: where it is not,
 * another one would be chosen for a slow network.
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

/* The busier way of the node that has most. */
static double
passes(const struct job *job)
{
	double in[MOST] = {0}, out[MOST] = {0}, most = 0;

	for (int r = 0; r < job->nranks; r++)
		for (uint32_t s = 0; s < job->plans[r].nsteps; s++) {
			const struct tt_step *step = &job->plans[r].steps[s];

			if (step->kind != TT_SEND || job->node_of[step->peer] == job->node_of[r])
				continue;
			out[job->node_of[r]] += elements(&job->plans[r].spans[step->span]);
			in[job->node_of[step->peer]] += elements(&job->plans[r].spans[step->span]);
		}
	for (int node = 0; node < job->nnodes; node++) {
		most = in[node] > most ? in[node] : most;
		most = out[node] > most ? out[node] : most;
	}
	return most;
}

static void
check_price(const struct tt_algorithm *algorithm, int nodes, int each, int root)
{
	const int nranks = nodes * each, rows = tt_collective_in_rows(algorithm->collective, nranks),
		  out_rows = tt_collective_out_rows(algorithm->collective, nranks);
	int node_of[MOST];
	struct job job;
	double said, is;

	for (int r = 0; r < nranks; r++)
		node_of[r] = r / each;
	job_make(&job, algorithm, nranks, root, OUT_OF_PLACE, node_of, nodes);
	is = passes(&job) / COUNT / (rows > out_rows ? rows : out_rows);
	said = tt_algorithm_leaves(algorithm, nranks, nodes, each);
	checked++;
	if (said < 0.6 * is || said > 4.5 * is) {
		failed++;
		fprintf(stderr,
		    "not ok: %s %s, %d nodes of %d ranks, root %d: %g n leave a node, it is priced as %g n\n",
		    tt_collective_name(algorithm->collective), algorithm->name, nodes, each, root, is, said);
	}
	job_drop(&job);
}

static void
check_prices(const struct tt_algorithm *algorithm)
{
	static const int shapes[][2] = {{2, 1}, {4, 1}, {7, 1}, {8, 1}, {2, 2}, {3, 2}, {4, 2}, {8, 2}, {2, 4},
	    {4, 4}, {8, 4}, {16, 4}, {4, 8}, {2, 8}, {3, 3}, {2, 3}, {2, 5}, {3, 5}};

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		static const int any_node;
		const struct tt_shape shape = {.collective = algorithm->collective,
		    .nranks = shapes[i][0] * shapes[i][1],
		    .nnodes = shapes[i][0],
		    .node_of = &any_node};
		const char *why;

		if (tt_algorithm_serves(algorithm, &shape, &why) &&
		    ((algorithm->flags & TT_ALG_NODE) == 0 || shapes[i][1] > 1))
			for (int root = 0; root < (tt_collective_has_root(algorithm->collective) ? 2 : 1); root++)
				check_price(algorithm, shapes[i][0], shapes[i][1], root);
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
	for (size_t i = 0; tt_algorithms[i] != NULL; i++)
		if ((tt_algorithms[i]->flags & TT_ALG_ONE_NODE) == 0 && tt_algorithms[i]->collective != TT_BARRIER)
			check_prices(tt_algorithms[i]);
	printf("%ld checked, %ld failed\n", checked, failed);
	return failed == 0 ? 0 : 1;
}

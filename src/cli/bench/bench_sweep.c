/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_sweep.c - the same line of the table on 2, 3, ... N ranks.
 *
 *	for each line:  rounds of { 2 ranks, 3 ranks, ... N ranks }, every second one downwards;  the median over rounds
 *
 * Numbers of ranks are compared with each other, so what the machine does meanwhile must meet all of them: none is
 * measured in one piece. Ranks that do not take part wait, asleep, in a barrier of all. Rank 0 takes part in all.
 */
#include "cli/bench/bench_sweep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cli/cli.h"

#define ROUNDS 7
#define ITERATIONS 20 /* of one round, unless -n says another number */
#define NAME 32

/* One line of the table on one number of ranks. */
struct point {
	double time_us, expected_us; /* expected_us 0: there is nothing to expect */
	bool extrapolated;
	char algorithm[NAME];
};

struct sweep {
	struct tt_bench_options options;
	const struct tt_bench_rank *all;
	tutti_comm **comm; /* of the first p ranks, for p = 2 ... nranks; NULL where this rank is no member */
	struct point *point; /* the same index */
	double *times; /* medians, the same index */
	size_t wrong;
	FILE *json;
	bool first; /* line of the JSON */
};

/* ---- measuring ------------------------------------------------------------------------------------------- */

static int
complain(const char *what)
{
	tutti_error error = TUTTI_ERROR_INIT;

	tutti_last_error(&error);
	return tt_complain("bench", "%s: %s (%s)", what, error.message, tutti_status_string(error.status));
}

/* The algorithm that serves the row, as the library itself says. */
static void
find_algorithm(tutti_comm *comm, const struct tt_bench_options *options, const struct tt_bench_row *row, char *name)
{
	static const char key[] = "\"chosen\": \"";
	char report[16384];
	const char *at;

	snprintf(name, NAME, "%s", options->algorithm != NULL ? options->algorithm : "?");
	if (options->algorithm != NULL || tutti_explain(comm, tt_bench_collectives[row->collective].name, row->bytes,
					      1, report, sizeof report, NULL) != TUTTI_OK)
		return;
	at = strstr(report, key);
	if (at != NULL)
		snprintf(name, NAME, "%.*s", (int)strcspn(at + sizeof key - 1, "\""), at + sizeof key - 1);
}

/* One round on the first `ranks` ranks. */
static int
measure(struct sweep *sweep, int ranks, struct tt_bench_row row, size_t bytes, double *us)
{
	const size_t element = tt_bench_dtypes[row.dtype].bytes;
	struct tt_bench_rank part = *sweep->all;
	int status = TT_EXIT_OK;

	if (sweep->comm[ranks] != NULL) {
		part.comm = sweep->comm[ranks];
		part.nranks = ranks;
		part.options = &sweep->options;
		if (row.collective != TT_BENCH_BARRIER) {
			row.count = tt_bench_count(row.collective, bytes, element, ranks);
			row.bytes = tt_bench_bytes(row.collective, row.count, element, ranks);
		}
		if (tt_bench_measure(&part, &row) != TUTTI_OK)
			status = complain(tt_bench_collectives[row.collective].name);
		*us = row.figures[0].times.median_us;
		sweep->wrong += row.figures[0].wrong + row.figures[1].wrong;
		find_algorithm(part.comm, &sweep->options, &row, sweep->point[ranks].algorithm);
	}
	if (status == TT_EXIT_OK && tutti_barrier(sweep->all->comm, NULL, NULL) != TUTTI_OK)
		status = complain("barrier");
	return status;
}

static int
by_size(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int
measure_rounds(struct sweep *sweep, const struct tt_bench_row *row, size_t bytes)
{
	const int most = sweep->all->nranks;
	double *round = calloc((size_t)(most + 1) * ROUNDS, sizeof *round);
	int status = TT_EXIT_OK;

	if (round == NULL)
		return tt_complain("bench", "no memory for the results");
	for (int k = 0; k < ROUNDS; k++)
		for (int i = 2; i <= most && status == TT_EXIT_OK; i++) {
			const int ranks = k % 2 == 0 ? i : most + 2 - i;

			status = measure(sweep, ranks, *row, bytes, &round[ranks * ROUNDS + k]);
		}
	for (int p = 2; p <= most; p++) {
		qsort(&round[p * ROUNDS], ROUNDS, sizeof *round, by_size);
		sweep->times[p] = sweep->point[p].time_us = round[p * ROUNDS + ROUNDS / 2];
	}
	for (int p = 2; p <= most; p++)
		sweep->point[p].expected_us = tt_bench_expected(sweep->times, most, p, &sweep->point[p].extrapolated);
	free(round);
	return status;
}

/* ---- showing --------------------------------------------------------------------------------------------- */

static void
print_line(struct sweep *sweep, const struct tt_bench_row *row, size_t bytes)
{
	const char *dtype = row->collective == TT_BENCH_BARRIER ? "none" : tt_bench_dtypes[row->dtype].name;
	const char *op = row->op >= 0 ? tt_bench_ops[row->op].name : "none";

	for (int p = 2; p <= sweep->all->nranks; p++) {
		const struct point *at = &sweep->point[p];

		printf("%12zu %9s %7s %7d %10.2f ", bytes, dtype, op, p, at->time_us);
		if (at->expected_us > 0)
			printf("%9.2f%c %7.2f", at->expected_us, at->extrapolated ? '*' : ' ',
			    at->time_us / at->expected_us);
		else
			printf("%9s  %7s", "-", "-");
		printf("  %s\n", at->algorithm);
		if (sweep->json == NULL)
			continue;
		fprintf(sweep->json,
		    "%s\n{\"collective\": \"%s\", \"size\": %zu, \"type\": \"%s\", \"redop\": \"%s\", \"ranks\": %d, "
		    "\"time_us\": %.3f, \"algorithm\": \"%s\"",
		    sweep->first ? "" : ",", tt_bench_collectives[row->collective].name, bytes, dtype, op, p,
		    at->time_us, at->algorithm);
		if (at->expected_us > 0)
			fprintf(sweep->json, ", \"expected_us\": %.3f, \"extrapolated\": %s, \"ratio\": %.4f",
			    at->expected_us, at->extrapolated ? "true" : "false", at->time_us / at->expected_us);
		fputc('}', sweep->json);
		sweep->first = false;
	}
	fflush(stdout);
}

static void
print_columns(enum tt_bench_collective collective)
{
	printf("#\n# %s\n#%11s %9s %7s %7s %10s %9s %8s  %s\n", tt_bench_collectives[collective].name, "size", "type",
	    "redop", "ranks", "time", "expected", "ratio", "algorithm");
	printf("#%11s %9s %7s %7s %10s %9s\n", "(B)", "", "", "", "(us)", "(us)");
}

/* ---- all lines ------------------------------------------------------------------------------------------- */

static int
sweep_sizes(struct sweep *sweep, const struct tt_bench_row *row)
{
	const bool speaks = sweep->all->rank == 0, barrier = row->collective == TT_BENCH_BARRIER;
	/* A size that has one element for each of the most ranks has one for fewer. */
	const size_t least = tt_bench_dtypes[row->dtype].bytes * (size_t)sweep->all->nranks;
	size_t bytes = sweep->options.begin < least ? least : sweep->options.begin;
	int status = TT_EXIT_OK;

	do {
		const size_t shown = barrier ? 0 : bytes;

		status = measure_rounds(sweep, row, shown);
		if (status == TT_EXIT_OK && speaks)
			print_line(sweep, row, shown);
		bytes = tt_bench_next_bytes(&sweep->options, bytes);
	} while (status == TT_EXIT_OK && !barrier && bytes <= sweep->options.end);
	return status;
}

static int
sweep_collective(struct sweep *sweep, enum tt_bench_collective collective)
{
	const struct tt_bench_collective_info *info = &tt_bench_collectives[collective];
	const struct tt_bench_options *options = &sweep->options;
	int status = TT_EXIT_OK;

	if (sweep->all->rank == 0)
		print_columns(collective);
	for (int d = 0; d < TT_BENCH_DTYPES; d++)
		for (int o = 0; o < TT_BENCH_OPS && status == TT_EXIT_OK; o++) {
			struct tt_bench_row row = {.collective = collective,
			    .dtype = d,
			    .op = info->reduces ? o : -1,
			    .root = info->rooted ? options->root : -1};
			const bool wanted = info->reduces ? options->ops[o] && tt_bench_op_fits(tt_bench_ops[o].op,
										   &tt_bench_dtypes[d])
							  : o == 0;

			if (options->dtypes[d] && wanted)
				status = sweep_sizes(sweep, &row);
		}
	return status;
}

static int
sweep_all(struct sweep *sweep)
{
	const bool speaks = sweep->all->rank == 0;
	const int most = sweep->all->nranks;
	int status = TT_EXIT_OK;

	for (int p = 2; p <= most && status == TT_EXIT_OK; p++)
		if (tutti_comm_split(sweep->all->comm, sweep->all->rank < p ? 0 : -1, 0, NULL, &sweep->comm[p]) !=
		    TUTTI_OK)
			status = complain("splitting");
	for (int c = 0; c < TT_BENCH_COLLECTIVES && status == TT_EXIT_OK; c++)
		if (sweep->options.collectives[c])
			status = sweep_collective(sweep, (enum tt_bench_collective)c);
	if (speaks && status == TT_EXIT_OK)
		puts("#\n# expected: on the line between the powers of two on both sides; * from those below");
	for (int p = 2; p <= most; p++)
		if (sweep->comm[p] != NULL)
			tutti_comm_destroy(sweep->comm[p]);
	if (status == TT_EXIT_OK && sweep->wrong > 0)
		status = tt_complain("bench", "%zu elements were wrong", sweep->wrong);
	return status;
}

static int
close_json(struct sweep *sweep)
{
	if (sweep->json == NULL)
		return TT_EXIT_OK;
	fputs("\n]\n}\n", sweep->json);
	if (ferror(sweep->json) | fclose(sweep->json))
		return tt_complain("bench", "cannot write %s: %s", sweep->options.json, strerror(errno));
	return TT_EXIT_OK;
}

int
tt_bench_sweep(const struct tt_bench_rank *rank, const struct tt_bench_run *run)
{
	struct sweep sweep = {.options = *rank->options, .all = rank, .first = true};
	const size_t n = (size_t)rank->nranks + 1;
	int status, closed;

	if (rank->nranks < 2 || sweep.options.root > 1 || sweep.options.root < 0)
		return tt_complain("bench", "--sweep-ranks starts with two ranks: give it more, and -r 0 or 1");
	if (sweep.options.iterations == 0)
		sweep.options.iterations = ITERATIONS;
	if (rank->rank == 0 && sweep.options.json != NULL) {
		sweep.json = fopen(sweep.options.json, "we");
		if (sweep.json == NULL)
			return tt_complain("bench", "cannot write %s: %s", sweep.options.json, strerror(errno));
		fprintf(sweep.json, "{\n\"ranks\": %d,\n\"sweep\": [", rank->nranks);
	}
	sweep.comm = calloc(n, sizeof(tutti_comm *));
	sweep.point = calloc(n, sizeof *sweep.point);
	sweep.times = calloc(n, sizeof *sweep.times);
	if (rank->rank == 0)
		tt_bench_table_head(stdout, run);
	if (sweep.comm == NULL || sweep.point == NULL || sweep.times == NULL)
		status = tt_complain("bench", "no memory for %d communicators", rank->nranks);
	else
		status = sweep_all(&sweep);
	closed = close_json(&sweep);
	free(sweep.comm);
	free(sweep.point);
	free(sweep.times);
	return status != TT_EXIT_OK ? status : closed;
}

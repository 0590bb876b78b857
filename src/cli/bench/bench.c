/* SPDX-License-Identifier: Apache-2.0
 *
 * bench.c - `tutti bench`: launches its ranks if nobody else did, and goes through all lines of the table.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/settings.h"
#include "cli/bench/bench_measure.h"
#include "cli/bench/bench_sweep.h"
#include "cli/cli.h"
#include "cli/relaunch.h"

struct session {
	const struct tt_bench_options *options;
	struct tt_bench_rank rank;
	struct tt_bench_run run; /* rank 0 prints it; all keep it */
	bool progress; /* a person is watching */
};

/* ---- complaints ------------------------------------------------------------------------------------------ */

/* Of the public library. */
static int
complain(int rank, bool met, const char *what)
{
	tutti_error error = TUTTI_ERROR_INIT;

	tutti_last_error(&error);
	if (tt_place_told(rank, &error, met))
		return TT_EXIT_OK;
	return tt_complain("bench", "%s: %s (%s)", what, error.message, tutti_status_string(error.status));
}

/* Of the parts of it that this program has inside. */
static int
complain_own(void)
{
	return tt_complain("bench", "%s", tt_last_error()->message);
}

/* ---- going through the lines ----------------------------------------------------------------------------- */

static void
show_progress(const struct session *s, const struct tt_bench_row *row)
{
	char size[32];

	if (s->progress)
		fprintf(stderr, "\r\033[Kmeasuring %s %s ...", tt_bench_collectives[row->collective].name,
		    tt_bench_bytes_text(row->bytes, size, sizeof size));
}

static int
measure_row(struct session *s, struct tt_bench_row *row)
{
	show_progress(s, row);
	if (tt_bench_measure(&s->rank, row) != TUTTI_OK) {
		if (s->progress)
			fputs("\r\033[K", stderr);
		return complain(s->rank.rank, true, tt_bench_collectives[row->collective].name);
	}
	if (s->progress)
		fputs("\r\033[K", stderr);
	if (!tt_bench_run_add(&s->run, row))
		return tt_complain("bench", "no memory for the results");
	if (s->rank.rank == 0)
		tt_bench_table_row(stdout, row);
	return TT_EXIT_OK;
}

static int
measure_sizes(struct session *s, struct tt_bench_row row)
{
	const struct tt_bench_options *options = s->options;
	const size_t element = tt_bench_dtypes[row.dtype].bytes;
	size_t last = 0;
	int status = TT_EXIT_OK;

	if (row.collective == TT_BENCH_BARRIER)
		return measure_row(s, &row);
	for (size_t bytes = options->begin; bytes <= options->end && status == TT_EXIT_OK;
	     bytes = tt_bench_next_bytes(options, bytes)) {
		row.count = tt_bench_count(row.collective, bytes, element, s->rank.nranks);
		row.bytes = tt_bench_bytes(row.collective, row.count, element, s->rank.nranks);
		/* Sizes that round down to the one before, or to nothing, are no lines of their own. */
		if (row.count == last)
			continue;
		last = row.count;
		status = measure_row(s, &row);
	}
	return status;
}

static int
measure_roots(struct session *s, struct tt_bench_row row)
{
	const bool rooted = tt_bench_collectives[row.collective].rooted;
	const int from = s->options->root < 0 ? 0 : s->options->root;
	const int to = s->options->root < 0 ? s->rank.nranks - 1 : s->options->root;
	int status = TT_EXIT_OK;

	if (!rooted) {
		row.root = -1;
		return measure_sizes(s, row);
	}
	for (row.root = from; row.root <= to && status == TT_EXIT_OK; row.root++)
		status = measure_sizes(s, row);
	return status;
}

static int
measure_ops(struct session *s, struct tt_bench_row row)
{
	int status = TT_EXIT_OK;

	row.op = -1;
	if (!tt_bench_collectives[row.collective].reduces)
		return measure_roots(s, row);
	for (int op = 0; op < TT_BENCH_OPS && status == TT_EXIT_OK; op++) {
		row.op = op;
		if (s->options->ops[op] && tt_bench_op_fits(tt_bench_ops[op].op, &tt_bench_dtypes[row.dtype]))
			status = measure_roots(s, row);
	}
	return status;
}

static int
measure_dtypes(struct session *s, enum tt_bench_collective collective)
{
	struct tt_bench_row row = {.collective = collective, .op = -1, .root = -1};
	int status = TT_EXIT_OK;

	if (s->rank.rank == 0)
		tt_bench_table_columns(stdout, collective);
	if (collective == TT_BENCH_BARRIER)
		return measure_row(s, &row);
	for (row.dtype = 0; row.dtype < TT_BENCH_DTYPES && status == TT_EXIT_OK; row.dtype++) {
		if (s->options->dtypes[row.dtype])
			status = measure_ops(s, row);
	}
	return status;
}

/* ---- results --------------------------------------------------------------------------------------------- */

static int
write_file(const char *path, const struct tt_bench_run *run, void (*write)(FILE *, const struct tt_bench_run *))
{
	FILE *file;

	if (path == NULL)
		return TT_EXIT_OK;
	file = fopen(path, "we");
	if (file == NULL)
		return tt_complain("bench", "cannot write %s: %s", path, strerror(errno));
	write(file, run);
	if (ferror(file) | fclose(file))
		return tt_complain("bench", "cannot write %s: %s", path, strerror(errno));
	return TT_EXIT_OK;
}

static int
write_results(const struct session *s)
{
	int status;

	if (s->rank.rank != 0)
		return TT_EXIT_OK;
	tt_bench_table_foot(stdout, &s->run);
	status = write_file(s->options->json, &s->run, tt_bench_json_write);
	if (status == TT_EXIT_OK)
		status = write_file(s->options->plot, &s->run, tt_bench_svg_write);
	return status;
}

/* ---- one rank -------------------------------------------------------------------------------------------- */

static int
measure_all(struct session *s)
{
	int status = TT_EXIT_OK;

	if (s->options->root >= s->rank.nranks)
		return s->rank.rank != 0
			   ? TT_EXIT_OK /* rank 0 tells */
			   : tt_complain("bench", "-r %d: there are only %d ranks", s->options->root, s->rank.nranks);
	if (s->rank.rank == 0)
		tt_bench_table_head(stdout, &s->run);
	for (int c = 0; c < TT_BENCH_COLLECTIVES && status == TT_EXIT_OK; c++) {
		if (s->options->collectives[c])
			status = measure_dtypes(s, (enum tt_bench_collective)c);
	}
	if (status == TT_EXIT_OK)
		status = write_results(s);
	if (status == TT_EXIT_OK && tt_bench_run_wrong(&s->run) > 0)
		status = tt_complain("bench", "%zu elements were wrong", tt_bench_run_wrong(&s->run));
	return status;
}

static int
be_rank(const struct tt_bench_options *options, int rank)
{
	struct session s = {.options = options};
	tutti_comm *comm = NULL;
	struct tt_settings settings;
	int status;

	if (tt_settings_init(&settings, NULL) != TUTTI_OK)
		return complain_own();
	/* Before the others are met: now they do not compute. */
	if (rank == 0)
		tt_bench_machine_probe(&s.run.machine);
	else
		tt_host_probe(&s.run.machine.host);
	if (tutti_comm_create_from_env(NULL, &comm) != TUTTI_OK) {
		tt_settings_fini(&settings);
		return complain(rank, false, "cannot meet the other ranks");
	}
	s.run.nranks = tutti_comm_size(comm);
	s.run.node_size = tutti_comm_node_size(comm);
	s.run.transports = settings.text[TT_SET_TRANSPORTS];
	s.run.algorithm = options->algorithm != NULL ? options->algorithm : settings.text[TT_SET_ALGORITHM];
	s.run.alloc = options->alloc;
	s.run.cold = options->cold;
	s.run.check = options->check;
	s.progress = tutti_comm_rank(comm) == 0 && isatty(STDERR_FILENO);
	if (tt_bench_rank_init(&s.rank, comm, options, s.run.machine.host.l3_bytes) != TUTTI_OK)
		status = complain_own();
	else
		status = options->sweep ? tt_bench_sweep(&s.rank, &s.run) : measure_all(&s);
	tt_bench_rank_fini(&s.rank);
	tt_bench_run_fini(&s.run);
	tt_settings_fini(&settings);
	tutti_comm_destroy(comm);
	return status;
}

/* ---- starting -------------------------------------------------------------------------------------------- */

/* What is certain not to fit is refused before the ranks fill the memory. */
static bool
fits_memory(const struct tt_bench_options *options, int ranks)
{
	double have = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);

	return 2.0 * (double)options->end * ranks < 0.9 * have;
}

static int
launch(const struct tt_bench_options *options, int argc, char **argv)
{
	const bool nine = options->sweep && options->ranks == 0;
	const int ranks = nine ? TT_BENCH_SWEEP_RANKS : tt_relaunch_ranks(options->ranks);

	if (!fits_memory(options, ranks))
		return tt_complain("bench",
		    "two buffers of -e %zu bytes for each of %d ranks do not fit into this machine's memory",
		    options->end, ranks);
	return tt_relaunch("bench", ranks, argc, argv);
}

int
tt_bench_main(int argc, char **argv)
{
	struct tt_bench_options options;
	struct tt_place place;
	char **given = calloc((size_t)argc + 1, sizeof *given);
	int status;

	if (given == NULL)
		return tt_complain("bench", "no memory");
	/* getopt sorts argv; the ranks shall get it as it was. */
	memcpy(given, argv, (size_t)argc * sizeof *given);
	status = tt_bench_options_read(argc, argv, &options);
	if (status == TT_BENCH_HELPED) {
		status = TT_EXIT_OK;
	} else if (status != TT_BENCH_GO) {
		/* The complaint was made. */
	} else if (!tt_place_find("bench", &place)) {
		status = TT_EXIT_FAILURE;
	} else if (!place.launched) {
		status = launch(&options, argc, given);
	} else if (options.ranks > 0 && place.size > 0 && options.ranks != place.size) {
		status =
		    tt_usage("bench", "-g %d: %s has started %d already", options.ranks, place.launcher, place.size);
	} else {
		status = be_rank(&options, place.rank);
	}
	free(given);
	return status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_results.c - keeps the rows, and prints them as nccl-tests does.
 */
#include "cli/bench/bench_results.h"

#include <stdlib.h>

bool
tt_bench_run_add(struct tt_bench_run *run, const struct tt_bench_row *row)
{
	if (run->nrows == run->capacity) {
		size_t wanted = run->capacity == 0 ? 64 : 2 * run->capacity;
		struct tt_bench_row *grown = realloc(run->rows, wanted * sizeof *grown);

		if (grown == NULL)
			return false;
		run->rows = grown;
		run->capacity = wanted;
	}
	run->rows[run->nrows++] = *row;
	return true;
}

void
tt_bench_run_fini(struct tt_bench_run *run)
{
	free(run->rows);
	run->rows = NULL;
	run->nrows = run->capacity = 0;
}

size_t
tt_bench_run_wrong(const struct tt_bench_run *run)
{
	size_t wrong = 0;

	for (size_t i = 0; i < run->nrows; i++)
		wrong += run->rows[i].figures[0].wrong + run->rows[i].figures[1].wrong;
	return wrong;
}

const char *
tt_bench_bytes_text(size_t bytes, char *text, size_t capacity)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	int unit = 0;

	while (unit < 4 && bytes >= 1024 && bytes % 1024 == 0) {
		bytes /= 1024;
		unit++;
	}
	snprintf(text, capacity, "%zu %s", bytes, units[unit]);
	return text;
}

/* ---- table ----------------------------------------------------------------------------------------------- */

static void
print_machine(FILE *file, const struct tt_bench_machine *machine)
{
	const struct tt_host *host = &machine->host;
	char l1[32], l2[32], l3[32];

	fprintf(file, "# cpu        %s; %d usable core%s, %d package%s, %d NUMA node%s\n",
	    host->cpu_model[0] != '\0' ? host->cpu_model : "unknown", host->cores, host->cores == 1 ? "" : "s",
	    host->packages, host->packages == 1 ? "" : "s", host->numa_nodes, host->numa_nodes == 1 ? "" : "s");
	fprintf(file, "# caches     L1d %s, L2 %s, L3 %s", tt_bench_bytes_text(host->l1d_bytes, l1, sizeof l1),
	    tt_bench_bytes_text(host->l2_bytes, l2, sizeof l2), tt_bench_bytes_text(host->l3_bytes, l3, sizeof l3));
	if (machine->handoff_ns > 0)
		fprintf(file, "; a cache line from core to core takes %.0f ns", machine->handoff_ns);
	fputc('\n', file);
}

void
tt_bench_table_head(FILE *file, const struct tt_bench_run *run)
{
	fprintf(file, "# tutti %d.%d.%d\n", TUTTI_VERSION_MAJOR, TUTTI_VERSION_MINOR, TUTTI_VERSION_PATCH);
	print_machine(file, &run->machine);
	fprintf(file, "# ranks      %d, %d of them share this node's memory\n", run->nranks, run->node_size);
	fprintf(file, "# transport  %s\n", run->transports != NULL ? run->transports : "automatic");
	fprintf(file, "# algorithm  %s\n", run->algorithm != NULL ? run->algorithm : "the selector's choice");
	fprintf(file, "# buffers    %s%s; time is the median over iterations of the slowest rank\n",
	    run->alloc ? "tutti_alloc, " : "", run->cold ? "cold (another one for each iteration)" : "reused");
	if (run->nranks > run->machine.host.cores && run->node_size == run->nranks)
		fprintf(file, "# note       more ranks than usable cores: times include waiting for a core\n");
}

void
tt_bench_table_columns(FILE *file, enum tt_bench_collective collective)
{
	const bool eta = collective == TT_BENCH_ALL_REDUCE;
	const int half = eta ? 48 : 41;

	fprintf(file, "#\n# %s\n", tt_bench_collectives[collective].name);
	fprintf(file, "#%56s%*s%*s\n", "", half / 2 + 6, "out-of-place", half + 1, "in-place");
	fprintf(file, "#%11s %13s %9s %7s %7s", "size", "count", "type", "redop", "root");
	for (int form = 0; form < 2; form++)
		fprintf(
		    file, " %9s %9s %7s %7s %7s%s", "time", "p99", "algbw", "busbw", "#wrong", eta ? "    eta" : "");
	fprintf(file, "\n#%11s %13s %9s %7s %7s", "(B)", "(elements)", "", "", "");
	for (int form = 0; form < 2; form++)
		fprintf(file, " %9s %9s %7s %7s %7s%s", "(us)", "(us)", "(GB/s)", "(GB/s)", "", eta ? "       " : "");
	fputc('\n', file);
}

/* Microseconds with as many digits as they deserve. */
static void
print_time(FILE *file, double us)
{
	fprintf(file, " %9.*f", us < 100 ? 2 : us < 10000 ? 1 : 0, us);
}

void
tt_bench_table_row(FILE *file, const struct tt_bench_row *row)
{
	const bool barrier = row->collective == TT_BENCH_BARRIER;

	fprintf(file, "%12zu %13zu %9s %7s %7d", row->bytes, row->count,
	    barrier ? "none" : tt_bench_dtypes[row->dtype].name, row->op >= 0 ? tt_bench_ops[row->op].name : "none",
	    row->root);
	for (int form = 0; form < 2; form++) {
		const struct tt_bench_figures *figures = &row->figures[form];

		if (barrier && form == 1) {
			fprintf(file, " %9s %9s %7s %7s %7s", "-", "-", "-", "-", "-");
			continue;
		}
		print_time(file, figures->times.median_us);
		print_time(file, figures->times.p99_us);
		fprintf(file, " %7.2f %7.2f %7zu", figures->algbw, figures->busbw, figures->wrong);
		if (row->collective == TT_BENCH_ALL_REDUCE)
			fprintf(file, " %6.2f", figures->eta);
	}
	fputc('\n', file);
	fflush(file);
}

void
tt_bench_table_foot(FILE *file, const struct tt_bench_run *run)
{
	size_t wrong = tt_bench_run_wrong(run), n = 0;
	double sum = 0;

	for (size_t i = 0; i < run->nrows; i++) {
		if (run->rows[i].collective == TT_BENCH_BARRIER)
			continue;
		sum += run->rows[i].figures[0].busbw + run->rows[i].figures[1].busbw;
		n += 2;
	}
	fprintf(file, "#\n# Out of bounds values : %zu %s\n", wrong, wrong == 0 ? "OK" : "FAILED");
	fprintf(file, "# Avg bus bandwidth    : %.4f\n", n > 0 ? sum / (double)n : 0.0);
}

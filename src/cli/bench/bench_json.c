/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_json.c - the results for programs: one object, one line per row.
 */
#include "cli/bench/bench_results.h"

static void
write_string(FILE *file, const char *text)
{
	fputc('"', file);
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			fprintf(file, "\\%c", c);
		else if (c < 0x20)
			fprintf(file, "\\u%04x", c);
		else
			fputc(c, file);
	}
	fputc('"', file);
}

static void
write_string_or_null(FILE *file, const char *text)
{
	if (text == NULL)
		fputs("null", file);
	else
		write_string(file, text);
}

static void
write_head(FILE *file, const struct tt_bench_run *run)
{
	const struct tt_host *host = &run->machine.host;

	fprintf(file, "{\n\"tutti\": \"%d.%d.%d\",\n\"machine\": {\"cpu\": ", TUTTI_VERSION_MAJOR,
	    TUTTI_VERSION_MINOR, TUTTI_VERSION_PATCH);
	write_string(file, host->cpu_model);
	fprintf(file,
	    ", \"usable_cores\": %d, \"packages\": %d, \"numa_nodes\": %d, \"l1d_bytes\": %zu, \"l2_bytes\": %zu, "
	    "\"l3_bytes\": %zu, \"handoff_ns\": %.1f},\n",
	    host->cores, host->packages, host->numa_nodes, host->l1d_bytes, host->l2_bytes, host->l3_bytes,
	    run->machine.handoff_ns);
	fprintf(file, "\"ranks\": %d,\n\"ranks_on_this_node\": %d,\n\"transports\": ", run->nranks, run->node_size);
	write_string_or_null(file, run->transports);
	fputs(",\n\"algorithm\": ", file);
	write_string_or_null(file, run->algorithm);
	fprintf(file, ",\n\"alloc\": %s", run->alloc ? "true" : "false");
	fprintf(file, ",\n\"cold\": %s,\n\"checked\": \"%s\",\n", run->cold ? "true" : "false",
	    run->check ? "all" : "some");
}

static void
write_figures(FILE *file, const char *name, const struct tt_bench_figures *figures)
{
	fprintf(file,
	    ", \"%s\": {\"time_us\": %.3f, \"p99_us\": %.3f, \"min_us\": %.3f, \"algbw\": %.4f, \"busbw\": %.4f, "
	    "\"wrong\": %zu",
	    name, figures->times.median_us, figures->times.p99_us, figures->times.min_us, figures->algbw,
	    figures->busbw, figures->wrong);
	if (figures->copy_us > 0)
		fprintf(file, ", \"memcpy_us\": %.3f, \"eta\": %.4f", figures->copy_us, figures->eta);
	fputc('}', file);
}

static void
write_row(FILE *file, const struct tt_bench_row *row)
{
	fputs("{\"collective\": ", file);
	write_string(file, tt_bench_collectives[row->collective].name);
	fprintf(file,
	    ", \"size\": %zu, \"count\": %zu, \"type\": \"%s\", \"redop\": \"%s\", \"root\": %d, "
	    "\"iterations\": %zu",
	    row->bytes, row->count, row->bytes > 0 ? tt_bench_dtypes[row->dtype].name : "none",
	    row->op >= 0 ? tt_bench_ops[row->op].name : "none", row->root, row->iterations);
	write_figures(file, "out_of_place", &row->figures[0]);
	if (row->collective != TT_BENCH_BARRIER)
		write_figures(file, "in_place", &row->figures[1]);
	fputc('}', file);
}

void
tt_bench_json_write(FILE *file, const struct tt_bench_run *run)
{
	write_head(file, run);
	fputs("\"results\": [", file);
	for (size_t i = 0; i < run->nrows; i++) {
		fputs(i == 0 ? "\n" : ",\n", file);
		write_row(file, &run->rows[i]);
	}
	fputs("\n]\n}\n", file);
}

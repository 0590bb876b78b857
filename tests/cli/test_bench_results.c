/* SPDX-License-Identifier: Apache-2.0
 *
 * test_bench_results.c - statistics, and the layout of table, JSON and drawing.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdlib.h>
#include <string.h>

#include "cli/bench/bench_results.h"

Test(bench_statistics, iteration_takes_as_long_as_its_slowest_rank)
{
	const int64_t durations[] = {1000, 5000, 3000, /* rank 1 */ 2000, 4000, 9000};
	int64_t worst[3];
	struct tt_bench_times times = tt_bench_times_of(durations, 2, 3, worst);

	cr_assert(ieee_ulp_eq(dbl, times.median_us, 5.0, 1));
	cr_assert(ieee_ulp_eq(dbl, times.p99_us, 9.0, 1));
	cr_assert(ieee_ulp_eq(dbl, times.min_us, 2.0, 1));
}

Test(bench_statistics, median_of_an_even_number_is_between_the_two)
{
	const int64_t durations[] = {4000, 1000, 2000, 100000};
	int64_t worst[4];

	cr_assert(ieee_ulp_eq(dbl, tt_bench_times_of(durations, 1, 4, worst).median_us, 3.0, 1));
}

Test(bench_statistics, one_more_than_a_power_of_two_is_expected_between_its_neighbours)
{
	const double times[] = {0, 0, 10, 99, 14, 99, 99, 99, 30, 99};
	bool extrapolated;

	cr_assert(ieee_ulp_eq(dbl, tt_bench_expected(times, 9, 3, &extrapolated), 12.0, 1));
	cr_assert(not(extrapolated));
	cr_assert(ieee_ulp_eq(dbl, tt_bench_expected(times, 9, 5, &extrapolated), 18.0, 1));
	cr_assert(not(extrapolated));
	cr_assert(ieee_ulp_eq(dbl, tt_bench_expected(times, 9, 9, &extrapolated), 34.0, 1));
	cr_assert(extrapolated);
	cr_assert(ieee_ulp_eq(dbl, tt_bench_expected(times, 9, 6, &extrapolated), 0.0, 1));
	cr_assert(ieee_ulp_eq(dbl, tt_bench_expected(times, 3, 3, &extrapolated), 0.0, 1));
}

Test(bench_statistics, percentile_leaves_one_in_a_hundred_out)
{
	int64_t durations[200], worst[200];

	for (int i = 0; i < 200; i++)
		durations[i] = 1000 * (i + 1);
	cr_assert(ieee_ulp_eq(dbl, tt_bench_times_of(durations, 1, 200, worst).p99_us, 198.0, 1));
}

Test(bench_statistics, nothing_measured_is_zero)
{
	cr_assert(eq(dbl, tt_bench_times_of(NULL, 1, 0, NULL).median_us, 0.0));
	cr_assert(eq(dbl, tt_bench_bandwidth(1000, 0), 0.0));
}

Test(bench_statistics, bandwidth_is_in_decimal_gigabytes)
{
	cr_assert(ieee_ulp_eq(dbl, tt_bench_bandwidth(1000000, 1000), 1.0, 1));
}

static struct tt_bench_run run;

static void
make_run(void)
{
	struct tt_bench_row row = {.collective = TT_BENCH_ALL_REDUCE, .root = -1, .bytes = 1024, .count = 256};

	run = (struct tt_bench_run){.nranks = 4, .node_size = 4};
	strcpy(run.machine.host.cpu_model, "A \"quoted\" CPU");
	row.dtype = tt_bench_find_dtype("float");
	row.op = tt_bench_find_op("sum");
	row.iterations = 20;
	row.figures[0] = (struct tt_bench_figures){.times = {10, 20, 5}, .algbw = 0.1, .busbw = 0.15, .eta = 0.5};
	row.figures[0].copy_us = 5;
	row.figures[1] = row.figures[0];
	row.figures[1].wrong = 3;
	cr_assert(tt_bench_run_add(&run, &row));
	row.bytes = 4096;
	row.count = 1024;
	row.figures[1].wrong = 0;
	cr_assert(tt_bench_run_add(&run, &row));
}

static void
free_run(void)
{
	tt_bench_run_fini(&run);
}

static bool
has(const char *text, const char *part)
{
	return strstr(text, part) != NULL;
}

/* What a writer writes; until the next call. */
static const char *
written(void (*write)(FILE *, const struct tt_bench_run *))
{
	static char text[65536];
	FILE *file = fmemopen(text, sizeof text, "w");

	write(file, &run);
	fclose(file);
	return text;
}

static void
write_table(FILE *file, const struct tt_bench_run *of)
{
	tt_bench_table_head(file, of);
	tt_bench_table_columns(file, TT_BENCH_ALL_REDUCE);
	for (size_t i = 0; i < of->nrows; i++)
		tt_bench_table_row(file, &of->rows[i]);
	tt_bench_table_foot(file, of);
}

TestSuite(bench_results, .init = make_run, .fini = free_run, .timeout = 20);

Test(bench_results, row_has_the_columns_in_order)
{
	const char *text = written(write_table);
	char type[16], op[16];
	double time, p99, algbw, busbw, eta, in_time, in_p99, in_algbw, in_busbw, in_eta;
	int bytes, count, root, wrong, in_wrong;

	cr_assert(eq(int,
	    sscanf(strstr(text, "\n        1024"), "%d %d %15s %15s %d %lf %lf %lf %lf %d %lf %lf %lf %lf %lf %d %lf",
		&bytes, &count, type, op, &root, &time, &p99, &algbw, &busbw, &wrong, &eta, &in_time, &in_p99,
		&in_algbw, &in_busbw, &in_wrong, &in_eta),
	    17));
	cr_assert(eq(int, bytes, 1024));
	cr_assert(eq(int, count, 256));
	cr_assert(eq(str, type, "float"));
	cr_assert(eq(str, op, "sum"));
	cr_assert(eq(dbl, time, 10.0));
	cr_assert(eq(dbl, p99, 20.0));
	cr_assert(eq(dbl, busbw, 0.15));
	cr_assert(eq(int, wrong, 0));
	cr_assert(eq(dbl, eta, 0.5));
	cr_assert(eq(int, in_wrong, 3));
}

/* Length of the line that begins at `text`. */
static size_t
line_length(const char *text)
{
	return strcspn(text, "\n");
}

Test(bench_results, titles_stand_above_their_columns)
{
	const char *text = written(write_table);
	const char *title = strstr(text, "#       size"), *row = strstr(text, "\n        1024");

	cr_assert(eq(sz, line_length(title), line_length(row + 1)));
}

Test(bench_results, foot_says_what_was_wrong_and_the_average)
{
	const char *text = written(write_table);

	cr_assert(has(text, "# Out of bounds values : 3 FAILED\n"));
	cr_assert(has(text, "# Avg bus bandwidth    : 0.1500\n"));
}

Test(bench_results, json_quotes_and_balances)
{
	const char *text = written(tt_bench_json_write);
	int depth = 0, quotes = 0;

	cr_assert(has(text, "\"cpu\": \"A \\\"quoted\\\" CPU\""));
	cr_assert(
	    ne(ptr, strstr(text, "\"size\": 4096, \"count\": 1024, \"type\": \"float\", \"redop\": \"sum\""), NULL));
	cr_assert(has(text, "\"eta\": 0.5000"));
	for (const char *c = text; *c != '\0'; c++) {
		quotes += *c == '"' && c[-1] != '\\';
		depth += (*c == '{' || *c == '[') - (*c == '}' || *c == ']');
		cr_assert(ge(int, depth, 0));
	}
	cr_assert(eq(int, depth, 0));
	cr_assert(eq(int, quotes % 2, 0));
}

Test(bench_results, drawing_has_two_charts_and_a_legend)
{
	const char *text = written(tt_bench_svg_write);
	int lines = 0;

	cr_assert(eq(int, strncmp(text, "<svg ", 5), 0));
	cr_assert(has(text, "bus bandwidth (GB/s)"));
	cr_assert(has(text, "time (us)"));
	cr_assert(has(text, "all_reduce, float, sum"));
	cr_assert(has(text, ">4 KiB<"));
	for (const char *at = strstr(text, "<polyline"); at != NULL; at = strstr(at + 1, "<polyline"))
		lines++;
	cr_assert(eq(int, lines, 4), "out of place and in place, in two charts");
	cr_assert(not(has(text, "nan")));
	cr_assert(not(has(text, "inf")));
}

Test(bench_results, drawing_of_nothing_is_still_a_drawing)
{
	const char *text;

	tt_bench_run_fini(&run);
	text = written(tt_bench_svg_write);
	cr_assert(has(text, "</svg>"));
	cr_assert(not(has(text, "nan")));
}

Test(bench_results, sizes_are_as_short_as_they_are_exact)
{
	char text[32];

	cr_assert(eq(str, (char *)tt_bench_bytes_text(48 << 10, text, sizeof text), "48 KiB"));
	cr_assert(eq(str, (char *)tt_bench_bytes_text(8, text, sizeof text), "8 B"));
	cr_assert(eq(str, (char *)tt_bench_bytes_text(1025, text, sizeof text), "1025 B"));
	cr_assert(eq(str, (char *)tt_bench_bytes_text((size_t)3 << 30, text, sizeof text), "3 GiB"));
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_svg.c - draws the results: bus bandwidth and time over size, both axes logarithmic, one line per series.
 *
 * A series is a collective with one type, operator and root; in place is drawn dashed. Everything is placed by
 * hand in one coordinate system of pixels, so that the file needs no fonts, scripts or styles from elsewhere.
 */
#include <math.h>
#include <string.h>

#include "cli/bench/bench_results.h"

#define PLOT_WIDTH 520.0
#define PLOT_HEIGHT 380.0
#define MARGIN_LEFT 80.0
#define MARGIN_TOP 60.0
#define PLOT_STEP (PLOT_WIDTH + 110.0)
#define LEGEND_TOP (MARGIN_TOP + PLOT_HEIGHT + 70.0)
#define LEGEND_LINE 20.0
#define MOST_SERIES 64

/* Told apart by people who see colours differently too. */
static const char *const colors[] = {
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#8c510a"};

struct series {
	const struct tt_bench_row *first;
};

struct chart {
	const char *title;
	double left; /* of the plot, in pixels */
	double x0, x1, y0, y1; /* logarithms of the axes' ends */
};

static double
busbw_of(const struct tt_bench_figures *figures)
{
	return figures->busbw;
}

static double
time_of(const struct tt_bench_figures *figures)
{
	return figures->times.median_us;
}

static bool
same_series(const struct tt_bench_row *a, const struct tt_bench_row *b)
{
	return a->collective == b->collective && a->dtype == b->dtype && a->op == b->op && a->root == b->root;
}

static bool
is_drawn(const struct tt_bench_row *row)
{
	return row->bytes > 0;
}

static int
find_series(const struct tt_bench_run *run, struct series *series)
{
	int n = 0;

	for (size_t i = 0; i < run->nrows && n < MOST_SERIES; i++) {
		if (!is_drawn(&run->rows[i]))
			continue;
		if (n == 0 || !same_series(series[n - 1].first, &run->rows[i]))
			series[n++].first = &run->rows[i];
	}
	return n;
}

/* ---- axes ------------------------------------------------------------------------------------------------ */

static void
widen(double value, double *low, double *high)
{
	if (value <= 0)
		return;
	if (value < *low)
		*low = value;
	if (value > *high)
		*high = value;
}

/* Whole powers: of two for sizes, of ten for the rest. */
static void
set_axes(struct chart *chart, const struct tt_bench_run *run, double (*figure)(const struct tt_bench_figures *))
{
	double x_low = HUGE_VAL, x_high = 0, y_low = HUGE_VAL, y_high = 0;

	for (size_t i = 0; i < run->nrows; i++) {
		if (!is_drawn(&run->rows[i]))
			continue;
		widen((double)run->rows[i].bytes, &x_low, &x_high);
		widen(figure(&run->rows[i].figures[0]), &y_low, &y_high);
		widen(figure(&run->rows[i].figures[1]), &y_low, &y_high);
	}
	if (x_high == 0)
		x_low = x_high = 1;
	if (y_high == 0)
		y_low = y_high = 1;
	chart->x0 = floor(log2(x_low));
	chart->x1 = fmax(ceil(log2(x_high)), chart->x0 + 1);
	chart->y0 = floor(log10(y_low));
	chart->y1 = fmax(ceil(log10(y_high)), chart->y0 + 1);
}

static double
x_of(const struct chart *chart, double log_size)
{
	return chart->left + PLOT_WIDTH * (log_size - chart->x0) / (chart->x1 - chart->x0);
}

static double
y_of(const struct chart *chart, double log_value)
{
	return MARGIN_TOP + PLOT_HEIGHT * (1 - (log_value - chart->y0) / (chart->y1 - chart->y0));
}

static void
draw_x_axis(FILE *file, const struct chart *chart)
{
	/* At most about twelve labels, a power of two apart each. */
	double step = ceil((chart->x1 - chart->x0) / 12);
	char text[32];

	for (double at = chart->x0; at <= chart->x1; at += step) {
		double x = x_of(chart, at);

		fprintf(file,
		    "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#e0e0e0\"/>\n"
		    "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n",
		    x, MARGIN_TOP, x, MARGIN_TOP + PLOT_HEIGHT, x, MARGIN_TOP + PLOT_HEIGHT + 18,
		    tt_bench_bytes_text((size_t)exp2(at), text, sizeof text));
	}
	fprintf(file, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">size</text>\n",
	    chart->left + PLOT_WIDTH / 2, MARGIN_TOP + PLOT_HEIGHT + 40);
}

static void
draw_y_axis(FILE *file, const struct chart *chart)
{
	for (double at = chart->y0; at <= chart->y1; at++) {
		double y = y_of(chart, at);

		fprintf(file,
		    "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#c0c0c0\"/>\n"
		    "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n",
		    chart->left, y, chart->left + PLOT_WIDTH, y, chart->left - 8, y + 4, pow(10, at));
		for (int minor = 2; minor < 10 && at < chart->y1; minor++) {
			double between = y_of(chart, at + log10(minor));

			fprintf(file, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#f0f0f0\"/>\n",
			    chart->left, between, chart->left + PLOT_WIDTH, between);
		}
	}
}

/* ---- lines ----------------------------------------------------------------------------------------------- */

static void
draw_line(FILE *file, const struct chart *chart, const struct tt_bench_run *run, const struct tt_bench_row *first,
    int form, double (*figure)(const struct tt_bench_figures *), const char *color)
{
	fprintf(file, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\"%s points=\"", color,
	    form == 1 ? " stroke-dasharray=\"5 4\"" : "");
	for (size_t i = 0; i < run->nrows; i++) {
		const struct tt_bench_row *row = &run->rows[i];
		double value = figure(&row->figures[form]);

		if (is_drawn(row) && same_series(row, first) && value > 0)
			fprintf(file, "%.1f,%.1f ", x_of(chart, log2((double)row->bytes)), y_of(chart, log10(value)));
	}
	fputs("\"/>\n", file);
}

static void
draw_chart(FILE *file, struct chart *chart, const struct tt_bench_run *run, const struct series *series, int n,
    double (*figure)(const struct tt_bench_figures *))
{
	set_axes(chart, run, figure);
	fprintf(file, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"15\" font-weight=\"bold\">%s</text>\n", chart->left,
	    MARGIN_TOP - 14, chart->title);
	draw_y_axis(file, chart);
	draw_x_axis(file, chart);
	fprintf(file,
	    "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"none\" stroke=\"#404040\"/>\n",
	    chart->left, MARGIN_TOP, PLOT_WIDTH, PLOT_HEIGHT);
	for (int s = 0; s < n; s++) {
		for (int form = 0; form < 2; form++)
			draw_line(file, chart, run, series[s].first, form, figure,
			    colors[(size_t)s % (sizeof colors / sizeof colors[0])]);
	}
}

static void
draw_legend(FILE *file, const struct series *series, int n)
{
	for (int s = 0; s < n; s++) {
		const struct tt_bench_row *row = series[s].first;
		double x = MARGIN_LEFT + (s % 2) * PLOT_STEP, y = LEGEND_TOP + (double)(s / 2) * LEGEND_LINE;

		fprintf(file,
		    "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-width=\"3\"/>\n"
		    "<text x=\"%.1f\" y=\"%.1f\">%s, %s%s%s",
		    x, y, x + 30, y, colors[(size_t)s % (sizeof colors / sizeof colors[0])], x + 38, y + 4,
		    tt_bench_collectives[row->collective].name, tt_bench_dtypes[row->dtype].name,
		    row->op >= 0 ? ", " : "", row->op >= 0 ? tt_bench_ops[row->op].name : "");
		if (row->root >= 0)
			fprintf(file, ", root %d", row->root);
		fputs("</text>\n", file);
	}
}

void
tt_bench_svg_write(FILE *file, const struct tt_bench_run *run)
{
	struct chart bandwidth = {.title = "bus bandwidth (GB/s)", .left = MARGIN_LEFT};
	struct chart time = {.title = "time (us)", .left = MARGIN_LEFT + PLOT_STEP};
	struct series series[MOST_SERIES] = {{NULL}};
	int n = find_series(run, series);
	double width = MARGIN_LEFT + PLOT_STEP + PLOT_WIDTH + 30;
	double height = LEGEND_TOP + (double)((n + 1) / 2) * LEGEND_LINE + 20;

	fprintf(file,
	    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" height=\"%.0f\" "
	    "font-family=\"sans-serif\" font-size=\"12\">\n"
	    "<title>tutti bench, %d ranks</title>\n"
	    "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
	    "<text x=\"%.1f\" y=\"24\" font-size=\"16\">tutti bench: %d ranks; out of place solid, in place dashed"
	    "</text>\n",
	    width, height, width, height, run->nranks, MARGIN_LEFT, run->nranks);
	draw_chart(file, &bandwidth, run, series, n, busbw_of);
	draw_chart(file, &time, run, series, n, time_of);
	draw_legend(file, series, n);
	fputs("</svg>\n", file);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * sim_svg.c - time over size, both axes logarithmic, a line for each algorithm, its name at the end of the line.
 *
 * Names that would lie on each other are moved apart; a band below says which algorithm is best where.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/sim/sim.h"

#define WIDTH 680.0
#define HEIGHT 460.0
#define LEFT 86.0
#define TOP 64.0
#define NAMES 210.0 /* to the right of the plot */
#define BAND 26.0
#define BELOW 120.0
#define LINE 15.0 /* height of a name */

static const char *const colors[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8c510a", "#e69f00", "#56b4e9",
    "#000000", "#6a3d9a", "#b2182b", "#5aae61", "#4d4d4d", "#c51b7d", "#2166ac"};

struct name {
	int algorithm;
	double y;
};

struct chart {
	FILE *file;
	const struct tt_sim *sim;
	double x0, x1, y0, y1; /* logarithms of the axes' ends */
};

static const char *
color(int algorithm)
{
	return colors[(size_t)algorithm % (sizeof(colors) / sizeof(colors[0]))];
}

static double
x_of(const struct chart *c, uint64_t bytes)
{
	return LEFT + WIDTH * (log2((double)bytes) - c->x0) / (c->x1 - c->x0);
}

static double
y_of(const struct chart *c, double seconds)
{
	return TOP + HEIGHT * (1 - (log10(seconds) - c->y0) / (c->y1 - c->y0));
}

static bool
is_drawn(const struct tt_sim *sim, int a, int s)
{
	return sim->price[a][s].method != TT_SIM_NOT_POSSIBLE && sim->price[a][s].seconds > 0 && sim->size[s] > 0;
}

static void
set_axes(struct chart *c)
{
	const struct tt_sim *sim = c->sim;
	double least = HUGE_VAL, most = 0;

	for (int a = 0; a < sim->nalgorithms; a++)
		for (int s = 0; s < sim->nsizes; s++)
			if (is_drawn(sim, a, s)) {
				least = fmin(least, sim->price[a][s].seconds);
				most = fmax(most, sim->price[a][s].seconds);
			}
	c->x0 = log2((double)sim->size[0]);
	c->x1 = fmax(log2((double)sim->size[sim->nsizes - 1]), c->x0 + 1);
	c->y0 = most > 0 ? floor(log10(least)) : -6;
	c->y1 = most > 0 ? fmax(ceil(log10(most)), c->y0 + 1) : -5;
}

static const char *
time_text(double log_seconds, char *text, size_t capacity)
{
	static const char *const units[] = {"s", "ms", "us", "ns"};
	int unit = 0;

	while (log_seconds < 0 && unit < 3) {
		log_seconds += 3;
		unit++;
	}
	snprintf(text, capacity, "%.0f %s", pow(10, log_seconds), units[unit]);
	return text;
}

static void
draw_axes(const struct chart *c)
{
	const double step = ceil((c->x1 - c->x0) / 14);
	char label[32];

	for (double at = c->x0; at <= c->x1 + 1e-9; at += step) {
		const double x = LEFT + WIDTH * (at - c->x0) / (c->x1 - c->x0);

		fprintf(c->file,
		    "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#e6e6e6\"/>\n"
		    "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n",
		    x, TOP, x, TOP + HEIGHT, x, TOP + HEIGHT + BAND + 26,
		    tt_sim_size_text((uint64_t)exp2(at), label, sizeof(label)));
	}
	for (double at = c->y0; at <= c->y1; at++) {
		const double y = TOP + HEIGHT * (1 - (at - c->y0) / (c->y1 - c->y0));

		fprintf(c->file,
		    "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#d0d0d0\"/>\n"
		    "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
		    LEFT, y, LEFT + WIDTH, y, LEFT - 8, y + 4, time_text(at, label, sizeof(label)));
	}
	fprintf(c->file,
	    "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"none\" stroke=\"#404040\"/>\n"
	    "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">bytes, the larger of a rank's buffers</text>\n",
	    LEFT, TOP, WIDTH, HEIGHT, LEFT + WIDTH / 2, TOP + HEIGHT + BAND + 48);
}

static int
by_y(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	return (x->y > y->y) - (x->y < y->y);
}

/* Names at the ends of the lines, each at least a line apart, none below the plot. */
static void
draw_names(const struct chart *c, struct name *names, int n)
{
	qsort(names, (size_t)n, sizeof(*names), by_y);
	for (int i = 1; i < n; i++)
		names[i].y = fmax(names[i].y, names[i - 1].y + LINE);
	for (int i = n - 1; i >= 0; i--)
		names[i].y = fmin(names[i].y, i == n - 1 ? TOP + HEIGHT : names[i + 1].y - LINE);
	for (int i = 0; i < n; i++)
		fprintf(c->file, "<text x=\"%.1f\" y=\"%.1f\" fill=\"%s\" font-weight=\"bold\">%s</text>\n",
		    LEFT + WIDTH + 10, names[i].y + 4, color(names[i].algorithm),
		    c->sim->algorithm[names[i].algorithm]->name);
}

static void
draw_lines(const struct chart *c)
{
	const struct tt_sim *sim = c->sim;
	struct name names[TT_SIM_ALGORITHMS];
	int n = 0;

	for (int a = 0; a < sim->nalgorithms; a++) {
		double last = -1;

		fprintf(c->file,
		    "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" stroke-linejoin=\"round\" points=\"",
		    color(a));
		for (int s = 0; s < sim->nsizes; s++)
			if (is_drawn(sim, a, s)) {
				last = y_of(c, sim->price[a][s].seconds);
				fprintf(c->file, "%.1f,%.1f ", x_of(c, sim->size[s]), last);
			}
		fputs("\"/>\n", c->file);
		if (last >= 0)
			names[n++] = (struct name){a, last};
	}
	draw_names(c, names, n);
}

/* Which is best where, as a band of colours; names where they fit. */
static void
draw_band(const struct chart *c)
{
	const struct tt_sim *sim = c->sim;

	for (int s = 0, end; s < sim->nsizes; s = end) {
		const int best = tt_sim_best(sim, s);
		double from, to;

		for (end = s + 1; end < sim->nsizes && tt_sim_best(sim, end) == best; end++)
			;
		from = s == 0 ? LEFT : (x_of(c, sim->size[s - 1]) + x_of(c, sim->size[s])) / 2;
		to = end == sim->nsizes ? LEFT + WIDTH : (x_of(c, sim->size[end - 1]) + x_of(c, sim->size[end])) / 2;
		if (best < 0)
			continue;
		fprintf(c->file,
		    "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.0f\" fill=\"%s\" stroke=\"white\"/>\n",
		    from, TOP + HEIGHT + 8, to - from, BAND - 6, color(best));
		if (to - from > 7.5 * (double)strlen(sim->algorithm[best]->name))
			fprintf(c->file,
			    "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" fill=\"white\" "
			    "font-weight=\"bold\">%s</text>\n",
			    (from + to) / 2, TOP + HEIGHT + 22, sim->algorithm[best]->name);
	}
	fprintf(
	    c->file, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">best</text>\n", LEFT - 8, TOP + HEIGHT + 22);
}

void
tt_sim_svg(FILE *file, const struct tt_sim *sim)
{
	struct chart c = {.file = file, .sim = sim};
	const double width = LEFT + WIDTH + NAMES, height = TOP + HEIGHT + BELOW;
	char where[48];

	set_axes(&c);
	fprintf(file,
	    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" height=\"%.0f\" "
	    "font-family=\"sans-serif\" font-size=\"12\">\n<title>tutti sim</title>\n"
	    "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
	    "<text x=\"%.1f\" y=\"28\" font-size=\"17\" font-weight=\"bold\">%s, %d ranks %s</text>\n"
	    "<text x=\"%.1f\" y=\"48\" fill=\"#505050\">time, predicted</text>\n",
	    width, height, width, height, LEFT, tt_collective_name(sim->collective), sim->job->ranks,
	    tt_sim_where(sim, where, sizeof(where)), LEFT);
	draw_axes(&c);
	draw_lines(&c);
	draw_band(&c);
	fputs("</svg>\n", file);
}

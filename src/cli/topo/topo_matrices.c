/* SPDX-License-Identifier: Apache-2.0
 *
 * topo_matrices.c - latency and bandwidth between all pairs of ranks as two coloured squares side by side.
 */
#include <math.h>

#include "cli/topo/topo_view.h"

#define MARGIN 24.0
#define TOP 54.0
#define LABELS 34.0
#define WRITTEN_RANKS 16 /* up to so many ranks the cells are large enough for numbers */
#define SCALE 14.0

static double
cell_of(int ranks)
{
	const double cell = ranks <= WRITTEN_RANKS ? 44 : 640.0 / ranks;

	return cell < 4 ? 4 : cell;
}

/* From light to dark through one hue, readable in grey. */
static void
color_of(double place, int rgb[3])
{
	static const double light[3] = {247, 251, 255}, dark[3] = {8, 48, 107}, middle[3] = {107, 174, 214};

	for (int i = 0; i < 3; i++)
		rgb[i] = (int)(place < 0.5 ? light[i] + (middle[i] - light[i]) * 2 * place
					   : middle[i] + (dark[i] - middle[i]) * (2 * place - 1));
}

static void
draw_cell(FILE *file, double x, double y, double cell, double value, double place, bool written)
{
	int rgb[3];

	color_of(place, rgb);
	fprintf(file, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"rgb(%d,%d,%d)\"/>\n", x, y,
	    cell - (cell > 10 ? 1 : 0), cell - (cell > 10 ? 1 : 0), rgb[0], rgb[1], rgb[2]);
	if (written)
		fprintf(file,
		    "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" font-size=\"11\" fill=\"%s\">%.3g</text>\n",
		    x + cell / 2, y + cell / 2 + 4, place > 0.5 ? "#ffffff" : "#1d2833", value);
}

static void
draw_labels(FILE *file, int n, double x, double y, double cell)
{
	const int every = cell >= 14 ? 1 : (int)ceil(14 / cell);

	for (int r = 0; r < n; r += every)
		fprintf(file,
		    "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" font-size=\"11\">%d</text>\n"
		    "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\" font-size=\"11\">%d</text>\n",
		    x + (r + 0.5) * cell, y - 5, r, x - 6, y + (r + 0.5) * cell + 4, r);
}

static void
draw_scale(FILE *file, double x, double y, double width, double least, double most)
{
	for (int i = 0; i < 32; i++) {
		int rgb[3];

		color_of(i / 31.0, rgb);
		fprintf(file, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.0f\" fill=\"rgb(%d,%d,%d)\"/>\n",
		    x + i * width / 32, y, width / 32 + 0.5, SCALE, rgb[0], rgb[1], rgb[2]);
	}
	fprintf(file,
	    "<text x=\"%.1f\" y=\"%.1f\" font-size=\"11\">%.3g</text>\n"
	    "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\" font-size=\"11\">%.3g</text>\n",
	    x, y + SCALE + 14, least, x + width, y + SCALE + 14, most);
}

static void
draw_matrix(FILE *file, const double *matrix, int n, const char *title, double x, double y)
{
	const double cell = cell_of(n), width = cell * n > 100 ? cell * n : 100;
	double least = 0, most = 0;

	for (int i = 0; i < n * n; i++) {
		if (matrix[i] <= 0)
			continue;
		least = least <= 0 || matrix[i] < least ? matrix[i] : least;
		most = matrix[i] > most ? matrix[i] : most;
	}
	fprintf(
	    file, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"14\" font-weight=\"bold\">%s</text>\n", x, y + 14, title);
	x += LABELS;
	y += TOP - 10;
	draw_labels(file, n, x, y, cell);
	for (int i = 0; i < n * n; i++)
		if (i / n != i % n)
			draw_cell(file, x + (i % n) * cell, y + (double)(i / n) * cell, cell, matrix[i],
			    most > least ? (matrix[i] - least) / (most - least) : 0.3, n <= WRITTEN_RANKS);
	draw_scale(file, x, y + n * cell + 10, width, least, most);
}

static double
one_width(const struct tt_topo_view *view)
{
	const double matrix = LABELS + cell_of(view->nranks) * view->nranks;

	return matrix > 270 ? matrix : 270; /* the title */
}

double
tt_topo_matrices_width(const struct tt_topo_view *view)
{
	return view->latency_us != NULL ? 2 * one_width(view) + MARGIN : 0;
}

double
tt_topo_svg_matrices(FILE *file, const struct tt_topo_view *view, double y)
{
	if (view->latency_us == NULL || view->bandwidth_gbps == NULL)
		return 0;
	if (file != NULL) {
		draw_matrix(file, view->latency_us, view->nranks, "latency of 8 bytes, one way (us)", MARGIN, y);
		draw_matrix(file, view->bandwidth_gbps, view->nranks, "bandwidth of 1 MiB, one way (GB/s)",
		    MARGIN + one_width(view) + MARGIN, y);
	}
	return TOP + cell_of(view->nranks) * view->nranks + SCALE + 50;
}

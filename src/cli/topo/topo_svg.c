/* SPDX-License-Identifier: Apache-2.0
 *
 * topo_svg.c - the picture: nodes, packages, NUMA nodes, caches and cores as boxes in boxes, ranks in their cores, and
 * the ring or tree drawn over them.
 *
 * A box is as large as what is in it, laid out in a grid; so each box is placed twice, once to know its size. Cores
 * without ranks are left out where there are very many. Everything is placed by hand in pixels, so that the file needs
 * no fonts, scripts or styles from elsewhere.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/topo/topo_view.h"

#define CORE 30.0 /* a core's square */
#define GAP 8.0
#define PAD 12.0
#define TITLE 18.0 /* height of a line of text */
#define LETTER 7.0 /* width of one, about */
#define MARGIN 24.0
#define HEAD 44.0
#define LEGEND 56.0
#define MOST_CHILDREN 1024
#define MANY_CORES 512 /* in the whole picture: idle ones are left out */
#define STRIP 16 /* ranks in a row where their cores are not known */
#define SHAPE 1.6 /* width to height, where there is a choice */
#define LEAST_WIDTH 690.0
#define CORE_GAP 14.0 /* an arrow fits between neighbours */
#define SHORT 60.0 /* hops so short go straight, side by side */
#define ASIDE 6.0
#define BEND 9.0 /* of what goes around nodes */
#define BESIDE 5.0 /* between those that go the same way */

enum level { NODE, PACKAGE, NUMA, CACHE, CORES };

struct size {
	double w, h;
};

struct point {
	double x, y;
	char label[24]; /* of the first rank there */
};

struct canvas {
	FILE *file;
	FILE *words; /* drawn over the arrows */
	const struct tt_topo_view *view;
	bool draw;
	int node; /* being drawn */
	bool *shown; /* cores */
	struct point *at; /* of each rank */
	int columns, rows; /* of nodes */
	struct size cell; /* the largest node */
};

static double
larger(double a, double b)
{
	return a > b ? a : b;
}

static void
text(FILE *file, double x, double y, const char *style, const char *words)
{
	fprintf(file, "<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, style);
	for (const char *c = words; *c != '\0'; c++) {
		if (*c == '<' || *c == '>' || *c == '&')
			fprintf(file, "&#%d;", *c);
		else
			fputc(*c, file);
	}
	fputs("</text>\n", file);
}

/* A name in the machine, which stays legible where an arrow passes. */
static void
label(const struct canvas *c, double x, double y, const char *style, const char *words)
{
	char with_rim[256];

	snprintf(with_rim, sizeof(with_rim),
	    "%s paint-order=\"stroke\" stroke=\"#ffffff\" stroke-opacity=\"0.8\" stroke-width=\"3\"", style);
	text(c->words, x, y, with_rim, words);
}

/* ---- ranks and cores ---------------------------------------------------------------------------------------------- */

/* A rank's mark, or several ranks that share the place: the first, and below it how many more. */
static void
mark(const struct canvas *c, double x, double y, const char *name)
{
	const char *more = strchr(name, '+');
	const size_t len = more != NULL ? (size_t)(more - name) : strlen(name);
	char style[128], first[24];

	fprintf(c->file, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.0f\" height=\"%.0f\" rx=\"7\" fill=\"#1f5fa8\"/>\n",
	    x, y, CORE, CORE);
	snprintf(first, sizeof(first), "%.*s", (int)len, name);
	snprintf(style, sizeof(style), "text-anchor=\"middle\" font-weight=\"bold\" fill=\"white\" font-size=\"%d\"",
	    more == NULL && len <= 2 ? 14
	    : len <= 3               ? 12
	    : len <= 4               ? 10
				     : 8);
	text(c->file, x + CORE / 2, y + CORE / 2 + (more != NULL ? -1 : len <= 2 ? 5 : 4), style, first);
	if (more != NULL)
		text(c->file, x + CORE / 2, y + CORE - 5, "text-anchor=\"middle\" fill=\"white\" font-size=\"9\"",
		    more);
}

static void
draw_core(const struct canvas *c, int core, double x, double y)
{
	char name[32] = "";
	int here = 0, first = -1;

	for (int r = 0; r < c->view->nranks; r++) {
		if (c->view->ranks[r].node != c->node || tt_topo_core_of(c->view, r) != core)
			continue;
		c->at[r] = (struct point){.x = x + CORE / 2, .y = y + CORE / 2};
		first = first < 0 ? r : first;
		here++;
	}
	if (here == 0) {
		fprintf(c->file,
		    "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.0f\" height=\"%.0f\" rx=\"7\" fill=\"#ffffff\" "
		    "stroke=\"#b8c2cc\"/>\n",
		    x, y, CORE, CORE);
		snprintf(name, sizeof(name), "%d", core);
		label(c, x + CORE / 2, y + CORE / 2 + 4, "text-anchor=\"middle\" fill=\"#8a96a3\" font-size=\"10\"",
		    name);
		return;
	}
	if (here == 1)
		snprintf(name, sizeof(name), "%d", first);
	else
		snprintf(name, sizeof(name), "%d+%d", first, here - 1);
	snprintf(c->at[first].label, sizeof(c->at[first].label), "%.23s", name);
}

/* ---- boxes -------------------------------------------------------------------------------------------------------- */

static bool
apart(const struct tt_topo_core *a, const struct tt_topo_core *b, enum level level)
{
	return a->package != b->package || (level > PACKAGE && a->numa != b->numa) ||
	       (level > NUMA && a->l3 != b->l3) || level == CORES;
}

/* Where the children of the box begin; their end is behind the last. */
static int
children_of(const struct canvas *c, enum level level, int from, int to, int *starts)
{
	const struct tt_topo_core *core = c->view->topology->core;
	int n = 0;

	for (int i = from; i < to && n < MOST_CHILDREN; i++) {
		const bool begins = i == from || apart(&core[i], &core[i - 1], level + 1);

		if (level + 1 == CORES ? c->shown[i] : begins)
			starts[n++] = i;
	}
	starts[n] = to;
	return n;
}

static int
columns_for(enum level level, int n)
{
	if (level == CACHE)
		return n <= 8 ? n : (int)ceil(sqrt(2.0 * n));
	return n <= 2 ? n : (int)ceil(sqrt(n));
}

static void
name_box(const struct canvas *c, enum level level, int from, char *name, size_t capacity)
{
	const struct tt_topology *t = c->view->topology;
	const struct tt_topo_core *core = &t->core[from];
	char bytes[32];

	name[0] = '\0';
	if (level == PACKAGE)
		snprintf(name, capacity, "package %d", core->package);
	else if (level == NUMA && core->numa >= 0 && t->memory_of_numa[core->numa] > 0)
		snprintf(name, capacity, "NUMA %d, %s", core->numa,
		    tt_topo_bytes(t->memory_of_numa[core->numa], bytes, sizeof(bytes)));
	else if (level == NUMA)
		snprintf(name, capacity, "NUMA %d", core->numa);
	else if (level == CACHE && core->l3 >= 0)
		snprintf(name, capacity, "L3 %s", tt_topo_bytes(t->l3_bytes, bytes, sizeof(bytes)));
}

/* Network cards and devices of a NUMA node, as lozenges, in lines no wider than `width`. */
static double
place_devices(const struct canvas *c, int numa, double x, double y, double width)
{
	const struct tt_topology *t = c->view->topology;
	double at = 0, line = 0;
	bool any = false;

	for (int i = 0; i < t->nics + t->devices; i++) {
		const bool is_nic = i < t->nics;
		const struct tt_topo_nic *nic = &t->nic[is_nic ? i : 0];
		const struct tt_topo_device *device = &t->device[is_nic ? 0 : i - t->nics];
		char name[64];
		double w;

		if ((is_nic ? nic->numa : device->numa) != numa)
			continue;
		if (is_nic && nic->gbps > 0)
			snprintf(name, sizeof(name), "%s %gG", nic->name, nic->gbps);
		else
			snprintf(name, sizeof(name), "%s", is_nic ? nic->name : device->name);
		w = LETTER * (double)strlen(name) + 16;
		if (any && at + w > width) {
			at = 0;
			line += TITLE + 8;
		}
		any = true;
		if (c->draw) {
			fprintf(c->words,
			    "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.0f\" rx=\"11\" fill=\"%s\" "
			    "stroke=\"%s\"/>\n",
			    x + at, y + line, w, TITLE + 4, is_nic ? "#fff1d6" : "#e3f3df",
			    is_nic ? "#c98a1b" : "#4d8f3f");
			label(c, x + at + w / 2, y + line + 15, "text-anchor=\"middle\" font-size=\"11\"", name);
		}
		at += w + 6;
	}
	return any ? line + TITLE + 8 : 0;
}

/* A NUMA node of several packages has a box in each, and its devices in the first. */
static bool
has_devices(const struct canvas *c, enum level level, int from)
{
	const struct tt_topo_core *core = c->view->topology->core;

	for (int i = 0; i < from; i++)
		if (core[i].numa == core[from].numa)
			return false;
	return level == NUMA;
}

static double
widest_device(const struct canvas *c, int numa)
{
	double widest = 0;

	for (int i = 0; i < c->view->topology->nics; i++)
		if (c->view->topology->nic[i].numa == numa)
			widest = larger(widest, LETTER * (double)strlen(c->view->topology->nic[i].name) + 56);
	for (int i = 0; i < c->view->topology->devices; i++)
		if (c->view->topology->device[i].numa == numa)
			widest = larger(widest, LETTER * (double)strlen(c->view->topology->device[i].name) + 16);
	return widest;
}

static void
frame(const struct canvas *c, enum level level, double x, double y, const struct size *size, const char *name)
{
	static const char *const fills[] = {"#ffffff", "#eef2f7", "#dde6f1", "#cbd9ea"};

	fprintf(c->file,
	    "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"8\" fill=\"%s\" stroke=\"#7d8fa3\"/>\n",
	    x, y, size->w, size->h, fills[level]);
	label(c, x + PAD, y + TITLE - 2, "font-size=\"12\" fill=\"#33414f\"", name);
}

/* Places a box and all in it; returns its size. */
static struct size
place(struct canvas *c, enum level level, int from, int to, double x, double y)
{
	const bool bare = level == NODE || (level == CACHE && c->view->topology->core[from].l3 < 0);
	const double pad = bare ? 0 : PAD, title = bare ? 0 : TITLE + 4, gap = level == CACHE ? CORE_GAP : GAP;
	const bool draw = c->draw;
	int *starts = malloc((MOST_CHILDREN + 1) * sizeof(*starts));
	struct size cell = {CORE, CORE}, all;
	char name[64];
	int n, columns, rows, hidden = 0;

	if (starts == NULL)
		return (struct size){0, 0};
	n = children_of(c, level, from, to, starts);
	name_box(c, level, from, name, sizeof(name));
	for (int i = from; i < to && level == CACHE; i++)
		hidden += !c->shown[i];
	if (hidden > 0 && level == CACHE && name[0] != '\0')
		snprintf(name + strlen(name), sizeof(name) - strlen(name), ", %d more", hidden);
	c->draw = false;
	for (int i = 0; i < n && level != CACHE; i++) {
		const struct size child = place(c, level + 1, starts[i], starts[i + 1], 0, 0);

		cell = (struct size){larger(cell.w, child.w), larger(cell.h, child.h)};
	}
	columns = columns_for(level, n > 0 ? n : 1);
	rows = n > 0 ? (n + columns - 1) / columns : 1;
	all = (struct size){columns * cell.w + (columns - 1) * gap, rows * cell.h + (rows - 1) * gap};
	all.w = larger(all.w, LETTER * (double)strlen(name));
	if (has_devices(c, level, from))
		all.w = larger(all.w, widest_device(c, c->view->topology->core[from].numa));
	const double grid = all.h;

	if (has_devices(c, level, from))
		all.h += place_devices(c, c->view->topology->core[from].numa, 0, 0, all.w);
	all = (struct size){all.w + 2 * pad, all.h + title + pad};
	c->draw = draw;
	if (draw) {
		if (!bare)
			frame(c, level, x, y, &all, name);
		for (int i = 0; i < n; i++) {
			const double cx = x + pad + (i % columns) * (cell.w + gap),
				     cy = y + title + (double)(i / columns) * (cell.h + gap);

			if (level == CACHE)
				draw_core(c, starts[i], cx, cy);
			else
				(void)place(c, level + 1, starts[i], starts[i + 1], cx, cy);
		}
		if (has_devices(c, level, from))
			(void)place_devices(
			    c, c->view->topology->core[from].numa, x + pad, y + title + grid + 6, all.w - 2 * pad);
	}
	free(starts);
	return all;
}

/* ---- nodes -------------------------------------------------------------------------------------------------------- */

static bool
is_drawn(const struct tt_topo_view *view, int rank)
{
	return view->ranks[rank].kind == view->ranks[0].kind && tt_topo_core_of(view, rank) >= 0;
}

static const char strip_title[] = "ranks that may run on several cores";

/* Ranks of the node that have no core in the picture, in lines; returns how high they are. */
static double
place_strip(const struct canvas *c, double x, double y)
{
	int n = 0;

	for (int r = 0; r < c->view->nranks; r++) {
		const double rx = x + (n % STRIP) * (CORE + CORE_GAP),
			     ry = y + TITLE + (double)(n / STRIP) * (CORE + CORE_GAP);

		if (c->view->ranks[r].node != c->node || is_drawn(c->view, r))
			continue;
		if (c->draw) {
			if (n == 0)
				label(c, x, y + 10, "font-size=\"11\" fill=\"#33414f\"", strip_title);
			c->at[r] = (struct point){.x = rx + CORE / 2, .y = ry + CORE / 2};
			snprintf(c->at[r].label, sizeof(c->at[r].label), "%d", r);
		}
		n++;
	}
	return n > 0 ? TITLE + ((n + STRIP - 1) / STRIP) * (CORE + CORE_GAP) + 6 : 0;
}

static double
strip_width(const struct canvas *c)
{
	int n = 0;

	for (int r = 0; r < c->view->nranks; r++)
		n += c->view->ranks[r].node == c->node && !is_drawn(c->view, r);
	if (n == 0)
		return 0;
	return larger((n < STRIP ? n : STRIP) * (CORE + CORE_GAP), LETTER * sizeof(strip_title));
}

static bool
has_picture(const struct tt_topo_view *view, int node)
{
	for (int r = 0; r < view->nranks; r++)
		if (view->ranks[r].node == node)
			return view->ranks[r].kind == view->ranks[0].kind;
	return true;
}

static struct size
place_node(struct canvas *c, int node, double x, double y)
{
	const struct tt_topology *t = c->view->topology;
	const bool draw = c->draw;
	const char *host = t->model[0] != '\0' ? t->model : t->source;
	struct size inside = {0, 0}, all;
	char title[160], short_host[44];
	double strip;

	c->node = node;
	for (int r = c->view->nranks - 1; r >= 0; r--)
		if (c->view->ranks[r].node == node)
			host = c->view->ranks[r].host;
	snprintf(short_host, sizeof(short_host), "%.40s", host);
	if (c->view->nranks > 0)
		snprintf(title, sizeof(title), "node %d%s%s", node, short_host[0] != '\0' ? ": " : "", short_host);
	else
		snprintf(title, sizeof(title), "%s", short_host);
	c->draw = false;
	if (has_picture(c->view, node))
		inside = place(c, NODE, 0, t->cores, 0, 0);
	strip = place_strip(c, 0, 0);
	inside.w = larger(inside.w, strip_width(c));
	inside.w = larger(inside.w, LETTER * (double)strlen(title) + 10);
	all = (struct size){inside.w + 2 * PAD, inside.h + strip + TITLE + 10 + PAD};
	c->draw = draw;
	if (draw) {
		frame(c, NODE, x, y, &all, "");
		label(c, x + PAD, y + TITLE, "font-size=\"14\" font-weight=\"bold\" fill=\"#1d2833\"", title);
		(void)place_strip(c, x + PAD, y + TITLE + 10);
		if (has_picture(c->view, node))
			(void)place(c, NODE, 0, t->cores, x + PAD, y + TITLE + 10 + strip);
	}
	return all;
}

/* ---- ring and tree ------------------------------------------------------------------------------------------------ */

/* By how far it goes: in a cache, in a NUMA node, in a package, in memory, over a wire. */
static const struct {
	const char *color, *name;
} hops[] = {{"#2a9d4a", "shares a cache"}, {"#0f8fa8", "shares a NUMA node or package"}, {"#d98200", "shares memory"},
    {"#c2303a", "between nodes"}};

static int
hop_of(const struct tt_topo_view *view, int a, int b)
{
	enum tt_map_level level;

	if (!tt_map_shared(view->map, a, b, &level))
		return 3;
	return level >= TT_MAP_L3 ? 0 : level >= TT_MAP_PACKAGE ? 1 : 2;
}

/* Straight pieces with round corners between them, from one mark to another. */
static void
bent(const struct canvas *c, const struct size *way, int n, int hop)
{
	fprintf(c->file, "<path d=\"M %.1f %.1f", way[0].w, way[0].h);
	for (int i = 1; i + 1 < n; i++) {
		const double bx = way[i].w - way[i - 1].w, by = way[i].h - way[i - 1].h, before = hypot(bx, by);
		const double ax = way[i + 1].w - way[i].w, ay = way[i + 1].h - way[i].h, after = hypot(ax, ay);
		const double bend = fmin(BEND, fmin(before, after) / 2);

		if (bend <= 0)
			continue;
		fprintf(c->file, " L %.1f %.1f Q %.1f %.1f %.1f %.1f", way[i].w - bx / before * bend,
		    way[i].h - by / before * bend, way[i].w, way[i].h, way[i].w + ax / after * bend,
		    way[i].h + ay / after * bend);
	}
	fprintf(c->file,
	    " L %.1f %.1f\" fill=\"none\" stroke=\"%s\" stroke-width=\"2.2\" stroke-opacity=\"0.85\" "
	    "marker-end=\"url(#head%d)\"/>\n",
	    way[n - 1].w, way[n - 1].h, hops[hop].color, hop);
}

/* Is nothing of its node to the left of the rank? */
static bool
is_leftmost(const struct canvas *c, int rank)
{
	const struct tt_map_place *place = c->view->map->place;

	for (int r = 0; r < c->view->nranks; r++)
		if (place[r].node == place[rank].node && fabs(c->at[r].y - c->at[rank].y) < CORE &&
		    c->at[r].x < c->at[rank].x)
			return false;
	return true;
}

/* The middle of the room below that row of nodes. */
static double
gap_below(const struct canvas *c, int row)
{
	const double bottom = HEAD + (row + 1) * c->cell.h + row * 2 * MARGIN;

	return row + 1 < c->rows ? bottom + MARGIN : bottom + BEND;
}

/* From node to node in the room between them: down, along the gap below, then beside the other node and into it from the
 * left, or where something is in the way there, along the gap next to it and in from above or below. */
static void
around(const struct canvas *c, int from, int to, int hop)
{
	const struct point a = c->at[from], b = c->at[to];
	const int node = c->view->map->place[from].node, other = c->view->map->place[to].node;
	const int row = node / c->columns, goal = other / c->columns, column = other % c->columns;
	const double reach = CORE / 2 + 3, aside = (node % 5 - 2) * BESIDE;
	const double gap = gap_below(c, row) + (row + 1 < c->rows ? aside : aside / 4);
	const double left = column == 0 ? MARGIN / 2 + aside / 2 : column * (c->cell.w + 2 * MARGIN) + aside;
	const bool above = goal > 0 && goal != row;
	const double entry = above ? gap_below(c, goal - 1) + aside : gap_below(c, goal) + aside / 4;
	struct size way[8];
	int n = 0;

	way[n++] = (struct size){a.x, a.y + reach};
	way[n++] = (struct size){a.x, gap};
	if (is_leftmost(c, to)) {
		way[n++] = (struct size){left, gap};
		way[n++] = (struct size){left, b.y};
		way[n++] = (struct size){b.x - reach, b.y};
	} else if (goal == row || goal == row + 1) {
		way[n++] = (struct size){b.x, gap};
		way[n++] = (struct size){b.x, b.y + (above ? -reach : reach)};
	} else {
		way[n++] = (struct size){left, gap};
		way[n++] = (struct size){left, entry};
		way[n++] = (struct size){b.x, entry};
		way[n++] = (struct size){b.x, b.y + (above ? -reach : reach)};
	}
	bent(c, way, n, hop);
}

static void
arrow(const struct canvas *c, int from, int to)
{
	const struct point a = c->at[from], b = c->at[to];
	const double dx = b.x - a.x, dy = b.y - a.y, length = hypot(dx, dy);
	const int hop = hop_of(c->view, from, to);
	const double ux = dx / length, uy = dy / length, bow = fmin(0.16 * length, 46);
	const double reach = CORE / 2 + 3; /* the ends stay outside of the marks */

	if (length < CORE)
		return;
	if (c->view->map->place[from].node != c->view->map->place[to].node) {
		around(c, from, to, hop);
		return;
	}
	if (length < SHORT) {
		fprintf(c->file,
		    "<path d=\"M %.1f %.1f L %.1f %.1f\" stroke=\"%s\" stroke-width=\"2.2\" "
		    "marker-end=\"url(#head%d)\"/>\n",
		    a.x + ux * (CORE / 2) - uy * ASIDE, a.y + uy * (CORE / 2) + ux * ASIDE,
		    b.x - ux * (CORE / 2) - uy * ASIDE, b.y - uy * (CORE / 2) + ux * ASIDE, hops[hop].color, hop);
		return;
	}
	fprintf(c->file,
	    "<path d=\"M %.1f %.1f Q %.1f %.1f %.1f %.1f\" fill=\"none\" stroke=\"%s\" stroke-width=\"2.2\" "
	    "stroke-opacity=\"0.85\" marker-end=\"url(#head%d)\"/>\n",
	    a.x + ux * reach, a.y + uy * reach, a.x + dx / 2 - uy * bow, a.y + dy / 2 + ux * bow, b.x - ux * reach,
	    b.y - uy * reach, hops[hop].color, hop);
}

static void
draw_path(const struct canvas *c)
{
	const struct tt_topo_view *view = c->view;

	if (view->path == TT_TOPO_RING && view->nranks > 1)
		for (int i = 0; i < view->nranks; i++)
			arrow(c, view->map->order[i], view->map->order[(i + 1) % view->nranks]);
	if (view->path == TT_TOPO_TREE)
		for (int r = 0; r < view->nranks; r++)
			if (view->map->parent[r] >= 0)
				arrow(c, view->map->parent[r], r);
}

static void
define_heads(FILE *file)
{
	fputs("<defs>\n", file);
	for (int i = 0; i < 4; i++)
		fprintf(file,
		    "<marker id=\"head%d\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"5\" "
		    "markerHeight=\"5\" "
		    "orient=\"auto\"><path d=\"M 0 0 L 8 4 L 0 8 z\" fill=\"%s\"/></marker>\n",
		    i, hops[i].color);
	fputs("</defs>\n", file);
}

static bool
may_run_anywhere(const struct tt_topo_view *view)
{
	for (int r = 0; r < view->nranks; r++)
		if (view->ranks[r].kind == view->ranks[0].kind && tt_topo_core_of(view, r) < 0)
			return true;
	return false;
}

static void
draw_legend(FILE *file, const struct tt_topo_view *view, double y)
{
	double x = MARGIN;

	if (view->nranks > 0) {
		fprintf(file, "<rect x=\"%.1f\" y=\"%.1f\" width=\"16\" height=\"16\" rx=\"4\" fill=\"#1f5fa8\"/>\n",
		    x, y - 12);
		text(file, x + 22, y + 1, "font-size=\"12\"", "rank");
		x += 70;
	}
	fprintf(file,
	    "<rect x=\"%.1f\" y=\"%.1f\" width=\"16\" height=\"16\" rx=\"4\" fill=\"#ffffff\" stroke=\"#b8c2cc\"/>\n",
	    x, y - 12);
	text(file, x + 22, y + 1, "font-size=\"12\"",
	    view->nranks == 0 || may_run_anywhere(view) ? "core" : "core without a rank");
	if (view->path == TT_TOPO_NO_PATH || view->nranks == 0)
		return;
	x = MARGIN;
	for (int i = 0; i < 4; i++) {
		fprintf(file,
		    "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-width=\"3\"/>\n", x,
		    y + 20, x + 22, y + 20, hops[i].color);
		text(file, x + 28, y + 24, "font-size=\"12\"", hops[i].name);
		x += 28 + LETTER * (double)strlen(hops[i].name) + 12;
	}
}

/* ---- the whole ---------------------------------------------------------------------------------------------------- */

static void
choose_cores(struct canvas *c, int nodes)
{
	const struct tt_topo_view *view = c->view;
	const bool all = view->nranks == 0 || nodes * view->topology->cores <= MANY_CORES;

	for (int core = 0; core < view->topology->cores; core++)
		c->shown[core] = all;
	for (int r = 0; r < view->nranks; r++)
		if (is_drawn(view, r))
			c->shown[tt_topo_core_of(view, r)] = true;
}

/* So that the picture is neither a strip nor a tower. */
static int
node_columns(int nodes, struct size cell)
{
	int best = 1;
	double least = HUGE_VAL;

	for (int columns = 1; columns <= nodes; columns++) {
		const int rows = (nodes + columns - 1) / columns;
		const double off = fabs(log(columns * cell.w / (rows * cell.h) / SHAPE));

		if (off < least) {
			least = off;
			best = columns;
		}
	}
	return best;
}

static void
draw(struct canvas *c, int nodes, char *const *words)
{
	static const char *const paths[] = {"", "; ring", "; tree"};
	struct size cell = {0, 0};
	int columns, rows;
	char title[128];
	double width, height, matrices;

	choose_cores(c, nodes);
	for (int n = 0; n < nodes; n++) {
		const struct size size = place_node(c, n, 0, 0);

		cell = (struct size){larger(cell.w, size.w), larger(cell.h, size.h)};
	}
	columns = node_columns(nodes, cell);
	rows = (nodes + columns - 1) / columns;
	width = larger(2 * MARGIN + columns * cell.w + (columns - 1) * 2 * MARGIN, LEAST_WIDTH);
	width = larger(width, tt_topo_matrices_width(c->view) + 2 * MARGIN);
	height = HEAD + rows * cell.h + (rows - 1) * 2 * MARGIN + LEGEND + MARGIN;
	matrices = tt_topo_svg_matrices(NULL, c->view, 0);
	fprintf(c->file,
	    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" height=\"%.0f\" "
	    "font-family=\"sans-serif\">\n<title>tutti topo</title>\n<rect width=\"100%%\" height=\"100%%\" "
	    "fill=\"#fbfcfd\"/>\n",
	    width, height + matrices, width, height + matrices);
	define_heads(c->file);
	if (c->view->nranks > 0)
		snprintf(title, sizeof(title), "%d rank%s on %d node%s%s", c->view->nranks,
		    c->view->nranks == 1 ? "" : "s", nodes, nodes == 1 ? "" : "s", paths[c->view->path]);
	else
		snprintf(title, sizeof(title), "%d cores, %d NUMA nodes, %d packages", c->view->topology->cores,
		    c->view->topology->numa_nodes, c->view->topology->packages);
	text(c->file, MARGIN, 30, "font-size=\"18\" font-weight=\"bold\" fill=\"#1d2833\"", title);
	c->draw = true;
	c->columns = columns;
	c->rows = rows;
	c->cell = cell;
	for (int n = 0; n < nodes; n++)
		(void)place_node(c, n, MARGIN + (n % columns) * (cell.w + 2 * MARGIN),
		    HEAD + (double)(n / columns) * (cell.h + 2 * MARGIN));
	draw_path(c);
	if (fflush(c->words) == 0)
		fputs(*words, c->file);
	for (int r = 0; r < c->view->nranks; r++)
		if (c->at[r].label[0] != '\0')
			mark(c, c->at[r].x - CORE / 2, c->at[r].y - CORE / 2, c->at[r].label);
	draw_legend(c->file, c->view, height - LEGEND + 6);
	(void)tt_topo_svg_matrices(c->file, c->view, height);
	fputs("</svg>\n", c->file);
}

void
tt_topo_svg(FILE *file, const struct tt_topo_view *view)
{
	struct canvas c = {.file = file, .view = view};
	char *words = NULL;
	size_t length;

	c.shown = calloc((size_t)view->topology->cores, sizeof(*c.shown));
	c.at = calloc((size_t)view->nranks + 1, sizeof(*c.at));
	c.words = open_memstream(&words, &length);
	if (c.shown != NULL && c.at != NULL && c.words != NULL)
		draw(&c, view->map != NULL ? view->map->nnodes : 1, &words);
	if (c.words != NULL)
		fclose(c.words);
	free(words);
	free(c.shown);
	free(c.at);
}

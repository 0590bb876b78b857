/* SPDX-License-Identifier: Apache-2.0
 *
 * topo_text.c - the machine as a tree, the ranks as a table, and what joins them.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/topo/topo_view.h"

#define MATRIX_RANKS 32 /* larger ones are not readable as text */
#define LIST 256

/* Numbers as "0-3,8". */
static void
add_number(char *list, size_t capacity, int number)
{
	size_t used = strlen(list);
	char *last = strrchr(list, ','), *dash;
	const int before = used > 0 ? atoi((dash = strrchr(last != NULL ? last : list, '-')) != NULL
					       ? dash + 1
					       : (last != NULL ? last + 1 : list))
				    : -2;

	if (used > 0 && number == before + 1) {
		dash = strrchr(last != NULL ? last : list, '-');
		if (dash != NULL)
			used = (size_t)(dash - list);
		snprintf(list + used, capacity - used, "-%d", number);
	} else {
		snprintf(list + used, capacity - used, "%s%d", used > 0 ? "," : "", number);
	}
}

/* ---- the machine -------------------------------------------------------------------------------------------------- */

struct group {
	int package, numa, l3;
};

static bool
is_in(const struct tt_topo_core *core, const struct group *g)
{
	return core->package == g->package && core->numa == g->numa && core->l3 == g->l3;
}

/* Ranks of the first node that sit in the group. */
static void
put_ranks(FILE *file, const struct tt_topo_view *view, const struct group *g)
{
	char list[LIST] = "";

	for (int r = 0; r < view->nranks; r++) {
		const int core = view->ranks[r].node == 0 ? tt_topo_core_of(view, r) : -1;

		if (core >= 0 && is_in(&view->topology->core[core], g))
			add_number(list, sizeof(list), r);
	}
	if (list[0] != '\0')
		fprintf(file, "   <- rank %s", list);
	fputc('\n', file);
}

static void
put_devices(FILE *file, const struct tt_topology *t, int numa)
{
	for (int i = 0; i < t->nics; i++) {
		if (t->nic[i].numa != numa)
			continue;
		fprintf(file, ", %s", t->nic[i].name);
		if (t->nic[i].gbps > 0)
			fprintf(file, " (%g Gb/s%s)", t->nic[i].gbps, t->nic[i].up ? "" : ", down");
		else if (!t->nic[i].up)
			fputs(" (down)", file);
	}
	for (int i = 0; i < t->devices; i++)
		if (t->device[i].numa == numa)
			fprintf(file, ", %s", t->device[i].name);
	fputc('\n', file);
}

static int
next_after(const struct tt_topology *t, int core, int what)
{
	const struct tt_topo_core *c = t->core;

	for (int i = core + 1; i < t->cores; i++)
		if ((what == 0 && c[i].package != c[core].package) ||
		    (what == 1 && (c[i].package != c[core].package || c[i].numa != c[core].numa)) ||
		    (what == 2 &&
			(c[i].package != c[core].package || c[i].numa != c[core].numa || c[i].l3 != c[core].l3)))
			return i;
	return t->cores;
}

static void
put_cores(FILE *file, const struct tt_topo_view *view, int from, int to, const char *indent)
{
	const struct tt_topology *t = view->topology;
	char bytes[32];

	for (int c = from; c < to; c = next_after(t, c, 2)) {
		const struct group g = {t->core[c].package, t->core[c].numa, t->core[c].l3};
		int end = next_after(t, c, 2);

		end = end < to ? end : to;
		fprintf(file, "%s%s ", indent, end == to ? "└─" : "├─");
		if (g.l3 >= 0)
			fprintf(file, "L3 %s: ", tt_topo_bytes(t->l3_bytes, bytes, sizeof(bytes)));
		if (end == c + 1)
			fprintf(file, "core %d", c);
		else
			fprintf(file, "cores %d-%d", c, end - 1);
		if (t->kinds > 1)
			fprintf(file, " of kind %d", t->core[c].kind);
		put_ranks(file, view, &g);
	}
}

static void
put_machine(FILE *file, const struct tt_topo_view *view)
{
	const struct tt_topology *t = view->topology;
	char text[3][32];

	fprintf(file, "%s%s%s\n", t->source, t->model[0] != '\0' ? ": " : "", t->model);
	fprintf(file, "%d core%s (%d thread%s), L1 %s, L2 %s, L3 %s\n", t->cores, t->cores == 1 ? "" : "s", t->cpus,
	    t->cpus == 1 ? "" : "s", tt_topo_bytes(t->l1d_bytes, text[0], 32),
	    tt_topo_bytes(t->l2_bytes, text[1], 32), tt_topo_bytes(t->l3_bytes, text[2], 32));
	if (t->is_here) {
		fprintf(file, "usable here: %d core%s", view->usable, view->usable == 1 ? "" : "s");
		if (view->quota > 0)
			fprintf(file, " (the control group allows %.3g)", view->quota);
		fputc('\n', file);
	}
	for (int p = 0; p < t->cores; p = next_after(t, p, 0)) {
		const int end = next_after(t, p, 0);
		const bool last = end == t->cores;

		fprintf(file, "%s package %d\n", last ? "└─" : "├─", t->core[p].package);
		for (int n = p; n < end; n = next_after(t, n, 1)) {
			const int numa = t->core[n].numa, stop = next_after(t, n, 1);
			char indent[32];

			fprintf(file, "%s  %s NUMA node %d", last ? " " : "│", stop == end ? "└─" : "├─", numa);
			if (numa >= 0 && t->memory_of_numa[numa] > 0)
				fprintf(file, ", %s", tt_topo_bytes(t->memory_of_numa[numa], text[0], 32));
			put_devices(file, t, numa);
			snprintf(indent, sizeof(indent), "%s  %s  ", last ? " " : "│", stop == end ? " " : "│");
			put_cores(file, view, n, stop, indent);
		}
	}
	for (int i = 0; i < t->nics; i++)
		if (t->nic[i].numa < 0)
			fprintf(file, "network card %s%s%s\n", t->nic[i].name,
			    t->nic[i].is_virtual ? ", virtual" : "", t->nic[i].up ? "" : ", down");
}

/* ---- the ranks ---------------------------------------------------------------------------------------------------- */

static void
put_group(FILE *file, int group)
{
	if (group >= 0)
		fprintf(file, " %7d", group);
	else
		fputs("       -", file);
}

static void
put_ranks_table(FILE *file, const struct tt_topo_view *view)
{
	fprintf(file, "\n%d rank%s on %d node%s; groups by their lowest CPU, - = not inside one\n\n", view->nranks,
	    view->nranks == 1 ? "" : "s", view->map->nnodes, view->map->nnodes == 1 ? "" : "s");
	fputs(" rank  node package    NUMA      L3      L2    core  threads  card             host\n", file);
	for (int r = 0; r < view->nranks; r++) {
		const struct tt_topo_rank *rank = &view->ranks[r];

		fprintf(file, "%5d %5d", r, rank->node);
		for (int level = TT_MAP_PACKAGE; level < TT_MAP_LEVELS; level++)
			put_group(file, rank->card.group[level]);
		fprintf(file, " %8d  %-16s %s\n", rank->card.cpus, rank->card.nic[0] != '\0' ? rank->card.nic : "-",
		    rank->host);
	}
}

static void
put_order(FILE *file, const struct tt_topo_view *view)
{
	fputs("\nring: ", file);
	for (int i = 0; i < view->nranks; i++)
		fprintf(file, "%d%s", view->map->order[i], i + 1 < view->nranks ? " " : "\n");
	fputs("tree: ", file);
	for (int r = 0; r < view->nranks; r++)
		if (view->map->parent[r] < 0)
			fprintf(file, "%d is the root", r);
	for (int p = 0; p < view->nranks; p++) {
		char list[LIST] = "";

		for (int r = 0; r < view->nranks; r++)
			if (view->map->parent[r] == p)
				add_number(list, sizeof(list), r);
		if (list[0] != '\0')
			fprintf(file, "; %d over %s", p, list);
	}
	fputc('\n', file);
}

static void
put_pairs(FILE *file, const struct tt_topo_view *view)
{
	if (view->nranks < 2 || view->nranks > MATRIX_RANKS)
		return;
	fprintf(file,
	    "\nwhat pairs share: c core, 2 L2 cache, 3 L3 cache, n NUMA node, p package, m memory (by %s), t nothing "
	    "(by "
	    "%s)\n\n    ",
	    view->transport[0], view->transport[1]);
	for (int b = 0; b < view->nranks; b++)
		fprintf(file, "%3d", b);
	fputc('\n', file);
	for (int a = 0; a < view->nranks; a++) {
		fprintf(file, "%4d", a);
		for (int b = 0; b < view->nranks; b++) {
			char letter = '.';

			if (a != b)
				(void)tt_topo_joined(view, a, b, &letter);
			fprintf(file, "  %c", letter);
		}
		fputc('\n', file);
	}
}

/* ---- what was measured ---------------------------------------------------------------------------------------------- */

static void
put_matrix(FILE *file, const struct tt_topo_view *view, const double *matrix, const char *title)
{
	static const char *const shades[] = {" ", "░", "▒", "▓", "█"};
	const size_t n = (size_t)view->nranks;
	double least = 0, most = 0;

	for (size_t i = 0; i < n * n; i++) {
		if (matrix[i] <= 0)
			continue;
		least = least <= 0 || matrix[i] < least ? matrix[i] : least;
		most = matrix[i] > most ? matrix[i] : most;
	}
	fprintf(file, "\n%s: %.3g to %.3g, darker is more\n\n     ", title, least, most);
	for (size_t b = 0; b < n; b++)
		fprintf(file, n <= MATRIX_RANKS / 2 ? "%8zu" : "%zu", n <= MATRIX_RANKS / 2 ? b : b % 10);
	fputc('\n', file);
	for (size_t a = 0; a < n; a++) {
		fprintf(file, "%4zu ", a);
		for (size_t b = 0; b < n; b++) {
			const double value = matrix[a * n + b];
			const double place = most > least ? (value - least) / (most - least) : 0.5;
			const char *shade = a == b ? "·" : shades[1 + (int)(place * 3.499)];

			if (n <= MATRIX_RANKS / 2 && a == b)
				fputs("       ·", file);
			else if (n <= MATRIX_RANKS / 2)
				fprintf(file, " %6.3g%s", value, shade);
			else
				fputs(shade, file);
		}
		fputc('\n', file);
	}
}

void
tt_topo_text(FILE *file, const struct tt_topo_view *view)
{
	put_machine(file, view);
	if (view->nranks == 0)
		return;
	put_ranks_table(file, view);
	put_order(file, view);
	put_pairs(file, view);
	if (view->latency_us != NULL)
		put_matrix(file, view, view->latency_us, "latency of 8 bytes, one way, in us");
	if (view->bandwidth_gbps != NULL)
		put_matrix(file, view, view->bandwidth_gbps, "bandwidth of 1 MiB, one way, in GB/s");
}

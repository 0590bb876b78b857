/* SPDX-License-Identifier: Apache-2.0
 *
 * sim_text.c - prices as a table, where the best algorithm changes, and the same as JSON.
 */
#include "cli/sim/sim.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#define WIDTH 12 /* of a column */

static void
put_time(FILE *file, double seconds, char mark)
{
	if (seconds < 1e-3)
		fprintf(file, " %10.2fu%c", seconds * 1e6, mark);
	else if (seconds < 1)
		fprintf(file, " %10.2fm%c", seconds * 1e3, mark);
	else
		fprintf(file, " %10.2fs%c", seconds, mark);
}

/* Of a name that is too long for a column, where its second line begins; else where it ends. */
static const char *
second_line(const char *name)
{
	const char *gap = strlen(name) > WIDTH ? strchr(name, '_') : NULL;

	return gap != NULL ? gap + 1 : name + strlen(name);
}

static void
put_column_names(FILE *file, const struct tt_sim *sim, int from, int to)
{
	bool two = false;

	fputc('\n', file);
	for (int a = from; a < to; a++)
		two = two || *second_line(sim->algorithm[a]->name) != '\0';
	if (two) {
		fprintf(file, "%8s", "");
		for (int a = from; a < to; a++) {
			const char *name = sim->algorithm[a]->name, *rest = second_line(name);

			fprintf(file, " %*.*s", WIDTH, *rest != '\0' ? (int)(rest - name) : 0, name);
		}
		fputc('\n', file);
	}
	fprintf(file, "%8s", "size");
	for (int a = from; a < to; a++) {
		const char *name = sim->algorithm[a]->name, *rest = second_line(name);

		fprintf(file, " %*s", WIDTH, *rest != '\0' ? rest : name);
	}
	fprintf(file, "  %s\n", to == sim->nalgorithms ? "chosen" : "");
}

#define COLUMNS 8 /* of them next to each other */

static void
put_table(FILE *file, const struct tt_sim *sim)
{
	char text[32];

	for (int from = 0; from < sim->nalgorithms; from += COLUMNS) {
		const int to = from + COLUMNS < sim->nalgorithms ? from + COLUMNS : sim->nalgorithms;

		put_column_names(file, sim, from, to);
		for (int s = 0; s < sim->nsizes; s++) {
			const int best = tt_sim_best(sim, s);

			fprintf(file, "%8s", tt_sim_size_text(sim->size[s], text, sizeof(text)));
			for (int a = from; a < to; a++) {
				const struct tt_sim_price *p = &sim->price[a][s];

				if (p->method == TT_SIM_NOT_POSSIBLE)
					fprintf(file, " %*s", WIDTH, "-");
				else
					put_time(file, p->seconds,
					    a == best                         ? '*'
					    : p->method == TT_SIM_CLOSED_FORM ? '~'
									      : ' ');
			}
			if (to == sim->nalgorithms && sim->chosen[s] != NULL)
				fprintf(file, "  %s", sim->chosen[s]->name);
			fputc('\n', file);
		}
	}
	fputs("\n* least   ~ by the closed form, the plans being too large to run   u m s: micro-, milliseconds, "
	      "seconds\n",
	    file);
}

static void
put_crossovers(FILE *file, const struct tt_sim *sim)
{
	char from[32], to[32];

	if (sim->nsizes < 2)
		return;
	fputs("\nbest:\n", file);
	for (int s = 0, end; s < sim->nsizes; s = end) {
		const int best = tt_sim_best(sim, s);

		for (end = s + 1; end < sim->nsizes && tt_sim_best(sim, end) == best; end++)
			;
		fprintf(file, "  %8s to %-8s %s\n", tt_sim_size_text(sim->size[s], from, sizeof(from)),
		    tt_sim_size_text(sim->size[end - 1], to, sizeof(to)),
		    best >= 0 ? sim->algorithm[best]->name : "none");
	}
}

const char *
tt_sim_where(const struct tt_sim *sim, char *text, size_t capacity)
{
	const int nodes = sim->job->one_host ? 1 : sim->job->nodes;

	snprintf(
	    text, capacity, "%son %d node%s", sim->job->one_host ? "over TCP " : "", nodes, nodes == 1 ? "" : "s");
	return text;
}

void
tt_sim_text(FILE *file, const struct tt_sim *sim)
{
	const struct tt_described *job = sim->job;

	char where[48];

	fprintf(file, "%s, %d ranks %s of %s\n", tt_collective_name(sim->collective), job->ranks,
	    tt_sim_where(sim, where, sizeof(where)), job->topology->source);
	put_table(file, sim);
	put_crossovers(file, sim);
}

static void
put_string(FILE *file, const char *text)
{
	fputc('"', file);
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', file);
		fputc((unsigned char)*text < 0x20 ? ' ' : *text, file);
	}
	fputc('"', file);
}

void
tt_sim_json(FILE *file, const struct tt_sim *sim)
{
	fprintf(file, "{\"collective\": \"%s\", \"ranks\": %d, \"nodes\": %d, \"machine\": ",
	    tt_collective_name(sim->collective), sim->job->ranks, sim->job->nodes);
	put_string(file, sim->job->topology->source);
	fputs(",\n\"sizes\": [", file);
	for (int s = 0; s < sim->nsizes; s++) {
		const int best = tt_sim_best(sim, s);

		fprintf(file, "%s{\"bytes\": %" PRIu64 ", \"best\": \"%s\", \"chosen\": \"%s\", \"algorithms\": {",
		    s > 0 ? ",\n" : "\n", sim->size[s], best >= 0 ? sim->algorithm[best]->name : "",
		    sim->chosen[s] != NULL ? sim->chosen[s]->name : "");
		for (int a = 0, any = 0; a < sim->nalgorithms; a++) {
			const struct tt_sim_price *p = &sim->price[a][s];

			if (p->method == TT_SIM_NOT_POSSIBLE)
				continue;
			fprintf(file, "%s\"%s\": {\"us\": %.6g, \"closed_form_us\": %.6g, \"simulated\": %s}",
			    any++ ? ", " : "", sim->algorithm[a]->name, p->seconds * 1e6, p->closed_s * 1e6,
			    p->method == TT_SIM_EVENTS ? "true" : "false");
		}
		fputs("}}", file);
	}
	fputs("]}\n", file);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * topo_json.c - the same for programs: one object.
 */
#include "cli/topo/topo_view.h"

static void
put_string(FILE *file, const char *text)
{
	fputc('"', file);
	for (; *text != '\0'; text++) {
		const unsigned char c = (unsigned char)*text;

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
put_machine(FILE *file, const struct tt_topo_view *view)
{
	const struct tt_topology *t = view->topology;

	fputs("\"machine\": {\"source\": ", file);
	put_string(file, t->source);
	fputs(", \"cpu\": ", file);
	put_string(file, t->model);
	fprintf(file,
	    ", \"packages\": %d, \"numa_nodes\": %d, \"l3_caches\": %d, \"l2_caches\": %d, \"cores\": %d, "
	    "\"threads\": %d, "
	    "\"kinds_of_core\": %d, \"usable_cores\": %d, \"quota\": %.6g, \"l1d_bytes\": %zu, \"l2_bytes\": %zu, "
	    "\"l3_bytes\": %zu,\n\"cores_at\": [",
	    t->packages, t->numa_nodes, t->l3s, t->l2s, t->cores, t->cpus, t->kinds, view->usable, view->quota,
	    t->l1d_bytes, t->l2_bytes, t->l3_bytes);
	for (int c = 0; c < t->cores; c++)
		fprintf(file,
		    "%s{\"package\": %d, \"numa\": %d, \"l3\": %d, \"l2\": %d, \"first_cpu\": %d, \"threads\": %d}",
		    c > 0 ? ",\n" : "\n", t->core[c].package, t->core[c].numa, t->core[c].l3, t->core[c].l2,
		    t->core[c].first_cpu, t->core[c].cpus);
	fputs("],\n\"network_cards\": [", file);
	for (int i = 0; i < t->nics; i++) {
		fprintf(file, "%s{\"name\": ", i > 0 ? ", " : "");
		put_string(file, t->nic[i].name);
		fprintf(file, ", \"gbps\": %g, \"numa\": %d, \"up\": %s, \"virtual\": %s}", t->nic[i].gbps,
		    t->nic[i].numa, t->nic[i].up ? "true" : "false", t->nic[i].is_virtual ? "true" : "false");
	}
	fputs("],\n\"devices\": [", file);
	for (int i = 0; i < t->devices; i++) {
		fprintf(file, "%s{\"name\": ", i > 0 ? ", " : "");
		put_string(file, t->device[i].name);
		fprintf(file, ", \"numa\": %d}", t->device[i].numa);
	}
	fputs("]}", file);
}

static void
put_ranks(FILE *file, const struct tt_topo_view *view)
{
	fputs(",\n\"ranks\": [", file);
	for (int r = 0; r < view->nranks; r++) {
		const struct tt_topo_rank *rank = &view->ranks[r];
		const int32_t *g = rank->card.group;

		fprintf(file, "%s{\"rank\": %d, \"node\": %d, \"host\": ", r > 0 ? ",\n" : "\n", r, rank->node);
		put_string(file, rank->host);
		fprintf(file,
		    ", \"package\": %d, \"numa\": %d, \"l3\": %d, \"l2\": %d, \"core\": %d, \"threads\": %d, "
		    "\"usable_cores\": %d, \"card\": ",
		    g[TT_MAP_PACKAGE], g[TT_MAP_NUMA], g[TT_MAP_L3], g[TT_MAP_L2], g[TT_MAP_CORE], rank->card.cpus,
		    rank->cores);
		put_string(file, rank->card.nic);
		fputc('}', file);
	}
	fputc(']', file);
}

static void
put_list(FILE *file, const char *name, const int *list, int n)
{
	fprintf(file, ",\n\"%s\": [", name);
	for (int i = 0; i < n; i++)
		fprintf(file, "%s%d", i > 0 ? ", " : "", list[i]);
	fputc(']', file);
}

static void
put_matrix(FILE *file, const char *name, const double *matrix, int n)
{
	if (matrix == NULL)
		return;
	fprintf(file, ",\n\"%s\": [", name);
	for (int a = 0; a < n; a++) {
		fputs(a > 0 ? ",\n[" : "\n[", file);
		for (int b = 0; b < n; b++)
			fprintf(file, "%s%.6g", b > 0 ? ", " : "", matrix[a * n + b]);
		fputc(']', file);
	}
	fputc(']', file);
}

void
tt_topo_json(FILE *file, const struct tt_topo_view *view)
{
	fputc('{', file);
	put_machine(file, view);
	put_ranks(file, view);
	if (view->map != NULL) {
		fprintf(file, ",\n\"nodes\": %d,\n\"hosts\": %d,\n\"transport_within_nodes\": ", view->map->nnodes,
		    view->map->nhosts);
		put_string(file, view->transport[0]);
		fputs(",\n\"transport_between_nodes\": ", file);
		put_string(file, view->transport[1]);
		put_list(file, "ring", view->map->order, view->nranks);
		put_list(file, "parents", view->map->parent, view->nranks);
	}
	put_matrix(file, "latency_us", view->latency_us, view->nranks);
	put_matrix(file, "bandwidth_gbytes_per_s", view->bandwidth_gbps, view->nranks);
	fputs("}\n", file);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * machines.c - machines that are not here: what is read out of a description, where ranks come to sit, which order and
 * tree they get, and what the selector chooses there, must be what is recorded.
 *
 * usage: machines FILE...            compares; TAP
 *        machines --record FILE...   rewrites what follows "expect:" in each file
 *
 * A file: "machine: DESCRIPTION or XML file beside it", "job: RANKS ranks on NODES nodes, block|cyclic", "expect:" and
 * what is expected. Lines that begin with # say which real machine the description is made after.
 */
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "profile/profile.h"
#include "select/select.h"
#include "topology/map.h"

#define MOST_TEXT 65536

struct text {
	char bytes[MOST_TEXT];
	size_t used;
};

struct job {
	char machine[2048];
	int ranks, nodes;
	bool cyclic;
};

TT_PRINTF(2, 3)
static void
put(struct text *text, const char *format, ...)
{
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vsnprintf(text->bytes + text->used, sizeof(text->bytes) - text->used, format, arguments);
	va_end(arguments);
	if (n > 0 && text->used + (size_t)n < sizeof(text->bytes))
		text->used += (size_t)n;
}

static bool
read_file(const char *path, char *text, size_t capacity)
{
	FILE *file = fopen(path, "r");
	size_t n;

	if (file == NULL)
		return false;
	n = fread(text, 1, capacity - 1, file);
	text[n] = '\0';
	fclose(file);
	return true;
}

static bool
read_job(const char *path, char *text, struct job *job, char **expected)
{
	char how[16], *at, folder[1024], name[1024];

	*expected = strstr(text, "\nexpect:\n");
	at = strstr(text, "\nmachine: ");
	if (*expected == NULL || at == NULL || sscanf(at, "\nmachine: %1023[^\n]", name) != 1)
		return false;
	*expected += strlen("\nexpect:\n");
	snprintf(folder, sizeof(folder), "%s", path);
	if (strstr(name, ".xml") != NULL)
		snprintf(job->machine, sizeof(job->machine), "%s/%s", dirname(folder), name);
	else
		snprintf(job->machine, sizeof(job->machine), "%s", name);
	at = strstr(text, "\njob: ");
	if (at == NULL || sscanf(at, "\njob: %d ranks on %d nodes, %15s", &job->ranks, &job->nodes, how) != 3)
		return false;
	job->cyclic = strcmp(how, "cyclic") == 0;
	return true;
}

static void
put_machine(struct text *text, const struct tt_topology *t)
{
	put(text, "%d packages, %d NUMA nodes, %d L3, %d L2, %d cores, %d threads, %d kinds of core\n", t->packages,
	    t->numa_nodes, t->l3s, t->l2s, t->cores, t->cpus, t->kinds);
	put(text, "caches: L1 %zuK, L2 %zuK, L3 %zuK\n", t->l1d_bytes >> 10, t->l2_bytes >> 10, t->l3_bytes >> 10);
	for (int i = 0; i < t->nics; i++)
		put(text, "card %s: %g Gb/s, NUMA node %d\n", t->nic[i].name, t->nic[i].gbps, t->nic[i].numa);
	for (int i = 0; i < t->devices; i++)
		put(text, "device %s: NUMA node %d\n", t->device[i].name, t->device[i].numa);
}

static void
put_list(struct text *text, const char *name, const int *list, int n)
{
	put(text, "%s:", name);
	for (int i = 0; i < n; i++)
		put(text, " %d", list[i]);
	put(text, "\n");
}

static void
put_choices(struct text *text, const struct tt_map *map, const int *node_of, const struct tt_topology *t)
{
	static const enum tt_collective collectives[] = {
	    TT_ALL_REDUCE, TT_ALL_GATHER, TT_BROADCAST, TT_REDUCE_SCATTER, TT_ALL_TO_ALL, TT_BARRIER};
	struct tt_select_facts facts;
	struct tt_constants constants;

	tt_constants_init(&constants);
	tt_calibrate_caches(t->l1d_bytes, t->l2_bytes, &constants);
	tt_select_facts_init(&facts, map->nranks, map->nnodes, node_of);
	facts.most_per_host = map->most_per_host;
	facts.cores = t->cores;
	facts.lanes = 4;
	tt_select_facts_use(&facts, &constants, map);
	put(text, "meeting %.0f ns, chunks of %uK, %lluK apart, blocks of %uK\n", facts.meet_s * 1e9,
	    (unsigned)facts.stage.chunk_least >> 10, (unsigned long long)facts.stage.apart >> 10,
	    (unsigned)facts.stage.block >> 10);
	for (size_t c = 0; c < TT_COUNT_OF(collectives); c++) {
		put(text, "%s:", tt_collective_name(collectives[c]));
		for (int shift = 3; shift <= 27; shift += 6) {
			const struct tt_select_call call = {.collective = collectives[c],
			    .dtype = TUTTI_FLOAT32,
			    .op = TUTTI_SUM,
			    .bytes = UINT64_C(1) << shift};
			struct tt_choice choice;

			put(text, " %s",
			    tt_select(&facts, &call, &choice) == TUTTI_OK ? choice.algorithm->name : "none");
		}
		put(text, "\n");
	}
}

static bool
put_job(struct text *text, const struct job *job, const struct tt_topology *t)
{
	struct tt_rank_card cards[256];
	int node_of[256], seen[256] = {0};
	const int each = job->ranks / job->nodes;
	struct tt_map *map;

	for (int r = 0; r < job->ranks; r++) {
		struct tt_cpu_set set;

		node_of[r] = job->cyclic ? r % job->nodes : r / each;
		tt_topology_binding(t, seen[node_of[r]]++, each, &set);
		tt_rank_card_of(t, &set, (uint64_t)node_of[r] + 1, &cards[r]);
	}
	if (tt_map_create(cards, node_of, job->ranks, &map) != TUTTI_OK)
		return false;
	put(text, "rank: node package numa l3 l2 core card distance\n");
	for (int r = 0; r < job->ranks; r++) {
		const int32_t *g = cards[r].group;

		put(text, "%d: %d %d %d %d %d %d %s %d\n", r, node_of[r], g[TT_MAP_PACKAGE], g[TT_MAP_NUMA],
		    g[TT_MAP_L3], g[TT_MAP_L2], g[TT_MAP_CORE], cards[r].nic[0] != '\0' ? cards[r].nic : "-",
		    cards[r].nic_distance);
	}
	put_list(text, "ring", map->order, map->nranks);
	put_list(text, "parents", map->parent, map->nranks);
	for (int level = TT_MAP_PACKAGE; level <= TT_MAP_L3; level++) {
		int leaders[256], n = 0;

		for (int r = 0; r < map->nranks; r++)
			if (tt_map_leader(map, (enum tt_map_level)level, r) == r)
				leaders[n++] = r;
		put(text, "%s ", tt_map_level_name((enum tt_map_level)level));
		put_list(text, "leaders", leaders, n);
	}
	put(text, "slice owners of node 0:");
	for (int slice = 0; slice < each; slice++)
		put(text, " %d", tt_map_slice_owner(map, 0, slice));
	put(text, "\n");
	put_choices(text, map, node_of, t);
	tt_map_destroy(map);
	return true;
}

/* The first lines that differ. */
static void
put_difference(const char *expected, const char *got)
{
	while (*expected != '\0' && *got != '\0') {
		const size_t e = strcspn(expected, "\n"), g = strcspn(got, "\n");

		if (e != g || memcmp(expected, got, e) != 0)
			printf("# expected %.*s\n# got      %.*s\n", (int)e, expected, (int)g, got);
		expected += e + (expected[e] != '\0');
		got += g + (got[g] != '\0');
	}
}

/* 0 = as recorded, 1 = not, 2 = built without hwloc. */
static int
compare(const char *path, bool record)
{
	static char whole[MOST_TEXT];
	static struct text text;
	struct job job;
	struct tt_topology *t;
	char *expected;
	bool ok;
	tutti_status status;

	text.used = 0;
	if (!read_file(path, whole, sizeof(whole)) || !read_job(path, whole, &job, &expected) || job.ranks > 256 ||
	    job.nodes < 1 || job.ranks % job.nodes != 0) {
		printf("# %s is no description of a machine and a job\n", path);
		return 1;
	}
	status = tt_topology_load(job.machine, &t);
	if (status != TUTTI_OK) {
		printf("# %s\n", tt_last_error()->message);
		return status == TUTTI_ERR_UNSUPPORTED ? 2 : 1;
	}
	put_machine(&text, t);
	ok = put_job(&text, &job, t);
	tt_topology_destroy(t);
	if (record) {
		FILE *file = fopen(path, "w");

		if (file == NULL)
			return 1;
		fprintf(file, "%.*s%s", (int)(expected - whole), whole, text.bytes);
		return fclose(file) != 0;
	}
	if (!ok || strcmp(expected, text.bytes) != 0) {
		put_difference(expected, text.bytes);
		printf("# if that is right, record it: machines --record %s\n", path);
		return 1;
	}
	return 0;
}

int
main(int argc, char **argv)
{
	const bool record = argc > 1 && strcmp(argv[1], "--record") == 0;
	int failures = 0, number = 0;

	for (int i = record ? 2 : 1; i < argc; i++) {
		const int result = compare(argv[i], record);

		printf("%sok %d - %s is as recorded%s\n", result == 1 ? "not " : "", ++number, basename(argv[i]),
		    result == 2 ? " # SKIP without hwloc" : "");
		failures += result == 1;
	}
	printf("1..%d\n", number);
	return failures != 0;
}

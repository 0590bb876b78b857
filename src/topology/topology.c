/* SPDX-License-Identifier: Apache-2.0
 *
 * topology.c - descriptions of hosts: where they come from, and what follows from them.
 *
 * Knows nothing of hwloc (topology_hwloc.c) or of ranks (map.c).
 */
#include "topology/topology.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/memory.h"

#define MOST_DESCRIPTION 4096

static tutti_status
take(size_t n, size_t size, void *array)
{
	void *memory;

	TT_TRY(tt_alloc(n > 0 ? n : 1, size, "a description of a host", &memory));
	memcpy(array, &memory, sizeof(memory));
	return TUTTI_OK;
}

tutti_status
tt_topology_room(struct tt_topology *t, int cores, int most_cpu, int numa_nodes)
{
	t->cores = cores;
	t->most_cpu = most_cpu;
	t->numa_nodes = numa_nodes;
	TT_TRY(take((size_t)cores, sizeof(*t->core), &t->core));
	TT_TRY(take((size_t)most_cpu, sizeof(*t->core_of_cpu), &t->core_of_cpu));
	TT_TRY(take((size_t)numa_nodes, sizeof(*t->package_of_numa), &t->package_of_numa));
	TT_TRY(take((size_t)numa_nodes, sizeof(*t->memory_of_numa), &t->memory_of_numa));
	for (int cpu = 0; cpu < most_cpu; cpu++)
		t->core_of_cpu[cpu] = -1;
	return TUTTI_OK;
}

static int
above(int most, int group)
{
	return group >= most ? group + 1 : most;
}

void
tt_topology_finish(struct tt_topology *t)
{
	for (int c = 0; c < t->cores; c++) {
		const struct tt_topo_core *core = &t->core[c];

		t->packages = above(t->packages, core->package);
		t->l3s = above(t->l3s, core->l3);
		t->l2s = above(t->l2s, core->l2);
		t->kinds = above(t->kinds, core->kind);
		if (core->numa >= 0 && core->numa < t->numa_nodes)
			t->package_of_numa[core->numa] = core->package;
	}
}

void
tt_topology_destroy(struct tt_topology *t)
{
	if (t == NULL)
		return;
	tt_free(t->core);
	tt_free(t->core_of_cpu);
	tt_free(t->package_of_numa);
	tt_free(t->memory_of_numa);
	tt_free(t);
}

/* ---- devices of a description ------------------------------------------------------------------------------- */

static tutti_status
bad_device(const char *text, int len)
{
	return tt_fail(TUTTI_ERR_ARGUMENT, -1,
	    "\"%.*s\" is no device of a machine: write for example net:eth0@0=100 (Gb/s) or gpu:gpu0@1", len, text);
}

/* "net:eth0@0=100" */
static tutti_status
add_device(struct tt_topology *t, const char *text, int len)
{
	char kind[8], name[32], item[96];
	int numa, used = 0;
	double gbps = 0;
	const bool with_speed = memchr(text, '=', (size_t)len) != NULL;

	if (len >= (int)sizeof(item))
		return bad_device(text, len);
	snprintf(item, sizeof(item), "%.*s", len, text);
	if (sscanf(item, "%7[a-z]:%31[^@]@%d%n=%lf%n", kind, name, &numa, &used, &gbps, &used) < 3 || used != len ||
	    !(gbps >= 0 && gbps <= 1e6))
		return bad_device(text, len);
	if (numa < 0 || numa >= t->numa_nodes)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "\"%.*s\": there is no NUMA node %d, this machine has %d (numa:N in a description)", len, text,
		    numa, t->numa_nodes);
	if (strcmp(kind, "net") == 0 && t->nics < TT_TOPOLOGY_DEVICES) {
		struct tt_topo_nic *nic = &t->nic[t->nics++];

		*nic = (struct tt_topo_nic){.gbps = gbps, .numa = numa, .up = true};
		memcpy(nic->name, name, sizeof(name));
		return TUTTI_OK;
	}
	if (strcmp(kind, "gpu") == 0 && !with_speed && t->devices < TT_TOPOLOGY_DEVICES) {
		struct tt_topo_device *device = &t->device[t->devices++];

		device->numa = numa;
		memcpy(device->name, name, sizeof(name));
		return TUTTI_OK;
	}
	return bad_device(text, len);
}

static tutti_status
add_devices(struct tt_topology *t, const char *text)
{
	while (*text != '\0') {
		int len;

		text += strspn(text, "; \t\n");
		len = (int)strcspn(text, "; \t\n");
		if (len > 0)
			TT_TRY(add_device(t, text, len));
		text += len;
	}
	return TUTTI_OK;
}

/* How many threads there would be: what stands outside of brackets multiplies. hwloc would take minutes to find out. */
static double
threads_of(const char *text)
{
	double threads = 1;
	int depth = 0;

	for (; *text != '\0'; text++) {
		depth += (*text == '[' || *text == '(') - (*text == ']' || *text == ')');
		if (depth == 0 && *text == ':')
			threads *= strtod(text + 1, NULL);
	}
	return threads;
}

static tutti_status
load_description(const char *text, struct tt_topology *t)
{
	const size_t len = strcspn(text, ";");
	char synthetic[MOST_DESCRIPTION];

	if (len >= sizeof(synthetic))
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "the description of a machine has %zu characters, at most %d",
		    len, MOST_DESCRIPTION - 1);
	memcpy(synthetic, text, len);
	synthetic[len] = '\0';
	if (threads_of(synthetic) > TT_HOST_CPUS)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "\"%.100s\" has %.0f hardware threads: a machine has at most %d", synthetic,
		    threads_of(synthetic), TT_HOST_CPUS);
	TT_TRY(tt_topology_load_hwloc(NULL, synthetic, t));
	return add_devices(t, text + len);
}

static tutti_status
load_here(struct tt_topology *t)
{
	tutti_status status = tt_topology_load_hwloc(NULL, NULL, t);

	t->is_here = true;
	if (status == TUTTI_ERR_UNSUPPORTED)
		status = tt_topology_load_files("", t);
	if (status == TUTTI_OK)
		tt_topology_read_nics("", t);
	return status;
}

static bool
is_file(const char *where)
{
	struct stat status;

	return stat(where, &status) == 0 && S_ISREG(status.st_mode);
}

tutti_status
tt_topology_load(const char *where, struct tt_topology **topology)
{
	const bool here = where == NULL || where[0] == '\0';
	struct tt_topology *t;
	void *memory;
	tutti_status status;

	TT_TRY(tt_alloc(1, sizeof(*t), "a description of a host", &memory));
	t = memory;
	snprintf(t->source, sizeof(t->source), "%.120s", here ? "this host" : where);
	if (here)
		status = load_here(t);
	else if (is_file(where))
		status = tt_topology_load_hwloc(where, NULL, t);
	else if (strchr(where, ':') == NULL)
		status = tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "there is no file %.200s, and it is no description such as \"pack:2 core:8 pu:2\"", where);
	else
		status = load_description(where, t);
	if (status == TUTTI_OK && t->cores == 0)
		status = tt_fail(TUTTI_ERR_ARGUMENT, -1, "%.200s describes a machine without cores", t->source);
	if (status != TUTTI_OK) {
		tt_topology_destroy(t);
		return status;
	}
	*topology = t;
	return TUTTI_OK;
}

/* ---- what follows ---------------------------------------------------------------------------------------------- */

static uint64_t
mix(uint64_t hash, uint64_t value)
{
	for (int i = 0; i < 8; i++) {
		hash ^= value >> (8 * i) & 0xff;
		hash *= UINT64_C(0x100000001b3);
	}
	return hash;
}

uint64_t
tt_topology_hash(const struct tt_topology *t)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (const char *c = t->model; *c != '\0'; c++)
		hash = mix(hash, (unsigned char)*c);
	hash = mix(hash, (uint64_t)t->numa_nodes);
	hash = mix(hash, t->l1d_bytes);
	hash = mix(hash, t->l2_bytes);
	hash = mix(hash, t->l3_bytes);
	for (int c = 0; c < t->cores; c++) {
		const struct tt_topo_core *core = &t->core[c];

		hash = mix(hash, (uint64_t)core->package << 48 ^ (uint64_t)(core->numa + 1) << 32 ^
				     (uint64_t)(core->l3 + 1) << 16 ^ (uint64_t)(core->l2 + 1));
		hash = mix(hash, (uint64_t)core->cpus << 32 ^ (uint64_t)core->kind);
	}
	return hash;
}

int
tt_topology_distance(const struct tt_topology *t, int a, int b)
{
	if (a < 0 || b < 0 || a == b)
		return 10;
	if (a < TT_TOPOLOGY_DISTANCES && b < TT_TOPOLOGY_DISTANCES && t->distance[a][b] > 0)
		return t->distance[a][b];
	if (a >= t->numa_nodes || b >= t->numa_nodes)
		return 10;
	return t->package_of_numa[a] == t->package_of_numa[b] ? 12 : 21;
}

/* Better is smaller: what is up before what is not, hardware before what is virtual, then speed, then nearness. */
static bool
nic_is_better(const struct tt_topology *t, const struct tt_topo_nic *a, const struct tt_topo_nic *b, int numa)
{
	if (a->up != b->up)
		return a->up;
	if (a->is_virtual != b->is_virtual)
		return b->is_virtual;
	if (a->gbps > b->gbps || a->gbps < b->gbps)
		return a->gbps > b->gbps;
	return tt_topology_distance(t, numa, a->numa) < tt_topology_distance(t, numa, b->numa);
}

int
tt_topology_nic_for(const struct tt_topology *t, int core)
{
	const int numa = core >= 0 && core < t->cores ? t->core[core].numa : -1;
	int best = -1;

	for (int i = 0; i < t->nics; i++)
		if (best < 0 || nic_is_better(t, &t->nic[i], &t->nic[best], numa))
			best = i;
	return best;
}

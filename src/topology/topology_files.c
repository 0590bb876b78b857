/* SPDX-License-Identifier: Apache-2.0
 *
 * topology_files.c - what /sys tells of a host: its network cards always (hwloc leaves out those without hardware, and
 * knows no speeds), its processors where there is no hwloc.
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "topology/host_file.h"
#include "topology/topology.h"

/* ---- network cards -------------------------------------------------------------------------------------------- */

static void
read_nic(const char *root, const char *name, struct tt_topo_nic *nic)
{
	char path[PATH_MAX], state[32] = "";
	struct stat status;
	long mbps, numa;

	*nic = (struct tt_topo_nic){.numa = -1};
	snprintf(nic->name, sizeof(nic->name), "%.31s", name);
	snprintf(path, sizeof(path), "/sys/class/net/%s/speed", name);
	mbps = tt_host_read_number(root, path, -1);
	if (mbps > 0)
		nic->gbps = (double)mbps / 1000;
	snprintf(path, sizeof(path), "/sys/class/net/%s/device/numa_node", name);
	numa = tt_host_read_number(root, path, -1);
	nic->numa = numa >= 0 && numa < TT_HOST_CPUS ? (int)numa : -1;
	(void)tt_host_read(root, state, sizeof(state), "/sys/class/net/%s/operstate", name);
	nic->up = strcmp(state, "up") == 0 || strcmp(state, "unknown") == 0;
	snprintf(path, sizeof(path), "%s/sys/class/net/%s/device", root, name);
	nic->is_virtual = stat(path, &status) != 0;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct tt_topo_nic *)a)->name, ((const struct tt_topo_nic *)b)->name);
}

void
tt_topology_read_nics(const char *root, struct tt_topology *t)
{
	char path[PATH_MAX];
	DIR *folder;

	snprintf(path, sizeof(path), "%s/sys/class/net", root);
	folder = opendir(path);
	if (folder == NULL)
		return;
	for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
		if (entry->d_name[0] == '.' || strcmp(entry->d_name, "lo") == 0 || t->nics == TT_TOPOLOGY_DEVICES)
			continue;
		read_nic(root, entry->d_name, &t->nic[t->nics]);
		if (t->nic[t->nics].numa >= t->numa_nodes)
			t->nic[t->nics].numa = -1;
		t->nics++;
	}
	closedir(folder);
	qsort(t->nic, (size_t)t->nics, sizeof(t->nic[0]), by_name);
}

/* ---- processors ------------------------------------------------------------------------------------------------- */

static bool
read_set(const char *root, struct tt_cpu_set *set, const char *format, int number)
{
	char list[4096], path[PATH_MAX];

	snprintf(path, sizeof(path), format, number);
	return tt_host_read(root, list, sizeof(list), "%s", path) && tt_cpu_set_parse(list, set) == TUTTI_OK;
}

static int
lowest(const struct tt_cpu_set *set)
{
	for (int w = 0; w < TT_HOST_CPUS / 64; w++)
		if (set->bits[w] != 0)
			return w * 64 + __builtin_ctzll(set->bits[w]);
	return -1;
}

static bool
has(const struct tt_cpu_set *set, int cpu)
{
	return (set->bits[cpu / 64] >> (cpu % 64) & 1) != 0;
}

/* Cores by their first thread; `groups` collects what they belong to by lowest CPU, numbered afterwards. */
static void
read_core(const char *root, int cpu, const struct tt_cpu_set *threads, struct tt_topo_core *core)
{
	struct tt_cpu_set sharers;
	char path[128];

	*core = (struct tt_topo_core){
	    .numa = -1, .l3 = -1, .l2 = -1, .first_cpu = cpu, .cpus = tt_cpu_set_count(threads)};
	if (read_set(root, &sharers, "/sys/devices/system/cpu/cpu%d/topology/core_siblings_list", cpu))
		core->package = lowest(&sharers);
	for (int i = 0; i < 8; i++) {
		long level;

		snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/cache/index%d/level", cpu, i);
		level = tt_host_read_number(root, path, 0);
		snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%%d/cache/index%d/shared_cpu_list", i);
		if ((level == 2 || level == 3) && read_set(root, &sharers, path, cpu))
			*(level == 2 ? &core->l2 : &core->l3) = lowest(&sharers);
	}
}

/* Lowest CPUs become numbers from 0 in the order of the cores. */
static void
number_groups(struct tt_topology *t, size_t field)
{
	int seen[TT_HOST_CPUS], n = 0;

	for (int c = 0; c < t->cores; c++) {
		int *group = (int *)(void *)((char *)&t->core[c] + field), i = 0;

		if (*group < 0)
			continue;
		while (i < n && seen[i] != *group)
			i++;
		if (i == n)
			seen[n++] = *group;
		*group = i;
	}
}

static void
read_nodes(const char *root, struct tt_topology *t, const struct tt_cpu_set *nodes)
{
	int number = 0;

	for (int node = 0; node < TT_HOST_CPUS && number < t->numa_nodes; node++) {
		struct tt_cpu_set cpus;

		if (!has(nodes, node))
			continue;
		if (read_set(root, &cpus, "/sys/devices/system/node/node%d/cpulist", node))
			for (int c = 0; c < t->cores; c++)
				if (has(&cpus, t->core[c].first_cpu))
					t->core[c].numa = number;
		number++;
	}
}

tutti_status
tt_topology_load_files(const char *root, struct tt_topology *t)
{
	struct tt_cpu_set online, nodes = {{0}}, left, threads;
	struct tt_host host = {0};
	int cores = 0;

	if (!read_set(root, &online, "/sys/devices/system/cpu/online", 0))
		TT_TRY(tt_host_affinity(&online));
	if (!read_set(root, &nodes, "/sys/devices/system/node/has_cpu", 0))
		nodes.bits[0] = 1;
	TT_TRY(tt_topology_room(t, tt_cpu_set_count(&online), TT_HOST_CPUS, tt_cpu_set_count(&nodes)));
	left = online;
	for (int cpu = lowest(&left); cpu >= 0; cpu = lowest(&left)) {
		if (!read_set(root, &threads, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu) ||
		    !has(&threads, cpu)) {
			threads = (struct tt_cpu_set){{0}};
			threads.bits[cpu / 64] = UINT64_C(1) << (cpu % 64);
		}
		for (int other = 0; other < TT_HOST_CPUS; other++)
			if (has(&threads, other)) {
				t->core_of_cpu[other] = cores;
				left.bits[other / 64] &= ~(UINT64_C(1) << (other % 64));
				t->cpus++;
			}
		read_core(root, cpu, &threads, &t->core[cores++]);
	}
	t->cores = cores;
	number_groups(t, offsetof(struct tt_topo_core, package));
	number_groups(t, offsetof(struct tt_topo_core, l3));
	number_groups(t, offsetof(struct tt_topo_core, l2));
	read_nodes(root, t, &nodes);
	tt_host_probe_files(root, &host);
	t->l1d_bytes = host.l1d_bytes;
	t->l2_bytes = host.l2_bytes;
	t->l3_bytes = host.l3_bytes;
	memcpy(t->model, host.cpu_model, sizeof(t->model));
	tt_topology_finish(t);
	return TUTTI_OK;
}

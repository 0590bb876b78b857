/* SPDX-License-Identifier: Apache-2.0
 *
 * host.c - this host's cores, caches, packages and NUMA nodes, out of /proc and /sys.
 *
 * The files come first because they cost microseconds; hwloc (host_hwloc.c) costs milliseconds and is asked only
 * for what they leave open.
 */
#include "topology/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "topology/host_file.h"

int
tt_host_cores_at(const char *root, int cpus)
{
	double quota = tt_host_quota_at(root);

	if (quota > 0 && quota < cpus)
		cpus = (int)quota;
	return cpus > 1 ? cpus : 1;
}

/* CPUs in the affinity mask; where that cannot be read, the CPUs that are online. */
static int
cpus_allowed(void)
{
	struct tt_cpu_set set;
	long online;

	if (tt_host_affinity(&set) == TUTTI_OK)
		return tt_cpu_set_count(&set);
	online = sysconf(_SC_NPROCESSORS_ONLN);
	return online > 0 ? (int)online : 1;
}

int
tt_host_cores(void)
{
	return tt_host_cores_at("", cpus_allowed());
}

/* "48K", "2M": how sysfs writes the size of a cache. */
static size_t
cache_bytes(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end == 'K')
		return (size_t)n << 10;
	if (*end == 'M')
		return (size_t)n << 20;
	return (size_t)n;
}

static void
read_caches(const char *root, struct tt_host *host)
{
	static const char folder[] = "/sys/devices/system/cpu/cpu0/cache/index";
	char level[16], type[32], size[32], shared[4096];
	struct tt_cpu_set sharers;

	for (int i = 0;; i++) {
		if (!tt_host_read(root, level, sizeof level, "%s%d/level", folder, i))
			return;
		if (!tt_host_read(root, type, sizeof type, "%s%d/type", folder, i) ||
		    !tt_host_read(root, size, sizeof size, "%s%d/size", folder, i) || type[0] == 'I')
			continue;
		if (level[0] == '1')
			host->l1d_bytes = cache_bytes(size);
		else if (level[0] == '2')
			host->l2_bytes = cache_bytes(size);
		else if (level[0] == '3')
			host->l3_bytes = cache_bytes(size);
		if (level[0] == '3' && tt_host_read(root, shared, sizeof shared, "%s%d/shared_cpu_list", folder, i) &&
		    tt_cpu_set_parse(shared, &sharers) == TUTTI_OK)
			host->l3_cpus = tt_cpu_set_count(&sharers);
	}
}

static int
count_packages(const char *root)
{
	char list[4096], path[128];
	struct tt_cpu_set online, packages = {{0}};

	if (!tt_host_read(root, list, sizeof list, "/sys/devices/system/cpu/online") ||
	    tt_cpu_set_parse(list, &online) != TUTTI_OK)
		return 0;
	for (int cpu = 0; cpu < TT_HOST_CPUS; cpu++) {
		long package;

		if ((online.bits[cpu / 64] >> (cpu % 64) & 1) == 0)
			continue;
		snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/physical_package_id", cpu);
		package = tt_host_read_number(root, path, -1);
		if (package >= 0 && package < TT_HOST_CPUS)
			packages.bits[package / 64] |= UINT64_C(1) << (package % 64);
	}
	return tt_cpu_set_count(&packages);
}

static int
count_numa_nodes(const char *root)
{
	char list[4096];
	struct tt_cpu_set nodes;

	/* Nodes with memory only (has_cpu would leave them out) hold no rank. */
	if (!tt_host_read(root, list, sizeof list, "/sys/devices/system/node/has_cpu") &&
	    !tt_host_read(root, list, sizeof list, "/sys/devices/system/node/online"))
		return 0;
	return tt_cpu_set_parse(list, &nodes) == TUTTI_OK ? tt_cpu_set_count(&nodes) : 0;
}

static void
read_model(const char *root, struct tt_host *host)
{
	char text[TT_HOST_FILE], *name, *end;

	if (!tt_host_read(root, text, sizeof text, "/proc/cpuinfo"))
		return;
	name = strstr(text, "model name");
	if (name == NULL || (name = strchr(name, ':')) == NULL)
		return;
	name += strspn(name, ": \t");
	end = strchr(name, '\n');
	if (end != NULL)
		*end = '\0';
	snprintf(host->cpu_model, sizeof host->cpu_model, "%s", name);
}

void
tt_host_probe_kind(const char *root, struct tt_host *host)
{
	read_caches(root, host);
	read_model(root, host);
}

void
tt_host_probe_files(const char *root, struct tt_host *host)
{
	tt_host_probe_kind(root, host);
	host->packages = count_packages(root);
	host->numa_nodes = count_numa_nodes(root);
}

void
tt_host_probe(struct tt_host *host)
{
	memset(host, 0, sizeof *host);
	host->cpus = cpus_allowed();
	host->quota = tt_host_quota_at("");
	host->cores = tt_host_cores_at("", host->cpus);
	tt_host_probe_files("", host);
	if (host->l1d_bytes == 0 || host->l2_bytes == 0 || host->packages == 0 || host->numa_nodes == 0)
		(void)tt_host_probe_hwloc(NULL, host);
	/* A host that tells nothing is one package with one memory. */
	host->packages += host->packages == 0;
	host->numa_nodes += host->numa_nodes == 0;
}

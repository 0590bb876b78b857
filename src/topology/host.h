/* SPDX-License-Identifier: Apache-2.0
 *
 * host.h - what the library and the program need to know of the host they run on, now.
 *
 * Facts only: how many cores this process may use, the caches, the NUMA nodes, and which CPUs a rank should be
 * bound to. Nothing is remembered between calls. The functions ending in _at read the same files under another
 * root, so that tests can describe any machine.
 */
#ifndef TT_TOPOLOGY_HOST_H
#define TT_TOPOLOGY_HOST_H

#include <tutti/tutti.h>

#define TT_HOST_CPUS 8192 /* most CPUs of a host */

struct tt_cpu_set {
	uint64_t bits[TT_HOST_CPUS / 64];
};

struct tt_host {
	int cores; /* that this process may keep busy: affinity and CPU quota, at least 1 */
	int cpus; /* in its affinity mask */
	double quota; /* CPUs' worth of time that its control group allows, 0 = no limit */
	int packages, numa_nodes;
	size_t l1d_bytes, l2_bytes, l3_bytes; /* of one instance; 0 = none or unknown */
	int l3_cpus; /* CPUs of the host that share one L3; 0 = unknown */
	char cpu_model[96]; /* "" = unknown */
};

/* The cores this process may keep busy: CPUs in its affinity mask, or fewer by the quota of its control group
 * (whole cores, rounded down), at least 1. A few small files are read, nothing else. */
int tt_host_cores(void);
/* The same for a process with `cpus` CPUs in its mask. root: "" for this host. */
int tt_host_cores_at(const char *root, int cpus);
/* CPUs' worth of time per second that the control groups allow (versions 1 and 2, the tightest of the group and its
 * parents); 0 = no limit. */
double tt_host_quota_at(const char *root);

/* Everything. From /proc and /sys; what they do not tell is asked of hwloc if the library was built with it. */
void tt_host_probe(struct tt_host *host);
/* Caches, packages, NUMA nodes and model from the files under `root` alone; what is not told there stays 0. */
void tt_host_probe_files(const char *root, struct tt_host *host);
/* Of that only what tells kinds of hosts apart and costs a few files: caches and model. */
void tt_host_probe_kind(const char *root, struct tt_host *host);
/* The same from hwloc, only into fields that are still 0. synthetic: an hwloc synthetic description, NULL = this
 * host. Built without hwloc: ERR_UNSUPPORTED. */
tutti_status tt_host_probe_hwloc(const char *synthetic, struct tt_host *host);

/* The CPUs in this thread's affinity mask. */
tutti_status tt_host_affinity(struct tt_cpu_set *set);
int tt_cpu_set_count(const struct tt_cpu_set *set);
/* "0-3,8": ERR_ARGUMENT if it is not such a list. */
tutti_status tt_cpu_set_parse(const char *list, struct tt_cpu_set *set);

enum tt_bind { TT_BIND_NONE, TT_BIND_CORE, TT_BIND_NUMA };

/* The CPUs for process `index` of `n` on this host, out of `allowed`: one core's hardware threads, or one NUMA
 * node. Neighbours stay together and all cores (nodes) are used; with more processes than cores, in turns.
 * TT_BIND_NONE, and a host that does not tell: `allowed`. */
void tt_host_binding(
    const char *root, enum tt_bind bind, int index, int n, const struct tt_cpu_set *allowed, struct tt_cpu_set *set);
/* Binds the calling thread. */
tutti_status tt_host_bind(const struct tt_cpu_set *set);

#endif /* TT_TOPOLOGY_HOST_H */

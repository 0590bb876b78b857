/* SPDX-License-Identifier: Apache-2.0
 *
 * host_hwloc.c - the same facts as host.c, asked of hwloc: where /sys is hidden it still knows the processor's own
 * answers, and its synthetic descriptions stand for machines that are not here.
 */
#include "topology/host.h"

#include <hwloc.h>

#include "base/error.h"

static size_t
cache_bytes(hwloc_topology_t topology, hwloc_obj_type_t type)
{
	hwloc_obj_t cache = hwloc_get_obj_by_type(topology, type, 0);

	return cache != NULL ? (size_t)cache->attr->cache.size : 0;
}

static int
count(hwloc_topology_t topology, hwloc_obj_type_t type)
{
	int n = hwloc_get_nbobjs_by_type(topology, type);

	return n > 0 ? n : 0;
}

static void
fill(hwloc_topology_t topology, struct tt_host *host)
{
	hwloc_obj_t l3 = hwloc_get_obj_by_type(topology, HWLOC_OBJ_L3CACHE, 0);

	if (host->l1d_bytes == 0)
		host->l1d_bytes = cache_bytes(topology, HWLOC_OBJ_L1CACHE);
	if (host->l2_bytes == 0)
		host->l2_bytes = cache_bytes(topology, HWLOC_OBJ_L2CACHE);
	if (host->l3_bytes == 0)
		host->l3_bytes = cache_bytes(topology, HWLOC_OBJ_L3CACHE);
	if (host->l3_cpus == 0 && l3 != NULL)
		host->l3_cpus = hwloc_bitmap_weight(l3->cpuset);
	if (host->packages == 0)
		host->packages = count(topology, HWLOC_OBJ_PACKAGE);
	if (host->numa_nodes == 0)
		host->numa_nodes = count(topology, HWLOC_OBJ_NUMANODE);
	if (host->cpus == 0)
		host->cpus = count(topology, HWLOC_OBJ_PU);
}

tutti_status
tt_host_probe_hwloc(const char *synthetic, struct tt_host *host)
{
	hwloc_topology_t topology;

	if (hwloc_topology_init(&topology) != 0)
		return tt_fail_errno("hwloc cannot start");
	if (synthetic != NULL && hwloc_topology_set_synthetic(topology, synthetic) != 0) {
		hwloc_topology_destroy(topology);
		return tt_fail(
		    TUTTI_ERR_ARGUMENT, -1, "\"%s\" is no synthetic machine that hwloc understands", synthetic);
	}
	if (hwloc_topology_load(topology) != 0) {
		hwloc_topology_destroy(topology);
		return tt_fail_errno("hwloc cannot look at this machine");
	}
	fill(topology, host);
	hwloc_topology_destroy(topology);
	return TUTTI_OK;
}

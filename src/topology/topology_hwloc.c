/* SPDX-License-Identifier: Apache-2.0
 *
 * topology_hwloc.c - reads a description out of hwloc: of this host, of an XML file, of a synthetic machine.
 */
#include <hwloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "topology/topology.h"

#define GBPS_OF_PCI 8.0 /* hwloc tells a PCI link's speed in GB/s */

static int
logical(hwloc_obj_t object)
{
	return object != NULL ? (int)object->logical_index : -1;
}

/* The first NUMA node of a set, by hwloc's numbering; -1 if it has none. */
static int
numa_of(hwloc_topology_t h, hwloc_const_nodeset_t set)
{
	const int os = set != NULL ? hwloc_bitmap_first(set) : -1;

	return os >= 0 ? logical(hwloc_get_numanode_obj_by_os_index(h, (unsigned)os)) : -1;
}

static size_t
cache_bytes(hwloc_topology_t h, hwloc_obj_type_t type)
{
	const hwloc_obj_t cache = hwloc_get_obj_by_type(h, type, 0);

	return cache != NULL ? (size_t)cache->attr->cache.size : 0;
}

static void
read_core(hwloc_topology_t h, hwloc_obj_t object, int number, struct tt_topology *t)
{
	struct tt_topo_core *core = &t->core[number];
	int kind = hwloc_cpukinds_get_by_cpuset(h, object->cpuset, 0);

	*core =
	    (struct tt_topo_core){.package = logical(hwloc_get_ancestor_obj_by_type(h, HWLOC_OBJ_PACKAGE, object)),
		.numa = numa_of(h, object->nodeset),
		.l3 = logical(hwloc_get_ancestor_obj_by_type(h, HWLOC_OBJ_L3CACHE, object)),
		.l2 = logical(hwloc_get_ancestor_obj_by_type(h, HWLOC_OBJ_L2CACHE, object)),
		.first_cpu = hwloc_bitmap_first(object->cpuset),
		.cpus = hwloc_bitmap_weight(object->cpuset),
		.kind = kind > 0 ? kind : 0};
	if (core->package < 0)
		core->package = 0;
	for (int cpu = core->first_cpu; cpu >= 0; cpu = hwloc_bitmap_next(object->cpuset, cpu)) {
		if (cpu < t->most_cpu)
			t->core_of_cpu[cpu] = number;
		t->cpus++;
	}
}

static void
read_memory(hwloc_topology_t h, struct tt_topology *t)
{
	struct hwloc_distances_s *distances;
	unsigned n = 1;

	for (int i = 0; i < t->numa_nodes; i++) {
		const hwloc_obj_t node = hwloc_get_obj_by_type(h, HWLOC_OBJ_NUMANODE, (unsigned)i);

		t->memory_of_numa[i] = node->attr->numanode.local_memory;
		t->package_of_numa[i] = -1;
	}
	if (hwloc_distances_get_by_type(
		h, HWLOC_OBJ_NUMANODE, &n, &distances, HWLOC_DISTANCES_KIND_MEANS_LATENCY, 0) != 0 ||
	    n == 0)
		return;
	for (unsigned i = 0; i < distances->nbobjs; i++)
		for (unsigned j = 0; j < distances->nbobjs; j++) {
			const int from = logical(distances->objs[i]), to = logical(distances->objs[j]);

			if (from >= 0 && from < TT_TOPOLOGY_DISTANCES && to >= 0 && to < TT_TOPOLOGY_DISTANCES)
				t->distance[from][to] = (int)distances->values[i * distances->nbobjs + j];
		}
	hwloc_distances_release(h, distances);
}

/* The PCI device above an object of the operating system. */
static hwloc_obj_t
pci_of(hwloc_obj_t object)
{
	while (object != NULL && object->type != HWLOC_OBJ_PCI_DEVICE)
		object = object->parent;
	return object;
}

static int
numa_near(hwloc_topology_t h, hwloc_obj_t object)
{
	const hwloc_obj_t place = hwloc_get_non_io_ancestor_obj(h, object);

	return place != NULL ? numa_of(h, place->nodeset) : -1;
}

static void
add_nic(hwloc_topology_t h, hwloc_obj_t object, struct tt_topology *t)
{
	const hwloc_obj_t pci = pci_of(object);
	struct tt_topo_nic *nic;

	if (t->nics == TT_TOPOLOGY_DEVICES)
		return;
	nic = &t->nic[t->nics++];
	*nic = (struct tt_topo_nic){.numa = numa_near(h, object), .up = true, .is_virtual = pci == NULL};
	snprintf(nic->name, sizeof(nic->name), "%.31s", object->name);
	if (pci != NULL)
		nic->gbps = GBPS_OF_PCI * (double)pci->attr->pcidev.linkspeed;
}

static void
add_gpu(hwloc_topology_t h, hwloc_obj_t pci, struct tt_topology *t)
{
	struct tt_topo_device *device;
	hwloc_obj_t child = pci->io_first_child;

	if (t->devices == TT_TOPOLOGY_DEVICES)
		return;
	while (child != NULL && child->type != HWLOC_OBJ_OS_DEVICE)
		child = child->next_sibling;
	device = &t->device[t->devices];
	*device = (struct tt_topo_device){.numa = numa_near(h, pci)};
	if (child != NULL && child->name != NULL)
		snprintf(device->name, sizeof(device->name), "%.31s", child->name);
	else
		snprintf(device->name, sizeof(device->name), "gpu%d", t->devices);
	t->devices++;
}

static void
read_devices(hwloc_topology_t h, struct tt_topology *t, bool with_nics)
{
	/* Of PCI's display class, those that compute: 3D controllers, and VGA but for the small chips of servers' consoles. */
	enum { VGA = 0x0300, CONTROLLER_3D = 0x0302, ASPEED = 0x1a03, MATROX = 0x102b };

	for (hwloc_obj_t o = hwloc_get_next_osdev(h, NULL); o != NULL && with_nics; o = hwloc_get_next_osdev(h, o))
		if (o->attr->osdev.type == HWLOC_OBJ_OSDEV_NETWORK && o->name != NULL)
			add_nic(h, o, t);
	for (hwloc_obj_t p = hwloc_get_next_pcidev(h, NULL); p != NULL; p = hwloc_get_next_pcidev(h, p)) {
		const unsigned class = p->attr->pcidev.class_id, vendor = p->attr->pcidev.vendor_id;

		if (class == CONTROLLER_3D || (class == VGA && vendor != ASPEED && vendor != MATROX))
			add_gpu(h, p, t);
	}
}

static tutti_status
read_all(hwloc_topology_t h, struct tt_topology *t, bool with_nics)
{
	const hwloc_obj_t machine = hwloc_get_root_obj(h);
	hwloc_obj_type_t type = HWLOC_OBJ_CORE;
	const char *model;
	int cores = hwloc_get_nbobjs_by_type(h, type), numa = hwloc_get_nbobjs_by_type(h, HWLOC_OBJ_NUMANODE);

	if (cores <= 0) {
		type = HWLOC_OBJ_PU;
		cores = hwloc_get_nbobjs_by_type(h, type);
	}
	TT_TRY(
	    tt_topology_room(t, cores > 0 ? cores : 0, hwloc_bitmap_last(machine->cpuset) + 1, numa > 0 ? numa : 0));
	read_memory(h, t);
	for (int c = 0; c < t->cores; c++)
		read_core(h, hwloc_get_obj_by_type(h, type, (unsigned)c), c, t);
	t->l1d_bytes = cache_bytes(h, HWLOC_OBJ_L1CACHE);
	t->l2_bytes = cache_bytes(h, HWLOC_OBJ_L2CACHE);
	t->l3_bytes = cache_bytes(h, HWLOC_OBJ_L3CACHE);
	model = hwloc_obj_get_info_by_name(machine, "CPUModel");
	if (model == NULL && hwloc_get_nbobjs_by_type(h, HWLOC_OBJ_PACKAGE) > 0)
		model = hwloc_obj_get_info_by_name(hwloc_get_obj_by_type(h, HWLOC_OBJ_PACKAGE, 0), "CPUModel");
	if (model != NULL)
		snprintf(t->model, sizeof(t->model), "%.95s", model);
	read_devices(h, t, with_nics);
	tt_topology_finish(t);
	return TUTTI_OK;
}

/* hwloc believes HWLOC_XMLFILE and its like; so a host can be given another face from outside, as with any program. */
static tutti_status
load(hwloc_topology_t h, const char *xml, const char *synthetic)
{
	if (synthetic != NULL && hwloc_topology_set_synthetic(h, synthetic) != 0)
		return tt_fail(
		    TUTTI_ERR_ARGUMENT, -1, "\"%.200s\" is no synthetic machine that hwloc understands", synthetic);
	if (xml != NULL && hwloc_topology_set_xml(h, xml) != 0)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "hwloc cannot read %.200s: it must be an XML file of hwloc 2 (lstopo --of xml)", xml);
	if (hwloc_topology_set_io_types_filter(h, HWLOC_TYPE_FILTER_KEEP_IMPORTANT) != 0 ||
	    hwloc_topology_load(h) != 0)
		return xml != NULL ? tt_fail(TUTTI_ERR_ARGUMENT, -1, "hwloc cannot make sense of %.200s", xml)
				   : tt_fail_errno("hwloc cannot look at this machine");
	return TUTTI_OK;
}

tutti_status
tt_topology_load_hwloc(const char *xml, const char *synthetic, struct tt_topology *t)
{
	hwloc_topology_t h;
	tutti_status status;

	if (hwloc_topology_init(&h) != 0)
		return tt_fail_errno("hwloc cannot start");
	status = load(h, xml, synthetic);
	if (status == TUTTI_OK)
		status = read_all(h, t, xml != NULL);
	hwloc_topology_destroy(h);
	return status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * topology.h - one host as data: packages, NUMA nodes, caches, cores, network cards, devices.
 *
 * It comes from this host, from an XML file that hwloc has written on another one, or from a description:
 *
 *	"pack:2 [numa] l3:2(size=32MB) core:8 pu:2; net:eth0@0=100; net:eth1@1=100; gpu:gpu0@1"
 *
 * The first part is hwloc's synthetic form; a network card has a name, the NUMA node it hangs on, and Gb/s. Whoever
 * gets a description cannot tell where it came from: what is true of machines that are here can be tested with
 * machines that are not.
 */
#ifndef TT_TOPOLOGY_TOPOLOGY_H
#define TT_TOPOLOGY_TOPOLOGY_H

#include <tutti/tutti.h>

#include "base/port.h"
#include "topology/host.h"

#define TT_TOPOLOGY_DEVICES 64 /* most network cards, and most other devices */
#define TT_TOPOLOGY_DISTANCES 64 /* NUMA nodes whose distances are kept */

/* Groups are numbered from 0 in the order of the host; -1: the core is in none (a machine without L3). */
struct tt_topo_core {
	int package, numa, l3, l2;
	int first_cpu, cpus; /* hardware threads; the first has this number in the system */
	int kind; /* 0 is the most frugal kind of core; equal on machines with one kind */
};

struct tt_topo_nic {
	char name[32];
	double gbps; /* 0 = unknown */
	int numa; /* nearest NUMA node, -1 = unknown */
	bool up;
	bool is_virtual; /* no hardware of its own */
};

struct tt_topo_device {
	char name[32];
	int numa;
};

struct tt_topology {
	char source[128]; /* "this host", or the file or description */
	char model[96]; /* of the processor, "" = unknown */
	bool is_here;
	int packages, numa_nodes, l3s, l2s, cores, cpus, kinds;
	size_t l1d_bytes, l2_bytes, l3_bytes; /* of one; 0 = none */
	struct tt_topo_core *core; /* owned, [cores], in the order of the host: neighbours share most */
	int *core_of_cpu; /* owned, [most_cpu]: -1 = no such CPU */
	int most_cpu;
	int *package_of_numa; /* owned, [numa_nodes] */
	uint64_t *memory_of_numa; /* owned, bytes, 0 = unknown */
	int distance[TT_TOPOLOGY_DISTANCES]
		    [TT_TOPOLOGY_DISTANCES]; /* as the firmware says, 10 = local; 0 = unknown */
	int nics, devices;
	struct tt_topo_nic nic[TT_TOPOLOGY_DEVICES];
	struct tt_topo_device device[TT_TOPOLOGY_DEVICES]; /* GPUs and their like */
};

/* where: NULL or "" for this host, the name of an XML file, or a description. ERR_ARGUMENT says what is wrong with it;
 * built without hwloc only this host is known (ERR_UNSUPPORTED). */
tutti_status tt_topology_load(const char *where, struct tt_topology **topology);
void tt_topology_destroy(struct tt_topology *topology);
/* The same for machines of one build: processors, caches and NUMA nodes count, not what is plugged in. */
uint64_t tt_topology_hash(const struct tt_topology *topology);
/* The network card for a core: the fastest that is up, real rather than virtual, near rather than far; -1 = none. */
int tt_topology_nic_for(const struct tt_topology *topology, int core);
/* Between two NUMA nodes as the firmware says, 10 = local; a guess from packages where it does not say. */
int tt_topology_distance(const struct tt_topology *topology, int a, int b);

/* ---- parts, for the files of this folder ---------------------------------------------------------------------- */

/* Processors, caches, memory: from hwloc (host_hwloc_load.c), or for this host from /sys. */
tutti_status tt_topology_load_hwloc(const char *xml, const char *synthetic, struct tt_topology *topology);
tutti_status tt_topology_load_files(const char *root, struct tt_topology *topology);
/* The network cards of the host whose files lie under root. */
void tt_topology_read_nics(const char *root, struct tt_topology *topology);
tutti_status tt_topology_room(struct tt_topology *topology, int cores, int most_cpu, int numa_nodes);
/* Counts groups and kinds, and tells each CPU its core. */
void tt_topology_finish(struct tt_topology *topology);

#endif /* TT_TOPOLOGY_TOPOLOGY_H */

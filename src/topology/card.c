/* SPDX-License-Identifier: Apache-2.0
 *
 * card.c - a rank's place on its host, from /sys or from a description.
 *
 * Here it costs a few small files, because every creation of a communicator pays for it; hwloc would cost milliseconds.
 */
#include <stdio.h>
#include <string.h>

#include "topology/host_file.h"
#include "topology/map.h"

#define MOST_CACHES 8

static bool
has(const struct tt_cpu_set *set, int cpu)
{
	return (set->bits[cpu / 64] >> (cpu % 64) & 1) != 0;
}

static void
add(struct tt_cpu_set *set, int cpu)
{
	if (cpu >= 0 && cpu < TT_HOST_CPUS)
		set->bits[cpu / 64] |= UINT64_C(1) << (cpu % 64);
}

static int
lowest(const struct tt_cpu_set *set)
{
	for (int w = 0; w < TT_HOST_CPUS / 64; w++)
		if (set->bits[w] != 0)
			return w * 64 + __builtin_ctzll(set->bits[w]);
	return -1;
}

/* The group's number if it holds all of them. */
static int32_t
group_with_all(const struct tt_cpu_set *group, const struct tt_cpu_set *all)
{
	for (int w = 0; w < TT_HOST_CPUS / 64; w++)
		if ((all->bits[w] & ~group->bits[w]) != 0)
			return -1;
	return lowest(group);
}

static bool
read_list(const char *root, const char *path, struct tt_cpu_set *set)
{
	char list[4096];

	return tt_host_read(root, list, sizeof(list), "%s", path) && tt_cpu_set_parse(list, set) == TUTTI_OK;
}

static void
read_caches(const char *root, int cpu, const struct tt_cpu_set *allowed, struct tt_rank_card *card)
{
	struct tt_cpu_set sharers;
	char path[128];

	for (int i = 0; i < MOST_CACHES; i++) {
		long level;

		snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/cache/index%d/level", cpu, i);
		level = tt_host_read_number(root, path, -1);
		if (level < 0)
			return;
		snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/cache/index%d/shared_cpu_list", cpu, i);
		if ((level == 2 || level == 3) && read_list(root, path, &sharers))
			card->group[level == 2 ? TT_MAP_L2 : TT_MAP_L3] = group_with_all(&sharers, allowed);
	}
}

static void
read_numa(const char *root, int cpu, const struct tt_cpu_set *allowed, struct tt_rank_card *card)
{
	struct tt_cpu_set nodes, cpus;
	char path[128];

	if (!read_list(root, "/sys/devices/system/node/has_cpu", &nodes))
		return;
	for (int node = 0; node < TT_HOST_CPUS; node++) {
		if (!has(&nodes, node))
			continue;
		snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/cpulist", node);
		if (read_list(root, path, &cpus) && has(&cpus, cpu)) {
			card->group[TT_MAP_NUMA] = group_with_all(&cpus, allowed);
			return;
		}
	}
}

/* What is asked of the kernel's boot id is only whether two ranks compete for cores; no sharing of memory is inferred. */
static uint64_t
host_number(const char *root)
{
	char text[64];
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	if (!tt_host_read(root, text, sizeof(text), "/proc/sys/kernel/random/boot_id"))
		return 0;
	for (const char *c = text; *c != '\0'; c++)
		hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
	return hash;
}

static void
empty_card(struct tt_rank_card *card)
{
	memset(card, 0, sizeof(*card));
	for (int level = 0; level < TT_MAP_LEVELS; level++)
		card->group[level] = -1;
}

void
tt_rank_card_at(const char *root, const struct tt_cpu_set *allowed, struct tt_rank_card *card)
{
	static const struct {
		enum tt_map_level level;
		const char *file;
	} lists[] = {{TT_MAP_CORE, "thread_siblings_list"}, {TT_MAP_PACKAGE, "core_siblings_list"}};
	const int cpu = lowest(allowed);
	struct tt_cpu_set group;
	char path[128];

	empty_card(card);
	card->host = host_number(root);
	card->cpus = tt_cpu_set_count(allowed);
	if (cpu < 0)
		return;
	for (size_t i = 0; i < TT_COUNT_OF(lists); i++) {
		snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/topology/%s", cpu, lists[i].file);
		if (read_list(root, path, &group))
			card->group[lists[i].level] = group_with_all(&group, allowed);
	}
	read_caches(root, cpu, allowed, card);
	read_numa(root, cpu, allowed, card);
}

static void
note_nic(const struct tt_topology *t, int core, struct tt_rank_card *card)
{
	const int nic = tt_topology_nic_for(t, core);

	if (nic < 0)
		return;
	snprintf(card->nic, sizeof(card->nic), "%.23s", t->nic[nic].name);
	card->nic_mbps = (int32_t)(t->nic[nic].gbps * 1000);
	if (core >= 0 && t->nic[nic].numa >= 0)
		card->nic_distance = tt_topology_distance(t, t->core[core].numa, t->nic[nic].numa);
}

void
tt_rank_card_here(bool with_nic, struct tt_rank_card *card)
{
	struct tt_cpu_set allowed = {{0}};
	struct tt_topology cards = {.numa_nodes = TT_HOST_CPUS};

	(void)tt_host_affinity(&allowed); /* unknown: in no group */
	tt_rank_card_at("", &allowed, card);
	if (!with_nic)
		return;
	tt_topology_read_nics("", &cards);
	note_nic(&cards, -1, card);
}

/* All CPUs of the cores that are in the same group as `core`. */
static void
collect(const struct tt_topology *t, enum tt_map_level level, int core, struct tt_cpu_set *group)
{
	const struct tt_topo_core *mine = &t->core[core];

	for (int cpu = 0; cpu < t->most_cpu && cpu < TT_HOST_CPUS; cpu++) {
		const int other = t->core_of_cpu[cpu];
		const struct tt_topo_core *c = other >= 0 ? &t->core[other] : NULL;

		if (c != NULL && ((level == TT_MAP_PACKAGE && c->package == mine->package) ||
				     (level == TT_MAP_NUMA && c->numa == mine->numa && mine->numa >= 0) ||
				     (level == TT_MAP_L3 && c->l3 == mine->l3 && mine->l3 >= 0) ||
				     (level == TT_MAP_L2 && c->l2 == mine->l2 && mine->l2 >= 0) ||
				     (level == TT_MAP_CORE && other == core)))
			add(group, cpu);
	}
}

void
tt_rank_card_of(
    const struct tt_topology *t, const struct tt_cpu_set *allowed, uint64_t host, struct tt_rank_card *card)
{
	const int cpu = lowest(allowed);
	const int core = cpu >= 0 && cpu < t->most_cpu ? t->core_of_cpu[cpu] : -1;

	empty_card(card);
	card->host = host;
	card->cpus = tt_cpu_set_count(allowed);
	if (core < 0)
		return;
	for (int level = TT_MAP_PACKAGE; level < TT_MAP_LEVELS; level++) {
		struct tt_cpu_set group = {{0}};

		collect(t, (enum tt_map_level)level, core, &group);
		if (lowest(&group) >= 0)
			card->group[level] = group_with_all(&group, allowed);
	}
	note_nic(t, core, card);
}

void
tt_topology_binding(const struct tt_topology *t, int index, int n, struct tt_cpu_set *set)
{
	const int core = n <= t->cores ? (int)((long)index * t->cores / n) : index % t->cores;

	*set = (struct tt_cpu_set){{0}};
	for (int cpu = 0; cpu < t->most_cpu && cpu < TT_HOST_CPUS; cpu++)
		if (t->core_of_cpu[cpu] == core)
			add(set, cpu);
}

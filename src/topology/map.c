/* SPDX-License-Identifier: Apache-2.0
 *
 * map.c - order, tree, leaders and owners, all from one sorting: ranks by node, package, NUMA node, L3, L2, core, and
 * their number last. A node whose ranks are bound nowhere keeps the order of their numbers.
 */
#include "topology/map.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"

const char *
tt_map_level_name(enum tt_map_level level)
{
	static const char *const names[TT_MAP_LEVELS] = {
	    "node", "package", "NUMA node", "L3 cache", "L2 cache", "core"};

	return names[level];
}

/* < 0: a comes first, down to groups of `level`. */
static int
compare(const struct tt_map_place *a, const struct tt_map_place *b, enum tt_map_level level)
{
	if (a->node != b->node)
		return a->node < b->node ? -1 : 1;
	for (int l = TT_MAP_PACKAGE; l <= (int)level; l++)
		if (a->group[l] != b->group[l])
			return (unsigned)a->group[l] < (unsigned)b->group[l] ? -1 : 1; /* -1, in none, is last */
	return 0;
}

static int
by_place(const void *a, const void *b, void *context)
{
	const struct tt_map *map = context;
	const int x = *(const int *)a, y = *(const int *)b;
	const int order = compare(&map->place[x], &map->place[y], TT_MAP_CORE);

	return order != 0 ? order : (x > y) - (x < y);
}

static bool
same_group(const struct tt_map *map, int a, int b, enum tt_map_level level)
{
	return compare(&map->place[a], &map->place[b], level) == 0;
}

/* Groups are runs of the order; the first of a run leads it. */
static void
choose_leaders(struct tt_map *map)
{
	for (int level = 0; level < TT_MAP_LEVELS; level++) {
		int *leader = map->leader + (size_t)level * (size_t)map->nranks;

		for (int i = 0; i < map->nranks; i++) {
			const int rank = map->order[i], before = i > 0 ? map->order[i - 1] : -1;

			leader[rank] = before >= 0 && same_group(map, rank, before, (enum tt_map_level)level)
					   ? leader[before]
					   : rank;
		}
	}
}

/* A rank's parent leads the narrowest group that the rank does not lead itself; leaders of nodes form a binary tree. */
static void
grow_tree(struct tt_map *map, int *leader_of_node)
{
	for (int i = 0; i < map->nranks; i++) {
		const int rank = map->order[i], node = map->place[rank].node;
		int level = TT_MAP_CORE;

		while (level >= TT_MAP_NODE && tt_map_leader(map, (enum tt_map_level)level, rank) == rank)
			level--;
		if (level < TT_MAP_NODE)
			leader_of_node[node] = rank; /* nodes come in order: those above it are there already */
		if (level >= TT_MAP_NODE)
			map->parent[rank] = tt_map_leader(map, (enum tt_map_level)level, rank);
		else
			map->parent[rank] = node > 0 ? leader_of_node[(node - 1) / 2] : -1;
	}
}

struct host_of {
	uint64_t host;
	int rank;
};

static int
by_host(const void *a, const void *b)
{
	const struct host_of *x = a, *y = b;

	if (x->host != y->host)
		return x->host < y->host ? -1 : 1;
	return (x->rank > y->rank) - (x->rank < y->rank);
}

static void
number_hosts(struct tt_map *map, const struct tt_rank_card *cards, struct host_of *sorted)
{
	for (int r = 0; r < map->nranks; r++)
		sorted[r] = (struct host_of){cards[r].host, r};
	qsort(sorted, (size_t)map->nranks, sizeof(*sorted), by_host);
	for (int i = 0, run = 0; i < map->nranks; i++) {
		if (i > 0 && sorted[i].host != sorted[i - 1].host) {
			map->nhosts++;
			run = 0;
		}
		run++;
		map->place[sorted[i].rank].host = map->nhosts;
		map->most_per_host = run > map->most_per_host ? run : map->most_per_host;
	}
	map->nhosts++;
}

static tutti_status
take(size_t n, size_t size, void *array)
{
	void *memory;

	TT_TRY(tt_alloc(n, size, "the map of the ranks", &memory));
	memcpy(array, &memory, sizeof(memory));
	return TUTTI_OK;
}

static tutti_status
make(const struct tt_rank_card *cards, const int *node_of, struct tt_map *map)
{
	const size_t n = (size_t)map->nranks;
	struct host_of *hosts;
	int *leader_of_node;

	TT_TRY(take(n, sizeof(*map->place), &map->place));
	TT_TRY(take(n, sizeof(*map->order), &map->order));
	TT_TRY(take(n, sizeof(*map->position), &map->position));
	TT_TRY(take(n, sizeof(*map->parent), &map->parent));
	TT_TRY(take(n * TT_MAP_LEVELS, sizeof(*map->leader), &map->leader));
	TT_TRY(take(n, sizeof(*hosts), &hosts));
	leader_of_node = map->position; /* until the positions are known */
	for (int r = 0; r < map->nranks; r++) {
		map->place[r].node = node_of != NULL ? node_of[r] : 0;
		map->nnodes = map->place[r].node >= map->nnodes ? map->place[r].node + 1 : map->nnodes;
		memcpy(map->place[r].group, cards[r].group, sizeof(map->place[r].group));
		map->order[r] = r;
		if (cards[r].nic_mbps > 0 && (map->least_mbps == 0 || cards[r].nic_mbps < map->least_mbps))
			map->least_mbps = cards[r].nic_mbps;
	}
	number_hosts(map, cards, hosts);
	tt_free(hosts);
	qsort_r(map->order, n, sizeof(*map->order), by_place, map);
	choose_leaders(map);
	grow_tree(map, leader_of_node);
	map->is_plain = true;
	for (int i = 0; i < map->nranks; i++) {
		map->position[map->order[i]] = i;
		map->is_plain = map->is_plain && map->order[i] == i;
	}
	return TUTTI_OK;
}

tutti_status
tt_map_create(const struct tt_rank_card *cards, const int *node_of, int nranks, struct tt_map **map)
{
	void *memory;
	tutti_status status;

	TT_TRY(tt_alloc(1, sizeof(**map), "the map of the ranks", &memory));
	((struct tt_map *)memory)->nranks = nranks;
	status = make(cards, node_of, memory);
	if (status == TUTTI_OK)
		*map = memory;
	else
		tt_map_destroy(memory);
	return status;
}

void
tt_map_destroy(struct tt_map *map)
{
	if (map == NULL)
		return;
	tt_free(map->place);
	tt_free(map->order);
	tt_free(map->position);
	tt_free(map->parent);
	tt_free(map->leader);
	tt_free(map);
}

bool
tt_map_shared(const struct tt_map *map, int a, int b, enum tt_map_level *level)
{
	const struct tt_map_place *x = &map->place[a], *y = &map->place[b];

	if (x->node != y->node)
		return false;
	*level = TT_MAP_NODE;
	for (int l = TT_MAP_PACKAGE; l < TT_MAP_LEVELS; l++)
		if (x->group[l] >= 0 && x->group[l] == y->group[l])
			*level = (enum tt_map_level)l;
	return true;
}

int
tt_map_leader(const struct tt_map *map, enum tt_map_level level, int rank)
{
	return map->leader[(size_t)level * (size_t)map->nranks + (size_t)rank];
}

int
tt_map_slice_owner(const struct tt_map *map, int rank, int slice)
{
	const int first = map->position[tt_map_leader(map, TT_MAP_NODE, rank)];

	return map->order[first + slice];
}

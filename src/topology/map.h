/* SPDX-License-Identifier: Apache-2.0
 *
 * map.h - where the ranks of a job sit, and what follows from it: a pure function of the ranks' cards, and therefore
 * the same on every rank.
 *
 * A card says which groups of its host hold all the CPUs that a rank may use. A rank that may run anywhere is in none:
 * nothing is guessed.
 */
#ifndef TT_TOPOLOGY_MAP_H
#define TT_TOPOLOGY_MAP_H

#include "topology/topology.h"

/* From wide to narrow. */
enum tt_map_level { TT_MAP_NODE, TT_MAP_PACKAGE, TT_MAP_NUMA, TT_MAP_L3, TT_MAP_L2, TT_MAP_CORE, TT_MAP_LEVELS };

const char *tt_map_level_name(enum tt_map_level level); /* "NUMA node" */

/* What a rank tells the others of its place. As it travels: no pointers, no holes. */
struct tt_rank_card {
	uint64_t host; /* ranks with equal numbers compete for the same cores */
	int32_t group[TT_MAP_LEVELS]; /* the lowest CPU of the group that holds all of this rank's; -1 = none does */
	int32_t cpus; /* it may run on */
	int32_t nic_mbps; /* of the card nearest to it, 0 = unknown */
	int32_t nic_distance; /* of NUMA nodes, 10 = local; 0 = unknown */
	int32_t zero;
	char nic[24]; /* "" = none or not asked */
};

/* This thread's, from a few small files; with_nic also looks at the network cards. */
void tt_rank_card_here(bool with_nic, struct tt_rank_card *card);
void tt_rank_card_at(const char *root, const struct tt_cpu_set *allowed, struct tt_rank_card *card);
/* Of a rank bound to `allowed` on a machine that is described; `host` tells hosts of one description apart. */
void tt_rank_card_of(
    const struct tt_topology *topology, const struct tt_cpu_set *allowed, uint64_t host, struct tt_rank_card *card);
/* The CPUs of process `index` of `n` on that machine: a core each, spread over all of them; in turns if there are more
 * processes than cores. */
void tt_topology_binding(const struct tt_topology *topology, int index, int n, struct tt_cpu_set *set);

struct tt_map_place {
	int node; /* ranks of one node share memory */
	int host;
	int group[TT_MAP_LEVELS]; /* as in the card */
};

struct tt_map {
	int nranks, nnodes, nhosts;
	struct tt_map_place *place; /* of each rank */
	int *order; /* ring order: neighbours are as near as possible, each node is entered and left once */
	int *position; /* of each rank in it */
	int *parent; /* of each rank in the tree that follows the machine, -1 for the root (the first in the order) */
	int *leader; /* [level * nranks + rank], see tt_map_leader() */
	bool is_plain; /* the order is 0, 1, 2, ... */
	int most_per_host; /* ranks */
	int32_t least_mbps; /* of the network cards, 0 = unknown */
};

/* node_of: of each rank, numbered in the order of first ranks; NULL = all on one node. */
tutti_status tt_map_create(const struct tt_rank_card *cards, const int *node_of, int nranks, struct tt_map **map);
void tt_map_destroy(struct tt_map *map);
/* The narrowest group that both are in; false: they are on different nodes. */
bool tt_map_shared(const struct tt_map *map, int a, int b, enum tt_map_level *level);
/* The first rank, in ring order, of the group of that level that `rank` is in. */
int tt_map_leader(const struct tt_map *map, enum tt_map_level level, int rank);
/* Which rank of `rank`'s node works on slice `slice` of what the node shares: neighbouring slices go to near ranks. */
int tt_map_slice_owner(const struct tt_map *map, int rank, int slice);

#endif /* TT_TOPOLOGY_MAP_H */

/* SPDX-License-Identifier: Apache-2.0
 *
 * described.h - a job that does not run: so many ranks on so many machines of one description, and what the selector
 * would know of it.
 */
#ifndef TT_CLI_DESCRIBED_H
#define TT_CLI_DESCRIBED_H

#include "select/select.h"
#include "topology/map.h"

#define TT_DESCRIBED_RANKS 65536

struct tt_described {
	struct tt_topology *topology;
	int ranks, nodes;
	bool one_host; /* the nodes are parts of one machine: ranks that share no memory */
	int *node_of; /* [ranks], in blocks */
	struct tt_rank_card *cards; /* [ranks] */
	struct tt_map *map;
	struct tt_select_facts facts;
};

/* where: as tt_topology_load(). ranks: 0 = a rank for each core; nodes ≥ 1. The ranks of a node get a core each. This
 * host's profile counts if the description is this host, else what is assumed and follows from the caches described. On failure nothing is left. */
tutti_status tt_described_make(const char *where, int ranks, int nodes, struct tt_described *job);
/* The same on one machine whose ranks share no memory: each is a node. */
tutti_status tt_described_make_apart(const char *where, int ranks, struct tt_described *job);
void tt_described_drop(struct tt_described *job);

#endif /* TT_CLI_DESCRIBED_H */

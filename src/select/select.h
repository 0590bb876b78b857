/* SPDX-License-Identifier: Apache-2.0
 *
 * select.h - which algorithm, in how many slices. A pure function: the same inputs on every rank give the same
 * choice, and all inputs are agreed across ranks at creation (constants that no host falls short of, all ranks' facts).
 *
 * Total: there is always a legal choice. Every candidate carries the reason why it cannot be taken, if so.
 */
#ifndef TT_SELECT_H
#define TT_SELECT_H

#include "algorithms/algorithms.h"
#include "select/constants.h"
#include "select/stage_facts.h"
#include "topology/map.h"

/* What one message costs on the way between two ranks. A link's processors work for its bytes, too: a rank that sends
 * and receives at once has beta_s for each byte it sends while it receives one. */
struct tt_link_cost {
	double alpha_s; /* one message end to end */
	double over_s; /* CPU of one more message in flight */
	double beta_s; /* per byte, where as many come back */
	double one_way_s; /* per byte, where none come back */
	double asked_from; /* bytes: larger messages are asked for, by one more that comes back; 0 = none are */
};

/* The agreed facts of a communicator: each rank builds them from what all have said, and their digest is compared. */
struct tt_select_facts {
	int nranks, nnodes, nhosts;
	int most_per_node, least_per_node;
	int most_per_host; /* ranks that compete for cores, whether they share memory or not, on the most crowded host ... */
	int cores; /* ... and the cores that they may use there */
	int64_t staging_bytes; /* scratch memory per rank */
	int32_t reproducible;
	int32_t lanes;
	struct tt_constants constants; /* what the following is made of */
	double meet_s; /* what a meeting of a node's ranks in shared memory costs */
	struct tt_link_cost same_node, between_nodes;
	double card_s_per_byte; /* of a host's network card, which its ranks share; 0 = there is none between them */
	double call_s; /* a call, beside what it moves */
	double reduce_s_per_byte, copy_s_per_byte; /* in cache; copies through memory that is shared */
	double kept_s_per_byte; /* copies from a rank's own memory to its own */
	double
	    near_s_per_byte; /* more for a byte that is still in the nearest cache of the core that has written it */
	double beyond_s_per_byte,
	    beyond_add_s_per_byte; /* more for a byte that is copied, or added, and is in no core's cache */
	double cache_bytes; /* of a core */
	int32_t reads_far; /* ranks of a node can read each other's memory (which is known last); then ... */
	double far_s_per_byte, far_call_s; /* ... copies out of another process's memory */
	double turn_s; /* a core changes from one rank to another */
	double chunk_bytes; /* of one message, where there is enough to cut */
	struct tt_stage_facts stage;
	uint64_t single_from; /* rank 0's wish for stage.single_least, 0 = as the constants say */
	char rules[512]; /* TUTTI_ALGORITHM of rank 0, checked */
};

struct tt_select_call {
	enum tt_collective collective;
	tutti_dtype dtype;
	tutti_op op;
	bool ordered; /* not commutative: contributions in rank order */
	bool weighted; /* each rank's contribution has a scalar: all of them in one reduction */
	bool uneven;
	bool any_size; /* ranks do not know each other's counts: bytes is 0, and only rules for every size count */
	bool internal; /* the library's own: no rule counts */
	uint64_t bytes; /* as in nccl-tests: the larger of a rank's whole send and receive buffer */
	const char *forced; /* options->algorithm, NULL = free */
};

struct tt_choice {
	const struct tt_algorithm *algorithm;
	int slices; /* ≥ 1 */
	int window; /* slices at once, 1 ... lanes */
	double predicted_s;
};

struct tt_candidate {
	const struct tt_algorithm *algorithm;
	bool eligible;
	const char *why_not; /* static text, NULL if eligible */
	double predicted_s, latency_s, wire_s, reduce_s, copy_s;
	bool single_copy; /* what it copies within a node, the kernel does: out of other processes' memory, once */
};

/* Fills the facts with assumed constants for nranks on nnodes, each node a host. */
void tt_select_facts_init(struct tt_select_facts *facts, int nranks, int nnodes, const int *node_of);
/* A host with so many ranks on so many cores (> 0): it counts if none before was more crowded, or as crowded and larger. */
void tt_select_facts_host(struct tt_select_facts *facts, int ranks, int cores);
/* Ranks for each core where they share cores, else 1. */
double tt_select_crowd(const struct tt_select_facts *facts);
/* The same if they share them evenly, as ranks do that share memory: not always whole. */
double tt_select_even_crowd(const struct tt_select_facts *facts);
/* Prices from these constants, for ranks that sit as the map says (NULL: as init assumes). */
void tt_select_facts_use(
    struct tt_select_facts *facts, const struct tt_constants *constants, const struct tt_map *map);
/* One number for all that is decided from these facts, whether ranks can read each other's memory or not: ranks whose
 * numbers differ would choose differently. */
uint64_t tt_select_digest(const struct tt_select_facts *facts);
/* ERR_ARGUMENT: unknown name (the record lists the names there are); ERR_UNSUPPORTED: a known one that cannot do
 * this (with the reason), asked for by the call or by a rule. */
tutti_status tt_select(
    const struct tt_select_facts *facts, const struct tt_select_call *call, struct tt_choice *choice);
/* What a rule names for this call; NULL: nothing. On one rank, where there is nothing to choose, nothing. */
const struct tt_algorithm *tt_select_ruled(const struct tt_select_facts *facts, const struct tt_select_call *call);
/* All algorithms of the collective; returns how many. */
int tt_select_candidates(const struct tt_select_facts *facts, const struct tt_select_call *call,
    struct tt_candidate *candidates, int capacity);
/* "all_reduce:0-8K=oneshot,8K-=ring;broadcast=chain": ERR_ARGUMENT says what is wrong where. */
tutti_status tt_select_rules_check(const char *rules);
/* A text or JSON report; returns the length needed without the final zero, like snprintf. */
size_t tt_select_explain(
    const struct tt_select_facts *facts, const struct tt_select_call *call, bool json, char *text, size_t capacity);

#endif /* TT_SELECT_H */

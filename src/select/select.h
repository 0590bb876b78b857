/* SPDX-License-Identifier: Apache-2.0
 *
 * select.h - which algorithm, in how many slices. A pure function: the same inputs on every rank give the same
 * choice, and all inputs are agreed across ranks at creation (rank 0's constants, all ranks' facts).
 *
 * Total: there is always a legal choice. Every candidate carries the reason why it cannot be taken, if so.
 */
#ifndef TT_SELECT_H
#define TT_SELECT_H

#include "algorithms/algorithms.h"

/* What one message costs on the way between two ranks. */
struct tt_link_cost {
	double alpha_s; /* one message end to end */
	double over_s; /* CPU of one more message in flight */
	double beta_s; /* per byte */
};

/* The agreed facts of a communicator; built on rank 0 and handed to all, so never different. */
struct tt_select_facts {
	int nranks, nnodes;
	int most_per_node, least_per_node;
	int cores; /* the fewest usable cores of any node */
	int64_t staging_bytes; /* scratch memory per rank */
	int32_t reproducible;
	int32_t lanes;
	double meet_s; /* what a meeting of a node's ranks in shared memory costs */
	uint64_t one_meeting_bytes; /* of all ranks together: what the node stage does in one meeting */
	struct tt_link_cost same_node, between_nodes;
	double reduce_s_per_byte, copy_s_per_byte;
	char rules[512]; /* TUTTI_ALGORITHM of rank 0, checked */
};

struct tt_select_call {
	enum tt_collective collective;
	tutti_dtype dtype;
	tutti_op op;
	bool ordered; /* not commutative: contributions in rank order */
	bool weighted; /* each rank's contribution has a scalar: all of them in one reduction */
	bool uneven;
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
};

/* Fills the facts with default constants for nranks on nnodes; the caller sets what it has measured. */
void tt_select_facts_init(struct tt_select_facts *facts, int nranks, int nnodes, const int *node_of);
/* ERR_ARGUMENT: unknown name (the record lists the names there are); ERR_UNSUPPORTED: a known one that cannot do
 * this (with the reason). */
tutti_status tt_select(
    const struct tt_select_facts *facts, const struct tt_select_call *call, struct tt_choice *choice);
/* All algorithms of the collective; returns how many. */
int tt_select_candidates(const struct tt_select_facts *facts, const struct tt_select_call *call,
    struct tt_candidate *candidates, int capacity);
/* "all_reduce:0-8K=oneshot,8K-=ring;broadcast=chain": ERR_ARGUMENT says what is wrong where. */
tutti_status tt_select_rules_check(const char *rules);
/* A text or JSON report; returns the length needed without the final zero, like snprintf. */
size_t tt_select_explain(
    const struct tt_select_facts *facts, const struct tt_select_call *call, bool json, char *text, size_t capacity);

#endif /* TT_SELECT_H */

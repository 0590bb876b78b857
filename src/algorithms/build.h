/* SPDX-License-Identifier: Apache-2.0
 *
 * build.h - what algorithms share: short names for spans, arithmetic on ranks, groups of ranks, small stages.
 */
#ifndef TT_ALGORITHMS_BUILD_H
#define TT_ALGORITHMS_BUILD_H

#include "algorithms/algorithms.h"

/* a modulo n, never negative. */
static inline int
tt_mod(int a, int n)
{
	const int m = a % n;

	return m < 0 ? m + n : m;
}

/* The smallest L with 2^L ≥ n: the fewest rounds in which n ranks can hear of each other. */
static inline int
tt_log2_up(int n)
{
	int rounds = 0;

	while ((1 << rounds) < n)
		rounds++;
	return rounds;
}

/* The largest L with 2^L ≤ n: how deep a binomial tree is. */
static inline int
tt_log2_down(int n)
{
	int rounds = 0;

	while (2 << rounds <= n)
		rounds++;
	return rounds;
}

static inline bool
tt_is_power_of_two(int n)
{
	return n > 0 && (n & (n - 1)) == 0;
}

/* Whom a rank tells in all rounds of a tree, or a graph, of radix 4: up to three in each. */
static inline int
tt_radix4_peers(int n)
{
	int peers = 0;

	for (int far = 1; far < n; far *= 4)
		peers += (n - 1) / far < 3 ? (n - 1) / far : 3;
	return peers;
}

/* The k-th skip of the circulant graph of n ranks: n halved k times, rounded up; 1 for k = tt_log2_up(n). */
static inline int
tt_skip(int n, int k)
{
	return ((n - 1) >> k) + 1;
}

/* A whole row; a whole slot that is like row `like`. */
static inline struct tt_span
tt_in(int row)
{
	return tt_span_rows(TT_IN, row, 1);
}

static inline struct tt_span
tt_out(int row)
{
	return tt_span_rows(TT_OUT, row, 1);
}

static inline struct tt_span
tt_slot(int slot, int like)
{
	return tt_span_slot(slot, like, 0, 1, 1);
}

/* Where the contribution of `rank` goes among nranks-1 slots, one for each rank but `me`. */
static inline int
tt_slot_of(int rank, int me)
{
	return rank < me ? rank : rank - 1;
}

/* This rank is alone: writes the whole plan (result = own contribution) and returns true. */
bool tt_build_alone(struct tt_plan *plan);

/* OUT's row `row` = IN's row `from`, unless they are the same memory. */
void tt_build_own_row(struct tt_plan *plan, int row, int from);

/* dst = the sum over all nranks ranks, in rank order: `own` for this rank, slot tt_slot_of(r) for the others, shaped
 * like `slot`. */
void tt_build_reduce_all(struct tt_plan *plan, struct tt_span dst, struct tt_span own, struct tt_span slot);

/* The list 0, 1, ... nranks-1, to be dropped afterwards; false: the plan has failed. */
bool tt_build_everyone(struct tt_plan *plan, int **ranks);
void tt_build_drop(int *ranks);

/* All-reduce by exchanging everything in groups of `radix` (a power of two), then in groups of groups: see
 * all_reduce_recursive_doubling.c. The plan has no steps yet and more than one rank. */
void tt_build_recursive(struct tt_plan *plan, int radix);

/* All-to-all with the ranks at distance 1, 2, 3, ... on both sides, `window` distances (at most 16) at a time. */
void tt_build_pairwise(struct tt_plan *plan, int window);
/* All-to-all in log_radix(P) hops: see bruck.c. */
void tt_build_bruck(struct tt_plan *plan, int radix);
/* How often a row is sent on, on average; with radix 2 in a binomial tree, too. */
double tt_bruck_hops(int nranks, int radix);

/* Broadcast and reduction of at most 16 blocks, one in each round: see circulant_blocks.c. More than one rank. */
void tt_build_circulant_broadcast(struct tt_plan *plan, int blocks);
void tt_build_circulant_reduce(struct tt_plan *plan, int blocks);
struct tt_algorithm_cost tt_circulant_cost(int nranks, int nnodes, int blocks, double reduced);

/* A group of ranks that share a row: the parts first, first+1, ... first+n-1 of `of` are dealt to its n members. */
struct tt_lane {
	const int *ranks; /* in rank order */
	int n, me; /* members; this rank's place among them */
	int first, of; /* the parts that the group works on: n of them */
	int slot; /* the first of n-1 slots that it may use, each of at least one part */
};

/* All-reduce of the lane's parts of row 0, in two rounds: everyone's part i to member i, which reduces; then direct
 * all-gather. `from` is where the contributions are; the result is in OUT. */
void tt_build_lane_direct(struct tt_plan *plan, const struct tt_lane *lane, enum tt_buffer from, unsigned flags);

/* How a job's ranks stand on its nodes, seen from this rank. */
struct tt_groups {
	int *within; /* the ranks of this node, in order */
	int *
	    across; /* the ranks of all nodes with this rank's place in theirs, by node; meaningful if local < lanes */
	int *first; /* the first rank of each node */
	int *sizes; /* how many ranks each node has */
	int *place; /* of each rank among those of its node */
	int members, local; /* ranks of this node; this rank's place among them */
	int nnodes, node;
	int lanes, most; /* ranks of the smallest and of the largest node */
	bool even; /* all nodes have as many */
	bool blocks; /* and the ranks of each node are numbered one after the other */
};

/* false: the plan has failed. */
bool tt_build_groups(struct tt_plan *plan, const struct tt_shape *shape, struct tt_groups *groups);
void tt_build_drop_groups(struct tt_groups *groups);

static inline int
tt_node_of(const struct tt_shape *shape, int rank)
{
	return shape->node_of ? shape->node_of[rank] : rank;
}

static inline bool
tt_same_node(const struct tt_shape *shape, int a, int b)
{
	return tt_node_of(shape, a) == tt_node_of(shape, b);
}

/* The rank at a place of a node; places beyond its ranks begin again. */
int tt_groups_rank(const struct tt_groups *groups, const struct tt_shape *shape, int node, int place);
/* The root in its own node, else the node's first rank. */
int tt_groups_leader(const struct tt_groups *groups, const struct tt_shape *shape, int node);
/* Are the node's ranks numbered one after the other? */
bool tt_groups_block(const struct tt_groups *groups, const struct tt_shape *shape, int node);

/* The double binary tree: rank's neighbours in tree 0 or 1 over n ranks, -1 = none. In tree 0 the ranks of `lower`
 * come before the rank, those of `higher` after it. No rank has children in both trees. */
struct tt_tree_place {
	int parent, lower, higher;
};
struct tt_tree_place tt_double_tree(int tree, int rank, int n);

#endif /* TT_ALGORITHMS_BUILD_H */

/* SPDX-License-Identifier: Apache-2.0
 *
 * algorithms.h - the table of algorithms. To be in it is to be proven, tested and measured: proofs, correctness
 * campaigns and benchmarks iterate over the table.
 */
#ifndef TT_ALGORITHMS_H
#define TT_ALGORITHMS_H

#include "plan/plan.h"

enum {
	TT_ALG_ONE_ROUNDING = 1u << 0, /* every sum is one k-ary reduction over all ranks in rank order: fits 8- and
	                                  16-bit floats, custom operators, and the reproducible mode */
	TT_ALG_NODE = 1u << 1, /* uses the node stage: all ranks of a node share memory */
	TT_ALG_ONE_NODE = 1u << 2, /* all ranks must be on one node */
	TT_ALG_POWER_OF_TWO = 1u << 3, /* of ranks */
	TT_ALG_UNEVEN = 1u << 4, /* serves the v-forms too */
	TT_ALG_NEIGHBOURS =
	    1u << 5, /* most bytes go between ranks with neighbouring numbers, or trees have runs of them as their
	                branches: its plan is made for ranks renumbered in the order of the machine */
};

/* What the selector's closed forms are made of: of the rank that has most to do, in units of n (n as in nccl-tests: the
 * larger whole buffer) where bytes are meant. */
struct tt_algorithm_cost {
	double messages; /* α: sequential messages on the critical path */
	double meetings; /* so many of them are no messages but steps of the node stage */
	double overheads; /* o: messages posted beyond those */
	double bytes; /* sent, or received, whichever is more */
	double both; /* sent and received; 0: as many each way */
	double reduced; /* bytes reduced */
	double folded; /* bytes added as they arrive: in shared memory they are read, not copied */
	double copied; /* bytes copied into or out of memory that the ranks of a node share */
	double kept; /* bytes copied from a rank's own memory to its own */
	double
	    fill; /* bytes on the wire, or copied in the node stage, until all ranks are busy; of a slice, not of n */
	double leaves; /* a node, or enters it, whichever is more; 0: what follows from the bytes of its ranks */
	/* Of all ranks together, where some have less to do than others; 0: all have as much. */
	double all_messages, all_bytes, all_reduced, all_copied;
};

struct tt_algorithm {
	const char *name; /* "ring"; unique within a collective */
	enum tt_collective collective;
	unsigned flags;
	tt_plan_maker make;
	/* The terms for this shape, many slices pipelined: what remains per byte; few: the latency. */
	struct tt_algorithm_cost (*cost)(int nranks, int nnodes);
	const char *summary; /* one line: idea and when to use it */
	const char *source; /* paper or folklore */
};

extern const struct tt_algorithm *const tt_algorithms[]; /* ends with NULL */

/* What leaves a node of so many members, or enters it, whichever is more, in units of n; of the node with most. */
double tt_algorithm_leaves(const struct tt_algorithm *algorithm, int nranks, int nnodes, int members);
/* NULL if there is none of that name. */
const struct tt_algorithm *tt_algorithm_find(enum tt_collective collective, const char *name);
/* Can it serve this? If not, *why (static text) says why not. */
bool tt_algorithm_serves(const struct tt_algorithm *algorithm, const struct tt_shape *shape, const char **why);

#endif /* TT_ALGORITHMS_H */

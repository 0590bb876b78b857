/* SPDX-License-Identifier: Apache-2.0
 *
 * world.h - for tests of plans: the plans of all ranks of a job, made together.
 */
#ifndef TESTS_PLAN_WORLD_H
#define TESTS_PLAN_WORLD_H

#include "algorithms/algorithms.h"

enum in_place { OUT_OF_PLACE, IN_PLACE, MIXED /* odd ranks in place */, IN_PLACE_MODES };

struct job {
	int nranks, nnodes, root;
	enum in_place in_place;
	int *node_of; /* [nranks], or NULL */
	struct tt_plan *plans; /* [nranks], node-stage steps expanded */
	const struct tt_plan **list;
};

/* Makes the plans; exits with a message if that fails. node_of is lent and may be NULL. */
void job_make(struct job *job, const struct tt_algorithm *algorithm, int nranks, int root, enum in_place in_place,
    int *node_of, int nnodes);
/* The same for ranks in the order of a machine. */
void job_make_ordered(struct job *job, const struct tt_algorithm *algorithm, int nranks, int root,
    enum in_place in_place, int *node_of, int nnodes, const int *order, const int *position);
void job_drop(struct job *job);
/* Numbers nodes 0.. in order of their first rank; returns how many there are. */
int job_number_nodes(int *node_of, int nranks);

/* A small generator of pseudo-random numbers: the same everywhere. */
uint64_t random_next(uint64_t *state);
int random_below(uint64_t *state, int n);

#endif /* TESTS_PLAN_WORLD_H */

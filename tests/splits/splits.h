/* SPDX-License-Identifier: Apache-2.0
 *
 * splits.h - the lists of scenarios of job_splits, and what they share.
 */
#ifndef TT_TESTS_SPLITS_H
#define TT_TESTS_SPLITS_H

#include "scenario.h"

extern const struct scenario children_scenarios[], fate_scenarios[], family_scenarios[];

/* Complains unless an all_reduce and an all_gather on a communicator give what they should: `ids` is what its ranks
 * are called, in order. Returns 1 then. */
int splits_use(struct job_rank *me, tutti_comm *comm, int id, const int *ids, int n, const char *what);
/* The same where rank r of the communicator is called r. */
int splits_use_all(struct job_rank *me, tutti_comm *comm, const char *what);

#endif /* TT_TESTS_SPLITS_H */

/* SPDX-License-Identifier: Apache-2.0
 *
 * groups.h - scenarios of groups of all-reduces: what a promise says, and the body that every rank runs.
 */
#ifndef TT_TESTS_GROUPS_H
#define TT_TESTS_GROUPS_H

#include "job.h"

struct plan {
	const char *transports;
	int size, steps;
	bool env, threads;
	uint64_t seed;
	tutti_comm *world; /* with env: of the launcher's job */
};

struct scenario {
	const char *name, *promise;
	int least; /* ranks that it needs */
	bool alone; /* not for ranks of a launcher's job: the communicator fails, or ranks meet outside of it */
	job_body body;
};

extern const struct scenario chance_scenarios[], fused_scenarios[], trouble_scenarios[];

/* A communicator of all ranks; complains and returns 1 if there is none. */
int groups_comm(struct job_rank *me, int reproducible, tutti_comm **comm);
/* Complains unless the status is TUTTI_OK: `what` failed. Returns 1 then. */
int groups_check(struct job_rank *me, tutti_status status, const char *what);

#endif /* TT_TESTS_GROUPS_H */

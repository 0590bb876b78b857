/* SPDX-License-Identifier: Apache-2.0
 *
 * scenario.h - a program of scenarios: each has a promise, and a body that every rank of a job runs.
 *
 *     PROGRAM [-n RANKS] [--threads] [--transports LIST] [SCENARIO ...]     without a name: all that fit
 */
#ifndef TT_TESTS_SCENARIO_H
#define TT_TESTS_SCENARIO_H

#include "job.h"

/* The context of the bodies. */
struct scenario_plan {
	const char *transports;
	int size;
	bool threads;
};

struct scenario {
	const char *name, *promise;
	int least; /* ranks that it needs */
	bool processes; /* not for ranks that are threads */
	job_body body;
};

/* Runs what the command line asks for out of `lists` (ends with NULL), each of which ends without a name. Returns the
 * exit status. */
int scenario_main(int argc, char **argv, const struct scenario *const *lists);

/* ---- a rank's side --------------------------------------------------------------------------------------------- */

/* A config as the command line says. */
tutti_config scenario_config(const struct job_rank *me);
/* A communicator of all ranks; complains and returns 1 if there is none. */
int scenario_comm(struct job_rank *me, tutti_comm **comm);
/* Complains unless the status is TUTTI_OK: `what` failed. Returns 1 then. */
int scenario_check(struct job_rank *me, tutti_status status, const char *what);
/* Complains unless it is the wanted one, and this thread's latest error says so too. Returns 1 then. */
int scenario_error(struct job_rank *me, tutti_status got, tutti_status wanted, const char *what);

#endif /* TT_TESTS_SCENARIO_H */

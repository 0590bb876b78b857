/* SPDX-License-Identifier: Apache-2.0
 *
 * faults.h - scenarios: one thing that goes wrong, and what every rank must see of it.
 */
#ifndef TT_TESTS_FAULTS_H
#define TT_TESTS_FAULTS_H

#include "job.h"
#include "report.h"
#include "storm.h"

/* Phases and signals between the ranks and the scenario's driver. */
enum { AT_START, AT_WORK, AT_REPORT };
enum { GO = 1, STOP };

struct plan {
	const char *transports;
	int size, seed;
	const char *program; /* this one, to start again */
};

struct scenario {
	const char *name;
	const char *promise;
	job_body body;
	void (*drive)(struct job *job, const struct plan *plan); /* while the ranks run; may be NULL */
};

extern const struct scenario stop_scenarios[], leave_scenarios[], process_scenarios[];

/* A communicator with this time limit; complains if there is none. */
int make_comm(struct job_rank *me, int64_t timeout_ms, tutti_comm **comm);

#endif /* TT_TESTS_FAULTS_H */

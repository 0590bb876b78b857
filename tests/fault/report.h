/* SPDX-License-Identifier: Apache-2.0
 *
 * report.h - what a rank must hear when its job has failed: the right status and culprits, once; afterwards
 * TUTTI_ERR_STATE, with the cause kept; and a communicator that can be destroyed without a trace.
 */
#ifndef TT_TESTS_REPORT_H
#define TT_TESTS_REPORT_H

#include "job.h"

struct report {
	tutti_status status;
	int ranks[16], nranks; /* the culprits, in ascending order; nranks -1: any */
	const char *words[4]; /* must be in the message */
};

/* `status` was returned by a call on `comm` just now. 0 if it and all that follows is as it should be. */
int report_check(struct job_rank *me, tutti_comm *comm, tutti_status status, const struct report *expected);
/* How many are open now, before a communicator over these transports is made; -1: not to be compared, because libfabric
 * 1.17 loses one when a peer goes away while it connects. */
int report_descriptors(const char *transports);
/* Destroys; `descriptors` is what report_descriptors() said. */
int report_destroy(struct job_rank *me, tutti_comm *comm, int descriptors);

#endif /* TT_TESTS_REPORT_H */

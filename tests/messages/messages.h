/* SPDX-License-Identifier: Apache-2.0
 *
 * messages.h - scenarios of sends, receives and groups: what a promise says, and the body that every rank runs.
 */
#ifndef TT_TESTS_MESSAGES_H
#define TT_TESTS_MESSAGES_H

#include "job.h"

struct plan {
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

extern const struct scenario data_scenarios[], group_scenarios[], trouble_scenarios[];

/* A communicator as the plan says; complains and returns 1 if there is none. */
int messages_comm(struct job_rank *me, tutti_comm **comm);
/* Complains unless the status is TUTTI_OK: `what` failed. Returns 1 then. */
int messages_check(struct job_rank *me, tutti_status status, const char *what);
/* Complains unless this thread's latest error is as told; rank -2 = not looked at. Returns 1 then. */
int messages_error(struct job_rank *me, tutti_status got, tutti_status wanted, int rank, const char *what);

/* Byte i of the message `number` from a rank to a rank. */
unsigned char messages_byte(int from, int to, int number, size_t i);
void messages_fill(unsigned char *buffer, size_t bytes, int from, int to, int number);
bool messages_right(const unsigned char *buffer, size_t bytes, int from, int to, int number);

#endif /* TT_TESTS_MESSAGES_H */

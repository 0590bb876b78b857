/* SPDX-License-Identifier: Apache-2.0
 *
 * report.c - see report.h.
 */
#include <stdio.h>
#include <string.h>

#include "report.h"

static int
check_error(struct job_rank *me, const char *who, const tutti_error *error, const struct report *expected)
{
	if (error->status != expected->status)
		return job_complain(me, "%s says %s, should be %s: \"%s\"", who, tutti_status_string(error->status),
		    tutti_status_string(expected->status), error->message);
	if (expected->nranks >= 0 && error->nranks != expected->nranks)
		return job_complain(me, "%s names %d ranks, should be %d: \"%s\"", who, error->nranks,
		    expected->nranks, error->message);
	for (int i = 0; i < expected->nranks; i++)
		if (error->ranks[i] != expected->ranks[i])
			return job_complain(me, "%s names rank %d, should be %d: \"%s\"", who, error->ranks[i],
			    expected->ranks[i], error->message);
	if (expected->nranks > 0 && error->rank != expected->ranks[0])
		return job_complain(me, "%s: rank is %d, should be %d", who, error->rank, expected->ranks[0]);
	if (expected->nranks == 0 && error->rank != -1)
		return job_complain(me, "%s: rank is %d, should be -1", who, error->rank);
	for (size_t i = 0; i < sizeof(expected->words) / sizeof(expected->words[0]); i++)
		if (expected->words[i] != NULL && strstr(error->message, expected->words[i]) == NULL)
			return job_complain(
			    me, "%s does not say \"%s\": \"%s\"", who, expected->words[i], error->message);
	if (error->message[0] == '\0')
		return job_complain(me, "%s has no message", who);
	return 0;
}

int
report_check(struct job_rank *me, tutti_comm *comm, tutti_status status, const struct report *expected)
{
	tutti_error error = TUTTI_ERROR_INIT, cause = TUTTI_ERROR_INIT;
	tutti_status next;

	job_doing(me, "telling an error");
	(void)tutti_last_error(&error);
	if (status != expected->status)
		return job_complain(me, "the call returned %s, should be %s: \"%s\"", tutti_status_string(status),
		    tutti_status_string(expected->status), status == TUTTI_OK ? "" : error.message);
	if (check_error(me, "tutti_last_error", &error, expected) != 0)
		return 1;
	next = tutti_barrier(comm, NULL, NULL);
	if (next != TUTTI_ERR_STATE)
		return job_complain(
		    me, "the call after it returned %s, not TUTTI_ERR_STATE", tutti_status_string(next));
	if (tutti_comm_error(comm, &cause) != expected->status)
		return job_complain(
		    me, "tutti_comm_error returned %s", tutti_status_string(tutti_comm_error(comm, NULL)));
	return check_error(me, "tutti_comm_error", &cause, expected);
}

int
report_descriptors(const char *transports)
{
	return transports != NULL && strstr(transports, "fabric") != NULL ? -1 : job_descriptors();
}

int
report_destroy(struct job_rank *me, tutti_comm *comm, int descriptors)
{
	tutti_status status;
	int left;

	job_doing(me, "destroying");
	status = tutti_comm_destroy(comm);
	if (status != TUTTI_OK)
		return job_complain_status(me, status, "destruction");
	left = job_descriptors();
	if (descriptors >= 0 && left != descriptors)
		return job_complain(
		    me, "%d descriptors are open after destruction, %d were before creation", left, descriptors);
	return 0;
}

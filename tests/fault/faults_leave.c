/* SPDX-License-Identifier: Apache-2.0
 *
 * faults_leave.c - ranks that destroy their communicator while others still use it.
 */
#include <stdlib.h>
#include <unistd.h>

#include "faults.h"

/* Rank 0 is gone before the others call the next operation. */
static int
one_leaves_early(struct job_rank *me)
{
	const struct report expected = {.status = TUTTI_ERR_PEER, .ranks = {0}, .nranks = 1};
	const struct plan *plan = me->context;
	const int descriptors = job_descriptors();
	struct storm storm;
	tutti_comm *comm;
	tutti_status status;
	bool right;
	int failed;

	if (make_comm(me, 20000, &comm) != 0)
		return 1;
	storm_init(&storm, comm, (uint64_t)plan->seed, 20000);
	job_doing(me, "working with all ranks");
	status = storm_steps(&storm, 50, &right);
	if (status != TUTTI_OK || !right)
		return job_complain_status(me, status, "%s number %ld", storm.what, storm.step);
	if (me->rank == 0) {
		storm_fini(&storm);
		failed = report_destroy(me, comm, descriptors);
		job_meet(me, AT_REPORT);
		return failed;
	}
	job_doing(me, "working without rank 0");
	while (status == TUTTI_OK)
		status = tutti_barrier(comm, NULL, NULL);
	storm_fini(&storm);
	failed = report_check(me, comm, status, &expected);
	job_meet(me, AT_REPORT);
	return failed != 0 ? failed : report_destroy(me, comm, descriptors);
}

/* Rank 0 is gone before its own scatter is over: its memory may not be read any more. Only its word ends the others: the
 * limit is longer than the test. */
static int
one_leaves_in_the_middle(struct job_rank *me)
{
	const struct report expected = {.status = TUTTI_ERR_PEER, .ranks = {0}, .nranks = 1};
	const size_t row = 100000, whole = row * (size_t)me->size;
	const int descriptors = job_descriptors();
	int32_t *send = calloc(whole, sizeof(*send)), *recv = calloc(row, sizeof(*recv));
	tutti_request *request = NULL;
	tutti_comm *comm;
	tutti_status status;
	int failed = 1;

	if (send == NULL || recv == NULL || make_comm(me, 600000, &comm) != 0)
		return 1;
	job_doing(me, "a scatter whose root leaves");
	if (me->rank == 0) {
		status = tutti_scatter(comm, send, recv, row, TUTTI_INT32, 0, NULL, &request);
		failed = status == TUTTI_OK ? report_destroy(me, comm, descriptors)
					    : job_complain_status(me, status, "scatter");
		job_meet(me, AT_REPORT);
		(void)tutti_wait(&request);
	} else {
		job_sleep_us(100000);
		status = tutti_scatter(comm, send, recv, row, TUTTI_INT32, 0, NULL, NULL);
		/* Whoever had its row before has it. */
		while (status == TUTTI_OK)
			status = tutti_barrier(comm, NULL, NULL);
		failed = report_check(me, comm, status, &expected);
		job_meet(me, AT_REPORT);
		failed = failed != 0 ? failed : report_destroy(me, comm, descriptors);
	}
	free(send);
	free(recv);
	return failed;
}

/* ---- the last words arrive --------------------------------------------------------------------------------------- */

#define LARGE 300000

static tutti_status
last_words(tutti_comm *comm, int kind, const int32_t *send, int32_t *recv, size_t count)
{
	switch (kind) {
	case 0:
		return tutti_broadcast(comm, send, recv, count, TUTTI_INT32, 0, NULL, NULL);
	case 1:
		return tutti_all_reduce(comm, send, recv, count, TUTTI_INT32, TUTTI_MAX, NULL, NULL);
	case 2:
		return tutti_scatter(comm, send, recv, count, TUTTI_INT32, 0, NULL, NULL);
	case 3:
		return tutti_all_gather(comm, send, recv, count, TUTTI_INT32, NULL, NULL);
	default:
		return tutti_gather(comm, send, recv, count, TUTTI_INT32, 0, NULL, NULL);
	}
}

/* Element i of everybody's input is i; what is right is known without the kind. */
static int
check_words(struct job_rank *me, int kind, const int32_t *recv, size_t count)
{
	const size_t rows = kind == 3 || kind == 4 ? (size_t)me->size : 1;
	const size_t first = kind == 2 ? (size_t)me->rank * count : 0;

	if (kind == 4 && me->rank != 0)
		return 0;
	for (size_t r = 0; r < rows; r++)
		for (size_t i = 0; i < count; i++)
			if (recv[r * count + i] != (int32_t)(first + i))
				return job_complain(
				    me, "kind %d: row %zu, element %zu is %d", kind, r, i, recv[r * count + i]);
	return 0;
}

/* Everybody destroys at once after its last operation; odd ranks are late for it. The processes end by themselves. */
static int
all_leave_at_once(struct job_rank *me)
{
	static const size_t counts[] = {1, 1000, LARGE};
	const size_t whole = (size_t)LARGE * (size_t)me->size;
	int32_t *send = malloc(whole * sizeof(*send)), *recv = malloc(whole * sizeof(*recv));
	int failed = send == NULL || recv == NULL;

	for (size_t i = 0; i < whole && failed == 0; i++)
		send[i] = (int32_t)i;
	for (int run = 0; run < 15 && failed == 0; run++) {
		const int kind = run % 5;
		const size_t count = counts[run / 5];
		tutti_comm *comm;
		tutti_status status;

		if (make_comm(me, 20000, &comm) != 0)
			return 1;
		job_doing(me, "last words, kind %d, %zu elements", kind, count);
		if (me->rank % 2 == 1)
			job_sleep_us(30000);
		status = last_words(comm, kind, send, recv, count);
		failed = status == TUTTI_OK ? check_words(me, kind, recv, count)
					    : job_complain_status(me, status, "kind %d, %zu elements", kind, count);
		if (tutti_comm_destroy(comm) != TUTTI_OK)
			failed = job_complain(me, "destruction failed");
		if (run == 14)
			_exit(failed); /* the process is gone too */
	}
	free(send);
	free(recv);
	return failed;
}

const struct scenario leave_scenarios[] = {
    {"leave_early", "a rank that destroys while others still work: PEER names it", one_leaves_early, NULL},
    {"leave_pending", "a rank that leaves before its operation is over: PEER names it", one_leaves_in_the_middle,
	NULL},
    {"leave_at_once", "what was sent arrives though the sender has left at once", all_leave_at_once, NULL},
    {NULL, NULL, NULL, NULL}};

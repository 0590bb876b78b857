/* SPDX-License-Identifier: Apache-2.0
 *
 * trouble.c - a send or receive that cannot end says why, on every rank, and names who holds it up.
 */
#include <stdlib.h>
#include <unistd.h>

#include "messages.h"

#define BIG 1000000

/* What the ranks that did not take part hear: from their next call, whatever it is. */
static int
bystander(struct job_rank *me, tutti_comm *comm, tutti_status wanted, int rank)
{
	tutti_status status = TUTTI_OK;

	for (int i = 0; i < 3000 && status == TUTTI_OK; i++) {
		job_sleep_us(1000);
		status = tutti_comm_error(comm, NULL);
	}
	return messages_error(me, tutti_barrier(comm, NULL, NULL), wanted, rank, "a bystander");
}

static int
afterwards(struct job_rank *me, tutti_comm *comm, int bad)
{
	const tutti_status status = tutti_send(comm, NULL, 0, TUTTI_INT8, 0, 0, NULL, NULL);

	if (!bad && status != TUTTI_ERR_STATE)
		bad = job_complain_status(me, status, "a call after the failure");
	job_meet(me, 9);
	tutti_comm_destroy(comm);
	return bad;
}

/* Rank 0 sends `sent` of a type, rank 1 wants `wanted` of a type. */
static int
disagree(struct job_rank *me, size_t sent, tutti_dtype sent_dtype, size_t wanted, tutti_dtype wanted_dtype)
{
	unsigned char *buffer = calloc(1, 8 * BIG);
	tutti_request *request = NULL;
	tutti_comm *comm;
	tutti_status status;
	int bad = messages_comm(me, &comm);

	if (bad)
		return bad;
	if (me->rank == 0) {
		status = tutti_send(comm, buffer, sent, sent_dtype, 1, 5, NULL, &request);
		if (status == TUTTI_OK)
			status = tutti_wait(&request);
		if (status == TUTTI_OK) /* it had gone before the receive looked at it */
			bad = bystander(me, comm, TUTTI_ERR_MISMATCH, 1);
		else
			bad = messages_error(me, status, TUTTI_ERR_MISMATCH, 1, "the send");
	} else if (me->rank == 1) {
		status = tutti_recv(comm, buffer, wanted, wanted_dtype, 0, 5, NULL, NULL, NULL);
		bad = messages_error(me, status, TUTTI_ERR_MISMATCH, 1, "the receive");
	} else {
		bad = bystander(me, comm, TUTTI_ERR_MISMATCH, 1);
	}
	free(buffer);
	return afterwards(me, comm, bad);
}

static int
larger_count(struct job_rank *me)
{
	return disagree(me, 10, TUTTI_INT32, 11, TUTTI_INT32);
}

static int
smaller_count(struct job_rank *me)
{
	return disagree(me, BIG, TUTTI_FLOAT64, 5, TUTTI_FLOAT64);
}

static int
other_dtype(struct job_rank *me)
{
	return disagree(me, BIG, TUTTI_FLOAT32, BIG, TUTTI_INT32);
}

/* The time limit of rank 0's call passes; rank 1 is named. */
static int
late(struct job_rank *me, bool sends)
{
	unsigned char *buffer = calloc(1, BIG);
	tutti_options options = TUTTI_OPTIONS_INIT;
	tutti_comm *comm;
	tutti_status status;
	int bad = messages_comm(me, &comm);

	if (bad)
		return bad;
	options.timeout_ms = 300;
	if (me->rank != 0) {
		bad = bystander(me, comm, TUTTI_ERR_TIMEOUT, 1);
	} else {
		status = sends ? tutti_send(comm, buffer, BIG, TUTTI_INT8, 1, 0, &options, NULL)
			       : tutti_recv(comm, buffer, 1, TUTTI_INT8, 1, 0, NULL, &options, NULL);
		bad = messages_error(me, status, TUTTI_ERR_TIMEOUT, 1, "the late one");
	}
	free(buffer);
	return afterwards(me, comm, bad);
}

static int
late_receive(struct job_rank *me)
{
	return late(me, false);
}

static int
late_send(struct job_rank *me)
{
	return late(me, true);
}

static int
late_any(struct job_rank *me)
{
	tutti_options options = TUTTI_OPTIONS_INIT;
	tutti_comm *comm;
	int bad = messages_comm(me, &comm), got;

	if (bad)
		return bad;
	options.timeout_ms = 300;
	if (me->rank != 0)
		bad = bystander(me, comm, TUTTI_ERR_TIMEOUT, -1);
	else
		bad = messages_error(me,
		    tutti_recv(comm, &got, 1, TUTTI_INT32, TUTTI_ANY_PEER, 0, NULL, &options, NULL),
		    TUTTI_ERR_TIMEOUT, -1, "a receive from nobody");
	return afterwards(me, comm, bad);
}

/* Rank 1 aborts while the others wait for it, in a receive and in a group. */
static int
aborted(struct job_rank *me)
{
	unsigned char *buffer = calloc(1, BIG);
	tutti_comm *comm;
	int bad = messages_comm(me, &comm);

	if (bad)
		return bad;
	if (me->rank == 1) {
		job_sleep_us(100000);
		bad = messages_check(me, tutti_comm_abort(comm), "abort");
		bad = bad || bystander(me, comm, TUTTI_ERR_ABORTED, 1);
	} else if (me->rank == 0) {
		bad = messages_error(me, tutti_recv(comm, buffer, BIG, TUTTI_INT8, 1, 0, NULL, NULL, NULL),
		    TUTTI_ERR_ABORTED, 1, "a receive");
	} else {
		bad = messages_check(me, tutti_group_begin(comm), "begin");
		bad = bad ||
		      messages_check(me, tutti_send(comm, buffer, BIG, TUTTI_INT8, 1, 0, NULL, NULL), "a member");
		bad = bad ||
		      messages_check(me, tutti_recv(comm, buffer, 1, TUTTI_INT8, TUTTI_ANY_PEER, 1, NULL, NULL, NULL),
			  "a member");
		bad = bad || messages_error(me, tutti_group_end(comm, NULL), TUTTI_ERR_ABORTED, 1, "a group");
	}
	free(buffer);
	return afterwards(me, comm, bad);
}

/* Rank 1 dies while the others wait for it or for each other. */
static int
death(struct job_rank *me)
{
	tutti_comm *comm;
	int bad = messages_comm(me, &comm), got = 0;

	if (bad)
		return bad;
	if (me->rank == 1) {
		/* It has talked before, so that there is a connection to lose. */
		bad = messages_check(me, tutti_send(comm, &got, 1, TUTTI_INT32, 0, 0, NULL, NULL), "send");
		job_meet(me, 1);
		_exit(bad);
	}
	if (me->rank == 0)
		bad = messages_check(me, tutti_recv(comm, &got, 1, TUTTI_INT32, 1, 0, NULL, NULL, NULL), "recv");
	job_reach(me, 1);
	bad = bad ||
	      messages_error(me,
		  tutti_recv(comm, &got, 1, TUTTI_INT32, me->rank == 0 ? 1 : TUTTI_ANY_PEER, 0, NULL, NULL, NULL),
		  TUTTI_ERR_PEER, 1, "a receive");
	return afterwards(me, comm, bad);
}

/* Rank 1 leaves without sending. */
static int
leaver(struct job_rank *me)
{
	tutti_comm *comm;
	int bad = messages_comm(me, &comm), got;

	if (bad)
		return bad;
	if (me->rank == 1) {
		tutti_comm_destroy(comm);
		job_meet(me, 9);
		return 0;
	}
	if (me->rank == 0)
		bad = messages_error(me, tutti_recv(comm, &got, 1, TUTTI_INT32, 1, 0, NULL, NULL, NULL),
		    TUTTI_ERR_PEER, 1, "a receive");
	else
		bad = bystander(me, comm, TUTTI_ERR_PEER, 1);
	return afterwards(me, comm, bad);
}

/* Of a communicator that is destroyed before they end, and what is not allowed. */
static int
pending(struct job_rank *me)
{
	tutti_request *request = NULL;
	int got, token = 5;
	tutti_comm *comm;
	int bad = messages_comm(me, &comm);

	if (bad)
		return bad;
	bad = messages_error(me, tutti_send(comm, &token, 1, TUTTI_INT32, TUTTI_ANY_PEER, 0, NULL, NULL),
	    TUTTI_ERR_ARGUMENT, -1, "a send to anybody");
	bad = bad || messages_error(me, tutti_send(comm, NULL, 1, TUTTI_INT32, 0, 0, NULL, NULL), TUTTI_ERR_ARGUMENT,
			 -1, "a send of nothing there");
	bad = bad || messages_error(me, tutti_recv(comm, &got, 1, (tutti_dtype)99, 0, 0, NULL, NULL, NULL),
			 TUTTI_ERR_ARGUMENT, -1, "an unknown type");
	bad = bad ||
	      messages_check(me, tutti_recv(comm, &got, 1, TUTTI_INT32, me->rank, 0, NULL, NULL, &request), "irecv");
	job_meet(me, 1);
	tutti_comm_destroy(comm);
	return bad || messages_error(me, tutti_wait(&request), TUTTI_ERR_STATE, -1, "the orphan");
}

const struct scenario trouble_scenarios[] = {
    {"larger_count", "a receive for more than was sent is a mismatch on every rank", 2, false, larger_count},
    {"smaller_count", "a receive for less than was sent is a mismatch on every rank", 2, false, smaller_count},
    {"other_dtype", "another data type is a mismatch on every rank", 2, false, other_dtype},
    {"late_receive", "a receive whose time is over names the rank that has not sent", 2, false, late_receive},
    {"late_send", "a send whose time is over names the rank that has not received", 2, false, late_send},
    {"late_any", "a receive from anybody whose time is over names nobody", 2, false, late_any},
    {"aborted", "an abort ends messages and groups", 2, false, aborted},
    {"death", "a death ends whatever is pending and is named", 2, true, death},
    {"leaver", "a rank that leaves without sending is named", 2, false, leaver},
    {"pending", "what is pending ends with its communicator", 1, false, pending},
    {NULL, NULL, 0, false, NULL},
};

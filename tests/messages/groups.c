/* SPDX-License-Identifier: Apache-2.0
 *
 * groups.c - what is issued in a group starts together, and ends as one.
 */
#include <stdlib.h>
#include <string.h>

#include "messages.h"

#define MEMBERS 100

static int
finish(struct job_rank *me, tutti_comm *comm, int bad)
{
	if (bad == 0)
		bad = messages_check(me, tutti_barrier(comm, NULL, NULL), "the last barrier");
	tutti_comm_destroy(comm);
	return bad;
}

/* Everybody to everybody, sends first, itself included: blocking calls would wait for ever. */
static int
exchange(struct job_rank *me, tutti_comm *comm, size_t bytes, bool nonblocking)
{
	unsigned char *out = malloc(bytes * (size_t)me->size + 1), *in = malloc(bytes * (size_t)me->size + 1);
	tutti_request *request = NULL;
	int bad = messages_check(me, tutti_group_begin(comm), "begin");

	for (int r = 0; r < me->size && !bad; r++) {
		messages_fill(out + bytes * (size_t)r, bytes, me->rank, r, 4);
		bad = messages_check(
		    me, tutti_send(comm, out + bytes * (size_t)r, bytes, TUTTI_UINT8, r, 4, NULL, NULL), "a send");
	}
	for (int r = 0; r < me->size && !bad; r++)
		bad = messages_check(me,
		    tutti_recv(comm, in + bytes * (size_t)r, bytes, TUTTI_UINT8, r, 4, NULL, NULL, NULL), "a recv");
	bad = bad || messages_check(me, tutti_group_end(comm, nonblocking ? &request : NULL), "end");
	bad = bad || messages_check(me, tutti_wait(&request), "the group");
	for (int r = 0; r < me->size && !bad; r++)
		if (!messages_right(in + bytes * (size_t)r, bytes, r, me->rank, 4))
			bad = job_complain(me, "%zu bytes of rank %d are wrong", bytes, r);
	free(out);
	free(in);
	return bad;
}

static int
all_to_all(struct job_rank *me)
{
	static const size_t sizes[] = {0, 10, 200, 1 << 20};
	tutti_comm *comm;
	int bad = messages_comm(me, &comm);

	if (bad)
		return bad;
	for (int i = 0; i < 8 && !bad; i++)
		bad = exchange(me, comm, sizes[i / 2], i % 2 == 1);
	return finish(me, comm, bad);
}

/* Many small all-reduces, other collectives and messages between them; on odd ranks as single calls. */
static int
mixed(struct job_rank *me)
{
	const bool grouped = me->rank % 2 == 0;
	const int next = (me->rank + 1) % me->size, before = (me->rank + me->size - 1) % me->size;
	int in[MEMBERS], sum[MEMBERS], root = me->rank == 0 ? 11 : 0, token = me->rank, got = -1;
	tutti_request *requests[MEMBERS + 3] = {0}, *whole = NULL;
	tutti_comm *comm;
	int bad = messages_comm(me, &comm);

	if (bad)
		return bad;
	if (grouped)
		bad = messages_check(me, tutti_group_begin(comm), "begin");
	for (int i = 0; i < MEMBERS && !bad; i++) {
		in[i] = me->rank + i;
		bad = messages_check(me,
		    tutti_all_reduce(comm, &in[i], &sum[i], 1, TUTTI_INT32, i % 10 == 9 ? TUTTI_MAX : TUTTI_SUM, NULL,
			grouped ? NULL : &requests[i]),
		    "an all_reduce");
		if (i != MEMBERS / 2)
			continue;
		bad = bad || messages_check(me,
				 tutti_broadcast(comm, &root, &root, 1, TUTTI_INT32, 0, NULL,
				     grouped ? NULL : &requests[MEMBERS]),
				 "a broadcast");
		bad = bad || messages_check(me,
				 tutti_send(comm, &token, 1, TUTTI_INT32, next, 0, NULL,
				     grouped ? NULL : &requests[MEMBERS + 1]),
				 "a send");
		bad = bad || messages_check(me,
				 tutti_recv(comm, &got, 1, TUTTI_INT32, before, 0, NULL, NULL,
				     grouped ? NULL : &requests[MEMBERS + 2]),
				 "a recv");
	}
	if (grouped)
		bad = bad || messages_check(me, tutti_group_end(comm, me->rank % 4 == 0 ? &whole : NULL), "end");
	bad = bad || messages_check(me, tutti_wait(&whole), "the group");
	bad = bad || messages_check(me, tutti_wait_all(MEMBERS + 3, requests), "the single calls");
	for (int i = 0; i < MEMBERS && !bad; i++) {
		const int all = me->size * i + me->size * (me->size - 1) / 2, most = me->size - 1 + i;

		if (sum[i] != (i % 10 == 9 ? most : all))
			bad = job_complain(me, "all_reduce %d gave %d", i, sum[i]);
	}
	if (!bad && (root != 11 || got != before))
		bad = job_complain(me, "the broadcast gave %d, the message %d", root, got);
	return finish(me, comm, bad);
}

/* Counts that the caller reuses, nesting, an empty group, and a group that is not waited for before its communicator goes. */
static int
lent(struct job_rank *me)
{
	size_t counts[JOB_RANKS];
	int in = me->rank, out[JOB_RANKS] = {0};
	tutti_options options = TUTTI_OPTIONS_INIT;
	tutti_request *request = NULL;
	tutti_comm *comm;
	int bad = messages_comm(me, &comm);

	if (bad)
		return bad;
	for (int r = 0; r < me->size; r++)
		counts[r] = 1;
	options.timeout_ms = 20000;
	bad = messages_check(me, tutti_group_begin(comm), "begin");
	bad = bad || messages_check(me, tutti_group_begin(comm), "inner begin");
	bad =
	    bad || messages_check(me, tutti_all_gatherv(comm, &in, 1, out, counts, NULL, TUTTI_INT32, &options, NULL),
		       "all_gatherv");
	memset(counts, 0xff, sizeof(counts));
	memset(&options, 0xff, sizeof(options));
	bad = bad || messages_check(me, tutti_group_end(comm, NULL), "inner end");
	if (!bad && me->size > 1 && out[me->size - 1] != 0)
		bad = job_complain(me, "the inner end has started something");
	bad = bad || messages_check(me, tutti_group_end(comm, &request), "end");
	bad = bad || messages_check(me, tutti_wait(&request), "the group");
	for (int r = 0; r < me->size && !bad; r++)
		if (out[r] != r)
			bad = job_complain(me, "row %d is %d", r, out[r]);
	bad = bad || messages_check(me, tutti_group_begin(comm), "begin of an empty group");
	bad = bad || messages_check(me, tutti_group_end(comm, &request), "end of an empty group");
	bad = bad || messages_check(me, tutti_wait(&request), "the empty group");
	bad = finish(me, comm, bad);
	bad = bad || messages_comm(me, &comm);
	if (bad)
		return bad;
	bad = messages_check(me, tutti_group_begin(comm), "begin");
	bad = bad || messages_check(me, tutti_recv(comm, &in, 1, TUTTI_INT32, TUTTI_ANY_PEER, 3, NULL, NULL, NULL),
			 "a receive for ever");
	bad = bad || messages_check(me, tutti_group_end(comm, &request), "end");
	tutti_comm_destroy(comm);
	return bad ||
	       messages_error(me, tutti_wait(&request), TUTTI_ERR_STATE, -1, "a group of a destroyed communicator");
}

/* A call with bad arguments fails at once, the group with the same error, and nothing has happened. */
static int
refused(struct job_rank *me)
{
	int in = me->rank, out = -1;
	tutti_error error = TUTTI_ERROR_INIT;
	tutti_request *request = NULL;
	tutti_comm *comm;
	int bad = messages_comm(me, &comm);

	if (bad)
		return bad;
	bad = messages_error(me, tutti_group_end(comm, NULL), TUTTI_ERR_STATE, -1, "end without begin");
	bad = bad || messages_check(me, tutti_group_begin(comm), "begin");
	bad =
	    bad || messages_check(me, tutti_all_reduce(comm, &in, &out, 1, TUTTI_INT32, TUTTI_SUM, NULL, NULL), "ok");
	bad = bad || messages_error(me, tutti_all_reduce(comm, &in, &out, 1, TUTTI_INT32, TUTTI_SUM, NULL, &request),
			 TUTTI_ERR_ARGUMENT, -1, "a request in a group");
	bad = bad || messages_error(me, tutti_send(comm, &in, 1, TUTTI_INT32, me->size, 0, NULL, NULL),
			 TUTTI_ERR_ARGUMENT, -1, "a peer that is not");
	bad = bad || messages_error(me, tutti_group_end(comm, NULL), TUTTI_ERR_ARGUMENT, -1, "the group");
	(void)tutti_last_error(&error);
	if (!bad && strstr(error.message, "request") == NULL)
		bad = job_complain(me, "not the first error: %s", error.message);
	if (!bad && out != -1)
		bad = job_complain(me, "something was started");
	bad = bad || messages_check(me, tutti_group_begin(comm), "begin");
	bad = bad || messages_error(me, tutti_recv(comm, &in, 1, TUTTI_INT32, 0, -1, NULL, NULL, NULL),
			 TUTTI_ERR_ARGUMENT, -1, "a negative tag");
	bad = bad || messages_error(me, tutti_group_end(comm, NULL), TUTTI_ERR_ARGUMENT, -1, "the second group");
	return finish(me, comm, bad);
}

const struct scenario group_scenarios[] = {
    {"all_to_all", "sends and receives of a group never block each other", 1, false, all_to_all},
    {"mixed", "a group on one rank meets single calls on another", 1, false, mixed},
    {"lent", "groups nest and keep what they need of their arguments", 1, false, lent},
    {"refused", "a group with a bad call starts nothing", 1, false, refused},
    {NULL, NULL, 0, false, NULL},
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * data.c - messages arrive whole, in order, where they belong.
 */
#include <stdlib.h>
#include <string.h>

#include "messages.h"
#include "random.h"

#define ANY_EACH 150
#define FLOOD 600
#define TAGS 7
#define MANY 300

static const size_t sizes[] = {0, 1, 7, 151, 152, 153, 4096, 8192, 8193, 65537, 3000001};
#define SIZES (int)(sizeof(sizes) / sizeof(sizes[0]))

static int
wait_for(struct job_rank *me, tutti_request **request, const char *what)
{
	return messages_check(me, tutti_wait(request), what);
}

static int
finish(struct job_rank *me, tutti_comm *comm, int bad)
{
	if (bad == 0)
		bad = messages_check(me, tutti_barrier(comm, NULL, NULL), "the last barrier");
	tutti_comm_destroy(comm);
	return bad;
}

/* Around the ring, each size; first the even ranks send, then the odd ones, all calls blocking. */
static int
ring(struct job_rank *me)
{
	const int next = (me->rank + 1) % me->size, before = (me->rank + me->size - 1) % me->size;
	unsigned char *out = malloc(sizes[SIZES - 1]), *in = malloc(sizes[SIZES - 1]);
	tutti_comm *comm;
	int bad = messages_comm(me, &comm);

	if (bad)
		return bad;
	for (int s = 0; s < SIZES && !bad; s++) {
		tutti_request *request = NULL;
		int sender = -5;

		messages_fill(out, sizes[s], me->rank, next, s);
		if (me->rank % 2 == 0) {
			bad = messages_check(
			    me, tutti_send(comm, out, sizes[s], TUTTI_UINT8, next, s, NULL, NULL), "send");
			bad = bad || messages_check(me,
					 tutti_recv(comm, in, sizes[s], TUTTI_UINT8, before, s, &sender, NULL, NULL),
					 "recv");
		} else {
			bad = messages_check(me,
			    tutti_recv(comm, in, sizes[s], TUTTI_UINT8, before, s, &sender, NULL, &request), "irecv");
			bad = bad || wait_for(me, &request, "the receive");
			bad = bad || messages_check(me,
					 tutti_send(comm, out, sizes[s], TUTTI_UINT8, next, s, NULL, NULL), "send");
		}
		if (!bad && (sender != before || !messages_right(in, sizes[s], before, me->rank, s)))
			bad = job_complain(
			    me, "%zu bytes from rank %d, told as %d, are wrong", sizes[s], before, sender);
	}
	free(out);
	free(in);
	return finish(me, comm, bad);
}

/* Messages of many tags, received tag by tag in another order; within a tag in the order of sending. */
static int
tags(struct job_rank *me)
{
	static const int order[TAGS] = {3, 6, 0, 5, 1, 4, 2};
	static const size_t bytes_of[] = {8, 200, 3000};
	const int to = (me->rank + 1) % me->size, from = (me->rank + me->size - 1) % me->size;
	tutti_request *requests[FLOOD] = {0};
	unsigned char(*out)[3000] = malloc(FLOOD * sizeof(*out)), in[3000];
	struct random random;
	tutti_comm *comm;
	int bad = messages_comm(me, &comm);

	if (bad)
		return bad;
	random = (struct random){77};
	for (int i = 0; i < FLOOD && !bad; i++) {
		const size_t bytes = bytes_of[random_below(&random, 3)];

		messages_fill(out[i], bytes, me->rank, to, i);
		bad = messages_check(
		    me, tutti_send(comm, out[i], bytes, TUTTI_INT8, to, i % TAGS, NULL, &requests[i]), "isend");
	}
	for (int t = 0; t < TAGS && !bad; t++) {
		random = (struct random){77};
		for (int i = 0; i < FLOOD && !bad; i++) {
			const size_t bytes = bytes_of[random_below(&random, 3)];

			if (i % TAGS != order[t])
				continue;
			bad = messages_check(
			    me, tutti_recv(comm, in, bytes, TUTTI_INT8, from, i % TAGS, NULL, NULL, NULL), "recv");
			if (!bad && !messages_right(in, bytes, from, me->rank, i))
				bad = job_complain(me, "message %d is not the next with tag %d", i, i % TAGS);
		}
	}
	if (!bad)
		bad = messages_check(me, tutti_wait_all(FLOOD, requests), "the sends");
	bad = finish(me, comm, bad);
	free(out);
	return bad;
}

/* Everybody sends to rank 0, which takes whatever comes. */
static int
any_peer(struct job_rank *me)
{
	int next[JOB_RANKS] = {0};
	unsigned char buffer[400];
	tutti_comm *comm;
	int bad = messages_comm(me, &comm);

	if (bad)
		return bad;
	for (int i = 0; me->rank != 0 && i < ANY_EACH && !bad; i++) {
		messages_fill(buffer, sizeof(buffer), me->rank, 0, i);
		bad = messages_check(me,
		    tutti_send(comm, buffer, i % 2 == 0 ? 100 : sizeof(buffer), TUTTI_UINT8, 0, i % 2, NULL, NULL),
		    "send");
	}
	for (int i = 0; me->rank == 0 && i < ANY_EACH * (me->size - 1) && !bad; i++) {
		const int tag = i % 2;
		const size_t bytes = tag == 0 ? 100 : sizeof(buffer);
		int from = -1;

		bad = messages_check(
		    me, tutti_recv(comm, buffer, bytes, TUTTI_UINT8, TUTTI_ANY_PEER, tag, &from, NULL, NULL), "recv");
		if (!bad && (from < 1 || from >= me->size))
			bad = job_complain(me, "the sender is said to be %d", from);
		if (!bad && !messages_right(buffer, bytes, from, 0, 2 * (next[from] >> (tag * 16) & 0xffff) + tag))
			bad = job_complain(me, "a message of rank %d is out of order", from);
		if (!bad)
			next[from] += 1 << (tag * 16);
	}
	return finish(me, comm, bad);
}

/* Many of all sizes between all pairs, receives and sends started in different orders, waited for in another. */
static int
many(struct job_rank *me)
{
	static const size_t bytes_of[] = {0, 3, 152, 153, 5000, 70000};
	const int n = MANY / me->size * me->size;
	tutti_request **requests = calloc(2 * (size_t)n, sizeof(*requests));
	unsigned char **buffers = calloc(2 * (size_t)n, sizeof(*buffers));
	struct random random;
	tutti_comm *comm;
	int bad = messages_comm(me, &comm);

	if (bad)
		return bad;
	random = (struct random){(uint64_t)me->rank + 5};
	for (int i = 0; i < 2 * n && !bad; i++) {
		/* Receives from the last to the first: within a peer's tag there is one message only. */
		const bool receive = i % 2 == 1;
		const int k = receive ? n - 1 - i / 2 : i / 2, peer = k % me->size;
		const size_t bytes = bytes_of[k / me->size % 6];

		buffers[i] = malloc(bytes + 1);
		if (receive) {
			bad = messages_check(me,
			    tutti_recv(
				comm, buffers[i], bytes, TUTTI_UINT8, peer, k / me->size, NULL, NULL, &requests[i]),
			    "irecv");
		} else {
			messages_fill(buffers[i], bytes, me->rank, peer, k / me->size);
			bad = messages_check(me,
			    tutti_send(comm, buffers[i], bytes, TUTTI_UINT8, peer, k / me->size, NULL, &requests[i]),
			    "isend");
		}
	}
	for (int left = 2 * n, done; left > 0 && !bad;) {
		const int i = (int)random_below(&random, (uint64_t)(2 * n));
		const bool pending = requests[i] != NULL;

		bad = messages_check(me, tutti_test(&requests[i], &done), "a test");
		left -= pending && done;
	}
	for (int i = 1; i < 2 * n && !bad; i += 2) {
		const int k = n - 1 - i / 2;

		if (!messages_right(buffers[i], bytes_of[k / me->size % 6], k % me->size, me->rank, k / me->size))
			bad = job_complain(me, "message %d of rank %d is wrong", k / me->size, k % me->size);
	}
	bad = finish(me, comm, bad);
	for (int i = 0; i < 2 * n; i++)
		free(buffers[i]);
	free(buffers);
	free(requests);
	return bad;
}

/* Short blocking sends far beyond what may be under way, in one direction. */
static int
stream(struct job_rank *me)
{
	tutti_comm *comm;
	int bad = messages_comm(me, &comm), got;

	for (int i = 0; me->rank < 2 && i < 20000 && !bad; i++) {
		if (me->rank == 0)
			bad = messages_check(me, tutti_send(comm, &i, 1, TUTTI_INT32, 1, 9, NULL, NULL), "send");
		else
			bad = messages_check(
			    me, tutti_recv(comm, &got, 1, TUTTI_INT32, 0, 9, NULL, NULL, NULL), "recv");
		if (!bad && me->rank == 1 && got != i)
			bad = job_complain(me, "number %d came as %d", i, got);
	}
	return finish(me, comm, bad);
}

/* To oneself: nonblocking, either order, any peer, large. */
static int
self(struct job_rank *me)
{
	static unsigned char zero[100000];
	unsigned char *out = malloc(100000), *in = calloc(1, 100000);
	tutti_request *send = NULL, *receive = NULL;
	tutti_comm *comm;
	int bad = messages_comm(me, &comm), from = -1;

	if (bad)
		return bad;
	messages_fill(out, 100000, me->rank, me->rank, 1);
	bad = messages_check(me, tutti_send(comm, out, 100000, TUTTI_UINT8, me->rank, 1, NULL, &send), "isend");
	bad = bad ||
	      messages_check(me, tutti_recv(comm, in, 100000, TUTTI_UINT8, me->rank, 1, &from, NULL, NULL), "recv");
	bad = bad || wait_for(me, &send, "the send");
	if (!bad && (from != me->rank || !messages_right(in, 100000, me->rank, me->rank, 1)))
		bad = job_complain(me, "what came from myself is wrong");
	memcpy(in, zero, sizeof(zero));
	bad =
	    bad || messages_check(me,
		       tutti_recv(comm, in, 100000, TUTTI_UINT8, TUTTI_ANY_PEER, 2, &from, NULL, &receive), "irecv");
	bad = bad || messages_check(me, tutti_send(comm, out, 100000, TUTTI_UINT8, me->rank, 2, NULL, NULL), "send");
	bad = bad || wait_for(me, &receive, "the receive");
	if (!bad && (from != me->rank || !messages_right(in, 100000, me->rank, me->rank, 1)))
		bad = job_complain(me, "what came from myself to anybody is wrong");
	free(out);
	free(in);
	return finish(me, comm, bad);
}

/* A collective that is pending on some ranks delays no message, and a receive that is pending no collective. */
static int
beside(struct job_rank *me)
{
	tutti_request *collective = NULL, *receive = NULL;
	int one = 1, sum = 0, token = 0, bad;
	tutti_comm *comm;

	bad = messages_comm(me, &comm);
	if (bad)
		return bad;
	bad = messages_check(me,
	    tutti_recv(comm, &token, 1, TUTTI_INT32, (me->rank + me->size - 1) % me->size, 1, NULL, NULL, &receive),
	    "irecv");
	if (me->rank != 0)
		bad = bad || messages_check(me,
				 tutti_all_reduce(comm, &one, &sum, 1, TUTTI_INT32, TUTTI_SUM, NULL, &collective),
				 "iall_reduce");
	for (int r = 1; r < me->size && !bad; r++) {
		int there = 7, back = 0;

		if (me->rank == 0) {
			bad = messages_check(me, tutti_send(comm, &there, 1, TUTTI_INT32, r, 0, NULL, NULL), "send");
			bad = bad || messages_check(
					 me, tutti_recv(comm, &back, 1, TUTTI_INT32, r, 0, NULL, NULL, NULL), "recv");
		} else if (me->rank == r) {
			bad = messages_check(
			    me, tutti_recv(comm, &back, 1, TUTTI_INT32, 0, 0, NULL, NULL, NULL), "recv");
			bad = bad ||
			      messages_check(me, tutti_send(comm, &back, 1, TUTTI_INT32, 0, 0, NULL, NULL), "send");
		}
		if (!bad && (me->rank == 0 || me->rank == r) && back != 7)
			bad = job_complain(me, "%d came instead of 7", back);
	}
	if (me->rank == 0)
		bad = bad || messages_check(me,
				 tutti_all_reduce(comm, &one, &sum, 1, TUTTI_INT32, TUTTI_SUM, NULL, &collective),
				 "iall_reduce");
	bad = bad || wait_for(me, &collective, "the all_reduce");
	if (!bad && sum != me->size)
		bad = job_complain(me, "the sum is %d", sum);
	bad = bad || messages_check(me,
			 tutti_send(comm, &sum, 1, TUTTI_INT32, (me->rank + 1) % me->size, 1, NULL, NULL), "send");
	bad = bad || wait_for(me, &receive, "the receive");
	if (!bad && token != me->size)
		bad = job_complain(me, "the token is %d", token);
	return finish(me, comm, bad);
}

static int
exchange_once(struct job_rank *me, tutti_comm *comm, int with)
{
	tutti_request *send = NULL;
	int out = 0, in = 0;
	int bad = messages_check(me, tutti_send(comm, &out, 1, TUTTI_INT32, with, 99, NULL, &send), "isend");

	bad = bad || messages_check(me, tutti_recv(comm, &in, 1, TUTTI_INT32, with, 99, NULL, NULL, NULL), "recv");
	return bad || wait_for(me, &send, "the send");
}

/* What was sent before its sender left still arrives. */
static int
left_behind(struct job_rank *me)
{
	tutti_comm *comm;
	int bad = messages_comm(me, &comm), got = 0;

	if (bad)
		return bad;
	if (me->rank < 2) /* they know each other: nobody has to look for the other's connection */
		bad = exchange_once(me, comm, 1 - me->rank);
	for (int i = 0; me->rank == 0 && i < 20 && !bad; i++)
		bad = messages_check(me, tutti_send(comm, &i, 1, TUTTI_INT32, 1, i, NULL, NULL), "send");
	if (me->rank == 0)
		tutti_comm_destroy(comm);
	job_meet(me, 1);
	for (int i = 0; me->rank == 1 && i < 20 && !bad; i++) {
		bad = messages_check(me, tutti_recv(comm, &got, 1, TUTTI_INT32, 0, 19 - i, NULL, NULL, NULL), "recv");
		if (!bad && got != 19 - i)
			bad = job_complain(me, "number %d came as %d", 19 - i, got);
	}
	job_meet(me, 2);
	if (me->rank != 0)
		tutti_comm_destroy(comm);
	return bad;
}

const struct scenario data_scenarios[] = {
    {"ring", "blocking messages of every size pass around a ring", 2, false, ring},
    {"tags", "tags are received in any order, and in order within a tag", 1, false, tags},
    {"any_peer", "a receive from anybody takes what has come and tells the sender", 2, false, any_peer},
    {"many", "hundreds of messages may be pending, finished in any order", 1, false, many},
    {"stream", "short messages stream in one direction, however many", 2, false, stream},
    {"self", "a rank sends to itself", 1, false, self},
    {"beside", "messages and collectives do not wait for each other", 1, false, beside},
    {"left_behind", "what was sent arrives even if its sender has left", 2, false, left_behind},
    {NULL, NULL, 0, false, NULL},
};

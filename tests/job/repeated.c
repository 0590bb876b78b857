/* SPDX-License-Identifier: Apache-2.0
 *
 * repeated.c - calls that are made again with arguments that are wrong now: they are refused like a first one, and have
 * no effect; what follows is exact. Small blocking calls that repeat another one are not checked as thoroughly.
 *
 *	repeated RANKS processes|threads
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "job.h"

#define N 4 /* elements of a row */
#define RANKS_MOST 8
#define ROOM (N * RANKS_MOST)
#define TIMES 3

enum collective {
	ALL_REDUCE,
	REDUCE_SCATTER,
	ALL_GATHER,
	BROADCAST,
	REDUCE,
	SCATTER,
	GATHER,
	ALL_TO_ALL,
	BARRIER,
	COLLECTIVES
};

static const char *const names[COLLECTIVES] = {"all_reduce", "reduce_scatter", "all_gather", "broadcast", "reduce",
    "scatter", "gather", "all_to_all", "barrier"};

struct call {
	enum collective what;
	const float *send;
	float *recv;
	size_t count;
	int dtype, op, root;
	const tutti_options *options;
};

struct state {
	struct job_rank *me;
	tutti_comm *comm;
	float send[ROOM + 1], recv[ROOM + 1];
};

static tutti_status
issue(const struct state *s, const struct call *c)
{
	const tutti_dtype dtype = (tutti_dtype)c->dtype;
	const tutti_options *o = c->options;

	switch (c->what) {
	case ALL_REDUCE:
		return tutti_all_reduce(s->comm, c->send, c->recv, c->count, dtype, c->op, o, NULL);
	case REDUCE_SCATTER:
		return tutti_reduce_scatter(s->comm, c->send, c->recv, c->count, dtype, c->op, o, NULL);
	case ALL_GATHER:
		return tutti_all_gather(s->comm, c->send, c->recv, c->count, dtype, o, NULL);
	case BROADCAST:
		return tutti_broadcast(s->comm, c->send, c->recv, c->count, dtype, c->root, o, NULL);
	case REDUCE:
		return tutti_reduce(s->comm, c->send, c->recv, c->count, dtype, c->op, c->root, o, NULL);
	case SCATTER:
		return tutti_scatter(s->comm, c->send, c->recv, c->count, dtype, c->root, o, NULL);
	case GATHER:
		return tutti_gather(s->comm, c->send, c->recv, c->count, dtype, c->root, o, NULL);
	case ALL_TO_ALL:
		return tutti_all_to_all(s->comm, c->send, c->recv, c->count, dtype, o, NULL);
	default:
		return tutti_barrier(s->comm, o, NULL);
	}
}

/* ---- right calls -------------------------------------------------------------------------------------------------- */

static bool
has_root(enum collective what)
{
	return what >= BROADCAST && what <= GATHER;
}

static int
in_rows(const struct state *s, enum collective what)
{
	const bool root = s->me->rank == 0;

	if ((what == BROADCAST && !root) || what == BARRIER)
		return 0;
	if (what == SCATTER)
		return root ? s->me->size : 0;
	return what == REDUCE_SCATTER || what == ALL_TO_ALL ? s->me->size : 1;
}

static int
out_rows(const struct state *s, enum collective what)
{
	const bool root = s->me->rank == 0;

	if ((what == REDUCE && !root) || what == BARRIER)
		return 0;
	if (what == GATHER)
		return root ? s->me->size : 0;
	return what == ALL_GATHER || what == ALL_TO_ALL ? s->me->size : 1;
}

static float
given(int rank, size_t i)
{
	return (float)(rank * 100 + (int)i);
}

static float
expected(const struct state *s, enum collective what, size_t i)
{
	const size_t mine = (size_t)s->me->rank * N;
	float sum = 0;

	switch (what) {
	case ALL_REDUCE:
	case REDUCE:
	case REDUCE_SCATTER:
		for (int r = 0; r < s->me->size; r++)
			sum += given(r, i + (what == REDUCE_SCATTER ? mine : 0));
		return sum;
	case BROADCAST:
		return given(0, i);
	case SCATTER:
		return given(0, mine + i);
	case ALL_TO_ALL:
		return given((int)(i / N), mine + i % N);
	default:
		return given((int)(i / N), i % N);
	}
}

/* Apart, or in place as tutti.h says: both in `send`'s memory. */
static struct call
right_call(struct state *s, enum collective what, bool in_place)
{
	const size_t mine = (size_t)s->me->rank * N;
	struct call c = {what, s->send, s->recv, N, TUTTI_FLOAT32, TUTTI_SUM, 0, NULL};

	if (in_place && in_rows(s, what) > 0 && out_rows(s, what) > 0) {
		c.recv = s->send + (in_rows(s, what) > out_rows(s, what) ? mine : 0);
		c.send = s->send + (in_rows(s, what) < out_rows(s, what) ? mine : 0);
	}
	return c;
}

static int
make_right(struct state *s, enum collective what, bool in_place, const tutti_options *options)
{
	const size_t in = (size_t)in_rows(s, what) * N, out = (size_t)out_rows(s, what) * N;
	struct call c = right_call(s, what, in_place);
	tutti_status status;

	c.options = options;
	memset(s->recv, 0, sizeof(s->recv));
	for (size_t i = 0; i < in; i++)
		((float *)(uintptr_t)c.send)[i] = given(s->me->rank, i);
	status = issue(s, &c);
	if (status != TUTTI_OK)
		return job_complain_status(s->me, status, "%s", names[what]);
	for (size_t i = 0; i < out; i++)
		if (c.recv[i] != expected(s, what, i))
			return job_complain(s->me, "%s%s: element %zu is %g, should be %g", names[what],
			    in_place ? " in place" : "", i, (double)c.recv[i], (double)expected(s, what, i));
	return 0;
}

/* ---- wrong ones --------------------------------------------------------------------------------------------------- */

static int
refused(struct state *s, const struct call *c, const char *why)
{
	const tutti_status status = issue(s, c);

	if (status == TUTTI_ERR_ARGUMENT)
		return 0;
	return job_complain(s->me, "%s with %s came to %s", names[c->what], why, tutti_status_string(status));
}

/* What is wrong for any rank: type, operator, root. 256 is what a byte does not hold. */
static int
make_wrong_words(struct state *s, enum collective what)
{
	const bool adds = what == ALL_REDUCE || what == REDUCE_SCATTER || what == REDUCE;
	struct call c = right_call(s, what, false);
	int failed = 0;

	c.dtype = TUTTI_FLOAT32 + 256;
	failed += refused(s, &c, "a type that there is not");
	c.dtype = TUTTI_FLOAT32;
	c.op = TUTTI_SUM + 256;
	failed += adds ? refused(s, &c, "an operator that there is not") : 0;
	c.op = TUTTI_SUM - 256;
	failed += adds ? refused(s, &c, "an operator below 0") : 0;
	c.op = TUTTI_SUM;
	c.root = s->me->size;
	return failed + (has_root(what) ? refused(s, &c, "a root that there is not") : 0);
}

static int
make_wrong_buffers(struct state *s, enum collective what)
{
	struct call c = right_call(s, what, false);
	int failed = 0;

	if (in_rows(s, what) > 0) {
		c.send = NULL;
		failed += refused(s, &c, "send NULL");
	}
	c = right_call(s, what, false);
	if (out_rows(s, what) > 0) {
		c.recv = NULL;
		failed += refused(s, &c, "recv NULL");
	}
	if (in_rows(s, what) == 0 || out_rows(s, what) == 0)
		return failed;
	c = right_call(s, what, true);
	c.recv += 1;
	failed += refused(s, &c, "recv one element behind its place");
	c.recv -= 1;
	c.send += 1;
	return failed + refused(s, &c, "send one element behind its place");
}

/* ---- the job ------------------------------------------------------------------------------------------------------ */

static int
body(struct job_rank *me)
{
	static const tutti_options plain = TUTTI_OPTIONS_INIT;
	struct state s = {.me = me};
	tutti_options wrong = TUTTI_OPTIONS_INIT;
	tutti_status status = job_comm(me, NULL, &s.comm);
	int failed = 0;

	if (status != TUTTI_OK)
		return job_complain_status(me, status, "creation");
	wrong.timeout_ms = -2;
	for (int what = 0; what < COLLECTIVES && !failed; what++) {
		struct call c = right_call(&s, what, false);

		c.options = &wrong;
		for (int round = 0; round < 2 * TIMES && !failed; round++) {
			const bool in_place = round / TIMES == 1;

			job_doing(me, "%s, round %d", names[what], round);
			failed += make_right(&s, what, in_place, round % 2 ? &plain : NULL);
			failed += what != BARRIER ? make_wrong_words(&s, what) + make_wrong_buffers(&s, what) : 0;
			failed += refused(&s, &c, "a timeout below -1");
			failed += make_right(&s, what, !in_place, NULL);
		}
	}
	status = tutti_comm_destroy(s.comm);
	return failed + (status != TUTTI_OK ? job_complain_status(me, status, "destruction") : 0);
}

int
main(int argc, char **argv)
{
	struct job job = {.size = argc > 1 ? job_number("RANKS", argv[1], 1, RANKS_MOST) : 2,
	    .threads = argc > 2 && strcmp(argv[2], "threads") == 0};

	return job_run(&job, body, "repeated") == 0 ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * exact_run.c - one case on one rank: memory as it must be before, the call, memory as it must be after. Every byte is
 * compared: results, guards on both sides, gaps between blocks, send buffers, buffers that this rank does not use.
 * Each buffer is plain memory or comes from tutti_alloc, by chance, on every rank for itself.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exact.h"
#include "random.h"

#define GUARD 64
#define SHIFTS 16
#define UNUSED_ELEMENTS 16
#define PATTERN(i) ((unsigned char)(0xa5 ^ (i)*7))

/* A piece of memory and what it must hold at the end. */
struct arena {
	unsigned char *memory, *expected;
	size_t bytes;
	unsigned char *start; /* where the user's buffer begins */
	tutti_comm *comm; /* whose memory it is; NULL: plain */
};

struct exact_call {
	tutti_comm *comm;
	const struct exact_case *c;
	tutti_status status; /* of issuing */
	tutti_op op; /* the case's, or what was made for it */
	struct exact_layout layout;
	struct arena send, recv; /* in place: send only, or recv only, as the layout says */
	bool in_place;
	uint64_t h; /* this rank's own choices */
	unsigned char *send_at, *recv_at;
};

static void
arena_init(struct arena *arena, tutti_comm *comm, size_t elements, tutti_dtype dtype, size_t shift)
{
	void *memory = NULL;

	arena->comm = comm;
	arena->bytes = GUARD + shift + elements * tutti_dtype_size(dtype) + GUARD;
	if (comm == NULL)
		memory = malloc(arena->bytes);
	else if (tutti_alloc(comm, arena->bytes, &memory) != TUTTI_OK)
		abort();
	arena->memory = memory;
	arena->expected = malloc(arena->bytes);
	if (arena->memory == NULL || arena->expected == NULL)
		abort();
	for (size_t i = 0; i < arena->bytes; i++)
		arena->memory[i] = PATTERN(i);
	arena->start = arena->memory + GUARD + shift;
}

static void
arena_fini(struct arena *arena)
{
	if (arena->comm == NULL)
		free(arena->memory);
	else if (tutti_free(arena->comm, arena->memory) != TUTTI_OK)
		abort();
	free(arena->expected);
}

/* Writes the elements of a side at `at`; `to` says into which image. */
static void
fill(const struct exact_case *c, const struct exact_side *side, unsigned char *at)
{
	const size_t element = tutti_dtype_size(c->dtype);

	for (int b = 0; b < side->n; b++) {
		const struct exact_block *block = &side->block[b];
		unsigned char *p = at + block->offset * element;

		if (block->from < 0 && c->inputs != EXACT_EXACT)
			continue; /* there is no one right answer */
		for (size_t i = 0; i < block->count; i++, p += element) {
			const uint64_t index = block->index + i;

			exact_store(c->dtype,
			    block->from < 0 ? exact_reduced(c, index) : exact_input(c, block->from, index), p);
		}
	}
}

static void
expect(struct arena *arena)
{
	memcpy(arena->expected, arena->memory, arena->bytes);
}

static size_t
elements(const struct exact_side *side)
{
	return side->n > 0 ? side->extent : UNUSED_ELEMENTS;
}

/* The communicator that a buffer is to be allocated on, if it is: a bit of this rank's choices. */
static tutti_comm *
visible(const struct exact_call *rc, int bit)
{
	return (rc->h >> bit & 1) != 0 ? rc->comm : NULL;
}

static void
prepare_apart(struct exact_call *rc)
{
	const struct exact_case *c = rc->c;

	arena_init(&rc->send, visible(rc, 32), elements(&rc->layout.send), c->dtype, rc->h % SHIFTS);
	arena_init(&rc->recv, visible(rc, 33), elements(&rc->layout.recv), c->dtype, (rc->h >> 8) % SHIFTS);
	rc->send_at = rc->send.start;
	rc->recv_at = rc->recv.start;
	fill(c, &rc->layout.send, rc->send_at);
	expect(&rc->send);
	expect(&rc->recv);
	fill(c, &rc->layout.recv, rc->recv.expected + (rc->recv_at - rc->recv.memory));
}

static void
prepare_in_place(struct exact_call *rc)
{
	const struct exact_case *c = rc->c;
	const struct exact_layout *l = &rc->layout;
	const size_t place = l->place * tutti_dtype_size(c->dtype);
	const struct exact_side *larger = l->send_holds_recv || l->recv.n == 0 ? &l->send : &l->recv;
	struct arena *arena = &rc->send;

	arena_init(arena, visible(rc, 32), elements(larger), c->dtype, rc->h % SHIFTS);
	rc->send_at = arena->start + (l->send_holds_recv ? 0 : place);
	rc->recv_at = arena->start + (l->send_holds_recv ? place : 0);
	fill(c, &l->send, rc->send_at);
	expect(arena);
	fill(c, &l->recv, arena->expected + (rc->recv_at - arena->memory));
}

static void
prepare(struct exact_call *rc, const struct exact_case *c, int rank)
{
	rc->c = c;
	rc->h = mix64(mix64(c->seed) + (uint64_t)rank);
	exact_layout(c, rank, &rc->layout);
	rc->in_place = rc->layout.may_be_in_place &&
		       (c->place == EXACT_IN_PLACE || (c->place == EXACT_MIXED && (rc->h >> 16) % 2 == 0));
	if (rc->in_place)
		prepare_in_place(rc);
	else
		prepare_apart(rc);
	/* What is not used may be missing. */
	if (!rc->in_place && (rc->layout.send.n == 0 || rc->layout.send.extent == 0) && (rc->h >> 17) % 2 == 0)
		rc->send_at = NULL;
	if (!rc->in_place && (rc->layout.recv.n == 0 || rc->layout.recv.extent == 0) && (rc->h >> 18) % 2 == 0)
		rc->recv_at = NULL;
}

/* ---- operators --------------------------------------------------------------------------------------------------- */

static void
apply(const void *in, void *inout, size_t count, void *context)
{
	const struct exact_case *c = context;
	const size_t bytes = tutti_dtype_size(c->dtype);
	const unsigned char *first = in;
	unsigned char *second = inout;

	for (size_t i = 0; i < count; i++, first += bytes, second += bytes)
		exact_store(c->dtype,
		    exact_custom(c->op, bytes, exact_load(c->dtype, first), exact_load(c->dtype, second)), second);
}

static tutti_status
make_op(struct exact_call *rc)
{
	const struct exact_case *c = rc->c;
	unsigned char scalar[8];

	rc->op = c->op;
	if (c->op < EXACT_PREMUL || !exact_reduces(c->kind))
		return TUTTI_OK;
	if (c->op != EXACT_PREMUL)
		return tutti_op_create_custom(rc->comm, apply, (void *)(uintptr_t)c, c->op == EXACT_CUSTOM, &rc->op);
	exact_store(c->dtype, exact_weight(c, tutti_comm_rank(rc->comm)), scalar);
	return tutti_op_create_premul_sum(rc->comm, scalar, c->dtype, &rc->op);
}

static void
drop_op(const struct exact_call *rc)
{
	if (rc->op >= EXACT_PREMUL && exact_reduces(rc->c->kind))
		(void)tutti_op_destroy(rc->comm, rc->op);
}

/* ---- the call ---------------------------------------------------------------------------------------------------- */

static tutti_status
call_even(tutti_comm *comm, const struct exact_call *rc, const tutti_options *options, tutti_request **request)
{
	const struct exact_case *c = rc->c;
	const void *send = rc->send_at;
	void *recv = rc->recv_at;

	switch (c->kind) {
	case EXACT_ALL_REDUCE:
		return tutti_all_reduce(comm, send, recv, c->count, c->dtype, rc->op, options, request);
	case EXACT_REDUCE_SCATTER:
		return tutti_reduce_scatter(comm, send, recv, c->count, c->dtype, rc->op, options, request);
	case EXACT_ALL_GATHER:
		return tutti_all_gather(comm, send, recv, c->count, c->dtype, options, request);
	case EXACT_BROADCAST:
		return tutti_broadcast(comm, send, recv, c->count, c->dtype, c->root, options, request);
	case EXACT_REDUCE:
		return tutti_reduce(comm, send, recv, c->count, c->dtype, rc->op, c->root, options, request);
	case EXACT_SCATTER:
		return tutti_scatter(comm, send, recv, c->count, c->dtype, c->root, options, request);
	case EXACT_GATHER:
		return tutti_gather(comm, send, recv, c->count, c->dtype, c->root, options, request);
	case EXACT_ALL_TO_ALL:
		return tutti_all_to_all(comm, send, recv, c->count, c->dtype, options, request);
	default:
		return tutti_barrier(comm, options, request);
	}
}

static tutti_status
call_uneven(tutti_comm *comm, const struct exact_call *rc, const tutti_options *options, tutti_request **request)
{
	const struct exact_case *c = rc->c;
	const struct exact_layout *l = &rc->layout;
	const size_t *send_offsets = l->packed ? NULL : l->send_offsets;
	const size_t *recv_offsets = l->packed ? NULL : l->recv_offsets;
	const size_t *send_counts = l->send_counts, *recv_counts = l->recv_counts;
	const bool bare = tutti_comm_rank(comm) != c->root && (rc->h >> 19) % 2 == 0; /* only the root needs counts */

	switch (c->kind) {
	case EXACT_ALL_GATHERV:
		return tutti_all_gatherv(comm, rc->send_at, l->send.extent, rc->recv_at, recv_counts, recv_offsets,
		    c->dtype, options, request);
	case EXACT_REDUCE_SCATTERV:
		return tutti_reduce_scatterv(
		    comm, rc->send_at, rc->recv_at, send_counts, c->dtype, rc->op, options, request);
	case EXACT_SCATTERV:
		return tutti_scatterv(comm, rc->send_at, bare ? NULL : send_counts, bare ? NULL : send_offsets,
		    rc->recv_at, l->recv.extent, c->dtype, c->root, options, request);
	case EXACT_GATHERV:
		return tutti_gatherv(comm, rc->send_at, l->send.extent, rc->recv_at, bare ? NULL : recv_counts,
		    bare ? NULL : recv_offsets, c->dtype, c->root, options, request);
	default:
		return tutti_all_to_allv(comm, rc->send_at, send_counts, send_offsets, rc->recv_at, recv_counts,
		    recv_offsets, c->dtype, options, request);
	}
}

struct exact_call *
exact_issue(tutti_comm *comm, const struct exact_case *c, tutti_request **request)
{
	struct exact_call *rc = calloc(1, sizeof(*rc));
	tutti_options options = TUTTI_OPTIONS_INIT;
	const tutti_options *given = NULL;

	if (rc == NULL)
		abort();
	if (c->algorithm[0] != '\0') {
		options.algorithm = c->algorithm;
		given = &options;
	}
	rc->comm = comm;
	prepare(rc, c, tutti_comm_rank(comm));
	rc->status = make_op(rc);
	if (rc->status == TUTTI_OK)
		rc->status = exact_is_uneven(c->kind) ? call_uneven(comm, rc, given, request)
						      : call_even(comm, rc, given, request);
	return rc;
}

tutti_status
exact_issued(const struct exact_call *call)
{
	return call->status;
}

/* ---- the verdict ------------------------------------------------------------------------------------------------ */

static bool
compare(const struct arena *arena, const char *name, size_t element, char *why, size_t bytes)
{
	size_t i = 0;
	ptrdiff_t at;

	if (arena->memory == NULL || memcmp(arena->memory, arena->expected, arena->bytes) == 0)
		return true;
	while (arena->memory[i] == arena->expected[i])
		i++;
	at = (ptrdiff_t)i - (arena->start - arena->memory);
	snprintf(why, bytes, "%s: byte %td (element %td) is 0x%02x, should be 0x%02x, was 0x%02x outside of blocks",
	    name, at, at / (ptrdiff_t)element, arena->memory[i], arena->expected[i], PATTERN(i));
	return false;
}

static void
say_last_error(tutti_status status, char *why, size_t bytes)
{
	tutti_error error = TUTTI_ERROR_INIT;

	(void)tutti_last_error(&error);
	snprintf(why, bytes, "%s: %s", tutti_status_string(status), error.message);
}

/* ---- results of which not all is known ---------------------------------------------------------------------------- */

static enum exact_verdict
same_on_all(tutti_comm *comm, uint64_t mine, char *why, size_t room)
{
	const int size = tutti_comm_size(comm), rank = tutti_comm_rank(comm);
	uint64_t all[EXACT_RANKS];
	tutti_status status = tutti_all_gather(comm, &mine, all, 1, TUTTI_UINT64, NULL, NULL);

	if (status != TUTTI_OK) {
		say_last_error(status, why, room);
		return EXACT_BROKEN;
	}
	for (int r = 0; r < size; r++) {
		if (all[r] == mine)
			continue;
		snprintf(why, room, "ranks %d and %d ended with different bits", rank, r);
		return EXACT_WRONG;
	}
	return EXACT_RIGHT;
}

/* Takes what is there as what is expected, if it can be. */
static bool
accept_result(const struct exact_call *rc, char *why, size_t bytes)
{
	const struct exact_case *c = rc->c;
	const struct arena *arena = rc->in_place ? &rc->send : &rc->recv;
	const size_t element = tutti_dtype_size(c->dtype);

	if (rc->recv_at == NULL)
		return true;
	memcpy(arena->expected + (rc->recv_at - arena->memory), rc->recv_at, c->count * element);
	for (size_t i = 0; i < c->count; i++) {
		const uint64_t bits = exact_load(c->dtype, rc->recv_at + i * element);

		if (exact_is_plausible(c, i, bits))
			continue;
		snprintf(why, bytes, "element %zu cannot be 0x%llx", i, (unsigned long long)bits);
		return false;
	}
	return true;
}

/* A rank that is wrong meets the others too. */
static enum exact_verdict
judge_bits(const struct exact_call *rc, char *why, size_t bytes)
{
	const size_t n = rc->c->count * tutti_dtype_size(rc->c->dtype);
	const bool plausible = accept_result(rc, why, bytes);
	char other[256];
	uint64_t mine = 0;
	enum exact_verdict verdict;

	for (size_t i = 0; i < n; i++)
		mine = mix64(mine ^ rc->recv_at[i]);
	verdict = same_on_all(rc->comm, mine, plausible ? why : other, plausible ? bytes : sizeof(other));
	return plausible || verdict == EXACT_BROKEN ? verdict : EXACT_WRONG;
}

/* ---- the end ------------------------------------------------------------------------------------------------------ */

static enum exact_verdict
judge(const struct exact_call *rc, tutti_status status, char *why, size_t bytes)
{
	const size_t element = tutti_dtype_size(rc->c->dtype);
	enum exact_verdict verdict = EXACT_RIGHT;

	if (status != TUTTI_OK) {
		say_last_error(status, why, bytes);
		return status == TUTTI_ERR_UNSUPPORTED && rc->c->algorithm[0] != '\0' ? EXACT_UNSUPPORTED
										      : EXACT_BROKEN;
	}
	if (rc->c->inputs != EXACT_EXACT)
		verdict = judge_bits(rc, why, bytes);
	if (verdict == EXACT_RIGHT && (!compare(&rc->send, rc->in_place ? "in place" : "send", element, why, bytes) ||
					  !compare(&rc->recv, "recv", element, why, bytes)))
		verdict = EXACT_WRONG;
	return verdict;
}

enum exact_verdict
exact_end(struct exact_call *call, tutti_status status, char *why, size_t bytes)
{
	const enum exact_verdict verdict = judge(call, status, why, bytes);

	drop_op(call);
	arena_fini(&call->send);
	arena_fini(&call->recv);
	free(call);
	return verdict;
}

/* Blocking, waited for, or tested until done: as this rank likes. */
enum exact_verdict
exact_run(tutti_comm *comm, const struct exact_case *c, char *why, size_t bytes)
{
	const unsigned way = (unsigned)(mix64(mix64(c->seed) + (uint64_t)tutti_comm_rank(comm)) >> 20) % 4;
	tutti_request *request = NULL;
	struct exact_call *call = exact_issue(comm, c, way < 2 ? NULL : &request);
	tutti_status status = call->status;
	int done = 0;

	if (status == TUTTI_OK && way == 2)
		status = tutti_wait(&request);
	while (status == TUTTI_OK && way == 3 && !done) {
		status = tutti_test(&request, &done);
		if (!done)
			sched_yield();
	}
	return exact_end(call, status, why, bytes);
}

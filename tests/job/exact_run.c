/* SPDX-License-Identifier: Apache-2.0
 *
 * exact_run.c - one case on one rank: memory as it must be before, the call, memory as it must be after. Every byte is
 * compared: results, guards on both sides, gaps between blocks, send buffers, buffers that this rank does not use.
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
};

struct rank_case {
	const struct exact_case *c;
	struct exact_layout layout;
	struct arena send, recv; /* in place: send only, or recv only, as the layout says */
	bool in_place;
	uint64_t h; /* this rank's own choices */
	unsigned char *send_at, *recv_at;
};

static void
arena_init(struct arena *arena, size_t elements, tutti_dtype dtype, size_t shift)
{
	arena->bytes = GUARD + shift + elements * tutti_dtype_size(dtype) + GUARD;
	arena->memory = malloc(arena->bytes);
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
	free(arena->memory);
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

static void
prepare_apart(struct rank_case *rc)
{
	const struct exact_case *c = rc->c;

	arena_init(&rc->send, elements(&rc->layout.send), c->dtype, rc->h % SHIFTS);
	arena_init(&rc->recv, elements(&rc->layout.recv), c->dtype, (rc->h >> 8) % SHIFTS);
	rc->send_at = rc->send.start;
	rc->recv_at = rc->recv.start;
	fill(c, &rc->layout.send, rc->send_at);
	expect(&rc->send);
	expect(&rc->recv);
	fill(c, &rc->layout.recv, rc->recv.expected + (rc->recv_at - rc->recv.memory));
}

static void
prepare_in_place(struct rank_case *rc)
{
	const struct exact_case *c = rc->c;
	const struct exact_layout *l = &rc->layout;
	const size_t place = l->place * tutti_dtype_size(c->dtype);
	const struct exact_side *larger = l->send_holds_recv || l->recv.n == 0 ? &l->send : &l->recv;
	struct arena *arena = &rc->send;

	arena_init(arena, elements(larger), c->dtype, rc->h % SHIFTS);
	rc->send_at = arena->start + (l->send_holds_recv ? 0 : place);
	rc->recv_at = arena->start + (l->send_holds_recv ? place : 0);
	fill(c, &l->send, rc->send_at);
	expect(arena);
	fill(c, &l->recv, arena->expected + (rc->recv_at - arena->memory));
}

static void
prepare(struct rank_case *rc, const struct exact_case *c, int rank)
{
	memset(rc, 0, sizeof(*rc));
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

/* ---- the call ---------------------------------------------------------------------------------------------------- */

static tutti_status
call_even(tutti_comm *comm, const struct rank_case *rc, const tutti_options *options, tutti_request **request)
{
	const struct exact_case *c = rc->c;
	const void *send = rc->send_at;
	void *recv = rc->recv_at;

	switch (c->kind) {
	case EXACT_ALL_REDUCE:
		return tutti_all_reduce(comm, send, recv, c->count, c->dtype, c->op, options, request);
	case EXACT_REDUCE_SCATTER:
		return tutti_reduce_scatter(comm, send, recv, c->count, c->dtype, c->op, options, request);
	case EXACT_ALL_GATHER:
		return tutti_all_gather(comm, send, recv, c->count, c->dtype, options, request);
	case EXACT_BROADCAST:
		return tutti_broadcast(comm, send, recv, c->count, c->dtype, c->root, options, request);
	case EXACT_REDUCE:
		return tutti_reduce(comm, send, recv, c->count, c->dtype, c->op, c->root, options, request);
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
call_uneven(tutti_comm *comm, const struct rank_case *rc, const tutti_options *options, tutti_request **request)
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
		    comm, rc->send_at, rc->recv_at, send_counts, c->dtype, c->op, options, request);
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

/* Blocking, waited for, or tested until done: as this rank likes. */
static tutti_status
call(tutti_comm *comm, const struct rank_case *rc, const tutti_options *options)
{
	const unsigned way = (unsigned)(rc->h >> 20) % 4;
	tutti_request *request = NULL, **slot = way < 2 ? NULL : &request;
	tutti_status status =
	    exact_is_uneven(rc->c->kind) ? call_uneven(comm, rc, options, slot) : call_even(comm, rc, options, slot);
	int done = 0;

	if (status != TUTTI_OK || way < 2)
		return status;
	if (way == 2)
		return tutti_wait(&request);
	while (!done) {
		status = tutti_test(&request, &done);
		if (!done)
			sched_yield();
	}
	return status;
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

enum exact_verdict
exact_run(tutti_comm *comm, const struct exact_case *c, char *why, size_t bytes)
{
	const int rank = tutti_comm_rank(comm);
	const size_t element = tutti_dtype_size(c->dtype);
	tutti_options options = TUTTI_OPTIONS_INIT;
	enum exact_verdict verdict = EXACT_RIGHT;
	struct rank_case rc;
	tutti_status status;

	options.algorithm = c->algorithm[0] != '\0' ? c->algorithm : NULL;
	prepare(&rc, c, rank);
	status = call(comm, &rc, options.algorithm != NULL ? &options : NULL);
	if (status == TUTTI_ERR_UNSUPPORTED && options.algorithm != NULL) {
		say_last_error(status, why, bytes);
		verdict = EXACT_UNSUPPORTED;
	} else if (status != TUTTI_OK) {
		say_last_error(status, why, bytes);
		verdict = EXACT_BROKEN;
	} else if (!compare(&rc.send, rc.in_place ? "in place" : "send", element, why, bytes) ||
		   !compare(&rc.recv, "recv", element, why, bytes)) {
		verdict = EXACT_WRONG;
	}
	arena_fini(&rc.send);
	arena_fini(&rc.recv);
	return verdict;
}

/* ---- any bits --------------------------------------------------------------------------------------------------- */

static enum exact_verdict
same_on_all(tutti_comm *comm, const void *bytes, size_t n, char *why, size_t room)
{
	const int size = tutti_comm_size(comm), rank = tutti_comm_rank(comm);
	uint64_t all[EXACT_RANKS], mine = 0;
	tutti_status status;

	for (size_t i = 0; i < n; i++)
		mine = mix64(mine ^ ((const unsigned char *)bytes)[i]);
	status = tutti_all_gather(comm, &mine, all, 1, TUTTI_UINT64, NULL, NULL);
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

enum exact_verdict
exact_run_wild(tutti_comm *comm, const struct exact_case *c, char *why, size_t bytes)
{
	const int rank = tutti_comm_rank(comm);
	const size_t element = tutti_dtype_size(c->dtype);
	tutti_options options = TUTTI_OPTIONS_INIT;
	enum exact_verdict verdict = EXACT_RIGHT;
	struct arena arena;
	tutti_status status;

	options.algorithm = c->algorithm[0] != '\0' ? c->algorithm : NULL;
	arena_init(&arena, c->count, c->dtype, mix64(c->seed + (uint64_t)rank) % SHIFTS);
	for (size_t i = 0; i < c->count; i++)
		exact_store(c->dtype, exact_wild(c, rank, i), arena.start + i * element);
	status = tutti_all_reduce(comm, arena.start, arena.start, c->count, c->dtype, c->op, &options, NULL);
	if (status != TUTTI_OK) {
		say_last_error(status, why, bytes);
		verdict = status == TUTTI_ERR_UNSUPPORTED ? EXACT_UNSUPPORTED : EXACT_BROKEN;
	}
	for (size_t i = 0; i < c->count && verdict == EXACT_RIGHT; i++) {
		const uint64_t result = exact_load(c->dtype, arena.start + i * element);
		bool nan = false;

		for (int r = 0; r < c->size; r++)
			nan = nan || exact_is_nan(c->dtype, exact_wild(c, r, i));
		if (nan && !exact_is_nan(c->dtype, result)) {
			snprintf(why, bytes, "element %zu had a NaN, but the result 0x%llx is none", i,
			    (unsigned long long)result);
			verdict = EXACT_WRONG;
		}
	}
	/* A rank that is wrong meets the others too. */
	if (verdict == EXACT_RIGHT)
		verdict = same_on_all(comm, arena.start, c->count * element, why, bytes);
	else if (verdict == EXACT_WRONG)
		(void)same_on_all(comm, arena.start, c->count * element, (char[256]){0}, 256);
	arena_fini(&arena);
	return verdict;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * test_arena.c - tutti_alloc and tutti_free, and when memory goes back.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/segment.h"
#include "comm/arena.h"

#define BYTES ((size_t)3 << 20)

static tutti_comm *
alone(void)
{
	tutti_comm *comm;

	cr_assert(eq(int, tutti_comm_create(1, 0, NULL, NULL, &comm), TUTTI_OK));
	return comm;
}

Test(arena, memory_is_zeroed_and_all_of_it_can_be_written, .timeout = 20)
{
	tutti_comm *comm = alone();
	unsigned char *memory = NULL;

	cr_assert(eq(int, tutti_alloc(comm, BYTES, (void **)&memory), TUTTI_OK));
	for (size_t i = 0; i < BYTES; i++)
		cr_assert(memory[i] == 0);
	memset(memory, 1, BYTES);
	cr_expect(eq(int, tutti_free(comm, memory), TUTTI_OK));
	tutti_comm_destroy(comm);
}

Test(arena, what_was_not_given_out_cannot_be_given_back, .timeout = 20)
{
	tutti_comm *comm = alone(), *other = alone();
	void *memory = NULL, *none = NULL;
	char mine;

	cr_assert(eq(int, tutti_alloc(comm, 1, &memory), TUTTI_OK));
	cr_expect(eq(int, tutti_alloc(comm, 0, &none), TUTTI_OK));
	cr_expect(none != NULL && none != memory);
	cr_expect(eq(int, tutti_free(comm, NULL), TUTTI_OK));
	cr_expect(eq(int, tutti_free(comm, &mine), TUTTI_ERR_ARGUMENT));
	cr_expect(eq(int, tutti_free(other, memory), TUTTI_ERR_ARGUMENT));
	cr_expect(eq(int, tutti_free(comm, memory), TUTTI_OK));
	cr_expect(eq(int, tutti_free(comm, memory), TUTTI_ERR_ARGUMENT));
	cr_expect(eq(int, tutti_alloc(comm, 1, NULL), TUTTI_ERR_ARGUMENT));
	cr_expect(eq(int, tutti_alloc(NULL, 1, &memory), TUTTI_ERR_ARGUMENT));
	tutti_comm_destroy(other);
	tutti_comm_destroy(comm);
}

Test(arena, more_than_there_is_is_an_error_that_takes_nothing, .timeout = 20)
{
	tutti_comm *comm = alone();
	void *memory = NULL;

	cr_expect(eq(int, tutti_alloc(comm, SIZE_MAX / 2, &memory), TUTTI_ERR_NOMEM));
	cr_expect(eq(int, tutti_alloc(comm, SIZE_MAX, &memory), TUTTI_ERR_NOMEM));
	cr_expect(memory == NULL);
	cr_expect(eq(int, tutti_alloc(comm, 4096, &memory), TUTTI_OK));
	tutti_comm_destroy(comm);
}

/* 0, or where it failed. */
static int
allocate_within(size_t limit)
{
	const struct rlimit most = {limit, limit};
	tutti_error error = TUTTI_ERROR_INIT;
	tutti_comm *comm;
	void *memory = NULL;

	if (setrlimit(RLIMIT_FSIZE, &most) != 0 || tutti_comm_create(1, 0, NULL, NULL, &comm) != TUTTI_OK)
		return 1;
	if (tutti_alloc(comm, 2 * limit, &memory) != TUTTI_ERR_NOMEM || tutti_last_error(&error) != TUTTI_OK ||
	    error.message[0] == '\0')
		return 2;
	if (tutti_alloc(comm, limit / 4, &memory) != TUTTI_OK)
		return 3;
	memset(memory, 1, limit / 4);
	tutti_comm_destroy(comm);
	return 0;
}

Test(arena, a_limit_is_an_error_and_no_signal, .timeout = 20)
{
	const pid_t child = fork();
	int status;

	if (child == 0)
		_exit(allocate_within((size_t)128 << 20));
	cr_assert(waitpid(child, &status, 0) > 0);
	cr_expect(eq(int, status, 0));
}

/* Where the next piece would be. */
static uint64_t
next_place(struct tt_segment *segment)
{
	uint64_t offset = 0;

	cr_assert(eq(int, tt_segment_take(segment, 1, &offset), TUTTI_OK));
	tt_segment_give(segment, offset, 1);
	return offset;
}

Test(arena, what_is_freed_or_goes_with_its_communicator_is_there_again, .timeout = 20)
{
	struct tt_lineage parent = {.n = 0}, child = {.n = 0};
	struct tt_segment *segment;
	void *memory, *more;
	uint64_t place;

	cr_assert(eq(int, tt_segment_create(&segment), TUTTI_OK));
	place = next_place(segment);
	cr_assert(eq(int, tt_lineage_found(&parent, segment, NULL), TUTTI_OK));
	cr_assert(eq(int, tt_arena_take(parent.arena[0], 1, &memory), TUTTI_OK));
	cr_expect(next_place(segment) != place);
	cr_expect(eq(int, tt_arena_give(parent.arena[0], memory), TUTTI_OK));
	cr_expect(next_place(segment) == place);
	cr_assert(eq(int, tt_arena_take(parent.arena[0], BYTES, &more), TUTTI_OK));
	cr_assert(eq(int, tt_lineage_found(&child, NULL, &parent), TUTTI_OK));
	cr_expect(eq(int, child.n, 2));
	cr_expect(tt_lineage_segment(&child, 0) == NULL && tt_lineage_segment(&child, 1) == segment);
	tt_lineage_leave(&parent);
	tt_lineage_leave(&parent);
	cr_expect(next_place(segment) == place);
	tt_lineage_leave(&child);
	tt_segment_close(segment);
}

Test(arena, after_a_failure_nothing_is_given_out_twice, .timeout = 20)
{
	struct tt_lineage parent = {.n = 0}, child = {.n = 0};
	struct tt_segment *segment;
	unsigned char *memory;
	uint64_t place;

	cr_assert(eq(int, tt_segment_create(&segment), TUTTI_OK));
	place = next_place(segment);
	cr_assert(eq(int, tt_lineage_found(&parent, segment, NULL), TUTTI_OK));
	cr_assert(eq(int, tt_lineage_found(&child, NULL, &parent), TUTTI_OK));
	cr_assert(eq(int, tt_arena_take(parent.arena[0], 1, (void **)&memory), TUTTI_OK));
	memory[0] = 7;
	tt_lineage_taint(&child);
	tt_lineage_leave(&child);
	cr_expect(eq(int, tt_arena_give(parent.arena[0], memory), TUTTI_OK));
	tt_lineage_leave(&parent);
	cr_expect(next_place(segment) != place);
	cr_expect(memory[0] == 7, "a late peer would meet a page that is gone");
	tt_segment_close(segment);
}

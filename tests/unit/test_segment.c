/* SPDX-License-Identifier: Apache-2.0
 *
 * test_segment.c - pieces are zeroed, apart, shared, and survive the death of whoever took them.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/process.h"
#include "base/segment.h"

#define MIB ((size_t)1 << 20)

static struct tt_segment *segment;

static void
create(void)
{
	cr_assert(tt_segment_create(&segment) == TUTTI_OK, "%s", tt_last_error()->message);
}

static void
destroy(void)
{
	tt_segment_close(segment);
}

TestSuite(segment, .init = create, .fini = destroy, .timeout = 50);

static size_t
resident_bytes(const struct tt_segment *of)
{
	struct stat file;

	cr_assert(fstat(tt_segment_fd(of), &file) == 0);
	return (size_t)file.st_blocks * 512;
}

static bool
is_zero(const unsigned char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

static uint64_t
take(size_t bytes)
{
	uint64_t offset = 0;

	cr_assert(tt_segment_take(segment, bytes, &offset) == TUTTI_OK, "%s", tt_last_error()->message);
	return offset;
}

Test(segment, its_size_is_sealed_and_it_costs_little_memory)
{
	const int seals = fcntl(tt_segment_fd(segment), F_GET_SEALS);

	cr_assert(
	    eq(int, seals &(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
	cr_assert(ftruncate(tt_segment_fd(segment), 0) != 0);
	cr_assert(eq(int, fcntl(tt_segment_fd(segment), F_GETFD), FD_CLOEXEC));
	cr_assert(lt(sz, resident_bytes(segment), 4 * MIB));
}

Test(segment, pieces_are_aligned_zeroed_and_apart)
{
	uint64_t offsets[40];
	size_t sizes[40];

	for (size_t i = 0; i < 40; i++) {
		sizes[i] = 1 + i * i * 997;
		offsets[i] = take(sizes[i]);
		cr_assert(eq(u64, offsets[i] % 4096, 0));
		cr_assert(is_zero(tt_segment_at(segment, offsets[i]), sizes[i]));
		memset(tt_segment_at(segment, offsets[i]), (int)i + 1, sizes[i]);
	}
	for (size_t i = 0; i < 40; i++) {
		const unsigned char *piece = tt_segment_at(segment, offsets[i]);

		for (size_t j = 0; j < sizes[i]; j++)
			cr_assert(eq(int, piece[j], (int)i + 1));
		tt_segment_give(segment, offsets[i], sizes[i]);
	}
}

Test(segment, a_piece_given_back_frees_its_memory_and_comes_back_zeroed)
{
	const size_t before = resident_bytes(segment);
	const uint64_t offset = take(8 * MIB);
	uint64_t again;

	cr_assert(ge(sz, resident_bytes(segment), before + 8 * MIB));
	memset(tt_segment_at(segment, offset), 0xff, 8 * MIB);
	tt_segment_give(segment, offset, 8 * MIB);
	cr_assert(eq(sz, resident_bytes(segment), before));
	again = take(8 * MIB);
	cr_assert(eq(u64, again, offset));
	cr_assert(is_zero(tt_segment_at(segment, again), 8 * MIB));
}

Test(segment, a_gap_between_pieces_is_used_again_only_by_what_fits)
{
	const uint64_t a = take(256 * 1024), b = take(256 * 1024), c = take(256 * 1024);
	uint64_t big, small;

	tt_segment_give(segment, b, 256 * 1024);
	big = take(512 * 1024);
	small = take(256 * 1024);
	cr_assert(big != b);
	cr_assert(eq(u64, small, b));
	cr_assert(a != c);
}

Test(segment, nothing_is_a_piece_too)
{
	const uint64_t a = take(0), b = take(0);

	cr_assert(a != b);
	tt_segment_give(segment, a, 0);
	cr_assert(eq(u64, take(0), a));
}

Test(segment, what_cannot_fit_is_an_error_with_a_reason_and_leaves_nothing_taken)
{
	const size_t before = resident_bytes(segment);
	uint64_t offset = 7;
	struct stat file;

	cr_assert(eq(int, tt_segment_take(segment, SIZE_MAX, &offset), TUTTI_ERR_NOMEM));
	cr_assert(fstat(tt_segment_fd(segment), &file) == 0);
	cr_assert(eq(int, tt_segment_take(segment, (size_t)file.st_size, &offset), TUTTI_ERR_NOMEM));
	cr_assert(strlen(tt_last_error()->message) > 20);
	cr_assert(eq(u64, offset, 7));
	cr_assert(eq(sz, resident_bytes(segment), before));
	take(MIB);
}

Test(segment, an_offset_that_is_no_piece_is_not_given_back)
{
	const uint64_t offset = take(MIB);
	unsigned char *piece = tt_segment_at(segment, offset);
	uint64_t other;

	memset(piece, 1, MIB);
	tt_segment_give(segment, 0, MIB);
	tt_segment_give(segment, offset + 4096, 4096);
	tt_segment_give(segment, UINT64_MAX - 65535, 65536);
	tt_segment_give(segment, offset, SIZE_MAX);
	cr_assert(eq(int, piece[4096], 1));
	cr_assert(tt_segment_take(segment, MIB, &other) == TUTTI_OK);
	cr_assert(other != offset);
}

Test(segment, addresses_are_found_only_inside)
{
	const uint64_t offset = take(MIB);
	unsigned char *piece = tt_segment_at(segment, offset);
	uint64_t found = 0;
	int outside;

	cr_assert(eq(int, tt_segment_find(segment, piece + 5, 100, &found), 1));
	cr_assert(eq(u64, found, offset + 5));
	cr_assert(eq(int, tt_segment_find(segment, &outside, 4, &found), 0));
	cr_assert(eq(int, tt_segment_find(segment, piece, SIZE_MAX, &found), 0));
	cr_assert(eq(int, tt_segment_find(segment, NULL, 1, &found), 0));
	cr_assert(tt_segment_at(segment, UINT64_MAX) == NULL);
}

Test(segment, a_second_mapping_sees_the_same_pieces)
{
	struct tt_segment *other;
	const uint64_t offset = take(100);
	uint64_t theirs;

	memcpy(tt_segment_at(segment, offset), "hello", 6);
	cr_assert(eq(int, tt_segment_open(dup(tt_segment_fd(segment)), &other), TUTTI_OK));
	cr_assert(tt_segment_at(other, offset) != tt_segment_at(segment, offset));
	cr_assert(strcmp(tt_segment_at(other, offset), "hello") == 0);
	cr_assert(tt_segment_take(other, 100, &theirs) == TUTTI_OK);
	cr_assert(theirs != offset && theirs != take(100));
	tt_segment_close(other);
}

Test(segment, the_last_holder_closes_it)
{
	struct tt_segment *shared = tt_segment_share(segment);
	const int fd = tt_segment_fd(shared);

	tt_segment_close(segment);
	cr_assert(fcntl(fd, F_GETFD) >= 0);
	segment = NULL;
	tt_segment_close(shared);
	cr_assert(fcntl(fd, F_GETFD) < 0);
	tt_segment_close(NULL);
}

static int
memfd(off_t size, unsigned seals)
{
	const int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	cr_assert(fd >= 0 && ftruncate(fd, size) == 0 && fcntl(fd, F_ADD_SEALS, seals) == 0);
	return fd;
}

Test(segment, memory_that_is_no_segment_is_refused_and_its_descriptor_closed)
{
	const unsigned seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	const int fds[] = {memfd(64 * (off_t)MIB, 0), memfd(64 * (off_t)MIB, F_SEAL_SHRINK | F_SEAL_SEAL),
	    memfd(4096, seals), memfd(0, seals), memfd(64 * (off_t)MIB, seals), memfd(65 * (off_t)MIB, seals),
	    open("/dev/null", O_RDWR | O_CLOEXEC), open("/dev/zero", O_RDWR | O_CLOEXEC)};
	struct tt_segment *other = segment;

	for (size_t i = 0; i < TT_COUNT_OF(fds); i++) {
		cr_assert(eq(int, tt_segment_open(fds[i], &other), TUTTI_ERR_AUTH), "case %zu", i);
		cr_assert(fcntl(fds[i], F_GETFD) < 0);
	}
	cr_assert(other == segment);
}

/* Takes and gives for ever; the parent kills it somewhere in between. */
static void
churn(void)
{
	for (uint64_t offset;;)
		if (tt_segment_take(segment, 65536, &offset) == TUTTI_OK)
			tt_segment_give(segment, offset, 65536);
}

/* A mapping is not inherited: a child gets its own through the descriptor, as another program would. */
static pid_t
fork_with_segment(void)
{
	const int fd = fcntl(tt_segment_fd(segment), F_DUPFD_CLOEXEC, 0);
	const pid_t child = fork();

	if (child == 0 && tt_segment_open(fd, &segment) != TUTTI_OK)
		_exit(1);
	if (child != 0)
		close(fd);
	return child;
}

Test(segment, a_process_killed_anywhere_leaves_it_usable)
{
	for (int round = 0; round < 30; round++) {
		const pid_t child = fork_with_segment();
		uint64_t offset;
		int status;

		if (child == 0)
			churn();
		usleep((useconds_t)(500 + 333 * round));
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
		cr_assert(eq(int, WTERMSIG(status), SIGKILL), "the child was at work until it was killed");
		offset = take(65536);
		cr_assert(is_zero(tt_segment_at(segment, offset), 65536));
		memset(tt_segment_at(segment, offset), 1, 65536);
		tt_segment_give(segment, offset, 65536);
	}
}

Test(segment, a_lock_whose_holder_died_is_taken_over)
{
	/* The lock lies behind magic and size, as segment.c has it. */
	pthread_mutex_t *const theirs = tt_segment_at(segment, 16);
	const pid_t child = fork_with_segment();
	int status;

	if (child == 0)
		_exit(pthread_mutex_lock(tt_segment_at(segment, 16)));
	cr_assert(eq(int, waitpid(child, &status, 0), child));
	cr_assert(eq(int, status, 0));
	tt_segment_give(segment, take(4096), 4096);
	cr_assert(eq(int, pthread_mutex_trylock(theirs), 0));
	pthread_mutex_unlock(theirs);
}

static void *
take_and_mark(void *failed)
{
	for (int i = 0; i < 200; i++) {
		const size_t bytes = 4096 + (size_t)(i % 5) * 65536;
		uint64_t offset;
		unsigned char *piece;

		if (tt_segment_take(segment, bytes, &offset) != TUTTI_OK) {
			*(_Atomic bool *)failed = true;
			return NULL;
		}
		piece = tt_segment_at(segment, offset);
		for (size_t j = 0; j < bytes; j += 1024)
			if (piece[j]++ != 0)
				*(_Atomic bool *)failed = true;
		tt_segment_give(segment, offset, bytes);
	}
	return NULL;
}

Test(segment, threads_never_get_the_same_piece)
{
	_Atomic bool failed = false;
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		cr_assert(pthread_create(&threads[i], NULL, take_and_mark, &failed) == 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	cr_assert(eq(int, failed, 0));
}

static int
create_with_limit(__rlimit_resource_t resource, size_t bytes)
{
	const struct rlimit limit = {bytes, bytes};
	struct tt_segment *limited;
	uint64_t offset;
	tutti_status status;

	if (setrlimit(resource, &limit) != 0)
		return 100;
	status = tt_segment_create(&limited);
	if (status != TUTTI_OK)
		return (int)status;
	return tt_segment_take(limited, MIB, &offset) == TUTTI_OK ? 0 : 101;
}

static int
in_child_with_limit(__rlimit_resource_t resource, size_t bytes)
{
	const pid_t child = fork();
	int status;

	if (child == 0)
		_exit(create_with_limit(resource, bytes));
	cr_assert(waitpid(child, &status, 0) == child);
	cr_assert(eq(int, WTERMSIG(status), 0), "it was killed by signal %d", WTERMSIG(status));
	return WEXITSTATUS(status);
}

Test(segment, a_limit_on_file_size_makes_it_smaller_or_is_an_error_but_no_signal)
{
	cr_assert(eq(int, in_child_with_limit(RLIMIT_FSIZE, 300 * MIB), 0));
	cr_assert(eq(int, in_child_with_limit(RLIMIT_FSIZE, MIB), TUTTI_ERR_NOMEM));
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__clang__)
/* A sanitizer's own address space is beyond any limit. */
Test(segment, a_limit_on_address_space_makes_it_smaller_or_is_an_error)
{
	cr_assert(eq(int, in_child_with_limit(RLIMIT_AS, 2048 * MIB), 0));
	cr_assert(eq(int, in_child_with_limit(RLIMIT_AS, 200 * MIB), TUTTI_ERR_NOMEM));
}
#endif

Test(segment, a_forked_child_has_no_mapping)
{
	const uint64_t offset = take(4096);
	const pid_t child = fork();
	int status;

	if (child == 0) {
		unsigned char resident;

		_exit(mincore(tt_segment_at(segment, offset), 4096, &resident) != 0 && errno == ENOMEM ? 0 : 1);
	}
	cr_assert(waitpid(child, &status, 0) == child);
	cr_assert(eq(int, status, 0));
}

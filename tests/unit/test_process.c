/* SPDX-License-Identifier: Apache-2.0
 *
 * test_process.c - what a forked child knows and what it does not keep.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/process.h"

/* Runs `body` in a forked child; its result, at most 255, is the exit status. */
static int
in_child(int (*body)(void *), void *context)
{
	const pid_t child = fork();
	int status = -1;

	if (child == 0)
		_exit(body(context));
	cr_assert(gt(int, child, 0));
	cr_assert(eq(int, waitpid(child, &status, 0), child));
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static int
generation_differs(void *context)
{
	return tt_process_generation() != *(uint32_t *)context;
}

Test(process, a_child_is_another_generation)
{
	uint32_t mine = tt_process_generation();

	cr_assert(eq(u32, tt_process_generation(), mine));
	cr_assert(eq(int, in_child(generation_differs, &mine), 1));
	cr_assert(eq(u32, tt_process_generation(), mine));
}

static int
identity_differs(void *context)
{
	unsigned char identity[16];

	tt_process_identity(identity);
	return memcmp(identity, context, sizeof(identity)) != 0;
}

Test(process, a_child_draws_an_identity_of_its_own)
{
	unsigned char identity[16], again[16];

	tt_process_identity(identity);
	tt_process_identity(again);
	cr_assert(memcmp(identity, again, sizeof(identity)) == 0);
	cr_assert(eq(int, in_child(identity_differs, identity), 1));
}

static int
count_open(void *context)
{
	const int *fds = context;

	return (int)is_open(fds[0]) + 2 * (int)is_open(fds[1]);
}

Test(process, a_child_closes_guarded_descriptors_and_no_others)
{
	int fds[2];

	cr_assert(pipe(fds) == 0);
	tt_fd_guard(fds[0]);
	cr_assert(eq(int, in_child(count_open, fds), 2));
	cr_assert(is_open(fds[0]), "the parent keeps it");
	tt_fd_close(fds[0]);
	cr_assert(not(is_open(fds[0])));
	close(fds[1]);
}

Test(process, a_number_that_was_closed_is_not_guarded_any_more)
{
	int fds[2];

	cr_assert(pipe(fds) == 0);
	tt_fd_guard(fds[0]);
	tt_fd_close(fds[0]);
	cr_assert(eq(int, dup2(fds[1], fds[0]), fds[0]));
	cr_assert(eq(int, in_child(count_open, fds), 3));
	close(fds[0]);
	close(fds[1]);
}

Test(process, a_high_descriptor_is_guarded_too)
{
	struct rlimit limit;
	int fds[2];

	cr_assert(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < 20000)
		cr_skip("the limit on open files is too low here");
	fds[1] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	fds[0] = fcntl(fds[1], F_DUPFD_CLOEXEC, 19000);
	cr_assert(ge(int, fds[0], 19000));
	tt_fd_guard(fds[0]);
	tt_fd_guard(fds[1]);
	cr_assert(eq(int, in_child(count_open, fds), 0));
	tt_fd_close(fds[0]);
	tt_fd_close(fds[1]);
}

static void *
open_and_close(void *stop)
{
	while (!*(_Atomic bool *)stop) {
		const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

		tt_fd_guard(fd);
		tt_fd_close(fd);
	}
	return NULL;
}

static int
guard_works(void *context)
{
	const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	tt_fd_guard(fd);
	tt_fd_close(fd);
	return is_open(fd);
}

Test(process, a_fork_amid_other_threads_leaves_a_usable_list, .timeout = 30)
{
	_Atomic bool stop = false;
	pthread_t thread;

	cr_assert(eq(int, pthread_create(&thread, NULL, open_and_close, &stop), 0));
	for (int i = 0; i < 50; i++)
		cr_assert(eq(int, in_child(guard_works, NULL), 0));
	stop = true;
	pthread_join(thread, NULL);
}

Test(process, no_descriptor_is_nothing_to_guard_or_close)
{
	tt_fd_guard(-1);
	tt_fd_close(-1);
}

Test(process, random_bytes_fill_all_of_the_memory_and_no_more)
{
	unsigned char some[70], more[70];

	memset(some, 0, sizeof(some));
	memset(more, 0, sizeof(more));
	tt_random(some, 64);
	tt_random(more, 64);
	cr_assert(memcmp(some, more, 32) != 0);
	cr_assert(memcmp(some + 32, more + 32, 32) != 0);
	for (int i = 64; i < 70; i++)
		cr_assert(eq(int, some[i], 0));
	tt_random(some, 0);
}

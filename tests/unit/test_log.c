/* SPDX-License-Identifier: Apache-2.0
 *
 * test_log.c - what a log line looks like, and what writing it must not do.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

/* Datagrams keep writes apart: one receive is one write(2). */
static int ends[2];

static void
open_ends(void)
{
	cr_assert(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
}

static void
close_ends(void)
{
	close(ends[0]);
	close(ends[1]);
}

/* Length of the next line, -1 if there is none. */
static ssize_t
next(char *line, size_t bytes)
{
	const ssize_t n = recv(ends[1], line, bytes - 1, 0);

	line[n < 0 ? 0 : n] = '\0';
	return n;
}

TestSuite(log, .init = open_ends, .fini = close_ends);

Test(log, a_line_is_one_write_with_rank_name_and_level)
{
	struct tt_log log = {TT_LOG_INFO, ends[0], 3, "data"};
	char line[2000];

	tt_log(&log, TT_LOG_INFO, "hello %d", 1);
	cr_assert(next(line, sizeof(line)) > 0);
	cr_assert(strcmp(line, "tutti[3 data] info: hello 1\n") == 0);
	log.name = NULL;
	tt_log(&log, TT_LOG_ERROR, "hello");
	cr_assert(next(line, sizeof(line)) > 0);
	cr_assert(strcmp(line, "tutti[3] error: hello\n") == 0);
	log.rank = -1;
	tt_log(&log, TT_LOG_WARN, "hello");
	cr_assert(next(line, sizeof(line)) > 0);
	cr_assert(strcmp(line, "tutti[-] warn: hello\n") == 0);
	cr_assert(lt(int, (int)next(line, sizeof(line)), 0));
}

Test(log, nothing_is_written_that_nobody_asked_for)
{
	const struct tt_log log = {TT_LOG_WARN, ends[0], 0, NULL};
	char line[100];

	tt_log(&log, TT_LOG_INFO, "not wanted");
	tt_log(&TT_LOG_NONE, TT_LOG_ERROR, "nowhere to go");
	tt_log(NULL, TT_LOG_ERROR, "nowhere to go");
	cr_assert(lt(int, (int)next(line, sizeof(line)), 0));
}

Test(log, a_text_from_elsewhere_cannot_start_a_line_of_its_own)
{
	const struct tt_log log = {TT_LOG_WARN, ends[0], 0, NULL};
	char line[100];

	tt_log(&log, TT_LOG_WARN, "peer says: a\ntutti[1] error: b\x1b[2J");
	next(line, sizeof(line));
	cr_assert(strcmp(line, "tutti[0] warn: peer says: a tutti[1] error: b [2J\n") == 0);
}

Test(log, a_line_too_long_is_cut_and_still_ends)
{
	const struct tt_log log = {TT_LOG_WARN, ends[0], 0, NULL};
	char text[3000], line[3000];
	ssize_t n;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	tt_log(&log, TT_LOG_WARN, "%s", text);
	n = next(line, sizeof(line));
	cr_assert(gt(int, (int)n, 500));
	cr_assert(eq(int, (int)n, 1023));
	cr_assert(eq(chr, line[n - 1], '\n'));
	cr_assert(strchr(line, '\n') == line + n - 1);
}

Test(log, a_reader_who_left_costs_neither_the_process_nor_errno)
{
	int pipe_ends[2];
	sigset_t pending;

	cr_assert(pipe(pipe_ends) == 0);
	const struct tt_log log = {TT_LOG_WARN, pipe_ends[1], 0, NULL};

	close(pipe_ends[0]);
	signal(SIGPIPE, SIG_DFL);
	errno = ERANGE;
	tt_log(&log, TT_LOG_WARN, "anybody there?");
	cr_assert(eq(int, errno, ERANGE));
	sigpending(&pending);
	cr_assert(sigismember(&pending, SIGPIPE) == 0);
	close(pipe_ends[1]);
}

Test(log, levels_have_names)
{
	cr_assert(eq(int, tt_log_level_parse("error"), TT_LOG_ERROR));
	cr_assert(eq(int, tt_log_level_parse("debug"), TT_LOG_DEBUG));
	cr_assert(eq(int, tt_log_level_parse(""), -1));
	cr_assert(eq(int, tt_log_level_parse("Warn"), -1));
	cr_assert(eq(int, tt_log_level_parse("warning"), -1));
}

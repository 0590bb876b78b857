/* SPDX-License-Identifier: Apache-2.0
 *
 * log.c - "tutti[rank name] level: text", one write(2) per line.
 *
 * One write, so that lines of many ranks on one pipe do not mix; no stdio buffer, so that nothing is lost or
 * written twice around a fork; no SIGPIPE, so that a reader who left does not end the program.
 */
#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/checked.h"

#define LINE_BYTES 1024 /* longer lines are cut */

static const char *const level_names[] = {"error", "warn", "info", "debug"};

/* A signal that was pending already is not ours to swallow. */
static void
write_without_sigpipe(int fd, const char *bytes, size_t n)
{
	const struct timespec now = {0, 0};
	sigset_t pipe_only, old, pending;
	bool was_pending;
	ssize_t written;

	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	if (pthread_sigmask(SIG_BLOCK, &pipe_only, &old) != 0)
		return;
	sigpending(&pending);
	was_pending = sigismember(&pending, SIGPIPE) == 1;
	do
		written = write(fd, bytes, n);
	while (written < 0 && errno == EINTR);
	if (written < 0 && errno == EPIPE && !was_pending)
		while (sigtimedwait(&pipe_only, NULL, &now) < 0 && errno == EINTR)
			continue;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* snprintf's result as an end of text that is really there. */
static size_t
clipped(int length, size_t room)
{
	return length < 0 ? 0 : tt_min_size((size_t)length, room - 1);
}

static size_t
write_head(char *line, size_t room, const struct tt_log *log, enum tt_log_level level)
{
	const bool named = log->name != NULL && log->name[0] != '\0';
	char rank[16];

	if (log->rank >= 0)
		snprintf(rank, sizeof(rank), "%d", log->rank);
	else
		snprintf(rank, sizeof(rank), "-");
	return clipped(snprintf(line, room, "tutti[%s%s%.64s] %s: ", rank, named ? " " : "", named ? log->name : "",
			   level_names[level]),
	    room);
}

void
tt_log(const struct tt_log *log, enum tt_log_level level, const char *format, ...)
{
	const int saved_errno = errno;
	char line[LINE_BYTES];
	const size_t room = sizeof(line) - 1; /* the last byte is the line's end */
	va_list arguments;
	size_t n;

	if (!tt_log_wants(log, level))
		return;
	n = write_head(line, room, log, level);
	va_start(arguments, format);
	n += clipped(vsnprintf(line + n, room - n, format, arguments), room - n);
	va_end(arguments);
	/* One event is one line, whatever a text from elsewhere contains. */
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = ' ';
	line[n++] = '\n';
	write_without_sigpipe(log->fd, line, n);
	errno = saved_errno;
}

int
tt_log_level_parse(const char *text)
{
	for (size_t i = 0; i < TT_COUNT_OF(level_names); i++)
		if (strcmp(text, level_names[i]) == 0)
			return (int)i;
	return -1;
}

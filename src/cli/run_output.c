/* SPDX-License-Identifier: Apache-2.0
 *
 * run_output.c - collects lines, and writes them without ever waiting.
 */
#include "cli/run_output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"

#define MOST_QUEUED (2 * (size_t)TT_OUTPUT_NEEDS)
#define ONE_WRITE 4096 /* PIPE_BUF: what a pipe takes without blocking once it polls writable */

void
tt_output_init(struct tt_output *output, int fd)
{
	*output = (struct tt_output){.fd = fd};
}

void
tt_output_fini(struct tt_output *output)
{
	free(output->queue);
	*output = (struct tt_output){.fd = -1};
}

/* Room for n more bytes; false when memory is short: the bytes are lost, the job goes on. */
static bool
make_room(char **bytes, size_t *capacity, size_t used, size_t n)
{
	size_t wanted = tt_max_size(*capacity, 4096);
	char *grown;

	if (*capacity - used >= n)
		return true;
	while (wanted - used < n)
		wanted *= 2;
	grown = realloc(*bytes, wanted);
	if (grown == NULL)
		return false;
	*bytes = grown;
	*capacity = wanted;
	return true;
}

static void
put(struct tt_output *output, const char *bytes, size_t n)
{
	if (n == 0 || output->broken)
		return;
	if (output->sent > 0 && output->sent == output->used)
		output->sent = output->used = 0;
	if (!make_room(&output->queue, &output->capacity, output->used, n))
		return;
	memcpy(output->queue + output->used, bytes, n);
	output->used += n;
}

void
tt_output_line(struct tt_output *output, const char *format, ...)
{
	char text[1024];
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	if (n < 0)
		return;
	if (output->mid_line != 0)
		put(output, "\n", 1);
	put(output, text, tt_min_size((size_t)n, sizeof text - 1));
	put(output, "\n", 1);
	output->mid_line = 0;
}

bool
tt_output_has_room(const struct tt_output *output)
{
	return output->broken || MOST_QUEUED - (output->used - output->sent) >= TT_OUTPUT_NEEDS;
}

bool
tt_output_is_empty(const struct tt_output *output)
{
	return output->sent == output->used;
}

void
tt_output_write(struct tt_output *output)
{
	size_t left = output->used - output->sent;
	ssize_t n = write(output->fd, output->queue + output->sent, tt_min_size(left, ONE_WRITE));

	if (n > 0)
		output->sent += (size_t)n;
	else if (n < 0 && errno != EINTR && errno != EAGAIN)
		output->broken = true;
	if (output->broken || output->sent == output->used) {
		output->sent = output->used = 0;
	} else if (output->sent >= MOST_QUEUED) {
		memmove(output->queue, output->queue + output->sent, output->used - output->sent);
		output->used -= output->sent;
		output->sent = 0;
	}
}

/* `ends`: the bytes end a line. */
static void
emit(struct tt_output *output, int rank, bool prefix, const char *bytes, size_t n, bool ends)
{
	char text[32];

	if (output->mid_line != 0 && output->mid_line != rank + 1) {
		put(output, "\n", 1);
		output->mid_line = 0;
	}
	if (prefix && output->mid_line == 0) {
		int length = snprintf(text, sizeof text, "[%d] ", rank);

		put(output, text, (size_t)length);
	}
	put(output, bytes, n);
	output->mid_line = ends ? 0 : rank + 1;
}

static void
hold(struct tt_line *line, const char *bytes, size_t n)
{
	if (!make_room(&line->held, &line->capacity, line->used, n))
		return;
	memcpy(line->held + line->used, bytes, n);
	line->used += n;
}

void
tt_line_feed(struct tt_line *line, struct tt_output *output, int rank, bool prefix, const char *bytes, size_t n)
{
	while (n > 0) {
		const char *newline = memchr(bytes, '\n', n);
		size_t part = newline != NULL ? (size_t)(newline - bytes) + 1 : n;

		/* Whole lines need no holding; the held start of a line goes out with its end. */
		if (newline != NULL && line->used == 0) {
			emit(output, rank, prefix, bytes, part, true);
		} else {
			hold(line, bytes, part);
			if (newline != NULL || line->used >= TT_OUTPUT_LINE) {
				emit(output, rank, prefix, line->held, line->used, newline != NULL);
				line->used = 0;
			}
		}
		bytes += part;
		n -= part;
	}
}

void
tt_line_end(struct tt_line *line, struct tt_output *output, int rank, bool prefix)
{
	if (line->used > 0)
		emit(output, rank, prefix, line->held, line->used, false);
	line->used = 0;
	/* A prefixed stream is for people: the next one starts on a line of its own. */
	if (prefix && output->mid_line == rank + 1) {
		put(output, "\n", 1);
		output->mid_line = 0;
	}
}

void
tt_line_fini(struct tt_line *line)
{
	free(line->held);
	*line = (struct tt_line){0};
}

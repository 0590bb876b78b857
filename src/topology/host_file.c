/* SPDX-License-Identifier: Apache-2.0
 *
 * host_file.c - reads small files of /proc and /sys. A file that is missing or too long for a path is no error:
 * hosts differ in what they tell.
 */
#include "topology/host_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static size_t
read_all(int fd, char *text, size_t capacity)
{
	size_t used = 0;

	while (used < capacity) {
		ssize_t n = read(fd, text + used, capacity - used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		used += (size_t)n;
	}
	return used;
}

bool
tt_host_read(const char *root, char *text, size_t capacity, const char *path_format, ...)
{
	char path[PATH_MAX];
	va_list arguments;
	int at, n, fd;
	size_t used;

	at = snprintf(path, sizeof path, "%s", root);
	if (at < 0 || (size_t)at >= sizeof path)
		return false;
	va_start(arguments, path_format);
	n = vsnprintf(path + at, sizeof path - (size_t)at, path_format, arguments);
	va_end(arguments);
	if (n < 0 || (size_t)n >= sizeof path - (size_t)at)
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	used = read_all(fd, text, capacity - 1);
	close(fd);
	while (used > 0 && strchr(" \t\n", text[used - 1]) != NULL)
		used--;
	text[used] = '\0';
	return true;
}

long
tt_host_read_number(const char *root, const char *path, long otherwise)
{
	char text[64], *end;
	long value;

	if (!tt_host_read(root, text, sizeof text, "%s", path))
		return otherwise;
	errno = 0;
	value = strtol(text, &end, 10);
	return errno == 0 && end != text ? value : otherwise;
}

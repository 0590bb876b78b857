/* SPDX-License-Identifier: Apache-2.0
 *
 * cli.c - complaints, and numbers on the command line.
 */
#include "cli/cli.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void
print(const char *command, const char *format, va_list arguments)
{
	char text[1024];

	/* One write for the line: other ranks may be complaining too. */
	vsnprintf(text, sizeof text, format, arguments);
	fprintf(stderr, "tutti%s%s: %s\n", command[0] != '\0' ? " " : "", command, text);
}

int
tt_usage(const char *command, const char *format, ...)
{
	char text[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	fprintf(stderr, "tutti%s%s: %s; see tutti%s%s --help\n", command[0] != '\0' ? " " : "", command, text,
	    command[0] != '\0' ? " " : "", command);
	return TT_EXIT_USAGE;
}

int
tt_usage_getopt(const char *command, char **argv, int result)
{
	const char *given = argv[optind - 1];

	if (result == ':')
		return tt_usage(command, "option %s needs a value", given);
	if (optopt > 0 && optopt < 256 && given[0] == '-' && given[1] == '-')
		return tt_usage(command, "option %s takes no value", given);
	if (optopt > 0 && optopt < 256)
		return tt_usage(command, "unknown option -%c", optopt);
	return tt_usage(command, "unknown option %s", given);
}

int
tt_complain(const char *command, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print(command, format, arguments);
	va_end(arguments);
	return TT_EXIT_FAILURE;
}

bool
tt_read_int(const char *text, long least, long most, long *value)
{
	char *end;
	long read;

	errno = 0;
	read = strtol(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || read < least || read > most)
		return false;
	*value = read;
	return true;
}

bool
tt_read_seconds(const char *text, double *value)
{
	char *end;
	double read;

	errno = 0;
	read = strtod(text, &end);
	if (errno != 0 || end == text || *end != '\0' || !isfinite(read) || read <= 0)
		return false;
	*value = read;
	return true;
}

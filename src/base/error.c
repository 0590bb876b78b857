/* SPDX-License-Identifier: Apache-2.0
 *
 * error.c - the calling thread's record of its latest failure.
 *
 * A message may quote the record that it replaces, hence it is written aside first.
 */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"

/* A record that cannot even hold these tells nothing. */
#define LEAST_BYTES (offsetof(tutti_error, rank) + sizeof(int))

static _Thread_local tutti_error latest = TUTTI_ERROR_INIT;

static void
fill(tutti_error *error, tutti_status status, const int *ranks, int n, uint64_t sequence, const char *message)
{
	tutti_error made = TUTTI_ERROR_INIT;
	const int kept = n < (int)TT_COUNT_OF(made.ranks) ? n : (int)TT_COUNT_OF(made.ranks);

	made.status = status;
	made.sequence = sequence;
	made.nranks = n > 0 ? n : 0;
	if (n > 0) {
		made.rank = ranks[0];
		memcpy(made.ranks, ranks, (size_t)kept * sizeof(made.ranks[0]));
	}
	snprintf(made.message, sizeof(made.message), "%s", message);
	*error = made;
}

void
tt_error_fill(
    tutti_error *error, tutti_status status, const int *ranks, int n, uint64_t sequence, const char *format, ...)
{
	char message[sizeof(error->message)];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	fill(error, status, ranks, n, sequence, message);
}

tutti_status
tt_fail(tutti_status status, int rank, const char *format, ...)
{
	char message[sizeof(latest.message)];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	fill(&latest, status, &rank, rank < 0 ? 0 : 1, 0, message);
	return status;
}

tutti_status
tt_fail_errno(const char *format, ...)
{
	const int number = errno;
	const tutti_status status = number == ENOMEM ? TUTTI_ERR_NOMEM : TUTTI_ERR_SYSTEM;
	char message[sizeof(latest.message) / 2];
	char reason[128];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	tt_fail(status, -1, "%s: %s", message, strerror_r(number, reason, sizeof(reason)));
	errno = number;
	return status;
}

tutti_status
tt_fail_with(const tutti_error *error)
{
	if (error != &latest)
		latest = *error;
	latest.size = sizeof(latest);
	return latest.status;
}

const tutti_error *
tt_last_error(void)
{
	return &latest;
}

tutti_status
tt_error_copy(tutti_error *to, const tutti_error *from)
{
	const size_t room = to->size;
	size_t bytes;

	if (room < LEAST_BYTES)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "the size of the tutti_error is %zu: initialize it with TUTTI_ERROR_INIT", room);
	bytes = tt_min_size(room, sizeof(*from));
	memcpy((char *)to + sizeof(to->size), (const char *)from + sizeof(from->size), bytes - sizeof(from->size));
	/* A caller with a shorter message gets a shorter message, not an open end. */
	if (bytes > offsetof(tutti_error, message))
		((char *)to)[bytes - 1] = '\0';
	return TUTTI_OK;
}

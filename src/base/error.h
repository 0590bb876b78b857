/* SPDX-License-Identifier: Apache-2.0
 *
 * error.h - the record of what went wrong.
 *
 * Whoever decides an error calls tt_fail() once, with the rank at fault and a sentence that a person can act on;
 * everyone else passes the status on with TT_TRY. The record is the calling thread's (tutti_last_error reads it).
 */
#ifndef TT_BASE_ERROR_H
#define TT_BASE_ERROR_H

#include <tutti/tutti.h>

#include "base/port.h"

#define TT_TRY(call) \
	do { \
		const tutti_status tt_status_ = (call); \
		if (TT_UNLIKELY(tt_status_ != TUTTI_OK)) \
			return tt_status_; \
	} while (0)

/* Records and returns `status`. rank: the rank at fault, -1 if none. */
tutti_status tt_fail(tutti_status status, int rank, const char *format, ...) TT_PRINTF(3, 4);
/* The same for a failed system call: appends strerror(errno). TUTTI_ERR_NOMEM for ENOMEM, else TUTTI_ERR_SYSTEM. */
tutti_status tt_fail_errno(const char *format, ...) TT_PRINTF(1, 2);
/* Makes a whole record the calling thread's latest failure; returns its status. */
tutti_status tt_fail_with(const tutti_error *error);
/* The calling thread's latest failure; lives as long as the thread. */
const tutti_error *tt_last_error(void);

/* Fills a record. `ranks` (n of them, all kept up to 16) may be NULL when n is 0. */
void tt_error_fill(tutti_error *error, tutti_status status, const int *ranks, int n, uint64_t sequence,
    const char *format, ...) TT_PRINTF(6, 7);
/* Copies `from` into the caller's `to`, no more than to->size bytes. ERR_ARGUMENT if to->size is too small. */
tutti_status tt_error_copy(tutti_error *to, const tutti_error *from);

#endif /* TT_BASE_ERROR_H */

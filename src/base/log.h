/* SPDX-License-Identifier: Apache-2.0
 *
 * log.h - one line per event, one write(2) per line, only if TUTTI_LOG asks for it.
 */
#ifndef TT_BASE_LOG_H
#define TT_BASE_LOG_H

#include "base/port.h"

enum tt_log_level { TT_LOG_ERROR, TT_LOG_WARN, TT_LOG_INFO, TT_LOG_DEBUG };

/* Where and how much; by value, so that nothing global is needed. fd -1 = nothing is written. */
struct tt_log {
	enum tt_log_level level;
	int fd;
	int rank; /* shown in each line, -1 = not yet known */
	const char *name; /* of the communicator, may be NULL; lent */
};

#define TT_LOG_NONE ((struct tt_log){TT_LOG_ERROR, -1, -1, NULL})

static inline bool
tt_log_wants(const struct tt_log *log, enum tt_log_level level)
{
	return log != NULL && log->fd >= 0 && level <= log->level;
}

void tt_log(const struct tt_log *log, enum tt_log_level level, const char *format, ...) TT_PRINTF(3, 4);
/* "error", "warn", "info", "debug"; -1 if it is none of them. */
int tt_log_level_parse(const char *text);

#endif /* TT_BASE_LOG_H */

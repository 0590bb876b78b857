/* SPDX-License-Identifier: Apache-2.0
 *
 * settings.h - everything that can be set from outside, in one table.
 *
 * Read once per communicator: tutti_config beats the environment, the environment beats the default. A value that
 * does not parse is an error that names the variable; an unknown TUTTI_ variable is a warning.
 */
#ifndef TT_BASE_SETTINGS_H
#define TT_BASE_SETTINGS_H

#include <stdio.h>
#include <tutti/tutti.h>

#include "base/log.h"

enum tt_setting {
	TT_SET_LOG,
	TT_SET_LOG_FILE,
	TT_SET_TRANSPORTS,
	TT_SET_FABRIC_PROVIDER,
	TT_SET_PLUGINS,
	TT_SET_INTERFACES,
	TT_SET_PORT_RANGE,
	TT_SET_CONNECTIONS,
	TT_SET_CHECKSUM,
	TT_SET_TIMEOUT_MS,
	TT_SET_ALGORITHM,
	TT_SET_PROFILE,
	TT_SET_TOPOLOGY,
	TT_SET_TRACE,
	TT_SET_SECRET_FILE,
	TT_SET_REPRODUCIBLE,
	TT_SET_PROGRESS_THREAD,
	TT_SET_CMA,
	TT_SET_STAGING, /* bytes of staging memory per rank */
	TT_SETTINGS
};

enum tt_setting_source { TT_FROM_DEFAULT, TT_FROM_ENVIRONMENT, TT_FROM_CONFIG };

struct tt_setting_info {
	const char *variable; /* "TUTTI_LOG" */
	const char *meaning; /* one line for a person */
	const char *values; /* "error|warn|info|debug" */
	const char *initial; /* the default as text, "" = none */
};

struct tt_settings {
	char *text[TT_SETTINGS]; /* the value as text, owned; NULL = none */
	enum tt_setting_source source[TT_SETTINGS];
	enum tt_log_level log_level;
	int64_t timeout_ms; /* -1 = none */
	int reproducible, progress_thread, checksum;
	int connections; /* to each peer, for large messages; 0 = automatic */
	size_t staging_bytes;
	size_t cma; /* 0 = off, 1 = on, else rows from which on */
	char *name; /* of the communicator, owned, may be NULL */
	int log_fd; /* where log lines go; owned if it is a file */
	bool log_owned;
};

const struct tt_setting_info *tt_setting_info(enum tt_setting setting);
/* Variables that are no settings but have a meaning (TUTTI_RANK ...), one after the other; NULL behind the last. */
const struct tt_setting_info *tt_setting_given(size_t index);
/* What the environment says, unread; NULL if it is not set. Lent by the environment. */
const char *tt_setting_environment(const struct tt_setting_info *info);
/* config may be NULL. On failure nothing is left to free. */
tutti_status tt_settings_init(struct tt_settings *settings, const tutti_config *config);
/* One that lives on its own. On failure nothing is left to free. */
tutti_status tt_settings_copy(const struct tt_settings *from, struct tt_settings *to);
void tt_settings_fini(struct tt_settings *settings);
struct tt_log tt_settings_log(const struct tt_settings *settings, int rank);
/* Names of TUTTI_ variables in the environment that are not in the table (nor given by `tutti run`), at most
 * `capacity`; returns how many. Lent by the environment: each text goes on with "=VALUE" after the name. */
int tt_settings_unknown(const char **names, int capacity);
/* Where the user's programs keep what they can make again: XDG_CACHE_HOME, or .cache in HOME; false if neither is set. */
bool tt_settings_cache_directory(char *path, size_t capacity);
/* "64K", "1.5M", "2G", "123": bytes. ERR_ARGUMENT otherwise. */
tutti_status tt_parse_size(const char *text, size_t *bytes);

#endif /* TT_BASE_SETTINGS_H */

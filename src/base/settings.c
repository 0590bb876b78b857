/* SPDX-License-Identifier: Apache-2.0
 *
 * settings.c - the table of settings, and how their values are found and read.
 *
 * Every value is first a text, whoever gave it; then it is read. So the environment and tutti_config cannot differ
 * in what they accept, and `tutti env` can show all of it.
 */
#include "base/settings.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/net.h"
#include "base/process.h"

#define MOST_CONFIG_BYTES 4096 /* a size beyond is no size but what was on the stack */
#define LEAST_STAGING ((size_t)4096)
#define MOST_STAGING ((size_t)1 << 40)
#define MOST_CONNECTIONS 16
#define PREFIX "TUTTI_"
#define MOST_DECIMALS 6 /* behind the point: six digits of terabytes still fit 64 bits */

extern char **environ;

static const struct tt_setting_info table[TT_SETTINGS] = {
    [TT_SET_LOG] = {"TUTTI_LOG", "how much is logged", "error|warn|info|debug", "warn"},
    [TT_SET_LOG_FILE] = {"TUTTI_LOG_FILE", "file that log lines are appended to, instead of stderr", "FILE", ""},
    [TT_SET_TRANSPORTS] = {"TUTTI_TRANSPORTS", "transports that may be used", "shm,tcp,fabric or some of them", ""},
    [TT_SET_FABRIC_PROVIDER] = {"TUTTI_FABRIC_PROVIDER",
	"libfabric provider for the transport fabric, rdma = any with a card", "NAME[/write|/messages]", ""},
    [TT_SET_PLUGINS] = {"TUTTI_PLUGINS", "folder in which plug-ins are, instead of beside the library", "FOLDER", ""},
    [TT_SET_INTERFACES] = {"TUTTI_INTERFACES", "network interfaces to use, or with ^ not to use", "[^]NAME[,NAME...]",
	""},
    [TT_SET_PORT_RANGE] = {"TUTTI_PORT_RANGE", "TCP ports to listen on", "LOW-HIGH", ""},
    [TT_SET_CONNECTIONS] = {"TUTTI_CONNECTIONS", "TCP connections to each peer, for large messages", "auto|1-16",
	"auto"},
    [TT_SET_CHECKSUM] = {"TUTTI_CHECKSUM", "messages over TCP carry a checksum of their own", "0|1", "0"},
    [TT_SET_TIMEOUT_MS] = {"TUTTI_TIMEOUT_MS", "time limit of creation and of every operation, -1 = none",
	"MILLISECONDS", "300000"},
    [TT_SET_ALGORITHM] = {"TUTTI_ALGORITHM", "algorithms to use, per collective and range of bytes",
	"COLLECTIVE:FROM-TO=NAME[,...]", ""},
    [TT_SET_PROFILE] = {"TUTTI_PROFILE",
	"this machine's speeds, written by `tutti tune`; assumed: no file, no measuring", "FILE|assumed", ""},
    [TT_SET_TOPOLOGY] = {"TUTTI_TOPOLOGY",
	"another machine that this node is taken for: an XML file of hwloc's, or a description", "FILE|DESCRIPTION",
	""},
    [TT_SET_TRACE] = {"TUTTI_TRACE", "file that gets a trace of all operations (Chrome trace events)", "FILE", ""},
    [TT_SET_SECRET_FILE] = {"TUTTI_SECRET_FILE", "file with the job's secret", "FILE", ""},
    [TT_SET_REPRODUCIBLE] = {"TUTTI_REPRODUCIBLE", "same bits for a given number of ranks, wherever they run", "0|1",
	"0"},
    [TT_SET_PROGRESS_THREAD] = {"TUTTI_PROGRESS_THREAD", "nonblocking operations advance in the background", "0|1",
	"0"},
    [TT_SET_CMA] = {"TUTTI_CMA", "ranks of a node read large rows from each other's memory: copied once, not twice",
	"0|1|BYTES[K|M|G]", "1"},
    [TT_SET_STAGING] = {"TUTTI_STAGING", "bytes of memory per rank that a node shares for staging", "BYTES[K|M|G]",
	"4M"},
};

/* Not settings: what a launcher tells its ranks, and what the kernels read for themselves. */
static const struct tt_setting_info given[] = {
    {"TUTTI_RANK", "this process's rank, given by `tutti run`", "NUMBER", ""},
    {"TUTTI_SIZE", "number of ranks of the job, given by `tutti run`", "NUMBER", ""},
    {"TUTTI_LOCAL_RANK", "place among the ranks of this host, given by `tutti run`", "NUMBER", ""},
    {"TUTTI_LOCAL_SIZE", "number of ranks on this host, given by `tutti run`", "NUMBER", ""},
    {"TUTTI_ROOT", "where rank 0 listens, for ranks started by hand", "HOST:PORT", ""},
    {"TUTTI_JOB", "the job's name, given by `tutti run`", "TEXT", ""},
    {"TUTTI_SECRET_FD", "descriptor that holds the job's secret, given by `tutti run`", "NUMBER", ""},
    {"TUTTI_KERNELS", "instruction set that the reductions use, for tests", "NAME", ""},
};

const struct tt_setting_info *
tt_setting_info(enum tt_setting setting)
{
	return &table[setting];
}

const struct tt_setting_info *
tt_setting_given(size_t index)
{
	return index < TT_COUNT_OF(given) ? &given[index] : NULL;
}

const char *
tt_setting_environment(const struct tt_setting_info *info)
{
	return getenv(info->variable);
}

/* ---- reading values -------------------------------------------------------------------------------------- */

static tutti_status
bad_value(const char *variable, const char *text)
{
	for (size_t i = 0; i < TT_SETTINGS; i++)
		if (strcmp(table[i].variable, variable) == 0)
			return tt_fail(
			    TUTTI_ERR_ARGUMENT, -1, "%s: '%.128s' is not %s", variable, text, table[i].values);
	return tt_fail(TUTTI_ERR_INTERNAL, -1, "%s is no setting", variable);
}

/* Shift of a suffix, -1 if it is none. */
static int
suffix_shift(const char *suffix)
{
	static const char letters[] = "KMGTkmgt";
	const char *letter;

	if (suffix[0] == '\0')
		return 0;
	letter = strchr(letters, suffix[0]);
	return letter == NULL || suffix[1] != '\0' ? -1 : 10 * ((int)((letter - letters) % 4) + 1);
}

/* Digits; *text is moved behind them. How many there are, 0 also if they are too many for a number. */
static int
read_digits(const char **text, uint64_t *value)
{
	const char *from = *text;

	*value = 0;
	for (; **text >= '0' && **text <= '9'; (*text)++)
		if (__builtin_mul_overflow(*value, 10, value) ||
		    __builtin_add_overflow(*value, (uint64_t)(**text - '0'), value))
			return 0;
	return (int)(*text - from);
}

static bool
read_size(const char *text, size_t *bytes)
{
	uint64_t whole, part = 0, scale = 1;
	const char *at = text;
	int digits = 0, shift;

	if (read_digits(&at, &whole) == 0)
		return false;
	if (*at == '.') {
		at++;
		digits = read_digits(&at, &part);
		if (digits == 0 || digits > MOST_DECIMALS)
			return false;
	}
	for (int i = 0; i < digits; i++)
		scale *= 10;
	shift = suffix_shift(at);
	if (shift < 0 || (digits > 0 && shift == 0))
		return false;
	return !__builtin_mul_overflow(whole, UINT64_C(1) << shift, &whole) &&
	       !__builtin_add_overflow(whole, (part << shift) / scale, bytes);
}

tutti_status
tt_parse_size(const char *text, size_t *bytes)
{
	size_t value = 0;

	if (!read_size(text, &value))
		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "'%.64s' is not a number of bytes: write it as 65536, 64K, 1.5M or 2G", text);
	*bytes = value;
	return TUTTI_OK;
}

static bool
read_switch(const char *text, int *on)
{
	static const struct {
		const char *word;
		int on;
	} words[] = {{"0", 0}, {"1", 1}, {"off", 0}, {"on", 1}};

	for (size_t i = 0; i < TT_COUNT_OF(words); i++) {
		if (strcmp(text, words[i].word) == 0) {
			*on = words[i].on;
			return true;
		}
	}
	return false;
}

/* A whole number of milliseconds, or -1. Zero would end everything before it began. */
static bool
read_timeout(const char *text, int64_t *timeout_ms)
{
	uint64_t value;
	const char *at = text;

	if (strcmp(text, "-1") == 0) {
		*timeout_ms = -1;
		return true;
	}
	if (read_digits(&at, &value) == 0 || *at != '\0' || value == 0 || value > INT64_MAX)
		return false;
	*timeout_ms = (int64_t)value;
	return true;
}

/* A small number, or "auto", which is 0. */
static bool
read_connections(const char *text, int *connections)
{
	uint64_t value = 0;
	const char *at = text;

	if (strcmp(text, "auto") != 0 &&
	    (read_digits(&at, &value) == 0 || *at != '\0' || value == 0 || value > MOST_CONNECTIONS))
		return false;
	*connections = (int)value;
	return true;
}

static tutti_status
read_all(struct tt_settings *settings)
{
	const int level = tt_log_level_parse(settings->text[TT_SET_LOG]);
	const char *const range = settings->text[TT_SET_PORT_RANGE];
	uint16_t low, high;

	if (level < 0)
		return bad_value("TUTTI_LOG", settings->text[TT_SET_LOG]);
	settings->log_level = (enum tt_log_level)level;
	if (!read_timeout(settings->text[TT_SET_TIMEOUT_MS], &settings->timeout_ms))
		return bad_value("TUTTI_TIMEOUT_MS", settings->text[TT_SET_TIMEOUT_MS]);
	if (!read_switch(settings->text[TT_SET_REPRODUCIBLE], &settings->reproducible))
		return bad_value("TUTTI_REPRODUCIBLE", settings->text[TT_SET_REPRODUCIBLE]);
	if (!read_switch(settings->text[TT_SET_PROGRESS_THREAD], &settings->progress_thread))
		return bad_value("TUTTI_PROGRESS_THREAD", settings->text[TT_SET_PROGRESS_THREAD]);
	if (!read_switch(settings->text[TT_SET_CHECKSUM], &settings->checksum))
		return bad_value("TUTTI_CHECKSUM", settings->text[TT_SET_CHECKSUM]);
	if (!read_size(settings->text[TT_SET_CMA], &settings->cma))
		return bad_value("TUTTI_CMA", settings->text[TT_SET_CMA]);
	if (!read_connections(settings->text[TT_SET_CONNECTIONS], &settings->connections))
		return bad_value("TUTTI_CONNECTIONS", settings->text[TT_SET_CONNECTIONS]);
	if (range != NULL && tt_port_range_parse(range, &low, &high) != TUTTI_OK)
		return bad_value("TUTTI_PORT_RANGE", range);
	if (!read_size(settings->text[TT_SET_STAGING], &settings->staging_bytes))
		return bad_value("TUTTI_STAGING", settings->text[TT_SET_STAGING]);
	if (settings->staging_bytes < LEAST_STAGING || settings->staging_bytes > MOST_STAGING)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "TUTTI_STAGING: '%.64s' is not between %zu bytes and %zu GiB",
		    settings->text[TT_SET_STAGING], LEAST_STAGING, MOST_STAGING >> 30);
	return TUTTI_OK;
}

/* ---- finding values -------------------------------------------------------------------------------------- */

/* The caller's struct as this library knows it: fields that it does not have are unset. */
static tutti_status
read_config(const tutti_config *config, tutti_config *out)
{
	const tutti_config empty = TUTTI_CONFIG_INIT;
	const unsigned char *bytes = (const unsigned char *)config;

	*out = empty;
	if (config == NULL)
		return TUTTI_OK;
	if (config->size < sizeof(config->size) || config->size > MOST_CONFIG_BYTES ||
	    config->size % sizeof(void *) != 0)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "the size of the tutti_config is %zu: initialize it with TUTTI_CONFIG_INIT", config->size);
	for (size_t i = sizeof(*out); i < config->size; i++)
		if (bytes[i] != 0)
			return tt_fail(TUTTI_ERR_VERSION, -1,
			    "the tutti_config sets a field that this version of tutti does not know: "
			    "the program was built for a newer one");
	memcpy(out, config, config->size < sizeof(*out) ? config->size : sizeof(*out));
	out->size = sizeof(*out);
	return TUTTI_OK;
}

static tutti_status
set(struct tt_settings *settings, enum tt_setting which, enum tt_setting_source source, const char *text)
{
	char *copy;

	if (text[0] == '\0')
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "%s is set but empty: unset it, or give it a value (%s)",
		    table[which].variable, table[which].values);
	TT_TRY(tt_strdup(text, &copy));
	tt_free(settings->text[which]);
	settings->text[which] = copy;
	settings->source[which] = source;
	return TUTTI_OK;
}

static tutti_status
set_switch(struct tt_settings *settings, enum tt_setting which, int value)
{
	if (value == 0)
		return TUTTI_OK;
	if (value != 1 && value != -1)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "the field of tutti_config for %s is %d: 1 is on, -1 off, 0 unset", table[which].variable, value);
	return set(settings, which, TT_FROM_CONFIG, value > 0 ? "1" : "0");
}

static tutti_status
set_from_config(struct tt_settings *settings, const tutti_config *config)
{
	const struct {
		enum tt_setting which;
		const char *text;
	} texts[] = {{TT_SET_TRANSPORTS, config->transports}, {TT_SET_FABRIC_PROVIDER, config->fabric_provider},
	    {TT_SET_INTERFACES, config->interfaces}, {TT_SET_PORT_RANGE, config->port_range}};
	char number[32];

	for (size_t i = 0; i < TT_COUNT_OF(texts); i++)
		if (texts[i].text != NULL)
			TT_TRY(set(settings, texts[i].which, TT_FROM_CONFIG, texts[i].text));
	if (config->timeout_ms != 0) {
		snprintf(number, sizeof(number), "%lld", (long long)config->timeout_ms);
		TT_TRY(set(settings, TT_SET_TIMEOUT_MS, TT_FROM_CONFIG, number));
	}
	TT_TRY(set_switch(settings, TT_SET_REPRODUCIBLE, config->reproducible));
	TT_TRY(set_switch(settings, TT_SET_PROGRESS_THREAD, config->progress_thread));
	return tt_strdup(config->name, &settings->name);
}

static tutti_status
set_all(struct tt_settings *settings, const tutti_config *config)
{
	tutti_config known;

	TT_TRY(read_config(config, &known));
	for (int i = 0; i < TT_SETTINGS; i++) {
		const enum tt_setting which = (enum tt_setting)i;
		const char *const text = getenv(table[i].variable);

		if (text != NULL)
			TT_TRY(set(settings, which, TT_FROM_ENVIRONMENT, text));
		else if (table[i].initial[0] != '\0')
			TT_TRY(set(settings, which, TT_FROM_DEFAULT, table[i].initial));
	}
	/* Also what the config is going to replace: nothing that somebody has set is ignored in silence. */
	TT_TRY(read_all(settings));
	TT_TRY(set_from_config(settings, &known));
	return read_all(settings);
}

static tutti_status
open_log(struct tt_settings *settings)
{
	const char *const path = settings->text[TT_SET_LOG_FILE];

	if (path == NULL)
		return TUTTI_OK;
	settings->log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0644);
	if (settings->log_fd < 0)
		return tt_fail_errno("TUTTI_LOG_FILE: cannot open '%.128s'", path);
	settings->log_owned = true;
	tt_fd_guard(settings->log_fd);
	return TUTTI_OK;
}

tutti_status
tt_settings_init(struct tt_settings *settings, const tutti_config *config)
{
	tutti_status status;

	memset(settings, 0, sizeof(*settings));
	settings->log_fd = STDERR_FILENO;
	status = set_all(settings, config);
	if (status == TUTTI_OK)
		status = open_log(settings);
	if (status != TUTTI_OK)
		tt_settings_fini(settings);
	return status;
}

static tutti_status
copy_texts(const struct tt_settings *from, struct tt_settings *to)
{
	for (size_t i = 0; i < TT_SETTINGS; i++)
		TT_TRY(tt_strdup(from->text[i], &to->text[i]));
	TT_TRY(tt_strdup(from->name, &to->name));
	return open_log(to);
}

tutti_status
tt_settings_copy(const struct tt_settings *from, struct tt_settings *to)
{
	tutti_status status;

	*to = *from;
	memset(to->text, 0, sizeof(to->text));
	to->name = NULL;
	to->log_fd = STDERR_FILENO;
	to->log_owned = false;
	status = copy_texts(from, to);
	if (status != TUTTI_OK)
		tt_settings_fini(to);
	return status;
}

void
tt_settings_fini(struct tt_settings *settings)
{
	for (size_t i = 0; i < TT_SETTINGS; i++)
		tt_free(settings->text[i]);
	tt_free(settings->name);
	if (settings->log_owned)
		tt_fd_close(settings->log_fd);
	memset(settings, 0, sizeof(*settings));
	settings->log_fd = -1;
}

struct tt_log
tt_settings_log(const struct tt_settings *settings, int rank)
{
	return (struct tt_log){settings->log_level, settings->log_fd, rank, settings->name};
}

static bool
is_name(const char *entry, const char *name)
{
	const size_t length = strlen(name);

	return strncmp(entry, name, length) == 0 && (entry[length] == '=' || entry[length] == '\0');
}

static bool
is_known(const char *entry)
{
	for (size_t i = 0; i < TT_SETTINGS; i++)
		if (is_name(entry, table[i].variable))
			return true;
	for (size_t i = 0; i < TT_COUNT_OF(given); i++)
		if (is_name(entry, given[i].variable))
			return true;
	return false;
}

int
tt_settings_unknown(const char **names, int capacity)
{
	int n = 0;

	for (char **entry = environ; entry != NULL && *entry != NULL && n < capacity; entry++)
		if (strncmp(*entry, PREFIX, sizeof(PREFIX) - 1) == 0 && !is_known(*entry))
			names[n++] = *entry;
	return n;
}

bool
tt_settings_cache_directory(char *path, size_t capacity)
{
	const char *const cache = getenv("XDG_CACHE_HOME"), *const home = getenv("HOME");
	int n;

	/* The specification has relative paths ignored. */
	if (cache != NULL && cache[0] == '/')
		n = snprintf(path, capacity, "%s", cache);
	else if (home != NULL && home[0] == '/')
		n = snprintf(path, capacity, "%s/.cache", home);
	else
		return false;
	return n > 0 && (size_t)n < capacity;
}

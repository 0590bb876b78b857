/* SPDX-License-Identifier: Apache-2.0
 *
 * profile.c - a profile as text: a line for each constant, with its unit and where it came from.
 *
 *	# Tutti profile 4
 *	host 6c62272e07bb0142
 *	cpu Some Processor
 *	kernels avx512
 *	handoff 83.1 ns tuned
 */
#include "profile/profile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "kernels/kernels.h"
#include "topology/host.h"
#include "topology/host_file.h"

#define FIRST_WORDS "# Tutti profile "

static uint64_t
mix(uint64_t hash, const char *text)
{
	do
		hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	while (*text++ != '\0');
	return hash;
}

uint64_t
tt_profile_host(const char *root, const char *kernels, char *cpu_model, size_t capacity)
{
	static const char *const lists[] = {"/sys/devices/system/cpu/present", "/sys/devices/system/node/has_cpu"};
	struct tt_host host = {0};
	char text[4096];
	uint64_t hash = mix(UINT64_C(0xcbf29ce484222325), kernels);

	tt_host_probe_kind(root, &host);
	snprintf(cpu_model, capacity, "%s", host.cpu_model);
	hash = mix(hash, host.cpu_model);
	for (size_t i = 0; i < TT_COUNT_OF(lists); i++)
		if (tt_host_read(root, text, sizeof(text), "%s", lists[i]))
			hash = mix(hash, text);
	snprintf(text, sizeof(text), "%zu %zu %zu %d", host.l1d_bytes, host.l2_bytes, host.l3_bytes, host.l3_cpus);
	return mix(hash, text);
}

void
tt_profile_init(struct tt_profile *profile)
{
	memset(profile, 0, sizeof(*profile));
	snprintf(profile->kernels, sizeof(profile->kernels), "%.15s", tt_kernels_best()->name);
	profile->host = tt_profile_host("", profile->kernels, profile->cpu_model, sizeof(profile->cpu_model));
	tt_constants_init(&profile->constants);
}

/* ---- text ------------------------------------------------------------------------------------------------------ */

TT_PRINTF(4, 5)
static void
put(char *text, size_t capacity, size_t *used, const char *format, ...)
{
	const size_t room = *used < capacity ? capacity - *used : 0;
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vsnprintf(room > 0 ? text + *used : NULL, room, format, arguments);
	va_end(arguments);
	*used += n > 0 ? (size_t)n : 0;
}

size_t
tt_profile_print(const struct tt_profile *profile, char *text, size_t capacity)
{
	size_t used = 0;

	put(text, capacity, &used, FIRST_WORDS "%d\nhost %016" PRIx64 "\ncpu %s\nkernels %s\n", TT_PROFILE_VERSION,
	    profile->host, profile->cpu_model, profile->kernels);
	for (int i = 0; i < TT_CONSTANTS; i++) {
		const struct tt_constant_info *info = tt_constant_info((enum tt_constant)i);
		const enum tt_constant_source source = (enum tt_constant_source)profile->constants.source[i];

		put(text, capacity, &used, "%s %.9g %s %s\n", info->name, profile->constants.value[i], info->unit,
		    tt_constant_source_name(source));
	}
	return used;
}

static int
find_source(const char *name)
{
	for (int i = 0; i < TT_CONSTANT_SOURCES; i++)
		if (strcmp(tt_constant_source_name((enum tt_constant_source)i), name) == 0)
			return i;
	return -1;
}

/* A constant of a later version is no fault: its line is passed over. */
static bool
parse_constant(const char *line, struct tt_constants *constants)
{
	char name[32], unit[16], source[16];
	double value;
	int used = 0, constant, from;

	if (sscanf(line, "%31s %lf %15s %15s %n", name, &value, unit, source, &used) != 4 || line[used] != '\0')
		return false;
	constant = tt_constant_find(name);
	from = find_source(source);
	if (constant < 0)
		return true;
	if (from < 0 || strcmp(tt_constant_info((enum tt_constant)constant)->unit, unit) != 0 ||
	    !tt_constant_allows((enum tt_constant)constant, value))
		return false;
	tt_constants_set(constants, (enum tt_constant)constant, value, (enum tt_constant_source)from);
	return true;
}

static bool
parse_line(const char *line, struct tt_profile *profile, bool *has_host)
{
	if (line[0] == '#' || line[0] == '\0')
		return true;
	if (strncmp(line, "host ", 5) == 0) {
		char *end;

		errno = 0;
		profile->host = strtoull(line + 5, &end, 16);
		*has_host = errno == 0 && end != line + 5 && *end == '\0';
		return *has_host;
	}
	if (strncmp(line, "cpu", 3) == 0 && (line[3] == ' ' || line[3] == '\0')) {
		snprintf(profile->cpu_model, sizeof(profile->cpu_model), "%.95s", line + 3 + (line[3] == ' '));
		return true;
	}
	if (strncmp(line, "kernels ", 8) == 0) {
		snprintf(profile->kernels, sizeof(profile->kernels), "%.15s", line + 8);
		return true;
	}
	return parse_constant(line, &profile->constants);
}

static tutti_status
check_version(const char *text)
{
	char *end;
	long version;

	if (strncmp(text, FIRST_WORDS, sizeof(FIRST_WORDS) - 1) != 0)
		return tt_fail(
		    TUTTI_ERR_ARGUMENT, -1, "it does not begin with \"" FIRST_WORDS "%d\"", TT_PROFILE_VERSION);
	version = strtol(text + sizeof(FIRST_WORDS) - 1, &end, 10);
	if (version != TT_PROFILE_VERSION || *end != '\n')
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "it is for another version of Tutti (%ld; this one reads %d)",
		    version, TT_PROFILE_VERSION);
	return TUTTI_OK;
}

tutti_status
tt_profile_parse(const char *text, struct tt_profile *profile)
{
	struct tt_profile read = {.host = 0};
	bool has_host = false;
	int number = 0;

	tt_constants_init(&read.constants);
	TT_TRY(check_version(text));
	while (*text != '\0') {
		const size_t len = strcspn(text, "\n");
		char line[256];

		number++;
		if (text[len] == '\0' || len >= sizeof(line))
			return tt_fail(TUTTI_ERR_ARGUMENT, -1, "line %d is cut off or too long", number);
		memcpy(line, text, len);
		line[len] = '\0';
		if (!parse_line(line, &read, &has_host))
			return tt_fail(TUTTI_ERR_ARGUMENT, -1, "line %d makes no sense: \"%.64s\"", number, line);
		text += len + 1;
	}
	if (!has_host)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "it does not say which host it belongs to");
	tt_calibrate_conclude(&read.constants);
	*profile = read;
	return TUTTI_OK;
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

tutti_status
tt_profile_read(const char *path, struct tt_profile *profile)
{
	char text[TT_PROFILE_TEXT];
	size_t used = 0;
	ssize_t n = 1;
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return tt_fail_errno("cannot open the profile %.200s", path);
	while (used < sizeof(text) && n != 0) {
		n = read(fd, text + used, sizeof(text) - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		used += (size_t)n;
	}
	close(fd);
	if (n < 0)
		return tt_fail_errno("cannot read the profile %.200s", path);
	if (used == sizeof(text) || memchr(text, '\0', used) != NULL)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "%.200s is no profile: it is too long, or no text", path);
	text[used] = '\0';
	if (tt_profile_parse(text, profile) != TUTTI_OK) {
		const tutti_error error = *tt_last_error();

		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "the profile %.200s cannot be used: %.128s; `tutti tune -o FILE` writes a new one", path,
		    error.message);
	}
	snprintf(profile->from, sizeof(profile->from), "%s", path);
	return TUTTI_OK;
}

static bool
write_all(int fd, const char *text, size_t bytes)
{
	while (bytes > 0) {
		const ssize_t n = write(fd, text, bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		text += n;
		bytes -= (size_t)n;
	}
	return true;
}

tutti_status
tt_profile_write(const char *path, const struct tt_profile *profile)
{
	char text[TT_PROFILE_TEXT], temporary[TT_PROFILE_PATH + 16];
	const size_t bytes = tt_profile_print(profile, text, sizeof(text));
	tutti_status status = TUTTI_OK;
	int fd;

	snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path);
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return tt_fail_errno("cannot write the profile %.200s", path);
	if (!write_all(fd, text, bytes) || fchmod(fd, 0644) != 0)
		status = tt_fail_errno("cannot write the profile %.200s", path);
	if (close(fd) != 0 && status == TUTTI_OK)
		status = tt_fail_errno("cannot write the profile %.200s", path);
	if (status == TUTTI_OK && rename(temporary, path) != 0)
		status = tt_fail_errno("cannot write the profile %.200s", path);
	if (status != TUTTI_OK)
		(void)unlink(temporary);
	return status;
}

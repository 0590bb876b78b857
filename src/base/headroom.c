/* SPDX-License-Identifier: Apache-2.0
 *
 * headroom.c - reads the limits on memory from /proc/meminfo and the files of the memory cgroups.
 *
 * Every cgroup from the process's own up to the root may have a limit. In a container the path that /proc shows may
 * not exist below its /sys/fs/cgroup, whose top is then the limit that counts; what cannot be read sets no limit.
 * File pages are counted as used by the kernel, but given up on demand, so they are room.
 */
#include "base/headroom.h"

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/port.h"

#define FILE_BYTES 8192 /* enough of any of these files */
#define NO_LIMIT ((size_t)1 << 60) /* version 1 says "none" with a huge number */

/* One of the two kinds of memory cgroups: what its files are called. */
struct kind {
	const char *mount;
	const char *limit, *usage;
	const char *inactive, *active; /* file pages, in memory.stat */
};

static const struct kind kinds[] = {
    {"/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file ", "active_file "},
    {"/sys/fs/cgroup/unified", "memory.max", "memory.current", "inactive_file ", "active_file "},
    {"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file ",
	"total_active_file "},
};

struct headroom {
	size_t bytes;
	char *name;
};

static bool
read_file(const char *path, char text[FILE_BYTES])
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t n = 0;
	ssize_t got;

	if (fd < 0)
		return false;
	while (n < FILE_BYTES - 1 && (got = read(fd, text + n, FILE_BYTES - 1 - n)) > 0)
		n += (size_t)got;
	close(fd);
	text[n] = '\0';
	return n > 0;
}

/* The number at the start of a text behind spaces; false for "max" and the like. */
static bool
number_at(const char *text, size_t *value)
{
	unsigned long long read;

	if (sscanf(text, " %20llu", &read) != 1)
		return false;
	*value = (size_t)read;
	return true;
}

/* The number behind `key`, which starts a line; 0 if it is not there. */
static size_t
field(const char *text, const char *key)
{
	const size_t length = strlen(key);
	size_t value = 0;

	for (const char *line = text; line != NULL && *line != '\0';) {
		if (strncmp(line, key, length) == 0 && number_at(line + length, &value))
			return value;
		line = strchr(line, '\n');
		line = line == NULL ? NULL : line + 1;
	}
	return 0;
}

static void
consider(struct headroom *tightest, size_t bytes, const char *what, const char *where)
{
	if (bytes >= tightest->bytes)
		return;
	tightest->bytes = bytes;
	snprintf(tightest->name, TT_LIMIT_NAME, "%s%.100s", what, where);
}

static void
consider_machine(const char *root, struct headroom *tightest)
{
	char path[PATH_MAX], text[FILE_BYTES];
	size_t kib, bytes;

	snprintf(path, sizeof(path), "%s/proc/meminfo", root);
	if (!read_file(path, text) || strstr(text, "MemAvailable:") == NULL)
		return;
	kib = field(text, "MemAvailable:") + field(text, "SwapFree:");
	if (tt_mul_size(kib, 1024, &bytes))
		consider(tightest, bytes, "the machine's memory", "");
}

static bool
read_group_file(const char *folder, const char *file, char text[FILE_BYTES])
{
	char path[PATH_MAX];
	const int n = snprintf(path, sizeof(path), "%s/%s", folder, file);

	return n > 0 && (size_t)n < sizeof(path) && read_file(path, text);
}

static void
consider_group(const char *folder, const char *group, const struct kind *kind, struct headroom *tightest)
{
	char text[FILE_BYTES];
	size_t limit, usage, reclaimable = 0;

	if (!read_group_file(folder, kind->limit, text) || !number_at(text, &limit) || limit >= NO_LIMIT)
		return;
	if (!read_group_file(folder, kind->usage, text) || !number_at(text, &usage))
		return;
	if (read_group_file(folder, "memory.stat", text))
		reclaimable = field(text, kind->inactive) + field(text, kind->active);
	usage -= tt_min_size(usage, reclaimable);
	consider(tightest, limit - tt_min_size(limit, usage), "the memory limit of cgroup ",
	    group[0] != '\0' ? group : "/");
}

/* The group and all above it. `group` is cut to pieces. */
static void
consider_groups(const char *root, const struct kind *kind, char *group, struct headroom *tightest)
{
	char folder[PATH_MAX];

	for (;;) {
		const int n = snprintf(folder, sizeof(folder), "%s%s%s", root, kind->mount, group);
		char *slash;

		if (n > 0 && (size_t)n < sizeof(folder))
			consider_group(folder, group, kind, tightest);
		slash = strrchr(group, '/');
		if (slash == NULL)
			return;
		*slash = '\0';
	}
}

/* A line "ID:CONTROLLERS:PATH" of /proc/self/cgroup: which kind it tells of, by its controllers. */
static bool
is_kind(const struct kind *kind, const char *controllers)
{
	const bool version_2 = controllers[0] == '\0';
	const bool wants_2 = strcmp(kind->limit, "memory.max") == 0;
	const char *const memory = strstr(controllers, "memory");

	return version_2 ? wants_2 : !wants_2 && memory != NULL;
}

size_t
tt_headroom(const char *root, char name[TT_LIMIT_NAME])
{
	struct headroom tightest = {SIZE_MAX, name};
	char path[PATH_MAX], text[FILE_BYTES], group[PATH_MAX];
	char *rest = text, *line;

	snprintf(name, TT_LIMIT_NAME, "no limit");
	consider_machine(root, &tightest);
	snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
	if (!read_file(path, text))
		return tightest.bytes;
	while ((line = strsep(&rest, "\n")) != NULL) {
		strsep(&line, ":");
		const char *const controllers = line == NULL ? NULL : strsep(&line, ":");

		if (controllers == NULL || line == NULL)
			continue;
		for (size_t i = 0; i < TT_COUNT_OF(kinds); i++) {
			if (!is_kind(&kinds[i], controllers))
				continue;
			snprintf(group, sizeof(group), "%s", line);
			consider_groups(root, &kinds[i], group, &tightest);
		}
	}
	return tightest.bytes;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * host_quota.c - how much CPU time the control groups allow.
 *
 * /proc/self/cgroup says in which group this process is, /proc/self/mountinfo where that hierarchy is mounted. In
 * a container the mount may begin below the top: then the part of the path above it is cut off, and a path that
 * does not lie under the mount means the mount itself. A limit of any parent counts too: the tightest wins.
 */
#include "topology/host.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "topology/host_file.h"

struct hierarchy {
	int version;
	char group[PATH_MAX]; /* of this process, from /proc/self/cgroup */
	char mount[PATH_MAX]; /* where it is mounted */
	char top[PATH_MAX]; /* which group that is */
};

/* Is `word` one of the words of a comma-separated list? */
static bool
has_word(const char *list, size_t bytes, const char *word)
{
	const char *end = list + bytes;
	size_t length = strlen(word);

	while (list < end) {
		const char *comma = memchr(list, ',', (size_t)(end - list));
		size_t n = comma != NULL ? (size_t)(comma - list) : (size_t)(end - list);

		if (n == length && memcmp(list, word, n) == 0)
			return true;
		list += n + 1;
	}
	return false;
}

/* The group in the hierarchy of version 1 with the cpu controller, or of version 2. */
static bool
find_group(const char *root, struct hierarchy *h)
{
	char text[TT_HOST_FILE], *line, *rest = NULL;

	if (!tt_host_read(root, text, sizeof text, "/proc/self/cgroup"))
		return false;
	for (line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
		const char *controllers = strchr(line, ':');
		const char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
		bool wanted;

		if (path == NULL)
			continue;
		controllers++;
		wanted = h->version == 2 ? path == controllers
					 : has_word(controllers, (size_t)(path - controllers), "cpu");
		if (wanted) {
			snprintf(h->group, sizeof h->group, "%s", path + 1);
			return true;
		}
	}
	return false;
}

/* A line of mountinfo: id parent device root mountpoint options... - type source options. */
static bool
is_mount(char *line, struct hierarchy *h)
{
	char *dash = strstr(line, " - ");
	char type[32], options[1024];

	if (dash == NULL || sscanf(dash, " - %31s %*s %1023s", type, options) != 2)
		return false;
	if (h->version == 2 ? strcmp(type, "cgroup2") != 0
			    : strcmp(type, "cgroup") != 0 || !has_word(options, strlen(options), "cpu"))
		return false;
	_Static_assert(PATH_MAX >= 4096, "the widths below");
	return sscanf(line, "%*s %*s %*s %4095s %4095s", h->top, h->mount) == 2;
}

static bool
find_mount(const char *root, struct hierarchy *h)
{
	char text[TT_HOST_FILE], *line, *rest = NULL;

	if (!tt_host_read(root, text, sizeof text, "/proc/self/mountinfo"))
		return false;
	for (line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
		if (is_mount(line, h))
			return true;
	}
	return false;
}

/* The part of the group's path below the mount. */
static const char *
below_mount(const struct hierarchy *h)
{
	size_t n = strcmp(h->top, "/") == 0 ? 0 : strlen(h->top);

	if (strncmp(h->group, h->top, n) != 0 || (h->group[n] != '/' && h->group[n] != '\0'))
		return "";
	return h->group + n;
}

/* CPUs that the one group at `directory` allows, 0 = no limit of its own. */
static double
limit_of(const char *root, int version, const char *directory)
{
	char text[64];
	double quota = 0, period = 0;

	if (version == 2) {
		if (!tt_host_read(root, text, sizeof text, "%s/cpu.max", directory) ||
		    sscanf(text, "%lf %lf", &quota, &period) != 2)
			return 0;
	} else {
		if (!tt_host_read(root, text, sizeof text, "%s/cpu.cfs_quota_us", directory) ||
		    sscanf(text, "%lf", &quota) != 1)
			return 0;
		if (!tt_host_read(root, text, sizeof text, "%s/cpu.cfs_period_us", directory) ||
		    sscanf(text, "%lf", &period) != 1)
			return 0;
	}
	return quota > 0 && period > 0 ? quota / period : 0;
}

static double
limit_of_hierarchy(const char *root, int version)
{
	struct hierarchy h = {.version = version};
	char directory[2 * PATH_MAX];
	size_t shortest;
	double least = 0;

	if (!find_group(root, &h) || !find_mount(root, &h))
		return 0;
	snprintf(directory, sizeof directory, "%s%s", h.mount, below_mount(&h));
	shortest = strlen(h.mount);
	for (;;) {
		double limit = limit_of(root, version, directory);
		char *slash = strrchr(directory, '/');

		if (limit > 0 && (least == 0 || limit < least))
			least = limit;
		if (slash == NULL || (size_t)(slash - directory) < shortest)
			return least;
		*slash = '\0';
	}
}

double
tt_host_quota_at(const char *root)
{
	double one = limit_of_hierarchy(root, 1);
	double two = limit_of_hierarchy(root, 2);

	if (one == 0 || two == 0)
		return one + two;
	return one < two ? one : two;
}

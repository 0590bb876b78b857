/* SPDX-License-Identifier: Apache-2.0
 *
 * test_headroom.c - the tightest memory limit is found, whatever kind of machine or container this is.
 *
 * Each test writes the files of such a machine below a folder of its own and looks at that.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <ftw.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/headroom.h"

#define MIB ((size_t)1 << 20)

static char root[] = "/tmp/tutti-headroom-XXXXXX";
static char name[TT_LIMIT_NAME];

static int
remove_one(const char *path, const struct stat *file, int flag, struct FTW *place)
{
	return remove(path);
}

static void
make_root(void)
{
	cr_assert(mkdtemp(root) != NULL);
}

static void
remove_root(void)
{
	nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

TestSuite(headroom, .init = make_root, .fini = remove_root);

static void
write_file(const char *where, const char *text)
{
	char path[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "%s%s", root, where);
	for (char *slash = path + sizeof(root); (slash = strchr(slash, '/')) != NULL; slash++) {
		*slash = '\0';
		mkdir(path, 0700);
		*slash = '/';
	}
	file = fopen(path, "w");
	cr_assert(file != NULL);
	fputs(text, file);
	fclose(file);
}

static void
write_machine(const char *groups)
{
	write_file("/proc/meminfo",
	    "MemTotal:       16384000 kB\nMemFree:          100 kB\n"
	    "MemAvailable:    4096000 kB\nSwapTotal: 1024000 kB\nSwapFree:         102400 kB\n");
	write_file("/proc/self/cgroup", groups);
}

Test(headroom, without_groups_it_is_what_the_machine_can_free)
{
	write_machine("0::/\n");
	cr_assert(eq(sz, tt_headroom(root, name), (size_t)(4096000 + 102400) * 1024));
	cr_assert(strcmp(name, "the machine's memory") == 0);
}

Test(headroom, where_nothing_can_be_read_there_is_no_limit)
{
	cr_assert(eq(sz, tt_headroom(root, name), SIZE_MAX));
	cr_assert(strcmp(name, "no limit") == 0);
}

Test(headroom, a_version_2_group_limits_and_its_file_pages_are_room)
{
	write_machine("0::/job/rank\n");
	write_file("/sys/fs/cgroup/job/rank/memory.max", "104857600\n");
	write_file("/sys/fs/cgroup/job/rank/memory.current", "62914560\n");
	write_file(
	    "/sys/fs/cgroup/job/rank/memory.stat", "anon 1\nfile 99\ninactive_file 1048576\nactive_file 2097152\n");
	cr_assert(eq(sz, tt_headroom(root, name), 43 * MIB));
	cr_assert(strcmp(name, "the memory limit of cgroup /job/rank") == 0);
}

Test(headroom, the_tightest_of_a_groups_ancestors_counts)
{
	write_machine("0::/job/rank\n");
	write_file("/sys/fs/cgroup/job/rank/memory.max", "max\n");
	write_file("/sys/fs/cgroup/job/rank/memory.current", "62914560\n");
	write_file("/sys/fs/cgroup/job/memory.max", "104857600\n");
	write_file("/sys/fs/cgroup/job/memory.current", "94371840\n");
	write_file("/sys/fs/cgroup/memory.max", "209715200\n");
	write_file("/sys/fs/cgroup/memory.current", "104857600\n");
	cr_assert(eq(sz, tt_headroom(root, name), 10 * MIB));
	cr_assert(strcmp(name, "the memory limit of cgroup /job") == 0);
}

Test(headroom, in_a_container_the_top_counts_though_the_path_is_not_there)
{
	write_machine("5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/\n");
	write_file("/sys/fs/cgroup/memory/memory.limit_in_bytes", "104857600\n");
	write_file("/sys/fs/cgroup/memory/memory.usage_in_bytes", "52428800\n");
	write_file("/sys/fs/cgroup/memory/memory.stat",
	    "inactive_file 7\nactive_file 7\ntotal_inactive_file 1048576\ntotal_active_file 0\n");
	cr_assert(eq(sz, tt_headroom(root, name), 51 * MIB));
	cr_assert(strcmp(name, "the memory limit of cgroup /") == 0);
}

Test(headroom, the_huge_number_of_version_1_is_no_limit)
{
	write_machine("4:memory:/job\n");
	write_file("/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "9223372036854771712\n");
	write_file("/sys/fs/cgroup/memory/job/memory.usage_in_bytes", "52428800\n");
	tt_headroom(root, name);
	cr_assert(strcmp(name, "the machine's memory") == 0);
}

Test(headroom, a_group_beyond_its_limit_has_none_left)
{
	write_machine("0::/job\n");
	write_file("/sys/fs/cgroup/job/memory.max", "1000\n");
	write_file("/sys/fs/cgroup/job/memory.current", "2000\n");
	cr_assert(eq(sz, tt_headroom(root, name), 0));
}

Test(headroom, nonsense_in_the_files_sets_no_limit)
{
	write_machine("no colon\n:\n0:\n::\n0::/job\n");
	write_file("/sys/fs/cgroup/job/memory.max", "many\n");
	write_file("/sys/fs/cgroup/job/memory.current", "");
	tt_headroom(root, name);
	cr_assert(strcmp(name, "the machine's memory") == 0);
}

Test(headroom, this_machine_has_one)
{
	cr_assert(gt(sz, tt_headroom("", name), 0));
	cr_assert(ne(str, name, ""));
}

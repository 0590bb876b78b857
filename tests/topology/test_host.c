/* SPDX-License-Identifier: Apache-2.0
 *
 * test_host.c - what is told of a host, on hosts that are folders of files or synthetic descriptions.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "topology/host.h"

static char root[64];

static void
make_root(void)
{
	strcpy(root, "/tmp/tutti-host-XXXXXX");
	cr_assert(ne(ptr, mkdtemp(root), NULL));
}

static int
remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	return remove(path);
}

static void
remove_root(void)
{
	nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Writes a file of the host and the folders above it. */
static void
put(const char *path, const char *text)
{
	char full[512];
	FILE *file;

	snprintf(full, sizeof full, "%s%s", root, path);
	for (char *slash = strchr(full + strlen(root) + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(full, 0700);
		*slash = '/';
	}
	file = fopen(full, "w");
	cr_assert(ne(ptr, file, NULL), "%s", full);
	fprintf(file, "%s\n", text);
	fclose(file);
}

static void
put_v2(const char *group, const char *limit)
{
	char path[256];

	snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", group);
	put(path, limit);
}

#define MOUNT_V2 "35 25 0:30 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"

/* Four cores of two threads on two packages: CPU n and n + 4 are one core, even cores on node 0. */
static void
put_two_packages(void)
{
	char path[128], text[32];

	put("/sys/devices/system/cpu/online", "0-7");
	put("/sys/devices/system/node/online", "0-1");
	put("/sys/devices/system/node/node0/cpulist", "0,2,4,6");
	put("/sys/devices/system/node/node1/cpulist", "1,3,5,7");
	for (int cpu = 0; cpu < 8; cpu++) {
		snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
		snprintf(text, sizeof text, "%d,%d", cpu % 4, cpu % 4 + 4);
		put(path, text);
		snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/physical_package_id", cpu);
		put(path, cpu % 2 == 0 ? "0" : "1");
	}
}

static void
put_cache(int index, const char *level, const char *type, const char *size, const char *shared)
{
	static const char *const names[] = {"level", "type", "size", "shared_cpu_list"};
	const char *texts[] = {level, type, size, shared};
	char path[128];

	for (int i = 0; i < 4; i++) {
		snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/%s", index, names[i]);
		put(path, texts[i]);
	}
}

static uint64_t
binding(enum tt_bind bind, int index, int n, const char *allowed)
{
	struct tt_cpu_set from, set;

	cr_assert(eq(int, tt_cpu_set_parse(allowed, &from), TUTTI_OK));
	tt_host_binding(root, bind, index, n, &from, &set);
	return set.bits[0];
}

TestSuite(host, .init = make_root, .fini = remove_root, .timeout = 20);

Test(host, without_limit_all_cpus_of_the_mask_count)
{
	put("/proc/self/cgroup", "0::/");
	put("/proc/self/mountinfo", MOUNT_V2);
	put_v2("", "max 100000");
	cr_assert(eq(int, tt_host_cores_at(root, 6), 6));
	cr_assert(eq(dbl, tt_host_quota_at(root), 0.0));
}

Test(host, without_any_file_all_cpus_of_the_mask_count)
{
	cr_assert(eq(int, tt_host_cores_at(root, 3), 3));
}

Test(host, quota_of_a_version_2_group_limits_the_cores)
{
	put("/proc/self/cgroup", "0::/job");
	put("/proc/self/mountinfo", MOUNT_V2);
	put_v2("/job", "250000 100000");
	cr_assert(eq(dbl, tt_host_quota_at(root), 2.5));
	cr_assert(eq(int, tt_host_cores_at(root, 8), 2));
	cr_assert(eq(int, tt_host_cores_at(root, 1), 1), "a quota adds no cores");
}

Test(host, quota_below_one_cpu_leaves_one_core)
{
	put("/proc/self/cgroup", "0::/job");
	put("/proc/self/mountinfo", MOUNT_V2);
	put_v2("/job", "10000 100000");
	cr_assert(eq(int, tt_host_cores_at(root, 8), 1));
}

Test(host, quota_of_a_parent_group_counts_too)
{
	put("/proc/self/cgroup", "0::/outer/inner");
	put("/proc/self/mountinfo", MOUNT_V2);
	put_v2("/outer/inner", "800000 100000");
	put_v2("/outer", "300000 100000");
	cr_assert(eq(int, tt_host_cores_at(root, 16), 3));
}

Test(host, quota_of_a_version_1_group_limits_the_cores)
{
	put("/proc/self/cgroup", "5:cpuset:/x\n4:cpu,cpuacct:/box\n0::/");
	put("/proc/self/mountinfo",
	    "30 20 0:25 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
	    "31 20 0:26 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct");
	put("/sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us", "400000");
	put("/sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us", "100000");
	put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1");
	put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000");
	cr_assert(eq(int, tt_host_cores_at(root, 16), 4));
}

Test(host, cpuset_and_cpuacct_are_not_the_cpu_controller)
{
	put("/proc/self/cgroup", "5:cpuset:/x\n4:cpuacct:/y");
	put("/proc/self/mountinfo", "30 20 0:25 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct");
	put("/sys/fs/cgroup/cpuacct/y/cpu.cfs_quota_us", "100000");
	put("/sys/fs/cgroup/cpuacct/y/cpu.cfs_period_us", "100000");
	cr_assert(eq(int, tt_host_cores_at(root, 16), 16));
}

Test(host, group_seen_from_inside_a_container_is_found_at_the_mount)
{
	put("/proc/self/cgroup", "3:cpu:/docker/abc");
	put("/proc/self/mountinfo", "31 20 0:26 /docker/abc /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu");
	put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000");
	put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000");
	cr_assert(eq(int, tt_host_cores_at(root, 16), 2));
}

Test(host, caches_are_read_without_the_instruction_cache)
{
	struct tt_host host = {0};

	put_cache(0, "1", "Data", "48K", "0");
	put_cache(1, "1", "Instruction", "32K", "0");
	put_cache(2, "2", "Unified", "2048K", "0");
	put_cache(3, "3", "Unified", "260M", "0-31,64");
	tt_host_probe_files(root, &host);
	cr_assert(eq(sz, host.l1d_bytes, (size_t)48 << 10));
	cr_assert(eq(sz, host.l2_bytes, (size_t)2 << 20));
	cr_assert(eq(sz, host.l3_bytes, (size_t)260 << 20));
	cr_assert(eq(int, host.l3_cpus, 33));
}

Test(host, packages_nodes_and_model_are_counted)
{
	struct tt_host host = {0};

	put_two_packages();
	put("/proc/cpuinfo", "processor\t: 0\nmodel name\t: Some Processor @ 3 GHz\nflags\t: fpu");
	tt_host_probe_files(root, &host);
	cr_assert(eq(int, host.packages, 2));
	cr_assert(eq(int, host.numa_nodes, 2));
	cr_assert(eq(str, (char *)host.cpu_model, "Some Processor @ 3 GHz"));
}

Test(host, this_host_is_plausible)
{
	struct tt_host host;

	tt_host_probe(&host);
	cr_assert(ge(int, host.cores, 1));
	cr_assert(le(int, host.cores, host.cpus));
	cr_assert(eq(int, host.cores, tt_host_cores()));
	cr_assert(ge(int, host.packages, 1));
	cr_assert(ge(int, host.numa_nodes, 1));
}

Test(host, cpu_lists_are_read_or_refused)
{
	static const char *const bad[] = {"a", "3-", "-3", "3-2", "0,,1", "9000", "1 2", "0-99999999999999999999"};
	struct tt_cpu_set set;

	cr_assert(eq(int, tt_cpu_set_parse("0-2,5", &set), TUTTI_OK));
	cr_assert(eq(u64, set.bits[0], 0x27));
	cr_assert(eq(int, tt_cpu_set_parse("", &set), TUTTI_OK));
	cr_assert(eq(int, tt_cpu_set_count(&set), 0));
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		cr_assert(eq(int, tt_cpu_set_parse(bad[i], &set), TUTTI_ERR_ARGUMENT), "%s", bad[i]);
}

Test(host, binding_to_cores_gives_each_process_a_core_of_its_own)
{
	uint64_t seen = 0;

	put_two_packages();
	for (int i = 0; i < 4; i++) {
		uint64_t cpus = binding(TT_BIND_CORE, i, 4, "0-7");

		cr_assert(eq(int, __builtin_popcountll(cpus), 2));
		cr_assert(eq(u64, cpus & seen, 0));
		seen |= cpus;
	}
	cr_assert(eq(u64, seen, 0xff));
}

Test(host, binding_stays_inside_the_mask)
{
	put_two_packages();
	cr_assert(eq(u64, binding(TT_BIND_CORE, 0, 2, "1,2"), 0x02));
	cr_assert(eq(u64, binding(TT_BIND_CORE, 1, 2, "1,2"), 0x04));
	cr_assert(eq(u64, binding(TT_BIND_NUMA, 0, 1, "1,2"), 0x02));
}

Test(host, more_processes_than_cores_take_turns)
{
	put_two_packages();
	cr_assert(eq(u64, binding(TT_BIND_CORE, 5, 6, "0-7"), binding(TT_BIND_CORE, 1, 6, "0-7")));
}

Test(host, binding_to_numa_nodes_keeps_neighbours_together)
{
	put_two_packages();
	cr_assert(eq(u64, binding(TT_BIND_NUMA, 0, 4, "0-7"), 0x55));
	cr_assert(eq(u64, binding(TT_BIND_NUMA, 1, 4, "0-7"), 0x55));
	cr_assert(eq(u64, binding(TT_BIND_NUMA, 2, 4, "0-7"), 0xaa));
	cr_assert(eq(u64, binding(TT_BIND_NUMA, 3, 4, "0-7"), 0xaa));
}

Test(host, binding_on_a_host_that_tells_nothing_is_the_mask)
{
	cr_assert(eq(u64, binding(TT_BIND_CORE, 1, 2, "0-3"), 0x0f));
	cr_assert(eq(u64, binding(TT_BIND_NUMA, 1, 2, "0-3"), 0x0f));
	cr_assert(eq(u64, binding(TT_BIND_NONE, 1, 2, "0-3"), 0x0f));
}

Test(host, hwloc_fills_only_what_is_open)
{
	struct tt_host host = {.packages = 7};
	tutti_status status = tt_host_probe_hwloc(
	    "package:2 [numa] l3:1(size=32MB) l2:4(size=1MB) l1d:1(size=32kB) core:1 pu:2", &host);

	if (status == TUTTI_ERR_UNSUPPORTED)
		cr_skip_test("built without hwloc");
	cr_assert(eq(int, status, TUTTI_OK));
	cr_assert(eq(int, host.packages, 7));
	cr_assert(eq(int, host.numa_nodes, 2));
	cr_assert(eq(int, host.cpus, 16));
	cr_assert(eq(int, host.l3_cpus, 8));
	cr_assert(gt(sz, host.l3_bytes, (size_t)30 << 20));
	cr_assert(gt(sz, host.l2_bytes, (size_t)900 << 10));
	cr_assert(ge(sz, host.l1d_bytes, (size_t)32000));
}

Test(host, unreadable_synthetic_description_is_an_error)
{
	struct tt_host host = {0};

	cr_assert(ne(int, tt_host_probe_hwloc("no such machine", &host), TUTTI_OK));
	cr_assert(eq(int, host.packages, 0));
}

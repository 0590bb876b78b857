/* SPDX-License-Identifier: Apache-2.0
 *
 * host_cpus.c - sets of CPUs: the one this thread may use, and the part of it for one of several processes.
 */
#include "topology/host.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "topology/host_file.h"

#define WORDS (TT_HOST_CPUS / 64)

static bool
has(const struct tt_cpu_set *set, int cpu)
{
	return (set->bits[cpu / 64] >> (cpu % 64) & 1) != 0;
}

static bool
is_empty(const struct tt_cpu_set *set)
{
	return tt_cpu_set_count(set) == 0;
}

static void
keep_only(struct tt_cpu_set *set, const struct tt_cpu_set *others)
{
	for (int w = 0; w < WORDS; w++)
		set->bits[w] &= others->bits[w];
}

static void
take_out(struct tt_cpu_set *set, const struct tt_cpu_set *others)
{
	for (int w = 0; w < WORDS; w++)
		set->bits[w] &= ~others->bits[w];
}

int
tt_cpu_set_count(const struct tt_cpu_set *set)
{
	int n = 0;

	for (int w = 0; w < WORDS; w++)
		n += __builtin_popcountll(set->bits[w]);
	return n;
}

static int
first_of(const struct tt_cpu_set *set)
{
	for (int w = 0; w < WORDS; w++) {
		if (set->bits[w] != 0)
			return w * 64 + __builtin_ctzll(set->bits[w]);
	}
	return -1;
}

/* One number of a list; moves *at behind it. */
static bool
parse_cpu(const char **at, long *cpu)
{
	char *end;

	if (**at < '0' || **at > '9')
		return false;
	errno = 0;
	*cpu = strtol(*at, &end, 10);
	*at = end;
	return errno == 0 && *cpu < TT_HOST_CPUS;
}

tutti_status
tt_cpu_set_parse(const char *list, struct tt_cpu_set *set)
{
	struct tt_cpu_set all = {{0}};
	const char *at = list;
	long from, to;

	while (*at != '\0') {
		if (!parse_cpu(&at, &from))
			return tt_fail(TUTTI_ERR_ARGUMENT, -1, "\"%s\" is not a list of CPUs such as 0-3,8", list);
		to = from;
		if (*at == '-') {
			at++;
			if (!parse_cpu(&at, &to) || to < from)
				return tt_fail(TUTTI_ERR_ARGUMENT, -1, "\"%s\" has a range that is none", list);
		}
		if (*at != '\0' && *at != ',')
			return tt_fail(TUTTI_ERR_ARGUMENT, -1, "\"%s\" is not a list of CPUs such as 0-3,8", list);
		at += *at == ',';
		for (long cpu = from; cpu <= to; cpu++)
			all.bits[cpu / 64] |= UINT64_C(1) << (cpu % 64);
	}
	*set = all;
	return TUTTI_OK;
}

tutti_status
tt_host_affinity(struct tt_cpu_set *set)
{
	memset(set, 0, sizeof *set);
	if (sched_getaffinity(0, sizeof set->bits, (cpu_set_t *)(void *)set->bits) != 0)
		return tt_fail_errno("cannot read the CPU affinity of this thread");
	return TUTTI_OK;
}

tutti_status
tt_host_bind(const struct tt_cpu_set *set)
{
	if (sched_setaffinity(0, sizeof set->bits, (const cpu_set_t *)(const void *)set->bits) != 0)
		return tt_fail_errno("cannot bind this thread to its CPUs");
	return TUTTI_OK;
}

/* The group of CPUs that `cpu` belongs to; false if the host does not tell. */
static bool
group_of(const char *root, enum tt_bind bind, int cpu, struct tt_cpu_set *group)
{
	char list[4096];
	long nodes;

	if (bind == TT_BIND_CORE) {
		static const char siblings[] = "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list";

		return tt_host_read(root, list, sizeof list, siblings, cpu) &&
		       tt_cpu_set_parse(list, group) == TUTTI_OK && has(group, cpu);
	}
	nodes = TT_HOST_CPUS;
	for (int node = 0; node < nodes; node++) {
		if (!tt_host_read(root, list, sizeof list, "/sys/devices/system/node/node%d/cpulist", node)) {
			/* Node numbers may have gaps, but not long ones. */
			nodes = nodes < node + 64 ? nodes : node + 64;
			continue;
		}
		if (tt_cpu_set_parse(list, group) == TUTTI_OK && has(group, cpu))
			return true;
	}
	return false;
}

/* Takes the groups out of `allowed` one after the other; gives the wanted one (-1 = none) and their number. */
static int
walk_groups(
    const char *root, enum tt_bind bind, const struct tt_cpu_set *allowed, int wanted, struct tt_cpu_set *found)
{
	struct tt_cpu_set left = *allowed, group;
	int n = 0;

	for (int cpu = first_of(&left); cpu >= 0; cpu = first_of(&left)) {
		if (!group_of(root, bind, cpu, &group))
			return 0;
		take_out(&left, &group);
		keep_only(&group, allowed);
		if (n++ == wanted)
			*found = group;
	}
	return n;
}

void
tt_host_binding(
    const char *root, enum tt_bind bind, int index, int n, const struct tt_cpu_set *allowed, struct tt_cpu_set *set)
{
	int groups, wanted;

	*set = *allowed;
	if (bind == TT_BIND_NONE || is_empty(allowed))
		return;
	groups = walk_groups(root, bind, allowed, -1, set);
	if (groups == 0)
		return;
	if (n <= groups || bind == TT_BIND_NUMA)
		wanted = (int)((long)index * groups / n);
	else
		wanted = index % groups;
	walk_groups(root, bind, allowed, wanted, set);
}

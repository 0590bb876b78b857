/* SPDX-License-Identifier: Apache-2.0
 *
 * topo_check.c - what slows Tutti down on this host, each with the remedy. A line is a problem; nothing to say is good.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/remote.h"
#include "cli/topo/topo_job.h"
#include "topology/host_file.h"

#define SLOW_GBPS 10.0
#define LEAST_MEMLOCK ((rlim_t)64 << 20)

struct findings {
	char *text;
	size_t capacity, used;
};

TT_PRINTF(3, 4)
static void
add(struct findings *f, const char *remedy, const char *format, ...)
{
	va_list arguments;
	int n;

	if (f->used >= f->capacity)
		return;
	va_start(arguments, format);
	n = vsnprintf(f->text + f->used, f->capacity - f->used, format, arguments);
	va_end(arguments);
	f->used += n > 0 ? (size_t)n : 0;
	if (f->used >= f->capacity)
		return;
	n = snprintf(f->text + f->used, f->capacity - f->used, "\n    remedy: %s\n", remedy);
	f->used += n > 0 ? (size_t)n : 0;
}

static void
check_cores(struct findings *f, const struct tt_topo_host *host)
{
	if (host->quota > 0 && host->quota < host->ranks)
		add(f,
		    "raise the limit (docker --cpus, Kubernetes limits.cpu, systemd CPUQuota), or start fewer ranks",
		    "the control group allows %.3g core%s worth of time to %d ranks: they are stopped in turns",
		    host->quota, host->quota == 1 ? "'s" : "s'", host->ranks);
	else if (host->ranks > host->cores)
		add(f, "start one rank for each core",
		    "%d ranks share %d core%s: each operation waits until every rank has had its turn", host->ranks,
		    host->cores, host->cores == 1 ? "" : "s");
	if (!host->bound && host->topology->numa_nodes > 1 && host->ranks > 0)
		add(f, "bind them: tutti run --bind core, mpirun --bind-to core, srun --cpu-bind=cores",
		    "ranks may run on several of %d NUMA nodes, so their memory may be far from them",
		    host->topology->numa_nodes);
	if (host->topology->kinds > 1)
		add(f, "bind ranks to cores of one kind (taskset, tutti run under taskset)",
		    "the cores are of %d kinds: the slowest holds up every operation", host->topology->kinds);
}

/* Lets a child read this process's memory, as ranks would read each other's: 0, or why it could not. */
static int
why_unreadable(void)
{
	unsigned char kept[TT_REMOTE_PROOF];
	struct tt_remote card;
	int status;
	pid_t child;

	tt_remote_init(&card, kept);
	child = fork();
	if (child == 0)
		_exit(tt_remote_prove(&card));
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return 0;
	return WEXITSTATUS(status);
}

static void
check_memory(struct findings *f, const struct tt_topo_host *host)
{
	struct rlimit locked;
	int why;

	if (host->groups > 1)
		add(f,
		    "let the ranks share the network and user namespace, run as one user, and do not set "
		    "TUTTI_TRANSPORTS=tcp",
		    "the ranks of this host share memory only in %d groups, and talk by TCP otherwise", host->groups);
	why = why_unreadable();
	if (why != 0)
		add(f,
		    tt_host_read_number("", "/proc/sys/kernel/yama/ptrace_scope", 0) > 0
			? "sysctl kernel.yama.ptrace_scope=0, where other programs of this user are trusted"
			: "allow it (docker --cap-add=SYS_PTRACE, or a seccomp profile with process_vm_readv)",
		    "ranks cannot read each other's memory (%s): large rows are copied twice instead of once",
		    strerror(why));
	if (getrlimit(RLIMIT_MEMLOCK, &locked) == 0 && locked.rlim_cur != RLIM_INFINITY &&
	    locked.rlim_cur < LEAST_MEMLOCK)
		add(f, "ulimit -l unlimited, or memlock in /etc/security/limits.conf",
		    "only %llu KiB of memory may be locked: network cards with RDMA need more",
		    (unsigned long long)locked.rlim_cur >> 10);
}

static void
check_network(struct findings *f, const struct tt_topo_host *host)
{
	const struct tt_topology *t = host->topology;
	bool any = false;

	for (int i = 0; i < t->nics; i++) {
		const struct tt_topo_nic *nic = &t->nic[i];
		char remedy[192];

		any = any || nic->up;
		if (!nic->up && !nic->is_virtual) {
			snprintf(remedy, sizeof(remedy), "ip link set %s up, or look at its cable", nic->name);
			add(f, remedy, "network card %s is down", nic->name);
		} else if (nic->up && nic->gbps > 0 && nic->gbps < SLOW_GBPS && !host->alone) {
			snprintf(remedy, sizeof(remedy),
			    "leave it out where there is a quicker one: TUTTI_INTERFACES=^%s; or look at ethtool %s "
			    "for "
			    "what it could do",
			    nic->name, nic->name);
			add(f, remedy, "network card %s runs at %g Gb/s", nic->name, nic->gbps);
		}
	}
	if (!any && !host->alone)
		add(f, "ip link shows them, ip link set NAME up is for those that should be",
		    "no network card is up: ranks of other hosts cannot be reached");
}

static void
check_clock(struct findings *f)
{
	static const char *const quick[] = {
	    "tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page", "timebase"};
	char source[64];

	if (!tt_host_read(
		"", source, sizeof(source), "/sys/devices/system/clocksource/clocksource0/current_clocksource"))
		return;
	for (size_t i = 0; i < TT_COUNT_OF(quick); i++)
		if (strcmp(source, quick[i]) == 0)
			return;
	add(f, "clocksource=tsc on the kernel's command line, if the machine is sound",
	    "the clock is read from %s, by a system call each time", source);
}

void
tt_topo_check_host(const struct tt_topo_host *host, char *findings, size_t capacity)
{
	struct findings f = {findings, capacity, 0};

	findings[0] = '\0';
	check_cores(&f, host);
	check_memory(&f, host);
	check_network(&f, host);
	check_clock(&f);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * job_huge.c - counts beyond 2^31: an all-reduce in place and a broadcast of 2^31 + 1 bytes between two ranks. Every
 * byte of the result is looked at, and guards behind it. Status 77 if this machine has not the memory.
 *
 *	job_huge all_reduce|broadcast [TRANSPORTS]
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "job.h"

#define COUNT (((size_t)1 << 31) + 1)
#define GUARD 64
#define PERIOD 1021 /* a prime: no two chunks look alike */
#define NEEDED_KIB ((uint64_t)7 << 20)
#define LIMIT_S 600
#define SKIPPED 77

struct plan {
	const char *collective, *transports;
};

static unsigned char
given(int rank, size_t i)
{
	return (unsigned char)((i % PERIOD) * 3 + (size_t)rank * 5 + (i >> 20));
}

/* Of what the kernel calls available. */
static bool
has_memory(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	char line[256];
	uint64_t kib = 0;

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "MemAvailable: %" SCNu64, &kib) == 1)
			break;
	if (file != NULL)
		fclose(file);
	return kib >= NEEDED_KIB;
}

static int
check(struct job_rank *me, const unsigned char *buffer, bool sum)
{
	for (size_t i = 0; i < COUNT; i++) {
		const unsigned char right = sum ? (unsigned char)(given(0, i) + given(1, i)) : given(0, i);

		if (buffer[i] != right)
			return job_complain(me, "byte %zu is %d, should be %d", i, buffer[i], right);
	}
	for (size_t i = COUNT; i < COUNT + GUARD; i++)
		if (buffer[i] != 0xa5)
			return job_complain(me, "guard byte %zu was overwritten", i - COUNT);
	return 0;
}

static int
body(struct job_rank *me)
{
	const struct plan *plan = me->context;
	const bool sum = strcmp(plan->collective, "all_reduce") == 0;
	tutti_config config = TUTTI_CONFIG_INIT;
	unsigned char *buffer = mmap(NULL, COUNT + GUARD, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	tutti_comm *comm;
	tutti_status status;
	int failed;

	if (buffer == MAP_FAILED)
		return job_complain(me, "no memory");
	for (size_t i = 0; i < COUNT && (sum || me->rank == 0); i++)
		buffer[i] = given(me->rank, i);
	memset(buffer + COUNT, 0xa5, GUARD);
	config.transports = plan->transports;
	status = job_comm(me, &config, &comm);
	if (status != TUTTI_OK)
		return job_complain_status(me, status, "creation");
	job_doing(me, "%s of 2^31 + 1 bytes", plan->collective);
	status = sum ? tutti_all_reduce(comm, buffer, buffer, COUNT, TUTTI_UINT8, TUTTI_SUM, NULL, NULL)
		     : tutti_broadcast(comm, buffer, buffer, COUNT, TUTTI_UINT8, 0, NULL, NULL);
	job_doing(me, "checking");
	failed =
	    status != TUTTI_OK ? job_complain_status(me, status, "%s", plan->collective) : check(me, buffer, sum);
	(void)tutti_comm_destroy(comm);
	munmap(buffer, COUNT + GUARD);
	return failed;
}

int
main(int argc, char **argv)
{
	const struct plan plan = {argc > 1 ? argv[1] : "all_reduce", argc > 2 ? argv[2] : NULL};
	struct job job = {.size = 2, .limit_s = LIMIT_S, .context = &plan};

	if (!has_memory()) {
		fprintf(stderr, "skipped: two ranks with 2 GiB each need more memory than is available\n");
		return SKIPPED;
	}
	return job_run(&job, body, "job_huge") == 0 ? 0 : 1;
}

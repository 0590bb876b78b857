/* SPDX-License-Identifier: Apache-2.0
 *
 * log_p.c - small calls over TCP by many ranks: connections and messages of a rank grow as log P.
 *
 *     log_p [-n RANKS]
 *
 * Counted by the kernel, not by the library: the TCP connections that a rank gets with the first of its calls, and the
 * segments with data that leave on them in the ones after that; a small message is one segment. Each call has a
 * communicator of its own, so that it finds no connections of another.
 */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "job.h"

#define MOST_FDS 2048
#define ROUNDS 20

/* Connections of this process, and what left on those that were not there before. */
struct census {
	uint64_t cookie[MOST_FDS]; /* of the connection, 0 = none: a descriptor may be used again */
	int connections;
	long segments;
};

static void
count(struct census *census, const struct census *before)
{
	memset(census, 0, sizeof(*census));
	for (int fd = 0; fd < MOST_FDS; fd++) {
		struct sockaddr_storage peer;
		struct tcp_info info = {0};
		socklen_t bytes = sizeof(peer), info_bytes = sizeof(info), cookie_bytes = sizeof(uint64_t);

		if (getpeername(fd, (struct sockaddr *)&peer, &bytes) != 0 ||
		    (peer.ss_family != AF_INET && peer.ss_family != AF_INET6))
			continue;
		(void)getsockopt(fd, SOL_SOCKET, SO_COOKIE, &census->cookie[fd], &cookie_bytes);
		if (before != NULL && before->cookie[fd] == census->cookie[fd])
			continue;
		census->connections++;
		/* What the kernel sends a second time, because the peer was slow to answer, is no message more. */
		if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &info_bytes) == 0)
			census->segments += (long)info.tcpi_data_segs_out - (long)info.tcpi_total_retrans;
	}
}

static int
log2_up(int n)
{
	int log = 0;

	while (1 << log < n)
		log++;
	return log;
}

/* ---- the calls: true = done, and right ---- */

static bool
all_reduce(const struct job_rank *me, tutti_comm *comm, int round)
{
	double mine = me->rank + round, sum = 0;

	return tutti_all_reduce(comm, &mine, &sum, 1, TUTTI_FLOAT64, TUTTI_SUM, NULL, NULL) == TUTTI_OK &&
	       (long)sum == (long)me->size * (me->size - 1) / 2 + (long)me->size * round;
}

static bool
barrier(const struct job_rank *me, tutti_comm *comm, int round)
{
	(void)me;
	(void)round;
	return tutti_barrier(comm, NULL, NULL) == TUTTI_OK;
}

static bool
broadcast(const struct job_rank *me, tutti_comm *comm, int round)
{
	double value = me->rank == 0 ? round + 7 : 0;

	return tutti_broadcast(comm, &value, &value, 1, TUTTI_FLOAT64, 0, NULL, NULL) == TUTTI_OK &&
	       (long)value == round + 7;
}

static const struct {
	const char *name;
	bool (*call)(const struct job_rank *me, tutti_comm *comm, int round);
} calls[] = {{"all-reduce", all_reduce}, {"barrier", barrier}, {"broadcast", broadcast}};

#define CALLS (int)(sizeof(calls) / sizeof(calls[0]))

/* ---- a rank ---- */

static int
check(struct job_rank *me, int k, const struct census *first, const struct census *last)
{
	const int most = 2 * log2_up(me->size);
	const long each = (last->segments - first->segments) / ROUNDS;

	if (me->rank == 0) {
		printf("%s of %d ranks: rank 0 has %d connections and sends %ld messages in each; 2 log P is %d\n",
		    calls[k].name, me->size, last->connections, each, most);
		fflush(stdout);
	}
	if (last->connections < 1 || last->connections > most)
		return job_complain(me, "%s: %d connections with %d ranks, not 1 to %d", calls[k].name,
		    last->connections, me->size, most);
	if (each > most)
		return job_complain(me, "%s: %ld messages in each with %d ranks, not %d at most", calls[k].name, each,
		    me->size, most);
	return 0;
}

static int
try(struct job_rank *me, int k)
{
	static struct census before, first, last;
	tutti_config config = TUTTI_CONFIG_INIT;
	tutti_comm *comm = NULL;
	int bad = 0;

	config.transports = "tcp";
	config.interfaces = "lo";
	job_doing(me, "%s", calls[k].name);
	if (job_comm(me, &config, &comm) != TUTTI_OK)
		return job_complain(me, "%s: no communicator", calls[k].name);
	count(&before, NULL);
	for (int i = 0; i <= ROUNDS && bad == 0; i++) {
		if (!calls[k].call(me, comm, i))
			bad = job_complain(me, "%s: round %d failed, or is wrong", calls[k].name, i);
		if (i == 0)
			count(&first, &before);
	}
	/* Whoever leaves takes its connections along. */
	job_meet(me, 2 * k + 1);
	count(&last, &before);
	job_meet(me, 2 * k + 2);
	if (bad == 0)
		bad = check(me, k, &first, &last);
	tutti_comm_destroy(comm);
	return bad;
}

static int
body(struct job_rank *me)
{
	int bad = 0;

	for (int k = 0; k < CALLS && bad == 0; k++)
		bad = try(me, k);
	return bad;
}

int
main(int argc, char **argv)
{
	struct job job = {.size = 64, .limit_s = 200};

	if (argc == 3 && strcmp(argv[1], "-n") == 0)
		job.size = job_number("-n", argv[2], 2, JOB_RANKS);
	else if (argc != 1) {
		fprintf(stderr, "usage: log_p [-n RANKS]\n");
		return 2;
	}
	return job_run(&job, body, "log_p") == 0 ? 0 : 1;
}

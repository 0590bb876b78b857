/* SPDX-License-Identifier: Apache-2.0
 *
 * leaves.c - a rank on one of several hosts (hosts.sh): what the hosts' cards have sent is what must leave a host.
 *
 * The cards count, not the library. What must leave the host that sends most, n being the larger of a rank's whole
 * send and receive buffer, with N hosts of g ranks: all-reduce 2(N-1)/N n; reduce-scatter and all-gather (N-1)/N n;
 * all-to-all g (N-1)/N n; scatter (N-1)/N n, from the root's; gather n/N, from all but the root's; broadcast and reduce
 * n. At most 2 % more, in the best of a few attempts: heads, acknowledgements and what is sent twice count as well.
 * tests/plan/leaving.c holds the plans against the same, for every N and g.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tutti/tutti.h>

#define BYTES ((size_t)16 << 20) /* n, about */
#define CALLS 2
#define ATTEMPTS 4
#define ROOT 1

struct rank {
	tutti_comm *comm;
	int number, size, hosts;
	size_t block, count; /* elements: n / size, n */
	float *send, *recv;
};

static tutti_status
all_reduce(const struct rank *me)
{
	return tutti_all_reduce(me->comm, me->send, me->recv, me->count, TUTTI_FLOAT32, TUTTI_SUM, NULL, NULL);
}

static tutti_status
reduce_scatter(const struct rank *me)
{
	return tutti_reduce_scatter(me->comm, me->send, me->recv, me->block, TUTTI_FLOAT32, TUTTI_SUM, NULL, NULL);
}

static tutti_status
all_gather(const struct rank *me)
{
	return tutti_all_gather(me->comm, me->send, me->recv, me->block, TUTTI_FLOAT32, NULL, NULL);
}

static tutti_status
all_to_all(const struct rank *me)
{
	return tutti_all_to_all(me->comm, me->send, me->recv, me->block, TUTTI_FLOAT32, NULL, NULL);
}

static tutti_status
broadcast(const struct rank *me)
{
	return tutti_broadcast(me->comm, me->send, me->recv, me->count, TUTTI_FLOAT32, ROOT, NULL, NULL);
}

static tutti_status
reduce(const struct rank *me)
{
	return tutti_reduce(me->comm, me->send, me->recv, me->count, TUTTI_FLOAT32, TUTTI_SUM, ROOT, NULL, NULL);
}

static tutti_status
scatter(const struct rank *me)
{
	return tutti_scatter(me->comm, me->send, me->recv, me->block, TUTTI_FLOAT32, ROOT, NULL, NULL);
}

static tutti_status
gather(const struct rank *me)
{
	return tutti_gather(me->comm, me->send, me->recv, me->block, TUTTI_FLOAT32, ROOT, NULL, NULL);
}

/* must: times n, for N hosts of g ranks. */
static const struct {
	const char *name;
	tutti_status (*call)(const struct rank *me);
	double numerator[2]; /* a N + b, .. */
	int over_hosts, times_ranks; /* .. / N, and times g? */
} calls[] = {
    {"all-reduce", all_reduce, {2, -2}, 1, 0},
    {"reduce-scatter", reduce_scatter, {1, -1}, 1, 0},
    {"all-gather", all_gather, {1, -1}, 1, 0},
    {"all-to-all", all_to_all, {1, -1}, 1, 1},
    {"broadcast", broadcast, {0, 1}, 0, 0},
    {"reduce", reduce, {0, 1}, 0, 0},
    {"scatter", scatter, {1, -1}, 1, 0},
    {"gather", gather, {0, 1}, 1, 0},
};

static double
must_leave(const struct rank *me, size_t k)
{
	const double hosts = me->hosts, ranks = me->size / me->hosts;
	const double n = (double)me->count * sizeof(float);

	return n * (calls[k].numerator[0] * hosts + calls[k].numerator[1]) / (calls[k].over_hosts ? hosts : 1) *
	       (calls[k].times_ranks ? ranks : 1);
}

/* All cards of this host, but the one that leads nowhere. -1: it cannot be known. */
static double
sent_so_far(void)
{
	FILE *file = fopen("/proc/self/net/dev", "re"); /* this network's, wherever /sys is from */
	char line[512], name[64];
	double sum = -1, bytes;

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		/* Behind the name eight columns of what was received. */
		if (sscanf(line, " %63[^:]: %*s %*s %*s %*s %*s %*s %*s %*s %lf", name, &bytes) == 2 &&
		    strncmp(name, "eth", 3) == 0)
			sum = (sum < 0 ? 0 : sum) + bytes;
	if (file != NULL)
		fclose(file);
	return sum;
}

static void
must(tutti_status status, const char *what)
{
	tutti_error error = {.size = sizeof(error)};

	if (status == TUTTI_OK)
		return;
	tutti_last_error(&error);
	fprintf(stderr, "leaves: %s: %s\n", what, error.message);
	exit(1);
}

/* What one call sends from the host that sends most; the same number on every rank. */
static double
measure(const struct rank *me, size_t k)
{
	double before, after, most = 0;

	must(tutti_barrier(me->comm, NULL, NULL), "barrier");
	before = sent_so_far();
	must(tutti_barrier(me->comm, NULL, NULL), "barrier");
	for (int i = 0; i < CALLS; i++)
		must(calls[k].call(me), calls[k].name);
	must(tutti_barrier(me->comm, NULL, NULL), "barrier");
	after = sent_so_far();
	after = before < 0 || after < 0 ? -1 : (after - before) / CALLS;
	must(tutti_all_reduce(me->comm, &after, &most, 1, TUTTI_FLOAT64, TUTTI_MAX, NULL, NULL), "the largest");
	return most;
}

static int
check(const struct rank *me, size_t k)
{
	const double least = must_leave(me, k);
	double best = 0;

	/* The first call makes connections. */
	must(calls[k].call(me), calls[k].name);
	for (int i = 0; i < ATTEMPTS && (i == 0 || best > 1.02 * least); i++) {
		const double sent = measure(me, k);

		best = i == 0 || sent < best ? sent : best;
	}
	if (me->number == 0)
		printf("%s%s on %d hosts of %d: %.0f bytes left the host that sends most, %.0f must: %+.2f %%\n",
		    best > 1.02 * least || best < least ? "not ok: " : "", calls[k].name, me->hosts,
		    me->size / me->hosts, best, least, 100 * (best / least - 1));
	fflush(stdout);
	return best > 1.02 * least || best < least;
}

int
main(void)
{
	struct rank me = {0};
	int bad = 0;

	must(tutti_comm_create_from_env(NULL, &me.comm), "creation");
	me.number = tutti_comm_rank(me.comm);
	me.size = tutti_comm_size(me.comm);
	me.hosts = me.size / tutti_comm_node_size(me.comm);
	me.block = BYTES / sizeof(float) / (size_t)me.size;
	me.count = me.block * (size_t)me.size;
	me.send = calloc(me.count, sizeof(float));
	me.recv = calloc(me.count, sizeof(float));
	if (me.send == NULL || me.recv == NULL) {
		fprintf(stderr, "leaves: no memory\n");
		return 1;
	}
	if (me.hosts < 2 || sent_so_far() < 0) {
		printf("leaves: skipped: one host only, or its cards do not count\n");
		bad = 77;
	}
	for (size_t k = 0; k < sizeof(calls) / sizeof(calls[0]) && bad != 77; k++)
		bad |= check(&me, k);
	must(tutti_comm_destroy(me.comm), "destroy");
	free(me.send);
	free(me.recv);
	return bad;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * creation.c - communicators that cannot come about, and those that must in spite of strangers.
 *
 *     creation SCENARIO [-n RANKS] [--transports LIST]
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "job.h"
#include "report.h"
#include "storm.h"

enum { AT_START, AT_ID, AT_END };

struct plan {
	const char *transports;
	int size;
	int64_t timeout_ms;
	int byte; /* of the id, for scenario "id" */
};

struct scenario {
	const char *name, *promise;
	job_body body;
	int (*play)(struct job *job, struct plan *plan, const struct scenario *scenario); /* NULL: just run */
};

static tutti_config
config_of(const struct plan *plan)
{
	tutti_config config = TUTTI_CONFIG_INIT;

	config.transports = plan->transports;
	config.timeout_ms = plan->timeout_ms;
	return config;
}

/* Creation must fail like this, and leave nothing. nranks -1: whoever is named. */
static int
must_fail(struct job_rank *me, int size, int rank, const tutti_unique_id *id, const struct report *expected,
    int descriptors)
{
	const struct plan *plan = me->context;
	const tutti_config config = config_of(plan);
	tutti_error error = TUTTI_ERROR_INIT;
	tutti_comm *comm = NULL;
	tutti_status status;
	int left;

	job_doing(me, "a creation that must fail");
	status = tutti_comm_create(size, rank, id, &config, &comm);
	(void)tutti_last_error(&error);
	if (status != expected->status)
		return job_complain_status(
		    me, status, "creation should say %s", tutti_status_string(expected->status));
	if (comm != NULL)
		return job_complain(me, "a failed creation gave a communicator");
	if (expected->nranks >= 0 && error.nranks != expected->nranks)
		return job_complain_status(me, status, "should name %d ranks", expected->nranks);
	for (int i = 0; i < expected->nranks; i++)
		if (error.ranks[i] != expected->ranks[i])
			return job_complain_status(me, status, "should name rank %d", expected->ranks[i]);
	job_meet(me, AT_END);
	left = job_descriptors();
	if (left != descriptors)
		return job_complain(me, "a failed creation left %d descriptors open", left - descriptors);
	return 0;
}

static int
get_id(struct job_rank *me, tutti_unique_id *id)
{
	const tutti_config config = config_of(me->context);
	const tutti_status status = job_id(me, &config, id);

	return status == TUTTI_OK ? 0 : job_complain_status(me, status, "the id");
}

/* ---- ranks that do not fit together --------------------------------------------------------------------------------- */

static bool
is_missing(int rank)
{
	return rank % 2 == 1;
}

static int
missing_ranks(struct job_rank *me)
{
	struct report expected = {.status = TUTTI_ERR_TIMEOUT};
	const int descriptors = job_descriptors();
	tutti_unique_id id;

	for (int r = 0; r < me->size; r++)
		if (is_missing(r) && expected.nranks < 16)
			expected.ranks[expected.nranks++] = r;
	if (get_id(me, &id) != 0)
		return 1;
	if (is_missing(me->rank)) {
		job_meet(me, AT_END);
		return 0;
	}
	return must_fail(me, me->size, me->rank, &id, &expected, descriptors);
}

/* The last rank says it is rank 1 too. */
static int
one_number_twice(struct job_rank *me)
{
	const struct report expected = {.status = TUTTI_ERR_MISMATCH, .nranks = -1};
	const int descriptors = job_descriptors(), rank = me->rank == me->size - 1 ? 1 : me->rank;
	tutti_unique_id id;

	if (get_id(me, &id) != 0)
		return 1;
	return must_fail(me, me->size, rank, &id, &expected, descriptors);
}

static int
different_sizes(struct job_rank *me)
{
	const struct report expected = {.status = TUTTI_ERR_MISMATCH, .nranks = -1};
	const int descriptors = job_descriptors();
	tutti_unique_id id;

	if (get_id(me, &id) != 0)
		return 1;
	return must_fail(
	    me, me->rank == me->size - 1 ? me->size + 1 : me->size, me->rank, &id, &expected, descriptors);
}

/* ---- a damaged id ----------------------------------------------------------------------------------------------------- */

/* The last rank's id differs in one byte. It may see that itself, or nobody lets it in; the others miss it. */
static int
damaged_id(struct job_rank *me)
{
	const struct plan *plan = me->context;
	const struct report expected = {.status = TUTTI_ERR_TIMEOUT, .ranks = {me->size - 1}, .nranks = 1};
	const int descriptors = job_descriptors();
	const tutti_config config = config_of(plan);
	tutti_comm *comm = NULL;
	tutti_unique_id id;
	tutti_status status;

	if (get_id(me, &id) != 0)
		return 1;
	if (me->rank != me->size - 1)
		return must_fail(me, me->size, me->rank, &id, &expected, descriptors);
	id.bytes[plan->byte] = (char)(id.bytes[plan->byte] ^ 0x10);
	job_doing(me, "creation with a damaged id");
	status = tutti_comm_create(me->size, me->rank, &id, &config, &comm);
	if (status == TUTTI_OK || comm != NULL)
		return job_complain(me, "an id that differs in byte %d was accepted", plan->byte);
	if (status != TUTTI_ERR_ARGUMENT && status != TUTTI_ERR_AUTH && status != TUTTI_ERR_TIMEOUT &&
	    status != TUTTI_ERR_VERSION && status != TUTTI_ERR_PEER)
		return job_complain_status(me, status, "byte %d of the id differs", plan->byte);
	job_meet(me, AT_END);
	return job_descriptors() == descriptors ? 0 : job_complain(me, "descriptors are left open");
}

static int
play_damaged_id(struct job *job, struct plan *plan, const struct scenario *scenario)
{
	static const int bytes[] = {0, 3, 9, 17, 40, 70, 130, 200};
	int failed = 0;

	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
		/* A byte that is not used makes no difference. */
		tutti_unique_id id;

		if (tutti_unique_id_create(&id) != TUTTI_OK || id.bytes[bytes[i]] == 0)
			continue;
		plan->byte = bytes[i];
		failed += job_run(job, scenario->body, scenario->name);
	}
	return failed;
}

/* ---- strangers --------------------------------------------------------------------------------------------------------- */

static int
create_and_work(struct job_rank *me)
{
	const struct plan *plan = me->context;
	const tutti_config config = config_of(plan);
	const int descriptors = job_descriptors();
	struct storm storm;
	tutti_comm *comm;
	tutti_unique_id id;
	tutti_status status;
	bool right;

	if (get_id(me, &id) != 0)
		return 1;
	job_reach(me, AT_ID);
	job_doing(me, "creation among strangers");
	job_sleep_us(me->rank * 60000L);
	status = tutti_comm_create(me->size, me->rank, &id, &config, &comm);
	if (status != TUTTI_OK)
		return job_complain_status(me, status, "creation");
	storm_init(&storm, comm, 9, 20000);
	for (int i = 0; i < 20; i++) {
		job_sleep_us(5000);
		status = storm_steps(&storm, 5, &right);
		if (status != TUTTI_OK || !right)
			return job_complain_status(me, status, "%s number %ld", storm.what, storm.step);
	}
	storm_fini(&storm);
	return report_destroy(me, comm, descriptors);
}

/* Says something wrong, little, or nothing. */
static void
bother(int fd, unsigned kind)
{
	char noise[4096];
	struct random random = {kind};

	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (char)random_next(&random);
	if (kind % 4 == 0)
		(void)send(fd, noise, sizeof(noise), MSG_NOSIGNAL | MSG_DONTWAIT);
	else if (kind % 4 == 1)
		(void)send(fd, noise, 1 + kind % 60, MSG_NOSIGNAL | MSG_DONTWAIT);
	else if (kind % 4 == 2)
		(void)send(fd, "GET / HTTP/1.0\r\n\r\n", 18, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Opens a connection to every TCP listener of this network namespace. Returns how many. */
static int
bother_ports(unsigned kind, int *fds, int most)
{
	FILE *file = fopen("/proc/self/net/tcp", "re");
	char line[256];
	unsigned address, port, state;
	int n = 0;

	while (file != NULL && n < most && fgets(line, sizeof(line), file) != NULL) {
		struct sockaddr_in to = {.sin_family = AF_INET};

		if (sscanf(line, " %*d: %8x:%4x %*8x:%*4x %2x", &address, &port, &state) != 3 || state != 10)
			continue;
		to.sin_addr.s_addr = address != 0 ? address : htonl(INADDR_LOOPBACK);
		to.sin_port = htons((uint16_t)port);
		fds[n] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)connect(fds[n], (struct sockaddr *)&to, sizeof(to));
		bother(fds[n++], kind);
	}
	if (file != NULL)
		fclose(file);
	return n;
}

/* The same for every abstract Unix socket, whose name /proc shows with @ for zeros. */
static int
bother_names(unsigned kind, int *fds, int most)
{
	FILE *file = fopen("/proc/self/net/unix", "re");
	char line[512];
	int n = 0;

	while (file != NULL && n < most && fgets(line, sizeof(line), file) != NULL) {
		struct sockaddr_un to = {.sun_family = AF_UNIX};
		const char *name = strchr(line, '@');
		size_t length = name != NULL ? strcspn(name, "\n") : 0;

		if (name == NULL || length > sizeof(to.sun_path))
			continue;
		memcpy(to.sun_path, name, length);
		to.sun_path[0] = '\0';
		fds[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)connect(
		    fds[n], (struct sockaddr *)&to, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
		bother(fds[n++], kind);
	}
	if (file != NULL)
		fclose(file);
	return n;
}

static bool
anybody_works(struct job *job)
{
	for (int r = 0; r < job->size; r++)
		if (atomic_load(&job->board->slot[r].ended) == 0)
			return true;
	return false;
}

/* Up to 64 connections at a time, for as long as the ranks work. */
static int
play_strangers(struct job *job, struct plan *plan, const struct scenario *scenario)
{
	const char *why = job_isolate();
	int fds[64], n, bothered = 0, failed;

	if (why != NULL) {
		fprintf(stderr, "skipped: the listeners cannot be told from those of others (%s)\n", why);
		return -1;
	}
	job_start(job, scenario->body);
	for (unsigned kind = 0; anybody_works(job) && job_now_ms() < job->ends_ms; kind++) {
		n = bother_ports(kind, fds, 32);
		n += bother_names(kind, fds + n, 32);
		bothered += n;
		job_sleep_us(3000);
		for (int i = 0; i < n; i++)
			close(fds[i]);
	}
	failed = job_finish(job, scenario->name);
	if (bothered == 0) {
		fprintf(stderr, "%s: no listener was found\n", scenario->name);
		return 1;
	}
	return failed;
}

/* ---- rank 0 dies -------------------------------------------------------------------------------------------------------- */

static int
without_rank_0(struct job_rank *me)
{
	const tutti_config config = config_of(me->context);
	const int descriptors = job_descriptors();
	tutti_error error = TUTTI_ERROR_INIT;
	tutti_comm *comm = NULL;
	tutti_unique_id id;
	tutti_status status;

	if (get_id(me, &id) != 0)
		return 1;
	job_meet(me, AT_ID);
	if (me->rank == 0)
		_exit(0);
	job_doing(me, "creation without rank 0");
	status = tutti_comm_create(me->size, me->rank, &id, &config, &comm);
	(void)tutti_last_error(&error);
	if (status != TUTTI_ERR_PEER && status != TUTTI_ERR_TIMEOUT)
		return job_complain_status(me, status, "creation");
	if (error.rank != 0)
		return job_complain_status(me, status, "should name rank 0");
	return job_descriptors() == descriptors ? 0 : job_complain(me, "descriptors are left open");
}

static const struct scenario scenarios[] = {
    {"missing", "ranks that never come are named on all that did", missing_ranks, NULL},
    {"twice", "two ranks with one number: MISMATCH on all", one_number_twice, NULL},
    {"sizes", "ranks of two minds about the size: MISMATCH on all", different_sizes, NULL},
    {"id", "an id with a wrong byte lets nobody in", damaged_id, play_damaged_id},
    {"strangers", "connections of strangers do no harm", create_and_work, play_strangers},
    {"rank0", "rank 0 is gone: the others say so", without_rank_0, NULL}, {NULL, NULL, NULL, NULL}};

static int
usage(void)
{
	fputs("usage: creation SCENARIO [-n RANKS] [--transports LIST]\n", stderr);
	for (const struct scenario *s = scenarios; s->name != NULL; s++)
		fprintf(stderr, "  %-12s %s\n", s->name, s->promise);
	return 2;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {{"transports", required_argument, NULL, 't'}, {NULL, 0, NULL, 0}};
	struct plan plan = {.size = 4, .timeout_ms = 800};
	struct job job = {.context = &plan};
	const struct scenario *scenario = scenarios;
	int o, failed;

	while ((o = getopt_long(argc, argv, "n:", options, NULL)) != -1) {
		if (o == 'n')
			plan.size = job_number("-n", optarg, 2, JOB_RANKS);
		else if (o == 't')
			plan.transports = optarg;
		else
			return usage();
	}
	if (optind != argc - 1)
		return usage();
	while (scenario->name != NULL && strcmp(scenario->name, argv[optind]) != 0)
		scenario++;
	if (scenario->name == NULL)
		return usage();
	/* Time runs out only where that is the promise. */
	if (scenario->body == create_and_work || scenario->body == one_number_twice ||
	    scenario->body == different_sizes)
		plan.timeout_ms = 20000;
	job.size = plan.size;
	failed = scenario->play != NULL ? scenario->play(&job, &plan, scenario)
					: job_run(&job, scenario->body, scenario->name);
	return failed < 0 ? 77 : failed == 0 ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * run.c - runs one promise with ranks as threads or as forked processes.
 *
 * What a transport may not keep (the environment, addresses) is overwritten right after the call that lent it.
 */
#include "kit.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/process.h"
#include "base/error.h"

#define LANES 3
#define PAGE 4096

/* Everything of one run; in the parent's memory, inherited by forked ranks. */
struct run {
	const tutti_transport *transport;
	const struct kit_promise *promise;
	const struct kit_options *options;
	struct kit_world *world;
	void *shared;
	size_t shared_bytes;
	int64_t deadline_ns;
};

struct rank {
	struct run *run;
	int number;
};

int
kit_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int n = 0;

	if (folder == NULL)
		return -1;
	while (readdir(folder) != NULL)
		n++;
	closedir(folder);
	return n;
}

/* ---- one rank ---- */

static void
make_environment(tutti_environment *env, struct run *run, int rank, int *local_ranks)
{
	const int nranks = run->options->nranks;

	for (int i = 0; i < nranks; i++)
		local_ranks[i] = i;
	*env = (tutti_environment){
	    .size = sizeof(*env),
	    .rank = rank,
	    .nranks = nranks,
	    .lanes = LANES,
	    .local_ranks = local_ranks,
	    .nlocal = nranks,
	    .shared = run->shared,
	    .shared_bytes = run->shared_bytes,
	    .key = run->world->key,
	    .interfaces = run->options->interfaces,
	    .cores = (int)sysconf(_SC_NPROCESSORS_ONLN),
	    .connect_timeout_ms = KIT_TIMEOUT_MS,
	    .peer_timeout_ms = KIT_TIMEOUT_MS,
	    .connections = run->options->connections,
	    .checksum = run->options->checksum,
	    .provider = run->options->provider,
	};
}

/* Why a call failed: a plug-in says it itself. */
static const char *
why_not(const tutti_transport *transport, char *text, size_t bytes)
{
	if (transport->size < offsetof(tutti_transport, why) + sizeof(transport->why) || transport->why == NULL)
		return tt_last_error()->message;
	transport->why(text, bytes);
	return text;
}

static bool
open_endpoint(struct kit *kit, struct run *run)
{
	int local_ranks[KIT_RANKS];
	tutti_environment env;
	tutti_status status;
	char why[256];

	make_environment(&env, run, kit->rank, local_ranks);
	status = kit->transport->open(&env, &kit->endpoint);
	memset(&env, 0xDD, sizeof(env));
	memset(local_ranks, 0xDD, sizeof(local_ranks));
	if (!kit_check(kit, status == TUTTI_OK, "open() failed with status %d: %s", status,
		why_not(kit->transport, why, sizeof(why))))
		return false;
	kit->transport->properties(kit->endpoint, &kit->properties);
	return true;
}

static bool
connect_all(struct kit *kit)
{
	struct kit_world *world = kit->world;
	unsigned char address[TUTTI_ADDRESS_BYTES];
	size_t bytes = sizeof(address);
	char why[256];
	tutti_status status = kit->transport->address(kit->endpoint, address, &bytes);

	if (!kit_check(kit, status == TUTTI_OK && bytes <= sizeof(address),
		"address() failed with status %d, %zu bytes", status, bytes))
		return false;
	memcpy(world->address[kit->rank], address, bytes);
	world->address_bytes[kit->rank] = bytes;
	if (!kit_barrier(kit))
		return false;
	for (int peer = 0; peer < kit->nranks; peer++) {
		bytes = world->address_bytes[peer];
		memcpy(address, world->address[peer], bytes);
		status = kit->transport->connect(kit->endpoint, peer, address, bytes, &kit->links[peer]);
		memset(address, 0xDD, sizeof(address));
		if (!kit_check(kit, status == TUTTI_OK, "connect() to rank %d failed with status %d: %s", peer,
			status, why_not(kit->transport, why, sizeof(why))))
			return false;
	}
	return true;
}

static void
run_rank(struct run *run, int rank)
{
	struct kit kit = {
	    .transport = run->transport,
	    .world = run->world,
	    .shared = run->shared,
	    .shared_bytes = run->shared_bytes,
	    .rank = rank,
	    .nranks = run->options->nranks,
	    .lanes = LANES,
	    .processes = run->options->processes,
	    .interfaces = run->options->interfaces,
	    .deadline_ns = run->deadline_ns,
	    .random = run->options->seed * 1000 + (uint64_t)rank,
	};

	if (open_endpoint(&kit, run) && connect_all(&kit))
		run->promise->body(&kit);
	/* A promise may have closed it itself. */
	if (kit.endpoint != NULL)
		run->transport->close(kit.endpoint);
}

/* ---- what the transport says of itself ---- */

/* An endpoint of rank 0, in a world of its own. */
static tutti_status
ask_capabilities(struct run *run, uint32_t *capabilities)
{
	struct kit kit = {.transport = run->transport, .world = run->world, .deadline_ns = run->deadline_ns};

	if (!open_endpoint(&kit, run))
		return TUTTI_ERR_SYSTEM;
	*capabilities = kit.properties.capabilities;
	run->transport->close(kit.endpoint);
	return TUTTI_OK;
}

static enum kit_result
probe(struct run *run, char *why, size_t why_bytes)
{
	int local_ranks[KIT_RANKS];
	tutti_environment env;

	make_environment(&env, run, 0, local_ranks);
	return run->transport->probe(&env, why, why_bytes) == TUTTI_OK ? KIT_KEPT : KIT_SKIPPED;
}

/* All that has to be asked, by a child that does nothing else. */
static void
asking_main(struct run *run)
{
	char why[sizeof(run->world->why)] = "";
	enum kit_result result = probe(run, why, sizeof(why));

	if (result == KIT_SKIPPED)
		memcpy(run->world->why, why, sizeof(why));
	else if (ask_capabilities(run, &run->world->capabilities) != TUTTI_OK)
		result = KIT_BROKEN;
	run->world->asked = 1 + (int)result;
	_exit(0);
}

/* ---- all ranks ---- */

static void *
thread_main(void *argument)
{
	struct rank *rank = argument;

	run_rank(rank->run, rank->number);
	return NULL;
}

/* Something that exists but is not part of the run, to report its own failures. */
static struct kit
observer(struct run *run)
{
	return (struct kit){.world = run->world, .rank = -1, .deadline_ns = run->deadline_ns};
}

static void
check_descriptors(struct run *run, int before, const char *who)
{
	struct kit kit = observer(run);
	const int after = kit_descriptors();

	kit_check(&kit, after == before, "%s had %d open descriptors before and %d after", who, before, after);
}

static void
run_threads(struct run *run)
{
	const int before = kit_descriptors();
	struct kit kit = observer(run);
	struct rank ranks[KIT_RANKS];
	pthread_t threads[KIT_RANKS];
	int started = 0;

	for (; started < run->options->nranks; started++) {
		ranks[started] = (struct rank){run, started};
		if (!kit_check(&kit, pthread_create(&threads[started], NULL, thread_main, &ranks[started]) == 0,
			"cannot start a thread"))
			break;
	}
	for (int i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	check_descriptors(run, before, "the process");
}

static void
child_main(struct run *run, int rank)
{
	uint32_t capabilities;
	int before;

	/* What is opened once and kept is opened here. */
	if (run->options->apart)
		(void)ask_capabilities(run, &capabilities);
	before = kit_descriptors();
	run_rank(run, rank);
	check_descriptors(run, before, "a rank's process");
	_exit(0);
}

/* Waits for a rank's process; after the deadline it is ended. */
static void
reap(struct run *run, pid_t pid, int rank)
{
	struct kit kit = observer(run);
	int status = 0;
	pid_t got;

	/* Ranks find the deadline themselves; this is for those that hang inside the transport. */
	kit.deadline_ns += 5000 * TT_MS;
	while ((got = waitpid(pid, &status, WNOHANG)) == 0 || (got < 0 && errno == EINTR)) {
		if (tt_now_ns() > kit.deadline_ns) {
			kit_check(&kit, false, "rank %d hangs", rank);
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			return;
		}
		usleep(1000);
	}
	if (run->promise->kills && rank == 1)
		return;
	kit_check(
	    &kit, WIFEXITED(status) && WEXITSTATUS(status) == 0, "rank %d ended with wait status %d", rank, status);
}

static void
run_processes(struct run *run)
{
	struct kit kit = observer(run);
	pid_t pids[KIT_RANKS];
	int started = 0;

	fflush(NULL);
	for (; started < run->options->nranks; started++) {
		pids[started] = fork();
		if (pids[started] == 0)
			child_main(run, started);
		if (!kit_check(&kit, pids[started] > 0, "cannot fork"))
			break;
	}
	for (int i = 0; i < started; i++)
		reap(run, pids[i], i);
}

static enum kit_result
ask_apart(struct run *run, char *why, size_t why_bytes)
{
	struct kit kit = observer(run);
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0)
		asking_main(run);
	if (kit_check(&kit, pid > 0, "cannot fork"))
		reap(run, pid, 0);
	snprintf(why, why_bytes, "%s", run->world->why);
	return run->world->asked == 0 ? KIT_BROKEN : (enum kit_result)(run->world->asked - 1);
}

static void *
map_shared(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

/* Why the promise is not for this transport or this run; NULL if it is. */
static const char *
not_for(const struct run *run, uint32_t capabilities)
{
	const struct kit_promise *promise = run->promise;

	if (run->options->nranks < promise->least_ranks)
		return "needs more ranks";
	if (promise->kills && !run->options->processes)
		return "needs ranks that are processes";
	if ((capabilities & promise->needs) != promise->needs)
		return "the transport does not offer it";
	if ((capabilities & promise->excludes) != 0)
		return "the transport cannot know it";
	return NULL;
}

static enum kit_result
run_all(struct run *run, char *why, size_t why_bytes)
{
	const char *reason;

	if (!run->options->apart && ask_capabilities(run, &run->world->capabilities) != TUTTI_OK) {
		snprintf(why, why_bytes, "%s", run->world->why);
		return KIT_BROKEN;
	}
	if (run->shared_bytes > 0)
		memset(run->shared, 0, run->shared_bytes);
	reason = not_for(run, run->world->capabilities);
	if (reason != NULL) {
		snprintf(why, why_bytes, "%s", reason);
		return KIT_SKIPPED;
	}
	if (run->options->processes)
		run_processes(run);
	else
		run_threads(run);
	if (tt_load_acquire(&run->world->failed) == 0)
		return KIT_KEPT;
	snprintf(why, why_bytes, "%s", run->world->why);
	return KIT_BROKEN;
}

enum kit_result
kit_run(const tutti_transport *transport, const struct kit_promise *promise, const struct kit_options *options,
    char *why, size_t why_bytes)
{
	struct run run = {.transport = transport, .promise = promise, .options = options};
	const size_t world_bytes = tt_round_up(sizeof(struct kit_world), PAGE);
	enum kit_result result = KIT_BROKEN;
	int local_ranks[KIT_RANKS];
	tutti_environment env;

	snprintf(why, why_bytes, "cannot map memory to share");
	run.deadline_ns = tt_deadline_ns(KIT_TIMEOUT_MS);
	run.world = map_shared(world_bytes);
	if (run.world == NULL)
		return KIT_BROKEN;
	tt_random(run.world->key, sizeof(run.world->key));
	result = options->apart ? ask_apart(&run, why, why_bytes) : probe(&run, why, why_bytes);
	if (result != KIT_KEPT) {
		munmap(run.world, world_bytes);
		return result;
	}
	result = KIT_BROKEN;
	make_environment(&env, &run, 0, local_ranks);
	run.shared_bytes = transport->shared_need == NULL ? 0 : transport->shared_need(&env);
	run.shared = run.shared_bytes > 0 ? map_shared(run.shared_bytes) : NULL;
	if (run.shared_bytes == 0 || run.shared != NULL)
		result = run_all(&run, why, why_bytes);
	if (run.shared != NULL)
		munmap(run.shared, run.shared_bytes);
	munmap(run.world, world_bytes);
	return result;
}

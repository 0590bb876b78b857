/* SPDX-License-Identifier: Apache-2.0
 *
 * world_ranks.h - a world's ranks as threads or as processes of a test.
 *
 * A plan says what each rank does otherwise than usual; each rank leaves a report in memory that all share. In
 * processes nothing is asserted: the parent reads the reports.
 */
#ifndef TT_TESTS_WORLD_RANKS_H
#define TT_TESTS_WORLD_RANKS_H

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/atomics.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/process.h"
#include "bootstrap/world.h"

#define MOST 40

/* What the ranks of one test have in common, and what each of them has to say. */
struct report {
	tutti_status status;
	tutti_error error;
	int nnodes, nlocal, local_rank, node;
	bool segment, shared, exchanged;
	tt_atomic_u32 messages, lost, left, alarms;
	tt_atomic_u32 lost_rank; /* + 1 */
	tt_atomic_u32 dead; /* + 1 */
	tt_atomic_u32 stage;
};

struct plan {
	int n; /* ranks that are started */
	int size[MOST]; /* as each says; 0 = n */
	int number[MOST]; /* rank it says it is; -1 = its place */
	bool separate[MOST]; /* does not share memory */
	int host[MOST];
	bool absent[MOST]; /* never comes */
	bool wrong_key[MOST];
	bool few_fds[MOST]; /* has room for one more descriptor, its connection; for processes */
	int delay_ms[MOST];
	int fanout;
	int64_t timeout_ms;
	bool opens_late; /* rank 0 opens the listeners itself, when it starts */
	void (*body)(struct plan *plan, int rank, struct tt_world *world, struct report *report);
	struct tt_rendezvous rendezvous;
	struct tt_meeting meeting;
	struct tt_settings settings;
	struct report *reports; /* [MOST], shared */
	tt_atomic_u32 *go; /* counts ranks past a point */
};

static inline int
count_fds(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(folder) != NULL)
		n++;
	closedir(folder);
	return n;
}

static inline void
plan_init(struct plan *plan, int n)
{
	tutti_config config = TUTTI_CONFIG_INIT;

	memset(plan, 0, sizeof(*plan));
	plan->n = n;
	plan->timeout_ms = 20000;
	for (int i = 0; i < MOST; i++)
		plan->number[i] = -1;
	config.interfaces = "lo";
	cr_assert(tt_settings_init(&plan->settings, &config) == TUTTI_OK);
	cr_assert(tt_meeting_open(&plan->settings, &plan->rendezvous, &plan->meeting) == TUTTI_OK);
	plan->reports = mmap(
	    NULL, sizeof(struct report) * MOST + 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert(plan->reports != MAP_FAILED);
	plan->go = (tt_atomic_u32 *)(plan->reports + MOST);
}

static inline void
plan_fini(struct plan *plan)
{
	munmap(plan->reports, sizeof(struct report) * MOST + 4096);
	tt_meeting_close(&plan->meeting);
	tt_settings_fini(&plan->settings);
}

static inline int
number_of(const struct plan *plan, int i)
{
	return plan->number[i] >= 0 ? plan->number[i] : i;
}

static inline void
look_at(struct plan *plan, struct tt_world *world, struct report *report)
{
	const int *local = tt_world_local_ranks(world, &report->nlocal);
	struct tt_segment *segment = tt_world_segment(world);
	struct {
		int32_t rank;
		uint64_t at;
	} mine = {tt_world_rank(world), 0}, all[MOST];

	report->nnodes = tt_world_nnodes(world);
	report->local_rank = tt_world_local_rank(world);
	report->node = tt_world_node_of(world)[tt_world_rank(world)];
	report->segment = segment != NULL;
	if (segment != NULL && tt_segment_take(segment, 64, &mine.at) == TUTTI_OK)
		*(int32_t *)tt_segment_at(segment, mine.at) = mine.rank + 1000;
	report->exchanged = true;
	for (int round = 0; round < 3; round++) {
		if (tt_world_exchange(world, &mine, sizeof(mine), all, tt_deadline_ns(plan->timeout_ms)) !=
		    TUTTI_OK) {
			report->exchanged = false;
			return;
		}
		for (int r = 0; r < tt_world_size(world); r++)
			report->exchanged = report->exchanged && all[r].rank == r;
	}
	report->shared = segment != NULL;
	for (int i = 0; i < report->nlocal && segment != NULL; i++)
		report->shared =
		    report->shared && *(int32_t *)tt_segment_at(segment, all[local[i]].at) == local[i] + 1000;
}

static inline void
leave_room_for_one_fd(void)
{
	const int free = dup(0);
	const struct rlimit limit = {(rlim_t)free + 1, (rlim_t)free + 1};

	close(free);
	setrlimit(RLIMIT_NOFILE, &limit);
}

static inline void
rank_main(struct plan *plan, int i)
{
	struct report *report = &plan->reports[i];
	struct tt_rendezvous rendezvous = plan->rendezvous;
	const int rank = number_of(plan, i);
	struct tt_world_config config = {.rank = rank,
	    .size = plan->size[i] > 0 ? plan->size[i] : plan->n,
	    .rendezvous = &rendezvous,
	    .meeting = i == 0 ? &plan->meeting : NULL,
	    .share_memory = !plan->separate[i],
	    .settings = &plan->settings,
	    .log = TT_LOG_NONE,
	    .peer_timeout_ms = 5000,
	    .fanout = plan->fanout,
	    .host = plan->host[i]};
	struct tt_world *world = NULL;

	usleep((useconds_t)plan->delay_ms[i] * 1000);
	config.deadline_ns = tt_deadline_ns(plan->timeout_ms);
	if (i == 0 && plan->opens_late) {
		report->status = tt_meeting_open_at(&rendezvous, &plan->meeting);
		if (report->status != TUTTI_OK) {
			report->error = *tt_last_error();
			return;
		}
	}
	if (plan->few_fds[i])
		leave_room_for_one_fd();
	if (plan->wrong_key[i])
		rendezvous.key[0] ^= 1;
	report->status = tt_world_create(&config, &world);
	if (report->status != TUTTI_OK) {
		report->error = *tt_last_error();
		return;
	}
	if (plan->body != NULL)
		plan->body(plan, rank, world, report);
	else
		look_at(plan, world, report);
	tt_world_destroy(world);
}

struct start {
	struct plan *plan;
	int i;
};

static inline void *
thread_main(void *context)
{
	const struct start *start = context;

	rank_main(start->plan, start->i);
	return NULL;
}

static inline void
run_threads(struct plan *plan)
{
	pthread_t threads[MOST];
	struct start starts[MOST];

	for (int i = 0; i < plan->n; i++) {
		starts[i] = (struct start){plan, i};
		if (!plan->absent[i])
			pthread_create(&threads[i], NULL, thread_main, &starts[i]);
	}
	for (int i = 0; i < plan->n; i++)
		if (!plan->absent[i])
			pthread_join(threads[i], NULL);
}

static inline void
start_processes(struct plan *plan, pid_t pids[MOST])
{
	tutti_unique_id id;

	/* As a program does: the id is made before the fork, and each child claims or drops the listeners. */
	cr_assert(tt_meeting_keep(&plan->rendezvous, &plan->meeting, tt_deadline_ns(plan->timeout_ms)) == TUTTI_OK);
	plan->meeting = (struct tt_meeting){.local = -1};
	tt_unique_id_write(&plan->rendezvous, &id);
	for (int i = 0; i < plan->n; i++) {
		pids[i] = plan->absent[i] ? -1 : fork();
		if (pids[i] != 0)
			continue;
		alarm(40);
		if (tt_meeting_claim(&plan->rendezvous, i == 0, &plan->meeting) != TUTTI_OK)
			_exit(1);
		rank_main(plan, i);
		_exit(0);
	}
	/* The parent is no rank: it lets go of its copy. */
	cr_assert(tt_meeting_claim(&plan->rendezvous, true, &plan->meeting) == TUTTI_OK);
	tt_meeting_close(&plan->meeting);
}

static inline void
wait_processes(struct plan *plan, const pid_t pids[MOST])
{
	for (int i = 0; i < plan->n; i++) {
		int result = 0;

		if (pids[i] > 0)
			cr_assert(waitpid(pids[i], &result, 0) == pids[i]);
	}
}

static inline void
run_processes(struct plan *plan)
{
	pid_t pids[MOST];

	start_processes(plan, pids);
	wait_processes(plan, pids);
}

static inline void
expect_complete(const struct plan *plan, int nnodes)
{
	for (int i = 0; i < plan->n; i++) {
		const struct report *report = &plan->reports[i];

		cr_assert(report->status == TUTTI_OK, "rank %d: %s", i, report->error.message);
		cr_assert(report->exchanged, "rank %d", i);
		cr_assert(eq(int, report->nnodes, nnodes), "rank %d", i);
	}
}

static inline void
expect_one_node(const struct plan *plan)
{
	expect_complete(plan, 1);
	for (int i = 0; i < plan->n; i++) {
		const struct report *report = &plan->reports[i];

		cr_assert(eq(int, report->nlocal, plan->n));
		cr_assert(eq(int, report->local_rank, i));
		cr_assert(report->segment == (plan->n > 1));
		cr_assert(report->shared == (plan->n > 1), "rank %d", i);
	}
}

#endif /* TT_TESTS_WORLD_RANKS_H */

/* SPDX-License-Identifier: Apache-2.0
 *
 * test_world_talk.c - exchange, messages, goodbyes, losses and alarms of worlds that were made.
 */
#include "world_ranks.h"

TestSuite(world_talk, .timeout = 50);

static void
pass(struct plan *plan)
{
	tt_fetch_add_acq_rel(plan->go, 1);
}

/* Until n ranks have passed. */
static void
wait_for(struct plan *plan, uint32_t n)
{
	while (tt_load_acquire(plan->go) < n)
		usleep(1000);
}

/* At most 10 s. */
static bool
wait_word(tt_atomic_u32 *word, uint32_t n)
{
	for (int i = 0; i < 10000; i++) {
		if (tt_load_acquire(word) >= n)
			return true;
		usleep(1000);
	}
	return false;
}

static void
on_message(void *context, int from, const void *bytes, size_t n)
{
	struct report *report = context;
	unsigned char expected[TT_WORLD_MESSAGE];

	memset(expected, from + 1, sizeof(expected));
	if (n > 0 && n <= sizeof(expected) && memcmp(bytes, expected, n) == 0)
		tt_fetch_add_acq_rel(&report->messages, 1);
}

static void
on_lost(void *context, int rank, const char *why)
{
	struct report *report = context;

	tt_store_relaxed(&report->lost_rank, (uint32_t)rank + 1);
	tt_fetch_add_acq_rel(&report->lost, why != NULL && why[0] != '\0' ? 1 : 1000);
}

static void
on_left(void *context, int rank)
{
	struct report *report = context;

	tt_fetch_add_acq_rel(&report->left, 1);
}

static void
on_alarm(void *context, int64_t now_ns)
{
	struct report *report = context;

	tt_fetch_add_acq_rel(&report->alarms, 1);
}

static void
start(struct tt_world *world, struct report *report)
{
	const struct tt_world_handler handler = {
	    .context = report, .message = on_message, .lost = on_lost, .left = on_left, .alarm = on_alarm};

	report->exchanged = tt_world_prepare(world) == TUTTI_OK;
	if (report->exchanged)
		tt_world_start(world, &handler);
}

static void
arrange_hosts(struct plan *plan, int ranks_per_host)
{
	for (int i = 0; i < plan->n; i++)
		plan->host[i] = i / ranks_per_host;
}

/* ---- exchange --------------------------------------------------------------------------------------------- */

#define BIG (64 * 1024)

static void
exchange_big(struct plan *plan, int rank, struct tt_world *world, struct report *report)
{
	static const size_t sizes[] = {1, 4064, 4065, BIG};
	unsigned char *all = malloc((size_t)plan->n * BIG), *mine = malloc(BIG);

	report->exchanged = true;
	for (size_t i = 0; i < TT_COUNT_OF(sizes); i++) {
		const size_t n = sizes[i];

		memset(mine, rank + (int)i, n);
		memset(all, 0xee, (size_t)plan->n * n);
		report->exchanged =
		    report->exchanged && tt_world_exchange(world, mine, n, all, tt_deadline_ns(20000)) == TUTTI_OK;
		for (int r = 0; r < plan->n; r++)
			for (size_t b = 0; b < n; b++)
				report->exchanged =
				    report->exchanged && all[(size_t)r * n + b] == (unsigned char)(r + (int)i);
	}
	free(all);
	free(mine);
}

Test(world_talk, exchange_gathers_up_to_64_kib_per_rank)
{
	struct plan plan;

	plan_init(&plan, 12);
	plan.fanout = 2;
	arrange_hosts(&plan, 2);
	plan.body = exchange_big;
	run_threads(&plan);
	for (int i = 0; i < plan.n; i++)
		cr_assert(plan.reports[i].exchanged, "rank %d", i);
	plan_fini(&plan);
}

static void
exchange_differently(struct plan *plan, int rank, struct tt_world *world, struct report *report)
{
	unsigned char mine[32] = {0}, all[32 * MOST];

	report->status = tt_world_exchange(world, mine, 8, all, tt_deadline_ns(10000));
	if (report->status == TUTTI_OK)
		report->status = tt_world_exchange(world, mine, rank == 3 ? 16 : 8, all, tt_deadline_ns(10000));
	report->error = *tt_last_error();
}

Test(world_talk, exchange_of_different_sizes_is_an_error_on_all)
{
	struct plan plan;

	plan_init(&plan, 5);
	arrange_hosts(&plan, 2);
	plan.body = exchange_differently;
	run_threads(&plan);
	for (int i = 0; i < plan.n; i++)
		cr_assert(eq(int, plan.reports[i].status, TUTTI_ERR_MISMATCH), "rank %d: %s", i,
		    plan.reports[i].error.message);
	plan_fini(&plan);
}

/* Whether all could prepare themselves is what the last exchange is for. */
static void
exchange_prepared(struct plan *plan, int rank, struct tt_world *world, struct report *report)
{
	const struct tt_world_handler handler = {.context = NULL};
	const int32_t mine = rank;
	int32_t all[MOST];

	report->exchanged = tt_world_prepare(world) == TUTTI_OK && tt_world_prepare(world) == TUTTI_ERR_STATE &&
			    tt_world_send(world, TT_TO_ALL, &mine, sizeof(mine)) == TUTTI_ERR_STATE &&
			    tt_world_exchange(world, &mine, sizeof(mine), all, tt_deadline_ns(10000)) == TUTTI_OK;
	for (int r = 0; r < plan->n; r++)
		report->exchanged = report->exchanged && all[r] == r;
	/* Some go on, others give up: neither may hang. */
	if (rank % 2 == 0)
		return;
	tt_world_start(world, &handler);
	report->exchanged = report->exchanged && tt_world_exchange(world, &mine, sizeof(mine), all,
						     tt_deadline_ns(10000)) == TUTTI_ERR_STATE;
}

Test(world_talk, prepared_ranks_can_exchange_until_they_are_started)
{
	struct plan plan;

	plan_init(&plan, 6);
	arrange_hosts(&plan, 2);
	plan.body = exchange_prepared;
	run_threads(&plan);
	for (int i = 0; i < plan.n; i++)
		cr_assert(plan.reports[i].exchanged, "rank %d", i);
	plan_fini(&plan);
}

static void
exchange_or_leave(struct plan *plan, int rank, struct tt_world *world, struct report *report)
{
	unsigned char mine[32] = {0}, all[32 * MOST];

	if (rank == 2)
		return;
	report->status = tt_world_exchange(world, mine, 8, all, tt_deadline_ns(10000));
	report->error = *tt_last_error();
}

Test(world_talk, exchange_ends_when_a_rank_leaves)
{
	struct plan plan;

	plan_init(&plan, 5);
	arrange_hosts(&plan, 2);
	plan.body = exchange_or_leave;
	run_threads(&plan);
	for (int i = 0; i < plan.n; i++)
		if (i != 2) {
			cr_assert(eq(int, plan.reports[i].status, TUTTI_ERR_PEER), "rank %d", i);
			cr_assert(
			    eq(int, plan.reports[i].error.rank, 2), "rank %d: %s", i, plan.reports[i].error.message);
		}
	plan_fini(&plan);
}

/* ---- messages --------------------------------------------------------------------------------------------- */

static void
talk(struct plan *plan, int rank, struct tt_world *world, struct report *report)
{
	unsigned char bytes[TT_WORLD_MESSAGE];

	start(world, report);
	memset(bytes, rank + 1, sizeof(bytes));
	/* One to each of them, itself included, and one to all but itself. */
	for (int to = 0; to < plan->n; to++)
		if (tt_world_send(world, to, bytes, 1 + (size_t)to * 40) != TUTTI_OK)
			report->exchanged = false;
	if (tt_world_send(world, TT_TO_ALL, bytes, sizeof(bytes)) != TUTTI_OK)
		report->exchanged = false;
	if (tt_world_send(world, 0, bytes, sizeof(bytes) + 1) != TUTTI_ERR_ARGUMENT)
		report->exchanged = false;
	if (!wait_word(&report->messages, (uint32_t)(2 * plan->n - 1)))
		report->exchanged = false;
	pass(plan);
	wait_for(plan, (uint32_t)plan->n);
}

Test(world_talk, messages_reach_one_and_all)
{
	for (int processes = 0; processes < 2; processes++) {
		const int before = count_fds();
		struct plan plan;

		plan_init(&plan, 12);
		plan.fanout = 2;
		arrange_hosts(&plan, 3);
		plan.body = talk;
		if (processes)
			run_processes(&plan);
		else
			run_threads(&plan);
		for (int i = 0; i < plan.n; i++) {
			cr_assert(plan.reports[i].exchanged, "rank %d", i);
			cr_assert(eq(int, tt_load_relaxed(&plan.reports[i].messages), 2 * plan.n - 1));
			cr_assert(eq(int, tt_load_relaxed(&plan.reports[i].lost), 0));
		}
		plan_fini(&plan);
		cr_assert(eq(int, count_fds(), before));
	}
}

static void
flood(struct plan *plan, int rank, struct tt_world *world, struct report *report)
{
	unsigned char bytes[TT_WORLD_MESSAGE];

	start(world, report);
	memset(bytes, rank + 1, sizeof(bytes));
	for (int i = 0; i < 2000 && rank == 1;) {
		const tutti_status status = tt_world_send(world, 2, bytes, sizeof(bytes));

		if (status == TUTTI_OK)
			i++;
		else
			usleep(100);
	}
	if (rank == 2 && !wait_word(&report->messages, 2000))
		report->exchanged = false;
	pass(plan);
	wait_for(plan, (uint32_t)plan->n);
}

Test(world_talk, a_burst_of_messages_arrives_whole)
{
	struct plan plan;

	plan_init(&plan, 3);
	plan.body = flood;
	run_threads(&plan);
	for (int i = 0; i < plan.n; i++)
		cr_assert(plan.reports[i].exchanged, "rank %d", i);
	plan_fini(&plan);
}

/* ---- the alarm -------------------------------------------------------------------------------------------- */

static void
alarm_body(struct plan *plan, int rank, struct tt_world *world, struct report *report)
{
	start(world, report);
	tt_world_set_alarm(world, tt_now_ns() + 3600 * 1000 * TT_MS);
	tt_world_set_alarm(world, tt_now_ns() + 20 * TT_MS);
	tt_world_set_alarm(world, tt_now_ns() + 7200 * 1000 * TT_MS);
	report->exchanged = wait_word(&report->alarms, 1);
	usleep(50000);
	tt_world_set_alarm(world, tt_now_ns() - 1);
	report->exchanged = report->exchanged && wait_word(&report->alarms, 2);
	tt_world_set_alarm(world, tt_now_ns() + 200 * TT_MS);
	tt_world_set_alarm(world, INT64_MAX);
	usleep(300000);
}

Test(world_talk, the_earliest_alarm_comes_once)
{
	struct plan plan;

	plan_init(&plan, 1);
	plan.body = alarm_body;
	run_threads(&plan);
	cr_assert(plan.reports[0].exchanged);
	cr_assert(eq(int, tt_load_relaxed(&plan.reports[0].alarms), 2));
	plan_fini(&plan);
}

/* ---- goodbye ---------------------------------------------------------------------------------------------- */

static int leaver;

static void
leave_early(struct plan *plan, int rank, struct tt_world *world, struct report *report)
{
	start(world, report);
	pass(plan);
	wait_for(plan, (uint32_t)plan->n);
	if (rank == leaver)
		return;
	for (int i = 0; i < 10000 && !tt_world_has_left(world, leaver); i++)
		usleep(1000);
	report->exchanged = report->exchanged && tt_world_has_left(world, leaver);
	/* Time for a loss that should not be reported. */
	usleep(100000);
	report->exchanged = report->exchanged && tt_load_acquire(&report->lost) == 0 && tt_world_dead(world) == -1;
	report->exchanged = report->exchanged && wait_word(&report->left, 1);
	pass(plan);
	wait_for(plan, 2 * (uint32_t)plan->n - 1);
}

Test(world_talk, a_goodbye_reaches_all_and_is_no_loss)
{
	/* Rank 0, a member, a leader, a leader's member. */
	for (leaver = 0; leaver < 4; leaver++)
		for (int processes = 0; processes < 2; processes++) {
			struct plan plan;

			plan_init(&plan, 6);
			arrange_hosts(&plan, 2);
			plan.body = leave_early;
			if (processes)
				run_processes(&plan);
			else
				run_threads(&plan);
			for (int i = 0; i < plan.n; i++)
				cr_assert(plan.reports[i].exchanged, "leaver %d rank %d processes %d", leaver, i,
				    processes);
			plan_fini(&plan);
		}
}

static void
leave_at_once(struct plan *plan, int rank, struct tt_world *world, struct report *report)
{
	start(world, report);
}

Test(world_talk, all_may_leave_at_once_without_a_loss)
{
	for (int round = 0; round < 20; round++) {
		struct plan plan;

		plan_init(&plan, 8);
		arrange_hosts(&plan, 1 + round % 4);
		plan.body = leave_at_once;
		if (round % 2 == 0)
			run_processes(&plan);
		else
			run_threads(&plan);
		for (int i = 0; i < plan.n; i++) {
			cr_assert(plan.reports[i].status == TUTTI_OK);
			cr_assert(eq(int, tt_load_relaxed(&plan.reports[i].lost), 0), "round %d rank %d", round, i);
		}
		plan_fini(&plan);
	}
}

/* ---- death ------------------------------------------------------------------------------------------------ */

static int victim;

static void
live_on(struct plan *plan, int rank, struct tt_world *world, struct report *report)
{
	start(world, report);
	pass(plan);
	/* The victim is killed; the parent lets the others go when they have seen enough. */
	while (tt_load_acquire(plan->go) < 1000) {
		const int dead = tt_world_dead(world);

		if (dead >= 0)
			tt_store_release(&report->dead, (uint32_t)dead + 1);
		usleep(500);
	}
}

static void
kill_one(struct plan *plan)
{
	pid_t pids[MOST];

	plan->body = live_on;
	start_processes(plan, pids);
	wait_for(plan, (uint32_t)plan->n);
	kill(pids[victim], SIGKILL);
	for (int i = 0; i < plan->n; i++)
		if (i != victim && plan->host[i] == plan->host[victim])
			cr_assert(wait_word(&plan->reports[i].dead, 1), "rank %d", i);
	usleep(200000);
	for (int i = 0; i < plan->n; i++)
		cr_assert(eq(int, (int)tt_load_relaxed(&plan->reports[i].left), 0));
	tt_store_release(plan->go, 1000);
	wait_processes(plan, pids);
}

Test(world_talk, a_killed_rank_is_seen_by_its_node_at_once_and_lost_to_its_neighbours)
{
	for (victim = 0; victim < 4; victim++) {
		struct plan plan;

		plan_init(&plan, 6);
		arrange_hosts(&plan, 2);
		/* So that the even ranks lead. */
		for (int i = 1; i < plan.n; i += 2)
			plan.delay_ms[i] = 100;
		kill_one(&plan);
		for (int i = 0; i < plan.n; i++) {
			struct report *report = &plan.reports[i];
			const bool same_host = plan.host[i] == plan.host[victim];
			/* In the tree: members next to their leader, leaders next to rank 0. */
			const bool neighbour =
			    same_host || (victim == 0 && i % 2 == 0) || (i == 0 && victim % 2 == 0);

			if (i == victim)
				continue;
			cr_assert(eq(int, (int)tt_load_relaxed(&report->dead), same_host ? victim + 1 : 0));
			cr_assert(eq(int, (int)tt_load_relaxed(&report->lost), neighbour ? 1 : 0),
			    "victim %d rank %d", victim, i);
			if (neighbour)
				cr_assert(eq(int, (int)tt_load_relaxed(&report->lost_rank), victim + 1));
		}
		plan_fini(&plan);
	}
}

/* ---- fork ------------------------------------------------------------------------------------------------- */

static void
fork_a_child(struct plan *plan, int rank, struct tt_world *world, struct report *report)
{
	pid_t child;
	int result = -1;

	start(world, report);
	child = fork();
	if (child == 0) {
		alarm(20);
		tt_world_destroy(world);
		_exit(0);
	}
	waitpid(child, &result, 0);
	report->exchanged = report->exchanged && result == 0;
	usleep(100000);
	report->exchanged = report->exchanged && tt_load_acquire(&report->lost) == 0 &&
			    tt_load_acquire(&report->left) == 0 && tt_world_dead(world) == -1;
	pass(plan);
	wait_for(plan, (uint32_t)plan->n);
}

Test(world_talk, destroying_in_a_forked_child_disturbs_nobody)
{
	struct plan plan;

	plan_init(&plan, 4);
	arrange_hosts(&plan, 2);
	plan.body = fork_a_child;
	run_processes(&plan);
	for (int i = 0; i < plan.n; i++)
		cr_assert(plan.reports[i].exchanged, "rank %d", i);
	plan_fini(&plan);
}

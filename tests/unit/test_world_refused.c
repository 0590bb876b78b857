/* SPDX-License-Identifier: Apache-2.0
 *
 * test_world_refused.c - worlds that cannot be made: every rank that came learns why, and strangers stop nothing.
 */
#include "world_ranks.h"

#include <fcntl.h>
#include <poll.h>

TestSuite(world_refused, .timeout = 50);

static bool
names(const tutti_error *error, int rank)
{
	for (int i = 0; i < error->nranks && i < (int)TT_COUNT_OF(error->ranks); i++)
		if (error->ranks[i] == rank)
			return true;
	return false;
}

static void
run(struct plan *plan, bool processes)
{
	const int before = count_fds();

	if (processes)
		run_processes(plan);
	else
		run_threads(plan);
	/* Rank 0's listeners were open before and are taken over. */
	cr_assert(le(int, count_fds(), before));
}

Test(world_refused, ranks_that_never_come_are_named_everywhere)
{
	for (int variant = 0; variant < 4; variant++) {
		struct plan plan;

		plan_init(&plan, 6);
		plan.timeout_ms = 2500; /* on a busy machine it takes a while to come */
		plan.absent[2] = plan.absent[5] = true;
		if (variant >= 2)
			plan.host[3] = plan.host[4] = 1;
		run(&plan, variant % 2 == 1);
		for (int i = 0; i < plan.n; i++) {
			const struct report *report = &plan.reports[i];

			if (plan.absent[i])
				continue;
			cr_assert(
			    eq(int, report->status, TUTTI_ERR_TIMEOUT), "rank %d: %s", i, report->error.message);
			cr_assert(eq(int, report->error.nranks, 2), "rank %d: %s", i, report->error.message);
			cr_assert(names(&report->error, 2) && names(&report->error, 5));
			cr_assert(
			    eq(str, (char *)report->error.message, "2 of 6 ranks never came within 2.5 s: 2 5"));
		}
		plan_fini(&plan);
	}
}

Test(world_refused, the_rank_with_the_shortest_limit_hears_who_is_missing)
{
	struct plan plan;

	plan_init(&plan, 4);
	plan.timeout_ms = 1500;
	plan.delay_ms[0] = 700;
	plan.absent[3] = true;
	run(&plan, true);
	for (int i = 0; i < 3; i++) {
		cr_assert(eq(int, plan.reports[i].status, TUTTI_ERR_TIMEOUT));
		cr_assert(names(&plan.reports[i].error, 3), "rank %d: %s", i, plan.reports[i].error.message);
	}
	plan_fini(&plan);
}

Test(world_refused, rank_0_that_never_comes_is_named)
{
	struct plan plan;

	plan_init(&plan, 3);
	plan.timeout_ms = 400;
	plan.absent[0] = true;
	plan.host[2] = 1;
	tt_meeting_close(&plan.meeting);
	run(&plan, false);
	for (int i = 1; i < plan.n; i++) {
		cr_assert(eq(int, plan.reports[i].status, TUTTI_ERR_TIMEOUT));
		cr_assert(names(&plan.reports[i].error, 0));
	}
	plan_fini(&plan);
}

Test(world_refused, two_ranks_with_one_number_are_an_error_on_all)
{
	for (int variant = 0; variant < 6; variant++) {
		struct plan plan;

		plan_init(&plan, 4);
		plan.number[3] = 1;
		/* The odd one comes last, or rank 2 comes when rank 0 knows already. */
		plan.delay_ms[variant < 3 ? 3 : 2] = 300;
		if (variant % 3 == 1)
			plan.host[2] = plan.host[3] = 1;
		if (variant % 3 == 2)
			plan.host[1] = plan.host[2] = plan.host[3] = 1;
		run(&plan, true);
		for (int i = 0; i < plan.n; i++) {
			cr_assert(eq(int, plan.reports[i].status, TUTTI_ERR_MISMATCH), "variant %d rank %d: %s",
			    variant, i, plan.reports[i].error.message);
			cr_assert(names(&plan.reports[i].error, 1));
		}
		plan_fini(&plan);
	}
}

Test(world_refused, different_sizes_are_an_error_on_all)
{
	for (int variant = 0; variant < 4; variant++) {
		struct plan plan;

		plan_init(&plan, 4);
		plan.size[3] = 7;
		for (int i = 1; i < 4; i++)
			plan.delay_ms[i] = variant < 2 ? 60 * i : 60 * (4 - i);
		if (variant % 2 == 1)
			plan.host[2] = plan.host[3] = 1;
		run(&plan, false);
		for (int i = 0; i < plan.n; i++) {
			/* Three of four can never be complete. */
			cr_assert(eq(int, plan.reports[i].status, TUTTI_ERR_MISMATCH), "rank %d: %s", i,
			    plan.reports[i].error.message);
			cr_assert(names(&plan.reports[i].error, 3) && names(&plan.reports[i].error, 0));
		}
		plan_fini(&plan);
	}
}

/* Rank 0 says least: it cannot know by its own size when all have been told. */
Test(world_refused, ranks_that_rank_0_does_not_know_of_are_told_too)
{
	struct plan plan;

	plan_init(&plan, 4);
	plan.size[0] = 2;
	plan.delay_ms[3] = 300;
	run(&plan, true);
	for (int i = 0; i < plan.n; i++)
		cr_assert(eq(int, plan.reports[i].status, TUTTI_ERR_MISMATCH), "rank %d: %s", i,
		    plan.reports[i].error.message);
	plan_fini(&plan);
}

Test(world_refused, a_wrong_key_is_refused_and_the_others_learn_who_is_missing)
{
	struct plan plan;

	plan_init(&plan, 3);
	plan.timeout_ms = 2500;
	plan.wrong_key[2] = true;
	run(&plan, true);
	cr_assert(eq(int, plan.reports[2].status, TUTTI_ERR_AUTH), "%s", plan.reports[2].error.message);
	for (int i = 0; i < 2; i++) {
		cr_assert(eq(int, plan.reports[i].status, TUTTI_ERR_TIMEOUT));
		cr_assert(names(&plan.reports[i].error, 2));
	}
	plan_fini(&plan);
}

/* ---- deaths ----------------------------------------------------------------------------------------------- */

/* Ranks 0 to n-2 come, the last one does not; `victim` is killed while all wait for it. */
static void
kill_while_waiting(struct plan *plan, int victim)
{
	pid_t pids[MOST];

	plan->timeout_ms = 10000;
	plan->absent[plan->n - 1] = true;
	start_processes(plan, pids);
	usleep(300000);
	kill(pids[victim], SIGKILL);
	wait_processes(plan, pids);
	for (int i = 0; i < plan->n - 1; i++) {
		const struct report *report = &plan->reports[i];

		if (i == victim)
			continue;
		cr_assert(eq(int, report->status, TUTTI_ERR_PEER), "victim %d rank %d: %s", victim, i,
		    report->error.message);
		cr_assert(names(&report->error, victim), "victim %d rank %d: %s", victim, i, report->error.message);
	}
}

Test(world_refused, a_rank_that_dies_is_named_on_all)
{
	/* Rank 0, a member of its node, the leader of another node (whoever was first) and its member. */
	for (int victim = 0; victim < 5; victim++) {
		struct plan plan;

		plan_init(&plan, 6);
		plan.host[2] = plan.host[3] = plan.host[4] = 1;
		plan.delay_ms[3] = plan.delay_ms[4] = 100;
		kill_while_waiting(&plan, victim);
		plan_fini(&plan);
	}
}

/* ---- strangers -------------------------------------------------------------------------------------------- */

enum { SILENT, GARBAGE, TRUNCATED, CLOSING, HUGE, KINDS };

static void
annoy(const struct tt_address *address, int kind, int fds[], int *n)
{
	unsigned char bytes[4096];
	size_t done;
	int fd;

	if (tt_connect_tcp(address, &fd) != TUTTI_OK)
		return;
	poll(&(struct pollfd){fd, POLLOUT, 0}, 1, 1000);
	memset(bytes, kind == HUGE ? 0xff : 'x', sizeof(bytes));
	if (kind == TRUNCATED)
		/* The beginning of a real hello. */
		memcpy(bytes, "tutti\x1a\r\n\1\0\0\0\1\0\0\0", 16);
	if (kind == GARBAGE || kind == HUGE)
		tt_write_some(fd, bytes, kind == HUGE ? sizeof(bytes) : TT_HELLO_MESSAGE, &done);
	if (kind == TRUNCATED)
		tt_write_some(fd, bytes, 40, &done);
	if (kind == CLOSING)
		tt_fd_close(fd);
	else
		fds[(*n)++] = fd;
}

Test(world_refused, a_flood_of_strangers_stops_nothing)
{
	static int fds[1200];
	const int before = count_fds();
	struct plan plan;
	int n = 0;

	plan_init(&plan, 8);
	for (int i = 4; i < 8; i++)
		plan.host[i] = i;
	for (int i = 0; i < 900; i++)
		annoy(&plan.rendezvous.addresses[0], i % KINDS, fds, &n);
	run_threads(&plan);
	expect_complete(&plan, 5);
	for (int i = 0; i < n; i++)
		tt_fd_close(fds[i]);
	plan_fini(&plan);
	cr_assert(eq(int, count_fds(), before));
}

Test(world_refused, bad_arguments_are_told_apart)
{
	struct tt_world_config config = {.rank = 3, .size = 3, .log = TT_LOG_NONE};
	struct tt_world *world = NULL;

	cr_assert(eq(int, tt_world_create(&config, &world), TUTTI_ERR_ARGUMENT));
	config.rank = 1;
	cr_assert(eq(int, tt_world_create(&config, &world), TUTTI_ERR_ARGUMENT));
	config.size = 0;
	cr_assert(eq(int, tt_world_create(&config, &world), TUTTI_ERR_ARGUMENT));
}

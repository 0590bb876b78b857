/* SPDX-License-Identifier: Apache-2.0
 *
 * test_world.c - the ranks of a world find each other.
 */
#include "world_ranks.h"

TestSuite(world, .timeout = 50);

/* ---- finding each other ----------------------------------------------------------------------------------- */

Test(world, threads_of_one_process_share_a_node)
{
	static const int sizes[] = {1, 2, 3, 7, 16};
	const int before = count_fds();

	for (size_t i = 0; i < TT_COUNT_OF(sizes); i++) {
		struct plan plan;

		plan_init(&plan, sizes[i]);
		run_threads(&plan);
		expect_one_node(&plan);
		plan_fini(&plan);
	}
	cr_assert(eq(int, count_fds(), before));
}

Test(world, processes_of_one_host_share_a_node)
{
	static const int sizes[] = {2, 3, 5, 16};
	const int before = count_fds();

	for (size_t i = 0; i < TT_COUNT_OF(sizes); i++) {
		struct plan plan;

		plan_init(&plan, sizes[i]);
		run_processes(&plan);
		expect_one_node(&plan);
		plan_fini(&plan);
	}
	cr_assert(eq(int, count_fds(), before));
}

Test(world, ranks_may_start_in_any_order)
{
	for (unsigned seed = 1; seed <= 6; seed++) {
		struct plan plan;
		unsigned random = seed;

		plan_init(&plan, 8);
		for (int i = 0; i < plan.n; i++) {
			random = random * 1103515245u + 12345u;
			plan.delay_ms[i] = (int)(random >> 16) % 40;
			plan.host[i] = i == 0 ? 0 : (int)(random >> 24) % 3;
		}
		if (seed % 2 == 0)
			run_processes(&plan);
		else
			run_threads(&plan);
		for (int i = 0; i < plan.n; i++) {
			cr_assert(plan.reports[i].status == TUTTI_OK, "%s", plan.reports[i].error.message);
			cr_assert(plan.reports[i].exchanged);
			for (int j = 0; j < plan.n; j++) {
				const bool one_host = plan.host[i] == plan.host[j];

				cr_assert(one_host == (plan.reports[i].node == plan.reports[j].node));
			}
		}
		plan_fini(&plan);
	}
}

Test(world, ranks_that_share_no_memory_are_nodes_of_their_own)
{
	for (int processes = 0; processes < 2; processes++) {
		struct plan plan;

		plan_init(&plan, 5);
		for (int i = 0; i < plan.n; i++)
			plan.separate[i] = true;
		if (processes)
			run_processes(&plan);
		else
			run_threads(&plan);
		expect_complete(&plan, 5);
		for (int i = 0; i < plan.n; i++) {
			cr_assert(eq(int, plan.reports[i].node, i));
			cr_assert(eq(int, plan.reports[i].segment, 0));
		}
		plan_fini(&plan);
	}
}

Test(world, some_share_memory_and_some_do_not)
{
	struct plan plan;

	plan_init(&plan, 6);
	plan.separate[1] = plan.separate[4] = true;
	run_processes(&plan);
	expect_complete(&plan, 3);
	for (int i = 0; i < plan.n; i++) {
		cr_assert(eq(int, plan.reports[i].nlocal, plan.separate[i] ? 1 : 4));
		cr_assert(plan.reports[i].shared == !plan.separate[i]);
	}
	cr_assert(eq(int, plan.reports[1].node, 1));
	cr_assert(eq(int, plan.reports[4].node, 2));
	plan_fini(&plan);
}

Test(world, a_rank_that_cannot_take_the_memory_is_a_node_of_its_own)
{
	struct plan plan;

	plan_init(&plan, 4);
	plan.few_fds[2] = true;
	run_processes(&plan);
	expect_complete(&plan, 2);
	for (int i = 0; i < plan.n; i++) {
		cr_assert(eq(int, plan.reports[i].nlocal, i == 2 ? 1 : 3));
		cr_assert(plan.reports[i].shared == (i != 2));
	}
	plan_fini(&plan);
}

Test(world, transports_tcp_shares_no_memory)
{
	struct plan plan;

	plan_init(&plan, 3);
	free(plan.settings.text[TT_SET_TRANSPORTS]);
	plan.settings.text[TT_SET_TRANSPORTS] = strdup("tcp");
	run_threads(&plan);
	expect_complete(&plan, 3);
	plan_fini(&plan);
}

Test(world, hosts_meet_over_tcp)
{
	const int before = count_fds();

	for (int processes = 0; processes < 2; processes++) {
		struct plan plan;

		plan_init(&plan, 9);
		for (int i = 0; i < plan.n; i++)
			plan.host[i] = i / 3;
		if (processes)
			run_processes(&plan);
		else
			run_threads(&plan);
		expect_complete(&plan, 3);
		for (int i = 0; i < plan.n; i++) {
			cr_assert(eq(int, plan.reports[i].node, i / 3));
			cr_assert(eq(int, plan.reports[i].local_rank, i % 3));
			cr_assert(plan.reports[i].shared);
		}
		plan_fini(&plan);
	}
	cr_assert(eq(int, count_fds(), before));
}

Test(world, leaders_beyond_the_fanout_are_taken_in_further_down)
{
	struct plan plan;

	plan_init(&plan, 24);
	plan.fanout = 2;
	for (int i = 0; i < plan.n; i++)
		plan.host[i] = i;
	run_threads(&plan);
	expect_complete(&plan, 24);
	plan_fini(&plan);
}

Test(world, without_addresses_the_ranks_of_one_host_meet)
{
	struct plan plan;

	plan_init(&plan, 4);
	for (int i = 0; i < plan.meeting.ntcp; i++)
		tt_fd_close(plan.meeting.tcp[i]);
	plan.meeting.ntcp = plan.rendezvous.naddresses = 0;
	run_processes(&plan);
	expect_one_node(&plan);
	plan_fini(&plan);
}

/* Where the rendezvous is derived and not handed out, the others may be there before rank 0. */
static void
rank_zero_listens_late(struct plan *plan)
{
	tt_meeting_close(&plan->meeting);
	plan->opens_late = true;
	plan->delay_ms[0] = 400;
	run_threads(plan);
}

Test(world, ranks_wait_for_a_rank_0_that_listens_late)
{
	struct plan plan;

	plan_init(&plan, 6);
	rank_zero_listens_late(&plan);
	expect_one_node(&plan);
	plan_fini(&plan);
}

Test(world, hosts_wait_for_a_rank_0_that_listens_late)
{
	struct plan plan;

	plan_init(&plan, 6);
	plan.host[3] = plan.host[4] = 1;
	rank_zero_listens_late(&plan);
	expect_complete(&plan, 2);
	plan_fini(&plan);
}

Test(world, ports_are_tried_in_turn)
{
	struct plan plan;
	struct tt_address taken;
	int blocker;

	plan_init(&plan, 4);
	plan.rendezvous.ports = 4;
	plan.rendezvous.port_step = 7;
	tt_meeting_close(&plan.meeting);
	taken = plan.rendezvous.addresses[0];
	cr_assert(tt_listen_tcp(&taken, NULL, &blocker) == TUTTI_OK);
	plan.host[2] = plan.host[3] = 1;
	plan.opens_late = true;
	run_threads(&plan);
	expect_complete(&plan, 2);
	tt_fd_close(blocker);
	plan_fini(&plan);
}

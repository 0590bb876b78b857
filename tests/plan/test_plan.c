/* SPDX-License-Identifier: Apache-2.0
 *
 * test_plan.c - promises of the plan language's own parts: builder, printer, cache, checker, simulator, table.
 *
 * TAP on standard output.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/port.h"
#include "world.h"

static int done, failed;

static void
ok(bool holds, const char *promise)
{
	printf("%sok %d - %s\n", holds ? "" : "not ", ++done, promise);
	failed += !holds;
}

static const struct tt_algorithm *
find(enum tt_collective collective, const char *name)
{
	const struct tt_algorithm *a = tt_algorithm_find(collective, name);

	if (!a) {
		printf("Bail out! no %s %s\n", tt_collective_name(collective), name);
		exit(1);
	}
	return a;
}

/* ---- names and the table ------------------------------------------------------------------------------------- */

static void
test_names(void)
{
	bool same = true, unique = true;

	for (int c = 0; c < TT_COLLECTIVES; c++)
		same = same && tt_collective_parse(tt_collective_name((enum tt_collective)c)) == c;
	ok(same, "a collective's name is parsed to the collective");
	ok(tt_collective_parse("all_reduce_") == -1, "an unknown name is no collective");
	for (size_t i = 0; tt_algorithms[i]; i++)
		unique = unique &&
			 tt_algorithm_find(tt_algorithms[i]->collective, tt_algorithms[i]->name) == tt_algorithms[i];
	ok(unique, "names of algorithms are unique within a collective");
}

static void
test_serves(void)
{
	const struct tt_algorithm *node = find(TT_ALL_REDUCE, "node");
	const int node_of[4] = {0, 0, 1, 1};
	struct tt_shape shape = {.collective = TT_ALL_REDUCE, .nranks = 4, .node_of = node_of, .nnodes = 2};
	const char *why = NULL;

	ok(!tt_algorithm_serves(node, &shape, &why) && why, "an algorithm for one node says why it cannot serve two");
	shape.collective = TT_BARRIER;
	ok(!tt_algorithm_serves(node, &shape, &why) && why, "an algorithm serves its own collective only");
	shape.collective = TT_ALL_REDUCE;
	ok(tt_algorithm_serves(find(TT_ALL_REDUCE, "ring"), &shape, &why) && !why, "the ring serves any nodes");
}

static void
test_every_collective(void)
{
	bool all = true;

	for (int c = 0; c < TT_COLLECTIVES; c++) {
		bool found = false, uneven = false;

		for (size_t i = 0; tt_algorithms[i]; i++) {
			const struct tt_algorithm *a = tt_algorithms[i];

			if ((int)a->collective != c || (a->flags & (TT_ALG_ONE_NODE | TT_ALG_POWER_OF_TWO)))
				continue;
			found = true;
			uneven = uneven || (a->flags & TT_ALG_UNEVEN);
		}
		const bool rows = tt_collective_in_rows((enum tt_collective)c, 2) == 2 ||
				  tt_collective_out_rows((enum tt_collective)c, 2) == 2;
		all = all && found && (uneven || !rows);
	}
	ok(all, "every collective has an algorithm for any ranks, and for uneven rows where it has rows");
}

static void
test_costs(void)
{
	bool sane = true;

	for (size_t i = 0; tt_algorithms[i]; i++)
		for (int n = 1; n <= 1024; n = 2 * n + 1) {
			const struct tt_algorithm_cost c = tt_algorithms[i]->cost(n, n > 2 ? n / 2 : 1);

			sane = sane && c.messages >= 0 && c.overheads >= 0 && c.bytes >= 0 && c.reduced >= 0 &&
			       c.copied >= 0 && c.messages <= 4 * n + 16 && c.bytes <= 2 * n;
		}
	ok(sane, "costs are finite and not negative");
}

/* ---- builder and printer ------------------------------------------------------------------------------------- */

static const struct tt_shape pair = {.collective = TT_ALL_REDUCE, .rank = 0, .nranks = 2, .nnodes = 2};

static void
test_builder(void)
{
	struct tt_plan plan;

	tt_plan_init(&plan, "test", &pair);
	tt_plan_send(&plan, 2, tt_span_rows(TT_IN, 0, 1));
	tt_plan_send(&plan, 1, tt_span_rows(TT_IN, 0, 1));
	ok(tt_plan_end(&plan) == TUTTI_ERR_INTERNAL && plan.nsteps == 0, "the builder's first failure sticks");
	ok(strstr(tt_last_error()->message, "peer") != NULL, "the failure says what is wrong");
	tt_plan_fini(&plan);
	tt_plan_fini(&plan);

	tt_plan_init(&plan, "test", &pair);
	tt_plan_recv(&plan, 1, tt_span_rows(TT_IN, 0, 1));
	ok(tt_plan_end(&plan) == TUTTI_ERR_INTERNAL, "the builder refuses to write the send buffer");
	tt_plan_fini(&plan);

	tt_plan_init(&plan, "test", &pair);
	tt_plan_tmp(&plan, 1, 1, 4);
	tt_plan_recv(&plan, 1, tt_span_slot(0, 0, 0, 1, 1));
	ok(tt_plan_end(&plan) == TUTTI_ERR_INTERNAL, "the builder refuses a slot that is too small");
	tt_plan_fini(&plan);

	tt_plan_init(&plan, "test", &pair);
	tt_plan_wait(&plan);
	tt_plan_send(&plan, 1, tt_span_rows(TT_IN, 0, 1));
	tt_plan_recv(&plan, 1, tt_span_part(TT_OUT, 0, 2, 2, 3));
	ok(tt_plan_end(&plan) == TUTTI_OK && plan.nsteps == 3 && plan.steps[2].kind == TT_WAIT,
	    "waits for nothing are left out, and the last wait is added");
	ok(plan.posted_most == 2 && plan.pieces_most == 2,
	    "a plan knows how much is posted at once, in how many pieces");
	tt_plan_fini(&plan);
}

static void
test_parts(void)
{
	bool fine = true, enough = true;

	for (size_t n = 0; n < 40; n++)
		for (size_t of = 1; of < 9; of++) {
			size_t at = 0;

			for (size_t k = 0; k < of; k++) {
				size_t begin, len;

				tt_part(n, of, k, &begin, &len);
				fine = fine && begin == at && len >= n / of && len <= n / of + 1;
				at = begin + len;
				for (size_t parts = 1; parts <= of; parts++) {
					const struct tt_plan plan = {.tmp_parts = (int)parts, .tmp_of = (int)of};
					size_t sum = 0, first;

					for (size_t j = 0; j < parts; j++) {
						tt_part(n, of, (k + j) % of, &first, &len);
						sum += len;
					}
					enough = enough && tt_slot_count(&plan, n) >= sum &&
						 tt_slot_count(&plan, n + 1) >= sum;
				}
			}
			fine = fine && at == n;
		}
	ok(fine, "the parts of a row are balanced and cover it");
	ok(enough, "a slot holds any consecutive parts of any row that is not wider");
}

static void
test_printer(void)
{
	struct job job;
	char text[2048], small[32];

	job_make(&job, find(TT_ALL_REDUCE, "ring"), 4, 0, OUT_OF_PLACE, NULL, 4);
	const size_t length = tt_plan_print(&job.plans[1], text, sizeof(text));

	ok(length == strlen(text) && strstr(text, "send to 2 in[0] 1+1/4") && strstr(text, "recv_reduce from 0"),
	    "a plan is printed one step per line");
	ok(tt_plan_print(&job.plans[1], small, sizeof(small)) == length && strlen(small) == sizeof(small) - 1,
	    "a page that is too small is filled, and the length needed is told");
	ok(tt_plan_print(&job.plans[1], NULL, 0) == length, "the length can be asked for without a page");
	job_drop(&job);
}

/* ---- cache --------------------------------------------------------------------------------------------------- */

static int made;

static tutti_status
make_counted(const struct tt_shape *shape, struct tt_plan *plan)
{
	made++;
	tt_plan_init(plan, "counted", shape);
	for (int r = 0; r < shape->nranks; r++)
		if (r != shape->rank)
			tt_plan_send(plan, r, tt_span_rows(TT_IN, 0, 1));
	return tt_plan_end(plan);
}

static tutti_status
make_failing(const struct tt_shape *shape, struct tt_plan *plan)
{
	tt_plan_init(plan, "failing", shape);
	tt_plan_send(plan, shape->rank, tt_span_rows(TT_IN, 0, 1));
	return tt_plan_end(plan);
}

static void
test_cache(void)
{
	struct tt_plan_cache *cache;
	const struct tt_plan *first, *second, *again;
	struct tt_shape shape = {.collective = TT_BROADCAST, .nranks = 200};

	if (tt_plan_cache_create(1 << 16, &cache) != TUTTI_OK)
		exit(1);
	made = 0;
	tt_plan_cache_get(cache, make_counted, &shape, &first);
	tt_plan_cache_get(cache, make_counted, &shape, &again);
	ok(first == again && made == 1, "a plan is made once");
	tt_plan_unpin(cache, again);
	for (int root = 0; root < 50; root++) {
		struct tt_shape other = shape;

		other.collective = TT_ALL_REDUCE;
		other.rank = root;
		tt_plan_cache_get(cache, make_counted, &other, &second);
		tt_plan_unpin(cache, second);
	}
	ok(first->nsteps == 200 && first->shape.collective == TT_BROADCAST, "a pinned plan stays");
	made = 0;
	shape.collective = TT_ALL_REDUCE;
	shape.rank = 49;
	tt_plan_cache_get(cache, make_counted, &shape, &again);
	tt_plan_unpin(cache, again);
	ok(made == 0, "the plan used last is still there");
	shape.rank = 0;
	tt_plan_cache_get(cache, make_counted, &shape, &again);
	tt_plan_unpin(cache, again);
	ok(made == 1, "the plan used least recently has gone");
	ok(tt_plan_cache_get(cache, make_failing, &shape, &again) == TUTTI_ERR_INTERNAL,
	    "a maker's failure is passed on");
	tt_plan_unpin(cache, first);
	tt_plan_cache_destroy(cache);
	tt_plan_cache_destroy(NULL);
}

/* ---- checker ------------------------------------------------------------------------------------------------- */

/* Two ranks, all_reduce of 4 elements: says what the checker says to this rank 0 against the real rank 1. */
static bool
refused(struct tt_plan *plan, const char *saying)
{
	struct tt_check_report report;
	struct job job;

	tt_plan_end(plan);
	job_make(&job, find(TT_ALL_REDUCE, "oneshot"), 2, 0, OUT_OF_PLACE, NULL, 2);
	job.list[0] = plan;
	tt_plan_check(
	    job.list, 2, &(struct tt_check_options){.count = 4, .slices = 1, .window = 1, .rounds = 1}, &report);
	job_drop(&job);
	tt_plan_fini(plan);
	if (!report.ok && strstr(report.message, saying))
		return true;
	printf("# %s\n", report.ok ? "accepted" : report.message);
	return false;
}

static void
start_pair(struct tt_plan *plan)
{
	tt_plan_init(plan, "test", &pair);
	tt_plan_tmp(plan, 1, 1, 1);
}

static void
test_checker(void)
{
	const struct tt_span in = tt_span_rows(TT_IN, 0, 1), out = tt_span_rows(TT_OUT, 0, 1);
	const struct tt_span slot = tt_span_slot(0, 0, 0, 1, 1), both[2] = {in, slot}, twice[2] = {in, in};
	struct tt_plan plan;

	start_pair(&plan);
	tt_plan_send(&plan, 1, in);
	tt_plan_recv(&plan, 1, slot);
	tt_plan_reduce(&plan, out, both, 2, TT_FINAL);
	ok(refused(&plan, "still writing"), "the checker sees a receive read before its wait");

	start_pair(&plan);
	tt_plan_send(&plan, 1, in);
	tt_plan_wait(&plan);
	tt_plan_recv(&plan, 1, slot);
	tt_plan_wait(&plan);
	tt_plan_reduce(&plan, out, twice, 2, TT_FINAL);
	ok(refused(&plan, "counted twice"), "the checker sees a contribution counted twice");

	start_pair(&plan);
	tt_plan_recv(&plan, 1, slot);
	tt_plan_wait(&plan);
	tt_plan_reduce(&plan, out, both, 2, TT_FINAL);
	ok(refused(&plan, "deadlock"), "the checker sees a deadlock");

	start_pair(&plan);
	tt_plan_send(&plan, 1, in);
	tt_plan_recv(&plan, 1, slot);
	tt_plan_wait(&plan);
	tt_plan_reduce(&plan, out, both, 2, 0);
	ok(refused(&plan, "final"), "the checker sees a result that nobody called final");

	start_pair(&plan);
	tt_plan_send(&plan, 1, in);
	tt_plan_recv(&plan, 1, tt_span_slot(0, 0, 0, 1, 2));
	tt_plan_wait(&plan);
	tt_plan_reduce(&plan, out, both, 2, TT_FINAL);
	ok(refused(&plan, "receives 2 elements"), "the checker sees different lengths");

	start_pair(&plan);
	tt_plan_send(&plan, 1, in);
	tt_plan_recv(&plan, 1, slot);
	tt_plan_wait(&plan);
	tt_plan_reduce(&plan, out, (struct tt_span[]){slot, in}, 2, TT_FINAL);
	ok(refused(&plan, "different orders"), "the checker sees ranks that add in different orders");

	start_pair(&plan);
	tt_plan_send(&plan, 1, in);
	tt_plan_recv(&plan, 1, slot);
	tt_plan_wait(&plan);
	tt_plan_reduce(&plan, tt_span_part(TT_OUT, 0, 0, 1, 2),
	    (struct tt_span[]){tt_span_part(TT_IN, 0, 0, 1, 2), tt_span_slot(0, 0, 0, 1, 2)}, 2, TT_FINAL);
	ok(refused(&plan, "never written"), "the checker sees a result that is not complete");
}

/* ---- simulator ----------------------------------------------------------------------------------------------- */

static double
seconds(const char *algorithm, int n, size_t bytes, const struct tt_machine *machine, int slices, int window)
{
	struct job job;
	double s = -1;

	job_make(&job, find(TT_ALL_REDUCE, algorithm), n, 0, OUT_OF_PLACE, NULL, n);
	if (tt_plan_simulate(job.list, n, NULL, machine, bytes, slices, window, &s) != TUTTI_OK)
		exit(1);
	job_drop(&job);
	return s;
}

static bool
close_to(double a, double b)
{
	return fabs(a - b) <= 1e-12 * fabs(b);
}

static void
test_simulator(void)
{
	const double alpha = 15e-6, beta = 0.32e-9, overhead = 3e-6;
	const struct tt_machine plain = {.between_nodes = {.latency_s = alpha, .s_per_byte = beta}};
	const struct tt_machine busy = {.between_nodes = {.latency_s = alpha, .overhead_s = overhead}};
	const int ranks[] = {2, 3, 8, 32};
	bool ring = true, oneshot = true;

	for (size_t i = 0; i < TT_COUNT_OF(ranks); i++) {
		const int n = ranks[i];
		const size_t bytes = (size_t)n * 4096;

		ring = ring && close_to(seconds("ring", n, bytes, &plain, 1, 1), 2 * (n - 1) * (alpha + beta * 4096));
		oneshot = oneshot && close_to(seconds("oneshot", n, 8, &busy, 1, 1), alpha + (n - 2) * overhead);
	}
	ok(ring, "the ring costs 2(n-1)(alpha + beta m/n) exactly");
	ok(oneshot, "the one-shot costs alpha + (n-2) o exactly");
	ok(close_to(seconds("direct", 8, 8 * 4096, &plain, 1, 1), 2 * (alpha + 7 * beta * 4096)),
	    "the direct one costs 2 alpha + 2 (n-1)/n m beta exactly");
	ok(seconds("tree", 16, 1 << 22, &plain, 32, 4) < 0.7 * seconds("tree", 16, 1 << 22, &plain, 1, 1),
	    "slices overlap in a tree");
}

/* Ranks that share a core take turns only when one waits: with one core for all, each rank of the one-shot posts all its
 * messages in one go, waits, and is given the core once more. */
static void
test_simulator_of_shared_cores(void)
{
	const double turn = 1e-6, call = 1e-5;
	const int one[9] = {0}, two[4] = {0, 1, 0, 1};
	struct tt_machine m = {.turn_s = turn, .call_s = call, .cores = 1, .core_of = one};
	double alone, pairs;

	/* Three ranks wait in the middle of their call while the core goes round: half of those turns are in vain. */
	alone = seconds("oneshot", 4, 8, &m, 1, 1);
	ok(alone > 4 * call + 3 * turn && alone < 4 * call + 16 * turn,
	    "four ranks of one core take turns when they wait");
	m.cores = 2;
	m.core_of = two;
	pairs = seconds("oneshot", 4, 8, &m, 1, 1);
	ok(pairs > 2 * call + turn && pairs < 2 * call + 8 * turn, "two cores work at the same time");
	m.core_of = NULL;
	ok(close_to(seconds("oneshot", 4, 8, &m, 1, 1), call), "a core for each: nobody changes over");
	m.core_of = one;
	for (int n = 2; n <= 9; n++)
		for (int window = 1; window <= 4; window++)
			alone = seconds("tree", n, 1 << 16, &m, 8, window);
	ok(alone > 0, "plans of several slices end on a core that is shared");
}

static void
test_simulator_of_nodes(void)
{
	const struct tt_machine m = {
	    .same_node = {.latency_s = 1e-6}, .reduce_s_per_byte = 1e-10, .copy_s_per_byte = 2e-10};
	const struct tt_algorithm *node = find(TT_ALL_REDUCE, "node");
	struct tt_plan plans[4];
	const struct tt_plan *list[4];
	const int node_of[4] = {0, 0, 0, 0};
	double s = 0;

	for (int r = 0; r < 4; r++) {
		const struct tt_shape shape = {
		    .collective = TT_ALL_REDUCE, .rank = r, .nranks = 4, .node_of = node_of, .nnodes = 1};

		node->make(&shape, &plans[r]);
		list[r] = &plans[r];
	}
	tt_plan_simulate(list, 4, node_of, &m, 1 << 20, 1, 1, &s);
	ok(close_to(s, 2e-6 + (1 << 20) * (1.75 * 2e-10 + 1e-10)), "a node-stage step is priced as it stands");
	tt_plan_simulate(list, 4, node_of, &m, 8, 1, 1, &s);
	ok(s < 1.1e-6, "a small one takes one synchronization");
	plans[2].nsteps = 0;
	ok(tt_plan_simulate(list, 4, node_of, &m, 8, 1, 1, &s) == TUTTI_ERR_INTERNAL,
	    "plans that never end are an error");
	plans[2].nsteps = 1;
	for (int r = 0; r < 4; r++)
		tt_plan_fini(&plans[r]);
}

static void
test_simulator_of_single_copies(void)
{
	const struct tt_machine m = {.copy_s_per_byte = 2e-10,
	    .kept_s_per_byte = 5e-11,
	    .meet_s = 1e-7,
	    .far_s_per_byte = 1e-10,
	    .far_call_s = 1e-6,
	    .far_least = 1 << 16,
	    .far_most = 1 << 24,
	    .far_most_of_root = 1 << 26};
	const struct tt_algorithm *node = find(TT_ALL_TO_ALL, "node");
	const int node_of[4] = {0, 0, 0, 0};
	const double row = 1 << 20, small = 1 << 12;
	struct tt_plan plans[4];
	const struct tt_plan *list[4];
	double s = 0;

	for (int r = 0; r < 4; r++) {
		const struct tt_shape shape = {
		    .collective = TT_ALL_TO_ALL, .rank = r, .nranks = 4, .node_of = node_of, .nnodes = 1};

		node->make(&shape, &plans[r]);
		list[r] = &plans[r];
	}
	tt_plan_simulate(list, 4, node_of, &m, 1 << 20, 1, 1, &s);
	ok(close_to(s, 2e-7 + 3 * (1e-6 + row * 1e-10) + row * 5e-11),
	    "rows that the kernel copies cost a call and a copy each, and another meeting");
	tt_plan_simulate(list, 4, node_of, &m, 1 << 12, 1, 1, &s);
	ok(close_to(s, 1e-7 + 3 * small * 4e-10 + small * 5e-11), "small ones are copied twice");
	for (int r = 0; r < 4; r++)
		tt_plan_fini(&plans[r]);
}

int
main(void)
{
	test_names();
	test_serves();
	test_every_collective();
	test_costs();
	test_builder();
	test_parts();
	test_printer();
	test_cache();
	test_checker();
	test_simulator();
	test_simulator_of_shared_cores();
	test_simulator_of_nodes();
	test_simulator_of_single_copies();
	printf("1..%d\n", done);
	return failed != 0;
}

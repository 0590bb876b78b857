/* SPDX-License-Identifier: Apache-2.0
 *
 * job_groups.c - runs the scenarios of groups.h on ranks that are processes or threads, or on a launcher's.
 *
 *     job_groups [-n RANKS | --env] [--threads] [--transports LIST] [--steps N] [--seed N] [SCENARIO ...]
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "groups.h"

#define LIMIT_S 100

int
groups_comm(struct job_rank *me, int reproducible, tutti_comm **comm)
{
	const struct plan *plan = me->context;
	tutti_config config = TUTTI_CONFIG_INIT;
	tutti_status status;

	config.transports = plan->transports;
	config.timeout_ms = 60000;
	config.reproducible = reproducible;
	if (plan->env)
		status = tutti_comm_split(plan->world, 0, me->rank, &config, comm);
	else
		status = job_comm(me, &config, comm);
	return status == TUTTI_OK ? 0 : job_complain_status(me, status, "creation");
}

int
groups_check(struct job_rank *me, tutti_status status, const char *what)
{
	return status == TUTTI_OK ? 0 : job_complain_status(me, status, "%s", what);
}

static int
run_one(const struct plan *plan, const struct scenario *scenario)
{
	struct job job = {.size = plan->size, .threads = plan->threads, .limit_s = LIMIT_S, .context = plan};
	struct job_slot slot = {.result = 0};
	struct job_rank me = {
	    .rank = tutti_comm_rank(plan->world), .size = plan->size, .context = plan, .slot = &slot};

	if (!plan->env)
		return job_run(&job, scenario->body, scenario->name);
	if (scenario->body(&me) == 0)
		return 0;
	fprintf(stderr, "rank %d: %s\n", me.rank, slot.text);
	return 1;
}

/* Returns how many failed. */
static int
run_all(const struct plan *plan, const struct scenario *scenario, char **names, int nnames, int *ran)
{
	int failed = 0;

	for (; scenario->name != NULL; scenario++) {
		bool wanted = nnames == 0;

		for (int i = 0; i < nnames; i++)
			wanted = wanted || strcmp(names[i], scenario->name) == 0;
		if (!wanted || plan->size < scenario->least || (plan->env && scenario->alone))
			continue;
		++*ran;
		if (run_one(plan, scenario) == 0)
			continue;
		fprintf(stderr, "FAILED on %d %s, %s, seed %llu: %s: %s\n", plan->size,
		    plan->threads ? "threads" : "processes",
		    plan->transports != NULL ? plan->transports : "any transport", (unsigned long long)plan->seed,
		    scenario->name, scenario->promise);
		failed++;
	}
	return failed;
}

static int
join(struct plan *plan)
{
	tutti_error error = TUTTI_ERROR_INIT;

	if (tutti_comm_create_from_env(NULL, &plan->world) == TUTTI_OK) {
		plan->size = tutti_comm_size(plan->world);
		return 0;
	}
	(void)tutti_last_error(&error);
	fprintf(stderr, "job_groups: %s\n", error.message);
	return 1;
}

static bool
parse(int argc, char **argv, struct plan *plan)
{
	static const struct option options[] = {{"threads", no_argument, NULL, 'T'}, {"env", no_argument, NULL, 'e'},
	    {"transports", required_argument, NULL, 't'}, {"steps", required_argument, NULL, 's'},
	    {"seed", required_argument, NULL, 'x'}, {NULL, 0, NULL, 0}};
	int o;

	while ((o = getopt_long(argc, argv, "n:", options, NULL)) != -1) {
		if (o == 'n')
			plan->size = job_number("-n", optarg, 1, JOB_RANKS);
		else if (o == 'T')
			plan->threads = true;
		else if (o == 'e')
			plan->env = true;
		else if (o == 't')
			plan->transports = optarg;
		else if (o == 's')
			plan->steps = job_number("--steps", optarg, 1, 1000000);
		else if (o == 'x')
			plan->seed = (uint64_t)job_number("--seed", optarg, 0, 1000000);
		else
			return false;
	}
	return true;
}

int
main(int argc, char **argv)
{
	struct plan plan = {.size = 3, .steps = 60, .seed = 1};
	int failed, ran = 0;

	if (!parse(argc, argv, &plan))
		return 2;
	if (plan.env && join(&plan) != 0)
		return 1;
	failed = run_all(&plan, chance_scenarios, argv + optind, argc - optind, &ran);
	failed += run_all(&plan, fused_scenarios, argv + optind, argc - optind, &ran);
	failed += run_all(&plan, trouble_scenarios, argv + optind, argc - optind, &ran);
	if (plan.world != NULL)
		tutti_comm_destroy(plan.world);
	if (ran == 0) {
		fputs("job_groups: no scenario fits\n", stderr);
		return 2;
	}
	printf("%d scenarios, %d failed\n", ran, failed);
	return failed == 0 ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * scenario.c - see scenario.h.
 */
#include "scenario.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#define LIMIT_S 60
#define TIMEOUT_MS 30000

tutti_config
scenario_config(const struct job_rank *me)
{
	const struct scenario_plan *plan = me->context;
	tutti_config config = TUTTI_CONFIG_INIT;

	config.transports = plan->transports;
	config.timeout_ms = TIMEOUT_MS;
	return config;
}

int
scenario_comm(struct job_rank *me, tutti_comm **comm)
{
	const tutti_config config = scenario_config(me);

	return scenario_check(me, job_comm(me, &config, comm), "creation");
}

int
scenario_check(struct job_rank *me, tutti_status status, const char *what)
{
	job_doing(me, "after %s", what);
	return status == TUTTI_OK ? 0 : job_complain_status(me, status, "%s", what);
}

int
scenario_error(struct job_rank *me, tutti_status got, tutti_status wanted, const char *what)
{
	tutti_error error = TUTTI_ERROR_INIT;

	(void)tutti_last_error(&error);
	if (got == wanted && error.status == wanted)
		return 0;
	return job_complain_status(me, got, "%s: not %s", what, tutti_status_string(wanted));
}

static bool
wanted(const struct scenario *scenario, const struct scenario_plan *plan, char **names, int nnames)
{
	bool named = nnames == 0;

	for (int i = 0; i < nnames; i++)
		named = named || strcmp(names[i], scenario->name) == 0;
	return named && plan->size >= scenario->least && !(plan->threads && scenario->processes);
}

/* Returns how many failed. */
static int
run_list(const struct scenario_plan *plan, const struct scenario *scenario, char **names, int nnames, int *ran)
{
	int failed = 0;

	for (; scenario->name != NULL; scenario++) {
		struct job job = {.size = plan->size, .threads = plan->threads, .limit_s = LIMIT_S, .context = plan};

		if (!wanted(scenario, plan, names, nnames))
			continue;
		++*ran;
		if (job_run(&job, scenario->body, scenario->name) == 0)
			continue;
		fprintf(stderr, "FAILED on %d %s, %s: %s: %s\n", plan->size, plan->threads ? "threads" : "processes",
		    plan->transports != NULL ? plan->transports : "any transport", scenario->name, scenario->promise);
		failed++;
	}
	return failed;
}

int
scenario_main(int argc, char **argv, const struct scenario *const *lists)
{
	static const struct option options[] = {
	    {"threads", no_argument, NULL, 'T'}, {"transports", required_argument, NULL, 't'}, {NULL, 0, NULL, 0}};
	struct scenario_plan plan = {.size = 3};
	int o, failed = 0, ran = 0;

	while ((o = getopt_long(argc, argv, "n:", options, NULL)) != -1) {
		if (o == 'n')
			plan.size = job_number("-n", optarg, 1, JOB_RANKS);
		else if (o == 'T')
			plan.threads = true;
		else if (o == 't')
			plan.transports = optarg;
		else
			return 2;
	}
	for (; *lists != NULL; lists++)
		failed += run_list(&plan, *lists, argv + optind, argc - optind, &ran);
	if (ran == 0) {
		fputs("no scenario fits\n", stderr);
		return 2;
	}
	printf("%d scenarios, %d failed\n", ran, failed);
	return failed == 0 ? 0 : 1;
}

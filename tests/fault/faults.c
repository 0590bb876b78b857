/* SPDX-License-Identifier: Apache-2.0
 *
 * faults.c - runs one scenario: faults SCENARIO [-n RANKS] [--transports LIST] [-s SEED].
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "faults.h"

static const struct scenario *const tables[] = {stop_scenarios, leave_scenarios, process_scenarios};

int
make_comm(struct job_rank *me, int64_t timeout_ms, tutti_comm **comm)
{
	const struct plan *plan = me->context;
	tutti_config config = TUTTI_CONFIG_INIT;
	tutti_status status;

	config.transports = plan->transports;
	config.timeout_ms = timeout_ms;
	status = job_comm(me, &config, comm);
	return status == TUTTI_OK ? 0 : job_complain_status(me, status, "creation");
}

static const struct scenario *
find(const char *name)
{
	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
		for (const struct scenario *s = tables[t]; s->name != NULL; s++)
			if (strcmp(s->name, name) == 0)
				return s;
	return NULL;
}

static int
usage(void)
{
	fputs("usage: faults SCENARIO [-n RANKS] [--transports LIST] [-s SEED]\n", stderr);
	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
		for (const struct scenario *s = tables[t]; s->name != NULL; s++)
			fprintf(stderr, "  %-18s %s\n", s->name, s->promise);
	return 2;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {{"transports", required_argument, NULL, 't'}, {NULL, 0, NULL, 0}};
	struct plan plan = {.size = 3, .seed = 1, .program = argv[0]};
	struct job job = {0};
	const struct scenario *scenario;
	int o;

	/* The program that has been started to say which descriptors it was given. */
	if (argc == 2 && strcmp(argv[1], "--count-descriptors") == 0)
		return job_descriptors();
	while ((o = getopt_long(argc, argv, "n:s:", options, NULL)) != -1) {
		if (o == 'n')
			plan.size = job_number("-n", optarg, 2, JOB_RANKS);
		else if (o == 's')
			plan.seed = job_number("-s", optarg, 0, 1 << 30);
		else if (o == 't')
			plan.transports = optarg;
		else
			return usage();
	}
	scenario = optind == argc - 1 ? find(argv[optind]) : NULL;
	if (scenario == NULL)
		return usage();
	job.size = plan.size;
	job.context = &plan;
	job_start(&job, scenario->body);
	if (scenario->drive != NULL)
		scenario->drive(&job, &plan);
	return job_finish(&job, scenario->name) == 0 ? 0 : 1;
}

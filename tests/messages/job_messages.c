/* SPDX-License-Identifier: Apache-2.0
 *
 * job_messages.c - runs the scenarios of messages.h on ranks that are processes or threads.
 *
 *     job_messages [-n RANKS] [--threads] [--transports LIST] [SCENARIO ...]     without a name: all that fit
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "messages.h"

#define LIMIT_S 40

int
messages_comm(struct job_rank *me, tutti_comm **comm)
{
	const struct plan *plan = me->context;
	tutti_config config = TUTTI_CONFIG_INIT;
	tutti_status status;

	config.transports = plan->transports;
	config.timeout_ms = 30000;
	status = job_comm(me, &config, comm);
	return status == TUTTI_OK ? 0 : job_complain_status(me, status, "creation");
}

int
messages_check(struct job_rank *me, tutti_status status, const char *what)
{
	job_doing(me, "after %s", what);
	return status == TUTTI_OK ? 0 : job_complain_status(me, status, "%s", what);
}

int
messages_error(struct job_rank *me, tutti_status got, tutti_status wanted, int rank, const char *what)
{
	tutti_error error = TUTTI_ERROR_INIT;

	(void)tutti_last_error(&error);
	if (got != wanted)
		return job_complain_status(me, got, "%s: not %s", what, tutti_status_string(wanted));
	if (error.status != wanted || error.sequence != 0 || (rank != -2 && error.rank != rank))
		return job_complain_status(me, got, "%s: rank %d and sequence 0 expected, not %llu", what, rank,
		    (unsigned long long)error.sequence);
	return 0;
}

unsigned char
messages_byte(int from, int to, int number, size_t i)
{
	return (unsigned char)(from * 31 + to * 17 + number * 7 + (int)(i % 251));
}

void
messages_fill(unsigned char *buffer, size_t bytes, int from, int to, int number)
{
	for (size_t i = 0; i < bytes; i++)
		buffer[i] = messages_byte(from, to, number, i);
}

bool
messages_right(const unsigned char *buffer, size_t bytes, int from, int to, int number)
{
	for (size_t i = 0; i < bytes; i++)
		if (buffer[i] != messages_byte(from, to, number, i))
			return false;
	return true;
}

/* Returns how many failed. */
static int
run_all(const struct plan *plan, const struct scenario *scenario, char **names, int nnames, int *ran)
{
	int failed = 0;

	for (; scenario->name != NULL; scenario++) {
		struct job job = {.size = plan->size, .threads = plan->threads, .limit_s = LIMIT_S, .context = plan};
		bool wanted = nnames == 0;

		for (int i = 0; i < nnames; i++)
			wanted = wanted || strcmp(names[i], scenario->name) == 0;
		if (!wanted || plan->size < scenario->least || (plan->threads && scenario->processes))
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
main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"threads", no_argument, NULL, 'T'}, {"transports", required_argument, NULL, 't'}, {NULL, 0, NULL, 0}};
	struct plan plan = {.size = 3};
	int o, failed, ran = 0;

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
	failed = run_all(&plan, data_scenarios, argv + optind, argc - optind, &ran);
	failed += run_all(&plan, group_scenarios, argv + optind, argc - optind, &ran);
	failed += run_all(&plan, trouble_scenarios, argv + optind, argc - optind, &ran);
	if (ran == 0) {
		fputs("job_messages: no scenario fits\n", stderr);
		return 2;
	}
	printf("%d scenarios, %d failed\n", ran, failed);
	return failed == 0 ? 0 : 1;
}

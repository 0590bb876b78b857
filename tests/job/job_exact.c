/* SPDX-License-Identifier: Apache-2.0
 *
 * job_exact.c - every collective gives exactly the right bytes: the campaigns of exact.h on ranks that this program
 * starts as processes or threads, or, with --env, on the ranks of any launcher.
 */
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exact.h"
#include "job.h"

#define MOST_TOLD 5

struct plan {
	int ranks, sample, limit_s;
	bool env, threads;
	long random;
	size_t most;
	uint64_t seed;
	const char *transports, *one;
};

struct teller {
	const struct plan *plan;
	struct job_rank *me;
	int rank, size;
	long told;
};

static void
usage(FILE *out)
{
	fputs("usage: job_exact [-n RANKS | --env] [--threads] [--transports LIST] [--seed N] [--sample K] [--limit "
	      "S]\n"
	      "                 [--random N [--most ELEMENTS] | --case \"...\"]\n"
	      "  -n RANKS         start so many ranks (2); --env: be one rank of a launcher's job\n"
	      "  --threads        ranks are threads of one process\n"
	      "  --sample K       one case in K of the matrix (1 = all)\n"
	      "  --random N       N cases by chance instead, counts up to ELEMENTS (100000)\n"
	      "  --long           all of the matrix, and 20000 cases by chance\n"
	      "  --case TEXT      the one case that a failure has printed\n",
	    out);
}

/* ---- one rank ------------------------------------------------------------------------------------------------------ */

static void
tell(void *context, const struct exact_case *c, const char *why)
{
	struct teller *teller = context;
	const struct plan *plan = teller->plan;
	char text[256], line[1400], where[64] = "--env";

	if (teller->told++ >= MOST_TOLD)
		return;
	exact_print(c, text, sizeof(text));
	if (!plan->env)
		snprintf(where, sizeof(where), "-n %d%s", teller->size, plan->threads ? " --threads" : "");
	snprintf(line, sizeof(line), "WRONG on rank %d of %d: %s\n  again: job_exact %s%s%s --case \"%s\"\n",
	    teller->rank, teller->size, why, where, plan->transports ? " --transports " : "",
	    plan->transports ? plan->transports : "", text);
	fputs(line, stderr);
}

static void
doing(void *context, const struct exact_case *c)
{
	struct teller *teller = context;
	char text[256];

	if (teller->me == NULL)
		return;
	exact_print(c, text, sizeof(text));
	job_doing(teller->me, "%s", text);
}

static bool
campaign(tutti_comm *comm, const struct plan *plan, struct exact_tally *tally)
{
	struct exact_case c;

	if (plan->one != NULL) {
		if (!exact_parse(plan->one, tutti_comm_size(comm), &c)) {
			fprintf(stderr, "--case \"%s\": not a case\n", plan->one);
			tally->wrong++;
			return false;
		}
		return exact_one(comm, &c, tally);
	}
	if (plan->sample > 0 && !exact_matrix(comm, plan->seed, plan->sample, tally))
		return false;
	return plan->random == 0 || exact_random(comm, plan->seed, plan->random, plan->most, tally);
}

/* Returns how many cases went wrong. */
static long
work(tutti_comm *comm, const struct plan *plan, struct job_rank *me)
{
	struct teller teller = {plan, me, tutti_comm_rank(comm), tutti_comm_size(comm), 0};
	struct exact_tally tally = {.tell = tell, .doing = doing, .context = &teller};
	const bool whole = campaign(comm, plan, &tally);

	if (teller.rank == 0)
		printf("%ld cases on %d ranks (%d share memory with rank 0), %ld wrong, %ld not possible%s\n",
		    tally.run, teller.size, tutti_comm_node_size(comm), tally.wrong, tally.unsupported,
		    whole ? "" : "; stopped: the communicator failed");
	return tally.wrong;
}

static int
body(struct job_rank *me)
{
	const struct plan *plan = me->context;
	tutti_config config = TUTTI_CONFIG_INIT;
	tutti_comm *comm;
	tutti_status status;
	long wrong;

	config.transports = plan->transports;
	config.timeout_ms = 30000;
	status = job_comm(me, &config, &comm);
	if (status != TUTTI_OK)
		return job_complain_status(me, status, "creation");
	wrong = work(comm, plan, me);
	status = tutti_comm_destroy(comm);
	if (status != TUTTI_OK)
		return job_complain_status(me, status, "destruction");
	fflush(stdout);
	return wrong == 0 ? 0 : job_complain(me, "%ld cases wrong", wrong);
}

static int
run_under_launcher(const struct plan *plan)
{
	tutti_config config = TUTTI_CONFIG_INIT;
	tutti_error error = TUTTI_ERROR_INIT;
	tutti_comm *comm;
	long wrong;

	alarm((unsigned)plan->limit_s);
	config.transports = plan->transports;
	config.timeout_ms = 30000;
	if (tutti_comm_create_from_env(&config, &comm) != TUTTI_OK) {
		(void)tutti_last_error(&error);
		fprintf(stderr, "job_exact: %s: %s\n", tutti_status_string(error.status), error.message);
		return 1;
	}
	wrong = work(comm, plan, NULL);
	if (tutti_comm_destroy(comm) != TUTTI_OK)
		wrong++;
	return wrong == 0 ? 0 : 1;
}

/* ---- arguments ---------------------------------------------------------------------------------------------------- */

static void
read_arguments(int argc, char **argv, struct plan *plan)
{
	static const struct option options[] = {{"env", no_argument, NULL, 'e'}, {"threads", no_argument, NULL, 'T'},
	    {"transports", required_argument, NULL, 't'}, {"seed", required_argument, NULL, 's'},
	    {"sample", required_argument, NULL, 'k'}, {"limit", required_argument, NULL, 'l'},
	    {"random", required_argument, NULL, 'r'}, {"most", required_argument, NULL, 'm'},
	    {"long", no_argument, NULL, 'L'}, {"case", required_argument, NULL, 'c'},
	    {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	int o;

	while ((o = getopt_long(argc, argv, "n:t:", options, NULL)) != -1) {
		switch (o) {
		case 'n':
			plan->ranks = job_number("-n", optarg, 1, EXACT_RANKS);
			break;
		case 'e':
			plan->env = true;
			break;
		case 'T':
			plan->threads = true;
			break;
		case 't':
			plan->transports = optarg;
			break;
		case 's':
			plan->seed = (uint64_t)job_number("--seed", optarg, 0, 1 << 30);
			break;
		case 'k':
			plan->sample = job_number("--sample", optarg, 0, 1 << 20);
			break;
		case 'l':
			plan->limit_s = job_number("--limit", optarg, 1, 100000);
			break;
		case 'r':
			plan->random = job_number("--random", optarg, 1, 1 << 30);
			plan->sample = 0;
			break;
		case 'm':
			plan->most = (size_t)job_number("--most", optarg, 1, 1 << 30);
			break;
		case 'L':
			plan->sample = 1;
			plan->random = 20000;
			break;
		case 'c':
			plan->one = optarg;
			break;
		default:
			usage(o == 'h' ? stdout : stderr);
			exit(o == 'h' ? 0 : 2);
		}
	}
}

int
main(int argc, char **argv)
{
	struct plan plan = {.ranks = 2, .sample = 1, .limit_s = 120, .most = 100000, .seed = 1};
	struct job job = {0};

	read_arguments(argc, argv, &plan);
	if (plan.env)
		return run_under_launcher(&plan);
	job.size = plan.ranks;
	job.threads = plan.threads;
	job.limit_s = plan.limit_s;
	job.context = &plan;
	return job_run(&job, body, "job_exact") == 0 ? 0 : 1;
}

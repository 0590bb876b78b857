/* SPDX-License-Identifier: Apache-2.0
 *
 * job_exact.c - every collective gives exactly the right bytes: the campaigns of exact.h on ranks that this program
 * starts as processes or threads, or, with --env, on the ranks of any launcher.
 */
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exact.h"
#include "job.h"

#define MOST_TOLD 5
#define MOST_LANES 8
#define TIMEOUT_MS 60000

struct plan {
	int ranks, sample, limit_s;
	bool env, threads;
	long random;
	long cases; /* of the campaign; 0: none */
	long volley; /* this one only, -1: all */
	int lanes; /* threads of each rank in the campaign */
	size_t most;
	uint64_t seed;
	const char *transports, *one;
};

struct teller {
	const struct plan *plan;
	struct job_rank *me;
	int rank, size;
	long told;
	bool in_volley;
	uint64_t seed;
	long volley; /* that is run */
};

/* One thread of a rank, with a family of communicators of its own. */
struct lane {
	const struct plan *plan;
	tutti_comm *comm;
	struct teller teller;
	struct exact_tally tally;
	bool whole;
	pthread_t thread;
};

static void
usage(FILE *out)
{
	fputs("usage: job_exact [-n RANKS | --env] [--threads] [--transports LIST] [--seed N] [--sample K] [--limit "
	      "S]\n"
	      "                 [--random N | --campaign [--cases N] [--lanes L] [--volley K] | --case \"...\"]\n"
	      "  -n RANKS         start so many ranks (2); --env: be one rank of a launcher's job\n"
	      "  --threads        ranks are threads of one process\n"
	      "  --sample K       one case in K of the matrix (1 = all)\n"
	      "  --random N       N cases by chance instead, one after the other\n"
	      "  --campaign       N (1000) cases by chance, several in flight on several communicators, in groups,\n"
	      "                   waited for in any order, by L (1) threads of each rank at the same time\n"
	      "  --volley K       of the campaign, only what was in flight together in volley K\n"
	      "  --most ELEMENTS  the largest count in cases by chance (100000; campaign: 5000)\n"
	      "  --long           all of the matrix, and 20000 cases by chance\n"
	      "  --case TEXT      the one case that a failure has printed\n",
	    out);
}

/* ---- one rank ------------------------------------------------------------------------------------------------------ */

static void
print_case(const struct exact_case *c, char *text, size_t bytes)
{
	if (c != NULL)
		exact_print(c, text, bytes);
	else
		snprintf(text, bytes, "sends and receives");
}

static void
tell(void *context, const struct exact_case *c, const char *why)
{
	struct teller *teller = context;
	const struct plan *plan = teller->plan;
	char text[256], line[2048], where[64] = "--env";
	int used;

	if (teller->told++ >= MOST_TOLD)
		return;
	print_case(c, text, sizeof(text));
	if (!plan->env)
		snprintf(where, sizeof(where), "-n %d%s", teller->size, plan->threads ? " --threads" : "");
	used = snprintf(line, sizeof(line), "WRONG on rank %d of %d: %s\n  again: job_exact %s%s%s ", teller->rank,
	    teller->size, why, where, plan->transports ? " --transports " : "",
	    plan->transports ? plan->transports : "");
	if (teller->in_volley)
		snprintf(line + used, sizeof(line) - (size_t)used,
		    "--campaign --seed %" PRIu64 " --most %zu --volley %ld  (case \"%s\")\n", teller->seed,
		    plan->most, teller->volley, text);
	else
		snprintf(line + used, sizeof(line) - (size_t)used, "--case \"%s\"\n", text);
	fputs(line, stderr);
}

static void
doing(void *context, const struct exact_case *c)
{
	struct teller *teller = context;
	char text[256];

	if (teller->me == NULL)
		return;
	print_case(c, text, sizeof(text));
	if (teller->in_volley)
		job_doing(teller->me, "volley %ld, %s", teller->volley, text);
	else
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

/* ---- the campaign of volleys --------------------------------------------------------------------------------------- */

static bool
allows_tcp(const struct plan *plan)
{
	return plan->transports == NULL || strstr(plan->transports, "tcp") != NULL;
}

static void
say_why(struct lane *lane, const char *what)
{
	tutti_error error = TUTTI_ERROR_INIT;

	(void)tutti_last_error(&error);
	fprintf(stderr, "job_exact: rank %d: %s: %s: %s\n", lane->teller.rank, what,
	    tutti_status_string(error.status), error.message);
	lane->tally.wrong++;
	lane->whole = false;
}

static void *
run_lane(void *argument)
{
	struct lane *lane = argument;
	const struct plan *plan = lane->plan;
	const long share = (plan->cases + plan->lanes - 1) / plan->lanes;
	struct exact_fleet fleet;
	long k = plan->volley < 0 ? 0 : plan->volley;

	if (exact_fleet_init(&fleet, lane->comm, allows_tcp(plan)) != TUTTI_OK)
		say_why(lane, "splitting");
	for (; lane->whole && lane->tally.run < share; k++) {
		lane->teller.volley = k;
		lane->whole = exact_volley(&fleet, lane->teller.seed, k, plan->most, &lane->tally);
		if (plan->volley >= 0)
			break;
	}
	exact_fleet_fini(&fleet);
	return NULL;
}

static bool
run_volleys(tutti_comm **comms, const struct plan *plan, struct job_rank *me, struct exact_tally *sum)
{
	struct lane lanes[MOST_LANES];
	bool whole = true;

	for (int l = 0; l < plan->lanes; l++) {
		struct lane *lane = &lanes[l];

		/* A rank has one place to say what it does: its first thread's. */
		*lane = (struct lane){.plan = plan, .comm = comms[l], .whole = true};
		lane->teller = (struct teller){plan, l == 0 ? me : NULL, tutti_comm_rank(comms[l]),
		    tutti_comm_size(comms[l]), 0, true, plan->seed + (uint64_t)l, 0};
		lane->tally = (struct exact_tally){.tell = tell, .doing = doing, .context = &lane->teller};
		if (pthread_create(&lane->thread, NULL, run_lane, lane) != 0)
			abort();
	}
	for (int l = 0; l < plan->lanes; l++) {
		pthread_join(lanes[l].thread, NULL);
		sum->run += lanes[l].tally.run;
		sum->wrong += lanes[l].tally.wrong;
		sum->unsupported += lanes[l].tally.unsupported;
		whole = whole && lanes[l].whole;
	}
	return whole;
}

/* ---- a rank's life ------------------------------------------------------------------------------------------------- */

/* Returns how many cases went wrong. */
static long
work(tutti_comm **comms, const struct plan *plan, struct job_rank *me)
{
	struct teller teller = {plan, me, tutti_comm_rank(comms[0]), tutti_comm_size(comms[0]), 0, false, 0, 0};
	struct exact_tally tally = {.tell = tell, .doing = doing, .context = &teller};
	const bool whole = plan->cases > 0 ? run_volleys(comms, plan, me, &tally) : campaign(comms[0], plan, &tally);

	if (teller.rank == 0)
		printf("%ld cases on %d ranks (%d share memory with rank 0), %ld wrong, %ld not possible%s\n",
		    tally.run, teller.size, tutti_comm_node_size(comms[0]), tally.wrong, tally.unsupported,
		    whole ? "" : "; stopped: the communicator failed");
	return tally.wrong;
}

/* One communicator for each lane, made in the same order everywhere. */
static tutti_status
create(const struct plan *plan, struct job_rank *me, tutti_comm **comms, int *ncomms)
{
	tutti_config config = TUTTI_CONFIG_INIT;

	config.transports = plan->transports;
	config.timeout_ms = TIMEOUT_MS;
	for (*ncomms = 0; *ncomms < plan->lanes; ++*ncomms) {
		const tutti_status status = me != NULL ? job_comm(me, &config, &comms[*ncomms])
						       : tutti_comm_create_from_env(&config, &comms[*ncomms]);

		if (status != TUTTI_OK)
			return status;
	}
	return TUTTI_OK;
}

static int
body(struct job_rank *me)
{
	const struct plan *plan = me->context;
	tutti_comm *comms[MOST_LANES];
	int ncomms;
	tutti_status status = create(plan, me, comms, &ncomms);
	const long wrong = status == TUTTI_OK ? work(comms, plan, me) : 0;

	if (status != TUTTI_OK)
		(void)job_complain_status(me, status, "creation");
	while (ncomms > 0)
		if (tutti_comm_destroy(comms[--ncomms]) != TUTTI_OK)
			status = TUTTI_ERR_INTERNAL;
	fflush(stdout);
	if (wrong != 0)
		(void)job_complain(me, "%ld cases wrong", wrong);
	return status == TUTTI_OK && wrong == 0 ? 0 : job_complain(me, "destruction failed");
}

static int
run_under_launcher(const struct plan *plan)
{
	tutti_error error = TUTTI_ERROR_INIT;
	tutti_comm *comms[MOST_LANES];
	int ncomms;
	long wrong = 0;

	alarm((unsigned)plan->limit_s);
	if (create(plan, NULL, comms, &ncomms) == TUTTI_OK) {
		wrong = work(comms, plan, NULL);
	} else {
		(void)tutti_last_error(&error);
		fprintf(stderr, "job_exact: %s: %s\n", tutti_status_string(error.status), error.message);
		wrong = 1;
	}
	while (ncomms > 0)
		if (tutti_comm_destroy(comms[--ncomms]) != TUTTI_OK)
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
	    {"campaign", no_argument, NULL, 'C'}, {"cases", required_argument, NULL, 'N'},
	    {"lanes", required_argument, NULL, 'a'}, {"volley", required_argument, NULL, 'v'},
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
		case 'C':
			plan->cases = plan->cases > 0 ? plan->cases : 1000;
			break;
		case 'N':
			plan->cases = job_number("--cases", optarg, 1, 1 << 30);
			break;
		case 'a':
			plan->lanes = job_number("--lanes", optarg, 1, MOST_LANES);
			break;
		case 'v':
			plan->volley = job_number("--volley", optarg, 0, 1 << 30);
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
	struct plan plan = {.ranks = 2, .sample = 1, .limit_s = 120, .seed = 1, .volley = -1, .lanes = 1};
	struct job job = {0};

	read_arguments(argc, argv, &plan);
	if (plan.most == 0)
		plan.most = plan.cases > 0 ? 5000 : 100000;
	if (plan.env)
		return run_under_launcher(&plan);
	job.size = plan.ranks;
	job.threads = plan.threads;
	job.limit_s = plan.limit_s;
	job.context = &plan;
	return job_run(&job, body, "job_exact") == 0 ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * topo.c - `tutti topo`: this machine, machines from files, or the job it runs in.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/settings.h"
#include "cli/cli.h"
#include "cli/described.h"
#include "cli/relaunch.h"
#include "cli/run_launch.h"
#include "cli/topo/topo_job.h"

#define MOST_FILES 64

static const char help[] =
    "Usage: tutti topo [-n RANKS] [--measure] [--check] [--json] [--svg FILE] [--algorithm ring|tree]\n"
    "       tutti topo --xml [-n RANKS] [--nodes N] [--json] [--svg FILE] [--algorithm ring|tree] MACHINE...\n"
    "\n"
    "Shows a machine (packages, NUMA nodes, caches, cores, network cards, devices), where each rank sits, what each\n"
    "pair of ranks shares, and the orders that follow. Under a launcher it is about that job; alone, about this\n"
    "machine, and with -n about RANKS ranks started on it.\n"
    "\n"
    "  -n, --ranks N          how many ranks\n"
    "      --measure          latency and bandwidth between all pairs of ranks (starts ranks if there are none)\n"
    "      --check            look for what slows Tutti down on these hosts, and say what to do about it\n"
    "      --json             as JSON\n"
    "      --svg FILE         draw a picture\n"
    "      --algorithm NAME   draw the ring or the tree over it\n"
    "      --xml              about other machines: files that hwloc wrote (lstopo --of xml), or descriptions such\n"
    "                         as 'pack:2 l3:2 core:8 pu:2; net:eth0@0=100'\n"
    "      --nodes N          so many machines of that description\n"
    "  -h, --help             show this text\n"
    "\n"
    "Exit status: 0, or 1 if something failed or --check found something, or 2 for a wrong command line.\n";

struct wish {
	int ranks, nodes;
	bool measure, check, json, xml, helped;
	const char *svg;
	enum tt_topo_path path;
	const char *machines[MOST_FILES];
	int nmachines;
};

/* ---- output ------------------------------------------------------------------------------------------------------- */

static int
show(const struct wish *wish, struct tt_topo_view *view)
{
	FILE *file;

	view->path = wish->path;
	if (wish->json)
		tt_topo_json(stdout, view);
	else if (wish->svg == NULL || wish->measure)
		tt_topo_text(stdout, view);
	if (wish->svg == NULL)
		return TT_EXIT_OK;
	file = fopen(wish->svg, "we");
	if (file == NULL)
		return tt_complain("topo", "cannot write %s: %s", wish->svg, strerror(errno));
	tt_topo_svg(file, view);
	if (fclose(file) != 0)
		return tt_complain("topo", "cannot write %s: %s", wish->svg, strerror(errno));
	return TT_EXIT_OK;
}

/* ---- machines that are not here -------------------------------------------------------------------------------------- */

static int
show_described(const struct wish *wish, const char *machine)
{
	struct tt_described job;
	struct tt_topo_rank *ranks;
	struct tt_topo_view view = {.transport = {"shm", "tcp"}};
	int status;

	if (tt_described_make(machine, wish->ranks > 0 ? wish->ranks : wish->nodes, wish->nodes, &job) != TUTTI_OK)
		return tt_complain("topo", "%s", tt_last_error()->message);
	ranks = calloc((size_t)job.ranks, sizeof(*ranks));
	if (ranks == NULL) {
		tt_described_drop(&job);
		return tt_complain("topo", "no memory");
	}
	for (int r = 0; r < job.ranks; r++) {
		ranks[r] =
		    (struct tt_topo_rank){.card = job.cards[r], .node = job.node_of[r], .cores = job.topology->cores};
		snprintf(ranks[r].host, sizeof(ranks[r].host), "%.40s", job.topology->model);
	}
	view.topology = job.topology;
	view.usable = job.topology->cores;
	view.nranks = wish->ranks > 0 || wish->nodes > 1 ? job.ranks : 0;
	view.ranks = ranks;
	view.map = view.nranks > 0 ? job.map : NULL;
	status = show(wish, &view);
	free(ranks);
	tt_described_drop(&job);
	return status;
}

/* ---- this machine --------------------------------------------------------------------------------------------------- */

static int
print_findings(const char *host, const char *findings, bool several)
{
	if (findings[0] == '\0')
		return 0;
	if (several)
		printf("%s:\n", host);
	fputs(findings, stdout);
	return 1;
}

static int
tell_findings(int hosts_with_any)
{
	if (hosts_with_any > 0)
		return TT_EXIT_FAILURE;
	puts("nothing found that would slow Tutti down");
	return TT_EXIT_OK;
}

static int
show_machine(const struct wish *wish)
{
	struct tt_topology *topology;
	struct tt_topo_view view = {.usable = tt_host_cores(), .quota = tt_host_quota_at("")};
	char findings[TT_TOPO_FINDINGS];
	int status;

	if (tt_topology_load(NULL, &topology) != TUTTI_OK)
		return tt_complain("topo", "%s", tt_last_error()->message);
	view.topology = topology;
	if (wish->check) {
		const struct tt_topo_host host = {.topology = topology,
		    .cores = view.usable,
		    .quota = view.quota,
		    .groups = 1,
		    .bound = true}; /* which hosts will be in a job is not known */

		tt_topo_check_host(&host, findings, sizeof(findings));
		status = tell_findings(print_findings("", findings, false));
	} else {
		status = show(wish, &view);
	}
	tt_topology_destroy(topology);
	return status;
}

/* ---- a job ---------------------------------------------------------------------------------------------------------- */

static int
show_job(const struct wish *wish, const struct tt_topo_job *job)
{
	const char *allowed = tt_setting_environment(tt_setting_info(TT_SET_TRANSPORTS));
	struct tt_topology *topology;
	struct tt_topo_view view = {.usable = tt_host_cores(),
	    .quota = tt_host_quota_at(""),
	    .nranks = job->nranks,
	    .ranks = job->ranks,
	    .map = job->map,
	    .transport = {"shm", allowed != NULL && strstr(allowed, "fabric") != NULL ? "fabric" : "tcp"},
	    .latency_us = job->latency_us,
	    .bandwidth_gbps = job->bandwidth_gbps};
	int status = 0, found = 0;

	if (wish->check) {
		for (int r = 0; r < job->nranks; r++)
			found += print_findings(
			    job->ranks[r].host, job->findings + (size_t)r * TT_TOPO_FINDINGS, job->map->nhosts > 1);
		return tell_findings(found);
	}
	if (tt_topology_load(NULL, &topology) != TUTTI_OK)
		return tt_complain("topo", "%s", tt_last_error()->message);
	view.topology = topology;
	status = show(wish, &view);
	tt_topology_destroy(topology);
	return status;
}

static int
be_rank(const struct wish *wish, int rank)
{
	tutti_comm *comm = NULL;
	tutti_error error = TUTTI_ERROR_INIT;
	struct tt_topo_job job = {.comm = NULL};
	int status = TT_EXIT_OK;
	tutti_status done = tutti_comm_create_from_env(NULL, &comm);

	if (done == TUTTI_OK)
		done = tt_topo_job_gather(comm, &job);
	if (done == TUTTI_OK && wish->measure)
		done = tt_topo_job_measure(&job);
	if (done == TUTTI_OK && wish->check)
		done = tt_topo_job_check(&job);
	if (done != TUTTI_OK) {
		tutti_last_error(&error);
		if (!tt_place_told(rank, &error, comm != NULL))
			status = tt_complain("topo", "%s (%s)", error.message, tutti_status_string(done));
	} else if (tutti_comm_rank(comm) == 0) {
		status = show_job(wish, &job);
	}
	tt_topo_job_drop(&job);
	tutti_comm_destroy(comm);
	return status;
}

/* ---- the command line --------------------------------------------------------------------------------------------------- */

enum { OPTION_JSON = 256, OPTION_SVG, OPTION_XML, OPTION_MEASURE, OPTION_CHECK, OPTION_NODES, OPTION_ALGORITHM };

static int
take_option(struct wish *wish, int option)
{
	long number;

	switch (option) {
	case OPTION_JSON:
		wish->json = true;
		return 0;
	case OPTION_SVG:
		wish->svg = optarg;
		return 0;
	case OPTION_XML:
		wish->xml = true;
		return 0;
	case OPTION_MEASURE:
		wish->measure = true;
		return 0;
	case OPTION_CHECK:
		wish->check = true;
		return 0;
	case OPTION_ALGORITHM:
		wish->path = strcmp(optarg, "ring") == 0   ? TT_TOPO_RING
			     : strcmp(optarg, "tree") == 0 ? TT_TOPO_TREE
							   : TT_TOPO_NO_PATH;
		return wish->path != TT_TOPO_NO_PATH
			   ? 0
			   : tt_usage("topo", "--algorithm %s: what can be drawn is ring and tree", optarg);
	default:
		if (!tt_read_int(optarg, 1, TT_DESCRIBED_RANKS, &number))
			return tt_usage("topo", "%s is not a number from 1 to %d", optarg, TT_DESCRIBED_RANKS);
		*(option == OPTION_NODES ? &wish->nodes : &wish->ranks) = (int)number;
		return 0;
	}
}

static int
check_wish(const struct wish *wish)
{
	if (wish->xml && wish->nmachines == 0)
		return tt_usage("topo", "--xml needs a file that hwloc wrote, or a description of a machine");
	if (!wish->xml && wish->nmachines > 0)
		return tt_usage(
		    "topo", "'%s' is not expected: files and descriptions of machines need --xml", wish->machines[0]);
	if (!wish->xml && wish->nodes > 1)
		return tt_usage("topo", "--nodes needs --xml: what the machines are like");
	if (wish->xml && (wish->measure || wish->check))
		return tt_usage("topo", "machines that are not here cannot be measured or checked");
	if (wish->xml && wish->svg != NULL && wish->nmachines > 1)
		return tt_usage("topo", "--svg draws one machine at a time");
	if (wish->json && wish->nmachines > 1)
		return tt_usage("topo", "--json shows one machine at a time");
	if (!wish->xml && wish->ranks > TT_LAUNCH_RANKS)
		return tt_usage("topo", "-n %d: at most %d ranks can be started here", wish->ranks, TT_LAUNCH_RANKS);
	return 0;
}

static int
read_wish(int argc, char **argv, struct wish *wish)
{
	static const struct option options[] = {{"ranks", required_argument, NULL, 'n'},
	    {"json", no_argument, NULL, OPTION_JSON}, {"svg", required_argument, NULL, OPTION_SVG},
	    {"xml", no_argument, NULL, OPTION_XML}, {"measure", no_argument, NULL, OPTION_MEASURE},
	    {"check", no_argument, NULL, OPTION_CHECK}, {"nodes", required_argument, NULL, OPTION_NODES},
	    {"algorithm", required_argument, NULL, OPTION_ALGORITHM}, {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0}};
	int option, status;

	*wish = (struct wish){.nodes = 1};
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":n:h", options, NULL)) != -1) {
		if (option == '?' || option == ':')
			return tt_usage_getopt("topo", argv, option);
		if (option == 'h') {
			fputs(help, stdout);
			wish->helped = true;
			return 0;
		}
		status = take_option(wish, option);
		if (status != 0)
			return status;
	}
	for (; optind < argc && wish->nmachines < MOST_FILES; optind++)
		wish->machines[wish->nmachines++] = argv[optind];
	return check_wish(wish);
}

static int
run(const struct wish *wish, int argc, char **given)
{
	struct tt_place place;
	int status = TT_EXIT_OK;

	if (wish->xml) {
		for (int i = 0; i < wish->nmachines && status == TT_EXIT_OK; i++) {
			if (i > 0)
				putchar('\n');
			status = show_described(wish, wish->machines[i]);
		}
		return status;
	}
	if (!tt_place_find("topo", &place))
		return TT_EXIT_FAILURE;
	if (place.launched)
		return be_rank(wish, place.rank);
	if (wish->ranks == 0 && !wish->measure)
		return show_machine(wish);
	return tt_relaunch("topo", tt_relaunch_ranks(wish->ranks), argc, given);
}

int
tt_topo_main(int argc, char **argv)
{
	char **given = calloc((size_t)argc + 1, sizeof(*given));
	struct wish wish;
	int status;

	if (given == NULL)
		return tt_complain("topo", "no memory");
	/* getopt sorts argv; the ranks shall get it as it was. */
	memcpy(given, argv, (size_t)argc * sizeof(*given));
	status = read_wish(argc, argv, &wish);
	if (status == 0 && !wish.helped)
		status = run(&wish, argc, given);
	free(given);
	return status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * explain.c - `tutti explain`: which algorithm would be chosen, and why.
 *
 * It asks a real communicator of that many ranks, because the choice rests on facts that ranks agree on when they
 * meet; of machines that are not here it knows what their description says.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/settings.h"
#include "cli/cli.h"
#include "cli/described.h"
#include "cli/explain_measure.h"
#include "cli/relaunch.h"
#include "cli/run_launch.h"

static const char help[] =
    "Usage: tutti explain COLLECTIVE SIZE [-n RANKS] [--json] [--measure]\n"
    "       tutti explain COLLECTIVE SIZE --topology MACHINE [-n RANKS] [--nodes N] [--json]\n"
    "\n"
    "Says which algorithm Tutti would choose for COLLECTIVE (all_reduce, broadcast, ...) when the larger of a\n"
    "rank's buffers has SIZE bytes (K, M and G are understood; a barrier needs none), what the others would cost,\n"
    "and why they were not taken. Under a launcher it is about that job, else about RANKS ranks on this machine.\n"
    "\n"
    "  -n, --ranks N           how many ranks (default: the usable cores, at least 2)\n"
    "      --measure           run every algorithm that is possible, and print measured beside predicted times\n"
    "      --topology MACHINE  about machines that are not here: a file that hwloc wrote (lstopo --of xml), or a\n"
    "                          description such as 'pack:2 l3:2 core:8 pu:2; net:eth0@0=100'\n"
    "      --nodes N           so many machines of that description (default: 1)\n"
    "      --json              as JSON\n"
    "  -h, --help              show this text\n"
    "\n"
    "Example:  tutti explain all_reduce 1M -n 8\n"
    "          tutti explain all_reduce 1M --topology 'pack:2 l3:1 core:16 pu:2; net:ib0@0=200' --nodes 4\n";

struct question {
	const char *collective;
	size_t bytes;
	const char *topology; /* NULL: here */
	int ranks, nodes;
	bool json, measure, helped;
};

static int
read_question(int argc, char **argv, struct question *question)
{
	enum { OPTION_JSON = 256, OPTION_MEASURE, OPTION_TOPOLOGY, OPTION_NODES };
	static const struct option options[] = {{"ranks", required_argument, NULL, 'n'},
	    {"json", no_argument, NULL, OPTION_JSON}, {"measure", no_argument, NULL, OPTION_MEASURE},
	    {"topology", required_argument, NULL, OPTION_TOPOLOGY}, {"nodes", required_argument, NULL, OPTION_NODES},
	    {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	int option;
	long number;

	*question = (struct question){.nodes = 1};
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":n:h", options, NULL)) != -1) {
		if (option == '?' || option == ':')
			return tt_usage_getopt("explain", argv, option);
		if (option == 'h') {
			fputs(help, stdout);
			question->helped = true;
			return 0;
		}
		if (option == OPTION_JSON)
			question->json = true;
		else if (option == OPTION_MEASURE)
			question->measure = true;
		else if (option == OPTION_TOPOLOGY)
			question->topology = optarg;
		else if (!tt_read_int(optarg, 1, TT_DESCRIBED_RANKS, &number))
			return tt_usage("explain", "%s %s is not a number from 1 to %d",
			    option == OPTION_NODES ? "--nodes" : "-n", optarg, TT_DESCRIBED_RANKS);
		else
			*(option == OPTION_NODES ? &question->nodes : &question->ranks) = (int)number;
	}
	if (question->topology == NULL && question->ranks > TT_LAUNCH_RANKS)
		return tt_usage(
		    "explain", "-n %d: at most %d ranks can be started here", question->ranks, TT_LAUNCH_RANKS);
	if (question->topology == NULL && question->nodes > 1)
		return tt_usage("explain", "--nodes needs --topology: what the machines are like");
	if (question->measure && (question->topology != NULL || question->json))
		return tt_usage("explain", "--measure goes with ranks that run here, and prints text");
	if (argc - optind == 1 && strcmp(argv[optind], "barrier") == 0) {
		question->collective = argv[optind];
		return 0;
	}
	if (argc - optind != 2)
		return tt_usage("explain", "say which collective and how many bytes, for example all_reduce 1M");
	question->collective = argv[optind];
	if (tt_parse_size(argv[optind + 1], &question->bytes) != TUTTI_OK)
		return tt_usage("explain", "%s is not a size such as 8, 64K or 1.5M", argv[optind + 1]);
	if (strcmp(question->collective, "barrier") == 0)
		question->bytes = 0;
	return 0;
}

/* Of the public library. */
static int
complain(int rank, bool met)
{
	tutti_error error = TUTTI_ERROR_INIT;

	tutti_last_error(&error);
	if (tt_place_told(rank, &error, met))
		return TT_EXIT_OK;
	return tt_complain("explain", "%s (%s)", error.message, tutti_status_string(error.status));
}

/* NULL: it has complained. */
static char *
get_report(tutti_comm *comm, const struct question *question, bool json)
{
	size_t length = 0;
	char *report;

	/* The first call only says how long the report is, or what is wrong. */
	if (tutti_explain(comm, question->collective, question->bytes, json, NULL, 0, &length) == TUTTI_OK ||
	    length == 0) {
		complain(tutti_comm_rank(comm), true);
		return NULL;
	}
	report = malloc(length + 1);
	if (report == NULL)
		tt_complain("explain", "no memory");
	if (report == NULL ||
	    tutti_explain(comm, question->collective, question->bytes, json, report, length + 1, NULL) == TUTTI_OK)
		return report;
	complain(tutti_comm_rank(comm), true);
	free(report);
	return NULL;
}

static int
print_report(tutti_comm *comm, const struct question *question)
{
	char *report = get_report(comm, question, question->json);

	if (report == NULL)
		return TT_EXIT_FAILURE;
	printf("%s%s", report, report[0] != '\0' && report[strlen(report) - 1] == '\n' ? "" : "\n");
	free(report);
	return TT_EXIT_OK;
}

static int
measure(tutti_comm *comm, const struct question *question)
{
	char *report = get_report(comm, question, true);
	int status;

	if (report == NULL)
		return tutti_comm_rank(comm) == 0 ? TT_EXIT_FAILURE : TT_EXIT_OK; /* rank 0 tells */
	status = tt_explain_measure(comm, question->collective, question->bytes, report);
	free(report);
	return status;
}

static int
explain_described(const struct question *question)
{
	const int collective = tt_collective_parse(question->collective);
	struct tt_select_call call = {.dtype = TUTTI_FLOAT32, .op = TUTTI_SUM, .bytes = question->bytes};
	struct tt_described job;
	char *report;
	size_t length;

	if (collective < 0)
		return tt_complain(
		    "explain", "there is no collective \"%s\" (all_reduce, broadcast, ...)", question->collective);
	if (tt_described_make(question->topology, question->ranks, question->nodes, &job) != TUTTI_OK)
		return tt_complain("explain", "%s", tt_last_error()->message);
	call.collective = (enum tt_collective)collective;
	length = tt_select_explain(&job.facts, &call, question->json, NULL, 0);
	if (length == 0) {
		tt_described_drop(&job);
		return tt_complain("explain", "%s", tt_last_error()->message);
	}
	report = malloc(length + 1);
	if (report != NULL) {
		tt_select_explain(&job.facts, &call, question->json, report, length + 1);
		fputs(report, stdout);
	}
	free(report);
	tt_described_drop(&job);
	return report != NULL ? TT_EXIT_OK : tt_complain("explain", "no memory");
}

static int
be_rank(const struct question *question, int rank)
{
	tutti_comm *comm = NULL;
	int status = TT_EXIT_OK;

	if (tutti_comm_create_from_env(NULL, &comm) != TUTTI_OK)
		return complain(rank, false);
	if (tutti_comm_rank(comm) == 0)
		status = print_report(comm, question);
	if (question->measure && status == TT_EXIT_OK && measure(comm, question) != TT_EXIT_OK)
		status = TT_EXIT_FAILURE;
	tutti_comm_destroy(comm);
	return status;
}

int
tt_explain_main(int argc, char **argv)
{
	struct question question;
	struct tt_place place;
	char **given = calloc((size_t)argc + 1, sizeof *given);
	int status;

	if (given == NULL)
		return tt_complain("explain", "no memory");
	/* getopt sorts argv; the ranks shall get it as it was. */
	memcpy(given, argv, (size_t)argc * sizeof *given);
	status = read_question(argc, argv, &question);
	if (status == 0 && !question.helped) {
		if (question.topology != NULL)
			status = explain_described(&question);
		else if (!tt_place_find("explain", &place))
			status = TT_EXIT_FAILURE;
		else if (!place.launched)
			status = tt_relaunch("explain", tt_relaunch_ranks(question.ranks), argc, given);
		else if (question.ranks > 0 && place.size > 0 && question.ranks != place.size)
			status = tt_usage("explain", "-n %d: %s has started %d already", question.ranks,
			    place.launcher, place.size);
		else
			status = be_rank(&question, place.rank);
	}
	free(given);
	return status;
}

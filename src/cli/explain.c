/* SPDX-License-Identifier: Apache-2.0
 *
 * explain.c - `tutti explain`: which algorithm would be chosen, and why.
 *
 * It asks a real communicator of that many ranks, because the choice rests on facts that ranks agree on when they
 * meet.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/settings.h"
#include "cli/cli.h"
#include "cli/relaunch.h"
#include "cli/run_launch.h"

static const char help[] =
    "Usage: tutti explain COLLECTIVE SIZE [-n RANKS] [--json]\n"
    "\n"
    "Says which algorithm Tutti would choose for COLLECTIVE (all_reduce, broadcast, ...) when the larger of a\n"
    "rank's buffers has SIZE bytes (K, M and G are understood), what the others would cost, and why they were\n"
    "not taken. Under a launcher it is about that job, else about RANKS ranks on this machine.\n"
    "\n"
    "  -n, --ranks N  how many ranks (default: the usable cores, at least 2)\n"
    "      --json     as JSON\n"
    "  -h, --help     show this text\n"
    "\n"
    "Example:  tutti explain all_reduce 1M -n 8\n";

struct question {
	const char *collective;
	size_t bytes;
	int ranks;
	bool json, helped;
};

static int
read_question(int argc, char **argv, struct question *question)
{
	enum { OPTION_JSON = 256 };
	static const struct option options[] = {{"ranks", required_argument, NULL, 'n'},
	    {"json", no_argument, NULL, OPTION_JSON}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	int option;
	long ranks;

	*question = (struct question){.ranks = 0};
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
		else if (!tt_read_int(optarg, 1, TT_LAUNCH_RANKS, &ranks))
			return tt_usage(
			    "explain", "-n %s is not a number of ranks (1 to %d)", optarg, TT_LAUNCH_RANKS);
		else
			question->ranks = (int)ranks;
	}
	if (argc - optind != 2)
		return tt_usage("explain", "say which collective and how many bytes, for example all_reduce 1M");
	question->collective = argv[optind];
	if (tt_parse_size(argv[optind + 1], &question->bytes) != TUTTI_OK)
		return tt_usage("explain", "%s is not a size such as 8, 64K or 1.5M", argv[optind + 1]);
	return 0;
}

/* Of the public library. */
static int
complain(void)
{
	tutti_error error = TUTTI_ERROR_INIT;

	tutti_last_error(&error);
	return tt_complain("explain", "%s (%s)", error.message, tutti_status_string(error.status));
}

static int
print_report(tutti_comm *comm, const struct question *question)
{
	size_t length = 0;
	char *report;
	int status = TT_EXIT_OK;

	/* The first call only says how long the report is, or what is wrong. */
	if (tutti_explain(comm, question->collective, question->bytes, question->json, NULL, 0, &length) ==
		TUTTI_OK ||
	    length == 0)
		return complain();
	report = malloc(length + 1);
	if (report == NULL)
		return tt_complain("explain", "no memory");
	if (tutti_explain(comm, question->collective, question->bytes, question->json, report, length + 1, NULL) !=
	    TUTTI_OK)
		status = complain();
	else
		printf("%s%s", report, length > 0 && report[length - 1] == '\n' ? "" : "\n");
	free(report);
	return status;
}

static int
be_rank(const struct question *question)
{
	tutti_comm *comm = NULL;
	int status = TT_EXIT_OK;

	if (tutti_comm_create_from_env(NULL, &comm) != TUTTI_OK)
		return complain();
	if (tutti_comm_rank(comm) == 0)
		status = print_report(comm, question);
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
		if (!tt_place_find("explain", &place))
			status = TT_EXIT_FAILURE;
		else if (!place.launched)
			status = tt_relaunch("explain", tt_relaunch_ranks(question.ranks), argc, given);
		else if (question.ranks > 0 && place.size > 0 && question.ranks != place.size)
			status = tt_usage("explain", "-n %d: %s has started %d already", question.ranks,
			    place.launcher, place.size);
		else
			status = be_rank(&question);
	}
	free(given);
	return status;
}

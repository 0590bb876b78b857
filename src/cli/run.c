/* SPDX-License-Identifier: Apache-2.0
 *
 * run.c - `tutti run`: reads its command line and launches the job.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/run_launch.h"

static const char help[] =
    "Usage: tutti run -n RANKS [OPTION...] PROGRAM [ARGUMENT...]\n"
    "\n"
    "Starts RANKS copies of PROGRAM on this machine, one per rank, and waits for them. Each finds its\n"
    "number and the others through its environment (TUTTI_RANK, TUTTI_SIZE, ...), which is what\n"
    "tutti_comm_create_from_env() reads.\n"
    "\n"
    "  -n, --ranks N            how many ranks (required)\n"
    "      --timeout SECONDS    end the job after that time, with exit status 124\n"
    "      --on-fail kill|keep  when a rank fails: end the others (default), or let them go on\n"
    "      --bind core|numa|none\n"
    "                           bind each rank to a core or to a NUMA node of its own (default: none)\n"
    "      --no-prefix          do not begin each line of output with \"[rank] \"\n"
    "  -h, --help               show this text\n"
    "\n"
    "Lines of different ranks are never mixed. Rank 0 reads stdin. SIGINT, SIGTERM, SIGHUP, SIGQUIT,\n"
    "SIGUSR1 and SIGUSR2 are passed on to the ranks; the third SIGINT or SIGTERM kills them. No process\n"
    "of the job outlives this command, whatever ends it.\n"
    "\n"
    "Exit status: 0 when all ranks succeeded; otherwise that of the first rank that failed (128 + N if\n"
    "signal N killed it), 124 at the time limit, 127 or 126 if PROGRAM was not found or cannot be run,\n"
    "2 for a wrong command line.\n"
    "\n"
    "For several machines use srun, mpirun or torchrun: Tutti programs run under them unchanged.\n"
    "\n"
    "Example:  tutti run -n 4 --timeout 60 ./train --steps 100\n";

enum { OPTION_TIMEOUT = 256, OPTION_ON_FAIL, OPTION_BIND, OPTION_NO_PREFIX };

static const struct option options[] = {
    {"ranks", required_argument, NULL, 'n'},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"on-fail", required_argument, NULL, OPTION_ON_FAIL},
    {"bind", required_argument, NULL, OPTION_BIND},
    {"no-prefix", no_argument, NULL, OPTION_NO_PREFIX},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* Place of `text` among the words, -1 if it is none of them. */
static int
word_index(const char *text, const char *const *words, int n)
{
	for (int i = 0; i < n; i++) {
		if (strcmp(text, words[i]) == 0)
			return i;
	}
	return -1;
}

/* 0, or the exit status of a wrong value. */
static int
take_option(struct tt_launch *launch, int option, const char *value)
{
	static const char *const fail_words[] = {"kill", "keep"};
	static const char *const bind_words[] = {"none", "core", "numa"};
	long ranks;
	int word;

	switch (option) {
	case 'n':
		if (!tt_read_int(value, 1, TT_LAUNCH_RANKS, &ranks))
			return tt_usage("run", "-n %s is not a number of ranks (1 to %d)", value, TT_LAUNCH_RANKS);
		launch->ranks = (int)ranks;
		return 0;
	case OPTION_TIMEOUT:
		if (!tt_read_seconds(value, &launch->timeout_s))
			return tt_usage("run", "--timeout %s is not a number of seconds above 0", value);
		return 0;
	case OPTION_ON_FAIL:
		word = word_index(value, fail_words, 2);
		if (word < 0)
			return tt_usage("run", "--on-fail %s is neither kill nor keep", value);
		launch->keep = word == 1;
		return 0;
	case OPTION_BIND:
		word = word_index(value, bind_words, 3);
		if (word < 0)
			return tt_usage("run", "--bind %s is none of core, numa, none", value);
		launch->bind = (enum tt_bind)word;
		return 0;
	default:
		launch->output = TT_OUTPUT_PLAIN;
		return 0;
	}
}

int
tt_run_main(int argc, char **argv)
{
	struct tt_launch launch = {.command = "run"};
	int option, status;

	opterr = 0;
	/* "+": what follows the program's name is the program's. */
	while ((option = getopt_long(argc, argv, "+:n:h", options, NULL)) != -1) {
		if (option == 'h') {
			fputs(help, stdout);
			return TT_EXIT_OK;
		}
		if (option == '?' || option == ':')
			return tt_usage_getopt("run", argv, option);
		status = take_option(&launch, option, optarg);
		if (status != 0)
			return status;
	}
	if (launch.ranks == 0)
		return tt_usage("run", "say how many ranks: -n RANKS");
	if (optind == argc)
		return tt_usage("run", "say which program to run");
	launch.argv = argv + optind;
	return tt_launch_run(&launch);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * sim.c - `tutti sim`: what a collective would cost on machines that are not here, by every algorithm.
 */
#include "cli/sim/sim.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/settings.h"
#include "cli/cli.h"
#include "profile/profile.h"

#define MOST_CHANGES 32

static const char help[] =
    "Usage: tutti sim COLLECTIVE [SIZE] -n RANKS [--nodes N | --over tcp] [--topology MACHINE]\n"
    "                 [--algorithm NAME] [-b SIZE] [-e SIZE] [--profile FILE] [--set CONSTANT=VALUE]... [--json] "
    "[--svg FILE]\n"
    "\n"
    "Runs the plans of all ranks in virtual time, and says what COLLECTIVE would take by every algorithm, at one\n"
    "size or over a range, and where the best one changes. No ranks are started.\n"
    "\n"
    "  -n, --ranks N             how many ranks, to 65536\n"
    "      --nodes N             on so many machines (default: 1)\n"
    "      --over TRANSPORT      how the ranks of one machine talk: shm (default) or tcp\n"
    "      --topology MACHINE    what a machine is like: a file that hwloc wrote (lstopo --of xml), or a "
    "description\n"
    "                            such as 'pack:2 l3:2 core:8 pu:2; net:eth0@0=100' (default: this one)\n"
    "      --algorithm NAME      only this one\n"
    "  -b, --begin SIZE          smallest size (default: 8)\n"
    "  -e, --end SIZE            largest size (default: 256M)\n"
    "      --profile FILE        the machine's speeds, as `tutti tune -o FILE` writes them there\n"
    "      --set CONSTANT=VALUE  another speed, by its name in `tutti tune`: net_message=5000, card_byte=40, ...\n"
    "      --json                as JSON\n"
    "      --svg FILE            draw times over sizes\n"
    "  -h, --help                show this text\n"
    "\n"
    "Example:  tutti sim all_reduce -n 1024 --nodes 128 --topology 'pack:2 l3:1 core:32 pu:2; net:ib0@0=200'\n";

struct change {
	enum tt_constant constant;
	double value;
};

struct wish {
	const char *topology, *algorithm, *profile, *svg;
	int ranks, nodes, collective, nchanges;
	size_t begin, end;
	bool json, helped, apart;
	struct change changes[MOST_CHANGES];
};

enum {
	OPTION_NODES = 256,
	OPTION_OVER,
	OPTION_TOPOLOGY,
	OPTION_ALGORITHM,
	OPTION_PROFILE,
	OPTION_SET,
	OPTION_JSON,
	OPTION_SVG
};

static int
take_change(struct wish *wish, const char *text)
{
	const char *equals = strchr(text, '=');
	char name[32];
	char *end;
	int constant;

	if (equals == NULL || wish->nchanges == MOST_CHANGES)
		return tt_usage("sim", "--set %s: write CONSTANT=VALUE", text);
	snprintf(name, sizeof(name), "%.*s", (int)(equals - text < 31 ? equals - text : 31), text);
	constant = tt_constant_find(name);
	if (constant < 0)
		return tt_usage("sim", "--set %s: there is no constant %s (tutti tune lists them)", text, name);
	wish->changes[wish->nchanges] = (struct change){(enum tt_constant)constant, strtod(equals + 1, &end)};
	if (end == equals + 1 || *end != '\0' ||
	    !tt_constant_allows((enum tt_constant)constant, wish->changes[wish->nchanges].value))
		return tt_usage("sim", "--set %s: that is no value for %s (%s)", text, name,
		    tt_constant_info((enum tt_constant)constant)->unit);
	wish->nchanges++;
	return 0;
}

static int
take_size(const char *option, size_t *bytes)
{
	if (tt_parse_size(optarg, bytes) != TUTTI_OK || *bytes == 0)
		return tt_usage("sim", "%s %s is not a size such as 8, 64K or 1.5M", option, optarg);
	return 0;
}

static int
take_option(struct wish *wish, int option)
{
	long number;

	switch (option) {
	case OPTION_TOPOLOGY:
		wish->topology = optarg;
		return 0;
	case OPTION_OVER:
		if (strcmp(optarg, "shm") != 0 && strcmp(optarg, "tcp") != 0)
			return tt_usage("sim", "--over %s: ranks of one machine talk over shm or tcp", optarg);
		wish->apart = strcmp(optarg, "tcp") == 0;
		return 0;
	case OPTION_ALGORITHM:
		wish->algorithm = optarg;
		return 0;
	case OPTION_PROFILE:
		wish->profile = optarg;
		return 0;
	case OPTION_SET:
		return take_change(wish, optarg);
	case OPTION_JSON:
		wish->json = true;
		return 0;
	case OPTION_SVG:
		wish->svg = optarg;
		return 0;
	case 'b':
		return take_size("-b", &wish->begin);
	case 'e':
		return take_size("-e", &wish->end);
	default:
		if (!tt_read_int(optarg, 1, TT_DESCRIBED_RANKS, &number))
			return tt_usage("sim", "%s is not a number from 1 to %d", optarg, TT_DESCRIBED_RANKS);
		*(option == OPTION_NODES ? &wish->nodes : &wish->ranks) = (int)number;
		return 0;
	}
}

static int
take_arguments(int argc, char **argv, struct wish *wish)
{
	if (argc - optind < 1 || argc - optind > 2)
		return tt_usage("sim", "say which collective, and perhaps one size, for example all_reduce 1M");
	wish->collective = tt_collective_parse(argv[optind]);
	if (wish->collective < 0)
		return tt_usage("sim", "there is no collective %s (all_reduce, broadcast, ...)", argv[optind]);
	if (argc - optind == 2) {
		if (tt_parse_size(argv[optind + 1], &wish->begin) != TUTTI_OK)
			return tt_usage("sim", "%s is not a size such as 8, 64K or 1.5M", argv[optind + 1]);
		wish->end = wish->begin;
	}
	if (wish->collective == TT_BARRIER) { /* it moves nothing, however much was asked for */
		if (wish->svg != NULL)
			return tt_usage("sim", "--svg draws times over sizes, and a barrier has none");
		wish->begin = wish->end = 0;
	}
	if (wish->begin > wish->end)
		return tt_usage("sim", "the smallest size is larger than the largest");
	if (wish->svg != NULL && wish->begin == wish->end)
		return tt_usage("sim", "--svg draws times over sizes: leave SIZE out");
	if (wish->ranks == 0)
		return tt_usage("sim", "say how many ranks: -n RANKS");
	if (wish->apart && wish->nodes > 1)
		return tt_usage("sim", "--over says how the ranks of one machine talk, --nodes that there are more");
	return 0;
}

static int
read_wish(int argc, char **argv, struct wish *wish)
{
	static const struct option options[] = {{"ranks", required_argument, NULL, 'n'},
	    {"nodes", required_argument, NULL, OPTION_NODES}, {"over", required_argument, NULL, OPTION_OVER},
	    {"topology", required_argument, NULL, OPTION_TOPOLOGY},
	    {"algorithm", required_argument, NULL, OPTION_ALGORITHM}, {"begin", required_argument, NULL, 'b'},
	    {"end", required_argument, NULL, 'e'}, {"profile", required_argument, NULL, OPTION_PROFILE},
	    {"set", required_argument, NULL, OPTION_SET}, {"json", no_argument, NULL, OPTION_JSON},
	    {"svg", required_argument, NULL, OPTION_SVG}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	int option, status;

	*wish = (struct wish){.nodes = 1, .begin = 8, .end = (size_t)256 << 20};
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":n:b:e:h", options, NULL)) != -1) {
		if (option == '?' || option == ':')
			return tt_usage_getopt("sim", argv, option);
		if (option == 'h') {
			fputs(help, stdout);
			wish->helped = true;
			return 0;
		}
		status = take_option(wish, option);
		if (status != 0)
			return status;
	}
	return take_arguments(argc, argv, wish);
}

/* ---- the run ------------------------------------------------------------------------------------------------------ */

static tutti_status
take_speeds(const struct wish *wish, struct tt_described *job)
{
	struct tt_constants constants = job->facts.constants;
	struct tt_profile profile;

	if (wish->profile != NULL) {
		TT_TRY(tt_profile_read(wish->profile, &profile));
		constants = profile.constants;
	}
	for (int i = 0; i < wish->nchanges; i++)
		tt_constants_set(&constants, wish->changes[i].constant, wish->changes[i].value, TT_CONSTANT_TUNED);
	tt_select_facts_use(&job->facts, &constants, job->map);
	return TUTTI_OK;
}

static tutti_status
take_algorithms(const struct wish *wish, struct tt_sim *sim)
{
	if (wish->algorithm != NULL && tt_algorithm_find(sim->collective, wish->algorithm) == NULL)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "there is no algorithm \"%.40s\" for %s", wish->algorithm,
		    tt_collective_name(sim->collective));
	for (size_t i = 0; tt_algorithms[i] != NULL && sim->nalgorithms < TT_SIM_ALGORITHMS; i++)
		if (tt_algorithms[i]->collective == sim->collective &&
		    (wish->algorithm == NULL || strcmp(wish->algorithm, tt_algorithms[i]->name) == 0))
			sim->algorithm[sim->nalgorithms++] = tt_algorithms[i];
	return TUTTI_OK;
}

static int
write_svg(const char *path, const struct tt_sim *sim)
{
	FILE *file = fopen(path, "we");

	if (file == NULL)
		return tt_complain("sim", "cannot write %s: %s", path, strerror(errno));
	tt_sim_svg(file, sim);
	return fclose(file) == 0 ? TT_EXIT_OK : tt_complain("sim", "cannot write %s: %s", path, strerror(errno));
}

static int
run(const struct wish *wish, struct tt_described *job)
{
	struct tt_sim *sim = calloc(1, sizeof(*sim));
	int status = TT_EXIT_OK;

	if (sim == NULL)
		return tt_complain("sim", "no memory");
	sim->job = job;
	sim->collective = (enum tt_collective)wish->collective;
	for (size_t bytes = wish->begin; bytes <= wish->end && sim->nsizes < TT_SIM_SIZES; bytes *= 2) {
		sim->size[sim->nsizes++] = bytes;
		if (bytes == 0)
			break;
	}
	if (take_speeds(wish, job) != TUTTI_OK || take_algorithms(wish, sim) != TUTTI_OK ||
	    tt_sim_run(sim) != TUTTI_OK)
		status = tt_complain("sim", "%s", tt_last_error()->message);
	else if (wish->json)
		tt_sim_json(stdout, sim);
	else
		tt_sim_text(stdout, sim);
	if (status == TT_EXIT_OK && wish->svg != NULL)
		status = write_svg(wish->svg, sim);
	tt_free(sim->core_of);
	free(sim);
	return status;
}

int
tt_sim_main(int argc, char **argv)
{
	struct wish wish;
	struct tt_described job;
	int status = read_wish(argc, argv, &wish);

	if (status != 0 || wish.helped)
		return status;
	if ((wish.apart ? tt_described_make_apart(wish.topology, wish.ranks, &job)
			: tt_described_make(wish.topology, wish.ranks, wish.nodes, &job)) != TUTTI_OK)
		return tt_complain("sim", "%s", tt_last_error()->message);
	status = run(&wish, &job);
	tt_described_drop(&job);
	return status;
}

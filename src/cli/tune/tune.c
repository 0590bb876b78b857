/* SPDX-License-Identifier: Apache-2.0
 *
 * tune.c - `tutti tune`: measures this machine and writes the profile that the selector reads.
 *
 * Two ranks measure what ranks of a host do together; if the job has a rank on another host, rank 0 and that rank
 * measure the network too. Rank 0 keeps the profile.
 */
#include "cli/tune/tune.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/cli.h"
#include "cli/relaunch.h"
#include "profile/profile.h"
#include "topology/host.h"

#define CALIBRATION_MS 3000
#define RANKS 2
#define BAR 40

static const char help[] =
    "Usage: tutti tune [-o FILE]\n"
    "\n"
    "Measures this machine, in less than a minute, and writes the profile that Tutti chooses algorithms by. It\n"
    "starts two ranks for that; under a launcher it uses the first ranks of that job, and if there are several\n"
    "hosts it measures the network between the first and the second, too. Nothing else should run meanwhile.\n"
    "\n"
    "  -o, --output FILE  write the profile there; use it by TUTTI_PROFILE=FILE (default: the user's cache\n"
    "                     directory, where every program finds it)\n"
    "  -h, --help         show this text\n";

/* ---- progress --------------------------------------------------------------------------------------------------- */

static struct {
	int done, all;
	bool shown;
} progress;

static void
show_progress(void)
{
	const int filled = progress.all > 0 ? BAR * progress.done / progress.all : 0;

	if (!progress.shown)
		return;
	fprintf(stderr, "\rmeasuring [%.*s%*s] %d/%d%s", filled, "########################################",
	    BAR - filled, "", progress.done, progress.all, progress.done == progress.all ? "\n" : "");
}

static void
step(void)
{
	progress.done++;
	show_progress();
}

/* ---- measuring -------------------------------------------------------------------------------------------------- */

static const struct tt_tune_link by_memory = {
    TT_CONSTANT_SHM_MESSAGE, TT_CONSTANT_SHM_POST, TT_CONSTANT_SHM_BYTE, TT_CONSTANT_SHM_ONE_WAY, TT_CONSTANTS};
static const struct tt_tune_link by_loopback = {TT_CONSTANT_LOOP_MESSAGE, TT_CONSTANT_LOOP_POST,
    TT_CONSTANT_LOOP_BYTE, TT_CONSTANT_LOOP_ONE_WAY, TT_CONSTANT_LOOP_LOOK};
static const struct tt_tune_link by_network = {
    TT_CONSTANT_NET_MESSAGE, TT_CONSTANT_NET_POST, TT_CONSTANT_NET_BYTE, TT_CONSTANT_NET_ONE_WAY, TT_CONSTANTS};

static int
complain_of(int rank, bool met, const char *what)
{
	tutti_error error = TUTTI_ERROR_INIT;

	tutti_last_error(&error);
	if (tt_place_told(rank, &error, met))
		return TT_EXIT_OK;
	return tt_complain("tune", "%s: %s (%s)", what, error.message, tutti_status_string(error.status));
}

/* A communicator of the ranks that take part (color 0); NULL for the others. */
static tutti_status
part(tutti_comm *all, bool in, const char *transports, tutti_comm **some)
{
	tutti_config config = TUTTI_CONFIG_INIT;

	config.transports = transports;
	return tutti_comm_split(all, in ? 0 : -1, 0, &config, some);
}

/* The first rank that shares rank 0's node and the first that does not; -1 = there is none. On every rank the same. */
static tutti_status
find_partners(tutti_comm *all, int *near, int *far)
{
	const int size = tutti_comm_size(all), rank = tutti_comm_rank(all);
	int32_t node = tutti_comm_node(all), first[2] = {INT32_MAX, INT32_MAX};
	tutti_status status;

	*near = *far = -1;
	status = tutti_broadcast(all, &node, &node, 1, TUTTI_INT32, 0, NULL, NULL);
	if (status != TUTTI_OK)
		return status;
	if (rank != 0)
		first[tutti_comm_node(all) == node ? 0 : 1] = rank;
	status = tutti_all_reduce(all, first, first, 2, TUTTI_INT32, TUTTI_MIN, NULL, NULL);
	*near = first[0] < size ? first[0] : -1;
	*far = first[1] < size ? first[1] : -1;
	return status;
}

static tutti_status
with_part(
    tutti_comm *all, int other, const char *transports, tutti_status (*measure)(tutti_comm *, void *), void *what)
{
	const int rank = tutti_comm_rank(all);
	tutti_comm *two = NULL;
	tutti_status status = part(all, rank == 0 || rank == other, transports, &two);

	if (status == TUTTI_OK && two != NULL)
		status = measure(two, what);
	tutti_comm_destroy(two);
	return status;
}

struct task {
	const struct tt_tune_link *link;
	struct tt_constants *constants;
};

static tutti_status
measure_link(tutti_comm *two, void *what)
{
	const struct task *task = what;

	return tt_tune_link(two, task->link, task->constants, step);
}

static tutti_status
measure_node(tutti_comm *two, void *what)
{
	const struct task *task = what;

	return tt_tune_node(two, task->constants, step);
}

static tutti_status
measure_turn(tutti_comm *two, void *what)
{
	const struct task *task = what;

	return tt_tune_turn(two, task->constants, step);
}

/* Two ranks on one core would measure a scheduler. Whoever may not use its CPU stays where it is. */
static tutti_status
take_cores(tutti_comm *all, int near)
{
	const int rank = tutti_comm_rank(all);
	struct tt_cpu_set mine, set = {{0}};
	int32_t cpu[2] = {-1, -1};
	int pair[2], wanted;

	if (rank == 0 && tt_calibrate_neighbours(pair)) {
		cpu[0] = pair[0];
		cpu[1] = pair[1];
	}
	TT_TRY(tutti_broadcast(all, cpu, cpu, 2, TUTTI_INT32, 0, NULL, NULL));
	wanted = rank == 0 ? cpu[0] : rank == near ? cpu[1] : -1;
	if (wanted < 0 || tt_host_affinity(&mine) != TUTTI_OK || (mine.bits[wanted / 64] >> wanted % 64 & 1) == 0)
		return TUTTI_OK;
	set.bits[wanted / 64] = UINT64_C(1) << wanted % 64;
	(void)tt_host_bind(&set);
	return TUTTI_OK;
}

static tutti_status
measure_all(tutti_comm *all, struct tt_constants *constants)
{
	struct task task = {.constants = constants};
	int near, far;
	tutti_status status = find_partners(all, &near, &far);

	progress.all = 1 + (far > 0 ? TT_TUNE_LINK_STEPS : 0);
	if (near > 0)
		progress.all +=
		    TT_TUNE_NODE_STEPS + TT_TUNE_TURN_STEPS + 2 * TT_TUNE_LINK_STEPS + TT_TUNE_SIZES_STEPS;
	show_progress();
	if (tutti_comm_rank(all) == 0)
		tt_calibrate(CALIBRATION_MS, constants);
	step();
	if (status == TUTTI_OK)
		status = take_cores(all, near);
	/* A call's own part comes out of messages, which come first. */
	task.link = &by_memory;
	if (status == TUTTI_OK && near > 0)
		status = with_part(all, near, "shm", measure_link, &task);
	if (status == TUTTI_OK && near > 0)
		status = with_part(all, near, "shm", measure_node, &task);
	if (status == TUTTI_OK && near > 0)
		status = with_part(all, near, "shm", measure_turn, &task);
	task.link = &by_loopback;
	if (status == TUTTI_OK && near > 0)
		status = with_part(all, near, "tcp", measure_link, &task);
	/* Trials know what has been measured so far. */
	if (status == TUTTI_OK && near > 0)
		status = tt_tune_sizes(all, near, constants, step);
	task.link = &by_network;
	if (status == TUTTI_OK && far > 0)
		status = with_part(all, far, NULL, measure_link, &task);
	return status;
}

/* ---- the command ------------------------------------------------------------------------------------------------ */

static void
print_profile(const struct tt_profile *profile)
{
	printf("%-16s %12s %-6s %-9s %s\n", "constant", "value", "unit", "from", "meaning");
	for (int i = 0; i < TT_CONSTANTS; i++) {
		const struct tt_constant_info *info = tt_constant_info((enum tt_constant)i);
		char value[32];

		tt_constant_print(&profile->constants, (enum tt_constant)i, value, sizeof(value));
		printf("%-16s %12s %-6s %-9s %s\n", info->name, value, info->unit,
		    tt_constant_source_name((enum tt_constant_source)profile->constants.source[i]), info->meaning);
	}
}

static int
keep_profile(const char *output, const struct tt_profile *profile)
{
	char path[TT_PROFILE_PATH];

	if (output == NULL && !tt_profile_path(profile->host, true, path, sizeof(path)))
		return tt_complain(
		    "tune", "there is no cache directory to write to: set XDG_CACHE_HOME, or give -o FILE");
	if (output != NULL)
		snprintf(path, sizeof(path), "%s", output);
	if (tt_profile_write(path, profile) != TUTTI_OK)
		return tt_complain("tune", "%s", tt_last_error()->message);
	print_profile(profile);
	printf("\nwritten to %s\n", path);
	return TT_EXIT_OK;
}

static int
be_rank(const char *output, int rank)
{
	tutti_comm *all = NULL;
	struct tt_profile profile;
	int status = TT_EXIT_OK;

	if (tutti_comm_create_from_env(NULL, &all) != TUTTI_OK)
		return complain_of(rank, false, "the ranks do not come together");
	tt_profile_init(&profile);
	progress.shown = tutti_comm_rank(all) == 0 && isatty(STDERR_FILENO);
	if (tutti_comm_size(all) < RANKS)
		status = tt_complain("tune", "one rank alone cannot measure messages: start at least two");
	else if (measure_all(all, &profile.constants) != TUTTI_OK)
		status = complain_of(rank, true, "measuring failed");
	tt_calibrate_conclude(&profile.constants);
	if (status == TT_EXIT_OK && tutti_comm_rank(all) == 0)
		status = keep_profile(output, &profile);
	tutti_comm_destroy(all);
	return status;
}

static int
read_options(int argc, char **argv, const char **output, bool *helped)
{
	static const struct option options[] = {
	    {"output", required_argument, NULL, 'o'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":o:h", options, NULL)) != -1) {
		if (option == 'o') {
			*output = optarg;
		} else if (option == 'h') {
			fputs(help, stdout);
			*helped = true;
			return 0;
		} else {
			return tt_usage_getopt("tune", argv, option);
		}
	}
	return optind < argc ? tt_usage("tune", "'%s' is not expected", argv[optind]) : 0;
}

/* What can be known of that before a minute has passed. */
static bool
has_folder(const char *file)
{
	const char *slash = strrchr(file, '/');
	char folder[TT_PROFILE_PATH];

	if (slash == NULL)
		return true;
	snprintf(folder, sizeof(folder), "%.*s", (int)(slash - file + 1), file);
	return access(folder, W_OK) == 0;
}

int
tt_tune_main(int argc, char **argv)
{
	const char *output = NULL;
	struct tt_place place;
	bool helped = false;
	int status = read_options(argc, argv, &output, &helped);

	if (status != 0 || helped)
		return status;
	if (!tt_place_find("tune", &place))
		return TT_EXIT_FAILURE;
	if (output != NULL && !place.launched && !has_folder(output))
		return tt_complain("tune", "cannot write %s: %s", output, strerror(errno));
	/* The ranks measure; what is kept must not depend on an earlier profile. */
	setenv("TUTTI_PROFILE", "assumed", 1);
	/* Rows are to be read out of other processes' memory, whatever their size, where that is possible. */
	setenv("TUTTI_CMA", "4096", 1);
	return place.launched ? be_rank(output, place.rank) : tt_relaunch("tune", RANKS, argc, argv);
}

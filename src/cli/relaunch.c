/* SPDX-License-Identifier: Apache-2.0
 *
 * relaunch.c - finds out whether somebody launched this process, and launches it if not.
 */
#include "cli/relaunch.h"

#include <stdlib.h>

#include "base/error.h"
#include "bootstrap/identity.h"
#include "cli/cli.h"
#include "cli/run_launch.h"

static const char *
environment(void *context, const char *name)
{
	return getenv(name);
}

bool
tt_place_find(const char *command, struct tt_place *place)
{
	struct tt_identity identity;

	if (tt_identity_read(environment, NULL, &identity) != TUTTI_OK) {
		tt_complain(command, "%s", tt_last_error()->message);
		return false;
	}
	place->launched = identity.launcher != TT_LAUNCHER_NONE;
	place->rank = identity.rank;
	place->size = identity.size;
	place->launcher = tt_launcher_name(identity.launcher);
	return true;
}

bool
tt_place_told(int rank, const tutti_error *error, bool met)
{
	if (rank <= 0 || error->rank == rank)
		return false;
	if (error->rank >= 0) /* rank 0 has failed on its own and said so, unless it is gone */
		return error->rank > 0 || error->status != TUTTI_ERR_PEER;
	/* A call that is wrong is wrong on every rank. What keeps a rank from meeting the others nobody else hears of. */
	return met && (error->status == TUTTI_ERR_ARGUMENT || error->status == TUTTI_ERR_UNSUPPORTED);
}

int
tt_relaunch_ranks(int wanted)
{
	int cores = tt_host_cores();

	if (wanted > 0)
		return wanted;
	if (cores > TT_LAUNCH_RANKS)
		return TT_LAUNCH_RANKS;
	return cores > 2 ? cores : 2;
}

int
tt_relaunch(const char *command, int ranks, int argc, char **argv)
{
	struct tt_launch launch = {.command = command, .ranks = ranks, .output = TT_OUTPUT_DIRECT};
	char **arguments = calloc((size_t)argc + 2, sizeof *arguments);
	char self[] = "/proc/self/exe";
	int status;

	if (arguments == NULL)
		return tt_complain(command, "no memory");
	arguments[0] = self;
	for (int i = 0; i < argc; i++)
		arguments[i + 1] = argv[i];
	launch.argv = arguments;
	status = tt_launch_run(&launch);
	free(arguments);
	return status;
}

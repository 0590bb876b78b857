/* SPDX-License-Identifier: Apache-2.0
 *
 * relaunch.h - for commands that are a job themselves: under a launcher they are one of its ranks; started alone
 * they start themselves again, once per rank.
 */
#ifndef TT_CLI_RELAUNCH_H
#define TT_CLI_RELAUNCH_H

#include <tutti/tutti.h>

#include "base/port.h"

struct tt_place {
	bool launched; /* by `tutti run` or another launcher, or by tt_relaunch */
	int rank, size;
	const char *launcher;
};

/* What the environment says; complains and returns false if that makes no sense. */
bool tt_place_find(const char *command, struct tt_place *place);
/* Does rank 0 of the job tell the same of this error as rank `rank` would? Then it is told once, and the other ends as if
 * all were well: at the first failure the launcher would end rank 0 before it has told. met: the ranks have a communicator. */
bool tt_place_told(int rank, const tutti_error *error, bool met);
/* How many ranks to launch: `wanted`, or for 0 one per usable core, at least 2. */
int tt_relaunch_ranks(int wanted);
/* Runs this program again as `ranks` ranks with these arguments (argv[0] is the command); the exit status. */
int tt_relaunch(const char *command, int ranks, int argc, char **argv);

#endif /* TT_CLI_RELAUNCH_H */

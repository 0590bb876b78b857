/* SPDX-License-Identifier: Apache-2.0
 *
 * run_launch.h - starts the ranks of a job on this machine and leaves nothing behind.
 *
 *	tutti run (the guard) ── supervisor ─┬─ rank 0 ── its children
 *	                                     └─ rank 1 ...
 *
 * The supervisor, in a session of its own, starts the ranks, carries their output and ends them. The guard only
 * passes signals on and waits. Each looks after the other: when the guard is gone, however it went, the
 * supervisor's pipe closes and it kills everything; when the supervisor is gone, its ranks are killed by the
 * kernel (PR_SET_PDEATHSIG) and the guard kills what they had started. Both are subreapers, so even a process that
 * left its parent and session stays within reach.
 */
#ifndef TT_CLI_RUN_LAUNCH_H
#define TT_CLI_RUN_LAUNCH_H

#include <signal.h>

#include "base/port.h"
#include "topology/host.h"

#define TT_LAUNCH_RANKS 4096 /* most ranks of a job */

enum tt_launch_output {
	TT_OUTPUT_PREFIXED, /* "[rank] " before each line */
	TT_OUTPUT_PLAIN, /* whole lines */
	TT_OUTPUT_DIRECT, /* the ranks write to our descriptors themselves, and say themselves why they fail */
};

struct tt_launch {
	const char *command; /* for complaints: "run" */
	int ranks;
	double timeout_s; /* 0 = none */
	bool keep; /* when a rank fails, let the others go on */
	enum tt_bind bind;
	enum tt_launch_output output;
	char **argv; /* the program and its arguments, NULL at the end */
};

/* What the guard hands to its supervisor. */
struct tt_launch_context {
	const struct tt_launch *launch;
	int control; /* reads the numbers of signals to pass on; its end is the guard's death */
	int secret; /* sealed memory file with TT_KEY_BYTES random bytes */
	char job[33]; /* the job's random name */
	sigset_t mask; /* the signal mask that the ranks shall have */
	bool terminal_is_ours; /* stdin is a terminal and we are its foreground job */
};

/* Runs the job; returns the exit status of the first rank that failed (128 + the signal that killed it), 0 if none
 * did, 124 at the time limit, 126 or 127 if the program cannot be executed. */
int tt_launch_run(const struct tt_launch *launch);

/* The supervisor's life; returns its exit status. */
int tt_supervise(const struct tt_launch_context *context);

#endif /* TT_CLI_RUN_LAUNCH_H */

/* SPDX-License-Identifier: Apache-2.0
 *
 * run_children.h - starting one rank, and ending a whole tree of processes.
 */
#ifndef TT_CLI_RUN_CHILDREN_H
#define TT_CLI_RUN_CHILDREN_H

#include <sys/resource.h>
#include <sys/types.h>

#include "cli/run_launch.h"

struct tt_child {
	pid_t pid;
	int output[2]; /* what it writes to stdout and stderr, non-blocking; -1 = closed or direct */
};

/* Starts a rank in a process group of its own and waits until its program runs. 0, or the errno of what failed;
 * *what says what that was ("run", "bind" ...). allowed: the CPUs of the job; limit: files that it may open. */
int tt_child_start(const struct tt_launch_context *context, int rank, const struct tt_cpu_set *allowed,
    const struct rlimit *limit, struct tt_child *child, const char **what);

/* Sends a signal to all descendants of this process; returns how many there are. */
int tt_tree_signal(int number);
/* Kills all descendants and collects them, until none is left (or the kernel holds on to one for 10 s). */
void tt_tree_kill_all(void);

#endif /* TT_CLI_RUN_CHILDREN_H */

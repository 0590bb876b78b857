/* SPDX-License-Identifier: Apache-2.0
 *
 * run_children.c - a rank's first steps between fork and exec.
 *
 * A pipe that closes on exec brings back the reason why a rank could not start; its silent end says that the
 * program runs. The kernel kills a rank whose supervisor is gone.
 */
#include "cli/run_children.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/error.h"

struct start_failure {
	int step, error;
};

static const char *const steps[] = {"run", "redirect the output of", "hand the secret to", "bind"};
enum { STEP_RUN, STEP_REDIRECT, STEP_SECRET, STEP_BIND };

static bool
set_number(const char *name, int value)
{
	char text[16];

	snprintf(text, sizeof text, "%d", value);
	return setenv(name, text, 1) == 0;
}

/* A descriptor of the rank's own, with an offset of its own, that only reads. */
static int
open_secret(int secret)
{
	char path[64];
	int fd;

	snprintf(path, sizeof path, "/proc/self/fd/%d", secret);
	fd = open(path, O_RDONLY);
	return fd >= 0 ? fd : dup(secret);
}

static bool
set_environment(const struct tt_launch_context *context, int rank)
{
	int secret = open_secret(context->secret);
	int ranks = context->launch->ranks;

	return secret >= 0 && set_number("TUTTI_SECRET_FD", secret) && set_number("TUTTI_RANK", rank) &&
	       set_number("TUTTI_SIZE", ranks) && set_number("TUTTI_LOCAL_RANK", rank) &&
	       set_number("TUTTI_LOCAL_SIZE", ranks) && setenv("TUTTI_JOB", context->job, 1) == 0;
}

/* stdin is rank 0's; but a background job must not take a terminal's input away from the shell. */
static bool
redirect(const struct tt_launch_context *context, int rank, const int ends[2])
{
	bool mine = rank == 0 && (!isatty(0) || context->terminal_is_ours);
	int null;

	if (!mine) {
		null = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (null < 0 || dup2(null, 0) < 0)
			return false;
	}
	if (context->launch->output == TT_OUTPUT_DIRECT)
		return true;
	return dup2(ends[0], 1) >= 0 && dup2(ends[1], 2) >= 0;
}

static bool
bind_rank(const struct tt_launch *launch, int rank, const struct tt_cpu_set *allowed)
{
	struct tt_cpu_set set;

	if (launch->bind == TT_BIND_NONE)
		return true;
	tt_host_binding("", launch->bind, rank, launch->ranks, allowed, &set);
	return tt_host_bind(&set) == TUTTI_OK;
}

static int
prepare(const struct tt_launch_context *context, int rank, const struct tt_cpu_set *allowed,
    const struct rlimit *limit, const int ends[2])
{
	setpgid(0, 0);
	if (!redirect(context, rank, ends))
		return STEP_REDIRECT;
	if (!bind_rank(context->launch, rank, allowed))
		return STEP_BIND;
	if (!set_environment(context, rank))
		return STEP_SECRET;
	setrlimit(RLIMIT_NOFILE, limit);
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &context->mask, NULL);
	return STEP_RUN;
}

static void
become_rank(const struct tt_launch_context *context, int rank, const struct tt_cpu_set *allowed,
    const struct rlimit *limit, const int ends[2], int report, pid_t supervisor)
{
	struct start_failure failure = {0};
	ssize_t written;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != supervisor)
		_exit(1);
	failure.step = prepare(context, rank, allowed, limit, ends);
	if (failure.step == STEP_RUN)
		execvp(context->launch->argv[0], context->launch->argv);
	failure.error = errno;
	written = write(report, &failure, sizeof failure);
	_exit(written == (ssize_t)sizeof failure ? 127 : 1);
}

/* 0 when the program runs, else the errno of what failed. */
static int
await_start(int report, const char **what)
{
	struct start_failure failure;
	ssize_t n;

	do
		n = read(report, &failure, sizeof failure);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof failure)
		return 0;
	*what = steps[failure.step];
	return failure.error;
}

static void
close_pair(const int pair[2])
{
	for (int i = 0; i < 2; i++) {
		if (pair[i] >= 0)
			close(pair[i]);
	}
}

/* stdout's and stderr's pipes: reading ends and the rank's ends. */
static bool
make_pipes(struct tt_child *child, int ends[2])
{
	for (int i = 0; i < 2; i++) {
		int pipe[2];

		if (pipe2(pipe, O_CLOEXEC) != 0)
			return false;
		fcntl(pipe[0], F_SETFL, O_NONBLOCK);
		child->output[i] = pipe[0];
		ends[i] = pipe[1];
	}
	return true;
}

int
tt_child_start(const struct tt_launch_context *context, int rank, const struct tt_cpu_set *allowed,
    const struct rlimit *limit, struct tt_child *child, const char **what)
{
	int ends[2] = {-1, -1}, report[2] = {-1, -1}, error = 0;
	const pid_t supervisor = getpid();

	*child = (struct tt_child){-1, {-1, -1}};
	*what = "make pipes for";
	if ((context->launch->output != TT_OUTPUT_DIRECT && !make_pipes(child, ends)) ||
	    pipe2(report, O_CLOEXEC) != 0) {
		error = errno;
	} else {
		*what = "start a process for";
		child->pid = fork();
		if (child->pid == 0)
			become_rank(context, rank, allowed, limit, ends, report[1], supervisor);
		error = child->pid < 0 ? errno : 0;
	}
	close_pair(ends);
	if (report[1] >= 0)
		close(report[1]);
	if (error == 0) {
		setpgid(child->pid, child->pid);
		error = await_start(report[0], what);
	}
	if (report[0] >= 0)
		close(report[0]);
	return error;
}

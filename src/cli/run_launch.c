/* SPDX-License-Identifier: Apache-2.0
 *
 * run_launch.c - the guard: makes the job's name and secret, starts the supervisor, passes signals on.
 *
 * It must stay so simple that it can always answer: it never writes output and never waits but for signals.
 */
#include "cli/run_launch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/handshake.h"
#include "base/process.h"
#include "cli/cli.h"
#include "cli/run_children.h"

static const int forwarded[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

/* Memory that nobody can write any more; -1 on failure. */
static int
make_secret(void)
{
	unsigned char secret[TT_KEY_BYTES];
	int fd = memfd_create("tutti-secret", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	bool good;

	if (fd < 0)
		return -1;
	tt_random(secret, sizeof secret);
	good = write(fd, secret, sizeof secret) == (ssize_t)sizeof secret &&
	       fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0;
	explicit_bzero(secret, sizeof secret);
	if (good)
		return fd;
	close(fd);
	return -1;
}

static void
make_job_name(char name[33])
{
	unsigned char bytes[16];

	tt_random(bytes, sizeof bytes);
	for (int i = 0; i < 16; i++)
		snprintf(name + 2 * i, 3, "%02x", bytes[i]);
}

/* Blocks what the guard answers to; `old` is the mask before. */
static void
block_signals(sigset_t *watched, sigset_t *old)
{
	struct sigaction before;

	sigemptyset(watched);
	sigaddset(watched, SIGCHLD);
	/* Whoever started us may ignore SIGCHLD, and then no status could be collected. */
	signal(SIGCHLD, SIG_DFL);
	for (size_t i = 0; i < TT_COUNT_OF(forwarded); i++) {
		sigaddset(watched, forwarded[i]);
		/* A script's background jobs begin with SIGINT ignored, which the ranks could not undo; but nohup
		 * means what it says. */
		sigaction(forwarded[i], NULL, &before);
		if (forwarded[i] != SIGHUP || before.sa_handler != SIG_IGN)
			signal(forwarded[i], SIG_DFL);
	}
	sigprocmask(SIG_BLOCK, watched, old);
}

/* Collects children that have ended; true when the supervisor was among them. */
static bool
collect(pid_t supervisor, int *status)
{
	bool ended = false;
	int one;
	pid_t pid;

	while ((pid = waitpid(-1, &one, WNOHANG)) > 0) {
		if (pid == supervisor) {
			*status = one;
			ended = true;
		}
	}
	return ended;
}

static int
wait_for(const struct tt_launch *launch, pid_t supervisor, int control, const sigset_t *watched)
{
	int status = 0, number;

	for (;;) {
		number = sigwaitinfo(watched, NULL);
		if (number == SIGCHLD) {
			if (collect(supervisor, &status))
				break;
		} else if (number > 0) {
			unsigned char byte = (unsigned char)number;
			ssize_t written;

			/* A full pipe means that it has been told hundreds of times. */
			do
				written = write(control, &byte, 1);
			while (written < 0 && errno == EINTR);
		}
	}
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	tt_tree_kill_all();
	tt_complain(launch->command, "the supervisor was killed by signal %d (%s); the ranks were killed too",
	    WTERMSIG(status), strsignal(WTERMSIG(status)));
	return 128 + WTERMSIG(status);
}

int
tt_launch_run(const struct tt_launch *launch)
{
	struct tt_launch_context context = {.launch = launch};
	sigset_t watched;
	int control[2], status;
	pid_t supervisor;

	context.secret = make_secret();
	if (context.secret < 0)
		return tt_complain(launch->command, "cannot make the job's secret: %s", strerror(errno));
	make_job_name(context.job);
	context.terminal_is_ours = tcgetpgrp(0) == getpgrp();
	if (pipe2(control, O_CLOEXEC) != 0)
		return tt_complain(launch->command, "cannot make a pipe: %s", strerror(errno));
	fcntl(control[1], F_SETFL, O_NONBLOCK);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	block_signals(&watched, &context.mask);
	signal(SIGPIPE, SIG_IGN);
	supervisor = fork();
	if (supervisor < 0)
		return tt_complain(launch->command, "cannot start the supervisor: %s", strerror(errno));
	if (supervisor == 0) {
		close(control[1]);
		context.control = control[0];
		_exit(tt_supervise(&context));
	}
	close(control[0]);
	close(context.secret);
	status = wait_for(launch, supervisor, control[1], &watched);
	close(control[1]);
	return status;
}

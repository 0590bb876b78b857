/* SPDX-License-Identifier: Apache-2.0
 *
 * run_supervisor.c - starts the ranks, carries their output, and ends what has to end.
 *
 * One loop over poll(2) that never waits for anything else: while output is stuck, signals, deaths, the time limit
 * and the guard's end are still seen. It goes through phases, never back: the ranks run; all are asked to end
 * (SIGTERM); all are killed (SIGKILL). It leaves only when no child is left, which for a subreaper means no
 * descendant, and when all output is written or nobody reads it.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/run_children.h"
#include "cli/run_launch.h"
#include "cli/run_output.h"

#define GRACE_NS (2000 * TT_MS) /* between SIGTERM and SIGKILL */
#define AGAIN_NS (50 * TT_MS) /* between two rounds of SIGKILL: a process may have forked between */
#define IMPATIENT 3 /* so many SIGINT and SIGTERM kill at once */

enum phase { RUNNING, ENDING, KILLING };

struct rank {
	struct tt_child child;
	struct tt_line lines[2];
	bool running, failed;
};

struct supervisor {
	const struct tt_launch *launch;
	struct rank *ranks;
	struct tt_output streams[2];
	struct pollfd *polled;
	int control, children; /* the guard's pipe; SIGCHLD as a descriptor */
	int started, running;
	enum phase phase;
	bool no_children; /* no descendant is left */
	bool guard_gone, stop_reported;
	int status; /* to return; 0 until something failed */
	int asked; /* to stop, by SIGINT and SIGTERM */
	int64_t limit_ns, next_ns; /* the job's time limit; when the phase goes on */
};

/* ---- ending ---------------------------------------------------------------------------------------------- */

static void
signal_ranks(struct supervisor *s, int number)
{
	for (int r = 0; r < s->started; r++) {
		if (s->ranks[r].running)
			kill(-s->ranks[r].child.pid, number);
	}
}

static void
kill_all(struct supervisor *s)
{
	s->phase = KILLING;
	signal_ranks(s, SIGKILL);
	tt_tree_signal(SIGKILL);
	s->next_ns = tt_now_ns() + AGAIN_NS;
}

static void
ask_all_to_end(struct supervisor *s)
{
	if (s->phase != RUNNING)
		return;
	s->phase = ENDING;
	tt_tree_signal(SIGTERM);
	/* A stopped process hears nothing but this. */
	tt_tree_signal(SIGCONT);
	s->next_ns = tt_now_ns() + GRACE_NS;
}

static void
fail(struct supervisor *s, int status)
{
	if (s->status == 0)
		s->status = status;
}

/* "0 1 5" of the ranks that still run, cut short when long. */
static void
list_running(const struct supervisor *s, char *text, size_t capacity)
{
	size_t at = 0;

	text[0] = '\0';
	for (int r = 0; r < s->started && at + 16 < capacity; r++) {
		if (s->ranks[r].running)
			at += (size_t)snprintf(text + at, capacity - at, " %d", r);
	}
	if (at + 16 >= capacity)
		snprintf(text + at, capacity - at, " ...");
}

static void
check_times(struct supervisor *s)
{
	int64_t now = tt_now_ns();
	char list[256];

	if (s->phase == RUNNING && now >= s->limit_ns) {
		list_running(s, list, sizeof list);
		tt_output_line(&s->streams[1], "tutti %s: the time limit of %g s is over; still running: rank%s%s",
		    s->launch->command, s->launch->timeout_s, s->running == 1 ? "" : "s", list);
		fail(s, TT_EXIT_TIMEOUT);
		s->stop_reported = true;
		ask_all_to_end(s);
	} else if (s->phase != RUNNING && now >= s->next_ns) {
		kill_all(s);
	}
}

/* ---- ranks that end -------------------------------------------------------------------------------------- */

static void
report(struct supervisor *s, int rank, int status)
{
	const char *command = s->launch->command;
	int pid = (int)s->ranks[rank].child.pid;

	if (WIFSIGNALED(status))
		tt_output_line(&s->streams[1], "tutti %s: rank %d (pid %d) was killed by signal %d (%s)%s", command,
		    rank, pid, WTERMSIG(status), strsignal(WTERMSIG(status)),
		    WCOREDUMP(status) ? ", core dumped" : "");
	else if (s->launch->output != TT_OUTPUT_DIRECT)
		tt_output_line(&s->streams[1], "tutti %s: rank %d (pid %d) exited with status %d", command, rank, pid,
		    WEXITSTATUS(status));
}

static void
rank_ended(struct supervisor *s, int rank, int status)
{
	s->ranks[rank].running = false;
	s->running--;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	/* Those that end because we asked them to are not to blame. */
	if (s->phase == RUNNING)
		report(s, rank, status);
	if (s->stop_reported)
		return;
	fail(s, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
	if (!s->launch->keep)
		ask_all_to_end(s);
}

static void
collect_children(struct supervisor *s)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (int r = 0; r < s->started; r++) {
			if (s->ranks[r].running && s->ranks[r].child.pid == pid)
				rank_ended(s, r, status);
		}
	}
	s->no_children = pid < 0 && errno == ECHILD;
	/* What the ranks started in the background ends with them. */
	if (s->running == 0 && !s->no_children)
		ask_all_to_end(s);
}

/* ---- descriptors ----------------------------------------------------------------------------------------- */

static void
read_control(struct supervisor *s)
{
	unsigned char numbers[64];
	ssize_t n = read(s->control, numbers, sizeof numbers);

	if (n < 0 && errno == EINTR)
		return;
	if (n <= 0) {
		s->guard_gone = true;
		fail(s, TT_EXIT_FAILURE);
		kill_all(s);
		return;
	}
	for (ssize_t i = 0; i < n; i++) {
		signal_ranks(s, numbers[i]);
		s->asked += numbers[i] == SIGINT || numbers[i] == SIGTERM;
	}
	if (s->asked >= IMPATIENT) {
		fail(s, 128 + SIGKILL);
		kill_all(s);
	}
}

static void
close_output(struct supervisor *s, int rank, int which)
{
	int *fd = &s->ranks[rank].child.output[which];

	if (*fd < 0)
		return;
	tt_line_end(&s->ranks[rank].lines[which], &s->streams[which], rank, s->launch->output == TT_OUTPUT_PREFIXED);
	close(*fd);
	*fd = -1;
}

/* Carries one read's worth; false when there is nothing to read now. */
static bool
carry(struct supervisor *s, int rank, int which)
{
	struct rank *from = &s->ranks[rank];
	char bytes[TT_OUTPUT_READ];
	ssize_t n;

	if (from->child.output[which] < 0)
		return false;
	/* Nobody reads what the job writes: let it know in the usual way, SIGPIPE. */
	if (s->streams[which].broken) {
		close_output(s, rank, which);
		return false;
	}
	if (!tt_output_has_room(&s->streams[which]))
		return false;
	n = read(from->child.output[which], bytes, sizeof bytes);
	if (n > 0)
		tt_line_feed(&from->lines[which], &s->streams[which], rank, s->launch->output == TT_OUTPUT_PREFIXED,
		    bytes, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		close_output(s, rank, which);
	return n > 0;
}

static void
discard_output(struct supervisor *s)
{
	for (int i = 0; i < 2; i++)
		s->streams[i].broken = true;
	for (int r = 0; r < s->started; r++)
		for (int i = 0; i < 2; i++)
			close_output(s, r, i);
	for (int i = 0; i < 2; i++)
		tt_output_fini(&s->streams[i]);
}

/* All that is left in the pipes, as far as there is room; true when all is read and written. */
static bool
finish_output(struct supervisor *s)
{
	bool open = false;

	for (int r = 0; r < s->started; r++) {
		for (int i = 0; i < 2; i++) {
			while (carry(s, r, i))
				continue;
			/* Empty, and no writer is left alive, or only ones that are none of our children. */
			if (tt_output_has_room(&s->streams[i]))
				close_output(s, r, i);
			open = open || s->ranks[r].child.output[i] >= 0;
		}
	}
	return !open && tt_output_is_empty(&s->streams[0]) && tt_output_is_empty(&s->streams[1]);
}

/* ---- the loop -------------------------------------------------------------------------------------------- */

static nfds_t
fill_polled(struct supervisor *s)
{
	nfds_t n = 0;

	s->polled[n++] = (struct pollfd){s->guard_gone ? -1 : s->control, POLLIN, 0};
	s->polled[n++] = (struct pollfd){s->children, POLLIN, 0};
	for (int i = 0; i < 2; i++) {
		bool idle = tt_output_is_empty(&s->streams[i]);

		s->polled[n++] = (struct pollfd){idle ? -1 : s->streams[i].fd, POLLOUT, 0};
	}
	for (int r = 0; r < s->started; r++) {
		for (int i = 0; i < 2; i++) {
			bool room = tt_output_has_room(&s->streams[i]);

			s->polled[n++] = (struct pollfd){room ? s->ranks[r].child.output[i] : -1, POLLIN, 0};
		}
	}
	return n;
}

static int64_t
wake_ns(const struct supervisor *s)
{
	if (s->no_children)
		return TT_FOREVER;
	return s->phase == RUNNING ? s->limit_ns : s->next_ns;
}

static void
serve(struct supervisor *s)
{
	nfds_t n = fill_polled(s);
	struct signalfd_siginfo ended;

	if (poll(s->polled, n, tt_poll_ms(wake_ns(s), tt_now_ns(), 60000)) < 0)
		return;
	for (nfds_t p = 4; p < n; p++) {
		if (s->polled[p].revents != 0)
			(void)carry(s, (int)(p - 4) / 2, (int)(p - 4) % 2);
	}
	for (int i = 0; i < 2; i++) {
		if (s->polled[2 + i].revents != 0)
			tt_output_write(&s->streams[i]);
	}
	if (s->polled[1].revents != 0) {
		while (read(s->children, &ended, sizeof ended) > 0)
			continue;
		collect_children(s);
	}
	if (s->polled[0].revents != 0)
		read_control(s);
}

/* What a failed start means for the exit status, as in the shell. */
static void
start_failed(struct supervisor *s, int error, const char *what)
{
	const char *program = s->launch->argv[0];

	tt_output_line(
	    &s->streams[1], "tutti %s: cannot %s '%s': %s", s->launch->command, what, program, strerror(error));
	if (strcmp(what, "run") != 0)
		fail(s, TT_EXIT_FAILURE);
	else
		fail(s, error == ENOENT ? TT_EXIT_NOT_FOUND : TT_EXIT_CANNOT_RUN);
	s->stop_reported = true;
}

static void
start_ranks(struct supervisor *s, const struct tt_launch_context *context)
{
	struct tt_cpu_set allowed;
	struct rlimit limit, ours;
	const char *what;

	if (tt_host_affinity(&allowed) != TUTTI_OK)
		memset(&allowed, 0, sizeof allowed);
	/* Two pipes per rank may be more than the usual limit of files; the ranks keep theirs. */
	getrlimit(RLIMIT_NOFILE, &limit);
	ours = limit;
	ours.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &ours);
	for (int r = 0; r < s->launch->ranks; r++) {
		int error = tt_child_start(context, r, &allowed, &limit, &s->ranks[r].child, &what);

		s->started = r + 1;
		s->ranks[r].running = s->ranks[r].child.pid > 0;
		s->running += s->ranks[r].running;
		if (error != 0) {
			start_failed(s, error, what);
			ask_all_to_end(s);
			return;
		}
	}
}

static bool
init(struct supervisor *s, const struct tt_launch_context *context)
{
	const struct tt_launch *launch = context->launch;
	sigset_t child;

	*s = (struct supervisor){.launch = launch, .control = context->control, .limit_ns = TT_FOREVER};
	s->ranks = calloc((size_t)launch->ranks, sizeof *s->ranks);
	s->polled = calloc(4 + 2 * (size_t)launch->ranks, sizeof *s->polled);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	s->children = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	for (int i = 0; i < 2; i++)
		tt_output_init(&s->streams[i], i + 1);
	if (launch->timeout_s > 0 && launch->timeout_s < 1e9)
		s->limit_ns = tt_now_ns() + (int64_t)(launch->timeout_s * 1e9);
	return s->ranks != NULL && s->polled != NULL && s->children >= 0;
}

int
tt_supervise(const struct tt_launch_context *context)
{
	struct supervisor s;

	setsid();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (!init(&s, context))
		return tt_complain(context->launch->command, "cannot supervise the ranks: %s", strerror(errno));
	start_ranks(&s, context);
	while (!s.no_children) {
		serve(&s);
		check_times(&s);
	}
	while (!s.guard_gone && !finish_output(&s))
		serve(&s);
	discard_output(&s);
	free(s.ranks);
	free(s.polled);
	return s.status;
}

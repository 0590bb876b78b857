/* SPDX-License-Identifier: Apache-2.0
 *
 * proxy.c - runs a program whose TCP connections all go through here, where they fare badly.
 *
 *     proxy [-s SEED] [-m MODE,...] [-b BYTES] -- PROGRAM [ARGUMENT...]
 *
 *       delay    every piece waits for up to 2 ms
 *       split    pieces of one byte up to a few, for the first 32 KiB of a connection
 *       reorder  a connection waits for up to 40 ms before it goes on, so that later ones overtake it
 *       cut      one connection in three is closed after up to BYTES (1 MiB), as if the other side had
 *       reset    the same, with a reset
 *       stall    the same, but it stays open, and nothing comes through any more
 *
 * What happens follows from the seed, the number of the connection and its bytes; not from the clock. For any program
 * and its children, tests as well as `tutti bench`; with hosts.sh, inside of each host. Status: the program's.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS 1024
#define PIECE 65536
#define SPLIT_BYTES 32768
#define US INT64_C(1000)
#define MS (1000 * US)

enum { DELAY = 1, SPLIT = 2, REORDER = 4, CUT = 8, RESET = 16, STALL = 32 };

static const struct {
	const char *name;
	unsigned mode;
} modes[] = {
    {"delay", DELAY}, {"split", SPLIT}, {"reorder", REORDER}, {"cut", CUT}, {"reset", RESET}, {"stall", STALL}};

/* One direction. */
struct way {
	unsigned char bytes[PIECE];
	size_t first, last, piece; /* piece: of what is here, may go now */
	int64_t not_before_ns;
	uint64_t passed;
	bool ended, told; /* nothing more comes in; and the other side knows */
};

struct connection {
	int listener, fds[2]; /* the caller's, and the one to where it wanted; -1 = none (yet) */
	struct sockaddr_storage target;
	socklen_t target_bytes;
	uint64_t random;
	int64_t begin_ns;
	uint64_t mischief_at; /* bytes, both ways together; UINT64_MAX = never */
	unsigned mischief; /* CUT, RESET, STALL */
	bool stalled;
	struct way ways[2]; /* from fds[i] to fds[1 - i] */
};

static struct connection *connections[CONNECTIONS];
static int nconnections;
static unsigned wanted;
static uint64_t seed = 1, bytes_most = 1 << 20;

static int64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 * MS + t.tv_nsec;
}

static uint64_t
below(uint64_t *state, uint64_t n)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % n;
}

static void
die(const char *what)
{
	fprintf(stderr, "proxy: %s: %s\n", what, strerror(errno));
	exit(99);
}

/* ---- a connection ---- */

static void
finish(struct connection *c, bool reset)
{
	const struct linger now = {1, 0};

	for (int i = 0; i < 2; i++) {
		if (c->fds[i] < 0)
			continue;
		if (reset)
			setsockopt(c->fds[i], SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		close(c->fds[i]);
		c->fds[i] = -1;
	}
	if (c->listener >= 0)
		close(c->listener);
	c->listener = -1;
}

static bool
is_over(const struct connection *c)
{
	return c->listener < 0 && c->fds[0] < 0;
}

/* A way in for one caller; returns the port. */
static in_port_t
prepare(struct connection *c, int family)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr *at = family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
	socklen_t bytes = family == AF_INET ? sizeof(v4) : sizeof(v6);

	c->listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->listener < 0 || bind(c->listener, at, bytes) != 0 || listen(c->listener, 1) != 0 ||
	    getsockname(c->listener, at, &bytes) != 0)
		die("cannot listen");
	return family == AF_INET ? v4.sin_port : v6.sin6_port;
}

static struct connection *
new_connection(void)
{
	struct connection *c = calloc(1, sizeof(*c));

	if (c == NULL || nconnections == CONNECTIONS)
		die("too many connections");
	*c = (struct connection){.listener = -1,
	    .fds = {-1, -1},
	    .random = seed * 1000003 + (uint64_t)nconnections,
	    .mischief_at = UINT64_MAX};
	if ((wanted & (CUT | RESET | STALL)) != 0 && below(&c->random, 3) == 0) {
		do
			c->mischief = CUT << below(&c->random, 3);
		while ((c->mischief & wanted) == 0);
		c->mischief_at = below(&c->random, 2) == 0 ? below(&c->random, 2000) : below(&c->random, bytes_most);
	}
	connections[nconnections++] = c;
	return c;
}

/* The shim asks for a way to an address. */
static void
answer(int server)
{
	const int fd = accept4(server, NULL, NULL, SOCK_CLOEXEC);
	struct connection *c;
	in_port_t port;
	ssize_t n;

	if (fd < 0)
		return;
	c = new_connection();
	n = recv(fd, &c->target, sizeof(c->target), 0);
	if (n > 0) {
		c->target_bytes = (socklen_t)n;
		port = prepare(c, c->target.ss_family);
		(void)!send(fd, &port, sizeof(port), MSG_NOSIGNAL);
	}
	close(fd);
}

static void
take_caller(struct connection *c)
{
	const int on = 1;

	c->fds[0] = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (c->fds[0] < 0)
		return;
	setsockopt(c->fds[0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	close(c->listener);
	c->listener = -1;
	c->begin_ns = now_ns() + ((wanted & REORDER) != 0 ? (int64_t)below(&c->random, 40) * MS : 0);
}

static void
go_on(struct connection *c)
{
	const int on = 1;

	c->fds[1] = socket(c->target.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fds[1] < 0 ||
	    (connect(c->fds[1], (struct sockaddr *)&c->target, c->target_bytes) != 0 && errno != EINPROGRESS)) {
		finish(c, true);
		return;
	}
	setsockopt(c->fds[1], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* What of the bytes that are here goes next, and when. */
static void
cut_piece(struct connection *c, struct way *w, int64_t now)
{
	w->piece = w->last - w->first;
	if ((wanted & SPLIT) != 0 && w->passed < SPLIT_BYTES && below(&c->random, 4) != 0)
		w->piece = 1 + below(&c->random, w->piece < 40 ? w->piece : 40);
	w->not_before_ns = now + ((wanted & DELAY) != 0 ? (int64_t)below(&c->random, 2000) * US : 0);
}

/* False: the connection is over. */
static bool
read_way(struct connection *c, int i, int64_t now)
{
	struct way *w = &c->ways[i];
	const ssize_t n = recv(c->fds[i], w->bytes, sizeof(w->bytes), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n < 0) {
		finish(c, true);
		return false;
	}
	w->ended = n == 0;
	w->first = 0;
	w->last = (size_t)n;
	if (n > 0)
		cut_piece(c, w, now);
	return true;
}

static bool
write_way(struct connection *c, int i, int64_t now)
{
	struct way *w = &c->ways[i];
	const ssize_t n = send(c->fds[1 - i], w->bytes + w->first, w->piece, MSG_NOSIGNAL);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n < 0) {
		finish(c, true);
		return false;
	}
	w->passed += (uint64_t)n;
	w->first += (size_t)n;
	w->piece -= (size_t)n;
	if (w->piece == 0 && w->first < w->last)
		cut_piece(c, w, now);
	if (c->ways[0].passed + c->ways[1].passed < c->mischief_at)
		return true;
	c->mischief_at = UINT64_MAX;
	if (c->mischief == STALL)
		c->stalled = true;
	else
		finish(c, c->mischief == RESET);
	return c->mischief == STALL;
}

static void
pass_end(struct connection *c)
{
	for (int i = 0; i < 2; i++) {
		struct way *w = &c->ways[i];

		if (w->ended && !w->told && w->first == w->last) {
			shutdown(c->fds[1 - i], SHUT_WR);
			w->told = true;
		}
	}
	if (c->ways[0].told && c->ways[1].told)
		finish(c, false);
}

/* ---- the loop ---- */

struct round {
	struct pollfd fds[2 * CONNECTIONS + 2];
	struct connection *of[2 * CONNECTIONS + 2];
	int side[2 * CONNECTIONS + 2];
	int n, timeout_ms;
};

static void
watch(struct round *r, struct connection *c, int side, int fd, int events)
{
	r->fds[r->n] = (struct pollfd){.fd = fd, .events = (short)events};
	r->of[r->n] = c;
	r->side[r->n++] = side;
}

static void
wake_at(struct round *r, int64_t when, int64_t now)
{
	const int ms = when <= now ? 0 : (int)((when - now) / MS) + 1;

	if (ms < r->timeout_ms)
		r->timeout_ms = ms;
}

static void
plan_connection(struct round *r, struct connection *c, int64_t now)
{
	int events[2] = {0, 0};

	if (c->listener >= 0)
		watch(r, c, 2, c->listener, POLLIN);
	if (c->fds[0] < 0 || c->stalled)
		return;
	if (c->fds[1] < 0) {
		wake_at(r, c->begin_ns, now);
		return;
	}
	for (int i = 0; i < 2; i++) {
		const struct way *w = &c->ways[i];

		if (w->first == w->last)
			events[i] |= w->ended ? 0 : POLLIN;
		else if (now >= w->not_before_ns)
			events[1 - i] |= POLLOUT;
		else
			wake_at(r, w->not_before_ns, now);
	}
	for (int i = 0; i < 2; i++)
		if (events[i] != 0)
			watch(r, c, i, c->fds[i], events[i]);
}

static void
serve(struct connection *c, int side, int events, int64_t now)
{
	if (side == 2) {
		take_caller(c);
		return;
	}
	if (c->fds[side] < 0)
		return;
	if ((events & (POLLIN | POLLHUP | POLLERR)) != 0 && c->ways[side].first == c->ways[side].last &&
	    !c->ways[side].ended && !read_way(c, side, now))
		return;
	if ((events & (POLLOUT | POLLERR)) != 0 && c->ways[1 - side].first < c->ways[1 - side].last &&
	    now >= c->ways[1 - side].not_before_ns && !write_way(c, 1 - side, now))
		return;
	if (c->fds[1] >= 0)
		pass_end(c);
}

static void
turn(struct round *r, int server, int end)
{
	int64_t now = now_ns();

	r->n = 0;
	r->timeout_ms = 1000;
	watch(r, NULL, 0, end, POLLIN);
	watch(r, NULL, 0, server, POLLIN);
	for (int i = 0; i < nconnections; i++)
		if (!is_over(connections[i]))
			plan_connection(r, connections[i], now);
	poll(r->fds, (nfds_t)r->n, r->timeout_ms);
	now = now_ns();
	if (r->fds[1].revents != 0)
		answer(server);
	for (int i = 2; i < r->n; i++)
		if (r->fds[i].revents != 0)
			serve(r->of[i], r->side[i], r->fds[i].revents, now);
	for (int i = 0; i < nconnections; i++)
		if (connections[i]->fds[0] >= 0 && connections[i]->fds[1] < 0 && now >= connections[i]->begin_ns)
			go_on(connections[i]);
}

static bool
parse_modes(char *list)
{
	for (char *word = strtok(list, ","); word != NULL; word = strtok(NULL, ",")) {
		unsigned mode = 0;

		for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
			if (strcmp(word, modes[i].name) == 0)
				mode = modes[i].mode;
		if (mode == 0)
			return false;
		wanted |= mode;
	}
	return true;
}

/* Ends are seen by a pipe that only the program and its children hold. */
static pid_t
start(char **arguments, const char *path, int *end)
{
	char shim[4096];
	int ends[2];
	pid_t child;
	ssize_t n = readlink("/proc/self/exe", shim, sizeof(shim) - sizeof("_shim.so"));

	if (n < 0 || pipe2(ends, 0) != 0 || fcntl(ends[0], F_SETFD, FD_CLOEXEC) != 0)
		die("cannot start");
	memcpy(shim + n, "_shim.so", sizeof("_shim.so"));
	setenv("JOB_PROXY", path, 1);
	setenv("LD_PRELOAD", shim, 1);
	child = fork();
	if (child < 0)
		die("cannot fork");
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execvp(arguments[0], arguments);
		die(arguments[0]);
	}
	close(ends[1]);
	*end = ends[0];
	return child;
}

int
main(int argc, char **argv)
{
	struct sockaddr_un where = {.sun_family = AF_UNIX};
	static struct round round;
	char folder[] = "/tmp/job-proxy-XXXXXX";
	int server, end, option, status = 0;
	pid_t child;

	while ((option = getopt(argc, argv, "+s:m:b:")) != -1) {
		if (option == 's')
			seed = strtoull(optarg, NULL, 0);
		else if (option == 'b' && strtoull(optarg, NULL, 0) > 0)
			bytes_most = strtoull(optarg, NULL, 0);
		else if (option != 'm' || !parse_modes(optarg))
			optind = argc;
	}
	if (optind >= argc) {
		fprintf(stderr,
		    "usage: proxy [-s SEED] [-m delay,split,reorder,cut,reset,stall] [-b BYTES] -- PROGRAM "
		    "[ARGUMENT...]\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	if (mkdtemp(folder) == NULL)
		die("cannot make a folder");
	snprintf(where.sun_path, sizeof(where.sun_path), "%s/proxy", folder);
	server = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (server < 0 || bind(server, (struct sockaddr *)&where, sizeof(where)) != 0 || listen(server, 256) != 0)
		die("cannot listen");
	child = start(argv + optind, where.sun_path, &end);
	do
		turn(&round, server, end);
	while (round.fds[0].revents == 0 && waitpid(child, &status, WNOHANG) == 0);
	if (round.fds[0].revents != 0)
		waitpid(child, &status, 0);
	unlink(where.sun_path);
	rmdir(folder);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

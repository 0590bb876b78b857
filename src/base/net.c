/* SPDX-License-Identifier: Apache-2.0
 *
 * net.c - TCP sockets, and reading and writing on any socket.
 *
 * Every descriptor is non-blocking, close-on-exec and guarded against fork before anyone else sees it. What the
 * network does to a connection is TUTTI_ERR_PEER; what this host refuses is TUTTI_ERR_SYSTEM.
 */
#include "base/net.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/process.h"

#define PRINT_BYTES 64

/* The connection is gone or cannot be had; nothing is wrong with this host. */
static bool
is_peers_fault(int number)
{
	static const int numbers[] = {ECONNREFUSED, ECONNRESET, ECONNABORTED, EPIPE, ETIMEDOUT, EHOSTUNREACH,
	    ENETUNREACH, EHOSTDOWN, ENETDOWN, ENETRESET, ENOTCONN, ESHUTDOWN};

	for (size_t i = 0; i < TT_COUNT_OF(numbers); i++)
		if (number == numbers[i])
			return true;
	return false;
}

static tutti_status
fail_connection(int number, const char *what)
{
	char reason[128];

	errno = number;
	if (!is_peers_fault(number))
		return tt_fail_errno("%s", what);
	return tt_fail(TUTTI_ERR_PEER, -1, "%s: %s", what, strerror_r(number, reason, sizeof(reason)));
}

static const char plain[] = "reno"; /* congestion control that does not pace */

static bool
set_control(int fd, const char *name)
{
	return setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name)) == 0;
}

/* Does the congestion control pace? */
static bool
paces(int fd)
{
	char name[16] = "";
	socklen_t bytes = sizeof(name) - 1;

	return getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &bytes) == 0 && strncmp(name, "bbr", 3) == 0;
}

/* Plain congestion control until tt_tcp_tune() knows where the other end is, if the system's is one that paces (BBR): it
 * leaves the kernel pacing by timers even when another takes its place, so it must not have begun. */
static tutti_status
open_tcp(const struct tt_address *address, int *fd)
{
	const int family = address->family == 4 ? AF_INET : AF_INET6;
	int made;

	if (address->family != 4 && address->family != 6)
		return tt_fail(
		    TUTTI_ERR_ARGUMENT, -1, "an address of family %d is neither IPv4 nor IPv6", address->family);
	made = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (made < 0)
		return tt_fail_errno("cannot open a TCP socket");
	tt_fd_guard(made);
	/* Where it is not allowed, the default stays. */
	if (paces(made))
		(void)set_control(made, plain);
	*fd = made;
	return TUTTI_OK;
}

/* TUTTI_IN_PROGRESS: the port is taken. */
static tutti_status
listen_on(const struct tt_address *address, int *fd)
{
	const int on = 1;
	struct sockaddr_storage where;
	const socklen_t bytes = tt_address_to_sockaddr(address, &where);
	char text[PRINT_BYTES];
	tutti_status status;
	int made = -1;

	TT_TRY(open_tcp(address, &made));
	/* Old connections in TIME_WAIT shall not keep a job from its port; a living listener still does. */
	setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (address->family == 6)
		setsockopt(made, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(made, (const struct sockaddr *)&where, bytes) == 0 && listen(made, SOMAXCONN) == 0) {
		*fd = made;
		return TUTTI_OK;
	}
	tt_address_print(address, text, sizeof(text));
	/* EACCES: a port that needs privileges; the next one of the range may not. */
	if (errno == EADDRINUSE || errno == EACCES)
		status = TUTTI_IN_PROGRESS;
	else
		status = tt_fail_errno("cannot listen on %s", text);
	tt_fd_close(made);
	return status;
}

static bool
parse_port(const char *text, const char **end, uint16_t *port)
{
	unsigned value = 0;

	for (*end = text; **end >= '0' && **end <= '9' && value <= UINT16_MAX; (*end)++)
		value = value * 10 + (unsigned)(**end - '0');
	*port = (uint16_t)value;
	return *end != text && value > 0 && value <= UINT16_MAX;
}

tutti_status
tt_port_range_parse(const char *text, uint16_t *low, uint16_t *high)
{
	const char *end;
	uint16_t first, last;
	bool good = parse_port(text, &end, &first);

	last = first;
	if (good && *end == '-')
		good = parse_port(end + 1, &end, &last);
	if (!good || *end != '\0' || first > last)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "'%.64s' is not a range of ports: write LOW-HIGH, as in 20000-20100", text);
	*low = first;
	*high = last;
	return TUTTI_OK;
}

static tutti_status
listen_in_range(const struct tt_address *address, uint16_t low, uint16_t high, int *fd)
{
	struct tt_address at = *address;
	char text[PRINT_BYTES];

	for (unsigned port = low; port <= high; port++) {
		tutti_status status;

		at.port = (uint16_t)port;
		status = listen_on(&at, fd);
		if (status != TUTTI_IN_PROGRESS)
			return status;
	}
	at.port = low;
	tt_address_print(&at, text, sizeof(text));
	if (low == high)
		return tt_fail(TUTTI_ERR_SYSTEM, -1, "cannot listen on %s: the port is taken or not allowed", text);
	return tt_fail(TUTTI_ERR_SYSTEM, -1,
	    "cannot listen on %s or any port up to %u: all are taken or not allowed; widen TUTTI_PORT_RANGE", text,
	    (unsigned)high);
}

tutti_status
tt_listen_tcp(struct tt_address *address, const char *port_range, int *fd)
{
	uint16_t low = address->port, high = address->port;
	struct sockaddr_storage bound;
	socklen_t bytes = sizeof(bound);
	int made = -1;

	if (address->port == 0 && port_range != NULL)
		TT_TRY(tt_port_range_parse(port_range, &low, &high));
	TT_TRY(listen_in_range(address, low, high, &made));
	if (getsockname(made, (struct sockaddr *)&bound, &bytes) != 0) {
		const tutti_status status = tt_fail_errno("cannot ask a listening socket for its port");

		tt_fd_close(made);
		return status;
	}
	tt_address_from_sockaddr(&bound, address);
	*fd = made;
	return TUTTI_OK;
}

tutti_status
tt_accept(int listener, int *fd)
{
	const int made = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (made >= 0) {
		tt_fd_guard(made);
		*fd = made;
		return TUTTI_OK;
	}
	switch (errno) {
	case EMFILE:
	case ENFILE:
		return tt_fail_errno("cannot accept a connection (raise the limit on open files)");
	case EBADF:
	case EINVAL:
	case ENOTSOCK:
	case EOPNOTSUPP:
		return tt_fail_errno("cannot accept a connection");
	default:
		/* Nobody there, or somebody who left before we looked: accept(2) reports a new connection's errors. */
		*fd = -1;
		return TUTTI_OK;
	}
}

tutti_status
tt_connect_tcp(const struct tt_address *address, int *fd)
{
	struct sockaddr_storage where;
	const socklen_t bytes = tt_address_to_sockaddr(address, &where);
	char text[PRINT_BYTES], what[PRINT_BYTES + 32] = "cannot connect to ";
	tutti_status status;
	int made = -1;

	TT_TRY(open_tcp(address, &made));
	/* Interrupted, a connect goes on by itself. */
	if (connect(made, (const struct sockaddr *)&where, bytes) == 0 || errno == EINPROGRESS || errno == EINTR) {
		*fd = made;
		return TUTTI_OK;
	}
	tt_address_print(address, text, sizeof(text));
	strcat(what, text);
	status = fail_connection(errno, what);
	tt_fd_close(made);
	return status;
}

tutti_status
tt_connect_result(int fd)
{
	struct sockaddr_storage here, there;
	struct tt_address mine, theirs;
	socklen_t bytes = sizeof(int);
	int number = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &bytes) != 0)
		return tt_fail_errno("cannot ask a connection for its state");
	if (number != 0)
		return fail_connection(number, "a connection was not made");
	bytes = sizeof(there);
	if (getpeername(fd, (struct sockaddr *)&there, &bytes) != 0)
		return errno == ENOTCONN ? TUTTI_IN_PROGRESS : tt_fail_errno("cannot ask a connection for its peer");
	bytes = sizeof(here);
	if (getsockname(fd, (struct sockaddr *)&here, &bytes) != 0)
		return tt_fail_errno("cannot ask a connection for its address");
	tt_address_from_sockaddr(&here, &mine);
	tt_address_from_sockaddr(&there, &theirs);
	/* On one host the system may give a connection the very port it wants to reach: it then meets itself. */
	if (mine.family != 0 && memcmp(&mine, &theirs, sizeof(mine)) == 0)
		return fail_connection(ECONNREFUSED, "a connection met itself, nobody listens there");
	return TUTTI_OK;
}

static int64_t
clamp(int64_t value, int64_t low, int64_t high)
{
	return value < low ? low : value > high ? high : value;
}

bool
tt_tcp_at_home(int fd)
{
	struct sockaddr_storage here = {0}, there = {0};
	socklen_t here_bytes = sizeof(here), there_bytes = sizeof(there);
	struct tt_address mine = {0}, theirs = {0};

	if (getsockname(fd, (struct sockaddr *)&here, &here_bytes) != 0 ||
	    getpeername(fd, (struct sockaddr *)&there, &there_bytes) != 0)
		return false;
	tt_address_from_sockaddr(&here, &mine);
	tt_address_from_sockaddr(&there, &theirs);
	return mine.family != 0 && mine.family == theirs.family && memcmp(mine.ip, theirs.ip, sizeof(mine.ip)) == 0;
}

/* Both ends on this host: nothing between them can be congested, and one that paces by what it believes of a network
 * only puts timers between a copy in and a copy out. The same holds for a host near by, if pacing is the system's
 * choice; else, and to all others, the system's choice, which a new socket has. */
static void
choose_control(int fd, bool near)
{
	char name[16] = "", now[16] = "";
	socklen_t name_bytes = sizeof(name) - 1, now_bytes = sizeof(now) - 1, family_bytes = sizeof(int);
	int fresh, family = AF_INET;

	if (tt_tcp_at_home(fd)) {
		(void)set_control(fd, plain);
		return;
	}
	/* What a route asks for stays. */
	if (getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, now, &now_bytes) != 0 || strcmp(now, plain) != 0)
		return;
	(void)getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &family_bytes);
	fresh = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fresh >= 0)
		tt_fd_guard(fresh);
	if (fresh >= 0 && !(near && paces(fresh)) &&
	    getsockopt(fresh, IPPROTO_TCP, TCP_CONGESTION, name, &name_bytes) == 0)
		(void)set_control(fd, name);
	tt_fd_close(fresh);
}

tutti_status
tt_tcp_tune(int fd, int64_t peer_timeout_ms, bool near)
{
	const int on = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)
		return tt_fail_errno("cannot set TCP_NODELAY");
	choose_control(fd, near);
	if (peer_timeout_ms <= 0)
		return TUTTI_OK;
	/* The first ends a connection whose data is not acknowledged, the second one that has nothing to say; with
	 * three probes after a third of the time both take about the time that was asked for. The limits are the
	 * kernel's. */
	const unsigned user_ms = (unsigned)clamp(peer_timeout_ms, 1, INT32_MAX);
	const int64_t seconds = (peer_timeout_ms - 1) / 1000 + 1;
	const int probes = 3;
	const int idle = (int)clamp(seconds / 3, 1, 32767);
	const int interval = (int)clamp((seconds - idle) / probes, 1, 32767);

	if (setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_ms, sizeof(user_ms)) != 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle)) != 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval)) != 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes)) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) != 0)
		return tt_fail_errno("cannot set the time limits of a TCP connection");
	return TUTTI_OK;
}

void
tt_tcp_be_patient(int fd)
{
	const unsigned never = 0;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &never, sizeof(never));
}

static bool
would_block(int number)
{
	return number == EAGAIN || number == EWOULDBLOCK;
}

tutti_status
tt_read_some(int fd, void *bytes, size_t capacity, size_t *done)
{
	ssize_t n;

	do
		n = recv(fd, bytes, capacity, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n > 0 || (n == 0 && capacity == 0)) {
		*done = (size_t)n;
		return TUTTI_OK;
	}
	if (n == 0)
		return tt_fail(TUTTI_ERR_PEER, -1, "the other side closed the connection");
	if (!would_block(errno))
		return fail_connection(errno, "reading from a connection failed");
	*done = 0;
	return TUTTI_OK;
}

tutti_status
tt_write_some(int fd, const void *bytes, size_t n, size_t *done)
{
	ssize_t written;

	do
		written = send(fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (written < 0 && errno == EINTR);
	if (written < 0 && !would_block(errno))
		return fail_connection(errno, "writing to a connection failed");
	*done = written < 0 ? 0 : (size_t)written;
	return TUTTI_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * test_net.c - addresses, interfaces, connections and descriptors in flight.
 *
 * Over loopback and socket pairs only.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "base/net.h"
#include "base/process.h"

static const struct tt_address loopback = {.family = 4, .ip = {127, 0, 0, 1}};
static const struct tt_address loopback6 = {.family = 6, .ip = {[15] = 1}};

static void
wait_for(int fd, short events)
{
	struct pollfd poll_fd = {fd, events, 0};

	cr_assert(eq(int, poll(&poll_fd, 1, 5000), 1));
}

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* Both ends of a TCP connection. */
static void
connect_pair(int *here, int *there)
{
	struct tt_address at = loopback;
	int listener;

	cr_assert(eq(int, tt_listen_tcp(&at, NULL, &listener), TUTTI_OK));
	cr_assert(eq(int, tt_connect_tcp(&at, here), TUTTI_OK));
	wait_for(*here, POLLOUT);
	cr_assert(eq(int, tt_connect_result(*here), TUTTI_OK));
	wait_for(listener, POLLIN);
	cr_assert(eq(int, tt_accept(listener, there), TUTTI_OK));
	cr_assert(ge(int, *there, 0));
	tt_fd_close(listener);
}

Test(net, addresses_print_as_people_write_them)
{
	struct tt_address address = loopback;
	char text[64], tiny[4];

	address.port = 4711;
	tt_address_print(&address, text, sizeof(text));
	cr_assert(strcmp(text, "127.0.0.1:4711") == 0);
	address = loopback6;
	address.port = 65535;
	tt_address_print(&address, text, sizeof(text));
	cr_assert(strcmp(text, "[::1]:65535") == 0);
	tt_address_print(&address, tiny, sizeof(tiny));
	cr_assert(eq(sz, strlen(tiny), 3));
	address.family = 200;
	tt_address_print(&address, text, sizeof(text));
	cr_assert(strcmp(text, "(no address)") == 0);
}

Test(net, addresses_survive_the_way_to_sockaddr_and_back)
{
	const struct tt_address addresses[] = {{.family = 4, .port = 1, .ip = {10, 1, 2, 3}},
	    {.family = 6, .port = 65535, .ip = {0x20, 1, 0xd, 0xb8, [15] = 9}}};

	for (size_t i = 0; i < TT_COUNT_OF(addresses); i++) {
		struct sockaddr_storage storage;
		struct tt_address back;

		cr_assert(gt(int, (int)tt_address_to_sockaddr(&addresses[i], &storage), 0));
		tt_address_from_sockaddr(&storage, &back);
		cr_assert(memcmp(&back, &addresses[i], sizeof(back)) == 0);
	}
}

Test(net, an_address_of_20_bytes_travels_as_it_is)
{
	cr_assert(eq(sz, sizeof(struct tt_address), 20));
}

Test(net, the_loopback_interface_is_found_by_name)
{
	struct tt_address addresses[8];
	int n = 0;

	cr_assert(tt_interfaces("lo", addresses, 8, &n) == TUTTI_OK, "%s", tt_last_error()->message);
	cr_assert(gt(int, n, 0));
	cr_assert(memcmp(&addresses[0], &loopback, sizeof(loopback)) == 0);
}

Test(net, automatic_choice_finds_something_and_loopback_only_alone)
{
	struct tt_address addresses[64];
	int n = 0, loopbacks = 0;

	cr_assert(tt_interfaces(NULL, addresses, 64, &n) == TUTTI_OK, "%s", tt_last_error()->message);
	cr_assert(gt(int, n, 0));
	for (int i = 0; i < n; i++) {
		loopbacks += addresses[i].family == 4 && addresses[i].ip[0] == 127;
		loopbacks += memcmp(addresses[i].ip, loopback6.ip, 16) == 0;
		cr_assert(eq(int, addresses[i].port, 0));
		cr_assert(not(addresses[i].family == 6 && addresses[i].ip[0] == 0xfe && addresses[i].ip[1] == 0x80));
	}
	cr_assert(loopbacks == 0 || loopbacks == n);
}

Test(net, no_more_interfaces_than_there_is_room_for)
{
	struct tt_address addresses[2];
	int n = -1;

	memset(addresses, 0xee, sizeof(addresses));
	cr_assert(eq(int, tt_interfaces("lo", addresses, 1, &n), TUTTI_OK));
	cr_assert(eq(int, n, 1));
	cr_assert(eq(int, addresses[1].family, 0xee));
}

Test(net, a_filter_that_matches_nothing_names_what_there_is)
{
	static const char *const filters[] = {"nosuch0", "l", "loo", "nosuch0,nosuch1", ""};
	struct tt_address addresses[8];
	int n = -1;

	for (size_t i = 0; i < TT_COUNT_OF(filters); i++) {
		cr_assert(eq(int, tt_interfaces(filters[i], addresses, 8, &n), TUTTI_ERR_ARGUMENT), "%s", filters[i]);
		cr_assert(strstr(tt_last_error()->message, "lo") != NULL);
		cr_assert(eq(int, n, -1));
	}
}

Test(net, port_ranges_are_read_or_refused)
{
	static const char *const bad[] = {
	    "", "-", "1-", "-1", "5-4", "0-5", "1-65536", "99999999999", "1-2-3", "a", "1 "};
	uint16_t low = 0, high = 0;

	cr_assert(eq(int, tt_port_range_parse("20000-20100", &low, &high), TUTTI_OK));
	cr_assert(low == 20000 && high == 20100);
	cr_assert(eq(int, tt_port_range_parse("65535", &low, &high), TUTTI_OK));
	cr_assert(low == 65535 && high == 65535);
	for (size_t i = 0; i < TT_COUNT_OF(bad); i++)
		cr_assert(eq(int, tt_port_range_parse(bad[i], &low, &high), TUTTI_ERR_ARGUMENT), "'%s'", bad[i]);
}

Test(net, a_listener_takes_the_next_free_port_of_its_range_and_says_when_there_is_none)
{
	struct tt_address first = loopback, second = loopback, third = loopback;
	int fds[3] = {-1, -1, -1};
	char range[32];
	unsigned low = 0;

	/* Two neighbouring ports that are free: found by trying, as others use this host too. */
	for (unsigned port = 20000; port < 30000 && fds[1] < 0; port += 2) {
		snprintf(range, sizeof(range), "%u-%u", port, port + 1);
		first = second = loopback;
		if (tt_listen_tcp(&first, range, &fds[0]) != TUTTI_OK)
			continue;
		low = port;
		if (first.port != port || tt_listen_tcp(&second, range, &fds[1]) != TUTTI_OK)
			tt_fd_close(fds[0]);
	}
	cr_assert(ge(int, fds[1], 0));
	cr_assert(eq(int, first.port, low));
	cr_assert(eq(int, second.port, low + 1));
	cr_assert(eq(int, tt_listen_tcp(&third, range, &fds[2]), TUTTI_ERR_SYSTEM));
	cr_assert(strstr(tt_last_error()->message, "TUTTI_PORT_RANGE") != NULL);
	cr_assert(eq(int, fds[2], -1));
	tt_fd_close(fds[0]);
	tt_fd_close(fds[1]);
}

Test(net, sockets_are_nonblocking_and_closed_on_exec)
{
	int fds[2];

	connect_pair(&fds[0], &fds[1]);
	for (int i = 0; i < 2; i++) {
		cr_assert(eq(int, fcntl(fds[i], F_GETFD), FD_CLOEXEC));
		cr_assert(eq(int, fcntl(fds[i], F_GETFL) & O_NONBLOCK, O_NONBLOCK));
		tt_fd_close(fds[i]);
	}
}

Test(net, bytes_arrive_and_an_empty_connection_would_block)
{
	int here, there;
	char text[16];
	size_t done = 77;

	connect_pair(&here, &there);
	cr_assert(eq(int, tt_read_some(there, text, sizeof(text), &done), TUTTI_OK));
	cr_assert(eq(sz, done, 0));
	cr_assert(eq(int, tt_write_some(here, "hello", 6, &done), TUTTI_OK));
	cr_assert(eq(sz, done, 6));
	wait_for(there, POLLIN);
	cr_assert(eq(int, tt_read_some(there, text, sizeof(text), &done), TUTTI_OK));
	cr_assert(eq(sz, done, 6));
	cr_assert(strcmp(text, "hello") == 0);
	tt_fd_close(here);
	tt_fd_close(there);
}

Test(net, a_full_connection_would_block_and_loses_nothing)
{
	static char block[65536];
	int here, there;
	size_t sent = 0, got = 0, done;

	connect_pair(&here, &there);
	do {
		cr_assert(eq(int, tt_write_some(here, block, sizeof(block), &done), TUTTI_OK));
		sent += done;
	} while (done > 0);
	tt_fd_close(here);
	for (;;) {
		wait_for(there, POLLIN);
		if (tt_read_some(there, block, sizeof(block), &done) != TUTTI_OK)
			break;
		got += done;
	}
	cr_assert(eq(sz, got, sent));
	cr_assert(eq(int, tt_last_error()->status, TUTTI_ERR_PEER));
	tt_fd_close(there);
}

Test(net, a_peer_who_left_is_an_error_of_the_peer_and_no_signal)
{
	int here, there;
	tutti_status status = TUTTI_OK;
	size_t done;

	signal(SIGPIPE, SIG_DFL);
	connect_pair(&here, &there);
	tt_fd_close(there);
	wait_for(here, POLLIN);
	for (int i = 0; i < 100 && status == TUTTI_OK; i++) {
		status = tt_write_some(here, "x", 1, &done);
		wait_for(here, POLLIN);
	}
	cr_assert(eq(int, status, TUTTI_ERR_PEER));
	cr_assert(eq(int, tt_read_some(here, &done, 1, &done), TUTTI_ERR_PEER));
	tt_fd_close(here);
}

Test(net, nobody_listening_is_an_error_of_the_peer)
{
	struct tt_address at = loopback;
	tutti_status status;
	int fd = -1;

	cr_assert(eq(int, tt_listen_tcp(&at, NULL, &fd), TUTTI_OK));
	tt_fd_close(fd);
	status = tt_connect_tcp(&at, &fd);
	if (status == TUTTI_OK) {
		wait_for(fd, POLLOUT);
		status = tt_connect_result(fd);
		tt_fd_close(fd);
	}
	cr_assert(eq(int, status, TUTTI_ERR_PEER));
}

Test(net, a_connection_that_is_not_made_yet_says_so)
{
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	cr_assert(eq(int, tt_connect_result(fd), TUTTI_IN_PROGRESS));
	close(fd);
}

Test(net, a_connection_that_met_itself_is_refused)
{
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_storage where;
	struct sockaddr_in bound;
	socklen_t bytes = sizeof(bound);

	cr_assert(bind(fd, (struct sockaddr *)&where, tt_address_to_sockaddr(&loopback, &where)) == 0);
	cr_assert(getsockname(fd, (struct sockaddr *)&bound, &bytes) == 0);
	connect(fd, (struct sockaddr *)&bound, bytes);
	wait_for(fd, POLLOUT);
	cr_assert(eq(int, tt_connect_result(fd), TUTTI_ERR_PEER));
	close(fd);
}

Test(net, an_address_of_no_family_is_refused)
{
	struct tt_address nothing = {0};
	int fd = -1;

	cr_assert(eq(int, tt_connect_tcp(&nothing, &fd), TUTTI_ERR_ARGUMENT));
	cr_assert(eq(int, tt_listen_tcp(&nothing, NULL, &fd), TUTTI_ERR_ARGUMENT));
	cr_assert(eq(int, fd, -1));
}

Test(net, accepting_from_nobody_is_no_error)
{
	struct tt_address at = loopback;
	int listener, fd = 77;

	cr_assert(eq(int, tt_listen_tcp(&at, NULL, &listener), TUTTI_OK));
	cr_assert(eq(int, tt_accept(listener, &fd), TUTTI_OK));
	cr_assert(eq(int, fd, -1));
	tt_fd_close(listener);
	cr_assert(eq(int, tt_accept(listener, &fd), TUTTI_ERR_SYSTEM));
}

static int
option(int fd, int level, int name)
{
	int value = -1;
	socklen_t bytes = sizeof(value);

	cr_assert(getsockopt(fd, level, name, &value, &bytes) == 0);
	return value;
}

Test(net, silence_is_limited_by_both_of_tcps_means)
{
	int here, there;

	connect_pair(&here, &there);
	cr_assert(eq(int, tt_tcp_tune(here, 30000, false), TUTTI_OK));
	cr_assert(ne(int, option(here, IPPROTO_TCP, TCP_NODELAY), 0));
	cr_assert(ne(int, option(here, SOL_SOCKET, SO_KEEPALIVE), 0));
	cr_assert(eq(int, option(here, IPPROTO_TCP, TCP_USER_TIMEOUT), 30000));
	const int idle = option(here, IPPROTO_TCP, TCP_KEEPIDLE);
	const int all = idle + option(here, IPPROTO_TCP, TCP_KEEPINTVL) * option(here, IPPROTO_TCP, TCP_KEEPCNT);

	cr_assert(ge(int, all, 25));
	cr_assert(le(int, all, 30));
	tt_fd_close(here);
	tt_fd_close(there);
}

struct control {
	char name[16];
};

static struct control
control_of(int fd)
{
	struct control control = {""};
	socklen_t bytes = sizeof(control.name) - 1;

	cr_assert(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, control.name, &bytes) == 0);
	return control;
}

static struct control
systems_control(void)
{
	const int fd = socket(AF_INET, SOCK_STREAM, 0);
	const struct control control = control_of(fd);

	close(fd);
	return control;
}

static void
need_reno(int fd)
{
	const struct control before = control_of(fd);

	if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4) != 0)
		cr_skip("the administrator does not allow it");
	(void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, before.name, (socklen_t)strlen(before.name));
}

Test(net, a_connection_within_the_host_is_not_paced)
{
	struct control control;
	int here, there;

	connect_pair(&here, &there);
	need_reno(there);
	/* From its beginning: a kernel that has begun to pace a connection goes on. */
	control = control_of(here);
	cr_assert(ne(int, strncmp(control.name, "bbr", 3), 0));
	control = control_of(there);
	cr_assert(ne(int, strncmp(control.name, "bbr", 3), 0));
	cr_assert(eq(int, tt_tcp_tune(here, 30000, false), TUTTI_OK));
	control = control_of(here);
	cr_assert(eq(str, control.name, "reno"));
	tt_fd_close(here);
	tt_fd_close(there);
}

/* Two addresses, so it might be two hosts. */
static void
connect_far_pair(int *here, int *there)
{
	struct tt_address at = {.family = 4, .ip = {127, 0, 0, 2}};
	int listener;

	cr_assert(eq(int, tt_listen_tcp(&at, NULL, &listener), TUTTI_OK));
	cr_assert(eq(int, tt_connect_tcp(&at, here), TUTTI_OK));
	wait_for(listener, POLLIN);
	cr_assert(eq(int, tt_accept(listener, there), TUTTI_OK));
	wait_for(*here, POLLOUT);
	tt_fd_close(listener);
}

Test(net, a_connection_to_a_near_host_is_not_paced)
{
	struct control control;
	int fd[2];

	connect_far_pair(&fd[0], &fd[1]);
	need_reno(fd[0]);
	for (int i = 0; i < 2; i++) {
		cr_assert(eq(int, tt_tcp_tune(fd[i], 30000, true), TUTTI_OK));
		control = control_of(fd[i]);
		cr_assert(ne(int, strncmp(control.name, "bbr", 3), 0));
		tt_fd_close(fd[i]);
	}
}

Test(net, a_connection_to_a_far_host_is_paced_as_the_system_has_it)
{
	struct control control, usual = systems_control();
	int fd[2];

	connect_far_pair(&fd[0], &fd[1]);
	for (int i = 0; i < 2; i++) {
		cr_assert(eq(int, tt_tcp_tune(fd[i], 30000, false), TUTTI_OK));
		control = control_of(fd[i]);
		cr_assert(eq(str, control.name, usual.name));
		tt_fd_close(fd[i]);
	}
}

Test(net, every_time_limit_is_one_that_the_system_takes)
{
	static const int64_t limits[] = {INT64_MIN, -1, 0, 1, 999, 1000, 2000, 3600000, INT64_MAX};
	int here, there;

	connect_pair(&here, &there);
	for (size_t i = 0; i < TT_COUNT_OF(limits); i++)
		cr_assert(eq(int, tt_tcp_tune(here, limits[i], false), TUTTI_OK), "%lld ms", (long long)limits[i]);
	tt_fd_close(here);
	tt_fd_close(there);
}

/* A name nobody else has, with a zero byte inside: abstract names are bytes. */
static size_t
own_name(unsigned char name[24])
{
	memcpy(name, "tutti\0ut", 8);
	tt_random(name + 8, 16);
	return 24;
}

static void
unix_pair(int *here, int *there)
{
	unsigned char name[24];
	const size_t bytes = own_name(name);
	int listener;

	cr_assert(eq(int, tt_listen_unix(name, bytes, &listener), TUTTI_OK));
	cr_assert(eq(int, tt_connect_unix(name, bytes, here), TUTTI_OK));
	wait_for(listener, POLLIN);
	cr_assert(eq(int, tt_accept(listener, there), TUTTI_OK));
	tt_fd_close(listener);
}

Test(net, a_unix_name_is_taken_once_and_free_again_after_close)
{
	unsigned char name[24];
	const size_t bytes = own_name(name);
	int first, second = -1;

	cr_assert(eq(int, tt_connect_unix(name, bytes, &second), TUTTI_IN_PROGRESS));
	cr_assert(eq(int, tt_listen_unix(name, bytes, &first), TUTTI_OK));
	cr_assert(eq(int, tt_listen_unix(name, bytes, &second), TUTTI_IN_PROGRESS));
	cr_assert(eq(int, second, -1));
	tt_fd_close(first);
	cr_assert(eq(int, tt_listen_unix(name, bytes, &second), TUTTI_OK));
	tt_fd_close(second);
}

Test(net, a_unix_name_too_long_or_empty_is_refused)
{
	char name[200] = {'x'};
	int fd = -1;

	cr_assert(eq(int, tt_listen_unix(name, sizeof(name), &fd), TUTTI_ERR_ARGUMENT));
	cr_assert(eq(int, tt_connect_unix(name, 0, &fd), TUTTI_ERR_ARGUMENT));
	cr_assert(eq(int, tt_listen_unix(name, 107, &fd), TUTTI_OK));
	tt_fd_close(fd);
}

Test(net, the_own_user_is_recognized_on_unix_sockets_only)
{
	int here, there;

	unix_pair(&here, &there);
	cr_assert(ne(int, tt_peer_is_me(here), 0));
	cr_assert(ne(int, tt_peer_is_me(there), 0));
	cr_assert(eq(int, tt_peer_is_me(-1), 0));
	tt_fd_close(here);
	tt_fd_close(there);
}

Test(net, a_descriptor_arrives_closed_on_exec)
{
	int here, there, pipe_ends[2], got = -1;
	char text[8];

	unix_pair(&here, &there);
	cr_assert(eq(int, tt_recv_fd(there, &got), TUTTI_IN_PROGRESS));
	cr_assert(pipe(pipe_ends) == 0);
	cr_assert(eq(int, tt_send_fd(here, pipe_ends[0]), TUTTI_OK));
	cr_assert(eq(int, tt_recv_fd(there, &got), TUTTI_OK));
	cr_assert(eq(int, fcntl(got, F_GETFD), FD_CLOEXEC));
	cr_assert(write(pipe_ends[1], "abc", 4) == 4);
	cr_assert(read(got, text, sizeof(text)) == 4);
	tt_fd_close(got);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
	tt_fd_close(here);
	tt_fd_close(there);
}

Test(net, a_byte_without_a_descriptor_is_an_error)
{
	int here, there, got = -1;

	unix_pair(&here, &there);
	cr_assert(send(here, "x", 1, MSG_NOSIGNAL) == 1);
	cr_assert(eq(int, tt_recv_fd(there, &got), TUTTI_ERR_PEER));
	tt_fd_close(here);
	cr_assert(eq(int, tt_recv_fd(there, &got), TUTTI_ERR_PEER));
	cr_assert(eq(int, tt_send_fd(there, 0), TUTTI_ERR_PEER));
	cr_assert(eq(int, got, -1));
	tt_fd_close(there);
}

static int
lowest_free(void)
{
	const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	close(fd);
	return fd;
}

Test(net, two_descriptors_at_once_are_refused_and_neither_is_kept)
{
	int here, there, got = -1, free_before;
	const int both[2] = {STDIN_FILENO, STDERR_FILENO};
	union {
		struct cmsghdr head;
		unsigned char bytes[CMSG_SPACE(sizeof(both))];
	} control = {.bytes = {0}};
	struct iovec part = {"x", 1};
	struct msghdr message = {
	    .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);

	unix_pair(&here, &there);
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(both));
	memcpy(CMSG_DATA(head), both, sizeof(both));
	cr_assert(sendmsg(here, &message, 0) == 1);
	free_before = lowest_free();
	cr_assert(eq(int, tt_recv_fd(there, &got), TUTTI_ERR_SYSTEM));
	cr_assert(eq(int, got, -1));
	cr_assert(eq(int, lowest_free(), free_before));
	tt_fd_close(here);
	tt_fd_close(there);
}

Test(net, too_many_open_files_are_named)
{
	struct tt_address at = loopback;
	struct rlimit old, tight;
	int listener, here, fd = -1;
	tutti_status status;

	cr_assert(eq(int, tt_listen_tcp(&at, NULL, &listener), TUTTI_OK));
	cr_assert(eq(int, tt_connect_tcp(&at, &here), TUTTI_OK));
	wait_for(listener, POLLIN);
	cr_assert(getrlimit(RLIMIT_NOFILE, &old) == 0);
	tight = (struct rlimit){0, old.rlim_max};
	setrlimit(RLIMIT_NOFILE, &tight);
	status = tt_accept(listener, &fd);
	setrlimit(RLIMIT_NOFILE, &old);
	cr_assert(eq(int, status, TUTTI_ERR_SYSTEM));
	cr_assert(strstr(tt_last_error()->message, "open files") != NULL);
	tt_fd_close(here);
	tt_fd_close(listener);
	cr_assert(not(is_open(listener)));
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * proxy_shim.c - loaded into a program (LD_PRELOAD) that proxy runs: its TCP connections go through the proxy.
 *
 * connect() asks the proxy, over the Unix socket that JOB_PROXY names, for a port of this host that leads to the
 * address, and goes there instead. Everything else is as it was: the socket, its options, whether it blocks.
 */
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

typedef int (*connect_function)(int fd, const struct sockaddr *address, socklen_t bytes);

static connect_function
real_connect(void)
{
	void *symbol = dlsym(RTLD_NEXT, "connect");
	connect_function function;

	memcpy(&function, &symbol, sizeof(function));
	return function;
}

/* The port in network order; 0: the proxy is gone. */
static in_port_t
ask(const char *path, const struct sockaddr *address, socklen_t bytes)
{
	struct sockaddr_un where = {.sun_family = AF_UNIX};
	in_port_t port = 0;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strncpy(where.sun_path, path, sizeof(where.sun_path) - 1);
	if (fd < 0)
		return 0;
	if (real_connect()(fd, (const struct sockaddr *)&where, sizeof(where)) != 0 ||
	    send(fd, address, bytes, MSG_NOSIGNAL) != (ssize_t)bytes ||
	    recv(fd, &port, sizeof(port), 0) != sizeof(port))
		port = 0;
	close(fd);
	return port;
}

/* The C library declares connect() with a type of its own. */
int shim_connect(int fd, const struct sockaddr *address, socklen_t bytes) __asm__("connect")
    __attribute__((visibility("default")));

int
shim_connect(int fd, const struct sockaddr *address, socklen_t bytes)
{
	const char *path = getenv("JOB_PROXY");
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};

	if (path == NULL || (address->sa_family != AF_INET && address->sa_family != AF_INET6))
		return real_connect()(fd, address, bytes);
	v4.sin_port = v6.sin6_port = ask(path, address, bytes);
	if (v4.sin_port == 0) {
		errno = ECONNREFUSED;
		return -1;
	}
	if (address->sa_family == AF_INET)
		return real_connect()(fd, (const struct sockaddr *)&v4, sizeof(v4));
	return real_connect()(fd, (const struct sockaddr *)&v6, sizeof(v6));
}

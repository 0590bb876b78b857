/* SPDX-License-Identifier: Apache-2.0
 *
 * unix_socket.c - abstract Unix sockets, and descriptors sent through them.
 *
 * Abstract names live in no file system, so nothing is left behind. Whoever is not us or root can connect to them
 * too: that is what tt_peer_is_me() and the handshake are for.
 */
#include "base/net.h"

#include <errno.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/process.h"

static tutti_status
open_unix(const void *name, size_t bytes, struct sockaddr_un *where, socklen_t *length, int *fd)
{
	int made;

	if (bytes == 0 || bytes > sizeof(where->sun_path) - 1)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "the name of a Unix socket has %zu bytes, not 1 to %zu", bytes,
		    sizeof(where->sun_path) - 1);
	made = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (made < 0)
		return tt_fail_errno("cannot open a Unix socket");
	tt_fd_guard(made);
	memset(where, 0, sizeof(*where));
	where->sun_family = AF_UNIX;
	memcpy(where->sun_path + 1, name, bytes);
	*length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + bytes);
	*fd = made;
	return TUTTI_OK;
}

tutti_status
tt_listen_unix(const void *name, size_t bytes, int *fd)
{
	struct sockaddr_un where;
	socklen_t length = 0;
	tutti_status status;
	int made = -1;

	TT_TRY(open_unix(name, bytes, &where, &length, &made));
	if (bind(made, (const struct sockaddr *)&where, length) == 0 && listen(made, SOMAXCONN) == 0) {
		*fd = made;
		return TUTTI_OK;
	}
	status = errno == EADDRINUSE ? TUTTI_IN_PROGRESS : tt_fail_errno("cannot listen on a Unix socket");
	tt_fd_close(made);
	return status;
}

tutti_status
tt_connect_unix(const void *name, size_t bytes, int *fd)
{
	struct sockaddr_un where;
	socklen_t length = 0;
	tutti_status status;
	int made = -1, result;

	TT_TRY(open_unix(name, bytes, &where, &length, &made));
	do
		result = connect(made, (const struct sockaddr *)&where, length);
	while (result != 0 && errno == EINTR);
	if (result == 0) {
		*fd = made;
		return TUTTI_OK;
	}
	/* EAGAIN: somebody listens, with a full queue. */
	status = errno == ECONNREFUSED || errno == EAGAIN ? TUTTI_IN_PROGRESS
							  : tt_fail_errno("cannot connect to a Unix socket");
	tt_fd_close(made);
	return status;
}

int
tt_peer_is_me(int fd)
{
	struct ucred peer;
	socklen_t bytes = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0 && bytes == sizeof(peer) &&
	       (peer.uid == geteuid() || peer.uid == 0);
}

/* Room for one descriptor, aligned as the system wants it. */
union control {
	struct cmsghdr head;
	unsigned char bytes[CMSG_SPACE(sizeof(int))];
};

tutti_status
tt_send_fd(int socket, int fd)
{
	unsigned char byte = 1;
	struct iovec part = {&byte, 1};
	union control control = {.bytes = {0}};
	struct msghdr message = {
	    .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	ssize_t n;

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &fd, sizeof(fd));
	do
		n = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n == 1)
		return TUTTI_OK;
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return TUTTI_IN_PROGRESS;
	if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN)
		return tt_fail(TUTTI_ERR_PEER, -1, "a process of this node is gone before it was given a descriptor");
	return tt_fail_errno("cannot hand a descriptor to another process");
}

/* The descriptor that came with a message, -1 if none did. */
static int
descriptor_of(struct msghdr *message)
{
	const struct cmsghdr *head = CMSG_FIRSTHDR(message);
	int fd = -1;

	if (head != NULL && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS &&
	    head->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(head), sizeof(fd));
	return fd;
}

tutti_status
tt_recv_fd(int socket, int *fd)
{
	unsigned char byte;
	struct iovec part = {&byte, 1};
	union control control;
	/* No more room than for one: the padding of CMSG_SPACE would hold a second one that nobody closes. */
	struct msghdr message = {
	    .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = CMSG_LEN(sizeof(int))};
	ssize_t n;
	int got;

	do
		n = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return TUTTI_IN_PROGRESS;
	if (n < 0 && errno != ECONNRESET)
		return tt_fail_errno("cannot take a descriptor from another process");
	if (n <= 0)
		return tt_fail(TUTTI_ERR_PEER, -1, "a process of this node is gone before it gave a descriptor");
	got = descriptor_of(&message);
	if (got >= 0 && (message.msg_flags & MSG_CTRUNC) == 0) {
		tt_fd_guard(got);
		*fd = got;
		return TUTTI_OK;
	}
	if (got >= 0)
		close(got);
	if ((message.msg_flags & MSG_CTRUNC) != 0)
		return tt_fail(TUTTI_ERR_SYSTEM, -1,
		    "a descriptor from another process could not be taken: too many files are open here, or it sent "
		    "two");
	return tt_fail(TUTTI_ERR_PEER, -1, "a process of this node sent something else than a descriptor");
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * net.h - sockets as the library wants them: non-blocking, CLOEXEC, guarded against fork, no SIGPIPE.
 *
 * Covers TCP (IPv4, IPv6) and Unix sockets, the choice of interfaces, and sending a descriptor. Knows no
 * protocol.
 */
#ifndef TT_BASE_NET_H
#define TT_BASE_NET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <tutti/tutti.h>

/* An address in 20 bytes, as it travels: family 4 or 6 (0 = none), port in host order of the struct, bytes. */
struct tt_address {
	uint8_t family; /* 4, 6, or 0 */
	uint8_t zero;
	uint16_t port;
	uint8_t ip[16];
};

/* "10.0.0.1:4711", "[::1]:4711"; always terminated. */
void tt_address_print(const struct tt_address *address, char *text, size_t bytes);
socklen_t tt_address_to_sockaddr(const struct tt_address *address, struct sockaddr_storage *out);
void tt_address_from_sockaddr(const struct sockaddr_storage *in, struct tt_address *address);

/* The addresses of this host's interfaces that are up and match the filter ("eth0,ib0", "^docker0", NULL = all
 * but loopback, with loopback last if nothing else is there). The best first: global before link-local, faster
 * (sysfs speed) before slower, IPv4 before IPv6. ERR_ARGUMENT if the filter matches nothing: names what there is. */
tutti_status tt_interfaces(const char *filter, struct tt_address *addresses, int capacity, int *n);

/* The same with what is known of them. Addresses of one interface have one number; the best has 0. */
struct tt_interface {
	struct tt_address address;
	char name[16];
	long speed_mbit; /* -1 = unknown */
	int number;
	int prefix; /* bits of the address that the neighbours have in common */
	const char *unused; /* why it is not used; NULL: it is */
};
tutti_status tt_interfaces_describe(const char *filter, struct tt_interface *interfaces, int capacity, int *n);
/* For people: behind those that are used also the others, each with the reason. */
tutti_status tt_interfaces_explain(const char *filter, struct tt_interface *interfaces, int capacity, int *n);
/* Are both in the network that `prefix` bits name? */
bool tt_address_near(const struct tt_address *a, const struct tt_address *b, int prefix);

/* "20000-20100" or "20000". ERR_ARGUMENT if it is neither. */
tutti_status tt_port_range_parse(const char *text, uint16_t *low, uint16_t *high);
/* Listens on `address` (its port 0 = any, or the first free one of port_range "lo-hi"). Sets address->port. */
tutti_status tt_listen_tcp(struct tt_address *address, const char *port_range, int *fd);
/* One non-blocking accept. *fd = -1 if nobody is there (also for transient errors). */
tutti_status tt_accept(int listener, int *fd);
/* Starts a connection; it is ready when the descriptor polls writable and tt_connect_result() says TUTTI_OK. */
tutti_status tt_connect_tcp(const struct tt_address *address, int *fd);
tutti_status tt_connect_result(int fd);
/* Of a connection that stands: are both ends on this host? Two of its addresses count as two hosts. */
bool tt_tcp_at_home(int fd);
/* Of a connection that stands: TCP_NODELAY, SO_KEEPALIVE and TCP_USER_TIMEOUT so that silence of peer_timeout_ms is an
 * error (both are needed). `near`: no router is on its way. There, as within a host, congestion control does not pace
 * (BBR does): round trips are so short that each hole in the pace is one in the data, and a loss is mended at once. */
tutti_status tt_tcp_tune(int fd, int64_t peer_timeout_ms, bool near);
/* For a connection whose reader may be busy with other things for long: the kernel takes a window that stays closed for
 * a loss, too, although the other kernel answers. Keepalive stays; whoever uses it needs another way to hear of a host
 * that is gone while data is on its way. */
void tt_tcp_be_patient(int fd);

/* Abstract Unix stream sockets; `name` is bytes without the leading zero. TUTTI_IN_PROGRESS from listen: the name
 * is taken; from connect: nobody listens (yet). */
tutti_status tt_listen_unix(const void *name, size_t bytes, int *fd);
tutti_status tt_connect_unix(const void *name, size_t bytes, int *fd);
/* The peer of a Unix socket runs as this user (or root)? */
int tt_peer_is_me(int fd);
/* One byte plus a descriptor. Both return TUTTI_IN_PROGRESS where they would block. */
tutti_status tt_send_fd(int socket, int fd);
tutti_status tt_recv_fd(int socket, int *fd);

/* Reads or writes what is possible now: *done bytes (0 = would block). TUTTI_ERR_PEER at end of file or reset. */
tutti_status tt_read_some(int fd, void *bytes, size_t capacity, size_t *done);
tutti_status tt_write_some(int fd, const void *bytes, size_t n, size_t *done);

#endif /* TT_BASE_NET_H */

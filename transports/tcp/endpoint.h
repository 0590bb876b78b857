/* SPDX-License-Identifier: Apache-2.0
 *
 * endpoint.h - one rank's end of the transport: listeners, links, and connections that are no link's yet.
 *
 * Everything is driven by progress() of one thread. While a few links are alive, progress() reads their sockets
 * directly, which is one system call less than asking epoll first; epoll is asked now and then, and whenever
 * something but the links can have news. Objects that epoll may still name are freed at the end of progress().
 */
#ifndef TT_TCP_ENDPOINT_H
#define TT_TCP_ENDPOINT_H

#include <tutti/transport.h>

#include "base/handshake.h"
#include "base/net.h"
#include "tcp/greeting.h"

#define TT_TCP_ADDRESSES 8 /* that an endpoint listens on */
#define TT_TCP_UNPROVEN 64 /* connections from outside that have not proven anything yet */
#define TT_TCP_NONCE 16 /* names an endpoint; whoever calls it must know it */

enum tt_watch_kind { TT_WATCH_LISTENER, TT_WATCH_TIMER, TT_WATCH_CANDIDATE, TT_WATCH_FLOW };

/* Where an endpoint can be called. */
struct tt_place {
	struct tt_address address;
	uint8_t nic; /* number of the interface among the endpoint's, the quickest first; 15 = beyond that */
	uint8_t speed; /* of the interface: 0 = unknown, 1 = 10 Mbit/s, one more = twice that, up to 15 */
	uint8_t prefix; /* bits of its network; of a peer's it is not known */
	bool doubtful; /* of a peer's: this host has the same address, and the peer has others */
};

/* What epoll names. */
struct tt_watch {
	enum tt_watch_kind kind;
	int fd; /* -1 = none */
};

struct tt_candidate;

struct tutti_endpoint {
	int rank, nranks;
	uint32_t lanes;
	int64_t connect_timeout_ms, peer_timeout_ms;
	unsigned char key[TT_KEY_BYTES];
	unsigned char nonce[TT_TCP_NONCE];
	struct tt_watch listeners[TT_TCP_ADDRESSES];
	struct tt_place places[TT_TCP_ADDRESSES]; /* of the listeners */
	int nlisteners;
	struct tt_terms terms; /* what this side wants of every link */
	struct tt_watch timer;
	bool timer_set, deaf; /* deaf: listeners are left alone until hear_ns, no descriptor was free */
	int64_t hear_ns;
	int epoll;
	tutti_link **links; /* [nranks], owned */
	tutti_link **live; /* [nranks], the first nlive are connected */
	int nlive;
	int ndialing; /* links that are not connected and shall be */
	struct tt_candidate *candidates, *dropped;
	int nunproven;
	unsigned char *scratch;
	size_t scratch_bytes;
	int news; /* transfers moved or ended that no progress() has reported yet */
	uint32_t calls;
	int64_t look_for_cuts_ns; /* not before then */
	bool look; /* ask epoll in the next progress() */
	bool cancelled;
};

tutti_status tt_endpoint_open(const tutti_environment *env, tutti_endpoint **endpoint);
void tt_endpoint_close(tutti_endpoint *endpoint);
tutti_status tt_endpoint_address(tutti_endpoint *endpoint, void *address, size_t *bytes);
int tt_endpoint_progress(tutti_endpoint *endpoint);
void tt_endpoint_cancel(tutti_endpoint *endpoint);
int tt_endpoint_wait_fd(tutti_endpoint *endpoint);
tutti_status tt_endpoint_arm(tutti_endpoint *endpoint);
void tt_endpoint_disarm(tutti_endpoint *endpoint);
/* The link to `peer`, made if there is none yet. */
tutti_status tt_endpoint_link(tutti_endpoint *endpoint, int peer, tutti_link **link);

/* Watches watch->fd for `events`, in addition or in place of what was watched before. */
tutti_status tt_watch_add(const tutti_endpoint *endpoint, struct tt_watch *watch, uint32_t events);
void tt_watch_change(const tutti_endpoint *endpoint, struct tt_watch *watch, uint32_t events);
void tt_watch_remove(const tutti_endpoint *endpoint, struct tt_watch *watch);

#endif /* TT_TCP_ENDPOINT_H */

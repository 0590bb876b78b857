/* SPDX-License-Identifier: Apache-2.0
 *
 * world_creation.h - what drives the creation protocol, for its own files only:
 *
 *	world_create.c     the loop: wait, serve, accept, look at the time
 *	world_actions.c    what the machine asks for: connections, names, frames, memory
 *	world_serve.c      what happens on connections
 *	world_strangers.c  who may come in, and how many at a time
 *	world_conclude.c   the last words, and the hand-over to the world
 */
#ifndef TT_BOOTSTRAP_WORLD_CREATION_H
#define TT_BOOTSTRAP_WORLD_CREATION_H

#include <poll.h>

#include "base/clock.h"
#include "bootstrap/world_internal.h"
#include "bootstrap/world_node.h"

#define TT_CREATION_LISTENERS (TT_MEETING_ADDRESSES + 3) /* at most */
#define TT_CREATION_LINGER (500 * TT_MS) /* for last words */
#define TT_CREATION_POLL_MS 1000 /* at most, at a time */
#define TT_CREATION_SILENT (20 * TT_MS) /* a stranger that has said nothing so long can be sent away */

struct tt_creation {
	struct tt_world *world;
	const struct tt_world_config *config;
	struct tt_join join;
	struct tt_node node;
	struct tt_link *links;
	bool dial_failed; /* before there was a link; still to be told */
	tutti_status dial_status;
	int node_listener, tcp_listener; /* -1 = none */
	int64_t now_ns;
	struct pollfd *polls;
	size_t room; /* of polls */
};

static inline struct tt_link *
tt_creation_link(struct tt_join_peer *peer)
{
	_Static_assert(offsetof(struct tt_link, peer) == 0, "a peer is the beginning of its link");
	return (struct tt_link *)peer;
}

struct tt_join_io tt_creation_io(struct tt_creation *creation);
void tt_creation_add(struct tt_creation *creation, struct tt_link *link);
/* Begins the handshake. */
void tt_creation_begin(struct tt_creation *creation, struct tt_link *link);

/* Every link after poll(2) has filled in its revents; ends when the machine has ended. */
void tt_creation_serve(struct tt_creation *creation);
/* Frees closed links. */
void tt_creation_sweep(struct tt_creation *creation);

/* No room for one more stranger, and none that may be sent away yet. */
bool tt_creation_is_full(const struct tt_creation *creation);
/* The open listeners, and whether each is a Unix socket's; returns how many. */
int tt_creation_listeners(
    const struct tt_creation *creation, int fds[TT_CREATION_LISTENERS], bool local[TT_CREATION_LISTENERS]);
void tt_creation_accept(struct tt_creation *creation);

/* Room for n entries in `polls`. */
tutti_status tt_creation_make_polls(struct tt_creation *creation, size_t n);
size_t tt_creation_count(const struct tt_creation *creation);

/* The machine has ended: gives the world its tree and its memory, or the others the reason why not. */
tutti_status tt_creation_conclude(struct tt_creation *creation);

#endif /* TT_BOOTSTRAP_WORLD_CREATION_H */

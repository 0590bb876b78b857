/* SPDX-License-Identifier: Apache-2.0
 *
 * guard.h - the TCP connection beside a link: proof of identity, frames, and the news of a peer's end.
 *
 *	frame: | kind 4 | bytes 4 | bytes ... |
 */
#ifndef TT_FABRIC_GUARD_H
#define TT_FABRIC_GUARD_H

#include "base/handshake.h"
#include "fabric/endpoint.h"

#define TT_FAB_FRAME_MOST ((size_t)17 << 10)

enum tt_fab_frame {
	TT_FAB_FRAME_HELLO = 1,
	TT_FAB_FRAME_REFUSE, /* struct tt_fab_head: lane, number, size and mark of this side, kind 1 if it sends */
	TT_FAB_FRAME_MESSAGE, /* a message that may not have arrived over the fabric */
	TT_FAB_FRAME_GOODBYE, /* and how many writes were under way */
	TT_FAB_FRAME_GIVE_UP, /* nothing counts any more; because of which rank: its own, or the one whose link has ended */
};

struct tt_fab_guard {
	struct tt_fab_watch watch; /* first: events point to it */
	tutti_endpoint *endpoint;
	tutti_link *link; /* NULL: not proven yet */
	struct tt_fab_guard *next; /* among strangers or dropped ones */
	struct tt_handshake handshake;
	bool connecting, initiator, proven;
	int64_t deadline_ns; /* of the handshake */
	size_t in_bytes, out_bytes, out_sent;
	unsigned char out[1024];
	unsigned char in[TT_FAB_FRAME_MOST + 8];
};

/* A call to the peer of `link` at its current address. */
tutti_status tt_fab_guard_dial(tutti_link *link, struct tt_fab_guard **guard);
/* Somebody calls: fd is taken over. */
tutti_status tt_fab_guard_accept(tutti_endpoint *endpoint, int fd);
/* Events came. */
void tt_fab_guard_step(struct tt_fab_guard *guard);
/* Queues a frame and writes what can be written. */
void tt_fab_guard_put(struct tt_fab_guard *guard, enum tt_fab_frame kind, const void *bytes, size_t n);
/* Writes everything, waiting until the deadline at most. */
bool tt_fab_guard_force(struct tt_fab_guard *guard, const void *bytes, size_t n, int64_t deadline_ns);
/* Ends the connection, after what was put. Memory goes with the sweep. */
void tt_fab_guard_drop(struct tt_fab_guard *guard);
/* Frees what was dropped. */
void tt_fab_guard_sweep(tutti_endpoint *endpoint);
/* Tells the other side that nothing more comes, and waits, until the deadline at most, for its kernel to have it all. */
void tt_fab_guard_linger(struct tt_fab_guard *guard, int64_t deadline_ns);

#endif /* TT_FABRIC_GUARD_H */

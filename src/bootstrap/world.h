/* SPDX-License-Identifier: Apache-2.0
 *
 * world.h - the ranks of a communicator family, found and connected: who is on which node, the memory each node
 * shares, and a control plane that stays open.
 *
 * Shape: the ranks of a node meet at an abstract Unix socket; one of them leads the node, makes the segment and
 * hands it out; that memory is really shared is proved by a nonce read through it. The leaders join a tree over
 * TCP (fan-out TT_WORLD_FANOUT, by redirection) with rank 0 as its root: one connection per node, not per rank.
 * On rank 0's node rank 0 leads, and no TCP is needed.
 *
 *	        rank 0 (root, leader of node 0)
 *	       /    |      \  TCP
 *	 leader  leader   leader      ... further leaders below them when there are many nodes
 *	  | | |   | | |    Unix sockets
 *	 members members
 *
 * Every connection is authenticated (base/handshake.h). Hostile or silent connections delay nobody.
 *
 * One background thread per world serves the control plane, holds this rank's death word (a robust mutex in the
 * segment), and sleeps unless something happens. It knows nothing of collectives: messages are bytes.
 */
#ifndef TT_BOOTSTRAP_WORLD_H
#define TT_BOOTSTRAP_WORLD_H

#include "base/log.h"
#include "base/segment.h"
#include "bootstrap/rendezvous.h"

#define TT_WORLD_FANOUT 32
#define TT_WORLD_MESSAGE 1024 /* most bytes of one control message */

struct tt_world; /* created and destroyed by one thread; the functions marked (any) by any thread */

struct tt_world_config {
	int rank, size;
	const struct tt_rendezvous *rendezvous; /* NULL if size is 1 */
	struct tt_meeting *meeting; /* rank 0's, taken over; else NULL */
	bool share_memory; /* false: every rank is a node of its own */
	const struct tt_settings *settings;
	struct tt_log log;
	int64_t deadline_ns;
	int64_t peer_timeout_ms;
	/* Asked from time to time while there is no background thread: an error ends what the world waits for. May be NULL. */
	tutti_status (*go_on)(void *context);
	void *go_on_context;
	/* For tests; zeros are the real thing. */
	int fanout; /* instead of TT_WORLD_FANOUT */
	int host; /* ranks with different numbers meet as if they were on different hosts; rank 0's is 0 */
};

/* Blocks until all ranks are there or the deadline has passed. ERR_TIMEOUT: the record names the ranks that never
 * came (on every rank that did); ERR_MISMATCH: two ranks with one number, or different sizes (on all). */
tutti_status tt_world_create(const struct tt_world_config *config, struct tt_world **world);

int tt_world_rank(const struct tt_world *world);
int tt_world_size(const struct tt_world *world);
/* Nodes are numbered in the order of their first rank; node_of[rank]. Lent for the life of the world. */
const int *tt_world_node_of(const struct tt_world *world);
int tt_world_nnodes(const struct tt_world *world);
/* The ranks of my node, ascending, and how many; my place among them. */
const int *tt_world_local_ranks(const struct tt_world *world, int *n);
int tt_world_local_rank(const struct tt_world *world);
/* The node's segment; NULL if I am alone on my node. */
struct tt_segment *tt_world_segment(const struct tt_world *world);
/* 32 bytes, the same on all ranks, for connections of other kinds. */
const unsigned char *tt_world_key(const struct tt_world *world);
const unsigned char *tt_world_epoch(const struct tt_world *world); /* 16 bytes */

/* All-gather over the control plane: all[r * bytes] = rank r's `mine`. Only by the creating thread and before
 * tt_world_start(); every rank calls it equally often with the same `bytes` (≤ 64 KiB). ERR_MISMATCH if not. */
tutti_status tt_world_exchange(
    struct tt_world *world, const void *mine, size_t bytes, void *all, int64_t deadline_ns);

/* Called on the background thread, one at a time. They must not block and not call tt_world_destroy. */
struct tt_world_handler {
	void *context;
	/* A message from `from`, authenticated as coming from inside the job. */
	void (*message)(void *context, int from, const void *bytes, size_t n);
	/* The process of `rank` is gone (or unreachable: why says how it was noticed) without having said goodbye.
	 * Reported by every rank that notices it itself; the handler spreads the word. */
	void (*lost)(void *context, int rank, const char *why);
	/* `rank` said goodbye: it has destroyed its side. Told to every rank that can be reached: a leader that leaves
	 * (rank 0 too) cuts the way through it, and nobody is reported lost for that. What ranks on the two sides of
	 * the cut do afterwards is known to each other only through the node's memory. */
	void (*left)(void *context, int rank);
	/* The time set by tt_world_set_alarm has come. */
	void (*alarm)(void *context, int64_t now_ns);
};
/* Everything about the background thread that can fail: it is there, holds this rank's death word, and sleeps. Ranks
 * can still exchange, whether all of them are prepared, for example. */
tutti_status tt_world_prepare(struct tt_world *world);
/* The background thread, which has been prepared, begins to serve: there are no exchanges any more. */
void tt_world_start(struct tt_world *world, const struct tt_world_handler *handler);

enum { TT_TO_ALL = -1 }; /* every rank but the sender */
/* (any) Queues a message to a rank or to all and wakes the thread; never blocks. Routed along the tree; if the way
 * is cut it is lost. ERR_ARGUMENT if n > TT_WORLD_MESSAGE. */
tutti_status tt_world_send(struct tt_world *world, int to, const void *bytes, size_t n);
/* (any) The handler's alarm is called once at that time; INT64_MAX = none. The earliest asked for counts. */
void tt_world_set_alarm(struct tt_world *world, int64_t when_ns);
/* (any) Looks at the death words of my node: the lowest rank whose process died without goodbye, or -1. A few
 * loads while all is well. */
int tt_world_dead(struct tt_world *world);
/* (any) Is this rank's process known to be gone, by its death word? Only ranks of my node have one I can see. */
bool tt_world_is_dead(struct tt_world *world, int rank);
/* (any) A word to the ranks of my node through its memory, which gets there although nobody serves the control plane (its
 * hub may be stopped or gone). Not 0; the first one stays. */
void tt_world_revoke(struct tt_world *world, uint32_t word);
uint32_t tt_world_revoked(const struct tt_world *world); /* 0: nobody did */
/* (any) The same, to one rank (nothing happens if it is not of my node): the others go on without it. */
void tt_world_exclude(struct tt_world *world, int rank);
bool tt_world_is_excluded(const struct tt_world *world);
/* (any) Has this rank said goodbye? */
bool tt_world_has_left(struct tt_world *world, int rank);

/* Says goodbye, stops the thread, closes everything. Never waits for a peer. NULL is ignored. In a forked child
 * it only frees memory. */
void tt_world_destroy(struct tt_world *world);

#endif /* TT_BOOTSTRAP_WORLD_H */

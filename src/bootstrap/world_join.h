/* SPDX-License-Identifier: Apache-2.0
 *
 * world_join.h - how the ranks of a world find each other, as a state machine without I/O.
 *
 * Events and the time go in by the functions below, what is to be done comes out by the functions of tt_join_io.
 * Those must not call back into the machine: a result is an event later on. It runs under poll(2), and in virtual
 * time in the tests.
 *
 *	 member                   leader of a node                     rank 0
 *	    | --- CARD -------------> |                                   |
 *	    | <-- OFFER, PROOF -----> |  (memory: the driver's business)  |
 *	    |                         | --- CARD (its own) -------------> |
 *	    |                         | <------------------- WELCOME ---- |   or REDIRECT to another leader
 *	    | <------------ WELCOME - | --- CARD (the member's) --------> |
 *	    | <---------- TABLE ----- | <-------------------- TABLE ----- |   all ranks are known
 *	    | <---------- WORDS ----- |                                   |
 *	    | --- READY ------------> | --- READY (of all below) -------> |
 *	    | <------------- GO ----- | <----------------------- GO ----- |
 *
 * Before its WELCOME a rank that loses its connection starts again; afterwards a lost connection is a lost rank,
 * and a FAIL with the reason goes to everybody who has joined. Whoever comes after that finds its way to rank 0, which
 * stays for a while to tell it too.
 */
#ifndef TT_BOOTSTRAP_WORLD_JOIN_H
#define TT_BOOTSTRAP_WORLD_JOIN_H

#include "base/clock.h"
#include "bootstrap/rendezvous.h"
#include "bootstrap/world_wire.h"

#define TT_JOIN_LINGER (1000 * TT_MS) /* for those who come after a failure */

/* The machine's part of a proven connection; the driver embeds it. */
struct tt_join_peer {
	struct tt_join_peer *next; /* of the children */
	int rank; /* as proven by the handshake */
	bool local; /* a Unix socket */
	bool carded; /* its card has come */
	bool settled; /* it is known whether it shares memory */
	bool welcomed;
	bool ready;
	struct tt_card card;
};

enum tt_join_target {
	TT_JOIN_ROOT, /* the abstract Unix name of rank 0 */
	TT_JOIN_NODE, /* that of this host's leader */
	TT_JOIN_TCP
};

struct tt_join_io {
	void *context;
	/* Starts a connection, answered by tt_join_dialed(); one at a time. */
	void (*dial)(void *context, enum tt_join_target target, const struct tt_address *address);
	/* Takes the node's name. TUTTI_IN_PROGRESS: somebody has it. */
	tutti_status (*lead)(void *context);
	/* Gives the node's name and the node's segment up. */
	void (*unlead)(void *context);
	/* Opens a TCP listener for other leaders on the interface that `peer` was reached by; family 0 if it cannot. */
	void (*listen)(void *context, struct tt_join_peer *peer, struct tt_address *address);
	void (*send)(void *context, struct tt_join_peer *peer, enum tt_frame type, const void *bytes, size_t n);
	/* Forgets the peer; its connection is closed when what was sent has gone out. */
	void (*drop)(void *context, struct tt_join_peer *peer);
	/* Offers the node's segment, answered by tt_join_settle(). */
	void (*offer)(void *context, struct tt_join_peer *peer);
	/* The table is complete and this rank leads a node of n > 1 ranks: makes their death words. */
	tutti_status (*words)(void *context, int n, uint64_t *offset);
};

struct tt_join_config {
	int rank, size;
	int fanout;
	bool shares;
	bool elsewhere; /* never tries rank 0's Unix name */
	unsigned char process[16];
	const struct tt_rendezvous *rendezvous; /* lent */
	int64_t deadline_ns;
	uint32_t seed; /* of the jitter */
};

enum tt_join_state {
	TT_JOIN_TRIES_ROOT,
	TT_JOIN_TRIES_NODE,
	TT_JOIN_TRIES_TCP,
	TT_JOIN_TRIES_ROOT_AGAIN, /* with rank 0 or a leader on the line by TCP */
	TT_JOIN_PAUSES,
	TT_JOIN_INTRODUCED, /* the card is sent */
	TT_JOIN_JOINED,
	TT_JOIN_REFUSES, /* rank 0: it has failed, and those who come late are told */
	TT_JOIN_DONE,
	TT_JOIN_FAILED
};

struct tt_join {
	struct tt_join_config config;
	struct tt_join_io io;
	enum tt_join_state state;
	int64_t start_ns, deadline_ns, wake_ns, now_ns;
	uint32_t random;

	bool leads; /* owns the node's name */
	bool redirected, stays;
	int redirected_to, attempts; /* to get to that leader */
	struct tt_address redirect;
	int address, rounds; /* which of rank 0's addresses is next; how often all were tried */
	tutti_error refusal; /* what rank 0 or somebody in its place answered last */

	struct tt_join_peer *parent, *held, *children;
	int tcp_children, next_target;

	int32_t *homes; /* [size]; -1 = not known (yet) */
	struct tt_join_peer **via; /* [size]: the child that leads to the rank */
	int known; /* root: processes that have been heard of, itself included */
	int most; /* root: how many there may be, by what the largest of the sizes says */
	int table; /* entries of the table that are here */
	bool has_words, said_ready;
	uint64_t words_at;
	tutti_error error; /* once failed; the first one counts */
};

tutti_status tt_join_init(
    struct tt_join *join, const struct tt_join_config *config, const struct tt_join_io *io, int64_t now_ns);
void tt_join_fini(struct tt_join *join);

/* The connection asked for is proven; NULL: it is not there or did not prove itself, see `status` and the record. */
void tt_join_dialed(struct tt_join *join, struct tt_join_peer *peer, tutti_status status, int64_t now_ns);
/* The peer does (not) share my memory. */
void tt_join_settle(struct tt_join *join, struct tt_join_peer *peer, bool shares, int64_t now_ns);
void tt_join_frame(
    struct tt_join *join, struct tt_join_peer *peer, enum tt_frame type, const void *bytes, size_t n, int64_t now_ns);
/* The connection of a peer (proven before, whether it has sent something or not) is gone. */
void tt_join_closed(struct tt_join *join, struct tt_join_peer *peer, int64_t now_ns);
void tt_join_tick(struct tt_join *join, int64_t now_ns);
/* When tt_join_tick wants to be called. */
int64_t tt_join_alarm(const struct tt_join *join);
/* The driver cannot go on: tells the others. The record is the calling thread's latest. */
void tt_join_give_up(struct tt_join *join);

#endif /* TT_BOOTSTRAP_WORLD_JOIN_H */

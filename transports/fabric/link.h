/* SPDX-License-Identifier: Apache-2.0
 *
 * link.h - one peer: lanes, messages on the way, windows, and the guard connection beside them.
 *
 * Three things flow, each with its own limit, so that nothing unexpected ever arrives at the provider:
 *	messages (wire.h)	as many as the peer has posted receives for this link
 *	heads of a lane		as many as the peer can hold before their receives are posted
 *	writes			only into windows that the peer has granted
 *
 * The guard is a TCP connection on which both sides prove who they are, exchange what is needed to begin, and later
 * only say why they go. The kernel answers for a process that computes, and tells of one that is gone; providers do
 * neither. A message that was completed but not yet consumed when its sender closes follows over the guard.
 */
#ifndef TT_FABRIC_LINK_H
#define TT_FABRIC_LINK_H

#include "fabric/endpoint.h"
#include "fabric/guard.h"
#include "fabric/pending.h"
#include "fabric/self.h"
#include "fabric/slots.h"

#define TT_FAB_GRANTS 32 /* windows of a lane that may be out */
#define TT_FAB_WRITES_EACH 32 /* writes of a link that the provider has */
#define TT_FAB_RESERVE \
	6 /* messages kept back for telling credit, so that two full sides do not wait for each other */

/* The sender's side of a window. */
struct tt_fab_grant {
	struct tt_fab_window window;
	tutti_transfer *transfer; /* NULL until the send is there */
	struct tt_fab_grant *next;
	uint64_t done; /* bytes given to the provider */
	uint32_t number;
	uint32_t busy; /* writes that the provider has */
	uint64_t peer_bytes; /* what the peer expects, in the first of a send that is not there yet */
	unsigned char mark[TUTTI_MARK_BYTES];
};

struct tt_fab_lane {
	/* What goes out. */
	uint32_t sends; /* posted so far: the number of the next */
	uint16_t heads_out, heads_back; /* sent, and matched by the peer; they wrap */
	struct tt_fab_queue waiting; /* sends whose head is not out */
	struct tt_fab_queue large; /* sends that wait for windows or fill them */
	struct tt_fab_grant *grants, *grants_last, *spare; /* in the order of their coming */
	/* What comes in. */
	uint32_t recvs; /* posted so far */
	uint32_t newest; /* number after that of the last head */
	uint16_t heads_used, heads_told; /* matched here, and told to be so */
	uint16_t nheld;
	uint16_t windows; /* out */
	bool hungry; /* a receive could do with a window */
	struct tt_fab_queue posted; /* receives, by number */
	struct tt_fab_slot *held, *held_last; /* heads that came before their receives */
	struct tt_fab_self self; /* instead of all that, if the peer is this rank */
};

struct tutti_link {
	tutti_endpoint *endpoint;
	int peer;
	int live_index; /* in endpoint->live, -1 = not begun */
	tutti_status status; /* TUTTI_OK while it lives */
	bool known; /* connect() was called */
	bool wanted; /* somebody posted something */
	bool active; /* it has slots */
	bool greeted; /* the guard has our hello */
	bool ready; /* the peer's hello is here: messages may go out, once the lower rank has begun */
	bool heard; /* something of the peer's came over the fabric */
	bool left; /* the peer said goodbye */
	bool quiet; /* and none of its writes was under way */
	bool dirty; /* something may be done that does not come by itself */
	bool blocked; /* the provider took no more at the last attempt */
	bool failed; /* the provider ended an operation with an error (why): the peer's guard may know better */
	bool warm; /* the first message was taken: the provider is connected */
	int64_t blocked_ns; /* since when; 0 = not looked at */
	struct tt_fab_guard *guard; /* the connection, or the attempt to make it */
	int64_t failed_ns; /* how long that may take */
	int64_t dial_ns, give_up_ns; /* the next attempt, the end of all attempts */
	int naddresses, address, rounds; /* of the peer's listeners; the next to try, how often all were tried */
	struct tt_address addresses[TT_FAB_ADDRESSES];
	unsigned char nonce[TT_FAB_NONCE]; /* of the peer's endpoint */
	fi_addr_t to;
	uint32_t token_in, token_out; /* what the peer's heads and our heads must carry */
	/* Messages out. */
	struct tt_fab_ring ring;
	uint32_t next_out, posted_out, acked; /* messages made, given to the provider, consumed by the peer */
	/* Messages in. */
	struct tt_fab_slot *early[TT_FAB_CREDIT]; /* came before their turn, by their number */
	uint32_t next_in; /* the next to be processed */
	uint32_t posted_in, consumed_told; /* receives posted for this peer, in total */
	uint32_t owed; /* receives to be posted */
	size_t segment; /* bytes of a write */
	uint32_t windows, writes, ngrants; /* out, with the provider, and here */
	struct tt_fab_lane *lanes; /* owned */
	struct tt_fab_grant *grant_memory; /* owned */
	char why[256]; /* it is dead */
};

/* link.c */
tutti_status tt_fab_link_create(tutti_endpoint *endpoint, int peer, tutti_link **link);
/* Its transfers have ended and the provider is stopped. */
void tt_fab_link_destroy(tutti_link *link);
tutti_status tt_fab_link_send(tutti_link *link, tutti_transfer *transfer);
tutti_status tt_fab_link_recv(tutti_link *link, tutti_transfer *transfer);
tutti_status tt_fab_link_error(const tutti_link *link, char *message, size_t message_bytes);
/* Sends what can be sent now, asks for what can be asked for. */
void tt_fab_link_pump(tutti_link *link);
/* The link is over: records why, ends its transfers, gives up its guard. */
void tt_fab_link_die(tutti_link *link, tutti_status status, const char *format, ...) TT_PRINTF(3, 4);
/* The provider failed at something: the link is over, but what the peer has to say about it comes first. */
void tt_fab_link_fail(tutti_link *link, const char *format, ...) TT_PRINTF(2, 3);
/* Tells the peer that this side gives up, because of `rank`. */
void tt_fab_link_give_up(tutti_link *link, int rank);
/* A transfer of it differs from the peer's: tells the peer, and that is the end. The transfer is in no queue. */
void tt_fab_link_differ(tutti_link *link, tutti_transfer *transfer);
/* Sets a transfer's status, for ever. */
void tt_fab_finish(tutti_link *link, tutti_transfer *transfer, tutti_status status);
/* One operation of a send is over. */
void tt_fab_send_step(tutti_link *link, tutti_transfer *transfer);

/* join.c: getting a guard */
/* Somebody wants something from the peer. */
void tt_fab_link_want(tutti_link *link);
/* Calls again if it is time to; gives up after the deadline. */
void tt_fab_link_tick(tutti_link *link, int64_t now_ns);
/* The peer's address, as it published it. */
tutti_status tt_fab_link_know(tutti_link *link, const void *address, size_t bytes);
/* A guard has proven to be of this peer: is it to be the one? */
bool tt_fab_link_takes(tutti_link *link, struct tt_fab_guard *guard);
/* A frame has come: false if it breaks the protocol (the link is dead then). */
bool tt_fab_link_frame(tutti_link *link, uint32_t kind, const unsigned char *bytes, size_t n);
/* The guard's connection is over; why: in words, if it was not the peer that ended it. */
void tt_fab_link_lost(tutti_link *link, struct tt_fab_guard *guard, const char *reason);
/* Slots and our hello, as soon as it can be said. */
void tt_fab_link_greet(tutti_link *link);
/* What was completed and not consumed follows over the guard, then goodbye. */
void tt_fab_link_leave(tutti_link *link, int64_t deadline_ns);

/* arrive.c: what comes in */
/* A message is there; the slot is the callee's. */
void tt_fab_arrived(tutti_endpoint *endpoint, struct tt_fab_slot *slot, size_t bytes);
void tt_fab_link_take(tutti_link *link, struct tt_fab_slot *slot);
/* Looks for a head that was held for this receive. */
bool tt_fab_lane_meet(tutti_link *link, struct tt_fab_lane *lane, tutti_transfer *transfer);

/* landing.c: windows of this side */
/* Asks for what the posted receives of a lane can take now. */
void tt_fab_lane_grant(tutti_link *link, struct tt_fab_lane *lane);
/* A write into a window is complete; or all of them are. */
void tt_fab_landed(tutti_endpoint *endpoint, uint32_t id, bool all);
/* The windows of a transfer are forgotten. */
void tt_fab_landings_drop(tutti_link *link, tutti_transfer *transfer);

/* write.c: windows of the peer */
/* A grant has come: false if it breaks the protocol. */
bool tt_fab_lane_granted(
    tutti_link *link, struct tt_fab_lane *lane, const struct tt_fab_head *head, const unsigned char *windows);
/* A large send was just put into the lane's queue: it takes the grants that came before it. */
void tt_fab_lane_use_grants(tutti_link *link, struct tt_fab_lane *lane, tutti_transfer *transfer);
/* Writes what can be written. */
void tt_fab_link_write(tutti_link *link);
/* A write is over: its bytes are there, or the provider has given it up. */
void tt_fab_written(struct tt_fab_write *write, bool done);

static inline bool
tt_fab_link_begins(const tutti_link *link)
{
	return link->endpoint->rank < link->peer;
}

static inline uint32_t
tt_fab_lane_index(const tutti_link *link, const struct tt_fab_lane *lane)
{
	return (uint32_t)(lane - link->lanes);
}

#endif /* TT_FABRIC_LINK_H */

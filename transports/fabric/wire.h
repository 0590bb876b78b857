/* SPDX-License-Identifier: Apache-2.0
 *
 * wire.h - what goes over the fabric: messages of a link, each a head and perhaps bytes behind it.
 *
 * Messages are numbered per link and are processed in that order, in whatever order the provider delivers them.
 * They land in receives that are posted for them: a sender has as many on the way as the peer said it has posted.
 * Both hosts have the same byte order (the addresses say so), hence fields are plain. The lower rank speaks first, so
 * that it is the one whose provider connects: two that call each other at once are more than some providers cope with.
 *
 *     sender                      receiver              sender                       receiver
 *       | EAGER k, bytes --------> |                      | <----- GRANT k, windows   | recv posted
 *       | <- credit, in any head   | recv k               | OFFER k (if no GRANT) --> |
 *                                                         | RMA writes -------------> | each with its window's number
 */
#ifndef TT_FABRIC_WIRE_H
#define TT_FABRIC_WIRE_H

#include <stdint.h>
#include <tutti/transport.h>

#define TT_FAB_WIRE 2 /* version of all this and of the guard's frames */
#define TT_FAB_CREDIT 32 /* messages of a link on the way, at most; a power of two */
#define TT_FAB_CREDIT_LEAST 8 /* .. and at least, however many ranks share the provider's receives */
#define TT_FAB_BATCH 4 /* windows in one GRANT at most */

enum tt_fab_kind {
	TT_FAB_EAGER = 1, /* a whole message */
	TT_FAB_OFFER, /* a large message waits for windows */
	TT_FAB_GRANT, /* `count` windows for a message; none: send it in pieces */
	TT_FAB_DONE, /* the window `number` is full (where a write cannot say so itself) */
	TT_FAB_DATA, /* bytes of a granted message, from offset `size` on */
	TT_FAB_TELL, /* behind it: how many heads were matched, for every lane */
};

struct tt_fab_head {
	uint32_t token; /* of the receiving side: nobody else writes here */
	uint32_t seq; /* of the message on its link */
	uint32_t consumed; /* messages that this side has taken and posted a receive for again */
	uint16_t from; /* rank */
	uint16_t used; /* heads of `lane` (EAGER, OFFER) that this side has matched; wraps */
	uint8_t kind, count;
	uint16_t lane;
	uint32_t number; /* of the transfer on its lane; wraps */
	uint64_t size; /* of the whole transfer */
	unsigned char mark[TUTTI_MARK_BYTES];
};

/* A part of the receiver's memory in which the bytes from `offset` on are wanted. */
struct tt_fab_window {
	uint64_t address, key;
	uint64_t bytes, offset;
	uint32_t id; /* travels with each write */
	uint32_t zero;
};

_Static_assert(sizeof(struct tt_fab_head) == 64, "a head is a cache line");
_Static_assert(sizeof(struct tt_fab_window) == 40, "the same on both sides");

/* What each side tells the other over the guard before anything goes over the fabric. */
struct tt_fab_hello {
	uint32_t wire;
	uint32_t token; /* to be written into heads for this side */
	uint32_t credit; /* receives that are posted for the peer */
	uint32_t lanes;
	uint32_t slot_bytes; /* of each of them */
	uint32_t segment_bytes; /* largest write that this side can make or take */
	uint32_t gone; /* this side has cancelled: there is nothing to say */
	uint32_t name_bytes;
	unsigned char name[192]; /* the provider's address of this endpoint */
};

_Static_assert(sizeof(struct tt_fab_hello) == 224, "the same on both sides");

#endif /* TT_FABRIC_WIRE_H */

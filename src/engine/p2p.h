/* SPDX-License-Identifier: Apache-2.0
 *
 * p2p.h - messages between two ranks of a communicator, matched by (peer, tag) in order.
 *
 * Independent of the operations that plans run: it has lanes of the links for itself. Knows neither data types nor
 * communicators: `dtype` and `count` are compared, `bytes` are moved. One thread at a time; never blocks. Once an
 * operation is started it allocates nothing but room for messages that nobody has asked for yet, and of those a
 * bounded number: short ones, and the heads of long ones.
 */
#ifndef TT_ENGINE_P2P_H
#define TT_ENGINE_P2P_H

#include "engine/ports.h"

#define TT_P2P_LANES 4 /* of the links, from first_lane on */
#define TT_P2P_INLINE 152 /* a message of so many bytes travels with its head */
#define TT_P2P_EARLY_BYTES 8192 /* a message of so many bytes follows its head at once */
#define TT_P2P_EAGER_MOST 64 /* such messages to a peer that may be under way without a receive */
#define TT_P2P_HEADS_MOST 16384 /* heads of longer ones to a peer that may wait there for a receive */

/* The head of a message, as it travels. */
struct tt_p2p_envelope {
	uint64_t id; /* of the send, from 1; told back in the reply */
	uint64_t count, bytes;
	int32_t tag;
	uint32_t taken; /* early messages of the receiver that the sender of this has taken, in total */
	uint8_t kind; /* enum tt_p2p_kind */
	uint8_t dtype;
	uint8_t unused[6];
	unsigned char data[TT_P2P_INLINE];
};

/* What the receiver answers, once matched, to a sender that waits for it. */
struct tt_p2p_reply {
	uint64_t id;
	uint32_t taken;
	uint32_t unused;
};

_Static_assert(sizeof(struct tt_p2p_envelope) == 192 && sizeof(struct tt_p2p_reply) == 16, "as they travel");

/* The body of a short message, on its way to where it belongs or, if nobody has asked for it yet, into memory set aside. */
struct tt_p2p_fetch {
	struct tt_p2p_fetch *next; /* in the order of the envelopes */
	struct tt_p2p_op *op; /* the receive, or NULL: not known yet */
	struct tt_p2p_early *early; /* where it is set aside, or NULL: it goes straight to the receive */
	bool posted;
	struct iovec piece;
	tutti_transfer transfer;
};

/* One send or receive of this rank, in the caller's memory from start until it has ended. The caller sets the first
 * group and zeroes the rest. */
struct tt_p2p_op {
	bool receives;
	unsigned char *buffer; /* of a send: is only read */
	size_t bytes;
	uint64_t count;
	uint8_t dtype;
	int peer; /* receive: TUTTI_ANY_PEER is possible */
	int tag; /* ≥ 0 */

	int with; /* the peer once it is known, else -1 */

	struct tt_p2p_op *next; /* in the list where it waits */
	uint64_t stamp; /* order of starting */
	uint64_t id; /* of the send */
	bool body_posted;
	uint8_t kind; /* of a send, once its body is posted; of a receive's message */
	struct tt_p2p_fetch fetch; /* of a receive */
	struct iovec head_piece, piece;
	tutti_transfer head, body; /* envelope or reply; payload */
	union {
		struct tt_p2p_envelope envelope;
		struct tt_p2p_reply reply;
	} wire;
};

/* Why nothing goes on any more. */
struct tt_p2p_fault {
	tutti_status status; /* TUTTI_ERR_MISMATCH: `sent` by peer and `wanted` here do not agree */
	int peer; /* -1: none */
	struct tt_p2p_what {
		uint64_t count;
		int tag;
		uint8_t dtype;
	} sent, wanted;
};

struct tt_p2p;

tutti_status tt_p2p_create(struct tt_ports *ports, uint32_t first_lane, struct tt_p2p **p2p);
/* The ports must have been closed or cancelled. */
void tt_p2p_destroy(struct tt_p2p *p2p);
/* Makes room, before the first start. ERR_NOMEM. */
tutti_status tt_p2p_open(struct tt_p2p *p2p);

void tt_p2p_start(struct tt_p2p *p2p, struct tt_p2p_op *op);
/* Goes as far as possible; returns how much happened. After a fault, nothing. */
int tt_p2p_advance(struct tt_p2p *p2p);
/* The operations that have ended well since the last call, one by one; NULL: no more. */
struct tt_p2p_op *tt_p2p_take_ended(struct tt_p2p *p2p);
/* status TUTTI_OK: none. */
const struct tt_p2p_fault *tt_p2p_fault(const struct tt_p2p *p2p);
/* Forgets all operations; the ports must have been cancelled. */
void tt_p2p_drop(struct tt_p2p *p2p);

#endif /* TT_ENGINE_P2P_H */

/* SPDX-License-Identifier: Apache-2.0
 *
 * slots.h - the memory that messages are made in and land in, and the chunks that larger data goes through.
 *
 * A link has a ring of slots to send from: the slot of a message is free again when the peer has consumed it, so
 * what the peer has not consumed is still there when this side leaves. Slots to receive into belong to the endpoint:
 * the provider gives any of them to any peer's message.
 */
#ifndef TT_FABRIC_SLOTS_H
#define TT_FABRIC_SLOTS_H

#include "fabric/device.h"
#include "fabric/wire.h"

#define TT_FAB_CHUNK_BYTES ((size_t)256 << 10) /* stays in the second-level cache between arrival and fold */
#define TT_FAB_CHUNKS 16

enum tt_fab_op_kind { TT_FAB_OP_RECV, TT_FAB_OP_SEND, TT_FAB_OP_WRITE };

/* What the provider hands back with a completion. Its context comes first: some providers write into it. */
struct tt_fab_op {
	struct fi_context2 context;
	enum tt_fab_op_kind kind;
};

struct tt_fab_slot {
	struct tt_fab_op op;
	struct tt_fab_slot *next; /* in a list */
	tutti_link *link; /* of a slot to send from */
	tutti_transfer *transfer; /* that goes on when the message is out */
	unsigned char *bytes;
	void *desc;
	size_t length; /* of the message in it */
	bool busy; /* the provider has it */
};

/* Slots with their memory. */
struct tt_fab_slab {
	struct tt_fab_slab *next;
	struct tt_fab_slot *slots; /* owned */
	unsigned char *memory; /* owned */
	size_t memory_bytes;
	uint32_t nslots;
	struct tt_fab_mr mr;
};

struct tt_fab_ring {
	struct tt_fab_slab slab;
	uint32_t mask; /* of a message's number: its slot */
	uint32_t credit; /* receives that the peer has posted */
};

/* Memory in chunks, handed out and taken back. */
struct tt_fab_chunks {
	unsigned char *memory;
	struct tt_fab_mr mr;
	uint32_t nfree;
	unsigned char *free[TT_FAB_CHUNKS];
};

static inline struct tt_fab_head *
tt_fab_head_of(const struct tt_fab_slot *slot)
{
	return (struct tt_fab_head *)(void *)slot->bytes;
}

tutti_status tt_fab_slab_init(struct tt_fab_slab *slab, struct tt_fab_device *device, uint32_t nslots,
    size_t slot_bytes, enum tt_fab_op_kind kind);
/* Any state. */
void tt_fab_slab_fini(struct tt_fab_slab *slab);
tutti_status tt_fab_chunks_init(struct tt_fab_chunks *chunks, struct tt_fab_device *device, uint64_t access);
void tt_fab_chunks_fini(struct tt_fab_chunks *chunks);
/* Ends a registration; the memory stays. */
void tt_fab_slab_unregister(struct tt_fab_slab *slab);

/* ---- messages of a link ---- */

/* The slot of the next message, its head filled in but for kind, number, size and mark; NULL: not now. */
struct tt_fab_slot *tt_fab_message(tutti_link *link, uint32_t lane, enum tt_fab_kind kind);
/* The message is made: `bytes` behind the head. transfer: what goes on when it is out, may be NULL. */
void tt_fab_message_send(tutti_link *link, struct tt_fab_slot *slot, size_t bytes, tutti_transfer *transfer);
/* Gives messages to the provider, until it takes no more. */
void tt_fab_link_post(tutti_link *link);
/* Are so many receives owed to the peer that it may soon have none? */
bool tt_fab_link_runs_dry(const tutti_link *link);
/* Posts the receives that are owed to the peer, until the provider takes no more. */
void tt_fab_link_refill(tutti_link *link);
/* A slot to receive into is free again. */
void tt_fab_slot_put(tutti_endpoint *endpoint, struct tt_fab_slot *slot);
/* A message is out, or could not be sent. */
void tt_fab_sent(struct tt_fab_slot *slot);

#endif /* TT_FABRIC_SLOTS_H */

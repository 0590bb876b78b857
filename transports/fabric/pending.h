/* SPDX-License-Identifier: Apache-2.0
 *
 * pending.h - a transfer while the transport has it: its queue, its number, and how far it has got.
 *
 * All of it lives in the transfer (tutti_transfer.priv): nothing is allocated, and nothing limits how many may be
 * pending. A transfer is in at most one queue at a time. The cursor (part, part_offset) is where the next bytes
 * are given away: for a send to be written, for a receive to be granted.
 */
#ifndef TT_FABRIC_PENDING_H
#define TT_FABRIC_PENDING_H

#include <tutti/transport.h>

#include "base/port.h"

enum {
	TT_FAB_OPEN = 1u << 0, /* receive: its OFFER has come; send: its OFFER went out */
	TT_FAB_GRANTED = 1u << 1, /* receive: a GRANT went out; send: one came */
	TT_FAB_SENDS = 1u << 2,
};

struct tt_fab_pending {
	tutti_transfer *next, *prev;
	uint32_t number;
	uint32_t part; /* the cursor .. */
	size_t part_offset;
	size_t given; /* bytes before the cursor */
	uint16_t flags;
	uint16_t busy; /* receive: windows out; send: operations the provider has */
	union {
		uint16_t first; /* receive: of its windows, in the order of their offsets */
		uint16_t looks; /* send: how often it has waited instead of making its OFFER */
	};
	uint16_t last;
} __attribute__((may_alias));

_Static_assert(sizeof(struct tt_fab_pending) <= sizeof(((tutti_transfer *)0)->priv), "must fit into a transfer");

static inline struct tt_fab_pending *
tt_fab_pending_of(tutti_transfer *transfer)
{
	return (struct tt_fab_pending *)(void *)transfer->priv;
}

/* A place in a transfer's parts. */
struct tt_fab_cursor {
	uint32_t part;
	size_t part_offset;
};

struct tt_fab_queue {
	tutti_transfer *first, *last;
};

void tt_fab_queue_put(struct tt_fab_queue *queue, tutti_transfer *transfer);
void tt_fab_queue_drop(struct tt_fab_queue *queue, tutti_transfer *transfer);
/* The one with this number, NULL if it is not there. */
tutti_transfer *tt_fab_queue_find(const struct tt_fab_queue *queue, uint32_t number);

/* A fresh state. */
void tt_fab_pending_init(tutti_transfer *transfer, uint32_t number, uint16_t flags);
/* Bytes that lie in one piece at the transfer's cursor; empty parts are stepped over. */
size_t tt_fab_pending_run(tutti_transfer *transfer, unsigned char **at);
/* Moves the transfer's cursor over n bytes. */
void tt_fab_pending_advance(tutti_transfer *transfer, size_t n);
/* Gathers n bytes at the transfer's cursor, and moves it. */
void tt_fab_pending_gather(tutti_transfer *transfer, unsigned char *bytes, size_t n);
/* Scatters n bytes over the parts from `cursor` on. */
void tt_fab_scatter(
    const tutti_transfer *transfer, struct tt_fab_cursor cursor, const unsigned char *bytes, size_t n);
/* Are length and mark those that the other side names? If not, they are kept for the caller to read. */
bool tt_fab_pending_agrees(tutti_transfer *transfer, uint64_t peer_bytes, const unsigned char *peer_mark);

#endif /* TT_FABRIC_PENDING_H */

/* SPDX-License-Identifier: Apache-2.0
 *
 * pending.h - a transfer while the transport has it: its number, its place in a queue, how far its bytes have got.
 *
 * All of it lives in the transfer itself (tutti_transfer.priv), hence nothing is allocated and nothing limits how
 * many transfers may be pending. A transfer is in at most one queue at a time.
 */
#ifndef TT_TCP_PENDING_H
#define TT_TCP_PENDING_H

#include <tutti/transport.h>

#include "base/port.h"

enum {
	TT_PENDING_OPEN = 1u << 0, /* receive: its offer has come and says the same */
	TT_PENDING_GRANTED = 1u << 1, /* receive: the grant went out; send: the grant came in */
};

struct tt_pending {
	tutti_transfer *next, *prev;
	uint64_t number; /* of the message on its lane */
	size_t done; /* receive: bytes that came (with fold: folded); send: bytes that are in frames */
	union {
		size_t claimed; /* receive: bytes of the chunks that have begun to come */
		size_t part_offset; /* send: where `done` is, in parts[part] */
	};
	uint32_t part;
	uint16_t flags;
	uint16_t frames; /* send: those that are begun and not written out */
} __attribute__((may_alias));

_Static_assert(sizeof(struct tt_pending) <= sizeof(((tutti_transfer *)0)->priv), "must fit into a transfer");

static inline struct tt_pending *
tt_pending_of(tutti_transfer *transfer)
{
	return (struct tt_pending *)(void *)transfer->priv;
}

struct tt_queue {
	tutti_transfer *first, *last;
};

void tt_queue_put(struct tt_queue *queue, tutti_transfer *transfer);
void tt_queue_drop(struct tt_queue *queue, tutti_transfer *transfer);
/* The first, taken out; NULL if there is none. */
tutti_transfer *tt_queue_take(struct tt_queue *queue);

/* A fresh state; the number is the message's on its lane. */
void tt_pending_init(tutti_transfer *transfer, uint64_t number);
/* Length and mark are those that the other side names? If not, they are kept for the caller to read. */
bool tt_pending_agrees(tutti_transfer *transfer, uint64_t peer_bytes, const unsigned char *peer_mark);

/* A place in a message, and where that is in the transfer's parts. Zeroed: the beginning. */
struct tt_cursor {
	size_t offset; /* in the message */
	size_t part_offset; /* the same place: in parts[part] */
	uint32_t part;
};

/* Memory from the cursor on, at most `most` bytes in at most `capacity` pieces; returns how many pieces. */
int tt_cursor_where(
    const tutti_transfer *transfer, const struct tt_cursor *cursor, size_t most, struct iovec *pieces, int capacity);
/* Moves it over n bytes. */
void tt_cursor_advance(const tutti_transfer *transfer, struct tt_cursor *cursor, size_t n);
/* Moves it to a place that is not behind the end; forwards is cheap. */
void tt_cursor_seek(const tutti_transfer *transfer, struct tt_cursor *cursor, size_t offset);
/* Scatters n bytes from the cursor on and moves it. */
void tt_cursor_scatter(const tutti_transfer *transfer, struct tt_cursor *cursor, const void *bytes, size_t n);
/* A send's next n bytes go into a frame: where they begin. */
struct tt_cursor tt_pending_begin(tutti_transfer *transfer, size_t n);

#endif /* TT_TCP_PENDING_H */

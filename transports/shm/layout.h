/* SPDX-License-Identifier: Apache-2.0
 *
 * layout.h - where everything lies in the shared memory.
 *
 *     | rank 0 | rank 1 | ... |   one block each: asleep? still there?
 *     | ring (0,0,0) | ring (0,0,1) | ... |   one per (sender, receiver, lane): counters, then data
 *
 * Those by which a rank reaches itself are as small as they can be: hardly anybody does.
 *
 * Ranks are local ones (positions in local_ranks). The place of everything follows from nlocal and lanes alone, so
 * that no rank has to believe what another wrote. A block that a rank writes while another reads or writes its
 * neighbour is TT_LINE bytes away from it.
 */
#ifndef TT_SHM_LAYOUT_H
#define TT_SHM_LAYOUT_H

#include <tutti/transport.h>

#include "base/atomics.h"
#include "base/port.h"

#define TT_SHM_LINE 64 /* messages start at multiples of this */
/* What the data of the rings that a rank sends through should not exceed, unless the environment says. */
#define TT_SHM_STAGING ((size_t)2 << 20)
#define TT_SHM_RING_MIN ((size_t)4 << 10)
#define TT_SHM_RING_MAX ((size_t)256 << 10)

/* tt_shm_rank.state: bits. */
enum {
	TT_SHM_OPEN = 1, /* the endpoint was opened */
	TT_SHM_CLOSED = 2, /* it was closed: nothing more will be sent or received, but what was sent counts */
	TT_SHM_CANCELLED = 4, /* it was cancelled: nothing counts any more */
	TT_SHM_VERDICT = 8, /* one of its incoming rings has a fault record */
};

/* What a rank tells all others. */
struct tt_shm_rank {
	TT_ALIGNED(TT_LINE)
	tt_atomic_u32 asleep; /* 1: wants a datagram at the next news; set by the rank, taken by a waker */
	tt_atomic_u32 state;
};

/* A message in a ring: this header at a multiple of TT_SHM_LINE. A payload of at most TT_SHM_TINY bytes is inside
 * it, so that a tiny message moves as one line; a longer one begins at the next line. */
#define TT_SHM_TINY 16
struct tt_shm_message {
	tt_atomic_u64 stamp; /* position | 1 once the message is there, 0 before */
	uint64_t bytes;
	unsigned char mark[TUTTI_MARK_BYTES];
	unsigned char tiny[TT_SHM_TINY];
};

/* Positions count bytes since the beginning, never wrap (2^64), and are taken modulo the ring's size on every use. */
struct tt_shm_ring {
	TT_ALIGNED(TT_LINE) tt_atomic_u64 tail; /* the sender's: bytes of a long message up to here may be read */
	TT_ALIGNED(TT_LINE) tt_atomic_u64 head; /* the receiver's: bytes up to here are free again */
	tt_atomic_u32 fault; /* the receiver's, once: 1 = the record below is there */
	uint32_t zero;
	uint64_t fault_position; /* of the message that did not match, */
	uint64_t fault_bytes; /* and what the receiver had posted for it */
	unsigned char fault_mark[TUTTI_MARK_BYTES];
	TT_ALIGNED(TT_LINE) unsigned char data[];
};

_Static_assert(sizeof(struct tt_shm_rank) == TT_LINE, "a rank's block is one pair of lines");
_Static_assert(sizeof(struct tt_shm_message) == TT_SHM_LINE, "a header is one line");
_Static_assert(sizeof(struct tt_shm_ring) == 2 * TT_LINE, "data follows two pairs of lines");

struct tt_shm_layout {
	size_t nlocal, lanes;
	size_t ring_bytes; /* of data, between two ranks; a power of two */
	size_t sender_bytes; /* of all rings that one rank sends through */
	size_t bytes; /* of everything */
};

/* false if the sizes do not fit in memory's address range. */
bool tt_shm_layout_init(struct tt_shm_layout *layout, const tutti_environment *env);
struct tt_shm_rank *tt_shm_rank_at(const struct tt_shm_layout *layout, void *shared, size_t rank);
struct tt_shm_ring *tt_shm_ring_at(
    const struct tt_shm_layout *layout, void *shared, size_t sender, size_t receiver, size_t lane);
/* Bytes of data in each ring between them. */
size_t tt_shm_ring_bytes(const struct tt_shm_layout *layout, size_t sender, size_t receiver);

#endif /* TT_SHM_LAYOUT_H */

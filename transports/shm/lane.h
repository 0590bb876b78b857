/* SPDX-License-Identifier: Apache-2.0
 *
 * lane.h - one end of a ring: puts messages in (the sender's end) or gets them out (the receiver's end).
 *
 * One sender, one receiver. Two ways for a message, and both ends know which from its length:
 *
 *     whole     a short one: copied in, then published by one store, the stamp in its header. A
 *               receiver waits on that very line, so that header and tiny payload cross in one transfer of a line.
 *     streamed  header first, then pieces, each published by the tail counter: the receiver empties the ring while
 *               the sender fills it, so that any length passes through any ring.
 *
 * The rule that keeps the stamp true: before a message is published, the stamp of the place behind it is zero. A
 * receiver that has taken a message therefore finds there 0 or the stamp of the next message, never a leftover of
 * an earlier round. Nothing that stands in the ring is used as a length or an index: lengths are compared with the
 * posted ones, positions are masked, counters are checked against the ring's size.
 *
 * Knows no links, ranks or doorbells.
 */
#ifndef TT_SHM_LANE_H
#define TT_SHM_LANE_H

#include "shm/layout.h"

struct tt_shm_lane {
	struct tutti_link *link; /* whose lane it is */
	struct tt_shm_ring *ring;
	size_t ring_bytes;
	uint64_t position; /* of the next byte that this end will touch */
	uint64_t seen; /* the other end's counter as last read */
	uint64_t shown; /* receiver: head as last published; sender: a place whose stamp is zeroed already */
	uint64_t warm; /* bytes of the ring that this end has made ready to be touched */
	uint64_t begun_at; /* position of the message that is being streamed */
	tutti_transfer *first, *last; /* posted, in order, linked by priv[0] */
	const struct iovec *part; /* of the first transfer: where its next byte is */
	size_t part_used;
	size_t done; /* bytes of it so far */
	uint32_t number;
	uint32_t place; /* in the endpoint's list of lanes that have something posted */
	bool sends; /* which end */
	bool begun; /* the header of the first transfer was written or read */
	bool news; /* something was published that the other end may sleep for; the owner clears it */
};

void tt_shm_lane_init(struct tt_shm_lane *lane, struct tutti_link *link, uint32_t number, bool sends,
    struct tt_shm_ring *ring, size_t ring_bytes);

/* Moves what can be moved of the message that is first in the lane, at most one ring of bytes. TUTTI_OK: all of it.
 * TUTTI_IN_PROGRESS: come again. TUTTI_ERR_MISMATCH (get): peer_mark and peer_bytes are filled in, and the record
 * for the sender is written. TUTTI_ERR_INTERNAL: the counters in shared memory are impossible. */
tutti_status tt_shm_lane_put(struct tt_shm_lane *lane, tutti_transfer *transfer);
tutti_status tt_shm_lane_get(struct tt_shm_lane *lane, tutti_transfer *transfer);
/* Would the above move something for the first posted transfer? */
bool tt_shm_lane_ready(struct tt_shm_lane *lane);
/* receiver: is anything there that was not taken out, posted or not? */
bool tt_shm_lane_unread(struct tt_shm_lane *lane);
/* sender: the receiver's record of a message that did not match; fills in `transfer` if that is the one that is
 * being streamed (transfer may be NULL). */
bool tt_shm_lane_fault(const struct tt_shm_lane *lane, tutti_transfer *transfer);

#endif /* TT_SHM_LANE_H */

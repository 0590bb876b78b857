/* SPDX-License-Identifier: Apache-2.0
 *
 * lane.c - messages into a ring and out of it. tests/models/lane.pml is a model of how stamps and counts are used.
 */
#include "shm/lane.h"

#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/memory.h"

/* Pieces of a streamed message: the receiver copies one out while the sender copies the next one in. The first are
 * small, so that it begins early; large ones cost less per byte. */
#define PIECE_MIN ((size_t)4 << 10)
#define PIECE_MAX ((size_t)16 << 10)
/* A longer message gains more from that overlap than it loses by its pieces. */
#define WHOLE_MAX ((size_t)4 << 10)
/* Of a ring's first round so much at a time: one system call instead of a fault for each page, of which a message of a few
 * KiB would take twice as long for a hundred times. */
#define WARM_BYTES ((size_t)32 << 10)

void
tt_shm_lane_init(struct tt_shm_lane *lane, struct tutti_link *link, uint32_t number, bool sends,
    struct tt_shm_ring *ring, size_t ring_bytes)
{
	*lane = (struct tt_shm_lane){
	    .link = link,
	    .ring = ring,
	    .ring_bytes = ring_bytes,
	    .number = number,
	    .sends = sends,
	};
}

static struct tt_shm_message *
message_at(const struct tt_shm_lane *lane, uint64_t position)
{
	return (struct tt_shm_message *)(void *)(lane->ring->data + (position & (lane->ring_bytes - 1)));
}

/* Bytes of the ring that a whole message takes. */
static size_t
record_bytes(size_t bytes)
{
	return bytes <= TT_SHM_TINY ? TT_SHM_LINE : TT_SHM_LINE + tt_round_up(bytes, TT_SHM_LINE);
}

static bool
is_whole(const struct tt_shm_lane *lane, size_t bytes)
{
	return bytes <= tt_min_size(WHOLE_MAX, lane->ring_bytes / 4 - TT_SHM_LINE);
}

/* Bytes of the next piece of a message that was moved up to lane->done. */
static size_t
piece_bytes(const struct tt_shm_lane *lane, size_t bytes)
{
	const size_t grown = tt_min_size(tt_max_size(lane->done, PIECE_MIN) & ~(size_t)(TT_SHM_LINE - 1), PIECE_MAX);

	return tt_min_size(bytes - lane->done, tt_min_size(grown, lane->ring_bytes / 4));
}

/* ---- the transfer's side: parts ---- */

static void
parts_begin(struct tt_shm_lane *lane, const tutti_transfer *transfer)
{
	lane->part = transfer->parts;
	lane->part_used = 0;
	lane->done = 0;
}

/* Copies n contiguous bytes of the ring from or to the transfer's next parts. */
static void
parts_copy(struct tt_shm_lane *lane, unsigned char *bytes, size_t n)
{
	while (n > 0) {
		const size_t now = tt_min_size(n, lane->part->iov_len - lane->part_used);
		unsigned char *at = (unsigned char *)lane->part->iov_base + lane->part_used;

		if (now > 0)
			memcpy(lane->sends ? bytes : at, lane->sends ? at : bytes, now);
		bytes += now;
		n -= now;
		lane->part_used += now;
		if (lane->part_used == lane->part->iov_len && n > 0) {
			lane->part++;
			lane->part_used = 0;
		}
	}
}

static void
move_run(struct tt_shm_lane *lane, tutti_transfer *transfer, unsigned char *bytes, size_t n)
{
	if (transfer->fold != NULL && n > 0)
		transfer->fold(transfer->fold_context, lane->done, bytes, n);
	else
		parts_copy(lane, bytes, n);
	lane->done += n;
}

static void
warm(struct tt_shm_lane *lane, uint64_t end)
{
	for (; lane->warm < lane->ring_bytes && lane->warm < end; lane->warm += WARM_BYTES)
		tt_touch_ahead(lane->ring->data + lane->warm, tt_min_size(WARM_BYTES, lane->ring_bytes - lane->warm));
}

/* Moves n bytes between the transfer and the ring's bytes from `position` on. A split where the ring ends falls on
 * a multiple of TT_SHM_LINE of the payload, hence of any grain. */
static void
move(struct tt_shm_lane *lane, tutti_transfer *transfer, uint64_t position, size_t n)
{
	const size_t offset = position & (lane->ring_bytes - 1);
	const size_t first = tt_min_size(n, lane->ring_bytes - offset);

	if (TT_UNLIKELY(position + n > lane->warm && lane->warm < lane->ring_bytes))
		warm(lane, position + n);
	move_run(lane, transfer, lane->ring->data + offset, first);
	if (n > first)
		move_run(lane, transfer, lane->ring->data, n - first);
}

/* ---- the sender's end ---- */

/* TUTTI_OK if `need` bytes from position on are free. */
static tutti_status
room_for(struct tt_shm_lane *lane, size_t need)
{
	if (TT_LIKELY(lane->position - lane->seen + need <= lane->ring_bytes))
		return TUTTI_OK;
	/* Pairs with the release in receiver_moved(): what was read there is read before it is overwritten here. */
	lane->seen = tt_load_acquire(&lane->ring->head);
	if (lane->position - lane->seen > lane->ring_bytes)
		return TUTTI_ERR_INTERNAL;
	return lane->position - lane->seen + need <= lane->ring_bytes ? TUTTI_OK : TUTTI_IN_PROGRESS;
}

/* Before the message that ends at `end` is published: the place behind it says "nothing yet". */
static void
clear_stamp(struct tt_shm_lane *lane, uint64_t end)
{
	if (lane->shown != end)
		tt_store_relaxed(&message_at(lane, end)->stamp, 0);
}

/* Once a message is published, the line after the next is taken from the receiver's cache ahead of its use: the next
 * tiny message then waits for one line only. */
static void
clear_ahead(struct tt_shm_lane *lane)
{
	const uint64_t ahead = lane->position + TT_SHM_LINE;

	if (ahead + TT_SHM_LINE - lane->seen > lane->ring_bytes)
		return;
	tt_store_relaxed(&message_at(lane, ahead)->stamp, 0);
	lane->shown = ahead;
}

static void
write_header(struct tt_shm_message *header, const tutti_transfer *transfer)
{
	header->bytes = transfer->bytes;
	memcpy(header->mark, transfer->mark, sizeof(header->mark));
}

static void
publish_stamp(struct tt_shm_lane *lane, struct tt_shm_message *header)
{
	/* Pairs with the acquire in arrived(): header, payload and the zeroed stamp behind them are seen with it. */
	tt_store_release(&header->stamp, lane->position | 1);
	lane->news = true;
}

static tutti_status
put_whole(struct tt_shm_lane *lane, tutti_transfer *transfer)
{
	struct tt_shm_message *header = message_at(lane, lane->position);
	const size_t record = record_bytes(transfer->bytes);

	TT_TRY(room_for(lane, record + TT_SHM_LINE));
	parts_begin(lane, transfer);
	write_header(header, transfer);
	if (transfer->bytes <= TT_SHM_TINY)
		parts_copy(lane, header->tiny, transfer->bytes);
	else
		move(lane, transfer, lane->position + TT_SHM_LINE, transfer->bytes);
	clear_stamp(lane, lane->position + record);
	publish_stamp(lane, header);
	lane->position += record;
	clear_ahead(lane);
	return TUTTI_OK;
}

static void
begin_stream(struct tt_shm_lane *lane, tutti_transfer *transfer)
{
	parts_begin(lane, transfer);
	lane->begun_at = lane->position;
	lane->begun = true;
}

static tutti_status
put_streamed(struct tt_shm_lane *lane, tutti_transfer *transfer)
{
	const uint64_t limit = lane->position + lane->ring_bytes;

	if (!lane->begun) {
		struct tt_shm_message *header = message_at(lane, lane->position);

		TT_TRY(room_for(lane, TT_SHM_LINE));
		begin_stream(lane, transfer);
		write_header(header, transfer);
		publish_stamp(lane, header);
		lane->position += TT_SHM_LINE;
	}
	while (lane->done < transfer->bytes && lane->position < limit) {
		const size_t piece = piece_bytes(lane, transfer->bytes);
		const size_t space = tt_round_up(piece, TT_SHM_LINE);

		TT_TRY(room_for(lane, space + TT_SHM_LINE));
		move(lane, transfer, lane->position, piece);
		lane->position += space;
		if (lane->done == transfer->bytes)
			clear_stamp(lane, lane->position);
		/* Pairs with the acquire in readable(). */
		tt_store_release(&lane->ring->tail, lane->position);
		lane->news = true;
	}
	if (lane->done < transfer->bytes)
		return TUTTI_IN_PROGRESS;
	lane->begun = false;
	return TUTTI_OK;
}

tutti_status
tt_shm_lane_put(struct tt_shm_lane *lane, tutti_transfer *transfer)
{
	return is_whole(lane, transfer->bytes) ? put_whole(lane, transfer) : put_streamed(lane, transfer);
}

bool
tt_shm_lane_fault(const struct tt_shm_lane *lane, tutti_transfer *transfer)
{
	const struct tt_shm_ring *ring = lane->ring;

	/* Pairs with the release in refuse(). */
	if (!tt_load_acquire(&ring->fault))
		return false;
	if (transfer != NULL && lane->begun && lane->begun_at == ring->fault_position) {
		memcpy(transfer->peer_mark, ring->fault_mark, sizeof(transfer->peer_mark));
		transfer->peer_bytes = ring->fault_bytes;
	}
	return true;
}

/* ---- the receiver's end ---- */

/* The next message's header once it is there. */
static tutti_status
arrived(const struct tt_shm_lane *lane, struct tt_shm_message **header)
{
	struct tt_shm_message *next = message_at(lane, lane->position);
	/* Pairs with the release in publish_stamp(). */
	const uint64_t stamp = tt_load_acquire(&next->stamp);

	if (stamp == 0)
		return TUTTI_IN_PROGRESS;
	*header = next;
	return stamp == (lane->position | 1) ? TUTTI_OK : TUTTI_ERR_INTERNAL;
}

/* Gives back what was read; not at every message, because the sender reads this line. It holds back less than a
 * quarter of the ring, and no sender ever waits for more than half of it. */
static void
receiver_moved(struct tt_shm_lane *lane, size_t bytes)
{
	lane->position += bytes;
	if (lane->position - lane->shown < lane->ring_bytes / 4)
		return;
	/* Pairs with the acquire in room_for(). */
	tt_store_release(&lane->ring->head, lane->position);
	lane->shown = lane->position;
	lane->news = true;
}

/* The two ends do not agree: both learn what the other said. */
static tutti_status
refuse(struct tt_shm_lane *lane, const struct tt_shm_message *header, tutti_transfer *transfer)
{
	struct tt_shm_ring *ring = lane->ring;

	transfer->peer_bytes = header->bytes;
	memcpy(transfer->peer_mark, header->mark, sizeof(transfer->peer_mark));
	ring->fault_position = lane->position;
	ring->fault_bytes = transfer->bytes;
	memcpy(ring->fault_mark, transfer->mark, sizeof(ring->fault_mark));
	/* Pairs with the acquire in tt_shm_lane_fault(). */
	tt_store_release(&ring->fault, 1);
	lane->news = true;
	return TUTTI_ERR_MISMATCH;
}

static tutti_status
get_whole(struct tt_shm_lane *lane, struct tt_shm_message *header, tutti_transfer *transfer)
{
	parts_begin(lane, transfer);
	if (transfer->bytes <= TT_SHM_TINY)
		move_run(lane, transfer, header->tiny, transfer->bytes);
	else
		move(lane, transfer, lane->position + TT_SHM_LINE, transfer->bytes);
	receiver_moved(lane, record_bytes(transfer->bytes));
	return TUTTI_OK;
}

/* How much of a streamed message of that many bytes can be read now, at most one piece; 0 in *n with TUTTI_IN_PROGRESS. */
static tutti_status
readable(struct tt_shm_lane *lane, size_t bytes, size_t *n)
{
	const size_t want = piece_bytes(lane, bytes);

	/* The tail stands still during whole messages, so it may be behind. */
	if ((int64_t)(lane->seen - lane->position) < (int64_t)want)
		/* Pairs with the release in put_streamed(). */
		lane->seen = tt_load_acquire(&lane->ring->tail);
	if ((int64_t)(lane->seen - lane->position) <= 0)
		return TUTTI_IN_PROGRESS;
	if (lane->seen - lane->position > lane->ring_bytes || lane->seen % TT_SHM_LINE != 0)
		return TUTTI_ERR_INTERNAL;
	*n = tt_min_size(want, lane->seen - lane->position);
	return TUTTI_OK;
}

static tutti_status
get_streamed(struct tt_shm_lane *lane, tutti_transfer *transfer)
{
	const uint64_t limit = lane->position + lane->ring_bytes;

	while (lane->done < transfer->bytes && lane->position < limit) {
		size_t n;

		TT_TRY(readable(lane, transfer->bytes, &n));
		move(lane, transfer, lane->position, n);
		receiver_moved(lane, tt_round_up(n, TT_SHM_LINE));
	}
	if (lane->done < transfer->bytes)
		return TUTTI_IN_PROGRESS;
	lane->begun = false;
	return TUTTI_OK;
}

tutti_status
tt_shm_lane_get(struct tt_shm_lane *lane, tutti_transfer *transfer)
{
	if (!lane->begun) {
		struct tt_shm_message *header;

		TT_TRY(arrived(lane, &header));
		if (header->bytes != transfer->bytes ||
		    memcmp(header->mark, transfer->mark, sizeof(header->mark)) != 0)
			return refuse(lane, header, transfer);
		if (is_whole(lane, transfer->bytes))
			return get_whole(lane, header, transfer);
		begin_stream(lane, transfer);
		receiver_moved(lane, TT_SHM_LINE);
	}
	return get_streamed(lane, transfer);
}

bool
tt_shm_lane_unread(struct tt_shm_lane *lane)
{
	struct tt_shm_message *header;
	size_t n;

	if (!lane->begun)
		return arrived(lane, &header) == TUTTI_OK;
	return readable(lane, lane->first->bytes, &n) == TUTTI_OK;
}

/* ---- both ---- */

/* What the first transfer needs to move: nothing is lost if this says yes once too often. */
bool
tt_shm_lane_ready(struct tt_shm_lane *lane)
{
	const tutti_transfer *transfer = lane->first;
	struct tt_shm_message *header;
	size_t n;

	if (transfer == NULL)
		return false;
	if (lane->sends && is_whole(lane, transfer->bytes))
		return room_for(lane, record_bytes(transfer->bytes) + TT_SHM_LINE) != TUTTI_IN_PROGRESS;
	if (lane->sends && !lane->begun)
		return room_for(lane, TT_SHM_LINE) != TUTTI_IN_PROGRESS;
	if (lane->sends) {
		const size_t piece = piece_bytes(lane, transfer->bytes);

		return room_for(lane, tt_round_up(piece, TT_SHM_LINE) + TT_SHM_LINE) != TUTTI_IN_PROGRESS;
	}
	if (!lane->begun)
		return arrived(lane, &header) != TUTTI_IN_PROGRESS;
	return readable(lane, transfer->bytes, &n) != TUTTI_IN_PROGRESS;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * pending.c - queues of transfers, and cursors over a transfer's parts.
 */
#include "tcp/pending.h"

#include <string.h>

#include "base/checked.h"

void
tt_queue_put(struct tt_queue *queue, tutti_transfer *transfer)
{
	struct tt_pending *pending = tt_pending_of(transfer);

	pending->next = NULL;
	pending->prev = queue->last;
	if (queue->last != NULL)
		tt_pending_of(queue->last)->next = transfer;
	else
		queue->first = transfer;
	queue->last = transfer;
}

void
tt_queue_drop(struct tt_queue *queue, tutti_transfer *transfer)
{
	struct tt_pending *pending = tt_pending_of(transfer);

	if (pending->prev != NULL)
		tt_pending_of(pending->prev)->next = pending->next;
	else
		queue->first = pending->next;
	if (pending->next != NULL)
		tt_pending_of(pending->next)->prev = pending->prev;
	else
		queue->last = pending->prev;
	pending->next = pending->prev = NULL;
}

tutti_transfer *
tt_queue_take(struct tt_queue *queue)
{
	tutti_transfer *transfer = queue->first;

	if (transfer != NULL)
		tt_queue_drop(queue, transfer);
	return transfer;
}

void
tt_pending_init(tutti_transfer *transfer, uint64_t number)
{
	*tt_pending_of(transfer) = (struct tt_pending){.number = number};
}

int
tt_cursor_where(
    const tutti_transfer *transfer, const struct tt_cursor *cursor, size_t most, struct iovec *pieces, int capacity)
{
	size_t offset = cursor->part_offset;
	int n = 0;

	for (uint32_t part = cursor->part; most > 0 && n < capacity && part < transfer->nparts; part++) {
		const size_t left = transfer->parts[part].iov_len - offset;

		if (left > 0) {
			pieces[n].iov_base = (char *)transfer->parts[part].iov_base + offset;
			pieces[n].iov_len = tt_min_size(left, most);
			most -= pieces[n++].iov_len;
		}
		offset = 0;
	}
	return n;
}

void
tt_cursor_advance(const tutti_transfer *transfer, struct tt_cursor *cursor, size_t n)
{
	cursor->offset += n;
	cursor->part_offset += n;
	while (cursor->part < transfer->nparts && cursor->part_offset >= transfer->parts[cursor->part].iov_len) {
		cursor->part_offset -= transfer->parts[cursor->part].iov_len;
		cursor->part++;
	}
}

void
tt_cursor_seek(const tutti_transfer *transfer, struct tt_cursor *cursor, size_t offset)
{
	if (offset < cursor->offset)
		*cursor = (struct tt_cursor){0};
	tt_cursor_advance(transfer, cursor, offset - cursor->offset);
}

void
tt_cursor_scatter(const tutti_transfer *transfer, struct tt_cursor *cursor, const void *bytes, size_t n)
{
	struct iovec piece;

	while (n > 0 && tt_cursor_where(transfer, cursor, n, &piece, 1) == 1) {
		memcpy(piece.iov_base, bytes, piece.iov_len);
		tt_cursor_advance(transfer, cursor, piece.iov_len);
		bytes = (const char *)bytes + piece.iov_len;
		n -= piece.iov_len;
	}
}

struct tt_cursor
tt_pending_begin(tutti_transfer *transfer, size_t n)
{
	struct tt_pending *pending = tt_pending_of(transfer);
	const struct tt_cursor begin = {pending->done, pending->part_offset, pending->part};
	struct tt_cursor end = begin;

	tt_cursor_advance(transfer, &end, n);
	pending->done = end.offset;
	pending->part_offset = end.part_offset;
	pending->part = end.part;
	return begin;
}

bool
tt_pending_agrees(tutti_transfer *transfer, uint64_t peer_bytes, const unsigned char *peer_mark)
{
	if (peer_bytes == transfer->bytes && memcmp(peer_mark, transfer->mark, TUTTI_MARK_BYTES) == 0)
		return true;
	transfer->peer_bytes = (size_t)peer_bytes;
	memcpy(transfer->peer_mark, peer_mark, TUTTI_MARK_BYTES);
	return false;
}

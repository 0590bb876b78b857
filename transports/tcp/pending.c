/* SPDX-License-Identifier: Apache-2.0
 *
 * pending.c - queues of transfers, and the cursor over a transfer's parts.
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
tt_pending_where(tutti_transfer *transfer, size_t most, struct iovec *pieces, int capacity)
{
	const struct tt_pending *pending = tt_pending_of(transfer);
	size_t offset = pending->part_offset;
	int n = 0;

	for (uint32_t part = pending->part; most > 0 && n < capacity && part < transfer->nparts; part++) {
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
tt_pending_advance(tutti_transfer *transfer, size_t n)
{
	struct tt_pending *pending = tt_pending_of(transfer);

	pending->done += n;
	pending->part_offset += n;
	while (pending->part < transfer->nparts && pending->part_offset >= transfer->parts[pending->part].iov_len) {
		pending->part_offset -= transfer->parts[pending->part].iov_len;
		pending->part++;
	}
}

void
tt_pending_scatter(tutti_transfer *transfer, const void *bytes, size_t n)
{
	struct iovec piece;

	while (n > 0 && tt_pending_where(transfer, n, &piece, 1) == 1) {
		memcpy(piece.iov_base, bytes, piece.iov_len);
		tt_pending_advance(transfer, piece.iov_len);
		bytes = (const char *)bytes + piece.iov_len;
		n -= piece.iov_len;
	}
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

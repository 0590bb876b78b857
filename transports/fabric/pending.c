/* SPDX-License-Identifier: Apache-2.0
 *
 * pending.c - queues of transfers, and the way through a transfer's parts.
 */
#include "fabric/pending.h"

#include <string.h>

#include "base/checked.h"

void
tt_fab_queue_put(struct tt_fab_queue *queue, tutti_transfer *transfer)
{
	struct tt_fab_pending *pending = tt_fab_pending_of(transfer);

	pending->next = NULL;
	pending->prev = queue->last;
	if (queue->last != NULL)
		tt_fab_pending_of(queue->last)->next = transfer;
	else
		queue->first = transfer;
	queue->last = transfer;
}

void
tt_fab_queue_drop(struct tt_fab_queue *queue, tutti_transfer *transfer)
{
	struct tt_fab_pending *pending = tt_fab_pending_of(transfer);

	if (pending->prev != NULL)
		tt_fab_pending_of(pending->prev)->next = pending->next;
	else
		queue->first = pending->next;
	if (pending->next != NULL)
		tt_fab_pending_of(pending->next)->prev = pending->prev;
	else
		queue->last = pending->prev;
	pending->next = pending->prev = NULL;
}

tutti_transfer *
tt_fab_queue_find(const struct tt_fab_queue *queue, uint32_t number)
{
	tutti_transfer *at = queue->first;

	while (at != NULL && tt_fab_pending_of(at)->number != number)
		at = tt_fab_pending_of(at)->next;
	return at;
}

void
tt_fab_pending_init(tutti_transfer *transfer, uint32_t number, uint16_t flags)
{
	*tt_fab_pending_of(transfer) = (struct tt_fab_pending){.number = number, .flags = flags};
}

size_t
tt_fab_pending_run(tutti_transfer *transfer, unsigned char **at)
{
	struct tt_fab_pending *pending = tt_fab_pending_of(transfer);

	while (pending->part < transfer->nparts && pending->part_offset == transfer->parts[pending->part].iov_len) {
		pending->part++;
		pending->part_offset = 0;
	}
	if (pending->part == transfer->nparts)
		return 0;
	*at = (unsigned char *)transfer->parts[pending->part].iov_base + pending->part_offset;
	return transfer->parts[pending->part].iov_len - pending->part_offset;
}

void
tt_fab_pending_advance(tutti_transfer *transfer, size_t n)
{
	struct tt_fab_pending *pending = tt_fab_pending_of(transfer);

	pending->given += n;
	while (n > 0 && pending->part < transfer->nparts) {
		const size_t here = tt_min_size(n, transfer->parts[pending->part].iov_len - pending->part_offset);

		pending->part_offset += here;
		n -= here;
		if (n > 0) {
			pending->part++;
			pending->part_offset = 0;
		}
	}
}

void
tt_fab_pending_gather(tutti_transfer *transfer, unsigned char *bytes, size_t n)
{
	while (n > 0) {
		unsigned char *at = NULL;
		const size_t here = tt_min_size(tt_fab_pending_run(transfer, &at), n);

		if (here == 0)
			return;
		memcpy(bytes, at, here);
		tt_fab_pending_advance(transfer, here);
		bytes += here;
		n -= here;
	}
}

void
tt_fab_scatter(const tutti_transfer *transfer, struct tt_fab_cursor cursor, const unsigned char *bytes, size_t n)
{
	while (n > 0 && cursor.part < transfer->nparts) {
		const struct iovec *part = &transfer->parts[cursor.part];
		const size_t here = tt_min_size(part->iov_len - cursor.part_offset, n);

		if (here > 0)
			memcpy((unsigned char *)part->iov_base + cursor.part_offset, bytes, here);
		bytes += here;
		n -= here;
		cursor.part++;
		cursor.part_offset = 0;
	}
}

bool
tt_fab_pending_agrees(tutti_transfer *transfer, uint64_t peer_bytes, const unsigned char *peer_mark)
{
	if (peer_bytes == transfer->bytes && memcmp(peer_mark, transfer->mark, TUTTI_MARK_BYTES) == 0)
		return true;
	transfer->peer_bytes = (size_t)peer_bytes;
	memcpy(transfer->peer_mark, peer_mark, TUTTI_MARK_BYTES);
	return false;
}

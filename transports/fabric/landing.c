/* SPDX-License-Identifier: Apache-2.0
 *
 * landing.c - windows of this side: where the bytes of large messages land.
 *
 * A window lies in the caller's memory where that is in one piece and no fold takes the bytes; otherwise it is a
 * chunk, from which they are folded or scattered. Writes may come in any order: each names its window, and a window
 * is full when all its writes have come. Windows of one message are worked off in the order of their offsets.
 *
 * A window may be granted before the sender has offered anything, which saves a round trip, but such a window waits
 * for as long as the sender likes. So some windows and chunks are kept for messages that were offered: their
 * senders have the data, and the windows come back by themselves. Hence no lane waits for another.
 */
#include <string.h>

#include "base/checked.h"
#include "fabric/link.h"

#define WINDOWS_EACH 4 /* of one message, out at a time */
#define KEPT_LANDINGS 64 /* for offered messages */
#define KEPT_CHUNKS 4
#define DIRECT_LEAST ((size_t)16 << 10) /* in one piece; below, a copy is cheaper than a window of its own */
#define DIRECT_MOST ((uint64_t)16 << 20)
#define AGE_SHIFT 9
#define AGE_MASK ((UINT32_C(1) << (32 - AGE_SHIFT)) - 1)

_Static_assert(TT_FAB_LANDINGS <= 1 << AGE_SHIFT, "a window's place and its age share 32 bits");

static struct tt_fab_landing *
take_landing(tutti_endpoint *endpoint)
{
	struct tt_fab_landing *landing = &endpoint->landings[endpoint->landings_free];

	endpoint->landings_free = landing->next;
	endpoint->nlandings_free--;
	*landing = (struct tt_fab_landing){.age = (landing->age + 1) & AGE_MASK};
	return landing;
}

static void
drop_landing(tutti_endpoint *endpoint, struct tt_fab_landing *landing)
{
	if (landing->chunk != NULL)
		endpoint->landing.free[endpoint->landing.nfree++] = landing->chunk;
	if (landing->range != NULL && !endpoint->stopped)
		tt_fab_range_put(&endpoint->device, landing->range);
	landing->link->windows--;
	landing->lane->windows--;
	*landing = (struct tt_fab_landing){.age = landing->age, .next = endpoint->landings_free};
	endpoint->landings_free = (uint16_t)(landing - endpoint->landings);
	endpoint->nlandings_free++;
}

/* Room for one more window of this receive? */
static bool
may_ask(const tutti_link *link, const struct tt_fab_lane *lane, const struct tt_fab_pending *pending)
{
	const tutti_endpoint *endpoint = link->endpoint;
	const unsigned kept = (pending->flags & TT_FAB_OPEN) != 0 ? 0 : KEPT_LANDINGS;

	return pending->busy < WINDOWS_EACH && lane->windows < TT_FAB_GRANTS && endpoint->nlandings_free > kept;
}

/* A window in the caller's memory at the cursor, if there can be one. */
static bool
lay_direct(tutti_endpoint *endpoint, tutti_transfer *transfer, struct tt_fab_landing *landing)
{
	struct tt_fab_device *device = &endpoint->device;
	const struct tt_fab_pending *pending = tt_fab_pending_of(transfer);
	unsigned char *at = NULL;
	size_t run;

	if (transfer->fold != NULL)
		return false;
	run = tt_fab_pending_run(transfer, &at);
	if (run < DIRECT_LEAST)
		return false;
	landing->bytes = run < DIRECT_MOST ? run : DIRECT_MOST;
	if (device->pins)
		return tt_fab_range_get(&endpoint->registry, device, at, landing->bytes, FI_REMOTE_WRITE,
			   &landing->range) == TUTTI_OK;
	/* Where it costs nothing, all of the part at once: the next window is in it. */
	return tt_fab_range_get(&endpoint->registry, device, transfer->parts[pending->part].iov_base,
		   transfer->parts[pending->part].iov_len, FI_REMOTE_WRITE, &landing->range) == TUTTI_OK;
}

static bool
lay_chunk(tutti_endpoint *endpoint, tutti_transfer *transfer, struct tt_fab_landing *landing)
{
	const struct tt_fab_pending *pending = tt_fab_pending_of(transfer);
	const uint32_t kept = (pending->flags & TT_FAB_OPEN) != 0 ? 0 : KEPT_CHUNKS;

	if (endpoint->landing.nfree <= kept)
		return false;
	landing->chunk = endpoint->landing.free[--endpoint->landing.nfree];
	landing->bytes = tt_min_size(TT_FAB_CHUNK_BYTES, transfer->bytes - pending->given);
	return true;
}

/* The next window of a receive, described for the peer. */
static bool
lay(tutti_link *link, struct tt_fab_lane *lane, tutti_transfer *transfer, struct tt_fab_window *window)
{
	tutti_endpoint *endpoint = link->endpoint;
	struct tt_fab_pending *pending = tt_fab_pending_of(transfer);
	struct tt_fab_landing *landing = take_landing(endpoint);
	const uint16_t index = (uint16_t)(landing - endpoint->landings);
	const struct tt_fab_mr *mr;
	const unsigned char *at;

	landing->link = link;
	landing->lane = lane;
	landing->transfer = transfer;
	landing->offset = pending->given;
	link->windows++;
	lane->windows++;
	if (!lay_direct(endpoint, transfer, landing) && !lay_chunk(endpoint, transfer, landing)) {
		drop_landing(endpoint, landing);
		return false;
	}
	landing->cursor = (struct tt_fab_cursor){pending->part, pending->part_offset};
	landing->missing = (uint32_t)((landing->bytes + link->segment - 1) / link->segment);
	mr = landing->range != NULL ? &landing->range->mr : &endpoint->landing.mr;
	at = landing->chunk != NULL ? landing->chunk
				    : (unsigned char *)transfer->parts[pending->part].iov_base + pending->part_offset;
	*window = (struct tt_fab_window){tt_fab_remote_address(mr, at), mr->key, landing->bytes, landing->offset,
	    landing->age << AGE_SHIFT | index, 0};
	if (pending->busy++ == 0)
		pending->first = index;
	else
		endpoint->landings[pending->last].next = index;
	pending->last = index;
	if (transfer->fold != NULL)
		pending->given += landing->bytes;
	else
		tt_fab_pending_advance(transfer, landing->bytes);
	return true;
}

/* One message with windows for one receive; false: nothing to ask for, or no way to say it. */
static bool
grant(tutti_link *link, struct tt_fab_lane *lane, tutti_transfer *transfer)
{
	struct tt_fab_pending *pending = tt_fab_pending_of(transfer);
	struct tt_fab_window windows[TT_FAB_BATCH];
	struct tt_fab_slot *slot;
	struct tt_fab_head *head;
	uint8_t n = 0;

	slot = tt_fab_message(link, tt_fab_lane_index(link, lane), TT_FAB_GRANT);
	if (slot == NULL)
		return false;
	head = tt_fab_head_of(slot);
	if (link->endpoint->device.way.rung == TT_FAB_MESSAGES) {
		lane->windows++; /* until its last byte has come */
	} else {
		while (n < TT_FAB_BATCH && pending->given < transfer->bytes && may_ask(link, lane, pending) &&
		       lay(link, lane, transfer, &windows[n]))
			n++;
		if (n == 0)
			return false;
	}
	pending->flags |= TT_FAB_GRANTED;
	head->count = n;
	head->number = pending->number;
	head->size = transfer->bytes;
	memcpy(head->mark, transfer->mark, sizeof(head->mark));
	memcpy(slot->bytes + sizeof(*head), windows, n * sizeof(windows[0]));
	tt_fab_message_send(link, slot, n * sizeof(windows[0]), NULL);
	return true;
}

static bool
is_hungry(const tutti_link *link, tutti_transfer *transfer)
{
	const struct tt_fab_pending *pending = tt_fab_pending_of(transfer);

	if (transfer->bytes <= link->endpoint->eager_most || pending->given == transfer->bytes)
		return false;
	if (link->endpoint->device.way.rung == TT_FAB_MESSAGES)
		return (pending->flags & TT_FAB_GRANTED) == 0;
	return pending->busy < WINDOWS_EACH;
}

void
tt_fab_lane_grant(tutti_link *link, struct tt_fab_lane *lane)
{
	tutti_transfer *next, *transfer = lane->posted.first;

	if (!lane->hungry || !link->ready)
		return;
	lane->hungry = false;
	for (; transfer != NULL && link->status == TUTTI_OK; transfer = next) {
		next = tt_fab_pending_of(transfer)->next;
		if (!is_hungry(link, transfer))
			continue;
		/* It stays hungry, and is looked at again when something comes free. */
		lane->hungry = true;
		if (lane->windows >= TT_FAB_GRANTS)
			return;
		(void)grant(link, lane, transfer);
	}
}

/* ---- bytes are there --------------------------------------------------------------------------------------------- */

/* The first windows of the transfer that are full are worked off. */
static void
settle(tutti_endpoint *endpoint, tutti_link *link, struct tt_fab_lane *lane, tutti_transfer *transfer)
{
	struct tt_fab_pending *pending = tt_fab_pending_of(transfer);

	while (pending->busy > 0 && endpoint->landings[pending->first].missing == 0) {
		struct tt_fab_landing *landing = &endpoint->landings[pending->first];
		const uint16_t next = landing->next;

		if (transfer->fold != NULL)
			transfer->fold(
			    transfer->fold_context, landing->offset, landing->chunk, (size_t)landing->bytes);
		else if (landing->chunk != NULL)
			tt_fab_scatter(transfer, landing->cursor, landing->chunk, (size_t)landing->bytes);
		drop_landing(endpoint, landing);
		pending->first = next;
		pending->busy--;
	}
	lane->hungry = link->dirty = true;
	if (pending->busy == 0 && pending->given == transfer->bytes) {
		tt_fab_queue_drop(&lane->posted, transfer);
		tt_fab_finish(link, transfer, TUTTI_OK);
	}
	tt_fab_endpoint_stir(endpoint);
}

void
tt_fab_landed(tutti_endpoint *endpoint, uint32_t id, bool all)
{
	struct tt_fab_landing *landing = &endpoint->landings[id & (TT_FAB_LANDINGS - 1)];

	/* What it was for is gone, or it never was. */
	if (landing->link == NULL || landing->age != id >> AGE_SHIFT || landing->missing == 0)
		return;
	endpoint->news++;
	landing->missing = all ? 0 : landing->missing - 1;
	if (landing->missing == 0)
		settle(endpoint, landing->link, landing->lane, landing->transfer);
}

void
tt_fab_landings_drop(tutti_link *link, tutti_transfer *transfer)
{
	struct tt_fab_pending *pending = tt_fab_pending_of(transfer);

	if (link->endpoint->device.way.rung == TT_FAB_MESSAGES)
		return;
	for (; pending->busy > 0; pending->busy--) {
		struct tt_fab_landing *landing = &link->endpoint->landings[pending->first];

		pending->first = landing->next;
		drop_landing(link->endpoint, landing);
	}
}

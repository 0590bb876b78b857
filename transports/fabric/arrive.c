/* SPDX-License-Identifier: Apache-2.0
 *
 * arrive.c - what comes in.
 *
 * A message is believed when its token is the one that this side told the peer in private. It waits for those before
 * it, and is then processed; a message that came a second time (over the guard, when the peer has left) is dropped.
 * Whatever a message says is checked against what this side knows before it is used.
 */
#include <string.h>

#include "base/checked.h"
#include "fabric/link.h"

static void
fault(tutti_link *link, const char *what)
{
	tt_fab_link_die(link, TUTTI_ERR_PEER, "rank %d broke the protocol: %s", link->peer, what);
}

/* ---- messages and receives --------------------------------------------------------------------------------------- */

static void
matched(tutti_link *link, struct tt_fab_lane *lane)
{
	lane->heads_used++;
	link->dirty = true;
}

/* All bytes of a small message. */
static void
deliver(tutti_link *link, tutti_transfer *transfer, const unsigned char *bytes)
{
	const struct tt_fab_cursor start = {0, 0};

	if (transfer->bytes > 0 && transfer->fold != NULL)
		transfer->fold(transfer->fold_context, 0, bytes, transfer->bytes);
	else if (transfer->bytes > 0)
		tt_fab_scatter(transfer, start, bytes, transfer->bytes);
	tt_fab_finish(link, transfer, TUTTI_OK);
}

/* A head and its receive are both here. The receive is in the lane's queue only if `queued`. */
static void
meet(tutti_link *link, struct tt_fab_lane *lane, tutti_transfer *transfer, struct tt_fab_slot *slot, bool queued)
{
	const struct tt_fab_head *head = tt_fab_head_of(slot);

	matched(link, lane);
	if (!tt_fab_pending_agrees(transfer, head->size, head->mark)) {
		if (queued)
			tt_fab_queue_drop(&lane->posted, transfer);
		tt_fab_landings_drop(link, transfer);
		tt_fab_link_differ(link, transfer);
		return;
	}
	if (head->kind == TT_FAB_OFFER) {
		tt_fab_pending_of(transfer)->flags |= TT_FAB_OPEN;
		lane->hungry = true;
		if (!queued)
			tt_fab_queue_put(&lane->posted, transfer);
		tt_fab_lane_grant(link, lane);
		return;
	}
	if (queued)
		tt_fab_queue_drop(&lane->posted, transfer);
	deliver(link, transfer, slot->bytes + sizeof(*head));
}

bool
tt_fab_lane_meet(tutti_link *link, struct tt_fab_lane *lane, tutti_transfer *transfer)
{
	struct tt_fab_slot *slot = lane->held;

	if (slot == NULL || tt_fab_head_of(slot)->number != tt_fab_pending_of(transfer)->number)
		return false;
	/* A peer that has left cannot fill windows any more. */
	if (link->left && tt_fab_head_of(slot)->kind == TT_FAB_OFFER)
		return false;
	lane->held = slot->next;
	if (lane->held == NULL)
		lane->held_last = NULL;
	lane->nheld--;
	meet(link, lane, transfer, slot, false);
	tt_fab_slot_put(link->endpoint, slot);
	return true;
}

/* True: the slot is kept. */
static bool
take_head(tutti_link *link, struct tt_fab_lane *lane, struct tt_fab_slot *slot)
{
	const struct tt_fab_head *head = tt_fab_head_of(slot);
	const bool eager = head->kind == TT_FAB_EAGER;
	tutti_transfer *transfer;

	if ((int32_t)(head->number - lane->newest) < 0) {
		fault(link, "its messages are out of order");
		return false;
	}
	if (eager != (head->size <= link->endpoint->eager_most) ||
	    (eager && head->size != slot->length - sizeof(*head))) {
		fault(link, "it sent a message in the wrong way for its length");
		return false;
	}
	lane->newest = head->number + 1;
	transfer = tt_fab_queue_find(&lane->posted, head->number);
	if (transfer != NULL) {
		meet(link, lane, transfer, slot, true);
		return false;
	}
	if ((int32_t)(head->number - lane->recvs) < 0) {
		/* An offer that was on its way when its windows were filled already. */
		if (eager)
			fault(link, "it sent a message twice");
		matched(link, lane);
		return false;
	}
	if (lane->nheld == link->endpoint->heads) {
		fault(link, "it sent more messages than may wait");
		return false;
	}
	slot->next = NULL;
	if (lane->held == NULL)
		lane->held = slot;
	else
		lane->held_last->next = slot;
	lane->held_last = slot;
	lane->nheld++;
	return true;
}

static void
take_piece(tutti_link *link, struct tt_fab_lane *lane, const struct tt_fab_slot *slot)
{
	const struct tt_fab_head *head = tt_fab_head_of(slot);
	const unsigned char *bytes = slot->bytes + sizeof(*head);
	const size_t n = slot->length - sizeof(*head);
	tutti_transfer *transfer = tt_fab_queue_find(&lane->posted, head->number);
	struct tt_fab_pending *pending;

	if (link->endpoint->device.way.rung != TT_FAB_MESSAGES || transfer == NULL ||
	    (tt_fab_pending_of(transfer)->flags & TT_FAB_GRANTED) == 0) {
		fault(link, "it sent a piece of a message that was not granted");
		return;
	}
	pending = tt_fab_pending_of(transfer);
	if (head->size != pending->given || n == 0 || n > transfer->bytes - pending->given ||
	    (n % transfer->grain != 0)) {
		fault(link, "it sent a piece that does not fit its message");
		return;
	}
	if (transfer->fold != NULL) {
		transfer->fold(transfer->fold_context, pending->given, bytes, n);
		pending->given += n;
	} else {
		tt_fab_scatter(transfer, (struct tt_fab_cursor){pending->part, pending->part_offset}, bytes, n);
		tt_fab_pending_advance(transfer, n);
	}
	if (pending->given < transfer->bytes)
		return;
	lane->windows--;
	lane->hungry = true;
	tt_fab_queue_drop(&lane->posted, transfer);
	tt_fab_finish(link, transfer, TUTTI_OK);
}

/* ---- heads ------------------------------------------------------------------------------------------------------- */

static bool
take_used(tutti_link *link, struct tt_fab_lane *lane, uint16_t used)
{
	if ((uint16_t)(used - lane->heads_back) > (uint16_t)(lane->heads_out - lane->heads_back)) {
		fault(link, "it matched more messages than there were");
		return false;
	}
	lane->heads_back = used;
	return true;
}

static bool
take_credit(tutti_link *link, const struct tt_fab_slot *slot)
{
	const struct tt_fab_head *head = tt_fab_head_of(slot);

	if (head->consumed - link->acked > link->next_out - link->acked) {
		fault(link, "it consumed more than was sent");
		return false;
	}
	link->acked = head->consumed;
	link->dirty = true;
	if (!take_used(link, &link->lanes[head->lane], head->used))
		return false;
	if (head->kind != TT_FAB_TELL)
		return true;
	if (slot->length != sizeof(*head) + link->endpoint->lanes * sizeof(uint16_t)) {
		fault(link, "it told credit for other lanes than there are");
		return false;
	}
	for (uint32_t i = 0; i < link->endpoint->lanes; i++) {
		uint16_t used;

		memcpy(&used, slot->bytes + sizeof(*head) + i * sizeof(used), sizeof(used));
		if (!take_used(link, &link->lanes[i], used))
			return false;
	}
	return true;
}

/* True: the slot is kept. */
static bool
take(tutti_link *link, struct tt_fab_slot *slot)
{
	const struct tt_fab_head *head = tt_fab_head_of(slot);
	struct tt_fab_lane *lane;

	if (head->lane >= link->endpoint->lanes || head->count > TT_FAB_BATCH) {
		fault(link, "it used a lane that does not exist");
		return false;
	}
	if (!take_credit(link, slot))
		return false;
	lane = &link->lanes[head->lane];
	switch (head->kind) {
	case TT_FAB_EAGER:
	case TT_FAB_OFFER:
		return take_head(link, lane, slot);
	case TT_FAB_GRANT:
		if (slot->length != sizeof(*head) + head->count * sizeof(struct tt_fab_window))
			fault(link, "a grant is damaged");
		else
			(void)tt_fab_lane_granted(link, lane, head, slot->bytes + sizeof(*head));
		return false;
	case TT_FAB_DONE:
		if (link->endpoint->device.way.rung != TT_FAB_WRITES ||
		    link->endpoint->landings[head->number & (TT_FAB_LANDINGS - 1)].link != link) {
			fault(link, "it filled a window that was not granted to it");
			return false;
		}
		tt_fab_landed(link->endpoint, head->number, true);
		return false;
	case TT_FAB_DATA:
		take_piece(link, lane, slot);
		return false;
	case TT_FAB_TELL:
		return false;
	default:
		fault(link, "a head is damaged");
		return false;
	}
}

/* The slot is the callee's. */
static void
process(tutti_link *link, struct tt_fab_slot *slot)
{
	link->next_in++;
	link->endpoint->news++;
	if (!take(link, slot))
		tt_fab_slot_put(link->endpoint, slot);
	link->owed++;
	link->dirty = true;
}

void
tt_fab_link_take(tutti_link *link, struct tt_fab_slot *slot)
{
	const uint32_t ahead = tt_fab_head_of(slot)->seq - link->next_in;
	struct tt_fab_slot **early;

	if (ahead >= TT_FAB_CREDIT || (ahead > 0 && link->early[(link->next_in + ahead) % TT_FAB_CREDIT] != NULL)) {
		/* It was here before, over the other way. */
		tt_fab_slot_put(link->endpoint, slot);
		return;
	}
	if (ahead > 0) {
		link->early[(link->next_in + ahead) % TT_FAB_CREDIT] = slot;
		return;
	}
	process(link, slot);
	while (link->status == TUTTI_OK && *(early = &link->early[link->next_in % TT_FAB_CREDIT]) != NULL) {
		slot = *early;
		*early = NULL;
		process(link, slot);
	}
	if (tt_fab_link_runs_dry(link))
		tt_fab_link_refill(link);
}

void
tt_fab_arrived(tutti_endpoint *endpoint, struct tt_fab_slot *slot, size_t bytes)
{
	const struct tt_fab_head *head = tt_fab_head_of(slot);
	tutti_link *link;

	slot->length = bytes;
	if (bytes >= sizeof(*head) && bytes <= endpoint->slot_bytes && head->from < endpoint->nranks) {
		link = endpoint->links[head->from];
		if (link != NULL && link->active && link->status == TUTTI_OK && head->token == link->token_in) {
			link->heard = true;
			tt_fab_link_take(link, slot);
			return;
		}
	}
	/* A stranger's, or a dead link's. */
	endpoint->strays++;
	tt_fab_slot_put(endpoint, slot);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * link.c - posting, heads and credit, and the end of a link.
 *
 * A transfer's memory is the provider's for as long as a write is under way or a window is open, and libfabric has
 * no call that takes one back. So a link that dies with some of them takes the provider's endpoint with it, and all
 * other links: the alternative is a peer that writes into memory which was freed.
 */
#include "fabric/link.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"

#define FAILED_NS (200 * TT_MS) /* for the peer's guard to be heard */
#define OFFER_AFTER 16 /* looks: windows that come meanwhile save the offer */

tutti_status
tt_fab_link_create(tutti_endpoint *endpoint, int peer, tutti_link **link)
{
	tutti_link *made;
	void *memory;

	TT_TRY(tt_alloc(1, sizeof(*made) + endpoint->lanes * sizeof(struct tt_fab_lane), "a fabric link", &memory));
	made = memory;
	made->endpoint = endpoint;
	made->peer = peer;
	made->live_index = -1;
	made->to = FI_ADDR_UNSPEC;
	made->lanes = (struct tt_fab_lane *)(void *)(made + 1);
	tt_random(&made->token_in, sizeof(made->token_in));
	*link = made;
	return TUTTI_OK;
}

void
tt_fab_link_destroy(tutti_link *link)
{
	tt_fab_slab_fini(&link->ring.slab);
	tt_free(link->grant_memory);
	tt_free(link);
}

/* ---- ends -------------------------------------------------------------------------------------------------------- */

void
tt_fab_finish(tutti_link *link, tutti_transfer *transfer, tutti_status status)
{
	link->endpoint->news++;
	transfer->status = status;
}

void
tt_fab_send_step(tutti_link *link, tutti_transfer *transfer)
{
	struct tt_fab_pending *pending = tt_fab_pending_of(transfer);

	pending->busy--;
	if (pending->busy > 0 || pending->given < transfer->bytes)
		return;
	if (transfer->bytes > link->endpoint->eager_most)
		tt_fab_queue_drop(&link->lanes[transfer->lane].large, transfer);
	tt_fab_finish(link, transfer, TUTTI_OK);
}

static void
end_queue(tutti_link *link, struct tt_fab_queue *queue, bool receives)
{
	tutti_transfer *transfer;

	while ((transfer = queue->first) != NULL) {
		tt_fab_queue_drop(queue, transfer);
		if (receives)
			tt_fab_landings_drop(link, transfer);
		tt_fab_finish(link, transfer, link->status);
	}
}

static void
end_lane(tutti_link *link, struct tt_fab_lane *lane)
{
	end_queue(link, &lane->waiting, false);
	end_queue(link, &lane->large, false);
	end_queue(link, &lane->posted, true);
	end_queue(link, &lane->self.sends, false);
	end_queue(link, &lane->self.recvs, false);
	lane->grants = lane->grants_last = NULL;
	while (lane->held != NULL && !link->left) {
		struct tt_fab_slot *slot = lane->held;

		lane->held = slot->next;
		tt_fab_slot_put(link->endpoint, slot);
	}
}

static void
end_transfers(tutti_link *link)
{
	for (uint32_t i = 0; i < link->endpoint->lanes; i++)
		end_lane(link, &link->lanes[i]);
	link->ngrants = 0;
	for (uint32_t i = 0; i < link->ring.slab.nslots; i++) {
		struct tt_fab_slot *slot = &link->ring.slab.slots[i];
		tutti_transfer *transfer = slot->transfer;

		slot->transfer = NULL;
		/* The large ones have ended with their queue. */
		if (transfer != NULL && transfer->bytes <= link->endpoint->eager_most)
			tt_fab_finish(link, transfer, link->status);
	}
}

void
tt_fab_link_die(tutti_link *link, tutti_status status, const char *format, ...)
{
	tutti_endpoint *endpoint = link->endpoint;
	va_list arguments;

	if (link->status != TUTTI_OK)
		return;
	va_start(arguments, format);
	vsnprintf(link->why, sizeof(link->why), format, arguments);
	va_end(arguments);
	link->status = status;
	if (link->failed)
		endpoint->nfailed--;
	link->failed = false;
	if (!endpoint->stopped && ((link->windows > 0 && !link->quiet) || link->writes > 0))
		tt_fab_endpoint_stop(endpoint, link);
	end_transfers(link);
	if (link->wanted && !link->ready)
		endpoint->ndialing--;
	link->wanted = false;
	if (link->guard != NULL)
		tt_fab_guard_drop(link->guard);
	link->guard = NULL;
	if (link->live_index >= 0) {
		endpoint->live[link->live_index] = endpoint->live[--endpoint->nlive];
		endpoint->live[link->live_index]->live_index = link->live_index;
		link->live_index = -1;
	}
}

/* One that has left, or gives up, closes its end of the fabric first: that shows as an error here before its guard is
 * read, and what it has sent over the guard is still to come. */
void
tt_fab_link_fail(tutti_link *link, const char *format, ...)
{
	va_list arguments;

	if (link->status != TUTTI_OK || link->failed)
		return;
	va_start(arguments, format);
	vsnprintf(link->why, sizeof(link->why), format, arguments);
	va_end(arguments);
	link->failed = true;
	link->failed_ns = tt_now_ns() + FAILED_NS;
	link->endpoint->nfailed++;
	link->endpoint->look = true;
}

void
tt_fab_link_give_up(tutti_link *link, int rank)
{
	const uint32_t because = (uint32_t)rank;

	if (link->status == TUTTI_OK && link->guard != NULL && link->guard->proven)
		tt_fab_guard_put(link->guard, TT_FAB_FRAME_GIVE_UP, &because, sizeof(because));
}

void
tt_fab_link_differ(tutti_link *link, tutti_transfer *transfer)
{
	struct tt_fab_head mine = {.lane = (uint16_t)transfer->lane, .size = transfer->bytes};

	mine.number = tt_fab_pending_of(transfer)->number;
	mine.kind = (tt_fab_pending_of(transfer)->flags & TT_FAB_SENDS) != 0;
	memcpy(mine.mark, transfer->mark, sizeof(mine.mark));
	if (link->guard != NULL && link->greeted)
		tt_fab_guard_put(link->guard, TT_FAB_FRAME_REFUSE, &mine, sizeof(mine));
	tt_fab_finish(link, transfer, TUTTI_ERR_MISMATCH);
	tt_fab_link_die(link, TUTTI_ERR_MISMATCH, "a message on lane %u is not what rank %d and rank %d both expect",
	    transfer->lane, link->endpoint->rank, link->peer);
}

tutti_status
tt_fab_link_error(const tutti_link *link, char *message, size_t message_bytes)
{
	if (message_bytes > 0)
		snprintf(message, message_bytes, "%s", link->status == TUTTI_OK ? "" : link->why);
	return link->status;
}

/* ---- heads and credit -------------------------------------------------------------------------------------------- */

static void
send_heads(tutti_link *link, struct tt_fab_lane *lane)
{
	const tutti_endpoint *endpoint = link->endpoint;
	tutti_transfer *transfer;

	while (link->status == TUTTI_OK && (transfer = lane->waiting.first) != NULL) {
		const bool eager = transfer->bytes <= endpoint->eager_most;
		struct tt_fab_pending *pending = tt_fab_pending_of(transfer);
		struct tt_fab_slot *slot;
		struct tt_fab_head *head;

		if ((uint16_t)(lane->heads_out - lane->heads_back) >= endpoint->heads)
			return;
		if (!eager && pending->looks < OFFER_AFTER) {
			pending->looks++;
			link->dirty = true;
			return;
		}
		slot = tt_fab_message(link, transfer->lane, eager ? TT_FAB_EAGER : TT_FAB_OFFER);
		if (slot == NULL)
			return;
		head = tt_fab_head_of(slot);
		head->number = pending->number;
		head->size = transfer->bytes;
		memcpy(head->mark, transfer->mark, sizeof(head->mark));
		lane->heads_out++;
		tt_fab_queue_drop(&lane->waiting, transfer);
		if (eager) {
			tt_fab_pending_gather(transfer, slot->bytes + sizeof(*head), transfer->bytes);
			pending->busy = 1;
			tt_fab_message_send(link, slot, transfer->bytes, transfer);
		} else {
			tt_fab_queue_put(&lane->large, transfer);
			tt_fab_message_send(link, slot, 0, NULL);
		}
	}
}

/* Credit that no message has taken along is told when it has become much. Whoever begins says something anyway. */
static void
tell_credit(tutti_link *link)
{
	const tutti_endpoint *endpoint = link->endpoint;
	bool much = link->posted_in - endpoint->credit - link->consumed_told >= endpoint->credit / 4 ||
		    (link->next_out == 0 && tt_fab_link_begins(link));
	struct tt_fab_slot *slot;

	for (uint32_t i = 0; i < endpoint->lanes && !much; i++)
		much = (uint16_t)(link->lanes[i].heads_used - link->lanes[i].heads_told) >= endpoint->heads / 2;
	if (!much || (slot = tt_fab_message(link, 0, TT_FAB_TELL)) == NULL)
		return;
	for (uint32_t i = 0; i < endpoint->lanes; i++) {
		struct tt_fab_lane *lane = &link->lanes[i];

		lane->heads_told = lane->heads_used;
		memcpy(slot->bytes + sizeof(struct tt_fab_head) + i * sizeof(uint16_t), &lane->heads_used,
		    sizeof(uint16_t));
	}
	tt_fab_message_send(link, slot, endpoint->lanes * sizeof(uint16_t), NULL);
}

static void
watch_refusals(tutti_link *link)
{
	const int64_t now = tt_now_ns();

	if (link->blocked_ns == 0) {
		link->blocked_ns = now;
	} else if (now - link->blocked_ns > link->endpoint->connect_timeout_ms * TT_MS) {
		tt_fab_link_die(link, TUTTI_ERR_PEER,
		    "rank %d: libfabric provider %s has taken %s for it for %lld ms", link->peer,
		    link->endpoint->device.provider, link->owed > 0 ? "no receives" : "nothing",
		    (long long)((now - link->blocked_ns) / TT_MS));
	}
}

void
tt_fab_link_pump(tutti_link *link)
{
	const tutti_endpoint *endpoint = link->endpoint;
	bool later;

	link->dirty = link->blocked = false;
	if (!link->active || link->failed || link->status != TUTTI_OK)
		return;
	/* Whoever waits for what has come hears of it first: there are enough receives for now. */
	later = endpoint->came > 0 && link->greeted && !tt_fab_link_runs_dry(link);
	if (!later)
		tt_fab_link_refill(link);
	tt_fab_link_greet(link);
	if (link->ready) {
		tt_fab_link_post(link);
		for (uint32_t i = 0; i < endpoint->lanes && !link->blocked; i++) {
			send_heads(link, &link->lanes[i]);
			tt_fab_lane_grant(link, &link->lanes[i]);
		}
		if (!link->blocked && link->status == TUTTI_OK)
			tell_credit(link);
		if (!link->blocked && link->status == TUTTI_OK)
			tt_fab_link_write(link);
	}
	if (link->status == TUTTI_OK && !link->failed && (link->blocked || (link->owed > 0 && !later))) {
		link->dirty = link->blocked = true;
		watch_refusals(link);
	} else {
		link->dirty = link->dirty || link->owed > 0;
		link->blocked_ns = 0;
	}
}

/* ---- posting ----------------------------------------------------------------------------------------------------- */

static void
self_differs(tutti_link *link)
{
	tt_fab_link_die(
	    link, TUTTI_ERR_MISMATCH, "a message of rank %d to itself is not what it expects", link->peer);
}

tutti_status
tt_fab_link_send(tutti_link *link, tutti_transfer *transfer)
{
	struct tt_fab_lane *lane = &link->lanes[transfer->lane];

	if (link->status != TUTTI_OK)
		return link->status;
	transfer->status = TUTTI_IN_PROGRESS;
	tt_fab_pending_init(transfer, lane->sends++, TT_FAB_SENDS);
	if (link->peer == link->endpoint->rank) {
		link->endpoint->news++;
		if (!tt_fab_self_send(&lane->self, transfer))
			self_differs(link);
		return TUTTI_OK;
	}
	tt_fab_queue_put(&lane->waiting, transfer);
	if (!link->ready) {
		tt_fab_link_want(link);
		return TUTTI_OK;
	}
	if (transfer->bytes > link->endpoint->eager_most)
		tt_fab_lane_use_grants(link, lane, transfer);
	if (link->status == TUTTI_OK)
		send_heads(link, lane);
	if (link->ngrants > 0 && link->status == TUTTI_OK)
		tt_fab_link_write(link);
	return TUTTI_OK;
}

tutti_status
tt_fab_link_recv(tutti_link *link, tutti_transfer *transfer)
{
	struct tt_fab_lane *lane = &link->lanes[transfer->lane];

	/* What a peer that has left sent before is still here. */
	if (link->status != TUTTI_OK && (!link->left || lane->held == NULL || link->endpoint->cancelled))
		return link->status;
	transfer->status = TUTTI_IN_PROGRESS;
	tt_fab_pending_init(transfer, lane->recvs++, 0);
	if (link->peer == link->endpoint->rank) {
		link->endpoint->news++;
		if (!tt_fab_self_recv(&lane->self, transfer))
			self_differs(link);
		return TUTTI_OK;
	}
	if (tt_fab_lane_meet(link, lane, transfer))
		return TUTTI_OK;
	if (link->status != TUTTI_OK)
		return link->status;
	tt_fab_queue_put(&lane->posted, transfer);
	if (transfer->bytes > link->endpoint->eager_most) {
		lane->hungry = true;
		tt_fab_lane_grant(link, lane);
	}
	if (!link->ready && transfer->passive == 0 && link->status == TUTTI_OK)
		tt_fab_link_want(link);
	return TUTTI_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * links.c - posting, moving, and the life of a link.
 */
#include "shm/links.h"

#include <stdio.h>

#define TRANSFERS_PER_PASS 64 /* that a lane may end in one pass */
#define NOT_ACTIVE UINT32_MAX

void
tt_shm_link_init(tutti_link *link, size_t index)
{
	tutti_endpoint *endpoint = link->endpoint;
	const struct tt_shm_layout *layout = &endpoint->layout;
	const size_t bytes = tt_shm_ring_bytes(layout, endpoint->index, index);

	for (uint32_t i = 0; i < layout->lanes; i++) {
		struct tt_shm_ring *out = tt_shm_ring_at(layout, endpoint->shared, endpoint->index, index, i);
		struct tt_shm_ring *in = tt_shm_ring_at(layout, endpoint->shared, index, endpoint->index, i);

		tt_shm_lane_init(&link->lanes[i], link, i, true, out, bytes);
		tt_shm_lane_init(&link->lanes[layout->lanes + i], link, i, false, in, bytes);
		link->lanes[i].place = link->lanes[layout->lanes + i].place = NOT_ACTIVE;
	}
}

/* ---- lists ---- */

static void
activate(tutti_endpoint *endpoint, struct tt_shm_lane *lane)
{
	if (lane->place != NOT_ACTIVE)
		return;
	lane->place = endpoint->nactive;
	endpoint->active[endpoint->nactive++] = lane;
}

static void
deactivate(tutti_endpoint *endpoint, struct tt_shm_lane *lane)
{
	struct tt_shm_lane *moved;

	if (lane->place == NOT_ACTIVE)
		return;
	moved = endpoint->active[--endpoint->nactive];
	endpoint->active[lane->place] = moved;
	moved->place = lane->place;
	lane->place = NOT_ACTIVE;
}

static void
append(struct tt_shm_lane *lane, tutti_transfer *transfer)
{
	transfer->priv[0] = NULL;
	if (lane->first == NULL)
		lane->first = transfer;
	else
		lane->last->priv[0] = transfer;
	lane->last = transfer;
	activate(lane->link->endpoint, lane);
}

static void
end_first(struct tt_shm_lane *lane, tutti_status status)
{
	tutti_transfer *transfer = lane->first;

	lane->first = transfer->priv[0];
	if (lane->first == NULL)
		deactivate(lane->link->endpoint, lane);
	transfer->status = status;
}

/* ---- life and death of a link ---- */

static void
ring_peer(tutti_link *link)
{
	tt_shm_doorbell_ring(link->endpoint->bell, link->peer, &link->bell);
}

static void
end_all(tutti_link *link, tutti_status status)
{
	for (uint32_t i = 0; i < 2 * link->endpoint->layout.lanes; i++) {
		struct tt_shm_lane *lane = &link->lanes[i];

		while (lane->first != NULL)
			end_first(lane, status);
	}
}

static void
kill_link(tutti_link *link, tutti_status status, const char *why, uint32_t lane)
{
	if (link->status != TUTTI_OK)
		return;
	link->status = status;
	snprintf(link->message, sizeof(link->message), "shared memory between rank %d and rank %d, lane %u: %s",
	    link->endpoint->rank, link->rank, (unsigned)lane, why);
	end_all(link, status);
}

/* What a lane's end said when it could not go on. */
static void
lane_failed(struct tt_shm_lane *lane, tutti_status status)
{
	tutti_link *link = lane->link;

	if (status == TUTTI_ERR_MISMATCH) {
		/* Pairs with the acquire in check_peer(), which then looks for the record. */
		atomic_fetch_or_explicit(&link->endpoint->self->state, TT_SHM_VERDICT, memory_order_release);
		ring_peer(link);
		kill_link(link, status, "the two ranks do not agree which message comes next", lane->number);
	} else {
		kill_link(link, status, "its counters are impossible; something wrote into the shared memory",
		    lane->number);
	}
}

static void
tell_news(struct tt_shm_lane *lane)
{
	if (!lane->news)
		return;
	lane->news = false;
	ring_peer(lane->link);
}

/* Moves what it can of a lane; returns how many transfers moved or ended. */
static int
move_lane(struct tt_shm_lane *lane)
{
	tutti_status status = TUTTI_OK;
	int moved = 0;

	while (lane->first != NULL && status == TUTTI_OK && moved < TRANSFERS_PER_PASS) {
		tutti_transfer *transfer = lane->first;
		const uint64_t before = lane->position;

		status = lane->sends ? tt_shm_lane_put(lane, transfer) : tt_shm_lane_get(lane, transfer);
		if (status != TUTTI_OK && status != TUTTI_IN_PROGRESS)
			lane_failed(lane, status);
		else if (status == TUTTI_OK)
			end_first(lane, TUTTI_OK);
		moved += status != TUTTI_IN_PROGRESS || lane->position != before;
	}
	tell_news(lane);
	return moved;
}

/* The peer refused a message of ours? */
static bool
check_verdict(tutti_link *link)
{
	for (uint32_t i = 0; i < link->endpoint->layout.lanes; i++) {
		struct tt_shm_lane *lane = &link->lanes[i];

		if (tt_shm_lane_fault(lane, lane->first)) {
			kill_link(link, TUTTI_ERR_MISMATCH, "the peer expected another message", lane->number);
			return true;
		}
	}
	return false;
}

static bool
anything_unread(tutti_link *link)
{
	const uint32_t lanes = (uint32_t)link->endpoint->layout.lanes;

	for (uint32_t i = lanes; i < 2 * lanes; i++) {
		if (tt_shm_lane_unread(&link->lanes[i]))
			return true;
	}
	return false;
}

/* Called where a lane cannot move: is the peer still there? Returns 1 if that ended the link. */
static int
check_peer(struct tt_shm_lane *lane)
{
	tutti_link *link = lane->link;
	uint32_t state;

	if (TT_LIKELY(tt_load_relaxed(&link->peer->state) <= TT_SHM_OPEN) || link->status != TUTTI_OK)
		return 0;
	/* Pairs with the releases in tt_shm_links_leave() and lane_failed(). */
	state = tt_load_acquire(&link->peer->state);
	if ((state & TT_SHM_VERDICT) != 0 && check_verdict(link))
		return 1;
	if ((state & TT_SHM_CANCELLED) != 0) {
		kill_link(link, TUTTI_ERR_PEER, "the peer has cancelled all its operations", lane->number);
		return 1;
	}
	/* Nobody will take a message any more; but what is to be received may still be taken out, later too. */
	if ((state & TT_SHM_CLOSED) == 0 || (!lane->sends && anything_unread(link)))
		return 0;
	kill_link(link, TUTTI_ERR_PEER, "the peer has closed its end", lane->number);
	return 1;
}

/* Would check_peer() end the link? */
static bool
peer_has_news(const struct tt_shm_lane *lane)
{
	tutti_link *link = lane->link;
	/* Pairs as in check_peer(). */
	const uint32_t state = tt_load_acquire(&link->peer->state);

	if ((state & TT_SHM_CANCELLED) != 0)
		return true;
	if ((state & TT_SHM_CLOSED) != 0 && (lane->sends || !anything_unread(link)))
		return true;
	if ((state & TT_SHM_VERDICT) == 0)
		return false;
	for (uint32_t i = 0; i < link->endpoint->layout.lanes; i++) {
		if (tt_shm_lane_fault(&link->lanes[i], NULL))
			return true;
	}
	return false;
}

/* ---- for the table ---- */

tutti_status
tt_shm_link_post(tutti_link *link, struct tt_shm_lane *lane, tutti_transfer *transfer)
{
	tutti_status status;

	/* A ring takes messages for a peer that will not read them; then it is better said now. */
	if (lane->sends)
		check_peer(lane);
	if (TT_UNLIKELY(link->status != TUTTI_OK))
		return link->status;
	transfer->status = TUTTI_IN_PROGRESS;
	if (lane->first != NULL) {
		append(lane, transfer);
		return TUTTI_OK;
	}
	status = lane->sends ? tt_shm_lane_put(lane, transfer) : tt_shm_lane_get(lane, transfer);
	if (TT_LIKELY(status == TUTTI_OK)) {
		transfer->status = TUTTI_OK;
	} else {
		append(lane, transfer);
		if (status != TUTTI_IN_PROGRESS)
			lane_failed(lane, status);
	}
	tell_news(lane);
	return TUTTI_OK;
}

int
tt_shm_links_progress(tutti_endpoint *endpoint)
{
	int moved = 0;

	/* Lanes leave the list while it is walked: the last then takes the place of the one that left. */
	for (uint32_t i = 0; i < endpoint->nactive;) {
		struct tt_shm_lane *lane = endpoint->active[i];
		const int now = move_lane(lane);

		moved += now > 0 ? now : check_peer(lane);
		i += i < endpoint->nactive && endpoint->active[i] == lane;
	}
	return moved;
}

bool
tt_shm_links_ready(tutti_endpoint *endpoint)
{
	for (uint32_t i = 0; i < endpoint->nactive; i++) {
		struct tt_shm_lane *lane = endpoint->active[i];

		if (tt_shm_lane_ready(lane) || peer_has_news(lane))
			return true;
	}
	return false;
}

void
tt_shm_links_cancel(tutti_endpoint *endpoint)
{
	endpoint->cancelled = true;
	for (size_t i = 0; i < endpoint->layout.nlocal; i++) {
		if (endpoint->links[i] == NULL)
			continue;
		end_all(endpoint->links[i], TUTTI_ERR_ABORTED);
		kill_link(endpoint->links[i], TUTTI_ERR_ABORTED, "all operations were cancelled", 0);
	}
}

void
tt_shm_links_leave(tutti_endpoint *endpoint, uint32_t how)
{
	/* Pairs with the acquire in check_peer(): what was sent before is seen with it. */
	atomic_fetch_or_explicit(&endpoint->self->state, how, memory_order_release);
	for (size_t i = 0; i < endpoint->layout.nlocal; i++) {
		if (endpoint->links[i] != NULL)
			ring_peer(endpoint->links[i]);
	}
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * join.c - how two ranks come together and part.
 *
 * Whoever wants something from the other calls. When both call at once, the call of the lower rank counts: the
 * higher one takes it and gives up its own, the lower one hangs up on the other's. Once both have proven who they
 * are, each posts its receives and then says hello; whoever has heard the other's hello may send over the fabric.
 */
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "fabric/link.h"

#define AGAIN_NS (50 * TT_MS) /* between two calls */
#define ROUNDS 3 /* of calls to all addresses that nobody listens at */

tutti_status
tt_fab_link_know(tutti_link *link, const void *address, size_t bytes)
{
	const struct tt_fab_device *device = &link->endpoint->device;
	struct tt_fab_address theirs;
	char way[64];

	if (bytes != sizeof(theirs))
		return tt_fail(TUTTI_ERR_VERSION, link->peer,
		    "rank %d has another version of the fabric transport than this rank", link->peer);
	memcpy(&theirs, address, sizeof(theirs));
	if (memcmp(theirs.magic, TT_FAB_MAGIC, sizeof(theirs.magic)) != 0 || theirs.order != TT_FAB_ORDER ||
	    theirs.naddresses > TT_FAB_ADDRESSES)
		return tt_fail(TUTTI_ERR_VERSION, link->peer,
		    "rank %d has another version of the fabric transport, or another byte order, than this rank",
		    link->peer);
	theirs.way.provider[sizeof(theirs.way.provider) - 1] = '\0';
	tt_fab_way_print(&theirs.way, way, sizeof(way));
	if (strcmp(way, device->provider) != 0)
		return tt_fail(TUTTI_ERR_UNSUPPORTED, link->peer,
		    "rank %d uses libfabric provider %s (libfabric %u.%u), but this rank uses %s (libfabric %u.%u): "
		    "set "
		    "TUTTI_FABRIC_PROVIDER to one that both have",
		    link->peer, way, FI_MAJOR(theirs.libfabric), FI_MINOR(theirs.libfabric), device->provider,
		    FI_MAJOR(fi_version()), FI_MINOR(fi_version()));
	link->naddresses = (int)theirs.naddresses;
	memcpy(link->addresses, theirs.addresses, sizeof(link->addresses));
	memcpy(link->nonce, theirs.nonce, sizeof(link->nonce));
	link->known = true;
	return TUTTI_OK;
}

/* ---- calling ----------------------------------------------------------------------------------------------------- */

void
tt_fab_link_want(tutti_link *link)
{
	const int64_t now = tt_now_ns();

	if (link->wanted || link->status != TUTTI_OK)
		return;
	link->wanted = true;
	link->endpoint->ndialing++;
	link->dial_ns = now;
	link->give_up_ns = tt_deadline_ns(link->endpoint->connect_timeout_ms);
	tt_fab_link_tick(link, now);
}

static void
next_address(tutti_link *link, const char *why)
{
	if (++link->address < link->naddresses) {
		link->dial_ns = 0;
		return;
	}
	link->address = 0;
	link->dial_ns = tt_now_ns() + AGAIN_NS;
	if (++link->rounds == ROUNDS)
		tt_fab_link_die(link, TUTTI_ERR_PEER, "rank %d cannot be reached: %.160s", link->peer, why);
}

void
tt_fab_link_tick(tutti_link *link, int64_t now_ns)
{
	if (!link->wanted || link->ready || link->status != TUTTI_OK)
		return;
	if (now_ns >= link->give_up_ns) {
		tt_fab_link_die(link, TUTTI_ERR_PEER, "rank %d did not answer within %lld ms", link->peer,
		    (long long)link->endpoint->connect_timeout_ms);
		return;
	}
	if (link->guard != NULL && !link->guard->proven && now_ns >= link->guard->deadline_ns) {
		struct tt_fab_guard *guard = link->guard;

		tt_fab_link_lost(link, guard, "it does not answer");
		tt_fab_guard_drop(guard);
	}
	if (link->guard != NULL || !link->known || now_ns < link->dial_ns || link->status != TUTTI_OK)
		return;
	link->dial_ns = now_ns + AGAIN_NS;
	if (tt_fab_guard_dial(link, &link->guard) != TUTTI_OK) {
		link->guard = NULL;
		next_address(link, tt_last_error()->message);
	}
}

bool
tt_fab_link_takes(tutti_link *link, struct tt_fab_guard *guard)
{
	const struct tt_fab_hello gone = {.wire = TT_FAB_WIRE, .gone = 1};
	struct tt_fab_guard *mine = link->guard;

	if (link->status != TUTTI_OK) {
		tt_fab_guard_put(guard, TT_FAB_FRAME_HELLO, &gone, sizeof(gone));
		return false;
	}
	if (mine != NULL && (link->ready || !mine->initiator || link->peer > link->endpoint->rank))
		return false;
	if (mine != NULL)
		tt_fab_guard_drop(mine);
	link->greeted = false;
	link->guard = guard;
	return true;
}

void
tt_fab_link_lost(tutti_link *link, struct tt_fab_guard *guard, const char *why)
{
	if (link->guard != guard)
		return;
	if (link->ready && !link->greeted) {
		tt_fab_link_die(link, TUTTI_ERR_PEER,
		    "rank %d went away before libfabric provider %s has taken all receives for it", link->peer,
		    link->endpoint->device.provider);
		return;
	}
	if (link->ready) {
		tt_fab_endpoint_drain(link->endpoint);
		tt_fab_link_die(link, TUTTI_ERR_PEER, "rank %d %s", link->peer,
		    why != NULL ? why
				: "closed its connection without a goodbye: its process has ended, or it cancelled");
		return;
	}
	link->guard = NULL;
	link->greeted = false;
	if (guard->connecting)
		next_address(link, why != NULL ? why : "it hung up");
	else
		link->dial_ns = tt_now_ns() + AGAIN_NS;
}

/* ---- beginning --------------------------------------------------------------------------------------------------- */

static tutti_status
get_slots(tutti_link *link)
{
	tutti_endpoint *endpoint = link->endpoint;
	const uint32_t nslots = endpoint->credit + endpoint->heads * endpoint->lanes + 2;
	struct tt_fab_slab *slab;
	void *memory;

	TT_TRY(tt_alloc((size_t)endpoint->lanes * TT_FAB_GRANTS, sizeof(struct tt_fab_grant), "windows", &memory));
	link->grant_memory = memory;
	for (uint32_t i = 0; i < endpoint->lanes * TT_FAB_GRANTS; i++) {
		struct tt_fab_lane *lane = &link->lanes[i / TT_FAB_GRANTS];

		link->grant_memory[i].next = lane->spare;
		lane->spare = &link->grant_memory[i];
	}
	TT_TRY(tt_alloc(1, sizeof(*slab), "slots for messages", &memory));
	slab = memory;
	slab->next = endpoint->slabs;
	endpoint->slabs = slab;
	{
		struct tt_fab_slab *next = slab->next;
		const tutti_status status =
		    tt_fab_slab_init(slab, &endpoint->device, nslots, endpoint->slot_bytes, TT_FAB_OP_RECV);

		slab->next = next;
		TT_TRY(status);
	}
	for (uint32_t i = 0; i < nslots; i++)
		tt_fab_slot_put(endpoint, &slab->slots[i]);
	return TUTTI_OK;
}

static bool
activate(tutti_link *link)
{
	tutti_endpoint *endpoint = link->endpoint;

	if (link->active)
		return true;
	if (endpoint->stopped || get_slots(link) != TUTTI_OK) {
		tt_fab_link_die(link, TUTTI_ERR_SYSTEM, "this rank cannot talk to rank %d: %.200s", link->peer,
		    endpoint->stopped ? "its endpoint is closed" : tt_last_error()->message);
		return false;
	}
	link->active = true;
	link->owed = endpoint->credit;
	link->live_index = endpoint->nlive;
	endpoint->live[endpoint->nlive++] = link;
	return true;
}

void
tt_fab_link_greet(tutti_link *link)
{
	tutti_endpoint *endpoint = link->endpoint;
	struct tt_fab_hello hello = {.wire = TT_FAB_WIRE,
	    .token = link->token_in,
	    .credit = endpoint->credit,
	    .lanes = endpoint->lanes,
	    .slot_bytes = (uint32_t)endpoint->slot_bytes,
	    .segment_bytes = (uint32_t)tt_min_size(TT_FAB_CHUNK_BYTES, endpoint->device.most)};
	size_t bytes = sizeof(hello.name);

	if (link->greeted || link->status != TUTTI_OK || link->guard == NULL || !link->guard->proven ||
	    !activate(link))
		return;
	tt_fab_link_refill(link);
	link->dirty = true;
	if (link->owed > 0 && link->posted_in < endpoint->credit)
		return;
	if (tt_fab_device_name(&endpoint->device, hello.name, &bytes) != TUTTI_OK || bytes > sizeof(hello.name)) {
		tt_fab_link_die(link, TUTTI_ERR_SYSTEM, "this rank cannot tell rank %d its address: %.160s",
		    link->peer, tt_last_error()->message);
		return;
	}
	hello.name_bytes = (uint32_t)bytes;
	link->greeted = true;
	tt_fab_guard_put(link->guard, TT_FAB_FRAME_HELLO, &hello, sizeof(hello));
}

/* ---- frames ------------------------------------------------------------------------------------------------------ */

static bool
broke(tutti_link *link, const char *what)
{
	tt_fab_link_die(link, TUTTI_ERR_PEER, "rank %d broke the protocol: %s", link->peer, what);
	return false;
}

static tutti_status
make_ring(tutti_link *link, uint32_t credit)
{
	uint32_t slots = TT_FAB_CREDIT_LEAST;

	while (slots < credit)
		slots *= 2;
	link->ring.mask = slots - 1;
	link->ring.credit = credit;
	return tt_fab_slab_init(
	    &link->ring.slab, &link->endpoint->device, slots, link->endpoint->slot_bytes, TT_FAB_OP_SEND);
}

static bool
take_hello(tutti_link *link, const unsigned char *bytes, size_t n)
{
	tutti_endpoint *endpoint = link->endpoint;
	struct tt_fab_hello hello;
	int code;

	if (link->ready || n != sizeof(hello))
		return broke(link, "its hello is damaged, or came twice");
	memcpy(&hello, bytes, sizeof(hello));
	if (hello.gone != 0) {
		tt_fab_link_die(link, TUTTI_ERR_ABORTED, "rank %d has cancelled its transfers", link->peer);
		return false;
	}
	if (hello.wire != TT_FAB_WIRE || hello.lanes != endpoint->lanes || hello.slot_bytes != endpoint->slot_bytes ||
	    hello.credit < TT_FAB_CREDIT_LEAST || hello.credit > TT_FAB_CREDIT || hello.segment_bytes < 4096 ||
	    hello.name_bytes > sizeof(hello.name))
		return broke(link, "its hello does not fit this rank's version");
	if (!activate(link))
		return false;
	code = fi_av_insert(endpoint->device.av, hello.name, 1, &link->to, 0, NULL);
	if (code != 1 || make_ring(link, hello.credit) != TUTTI_OK) {
		tt_fab_link_die(link, TUTTI_ERR_SYSTEM, "libfabric provider %s cannot take the address of rank %d%s",
		    endpoint->device.provider, link->peer, code == 1 ? ": no memory" : "");
		return false;
	}
	link->token_out = hello.token;
	link->segment = tt_min_size(hello.segment_bytes, tt_min_size(TT_FAB_CHUNK_BYTES, endpoint->device.most));
	link->ready = link->dirty = true;
	if (link->wanted)
		endpoint->ndialing--;
	return true;
}

/* A send of this rank that the peer refuses, wherever it is. */
static tutti_transfer *
find_send(tutti_link *link, struct tt_fab_lane *lane, uint32_t number)
{
	tutti_transfer *transfer = tt_fab_queue_find(&lane->large, number);

	if (transfer != NULL) {
		tt_fab_queue_drop(&lane->large, transfer);
		return transfer;
	}
	transfer = tt_fab_queue_find(&lane->waiting, number);
	if (transfer != NULL) {
		tt_fab_queue_drop(&lane->waiting, transfer);
		return transfer;
	}
	for (uint32_t i = 0; i < link->ring.slab.nslots; i++) {
		struct tt_fab_slot *slot = &link->ring.slab.slots[i];

		if (slot->transfer != NULL && &link->lanes[slot->transfer->lane] == lane &&
		    tt_fab_pending_of(slot->transfer)->number == number) {
			transfer = slot->transfer;
			slot->transfer = NULL;
			return transfer;
		}
	}
	return NULL;
}

static bool
take_refusal(tutti_link *link, const unsigned char *bytes, size_t n)
{
	tutti_transfer *transfer;
	struct tt_fab_head head;
	struct tt_fab_lane *lane;

	if (n != sizeof(head))
		return broke(link, "a refusal is damaged");
	memcpy(&head, bytes, sizeof(head));
	if (head.lane >= link->endpoint->lanes)
		return broke(link, "it refused a message on a lane that does not exist");
	lane = &link->lanes[head.lane];
	if (head.kind == 1) {
		transfer = tt_fab_queue_find(&lane->posted, head.number);
		if (transfer != NULL) {
			tt_fab_queue_drop(&lane->posted, transfer);
			tt_fab_landings_drop(link, transfer);
		}
	} else {
		transfer = find_send(link, lane, head.number);
	}
	if (transfer != NULL) {
		(void)tt_fab_pending_agrees(transfer, head.size, head.mark);
		tt_fab_finish(link, transfer, TUTTI_ERR_MISMATCH);
	}
	tt_fab_link_die(link, TUTTI_ERR_MISMATCH, "rank %d says that a message on lane %u is not what it expects",
	    link->peer, head.lane);
	return false;
}

/* A message that the peer is not sure of. */
static bool
take_message(tutti_link *link, const unsigned char *bytes, size_t n)
{
	tutti_endpoint *endpoint = link->endpoint;
	struct tt_fab_slot *slot;

	if (!link->ready || n < sizeof(struct tt_fab_head) || n > endpoint->slot_bytes)
		return broke(link, "a message beside the fabric is damaged");
	tt_fab_endpoint_drain(endpoint);
	slot = endpoint->spare;
	if (link->status != TUTTI_OK || slot == NULL)
		return link->status == TUTTI_OK && broke(link, "it sent more messages than there is room for");
	endpoint->spare = slot->next;
	memcpy(slot->bytes, bytes, n);
	slot->length = n;
	tt_fab_link_take(link, slot);
	return link->status == TUTTI_OK;
}

/* The peer goes on living, but not with this link: it is nobody to blame. */
static bool
take_surrender(tutti_link *link, const unsigned char *bytes, size_t n)
{
	uint32_t rank;

	if (n != sizeof(rank))
		return broke(link, "what it gives up for is damaged");
	memcpy(&rank, bytes, sizeof(rank));
	tt_fab_endpoint_drain(link->endpoint);
	if (rank == (uint32_t)link->peer)
		tt_fab_link_die(link, TUTTI_ERR_ABORTED, "rank %d has cancelled its transfers", link->peer);
	else
		tt_fab_link_die(link, TUTTI_ERR_ABORTED,
		    "rank %d has given up its links because of what happened to the one to rank %u", link->peer,
		    rank);
	return false;
}

bool
tt_fab_link_frame(tutti_link *link, uint32_t kind, const unsigned char *bytes, size_t n)
{
	uint32_t writes = 1;

	switch (kind) {
	case TT_FAB_FRAME_HELLO:
		return take_hello(link, bytes, n);
	case TT_FAB_FRAME_REFUSE:
		return take_refusal(link, bytes, n);
	case TT_FAB_FRAME_MESSAGE:
		return take_message(link, bytes, n);
	case TT_FAB_FRAME_GOODBYE:
		if (n == sizeof(writes))
			memcpy(&writes, bytes, sizeof(writes));
		tt_fab_endpoint_drain(link->endpoint);
		link->left = true;
		link->quiet = writes == 0;
		tt_fab_link_die(link, TUTTI_ERR_PEER, "rank %d has left: it closed its endpoint", link->peer);
		return false;
	case TT_FAB_FRAME_GIVE_UP:
		return take_surrender(link, bytes, n);
	default:
		return broke(link, "it sent a frame of a kind that there is not");
	}
}

void
tt_fab_link_leave(tutti_link *link, int64_t deadline_ns)
{
	struct tt_fab_guard *guard = link->guard;
	uint32_t prefix[2] = {TT_FAB_FRAME_MESSAGE, 0};
	uint32_t goodbye[3] = {TT_FAB_FRAME_GOODBYE, sizeof(uint32_t), link->writes};
	bool good;

	if (guard == NULL || !link->greeted || guard->watch.fd < 0)
		return;
	good =
	    tt_fab_guard_force(guard, guard->out + guard->out_sent, guard->out_bytes - guard->out_sent, deadline_ns);
	for (uint32_t seq = link->acked; good && link->ready && seq != link->next_out; seq++) {
		const struct tt_fab_slot *slot = &link->ring.slab.slots[seq & link->ring.mask];

		prefix[1] = (uint32_t)slot->length;
		good = tt_fab_guard_force(guard, prefix, sizeof(prefix), deadline_ns) &&
		       tt_fab_guard_force(guard, slot->bytes, slot->length, deadline_ns);
	}
	if (good)
		(void)tt_fab_guard_force(guard, goodbye, sizeof(goodbye), deadline_ns);
}

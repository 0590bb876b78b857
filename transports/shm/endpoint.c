/* SPDX-License-Identifier: Apache-2.0
 *
 * endpoint.c - the transport's table: endpoints, links, posting and progress.
 *
 * A transfer is moved as far as it goes when it is posted; what remains waits in its lane, and the lane is in the
 * endpoint's list of active lanes. progress() looks at those only, so that its cost does not grow with ranks or
 * lanes that have nothing to do.
 *
 * A link dies of a message that does not match, of counters that are impossible, or because its peer closed or
 * cancelled its endpoint; the sudden death of a process is seen elsewhere. A peer's closing counts only after
 * everything that it had sent was taken out, its cancelling at once.
 */
#include "shm/shm.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"
#include "shm/doorbell.h"
#include "shm/lane.h"

#define ADDRESS_VERSION 1
#define TRANSFERS_PER_PASS 64 /* that a lane may end in one progress() */
#define NOT_ACTIVE UINT32_MAX

struct shm_address {
	uint32_t version;
	int32_t rank;
	struct tt_shm_name bell;
};

struct tutti_link {
	tutti_endpoint *endpoint;
	struct tt_shm_rank *peer; /* its block in shared memory */
	int rank;
	tutti_status status; /* TUTTI_OK while it lives */
	struct tt_shm_name bell;
	char message[256];
	struct tt_shm_lane lanes[]; /* 2 * lanes: sending ends, then receiving ends */
};

struct tutti_endpoint {
	struct tt_shm_layout layout;
	void *shared;
	struct tt_shm_rank *self;
	int bell;
	int rank;
	uint32_t index; /* own position in local_ranks */
	struct shm_address address;
	tutti_link **links; /* nlocal of them, NULL where not connected; owned */
	int *local_ranks;
	struct tt_shm_lane **active; /* lanes with something posted */
	uint32_t nactive;
};

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
	/* Pairs with the releases in leave() and lane_failed(). */
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

/* Tells everybody that nothing more comes from here. */
static void
leave(tutti_endpoint *endpoint, uint32_t how)
{
	/* Pairs with the acquire in check_peer(): what was sent before is seen with it. */
	atomic_fetch_or_explicit(&endpoint->self->state, how, memory_order_release);
	for (size_t i = 0; i < endpoint->layout.nlocal; i++) {
		if (endpoint->links[i] != NULL)
			ring_peer(endpoint->links[i]);
	}
}

/* ---- the table ---- */

static int
index_of(const tutti_environment *env, int rank)
{
	for (int i = 0; i < env->nlocal; i++) {
		if (env->local_ranks[i] == rank)
			return i;
	}
	return -1;
}

static tutti_status
shm_probe(const tutti_environment *env, char *why, size_t why_bytes)
{
	struct tt_shm_layout layout;

	if (index_of(env, env->rank) < 0) {
		snprintf(why, why_bytes, "rank %d shares no memory, not even with itself", env->rank);
		return TUTTI_ERR_UNSUPPORTED;
	}
	if (!tt_shm_layout_init(&layout, env)) {
		snprintf(why, why_bytes, "%d ranks with %u lanes need more shared memory than there can be",
		    env->nlocal, (unsigned)env->lanes);
		return TUTTI_ERR_UNSUPPORTED;
	}
	return TUTTI_OK;
}

static size_t
shm_shared_need(const tutti_environment *env)
{
	struct tt_shm_layout layout;

	/* More than can be had makes the allocation fail with its own sentence. */
	return tt_shm_layout_init(&layout, env) ? layout.bytes : SIZE_MAX;
}

static void
free_endpoint(tutti_endpoint *endpoint)
{
	if (endpoint->links != NULL) {
		for (size_t i = 0; i < endpoint->layout.nlocal; i++)
			tt_free(endpoint->links[i]);
	}
	tt_free(endpoint->links);
	tt_free(endpoint->local_ranks);
	tt_free(endpoint->active);
	tt_fd_close(endpoint->bell);
	tt_free(endpoint);
}

static tutti_status
fill_endpoint(tutti_endpoint *endpoint, const tutti_environment *env)
{
	const size_t nlocal = endpoint->layout.nlocal;
	void *memory;

	TT_TRY(tt_alloc(nlocal, sizeof(tutti_link *), "the shm transport's links", &memory));
	endpoint->links = memory;
	TT_TRY(tt_alloc(nlocal, sizeof(int), "the shm transport's ranks", &memory));
	endpoint->local_ranks = memory;
	memcpy(endpoint->local_ranks, env->local_ranks, nlocal * sizeof(int));
	TT_TRY(tt_alloc(
	    2 * nlocal * endpoint->layout.lanes, sizeof(struct tt_shm_lane *), "the shm transport's lanes", &memory));
	endpoint->active = memory;
	endpoint->address.version = ADDRESS_VERSION;
	endpoint->address.rank = env->rank;
	return tt_shm_doorbell_open(env->key, env->rank, &endpoint->bell, &endpoint->address.bell);
}

static tutti_status
shm_open(const tutti_environment *env, tutti_endpoint **out)
{
	const int index = index_of(env, env->rank);
	struct tt_shm_layout layout;
	tutti_endpoint *endpoint;
	tutti_status status;
	void *memory;

	if (index < 0)
		return tt_fail(TUTTI_ERR_UNSUPPORTED, env->rank, "rank %d shares no memory with anybody", env->rank);
	if (!tt_shm_layout_init(&layout, env) || env->shared == NULL || env->shared_bytes < layout.bytes ||
	    (uintptr_t)env->shared % TT_LINE != 0)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "the shm transport needs shared memory of the size that shared_need() told; got %zu bytes",
		    env->shared_bytes);
	TT_TRY(tt_alloc(1, sizeof(*endpoint), "an shm endpoint", &memory));
	endpoint = memory;
	endpoint->layout = layout;
	endpoint->shared = env->shared;
	endpoint->rank = env->rank;
	endpoint->index = (uint32_t)index;
	endpoint->self = tt_shm_rank_at(&layout, env->shared, (size_t)index);
	endpoint->bell = -1;
	status = fill_endpoint(endpoint, env);
	if (status != TUTTI_OK) {
		free_endpoint(endpoint);
		return status;
	}
	atomic_fetch_or_explicit(&endpoint->self->state, TT_SHM_OPEN, memory_order_release);
	*out = endpoint;
	return TUTTI_OK;
}

static void
shm_close(tutti_endpoint *endpoint)
{
	if (endpoint == NULL)
		return;
	leave(endpoint, TT_SHM_CLOSED);
	free_endpoint(endpoint);
}

static void
shm_properties(const tutti_endpoint *endpoint, tutti_properties *properties)
{
	const tutti_properties mine = {
	    .size = sizeof(mine),
	    .capabilities = TUTTI_CAN_FOLD | TUTTI_CAN_WAIT | TUTTI_IS_LOCAL,
	    .latency_ns = 200,
	    .bytes_per_s = 8e9,
	    .best_chunk = (size_t)64 << 10,
	};

	*properties = mine;
}

static tutti_status
shm_address(tutti_endpoint *endpoint, void *address, size_t *bytes)
{
	if (*bytes < sizeof(endpoint->address))
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "an shm address needs %zu bytes, not %zu",
		    sizeof(endpoint->address), *bytes);
	memcpy(address, &endpoint->address, sizeof(endpoint->address));
	*bytes = sizeof(endpoint->address);
	return TUTTI_OK;
}

static void
init_lanes(tutti_link *link, size_t peer)
{
	tutti_endpoint *endpoint = link->endpoint;
	const struct tt_shm_layout *layout = &endpoint->layout;

	for (uint32_t i = 0; i < layout->lanes; i++) {
		struct tt_shm_ring *out = tt_shm_ring_at(layout, endpoint->shared, endpoint->index, peer, i);
		struct tt_shm_ring *in = tt_shm_ring_at(layout, endpoint->shared, peer, endpoint->index, i);

		tt_shm_lane_init(&link->lanes[i], link, i, true, out, layout->ring_bytes);
		tt_shm_lane_init(&link->lanes[layout->lanes + i], link, i, false, in, layout->ring_bytes);
		link->lanes[i].place = link->lanes[layout->lanes + i].place = NOT_ACTIVE;
	}
}

static tutti_status
shm_connect(tutti_endpoint *endpoint, int peer, const void *address, size_t bytes, tutti_link **out)
{
	struct shm_address theirs;
	tutti_link *link;
	size_t index = 0;
	void *memory;

	while (index < endpoint->layout.nlocal && endpoint->local_ranks[index] != peer)
		index++;
	if (index == endpoint->layout.nlocal)
		return tt_fail(TUTTI_ERR_UNSUPPORTED, peer,
		    "rank %d shares no memory with rank %d: the shm transport reaches ranks of its own host only",
		    peer, endpoint->rank);
	if (bytes != sizeof(theirs))
		return tt_fail(TUTTI_ERR_VERSION, peer, "the shm address of rank %d has %zu bytes, not %zu", peer,
		    bytes, sizeof(theirs));
	memcpy(&theirs, address, sizeof(theirs));
	if (theirs.version != ADDRESS_VERSION || theirs.rank != peer)
		return tt_fail(TUTTI_ERR_VERSION, peer,
		    "the shm address given for rank %d says rank %d, version %u (here: version %u)", peer,
		    theirs.rank, (unsigned)theirs.version, (unsigned)ADDRESS_VERSION);
	if (endpoint->links[index] == NULL) {
		TT_TRY(tt_alloc(
		    1, sizeof(*link) + 2 * endpoint->layout.lanes * sizeof(link->lanes[0]), "an shm link", &memory));
		link = memory;
		link->endpoint = endpoint;
		link->rank = peer;
		link->peer = tt_shm_rank_at(&endpoint->layout, endpoint->shared, index);
		link->bell = theirs.bell;
		init_lanes(link, index);
		endpoint->links[index] = link;
	}
	*out = endpoint->links[index];
	return TUTTI_OK;
}

static tutti_status
post(tutti_link *link, struct tt_shm_lane *lane, tutti_transfer *transfer)
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

static tutti_status
shm_send(tutti_link *link, tutti_transfer *transfer)
{
	assert(transfer->lane < link->endpoint->layout.lanes && transfer->fold == NULL);
	return post(link, &link->lanes[transfer->lane], transfer);
}

static tutti_status
shm_recv(tutti_link *link, tutti_transfer *transfer)
{
	assert(transfer->lane < link->endpoint->layout.lanes);
	return post(link, &link->lanes[link->endpoint->layout.lanes + transfer->lane], transfer);
}

static int
shm_progress(tutti_endpoint *endpoint)
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

static tutti_status
shm_error(const tutti_link *link, char *message, size_t message_bytes)
{
	if (message_bytes > 0)
		snprintf(message, message_bytes, "%s", link->message);
	return link->status;
}

static void
shm_cancel(tutti_endpoint *endpoint)
{
	for (size_t i = 0; i < endpoint->layout.nlocal; i++) {
		if (endpoint->links[i] == NULL)
			continue;
		end_all(endpoint->links[i], TUTTI_ERR_ABORTED);
		kill_link(endpoint->links[i], TUTTI_ERR_ABORTED, "all operations were cancelled", 0);
	}
	leave(endpoint, TT_SHM_CANCELLED);
}

static int
shm_wait_fd(tutti_endpoint *endpoint)
{
	return endpoint->bell;
}

static void
shm_disarm(tutti_endpoint *endpoint)
{
	tt_shm_doorbell_disarm(endpoint->bell, endpoint->self);
}

static tutti_status
shm_arm(tutti_endpoint *endpoint)
{
	tt_shm_doorbell_arm(endpoint->self);
	for (uint32_t i = 0; i < endpoint->nactive; i++) {
		struct tt_shm_lane *lane = endpoint->active[i];

		if (tt_shm_lane_ready(lane) || peer_has_news(lane)) {
			shm_disarm(endpoint);
			return TUTTI_IN_PROGRESS;
		}
	}
	return TUTTI_OK;
}

const tutti_transport *
tt_transport_shm(void)
{
	static const tutti_transport table = {
	    .size = sizeof(table),
	    .abi = TUTTI_TRANSPORT_ABI,
	    .name = "shm",
	    .probe = shm_probe,
	    .shared_need = shm_shared_need,
	    .open = shm_open,
	    .close = shm_close,
	    .properties = shm_properties,
	    .address = shm_address,
	    .connect = shm_connect,
	    .send = shm_send,
	    .recv = shm_recv,
	    .progress = shm_progress,
	    .error = shm_error,
	    .cancel = shm_cancel,
	    .wait_fd = shm_wait_fd,
	    .arm = shm_arm,
	    .disarm = shm_disarm,
	};

	return &table;
}

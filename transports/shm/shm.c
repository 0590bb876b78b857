/* SPDX-License-Identifier: Apache-2.0
 *
 * shm.c - the transport's table: opening, addresses, connecting, and the way to the rest.
 */
#include "shm/shm.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"
#include "shm/links.h"

#define ADDRESS_VERSION 1

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
	tt_shm_links_leave(endpoint, TT_SHM_CLOSED);
	free_endpoint(endpoint);
}

static void
shm_properties(const tutti_endpoint *endpoint, tutti_properties *properties)
{
	const tutti_properties mine = {
	    .size = sizeof(mine),
	    .capabilities = TUTTI_CAN_FOLD | TUTTI_CAN_WAIT | TUTTI_IS_LOCAL,
	    .latency_ns = 180,
	    .bytes_per_s = 12e9,
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

/* The position of a peer among the local ranks; nlocal if it is none. */
static size_t
index_of_peer(const tutti_endpoint *endpoint, int peer)
{
	size_t index = 0;

	while (index < endpoint->layout.nlocal && endpoint->local_ranks[index] != peer)
		index++;
	return index;
}

static tutti_status
read_address(const void *address, size_t bytes, int peer, struct tt_shm_address *theirs)
{
	if (bytes != sizeof(*theirs))
		return tt_fail(TUTTI_ERR_VERSION, peer, "the shm address of rank %d has %zu bytes, not %zu", peer,
		    bytes, sizeof(*theirs));
	memcpy(theirs, address, sizeof(*theirs));
	if (theirs->version != ADDRESS_VERSION || theirs->rank != peer)
		return tt_fail(TUTTI_ERR_VERSION, peer,
		    "the shm address given for rank %d says rank %d, version %u (here: version %u)", peer,
		    theirs->rank, (unsigned)theirs->version, (unsigned)ADDRESS_VERSION);
	return TUTTI_OK;
}

static tutti_status
make_link(tutti_endpoint *endpoint, size_t index, const struct tt_shm_address *theirs)
{
	tutti_link *link;
	void *memory;

	TT_TRY(
	    tt_alloc(1, sizeof(*link) + 2 * endpoint->layout.lanes * sizeof(link->lanes[0]), "an shm link", &memory));
	link = memory;
	link->endpoint = endpoint;
	link->rank = theirs->rank;
	link->peer = tt_shm_rank_at(&endpoint->layout, endpoint->shared, index);
	link->bell = theirs->bell;
	tt_shm_link_init(link, index);
	endpoint->links[index] = link;
	return TUTTI_OK;
}

static tutti_status
shm_connect(tutti_endpoint *endpoint, int peer, const void *address, size_t bytes, tutti_link **out)
{
	const size_t index = index_of_peer(endpoint, peer);
	struct tt_shm_address theirs;

	if (endpoint->cancelled)
		return tt_fail(TUTTI_ERR_STATE, -1, "the shm endpoint of rank %d was cancelled", endpoint->rank);
	if (index == endpoint->layout.nlocal)
		return tt_fail(TUTTI_ERR_UNSUPPORTED, peer,
		    "rank %d shares no memory with rank %d: the shm transport reaches ranks of its own host only",
		    peer, endpoint->rank);
	TT_TRY(read_address(address, bytes, peer, &theirs));
	if (endpoint->links[index] == NULL)
		TT_TRY(make_link(endpoint, index, &theirs));
	*out = endpoint->links[index];
	return TUTTI_OK;
}

static tutti_status
shm_send(tutti_link *link, tutti_transfer *transfer)
{
	assert(transfer->lane < link->endpoint->layout.lanes && transfer->fold == NULL);
	return tt_shm_link_post(link, &link->lanes[transfer->lane], transfer);
}

static tutti_status
shm_recv(tutti_link *link, tutti_transfer *transfer)
{
	assert(transfer->lane < link->endpoint->layout.lanes);
	return tt_shm_link_post(link, &link->lanes[link->endpoint->layout.lanes + transfer->lane], transfer);
}

static tutti_status
shm_error(const tutti_link *link, char *message, size_t message_bytes)
{
	if (message_bytes > 0)
		snprintf(message, message_bytes, "%s", link->message);
	return link->status;
}

static int
shm_progress(tutti_endpoint *endpoint)
{
	return tt_shm_links_progress(endpoint);
}

static void
shm_cancel(tutti_endpoint *endpoint)
{
	tt_shm_links_cancel(endpoint);
	tt_shm_links_leave(endpoint, TT_SHM_CANCELLED);
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
	if (!tt_shm_links_ready(endpoint))
		return TUTTI_OK;
	shm_disarm(endpoint);
	return TUTTI_IN_PROGRESS;
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

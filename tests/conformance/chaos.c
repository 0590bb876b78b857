/* SPDX-License-Identifier: Apache-2.0
 *
 * chaos.c - the wrapper's table.
 *
 * Every taken transfer becomes an item with a transfer of its own for the inner transport: held, then posted, then
 * told. Items of one link, lane and direction are posted in their order; everything else may overtake.
 */
#include "chaos.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define HOLD_MOST 6 /* progress() calls that an item is held, or told late */

struct item {
	tutti_transfer inner;
	tutti_transfer *outer;
	struct iovec *cuts; /* owned */
	tutti_link *link;
	struct item *next; /* in the endpoint's list, oldest first */
	unsigned countdown;
	bool sends;
	enum { HELD, POSTED, TOLD } state; /* TOLD: ended, to be freed */
};

struct tutti_link {
	tutti_endpoint *endpoint;
	tutti_link *inner;
	tutti_link *next;
};

struct tutti_endpoint {
	tutti_endpoint *inner;
	tutti_link *links;
	struct item *first, **last;
	uint64_t random;
};

static struct {
	const tutti_transport *inner;
	uint64_t seed;
	tutti_transport table;
} chaos;

/* ---- chance ---- */

static uint64_t
draw(tutti_endpoint *endpoint)
{
	uint64_t x = endpoint->random;

	/* xorshift64 */
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	endpoint->random = x;
	return x >> 11;
}

/* Once in n times. */
static bool
chance(tutti_endpoint *endpoint, unsigned n)
{
	return draw(endpoint) % n == 0;
}

/* ---- items ---- */

/* Every part becomes one to three. */
static bool
cut_parts(tutti_endpoint *endpoint, struct item *item)
{
	const tutti_transfer *outer = item->outer;
	uint32_t n = 0;

	item->cuts = calloc((size_t)outer->nparts * 3, sizeof(*item->cuts));
	if (item->cuts == NULL)
		return false;
	for (uint32_t i = 0; i < outer->nparts; i++) {
		char *at = outer->parts[i].iov_base;
		size_t left = outer->parts[i].iov_len;

		for (int piece = 0; piece < 2 && left > 1 && chance(endpoint, 3); piece++) {
			const size_t now = draw(endpoint) % left;

			item->cuts[n++] = (struct iovec){at, now};
			at += now;
			left -= now;
		}
		item->cuts[n++] = (struct iovec){at, left};
	}
	item->inner.parts = item->cuts;
	item->inner.nparts = n;
	return true;
}

/* Hands a run on in two. */
static void
fold_in_two(void *context, size_t offset, const void *data, size_t bytes)
{
	const struct item *item = context;
	const tutti_transfer *outer = item->outer;
	const size_t first = bytes / 2 / outer->grain * outer->grain;

	if (first > 0)
		outer->fold(outer->fold_context, offset, data, first);
	outer->fold(outer->fold_context, offset + first, (const char *)data + first, bytes - first);
}

static tutti_status
take(tutti_link *link, tutti_transfer *transfer, bool sends)
{
	tutti_endpoint *endpoint = link->endpoint;
	const tutti_status dead = chaos.inner->error(link->inner, NULL, 0);
	struct item *item;

	if (dead != TUTTI_OK)
		return dead;
	if (chance(endpoint, 4))
		return TUTTI_IN_PROGRESS;
	item = calloc(1, sizeof(*item));
	if (item == NULL)
		return TUTTI_IN_PROGRESS;
	*item = (struct item){.inner = *transfer, .outer = transfer, .link = link, .sends = sends};
	if (transfer->fold != NULL) {
		item->inner.fold = fold_in_two;
		item->inner.fold_context = item;
	} else if (transfer->nparts > 0 && !cut_parts(endpoint, item)) {
		free(item);
		return TUTTI_IN_PROGRESS;
	}
	item->countdown = (unsigned)(draw(endpoint) % HOLD_MOST);
	transfer->status = TUTTI_IN_PROGRESS;
	*endpoint->last = item;
	endpoint->last = &item->next;
	return TUTTI_OK;
}

static void
tell(struct item *item, tutti_status status)
{
	tutti_transfer *outer = item->outer;

	memcpy(outer->peer_mark, item->inner.peer_mark, sizeof(outer->peer_mark));
	outer->peer_bytes = item->inner.peer_bytes;
	item->state = TOLD;
	outer->status = status;
}

/* Is an older item of the same lane and direction still held? */
static bool
must_wait(const tutti_endpoint *endpoint, const struct item *item)
{
	for (const struct item *older = endpoint->first; older != item; older = older->next) {
		if (older->state == HELD && older->link == item->link && older->sends == item->sends &&
		    older->inner.lane == item->inner.lane)
			return true;
	}
	return false;
}

static void
hand_on(struct item *item)
{
	tutti_status status;

	item->inner.status = TUTTI_IN_PROGRESS;
	status = item->sends ? chaos.inner->send(item->link->inner, &item->inner)
			     : chaos.inner->recv(item->link->inner, &item->inner);
	if (status == TUTTI_OK) {
		item->state = POSTED;
		item->countdown = (unsigned)(draw(item->link->endpoint) % HOLD_MOST);
	} else if (status != TUTTI_IN_PROGRESS) {
		tell(item, status);
	}
}

/* Returns 1 if the item took a step that its owner can see. */
static int
step(tutti_endpoint *endpoint, struct item *item)
{
	const bool ready = item->state == HELD ? !must_wait(endpoint, item) : item->inner.status != TUTTI_IN_PROGRESS;

	if (!ready)
		return 0;
	if (item->countdown > 0) {
		item->countdown--;
		return 0;
	}
	if (item->state == HELD)
		hand_on(item);
	else
		tell(item, item->inner.status);
	return item->state == TOLD;
}

static void
sweep(tutti_endpoint *endpoint)
{
	struct item **at = &endpoint->first;

	while (*at != NULL) {
		struct item *item = *at;

		if (item->state != TOLD) {
			at = &item->next;
			continue;
		}
		*at = item->next;
		free(item->cuts);
		free(item);
	}
	endpoint->last = at;
}

/* ---- the table ---- */

static tutti_status
chaos_probe(const tutti_environment *env, char *why, size_t why_bytes)
{
	return chaos.inner->probe(env, why, why_bytes);
}

static size_t
chaos_shared_need(const tutti_environment *env)
{
	return chaos.inner->shared_need(env);
}

static tutti_status
chaos_open(const tutti_environment *env, tutti_endpoint **out)
{
	tutti_endpoint *endpoint = calloc(1, sizeof(*endpoint));
	tutti_status status;

	if (endpoint == NULL)
		return TUTTI_ERR_NOMEM;
	endpoint->last = &endpoint->first;
	endpoint->random = (chaos.seed + 1) * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)env->rank * 7919 + 1;
	status = chaos.inner->open(env, &endpoint->inner);
	if (status != TUTTI_OK) {
		free(endpoint);
		return status;
	}
	*out = endpoint;
	return TUTTI_OK;
}

static void
chaos_close(tutti_endpoint *endpoint)
{
	if (endpoint == NULL)
		return;
	chaos.inner->close(endpoint->inner);
	for (struct item *item = endpoint->first; item != NULL; item = item->next)
		item->state = TOLD;
	sweep(endpoint);
	while (endpoint->links != NULL) {
		tutti_link *link = endpoint->links;

		endpoint->links = link->next;
		free(link);
	}
	free(endpoint);
}

static void
chaos_properties(const tutti_endpoint *endpoint, tutti_properties *properties)
{
	chaos.inner->properties(endpoint->inner, properties);
}

static tutti_status
chaos_address(tutti_endpoint *endpoint, void *address, size_t *bytes)
{
	return chaos.inner->address(endpoint->inner, address, bytes);
}

static tutti_status
chaos_connect(tutti_endpoint *endpoint, int peer, const void *address, size_t bytes, tutti_link **out)
{
	tutti_link *link = calloc(1, sizeof(*link));
	tutti_status status;

	if (link == NULL)
		return TUTTI_ERR_NOMEM;
	status = chaos.inner->connect(endpoint->inner, peer, address, bytes, &link->inner);
	if (status != TUTTI_OK) {
		free(link);
		return status;
	}
	link->endpoint = endpoint;
	link->next = endpoint->links;
	endpoint->links = link;
	*out = link;
	return TUTTI_OK;
}

static tutti_status
chaos_send(tutti_link *link, tutti_transfer *transfer)
{
	return take(link, transfer, true);
}

static tutti_status
chaos_recv(tutti_link *link, tutti_transfer *transfer)
{
	return take(link, transfer, false);
}

static int
chaos_progress(tutti_endpoint *endpoint)
{
	int moved = 0;

	for (uint64_t calls = draw(endpoint) % 4; calls > 0; calls--)
		moved += chaos.inner->progress(endpoint->inner);
	for (struct item *item = endpoint->first; item != NULL; item = item->next)
		moved += step(endpoint, item);
	sweep(endpoint);
	return moved;
}

static tutti_status
chaos_error(const tutti_link *link, char *message, size_t message_bytes)
{
	return chaos.inner->error(link->inner, message, message_bytes);
}

static void
chaos_cancel(tutti_endpoint *endpoint)
{
	chaos.inner->cancel(endpoint->inner);
	for (struct item *item = endpoint->first; item != NULL; item = item->next)
		tell(item, TUTTI_ERR_ABORTED);
	sweep(endpoint);
}

static int
chaos_wait_fd(tutti_endpoint *endpoint)
{
	return chaos.inner->wait_fd(endpoint->inner);
}

/* Nothing wakes a sleeper for what is held here. */
static tutti_status
chaos_arm(tutti_endpoint *endpoint)
{
	for (const struct item *item = endpoint->first; item != NULL; item = item->next) {
		if (item->state == HELD || item->inner.status != TUTTI_IN_PROGRESS)
			return TUTTI_IN_PROGRESS;
	}
	return chance(endpoint, 8) ? TUTTI_IN_PROGRESS : chaos.inner->arm(endpoint->inner);
}

static void
chaos_disarm(tutti_endpoint *endpoint)
{
	chaos.inner->disarm(endpoint->inner);
}

const tutti_transport *
tt_chaos(const tutti_transport *inner, uint64_t seed)
{
	chaos.inner = inner;
	chaos.seed = seed;
	chaos.table = (tutti_transport){
	    .size = sizeof(chaos.table),
	    .abi = TUTTI_TRANSPORT_ABI,
	    .name = "chaos",
	    .probe = chaos_probe,
	    .shared_need = inner->shared_need == NULL ? NULL : chaos_shared_need,
	    .open = chaos_open,
	    .close = chaos_close,
	    .properties = chaos_properties,
	    .address = chaos_address,
	    .connect = chaos_connect,
	    .send = chaos_send,
	    .recv = chaos_recv,
	    .progress = chaos_progress,
	    .error = chaos_error,
	    .cancel = chaos_cancel,
	    .wait_fd = inner->wait_fd == NULL ? NULL : chaos_wait_fd,
	    .arm = inner->arm == NULL ? NULL : chaos_arm,
	    .disarm = inner->disarm == NULL ? NULL : chaos_disarm,
	};
	return &chaos.table;
}

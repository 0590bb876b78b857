/* SPDX-License-Identifier: Apache-2.0
 *
 * endpoint.c - opening, progress, and sleeping.
 *
 * Providers make no progress by themselves, whatever they say: everything happens in progress(), which asks the
 * completion queue. Guards and callers are looked at now and then, and when this side is about to sleep.
 */
#include "fabric/endpoint.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"
#include "fabric/link.h"

#define SLOT_BYTES (sizeof(struct tt_fab_head) + 4096)
#define PIECE_BYTES (sizeof(struct tt_fab_head) + 16320) /* where messages carry everything */
#define FEW_RANKS 16 /* up to so many, lanes may hold more heads */
#define COMPLETIONS 16 /* read at once */
#define DRAINS 256
#define LOOK_NS (TT_MS / 10) /* between two looks at listeners and guards, however often or seldom somebody asks */
#define EVENTS 32
#define ACCEPTS 16
#define STRANGERS 64
#define BLOCKED_NS TT_MS /* the provider took no more: look again that soon */
#define SAFETY_NS (100 * TT_MS) /* a sleeper looks that often, whatever the provider's descriptor says */

/* ---- watching ---------------------------------------------------------------------------------------------------- */

tutti_status
tt_fab_watch_add(const tutti_endpoint *endpoint, struct tt_fab_watch *watch, uint32_t events)
{
	struct epoll_event event = {.events = events, .data = {.ptr = watch}};

	if (epoll_ctl(endpoint->epoll, EPOLL_CTL_ADD, watch->fd, &event) != 0)
		return tt_fail_errno("cannot watch a descriptor");
	return TUTTI_OK;
}

void
tt_fab_watch_change(const tutti_endpoint *endpoint, struct tt_fab_watch *watch, uint32_t events)
{
	struct epoll_event event = {.events = events, .data = {.ptr = watch}};

	/* Cannot fail for a descriptor that is watched already. */
	(void)epoll_ctl(endpoint->epoll, EPOLL_CTL_MOD, watch->fd, &event);
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static tutti_status
open_device(tutti_endpoint *endpoint, const tutti_environment *env)
{
	struct tt_fab_menu menu;
	struct tt_fab_way way;
	char why[256] = "";
	int index = 0;
	tutti_status status;

	TT_TRY(tt_fab_menu_open(env, &menu));
	way = menu.offer.ways[0];
	if (env->offers != NULL &&
	    tt_fab_offers_agree(env->offers, env->nranks, &way, why, sizeof(why)) != TUTTI_OK) {
		tt_fab_menu_close(&menu);
		return tt_fail(TUTTI_ERR_UNSUPPORTED, -1, "%s", why);
	}
	index = tt_fab_menu_find(&menu, &way);
	if (index < 0) {
		tt_fab_menu_close(&menu);
		return tt_fail(TUTTI_ERR_UNSUPPORTED, -1, "libfabric provider %s is not here any more", way.provider);
	}
	status = tt_fab_device_open(&endpoint->device, menu.info[index], &way, env->nranks);
	menu.info[index] = NULL;
	tt_fab_menu_close(&menu);
	return status;
}

static void
size_up(tutti_endpoint *endpoint)
{
	const struct tt_fab_device *device = &endpoint->device;
	const bool pieces = device->way.rung == TT_FAB_MESSAGES;
	const size_t share = device->info->rx_attr->size / (size_t)(endpoint->nranks > 1 ? endpoint->nranks - 1 : 1);

	endpoint->slot_bytes = tt_min_size(pieces ? PIECE_BYTES : SLOT_BYTES, device->most) & ~(size_t)63;
	endpoint->eager_most = endpoint->slot_bytes - sizeof(struct tt_fab_head);
	endpoint->credit = (uint32_t)tt_max_size(TT_FAB_CREDIT_LEAST, tt_min_size(TT_FAB_CREDIT, share));
	endpoint->heads = endpoint->nranks <= FEW_RANKS ? 16 : 8;
	for (uint16_t i = 1; i < TT_FAB_LANDINGS; i++)
		endpoint->landings[i].next = (uint16_t)(i + 1 < TT_FAB_LANDINGS ? i + 1 : 0);
	endpoint->landings_free = 1;
	endpoint->nlandings_free = TT_FAB_LANDINGS - 1;
	for (int i = 0; i < TT_FAB_WRITES_OUT; i++) {
		endpoint->writes[i].next = endpoint->writes_free;
		endpoint->writes_free = &endpoint->writes[i];
	}
}

static tutti_status
open_listeners(tutti_endpoint *endpoint, const tutti_environment *env)
{
	struct tt_address addresses[TT_FAB_ADDRESSES];
	tutti_status status = TUTTI_OK;
	int n = 0;

	TT_TRY(tt_interfaces(env->interfaces, addresses, TT_FAB_ADDRESSES, &n));
	for (int i = 0; i < n; i++) {
		struct tt_fab_watch *listener = &endpoint->listeners[endpoint->nlisteners];

		status = tt_listen_tcp(&addresses[i], env->port_range, &listener->fd);
		/* An address that just went away is no loss while another one works. */
		if (status != TUTTI_OK)
			continue;
		endpoint->addresses[endpoint->nlisteners++] = addresses[i];
		TT_TRY(tt_fab_watch_add(endpoint, listener, EPOLLIN));
	}
	return endpoint->nlisteners > 0 ? TUTTI_OK : status;
}

static tutti_status
open_parts(tutti_endpoint *endpoint, const tutti_environment *env)
{
	void *memory;

	TT_TRY(tt_alloc((size_t)env->nranks, 2 * sizeof(tutti_link *), "the links of a fabric endpoint", &memory));
	endpoint->links = memory;
	endpoint->live = endpoint->links + env->nranks;
	endpoint->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (endpoint->epoll < 0)
		return tt_fail_errno("cannot make an epoll descriptor");
	tt_fd_guard(endpoint->epoll);
	endpoint->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (endpoint->timer.fd < 0)
		return tt_fail_errno("cannot make a timer descriptor");
	tt_fd_guard(endpoint->timer.fd);
	TT_TRY(tt_fab_watch_add(endpoint, &endpoint->timer, EPOLLIN));
	TT_TRY(open_listeners(endpoint, env));
	TT_TRY(open_device(endpoint, env));
	size_up(endpoint);
	endpoint->queue.fd = endpoint->device.wait_fd;
	if (endpoint->queue.fd >= 0)
		TT_TRY(tt_fab_watch_add(endpoint, &endpoint->queue, EPOLLIN));
	if (endpoint->device.way.rung == TT_FAB_MESSAGES)
		return TUTTI_OK;
	TT_TRY(tt_fab_chunks_init(&endpoint->landing, &endpoint->device, FI_REMOTE_WRITE));
	return tt_fab_chunks_init(&endpoint->bounce, &endpoint->device, FI_WRITE);
}

tutti_status
tt_fab_endpoint_open(const tutti_environment *env, tutti_endpoint **endpoint)
{
	tutti_endpoint *made;
	tutti_status status;
	void *memory;

	if (env->nranks < 1 || env->nranks > UINT16_MAX || env->rank < 0 || env->rank >= env->nranks ||
	    env->lanes == 0 || env->lanes > 1024 || env->key == NULL)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "the fabric transport needs a rank of at most %d, 1 to 1024 lanes and a key", UINT16_MAX);
	TT_TRY(tt_alloc(1, sizeof(*made), "a fabric endpoint", &memory));
	made = memory;
	made->rank = env->rank;
	made->nranks = env->nranks;
	made->lanes = env->lanes;
	made->connect_timeout_ms = env->connect_timeout_ms;
	made->peer_timeout_ms = env->peer_timeout_ms;
	memcpy(made->key, env->key, sizeof(made->key));
	tt_random(made->nonce, sizeof(made->nonce));
	for (int i = 0; i < TT_FAB_ADDRESSES; i++)
		made->listeners[i] = (struct tt_fab_watch){TT_FAB_LISTENER, -1};
	made->timer = (struct tt_fab_watch){TT_FAB_TIMER, -1};
	made->queue = (struct tt_fab_watch){TT_FAB_QUEUE, -1};
	made->epoll = -1;
	status = open_parts(made, env);
	if (status != TUTTI_OK) {
		const tutti_error error = *tt_last_error();

		tt_fab_endpoint_close(made);
		return tt_fail_with(&error);
	}
	*endpoint = made;
	return TUTTI_OK;
}

tutti_status
tt_fab_endpoint_address(tutti_endpoint *endpoint, void *address, size_t *bytes)
{
	struct tt_fab_address mine = {.order = TT_FAB_ORDER,
	    .way = endpoint->device.way,
	    .libfabric = fi_version(),
	    .naddresses = (uint32_t)endpoint->nlisteners};

	if (*bytes < sizeof(mine))
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "an address of the fabric transport takes %zu bytes, not %zu",
		    sizeof(mine), *bytes);
	memcpy(mine.magic, TT_FAB_MAGIC, sizeof(mine.magic));
	memcpy(mine.nonce, endpoint->nonce, sizeof(mine.nonce));
	memcpy(mine.addresses, endpoint->addresses, sizeof(mine.addresses));
	memcpy(address, &mine, sizeof(mine));
	*bytes = sizeof(mine);
	return TUTTI_OK;
}

tutti_status
tt_fab_endpoint_link(tutti_endpoint *endpoint, int peer, tutti_link **link)
{
	if (peer < 0 || peer >= endpoint->nranks)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "rank %d is none of the %d ranks", peer, endpoint->nranks);
	if (endpoint->links[peer] == NULL) {
		TT_TRY(tt_fab_link_create(endpoint, peer, &endpoint->links[peer]));
		if (endpoint->cancelled || endpoint->stopped)
			tt_fab_link_die(endpoint->links[peer], TUTTI_ERR_ABORTED,
			    "the transfers with rank %d were cancelled by this rank", peer);
	}
	*link = endpoint->links[peer];
	return TUTTI_OK;
}

/* ---- completions ------------------------------------------------------------------------------------------------- */

static void
handle_completion(tutti_endpoint *endpoint, const struct fi_cq_data_entry *entry)
{
	struct tt_fab_op *op = entry->op_context;

	if ((entry->flags & FI_REMOTE_CQ_DATA) != 0) {
		tt_fab_landed(endpoint, (uint32_t)entry->data, false);
		return;
	}
	if (op == NULL)
		return;
	switch (op->kind) {
	case TT_FAB_OP_RECV: {
		struct tt_fab_slot *slot = (struct tt_fab_slot *)(void *)op;

		slot->busy = false;
		tt_fab_arrived(endpoint, slot, entry->len);
		break;
	}
	case TT_FAB_OP_SEND:
		tt_fab_sent((struct tt_fab_slot *)(void *)op);
		break;
	case TT_FAB_OP_WRITE:
		tt_fab_written((struct tt_fab_write *)(void *)op, true);
		break;
	}
}

/* An operation failed: that is the end of its link. Its memory is given back all the same. */
static void
handle_error(tutti_endpoint *endpoint)
{
	char room[128] = "", what[128];
	struct fi_cq_err_entry error = {.err_data_size = 0};
	struct tt_fab_op *op;
	tutti_link *link = NULL;

	if (fi_cq_readerr(endpoint->device.cq, &error, 0) != 1)
		return;
	op = error.op_context;
	if (op == NULL)
		return;
	if (op->kind == TT_FAB_OP_RECV) {
		/* A message that was too long, or none: nobody who keeps to the protocol has a part in it. */
		struct tt_fab_slot *slot = (struct tt_fab_slot *)(void *)op;

		slot->busy = false;
		tt_fab_slot_put(endpoint, slot);
		endpoint->strays++;
		return;
	}
	if (op->kind == TT_FAB_OP_SEND)
		link = ((struct tt_fab_slot *)(void *)op)->link;
	else
		link = ((struct tt_fab_write *)(void *)op)->link;
	snprintf(what, sizeof(what), "%s",
	    fi_cq_strerror(endpoint->device.cq, error.prov_errno, error.err_data, room, sizeof(room)));
	if (link == NULL)
		return;
	tt_fab_link_fail(link, "rank %d: libfabric provider %s failed to %s: %s (%s)", link->peer,
	    endpoint->device.provider, op->kind == TT_FAB_OP_SEND ? "send" : "write", fi_strerror(error.err), what);
	if (op->kind == TT_FAB_OP_SEND)
		((struct tt_fab_slot *)(void *)op)->busy = false;
	else
		tt_fab_written((struct tt_fab_write *)(void *)op, false);
}

/* Returns how many there were. wait: for a millisecond at most. */
static int
read_queue(tutti_endpoint *endpoint, bool wait)
{
	struct fi_cq_data_entry entries[COMPLETIONS];
	ssize_t n;

	if (endpoint->stopped)
		return 0;
	if (wait)
		n = fi_cq_sread(endpoint->device.cq, entries, COMPLETIONS, NULL, 1);
	else
		n = fi_cq_read(endpoint->device.cq, entries, COMPLETIONS);
	for (ssize_t i = 0; i < n && !endpoint->stopped; i++)
		handle_completion(endpoint, &entries[i]);
	if (n >= 0)
		return (int)n;
	if (n == -FI_EAVAIL) {
		handle_error(endpoint);
		return 1;
	}
	return 0;
}

void
tt_fab_endpoint_drain(tutti_endpoint *endpoint)
{
	for (int i = 0; i < DRAINS; i++)
		if (read_queue(endpoint, false) == 0)
			return;
}

void
tt_fab_endpoint_stir(tutti_endpoint *endpoint)
{
	for (int i = 0; i < endpoint->nlive; i++)
		endpoint->live[i]->dirty = true;
}

/* ---- progress ---------------------------------------------------------------------------------------------------- */

static struct tt_fab_guard *
oldest_stranger(const tutti_endpoint *endpoint)
{
	struct tt_fab_guard *oldest = endpoint->strangers;

	while (oldest != NULL && oldest->next != NULL)
		oldest = oldest->next;
	return oldest;
}

static void
accept_calls(tutti_endpoint *endpoint, const struct tt_fab_watch *listener)
{
	for (int i = 0; i < ACCEPTS; i++) {
		int fd = -1;

		if (tt_accept(listener->fd, &fd) != TUTTI_OK || fd < 0)
			return;
		if (endpoint->nstrangers >= STRANGERS)
			tt_fab_guard_drop(oldest_stranger(endpoint));
		/* Without memory the caller is turned away, and calls again. */
		(void)tt_fab_guard_accept(endpoint, fd);
	}
}

static void
clear_timer(const tutti_endpoint *endpoint)
{
	uint64_t expirations;

	(void)!read(endpoint->timer.fd, &expirations, sizeof(expirations));
}

static void
look(tutti_endpoint *endpoint)
{
	struct epoll_event events[EVENTS];
	const int n = epoll_wait(endpoint->epoll, events, EVENTS, 0);

	endpoint->look = false;
	endpoint->look_ns = tt_now_ns() + LOOK_NS;
	for (int i = 0; i < n; i++) {
		struct tt_fab_watch *watch = events[i].data.ptr;

		/* It went away while an earlier event was handled. */
		if (watch->fd < 0)
			continue;
		if (watch->kind == TT_FAB_LISTENER)
			accept_calls(endpoint, watch);
		else if (watch->kind == TT_FAB_TIMER)
			clear_timer(endpoint);
		else if (watch->kind == TT_FAB_GUARD)
			tt_fab_guard_step((struct tt_fab_guard *)(void *)watch);
	}
}

static void
end_failed(tutti_link *link)
{
	char why[sizeof(link->why)];

	memcpy(why, link->why, sizeof(why));
	tt_fab_link_die(link, TUTTI_ERR_PEER, "%s", why);
}

static void
tick(tutti_endpoint *endpoint)
{
	const int64_t now = tt_now_ns();
	struct tt_fab_guard *guard = endpoint->strangers, *next;

	for (; guard != NULL; guard = next) {
		next = guard->next;
		if (now >= guard->deadline_ns)
			tt_fab_guard_drop(guard);
	}
	for (int i = 0; i < endpoint->nranks && endpoint->ndialing > 0; i++)
		if (endpoint->links[i] != NULL)
			tt_fab_link_tick(endpoint->links[i], now);
	for (int i = endpoint->nlive - 1; i >= 0 && endpoint->nfailed > 0; i--)
		if (i < endpoint->nlive && endpoint->live[i]->failed && now >= endpoint->live[i]->failed_ns)
			end_failed(endpoint->live[i]);
}

static bool
is_restless(const tutti_endpoint *endpoint)
{
	return endpoint->ndialing > 0 || endpoint->nfailed > 0 || endpoint->strangers != NULL;
}

int
tt_fab_endpoint_progress(tutti_endpoint *endpoint)
{
	int news;

	endpoint->came = read_queue(endpoint, false);
	/* From the last to the first: a link that dies gives its place to one that had its turn. */
	for (int i = endpoint->nlive - 1; i >= 0; i--)
		if (i < endpoint->nlive && endpoint->live[i]->dirty)
			tt_fab_link_pump(endpoint->live[i]);
	if (endpoint->look || is_restless(endpoint) || tt_now_ns() >= endpoint->look_ns)
		look(endpoint);
	if (is_restless(endpoint))
		tick(endpoint);
	tt_fab_guard_sweep(endpoint);
	news = endpoint->news;
	endpoint->news = 0;
	return news;
}

/* ---- sleeping ---------------------------------------------------------------------------------------------------- */

int
tt_fab_endpoint_wait_fd(tutti_endpoint *endpoint)
{
	return endpoint->epoll;
}

static int64_t
next_timer(const tutti_endpoint *endpoint, bool blocked)
{
	int64_t next = tt_now_ns() + (blocked ? BLOCKED_NS : SAFETY_NS);

	for (const struct tt_fab_guard *guard = endpoint->strangers; guard != NULL; guard = guard->next)
		next = guard->deadline_ns < next ? guard->deadline_ns : next;
	for (int i = 0; i < endpoint->nranks && endpoint->ndialing > 0; i++) {
		const tutti_link *link = endpoint->links[i];

		if (link != NULL && link->wanted && !link->ready && link->guard == NULL && link->dial_ns < next)
			next = link->dial_ns;
	}
	return next;
}

static void
set_timer(tutti_endpoint *endpoint, int64_t at_ns)
{
	struct itimerspec when = {0};

	at_ns = at_ns < 1 ? 1 : at_ns;
	when.it_value.tv_sec = at_ns / (1000 * TT_MS);
	when.it_value.tv_nsec = at_ns % (1000 * TT_MS);
	timerfd_settime(endpoint->timer.fd, TFD_TIMER_ABSTIME, &when, NULL);
}

tutti_status
tt_fab_endpoint_arm(tutti_endpoint *endpoint)
{
	struct epoll_event event;
	bool blocked = endpoint->nfailed > 0;

	if (endpoint->news > 0)
		return TUTTI_IN_PROGRESS;
	for (int i = 0; i < endpoint->nlive; i++) {
		if (!endpoint->live[i]->dirty || endpoint->live[i]->failed)
			continue;
		if (!endpoint->live[i]->blocked)
			return TUTTI_IN_PROGRESS;
		blocked = true;
	}
	if (!endpoint->stopped) {
		struct fid *queue = &endpoint->device.cq->fid;

		if (fi_trywait(endpoint->device.fabric, &queue, 1) != FI_SUCCESS)
			return TUTTI_IN_PROGRESS;
	}
	set_timer(endpoint, next_timer(endpoint, blocked));
	if (epoll_wait(endpoint->epoll, &event, 1, 0) == 0)
		return TUTTI_OK;
	/* Some providers leave their descriptor readable when nothing is left to read, whatever fi_trywait() said;
	 * waiting inside of them clears it. */
	if (event.data.ptr == &endpoint->queue && read_queue(endpoint, true) == 0 && endpoint->news == 0 &&
	    epoll_wait(endpoint->epoll, &event, 1, 0) == 0)
		return TUTTI_OK;
	tt_fab_endpoint_disarm(endpoint);
	return TUTTI_IN_PROGRESS;
}

void
tt_fab_endpoint_disarm(tutti_endpoint *endpoint)
{
	endpoint->look = true;
}

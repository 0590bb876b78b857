/* SPDX-License-Identifier: Apache-2.0
 *
 * ending.c - how an endpoint ends: whole, because of one link; cancelled; or closed, when nothing that was sent is lost.
 *
 * The device is stopped before anything that it may touch is given back, and peers are told why before they see their
 * connections end.
 */
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/process.h"
#include "fabric/link.h"

#define LAST_READS 8 /* of an empty queue */
#define READS_MOST 8192
#define CALLS_NS (50 * TT_MS) /* for a peer that connects at this moment */
#define LEAVE_NS (1000 * TT_MS)
#define LINGER_NS (100 * TT_MS)

static void
end_registrations(tutti_endpoint *endpoint)
{
	tt_fab_registry_clear(&endpoint->registry);
	tt_fab_unregister(&endpoint->landing.mr);
	tt_fab_unregister(&endpoint->bounce.mr);
	for (struct tt_fab_slab *slab = endpoint->slabs; slab != NULL; slab = slab->next)
		tt_fab_slab_unregister(slab);
	for (int i = 0; i < endpoint->nranks && endpoint->links != NULL; i++)
		if (endpoint->links[i] != NULL)
			tt_fab_slab_unregister(&endpoint->links[i]->ring.slab);
}

static void
note_caller(const tutti_endpoint *endpoint, const struct tt_fab_slot *slot, size_t bytes)
{
	const struct tt_fab_head *head = tt_fab_head_of(slot);

	if (bytes >= sizeof(*head) && head->from < endpoint->nranks && endpoint->links[head->from] != NULL &&
	    head->token == endpoint->links[head->from]->token_in)
		endpoint->links[head->from]->heard = true;
}

/* Does a peer perhaps connect at this moment? */
static bool
is_called(const tutti_endpoint *endpoint)
{
	for (int i = 0; i < endpoint->rank && endpoint->links != NULL; i++) {
		const tutti_link *link = endpoint->links[i];
		unsigned char byte;

		/* One that has hung up does not. */
		if (link != NULL && link->greeted && !link->heard && link->guard != NULL &&
		    link->guard->watch.fd >= 0 && recv(link->guard->watch.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0)
			return true;
	}
	return false;
}

/* One completion or error less in the provider's queue? */
static bool
read_one(const tutti_endpoint *endpoint)
{
	struct fi_cq_err_entry error = {.err_data_size = 0};
	struct fi_cq_data_entry entry;
	const ssize_t n = fi_cq_read(endpoint->device.cq, &entry, 1);
	const struct tt_fab_op *op = n == 1 ? entry.op_context : NULL;

	if (op != NULL && (entry.flags & FI_REMOTE_CQ_DATA) == 0 && op->kind == TT_FAB_OP_RECV)
		note_caller(endpoint, (const struct tt_fab_slot *)(const void *)op, entry.len);
	return n > 0 || (n == -FI_EAVAIL && fi_cq_readerr(endpoint->device.cq, &error, 0) == 1);
}

/* Connections that peers have begun are taken by the provider before it is closed, else it loses their descriptors. It
 * looks after them when its queue is empty: what is in there, errors too, is read first, and is of no use any more. */
static void
take_calls(tutti_endpoint *endpoint)
{
	const int64_t deadline_ns = tt_now_ns() + CALLS_NS;
	bool doubts = false;

	/* The connection of one that has ended may end a little later than its guard. */
	for (int i = 0; i < endpoint->rank && endpoint->links != NULL; i++)
		doubts = doubts ||
			 (endpoint->links[i] != NULL && endpoint->links[i]->greeted && !endpoint->links[i]->heard);
	for (int left = LAST_READS, most = READS_MOST; left > 0 && most > 0; most--) {
		const bool found = read_one(endpoint);

		if (!found && (tt_now_ns() >= deadline_ns || !is_called(endpoint)))
			left--;
		if (!found && doubts)
			(void)poll(NULL, 0, 1);
	}
}

static void
stop_device(tutti_endpoint *endpoint)
{
	if (endpoint->stopped)
		return;
	endpoint->stopped = true;
	if (endpoint->queue.fd >= 0) {
		struct epoll_event event = {0};

		(void)epoll_ctl(endpoint->epoll, EPOLL_CTL_DEL, endpoint->queue.fd, &event);
		endpoint->queue.fd = -1;
	}
	if (endpoint->device.cq != NULL)
		take_calls(endpoint);
	/* What is bound to the endpoint goes before it, everything else after it. */
	if (endpoint->device.bind)
		end_registrations(endpoint);
	tt_fab_device_stop(&endpoint->device);
	end_registrations(endpoint);
	tt_fab_device_close(&endpoint->device);
}

void
tt_fab_endpoint_stop(tutti_endpoint *endpoint, const tutti_link *culprit)
{
	stop_device(endpoint);
	for (int i = 0; i < endpoint->nranks; i++) {
		if (endpoint->links[i] == NULL || i == endpoint->rank)
			continue;
		tt_fab_link_give_up(endpoint->links[i], culprit->peer);
		tt_fab_link_die(endpoint->links[i], TUTTI_ERR_ABORTED,
		    "the link to rank %d was given up: libfabric cannot take back the transfers of one peer alone, "
		    "and %.128s",
		    i, culprit->why);
	}
}

void
tt_fab_endpoint_cancel(tutti_endpoint *endpoint)
{
	/* Peers that call later are told so by the listeners, which stay. */
	endpoint->cancelled = true;
	stop_device(endpoint);
	for (int i = 0; i < endpoint->nranks; i++) {
		if (endpoint->links[i] == NULL)
			continue;
		tt_fab_link_give_up(endpoint->links[i], endpoint->rank);
		tt_fab_link_die(endpoint->links[i], TUTTI_ERR_ABORTED,
		    "the transfers with rank %d were cancelled by this rank", i);
	}
}

static void
close_links(tutti_endpoint *endpoint)
{
	const int64_t now = tt_now_ns();

	for (int i = 0; i < endpoint->nranks; i++)
		if (endpoint->links[i] != NULL)
			tt_fab_link_leave(endpoint->links[i], now + LEAVE_NS);
	for (int i = 0; i < endpoint->nranks; i++)
		if (endpoint->links[i] != NULL && endpoint->links[i]->guard != NULL)
			tt_fab_guard_linger(endpoint->links[i]->guard, tt_now_ns() + LINGER_NS);
	stop_device(endpoint);
	for (int i = 0; i < endpoint->nranks; i++) {
		if (endpoint->links[i] == NULL)
			continue;
		tt_fab_link_die(endpoint->links[i], TUTTI_ERR_ABORTED, "the endpoint was closed");
		tt_fab_link_destroy(endpoint->links[i]);
	}
}

void
tt_fab_endpoint_close(tutti_endpoint *endpoint)
{
	if (endpoint == NULL)
		return;
	if (endpoint->links != NULL)
		close_links(endpoint);
	stop_device(endpoint);
	while (endpoint->slabs != NULL) {
		struct tt_fab_slab *slab = endpoint->slabs;

		endpoint->slabs = slab->next;
		tt_fab_slab_fini(slab);
		tt_free(slab);
	}
	tt_fab_chunks_fini(&endpoint->landing);
	tt_fab_chunks_fini(&endpoint->bounce);
	while (endpoint->strangers != NULL)
		tt_fab_guard_drop(endpoint->strangers);
	tt_fab_guard_sweep(endpoint);
	for (int i = 0; i < endpoint->nlisteners; i++)
		tt_fd_close(endpoint->listeners[i].fd);
	tt_fd_close(endpoint->timer.fd);
	tt_fd_close(endpoint->epoll);
	tt_free(endpoint->links);
	explicit_bzero(endpoint->key, sizeof(endpoint->key));
	tt_free(endpoint);
}

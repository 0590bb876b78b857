/* SPDX-License-Identifier: Apache-2.0
 *
 * write.c - fills the windows that the peer has granted.
 *
 * A window is filled by writes of link->segment bytes, the last one shorter: the peer counts them. A write's source
 * must lie in one piece; bytes that do not are gathered in a chunk first. A send ends when its last write is
 * delivered, hence nothing of it can be lost when this side leaves.
 */
#include <string.h>

#include "base/checked.h"
#include "fabric/link.h"

#define LOCAL_LEAST ((size_t)16 << 10) /* below, copying is cheaper than registering */

/* ---- grants ------------------------------------------------------------------------------------------------------ */

static tutti_transfer *
find_send(struct tt_fab_lane *lane, uint32_t number)
{
	tutti_transfer *transfer = tt_fab_queue_find(&lane->large, number);

	if (transfer != NULL)
		return transfer;
	transfer = tt_fab_queue_find(&lane->waiting, number);
	/* A small one goes on to send its head: the peer finds out by that. */
	return transfer;
}

/* The grant meets its send: length and mark are compared. False: they differ, and the link is dead. */
static bool
meet(tutti_link *link, struct tt_fab_lane *lane, tutti_transfer *transfer, const struct tt_fab_head *head)
{
	struct tt_fab_pending *pending = tt_fab_pending_of(transfer);
	struct tt_fab_queue *queue =
	    tt_fab_queue_find(&lane->large, pending->number) == transfer ? &lane->large : &lane->waiting;

	if (!tt_fab_pending_agrees(transfer, head->size, head->mark)) {
		tt_fab_queue_drop(queue, transfer);
		tt_fab_link_differ(link, transfer);
		return false;
	}
	pending->flags |= TT_FAB_GRANTED;
	if (queue == &lane->waiting) {
		tt_fab_queue_drop(queue, transfer);
		tt_fab_queue_put(&lane->large, transfer);
	}
	return true;
}

static struct tt_fab_grant *
keep(tutti_link *link, struct tt_fab_lane *lane, uint32_t number, const struct tt_fab_window *window)
{
	struct tt_fab_grant *grant = lane->spare;

	if (grant == NULL)
		return NULL;
	lane->spare = grant->next;
	*grant = (struct tt_fab_grant){.window = *window, .number = number};
	if (lane->grants == NULL)
		lane->grants = grant;
	else
		lane->grants_last->next = grant;
	lane->grants_last = grant;
	link->ngrants++;
	return grant;
}

static void
forget(tutti_link *link, struct tt_fab_lane *lane, struct tt_fab_grant *grant)
{
	struct tt_fab_grant **at = &lane->grants, *before = NULL;

	while (*at != grant) {
		before = *at;
		at = &(*at)->next;
	}
	*at = grant->next;
	if (lane->grants_last == grant)
		lane->grants_last = before;
	grant->next = lane->spare;
	lane->spare = grant;
	link->ngrants--;
}

static bool
fault(tutti_link *link, const char *what)
{
	tt_fab_link_die(link, TUTTI_ERR_PEER, "rank %d broke the protocol: %s", link->peer, what);
	return false;
}

bool
tt_fab_lane_granted(
    tutti_link *link, struct tt_fab_lane *lane, const struct tt_fab_head *head, const unsigned char *windows)
{
	const struct tt_fab_window whole = {.bytes = head->size};
	tutti_transfer *transfer = find_send(lane, head->number);
	const bool first = transfer != NULL && (tt_fab_pending_of(transfer)->flags & TT_FAB_GRANTED) == 0;

	if (head->size <= link->endpoint->eager_most)
		return fault(link, "it granted a small message");
	if ((head->count == 0) != (link->endpoint->device.way.rung == TT_FAB_MESSAGES))
		return fault(link, "it granted a message in the wrong way");
	if (transfer != NULL && transfer->bytes <= link->endpoint->eager_most)
		return true;
	if (transfer == NULL && (int32_t)(head->number - lane->sends) < 0)
		return true; /* it was small and has gone: the peer will say so */
	if (first && !meet(link, lane, transfer, head))
		return false;
	/* Later windows must be of the same message. */
	if (transfer != NULL && (head->size != transfer->bytes || (!first && head->count == 0)))
		return fault(link, "it granted more than a message has");
	for (uint32_t i = 0; i < (head->count == 0 ? 1u : head->count); i++) {
		struct tt_fab_window window = whole;
		struct tt_fab_grant *grant;

		if (head->count > 0)
			memcpy(&window, windows + i * sizeof(window), sizeof(window));
		if (window.bytes == 0 || window.offset > head->size || window.bytes > head->size - window.offset)
			return fault(link, "it granted a window outside of its message");
		grant = keep(link, lane, head->number, &window);
		if (grant == NULL)
			return fault(link, "it granted more windows than it may");
		grant->transfer = transfer;
		if (transfer == NULL && i == 0) {
			/* For its send, which will be posted later, to compare with. */
			grant->peer_bytes = head->size;
			memcpy(grant->mark, head->mark, sizeof(grant->mark));
		} else if (transfer != NULL) {
			tt_fab_pending_of(transfer)->busy++;
		}
	}
	link->dirty = true;
	return true;
}

static struct tt_fab_grant *
first_grant(const struct tt_fab_lane *lane, uint32_t number)
{
	struct tt_fab_grant *grant = lane->grants;

	while (grant != NULL && grant->number != number)
		grant = grant->next;
	return grant;
}

void
tt_fab_lane_use_grants(tutti_link *link, struct tt_fab_lane *lane, tutti_transfer *transfer)
{
	struct tt_fab_pending *pending = tt_fab_pending_of(transfer);
	struct tt_fab_grant *grant = first_grant(lane, pending->number);

	if (grant == NULL)
		return;
	{
		struct tt_fab_head said = {.size = grant->peer_bytes};

		memcpy(said.mark, grant->mark, sizeof(said.mark));
		if (!meet(link, lane, transfer, &said))
			return;
	}
	for (; grant != NULL; grant = grant->next) {
		if (grant->number != pending->number)
			continue;
		if (grant->window.offset + grant->window.bytes > transfer->bytes) {
			(void)fault(link, "it granted more than a message has");
			return;
		}
		grant->transfer = transfer;
		pending->busy++;
	}
	link->dirty = true;
}

/* ---- writes ------------------------------------------------------------------------------------------------------ */

static void
put_write(tutti_endpoint *endpoint, struct tt_fab_write *write)
{
	if (write->range != NULL)
		tt_fab_range_put(&endpoint->device, write->range);
	if (write->chunk != NULL)
		endpoint->bounce.free[endpoint->bounce.nfree++] = write->chunk;
	write->link = NULL;
	write->next = endpoint->writes_free;
	endpoint->writes_free = write;
}

/* Where the next n bytes of the send are, in one piece; NULL: no chunk is free to gather them in. */
static unsigned char *
source_of(tutti_endpoint *endpoint, tutti_transfer *transfer, size_t n, struct tt_fab_write *write, void **desc)
{
	struct tt_fab_device *device = &endpoint->device;
	unsigned char *at = NULL;
	const size_t run = tt_fab_pending_run(transfer, &at);

	*desc = NULL;
	if (run >= n && !device->local)
		return at;
	if (run >= n && n >= LOCAL_LEAST &&
	    tt_fab_range_get(&endpoint->registry, device, at, n, FI_WRITE, &write->range) == TUTTI_OK) {
		*desc = write->range->mr.desc;
		return at;
	}
	write->range = NULL;
	if (endpoint->bounce.nfree == 0)
		return NULL;
	write->chunk = endpoint->bounce.free[--endpoint->bounce.nfree];
	*desc = endpoint->bounce.mr.desc;
	return write->chunk;
}

static ssize_t
post(struct tt_fab_write *write, const void *at, size_t n, void *desc, uint64_t offset)
{
	const tutti_link *link = write->link;
	const struct tt_fab_device *device = &link->endpoint->device;
	const struct tt_fab_window *window = &write->grant->window;
	const bool tells = device->way.rung == TT_FAB_WRITES_TELL;
	const struct iovec local = {(void *)(uintptr_t)at, n};
	const struct fi_rma_iov remote = {window->address + offset, n, window->key};
	const struct fi_msg_rma message = {.msg_iov = &local,
	    .desc = &desc,
	    .iov_count = 1,
	    .addr = link->to,
	    .rma_iov = &remote,
	    .rma_iov_count = 1,
	    .context = &write->op.context,
	    .data = window->id};

	return fi_writemsg(
	    device->ep, &message, FI_COMPLETION | FI_DELIVERY_COMPLETE | (tells ? FI_REMOTE_CQ_DATA : 0));
}

/* The next write of a window; false: not now, or the link is dead. */
static bool
write_one(tutti_link *link, struct tt_fab_lane *lane, struct tt_fab_grant *grant)
{
	tutti_endpoint *endpoint = link->endpoint;
	struct tt_fab_pending *pending = tt_fab_pending_of(grant->transfer);
	const struct tt_fab_pending before = *pending;
	const size_t n = tt_min_size(link->segment, (size_t)(grant->window.bytes - grant->done));
	struct tt_fab_write *write = endpoint->writes_free;
	unsigned char *at;
	ssize_t code;
	void *desc;

	if (write == NULL || link->writes >= TT_FAB_WRITES_EACH)
		return false;
	endpoint->writes_free = write->next;
	*write = (struct tt_fab_write){.op = {.kind = TT_FAB_OP_WRITE}, .link = link, .lane = lane, .grant = grant};
	at = source_of(endpoint, grant->transfer, n, write, &desc);
	if (at == NULL) {
		put_write(endpoint, write);
		return false;
	}
	if (write->chunk != NULL)
		tt_fab_pending_gather(grant->transfer, write->chunk, n);
	else
		tt_fab_pending_advance(grant->transfer, n);
	code = post(write, at, n, desc, grant->done);
	if (code != 0) {
		*pending = before;
		put_write(endpoint, write);
		if (code == -FI_EAGAIN)
			link->blocked = link->dirty = true;
		else
			tt_fab_link_fail(link, "rank %d: libfabric provider %s cannot write: %s", link->peer,
			    endpoint->device.provider, fi_strerror((int)-code));
		return false;
	}
	link->blocked_ns = 0;
	link->writes++;
	pending->busy++;
	grant->busy++;
	grant->done += n;
	return true;
}

/* The same without writes: the next piece goes as a message. */
static bool
send_piece(tutti_link *link, struct tt_fab_lane *lane, struct tt_fab_grant *grant)
{
	tutti_transfer *transfer = grant->transfer;
	struct tt_fab_slot *slot = tt_fab_message(link, tt_fab_lane_index(link, lane), TT_FAB_DATA);
	const size_t n = tt_min_size(
	    link->endpoint->slot_bytes - sizeof(struct tt_fab_head), (size_t)(grant->window.bytes - grant->done));

	if (slot == NULL)
		return false;
	tt_fab_head_of(slot)->number = grant->number;
	tt_fab_head_of(slot)->size = grant->done;
	tt_fab_pending_gather(transfer, slot->bytes + sizeof(struct tt_fab_head), n);
	tt_fab_pending_of(transfer)->busy++;
	grant->done += n;
	tt_fab_message_send(link, slot, n, transfer);
	return link->status == TUTTI_OK;
}

/* The window is full: the grant is over, once the peer has been told if its provider does not. */
static bool
complete(tutti_link *link, struct tt_fab_lane *lane, struct tt_fab_grant *grant)
{
	tutti_transfer *transfer = grant->transfer;

	if (link->endpoint->device.way.rung == TT_FAB_WRITES) {
		struct tt_fab_slot *slot = tt_fab_message(link, tt_fab_lane_index(link, lane), TT_FAB_DONE);

		if (slot == NULL)
			return false;
		tt_fab_head_of(slot)->number = grant->window.id;
		forget(link, lane, grant);
		tt_fab_message_send(link, slot, 0, transfer);
		return link->status == TUTTI_OK;
	}
	forget(link, lane, grant);
	tt_fab_send_step(link, transfer);
	return true;
}

static bool
is_next(const struct tt_fab_grant *grant)
{
	return grant->transfer != NULL && grant->done < grant->window.bytes &&
	       tt_fab_pending_of(grant->transfer)->given == grant->window.offset + grant->done;
}

/* True: something went out. */
static bool
advance(tutti_link *link, struct tt_fab_lane *lane)
{
	struct tt_fab_grant *grant = lane->grants, *next;

	for (; grant != NULL; grant = next) {
		next = grant->next;
		if (is_next(grant) &&
		    (link->endpoint->device.way.rung == TT_FAB_MESSAGES ? send_piece(link, lane, grant)
									: write_one(link, lane, grant))) {
			if (grant->done == grant->window.bytes && grant->busy == 0)
				(void)complete(link, lane, grant);
			return link->status == TUTTI_OK;
		}
		if (link->status != TUTTI_OK || link->blocked)
			return false;
		if (grant->transfer != NULL && grant->done == grant->window.bytes && grant->busy == 0 &&
		    !complete(link, lane, grant))
			return false;
	}
	return false;
}

void
tt_fab_link_write(tutti_link *link)
{
	bool more = true;

	while (more && link->ngrants > 0 && link->status == TUTTI_OK && !link->failed) {
		more = false;
		for (uint32_t i = 0; i < link->endpoint->lanes && link->status == TUTTI_OK; i++)
			more |= advance(link, &link->lanes[i]);
	}
}

void
tt_fab_written(struct tt_fab_write *write, bool done)
{
	tutti_link *link = write->link;
	struct tt_fab_lane *lane = write->lane;
	struct tt_fab_grant *grant = write->grant;
	tutti_transfer *transfer = grant->transfer;

	put_write(link->endpoint, write);
	link->writes--;
	link->dirty = true;
	link->warm = link->warm || done;
	grant->busy--;
	tt_fab_pending_of(transfer)->busy--;
	link->endpoint->news++;
	if (done && grant->done == grant->window.bytes && grant->busy == 0)
		(void)complete(link, lane, grant);
	/* A chunk or a place for a write is free for the others as well. */
	tt_fab_endpoint_stir(link->endpoint);
}

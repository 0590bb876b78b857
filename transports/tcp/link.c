/* SPDX-License-Identifier: Apache-2.0
 *
 * link.c - a link's life: made when the peer becomes known (or calls), dead once, for one reason.
 */
#include "tcp/link.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"
#include "tcp/blob.h"
#include "tcp/reach.h"

tutti_status
tt_tcp_link_create(tutti_endpoint *endpoint, int peer, tutti_link **link)
{
	tutti_link *made;
	tutti_status status;
	void *memory;

	TT_TRY(tt_alloc(1, sizeof(*made), "a TCP link", &memory));
	made = memory;
	for (int i = 0; i < TT_CHANNELS; i++)
		made->flows[i] = (struct tt_flow){.watch = {TT_WATCH_FLOW, -1}, .link = made, .index = i};
	made->endpoint = endpoint;
	made->peer = peer;
	made->live_index = -1;
	if (peer == endpoint->rank)
		status = tt_self_init(&made->self, endpoint->lanes);
	else
		status = tt_stream_init(&made->stream, endpoint->lanes, endpoint->scratch, endpoint->scratch_bytes);
	if (status != TUTTI_OK) {
		tt_free(made);
		return status;
	}
	*link = made;
	return TUTTI_OK;
}

void
tt_tcp_link_destroy(tutti_link *link)
{
	if (link == NULL)
		return;
	for (int i = 0; i < TT_CHANNELS; i++)
		tt_fd_close(link->flows[i].watch.fd);
	tt_stream_fini(&link->stream);
	tt_self_fini(&link->self);
	tt_free(link);
}

tutti_status
tt_tcp_link_know(tutti_link *link, const void *address, size_t bytes)
{
	if (link->known)
		return tt_fail(TUTTI_ERR_STATE, link->peer, "rank %d is connected to already", link->peer);
	if (!tt_blob_decode(address, bytes, link->nonce, link->places, &link->nplaces))
		return tt_fail(TUTTI_ERR_ARGUMENT, link->peer,
		    "%zu bytes given as the address of rank %d are not what this transport published", bytes,
		    link->peer);
	tt_places_sort(link->places, link->nplaces, link->endpoint->places, link->endpoint->nlisteners);
	link->known = true;
	return TUTTI_OK;
}

static bool
is_whole(const tutti_link *link, const tutti_transfer *transfer)
{
	size_t bytes = 0;

	if (transfer->lane >= link->endpoint->lanes || transfer->mark == NULL)
		return false;
	if (transfer->fold != NULL)
		return transfer->grain >= 1 && transfer->grain <= 8 &&
		       (transfer->grain & (transfer->grain - 1)) == 0 &&
		       (transfer->bytes & (transfer->grain - 1)) == 0;
	for (uint32_t i = 0; i < transfer->nparts; i++)
		bytes += transfer->parts[i].iov_len;
	return bytes == transfer->bytes;
}

/* TUTTI_OK: may be posted. */
static tutti_status
check_post(const tutti_link *link, const tutti_transfer *transfer)
{
	if (TT_UNLIKELY(!is_whole(link, transfer)))
		return tt_fail(TUTTI_ERR_ARGUMENT, link->peer,
		    "a transfer with rank %d is not well formed: lane, parts, length or grain", link->peer);
	return TUTTI_OK;
}

static tutti_status
refuse_post(const tutti_link *link)
{
	return tt_fail(link->status, link->peer, "%s", link->why);
}

tutti_status
tt_tcp_link_send(tutti_link *link, tutti_transfer *transfer)
{
	TT_TRY(check_post(link, transfer));
	if (TT_UNLIKELY(link->status != TUTTI_OK))
		return refuse_post(link);
	transfer->status = TUTTI_IN_PROGRESS;
	if (link->peer == link->endpoint->rank) {
		if (!tt_self_send(&link->self, transfer))
			tt_tcp_link_differ(link);
		tt_tcp_link_count(link);
		return TUTTI_OK;
	}
	tt_stream_send(&link->stream, transfer);
	if (link->live_index < 0)
		tt_tcp_link_want(link, true);
	else if (tt_stream_has_bytes_for(&link->stream, transfer))
		tt_tcp_link_write(link);
	/* else only an offer, which goes out with the next progress(), most often together with grants and other offers: to
	 * write it alone would cost both sides as much as many kilobytes do. */
	tt_tcp_link_count(link);
	return TUTTI_OK;
}

/* The peer has left, but what it had sent before is here. */
static tutti_status
recv_from_left(tutti_link *link, tutti_transfer *transfer)
{
	tt_stream_recv(&link->stream, transfer);
	if (transfer->status == TUTTI_OK)
		return TUTTI_OK;
	tt_stream_end(&link->stream, link->status);
	return refuse_post(link);
}

tutti_status
tt_tcp_link_recv(tutti_link *link, tutti_transfer *transfer)
{
	TT_TRY(check_post(link, transfer));
	if (TT_UNLIKELY(link->status != TUTTI_OK && !link->stream.left))
		return refuse_post(link);
	transfer->status = TUTTI_IN_PROGRESS;
	if (TT_UNLIKELY(link->status != TUTTI_OK))
		return recv_from_left(link, transfer);
	if (link->peer == link->endpoint->rank) {
		if (!tt_self_recv(&link->self, transfer))
			tt_tcp_link_differ(link);
		tt_tcp_link_count(link);
		return TUTTI_OK;
	}
	/* A grant that this needs goes out with the next progress(), often together with a send. */
	tt_stream_recv(&link->stream, transfer);
	if (link->live_index < 0) {
		if (!transfer->passive)
			tt_tcp_link_want(link, false);
	} else if (TT_UNLIKELY(link->stream.differs)) {
		tt_tcp_link_differ(link);
	}
	tt_tcp_link_count(link);
	return TUTTI_OK;
}

void
tt_tcp_link_count(tutti_link *link)
{
	const uint64_t moved = link->stream.moved + link->self.moved;

	link->endpoint->news += (int)(moved - link->told);
	link->told = moved;
}

tutti_status
tt_tcp_link_error(const tutti_link *link, char *message, size_t message_bytes)
{
	if (message_bytes > 0)
		snprintf(message, message_bytes, "%s", link->why);
	return link->status;
}

static void
disconnect(tutti_link *link)
{
	tutti_endpoint *endpoint = link->endpoint;
	tutti_link *last;

	if (link->live_index < 0)
		return;
	last = endpoint->live[--endpoint->nlive];
	endpoint->live[link->live_index] = last;
	last->live_index = link->live_index;
	link->live_index = -1;
	for (int i = 0; i < TT_CHANNELS; i++)
		if (link->flows[i].watch.fd >= 0)
			tt_watch_remove(endpoint, &link->flows[i].watch);
	/* If we differ, the peer may not have read yet what tells it so: closing now could take that from it. */
	if (link->status == TUTTI_ERR_MISMATCH) {
		tt_tcp_link_leave(link);
		return;
	}
	/* Nor shall the end of those that still work be all that the peer hears, before it hears what happened. */
	if (link->cut)
		return;
	/* A socket that is closed with bytes unread takes with it what it has not sent yet. */
	(void)tt_tcp_link_drain(link);
	for (int i = 0; i < TT_CHANNELS; i++) {
		tt_fd_close(link->flows[i].watch.fd);
		link->flows[i].watch.fd = -1;
	}
}

void
tt_tcp_link_die(tutti_link *link, tutti_status status, const char *format, ...)
{
	va_list arguments;

	if (link->status != TUTTI_OK)
		return;
	va_start(arguments, format);
	vsnprintf(link->why, sizeof(link->why), format, arguments);
	va_end(arguments);
	if (link->stream.differs) {
		status = TUTTI_ERR_MISMATCH;
		snprintf(link->why, sizeof(link->why),
		    "rank %d and rank %d issued different operations: their messages differ in length or mark",
		    link->endpoint->rank, link->peer);
	}
	link->status = status;
	tt_tcp_link_stop(link);
	disconnect(link);
	tt_self_end(&link->self, status);
	tt_stream_end(&link->stream, status);
	tt_tcp_link_count(link);
}

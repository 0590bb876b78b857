/* SPDX-License-Identifier: Apache-2.0
 *
 * world_link.c - a connection's handshake, its frames in and its queue out.
 */
#include "bootstrap/world_link.h"

#include <poll.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"
#include "bootstrap/bytes.h"

tutti_status
tt_link_create(int fd, bool local, bool dialed, struct tt_link **link)
{
	struct tt_link *made;
	void *memory;
	const tutti_status status = tt_alloc(1, sizeof(*made), "a connection", &memory);

	if (status != TUTTI_OK) {
		tt_fd_close(fd);
		return status;
	}
	made = memory;
	made->fd = fd;
	made->peer.local = local;
	made->dialed = dialed;
	made->descriptor_in = made->descriptor_out = -1;
	*link = made;
	return TUTTI_OK;
}

void
tt_link_close(struct tt_link *link)
{
	tt_fd_close(link->fd);
	link->fd = -1;
	tt_fd_close(link->descriptor_in);
	link->descriptor_in = -1;
	link->state = TT_LINK_CLOSED;
}

void
tt_link_destroy(struct tt_link *link)
{
	if (link == NULL)
		return;
	tt_link_close(link);
	tt_free(link->out);
	tt_free(link);
}

void
tt_link_begin(struct tt_link *link, const unsigned char key[TT_KEY_BYTES], const struct tt_hello *mine)
{
	link->state = TT_LINK_GREETING;
	tt_handshake_init(&link->greeting, link->dialed, key, mine);
}

static tutti_status
send_greeting(struct tt_link *link)
{
	for (;;) {
		size_t n, done;
		const void *bytes = tt_handshake_take(&link->greeting, &n);

		if (n == 0)
			return TUTTI_OK;
		TT_TRY(tt_write_some(link->fd, bytes, n, &done));
		if (done == 0)
			return TUTTI_IN_PROGRESS;
		tt_handshake_sent(&link->greeting, done);
	}
}

tutti_status
tt_link_greet(struct tt_link *link)
{
	for (;;) {
		unsigned char bytes[TT_HELLO_MESSAGE];
		const size_t wanted = tt_handshake_wants(&link->greeting);
		const tutti_status sent = send_greeting(link);
		tutti_status status;
		size_t done;

		if (sent != TUTTI_OK && sent != TUTTI_IN_PROGRESS)
			return sent;
		if (wanted == 0)
			break;
		TT_TRY(tt_read_some(link->fd, bytes, wanted, &done));
		if (done == 0)
			return TUTTI_IN_PROGRESS;
		status = tt_handshake_give(&link->greeting, bytes, done);
		if (status != TUTTI_OK && status != TUTTI_IN_PROGRESS)
			return status;
	}
	if (!tt_handshake_done(&link->greeting))
		return TUTTI_IN_PROGRESS;
	link->state = TT_LINK_OPEN;
	link->peer.rank = link->greeting.theirs.rank;
	return TUTTI_OK;
}

/* Room for n more bytes behind out_end. */
static tutti_status
make_room(struct tt_link *link, size_t n)
{
	size_t room = tt_max_size(link->out_room, 1024);
	void *memory;

	if (link->out_room - link->out_end >= n)
		return TUTTI_OK;
	while (room - (link->out_end - link->out_at) < n)
		room *= 2;
	TT_TRY(tt_alloc(1, room, "a connection's queue", &memory));
	if (link->out != NULL)
		memcpy(memory, link->out + link->out_at, link->out_end - link->out_at);
	tt_free(link->out);
	link->out = memory;
	link->out_room = room;
	link->out_end -= link->out_at;
	link->descriptor_at -= link->out_at;
	link->out_at = 0;
	return TUTTI_OK;
}

tutti_status
tt_link_send(struct tt_link *link, enum tt_frame type, const void *bytes, size_t n, const void *rest, size_t nrest)
{
	unsigned char *at;

	TT_TRY(make_room(link, TT_FRAME_HEAD + n + nrest));
	at = link->out + link->out_end;
	tt_put_u32(at, type);
	tt_put_u32(at + 4, (uint32_t)(n + nrest));
	if (n > 0)
		memcpy(at + TT_FRAME_HEAD, bytes, n);
	if (nrest > 0)
		memcpy(at + TT_FRAME_HEAD + n, rest, nrest);
	link->out_end += TT_FRAME_HEAD + n + nrest;
	return TUTTI_OK;
}

void
tt_link_send_descriptor(struct tt_link *link, int fd)
{
	link->descriptor_out = fd;
	link->descriptor_at = link->out_end;
}

size_t
tt_link_queued(const struct tt_link *link)
{
	return link->out_end - link->out_at;
}

bool
tt_link_wants_to_write(const struct tt_link *link)
{
	return tt_link_queued(link) > 0 || link->descriptor_out >= 0;
}

tutti_status
tt_link_flush(struct tt_link *link)
{
	while (tt_link_wants_to_write(link)) {
		const size_t end = link->descriptor_out >= 0 ? link->descriptor_at : link->out_end;
		size_t done = 0;

		if (link->out_at == end) {
			const tutti_status status = tt_send_fd(link->fd, link->descriptor_out);

			if (status != TUTTI_OK)
				return status == TUTTI_IN_PROGRESS ? TUTTI_OK : status;
			link->descriptor_out = -1;
			continue;
		}
		TT_TRY(tt_write_some(link->fd, link->out + link->out_at, end - link->out_at, &done));
		if (done == 0)
			return TUTTI_OK;
		link->out_at += done;
	}
	link->out_at = link->out_end = 0;
	return TUTTI_OK;
}

void
tt_link_part(struct tt_link *link)
{
	const int most = 256; /* reads, of a peer that does not stop talking */
	unsigned char bytes[4096];
	size_t done = 1;

	if (tt_link_flush(link) != TUTTI_OK)
		return;
	shutdown(link->fd, SHUT_WR);
	for (int i = 0; i < most && done > 0; i++)
		if (tt_read_some(link->fd, bytes, sizeof(bytes), &done) != TUTTI_OK)
			return;
}

static tutti_status
read_descriptor(struct tt_link *link, enum tt_frame *type, size_t *n)
{
	const tutti_status status = tt_recv_fd(link->fd, &link->descriptor_in);

	/* Where this process has no room for a descriptor, the connection is good all the same. */
	if (status != TUTTI_OK && status != TUTTI_ERR_SYSTEM)
		return status;
	link->expects_descriptor = false;
	*type = TT_FRAME_DESCRIPTOR;
	*n = 0;
	return TUTTI_OK;
}

/* Reads until head and body have `end` bytes together. */
static tutti_status
read_up_to(struct tt_link *link, size_t end)
{
	while (link->in < end) {
		unsigned char *at =
		    link->in < TT_FRAME_HEAD ? link->head + link->in : link->body + (link->in - TT_FRAME_HEAD);
		size_t done;

		TT_TRY(tt_read_some(link->fd, at, end - link->in, &done));
		if (done == 0)
			return TUTTI_IN_PROGRESS;
		link->in += done;
	}
	return TUTTI_OK;
}

tutti_status
tt_link_read(struct tt_link *link, enum tt_frame *type, const unsigned char **bytes, size_t *n)
{
	size_t length;

	*bytes = link->body;
	if (link->expects_descriptor)
		return read_descriptor(link, type, n);
	if (link->in < TT_FRAME_HEAD)
		TT_TRY(read_up_to(link, TT_FRAME_HEAD));
	length = tt_get_u32(link->head + 4);
	if (length > TT_FRAME_MOST)
		return tt_fail(TUTTI_ERR_PEER, link->peer.rank, "rank %d sent a frame of %zu bytes, more than it may",
		    link->peer.rank, length);
	TT_TRY(read_up_to(link, TT_FRAME_HEAD + length));
	link->in = 0;
	*type = (enum tt_frame)tt_get_u32(link->head);
	*n = length;
	return TUTTI_OK;
}

void
tt_link_expect_descriptor(struct tt_link *link)
{
	link->expects_descriptor = true;
}

short
tt_link_events(const struct tt_link *link)
{
	switch (link->state) {
	case TT_LINK_CONNECTING:
		return POLLOUT;
	case TT_LINK_GREETING:
		return (short)(POLLIN | (link->greeting.out_sent < link->greeting.out_bytes ? POLLOUT : 0));
	case TT_LINK_OPEN:
		return (short)(POLLIN | (tt_link_wants_to_write(link) ? POLLOUT : 0));
	case TT_LINK_DOOMED:
		return POLLOUT;
	default:
		return 0;
	}
}

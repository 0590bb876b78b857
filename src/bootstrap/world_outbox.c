/* SPDX-License-Identifier: Apache-2.0
 *
 * world_outbox.c - a buffer of messages behind a lock, held only to copy.
 */
#include "bootstrap/world_outbox.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "bootstrap/bytes.h"

#define MOST_BYTES ((size_t)1 << 20)
#define LEAST_ROOM 4096
#define ENTRY_HEAD 8 /* to, length */

void
tt_outbox_init(struct tt_outbox *outbox)
{
	memset(outbox, 0, sizeof(*outbox));
	pthread_mutex_init(&outbox->lock, NULL);
}

void
tt_outbox_fini(struct tt_outbox *outbox)
{
	pthread_mutex_destroy(&outbox->lock);
	tt_free(outbox->bytes);
	outbox->bytes = NULL;
}

static tutti_status
make_room(struct tt_outbox *outbox, size_t end)
{
	const size_t room = end * 2 < LEAST_ROOM ? LEAST_ROOM : end * 2;
	void *memory;

	if (end > MOST_BYTES)
		return tt_fail(TUTTI_ERR_NOMEM, -1, "%zu bytes of messages wait for the background thread: too many",
		    outbox->used);
	if (end <= outbox->room)
		return TUTTI_OK;
	TT_TRY(tt_alloc(1, room, "messages to be sent", &memory));
	if (outbox->used > 0)
		memcpy(memory, outbox->bytes, outbox->used);
	tt_free(outbox->bytes);
	outbox->bytes = memory;
	outbox->room = room;
	return TUTTI_OK;
}

tutti_status
tt_outbox_put(struct tt_outbox *outbox, int to, const void *bytes, size_t n)
{
	tutti_status status;

	pthread_mutex_lock(&outbox->lock);
	status = make_room(outbox, outbox->used + ENTRY_HEAD + n);
	if (status == TUTTI_OK) {
		unsigned char *at = outbox->bytes + outbox->used;

		tt_put_u32(at, (uint32_t)to);
		tt_put_u32(at + 4, (uint32_t)n);
		if (n > 0)
			memcpy(at + ENTRY_HEAD, bytes, n);
		outbox->used += ENTRY_HEAD + n;
	}
	pthread_mutex_unlock(&outbox->lock);
	return status;
}

void
tt_outbox_empty(
    struct tt_outbox *outbox, void (*take)(void *context, int to, const void *bytes, size_t n), void *context)
{
	unsigned char *bytes;
	size_t end;

	pthread_mutex_lock(&outbox->lock);
	bytes = outbox->bytes;
	end = outbox->used;
	outbox->bytes = NULL;
	outbox->used = outbox->room = 0;
	pthread_mutex_unlock(&outbox->lock);
	for (size_t at = 0; at < end;) {
		const int to = (int32_t)tt_get_u32(bytes + at);
		const size_t n = tt_get_u32(bytes + at + 4);

		take(context, to, bytes + at + ENTRY_HEAD, n);
		at += ENTRY_HEAD + n;
	}
	tt_free(bytes);
}

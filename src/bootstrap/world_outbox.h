/* SPDX-License-Identifier: Apache-2.0
 *
 * world_outbox.h - messages on their way from any thread to the background thread.
 */
#ifndef TT_BOOTSTRAP_WORLD_OUTBOX_H
#define TT_BOOTSTRAP_WORLD_OUTBOX_H

#include <pthread.h>
#include <stddef.h>
#include <tutti/tutti.h>

struct tt_outbox {
	pthread_mutex_t lock; /* of the others */
	unsigned char *bytes;
	size_t used, room;
};

void tt_outbox_init(struct tt_outbox *outbox);
void tt_outbox_fini(struct tt_outbox *outbox);
/* Any thread. ERR_NOMEM if too much is waiting. */
tutti_status tt_outbox_put(struct tt_outbox *outbox, int to, const void *bytes, size_t n);
/* Takes everything out, in order; `take` is called without the lock. */
void tt_outbox_empty(
    struct tt_outbox *outbox, void (*take)(void *context, int to, const void *bytes, size_t n), void *context);

#endif /* TT_BOOTSTRAP_WORLD_OUTBOX_H */

/* SPDX-License-Identifier: Apache-2.0
 *
 * doorbell.h - wakes a rank that sleeps in poll(2).
 *
 * A datagram socket per endpoint, with an abstract name that nobody outside the job can guess. The socket carries no
 * information: a datagram says "look", and looking once too often is harmless.
 *
 *     sleeper                              waker
 *     asleep = 1                           publish
 *     barrier                              barrier
 *     look again: news? then do not sleep  asleep? then take it (exchange 0) and send a datagram
 *
 * One of the two sees the other. Exchanging makes the first waker the only one that pays for a system call.
 *
 * Knows no rings and no links.
 */
#ifndef TT_SHM_DOORBELL_H
#define TT_SHM_DOORBELL_H

#include "shm/layout.h"

#define TT_SHM_NAME_BYTES 24

struct tt_shm_name {
	unsigned char bytes[TT_SHM_NAME_BYTES];
};

/* A socket under a fresh name, derived from the job's key. */
tutti_status tt_shm_doorbell_open(const unsigned char *key, int rank, int *fd, struct tt_shm_name *name);
/* If `sleeper` sleeps, wakes it through the socket called `name`. `fd` is the caller's own socket. Call it after
 * publishing. */
void tt_shm_doorbell_ring(int fd, struct tt_shm_rank *sleeper, const struct tt_shm_name *name);
/* The sleeper's steps: before the last look, and once awake. */
void tt_shm_doorbell_arm(struct tt_shm_rank *self);
void tt_shm_doorbell_disarm(int fd, struct tt_shm_rank *self);

#endif /* TT_SHM_DOORBELL_H */

/* SPDX-License-Identifier: Apache-2.0
 *
 * world_death.h - a word in the node's segment that tells at once that a rank's process is gone.
 *
 * A robust mutex, locked by the rank's background thread for its life. When the process dies, the kernel marks
 * the mutex before it frees the process's memory, while its sockets close only afterwards (about 0.1 s later per
 * GiB). Next to it: whether the rank has said goodbye, so that an orderly end is not taken for a death.
 */
#ifndef TT_BOOTSTRAP_WORLD_DEATH_H
#define TT_BOOTSTRAP_WORLD_DEATH_H

#include <pthread.h>
#include <tutti/tutti.h>

#include "base/atomics.h"
#include "base/port.h"

struct tt_death_word {
	pthread_mutex_t lock TT_ALIGNED(TT_LINE);
	tt_atomic_u32 state;
	tt_atomic_u32 revoked; /* by another rank of the node, 0 = not; what it says is the writer's business */
	tt_atomic_u32 excluded; /* the others have gone on without this rank */
};

/* By the leader, before anyone else sees it. */
tutti_status tt_death_init(struct tt_death_word *word);
/* By the owner's background thread, and by that thread again before it ends. */
void tt_death_hold(struct tt_death_word *word);
void tt_death_release(struct tt_death_word *word);
/* The owner says goodbye; before tt_death_release. Any of its threads. */
void tt_death_leave(struct tt_death_word *word);
/* One load unless the owner holds it. */
bool tt_death_is_dead(struct tt_death_word *word);
bool tt_death_has_left(const struct tt_death_word *word);

#endif /* TT_BOOTSTRAP_WORLD_DEATH_H */

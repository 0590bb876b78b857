/* SPDX-License-Identifier: Apache-2.0
 *
 * family.h - communicators that come from each other: whoever waits on one of them drives the others too, as far as
 * nobody else does. So two ranks may wait for operations of a family in different orders.
 *
 * Threads: the family's lock guards the list and is only ever tried by whoever holds a communicator's lock, and so is
 * the lock of a relative: nobody waits for a lock while holding another. Only a communicator that joins or leaves waits
 * for it.
 */
#ifndef TT_COMM_FAMILY_H
#define TT_COMM_FAMILY_H

#include <stdbool.h>

#include <tutti/tutti.h>

#include "base/atomics.h"

#define TT_FAMILY_SLEEP_MS 1 /* at most, while relatives have something to do */

struct tt_family;

/* Makes a family for a communicator that has none. ERR_NOMEM. */
tutti_status tt_family_found(tutti_comm *comm);
/* The child, which nobody knows yet, becomes a member of its parent's family. */
void tt_family_join(const tutti_comm *parent, tutti_comm *child);
/* The last one frees it. */
void tt_family_leave(tutti_comm *comm);

/* The lock of a communicator that has a family is about to be given back: are operations pending? */
void tt_family_note(tutti_comm *comm, bool busy);
/* Are operations of others in the family pending? A load if there is a family. */
bool tt_family_busy(const tutti_comm *comm);
/* Advances the pending operations of the others; the lock of `comm` is held. `now_ns` > 0: looks at their deadlines
 * and deaths too. Returns how much moved. */
int tt_family_advance(tutti_comm *comm, int64_t now_ns);

#endif /* TT_COMM_FAMILY_H */

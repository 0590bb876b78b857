/* SPDX-License-Identifier: Apache-2.0
 *
 * self.h - the link of a rank to itself: no connection, one copy.
 */
#ifndef TT_TCP_SELF_H
#define TT_TCP_SELF_H

#include <tutti/transport.h>

#include "tcp/pending.h"

struct tt_self_lane {
	struct tt_queue sends, recvs; /* one of them is empty */
};

struct tt_self {
	struct tt_self_lane *lanes; /* owned */
	uint32_t nlanes;
	uint64_t moved;
};

tutti_status tt_self_init(struct tt_self *self, uint32_t lanes);
/* Any state; pending transfers are not touched. */
void tt_self_fini(struct tt_self *self);
/* Both sides are local, hence a pair ends as soon as both are there. False: they differ, and both said so. */
bool tt_self_send(struct tt_self *self, tutti_transfer *transfer);
bool tt_self_recv(struct tt_self *self, tutti_transfer *transfer);
void tt_self_end(struct tt_self *self, tutti_status status);

#endif /* TT_TCP_SELF_H */

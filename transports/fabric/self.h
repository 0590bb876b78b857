/* SPDX-License-Identifier: Apache-2.0
 *
 * self.h - the link of a rank to itself: no fabric, one copy.
 */
#ifndef TT_FABRIC_SELF_H
#define TT_FABRIC_SELF_H

#include "fabric/pending.h"

/* What waits on a lane for its other half; one of the two is empty. */
struct tt_fab_self {
	struct tt_fab_queue sends, recvs;
};

/* A pair ends as soon as both are there. False: they differ, both said so, and the link is over. */
bool tt_fab_self_send(struct tt_fab_self *lane, tutti_transfer *transfer);
bool tt_fab_self_recv(struct tt_fab_self *lane, tutti_transfer *transfer);

#endif /* TT_FABRIC_SELF_H */

/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse.h - small all-reduces of a group that follow each other become one. See fuse.c for how ranks agree on it.
 */
#ifndef TT_COMM_FUSE_H
#define TT_COMM_FUSE_H

#include "comm/call.h"
#include "engine/portions.h"

#define TT_FUSE_MOST 255 /* members of one run: a byte of the note */

/* Room for the members of one run; taken when a group first has some that can be fused. */
struct tt_fuse {
	struct tt_portion *portions; /* owned; TT_FUSE_MOST of them */
};

/* Does an operation with this call carry a note? What all ranks say alike decides. */
bool tt_fuse_has_note(const tutti_comm *comm, const struct tt_call *call);
/* May it be one of many in a run, as far as this rank is concerned? */
bool tt_fuse_allows(const tutti_comm *comm, const struct tt_call *call, const tutti_options *options);
/* A group has been queued, from `first` on: notes what can be fused behind each of its members. The lock is held. */
void tt_fuse_note(tutti_comm *comm, tutti_request *first);
/* All ranks have said `note`: the head of the queue runs for all the members that it tells of. The lock is held. */
tutti_status tt_fuse_members(tutti_comm *comm, uint64_t note);
void tt_fuse_fini(tutti_comm *comm);

#endif /* TT_COMM_FUSE_H */

/* SPDX-License-Identifier: Apache-2.0
 *
 * self.c - matches a rank's sends to itself with its receives from itself.
 */
#include "fabric/self.h"

#include "base/checked.h"

#define RUN_BYTES 4096 /* folded at a time, where a part ends inside of an element */

/* A fold takes whole grains only, and parts may end inside of one: such places go through a small copy. */
static void
fold(tutti_transfer *send, tutti_transfer *recv)
{
	TT_ALIGNED(64) unsigned char copy[RUN_BYTES];
	size_t done = 0;

	while (done < recv->bytes) {
		unsigned char *at = NULL;
		size_t n = tt_fab_pending_run(send, &at) & ~((size_t)recv->grain - 1);

		if (n > 0) {
			recv->fold(recv->fold_context, done, at, n);
			tt_fab_pending_advance(send, n);
		} else {
			n = tt_min_size(sizeof(copy), recv->bytes - done);
			tt_fab_pending_gather(send, copy, n);
			recv->fold(recv->fold_context, done, copy, n);
		}
		done += n;
	}
}

static void
copy(tutti_transfer *send, tutti_transfer *recv)
{
	for (;;) {
		unsigned char *to = NULL;
		const size_t n = tt_fab_pending_run(recv, &to);

		if (n == 0)
			return;
		tt_fab_pending_gather(send, to, n);
		tt_fab_pending_advance(recv, n);
	}
}

static bool
meet(tutti_transfer *send, tutti_transfer *recv)
{
	tutti_status status = TUTTI_OK;

	const bool sent = tt_fab_pending_agrees(send, recv->bytes, recv->mark);

	/* Both look, so that both know what the other said. */
	if (!tt_fab_pending_agrees(recv, send->bytes, send->mark) || !sent) {
		status = TUTTI_ERR_MISMATCH;
	} else if (recv->fold != NULL) {
		fold(send, recv);
	} else {
		copy(send, recv);
	}
	send->status = status;
	recv->status = status;
	return status == TUTTI_OK;
}

bool
tt_fab_self_send(struct tt_fab_self *lane, tutti_transfer *transfer)
{
	tutti_transfer *recv = lane->recvs.first;

	if (recv == NULL) {
		tt_fab_queue_put(&lane->sends, transfer);
		return true;
	}
	tt_fab_queue_drop(&lane->recvs, recv);
	return meet(transfer, recv);
}

bool
tt_fab_self_recv(struct tt_fab_self *lane, tutti_transfer *transfer)
{
	tutti_transfer *send = lane->sends.first;

	if (send == NULL) {
		tt_fab_queue_put(&lane->recvs, transfer);
		return true;
	}
	tt_fab_queue_drop(&lane->sends, send);
	return meet(send, transfer);
}

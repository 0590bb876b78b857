/* SPDX-License-Identifier: Apache-2.0
 *
 * self.c - matching a rank's sends to itself with its receives from itself.
 */
#include "tcp/self.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"

tutti_status
tt_self_init(struct tt_self *self, uint32_t lanes)
{
	void *memory;

	TT_TRY(tt_alloc(lanes, sizeof(struct tt_self_lane), "the lanes of a rank to itself", &memory));
	self->lanes = memory;
	self->nlanes = lanes;
	return TUTTI_OK;
}

void
tt_self_fini(struct tt_self *self)
{
	tt_free(self->lanes);
	self->lanes = NULL;
	self->nlanes = 0;
}

/* A fold takes whole grains only, and parts may end inside of one. */
static void
fold_parts(const tutti_transfer *send, const tutti_transfer *recv)
{
	struct tt_cursor from = {0};
	size_t done = 0;

	while (done < recv->bytes) {
		unsigned char grain[8];
		struct iovec piece;
		size_t n;

		tt_cursor_where(send, &from, recv->bytes - done, &piece, 1);
		n = piece.iov_len & ~((size_t)recv->grain - 1);
		if (n > 0) {
			recv->fold(recv->fold_context, done, piece.iov_base, n);
			tt_cursor_advance(send, &from, n);
		} else {
			for (n = 0; n < recv->grain; n++) {
				tt_cursor_where(send, &from, 1, &piece, 1);
				memcpy(grain + n, piece.iov_base, 1);
				tt_cursor_advance(send, &from, 1);
			}
			recv->fold(recv->fold_context, done, grain, n);
		}
		done += n;
	}
}

static void
copy_parts(const tutti_transfer *send, const tutti_transfer *recv)
{
	struct tt_cursor from = {0}, to = {0};
	struct iovec piece;

	while (tt_cursor_where(send, &from, send->bytes, &piece, 1) == 1) {
		tt_cursor_scatter(recv, &to, piece.iov_base, piece.iov_len);
		tt_cursor_advance(send, &from, piece.iov_len);
	}
}

static bool
meet(struct tt_self *self, tutti_transfer *send, tutti_transfer *recv)
{
	const bool agrees = tt_pending_agrees(recv, send->bytes, send->mark);

	self->moved += 2;
	if (!agrees)
		tt_pending_agrees(send, recv->bytes, recv->mark);
	else if (recv->fold != NULL)
		fold_parts(send, recv);
	else
		copy_parts(send, recv);
	send->status = recv->status = agrees ? TUTTI_OK : TUTTI_ERR_MISMATCH;
	return agrees;
}

bool
tt_self_send(struct tt_self *self, tutti_transfer *transfer)
{
	struct tt_self_lane *lane = &self->lanes[transfer->lane];

	tt_pending_init(transfer, 0);
	if (lane->recvs.first != NULL)
		return meet(self, transfer, tt_queue_take(&lane->recvs));
	tt_queue_put(&lane->sends, transfer);
	return true;
}

bool
tt_self_recv(struct tt_self *self, tutti_transfer *transfer)
{
	struct tt_self_lane *lane = &self->lanes[transfer->lane];

	tt_pending_init(transfer, 0);
	if (lane->sends.first != NULL)
		return meet(self, tt_queue_take(&lane->sends), transfer);
	tt_queue_put(&lane->recvs, transfer);
	return true;
}

void
tt_self_end(struct tt_self *self, tutti_status status)
{
	tutti_transfer *transfer;

	for (uint32_t i = 0; i < self->nlanes; i++) {
		while ((transfer = tt_queue_take(&self->lanes[i].sends)) != NULL ||
		       (transfer = tt_queue_take(&self->lanes[i].recvs)) != NULL) {
			self->moved++;
			transfer->status = status;
		}
	}
}

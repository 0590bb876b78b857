/* SPDX-License-Identifier: Apache-2.0
 *
 * executor_messages.c - the steps that send, receive and wait.
 *
 * The rule: what a step has posted keeps its slot, and with it its transfer, until the lane has waited for all; so a
 * step that the transport has no room for is offered again from the same slot.
 *
 * Notes travel with the data: a rank says its own until a message tells it of another, then 0. What a message carries is
 * made of what has been received before it was posted, and so is its note: whoever has a result that depends on a
 * rank's contribution has heard, by the same messages, of that rank's note.
 */
#include <string.h>

#include "base/checked.h"
#include "engine/executor_parts.h"

static tutti_status
fail_at(struct tt_executor *x, tutti_status status, const struct tt_slot *slot)
{
	x->fault.status = status;
	x->fault.peer = slot->peer;
	x->fault.bytes = slot->transfer.bytes;
	x->fault.peer_bytes = slot->transfer.peer_bytes;
	memcpy(x->fault.peer_mark, slot->transfer.peer_mark, TUTTI_MARK_BYTES);
	return status;
}

static tutti_status
offer(struct tt_executor *x, struct tt_lane *lane, struct tt_slot *slot, bool receive)
{
	const tutti_status status = receive ? tt_ports_recv(x->ports, slot->peer, &slot->transfer)
					    : tt_ports_send(x->ports, slot->peer, &slot->transfer);

	lane->waiting_room = status == TUTTI_IN_PROGRESS;
	if (status != TUTTI_OK && status != TUTTI_IN_PROGRESS)
		return fail_at(x, status, slot);
	return status;
}

/* Data that arrives, with the note behind it. */
static void
fold_with_note(void *context, size_t offset, const void *data, size_t bytes)
{
	struct tt_slot *slot = context;
	const size_t end = slot->transfer.bytes - sizeof(slot->note);
	const size_t first = offset < end ? tt_min_size(bytes, end - offset) : 0;

	if (first > 0)
		tt_combine_fold(&slot->fold, offset, data, first);
	if (first < bytes)
		memcpy((unsigned char *)&slot->note + (offset + first - end), (const unsigned char *)data + first,
		    bytes - first);
}

static void
add_note(const struct tt_executor *x, struct tt_slot *slot, struct tt_pieces *pieces)
{
	slot->note = x->note;
	pieces->piece[pieces->n].iov_base = &slot->note;
	pieces->piece[pieces->n++].iov_len = sizeof(slot->note);
	slot->transfer.bytes += sizeof(slot->note);
	if (slot->transfer.fold == NULL) {
		slot->transfer.nparts = pieces->n;
		return;
	}
	slot->transfer.fold = fold_with_note;
	slot->transfer.fold_context = slot;
}

/* A message has arrived: does its sender know of another note? */
static void
hear_note(struct tt_executor *x, const struct tt_slot *slot)
{
	if (x->run.has_note && slot->receives && slot->note != x->note)
		x->note = 0;
}

/* Fills the next slot for a step that moves data. False: there is nothing to move (no elements in this slice). */
static bool
prepare(struct tt_executor *x, struct tt_lane *lane, const struct tt_step *step, int lane_index)
{
	struct tt_slot *slot = &lane->slots[lane->nposted];
	struct iovec *room = lane->pieces + (size_t)lane->nposted * 2 * x->pieces_room;
	const struct tt_span *first = tt_step_span(x, step, 0);
	struct tt_pieces pieces;
	size_t bytes;

	pieces = tt_lane_pieces(x, lane, first, room, &bytes);
	if (bytes == 0 && first->buffer != TT_TOKEN && !x->run.empty_too)
		return false;
	slot->peer = step->peer;
	slot->receives = step->kind != TT_SEND;
	slot->transfer = (tutti_transfer){.parts = pieces.piece,
	    .nparts = pieces.n,
	    .lane = x->run.first_lane + (uint32_t)lane_index,
	    .bytes = bytes,
	    .mark = x->run.mark,
	    .grain = 1,
	    .status = TUTTI_IN_PROGRESS};
	if (step->kind == TT_RECV_REDUCE) {
		slot->fold.how = tt_executor_arithmetic(&x->run, step);
		slot->fold.dst = pieces;
		slot->fold.src = tt_lane_pieces(x, lane, tt_step_span(x, step, 1), room + x->pieces_room, &bytes);
		slot->fold.message_first = (step->flags & TT_MESSAGE_FIRST) != 0;
		slot->transfer.parts = NULL;
		slot->transfer.nparts = 0;
		slot->transfer.fold = tt_combine_fold;
		slot->transfer.fold_context = &slot->fold;
		slot->transfer.grain = (uint32_t)x->run.operands.element;
		slot->transfer.any_order = 1; /* an element's place follows from the offset, whenever it comes */
	}
	if (x->run.has_note)
		add_note(x, slot, &pieces);
	return true;
}

tutti_status
tt_lane_post(struct tt_executor *x, struct tt_lane *lane, int index, const struct tt_step *step)
{
	tutti_status status;

	if (!lane->waiting_room && !prepare(x, lane, step, index))
		return TUTTI_OK;
	status = offer(x, lane, &lane->slots[lane->nposted], step->kind != TT_SEND);
	if (status == TUTTI_OK)
		lane->nposted++;
	return status;
}

tutti_status
tt_lane_wait(struct tt_executor *x, struct tt_lane *lane)
{
	while (lane->nended < lane->nposted) {
		const struct tt_slot *slot = &lane->slots[lane->nended];

		if (slot->transfer.status == TUTTI_IN_PROGRESS)
			return TUTTI_IN_PROGRESS;
		if (slot->transfer.status != TUTTI_OK)
			return fail_at(x, slot->transfer.status, slot);
		hear_note(x, slot);
		lane->nended++;
	}
	lane->nposted = lane->nended = 0;
	return TUTTI_OK;
}

/* A receive that failed must not stay unseen behind a send that cannot end. */
tutti_status
tt_lane_look_for_faults(struct tt_executor *x, const struct tt_lane *lane)
{
	for (uint32_t i = lane->nended; i < lane->nposted; i++) {
		const struct tt_slot *slot = &lane->slots[i];

		if (slot->transfer.status != TUTTI_IN_PROGRESS && slot->transfer.status != TUTTI_OK)
			return fail_at(x, slot->transfer.status, slot);
	}
	return TUTTI_IN_PROGRESS;
}

bool
tt_executor_has_messages(const struct tt_executor *x)
{
	for (int i = 0; x->running && i < x->run.window; i++)
		if (x->lanes[i].nended < x->lanes[i].nposted)
			return true;
	return false;
}

int
tt_executor_awaited(const struct tt_executor *x)
{
	int taker = -1;

	for (int i = 0; x->running && !x->stage_busy && i < x->run.window; i++) {
		const struct tt_lane *lane = &x->lanes[i];

		for (uint32_t k = lane->nended; k < lane->nposted; k++) {
			const struct tt_slot *slot = &lane->slots[k];

			if (slot->transfer.status != TUTTI_IN_PROGRESS)
				continue;
			if (slot->receives)
				return slot->peer;
			taker = slot->peer;
		}
	}
	return taker;
}

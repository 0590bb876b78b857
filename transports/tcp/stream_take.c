/* SPDX-License-Identifier: Apache-2.0
 *
 * stream_take.c - what the frames of a peer mean.
 *
 * Everything that a frame says is checked against what this side knows before it is used; a frame that fails ends
 * the link.
 */
#include "tcp/stream.h"

static bool
take_credit(struct tt_stream *stream, struct tt_lane *lane, uint32_t units_back)
{
	if (units_back - lane->units_back > lane->units_out - lane->units_back)
		return tt_stream_fault(stream, "it gave back more credit than it had given");
	lane->units_back = units_back;
	tt_stream_dispatch(stream, lane);
	return true;
}

/* A receive is waiting for this head. */
static void
meet_head(struct tt_stream *stream, struct tt_channel *channel, struct tt_lane *lane, const struct tt_frame *frame,
    uint32_t units)
{
	tutti_transfer *transfer = lane->match_next;
	const bool eager = frame->kind == TT_FRAME_EAGER;
	const bool agrees = tt_stream_match(stream, lane, frame->size, frame->mark);

	tt_stream_used(stream, lane, units);
	if (agrees)
		tt_pending_of(transfer)->flags |= TT_PENDING_OPEN;
	if (eager)
		tt_stream_expect(stream, channel, lane, agrees ? TT_INPUT_TRANSFER : TT_INPUT_DISCARD, transfer,
		    (uint32_t)frame->size);
	else if (agrees)
		tt_stream_complete(stream, lane, transfer);
}

static bool
take_head(struct tt_stream *stream, struct tt_channel *channel, struct tt_lane *lane, const struct tt_frame *frame)
{
	const bool eager = frame->kind == TT_FRAME_EAGER;
	const uint32_t bytes = eager ? (uint32_t)frame->size : 0;
	uint32_t units;

	if (frame->number != lane->heads_in)
		return tt_stream_fault(stream, "its messages are out of order");
	if (eager != (frame->size <= stream->eager_most) || frame->size > SIZE_MAX)
		return tt_stream_fault(stream, "it sent a message in the wrong way for its length");
	units = tt_aside_units(frame->kind, frame->size);
	if (units > stream->credit_units - (lane->units_in - lane->units_used))
		return tt_stream_fault(stream, "it sent more than it had credit for");
	if (!take_credit(stream, lane, frame->count))
		return false;
	lane->heads_in++;
	stream->large |= !eager;
	lane->units_in += units;
	if (lane->match_next == NULL) {
		if (!tt_aside_put(&lane->aside, frame))
			return tt_stream_fault(stream, "it sent more than there is room for");
		if (eager)
			tt_stream_expect(stream, channel, lane, TT_INPUT_ASIDE, NULL, bytes);
		return true;
	}
	meet_head(stream, channel, lane, frame, units);
	return true;
}

static bool
take_chunk(struct tt_stream *stream, struct tt_channel *channel, struct tt_lane *lane, const struct tt_frame *frame)
{
	tutti_transfer *transfer = lane->posted.first;
	struct tt_pending *pending;

	while (transfer != NULL && tt_pending_of(transfer)->number < frame->number)
		transfer = tt_pending_of(transfer)->next;
	/* Its offer may still be on the way, on another connection; but who sends it has compared it with the grant. */
	if (transfer == NULL || tt_pending_of(transfer)->number != frame->number ||
	    (tt_pending_of(transfer)->flags & TT_PENDING_GRANTED) == 0)
		return tt_stream_fault(stream, "it sent a piece of a message that was not granted");
	pending = tt_pending_of(transfer);
	if (frame->count == 0 || frame->count > TT_CHUNK_BYTES || frame->count > transfer->bytes - pending->claimed ||
	    frame->size > transfer->bytes || frame->count > transfer->bytes - frame->size)
		return tt_stream_fault(stream, "it sent a piece that does not fit its message");
	if (frame->size % 8 != 0 || (frame->count % 8 != 0 && frame->count != transfer->bytes - frame->size))
		return tt_stream_fault(stream, "it sent a piece that ends inside an element");
	/* Alone, a connection keeps the order; and where others are, what is behind cannot come again. */
	if (stream->nchannels == 1
		? frame->size != pending->done
		: transfer->fold != NULL && transfer->any_order == 0 && frame->size < pending->done)
		return tt_stream_fault(stream, "it sent a piece that does not fit its message");
	pending->claimed += frame->count;
	tt_stream_expect_chunk(stream, channel, lane, transfer, (size_t)frame->size, frame->count);
	return true;
}

static tutti_transfer *
find_offered(const struct tt_lane *lane, uint64_t number)
{
	tutti_transfer *transfer = lane->offered.first;

	while (transfer != NULL && tt_pending_of(transfer)->number != number)
		transfer = tt_pending_of(transfer)->next;
	return transfer;
}

static bool
take_grant(struct tt_stream *stream, struct tt_lane *lane, const struct tt_frame *frame)
{
	tutti_transfer *transfer;

	if (frame->size <= stream->eager_most)
		return tt_stream_fault(stream, "it granted a small message");
	if (frame->number < lane->heads_out) {
		/* None: the message was small, and its head tells the other side so. */
		transfer = find_offered(lane, frame->number);
		if (transfer != NULL)
			tt_stream_granted(stream, lane, transfer, frame);
		return true;
	}
	if (lane->ngrants == TT_GRANTS)
		return tt_stream_fault(stream, "it granted more messages than it may");
	if (lane->ngrants > 0 && lane->grants[lane->ngrants - 1].number >= frame->number)
		return tt_stream_fault(stream, "its grants are out of order");
	lane->grants[lane->ngrants++] = *frame;
	return true;
}

static bool
take_refusal(struct tt_stream *stream, struct tt_lane *lane, const struct tt_frame *frame)
{
	struct tt_output *out = &stream->first.out;
	tutti_transfer *transfer = find_offered(lane, frame->number);

	if (frame->number >= lane->heads_out)
		return tt_stream_fault(stream, "it refused a message that was never sent");
	stream->differs = true;
	if (transfer != NULL && tt_pending_agrees(transfer, frame->size, frame->mark))
		return tt_stream_fault(stream, "it refused a message that is the same on both sides");
	/* Small ones may be known to differ before they are out. */
	for (int i = out->end; i <= out->nends && transfer == NULL; i++) {
		tutti_transfer *begun = i < out->nends ? out->ends[i].transfer : out->open;

		if (begun != NULL && &stream->lanes[begun->lane] == lane &&
		    tt_pending_of(begun)->number == frame->number)
			tt_pending_agrees(begun, frame->size, frame->mark);
	}
	stream->refused = true;
	return true;
}

bool
tt_stream_take(struct tt_stream *stream, struct tt_channel *channel, const struct tt_frame *frame)
{
	struct tt_lane *lane;

	channel->in.unanswered++;
	if (frame->kind == TT_FRAME_GOODBYE) {
		tt_stream_over(stream, channel);
		return true;
	}
	if (frame->lane >= stream->nlanes)
		return tt_stream_fault(stream, "it used a lane that does not exist");
	lane = &stream->lanes[frame->lane];
	if (frame->kind == TT_FRAME_CHUNK)
		return take_chunk(stream, channel, lane, frame);
	if (channel != &stream->first)
		return tt_stream_fault(stream, "it sent something else on a connection for pieces of messages");
	switch (frame->kind) {
	case TT_FRAME_EAGER:
	case TT_FRAME_OFFER:
		return take_head(stream, channel, lane, frame);
	case TT_FRAME_GRANT:
		return take_grant(stream, lane, frame);
	case TT_FRAME_REFUSE:
		return take_refusal(stream, lane, frame);
	case TT_FRAME_CREDIT:
		return take_credit(stream, lane, frame->count);
	default:
		return tt_stream_fault(stream, "it began again in the middle of a connection");
	}
}

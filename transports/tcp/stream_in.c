/* SPDX-License-Identifier: Apache-2.0
 *
 * stream_in.c - what a stream reads.
 *
 * Bytes come either into the stage, where frames are parsed, or, when the bytes of a message are due, straight to
 * where they belong, with the stage behind them for the next frame. Everything that a frame says is checked against
 * what this side knows before it is used; a frame that fails ends the link.
 */
#include "tcp/stream.h"

#include <string.h>

#include "base/checked.h"

#define BULK_BYTES ((size_t)16 << 10) /* of a message still to come: the stage then takes one more head only */

static bool
fault(struct tt_stream *stream, const char *what)
{
	stream->fault = what;
	return false;
}

int
tt_stream_input(struct tt_stream *stream, struct iovec pieces[TT_INPUT_PIECES])
{
	struct tt_input *in = &stream->in;
	size_t room;
	int n = 0;

	in->direct_bytes = 0;
	if (stream->differs) {
		/* Read on, so that the peer is not held up, but nobody needs it. */
		pieces[0] = (struct iovec){in->stage, sizeof(in->stage)};
		return 1;
	}
	if (in->left > 0 && in->target == TT_INPUT_ASIDE) {
		n = tt_aside_where(&in->lane->aside, pieces);
	} else if (in->left > 0 && in->target == TT_INPUT_TRANSFER && in->transfer->fold == NULL) {
		n = tt_pending_where(in->transfer, in->left, pieces, TT_INPUT_PIECES - 1);
	} else if (in->left > 0 && in->target == TT_INPUT_TRANSFER) {
		memcpy(stream->scratch, in->tail, in->tail_bytes);
		pieces[n++] = (struct iovec){
		    stream->scratch + in->tail_bytes, tt_min_size(in->left, stream->scratch_bytes - in->tail_bytes)};
	}
	for (int i = 0; i < n; i++)
		in->direct_bytes += pieces[i].iov_len;
	if (n > 0 && in->direct_bytes < in->left)
		return n;
	if (in->stage_first > 0)
		memmove(in->stage, in->stage + in->stage_first, in->stage_last - in->stage_first);
	in->stage_last -= in->stage_first;
	in->stage_first = 0;
	room = sizeof(in->stage) - in->stage_last;
	if (in->direct_bytes >= BULK_BYTES)
		room = tt_min_size(room, TT_FRAME_LONG);
	pieces[n++] = (struct iovec){in->stage + in->stage_last, room};
	return n;
}

/* Bytes for a fold, from anywhere and of any number: what does not fill a grain waits for the rest of it. */
static void
fold_bytes(struct tt_stream *stream, tutti_transfer *transfer, const unsigned char *bytes, size_t n)
{
	struct tt_input *in = &stream->in;
	size_t whole;

	while (in->tail_bytes > 0 && n > 0) {
		in->tail[in->tail_bytes++] = *bytes++;
		n--;
		if (in->tail_bytes == transfer->grain) {
			tt_stream_deliver(stream, transfer, in->tail, in->tail_bytes);
			in->tail_bytes = 0;
		}
	}
	whole = n & ~((size_t)transfer->grain - 1);
	tt_stream_deliver(stream, transfer, bytes, whole);
	/* Whole grains came first, so a tail can only be left where none was. */
	if (n > whole) {
		memcpy(in->tail, bytes + whole, n - whole);
		in->tail_bytes = (uint32_t)(n - whole);
	}
}

/* The frame's last byte has been taken. */
static void
end_frame(struct tt_stream *stream)
{
	struct tt_input *in = &stream->in;

	if (in->target == TT_INPUT_ASIDE)
		tt_stream_settle(stream, in->lane);
	else if (in->target == TT_INPUT_TRANSFER && tt_pending_of(in->transfer)->done == in->transfer->bytes)
		tt_stream_received(stream, in->lane, in->transfer);
}

static void
take_staged(struct tt_stream *stream, const unsigned char *bytes, size_t n)
{
	struct tt_input *in = &stream->in;

	if (in->target == TT_INPUT_TRANSFER && in->transfer->fold != NULL) {
		fold_bytes(stream, in->transfer, bytes, n);
	} else if (in->target == TT_INPUT_TRANSFER) {
		tt_pending_scatter(in->transfer, bytes, n);
	} else if (in->target == TT_INPUT_ASIDE) {
		struct iovec pieces[2];
		const int npieces = tt_aside_where(&in->lane->aside, pieces);
		size_t left = n;

		for (int i = 0; i < npieces && left > 0; i++) {
			const size_t part = tt_min_size(left, pieces[i].iov_len);

			memcpy(pieces[i].iov_base, bytes, part);
			bytes += part;
			left -= part;
		}
		tt_aside_filled(&in->lane->aside, n);
	}
	in->left -= (uint32_t)n;
	if (in->left == 0)
		end_frame(stream);
}

static void
take_direct(struct tt_stream *stream, size_t n)
{
	struct tt_input *in = &stream->in;

	if (in->target == TT_INPUT_ASIDE) {
		tt_aside_filled(&in->lane->aside, n);
	} else if (in->transfer->fold == NULL) {
		tt_pending_advance(in->transfer, n);
	} else {
		/* The tail was copied in front of them. */
		const size_t bytes = in->tail_bytes + n;

		in->tail_bytes = 0;
		fold_bytes(stream, in->transfer, stream->scratch, bytes);
	}
	in->left -= (uint32_t)n;
	if (in->left == 0)
		end_frame(stream);
}

/* Bytes follow the frame. */
static void
expect(struct tt_stream *stream, struct tt_lane *lane, enum tt_input_target target, tutti_transfer *transfer,
    uint32_t bytes)
{
	struct tt_input *in = &stream->in;

	in->lane = lane;
	in->target = target;
	in->transfer = transfer;
	in->left = bytes;
	in->tail_bytes = 0;
	if (bytes == 0)
		end_frame(stream);
}

static bool
take_credit(struct tt_stream *stream, struct tt_lane *lane, uint32_t units_back)
{
	if (units_back - lane->units_back > lane->units_out - lane->units_back)
		return fault(stream, "it gave back more credit than it had given");
	lane->units_back = units_back;
	tt_stream_dispatch(stream, lane);
	return true;
}

static bool
take_head(struct tt_stream *stream, struct tt_lane *lane, const struct tt_frame *frame)
{
	const bool eager = frame->kind == TT_FRAME_EAGER;
	const uint32_t bytes = eager ? (uint32_t)frame->size : 0;
	uint32_t units;

	if (frame->number != lane->heads_in)
		return fault(stream, "its messages are out of order");
	if (eager != (frame->size <= stream->eager_most) || frame->size > SIZE_MAX)
		return fault(stream, "it sent a message in the wrong way for its length");
	units = tt_aside_units(frame->kind, frame->size);
	if (units > stream->credit_units - (lane->units_in - lane->units_used))
		return fault(stream, "it sent more than it had credit for");
	if (!take_credit(stream, lane, frame->count))
		return false;
	lane->heads_in++;
	lane->units_in += units;
	if (lane->match_next == NULL) {
		if (!tt_aside_put(&lane->aside, frame))
			return fault(stream, "it sent more than there is room for");
		if (eager)
			expect(stream, lane, TT_INPUT_ASIDE, NULL, bytes);
		return true;
	}
	{
		tutti_transfer *transfer = lane->match_next;
		const bool agrees = tt_stream_match(stream, lane, frame->size, frame->mark);

		tt_stream_used(stream, lane, units);
		if (eager)
			expect(stream, lane, agrees ? TT_INPUT_TRANSFER : TT_INPUT_DISCARD, transfer, bytes);
		else if (agrees)
			tt_pending_of(transfer)->flags |= TT_PENDING_OPEN;
	}
	return true;
}

static bool
take_chunk(struct tt_stream *stream, struct tt_lane *lane, const struct tt_frame *frame)
{
	const uint32_t ready = TT_PENDING_OPEN | TT_PENDING_GRANTED;
	tutti_transfer *transfer = lane->posted.first;
	const struct tt_pending *pending;

	while (transfer != NULL && tt_pending_of(transfer)->number < frame->number)
		transfer = tt_pending_of(transfer)->next;
	if (transfer == NULL || tt_pending_of(transfer)->number != frame->number ||
	    (tt_pending_of(transfer)->flags & ready) != ready)
		return fault(stream, "it sent a piece of a message that was not granted");
	pending = tt_pending_of(transfer);
	/* One connection keeps the order, so a piece can only be the next. */
	if (frame->size != pending->done || frame->count == 0 || frame->count > TT_CHUNK_BYTES ||
	    frame->count > transfer->bytes - pending->done)
		return fault(stream, "it sent a piece that does not fit its message");
	if (frame->count % 8 != 0 && frame->count != transfer->bytes - pending->done)
		return fault(stream, "it sent a piece that ends inside an element");
	expect(stream, lane, TT_INPUT_TRANSFER, transfer, frame->count);
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
		return fault(stream, "it granted a small message");
	if (frame->number < lane->heads_out) {
		/* None: the message was small, and its head tells the other side so. */
		transfer = find_offered(lane, frame->number);
		if (transfer != NULL)
			tt_stream_granted(stream, lane, transfer, frame);
		return true;
	}
	if (lane->ngrants == TT_GRANTS)
		return fault(stream, "it granted more messages than it may");
	if (lane->ngrants > 0 && lane->grants[lane->ngrants - 1].number >= frame->number)
		return fault(stream, "its grants are out of order");
	lane->grants[lane->ngrants++] = *frame;
	return true;
}

static bool
take_refusal(struct tt_stream *stream, struct tt_lane *lane, const struct tt_frame *frame)
{
	struct tt_output *out = &stream->out;
	tutti_transfer *transfer = find_offered(lane, frame->number);

	if (frame->number >= lane->heads_out)
		return fault(stream, "it refused a message that was never sent");
	stream->differs = true;
	if (transfer != NULL && tt_pending_agrees(transfer, frame->size, frame->mark))
		return fault(stream, "it refused a message that is the same on both sides");
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

static bool
take_frame(struct tt_stream *stream, const struct tt_frame *frame)
{
	struct tt_lane *lane;

	if (frame->kind == TT_FRAME_GOODBYE) {
		stream->left = true;
		return true;
	}
	if (frame->lane >= stream->nlanes)
		return fault(stream, "it used a lane that does not exist");
	lane = &stream->lanes[frame->lane];
	switch (frame->kind) {
	case TT_FRAME_EAGER:
	case TT_FRAME_OFFER:
		return take_head(stream, lane, frame);
	case TT_FRAME_CHUNK:
		return take_chunk(stream, lane, frame);
	case TT_FRAME_GRANT:
		return take_grant(stream, lane, frame);
	case TT_FRAME_REFUSE:
		return take_refusal(stream, lane, frame);
	case TT_FRAME_CREDIT:
		return take_credit(stream, lane, frame->count);
	default:
		return fault(stream, "it began again in the middle of a connection");
	}
}

static bool
parse(struct tt_stream *stream)
{
	struct tt_input *in = &stream->in;
	struct tt_frame frame;

	while (in->stage_first < in->stage_last && !stream->left && !stream->differs) {
		const unsigned char *at = in->stage + in->stage_first;
		const size_t here = in->stage_last - in->stage_first;
		size_t n;

		if (in->left > 0) {
			n = tt_min_size(in->left, here);
			in->stage_first += n;
			take_staged(stream, at, n);
			continue;
		}
		n = tt_frame_bytes(at[0]);
		if (n > here)
			break;
		if (n == 0 || !tt_frame_decode(at, &frame))
			return fault(stream, "a header is damaged");
		in->stage_first += n;
		if (!take_frame(stream, &frame))
			return false;
	}
	return true;
}

bool
tt_stream_read(struct tt_stream *stream, size_t n)
{
	const size_t direct = tt_min_size(n, stream->in.direct_bytes);

	stream->moved += n > 0;
	if (stream->differs)
		return true;
	stream->in.stage_last += n - direct;
	if (direct > 0)
		take_direct(stream, direct);
	return parse(stream);
}

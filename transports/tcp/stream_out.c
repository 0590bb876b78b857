/* SPDX-License-Identifier: Apache-2.0
 *
 * stream_out.c - what a stream writes: batches of frames.
 *
 * A batch is made when the one before it is out. It holds control frames first, then turns of the sends that are
 * ready: a head, or one chunk, each; so lanes share the connection fairly and a small message waits for one batch at
 * most. A send ends when its last byte was written, not earlier.
 */
#include "tcp/stream.h"

#include <string.h>

#include "base/checked.h"

#define CHUNK_GRAIN 4096
#define CHUNK_LEAST ((size_t)16 << 10)
#define MIDDLING_BYTES 384 /* and more, of a message: see add_nothing() .. */
#define MIDDLING_MOST 8 /* .. after so many, what they cost is as much as the padding does */
#define PADDING_BYTES ((size_t)32 << 10) /* one segment within a host */

/* Own bytes: copied, so that they outlive whatever they describe. */
static void
add_text(struct tt_output *out, const void *bytes, size_t n)
{
	unsigned char *at = out->text + out->text_bytes;
	struct iovec *last = out->npieces > 0 ? &out->pieces[out->npieces - 1] : NULL;

	memcpy(at, bytes, n);
	out->text_bytes += n;
	out->bytes += n;
	out->planned += n;
	if (last != NULL && (unsigned char *)last->iov_base + last->iov_len == at)
		last->iov_len += n;
	else
		out->pieces[out->npieces++] = (struct iovec){at, n};
}

static void
add_frame(struct tt_output *out, const struct tt_frame *frame)
{
	unsigned char bytes[TT_FRAME_LONG];

	add_text(out, bytes, tt_frame_encode(frame, bytes));
	out->frames++;
}

static void
add_inline(struct tt_output *out)
{
	struct iovec piece;

	while (out->open_left > 0 && tt_cursor_where(out->open, &out->open_at, out->open_left, &piece, 1) == 1) {
		add_text(out, piece.iov_base, piece.iov_len);
		tt_cursor_advance(out->open, &out->open_at, piece.iov_len);
		out->open_left -= piece.iov_len;
	}
}

static void
add_pieces(struct tt_output *out)
{
	const int n = tt_cursor_where(
	    out->open, &out->open_at, out->open_left, &out->pieces[out->npieces], TT_BATCH_PIECES - out->npieces);
	size_t bytes = 0;

	for (int i = 0; i < n; i++)
		bytes += out->pieces[out->npieces + i].iov_len;
	tt_cursor_advance(out->open, &out->open_at, bytes);
	out->npieces += n;
	out->bytes += bytes;
	out->planned += bytes;
	out->open_left -= bytes;
}

/* The open frame's bytes that are about to be gathered, all or as many as there is room for. */
static void
sum_open(struct tt_output *out, size_t bytes)
{
	struct tt_cursor at = out->open_at;
	struct iovec piece;

	while (bytes > 0 && tt_cursor_where(out->open, &at, bytes, &piece, 1) == 1) {
		tt_sum_add(&out->sum, piece.iov_base, piece.iov_len);
		tt_cursor_advance(out->open, &at, piece.iov_len);
		bytes -= piece.iov_len;
	}
}

static void
add_sum(struct tt_output *out)
{
	unsigned char sum[TT_SUM_BYTES];

	tt_sum_end(&out->sum, sum);
	add_text(out, sum, sizeof(sum));
}

/* Bytes of the frame that is open, as many as the batch can take. */
static void
add_payload(struct tt_stream *stream, struct tt_output *out)
{
	const struct tt_cursor from = out->open_at;
	const size_t before = out->open_left;

	if (before <= TT_INLINE_BYTES && sizeof(out->text) - out->text_bytes >= before + TT_SUM_BYTES)
		add_inline(out);
	else
		add_pieces(out);
	if (stream->sums && before > 0) {
		const struct tt_cursor to = out->open_at;

		out->open_at = from;
		sum_open(out, before - out->open_left);
		out->open_at = to;
	}
	if (out->open_left > 0)
		return;
	if (stream->sums && before > 0)
		add_sum(out);
	out->ends[out->nends++] = (struct tt_batch_end){out->open, out->planned};
	out->open = NULL;
}

static void
begin_payload(struct tt_stream *stream, struct tt_output *out, tutti_transfer *transfer, size_t bytes)
{
	tt_pending_of(transfer)->frames++;
	out->open = transfer;
	out->open_left = bytes;
	out->open_at = tt_pending_begin(transfer, bytes);
	if (stream->sums)
		tt_sum_init(&out->sum);
	add_payload(stream, out);
}

/* The grant that came before the message with this number, if one did. */
static bool
take_grant(struct tt_lane *lane, uint64_t number, struct tt_frame *grant)
{
	if (lane->ngrants == 0 || lane->grants[0].number != number)
		return false;
	*grant = lane->grants[0];
	lane->ngrants--;
	memmove(&lane->grants[0], &lane->grants[1], lane->ngrants * sizeof(lane->grants[0]));
	return true;
}

static void
write_head(struct tt_stream *stream, struct tt_lane *lane, tutti_transfer *transfer, enum tt_frame_kind kind)
{
	struct tt_frame frame = {.kind = kind, .lane = transfer->lane, .size = transfer->bytes};

	frame.number = tt_pending_of(transfer)->number;
	frame.count = lane->units_told = lane->units_used;
	memcpy(frame.mark, transfer->mark, sizeof(frame.mark));
	lane->heads_out++;
	add_frame(&stream->first.out, &frame);
}

static void
write_eager(struct tt_stream *stream, struct tt_lane *lane, tutti_transfer *transfer)
{
	struct tt_frame grant;

	/* A grant for a small message: the other side expects a large one. It finds out by the head. */
	take_grant(lane, tt_pending_of(transfer)->number, &grant);
	write_head(stream, lane, transfer, TT_FRAME_EAGER);
	stream->middling += transfer->bytes >= MIDDLING_BYTES;
	begin_payload(stream, &stream->first.out, transfer, transfer->bytes);
}

static void
write_offer(struct tt_stream *stream, struct tt_lane *lane, tutti_transfer *transfer)
{
	struct tt_frame grant;

	write_head(stream, lane, transfer, TT_FRAME_OFFER);
	stream->large = true;
	tt_queue_put(&lane->offered, transfer);
	if (take_grant(lane, tt_pending_of(transfer)->number, &grant))
		tt_stream_granted(stream, lane, transfer, &grant);
}

/* Chunks get smaller when little is left to send, so that all channels come to an end together. */
static size_t
chunk_bytes(const struct tt_stream *stream, const struct tt_channel *channel)
{
	uint64_t all = 0, fair;

	if (stream->ncarriers < 2)
		return channel->chunk_bytes;
	for (int i = 1; i < stream->nchannels; i++)
		if (stream->channels[i] != NULL && !stream->channels[i]->over)
			all += stream->channels[i]->chunk_bytes;
	fair = stream->bulk_bytes * channel->chunk_bytes / (2 * all) & ~(uint64_t)(CHUNK_GRAIN - 1);
	if (fair >= channel->chunk_bytes)
		return channel->chunk_bytes;
	return tt_min_size(channel->chunk_bytes, tt_max_size(fair, CHUNK_LEAST));
}

static void
write_chunk(struct tt_stream *stream, struct tt_channel *channel)
{
	tutti_transfer *transfer = tt_queue_take(&stream->bulk);
	const struct tt_pending *pending = tt_pending_of(transfer);
	const size_t bytes = tt_min_size(chunk_bytes(stream, channel), transfer->bytes - pending->done);
	const struct tt_frame frame = {.kind = TT_FRAME_CHUNK,
	    .lane = transfer->lane,
	    .number = pending->number,
	    .size = pending->done,
	    .count = (uint32_t)bytes};

	stream->bulk_bytes -= bytes;
	add_frame(&channel->out, &frame);
	begin_payload(stream, &channel->out, transfer, bytes);
	if (pending->done < transfer->bytes)
		tt_queue_put(&stream->bulk, transfer);
}

static void
write_head_of(struct tt_stream *stream, tutti_transfer *transfer)
{
	struct tt_lane *lane = &stream->lanes[transfer->lane];

	if (transfer->bytes <= stream->eager_most)
		write_eager(stream, lane, transfer);
	else
		write_offer(stream, lane, transfer);
}

static void
write_grant(struct tt_stream *stream, struct tt_lane *lane)
{
	tutti_transfer *transfer = lane->grant_next;
	struct tt_pending *pending = tt_pending_of(transfer);
	struct tt_frame frame = {.kind = TT_FRAME_GRANT, .lane = transfer->lane, .size = transfer->bytes};

	frame.number = pending->number;
	memcpy(frame.mark, transfer->mark, sizeof(frame.mark));
	pending->flags |= TT_PENDING_GRANTED;
	lane->granted++;
	stream->granted++;
	stream->large = true;
	tt_lane_next_grant(lane, stream->eager_most);
	add_frame(&stream->first.out, &frame);
}

static void
write_credit(struct tt_stream *stream, struct tt_lane *lane)
{
	const struct tt_frame frame = {
	    .kind = TT_FRAME_CREDIT, .lane = (uint32_t)(lane - stream->lanes), .count = lane->units_used};

	lane->units_told = lane->units_used;
	add_frame(&stream->first.out, &frame);
}

static void
write_refusals(struct tt_stream *stream)
{
	while (stream->first.out.frames < TT_BATCH_FRAMES && stream->refusing.first != NULL) {
		tutti_transfer *transfer = tt_queue_take(&stream->refusing);
		struct tt_frame frame = {.kind = TT_FRAME_REFUSE, .lane = transfer->lane, .size = transfer->bytes};

		frame.number = tt_pending_of(transfer)->number;
		memcpy(frame.mark, transfer->mark, sizeof(frame.mark));
		add_frame(&stream->first.out, &frame);
		tt_stream_finish(stream, transfer, TUTTI_ERR_MISMATCH);
	}
}

static void
write_control(struct tt_stream *stream)
{
	struct tt_lane *lane;

	while (stream->first.out.frames < TT_BATCH_FRAMES && (lane = stream->control_first) != NULL) {
		if (lane->grant_next != NULL && lane->granted < TT_GRANTS) {
			write_grant(stream, lane);
			continue;
		}
		if (lane->units_used - lane->units_told >= stream->credit_units / 2)
			write_credit(stream, lane);
		lane->in_control = false;
		stream->control_first = lane->control_next;
		if (stream->control_first == NULL)
			stream->control_last = NULL;
	}
}

static void
write_goodbye(struct tt_output *out)
{
	const struct tt_frame frame = {.kind = TT_FRAME_GOODBYE};

	if (out->goodbye || out->frames == TT_BATCH_FRAMES)
		return;
	out->goodbye = true;
	add_frame(out, &frame);
}

/* Heads and chunks in turn, where a channel carries both. */
static void
write_messages(struct tt_stream *stream, int index, size_t most)
{
	struct tt_channel *channel = stream->channels[index];
	struct tt_output *out = &channel->out;
	const bool carries = tt_stream_carries(stream, index);
	bool head = true;

	while (out->open == NULL && out->frames < TT_BATCH_FRAMES && out->npieces < TT_BATCH_PIECES - 1 &&
	       out->bytes < most && !stream->differs) {
		const bool heads = index == 0 && stream->ready.first != NULL;
		const bool chunks = carries && stream->bulk.first != NULL;

		if (heads && (head || !chunks))
			write_head_of(stream, tt_queue_take(&stream->ready));
		else if (chunks)
			write_chunk(stream, channel);
		else
			return;
		head = !head;
	}
}

static void
fill_batch(struct tt_stream *stream, int index)
{
	struct tt_output *out = &stream->channels[index]->out;

	if (out->open != NULL)
		add_payload(stream, out);
	/* Nothing may come between the bytes of a frame. */
	if (out->open != NULL)
		return;
	if (index == 0)
		write_refusals(stream);
	if (stream->leaving)
		write_goodbye(out);
	if (stream->leaving || stream->differs)
		return;
	if (index == 0)
		write_control(stream);
	/* On a channel for chunks, one at a time: the next goes to whoever has room by then. */
	write_messages(stream, index, index == 0 ? TT_BATCH_BYTES : 1);
}

/* A byte that means nothing. Once, within a host, it is many: the peer's kernel acknowledges when more has come than the
 * largest segment it has seen, and as long as it has seen only small ones, that is after almost every message. */
static void
add_nothing(struct tt_stream *stream, struct tt_output *out)
{
	static const unsigned char nothing[PADDING_BYTES] = {TT_FRAME_NOTHING};
	const bool large = out->bytes >= PADDING_BYTES;

	if (stream->padded || stream->leaving || large || !stream->sips || stream->middling < MIDDLING_MOST) {
		stream->padded |= large;
		add_text(out, nothing, 1);
		return;
	}
	stream->padded = true;
	out->pieces[out->npieces++] = (struct iovec){(void *)nothing, sizeof(nothing)};
	out->bytes += sizeof(nothing);
	out->planned += sizeof(nothing);
}

static void
make_batch(struct tt_stream *stream, int index)
{
	struct tt_output *out = &stream->channels[index]->out;

	out->piece = out->npieces = out->nends = out->end = out->frames = 0;
	out->bytes = out->text_bytes = 0;
	fill_batch(stream, index);
	if (index == 0 && out->npieces > 0 && out->open == NULL)
		add_nothing(stream, out);
}

int
tt_stream_output(struct tt_stream *stream, int index, struct iovec **pieces)
{
	struct tt_output *out = &stream->channels[index]->out;

	if (out->piece == out->npieces)
		make_batch(stream, index);
	*pieces = &out->pieces[out->piece];
	return out->npieces - out->piece;
}

static void
sent_frame(struct tt_stream *stream, tutti_transfer *transfer)
{
	struct tt_pending *pending = tt_pending_of(transfer);

	if (--pending->frames == 0 && pending->done == transfer->bytes)
		tt_stream_finish(stream, transfer, TUTTI_OK);
}

void
tt_stream_written(struct tt_stream *stream, int index, size_t n)
{
	struct tt_output *out = &stream->channels[index]->out;

	out->written += n;
	stream->moved += n > 0;
	if (n > 0)
		stream->channels[index]->in.unanswered = 0;
	while (n > 0 && n >= out->pieces[out->piece].iov_len)
		n -= out->pieces[out->piece++].iov_len;
	if (n > 0) {
		out->pieces[out->piece].iov_base = (char *)out->pieces[out->piece].iov_base + n;
		out->pieces[out->piece].iov_len -= n;
	}
	while (out->end < out->nends && out->ends[out->end].end <= out->written)
		sent_frame(stream, out->ends[out->end++].transfer);
}

void
tt_stream_dispatch(struct tt_stream *stream, struct tt_lane *lane)
{
	tutti_transfer *transfer;

	while (stream->rings != NULL && (transfer = lane->waiting.first) != NULL) {
		const bool eager = transfer->bytes <= stream->eager_most;
		const uint32_t units = tt_aside_units(eager ? TT_FRAME_EAGER : TT_FRAME_OFFER, transfer->bytes);

		if (lane->units_out - lane->units_back + units > stream->credit_units)
			return;
		lane->units_out += units;
		tt_queue_drop(&lane->waiting, transfer);
		tt_queue_put(&stream->ready, transfer);
	}
}

void
tt_stream_granted(
    struct tt_stream *stream, struct tt_lane *lane, tutti_transfer *transfer, const struct tt_frame *grant)
{
	tt_queue_drop(&lane->offered, transfer);
	if (!tt_pending_agrees(transfer, grant->size, grant->mark)) {
		/* The offer, which is out or in this batch, tells the other side. */
		stream->differs = true;
		tt_stream_finish(stream, transfer, TUTTI_ERR_MISMATCH);
		return;
	}
	tt_pending_of(transfer)->flags |= TT_PENDING_GRANTED;
	stream->bulk_bytes += transfer->bytes;
	tt_queue_put(&stream->bulk, transfer);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * stream_in.c - where the bytes of a stream go.
 *
 * Bytes come either into the stage, where frames are parsed, or, when the bytes of a message are due, straight to
 * where they belong, with the stage behind them for the next frame. What frames mean is stream_take.c.
 *
 * Within a host an acknowledgement costs as much as half a message, in the call that reads, before it returns; and a
 * kernel sends one whenever the second small message in a row has been read and nothing is left unread. So a side that
 * waits for such a message asks for exactly that, and leaves the byte that follows every batch: soon it writes
 * something itself, which acknowledges everything. If it does not, it reads to the end once in a while (UNANSWERED_MOST):
 * what a kernel may send without an acknowledgement is limited.
 */
#include "tcp/stream.h"

#include <string.h>

#include "base/checked.h"

#define UNANSWERED_MOST 4 /* frames; a connection begins with 10 segments that may be on their way */
#define SMALL_BYTES ((size_t)16 << 10) /* a byte that is left keeps a kernel's memory, too, from being used again */
#define STAGE_ALIGNMENT 16 /* of the frame behind a byte that was left */
#define BULK_BYTES ((size_t)16 << 10) /* of a message still to come: the stage then takes one more head only .. */
#define HEADS_BYTES \
	512 /* .. and so many where such a message is due, for its bytes to go where they belong at once */

bool
tt_stream_fault(struct tt_stream *stream, const char *what)
{
	stream->fault = what;
	return false;
}

/* Where in the scratch memory the next byte for a fold goes: behind what waits there, or behind the tail. */
static size_t
scratch_used(const struct tt_input *in)
{
	return in->early ? in->held : in->tail_bytes;
}

/* Pieces for the bytes of a message, if some are due. */
static int
direct_pieces(struct tt_channel *channel, struct iovec *pieces)
{
	struct tt_input *in = &channel->in;
	size_t used;

	if (in->left == 0)
		return 0;
	if (in->target == TT_INPUT_ASIDE)
		return tt_aside_where(&in->lane->aside, pieces);
	if (in->target != TT_INPUT_TRANSFER)
		return 0;
	if (in->transfer->fold == NULL)
		return tt_cursor_where(in->transfer, &in->at, in->left, pieces, TT_INPUT_PIECES - 1);
	if (!in->early)
		memcpy(channel->scratch, in->tail, in->tail_bytes);
	used = scratch_used(in);
	pieces[0] = (struct iovec){channel->scratch + used, tt_min_size(in->left, channel->scratch_bytes - used)};
	return 1;
}

/* The bytes up to the end of what is awaited; 0: any. */
static size_t
awaited(const struct tt_stream *stream, const struct tt_input *in)
{
	const tutti_transfer *next = stream->likely != NULL ? stream->likely->match_next : NULL;
	const size_t here = in->stage_last - in->stage_first;
	size_t bytes;

	if (!stream->sips || in != &stream->first.in || in->unanswered == 0 || in->unanswered >= UNANSWERED_MOST ||
	    in->padding)
		return 0;
	if (in->left > 0 || in->sum_due) {
		bytes = in->left + (in->sum_due ? TT_SUM_BYTES : 0);
		return stream->unmatched == 0 && in->small && in->target == TT_INPUT_TRANSFER ? bytes - here : 0;
	}
	if (stream->unmatched != 1 || next == NULL || next->bytes > tt_min_size(SMALL_BYTES, stream->eager_most))
		return 0;
	bytes = TT_FRAME_LONG + next->bytes + (stream->sums && next->bytes > 0 ? TT_SUM_BYTES : 0) + in->owed;
	return bytes > here ? bytes - here : 0;
}

static bool
is_bulk_due(const struct tt_stream *stream)
{
	const tutti_transfer *next = stream->likely != NULL ? stream->likely->match_next : NULL;

	return stream->granted > 0 || (next != NULL && next->bytes > BULK_BYTES);
}

/* How much the stage takes of what comes behind `direct` bytes. */
static size_t
stage_room(const struct tt_stream *stream, const struct tt_input *in, size_t direct)
{
	const size_t room = sizeof(in->stage) - in->stage_last;

	if (direct >= BULK_BYTES)
		return tt_min_size(room, TT_SUM_BYTES + TT_FRAME_LONG);
	return direct == 0 && in->left == 0 && is_bulk_due(stream) ? tt_min_size(room, HEADS_BYTES) : room;
}

int
tt_stream_input(struct tt_stream *stream, int index, struct iovec pieces[TT_INPUT_PIECES])
{
	struct tt_channel *channel = stream->channels[index];
	struct tt_input *in = &channel->in;
	size_t room, want;
	int n;

	in->direct_bytes = 0;
	in->measured = false;
	if (stream->differs) {
		/* Read on, so that the peer is not held up, but nobody needs it. */
		pieces[0] = (struct iovec){in->stage, sizeof(in->stage)};
		return 1;
	}
	if (in->parked)
		return 0;
	want = awaited(stream, in);
	n = direct_pieces(channel, pieces);
	for (int i = 0; i < n; i++)
		in->direct_bytes += pieces[i].iov_len;
	in->asked = in->direct_bytes;
	in->measured = want > 0 && in->direct_bytes == want;
	if (n > 0 && (in->direct_bytes < in->left || in->measured))
		return n;
	if (in->stage_first > 0 && in->stage_first <= in->stage_last)
		memmove(in->stage, in->stage + in->stage_first, in->stage_last - in->stage_first);
	in->stage_last -= in->stage_first;
	in->stage_first = 0;
	if (in->owed && in->left == 0 && in->stage_last == 0)
		in->stage_first = in->stage_last = STAGE_ALIGNMENT - 1;
	room = stage_room(stream, in, in->direct_bytes);
	if (want > 0 && want - in->direct_bytes <= room) {
		room = want - in->direct_bytes;
		in->measured = true;
	}
	in->asked += room;
	pieces[n++] = (struct iovec){in->stage + in->stage_last, room};
	return n;
}

static void
fold(struct tt_input *in, const unsigned char *bytes, size_t n)
{
	if (n == 0)
		return;
	in->transfer->fold(in->transfer->fold_context, in->fold_at, bytes, n);
	in->fold_at += n;
	tt_pending_of(in->transfer)->done += n;
}

/* Bytes for a fold, from anywhere and of any number: what does not fill a grain waits for the rest of it. */
static void
fold_bytes(struct tt_input *in, const unsigned char *bytes, size_t n)
{
	const size_t grain = in->transfer->grain;
	size_t part;

	if (in->tail_bytes > 0) {
		part = tt_min_size(n, grain - in->tail_bytes);
		memcpy(in->tail + in->tail_bytes, bytes, tt_min_size(part, sizeof(in->tail) - in->tail_bytes));
		in->tail_bytes += (uint32_t)part;
		bytes += part;
		n -= part;
		if (in->tail_bytes < grain)
			return;
		fold(in, in->tail, grain);
		in->tail_bytes = 0;
	}
	part = n & (grain - 1);
	fold(in, bytes, n - part);
	memcpy(in->tail, bytes + (n - part), part);
	in->tail_bytes = (uint32_t)part;
}

/* The next chunk in order may be waiting in another channel, and behind it the next. */
static void
pass_turn(struct tt_stream *stream, const tutti_transfer *transfer)
{
	for (int i = 0; i < stream->nchannels; i++) {
		struct tt_channel *channel = stream->channels[i];
		struct tt_input *in = channel != NULL ? &channel->in : NULL;

		if (in == NULL || !in->early || in->transfer != transfer ||
		    in->fold_at != tt_pending_of(in->transfer)->done)
			continue;
		in->early = false;
		fold_bytes(in, channel->scratch, in->held);
		in->held = 0;
		if (!in->parked)
			return;
		in->parked = false;
		in->transfer = NULL;
		stream->unparked = true;
		i = -1;
	}
}

/* The frame's last byte has been taken. */
static void
end_frame(struct tt_stream *stream, struct tt_input *in)
{
	tutti_transfer *transfer = in->transfer;

	if (in->target == TT_INPUT_ASIDE)
		tt_stream_settle(stream, in->lane);
	if (in->target != TT_INPUT_TRANSFER)
		return;
	in->parked = in->early;
	if (in->parked)
		return;
	in->transfer = NULL;
	if (transfer->fold != NULL && transfer->any_order == 0 && stream->nchannels > 1)
		pass_turn(stream, transfer);
	tt_stream_complete(stream, in->lane, transfer);
}

static void
taken(struct tt_stream *stream, struct tt_input *in, size_t n)
{
	in->left -= (uint32_t)n;
	if (in->left == 0 && !in->sum_due)
		end_frame(stream, in);
}

static void
sum_pieces(struct tt_input *in, const struct iovec *pieces, int npieces, size_t n)
{
	for (int i = 0; i < npieces && n > 0; i++) {
		const size_t part = tt_min_size(n, pieces[i].iov_len);

		tt_sum_add(&in->sum, pieces[i].iov_base, part);
		n -= part;
	}
}

static void
set_aside(struct tt_aside *aside, const unsigned char *bytes, size_t n)
{
	struct iovec pieces[2];
	const int npieces = tt_aside_where(aside, pieces);
	size_t left = n;

	for (int i = 0; i < npieces && left > 0; i++) {
		const size_t part = tt_min_size(left, pieces[i].iov_len);

		memcpy(pieces[i].iov_base, bytes, part);
		bytes += part;
		left -= part;
	}
	tt_aside_filled(aside, n);
}

static void
take_staged(struct tt_stream *stream, struct tt_channel *channel, const unsigned char *bytes, size_t n)
{
	struct tt_input *in = &channel->in;

	if (in->sum_due)
		tt_sum_add(&in->sum, bytes, n);
	if (in->target == TT_INPUT_ASIDE) {
		set_aside(&in->lane->aside, bytes, n);
	} else if (in->target == TT_INPUT_TRANSFER && in->transfer->fold == NULL) {
		tt_cursor_scatter(in->transfer, &in->at, bytes, n);
		tt_pending_of(in->transfer)->done += n;
	} else if (in->target == TT_INPUT_TRANSFER && in->early) {
		memcpy(channel->scratch + in->held, bytes, n);
		in->held += n;
	} else if (in->target == TT_INPUT_TRANSFER) {
		fold_bytes(in, bytes, n);
	}
	taken(stream, in, n);
}

static void
take_direct(struct tt_stream *stream, struct tt_channel *channel, size_t n)
{
	struct tt_input *in = &channel->in;
	struct iovec pieces[TT_INPUT_PIECES];

	if (in->sum_due)
		sum_pieces(in, pieces, direct_pieces(channel, pieces), n);
	if (in->target == TT_INPUT_ASIDE) {
		tt_aside_filled(&in->lane->aside, n);
	} else if (in->transfer->fold == NULL) {
		tt_cursor_advance(in->transfer, &in->at, n);
		tt_pending_of(in->transfer)->done += n;
	} else if (in->early) {
		in->held += n;
	} else {
		/* The tail was copied in front of them. */
		const size_t bytes = in->tail_bytes + n;

		in->tail_bytes = 0;
		fold_bytes(in, channel->scratch, bytes);
	}
	taken(stream, in, n);
}

void
tt_stream_expect(struct tt_stream *stream, struct tt_channel *channel, struct tt_lane *lane,
    enum tt_input_target target, tutti_transfer *transfer, uint32_t bytes)
{
	struct tt_input *in = &channel->in;

	in->lane = lane;
	in->target = target;
	in->transfer = transfer;
	in->left = bytes;
	in->tail_bytes = 0;
	in->early = in->parked = false;
	in->small = bytes <= SMALL_BYTES;
	in->held = in->fold_at = 0;
	in->at = (struct tt_cursor){0};
	in->at_lane = NULL;
	in->sum_due = stream->sums && bytes > 0;
	if (in->sum_due)
		tt_sum_init(&in->sum);
	if (bytes == 0)
		end_frame(stream, in);
}

void
tt_stream_expect_chunk(struct tt_stream *stream, struct tt_channel *channel, struct tt_lane *lane,
    tutti_transfer *transfer, size_t offset, uint32_t bytes)
{
	struct tt_input *in = &channel->in;
	const struct tt_pending *pending = tt_pending_of(transfer);
	struct tt_cursor at = {0};

	/* The chunk before it on this channel was most likely of the same message, and far from its beginning. */
	if (in->at_lane == lane && in->at_number == pending->number)
		at = in->at;
	tt_stream_expect(stream, channel, lane, TT_INPUT_TRANSFER, transfer, bytes);
	in->early = transfer->fold != NULL && transfer->any_order == 0 && offset != pending->done;
	in->small = false;
	in->fold_at = offset;
	if (transfer->fold == NULL)
		tt_cursor_seek(transfer, &at, offset);
	in->at = at;
	in->at_lane = lane;
	in->at_number = pending->number;
}

static bool
check_sum(struct tt_stream *stream, struct tt_input *in)
{
	unsigned char sum[TT_SUM_BYTES];

	tt_sum_end(&in->sum, sum);
	if (memcmp(sum, in->stage + in->stage_first, sizeof(sum)) != 0)
		return tt_stream_fault(stream, "the bytes of a message were damaged on the way (checksum)");
	in->stage_first += sizeof(sum);
	in->sum_due = false;
	end_frame(stream, in);
	return true;
}

/* One byte, most often; or padding, of which no more shall be left in the kernel than of anything else. */
static void
skip_nothing(struct tt_input *in)
{
	const size_t first = in->stage_first;

	while (in->stage_first < in->stage_last && in->stage[in->stage_first] == TT_FRAME_NOTHING)
		in->stage_first++;
	in->padding = in->stage_first - first > 1;
	in->owed = false;
}

/* One thing out of the stage: bytes, a checksum, a frame. TUTTI_IN_PROGRESS: more bytes are needed for that. */
static tutti_status
parse_one(struct tt_stream *stream, struct tt_channel *channel)
{
	struct tt_input *in = &channel->in;
	const unsigned char *at = in->stage + in->stage_first;
	const size_t here = in->stage_last - in->stage_first;
	struct tt_frame frame;
	size_t n;

	if (in->left > 0) {
		n = tt_min_size(in->left, here);
		in->stage_first += n;
		take_staged(stream, channel, at, n);
		return TUTTI_OK;
	}
	if (in->sum_due) {
		if (here < TT_SUM_BYTES)
			return TUTTI_IN_PROGRESS;
		return check_sum(stream, in) ? TUTTI_OK : TUTTI_ERR_PEER;
	}
	if (at[0] == TT_FRAME_NOTHING && channel == &stream->first) {
		skip_nothing(in);
		return TUTTI_OK;
	}
	in->padding = false;
	n = tt_frame_bytes(at[0]);
	if (n > here)
		return TUTTI_IN_PROGRESS;
	if (n == 0 || !tt_frame_decode(at, &frame)) {
		tt_stream_fault(stream, "a header is damaged");
		return TUTTI_ERR_PEER;
	}
	in->stage_first += n;
	return tt_stream_take(stream, channel, &frame) ? TUTTI_OK : TUTTI_ERR_PEER;
}

static bool
parse(struct tt_stream *stream, struct tt_channel *channel)
{
	const struct tt_input *in = &channel->in;
	tutti_status status = TUTTI_OK;

	while (status == TUTTI_OK && in->stage_first < in->stage_last && !in->parked && !channel->over &&
	       !stream->differs)
		status = parse_one(stream, channel);
	return status == TUTTI_OK || status == TUTTI_IN_PROGRESS;
}

static bool
is_between_frames(const struct tt_input *in)
{
	return in->left == 0 && !in->sum_due && in->stage_first == in->stage_last;
}

bool
tt_stream_is_content(const struct tt_stream *stream, int index)
{
	const struct tt_input *in = &stream->channels[index]->in;

	return in->measured && stream->unmatched == 0 && is_between_frames(in);
}

bool
tt_stream_read(struct tt_stream *stream, int index, size_t n)
{
	struct tt_channel *channel = stream->channels[index];
	const size_t direct = tt_min_size(n, channel->in.direct_bytes);
	bool good;

	stream->moved += n > 0;
	if (stream->differs)
		return true;
	channel->in.stage_last += n - direct;
	if (direct > 0)
		take_direct(stream, channel, direct);
	good = parse(stream, channel);
	while (good && stream->unparked) {
		stream->unparked = false;
		for (int i = 0; i < stream->nchannels && good; i++)
			if (stream->channels[i] != NULL)
				good = parse(stream, stream->channels[i]);
	}
	if (channel->in.measured && n == channel->in.asked && is_between_frames(&channel->in))
		channel->in.owed = true;
	else if (!channel->in.measured && n < channel->in.asked && channel->in.unanswered > 1)
		channel->in.unanswered = 0;
	return good;
}

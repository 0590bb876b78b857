/* SPDX-License-Identifier: Apache-2.0
 *
 * stream.c - the transfers of one peer: posting them, matching them, ending them.
 *
 * Per lane, the receives form one queue by number: first those that met their offer, then those that met nothing
 * yet (from match_next on). What was set aside always belongs to numbers behind those. So either no receive is
 * unmatched, or nothing whole is set aside: tt_stream_settle() restores that after every change.
 */
#include "tcp/stream.h"

#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/memory.h"

/* Small are messages up to so many bytes: to ask for one takes longer than to copy it once more if it comes early, and where
 * ranks share cores, each question and each answer is work that others wait for. But only what is asked for goes by several
 * connections. */
#define EAGER_BYTES_MOST ((size_t)128 << 10)
#define EAGER_OF_SEVERAL ((size_t)32 << 10)
#define BESIDE_BYTES 256 /* more: a message of a round size may bring a word about itself */
/* What a peer's messages set aside take at most, unless there are very many lanes. Little of it is ever used. */
#define ASIDE_BYTES ((size_t)4 << 20)
#define LANE_BYTES_LEAST ((size_t)32 << 10)
#define LANE_BYTES_MOST (4 * EAGER_BYTES_MOST)
#define FIRST_CHUNK_BYTES (TT_CHUNK_BYTES / 4) /* until it is known how quick a connection is */

static size_t
lane_bytes(uint32_t lanes)
{
	size_t bytes = LANE_BYTES_MOST;

	while (bytes > LANE_BYTES_LEAST && bytes * lanes > ASIDE_BYTES)
		bytes /= 2;
	return bytes;
}

tutti_status
tt_stream_init(struct tt_stream *stream, uint32_t lanes, void *scratch, size_t scratch_bytes)
{
	void *memory;

	TT_TRY(tt_alloc(lanes, sizeof(struct tt_lane), "the lanes of a TCP link", &memory));
	stream->lanes = memory;
	stream->nlanes = lanes;
	stream->first.scratch = scratch;
	stream->first.scratch_bytes = scratch_bytes;
	stream->first.chunk_bytes = TT_CHUNK_BYTES;
	stream->channels[0] = &stream->first;
	stream->nchannels = 1;
	stream->credit_units = (uint32_t)(lane_bytes(lanes) / TT_UNIT);
	/* About a quarter: credit that is free but not yet given back (less than half) never stops a message. */
	stream->eager_most = lane_bytes(lanes) / 4 + BESIDE_BYTES;
	return TUTTI_OK;
}

/* Transfers that were posted before it was known what is small. */
static void
begin_lane(struct tt_stream *stream, struct tt_lane *lane)
{
	lane->grant_next = lane->posted.first;
	while (lane->grant_next != NULL && lane->grant_next->bytes <= stream->eager_most)
		lane->grant_next = tt_pending_of(lane->grant_next)->next;
	tt_stream_tell(stream, lane);
	tt_stream_dispatch(stream, lane);
}

tutti_status
tt_stream_open(struct tt_stream *stream, bool several)
{
	const size_t bytes = (size_t)stream->credit_units * TT_UNIT;
	void *memory;

	TT_TRY(tt_alloc_bare(stream->nlanes, bytes, "room for messages that come early over TCP", &memory));
	stream->rings = memory;
	for (uint32_t i = 0; i < stream->nlanes; i++) {
		stream->lanes[i].aside.memory = stream->rings + i * bytes;
		stream->lanes[i].aside.units = stream->credit_units;
	}
	if (several)
		stream->eager_most = tt_min_size(stream->eager_most, EAGER_OF_SEVERAL + BESIDE_BYTES);
	for (uint32_t i = 0; i < stream->nlanes; i++)
		begin_lane(stream, &stream->lanes[i]);
	return TUTTI_OK;
}

/* Early chunks wait in it; between two reads nothing is in the one that was lent. */
static tutti_status
own_scratch(struct tt_channel *channel)
{
	void *memory;

	if (channel->own_scratch != NULL)
		return TUTTI_OK;
	TT_TRY(tt_alloc(1, TT_CHUNK_BYTES, "room for pieces that come early over TCP", &memory));
	channel->scratch = channel->own_scratch = memory;
	channel->scratch_bytes = TT_CHUNK_BYTES;
	return TUTTI_OK;
}

tutti_status
tt_stream_widen(struct tt_stream *stream, int index)
{
	struct tt_channel *channel;
	tutti_status status;
	void *memory;

	TT_TRY(own_scratch(&stream->first));
	TT_TRY(tt_alloc(1, sizeof(*channel), "a channel of a TCP link", &memory));
	channel = memory;
	status = own_scratch(channel);
	if (status != TUTTI_OK) {
		tt_free(channel);
		return status;
	}
	channel->chunk_bytes = FIRST_CHUNK_BYTES;
	stream->channels[index] = channel;
	stream->nchannels = index < stream->nchannels ? stream->nchannels : index + 1;
	stream->ncarriers++;
	return TUTTI_OK;
}

void
tt_stream_over(struct tt_stream *stream, struct tt_channel *channel)
{
	if (channel->over)
		return;
	channel->over = true;
	stream->ncarriers -= channel != &stream->first;
	stream->left = stream->ncarriers == 0 && stream->first.over;
}

bool
tt_stream_eof(struct tt_stream *stream, int index)
{
	struct tt_channel *channel = stream->channels[index];
	const struct tt_input *in = &channel->in;

	if (index == 0 || in->left > 0 || in->sum_due || in->stage_first < in->stage_last ||
	    channel->out.piece < channel->out.npieces || channel->out.open != NULL)
		return false;
	tt_stream_over(stream, channel);
	return true;
}

void
tt_stream_fini(struct tt_stream *stream)
{
	for (int i = 0; i < stream->nchannels; i++) {
		if (stream->channels[i] == NULL)
			continue;
		tt_free(stream->channels[i]->own_scratch);
		if (i > 0)
			tt_free(stream->channels[i]);
		stream->channels[i] = NULL;
	}
	stream->nchannels = 0;
	stream->first.own_scratch = NULL;
	tt_free(stream->rings);
	tt_free(stream->lanes);
	stream->rings = NULL;
	stream->lanes = NULL;
	stream->nlanes = 0;
}

void
tt_stream_finish(struct tt_stream *stream, tutti_transfer *transfer, tutti_status status)
{
	stream->pending--;
	stream->moved++;
	transfer->status = status;
}

void
tt_stream_tell(struct tt_stream *stream, struct tt_lane *lane)
{
	const bool grant = lane->grant_next != NULL && lane->granted < TT_GRANTS;
	const bool credit = lane->units_used - lane->units_told >= stream->credit_units / 2;

	if (lane->in_control || !(grant || credit))
		return;
	lane->in_control = true;
	lane->control_next = NULL;
	if (stream->control_last != NULL)
		stream->control_last->control_next = lane;
	else
		stream->control_first = lane;
	stream->control_last = lane;
}

void
tt_stream_used(struct tt_stream *stream, struct tt_lane *lane, uint32_t units)
{
	lane->units_used += units;
	tt_stream_tell(stream, lane);
}

void
tt_stream_send(struct tt_stream *stream, tutti_transfer *transfer)
{
	struct tt_lane *lane = &stream->lanes[transfer->lane];

	stream->pending++;
	tt_pending_init(transfer, lane->sends++);
	tt_queue_put(&lane->waiting, transfer);
	tt_stream_dispatch(stream, lane);
}

void
tt_stream_recv(struct tt_stream *stream, tutti_transfer *transfer)
{
	struct tt_lane *lane = &stream->lanes[transfer->lane];

	stream->pending++;
	tt_pending_init(transfer, lane->recvs++);
	tt_queue_put(&lane->posted, transfer);
	if (lane->match_next == NULL)
		lane->match_next = transfer;
	if (lane->grant_next == NULL && transfer->bytes > stream->eager_most)
		lane->grant_next = transfer;
	if (!transfer->passive) {
		stream->unmatched++;
		stream->likely = lane;
	}
	tt_stream_settle(stream, lane);
	tt_stream_tell(stream, lane);
}

/* The receive is out of the queue, and the peer will be told before it ends. */
static void
refuse(struct tt_stream *stream, struct tt_lane *lane, tutti_transfer *transfer)
{
	const struct tt_pending *pending = tt_pending_of(transfer);

	if ((pending->flags & TT_PENDING_GRANTED) != 0) {
		lane->granted--;
		stream->granted--;
	}
	if (lane->grant_next == transfer)
		tt_lane_next_grant(lane, stream->eager_most);
	tt_queue_drop(&lane->posted, transfer);
	tt_queue_put(&stream->refusing, transfer);
	stream->differs = true;
}

void
tt_lane_next_grant(struct tt_lane *lane, size_t eager_most)
{
	do {
		lane->grant_next = tt_pending_of(lane->grant_next)->next;
	} while (lane->grant_next != NULL && lane->grant_next->bytes <= eager_most);
}

bool
tt_stream_match(struct tt_stream *stream, struct tt_lane *lane, uint64_t bytes, const unsigned char *mark)
{
	tutti_transfer *transfer = lane->match_next;

	lane->match_next = tt_pending_of(transfer)->next;
	stream->unmatched -= !transfer->passive;
	if (tt_pending_agrees(transfer, bytes, mark))
		return true;
	refuse(stream, lane, transfer);
	return false;
}

void
tt_stream_complete(struct tt_stream *stream, struct tt_lane *lane, tutti_transfer *transfer)
{
	const struct tt_pending *pending = tt_pending_of(transfer);
	const bool granted = (pending->flags & TT_PENDING_GRANTED) != 0;

	/* On a channel of their own, bytes may be here before their offer. */
	if (pending->done < transfer->bytes || (pending->flags & TT_PENDING_OPEN) == 0)
		return;
	tt_queue_drop(&lane->posted, transfer);
	if (granted) {
		lane->granted--;
		stream->granted--;
		tt_stream_tell(stream, lane);
	}
	tt_stream_finish(stream, transfer, TUTTI_OK);
}

/* A small message that was set aside. Its pieces hold whole grains: a ring's end is at a multiple of any. */
static void
deliver(tutti_transfer *transfer, const struct iovec *pieces, int npieces)
{
	struct tt_pending *pending = tt_pending_of(transfer);
	struct tt_cursor at = {0};

	for (int i = 0; i < npieces; i++) {
		if (transfer->fold == NULL)
			tt_cursor_scatter(transfer, &at, pieces[i].iov_base, pieces[i].iov_len);
		else
			transfer->fold(transfer->fold_context, pending->done, pieces[i].iov_base, pieces[i].iov_len);
		pending->done += pieces[i].iov_len;
	}
}

void
tt_stream_settle(struct tt_stream *stream, struct tt_lane *lane)
{
	const struct tt_aside_head *head;
	struct iovec pieces[2];
	int npieces;

	while (lane->match_next != NULL && (head = tt_aside_front(&lane->aside, pieces, &npieces)) != NULL) {
		tutti_transfer *transfer = lane->match_next;

		if (!tt_stream_match(stream, lane, head->bytes, head->mark))
			return;
		tt_pending_of(transfer)->flags |= TT_PENDING_OPEN;
		if (head->kind == TT_FRAME_EAGER) {
			deliver(transfer, pieces, npieces);
			tt_stream_complete(stream, lane, transfer);
		}
		tt_stream_used(stream, lane, tt_aside_drop(&lane->aside));
	}
}

void
tt_stream_leave(struct tt_stream *stream)
{
	stream->leaving = true;
}

static void
end_queue(struct tt_stream *stream, struct tt_queue *queue, tutti_status status)
{
	tutti_transfer *transfer;

	while ((transfer = tt_queue_take(queue)) != NULL)
		tt_stream_finish(stream, transfer, status);
}

/* Frames that are begun hold their transfers; one that is in no queue ends with its last frame. */
static void
end_frame_of(struct tt_stream *stream, tutti_transfer *transfer, tutti_status status)
{
	struct tt_pending *pending = tt_pending_of(transfer);

	if (--pending->frames == 0 && pending->done == transfer->bytes)
		tt_stream_finish(stream, transfer, status);
}

static void
end_channel(struct tt_stream *stream, struct tt_channel *channel, tutti_status status)
{
	struct tt_output *out = &channel->out;
	struct tt_input *in = &channel->in;

	for (int i = out->end; i < out->nends; i++)
		end_frame_of(stream, out->ends[i].transfer, status);
	if (out->open != NULL)
		end_frame_of(stream, out->open, status);
	out->open = NULL;
	out->end = out->nends = out->piece = out->npieces = 0;
	in->left = 0;
	in->transfer = NULL;
	in->early = in->parked = in->sum_due = false;
}

void
tt_stream_end(struct tt_stream *stream, tutti_status status)
{
	for (int i = 0; i < stream->nchannels; i++)
		if (stream->channels[i] != NULL)
			end_channel(stream, stream->channels[i], status);
	stream->control_first = stream->control_last = NULL;
	stream->bulk_bytes = 0;
	stream->granted = 0;
	stream->unmatched = 0;
	end_queue(stream, &stream->ready, status);
	end_queue(stream, &stream->bulk, status);
	/* These know their end already; only the peer will not hear of it. */
	end_queue(stream, &stream->refusing, TUTTI_ERR_MISMATCH);
	for (uint32_t i = 0; i < stream->nlanes; i++) {
		struct tt_lane *lane = &stream->lanes[i];

		end_queue(stream, &lane->waiting, status);
		end_queue(stream, &lane->offered, status);
		end_queue(stream, &lane->posted, status);
		lane->match_next = lane->grant_next = NULL;
		lane->in_control = false;
	}
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * stream.h - the protocol between two ranks: transfers in, bytes out, and back. No I/O and no clock.
 *
 * A small message (up to eager_most bytes) goes out at once with its head, as far as the lane's credit reaches.
 * Credit stands for room to set it aside at the other end, and comes back when its receive has taken it. A large
 * one is offered, and its bytes follow when the receiver has granted it; a receiver grants as soon as the receive
 * is posted, so that usually the grant is there before the message. Hence nothing that arrives ever waits for
 * room, and the connection can always be read to its end: no lane delays another.
 *
 *     sender                    receiver                sender                    receiver
 *       | EAGER k, bytes ------> |                        | <------------- GRANT k  | recv posted
 *       | <------- CREDIT (late, | recv k                 | OFFER k --------------> |
 *       |     or in other heads) |                        | CHUNK k, bytes -------> |
 *
 * Where length or mark of a message differ, whoever finds out tells the other (OFFER or REFUSE), and that is the end
 * of the link: ranks that issued different operations have nothing to say to each other.
 *
 * A stream has channels, one per connection. The first carries everything that keeps an order, the others only chunks of
 * granted messages: each takes the next chunk as soon as its connection has room, so that a slow one holds up nobody.
 * A chunk says where it belongs, and is placed there; for a fold that wants its bytes in order, a chunk that is
 * early waits in its channel's memory, and the channel with it. That ends always: chunks are begun in one order, and
 * every channel keeps to it, so the oldest chunk that is under way never waits for another.
 *
 * Output is made in batches: what a batch has taken is written out entirely before the next one is made, control
 * first. Input is parsed out of a small stage; the bytes of messages are read straight to where they belong.
 */
#ifndef TT_TCP_STREAM_H
#define TT_TCP_STREAM_H

#include <tutti/transport.h>

#include "base/port.h"
#include "tcp/aside.h"
#include "tcp/frame.h"
#include "tcp/pending.h"
#include "tcp/sum.h"

#define TT_CHANNELS 17 /* the first, and at most 16 for chunks */
#define TT_GRANTS 8 /* large messages of a lane that may be under way at a time */
#define TT_BATCH_FRAMES 32
#define TT_BATCH_PIECES 128
#define TT_BATCH_BYTES TT_CHUNK_BYTES /* no new frame is begun beyond that */
#define TT_INLINE_BYTES 128 /* so few are copied behind their head rather than gathered */
#define TT_STAGE_BYTES (((size_t)16 << 10) + TT_FRAME_LONG)
#define TT_INPUT_PIECES 18

struct tt_lane {
	/* What goes out. */
	uint64_t sends; /* posted so far: the number of the next */
	uint64_t heads_out; /* of these, whose head is in a batch or beyond */
	struct tt_queue waiting; /* for credit */
	struct tt_queue offered; /* waiting for their grant */
	struct tt_frame grants[TT_GRANTS]; /* that came before their send */
	uint32_t ngrants;
	uint32_t units_out, units_back; /* credit taken, and given back by the peer, in total */
	/* What comes in. */
	uint64_t recvs; /* posted so far */
	uint64_t heads_in; /* heads arrived so far */
	struct tt_queue posted; /* receives, by number: first those that met their offer, then the others */
	tutti_transfer *match_next; /* the first of these others */
	tutti_transfer *grant_next; /* the first large one without a grant */
	uint32_t granted; /* grants that are out */
	uint32_t units_in, units_used, units_told; /* credit taken by the peer, free again, and said to be so */
	struct tt_aside aside;
	struct tt_lane *control_next; /* in the stream's list of lanes with something to tell */
	bool in_control;
};

struct tt_batch_end {
	tutti_transfer *transfer; /* whose frame's last byte is at .. */
	uint64_t end; /* .. this position of the output */
};

struct tt_output {
	struct iovec pieces[TT_BATCH_PIECES + 2]; /* two more: for a checksum and control behind a full batch */
	int npieces, piece; /* pieces[piece..npieces) are not written yet */
	int frames; /* in this batch */
	size_t bytes; /* gathered into this batch */
	size_t text_bytes;
	uint64_t planned, written; /* positions in the output: end of the batch, what is out */
	struct tt_batch_end ends[TT_BATCH_FRAMES + 1];
	int nends, end;
	tutti_transfer *open; /* its frame is begun, and not all of its bytes fitted */
	size_t open_left;
	struct tt_cursor open_at;
	struct tt_sum sum; /* of the open frame's bytes so far */
	bool goodbye; /* it is in the batch or out */
	unsigned char text[(TT_BATCH_FRAMES + 2) * (TT_FRAME_LONG + TT_INLINE_BYTES + TT_SUM_BYTES)];
};

enum tt_input_target { TT_INPUT_DISCARD, TT_INPUT_TRANSFER, TT_INPUT_ASIDE };

struct tt_input {
	enum tt_input_target target;
	uint32_t left; /* bytes of the frame that are still to come */
	tutti_transfer *transfer;
	struct tt_lane *lane;
	struct tt_cursor at; /* in transfer's parts */
	uint64_t at_number; /* of the message that `at` is about */
	const struct tt_lane *at_lane;
	size_t fold_at; /* of a fold: where the next byte belongs */
	uint32_t tail_bytes; /* of a fold: less than a grain, waiting for the rest of it */
	unsigned char tail[8];
	bool early; /* of a fold in order: chunks before this one have not been folded yet; */
	bool parked; /* all of it has come, and nothing more is read before they have; */
	size_t held; /* how much of it is in the scratch memory */
	bool sum_due; /* a checksum follows the bytes */
	struct tt_sum sum;
	bool small; /* the frame that has been begun is a whole small message */
	bool owed; /* the byte behind a batch was left in the kernel */
	bool padding; /* what came last meant nothing, and more of it may follow */
	bool measured; /* no more was asked for than is awaited .. */
	size_t asked; /* .. or anything, up to so much */
	uint32_t unanswered; /* frames that came since something was written or, most likely, acknowledged */
	size_t stage_first, stage_last;
	size_t direct_bytes; /* of the pieces last told, those that are not the stage */
	TT_ALIGNED(16) unsigned char stage[TT_STAGE_BYTES];
};

/* One connection's part of a stream. */
struct tt_channel {
	struct tt_output out;
	struct tt_input in;
	unsigned char *scratch; /* where bytes land that are to be folded; the first channel's is lent .. */
	size_t scratch_bytes;
	unsigned char *own_scratch; /* .. while it is alone: early chunks need a place to wait in */
	size_t chunk_bytes; /* a chunk has at most that many: how quick the connection is, by the others */
	bool over; /* the peer says nothing more on it, and nothing more is said */
};

struct tt_stream {
	struct tt_lane *lanes; /* owned */
	unsigned char *rings; /* owned: the lanes' memory for what is set aside */
	uint32_t nlanes;
	uint32_t credit_units; /* per lane and direction; both sides have the same number of lanes, hence the same */
	size_t eager_most;
	bool sums; /* bytes of messages are followed by a checksum */
	bool sips; /* read no more than what is awaited: see stream_in.c */
	uint32_t
	    middling; /* messages that went out, of a size that a kernel which knows only small ones acknowledges at once */
	bool padded; /* it has seen a large piece since */
	uint32_t unmatched; /* receives posted whose heads have not come, but for passive ones */
	struct tt_lane *likely; /* where the last of them was posted */
	struct tt_channel first;
	struct tt_channel *channels[TT_CHANNELS]; /* [0] = &first; the others owned, NULL = none */
	int nchannels; /* the highest that there is, and one */
	int ncarriers; /* channels that carry chunks only, and are not over */
	struct tt_queue ready; /* sends whose head is to be written now */
	struct tt_queue bulk; /* sends that have been granted, and have bytes that are in no frame yet: */
	uint64_t bulk_bytes; /* so many */
	uint32_t granted; /* receives whose bytes may come on any channel */
	struct tt_queue refusing; /* receives that differ, until the peer has been told */
	struct tt_lane *control_first, *control_last;
	uint64_t moved; /* transfers moved or ended, in total */
	size_t pending; /* transfers posted and not ended */
	bool large; /* a message came by that channels for chunks would help */
	bool unparked; /* a channel that waited has bytes to parse */
	bool leaving; /* nothing new is begun */
	bool left; /* the peer has said goodbye, on all channels */
	bool differs; /* a message differs on both sides: nothing but that is told any more */
	bool refused; /* and the peer knows it already */
	const char *fault; /* what the peer did that it must not */
};

/* Takes transfers from now on. scratch is lent. */
tutti_status tt_stream_init(struct tt_stream *stream, uint32_t lanes, void *scratch, size_t scratch_bytes);
/* Makes room for what comes: before the first input; nothing goes out earlier. several: connections may be added, and both
 * sides know it: messages beyond 32 KiB are large then. */
tutti_status tt_stream_open(struct tt_stream *stream, bool several);
/* Any state; pending transfers are not touched. */
void tt_stream_fini(struct tt_stream *stream);

/* The transfer is pending until its status changes; a receive may end at once. */
void tt_stream_send(struct tt_stream *stream, tutti_transfer *transfer);
void tt_stream_recv(struct tt_stream *stream, tutti_transfer *transfer);

/* One more channel, for chunks; 1 <= index < TT_CHANNELS, not there yet. */
tutti_status tt_stream_widen(struct tt_stream *stream, int index);
/* The channel's connection came to its end. False: it must not have, more was to come. */
bool tt_stream_eof(struct tt_stream *stream, int index);

/* What to write next on a channel: returns how many pieces, 0 = nothing. Then say how much of it went out. */
int tt_stream_output(struct tt_stream *stream, int index, struct iovec **pieces);
void tt_stream_written(struct tt_stream *stream, int index, size_t n);

/* Does it take chunks? The first does while there is no other. */
static inline bool
tt_stream_carries(const struct tt_stream *stream, int index)
{
	return index == 0 ? stream->ncarriers == 0 : !stream->channels[index]->over;
}

/* Is something to be written out before anything new is begun? */
static inline bool
tt_stream_has_begun(const struct tt_stream *stream, int index)
{
	const struct tt_output *out = &stream->channels[index]->out;

	return out->piece < out->npieces || out->open != NULL;
}

/* Would tt_stream_output() have something? */
static inline bool
tt_stream_has_output(const struct tt_stream *stream, int index)
{
	if (tt_stream_has_begun(stream, index) || (index == 0 && stream->refusing.first != NULL))
		return true;
	if (stream->differs)
		return false;
	return (index == 0 && (stream->ready.first != NULL || stream->control_first != NULL)) ||
	       (stream->bulk.first != NULL && tt_stream_carries(stream, index));
}

/* May bytes of a send that was just posted go out now? Of a large one not before a grant for it, or an earlier one, is here. */
static inline bool
tt_stream_has_bytes_for(const struct tt_stream *stream, const tutti_transfer *transfer)
{
	return transfer->bytes <= stream->eager_most || stream->lanes[transfer->lane].ngrants > 0;
}

/* Where to read to: returns how many pieces, 0 = nothing may be read now. Then say how much came. False: the peer broke
 * the protocol, see `fault`; nothing more may be given. */
int tt_stream_input(struct tt_stream *stream, int index, struct iovec pieces[TT_INPUT_PIECES]);
bool tt_stream_read(struct tt_stream *stream, int index, size_t n);
/* All that is awaited has come, and the rest is better left where it is. */
bool tt_stream_is_content(const struct tt_stream *stream, int index);

/* What is begun will still be put out, then goodbye, then nothing. */
void tt_stream_leave(struct tt_stream *stream);
/* Ends everything that is pending. Afterwards the stream holds no memory of others. */
void tt_stream_end(struct tt_stream *stream, tutti_status status);

/* ---- between the files of the stream ---- */

void tt_stream_finish(struct tt_stream *stream, tutti_transfer *transfer, tutti_status status);
/* The lane has a grant or credit to tell. */
void tt_stream_tell(struct tt_stream *stream, struct tt_lane *lane);
/* Moves sends that have credit from waiting to ready. */
void tt_stream_dispatch(struct tt_stream *stream, struct tt_lane *lane);
/* Sorts out a send whose grant has come: on it goes, or both differ. */
void tt_stream_granted(
    struct tt_stream *stream, struct tt_lane *lane, tutti_transfer *transfer, const struct tt_frame *grant);
/* Moves grant_next to the next large receive. */
void tt_lane_next_grant(struct tt_lane *lane, size_t eager_most);
/* Units of credit became free at this end. */
void tt_stream_used(struct tt_stream *stream, struct tt_lane *lane, uint32_t units);
/* Takes the lane's first unmatched receive to its message's head: true if they agree; otherwise it is refused. */
bool tt_stream_match(struct tt_stream *stream, struct tt_lane *lane, uint64_t bytes, const unsigned char *mark);
/* A receive's bytes came, or its offer: it ends if that was all. */
void tt_stream_complete(struct tt_stream *stream, struct tt_lane *lane, tutti_transfer *transfer);
/* Bytes follow the frame that was just taken. */
void tt_stream_expect(struct tt_stream *stream, struct tt_channel *channel, struct tt_lane *lane,
    enum tt_input_target target, tutti_transfer *transfer, uint32_t bytes);
/* The same for a chunk, which begins at `offset` of its message. */
void tt_stream_expect_chunk(struct tt_stream *stream, struct tt_channel *channel, struct tt_lane *lane,
    tutti_transfer *transfer, size_t offset, uint32_t bytes);
/* A frame that says what must not be said. Always false. */
bool tt_stream_fault(struct tt_stream *stream, const char *what);
/* What a frame means. False: the peer must not have said that. */
bool tt_stream_take(struct tt_stream *stream, struct tt_channel *channel, const struct tt_frame *frame);
/* The peer says nothing more on this channel. */
void tt_stream_over(struct tt_stream *stream, struct tt_channel *channel);
/* Gives messages that were set aside, and are whole, to receives that are posted. */
void tt_stream_settle(struct tt_stream *stream, struct tt_lane *lane);

#endif /* TT_TCP_STREAM_H */

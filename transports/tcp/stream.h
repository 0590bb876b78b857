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
	tutti_transfer *transfer; /* whose last byte is at .. */
	uint64_t end; /* .. this position of the output */
};

struct tt_output {
	struct iovec pieces[TT_BATCH_PIECES + 1]; /* one more, for control behind a full batch */
	int npieces, piece; /* pieces[piece..npieces) are not written yet */
	int frames; /* in this batch */
	size_t bytes; /* gathered into this batch */
	size_t text_bytes;
	uint64_t planned, written; /* positions in the output: end of the batch, what is out */
	struct tt_batch_end ends[TT_BATCH_FRAMES + 1];
	int nends, end;
	tutti_transfer *open; /* its frame is begun, and not all of its bytes fitted */
	size_t open_left;
	bool leaving, goodbye; /* nothing new is begun; goodbye is in the batch or out */
	unsigned char text[TT_BATCH_FRAMES * (TT_FRAME_LONG + TT_INLINE_BYTES)];
};

enum tt_input_target { TT_INPUT_DISCARD, TT_INPUT_TRANSFER, TT_INPUT_ASIDE };

struct tt_input {
	enum tt_input_target target;
	uint32_t left; /* bytes of the frame that are still to come */
	tutti_transfer *transfer;
	struct tt_lane *lane;
	uint32_t tail_bytes; /* of a fold: less than a grain, waiting for the rest of it */
	unsigned char tail[8];
	size_t stage_first, stage_last;
	size_t direct_bytes; /* of the pieces last told, those that are not the stage */
	TT_ALIGNED(16) unsigned char stage[TT_STAGE_BYTES];
};

struct tt_stream {
	struct tt_lane *lanes; /* owned */
	unsigned char *rings; /* owned: the lanes' memory for what is set aside */
	unsigned char *scratch; /* lent: where bytes land that are to be folded */
	size_t scratch_bytes;
	uint32_t nlanes;
	uint32_t credit_units; /* per lane and direction; both sides have the same number of lanes, hence the same */
	size_t eager_most;
	struct tt_queue ready; /* sends that have something to say now */
	struct tt_queue refusing; /* receives that differ, until the peer has been told */
	struct tt_lane *control_first, *control_last;
	uint64_t moved; /* transfers moved or ended, in total */
	size_t pending; /* transfers posted and not ended */
	bool left; /* the peer has said goodbye */
	bool differs; /* a message differs on both sides: nothing but that is told any more */
	bool refused; /* and the peer knows it already */
	const char *fault; /* what the peer did that it must not */
	struct tt_output out;
	struct tt_input in;
};

/* Takes transfers from now on. scratch is lent. */
tutti_status tt_stream_init(struct tt_stream *stream, uint32_t lanes, void *scratch, size_t scratch_bytes);
/* Makes room for what comes: before the first input. */
tutti_status tt_stream_open(struct tt_stream *stream);
/* Any state; pending transfers are not touched. */
void tt_stream_fini(struct tt_stream *stream);

/* The transfer is pending until its status changes; a receive may end at once. */
void tt_stream_send(struct tt_stream *stream, tutti_transfer *transfer);
void tt_stream_recv(struct tt_stream *stream, tutti_transfer *transfer);

/* What to write next: returns how many pieces, 0 = nothing. Then say how much of it went out. */
int tt_stream_output(struct tt_stream *stream, struct iovec **pieces);
void tt_stream_written(struct tt_stream *stream, size_t n);
/* Would tt_stream_output() have something? */
static inline bool
tt_stream_has_output(const struct tt_stream *stream)
{
	if (stream->out.piece < stream->out.npieces || stream->out.open != NULL || stream->refusing.first != NULL)
		return true;
	return !stream->differs && (stream->ready.first != NULL || stream->control_first != NULL);
}

/* Where to read to: returns how many pieces. Then say how much came. False: the peer broke the protocol, see
 * `fault`; nothing more may be given. */
int tt_stream_input(struct tt_stream *stream, struct iovec pieces[TT_INPUT_PIECES]);
bool tt_stream_read(struct tt_stream *stream, size_t n);

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
/* Bytes of the message, whole grains of it, go to the receive's parts or through its fold. */
void tt_stream_deliver(struct tt_stream *stream, tutti_transfer *transfer, const unsigned char *bytes, size_t n);
/* A receive has all of its bytes. */
void tt_stream_received(struct tt_stream *stream, struct tt_lane *lane, tutti_transfer *transfer);
/* Gives messages that were set aside, and are whole, to receives that are posted. */
void tt_stream_settle(struct tt_stream *stream, struct tt_lane *lane);

#endif /* TT_TCP_STREAM_H */

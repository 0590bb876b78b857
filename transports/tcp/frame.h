/* SPDX-License-Identifier: Apache-2.0
 *
 * frame.h - what two ranks write to each other over TCP, frame by frame.
 *
 *      0  kind (1 byte), three zero bytes       16  size
 *      4  lane                                  24  count
 *      8  number of the message on its lane     28  check, over everything else of the frame
 *     32  mark (32 bytes; EAGER, OFFER, GRANT, REFUSE only)
 *
 * Little-endian. EAGER is followed by the message, CHUNK by `count` bytes of it; and these, if the two sides have
 * agreed on checksums, by theirs (sum.h). A byte 0 in the place of a frame means nothing; one follows every batch on the
 * first connection (stream_in.c says what for). A chunk says by itself where it belongs, so that the chunks of a message may
 * travel on several connections; everything else keeps to one. The check finds a damaged header before anything in it is believed; it is no protection against malice.
 */
#ifndef TT_TCP_FRAME_H
#define TT_TCP_FRAME_H

#include <tutti/transport.h>

#include "base/port.h"

#define TT_FRAME_SHORT 32 /* bytes of a frame without a mark */
#define TT_FRAME_LONG 64 /* and with one */
#define TT_CHUNK_BYTES ((size_t)256 << 10) /* a chunk has at most that many; a multiple of every grain */

enum tt_frame_kind {
	TT_FRAME_NOTHING = 0, /* one byte */
	TT_FRAME_EAGER = 1, /* a whole small message. size: its bytes; count: credit given back, in total */
	TT_FRAME_OFFER, /* a large message exists. size: its bytes; count: as above */
	TT_FRAME_CHUNK, /* a piece of a granted message. size: its offset; count: its bytes */
	TT_FRAME_GRANT, /* a receive for a large message is posted. size: its bytes */
	TT_FRAME_REFUSE, /* the receive that met this message differs. size: its bytes */
	TT_FRAME_CREDIT, /* count: credit given back on the lane, in total */
	TT_FRAME_GOODBYE, /* the sender leaves; nothing follows */
	TT_FRAME_CHOOSE, /* this connection shall be the link's (lower rank to higher). lane: which one of the link's; */
	TT_FRAME_AGREE, /* it is (higher rank to lower). both: size, connections wanted; count: 1 = wants checksums */
};

struct tt_frame {
	enum tt_frame_kind kind;
	uint32_t lane;
	uint64_t number;
	uint64_t size;
	uint32_t count;
	unsigned char mark[TUTTI_MARK_BYTES];
};

/* Bytes of a frame whose first byte is `kind`; 0: there is no such frame, or it is TT_FRAME_NOTHING. */
size_t tt_frame_bytes(unsigned kind);
/* Writes tt_frame_bytes(frame->kind) bytes and returns how many. */
size_t tt_frame_encode(const struct tt_frame *frame, unsigned char *out);
/* Reads as many. False: damaged; *frame is then meaningless. Lane, number, size and count are what the peer says. */
bool tt_frame_decode(const unsigned char *in, struct tt_frame *frame);

#endif /* TT_TCP_FRAME_H */

/* SPDX-License-Identifier: Apache-2.0
 *
 * greeting.h - how a connection begins: both sides prove who they are, then agree that this is the link's.
 *
 * Two ranks may connect to each other at the same time. So that both take the same connection and nothing is sent
 * on the other, the lower rank chooses: it says CHOOSE on one proven connection at a time, and the higher rank
 * takes that one and answers AGREE. Messages follow only then, on either side.
 *
 *     PROVING -> PROVEN -> (lower) tt_greeting_choose -> CHOOSING -> AGREED
 *                       -> (higher) CHOSEN -> tt_greeting_agree -> AGREED
 *
 * A state machine without I/O.
 */
#ifndef TT_TCP_GREETING_H
#define TT_TCP_GREETING_H

#include "base/handshake.h"
#include "tcp/frame.h"

enum tt_greeting_phase {
	TT_GREETING_PROVING,
	TT_GREETING_PROVEN, /* theirs is known; the lower rank has to decide */
	TT_GREETING_CHOOSING, /* the lower rank waits for the answer */
	TT_GREETING_CHOSEN, /* the higher rank has to decide */
	TT_GREETING_AGREED,
};

/* What a side wants of a link; said with CHOOSE and AGREE. */
struct tt_terms {
	uint32_t width; /* connections for chunks, beside the first */
	bool sums; /* checksums behind the bytes of messages */
};

struct tt_greeting {
	struct tt_handshake handshake;
	enum tt_greeting_phase phase;
	bool chooser;
	bool over; /* the other side has said goodbye */
	uint32_t channel; /* which of the link's connections this is to be; known from CHOOSE on */
	struct tt_terms theirs; /* after CHOOSE or AGREE came */
	unsigned char in[TT_FRAME_SHORT], out[TT_FRAME_SHORT];
	size_t in_bytes, out_bytes, out_sent;
};

void tt_greeting_init(
    struct tt_greeting *greeting, int initiator, const unsigned char key[TT_KEY_BYTES], const struct tt_hello *mine);
/* Bytes wanted next, 0 while this side has to decide: read no more than that. */
size_t tt_greeting_wants(const struct tt_greeting *greeting);
/* Takes n <= wants bytes. TUTTI_OK: look at the phase. TUTTI_ERR_PEER: the other side has said goodbye, or breaks
 * the rules; TUTTI_ERR_AUTH, TUTTI_ERR_VERSION: as in the handshake. */
tutti_status tt_greeting_give(struct tt_greeting *greeting, const void *bytes, size_t n);
/* Bytes to send now, *n of them; then say how many went out. */
const void *tt_greeting_take(struct tt_greeting *greeting, size_t *n);
void tt_greeting_sent(struct tt_greeting *greeting, size_t n);

/* The decisions: in PROVEN of the lower rank, in CHOSEN of the higher. */
void tt_greeting_choose(struct tt_greeting *greeting, uint32_t channel, const struct tt_terms *terms);
void tt_greeting_agree(struct tt_greeting *greeting, const struct tt_terms *terms);
/* Instead of a decision: this side of the link is over. */
void tt_greeting_goodbye(struct tt_greeting *greeting);
/* Agreed, and nothing left to send. */
bool tt_greeting_done(const struct tt_greeting *greeting);

#endif /* TT_TCP_GREETING_H */

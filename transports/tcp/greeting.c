/* SPDX-License-Identifier: Apache-2.0
 *
 * greeting.c - the handshake, and behind it one frame each way.
 */
#include "tcp/greeting.h"

#include <string.h>

#include "base/error.h"

void
tt_greeting_init(
    struct tt_greeting *greeting, int initiator, const unsigned char key[TT_KEY_BYTES], const struct tt_hello *mine)
{
	memset(greeting, 0, sizeof(*greeting));
	tt_handshake_init(&greeting->handshake, initiator, key, mine);
}

size_t
tt_greeting_wants(const struct tt_greeting *greeting)
{
	switch (greeting->phase) {
	case TT_GREETING_PROVING:
		return tt_handshake_wants(&greeting->handshake);
	case TT_GREETING_PROVEN:
		return greeting->chooser ? 0 : TT_FRAME_SHORT - greeting->in_bytes;
	case TT_GREETING_CHOOSING:
		return TT_FRAME_SHORT - greeting->in_bytes;
	default:
		return 0;
	}
}

static tutti_status
take_frame(struct tt_greeting *greeting)
{
	struct tt_frame frame;

	greeting->in_bytes = 0;
	if (tt_frame_bytes(greeting->in[0]) != TT_FRAME_SHORT || !tt_frame_decode(greeting->in, &frame))
		return tt_fail(TUTTI_ERR_PEER, -1, "its first header is damaged");
	greeting->over = frame.kind == TT_FRAME_GOODBYE;
	if (greeting->over)
		return tt_fail(TUTTI_ERR_PEER, -1, "it has ended its side of the link");
	if (greeting->phase == TT_GREETING_PROVEN && frame.kind == TT_FRAME_CHOOSE) {
		greeting->phase = TT_GREETING_CHOSEN;
		greeting->channel = frame.lane;
	} else if (greeting->phase == TT_GREETING_CHOOSING && frame.kind == TT_FRAME_AGREE &&
		   frame.lane == greeting->channel) {
		greeting->phase = TT_GREETING_AGREED;
	} else {
		return tt_fail(TUTTI_ERR_PEER, -1, "its first header is out of order");
	}
	greeting->theirs = (struct tt_terms){frame.size < UINT32_MAX ? (uint32_t)frame.size : 0, frame.count == 1};
	return TUTTI_OK;
}

tutti_status
tt_greeting_give(struct tt_greeting *greeting, const void *bytes, size_t n)
{
	if (greeting->phase == TT_GREETING_PROVING) {
		const tutti_status status = tt_handshake_give(&greeting->handshake, bytes, n);

		if (status == TUTTI_IN_PROGRESS)
			return TUTTI_OK;
		TT_TRY(status);
		greeting->chooser = greeting->handshake.mine.rank < greeting->handshake.theirs.rank;
		greeting->phase = TT_GREETING_PROVEN;
		return TUTTI_OK;
	}
	memcpy(greeting->in + greeting->in_bytes, bytes, n);
	greeting->in_bytes += n;
	return greeting->in_bytes == TT_FRAME_SHORT ? take_frame(greeting) : TUTTI_OK;
}

const void *
tt_greeting_take(struct tt_greeting *greeting, size_t *n)
{
	const void *bytes = tt_handshake_take(&greeting->handshake, n);

	if (*n > 0)
		return bytes;
	*n = greeting->out_bytes - greeting->out_sent;
	return greeting->out + greeting->out_sent;
}

void
tt_greeting_sent(struct tt_greeting *greeting, size_t n)
{
	size_t handshake;

	tt_handshake_take(&greeting->handshake, &handshake);
	if (handshake > 0)
		tt_handshake_sent(&greeting->handshake, n);
	else
		greeting->out_sent += n;
}

static void
say(struct tt_greeting *greeting, enum tt_frame_kind kind, const struct tt_terms *terms)
{
	const struct tt_frame frame = {
	    .kind = kind, .lane = greeting->channel, .size = terms->width, .count = terms->sums};

	greeting->out_bytes = tt_frame_encode(&frame, greeting->out);
	greeting->out_sent = 0;
}

void
tt_greeting_choose(struct tt_greeting *greeting, uint32_t channel, const struct tt_terms *terms)
{
	greeting->channel = channel;
	say(greeting, TT_FRAME_CHOOSE, terms);
	greeting->phase = TT_GREETING_CHOOSING;
}

void
tt_greeting_agree(struct tt_greeting *greeting, const struct tt_terms *terms)
{
	say(greeting, TT_FRAME_AGREE, terms);
	greeting->phase = TT_GREETING_AGREED;
}

void
tt_greeting_goodbye(struct tt_greeting *greeting)
{
	const struct tt_terms none = {0};

	say(greeting, TT_FRAME_GOODBYE, &none);
}

bool
tt_greeting_done(const struct tt_greeting *greeting)
{
	return greeting->phase == TT_GREETING_AGREED && tt_handshake_done(&greeting->handshake) &&
	       greeting->out_sent == greeting->out_bytes;
}

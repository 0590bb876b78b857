/* SPDX-License-Identifier: Apache-2.0
 *
 * frame.c - frames to bytes and back. Knows nothing of what frames are for.
 */
#include "tcp/frame.h"

#include <string.h>

enum { AT_KIND = 0, AT_LANE = 4, AT_NUMBER = 8, AT_SIZE = 16, AT_COUNT = 24, AT_CHECK = 28, AT_MARK = 32 };

_Static_assert(AT_MARK == TT_FRAME_SHORT && AT_MARK + TUTTI_MARK_BYTES == TT_FRAME_LONG, "the layout of a frame");

static void
put_u32(unsigned char *at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = (unsigned char)(value >> (8 * i));
}

static uint32_t
get_u32(const unsigned char *at)
{
	return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void
put_u64(unsigned char *at, uint64_t value)
{
	put_u32(at, (uint32_t)value);
	put_u32(at + 4, (uint32_t)(value >> 32));
}

static uint64_t
get_u64(const unsigned char *at)
{
	return (uint64_t)get_u32(at) | (uint64_t)get_u32(at + 4) << 32;
}

/* Every step is a bijection of the state, so that a difference in one word cannot vanish before the last fold. */
static uint64_t
stir(uint64_t state, uint64_t word)
{
	state = (state ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	return state ^ state >> 32;
}

static uint32_t
check_of(const unsigned char *in, size_t bytes)
{
	uint64_t state = stir(UINT64_C(0x7475747469746370), bytes);

	state = stir(state, get_u64(in + AT_KIND));
	state = stir(state, get_u64(in + AT_NUMBER));
	state = stir(state, get_u64(in + AT_SIZE));
	state = stir(state, get_u32(in + AT_COUNT));
	for (size_t at = AT_MARK; at < bytes; at += 8)
		state = stir(state, get_u64(in + at));
	return (uint32_t)(state >> 16);
}

size_t
tt_frame_bytes(unsigned kind)
{
	switch (kind) {
	case TT_FRAME_EAGER:
	case TT_FRAME_OFFER:
	case TT_FRAME_GRANT:
	case TT_FRAME_REFUSE:
		return TT_FRAME_LONG;
	case TT_FRAME_CHUNK:
	case TT_FRAME_CREDIT:
	case TT_FRAME_GOODBYE:
	case TT_FRAME_CHOOSE:
	case TT_FRAME_AGREE:
		return TT_FRAME_SHORT;
	default:
		return 0;
	}
}

size_t
tt_frame_encode(const struct tt_frame *frame, unsigned char *out)
{
	const size_t bytes = tt_frame_bytes(frame->kind);

	put_u32(out + AT_KIND, frame->kind);
	put_u32(out + AT_LANE, frame->lane);
	put_u64(out + AT_NUMBER, frame->number);
	put_u64(out + AT_SIZE, frame->size);
	put_u32(out + AT_COUNT, frame->count);
	if (bytes == TT_FRAME_LONG)
		memcpy(out + AT_MARK, frame->mark, sizeof(frame->mark));
	put_u32(out + AT_CHECK, check_of(out, bytes));
	return bytes;
}

bool
tt_frame_decode(const unsigned char *in, struct tt_frame *frame)
{
	const size_t bytes = tt_frame_bytes(in[AT_KIND]);

	if (bytes == 0 || get_u32(in + AT_KIND) != in[AT_KIND] || get_u32(in + AT_CHECK) != check_of(in, bytes))
		return false;
	frame->kind = (enum tt_frame_kind)in[AT_KIND];
	frame->lane = get_u32(in + AT_LANE);
	frame->number = get_u64(in + AT_NUMBER);
	frame->size = get_u64(in + AT_SIZE);
	frame->count = get_u32(in + AT_COUNT);
	if (bytes == TT_FRAME_LONG)
		memcpy(frame->mark, in + AT_MARK, sizeof(frame->mark));
	return true;
}

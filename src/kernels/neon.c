/* SPDX-License-Identifier: Apache-2.0
 *
 * neon.c - the kernels for aarch64, where every processor has what they need.
 */
#include <arm_neon.h>

#define VECTOR_BYTES 16
#include "kernels/vector_types.h"

INLINE u8v
min_int8(u8v x, u8v y)
{
	return (u8v)vminq_s8((int8x16_t)x, (int8x16_t)y);
}

INLINE u8v
min_int16(u8v x, u8v y)
{
	return (u8v)vminq_s16((int16x8_t)x, (int16x8_t)y);
}

INLINE u8v
min_int32(u8v x, u8v y)
{
	return (u8v)vminq_s32((int32x4_t)x, (int32x4_t)y);
}

INLINE u8v
min_int64(u8v x, u8v y)
{
	return vector_select((u8v)((s64v)x < (s64v)y), x, y);
}

INLINE u8v
min_uint8(u8v x, u8v y)
{
	return (u8v)vminq_u8((uint8x16_t)x, (uint8x16_t)y);
}

INLINE u8v
min_uint16(u8v x, u8v y)
{
	return (u8v)vminq_u16((uint16x8_t)x, (uint16x8_t)y);
}

INLINE u8v
min_uint32(u8v x, u8v y)
{
	return (u8v)vminq_u32((uint32x4_t)x, (uint32x4_t)y);
}

INLINE u8v
min_uint64(u8v x, u8v y)
{
	return vector_select((u8v)((u64v)x < (u64v)y), x, y);
}

INLINE u8v
max_int8(u8v x, u8v y)
{
	return (u8v)vmaxq_s8((int8x16_t)x, (int8x16_t)y);
}

INLINE u8v
max_int16(u8v x, u8v y)
{
	return (u8v)vmaxq_s16((int16x8_t)x, (int16x8_t)y);
}

INLINE u8v
max_int32(u8v x, u8v y)
{
	return (u8v)vmaxq_s32((int32x4_t)x, (int32x4_t)y);
}

INLINE u8v
max_int64(u8v x, u8v y)
{
	return vector_select((u8v)((s64v)x > (s64v)y), x, y);
}

INLINE u8v
max_uint8(u8v x, u8v y)
{
	return (u8v)vmaxq_u8((uint8x16_t)x, (uint8x16_t)y);
}

INLINE u8v
max_uint16(u8v x, u8v y)
{
	return (u8v)vmaxq_u16((uint16x8_t)x, (uint16x8_t)y);
}

INLINE u8v
max_uint32(u8v x, u8v y)
{
	return (u8v)vmaxq_u32((uint32x4_t)x, (uint32x4_t)y);
}

INLINE u8v
max_uint64(u8v x, u8v y)
{
	return vector_select((u8v)((u64v)x > (u64v)y), x, y);
}

INLINE u16v
words_high(u8v x, u8v y)
{
	return (u16v)vtrn2q_u16((uint16x8_t)x, (uint16x8_t)y);
}

INLINE u16v
words_low(u8v x, u8v y)
{
	return (u16v)vtrn1q_u16((uint16x8_t)x, (uint16x8_t)y);
}

/* The least that rounds up is 0x8000 where `kept` is odd, 0x8001 where it is even. */
INLINE u16v
words_round(u16v kept, u16v lost)
{
	return kept - (u16v)vcgeq_u16((uint16x8_t)lost, (uint16x8_t)((~kept & 1) | 0x8000));
}

INLINE bool
block_has_nan(struct block x)
{
	const float32x4_t greatest =
	    vmaxq_f32(vmaxq_f32((float32x4_t)x.a, (float32x4_t)x.b), vmaxq_f32((float32x4_t)x.c, (float32x4_t)x.d));

	return vminvq_u32(vceqq_f32(greatest, greatest)) == 0;
}

/* These give NaN if one is NaN, and put -0 below +0. */
INLINE u8v
min_float32(u8v x, u8v y)
{
	return (u8v)vminq_f32((float32x4_t)x, (float32x4_t)y);
}

INLINE u8v
min_float64(u8v x, u8v y)
{
	return (u8v)vminq_f64((float64x2_t)x, (float64x2_t)y);
}

INLINE u8v
half_low(u16v x)
{
	return (u8v)vcvt_f32_f16(vget_low_f16((float16x8_t)x));
}

INLINE u8v
half_high(u16v x)
{
	return (u8v)vcvt_high_f32_f16((float16x8_t)x);
}

INLINE u16v
half_pack(u8v low, u8v high)
{
	return (u16v)vcvt_high_f16_f32(vcvt_f16_f32((float32x4_t)low), (float32x4_t)high);
}

/* From and to VECTOR_BYTES / 2 bytes of memory. */
INLINE u8v
half_load(const uint8_t *from)
{
	float16x4_t half;

	memcpy(&half, from, sizeof half);
	return (u8v)vcvt_f32_f16(half);
}

INLINE void
half_store(uint8_t *to, u8v x)
{
	const float16x4_t half = vcvt_f16_f32((float32x4_t)x);

	memcpy(to, &half, sizeof half);
}

#define partial_load words_load
#define partial_store pieces_store

#include "kernels/vector_set.h"
#include "kernels/sets.h"

const struct tt_kernels tt_kernels_neon = TT_KERNELS_TABLE("neon", float16);

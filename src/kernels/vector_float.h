/* SPDX-License-Identifier: Apache-2.0
 *
 * vector_float.h - the float types as forms: how a block is read, combined and written.
 *
 * Sums and products are made in fp32 or fp64 lanes; a block of 16-bit floats is two vectors of them, of 8-bit floats one,
 * so that a block is always four accumulators. Lanes may be in any order in between, as long as store undoes what
 * load did. MIN and MAX of narrow floats need no conversion: they compare the bits as ordered integers.
 * Only store makes NaN canonical; until then a NaN may be any.
 *
 * Needs from the instruction set: min_float32, min_float64 (NaN if one is; -0 < +0), min_int16, min_int8, min_uint16,
 * min_uint32, max_uint32, half_load, half_store, half_low, half_high, half_pack, block_has_nan (of its fp32 lanes);
 * words_high and words_low (the high or the low halves of 32-bit lanes, those of x at even places, those of y at odd
 * ones), words_round (`kept` counted up where `lost` is above half, or half and `kept` odd).
 */
#ifndef TT_KERNELS_VECTOR_FLOAT_H
#define TT_KERNELS_VECTOR_FLOAT_H

#include "kernels/vector_types.h"

#define EACH(function, x, ...) \
	((struct block){function((x).a, __VA_ARGS__), function((x).b, __VA_ARGS__), function((x).c, __VA_ARGS__), \
	    function((x).d, __VA_ARGS__)})

/* ---- arithmetic on the accumulators -------------------------------------------------------------------------- */

INLINE u8v
add_single(u8v x, u8v y)
{
	return (u8v)((f32v)x + (f32v)y);
}

INLINE u8v
multiply_single(u8v x, u8v y)
{
	return (u8v)((f32v)x * (f32v)y);
}

INLINE u8v
add_double(u8v x, u8v y)
{
	return (u8v)((f64v)x + (f64v)y);
}

INLINE u8v
multiply_double(u8v x, u8v y)
{
	return (u8v)((f64v)x * (f64v)y);
}

INLINE u8v
finish_single(u8v x, const struct finish *finish)
{
	const f32v by = (f32v){0} + finish->single;

	return finish->multiply ? (u8v)((f32v)x * by) : (u8v)((f32v)x / by);
}

INLINE u8v
finish_double(u8v x, const struct finish *finish)
{
	const f64v by = (f64v){0} + finish->wide;

	return finish->multiply ? (u8v)((f64v)x * by) : (u8v)((f64v)x / by);
}

INLINE struct block
block_finish_single(struct block x, const struct finish *finish)
{
	return TT_LIKELY(!finish->divide) ? x : EACH(finish_single, x, finish);
}

INLINE struct block
block_finish_double(struct block x, const struct finish *finish)
{
	return TT_LIKELY(!finish->divide) ? x : EACH(finish_double, x, finish);
}

/* ---- float32 and float64 ------------------------------------------------------------------------------------- */

INLINE u8v
canonical_single(u8v x, u32v nan)
{
	return vector_select((u8v)((f32v)x != (f32v)x), (u8v)nan, x);
}

INLINE u8v
canonical_double(u8v x, u64v nan)
{
	return vector_select((u8v)((f64v)x != (f64v)x), (u8v)nan, x);
}

INLINE struct block
block_canonical_single(struct block x)
{
	return EACH(canonical_single, x, (u32v){0} + 0x7fc00000);
}

/* The same, where NaN are rare and what follows takes all the time there is. */
INLINE struct block
block_numbers(struct block x)
{
	return TT_LIKELY(!block_has_nan(x)) ? x : block_canonical_single(x);
}

INLINE struct block
float32_load(const uint8_t *from)
{
	return block_load(from);
}

INLINE void
float32_store(uint8_t *to, struct block x, const struct finish *finish)
{
	block_store(to, block_canonical_single(block_finish_single(x, finish)));
}

INLINE struct block
float64_load(const uint8_t *from)
{
	return block_load(from);
}

INLINE void
float64_store(uint8_t *to, struct block x, const struct finish *finish)
{
	x = block_finish_double(x, finish);
	block_store(to, EACH(canonical_double, x, (u64v){0} + UINT64_C(0x7ff8000000000000)));
}

#define float32_min_load float32_load
#define float32_min_store float32_store
#define float64_min_load float64_load
#define float64_min_store float64_store

/* MAX is the minimum of the negated values, negated. */
INLINE u8v
flip(u8v x, u8v signs)
{
	return x ^ signs;
}

#define SIGNS_64 ((u8v)((u64v){0} + UINT64_C(0x8000000000000000)))
#define SIGNS_32 ((u8v)((u32v){0} + 0x80000000u))
#define SIGNS_16 ((u8v)((u16v){0} + (uint16_t)0x8000))
#define SIGNS_8 ((u8v){0} + (uint8_t)0x80)

INLINE struct block
float32_max_load(const uint8_t *from)
{
	const struct block x = block_load(from);

	return EACH(flip, x, SIGNS_32);
}

INLINE void
float32_max_store(uint8_t *to, struct block x, const struct finish *finish)
{
	float32_store(to, EACH(flip, x, SIGNS_32), finish);
}

INLINE struct block
float64_max_load(const uint8_t *from)
{
	const struct block x = block_load(from);

	return EACH(flip, x, SIGNS_64);
}

INLINE void
float64_max_store(uint8_t *to, struct block x, const struct finish *finish)
{
	float64_store(to, EACH(flip, x, SIGNS_64), finish);
}

/* ---- float16 ------------------------------------------------------------------------------------------------- */

INLINE struct block
float16_load(const uint8_t *from)
{
	return (struct block){half_load(from), half_load(from + VECTOR_BYTES / 2), half_load(from + VECTOR_BYTES),
	    half_load(from + 3 * VECTOR_BYTES / 2)};
}

INLINE void
float16_store(uint8_t *to, struct block x, const struct finish *finish)
{
	x = block_numbers(block_finish_single(x, finish));
	half_store(to, x.a);
	half_store(to + VECTOR_BYTES / 2, x.b);
	half_store(to + VECTOR_BYTES, x.c);
	half_store(to + 3 * VECTOR_BYTES / 2, x.d);
}

/* ---- bfloat16: the even elements in one accumulator, the odd ones in the next -------------------------------- */

INLINE struct block
bfloat16_load(const uint8_t *from)
{
	const u32v x = (u32v)vector_load(from), y = (u32v)vector_load(from + VECTOR_BYTES);

	return (struct block){(u8v)(x << 16), (u8v)(x & 0xffff0000u), (u8v)(y << 16), (u8v)(y & 0xffff0000u)};
}

/* `last` is the greatest magnitude that is not NaN, `nan` the canonical one. */
INLINE u8v
canonical_16(u8v x, int16_t last, int16_t nan)
{
	const s16v is_nan = ((s16v)x & 0x7fff) > (s16v){0} + last;

	return vector_select((u8v)is_nan, (u8v)((s16v){0} + nan), x);
}

/* No NaN, or the canonical one: what is lost of it is 0. */
INLINE u8v
bfloat16_pack(u8v even, u8v odd)
{
	return (u8v)words_round(words_high(even, odd), words_low(even, odd));
}

INLINE void
bfloat16_store(uint8_t *to, struct block x, const struct finish *finish)
{
	x = block_numbers(block_finish_single(x, finish));
	vector_store(to, bfloat16_pack(x.a, x.b));
	vector_store(to + VECTOR_BYTES, bfloat16_pack(x.c, x.d));
}

/* ---- 8-bit floats: the even and the odd bytes as float16, and from there to fp32 ----------------------------- */

/* Rounds fp32 to `mantissa` bits by adding and taking away a power of two whose last place is the wanted one;
 * `lowest` is the exponent field of the target's smallest normal number. The result is exact in the target, or
 * beyond its range. */
INLINE u8v
round_single(u8v x, unsigned mantissa, uint32_t lowest)
{
	const u32v sign = (u32v)x & 0x80000000u;
	const u32v magnitude = (u32v)x & 0x7fffffff;
	/* Beyond 2^32 nothing is left to decide, and the power must not overflow. */
	const u8v not_below = max_uint32((u8v)(magnitude & 0x7f800000), (u8v)((u32v){0} + (lowest << 23)));
	const u32v exponent = (u32v)min_uint32(not_below, (u8v)((u32v){0} + (159u << 23)));
	const f32v power = (f32v)(exponent + ((23 - mantissa) << 23));

	return (u8v)((u32v)(((f32v)magnitude + power) - power) | sign);
}

/* A byte in the high half of a lane is this float16, and the other way round. */
INLINE u16v
e5m2_to_half(u16v high)
{
	return high;
}

INLINE u16v
e5m2_from_half(u16v half)
{
	return (u16v)canonical_16((u8v)half, 0x7c00, 0x7e00);
}

/* The mantissa moves down one place; that makes the value 2^8 times too small, and NaN look like a number. */
INLINE u16v
e4m3_to_half(u16v high)
{
	const u16v magnitude = high & 0x7f00;

	return (high & 0x8000) | (magnitude >> 1) | (u16v)(magnitude == (u16v){0} + 0x7f00);
}

INLINE u16v
e4m3_from_half(u16v half)
{
	const u8v last = (u8v)((u16v){0} + 0x3f80); /* what NaN is, and anything too great becomes */
	const u16v magnitude = (u16v)min_uint16((u8v)(half & 0x7fff), last);

	return (magnitude << 1) | (half & 0x8000 & (u16v)(magnitude != (u16v){0} + 0x3f80));
}

INLINE struct block
float8_e5m2_load(const uint8_t *from)
{
	const u16v x = (u16v)vector_load(from);
	const u16v even = e5m2_to_half(x << 8), odd = e5m2_to_half(x & 0xff00);

	return (struct block){half_low(even), half_high(even), half_low(odd), half_high(odd)};
}

INLINE struct block
float8_e4m3_load(const uint8_t *from)
{
	const u16v x = (u16v)vector_load(from);
	const u16v even = e4m3_to_half(x << 8), odd = e4m3_to_half(x & 0xff00);
	const struct block halves = {half_low(even), half_high(even), half_low(odd), half_high(odd)};

	return EACH(multiply_single, halves, (u8v)((f32v){0} + 256.0f));
}

INLINE void
float8_e5m2_store(uint8_t *to, struct block x, const struct finish *finish)
{
	x = block_finish_single(x, finish);
	x = EACH(round_single, x, 2, 113);
	const u16v even = e5m2_from_half(half_pack(x.a, x.b)), odd = e5m2_from_half(half_pack(x.c, x.d));

	vector_store(to, (u8v)((even >> 8) | (odd & 0xff00)));
}

INLINE void
float8_e4m3_store(uint8_t *to, struct block x, const struct finish *finish)
{
	x = block_finish_single(x, finish);
	x = EACH(round_single, x, 3, 121);
	x = EACH(multiply_single, x, (u8v)((f32v){0} + 0x1p-8f));
	const u16v even = e4m3_from_half(half_pack(x.a, x.b)), odd = e4m3_from_half(half_pack(x.c, x.d));

	vector_store(to, (u8v)((even >> 8) | (odd & 0xff00)));
}

/* ---- MIN and MAX of 16- and 8-bit floats --------------------------------------------------------------------- *
 *
 * With the sign bit set the other bits count downwards; inverting them makes signed integers in the order of the
 * values, -0 below +0. NaN becomes all ones first, the negative NaN of the greatest magnitude: below everything. */

INLINE u8v
order_16(u8v x)
{
	return (u8v)((s16v)x ^ (((s16v)x >> 15) & 0x7fff));
}

INLINE u8v
key_16(u8v x, int16_t last, u8v signs)
{
	const s16v is_nan = ((s16v)x & 0x7fff) > (s16v){0} + last;

	return order_16((x ^ signs) | (u8v)is_nan);
}

INLINE u8v
unkey_16(u8v x, int16_t last, int16_t nan, u8v signs)
{
	return canonical_16(order_16(x) ^ signs, last, nan);
}

INLINE u8v
order_8(u8v x)
{
	return x ^ ((u8v)((s8v)x < 0) & 0x7f);
}

INLINE u8v
key_8(u8v x, int8_t last, u8v signs)
{
	const s8v is_nan = ((s8v)x & 0x7f) > (s8v){0} + last;

	return order_8((x ^ signs) | (u8v)is_nan);
}

INLINE u8v
unkey_8(u8v x, int8_t last, int8_t nan, u8v signs)
{
	const u8v value = order_8(x) ^ signs;
	const s8v is_nan = ((s8v)value & 0x7f) > (s8v){0} + last;

	return vector_select((u8v)is_nan, (u8v)((s8v){0} + nan), value);
}

#define KEYED_FORM(form, op, width, last, nan, signs) \
	INLINE struct block form##_##op##_load(const uint8_t *from) \
	{ \
		const struct block x = block_load(from); \
		return EACH(key_##width, x, last, signs); \
	} \
	INLINE void form##_##op##_store(uint8_t *to, struct block x, const struct finish *finish) \
	{ \
		(void)finish; \
		block_store(to, EACH(unkey_##width, x, last, nan, signs)); \
	}

KEYED_FORM(float16, min, 16, 0x7c00, 0x7e00, (u8v){0})
KEYED_FORM(float16, max, 16, 0x7c00, 0x7e00, SIGNS_16)
KEYED_FORM(bfloat16, min, 16, 0x7f80, 0x7fc0, (u8v){0})
KEYED_FORM(bfloat16, max, 16, 0x7f80, 0x7fc0, SIGNS_16)
KEYED_FORM(float8_e5m2, min, 8, 0x7c, 0x7e, (u8v){0})
KEYED_FORM(float8_e5m2, max, 8, 0x7c, 0x7e, SIGNS_8)
KEYED_FORM(float8_e4m3, min, 8, 0x7e, 0x7f, (u8v){0})
KEYED_FORM(float8_e4m3, max, 8, 0x7e, 0x7f, SIGNS_8)

#endif /* TT_KERNELS_VECTOR_FLOAT_H */

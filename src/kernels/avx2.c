/* SPDX-License-Identifier: Apache-2.0
 *
 * avx2.c - the kernels for x86-64 with AVX2 and F16C; only compiled with those flags, only called where supported.
 */
#include <immintrin.h>

#define VECTOR_BYTES 32
#include "kernels/vector_types.h"

INLINE u8v
min_int8(u8v x, u8v y)
{
	return (u8v)_mm256_min_epi8((__m256i)x, (__m256i)y);
}

INLINE u8v
min_int16(u8v x, u8v y)
{
	return (u8v)_mm256_min_epi16((__m256i)x, (__m256i)y);
}

INLINE u8v
min_int32(u8v x, u8v y)
{
	return (u8v)_mm256_min_epi32((__m256i)x, (__m256i)y);
}

INLINE u8v
min_int64(u8v x, u8v y)
{
	return vector_select((u8v)((s64v)x < (s64v)y), x, y);
}

INLINE u8v
min_uint8(u8v x, u8v y)
{
	return (u8v)_mm256_min_epu8((__m256i)x, (__m256i)y);
}

INLINE u8v
min_uint16(u8v x, u8v y)
{
	return (u8v)_mm256_min_epu16((__m256i)x, (__m256i)y);
}

INLINE u8v
min_uint32(u8v x, u8v y)
{
	return (u8v)_mm256_min_epu32((__m256i)x, (__m256i)y);
}

INLINE u8v
min_uint64(u8v x, u8v y)
{
	return vector_select((u8v)((u64v)x < (u64v)y), x, y);
}

INLINE u8v
max_int8(u8v x, u8v y)
{
	return (u8v)_mm256_max_epi8((__m256i)x, (__m256i)y);
}

INLINE u8v
max_int16(u8v x, u8v y)
{
	return (u8v)_mm256_max_epi16((__m256i)x, (__m256i)y);
}

INLINE u8v
max_int32(u8v x, u8v y)
{
	return (u8v)_mm256_max_epi32((__m256i)x, (__m256i)y);
}

INLINE u8v
max_int64(u8v x, u8v y)
{
	return vector_select((u8v)((s64v)x > (s64v)y), x, y);
}

INLINE u8v
max_uint8(u8v x, u8v y)
{
	return (u8v)_mm256_max_epu8((__m256i)x, (__m256i)y);
}

INLINE u8v
max_uint16(u8v x, u8v y)
{
	return (u8v)_mm256_max_epu16((__m256i)x, (__m256i)y);
}

INLINE u8v
max_uint32(u8v x, u8v y)
{
	return (u8v)_mm256_max_epu32((__m256i)x, (__m256i)y);
}

INLINE u8v
max_uint64(u8v x, u8v y)
{
	return vector_select((u8v)((u64v)x > (u64v)y), x, y);
}

INLINE u16v
words_high(u8v x, u8v y)
{
	return (u16v)_mm256_blend_epi16(_mm256_srli_epi32((__m256i)x, 16), (__m256i)y, 0xaa);
}

INLINE u16v
words_low(u8v x, u8v y)
{
	return (u16v)_mm256_blend_epi16((__m256i)x, _mm256_slli_epi32((__m256i)y, 16), 0xaa);
}

/* Adds 0x7fff, or 0x8000 where `kept` is odd, to `lost`: the carry is the top bit of the average. */
INLINE u16v
words_round(u16v kept, u16v lost)
{
	return kept + ((u16v)_mm256_avg_epu16((__m256i)lost, (__m256i)((kept & 1) | 0x7ffe)) >> 15);
}

INLINE bool
block_has_nan(struct block x)
{
	const __m256 first = _mm256_cmp_ps((__m256)x.a, (__m256)x.b, _CMP_UNORD_Q);
	const __m256 second = _mm256_cmp_ps((__m256)x.c, (__m256)x.d, _CMP_UNORD_Q);

	return _mm256_movemask_ps(_mm256_or_ps(first, second)) != 0;
}

/* The instruction gives its second operand if one is NaN or both are zeros. So the two orders differ in these cases
 * only, and the union of their bits is a NaN, or -0 if one is. */
INLINE u8v
min_float32(u8v x, u8v y)
{
	const u8v first = (u8v)_mm256_min_ps((__m256)x, (__m256)y), second = (u8v)_mm256_min_ps((__m256)y, (__m256)x);

	return first | second;
}

INLINE u8v
min_float64(u8v x, u8v y)
{
	const u8v first = (u8v)_mm256_min_pd((__m256d)x, (__m256d)y),
		  second = (u8v)_mm256_min_pd((__m256d)y, (__m256d)x);

	return first | second;
}

/* From and to VECTOR_BYTES / 2 bytes of memory. */
INLINE u8v
half_load(const uint8_t *from)
{
	return (u8v)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)from));
}

INLINE void
half_store(uint8_t *to, u8v x)
{
	_mm_storeu_si128((__m128i *)(void *)to, _mm256_cvtps_ph((__m256)x, _MM_FROUND_TO_NEAREST_INT));
}

/* The same between registers: the lower and the upper half of a vector of float16. */
INLINE u8v
half_low(u16v x)
{
	return (u8v)_mm256_cvtph_ps(_mm256_castsi256_si128((__m256i)x));
}

INLINE u8v
half_high(u16v x)
{
	return (u8v)_mm256_cvtph_ps(_mm256_extracti128_si256((__m256i)x, 1));
}

INLINE u16v
half_pack(u8v low, u8v high)
{
	const __m128i x = _mm256_cvtps_ph((__m256)low, _MM_FROUND_TO_NEAREST_INT);
	const __m128i y = _mm256_cvtps_ph((__m256)high, _MM_FROUND_TO_NEAREST_INT);

	return (u16v)_mm256_inserti128_si256(_mm256_castsi128_si256(x), y, 1);
}

#define partial_load words_load
#define partial_store pieces_store

#include "kernels/vector_set.h"
#include "kernels/sets.h"

const struct tt_kernels tt_kernels_avx2 = TT_KERNELS_TABLE("avx2", float16);

/* SPDX-License-Identifier: Apache-2.0
 *
 * avx512.c - the kernels for x86-64 with AVX-512 F, BW, DQ and VL; only compiled with those flags, only called where supported.
 */
#include <immintrin.h>

#define VECTOR_BYTES 64
#include "kernels/vector_types.h"

INLINE u8v
min_int8(u8v x, u8v y)
{
	return (u8v)_mm512_min_epi8((__m512i)x, (__m512i)y);
}

INLINE u8v
min_int16(u8v x, u8v y)
{
	return (u8v)_mm512_min_epi16((__m512i)x, (__m512i)y);
}

INLINE u8v
min_int32(u8v x, u8v y)
{
	return (u8v)_mm512_min_epi32((__m512i)x, (__m512i)y);
}

INLINE u8v
min_int64(u8v x, u8v y)
{
	return (u8v)_mm512_min_epi64((__m512i)x, (__m512i)y);
}

INLINE u8v
min_uint8(u8v x, u8v y)
{
	return (u8v)_mm512_min_epu8((__m512i)x, (__m512i)y);
}

INLINE u8v
min_uint16(u8v x, u8v y)
{
	return (u8v)_mm512_min_epu16((__m512i)x, (__m512i)y);
}

INLINE u8v
min_uint32(u8v x, u8v y)
{
	return (u8v)_mm512_min_epu32((__m512i)x, (__m512i)y);
}

INLINE u8v
min_uint64(u8v x, u8v y)
{
	return (u8v)_mm512_min_epu64((__m512i)x, (__m512i)y);
}

INLINE u8v
max_int8(u8v x, u8v y)
{
	return (u8v)_mm512_max_epi8((__m512i)x, (__m512i)y);
}

INLINE u8v
max_int16(u8v x, u8v y)
{
	return (u8v)_mm512_max_epi16((__m512i)x, (__m512i)y);
}

INLINE u8v
max_int32(u8v x, u8v y)
{
	return (u8v)_mm512_max_epi32((__m512i)x, (__m512i)y);
}

INLINE u8v
max_int64(u8v x, u8v y)
{
	return (u8v)_mm512_max_epi64((__m512i)x, (__m512i)y);
}

INLINE u8v
max_uint8(u8v x, u8v y)
{
	return (u8v)_mm512_max_epu8((__m512i)x, (__m512i)y);
}

INLINE u8v
max_uint16(u8v x, u8v y)
{
	return (u8v)_mm512_max_epu16((__m512i)x, (__m512i)y);
}

INLINE u8v
max_uint32(u8v x, u8v y)
{
	return (u8v)_mm512_max_epu32((__m512i)x, (__m512i)y);
}

INLINE u8v
max_uint64(u8v x, u8v y)
{
	return (u8v)_mm512_max_epu64((__m512i)x, (__m512i)y);
}

INLINE u8v
average_uint16(u8v x, u8v y)
{
	return (u8v)_mm512_avg_epu16((__m512i)x, (__m512i)y);
}

/* The instruction gives its second operand if one is NaN or both are zeros. So the two orders differ in these cases
 * only, and the union of their bits is a NaN, or -0 if one is. */
INLINE u8v
min_float32(u8v x, u8v y)
{
	const u8v first = (u8v)_mm512_min_ps((__m512)x, (__m512)y), second = (u8v)_mm512_min_ps((__m512)y, (__m512)x);

	return first | second;
}

INLINE u8v
min_float64(u8v x, u8v y)
{
	const u8v first = (u8v)_mm512_min_pd((__m512d)x, (__m512d)y),
		  second = (u8v)_mm512_min_pd((__m512d)y, (__m512d)x);

	return first | second;
}

/* From and to VECTOR_BYTES / 2 bytes of memory. */
INLINE u8v
half_load(const uint8_t *from)
{
	return (u8v)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)from));
}

INLINE void
half_store(uint8_t *to, u8v x)
{
	_mm256_storeu_si256((__m256i *)(void *)to, _mm512_cvtps_ph((__m512)x, _MM_FROUND_TO_NEAREST_INT));
}

/* The same between registers: the lower and the upper half of a vector of float16. */
INLINE u8v
half_low(u16v x)
{
	return (u8v)_mm512_cvtph_ps(_mm512_castsi512_si256((__m512i)x));
}

INLINE u8v
half_high(u16v x)
{
	return (u8v)_mm512_cvtph_ps(_mm512_extracti64x4_epi64((__m512i)x, 1));
}

INLINE u16v
half_pack(u8v low, u8v high)
{
	const __m256i x = _mm512_cvtps_ph((__m512)low, _MM_FROUND_TO_NEAREST_INT);
	const __m256i y = _mm512_cvtps_ph((__m512)high, _MM_FROUND_TO_NEAREST_INT);

	return (u16v)_mm512_inserti64x4(_mm512_castsi256_si512(x), y, 1);
}

/* The lanes below n, of one vector. */
INLINE __mmask64
lanes_below(size_t n)
{
	return n >= VECTOR_BYTES ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1;
}

/* n < 4 * VECTOR_BYTES; masked lanes are neither read nor written. `to` has room for whole vectors. */
INLINE void
partial_load(uint8_t *to, const uint8_t *from, size_t n)
{
	for (size_t at = 0; at < n; at += VECTOR_BYTES)
		vector_store(to + at, (u8v)_mm512_maskz_loadu_epi8(lanes_below(n - at), from + at));
}

INLINE void
partial_store(uint8_t *to, const uint8_t *from, size_t n)
{
	for (size_t at = 0; at < n; at += VECTOR_BYTES)
		_mm512_mask_storeu_epi8(to + at, lanes_below(n - at), (__m512i)vector_load(from + at));
}

#include "kernels/vector_set.h"
#include "kernels/sets.h"

const struct tt_kernels tt_kernels_avx512 = TT_KERNELS_TABLE("avx512");

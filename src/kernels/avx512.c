/* SPDX-License-Identifier: Apache-2.0
 *
 * avx512.c - the kernels for x86-64 with AVX-512 F, BW, DQ and VL, and with FP16 beside them; only
 * compiled with those flags, only called where supported.
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

/* Words of one operand into the places between the other's, which have them already. */
INLINE u16v
words_high(u8v x, u8v y)
{
	const __m512i down = _mm512_set1_epi32(0x03020302) +
			     _mm512_broadcast_i32x4(_mm_set_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0));

	return (u16v)_mm512_mask_shuffle_epi8((__m512i)y, UINT64_C(0x3333333333333333), (__m512i)x, down);
}

INLINE u16v
words_low(u8v x, u8v y)
{
	const __m512i up = _mm512_set1_epi32(0x01000100) +
			   _mm512_broadcast_i32x4(_mm_set_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0));

	return (u16v)_mm512_mask_shuffle_epi8((__m512i)x, UINT64_C(0xcccccccccccccccc), (__m512i)y, up);
}

/* The least that rounds up is 0x8000 where `kept` is odd, 0x8001 where it is even: (~kept & 1) | 0x8000. */
INLINE u16v
words_round(u16v kept, u16v lost)
{
	const __m512i one = _mm512_set1_epi16(1), half = _mm512_set1_epi16(INT16_MIN);
	const __m512i least = _mm512_ternarylogic_epi32((__m512i)kept, one, half, 0xae);
	const __mmask32 up = _mm512_cmpge_epu16_mask((__m512i)lost, least);

	return (u16v)_mm512_mask_add_epi16((__m512i)kept, up, (__m512i)kept, one);
}

INLINE bool
block_has_nan(struct block x)
{
	const __mmask16 first = _mm512_cmp_ps_mask((__m512)x.a, (__m512)x.b, _CMP_UNORD_Q);
	const __mmask16 second = _mm512_cmp_ps_mask((__m512)x.c, (__m512)x.d, _CMP_UNORD_Q);

	return !_mm512_kortestz(first, second);
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

const struct tt_kernels tt_kernels_avx512 = TT_KERNELS_TABLE("avx512", float16);

#if defined(TT_HAVE_AVX512FP16)

/* ---- float16 by instructions of its own ------------------------------------------------------------------------ *
 *
 * A sum or a product of two, rounded to float16 at once, is the one that is rounded to fp32 first: fp32 has more than
 * twice the digits and two, products are exact in it, and so is what is subnormal in float16. Of more than two it is
 * not, and a sum that is divided afterwards must not overflow. */

#undef TARGET
#define TARGET __attribute__((target("avx512fp16")))

INLINE TARGET u8v
add_half(u8v x, u8v y)
{
	return (u8v)_mm512_add_ph((__m512h)x, (__m512h)y);
}

INLINE TARGET u8v
multiply_half(u8v x, u8v y)
{
	return (u8v)_mm512_mul_ph((__m512h)x, (__m512h)y);
}

/* As min_float32. */
INLINE TARGET u8v
min_half(u8v x, u8v y)
{
	return (u8v)_mm512_min_ph((__m512h)x, (__m512h)y) | (u8v)_mm512_min_ph((__m512h)y, (__m512h)x);
}

INLINE struct block
float16_native_load(const uint8_t *from)
{
	return block_load(from);
}

INLINE TARGET void
float16_native_store(uint8_t *to, struct block x, const struct finish *finish)
{
	const __mmask32 first = _mm512_cmp_ph_mask((__m512h)x.a, (__m512h)x.b, _CMP_UNORD_Q);
	const __mmask32 second = _mm512_cmp_ph_mask((__m512h)x.c, (__m512h)x.d, _CMP_UNORD_Q);

	(void)finish;
	if (TT_UNLIKELY(!_kortestz_mask32_u8(first, second)))
		x = EACH(canonical_16, x, 0x7c00, 0x7e00);
	block_store(to, x);
}

#define float16_native_min_load float16_native_load
#define float16_native_min_store float16_native_store

INLINE struct block
float16_native_max_load(const uint8_t *from)
{
	const struct block x = block_load(from);

	return EACH(flip, x, SIGNS_16);
}

INLINE TARGET void
float16_native_max_store(uint8_t *to, struct block x, const struct finish *finish)
{
	float16_native_store(to, EACH(flip, x, SIGNS_16), finish);
}

#define FORM float16_native
#define PAIRS_OF float16
#define KEYED TUTTI_FLOAT16
#define BITS uint16_t
#define ARITHMETIC_SIZE 4 * VECTOR_BYTES
#define ADD add_half
#define MULTIPLY multiply_half
#define LESSER min_half
#include "kernels/vector_float_ops.h"

const struct tt_kernels tt_kernels_avx512fp16 = TT_KERNELS_TABLE("avx512fp16", float16_native);

#endif

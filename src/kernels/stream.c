/* SPDX-License-Identifier: Apache-2.0
 *
 * stream.c - copies with non-temporal stores.
 *
 * The rule: such stores are not ordered with others, so each copy ends with a fence; without it a flag that is
 * released afterwards could be seen before the data. Whole lines only are written that way: parts of a line would
 * cost more than they save.
 */
#include "kernels/stream.h"

#include <stdint.h>
#include <string.h>

#include "base/port.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define LINE 64
#define LEAST 256 /* less is not worth the fence */

/* `lines` whole lines to an aligned destination. */
static void
lines_sse2(unsigned char *dst, const unsigned char *src, size_t lines)
{
	for (; lines > 0; lines--, dst += LINE, src += LINE) {
		const __m128i *from = (const __m128i *)(const void *)src;
		__m128i *to = (__m128i *)(void *)dst;
		const __m128i a = _mm_loadu_si128(from), b = _mm_loadu_si128(from + 1);
		const __m128i c = _mm_loadu_si128(from + 2), d = _mm_loadu_si128(from + 3);

		_mm_stream_si128(to, a);
		_mm_stream_si128(to + 1, b);
		_mm_stream_si128(to + 2, c);
		_mm_stream_si128(to + 3, d);
	}
}

__attribute__((target("avx512f"))) static void
lines_avx512(unsigned char *dst, const unsigned char *src, size_t lines)
{
	for (; lines > 0; lines--, dst += LINE, src += LINE)
		_mm512_stream_si512((__m512i *)(void *)dst, _mm512_loadu_si512((const void *)src));
}

void
tt_stream_copy(void *dst, const void *src, size_t n)
{
	unsigned char *to = dst;
	const unsigned char *from = src;
	const size_t head = (LINE - (uintptr_t)to % LINE) % LINE;
	size_t lines;

	if (n < LEAST) {
		memcpy(dst, src, n);
		return;
	}
	lines = (n - head) / LINE;
	memcpy(to, from, head);
	if (__builtin_cpu_supports("avx512f"))
		lines_avx512(to + head, from + head, lines);
	else
		lines_sse2(to + head, from + head, lines);
	memcpy(to + head + lines * LINE, from + head + lines * LINE, n - head - lines * LINE);
	_mm_sfence();
}
#else
void
tt_stream_copy(void *dst, const void *src, size_t n)
{
	memcpy(dst, src, n);
}
#endif

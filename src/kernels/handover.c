/* SPDX-License-Identifier: Apache-2.0
 *
 * handover.c - see handover.h. A line is asked for with each line that is copied: the core copies while it waits.
 *
 * The rule: to take a line over is only a hint. It changes nothing that any core can read.
 */
#include "kernels/handover.h"

#include <stdint.h>
#include <string.h>

#include "base/port.h"

#define LINE 64

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx512f"))) static void
lines_avx512(unsigned char *dst, const unsigned char *src, size_t lines)
{
	size_t i = 0;

	for (; i + 4 <= lines; i += 4, dst += 4 * LINE, src += 4 * LINE) {
		const __m512i a = _mm512_loadu_si512(src), b = _mm512_loadu_si512(src + LINE);
		const __m512i c = _mm512_loadu_si512(src + 2 * LINE), d = _mm512_loadu_si512(src + 3 * LINE);

		_mm512_storeu_si512(dst, a);
		_mm512_storeu_si512(dst + LINE, b);
		_mm512_storeu_si512(dst + 2 * LINE, c);
		_mm512_storeu_si512(dst + 3 * LINE, d);
	}
	for (; i < lines; i++, dst += LINE, src += LINE)
		_mm512_storeu_si512(dst, _mm512_loadu_si512(src));
}

__attribute__((target("avx512f"))) static void
asking_avx512(unsigned char *dst, const unsigned char *src, size_t lines, const unsigned char *wanted)
{
	for (; lines > 0; lines--, dst += LINE, src += LINE, wanted += LINE) {
		tt_prefetch_write(wanted);
		_mm512_storeu_si512(dst, _mm512_loadu_si512(src));
	}
}
#endif

/* Whole lines, or nothing if this processor has no wide registers: then memcpy() is as good. */
static size_t
copy_lines(unsigned char *dst, const unsigned char *src, size_t n, const unsigned char *wanted, size_t bytes)
{
#if defined(__x86_64__)
	const size_t both = (n < bytes ? n : bytes) / LINE * LINE, all = n / LINE * LINE;

	if (__builtin_cpu_supports("avx512f")) {
		asking_avx512(dst, src, both / LINE, wanted);
		lines_avx512(dst + both, src + both, (all - both) / LINE);
		for (size_t at = both; at < bytes; at += LINE)
			tt_prefetch_write(wanted + at);
		return all;
	}
#else
	(void)dst;
	(void)src;
	(void)n;
#endif
	for (size_t at = 0; at < bytes; at += LINE)
		tt_prefetch_write(wanted + at);
	return 0;
}

void
tt_handover_copy(void *dst, const void *src, size_t n, const void *wanted, size_t bytes)
{
	const size_t done = copy_lines(dst, src, n, wanted, bytes);

	if (n > done)
		memcpy((unsigned char *)dst + done, (const unsigned char *)src + done, n - done);
}

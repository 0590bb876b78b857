/* SPDX-License-Identifier: Apache-2.0
 *
 * port.h - what depends on the compiler and the processor, and nothing else.
 */
#ifndef TT_BASE_PORT_H
#define TT_BASE_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TT_LINE 128 /* bytes that may move between cores together: two lines, for the adjacent-line prefetcher */
#define TT_LIKELY(x) __builtin_expect(!!(x), 1)
#define TT_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define TT_ALIGNED(n) __attribute__((aligned(n)))
#define TT_PRINTF(text, first) __attribute__((__format__(__printf__, text, first)))
#define TT_UNUSED __attribute__((unused))
#define TT_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#if defined(__SANITIZE_THREAD__)
#define TT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TT_TSAN 1
#endif
#endif
#ifndef TT_TSAN
#define TT_TSAN 0
#endif

/* The line will be written soon: takes it from the caches of others now. */
static inline void
tt_prefetch_write(const void *line)
{
#if defined(__x86_64__)
	/* The builtin only reads unless the compiler may assume a recent processor; others take this for a no-op. */
	__asm__ __volatile__("prefetchw %0" : : "m"(*(const char *)line));
#else
	__builtin_prefetch(line, 1, 3);
#endif
}

/* Tells the core that it is spinning. */
static inline void
tt_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("isb" ::: "memory");
#else
	__asm__ __volatile__("" ::: "memory");
#endif
}

#endif /* TT_BASE_PORT_H */

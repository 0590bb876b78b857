/* SPDX-License-Identifier: Apache-2.0
 *
 * fp_mode.h - a floating-point mode that is the same on every rank.
 *
 * A program may have switched on flush-to-zero, another rounding or traps for its own arithmetic. Kernels run in
 * the default mode between enter and leave, else ranks in different modes would end with different bits.
 * Both are full compiler barriers for memory: values loaded after enter and stored before leave see the mode.
 */
#ifndef TT_KERNELS_FP_MODE_H
#define TT_KERNELS_FP_MODE_H

#include <stdint.h>

#include "base/port.h"

#if defined(__x86_64__)

#define TT_FP_DEFAULT 0x1f80u /* MXCSR: all exceptions masked, to nearest, no flushing */
#define TT_FP_STATUS 0x003fu /* sticky flags, no part of the mode */

static inline uint64_t
tt_fp_enter(void)
{
	uint32_t saved, wanted = TT_FP_DEFAULT;

	__asm__ __volatile__("stmxcsr %0" : "=m"(saved)::"memory");
	if (TT_UNLIKELY((saved & ~TT_FP_STATUS) != TT_FP_DEFAULT))
		__asm__ __volatile__("ldmxcsr %0" ::"m"(wanted) : "memory");
	return saved;
}

static inline void
tt_fp_leave(uint64_t saved)
{
	const uint32_t back = (uint32_t)saved;

	__asm__ __volatile__("" ::: "memory");
	if (TT_UNLIKELY((back & ~TT_FP_STATUS) != TT_FP_DEFAULT))
		__asm__ __volatile__("ldmxcsr %0" ::"m"(back) : "memory");
}

#elif defined(__aarch64__)

static inline uint64_t
tt_fp_enter(void)
{
	uint64_t saved;

	__asm__ __volatile__("mrs %0, fpcr" : "=r"(saved)::"memory");
	if (TT_UNLIKELY(saved != 0))
		__asm__ __volatile__("msr fpcr, xzr" ::: "memory");
	return saved;
}

static inline void
tt_fp_leave(uint64_t saved)
{
	__asm__ __volatile__("" ::: "memory");
	if (TT_UNLIKELY(saved != 0))
		__asm__ __volatile__("msr fpcr, %0" ::"r"(saved) : "memory");
}

#else

static inline uint64_t
tt_fp_enter(void)
{
	return 0;
}

static inline void
tt_fp_leave(uint64_t saved)
{
	(void)saved;
}

#endif
#endif /* TT_KERNELS_FP_MODE_H */

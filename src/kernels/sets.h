/* SPDX-License-Identifier: Apache-2.0
 *
 * sets.h - the sets a build may have; which it has is told by TT_HAVE_<SET>. Ask tt_kernels_named(), which knows
 * the processor too; only dispatch.c and single-set test programs name a table directly.
 */
#ifndef TT_KERNELS_SETS_H
#define TT_KERNELS_SETS_H

#include "kernels/kernels.h"

extern const struct tt_kernels tt_kernels_avx2;
extern const struct tt_kernels tt_kernels_avx512;
extern const struct tt_kernels tt_kernels_avx512fp16;
extern const struct tt_kernels tt_kernels_neon;

#endif /* TT_KERNELS_SETS_H */

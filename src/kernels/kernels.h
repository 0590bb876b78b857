/* SPDX-License-Identifier: Apache-2.0
 *
 * kernels.h - arithmetic on buffers: reduce k sources in one pass, divide, scale.
 *
 * One file per instruction set; the plain-C reference (reference.c) is the law, and every other set equals it bit
 * for bit, for each dtype, operator, length and alignment. The set is chosen once, by what the processor has.
 */
#ifndef TT_KERNELS_H
#define TT_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <tutti/tutti.h>

#include "base/port.h"

/* Most sources of one pass; more are reduced in several, still in order, and 8- and 16-bit floats are rounded between
 * them: so it is more than the ranks of any node. */
#define TT_REDUCE_SOURCES 1024

/* What is done with the accumulated value before it is stored. */
enum tt_finish {
	TT_FINISH_NONE,
	TT_FINISH_DIVIDE /* by `divisor` (AVG): floats in fp32 or wider before the one rounding; integers toward zero */
};

/* dst[i] = src[0][i] op src[1][i] op ... op src[k-1][i], evaluated left to right, i < count.
 * dst may be equal to any src, else they do not overlap. Any byte alignment. k ≥ 1 (k = 1 normalizes BOOL).
 * fp16, bf16 and both fp8 accumulate in fp32 for SUM and PROD and round once, to nearest even; MIN, MAX propagate
 * NaN; integer sums and products wrap; AVG is SUM here, the division is the finish. `op` is a built-in operator. */
typedef void (*tt_reduce_fn)(
    void *dst, const void *const *src, int k, size_t count, enum tt_finish finish, uint32_t divisor);

struct tt_kernels {
	const char *name; /* "reference", "avx2", "avx512", "avx512fp16", "neon" */
	tt_reduce_fn reduce[TUTTI_BOOL + 1][TUTTI_BXOR + 1]; /* NULL where dtype and op do not go together */
};

/* The best set for this processor; `TUTTI_KERNELS=reference|avx2|avx512|avx512fp16|neon` in the environment forces one for
 * tests. Never NULL, the same for the life of the process. */
const struct tt_kernels *tt_kernels_best(void);
/* A set by name; NULL if this build or processor does not have it. */
const struct tt_kernels *tt_kernels_named(const char *name);
extern const struct tt_kernels tt_kernels_reference;

size_t tt_dtype_size(tutti_dtype dtype); /* bytes; 0 if unknown */
const char *tt_dtype_name(tutti_dtype dtype); /* "float32"; "?" if unknown */
const char *tt_op_name(tutti_op op); /* "sum"; "custom" beyond the built-in ones */
bool tt_dtype_is_float(tutti_dtype dtype);
/* Do they go together? If not, *why (static text) says why. why may be NULL. */
bool tt_op_allows(tutti_op op, tutti_dtype dtype, const char **why);

/* Single values, for tests and printing. Rounding is to nearest even; NaN stays NaN, subnormals are kept. */
float tt_half_to_float(uint16_t bits);
uint16_t tt_float_to_half(float value);
float tt_bfloat16_to_float(uint16_t bits);
uint16_t tt_float_to_bfloat16(float value);
float tt_e4m3_to_float(uint8_t bits);
uint8_t tt_float_to_e4m3(float value); /* overflow gives NaN: the form has no infinity */
float tt_e5m2_to_float(uint8_t bits);
uint8_t tt_float_to_e5m2(float value);

#endif /* TT_KERNELS_H */

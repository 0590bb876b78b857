/* SPDX-License-Identifier: Apache-2.0
 *
 * weighted.h - premultiplied sums: every source has a scalar of its own.
 */
#ifndef TT_KERNELS_WEIGHTED_H
#define TT_KERNELS_WEIGHTED_H

#include "kernels/kernels.h"

/* A scalar as it is multiplied with: floats without loss, integers modulo 2^64. */
union tt_weight {
	double real;
	uint64_t integer;
};

/* dst[i] = weight[0] * src[0][i] + weight[1] * src[1][i] + ..., evaluated left to right, i < count. What
 * kernels.h says of sums holds: fp32 for 16- and 8-bit floats and one rounding at the end, float32 and float64 in
 * themselves, integers wrap, a stored NaN is the canonical one; no product is fused with its sum. dst may be equal
 * to any src, else they do not overlap. Any byte alignment. */
typedef void (*tt_weighted_fn)(void *dst, const void *const *src, const union tt_weight *weight, int k, size_t count);

/* NULL where there are none: BOOL. */
tt_weighted_fn tt_weighted_sum(tutti_dtype dtype);
/* The element at `scalar` (any alignment), and the 1 of its type. */
union tt_weight tt_weight_read(tutti_dtype dtype, const void *scalar);
union tt_weight tt_weight_one(tutti_dtype dtype);

#endif /* TT_KERNELS_WEIGHTED_H */

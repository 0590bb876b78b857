/* SPDX-License-Identifier: Apache-2.0
 *
 * table.h - a set's table, made from functions that are named <dtype>_<op> in every set.
 *
 * Included once, after the functions, by the file that defines a set. AVG is SUM with a finish.
 */
#ifndef TT_KERNELS_TABLE_H
#define TT_KERNELS_TABLE_H

#include "kernels/kernels.h"

#define TT_ARITHMETIC(form) \
	[TUTTI_SUM] = form##_sum, [TUTTI_PROD] = form##_prod, [TUTTI_MIN] = form##_min, [TUTTI_MAX] = form##_max, \
	[TUTTI_AVG] = form##_sum
#define TT_BITWISE(form) [TUTTI_BAND] = form##_band, [TUTTI_BOR] = form##_bor, [TUTTI_BXOR] = form##_bxor

/* `half`: the form of float16. */
#define TT_KERNELS_TABLE(set, half) \
	{ \
		.name = (set), .reduce = { \
			[TUTTI_INT8] = {TT_ARITHMETIC(int8), TT_BITWISE(int8)}, \
			[TUTTI_UINT8] = {TT_ARITHMETIC(uint8), TT_BITWISE(uint8)}, \
			[TUTTI_INT16] = {TT_ARITHMETIC(int16), TT_BITWISE(int16)}, \
			[TUTTI_UINT16] = {TT_ARITHMETIC(uint16), TT_BITWISE(uint16)}, \
			[TUTTI_INT32] = {TT_ARITHMETIC(int32), TT_BITWISE(int32)}, \
			[TUTTI_UINT32] = {TT_ARITHMETIC(uint32), TT_BITWISE(uint32)}, \
			[TUTTI_INT64] = {TT_ARITHMETIC(int64), TT_BITWISE(int64)}, \
			[TUTTI_UINT64] = {TT_ARITHMETIC(uint64), TT_BITWISE(uint64)}, \
			[TUTTI_FLOAT16] = {TT_ARITHMETIC(half)}, \
			[TUTTI_BFLOAT16] = {TT_ARITHMETIC(bfloat16)}, \
			[TUTTI_FLOAT32] = {TT_ARITHMETIC(float32)}, \
			[TUTTI_FLOAT64] = {TT_ARITHMETIC(float64)}, \
			[TUTTI_FLOAT8_E4M3] = {TT_ARITHMETIC(float8_e4m3)}, \
			[TUTTI_FLOAT8_E5M2] = {TT_ARITHMETIC(float8_e5m2)}, \
			[TUTTI_BOOL] = {[TUTTI_SUM] = bool_or, \
			    [TUTTI_MAX] = bool_or, \
			    [TUTTI_BOR] = bool_or, \
			    [TUTTI_PROD] = bool_and, \
			    [TUTTI_MIN] = bool_and, \
			    [TUTTI_BAND] = bool_and, \
			    [TUTTI_BXOR] = bool_xor}, \
		} \
	}

#endif /* TT_KERNELS_TABLE_H */

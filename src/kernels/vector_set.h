/* SPDX-License-Identifier: Apache-2.0
 *
 * vector_set.h - all kernels of a vector set, made from the forms; included by the file of an instruction set after
 * its primitives. They are named as table.h wants them.
 */
#ifndef TT_KERNELS_VECTOR_SET_H
#define TT_KERNELS_VECTOR_SET_H

#include "kernels/fp_mode.h"
#include "kernels/kernels.h"
#include "kernels/vector_float.h"
#include "kernels/vector_integer.h"

INLINE struct finish
finish_prepare(enum tt_finish finish, uint32_t divisor)
{
	struct finish how = {.divide = finish == TT_FINISH_DIVIDE, .divisor = divisor};

	if (!how.divide)
		return how;
	how.multiply = (divisor & (divisor - 1)) == 0;
	how.single = how.multiply ? 1.0f / (float)divisor : (float)divisor;
	how.wide = how.multiply ? 1.0 / divisor : divisor;
	return how;
}

#define FORM int8
#include "kernels/vector_integer_ops.h"
#define FORM uint8
#include "kernels/vector_integer_ops.h"
#define FORM int16
#include "kernels/vector_integer_ops.h"
#define FORM uint16
#include "kernels/vector_integer_ops.h"
#define FORM int32
#include "kernels/vector_integer_ops.h"
#define FORM uint32
#include "kernels/vector_integer_ops.h"
#define FORM int64
#include "kernels/vector_integer_ops.h"
#define FORM uint64
#include "kernels/vector_integer_ops.h"

#define SIZE (4 * VECTOR_BYTES)
#define ELEMENT 1
#define NAME bool_or
#define LOAD block_load
#define COMBINE vector_or
#define STORE bool_store
#include "kernels/vector_kernel.h"
#define NAME bool_and
#define LOAD block_load
#define COMBINE min_uint8
#define STORE bool_store
#include "kernels/vector_kernel.h"
#define NAME bool_xor
#define LOAD bool_load
#define COMBINE vector_xor
#define STORE bool_store
#include "kernels/vector_kernel.h"
#undef SIZE
#undef ELEMENT

#define FORM float32
#define BITS uint32_t
#define ARITHMETIC_SIZE 4 * VECTOR_BYTES
#define ADD add_single
#define MULTIPLY multiply_single
#define LESSER min_float32
#include "kernels/vector_float_ops.h"

#define FORM float64
#define BITS uint64_t
#define ARITHMETIC_SIZE 4 * VECTOR_BYTES
#define ADD add_double
#define MULTIPLY multiply_double
#define LESSER min_float64
#include "kernels/vector_float_ops.h"

#define FORM float16
#define KEYED TUTTI_FLOAT16
#define BITS uint16_t
#define ARITHMETIC_SIZE 2 * VECTOR_BYTES
#define ADD add_single
#define MULTIPLY multiply_single
#define LESSER min_int16
#include "kernels/vector_float_ops.h"

#define FORM bfloat16
#define KEYED TUTTI_BFLOAT16
#define BITS uint16_t
#define ARITHMETIC_SIZE 2 * VECTOR_BYTES
#define ADD add_single
#define MULTIPLY multiply_single
#define LESSER min_int16
#include "kernels/vector_float_ops.h"

#define FORM float8_e4m3
#define KEYED TUTTI_FLOAT8_E4M3
#define BITS uint8_t
#define ARITHMETIC_SIZE VECTOR_BYTES
#define ADD add_single
#define MULTIPLY multiply_single
#define LESSER min_int8
#include "kernels/vector_float_ops.h"

#define FORM float8_e5m2
#define KEYED TUTTI_FLOAT8_E5M2
#define BITS uint8_t
#define ARITHMETIC_SIZE VECTOR_BYTES
#define ADD add_single
#define MULTIPLY multiply_single
#define LESSER min_int8
#include "kernels/vector_float_ops.h"

#include "kernels/table.h"

#endif /* TT_KERNELS_VECTOR_SET_H */

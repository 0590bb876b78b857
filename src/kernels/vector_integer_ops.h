/* SPDX-License-Identifier: Apache-2.0
 *
 * vector_integer_ops.h - the seven kernels of the integer type FORM; a template, included once per type.
 */
#define JOIN3(a, b, c) a##b##c
#define JOIN(a, b, c) JOIN3(a, b, c)
#define SIZE (4 * VECTOR_BYTES)
#define ELEMENT sizeof(JOIN(, FORM, _t))

#define NAME JOIN(FORM, _, sum)
#define LOAD block_load
#define COMBINE JOIN(FORM, _, sum_combine)
#define STORE JOIN(FORM, _, store)
#include "kernels/vector_kernel.h"

#define NAME JOIN(FORM, _, prod)
#define LOAD block_load
#define COMBINE JOIN(FORM, _, prod_combine)
#define STORE JOIN(FORM, _, store)
#include "kernels/vector_kernel.h"

#define NAME JOIN(FORM, _, min)
#define LOAD block_load
#define COMBINE JOIN(min, _, FORM)
#define STORE JOIN(FORM, _, store)
#include "kernels/vector_kernel.h"

#define NAME JOIN(FORM, _, max)
#define LOAD block_load
#define COMBINE JOIN(max, _, FORM)
#define STORE JOIN(FORM, _, store)
#include "kernels/vector_kernel.h"

#define NAME JOIN(FORM, _, band)
#define LOAD block_load
#define COMBINE vector_and
#define STORE JOIN(FORM, _, store)
#include "kernels/vector_kernel.h"

#define NAME JOIN(FORM, _, bor)
#define LOAD block_load
#define COMBINE vector_or
#define STORE JOIN(FORM, _, store)
#include "kernels/vector_kernel.h"

#define NAME JOIN(FORM, _, bxor)
#define LOAD block_load
#define COMBINE vector_xor
#define STORE JOIN(FORM, _, store)
#include "kernels/vector_kernel.h"

#undef JOIN3
#undef JOIN
#undef SIZE
#undef ELEMENT
#undef FORM

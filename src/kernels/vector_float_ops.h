/* SPDX-License-Identifier: Apache-2.0
 *
 * vector_float_ops.h - the four kernels of the float type FORM; a template, included once per type.
 *
 * BITS: the unsigned type of an element. ARITHMETIC_SIZE: bytes that fill four accumulators for SUM and PROD.
 * ADD, MULTIPLY, LESSER: combine accumulators; MAX is LESSER on values that its load has turned round.
 * PAIRS_OF, if defined, is the form that has SUM and PROD of more than two, and with a finish.
 * KEYED, if defined, is the data type whose MIN and MAX compare keys, which nothing can divide.
 */
#define JOIN3(a, b, c) a##b##c
#define JOIN(a, b, c) JOIN3(a, b, c)
#define ELEMENT sizeof(BITS)

#if defined(KEYED)
#define AHEAD 1024 /* as many lines as a core waits for at once */
#endif

#define SIZE (ARITHMETIC_SIZE)
#define NAME JOIN(FORM, _, sum)
#if defined(PAIRS_OF)
#define OTHERWISE JOIN(PAIRS_OF, _, sum)
#endif
#define LOAD JOIN(FORM, _, load)
#define COMBINE ADD
#define STORE JOIN(FORM, _, store)
#include "kernels/vector_kernel.h"

#define NAME JOIN(FORM, _, prod)
#if defined(PAIRS_OF)
#define OTHERWISE JOIN(PAIRS_OF, _, prod)
#endif
#define LOAD JOIN(FORM, _, load)
#define COMBINE MULTIPLY
#define STORE JOIN(FORM, _, store)
#include "kernels/vector_kernel.h"
#undef SIZE

#define SIZE (4 * VECTOR_BYTES)
#if defined(KEYED)
#define DIVIDES_AS [KEYED][TUTTI_MIN]
#endif
#define NAME JOIN(FORM, _, min)
#define LOAD JOIN(FORM, _, min_load)
#define COMBINE LESSER
#define STORE JOIN(FORM, _, min_store)
#include "kernels/vector_kernel.h"
#undef DIVIDES_AS

#if defined(KEYED)
#define DIVIDES_AS [KEYED][TUTTI_MAX]
#endif
#define NAME JOIN(FORM, _, max)
#define LOAD JOIN(FORM, _, max_load)
#define COMBINE LESSER
#define STORE JOIN(FORM, _, max_store)
#include "kernels/vector_kernel.h"
#undef DIVIDES_AS
#undef SIZE

#undef JOIN3
#undef JOIN
#undef ELEMENT
#undef FORM
#undef BITS
#undef ARITHMETIC_SIZE
#undef ADD
#undef MULTIPLY
#undef LESSER
#undef KEYED
#undef AHEAD
#undef PAIRS_OF

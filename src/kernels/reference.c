/* SPDX-License-Identifier: Apache-2.0
 *
 * reference.c - what every reduction means, in plain C, one element at a time.
 *
 * The law that all sets keep, bit for bit:
 * - Sources are combined from the first to the last.
 * - float64 is accumulated in double; all other floats in fp32, and rounded once, to nearest even, when stored.
 *   No operation is fused with another. Subnormals are kept.
 * - A NaN that is stored is the canonical one: positive, quiet, no payload (0x7ff8000000000000, 0x7fc00000,
 *   float16 0x7e00, bfloat16 0x7fc0, E4M3 0x7f, E5M2 0x7e). So it does not matter which NaN a processor hands on.
 *   This holds for one source too.
 * - MIN and MAX give NaN if any source is one; -0 is less than +0.
 * - AVG of floats: accumulator / (fp32 or double)divisor, before the rounding.
 * - Integers wrap to their own width, then AVG divides, toward zero.
 * - BOOL: any byte but 0 is true; stored as 0 or 1.
 *
 * It must stay simple enough to be believed: no vector code, no tricks.
 */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "kernels/fp_mode.h"
#include "kernels/kernels.h"

struct finish {
	bool divide;
	uint32_t divisor;
};

/* Defines the reduction `name`: `wide` accumulates, `load` reads element i, `store` finishes and writes it. */
#define REDUCE(name, wide, load, combine, store) \
	static void name( \
	    void *dst, const void *const *src, int k, size_t count, enum tt_finish finish, uint32_t divisor) \
	{ \
		const struct finish how = {finish == TT_FINISH_DIVIDE, divisor}; \
		assert(k >= 1 && (!how.divide || divisor > 0)); \
		const uint64_t mode = tt_fp_enter(); \
		for (size_t i = 0; i < count; i++) { \
			wide value = load(src[0], i); \
			for (int j = 1; j < k; j++) \
				value = combine(value, load(src[j], i)); \
			store(dst, i, value, how); \
		} \
		tt_fp_leave(mode); \
	}

/* ---- integers: accumulated modulo 2^64, which is right modulo any smaller power ---------------------------- */

#define ADD(a, b) ((a) + (b))
#define MULTIPLY(a, b) ((a) * (b))
#define AND(a, b) ((a) & (b))
#define OR(a, b) ((a) | (b))
#define XOR(a, b) ((a) ^ (b))
#define LESSER(a, b) ((b) < (a) ? (b) : (a))
#define GREATER(a, b) ((b) > (a) ? (b) : (a))

/* `wide` has the signedness of `type`, for comparing and dividing. */
#define INTEGER(form, type, wide) \
	static inline wide form##_load(const void *from, size_t i) \
	{ \
		type value; \
		memcpy(&value, (const char *)from + i * sizeof value, sizeof value); \
		return value; \
	} \
	static inline uint64_t form##_bits(const void *from, size_t i) \
	{ \
		return (uint64_t)form##_load(from, i); \
	} \
	static inline void form##_store(void *to, size_t i, uint64_t sum, struct finish how) \
	{ \
		type value = (type)sum; \
		if (how.divide) \
			value = (type)((wide)value / (wide)how.divisor); \
		memcpy((char *)to + i * sizeof value, &value, sizeof value); \
	} \
	static inline void form##_store_wide(void *to, size_t i, wide value, struct finish how) \
	{ \
		form##_store(to, i, (uint64_t)value, how); \
	} \
	REDUCE(form##_sum, uint64_t, form##_bits, ADD, form##_store) \
	REDUCE(form##_prod, uint64_t, form##_bits, MULTIPLY, form##_store) \
	REDUCE(form##_min, wide, form##_load, LESSER, form##_store_wide) \
	REDUCE(form##_max, wide, form##_load, GREATER, form##_store_wide) \
	REDUCE(form##_band, uint64_t, form##_bits, AND, form##_store) \
	REDUCE(form##_bor, uint64_t, form##_bits, OR, form##_store) \
	REDUCE(form##_bxor, uint64_t, form##_bits, XOR, form##_store)

INTEGER(int8, int8_t, int64_t)
INTEGER(uint8, uint8_t, uint64_t)
INTEGER(int16, int16_t, int64_t)
INTEGER(uint16, uint16_t, uint64_t)
INTEGER(int32, int32_t, int64_t)
INTEGER(uint32, uint32_t, uint64_t)
INTEGER(int64, int64_t, int64_t)
INTEGER(uint64, uint64_t, uint64_t)

/* ---- bool -------------------------------------------------------------------------------------------------- */

static inline bool
bool_load(const void *from, size_t i)
{
	return ((const unsigned char *)from)[i] != 0;
}

static inline void
bool_store(void *to, size_t i, bool value, struct finish how)
{
	(void)how;
	((unsigned char *)to)[i] = value ? 1 : 0;
}

REDUCE(bool_or, bool, bool_load, OR, bool_store)
REDUCE(bool_and, bool, bool_load, AND, bool_store)
REDUCE(bool_xor, bool, bool_load, XOR, bool_store)

/* ---- floats ------------------------------------------------------------------------------------------------ */

static inline double
minimum(double a, double b)
{
	if (isnan(a) || isnan(b))
		return isnan(a) ? a : b;
	if (a == b)
		return signbit(a) ? a : b;
	return a < b ? a : b;
}

static inline double
maximum(double a, double b)
{
	return -minimum(-a, -b);
}

/* Any fp32 value is a double, so the lesser of two loses nothing on the way back. */
static inline float
minimum_single(float a, float b)
{
	return (float)minimum(a, b);
}

static inline float
maximum_single(float a, float b)
{
	return (float)maximum(a, b);
}

/* Defines the four reductions of a float type kept as `bits`, accumulated in `wide`. */
#define FLOATING(form, bits, wide, from_bits, to_bits, lesser, greater) \
	static inline wide form##_load(const void *from, size_t i) \
	{ \
		bits raw; \
		memcpy(&raw, (const char *)from + i * sizeof raw, sizeof raw); \
		return from_bits(raw); \
	} \
	static inline void form##_store(void *to, size_t i, wide value, struct finish how) \
	{ \
		bits raw = to_bits(how.divide ? value / (wide)how.divisor : value); \
		memcpy((char *)to + i * sizeof raw, &raw, sizeof raw); \
	} \
	REDUCE(form##_sum, wide, form##_load, ADD, form##_store) \
	REDUCE(form##_prod, wide, form##_load, MULTIPLY, form##_store) \
	REDUCE(form##_min, wide, form##_load, lesser, form##_store) \
	REDUCE(form##_max, wide, form##_load, greater, form##_store)

static inline float
single_from_bits(uint32_t raw)
{
	float value;

	memcpy(&value, &raw, sizeof value);
	return value;
}

static inline uint32_t
single_to_bits(float value)
{
	uint32_t raw;

	memcpy(&raw, &value, sizeof raw);
	return isnan(value) ? UINT32_C(0x7fc00000) : raw;
}

static inline double
double_from_bits(uint64_t raw)
{
	double value;

	memcpy(&value, &raw, sizeof value);
	return value;
}

static inline uint64_t
double_to_bits(double value)
{
	uint64_t raw;

	memcpy(&raw, &value, sizeof raw);
	return isnan(value) ? UINT64_C(0x7ff8000000000000) : raw;
}

FLOATING(float16, uint16_t, float, tt_half_to_float, tt_float_to_half, minimum_single, maximum_single)
FLOATING(bfloat16, uint16_t, float, tt_bfloat16_to_float, tt_float_to_bfloat16, minimum_single, maximum_single)
FLOATING(float32, uint32_t, float, single_from_bits, single_to_bits, minimum_single, maximum_single)
FLOATING(float64, uint64_t, double, double_from_bits, double_to_bits, minimum, maximum)
FLOATING(float8_e4m3, uint8_t, float, tt_e4m3_to_float, tt_float_to_e4m3, minimum_single, maximum_single)
FLOATING(float8_e5m2, uint8_t, float, tt_e5m2_to_float, tt_float_to_e5m2, minimum_single, maximum_single)

#include "kernels/table.h"

const struct tt_kernels tt_kernels_reference = TT_KERNELS_TABLE("reference", float16);

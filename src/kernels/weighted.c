/* SPDX-License-Identifier: Apache-2.0
 *
 * weighted.c - premultiplied sums in plain C, in blocks that the compiler can make vectors of.
 *
 * The rule: a block is accumulated as a whole before any of it is stored, so dst may be one of the sources, and the
 * order of the operations on each element is that of the sources. The build fuses no product with its sum.
 */
#include "kernels/weighted.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "kernels/fp_mode.h"

#define BLOCK 256 /* elements: the sums of a block stay in the nearest cache */

/* `wide` accumulates; `weigh` turns a weight into one; `load` widens an element, `store` narrows a sum. */
#define WEIGHTED(form, type, wide, weigh, load, store) \
	static void form##_accumulate(wide *sums, const char *from, wide weight, size_t n) \
	{ \
		for (size_t i = 0; i < n; i++) { \
			type raw; \
			memcpy(&raw, from + i * sizeof raw, sizeof raw); \
			const wide product = weight * load(raw); \
			sums[i] = sums[i] + product; \
		} \
	} \
	static void form##_begin(wide *sums, const char *from, wide weight, size_t n) \
	{ \
		for (size_t i = 0; i < n; i++) { \
			type raw; \
			memcpy(&raw, from + i * sizeof raw, sizeof raw); \
			sums[i] = weight * load(raw); \
		} \
	} \
	static void form##_weighted( \
	    void *dst, const void *const *src, const union tt_weight *weight, int k, size_t count) \
	{ \
		const uint64_t mode = tt_fp_enter(); \
		wide sums[BLOCK]; \
		assert(k >= 1); \
		for (size_t at = 0; at < count; at += BLOCK) { \
			const size_t n = count - at < BLOCK ? count - at : BLOCK; \
			form##_begin(sums, (const char *)src[0] + at * sizeof(type), weigh(weight[0]), n); \
			for (int j = 1; j < k; j++) \
				form##_accumulate( \
				    sums, (const char *)src[j] + at * sizeof(type), weigh(weight[j]), n); \
			for (size_t i = 0; i < n; i++) { \
				const type raw = store(sums[i]); \
				memcpy((char *)dst + (at + i) * sizeof raw, &raw, sizeof raw); \
			} \
		} \
		tt_fp_leave(mode); \
	}

/* ---- integers: modulo 2^32 or 2^64, which is right modulo any smaller power, whatever the sign --------------- */

#define WEIGH_WORD(w) ((uint32_t)(w).integer)
#define WEIGH_LONG(w) ((w).integer)

WEIGHTED(bits8, uint8_t, uint32_t, WEIGH_WORD, (uint32_t), (uint8_t))
WEIGHTED(bits16, uint16_t, uint32_t, WEIGH_WORD, (uint32_t), (uint16_t))
WEIGHTED(bits32, uint32_t, uint32_t, WEIGH_WORD, (uint32_t), (uint32_t))
WEIGHTED(bits64, uint64_t, uint64_t, WEIGH_LONG, (uint64_t), (uint64_t))

/* ---- floats -------------------------------------------------------------------------------------------------- */

#define WEIGH_SINGLE(w) ((float)(w).real)
#define WEIGH_DOUBLE(w) ((w).real)

static inline float
single_load(uint32_t raw)
{
	float value;

	memcpy(&value, &raw, sizeof value);
	return value;
}

static inline uint32_t
single_store(float value)
{
	uint32_t raw;

	memcpy(&raw, &value, sizeof raw);
	return isnan(value) ? UINT32_C(0x7fc00000) : raw;
}

static inline double
double_load(uint64_t raw)
{
	double value;

	memcpy(&value, &raw, sizeof value);
	return value;
}

static inline uint64_t
double_store(double value)
{
	uint64_t raw;

	memcpy(&raw, &value, sizeof raw);
	return isnan(value) ? UINT64_C(0x7ff8000000000000) : raw;
}

WEIGHTED(float16, uint16_t, float, WEIGH_SINGLE, tt_half_to_float, tt_float_to_half)
WEIGHTED(bfloat16, uint16_t, float, WEIGH_SINGLE, tt_bfloat16_to_float, tt_float_to_bfloat16)
WEIGHTED(float32, uint32_t, float, WEIGH_SINGLE, single_load, single_store)
WEIGHTED(float64, uint64_t, double, WEIGH_DOUBLE, double_load, double_store)
WEIGHTED(float8_e4m3, uint8_t, float, WEIGH_SINGLE, tt_e4m3_to_float, tt_float_to_e4m3)
WEIGHTED(float8_e5m2, uint8_t, float, WEIGH_SINGLE, tt_e5m2_to_float, tt_float_to_e5m2)

static const tt_weighted_fn sums[] = {
    [TUTTI_INT8] = bits8_weighted,
    [TUTTI_UINT8] = bits8_weighted,
    [TUTTI_INT16] = bits16_weighted,
    [TUTTI_UINT16] = bits16_weighted,
    [TUTTI_INT32] = bits32_weighted,
    [TUTTI_UINT32] = bits32_weighted,
    [TUTTI_INT64] = bits64_weighted,
    [TUTTI_UINT64] = bits64_weighted,
    [TUTTI_FLOAT16] = float16_weighted,
    [TUTTI_BFLOAT16] = bfloat16_weighted,
    [TUTTI_FLOAT32] = float32_weighted,
    [TUTTI_FLOAT64] = float64_weighted,
    [TUTTI_FLOAT8_E4M3] = float8_e4m3_weighted,
    [TUTTI_FLOAT8_E5M2] = float8_e5m2_weighted,
};

tt_weighted_fn
tt_weighted_sum(tutti_dtype dtype)
{
	return (size_t)dtype < TT_COUNT_OF(sums) ? sums[dtype] : NULL;
}

/* ---- weights --------------------------------------------------------------------------------------------------- */

/* Of an element whose bits are `raw`, as the low bytes. */
static double
real_of(tutti_dtype dtype, uint64_t raw)
{
	switch (dtype) {
	case TUTTI_FLOAT16:
		return (double)tt_half_to_float((uint16_t)raw);
	case TUTTI_BFLOAT16:
		return (double)tt_bfloat16_to_float((uint16_t)raw);
	case TUTTI_FLOAT32:
		return (double)single_load((uint32_t)raw);
	case TUTTI_FLOAT8_E4M3:
		return (double)tt_e4m3_to_float((uint8_t)raw);
	case TUTTI_FLOAT8_E5M2:
		return (double)tt_e5m2_to_float((uint8_t)raw);
	default:
		return double_load(raw);
	}
}

union tt_weight
tt_weight_read(tutti_dtype dtype, const void *scalar)
{
	const size_t size = tt_dtype_size(dtype);
	const unsigned char *bytes = scalar;
	union tt_weight weight = {.integer = 0};
	uint8_t byte = 0;
	uint16_t half = 0;
	uint32_t word = 0;

	switch (size) {
	case 1:
		memcpy(&byte, bytes, 1);
		weight.integer = byte;
		break;
	case 2:
		memcpy(&half, bytes, 2);
		weight.integer = half;
		break;
	case 4:
		memcpy(&word, bytes, 4);
		weight.integer = word;
		break;
	default:
		memcpy(&weight.integer, bytes, 8);
		break;
	}
	if (tt_dtype_is_float(dtype))
		weight.real = real_of(dtype, weight.integer);
	return weight;
}

union tt_weight
tt_weight_one(tutti_dtype dtype)
{
	return tt_dtype_is_float(dtype) ? (union tt_weight){.real = 1} : (union tt_weight){.integer = 1};
}

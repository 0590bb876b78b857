/* SPDX-License-Identifier: Apache-2.0
 *
 * test_weighted.c - premultiplied sums against a computation of one element at a time.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <string.h>

#include "kernels/weighted.h"

#define MOST 700
#define SOURCES 7

static uint64_t
noise(uint64_t *state)
{
	*state += UINT64_C(0x9e3779b97f4a7c15);
	uint64_t x = *state;
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static float
single(tutti_dtype dtype, const unsigned char *at)
{
	uint16_t half;
	float value;

	switch (dtype) {
	case TUTTI_FLOAT16:
		memcpy(&half, at, 2);
		return tt_half_to_float(half);
	case TUTTI_BFLOAT16:
		memcpy(&half, at, 2);
		return tt_bfloat16_to_float(half);
	case TUTTI_FLOAT8_E4M3:
		return tt_e4m3_to_float(*at);
	case TUTTI_FLOAT8_E5M2:
		return tt_e5m2_to_float(*at);
	default:
		memcpy(&value, at, 4);
		return value;
	}
}

static void
store(tutti_dtype dtype, unsigned char *to, float value)
{
	const uint16_t half = dtype == TUTTI_FLOAT16 ? tt_float_to_half(value) : tt_float_to_bfloat16(value);
	const float quiet = isnan(value) ? (float)NAN : value;

	if (tt_dtype_size(dtype) == 1)
		*to = dtype == TUTTI_FLOAT8_E4M3 ? tt_float_to_e4m3(value) : tt_float_to_e5m2(value);
	else if (tt_dtype_size(dtype) == 2)
		memcpy(to, &half, 2);
	else
		memcpy(to, &quiet, 4);
}

/* The law, element by element; volatile, so that nothing is fused. */
static void
expect(tutti_dtype dtype, unsigned char *to, unsigned char *const *src, const unsigned char *scalars, int k)
{
	const size_t size = tt_dtype_size(dtype);

	if (!tt_dtype_is_float(dtype)) {
		uint64_t sum = 0;

		for (int j = 0; j < k; j++) {
			uint64_t a = 0, b = 0;

			memcpy(&a, src[j], size); /* the low bytes: little-endian */
			memcpy(&b, scalars + (size_t)j * 8, size);
			sum += a * b;
		}
		memcpy(to, &sum, size);
	} else if (dtype == TUTTI_FLOAT64) {
		volatile double sum = 0;

		for (int j = 0; j < k; j++) {
			double a, b;

			memcpy(&a, src[j], 8);
			memcpy(&b, scalars + (size_t)j * 8, 8);
			volatile double product = b * a;
			sum = j == 0 ? product : sum + product;
		}
		const double value = isnan(sum) ? (double)NAN : sum;
		memcpy(to, &value, 8);
	} else {
		volatile float sum = 0;

		for (int j = 0; j < k; j++) {
			volatile float product = single(dtype, scalars + (size_t)j * 8) * single(dtype, src[j]);
			sum = j == 0 ? product : sum + product;
		}
		store(dtype, to, sum);
	}
}

/* `alias`: the source that is the destination too, or -1. */
static void
compare(tutti_dtype dtype, int k, size_t count, size_t shift, int alias, uint64_t seed)
{
	static unsigned char memory[SOURCES + 1][MOST * 8 + 8];
	static unsigned char want[MOST * 8];
	const size_t size = tt_dtype_size(dtype);
	unsigned char *src[SOURCES], *dst = memory[SOURCES] + shift, scalars[SOURCES * 8];
	union tt_weight weights[SOURCES];

	for (size_t i = 0; i < sizeof(scalars); i++)
		scalars[i] = (unsigned char)noise(&seed);
	for (int j = 0; j < k; j++) {
		src[j] = memory[j] + shift;
		for (size_t i = 0; i < count * size; i++)
			src[j][i] = (unsigned char)noise(&seed);
		weights[j] = tt_weight_read(dtype, scalars + (size_t)j * 8);
	}
	for (size_t i = 0; i < count; i++) {
		unsigned char *at[SOURCES];

		for (int j = 0; j < k; j++)
			at[j] = src[j] + i * size;
		expect(dtype, want + i * size, at, scalars, k);
	}
	if (alias >= 0)
		dst = src[alias];
	tt_weighted_sum(dtype)(dst, (const void *const *)src, weights, k, count);
	for (size_t i = 0; i < count; i++)
		if (memcmp(dst + i * size, want + i * size, size) != 0)
			cr_fatal("%s: element %zu of %zu, %d sources, shift %zu, alias %d", tt_dtype_name(dtype), i,
			    count, k, shift, alias);
}

Test(weighted, equals_the_sum_of_products_in_every_type)
{
	static const size_t counts[] = {0, 1, 3, 255, 256, 257, MOST};

	for (int dtype = 0; dtype < TUTTI_BOOL; dtype++)
		for (size_t c = 0; c < TT_COUNT_OF(counts); c++)
			for (int k = 1; k <= SOURCES; k += 2)
				for (size_t shift = 0; shift < 2; shift++)
					compare((tutti_dtype)dtype, k, counts[c], shift, -1, c * 100 + (size_t)k);
}

Test(weighted, the_destination_may_be_a_source)
{
	for (int dtype = 0; dtype < TUTTI_BOOL; dtype++)
		for (int alias = 0; alias < SOURCES; alias++)
			compare((tutti_dtype)dtype, SOURCES, MOST, 1, alias, (uint64_t)alias);
}

Test(weighted, one_changes_nothing_but_the_form_of_nan)
{
	for (int dtype = 0; dtype < TUTTI_BOOL; dtype++) {
		const union tt_weight one = tt_weight_one((tutti_dtype)dtype);
		const size_t size = tt_dtype_size((tutti_dtype)dtype);
		unsigned char value[8] = {0x35, 0x35, 0x35, 0x35, 0x35, 0x35, 0x35, 0x35}, got[8] = {0};
		const void *from = value;

		tt_weighted_sum((tutti_dtype)dtype)(got, &from, &one, 1, 1);
		cr_expect(memcmp(got, value, size) == 0, "%s", tt_dtype_name((tutti_dtype)dtype));
	}
}

Test(weighted, truths_have_none)
{
	cr_expect(tt_weighted_sum(TUTTI_BOOL) == NULL);
}

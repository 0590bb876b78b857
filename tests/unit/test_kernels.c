/* SPDX-License-Identifier: Apache-2.0
 *
 * test_kernels.c - what reductions and conversions promise, and that every vector set keeps the reference's bits.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <float.h>
#include <math.h>

#include "../kernels/compare.h"

/* ---- every set against the reference ---------------------------------------------------------------------- */

static void
compare_set(const char *name)
{
	const struct tt_kernels *set = tt_kernels_named(name);
	struct arena arena;
	char why[400];

	if (set == NULL)
		cr_skip_test("this build or processor has no %s", name);
	cr_assert(arena_init(&arena, 65536 * 8));
	for (int dtype = 0; dtype <= TUTTI_BOOL; dtype++)
		for (int op = 0; op <= TUTTI_BXOR; op++)
			if (tt_op_allows(op, (tutti_dtype)dtype, NULL))
				cr_expect(
				    set_agrees(set, (tutti_dtype)dtype, op, 1, &arena, why, sizeof why), "%s", why);
	arena_fini(&arena);
}

Test(kernels, avx2_equals_the_reference)
{
	compare_set("avx2");
}

Test(kernels, avx512_equals_the_reference)
{
	compare_set("avx512");
}

Test(kernels, avx512fp16_equals_the_reference)
{
	compare_set("avx512fp16");
}

Test(kernels, neon_equals_the_reference)
{
	compare_set("neon");
}

/* Whole vectors of every pattern beside one partner: what vectors share, as a test for NaN, meets all neighbours. */
static void
compare_beside_partner(tutti_dtype dtype, tutti_op op, uint16_t partner, struct arena *arena)
{
	static const char *const names[] = {"avx2", "avx512", "avx512fp16", "neon"};
	struct comparison c = {.dtype = dtype, .op = op, .k = 2, .count = 65536, .aliased = -1, .seed = partner};
	char why[400];

	for (unsigned i = 0; i < 65536; i++) {
		const uint16_t bits = (uint16_t)i;
		memcpy(arena->source[0] + GUARD + i * sizeof bits, &bits, sizeof bits);
		memcpy(arena->source[1] + GUARD + 13 + i * sizeof partner, &partner, sizeof partner);
	}
	expect(&c, arena);
	for (size_t i = 0; i < TT_COUNT_OF(names); i++)
		if ((c.set = tt_kernels_named(names[i])) != NULL)
			cr_expect(matches_expected(&c, arena, why, sizeof why), "%s", why);
}

Test(kernels, every_16_bit_float_beside_hard_partners_is_the_references)
{
	static const uint16_t partners[] = {0, 0x8000, 1, 0x8001, 0x007f, 0x0080, 0x0081, 0x03ff, 0x0400, 0x87ff,
	    0x1000, 0x3b80, 0x3bff, 0x3c00, 0x3c01, 0x3f7f, 0x3f80, 0x3f81, 0xbf80, 0x42ff, 0x6800, 0x7bff, 0xfbff,
	    0x7c00, 0xfc00, 0x7c01, 0x7e00, 0x7f7f, 0xff7f, 0x7f80, 0xff80, 0x7f81, 0x7fc0, 0xffff};
	static const tutti_op ops[] = {TUTTI_SUM, TUTTI_PROD, TUTTI_MIN, TUTTI_MAX};
	struct arena arena;

	cr_assert(arena_init(&arena, 65536 * 2));
	for (size_t p = 0; p < TT_COUNT_OF(partners); p++)
		for (size_t o = 0; o < TT_COUNT_OF(ops); o++) {
			compare_beside_partner(TUTTI_FLOAT16, ops[o], partners[p], &arena);
			compare_beside_partner(TUTTI_BFLOAT16, ops[o], partners[p], &arena);
		}
	arena_fini(&arena);
}

Test(kernels, every_set_has_exactly_the_allowed_kernels)
{
	static const char *const names[] = {"reference", "avx2", "avx512", "avx512fp16", "neon"};

	for (size_t i = 0; i < TT_COUNT_OF(names); i++) {
		const struct tt_kernels *set = tt_kernels_named(names[i]);
		if (set == NULL)
			continue;
		cr_expect_str_eq(set->name, names[i]);
		for (int dtype = 0; dtype <= TUTTI_BOOL; dtype++)
			for (int op = 0; op <= TUTTI_BXOR; op++)
				cr_expect_eq(set->reduce[dtype][op] != NULL,
				    tt_op_allows(op, (tutti_dtype)dtype, NULL), "%s %s %s", names[i],
				    tt_dtype_name((tutti_dtype)dtype), tt_op_name(op));
	}
}

Test(kernels, environment_forces_a_set)
{
	cr_assert_eq(setenv("TUTTI_KERNELS", "reference", 1), 0);
	cr_expect_eq(tt_kernels_best(), &tt_kernels_reference);
	cr_assert_eq(unsetenv("TUTTI_KERNELS"), 0);
	cr_expect_eq(tt_kernels_best(), &tt_kernels_reference, "the choice stays for the life of the process");
}

Test(kernels, unknown_forced_set_leaves_the_best)
{
	cr_assert_eq(setenv("TUTTI_KERNELS", "abacus", 1), 0);
	cr_expect_neq(tt_kernels_best(), NULL);
	cr_expect_eq(tt_kernels_named("abacus"), NULL);
	cr_expect_eq(tt_kernels_named("reference"), &tt_kernels_reference);
}

/* ---- what the reference means ------------------------------------------------------------------------------- */

static void
reduce(tutti_dtype dtype, tutti_op op, void *dst, const void *a, const void *b, const void *c, uint32_t divisor)
{
	const void *sources[] = {a, b, c};

	tt_kernels_reference.reduce[dtype][op](
	    dst, sources, c != NULL ? 3 : 2, 1, divisor != 0 ? TT_FINISH_DIVIDE : TT_FINISH_NONE, divisor);
}

Test(kernels, integers_wrap_and_divide_toward_zero)
{
	const int8_t most = INT8_MAX, one = 1, minus_three = -3, minus_four = -4;
	const int64_t least = INT64_MIN, minus_one = -1;
	const uint16_t large = 65535;
	int8_t small;
	int64_t wide;
	uint16_t product;

	reduce(TUTTI_INT8, TUTTI_SUM, &small, &most, &one, NULL, 0);
	cr_expect_eq(small, INT8_MIN);
	reduce(TUTTI_INT8, TUTTI_AVG, &small, &minus_three, &minus_four, NULL, 2);
	cr_expect_eq(small, -3);
	reduce(TUTTI_INT8, TUTTI_AVG, &small, &most, &one, NULL, 2);
	cr_expect_eq(small, -64, "the sum wraps before it is divided");
	reduce(TUTTI_INT64, TUTTI_SUM, &wide, &least, &minus_one, NULL, 0);
	cr_expect_eq(wide, INT64_MAX);
	reduce(TUTTI_UINT16, TUTTI_PROD, &product, &large, &large, NULL, 0);
	cr_expect_eq(product, 1);
}

Test(kernels, signed_and_unsigned_compare_differently)
{
	const int32_t minus_one = -1, one = 1;
	int32_t lesser;
	uint32_t least;

	reduce(TUTTI_INT32, TUTTI_MIN, &lesser, &minus_one, &one, NULL, 0);
	cr_expect_eq(lesser, -1);
	reduce(TUTTI_UINT32, TUTTI_MIN, &least, &minus_one, &one, NULL, 0);
	cr_expect_eq(least, 1u);
}

Test(kernels, bool_takes_any_byte_and_gives_0_or_1)
{
	const uint8_t zero = 0, two = 2, high = 0x80;
	uint8_t got;

	reduce(TUTTI_BOOL, TUTTI_PROD, &got, &two, &high, NULL, 0);
	cr_expect_eq(got, 1);
	reduce(TUTTI_BOOL, TUTTI_SUM, &got, &zero, &high, NULL, 0);
	cr_expect_eq(got, 1);
	reduce(TUTTI_BOOL, TUTTI_BXOR, &got, &two, &high, NULL, 0);
	cr_expect_eq(got, 0);
	const void *alone = &high;
	tt_kernels_best()->reduce[TUTTI_BOOL][TUTTI_MIN](&got, &alone, 1, 1, TT_FINISH_NONE, 0);
	cr_expect_eq(got, 1, "one source is normalized too");
}

Test(kernels, halves_accumulate_in_single_and_round_once)
{
	const uint16_t large = tt_float_to_half(2048.0f), one = tt_float_to_half(1.0f);
	uint16_t got;

	reduce(TUTTI_FLOAT16, TUTTI_SUM, &got, &large, &one, &one, 0);
	cr_expect_eq(tt_half_to_float(got), 2050.0f, "rounding after each addition would give 2048");
	const uint16_t brain = tt_float_to_bfloat16(256.0f), unit = tt_float_to_bfloat16(1.0f);
	reduce(TUTTI_BFLOAT16, TUTTI_SUM, &got, &brain, &unit, &unit, 0);
	cr_expect_eq(tt_bfloat16_to_float(got), 258.0f);
	const uint16_t top = tt_float_to_half(65504.0f);
	reduce(TUTTI_FLOAT16, TUTTI_AVG, &got, &top, &top, NULL, 2);
	cr_expect_eq(tt_half_to_float(got), 65504.0f, "the sum does not overflow before it is divided");
}

Test(kernels, nan_is_canonical_and_wins_min_and_max)
{
	const uint32_t odd_nan = 0xff812345, infinity = 0x7f800000, minus_infinity = 0xff800000, one = 0x3f800000;
	uint32_t got;

	reduce(TUTTI_FLOAT32, TUTTI_SUM, &got, &one, &odd_nan, NULL, 0);
	cr_expect_eq(got, 0x7fc00000u);
	reduce(TUTTI_FLOAT32, TUTTI_SUM, &got, &infinity, &minus_infinity, NULL, 0);
	cr_expect_eq(got, 0x7fc00000u);
	reduce(TUTTI_FLOAT32, TUTTI_MIN, &got, &odd_nan, &one, NULL, 0);
	cr_expect_eq(got, 0x7fc00000u);
	reduce(TUTTI_FLOAT32, TUTTI_MAX, &got, &one, &odd_nan, NULL, 0);
	cr_expect_eq(got, 0x7fc00000u);
}

Test(kernels, zeros_are_ordered_in_min_and_max)
{
	const uint32_t plus = 0, minus = 0x80000000;
	uint32_t got;

	reduce(TUTTI_FLOAT32, TUTTI_MIN, &got, &plus, &minus, NULL, 0);
	cr_expect_eq(got, minus);
	reduce(TUTTI_FLOAT32, TUTTI_MIN, &got, &minus, &plus, NULL, 0);
	cr_expect_eq(got, minus);
	reduce(TUTTI_FLOAT32, TUTTI_MAX, &got, &minus, &plus, NULL, 0);
	cr_expect_eq(got, plus);
	reduce(TUTTI_FLOAT32, TUTTI_MAX, &got, &plus, &minus, NULL, 0);
	cr_expect_eq(got, plus);
}

Test(kernels, bfloat16_sums_keep_subnormals)
{
	const uint16_t least = 1;
	uint16_t got;

	for (int vector = 0; vector < 2; vector++) {
		const struct tt_kernels *set = vector ? tt_kernels_best() : &tt_kernels_reference;
		const void *sources[] = {&least, &least};
		set->reduce[TUTTI_BFLOAT16][TUTTI_SUM](&got, sources, 2, 1, TT_FINISH_NONE, 0);
		cr_expect_eq(got, 2, "%s", set->name);
	}
}

#if defined(__x86_64__)
Test(kernels, flush_to_zero_of_the_program_changes_nothing)
{
	const unsigned flushing = 0x1f80 | 0x8040;
	static const char *const names[] = {"reference", "avx2", "avx512", "avx512fp16"};

	for (size_t i = 0; i < TT_COUNT_OF(names); i++) {
		const struct tt_kernels *set = tt_kernels_named(names[i]);
		const uint32_t least = 1;
		const void *sources[] = {&least, &least, &least};
		uint32_t got = 0;
		if (set == NULL)
			continue;
		__builtin_ia32_ldmxcsr(flushing);
		set->reduce[TUTTI_FLOAT32][TUTTI_SUM](&got, sources, 3, 1, TT_FINISH_NONE, 0);
		const unsigned after = __builtin_ia32_stmxcsr();
		__builtin_ia32_ldmxcsr(0x1f80);
		cr_expect_eq(got, 3u, "%s", names[i]);
		cr_expect_eq(after & ~0x3fu, flushing, "%s", names[i]);
	}
}
#endif

/* ---- conversions -------------------------------------------------------------------------------------------- */

struct narrow_float {
	const char *name;
	unsigned mantissa, last; /* the greatest finite pattern without its sign */
	int bias;
	unsigned sign, nan, overflow;
	float (*widen)(unsigned bits);
	unsigned (*narrow)(float value);
};

static float
widen_half(unsigned bits)
{
	return tt_half_to_float((uint16_t)bits);
}

static unsigned
narrow_half(float value)
{
	return tt_float_to_half(value);
}

static float
widen_bfloat16(unsigned bits)
{
	return tt_bfloat16_to_float((uint16_t)bits);
}

static unsigned
narrow_bfloat16(float value)
{
	return tt_float_to_bfloat16(value);
}

static float
widen_e4m3(unsigned bits)
{
	return tt_e4m3_to_float((uint8_t)bits);
}

static unsigned
narrow_e4m3(float value)
{
	return tt_float_to_e4m3(value);
}

static float
widen_e5m2(unsigned bits)
{
	return tt_e5m2_to_float((uint8_t)bits);
}

static unsigned
narrow_e5m2(float value)
{
	return tt_float_to_e5m2(value);
}

static const struct narrow_float narrow_floats[] = {
    {"float16", 10, 0x7bff, 15, 0x8000, 0x7e00, 0x7c00, widen_half, narrow_half},
    {"bfloat16", 7, 0x7f7f, 127, 0x8000, 0x7fc0, 0x7f80, widen_bfloat16, narrow_bfloat16},
    {"e4m3", 3, 0x7e, 7, 0x80, 0x7f, 0x7f, widen_e4m3, narrow_e4m3},
    {"e5m2", 2, 0x7b, 15, 0x80, 0x7e, 0x7c, widen_e5m2, narrow_e5m2},
};

/* By the definition of the format, in arithmetic that has room to spare. */
static double
meaning(const struct narrow_float *type, unsigned magnitude)
{
	const int exponent = (int)(magnitude >> type->mantissa);
	const unsigned fraction = magnitude & ((1u << type->mantissa) - 1);

	if (exponent == 0)
		return ldexp(fraction, 1 - type->bias - (int)type->mantissa);
	return ldexp(fraction + (1u << type->mantissa), exponent - type->bias - (int)type->mantissa);
}

Test(conversions, every_pattern_has_its_meaning_and_survives_the_round_trip)
{
	for (size_t t = 0; t < TT_COUNT_OF(narrow_floats); t++) {
		const struct narrow_float *type = &narrow_floats[t];
		for (unsigned bits = 0; bits < 2 * type->sign; bits++) {
			const unsigned magnitude = bits & (type->sign - 1);
			const float value = type->widen(bits);
			if (magnitude <= type->last) {
				cr_assert_eq(
				    (double)fabsf(value), meaning(type, magnitude), "%s %#x", type->name, bits);
				cr_assert_eq(
				    signbit(value) != 0, (bits & type->sign) != 0, "%s %#x", type->name, bits);
				cr_assert_eq(type->narrow(value), bits, "%s %#x", type->name, bits);
			} else if (magnitude == type->overflow && type->overflow != type->nan) {
				cr_assert(isinf(value) != 0, "%s %#x", type->name, bits);
				cr_assert_eq(type->narrow(value), bits, "%s %#x", type->name, bits);
			} else {
				cr_assert(isnan(value) != 0, "%s %#x", type->name, bits);
				cr_assert_eq(type->narrow(value), type->nan, "%s %#x", type->name, bits);
			}
		}
	}
}

Test(conversions, between_two_neighbours_the_nearest_wins_and_a_tie_goes_to_even)
{
	for (size_t t = 0; t < TT_COUNT_OF(narrow_floats); t++) {
		const struct narrow_float *type = &narrow_floats[t];
		for (unsigned low = 0; low < type->last; low++) {
			const unsigned high = low + 1, even = (low & 1) != 0 ? high : low;
			const float tie = (float)((meaning(type, low) + meaning(type, high)) / 2);
			cr_assert_eq(type->narrow(tie), even, "%s %#x", type->name, low);
			cr_assert_eq(type->narrow(-tie), even | type->sign, "%s %#x", type->name, low);
			cr_assert_eq(type->narrow(nextafterf(tie, 0)), low, "%s %#x", type->name, low);
			cr_assert_eq(type->narrow(nextafterf(tie, INFINITY)), high, "%s %#x", type->name, low);
		}
	}
}

Test(conversions, overflow_is_decided_at_the_halfway_point)
{
	cr_expect_eq(tt_float_to_half(nextafterf(65520.0f, 0)), 0x7bff);
	cr_expect_eq(tt_float_to_half(65520.0f), 0x7c00);
	cr_expect_eq(tt_float_to_half(-65520.0f), 0xfc00);
	cr_expect_eq(tt_float_to_bfloat16(FLT_MAX), 0x7f80);
	cr_expect_eq(tt_float_to_bfloat16(-FLT_MAX), 0xff80);
	cr_expect_eq(tt_float_to_e5m2(nextafterf(61440.0f, 0)), 0x7b);
	cr_expect_eq(tt_float_to_e5m2(61440.0f), 0x7c);
	cr_expect_eq(tt_float_to_e5m2(-FLT_MAX), 0xfc);
	cr_expect_eq(tt_float_to_e4m3(464.0f), 0x7e, "448 is even, 480 would be odd");
	cr_expect_eq(tt_float_to_e4m3(nextafterf(464.0f, 500.0f)), 0x7f);
	cr_expect_eq(tt_float_to_e4m3(-INFINITY), 0x7f, "there is no infinity");
}

Test(conversions, underflow_keeps_the_sign)
{
	for (size_t t = 0; t < TT_COUNT_OF(narrow_floats); t++) {
		const struct narrow_float *type = &narrow_floats[t];
		cr_expect_eq(type->narrow(-0.0f), type->sign, "%s", type->name);
		cr_expect_eq(type->narrow(-1.0e-44f), type->sign, "%s", type->name);
		cr_expect_eq(type->narrow(1.0e-44f), 0u, "%s", type->name);
	}
}

/* ---- names and sizes ------------------------------------------------------------------------------------------ */

Test(dtypes, unknown_values_are_answered)
{
	const char *why = NULL;

	cr_expect_eq(tt_dtype_size((tutti_dtype)99), 0u);
	cr_expect_str_eq(tt_dtype_name((tutti_dtype)99), "?");
	cr_expect_str_eq(tt_op_name(1234), "custom");
	cr_expect_not(tt_op_allows(TUTTI_SUM, (tutti_dtype)99, &why));
	cr_expect_neq(why, NULL);
	cr_expect_not(tt_op_allows(-1, TUTTI_INT8, NULL));
}

Test(dtypes, operators_go_with_the_types_they_mean_something_for)
{
	const char *why = NULL;

	cr_expect(tt_op_allows(TUTTI_AVG, TUTTI_INT8, NULL));
	cr_expect(tt_op_allows(TUTTI_BXOR, TUTTI_BOOL, NULL));
	cr_expect_not(tt_op_allows(TUTTI_AVG, TUTTI_BOOL, &why));
	cr_expect_str_eq(why, "the average of bool values is not defined");
	cr_expect_not(tt_op_allows(TUTTI_BAND, TUTTI_FLOAT8_E5M2, &why));
	cr_expect_str_eq(why, "bitwise operators need an integer type or bool");
	cr_expect_eq(tt_dtype_size(TUTTI_BFLOAT16), 2u);
	cr_expect_str_eq(tt_dtype_name(TUTTI_FLOAT8_E4M3), "float8_e4m3");
	cr_expect(tt_dtype_is_float(TUTTI_FLOAT8_E4M3));
	cr_expect_not(tt_dtype_is_float(TUTTI_BOOL));
}

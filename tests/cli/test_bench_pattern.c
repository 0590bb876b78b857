/* SPDX-License-Identifier: Apache-2.0
 *
 * test_bench_pattern.c - the benchmark's inputs: exact in any order, and no wrong result looks right.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/bench/bench_pattern.h"

#define COUNT 2500 /* more than two periods */

/* The number that an element stands for. */
static double
decode(const struct tt_bench_dtype *dtype, const void *element)
{
	uint64_t bits = 0;
	double value;
	int exponent, width = dtype->exponent_bits + dtype->mantissa_bits;

	memcpy(&bits, element, dtype->bytes);
	if (dtype->kind == TT_BENCH_SIGNED)
		return (double)((int64_t)(bits << (64 - 8 * dtype->bytes)) >> (64 - 8 * dtype->bytes));
	if (dtype->kind != TT_BENCH_FLOAT)
		return (double)bits;
	exponent = (int)(bits >> dtype->mantissa_bits) & ((1 << dtype->exponent_bits) - 1);
	if (exponent == 0)
		return 0;
	value = 1 + ldexp((double)(bits & ((UINT64_C(1) << dtype->mantissa_bits) - 1)), -dtype->mantissa_bits);
	value = ldexp(value, exponent - (1 << (dtype->exponent_bits - 1)) + 1);
	return bits >> width & 1 ? -value : value;
}

/* Is a whole number exact in the type? */
static bool
is_exact(const struct tt_bench_dtype *dtype, double value)
{
	unsigned char bytes[8] = {0};

	tt_bench_encode(dtype, (long)value, bytes);
	return decode(dtype, bytes) == value;
}

static double
combine(tutti_op op, double a, double b)
{
	switch (op) {
	case TUTTI_PROD:
		return a * b;
	case TUTTI_MIN:
		return fmin(a, b);
	case TUTTI_MAX:
		return fmax(a, b);
	default:
		return a + b;
	}
}

static void
check_exact(const struct tt_bench_dtype *dtype, tutti_op op, int nranks)
{
	struct tt_bench_pattern pattern;
	unsigned char element[8];

	cr_assert(tt_bench_pattern_init(&pattern, dtype, op, nranks));
	/* Every place would take long; a step that divides nothing meets all kinds. */
	for (size_t i = 0; i < TT_BENCH_PERIOD; i += 7) {
		double up = 0, down = 0, wanted;

		/* From below and from above: no partial result may need rounding. */
		for (int r = 0; r < nranks; r++) {
			tt_bench_pattern_fill(&pattern, r, 0, i, 1, element);
			up = r == 0 ? decode(dtype, element) : combine(op, up, decode(dtype, element));
			cr_assert(is_exact(dtype, up), "%s op %d ranks %d", dtype->name, op, nranks);
			tt_bench_pattern_fill(&pattern, nranks - 1 - r, 0, i, 1, element);
			down = r == 0 ? decode(dtype, element) : combine(op, down, decode(dtype, element));
			cr_assert(is_exact(dtype, down), "%s op %d ranks %d", dtype->name, op, nranks);
		}
		wanted = op == TUTTI_AVG ? trunc(up / nranks) : up;
		if (op == TUTTI_AVG && dtype->kind == TT_BENCH_FLOAT)
			cr_assert(eq(dbl, wanted, up / nranks), "an average that is rounded");
		tt_bench_pattern_fill(&pattern, TT_BENCH_RESULT, 0, i, 1, element);
		cr_assert(eq(dbl, decode(dtype, element), wanted), "%s op %d ranks %d", dtype->name, op, nranks);
	}
	tt_bench_pattern_fini(&pattern);
}

Test(bench_pattern, arithmetic_is_exact_for_every_type_and_number_of_ranks, .timeout = 60)
{
	static const int sizes[] = {1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 64, 130, 300};
	static const tutti_op ops[] = {TUTTI_SUM, TUTTI_PROD, TUTTI_MIN, TUTTI_MAX, TUTTI_AVG};

	for (int d = 0; d < TT_BENCH_DTYPES; d++) {
		if (tt_bench_dtypes[d].kind == TT_BENCH_BOOLEAN)
			continue;
		for (size_t o = 0; o < sizeof ops / sizeof ops[0]; o++)
			for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
				check_exact(&tt_bench_dtypes[d], ops[o], sizes[s]);
	}
}

Test(bench_pattern, bits_and_booleans_are_what_the_api_says, .timeout = 20)
{
	static const tutti_op ops[] = {
	    TUTTI_SUM, TUTTI_PROD, TUTTI_MIN, TUTTI_MAX, TUTTI_BAND, TUTTI_BOR, TUTTI_BXOR};
	const struct tt_bench_dtype *dtype = &tt_bench_dtypes[tt_bench_find_dtype("bool")];
	struct tt_bench_pattern pattern;
	unsigned char a, b, c, result;

	for (size_t o = 0; o < sizeof ops / sizeof ops[0]; o++) {
		bool any = ops[o] == TUTTI_SUM || ops[o] == TUTTI_MAX || ops[o] == TUTTI_BOR;

		cr_assert(tt_bench_pattern_init(&pattern, dtype, ops[o], 3));
		for (size_t i = 0; i < TT_BENCH_PERIOD; i++) {
			tt_bench_pattern_fill(&pattern, 0, 0, i, 1, &a);
			tt_bench_pattern_fill(&pattern, 1, 0, i, 1, &b);
			tt_bench_pattern_fill(&pattern, 2, 0, i, 1, &c);
			tt_bench_pattern_fill(&pattern, TT_BENCH_RESULT, 0, i, 1, &result);
			cr_assert(le(int, a, 1));
			cr_assert(eq(int, result, ops[o] == TUTTI_BXOR ? a ^ b ^ c : any ? a | b | c : a & b & c));
		}
		tt_bench_pattern_fini(&pattern);
	}
}

static struct tt_bench_pattern pattern;
static unsigned char buffer[COUNT * 4];

static void
make_moved(void)
{
	cr_assert(tt_bench_pattern_init(&pattern, &tt_bench_dtypes[tt_bench_find_dtype("float")], -1, 3));
	tt_bench_pattern_fill(&pattern, 1, 5, 100, COUNT, buffer);
}

static void
free_moved(void)
{
	tt_bench_pattern_fini(&pattern);
}

TestSuite(bench_pattern_check, .init = make_moved, .fini = free_moved, .timeout = 20);

Test(bench_pattern_check, what_was_filled_is_right)
{
	cr_assert(eq(sz, tt_bench_pattern_wrong(&pattern, 1, 5, 100, COUNT, buffer), (size_t)0));
}

Test(bench_pattern_check, every_wrong_element_is_counted_once)
{
	buffer[0] ^= 1;
	buffer[4 * 1200] ^= 1;
	buffer[4 * 1200 + 3] ^= 1;
	buffer[4 * COUNT - 1] ^= 0x80;
	cr_assert(eq(sz, tt_bench_pattern_wrong(&pattern, 1, 5, 100, COUNT, buffer), (size_t)3));
}

Test(bench_pattern_check, other_place_rank_or_phase_is_wrong)
{
	cr_assert(gt(sz, tt_bench_pattern_wrong(&pattern, 1, 5, 101, COUNT, buffer), (size_t)COUNT / 2));
	cr_assert(gt(sz, tt_bench_pattern_wrong(&pattern, 1, 5, 100 + 4096, COUNT, buffer), (size_t)COUNT / 2));
	cr_assert(gt(sz, tt_bench_pattern_wrong(&pattern, 2, 5, 100, COUNT, buffer), (size_t)COUNT / 2));
	cr_assert(gt(sz, tt_bench_pattern_wrong(&pattern, 1, 6, 100, COUNT, buffer), (size_t)COUNT / 2));
}

Test(bench_pattern_check, pieces_are_the_whole)
{
	unsigned char pieces[sizeof buffer];

	for (size_t at = 0; at < COUNT; at += 700)
		tt_bench_pattern_fill(&pattern, 1, 5, 100 + at, at + 700 < COUNT ? 700 : COUNT - at, pieces + 4 * at);
	cr_assert(eq(int, memcmp(pieces, buffer, sizeof buffer), 0));
}

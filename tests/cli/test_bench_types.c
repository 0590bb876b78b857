/* SPDX-License-Identifier: Apache-2.0
 *
 * test_bench_types.c - names, sizes, factors and encodings of the benchmark.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <string.h>

#include "cli/bench/bench_types.h"

Test(bench_types, bus_bandwidth_factors_are_those_of_nccl_tests)
{
	cr_assert(ieee_ulp_eq(dbl, tt_bench_bus_factor(TT_BENCH_ALL_REDUCE, 4), 1.5, 1));
	cr_assert(ieee_ulp_eq(dbl, tt_bench_bus_factor(TT_BENCH_ALL_REDUCE, 2), 1.0, 1));
	cr_assert(ieee_ulp_eq(dbl, tt_bench_bus_factor(TT_BENCH_ALL_GATHER, 4), 0.75, 1));
	cr_assert(ieee_ulp_eq(dbl, tt_bench_bus_factor(TT_BENCH_REDUCE_SCATTER, 8), 0.875, 1));
	cr_assert(ieee_ulp_eq(dbl, tt_bench_bus_factor(TT_BENCH_ALL_TO_ALL, 8), 0.875, 1));
	cr_assert(ieee_ulp_eq(dbl, tt_bench_bus_factor(TT_BENCH_GATHER, 2), 0.5, 1));
	cr_assert(ieee_ulp_eq(dbl, tt_bench_bus_factor(TT_BENCH_SCATTER, 2), 0.5, 1));
	cr_assert(ieee_ulp_eq(dbl, tt_bench_bus_factor(TT_BENCH_BROADCAST, 8), 1.0, 1));
	cr_assert(ieee_ulp_eq(dbl, tt_bench_bus_factor(TT_BENCH_REDUCE, 8), 1.0, 1));
}

Test(bench_types, size_is_the_larger_whole_buffer)
{
	cr_assert(eq(sz, tt_bench_count(TT_BENCH_ALL_REDUCE, 1000, 4, 3), (size_t)250));
	cr_assert(eq(sz, tt_bench_bytes(TT_BENCH_ALL_REDUCE, 250, 4, 3), (size_t)1000));
	cr_assert(eq(sz, tt_bench_count(TT_BENCH_ALL_GATHER, 1000, 4, 3), (size_t)83));
	cr_assert(eq(sz, tt_bench_bytes(TT_BENCH_ALL_GATHER, 83, 4, 3), (size_t)996));
	cr_assert(eq(sz, tt_bench_count(TT_BENCH_ALL_TO_ALL, 8, 4, 3), (size_t)0), "too small for one element each");
}

Test(bench_types, collectives_are_found_in_any_spelling)
{
	cr_assert(eq(int, tt_bench_find_collective("all_reduce"), TT_BENCH_ALL_REDUCE));
	cr_assert(eq(int, tt_bench_find_collective("allreduce"), TT_BENCH_ALL_REDUCE));
	cr_assert(eq(int, tt_bench_find_collective("all-to-all"), TT_BENCH_ALL_TO_ALL));
	cr_assert(eq(int, tt_bench_find_collective("allreduces"), -1));
	cr_assert(eq(int, tt_bench_find_collective(""), -1));
}

Test(bench_types, every_name_finds_itself)
{
	for (int i = 0; i < TT_BENCH_COLLECTIVES; i++)
		cr_assert(eq(int, tt_bench_find_collective(tt_bench_collectives[i].name), i));
	for (int i = 0; i < TT_BENCH_DTYPES; i++) {
		cr_assert(eq(int, tt_bench_find_dtype(tt_bench_dtypes[i].name), i));
		cr_assert(eq(int, tt_bench_find_dtype(tt_bench_dtypes[i].alias), i));
	}
	for (int i = 0; i < TT_BENCH_OPS; i++)
		cr_assert(eq(int, tt_bench_find_op(tt_bench_ops[i].name), i));
	cr_assert(eq(int, tt_bench_find_dtype("complex"), -1));
	cr_assert(eq(int, tt_bench_find_op("median"), -1));
}

Test(bench_types, operators_fit_the_types_that_the_api_allows)
{
	const struct tt_bench_dtype *boolean = &tt_bench_dtypes[tt_bench_find_dtype("bool")];
	const struct tt_bench_dtype *real = &tt_bench_dtypes[tt_bench_find_dtype("float")];
	const struct tt_bench_dtype *whole = &tt_bench_dtypes[tt_bench_find_dtype("int8")];

	cr_assert(not(tt_bench_op_fits(TUTTI_AVG, boolean)));
	cr_assert(tt_bench_op_fits(TUTTI_BXOR, boolean));
	cr_assert(not(tt_bench_op_fits(TUTTI_BOR, real)));
	cr_assert(tt_bench_op_fits(TUTTI_AVG, real));
	cr_assert(tt_bench_op_fits(TUTTI_BAND, whole));
}

static uint64_t
encoded(const char *dtype, long value)
{
	uint64_t bits = 0;

	tt_bench_encode(&tt_bench_dtypes[tt_bench_find_dtype(dtype)], value, &bits);
	return bits;
}

Test(bench_types, whole_numbers_are_encoded_as_ieee_says)
{
	float f = -3.0f;
	double d = 1000000.0;
	uint64_t bits = 0;

	memcpy(&bits, &f, sizeof f);
	cr_assert(eq(u64, encoded("float", -3), bits));
	memcpy(&bits, &d, sizeof d);
	cr_assert(eq(u64, encoded("double", 1000000), bits));
	cr_assert(eq(u64, encoded("half", 1), 0x3c00));
	cr_assert(eq(u64, encoded("half", -2048), 0xe800));
	cr_assert(eq(u64, encoded("bfloat16", 3), 0x4040));
	cr_assert(eq(u64, encoded("f8e4m3", 1), 0x38));
	cr_assert(eq(u64, encoded("f8e4m3", -15), 0xd7));
	cr_assert(eq(u64, encoded("f8e5m2", 7), 0x47));
	cr_assert(eq(u64, encoded("f8e5m2", 0), 0));
	cr_assert(eq(u64, encoded("int8", -2), 0xfe));
	cr_assert(eq(u64, encoded("int32", -1), 0xffffffff));
	cr_assert(eq(u64, encoded("bool", 1), 1));
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_types.c - the tables of data types, operators and collectives.
 */
#include "cli/bench/bench_types.h"

#include <math.h>
#include <string.h>

const struct tt_bench_collective_info tt_bench_collectives[TT_BENCH_COLLECTIVES] = {
    [TT_BENCH_ALL_REDUCE] = {"all_reduce", true, false, false, 2},
    [TT_BENCH_REDUCE_SCATTER] = {"reduce_scatter", true, false, true, 1},
    [TT_BENCH_ALL_GATHER] = {"all_gather", false, false, true, 1},
    [TT_BENCH_BROADCAST] = {"broadcast", false, true, false, 0},
    [TT_BENCH_REDUCE] = {"reduce", true, true, false, 0},
    [TT_BENCH_SCATTER] = {"scatter", false, true, true, 1},
    [TT_BENCH_GATHER] = {"gather", false, true, true, 1},
    [TT_BENCH_ALL_TO_ALL] = {"all_to_all", false, false, true, 1},
    [TT_BENCH_BARRIER] = {"barrier", false, false, false, 0},
};

#define WIDE (1L << 20) /* enough for any number of ranks, and exact in every type of 32 bits and more */

const struct tt_bench_dtype tt_bench_dtypes[TT_BENCH_DTYPES] = {
    {"int8", "char", TUTTI_INT8, TT_BENCH_SIGNED, 1, 0, 0, 127},
    {"uint8", "uint8", TUTTI_UINT8, TT_BENCH_UNSIGNED, 1, 0, 0, 255},
    {"int16", "int16", TUTTI_INT16, TT_BENCH_SIGNED, 2, 0, 0, 32767},
    {"uint16", "uint16", TUTTI_UINT16, TT_BENCH_UNSIGNED, 2, 0, 0, 65535},
    {"int32", "int", TUTTI_INT32, TT_BENCH_SIGNED, 4, 0, 0, WIDE},
    {"uint32", "uint32", TUTTI_UINT32, TT_BENCH_UNSIGNED, 4, 0, 0, WIDE},
    {"int64", "int64", TUTTI_INT64, TT_BENCH_SIGNED, 8, 0, 0, WIDE},
    {"uint64", "uint64", TUTTI_UINT64, TT_BENCH_UNSIGNED, 8, 0, 0, WIDE},
    {"half", "float16", TUTTI_FLOAT16, TT_BENCH_FLOAT, 2, 5, 10, 2048},
    {"bfloat16", "bf16", TUTTI_BFLOAT16, TT_BENCH_FLOAT, 2, 8, 7, 256},
    {"float", "float32", TUTTI_FLOAT32, TT_BENCH_FLOAT, 4, 8, 23, WIDE},
    {"double", "float64", TUTTI_FLOAT64, TT_BENCH_FLOAT, 8, 11, 52, WIDE},
    {"f8e4m3", "float8_e4m3", TUTTI_FLOAT8_E4M3, TT_BENCH_FLOAT, 1, 4, 3, 16},
    {"f8e5m2", "float8_e5m2", TUTTI_FLOAT8_E5M2, TT_BENCH_FLOAT, 1, 5, 2, 8},
    {"bool", "bool", TUTTI_BOOL, TT_BENCH_BOOLEAN, 1, 0, 0, 1},
};

const struct tt_bench_op tt_bench_ops[TT_BENCH_OPS] = {
    {"sum", TUTTI_SUM},
    {"prod", TUTTI_PROD},
    {"min", TUTTI_MIN},
    {"max", TUTTI_MAX},
    {"avg", TUTTI_AVG},
    {"band", TUTTI_BAND},
    {"bor", TUTTI_BOR},
    {"bxor", TUTTI_BXOR},
};

/* Equal but for _ and -. */
static bool
same_letters(const char *a, const char *b)
{
	for (;; a++, b++) {
		while (*a == '_' || *a == '-')
			a++;
		while (*b == '_' || *b == '-')
			b++;
		if (*a != *b)
			return false;
		if (*a == '\0')
			return true;
	}
}

int
tt_bench_find_collective(const char *name)
{
	for (int i = 0; i < TT_BENCH_COLLECTIVES; i++) {
		if (same_letters(name, tt_bench_collectives[i].name))
			return i;
	}
	return -1;
}

int
tt_bench_find_dtype(const char *name)
{
	for (int i = 0; i < TT_BENCH_DTYPES; i++) {
		if (strcmp(name, tt_bench_dtypes[i].name) == 0 || strcmp(name, tt_bench_dtypes[i].alias) == 0)
			return i;
	}
	return -1;
}

int
tt_bench_find_op(const char *name)
{
	for (int i = 0; i < TT_BENCH_OPS; i++) {
		if (strcmp(name, tt_bench_ops[i].name) == 0)
			return i;
	}
	return -1;
}

bool
tt_bench_op_fits(tutti_op op, const struct tt_bench_dtype *dtype)
{
	if (op == TUTTI_AVG)
		return dtype->kind != TT_BENCH_BOOLEAN;
	if (op == TUTTI_BAND || op == TUTTI_BOR || op == TUTTI_BXOR)
		return dtype->kind != TT_BENCH_FLOAT;
	return true;
}

size_t
tt_bench_count(enum tt_bench_collective collective, size_t bytes, size_t element_bytes, int nranks)
{
	if (collective == TT_BENCH_BARRIER)
		return 0;
	if (tt_bench_collectives[collective].blocks)
		return bytes / element_bytes / (size_t)nranks;
	return bytes / element_bytes;
}

size_t
tt_bench_bytes(enum tt_bench_collective collective, size_t count, size_t element_bytes, int nranks)
{
	if (tt_bench_collectives[collective].blocks)
		return count * element_bytes * (size_t)nranks;
	return count * element_bytes;
}

double
tt_bench_bus_factor(enum tt_bench_collective collective, int nranks)
{
	int passes = tt_bench_collectives[collective].passes;

	return passes == 0 ? 1.0 : (double)passes * (nranks - 1) / nranks;
}

static uint64_t
float_bits(const struct tt_bench_dtype *dtype, long value)
{
	const int mantissa_bits = dtype->mantissa_bits, exponent_bits = dtype->exponent_bits;
	const uint64_t sign = value < 0 ? 1 : 0;
	const int bias = (1 << (exponent_bits - 1)) - 1;
	double fraction;
	int exponent;

	if (value == 0)
		return 0;
	/* |value| = (2 fraction) * 2^(exponent - 1), 1 <= 2 fraction < 2 */
	fraction = frexp(fabs((double)value), &exponent);
	return sign << (exponent_bits + mantissa_bits) | (uint64_t)(exponent - 1 + bias) << mantissa_bits |
	       (uint64_t)ldexp(2 * fraction - 1, mantissa_bits);
}

void
tt_bench_encode(const struct tt_bench_dtype *dtype, long value, void *element)
{
	uint64_t bits = dtype->kind == TT_BENCH_FLOAT ? float_bits(dtype, value) : (uint64_t)value;

	/* The low bytes, in this machine's order. */
	for (size_t i = 0; i < dtype->bytes; i++) {
		size_t at = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? i : dtype->bytes - 1 - i;

		((unsigned char *)element)[at] = (unsigned char)(bits >> (8 * i));
	}
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * premul.c - premultiplied sums: every rank's own scalar, every data type, one rounding.
 *
 * Values and scalars are chosen so that the right result is exact in the type; what has to be rounded is rounded only
 * once, which the choice of values shows.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "operators.h"

#define MOST ((size_t)30011)

/* ---- values, small enough for every type --------------------------------------------------------------------- */

/* Bits of the float `value` = 0, ±1, ±1.5 or ±2 times a power of two, in a type of so many exponent and mantissa bits. */
static uint64_t
float_bits(double value, unsigned exponents, unsigned mantissas)
{
	const int bias = (1 << (exponents - 1)) - 1;
	int exponent;
	double fraction = frexp(fabs(value), &exponent);
	uint64_t bits;

	if (value == 0)
		return 0;
	bits = (uint64_t)(exponent - 1 + bias) << mantissas;
	bits |= (uint64_t)((2 * fraction - 1) * (double)(UINT64_C(1) << mantissas));
	return bits | (value < 0 ? UINT64_C(1) << (exponents + mantissas) : 0);
}

static uint64_t
bits_of(tutti_dtype dtype, double value)
{
	switch (dtype) {
	case TUTTI_FLOAT16:
		return float_bits(value, 5, 10);
	case TUTTI_BFLOAT16:
		return float_bits(value, 8, 7);
	case TUTTI_FLOAT32:
		return float_bits(value, 8, 23);
	case TUTTI_FLOAT64:
		return float_bits(value, 11, 52);
	case TUTTI_FLOAT8_E4M3:
		return float_bits(value, 4, 3);
	case TUTTI_FLOAT8_E5M2:
		return float_bits(value, 5, 2);
	default:
		return (uint64_t)(int64_t)value;
	}
}

static void
put(tutti_dtype dtype, void *to, size_t i, double value)
{
	const uint64_t bits = bits_of(dtype, value);
	const size_t size = tutti_dtype_size(dtype);
	const uint8_t byte = (uint8_t)bits;
	const uint16_t half = (uint16_t)bits;
	const uint32_t word = (uint32_t)bits;

	memcpy((char *)to + i * size,
	    size == 1   ? (const void *)&byte
	    : size == 2 ? (const void *)&half
	    : size == 4 ? (const void *)&word
			: (const void *)&bits,
	    size);
}

static bool
same(tutti_dtype dtype, const void *got, size_t i, double value)
{
	unsigned char want[8];
	const size_t size = tutti_dtype_size(dtype);

	put(dtype, want, 0, value);
	return memcmp((const char *)got + i * size, want, size) == 0;
}

static bool
is_float(tutti_dtype dtype)
{
	return dtype >= TUTTI_FLOAT16 && dtype <= TUTTI_FLOAT8_E5M2;
}

/* 1, 2 or 3, and for floats also a half; negative on odd ranks of a signed type. */
static double
scalar_of(tutti_dtype dtype, int rank, int round)
{
	static const double of_floats[] = {0.5, 2, 1};
	static const double of_integers[] = {2, 3, 1};
	const double value = is_float(dtype) ? of_floats[(rank + round) % 3] : of_integers[(rank + round) % 3];

	return rank % 2 == 1 ? -value : value;
}

/* Two ranks contribute something to each element: a sum of few bits. */
static double
value_of(int rank, int size, size_t i)
{
	return i % (size_t)size == (size_t)rank || (i + 1) % (size_t)size == (size_t)rank ? 1 : 0;
}

static double
sum_of(tutti_dtype dtype, int size, size_t i, int round)
{
	double sum = 0;

	for (int r = 0; r < size; r++)
		sum += scalar_of(dtype, r, round) * value_of(r, size, i);
	return sum;
}

/* ---- every type ------------------------------------------------------------------------------------------------ */

static int
check_reductions(struct job_rank *me, tutti_comm *comm, tutti_dtype dtype, tutti_op op, int round)
{
	static const size_t counts[] = {1, 3, 1024, MOST};
	const size_t size = tutti_dtype_size(dtype);
	char *send = malloc(MOST * size + 1), *recv = malloc(MOST * size + 1);
	int bad = 0;

	for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]) && !bad; c++) {
		const size_t n = counts[c], row = n / (size_t)me->size;
		char *in = send + round, *out = recv + 1;

		for (size_t i = 0; i < n; i++)
			put(dtype, in, i, value_of(me->rank, me->size, i));
		bad = scenario_check(
		    me, tutti_reduce_scatter(comm, in, out, row, dtype, op, NULL, NULL), "reduce_scatter");
		for (size_t i = 0; i < row && !bad; i++)
			if (!same(dtype, out, i, sum_of(dtype, me->size, (size_t)me->rank * row + i, round)))
				bad = job_complain(
				    me, "type %d: reduce_scatter: element %zu of %zu", (int)dtype, i, row);
		bad = bad || scenario_check(me, tutti_reduce(comm, in, out, n, dtype, op, 0, NULL, NULL), "reduce");
		for (size_t i = 0; i < n && !bad && me->rank == 0; i++)
			if (!same(dtype, out, i, sum_of(dtype, me->size, i, round)))
				bad = job_complain(me, "type %d: reduce: element %zu of %zu", (int)dtype, i, n);
		bad =
		    bad || scenario_check(me, tutti_all_reduce(comm, in, in, n, dtype, op, NULL, NULL), "all_reduce");
		for (size_t i = 0; i < n && !bad; i++)
			if (!same(dtype, in, i, sum_of(dtype, me->size, i, round)))
				bad = job_complain(me, "type %d: all_reduce: element %zu of %zu", (int)dtype, i, n);
	}
	free(send);
	free(recv);
	return bad;
}

static int
every_type(struct job_rank *me)
{
	tutti_comm *comm;
	int bad = scenario_comm(me, &comm);

	if (bad)
		return bad;
	for (int d = 0; d < TUTTI_BOOL && !bad; d++) {
		const tutti_dtype dtype = (tutti_dtype)d;
		tutti_op op[2];

		for (int round = 0; round < 2 && !bad; round++) {
			char scalar[9];

			put(dtype, scalar + round, 0, scalar_of(dtype, me->rank, round));
			bad = scenario_check(
			    me, tutti_op_create_premul_sum(comm, scalar + round, dtype, &op[round]), "creating");
		}
		bad =
		    bad || check_reductions(me, comm, dtype, op[1], 1) || check_reductions(me, comm, dtype, op[0], 0);
		bad = bad || scenario_check(me, tutti_op_destroy(comm, op[d % 2]), "destroying");
	}
	tutti_comm_destroy(comm);
	return bad;
}

/* ---- what is easy to get wrong ----------------------------------------------------------------------------------- */

/* 2048 + 1 is 2048 in float16, however often it is added; but 2048 + 1 + 1 is 2050. The scalars make it so. */
static int
one_rounding(struct job_rank *me)
{
	enum { COUNT = 5000 };
	const uint16_t two_to_10 = 0x6400, one = 0x3c00, two = 0x4000, want = 0x6801;
	const uint16_t scalar = me->rank == 0 ? two : one;
	uint16_t v[COUNT];
	tutti_comm *comm;
	tutti_op op;
	int bad = scenario_comm(me, &comm);

	if (bad)
		return bad;
	bad = scenario_check(me, tutti_op_create_premul_sum(comm, &scalar, TUTTI_FLOAT16, &op), "creating");
	for (size_t n = 1; n <= COUNT && !bad; n = n * 7 + 1) {
		for (size_t i = 0; i < n; i++)
			v[i] = me->rank == 0 ? two_to_10 : me->rank <= 2 ? one : 0;
		bad =
		    scenario_check(me, tutti_all_reduce(comm, v, v, n, TUTTI_FLOAT16, op, NULL, NULL), "all_reduce");
		for (size_t i = 0; i < n && !bad; i++)
			if (v[i] != want)
				bad = job_complain(me, "element %zu of %zu is %#x: rounded too often", i, n, v[i]);
	}
	tutti_comm_destroy(comm);
	return bad;
}

/* As NCCL's users do: an operator for each operation, in flight, in groups, after one that moves nothing. */
static int
often(struct job_rank *me)
{
	enum { MANY = 60, COUNT = 500 };
	tutti_request *requests[MANY] = {NULL}, *group = NULL;
	float *v = malloc(MANY * COUNT * sizeof(*v));
	tutti_comm *comm;
	int bad = scenario_comm(me, &comm);

	if (bad)
		return bad;
	for (int i = 0; i < MANY * COUNT; i++)
		v[i] = (float)(i % 100);
	for (int k = 0; k < MANY && !bad; k++) {
		const float scalar = (float)(me->rank + k);
		const bool grouped = k >= MANY / 2;
		float *at = v + (size_t)k * COUNT;
		tutti_op op;

		if (k == MANY / 2)
			bad = scenario_check(me, tutti_group_begin(comm), "group_begin");
		bad = bad ||
		      scenario_check(me, tutti_op_create_premul_sum(comm, &scalar, TUTTI_FLOAT32, &op), "creating");
		if (k % 3 == 0)
			bad = bad ||
			      scenario_check(me, tutti_all_reduce(comm, NULL, NULL, 0, TUTTI_FLOAT32, op, NULL, NULL),
				  "nothing");
		bad = bad || scenario_check(me,
				 tutti_all_reduce(
				     comm, at, at, COUNT, TUTTI_FLOAT32, op, NULL, grouped ? NULL : &requests[k]),
				 "all_reduce");
		if (k % 2 == 0)
			bad = bad || scenario_check(me, tutti_op_destroy(comm, op), "destroying");
	}
	bad = bad || scenario_check(me, tutti_group_end(comm, &group), "group_end");
	bad = bad || scenario_check(me, tutti_wait(&group), "the group");
	bad = bad || scenario_check(me, tutti_wait_all(MANY, requests), "wait_all");
	for (int i = 0; i < MANY * COUNT && !bad; i++) {
		const int k = i / COUNT, scalars = me->size * (me->size - 1) / 2 + k * me->size;

		if (v[i] != (float)(i % 100 * scalars))
			bad = job_complain(me, "operation %d: element %d is %g", k, i % COUNT, (double)v[i]);
	}
	tutti_comm_destroy(comm);
	free(v);
	return bad;
}

/* A name of an algorithm that adds step by step is refused; one that adds once serves. */
static int
algorithms(struct job_rank *me)
{
	const double scalar = me->rank + 0.25;
	const double want = me->size * (me->size - 1) / 2 + 0.25 * me->size;
	tutti_options options = TUTTI_OPTIONS_INIT;
	tutti_comm *comm;
	tutti_op op;
	int served = 0, bad = scenario_comm(me, &comm);

	if (bad)
		return bad;
	bad = scenario_check(me, tutti_op_create_premul_sum(comm, &scalar, TUTTI_FLOAT64, &op), "creating");
	for (int a = 0; operators_algorithms[a] != NULL && !bad; a++) {
		double one = 1;
		tutti_status status;

		options.algorithm = operators_algorithms[a];
		status = tutti_all_reduce(comm, &one, &one, 1, TUTTI_FLOAT64, op, &options, NULL);
		served += status == TUTTI_OK;
		if (status == TUTTI_OK ? one != want
				       : status != TUTTI_ERR_UNSUPPORTED && status != TUTTI_ERR_ARGUMENT)
			bad = job_complain_status(me, status, "%s: %g", operators_algorithms[a], one);
		if (!bad && status == TUTTI_OK && strcmp(options.algorithm, "ring") == 0)
			bad = job_complain(me, "a ring adds step by step");
	}
	if (!bad && served < 2)
		bad = job_complain(me, "only %d algorithms serve", served);
	tutti_comm_destroy(comm);
	return bad;
}

const struct scenario premul_scenarios[] = {
    {"premul_every_type", "every rank's input is multiplied by that rank's scalar, in every type", 1, false,
	every_type},
    {"premul_one_rounding", "sums of small floats are rounded once", 3, false, one_rounding},
    {"premul_often", "many operators may be created, used in flight and in groups, and destroyed", 1, false, often},
    {"premul_algorithms", "only algorithms that add all ranks at once serve", 2, false, algorithms},
    {NULL, NULL, 0, false, NULL},
};

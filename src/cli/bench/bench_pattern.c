/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_pattern.c - chooses the numbers.
 *
 *	sum      whole numbers in [-q, q] with q * ranks exact; where not even q = 1 is, some ranks give 1, the rest 0
 *	avg      sums that are a multiple of the number of ranks (floats: the quotient is exact)
 *	prod     at most three ranks give 2, the others 1 (or -1)
 *	min, max whole numbers of either sign; bitwise: seven random bits
 */
#include "cli/bench/bench_pattern.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

static uint64_t
hash(uint64_t a, uint64_t b)
{
	uint64_t x = a * UINT64_C(0x9e3779b97f4a7c15) + b * UINT64_C(0xd1b54a32d192ed03) + 1;

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* A whole number in [low, high] that depends on place and rank. */
static long
pick(int place, int rank, long low, long high)
{
	return low + (long)(hash((uint64_t)place, (uint64_t)rank) % (uint64_t)(high - low + 1));
}

static bool
is_signed(const struct tt_bench_dtype *dtype)
{
	return dtype->kind == TT_BENCH_SIGNED || dtype->kind == TT_BENCH_FLOAT;
}

/* Is this rank among the `chosen` ranks of this place? They are neighbours in a ring, from a random start. */
static bool
is_chosen(int place, int rank, int nranks, long chosen)
{
	uint64_t start = hash((uint64_t)place, UINT64_C(0xc0ffee)) % (uint64_t)nranks;

	return (long)(((uint64_t)rank + start) % (uint64_t)nranks) < chosen;
}

static long
sum_input(const struct tt_bench_dtype *dtype, int place, int rank, int nranks)
{
	long most = dtype->exact / nranks;

	if (most >= 1) {
		most = most < 1000 ? most : 1000;
		return pick(place, rank, is_signed(dtype) ? -most : 0, most);
	}
	return is_chosen(place, rank, nranks, 1 + pick(place, nranks, 0, dtype->exact - 1)) ? 1 : 0;
}

/* base + 1 on one rank, base - 1 on the next: the sum is base * nranks, and every partial sum is exact. */
static long
average_input(const struct tt_bench_dtype *dtype, int place, int rank, int nranks)
{
	long most = dtype->exact / nranks - 1;
	long base;

	if (most >= 1) {
		most = most < 1000 ? most : 1000;
		base = pick(place, nranks, is_signed(dtype) ? -most : 1, most);
		if (rank == nranks - 1 && nranks % 2 == 1)
			return base;
		return base + (rank % 2 == 0 ? 1 : -1);
	}
	/* One rank gives all of it; where even that is not exact, two cancel out. */
	if (nranks <= dtype->exact)
		return is_chosen(place, rank, nranks, 1) ? nranks * pick(place, nranks, 0, 1) : 0;
	if (!is_chosen(place, rank, nranks, 2) || !is_signed(dtype))
		return 0;
	return is_chosen(place, rank, nranks, 1) ? 4 : -4;
}

static long
product_input(const struct tt_bench_dtype *dtype, int place, int rank, int nranks)
{
	if (is_chosen(place, rank, nranks, pick(place, nranks, 0, 3)))
		return 2;
	return is_signed(dtype) && pick(place, rank, 0, 1) == 1 ? -1 : 1;
}

static long
input(const struct tt_bench_dtype *dtype, tutti_op op, int place, int rank, int nranks)
{
	long most = dtype->exact < 100 ? dtype->exact : 100;

	if (dtype->kind == TT_BENCH_BOOLEAN)
		return pick(place, rank, 0, 1);
	switch (op) {
	case TUTTI_SUM:
		return sum_input(dtype, place, rank, nranks);
	case TUTTI_AVG:
		return average_input(dtype, place, rank, nranks);
	case TUTTI_PROD:
		return product_input(dtype, place, rank, nranks);
	case TUTTI_MIN:
	case TUTTI_MAX:
		return pick(place, rank, is_signed(dtype) ? -most : 0, most);
	default:
		return pick(place, rank, 0, 127);
	}
}

static long
combine(tutti_op op, bool boolean, long a, long b)
{
	if (boolean && (op == TUTTI_SUM || op == TUTTI_MAX))
		return a | b;
	if (boolean && (op == TUTTI_PROD || op == TUTTI_MIN))
		return a & b;
	switch (op) {
	case TUTTI_PROD:
		return a * b;
	case TUTTI_MIN:
		return a < b ? a : b;
	case TUTTI_MAX:
		return a > b ? a : b;
	case TUTTI_BAND:
		return a & b;
	case TUTTI_BOR:
		return a | b;
	case TUTTI_BXOR:
		return a ^ b;
	default:
		return a + b;
	}
}

static unsigned char *
table(const struct tt_bench_pattern *pattern, int rank)
{
	int index = rank == TT_BENCH_RESULT ? pattern->nranks : rank;

	return pattern->tables + (size_t)index * TT_BENCH_PERIOD * pattern->element_bytes;
}

static void
make_reduction(struct tt_bench_pattern *pattern, const struct tt_bench_dtype *dtype, tutti_op op)
{
	const bool boolean = dtype->kind == TT_BENCH_BOOLEAN;

	for (int place = 0; place < TT_BENCH_PERIOD; place++) {
		size_t at = (size_t)place * dtype->bytes;
		long all = 0;

		for (int r = 0; r < pattern->nranks; r++) {
			long value = input(dtype, op, place, r, pattern->nranks);

			all = r == 0 ? value : combine(op, boolean, all, value);
			tt_bench_encode(dtype, value, table(pattern, r) + at);
		}
		if (op == TUTTI_AVG)
			all /= pattern->nranks;
		tt_bench_encode(dtype, all, table(pattern, TT_BENCH_RESULT) + at);
	}
}

static void
make_bytes(struct tt_bench_pattern *pattern)
{
	size_t n = (size_t)(pattern->nranks + 1) * TT_BENCH_PERIOD * pattern->element_bytes;

	for (size_t i = 0; i < n; i++)
		pattern->tables[i] = (unsigned char)hash(i, 7);
}

bool
tt_bench_pattern_init(struct tt_bench_pattern *pattern, const struct tt_bench_dtype *dtype, tutti_op op, int nranks)
{
	*pattern = (struct tt_bench_pattern){.element_bytes = dtype->bytes, .nranks = nranks};
	pattern->tables = malloc((size_t)(nranks + 1) * TT_BENCH_PERIOD * dtype->bytes);
	if (pattern->tables == NULL)
		return false;
	if (op < 0)
		make_bytes(pattern);
	else
		make_reduction(pattern, dtype, op);
	return true;
}

void
tt_bench_pattern_fini(struct tt_bench_pattern *pattern)
{
	free(pattern->tables);
	pattern->tables = NULL;
}

void
tt_bench_pattern_fill(
    const struct tt_bench_pattern *pattern, int rank, size_t phase, size_t first, size_t count, void *buffer)
{
	const size_t bytes = pattern->element_bytes;
	const unsigned char *from = table(pattern, rank);
	size_t place = (first + phase) % TT_BENCH_PERIOD;
	unsigned char *to = buffer;

	while (count > 0) {
		size_t part = tt_min_size(count, TT_BENCH_PERIOD - place);

		memcpy(to, from + place * bytes, part * bytes);
		to += part * bytes;
		count -= part;
		place = 0;
	}
}

static size_t
count_wrong(const unsigned char *wanted, const unsigned char *got, size_t count, size_t bytes)
{
	size_t wrong = 0;

	for (size_t i = 0; i < count; i++)
		wrong += memcmp(wanted + i * bytes, got + i * bytes, bytes) != 0;
	return wrong;
}

size_t
tt_bench_pattern_wrong(
    const struct tt_bench_pattern *pattern, int rank, size_t phase, size_t first, size_t count, const void *buffer)
{
	const size_t bytes = pattern->element_bytes;
	const unsigned char *wanted = table(pattern, rank);
	const unsigned char *got = buffer;
	size_t place = (first + phase) % TT_BENCH_PERIOD, wrong = 0;

	while (count > 0) {
		size_t part = tt_min_size(count, TT_BENCH_PERIOD - place);

		if (memcmp(wanted + place * bytes, got, part * bytes) != 0)
			wrong += count_wrong(wanted + place * bytes, got, part, bytes);
		got += part * bytes;
		count -= part;
		place = 0;
	}
	return wrong;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * exact_values.c - inputs and their exact reductions.
 *
 * Sums of floats stay within the integers that the type counts without a gap; products are powers of two with at most
 * one factor 1.5; averages are exact multiples. With more ranks than a type can hold so, some give the neutral
 * element. Integers use all their bits, since they wrap the same way in any order.
 */
#include <math.h>
#include <string.h>

#include "exact.h"
#include "random.h"

struct format {
	int exponent_bits, mantissa_bits;
	bool infinite;
	double whole; /* integers up to here have no gap */
};

static struct format
format_of(tutti_dtype dtype)
{
	switch (dtype) {
	case TUTTI_FLOAT16:
		return (struct format){5, 10, true, 2048};
	case TUTTI_BFLOAT16:
		return (struct format){8, 7, true, 256};
	case TUTTI_FLOAT32:
		return (struct format){8, 23, true, 16777216};
	case TUTTI_FLOAT64:
		return (struct format){11, 52, true, 1099511627776};
	case TUTTI_FLOAT8_E4M3:
		return (struct format){4, 3, false, 16};
	default:
		return (struct format){5, 2, true, 8}; /* E5M2 */
	}
}

/* ---- bits ------------------------------------------------------------------------------------------------------- */

static unsigned
width(tutti_dtype dtype)
{
	return (unsigned)tutti_dtype_size(dtype) * 8;
}

static uint64_t
cut(tutti_dtype dtype, uint64_t bits)
{
	return width(dtype) == 64 ? bits : bits & ((UINT64_C(1) << width(dtype)) - 1);
}

/* Only for values that the format holds exactly. */
static uint64_t
encode(tutti_dtype dtype, double value)
{
	const struct format f = format_of(dtype);
	const int bias = (1 << (f.exponent_bits - 1)) - 1;
	const uint64_t sign = signbit(value) ? UINT64_C(1) << (f.exponent_bits + f.mantissa_bits) : 0;
	double mantissa = fabs(value);
	int exponent;

	if (mantissa == 0)
		return sign;
	if (isinf(value))
		return sign | ((UINT64_C(1) << f.exponent_bits) - 1) << f.mantissa_bits;
	mantissa = frexp(mantissa, &exponent) * 2; /* 1 <= mantissa < 2 */
	exponent += bias - 1;
	if (exponent <= 0)
		return sign | (uint64_t)ldexp(mantissa, f.mantissa_bits + exponent - 1);
	return sign | (uint64_t)exponent << f.mantissa_bits | (uint64_t)ldexp(mantissa - 1, f.mantissa_bits);
}

bool
exact_is_nan(tutti_dtype dtype, uint64_t bits)
{
	const struct format f = format_of(dtype);
	const uint64_t magnitude = bits & ((UINT64_C(1) << (f.exponent_bits + f.mantissa_bits)) - 1);
	const uint64_t infinity = ((UINT64_C(1) << f.exponent_bits) - 1) << f.mantissa_bits;

	if (!exact_is_float(dtype))
		return false;
	return f.infinite ? magnitude > infinity : magnitude == 0x7f;
}

void
exact_store(tutti_dtype dtype, uint64_t bits, void *to)
{
	memcpy(to, &bits, tutti_dtype_size(dtype)); /* little-endian */
}

uint64_t
exact_load(tutti_dtype dtype, const void *from)
{
	uint64_t bits = 0;

	memcpy(&bits, from, tutti_dtype_size(dtype));
	return bits;
}

/* ---- inputs ------------------------------------------------------------------------------------------------------ */

static uint64_t
hash(const struct exact_case *c, int rank, uint64_t index)
{
	return mix64(mix64(c->seed + index * (2 * EXACT_RANKS) + (uint64_t)rank) ^ (uint64_t)c->kind << 56 ^
		     (uint64_t)c->dtype << 48);
}

/* -m ... m */
static double
whole_number(uint64_t h, double m)
{
	return (double)(h % (2 * (uint64_t)m + 1)) - m;
}

/* One rank in `stride` takes part in an element, so that at most 8 do. */
static bool
takes_part(const struct exact_case *c, int rank, uint64_t index, double most)
{
	const uint64_t stride = ((uint64_t)c->size + (uint64_t)most - 1) / (uint64_t)most;

	return ((uint64_t)rank + index) % stride == 0;
}

static double
sum_input(const struct exact_case *c, int rank, uint64_t index)
{
	const double whole = format_of(c->dtype).whole, share = floor(whole / c->size);

	if (share < 1)
		return takes_part(c, rank, index, whole) ? whole_number(hash(c, rank, index), 1) : 0;
	return whole_number(hash(c, rank, index), share);
}

/* The largest magnitude of a scalar with which sums still have no gaps. */
static double
most_weight(const struct exact_case *c)
{
	return format_of(c->dtype).whole / c->size < 8 ? 1 : 4;
}

static double
weight(const struct exact_case *c, int rank)
{
	const uint64_t h = hash(c, rank, UINT64_MAX >> 8);
	const double magnitude = 1 + (double)((h >> 8) % (uint64_t)most_weight(c));

	return h & 1 ? -magnitude : magnitude;
}

static double
premul_input(const struct exact_case *c, int rank, uint64_t index)
{
	const double whole = format_of(c->dtype).whole, share = floor(whole / c->size / most_weight(c));

	if (share < 1)
		return takes_part(c, rank, index, whole) ? whole_number(hash(c, rank, index), 1) : 0;
	return whole_number(hash(c, rank, index), share);
}

/* All give q; neighbours add and subtract e. */
static double
avg_input(const struct exact_case *c, int rank, uint64_t index)
{
	const double share = floor(format_of(c->dtype).whole / c->size), half = floor(share / 2);
	const double q = whole_number(hash(c, EXACT_RANKS, index), share < 1 ? 0 : share < 2 ? 1 : half);
	const double e = half < 1 || (rank | 1) >= c->size ? 0 : whole_number(hash(c, rank & ~1, index), half);

	return rank % 2 == 0 ? q + e : q - e;
}

static double
prod_input(const struct exact_case *c, int rank, uint64_t index)
{
	const uint64_t h = hash(c, rank, index);
	const double odd = (int)(index % (uint64_t)c->size) == rank && h & 8 ? 1.5 : 1;

	if (!takes_part(c, rank, index, 8))
		return 1;
	return ldexp(h & 1 ? -odd : odd, (int)((h >> 8) % 3) - 1);
}

static double
float_input(const struct exact_case *c, int rank, uint64_t index)
{
	const struct format f = format_of(c->dtype);
	const uint64_t h = hash(c, rank, index);

	switch (c->op) {
	case TUTTI_SUM:
		return sum_input(c, rank, index);
	case TUTTI_AVG:
		return avg_input(c, rank, index);
	case TUTTI_PROD:
		return prod_input(c, rank, index);
	case EXACT_PREMUL:
		return premul_input(c, rank, index);
	default:
		if (f.infinite && h >> 56 == 0)
			return h & 1 ? -INFINITY : INFINITY;
		return whole_number(h, f.whole);
	}
}

/* Any non-zero byte is true; elements where nearly all, or nearly none, are. */
static uint64_t
bool_input(const struct exact_case *c, int rank, uint64_t index)
{
	const uint64_t h = hash(c, rank, index);
	const bool often = hash(c, EXACT_RANKS, index) & 1, rare = h % 8 == 0;

	return often != rare ? 1 + (h >> 8) % 255 : 0;
}

/* Between -1 and 1, with all the digits that the type has. */
static uint64_t
rough_input(const struct exact_case *c, int rank, uint64_t index)
{
	const struct format f = format_of(c->dtype);
	const uint64_t h = hash(c, rank, index), bits = cut(c->dtype, h);
	const int exponent = (1 << (f.exponent_bits - 1)) - 2 - (int)((h >> 60) % 3);
	const uint64_t field = ((UINT64_C(1) << f.exponent_bits) - 1) << f.mantissa_bits;

	return (bits & ~field) | (uint64_t)exponent << f.mantissa_bits;
}

/* The exponent of NaN and infinity now and then; half of those without a mantissa. */
static uint64_t
wild_input(const struct exact_case *c, int rank, uint64_t index)
{
	const struct format f = format_of(c->dtype);
	const uint64_t h = hash(c, rank, index), bits = cut(c->dtype, h);
	const uint64_t top = ((UINT64_C(1) << f.exponent_bits) - 1) << f.mantissa_bits;

	if ((h >> 32) % (4 * (uint64_t)c->size) != 0)
		return bits;
	return (h >> 40) % 2 ? bits | top : (bits | top) & ~((UINT64_C(1) << f.mantissa_bits) - 1);
}

uint64_t
exact_input(const struct exact_case *c, int rank, uint64_t index)
{
	if (c->inputs != EXACT_EXACT)
		return c->inputs == EXACT_ROUGH ? rough_input(c, rank, index) : wild_input(c, rank, index);
	if (!exact_reduces(c->kind) || c->op == EXACT_CUSTOM)
		return cut(c->dtype, hash(c, rank, index));
	if (c->op == EXACT_ORDERED) /* a is odd: nothing is forgotten */
		return cut(c->dtype, hash(c, rank, index)) | UINT64_C(1) << (width(c->dtype) / 2);
	if (c->dtype == TUTTI_BOOL)
		return bool_input(c, rank, index);
	if (exact_is_float(c->dtype))
		return encode(c->dtype, float_input(c, rank, index));
	return cut(c->dtype, hash(c, rank, index));
}

/* ---- results that are not exact ----------------------------------------------------------------------------------- */

/* Of finite bits. */
static double
decode(tutti_dtype dtype, uint64_t bits)
{
	const struct format f = format_of(dtype);
	const int bias = (1 << (f.exponent_bits - 1)) - 1;
	const int exponent = (int)(bits >> f.mantissa_bits & ((UINT64_C(1) << f.exponent_bits) - 1));
	const double fraction = (double)(bits & ((UINT64_C(1) << f.mantissa_bits) - 1));
	const double value = exponent == 0
				 ? ldexp(fraction, 1 - bias - f.mantissa_bits)
				 : ldexp(fraction + ldexp(1, f.mantissa_bits), exponent - bias - f.mantissa_bits);

	return bits >> (f.exponent_bits + f.mantissa_bits) & 1 ? -value : value;
}

/* No order of p additions, each rounded to nearest, is further off than this; one more for the division. */
static bool
is_near_sum(const struct exact_case *c, uint64_t index, uint64_t bits)
{
	double sum = 0, magnitude = 0, allowed;

	for (int r = 0; r < c->size; r++) {
		const double value = decode(c->dtype, exact_input(c, r, index));

		sum += value;
		magnitude += fabs(value);
	}
	if (c->op == TUTTI_AVG) {
		sum /= c->size;
		magnitude /= c->size;
	}
	allowed = magnitude * (c->size + 1) * ldexp(1, -format_of(c->dtype).mantissa_bits);
	return fabs(decode(c->dtype, bits) - sum) <= allowed;
}

bool
exact_is_plausible(const struct exact_case *c, uint64_t index, uint64_t bits)
{
	bool nan = false;

	for (int r = 0; r < c->size; r++)
		nan = nan || exact_is_nan(c->dtype, exact_input(c, r, index));
	if (nan)
		return exact_is_nan(c->dtype, bits);
	if (c->inputs == EXACT_ROUGH && (c->op == TUTTI_SUM || c->op == TUTTI_AVG))
		return !exact_is_nan(c->dtype, bits) && is_near_sum(c, index, bits);
	return true;
}

/* ---- reductions ------------------------------------------------------------------------------------------------- */

uint64_t
exact_weight(const struct exact_case *c, int rank)
{
	if (exact_is_float(c->dtype))
		return encode(c->dtype, weight(c, rank));
	return cut(c->dtype, hash(c, rank, UINT64_MAX >> 8));
}

uint64_t
exact_custom(tutti_op op, size_t bytes, uint64_t first, uint64_t second)
{
	const unsigned half = (unsigned)bytes * 4;
	const uint64_t mask = (UINT64_C(1) << half) - 1, all = mask << half | mask;
	const uint64_t a = first >> half & mask, b = first & mask, c = second >> half & mask, d = second & mask;

	if (op == EXACT_CUSTOM)
		return (first + second) & all;
	return (c * a & mask) << half | ((c * b + d) & mask);
}

static uint64_t
premultiplied_float(const struct exact_case *c, uint64_t index)
{
	double result = weight(c, 0) * premul_input(c, 0, index);

	for (int r = 1; r < c->size; r++)
		result += weight(c, r) * premul_input(c, r, index);
	return encode(c->dtype, result);
}

static uint64_t
reduced_float(const struct exact_case *c, uint64_t index)
{
	double result = float_input(c, 0, index);

	for (int r = 1; r < c->size; r++) {
		const double value = float_input(c, r, index);

		if (c->op == TUTTI_SUM || c->op == TUTTI_AVG)
			result += value;
		else if (c->op == TUTTI_PROD)
			result *= value;
		else if (c->op == TUTTI_MIN)
			result = value < result ? value : result;
		else
			result = value > result ? value : result;
	}
	return encode(c->dtype, c->op == TUTTI_AVG ? result / c->size : result);
}

static uint64_t
reduced_bool(const struct exact_case *c, uint64_t index)
{
	int set = 0;

	for (int r = 0; r < c->size; r++)
		set += bool_input(c, r, index) != 0;
	switch (c->op) {
	case TUTTI_SUM:
	case TUTTI_MAX:
	case TUTTI_BOR:
		return set > 0;
	case TUTTI_BXOR:
		return set % 2;
	default:
		return set == c->size;
	}
}

static bool
is_signed(tutti_dtype dtype)
{
	return dtype <= TUTTI_INT64 && dtype % 2 == 0;
}

static int64_t
extend(tutti_dtype dtype, uint64_t bits)
{
	const unsigned spare = 64 - width(dtype);

	return (int64_t)(bits << spare) >> spare;
}

static bool
less(tutti_dtype dtype, uint64_t a, uint64_t b)
{
	return is_signed(dtype) ? extend(dtype, a) < extend(dtype, b) : a < b;
}

static uint64_t
combine(const struct exact_case *c, uint64_t a, uint64_t b)
{
	switch (c->op) {
	case TUTTI_PROD:
		return cut(c->dtype, a * b);
	case TUTTI_MIN:
		return less(c->dtype, b, a) ? b : a;
	case TUTTI_MAX:
		return less(c->dtype, a, b) ? b : a;
	case TUTTI_BAND:
		return a & b;
	case TUTTI_BOR:
		return a | b;
	case TUTTI_BXOR:
		return a ^ b;
	case EXACT_CUSTOM:
	case EXACT_ORDERED:
		return exact_custom(c->op, tutti_dtype_size(c->dtype), a, b);
	default:
		return cut(c->dtype, a + b);
	}
}

/* What a rank brings into the sum. */
static uint64_t
contribution(const struct exact_case *c, int rank, uint64_t index)
{
	const uint64_t bits = exact_input(c, rank, index);

	return c->op == EXACT_PREMUL ? cut(c->dtype, bits * exact_weight(c, rank)) : bits;
}

uint64_t
exact_reduced(const struct exact_case *c, uint64_t index)
{
	uint64_t result;

	if (c->dtype == TUTTI_BOOL)
		return reduced_bool(c, index);
	if (exact_is_float(c->dtype) && c->op == EXACT_PREMUL)
		return premultiplied_float(c, index);
	if (exact_is_float(c->dtype) && c->op < EXACT_PREMUL)
		return reduced_float(c, index);
	result = contribution(c, 0, index);
	for (int r = 1; r < c->size; r++)
		result = combine(c, result, contribution(c, r, index));
	if (c->op != TUTTI_AVG)
		return result;
	if (is_signed(c->dtype))
		return cut(c->dtype, (uint64_t)(extend(c->dtype, result) / c->size));
	return result / (uint64_t)c->size;
}

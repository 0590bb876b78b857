/* SPDX-License-Identifier: Apache-2.0
 *
 * convert.c - single values between fp32 and the 16- and 8-bit floats, in integer arithmetic.
 *
 * The rule: one rounding, to nearest even, whatever the processor's rounding mode; subnormals are kept; a NaN that
 * is narrowed becomes the canonical one of its type (reference.c says which). It knows nothing of buffers.
 */
#include <string.h>

#include "kernels/kernels.h"

enum {
	HALF_INFINITY = 0x7c00,
	HALF_NAN = 0x7e00,
	BFLOAT16_NAN = 0x7fc0,
	E5M2_INFINITY = 0x7c,
	E5M2_NAN = 0x7e,
	E4M3_NAN = 0x7f
};

static uint32_t
bits_of(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof bits);
	return bits;
}

static float
float_of(uint32_t bits)
{
	float value;

	memcpy(&value, &bits, sizeof value);
	return value;
}

static bool
is_nan(uint32_t bits)
{
	return (bits & 0x7fffffff) > 0x7f800000;
}

/* |value| as exponent and mantissa fields of a type with `mantissa` bits whose smallest normal number has the fp32
 * exponent field `lowest`. An exponent beyond the type's range is the caller's to clamp. */
static uint32_t
narrow(uint32_t bits, unsigned mantissa, unsigned lowest)
{
	unsigned exponent = (bits >> 23) & 0xff;
	uint32_t significand = bits & 0x7fffff;
	unsigned shift = 23 - mantissa;

	if (exponent != 0)
		significand |= 0x800000;
	else
		exponent = 1;
	if (exponent < lowest) {
		shift += lowest - exponent;
		exponent = lowest;
	}
	if (shift > 25)
		shift = 25; /* less than half of the smallest subnormal, however far below */

	uint32_t quotient = significand >> shift;
	uint32_t rest = significand & ((UINT32_C(1) << shift) - 1);
	uint32_t half = UINT32_C(1) << (shift - 1);

	if (rest > half || (rest == half && (quotient & 1) != 0))
		quotient++;
	return ((exponent - lowest) << mantissa) + quotient; /* the hidden bit adds the missing one to the exponent */
}

/* The magnitude with these exponent and mantissa fields; no infinity, no NaN. */
static float
widen(uint32_t magnitude, unsigned mantissa, unsigned lowest)
{
	uint32_t exponent = magnitude >> mantissa;

	if (exponent != 0)
		return float_of((exponent + lowest - 1) << 23 | (magnitude << (23 - mantissa) & 0x7fffff));
	return (float)magnitude * float_of((lowest - mantissa) << 23);
}

static float
with_sign(float magnitude, bool negative)
{
	return float_of(bits_of(magnitude) | (negative ? UINT32_C(0x80000000) : 0));
}

static uint32_t
at_most(uint32_t value, uint32_t limit)
{
	return value < limit ? value : limit;
}

float
tt_half_to_float(uint16_t bits)
{
	uint32_t magnitude = bits & 0x7fff;

	if (magnitude >= HALF_INFINITY)
		return float_of((uint32_t)(bits & 0x8000) << 16 | 0x7f800000 | (magnitude & 0x3ff) << 13);
	return with_sign(widen(magnitude, 10, 113), (bits & 0x8000) != 0);
}

uint16_t
tt_float_to_half(float value)
{
	uint32_t bits = bits_of(value);

	if (is_nan(bits))
		return HALF_NAN;
	return (uint16_t)((bits >> 16 & 0x8000) | at_most(narrow(bits, 10, 113), HALF_INFINITY));
}

float
tt_bfloat16_to_float(uint16_t bits)
{
	return float_of((uint32_t)bits << 16);
}

uint16_t
tt_float_to_bfloat16(float value)
{
	uint32_t bits = bits_of(value);

	if (is_nan(bits))
		return BFLOAT16_NAN;
	return (uint16_t)((bits >> 16 & 0x8000) | narrow(bits, 7, 1));
}

float
tt_e4m3_to_float(uint8_t bits)
{
	uint32_t magnitude = bits & 0x7f;

	if (magnitude == E4M3_NAN)
		return float_of((uint32_t)(bits & 0x80) << 24 | 0x7fc00000);
	return with_sign(widen(magnitude, 3, 121), (bits & 0x80) != 0);
}

uint8_t
tt_float_to_e4m3(float value)
{
	uint32_t bits = bits_of(value);
	uint32_t magnitude = narrow(bits, 3, 121);

	if (magnitude >= E4M3_NAN)
		return E4M3_NAN;
	return (uint8_t)((bits >> 24 & 0x80) | magnitude);
}

float
tt_e5m2_to_float(uint8_t bits)
{
	return tt_half_to_float((uint16_t)(bits << 8));
}

uint8_t
tt_float_to_e5m2(float value)
{
	uint32_t bits = bits_of(value);

	if (is_nan(bits))
		return E5M2_NAN;
	return (uint8_t)((bits >> 24 & 0x80) | at_most(narrow(bits, 2, 113), E5M2_INFINITY));
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * compare.h - does a set of kernels equal the reference, bit for bit?
 *
 * For test programs; each includes it once. A comparison fills sources with values that are hard for their type,
 * reduces them with both sets, and compares every byte of the destination and of what lies around it.
 * Everything comes from a seed, so a failure that is reported can be repeated.
 */
#ifndef TT_TESTS_KERNELS_COMPARE_H
#define TT_TESTS_KERNELS_COMPARE_H

#include <fenv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"

enum { GUARD = 64, GUARD_BYTE = 0xa5, MOST_SOURCES = 64 };

enum fill { FILL_BITS, FILL_SPECIAL, FILL_MODERATE, FILL_TINY, FILLS };

/* One reduction, compared. */
struct comparison {
	const struct tt_kernels *set;
	tutti_dtype dtype;
	tutti_op op;
	int k;
	size_t count;
	unsigned offset; /* of the destination, in bytes from an aligned address; sources get others */
	int aliased; /* the source that is the destination, -1 = none */
	uint32_t divisor; /* 0 = no finish */
	uint64_t seed;
};

/* Memory for the largest comparison, taken once. */
struct arena {
	unsigned char *source[MOST_SOURCES], *expected, *got;
	size_t room;
};

static uint64_t
next_random(uint64_t *state)
{
	uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static bool
arena_init(struct arena *arena, size_t bytes)
{
	arena->room = bytes + 4 * GUARD;
	for (int j = 0; j < MOST_SOURCES; j++)
		if ((arena->source[j] = malloc(arena->room)) == NULL)
			return false;
	arena->expected = malloc(arena->room);
	arena->got = malloc(arena->room);
	return arena->expected != NULL && arena->got != NULL;
}

static void
arena_fini(struct arena *arena)
{
	for (int j = 0; j < MOST_SOURCES; j++)
		free(arena->source[j]);
	free(arena->expected);
	free(arena->got);
}

/* ---- values ------------------------------------------------------------------------------------------------- */

static const uint32_t special_singles[] = {0, 0x80000000, 1, 0x80000001, 0x007fffff, 0x807fffff, 0x00800000,
    0x80800000, 0x3f800000, 0xbf800000, 0x3f800001, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7f800001,
    0xff800001, 0x7fc00000, 0xffc00000, 0x7fffffff, 0xffffffff, 0x477fe000, 0x477ff000, 0x38800000, 0x33800000,
    0x33000000};

/* A value of the type, as the low bits, from a float; float64 is done elsewhere. */
static uint64_t
encode(tutti_dtype dtype, float value)
{
	uint32_t bits;

	switch (dtype) {
	case TUTTI_FLOAT16:
		return tt_float_to_half(value);
	case TUTTI_BFLOAT16:
		return tt_float_to_bfloat16(value);
	case TUTTI_FLOAT8_E4M3:
		return tt_float_to_e4m3(value);
	case TUTTI_FLOAT8_E5M2:
		return tt_float_to_e5m2(value);
	default:
		memcpy(&bits, &value, sizeof bits);
		return bits;
	}
}

static uint64_t
special_value(tutti_dtype dtype, uint64_t random)
{
	static const uint64_t doubles[] = {0, UINT64_C(0x8000000000000000), 1, UINT64_C(0x8000000000000001),
	    UINT64_C(0x7ff0000000000000), UINT64_C(0xfff0000000000000), UINT64_C(0x7ff0000000000001),
	    UINT64_C(0xfff0000000000001), UINT64_C(0x7ff8000000000000), UINT64_C(0xfff8000000000000),
	    UINT64_C(0x7fffffffffffffff), UINT64_C(0xffffffffffffffff), UINT64_C(0x7fefffffffffffff),
	    UINT64_C(0x0010000000000000), UINT64_C(0x000fffffffffffff), UINT64_C(0x3ff0000000000000)};
	static const uint16_t shorts[] = {0, 0x8000, 1, 0x8001, 0x7c00, 0xfc00, 0x7c01, 0xfc01, 0x7e00, 0xfe00,
	    0x7f80, 0xff80, 0x7f81, 0xff81, 0x7fc0, 0xffc0, 0x7fff, 0xffff, 0x7bff, 0x7f7f, 0x0400, 0x03ff, 0x0080,
	    0x007f};

	if (!tt_dtype_is_float(dtype)) {
		static const uint64_t ends[] = {0, 1, ~UINT64_C(0), 0x80, 0x7f, 0x8000, 0x7fff, 0x80000000,
		    0x7fffffff, UINT64_C(0x8000000000000000), UINT64_C(0x7fffffffffffffff), 2, 3};
		return ends[random % TT_COUNT_OF(ends)];
	}
	switch (tt_dtype_size(dtype)) {
	case 8:
		return doubles[random % TT_COUNT_OF(doubles)];
	case 4:
		return special_singles[random % TT_COUNT_OF(special_singles)];
	case 2:
		return shorts[random % TT_COUNT_OF(shorts)];
	default:
		return random & 0xff;
	}
}

static uint64_t
scaled_value(tutti_dtype dtype, uint64_t random, bool tiny)
{
	const float value = ((float)(random & 0xffffff) - 8388608.0f) / 0x1p20f;
	uint64_t bits;
	double wide;

	if (dtype == TUTTI_FLOAT64) {
		wide = tiny ? (double)value * 0x1p-1030 : (double)value;
		memcpy(&bits, &wide, sizeof bits);
		return bits;
	}
	if (dtype == TUTTI_FLOAT32 || dtype == TUTTI_BFLOAT16)
		return encode(dtype, tiny ? value * 0x1p-130f : value);
	if (dtype == TUTTI_FLOAT16)
		return encode(dtype, tiny ? value * 0x1p-18f : value);
	return encode(dtype, tiny ? value * 0x1p-12f : value);
}

static void
fill_values(tutti_dtype dtype, unsigned char *to, size_t count, enum fill fill, uint64_t *seed)
{
	const size_t size = tt_dtype_size(dtype);

	for (size_t i = 0; i < count; i++) {
		uint64_t value = next_random(seed);

		if (fill == FILL_SPECIAL && (value >> 60) < 10)
			value = special_value(dtype, value >> 8 & 0xffff);
		else if (fill >= FILL_MODERATE && tt_dtype_is_float(dtype))
			value = scaled_value(dtype, value, fill == FILL_TINY);
		memcpy(to + i * size, &value, size);
	}
}

/* ---- comparing ------------------------------------------------------------------------------------------------ */

static bool
comparison_fails(const struct comparison *c, const char *what, char *why, size_t room)
{
	(void)snprintf(why, room, "%s %s %s: %s (k %d, count %zu, offset %u, aliased %d, divisor %u, seed %llu)",
	    c->set->name, tt_dtype_name(c->dtype), tt_op_name(c->op), what, c->k, c->count, c->offset, c->aliased,
	    c->divisor, (unsigned long long)c->seed);
	return false;
}

/* What the reference gives is in arena->expected, with guards around; the sources are filled. */
static bool
matches_expected(const struct comparison *c, struct arena *arena, char *why, size_t room)
{
	const size_t size = tt_dtype_size(c->dtype), bytes = c->count * size;
	const void *sources[MOST_SOURCES];
	unsigned char *const got = arena->got + GUARD + c->offset;

	memset(arena->got, GUARD_BYTE, bytes + 3 * GUARD);
	for (int j = 0; j < c->k; j++)
		sources[j] = arena->source[j] + GUARD + (c->offset * 7 + (unsigned)j * 13) % GUARD;
	if (c->aliased >= 0) {
		memcpy(got, sources[c->aliased], bytes);
		sources[c->aliased] = got;
	}
	c->set->reduce[c->dtype][c->op](
	    got, sources, c->k, c->count, c->divisor != 0 ? TT_FINISH_DIVIDE : TT_FINISH_NONE, c->divisor);
	if (memcmp(arena->got, arena->expected, bytes + 3 * GUARD) == 0)
		return true;

	char what[160] = "wrote outside the destination";
	for (size_t i = 0; i < c->count; i++)
		if (memcmp(got + i * size, arena->expected + GUARD + c->offset + i * size, size) != 0) {
			unsigned long long is = 0, wanted = 0;
			memcpy(&is, got + i * size, size);
			memcpy(&wanted, arena->expected + GUARD + c->offset + i * size, size);
			(void)snprintf(what, sizeof what, "element %zu is %#llx, not %#llx", i, is, wanted);
			break;
		}
	return comparison_fails(c, what, why, room);
}

/* The sources are already filled; sources[j] lies where matches_expected looks for it. */
static void
expect(const struct comparison *c, struct arena *arena)
{
	const void *sources[MOST_SOURCES];

	memset(arena->expected, GUARD_BYTE, c->count * tt_dtype_size(c->dtype) + 3 * GUARD);
	for (int j = 0; j < c->k; j++)
		sources[j] = arena->source[j] + GUARD + (c->offset * 7 + (unsigned)j * 13) % GUARD;
	tt_kernels_reference.reduce[c->dtype][c->op](arena->expected + GUARD + c->offset, sources, c->k, c->count,
	    c->divisor != 0 ? TT_FINISH_DIVIDE : TT_FINISH_NONE, c->divisor);
}

static bool
agrees_on_random(const struct comparison *c, struct arena *arena, char *why, size_t room)
{
	uint64_t state = c->seed;
	const enum fill fill = (enum fill)(next_random(&state) % FILLS);

	for (int j = 0; j < c->k; j++)
		fill_values(c->dtype, arena->source[j] + GUARD + (c->offset * 7 + (unsigned)j * 13) % GUARD, c->count,
		    fill, &state);
	expect(c, arena);
	return matches_expected(c, arena, why, room);
}

static uint32_t
random_divisor(uint64_t random)
{
	static const uint32_t divisors[] = {1, 2, 3, 7, 8, 64, 1000003, UINT32_MAX};

	return (random & 1) != 0 ? 0 : divisors[random / 2 % TT_COUNT_OF(divisors)];
}

/* All lengths up to `longest`, each with half of the k up to 9 and sometimes 64, everything else drawn. */
static bool
agrees_on_lengths(
    struct comparison c, struct arena *arena, size_t longest, size_t step, uint64_t seed, char *why, size_t room)
{
	for (size_t count = 0; count <= longest; count += step)
		for (int k = 1; k <= 10; k++) {
			if (k == 10 ? count % 32 != 0 : (count + (size_t)k) % 2 != 0)
				continue;
			c.k = k == 10 ? MOST_SOURCES : k;
			c.count = count;
			c.offset = (unsigned)(next_random(&seed) % GUARD);
			c.aliased = (next_random(&seed) & 1) != 0 ? (int)(next_random(&seed) % (uint64_t)c.k) : -1;
			c.divisor = random_divisor(next_random(&seed) >> 20);
			c.seed = next_random(&seed);
			if (!agrees_on_random(&c, arena, why, room))
				return false;
		}
	return true;
}

/* Every bit pattern of a 16-bit type, every pair of patterns of an 8-bit type; count is 2^16 for both. */
static bool
agrees_on_patterns(struct comparison c, struct arena *arena, uint64_t seed, char *why, size_t room)
{
	const size_t size = tt_dtype_size(c.dtype);

	c.count = 65536;
	c.offset = 0;
	c.aliased = -1;
	for (int round = 0; round < 4; round++) {
		c.k = round == 0 ? 1 : 2;
		c.divisor = round == 3 ? 3 : 0;
		for (size_t i = 0; i < c.count; i++) {
			const uint64_t first = size == 2 ? i : i >> 8;
			const uint64_t second = size == 2 ? next_random(&seed) : i;
			memcpy(arena->source[0] + GUARD + i * size, &first, size);
			memcpy(arena->source[1] + GUARD + 13 + i * size, &second, size);
		}
		expect(&c, arena);
		if (!matches_expected(&c, arena, why, room))
			return false;
	}
	return true;
}

static bool
agrees_on_large(struct comparison c, struct arena *arena, size_t count, uint64_t seed, char *why, size_t room)
{
	static const int ks[] = {2, 3, 5};

	for (size_t i = 0; i < TT_COUNT_OF(ks); i++) {
		c.k = ks[i];
		c.count = count;
		c.offset = (unsigned)i;
		c.aliased = (int)i - 1;
		c.divisor = i == 2 ? 5 : 0;
		c.seed = next_random(&seed);
		if (!agrees_on_random(&c, arena, why, room))
			return false;
	}
	return true;
}

/* Another rounding direction, set by the program, must neither change a bit nor be lost. */
static bool
agrees_in_another_mode(struct comparison c, struct arena *arena, uint64_t seed, char *why, size_t room)
{
	uint64_t state = seed;

	c.k = 4;
	c.count = 150;
	c.offset = 0;
	c.aliased = -1;
	c.divisor = 0;
	for (int j = 0; j < c.k; j++)
		fill_values(
		    c.dtype, arena->source[j] + GUARD + (unsigned)j * 13 % GUARD, c.count, FILL_MODERATE, &state);
	expect(&c, arena);
	if (fesetround(FE_UPWARD) != 0)
		return true;
	const bool same = matches_expected(&c, arena, why, room);
	const bool kept = fegetround() == FE_UPWARD;
	(void)fesetround(FE_TONEAREST);
	return same && (kept || comparison_fails(&c, "changed the program's rounding mode", why, room));
}

/* Everything for one dtype and operator. `step` thins out the lengths where time is short. */
static bool
set_agrees(const struct tt_kernels *set, tutti_dtype dtype, tutti_op op, size_t step, struct arena *arena, char *why,
    size_t room)
{
	const struct comparison c = {.set = set, .dtype = dtype, .op = op};
	const uint64_t seed = (uint64_t)dtype * 1000 + (uint64_t)op;
	const size_t size = tt_dtype_size(dtype);

	return agrees_on_lengths(c, arena, 210 + 256 / size, step, seed, why, room) &&
	       (size > 2 || agrees_on_patterns(c, arena, seed + 1, why, room)) &&
	       agrees_on_large(c, arena, 20011 / step, seed + 2, why, room) &&
	       agrees_in_another_mode(c, arena, seed + 3, why, room);
}

#endif /* TT_TESTS_KERNELS_COMPARE_H */

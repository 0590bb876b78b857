/* SPDX-License-Identifier: Apache-2.0
 *
 * conclude.c - constants that follow from others: sizes from the host's caches, and from speeds that were measured.
 *
 * Only what nobody has measured is derived. It is done whenever a profile is made or read, so that one that was kept before
 * a constant existed is completed.
 */
#include <math.h>

#include "profile/calibrate.h"

/* Of what passes through shared memory all that is under way should stay in both cores' caches, beside what the program
 * has there: each of two ranks has three slots and writes to both of them. */
#define CHUNKS_OF_CACHE 16
#define LEAST_STAGE_CHUNK 32768.0 /* less, and the members wait for each other longer than they copy */
#define MOST_STAGE_CHUNK 1048576.0
/* A line that two cores have had in their nearest caches a moment ago is the slowest to write: so many times what these hold
 * are staged before, or, where that is much, a part of the next cache. */
#define APART_NEAREST 8
#define APART_OF_CACHE 4
#define BLOCKS_OF_NEAREST 4 /* two sources and a sum, and room for what passes by */
#define ROWS_OF_NEAREST 0.75 /* what is not much more goes through a slot without leaving the nearest caches */
#define NEAR 2 /* times: what another core has in its nearest cache, to what it has in its next one */
#define PER_PIECE \
	0.07 /* less, and what has come waits for the rest of its piece; more, and pieces cost more than they hide */
#define LEAST_CHUNK 16384.0
#define MOST_CHUNK 1048576.0

void
tt_calibrate_derive(struct tt_constants *constants, enum tt_constant constant, double value)
{
	if (constants->source[constant] <= TT_CONSTANT_DERIVED)
		tt_constants_set(constants, constant, value, TT_CONSTANT_DERIVED);
}

/* From where on one call and one copy by the kernel cost less than two copies through memory that is shared. */
static double
break_even(const struct tt_constants *constants)
{
	/* The kernel's copy was measured of memory that the core had in its cache; the others' is farther away. */
	const double saved = constants->value[TT_CONSTANT_COPY_SHARED] + constants->value[TT_CONSTANT_COPY_CACHED] -
			     constants->value[TT_CONSTANT_REMOTE_BYTE];
	const double call = (constants->value[TT_CONSTANT_REMOTE_CALL] + constants->value[TT_CONSTANT_MEET]) * 1000;
	const double from = saved > 0 ? call / saved : TT_CALIBRATE_NEVER;
	const double least = constants->value[TT_CONSTANT_NEAREST_CACHE] / ROWS_OF_NEAREST;

	return from < least ? least : from < TT_CALIBRATE_NEVER ? from : TT_CALIBRATE_NEVER;
}

/* Pieces of a message so large that posting one more takes PER_PIECE of its time: a power of two. A brief measurement would
 * say now this size, now twice as much. */
static void
derive_chunk(struct tt_constants *constants, enum tt_constant chunk, enum tt_constant post, enum tt_constant one_way)
{
	const double bytes = constants->value[post] * 1000 / constants->value[one_way] / PER_PIECE;
	double size = LEAST_CHUNK;

	if (constants->source[post] < TT_CONSTANT_TUNED || constants->source[one_way] < TT_CONSTANT_TUNED)
		return;
	while (size < MOST_CHUNK && bytes > size * M_SQRT2)
		size *= 2;
	tt_calibrate_derive(constants, chunk, size);
}

static double
power_of_two(double most, double least, double value)
{
	double size = least;

	while (2 * size <= value && 2 * size <= most)
		size *= 2;
	return size;
}

/* Of the node stage. */
static void
derive_stage(struct tt_constants *constants)
{
	const double nearest = constants->value[TT_CONSTANT_NEAREST_CACHE];
	const double cache = constants->value[TT_CONSTANT_CACHE];
	const bool has_nearest = constants->source[TT_CONSTANT_NEAREST_CACHE] != TT_CONSTANT_ASSUMED;
	const bool has_cache = constants->source[TT_CONSTANT_CACHE] != TT_CONSTANT_ASSUMED;

	if (has_cache)
		tt_calibrate_derive(constants, TT_CONSTANT_STAGE_CHUNK,
		    power_of_two(MOST_STAGE_CHUNK, LEAST_STAGE_CHUNK, cache / CHUNKS_OF_CACHE));
	if (has_nearest)
		tt_calibrate_derive(
		    constants, TT_CONSTANT_STAGE_BLOCK, power_of_two(nearest, 256, nearest / BLOCKS_OF_NEAREST));
	if (has_nearest || has_cache)
		tt_calibrate_derive(
		    constants, TT_CONSTANT_STAGE_APART, fmin(APART_NEAREST * nearest, cache / APART_OF_CACHE));
}

void
tt_calibrate_conclude(struct tt_constants *constants)
{
	derive_chunk(constants, TT_CONSTANT_CHUNK, TT_CONSTANT_SHM_POST, TT_CONSTANT_SHM_ONE_WAY);
	derive_chunk(constants, TT_CONSTANT_LOOP_CHUNK, TT_CONSTANT_LOOP_POST, TT_CONSTANT_LOOP_ONE_WAY);
	if (constants->source[TT_CONSTANT_REMOTE_BYTE] >= TT_CONSTANT_MEASURED)
		tt_calibrate_derive(constants, TT_CONSTANT_SINGLE_FROM, break_even(constants));
	if (constants->source[TT_CONSTANT_COPY_SHARED] >= TT_CONSTANT_MEASURED)
		tt_calibrate_derive(
		    constants, TT_CONSTANT_COPY_NEAR, NEAR * constants->value[TT_CONSTANT_COPY_SHARED]);
	derive_stage(constants);
}

void
tt_calibrate_caches(size_t nearest_bytes, size_t cache_bytes, struct tt_constants *constants)
{
	if (nearest_bytes > 0)
		tt_calibrate_derive(constants, TT_CONSTANT_NEAREST_CACHE, (double)nearest_bytes);
	if (cache_bytes > 0)
		tt_calibrate_derive(constants, TT_CONSTANT_CACHE, (double)cache_bytes);
	tt_calibrate_conclude(constants);
}

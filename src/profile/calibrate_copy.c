/* SPDX-License-Identifier: Apache-2.0
 *
 * calibrate_copy.c - how fast bytes are copied and added: in a core's cache, and in memory with two cores at once.
 *
 * What lies in memory is measured on buffers that together exceed the last cache, or what the budget allows: touching
 * fresh memory costs as much as a few copies of it.
 */
#include <stdlib.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/clock.h"
#include "base/remote.h"
#include "kernels/kernels.h"
#include "profile/calibrate.h"

#define CACHED_BYTES ((size_t)32 << 10) /* three of them fit a second-level cache, and mostly a first-level one */
#define CACHED_ROUNDS 32
#define CACHED_BATCHES 6
#define REMOTE_BYTES ((size_t)128 << 10)
#define REMOTE_LITTLE ((size_t)4 << 10)
#define REMOTE_ROUNDS 8
#define OF_ANOTHER 3 /* what the kernel takes longer to get at another process's memory than at the caller's own */
#define MOST_MEMORY ((size_t)12 << 20) /* of one buffer */
#define MEMORY_BATCHES 3
#define PS_PER_NS 1000.0

struct buffers {
	unsigned char *from[2], *to; /* of `bytes` each */
	size_t bytes;
	const struct tt_remote *remote; /* of this process; NULL = nobody reads it */
};

static void
copy_plain(const struct buffers *b)
{
	memcpy(b->to, b->from[0], b->bytes);
}

static void
copy_past_caches(const struct buffers *b)
{
#if defined(__SSE2__)
	__m128i *to = (__m128i *)(void *)b->to;
	const __m128i *from = (const __m128i *)(const void *)b->from[0];

	for (size_t i = 0; i < b->bytes / sizeof(*to); i += 4) {
		_mm_stream_si128(to + i, _mm_load_si128(from + i));
		_mm_stream_si128(to + i + 1, _mm_load_si128(from + i + 1));
		_mm_stream_si128(to + i + 2, _mm_load_si128(from + i + 2));
		_mm_stream_si128(to + i + 3, _mm_load_si128(from + i + 3));
	}
	_mm_sfence();
#else
	copy_plain(b);
#endif
}

static void
copy_remote(const struct buffers *b)
{
	(void)tt_remote_read(b->remote, b->to, (uint64_t)(uintptr_t)b->from[0], b->bytes);
}

static void
add_two(const struct buffers *b)
{
	const void *sources[2] = {b->from[0], b->from[1]};

	tt_kernels_best()->reduce[TUTTI_FLOAT32][TUTTI_SUM](
	    b->to, sources, 2, b->bytes / sizeof(float), TT_FINISH_NONE, 1);
}

static void
drop(struct buffers *b)
{
	free(b->from[0]);
	free(b->from[1]);
	free(b->to);
}

static bool
take(struct buffers *b, size_t bytes)
{
	void *memory[3] = {NULL, NULL, NULL};
	bool ok = true;

	for (int i = 0; i < 3; i++)
		ok = posix_memalign(&memory[i], TT_LINE, bytes) == 0 && ok;
	*b = (struct buffers){{memory[0], memory[1]}, memory[2], bytes, NULL};
	if (!ok) {
		drop(b);
		return false;
	}
	for (int i = 0; i < 3; i++)
		memset(memory[i], i, bytes);
	return true;
}

/* Least time of `rounds` runs, per byte moved or of each source. */
static double
best_of(const struct tt_calibration *c, void (*run)(const struct buffers *), const struct buffers *b, int batches,
    int rounds, double bytes)
{
	double best = 0;

	for (int batch = 0; batch < batches && (batch == 0 || !tt_calibrate_over(c)); batch++) {
		const int64_t start = tt_now_ns();
		double each;

		for (int i = 0; i < rounds; i++)
			run(b);
		each = PS_PER_NS * (double)(tt_now_ns() - start) / rounds / bytes;
		best = best <= 0 || each < best ? each : best;
	}
	return best;
}

static void
measure_cached(const struct tt_calibration *c)
{
	struct buffers b;
	const double bytes = (double)CACHED_BYTES;

	if (!take(&b, CACHED_BYTES))
		return;
	tt_constants_set(c->constants, TT_CONSTANT_COPY_CACHED,
	    best_of(c, copy_plain, &b, CACHED_BATCHES, CACHED_ROUNDS, bytes), TT_CONSTANT_MEASURED);
	tt_constants_set(c->constants, TT_CONSTANT_REDUCE_CACHED,
	    best_of(c, add_two, &b, CACHED_BATCHES, CACHED_ROUNDS, 2 * bytes), TT_CONSTANT_MEASURED);
	drop(&b);
}

/* Two cores at once; the slower one counts. */
struct pair {
	const struct tt_calibration *calibration;
	size_t bytes;
	double copy[2], stream[2], add[2];
};

static void
play(void *argument, int side)
{
	struct pair *pair = argument;
	struct buffers b;
	const double bytes = (double)pair->bytes;

	if (!take(&b, pair->bytes))
		return;
	if (!tt_calibrate_over(pair->calibration))
		pair->copy[side] = best_of(pair->calibration, copy_plain, &b, MEMORY_BATCHES, 1, bytes);
	if (!tt_calibrate_over(pair->calibration))
		pair->stream[side] = best_of(pair->calibration, copy_past_caches, &b, MEMORY_BATCHES, 1, bytes);
	if (!tt_calibrate_over(pair->calibration))
		pair->add[side] = best_of(pair->calibration, add_two, &b, MEMORY_BATCHES, 1, 2 * bytes);
	drop(&b);
}

static void
keep_slower(const struct tt_calibration *c, enum tt_constant constant, const double sides[2])
{
	if (sides[0] > 0 && sides[1] > 0)
		tt_constants_set(
		    c->constants, constant, sides[0] > sides[1] ? sides[0] : sides[1], TT_CONSTANT_MEASURED);
}

size_t
tt_calibrate_memory_bytes(const struct tt_calibration *c)
{
	const size_t bytes = c->l3_bytes / 2 / TT_LINE * TT_LINE;

	return bytes < MOST_MEMORY ? bytes : MOST_MEMORY;
}

static void
measure_memory(const struct tt_calibration *c)
{
	struct pair pair = {.calibration = c, .bytes = tt_calibrate_memory_bytes(c)};

	if (tt_calibrate_over(c) || !tt_calibrate_pair(c->cpu[TT_NEAR_SELF], c->cpu[TT_NEAR_CACHE], play, &pair))
		return;
	keep_slower(c, TT_CONSTANT_COPY_MEMORY, pair.copy);
	keep_slower(c, TT_CONSTANT_COPY_STREAM, pair.stream);
	keep_slower(c, TT_CONSTANT_REDUCE_MEMORY, pair.add);
}

/* The memory of this process, read as if it were another's: for that neither permission nor a second process is needed. */
static void
measure_remote(const struct tt_calibration *c)
{
	unsigned char kept[TT_REMOTE_PROOF];
	struct tt_remote card;
	struct buffers b;
	double little, much, each;

	if (!take(&b, REMOTE_BYTES))
		return;
	tt_remote_init(&card, kept);
	b.remote = &card;
	if (tt_remote_prove(&card) == 0) {
		much = best_of(c, copy_remote, &b, CACHED_BATCHES, REMOTE_ROUNDS, 1);
		b.bytes = REMOTE_LITTLE;
		little = best_of(c, copy_remote, &b, CACHED_BATCHES, REMOTE_ROUNDS, 1);
		each = (much - little) / (double)(REMOTE_BYTES - REMOTE_LITTLE);
		tt_constants_set(c->constants, TT_CONSTANT_REMOTE_BYTE, each, TT_CONSTANT_MEASURED);
		tt_constants_set(c->constants, TT_CONSTANT_REMOTE_CALL,
		    OF_ANOTHER * (little - each * (double)REMOTE_LITTLE) / PS_PER_NS, TT_CONSTANT_MEASURED);
	}
	drop(&b);
}

void
tt_calibrate_copies(const struct tt_calibration *c)
{
	measure_cached(c);
	measure_remote(c);
	measure_memory(c);
}

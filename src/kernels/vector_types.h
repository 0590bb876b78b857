/* SPDX-License-Identifier: Apache-2.0
 *
 * vector_types.h - vectors of VECTOR_BYTES bytes, the block that a kernel holds in registers, and how it is loaded.
 *
 * Included by the file of an instruction set after it has defined VECTOR_BYTES. Arithmetic is written with the
 * compiler's vector operators where they exist on every processor, and on unsigned lanes, which wrap.
 */
#ifndef TT_KERNELS_VECTOR_TYPES_H
#define TT_KERNELS_VECTOR_TYPES_H

#include <stdint.h>
#include <string.h>

#include "base/port.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the vector sets split lanes by shifting and count on little-endian order"
#endif

#define INLINE static inline __attribute__((always_inline))
#define TARGET /* what a kernel needs beyond the flags of its file */
#define VECTOR __attribute__((vector_size(VECTOR_BYTES)))

typedef uint8_t u8v VECTOR;
typedef int8_t s8v VECTOR;
typedef uint16_t u16v VECTOR;
typedef int16_t s16v VECTOR;
typedef uint32_t u32v VECTOR;
typedef int32_t s32v VECTOR;
typedef uint64_t u64v VECTOR;
typedef int64_t s64v VECTOR;
typedef float f32v VECTOR;
typedef double f64v VECTOR;

/* Four accumulators: enough to hide an addition's latency, and one per byte of an fp32 lane's smallest source. */
struct block {
	u8v a, b, c, d;
};

/* The finish, prepared once per call. Dividing by a power of two is multiplying by its exact reciprocal. */
struct finish {
	bool divide, multiply;
	uint32_t divisor;
	float single; /* the divisor, or its reciprocal if multiply */
	double wide;
};

INLINE u8v
vector_load(const uint8_t *from)
{
	u8v value;

	memcpy(&value, from, sizeof value);
	return value;
}

INLINE void
vector_store(uint8_t *to, u8v value)
{
	memcpy(to, &value, sizeof value);
}

INLINE struct block
block_load(const uint8_t *from)
{
	return (struct block){vector_load(from), vector_load(from + VECTOR_BYTES),
	    vector_load(from + 2 * VECTOR_BYTES), vector_load(from + 3 * VECTOR_BYTES)};
}

INLINE void
block_store(uint8_t *to, struct block x)
{
	vector_store(to, x.a);
	vector_store(to + VECTOR_BYTES, x.b);
	vector_store(to + 2 * VECTOR_BYTES, x.c);
	vector_store(to + 3 * VECTOR_BYTES, x.d);
}

/* Asks for `bytes` bytes of every source, from `at` on. A core waits for as many cache lines of another one's as it has
 * asked for; and loads ask late where the arithmetic on earlier ones fills the queue before them. */
INLINE void
sources_ask(const void *const *src, int k, size_t at, size_t bytes)
{
	for (int j = 0; j < k; j++)
		for (size_t line = 0; line < bytes; line += 64)
			__builtin_prefetch((const uint8_t *)src[j] + at + line);
}

/* mask ? x : y, where each lane of the mask is all ones or all zeros. */
INLINE u8v
vector_select(u8v mask, u8v x, u8v y)
{
	return (x & mask) | (y & ~mask);
}

/* ---- n bytes, fewer than a block --------------------------------------------------------------------------- *
 *
 * In registers and fixed sizes: the time of a short message is here, and a vector read back from where it was written
 * in pieces has to wait until all of them have reached the cache. */

/* The first n bytes, 0 above; n < 8 reads twice, overlapping. */
INLINE uint64_t
word_load(const uint8_t *from, size_t n)
{
	uint64_t word = 0;
	uint32_t low, high;
	uint16_t first, last;

	if (n >= 8) {
		__builtin_memcpy(&word, from, 8);
		return word;
	}
	if (n >= 4) {
		__builtin_memcpy(&low, from, 4);
		__builtin_memcpy(&high, from + n - 4, 4);
		return low | (uint64_t)high << 8 * (n - 4);
	}
	if (n >= 2) {
		__builtin_memcpy(&first, from, 2);
		__builtin_memcpy(&last, from + n - 2, 2);
		return first | (uint64_t)last << 8 * (n - 2);
	}
	return n != 0 ? from[0] : 0;
}

/* The word at byte `at` of n bytes. */
INLINE uint64_t
word_at(const uint8_t *from, size_t n, size_t at)
{
	return at < n ? word_load(from + at, n - at) : 0;
}

/* The whole vectors among n bytes, at most three; says how many bytes they are. No loop: compilers call memcpy for it. */
INLINE size_t
vectors_copy(uint8_t *to, const uint8_t *from, size_t n)
{
	if (n >= VECTOR_BYTES)
		vector_store(to, vector_load(from));
	if (n >= 2 * VECTOR_BYTES)
		vector_store(to + VECTOR_BYTES, vector_load(from + VECTOR_BYTES));
	if (n >= 3 * VECTOR_BYTES)
		vector_store(to + 2 * VECTOR_BYTES, vector_load(from + 2 * VECTOR_BYTES));
	return n - n % VECTOR_BYTES;
}

/* Writes whole vectors, zeros above n. */
INLINE void
words_load(uint8_t *to, const uint8_t *from, size_t n)
{
	const size_t done = vectors_copy(to, from, n);

	to += done;
	from += done;
	n -= done;
	if (n == 0)
		return;
#if VECTOR_BYTES == 16
	const u64v x = {word_at(from, n, 0), word_at(from, n, 8)};
	vector_store(to, (u8v)x);
#elif VECTOR_BYTES == 32
	const u64v x = {word_at(from, n, 0), word_at(from, n, 8), word_at(from, n, 16), word_at(from, n, 24)};
	vector_store(to, (u8v)x);
#endif
}

/* Copies `size` bytes if that bit of n is set, and says how many. */
INLINE size_t
piece_store(uint8_t *to, const uint8_t *from, size_t n, size_t size)
{
	if ((n & size) != 0)
		__builtin_memcpy(to, from, size);
	return n & size;
}

INLINE void
pieces_store(uint8_t *to, const uint8_t *from, size_t n)
{
	size_t done = vectors_copy(to, from, n);

	if (VECTOR_BYTES > 16)
		done += piece_store(to + done, from + done, n, 16);
	done += piece_store(to + done, from + done, n, 8);
	done += piece_store(to + done, from + done, n, 4);
	done += piece_store(to + done, from + done, n, 2);
	(void)piece_store(to + done, from + done, n, 1);
}

#endif /* TT_KERNELS_VECTOR_TYPES_H */

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

/* mask ? x : y, where each lane of the mask is all ones or all zeros. */
INLINE u8v
vector_select(u8v mask, u8v x, u8v y)
{
	return (x & mask) | (y & ~mask);
}

/* Copies `size` bytes if that bit of n is set, and says how many. */
INLINE size_t
piece_copy(uint8_t *to, const uint8_t *from, size_t n, size_t size)
{
	if ((n & size) != 0)
		__builtin_memcpy(to, from, size);
	return n & size;
}

/* n < 4 * VECTOR_BYTES. In fixed sizes: calls of memcpy would cost more than all the rest of a short message. */
INLINE void
pieces_copy(uint8_t *to, const uint8_t *from, size_t n)
{
	size_t done = 0;

	for (; n - done >= VECTOR_BYTES; done += VECTOR_BYTES)
		vector_store(to + done, vector_load(from + done));
	if (VECTOR_BYTES > 16)
		done += piece_copy(to + done, from + done, n, 16);
	done += piece_copy(to + done, from + done, n, 8);
	done += piece_copy(to + done, from + done, n, 4);
	done += piece_copy(to + done, from + done, n, 2);
	(void)piece_copy(to + done, from + done, n, 1);
}

#endif /* TT_KERNELS_VECTOR_TYPES_H */

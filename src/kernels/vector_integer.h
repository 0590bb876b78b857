/* SPDX-License-Identifier: Apache-2.0
 *
 * vector_integer.h - the integer types and BOOL as forms: how accumulators are combined and a block is written.
 *
 * min_<form> and max_<form> come from the instruction set. Sums and products work on unsigned lanes for signed types
 * too: the bits are the same, and they wrap.
 */
#ifndef TT_KERNELS_VECTOR_INTEGER_H
#define TT_KERNELS_VECTOR_INTEGER_H

#include "kernels/divide.h"
#include "kernels/vector_types.h"

INLINE u8v
vector_and(u8v x, u8v y)
{
	return x & y;
}

INLINE u8v
vector_or(u8v x, u8v y)
{
	return x | y;
}

INLINE u8v
vector_xor(u8v x, u8v y)
{
	return x ^ y;
}

#define INTEGER_FORM(form, lanes) \
	INLINE u8v form##_sum_combine(u8v x, u8v y) \
	{ \
		return (u8v)((lanes)x + (lanes)y); \
	} \
	INLINE u8v form##_prod_combine(u8v x, u8v y) \
	{ \
		return (u8v)((lanes)x * (lanes)y); \
	} \
	INLINE void form##_store(uint8_t *to, struct block x, const struct finish *finish) \
	{ \
		block_store(to, x); \
		if (TT_UNLIKELY(finish->divide)) \
			tt_divide_##form(to, sizeof x, finish->divisor); \
	}

INTEGER_FORM(int8, u8v)
INTEGER_FORM(uint8, u8v)
INTEGER_FORM(int16, u16v)
INTEGER_FORM(uint16, u16v)
INTEGER_FORM(int32, u32v)
INTEGER_FORM(uint32, u32v)
INTEGER_FORM(int64, u64v)
INTEGER_FORM(uint64, u64v)

/* ---- bool: "a byte is not 0" survives a bitwise or, "no byte is 0" a minimum; made 0 or 1 at the end --------- */

INLINE u8v
bool_normalize(u8v x)
{
	return min_uint8(x, (u8v){0} + 1);
}

INLINE struct block
bool_block(struct block x)
{
	return (struct block){bool_normalize(x.a), bool_normalize(x.b), bool_normalize(x.c), bool_normalize(x.d)};
}

INLINE struct block
bool_load(const uint8_t *from)
{
	return bool_block(block_load(from));
}

INLINE void
bool_store(uint8_t *to, struct block x, const struct finish *finish)
{
	(void)finish;
	block_store(to, bool_block(x));
}

#endif /* TT_KERNELS_VECTOR_INTEGER_H */

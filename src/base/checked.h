/* SPDX-License-Identifier: Apache-2.0
 *
 * checked.h - arithmetic on sizes that cannot wrap unseen.
 */
#ifndef TT_BASE_CHECKED_H
#define TT_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>

/* true if it fits; *out is written only then. */
static inline bool
tt_add_size(size_t a, size_t b, size_t *out)
{
	size_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return false;
	*out = sum;
	return true;
}

static inline bool
tt_mul_size(size_t a, size_t b, size_t *out)
{
	size_t product;

	if (__builtin_mul_overflow(a, b, &product))
		return false;
	*out = product;
	return true;
}

static inline size_t
tt_min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

static inline size_t
tt_max_size(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* n rounded up to a multiple of `to`, a power of two. */
static inline size_t
tt_round_up(size_t n, size_t to)
{
	return (n + to - 1) & ~(to - 1);
}

#endif /* TT_BASE_CHECKED_H */

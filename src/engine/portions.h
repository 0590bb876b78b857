/* SPDX-License-Identifier: Apache-2.0
 *
 * portions.h - a row that is not in one piece: the members of a fused operation, one after the other.
 *
 *	row        0 ........ 11 12 .... 19 20 ............ 35
 *	memory     [member 0]    [member 1]  [member 2]          each wherever its caller has it
 *
 * A place in such a row is an offset, and means two addresses: where it is read from and where the result goes.
 */
#ifndef TT_ENGINE_PORTIONS_H
#define TT_ENGINE_PORTIONS_H

#include <stddef.h>
#include <stdint.h>

struct tt_portion {
	const unsigned char *in;
	unsigned char *out; /* may be the same */
	size_t begin, bytes; /* in the row; bytes > 0, and the next one begins where this one ends */
};

/* The portion that holds `offset`, which lies in the row. */
static inline uint32_t
tt_portion_find(const struct tt_portion *portions, uint32_t n, size_t offset)
{
	uint32_t low = 0, high = n;

	while (high - low > 1) {
		const uint32_t middle = low + (high - low) / 2;

		if (portions[middle].begin <= offset)
			low = middle;
		else
			high = middle;
	}
	return low;
}

#endif /* TT_ENGINE_PORTIONS_H */

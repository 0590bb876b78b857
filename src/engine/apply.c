/* SPDX-License-Identifier: Apache-2.0
 *
 * apply.c - operators that are not built in.
 *
 * A program's operator sees aligned memory only, and its inout is always a block of ours: so a source may be
 * anywhere, the destination may be one of the sources, and nothing of it is written before the block is complete.
 * Sources are combined from the highest rank down, because `in` is what comes from the lower ranks.
 */
#include "engine/apply.h"

#include <assert.h>
#include <string.h>

#include "base/checked.h"

#define BLOCK_BYTES 8192 /* two of them stay in the nearest cache */

static void
combine(const struct tt_arithmetic *how, void *dst, const void *const *src, int k, size_t count)
{
	_Alignas(64) unsigned char inout[BLOCK_BYTES], in[BLOCK_BYTES];
	const size_t element = how->element, most = BLOCK_BYTES / element;

	for (size_t at = 0; at < count; at += most) {
		const size_t n = tt_min_size(most, count - at);

		memcpy(inout, (const unsigned char *)src[k - 1] + at * element, n * element);
		for (int j = k - 2; j >= 0; j--) {
			const void *from = (const unsigned char *)src[j] + at * element;

			if ((uintptr_t)from % element != 0) {
				memcpy(in, from, n * element);
				from = in;
			}
			how->applied->combine(from, inout, n, how->applied->context);
		}
		memcpy((unsigned char *)dst + at * element, inout, n * element);
	}
}

void
tt_applied_reduce(const struct tt_arithmetic *how, void *dst, const void *const *src, int k, size_t count, int done)
{
	const struct tt_applied *applied = how->applied;
	union tt_weight weights[TT_REDUCE_SOURCES];

	if (applied->combine != NULL) {
		combine(how, dst, src, k, count);
		return;
	}
	assert(k <= TT_REDUCE_SOURCES);
	weights[0] = done > 0 ? applied->one : applied->weights[0];
	for (int j = 1; j < k; j++)
		weights[j] = applied->weights[done > 0 ? done + j - 1 : j];
	applied->weighted(dst, src, weights, k, count);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * apply.h - how sources are combined: by a kernel, by an operator of the program's, or each with its own scalar.
 */
#ifndef TT_ENGINE_APPLY_H
#define TT_ENGINE_APPLY_H

#include "kernels/weighted.h"

/* An operator that is not built in: `combine`, or else a premultiplied sum. */
struct tt_applied {
	/* inout[i] = in[i] op inout[i], `in` from the lower ranks; element-aligned */
	void (*combine)(const void *in, void *inout, size_t count, void *context);
	void *context;
	tt_weighted_fn weighted;
	const union tt_weight *weights; /* of each rank */
	union tt_weight one;
};

struct tt_arithmetic {
	tt_reduce_fn reduce; /* NULL: `applied` */
	enum tt_finish finish;
	uint32_t divisor;
	size_t element;
	const struct tt_applied *applied; /* lent */
	bool heavy; /* takes longer than to fetch what it adds: to make a sum twice costs more than to hand it on */
};

/* dst = src[0] op ... op src[k-1], k ≤ TT_REDUCE_SOURCES. dst may be equal to any source, else they do not overlap.
 * With `done` > 0 src[0] is what `done` ranks have come to before, and src[1] is the next rank's: weights need to
 * know; with a premultiplied sum, source after source is rank after rank. */
void tt_applied_reduce(
    const struct tt_arithmetic *how, void *dst, const void *const *src, int k, size_t count, int done);

static inline void
tt_arithmetic_reduce(const struct tt_arithmetic *how, enum tt_finish finish, void *dst, const void *const *src, int k,
    size_t count, int done)
{
	if (TT_LIKELY(how->reduce != NULL))
		how->reduce(dst, src, k, count, finish, how->divisor);
	else
		tt_applied_reduce(how, dst, src, k, count, done);
}

#endif /* TT_ENGINE_APPLY_H */

/* SPDX-License-Identifier: Apache-2.0
 *
 * combine.h - copies and reductions over operands that may be in several pieces, and the fold that reduces a
 * message while it arrives.
 */
#ifndef TT_ENGINE_COMBINE_H
#define TT_ENGINE_COMBINE_H

#include <sys/uio.h>

#include "engine/apply.h"

struct tt_pieces {
	struct iovec *piece;
	uint32_t n;
};

/* Of equal length. They may be the same memory, else they do not overlap. */
void tt_combine_copy(struct tt_pieces dst, struct tt_pieces src);
/* dst = src[0] op src[1] op ..., all of `bytes` bytes. More than TT_REDUCE_SOURCES are taken in several passes. */
void tt_combine_reduce(
    const struct tt_arithmetic *how, struct tt_pieces dst, const struct tt_pieces *src, int nsrc, size_t bytes);

/* The context of a transfer's fold: dst = src op message, or message op src. */
struct tt_fold_context {
	struct tt_arithmetic how;
	struct tt_pieces dst, src;
	bool message_first;
};
void tt_combine_fold(void *context, size_t offset, const void *data, size_t bytes);

#endif /* TT_ENGINE_COMBINE_H */

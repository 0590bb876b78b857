/* SPDX-License-Identifier: Apache-2.0
 *
 * segment_layout.h - what segment.c (the file and its mapping) and segment_piece.c (what is taken of it) share.
 *
 *     | head: magic, size, lock | bitmap: one bit per 64 KiB unit | units dealt out as pieces ...
 *     0                         4 KiB                             multiple of a unit
 *
 * Where things are follows from the size alone, which is the sealed size of the file: what others wrote is never an
 * address or a limit.
 */
#ifndef TT_BASE_SEGMENT_LAYOUT_H
#define TT_BASE_SEGMENT_LAYOUT_H

#include <pthread.h>

#include "base/atomics.h"
#include "base/checked.h"
#include "base/segment.h"

#define TT_SEGMENT_PAGE ((size_t)4096)
#define TT_SEGMENT_UNIT ((size_t)65536)

struct tt_segment_head {
	uint64_t magic, size;
	pthread_mutex_t lock; /* robust, shared: for the bitmap */
	unsigned char id[TT_SEGMENT_ID];
};

_Static_assert(sizeof(struct tt_segment_head) <= TT_SEGMENT_PAGE, "the head has a page");

struct tt_segment {
	unsigned char *base;
	size_t size;
	int fd;
	tt_atomic_u32 holders;
};

static inline struct tt_segment_head *
tt_segment_head_of(const struct tt_segment *segment)
{
	return (struct tt_segment_head *)(void *)segment->base;
}

/* Bytes before the first unit that can be a piece. */
static inline size_t
tt_segment_reserved(size_t size)
{
	return tt_round_up(TT_SEGMENT_PAGE + size / TT_SEGMENT_UNIT / 8, TT_SEGMENT_UNIT);
}

/* Makes the pages of a range exist, or says why not and frees what it allocated by then. */
tutti_status tt_segment_fill(int fd, uint64_t offset, size_t bytes);

#endif /* TT_BASE_SEGMENT_LAYOUT_H */

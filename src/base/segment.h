/* SPDX-License-Identifier: Apache-2.0
 *
 * segment.h - memory that the ranks of a node share: one sparse, sealed memfd, dealt out in pieces.
 *
 * The creator makes a memfd as large as the machine's memory, without pages, seals its size, and hands the
 * descriptor to the others over a Unix socket. Pieces are taken from it (pages are allocated there and then, so
 * that a full memory limit is an error here and not a SIGBUS later) and given back (pages are freed). Every
 * rank maps the whole once, so a piece is an offset, on every rank. There is no name: nothing can leak.
 * Ranks that are threads of one process share one mapping (so that ThreadSanitizer sees them).
 */
#ifndef TT_BASE_SEGMENT_H
#define TT_BASE_SEGMENT_H

#include <stddef.h>
#include <tutti/tutti.h>

struct tt_segment; /* one mapping, counted; any thread */

/* Makes and maps a segment. */
tutti_status tt_segment_create(struct tt_segment **segment);
/* Maps what another process created; takes the descriptor over. Checks seals and size. */
tutti_status tt_segment_open(int fd, struct tt_segment **segment);
/* One more holder in this process. */
struct tt_segment *tt_segment_share(struct tt_segment *segment);
/* The last holder unmaps. NULL is ignored. */
void tt_segment_close(struct tt_segment *segment);
int tt_segment_fd(const struct tt_segment *segment);
/* TT_SEGMENT_ID random bytes that no other segment has. */
#define TT_SEGMENT_ID 16
void tt_segment_id(const struct tt_segment *segment, unsigned char *id);

/* A zeroed piece of at least `bytes`, 4 KiB aligned. Any rank. ERR_NOMEM says which limit it met. */
tutti_status tt_segment_take(struct tt_segment *segment, size_t bytes, uint64_t *offset);
/* Gives a piece back. */
void tt_segment_give(struct tt_segment *segment, uint64_t offset, size_t bytes);
/* Address in this process. */
void *tt_segment_at(const struct tt_segment *segment, uint64_t offset);
/* Is [p, p+n) part of the segment? Then *offset says where. */
int tt_segment_find(const struct tt_segment *segment, const void *p, size_t n, uint64_t *offset);

#endif /* TT_BASE_SEGMENT_H */

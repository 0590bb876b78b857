/* SPDX-License-Identifier: Apache-2.0
 *
 * handover.h - copies from core to core through memory that changes hands: who reads what another core has written, and
 * writes there next, takes the lines over at once.
 *
 * A line that two cores have read must be asked for again before one of them writes it, which costs as much as to fetch it.
 * Who takes it over when it reads it, writes it later in its own cache.
 */
#ifndef TT_KERNELS_HANDOVER_H
#define TT_KERNELS_HANDOVER_H

#include <stddef.h>

/* Copies n bytes, and meanwhile takes over `bytes` bytes from `wanted` on, none of which need be there yet afterwards. Either
 * may be nothing. */
void tt_handover_copy(void *dst, const void *src, size_t n, const void *wanted, size_t bytes);

#endif /* TT_KERNELS_HANDOVER_H */

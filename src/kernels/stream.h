/* SPDX-License-Identifier: Apache-2.0
 *
 * stream.h - copies past the caches: the destination is not read before it is written, and does not push anything
 * out. Worth it where the destination is larger than the caches and nobody reads it soon.
 */
#ifndef TT_KERNELS_STREAM_H
#define TT_KERNELS_STREAM_H

#include <stddef.h>

/* As memcpy. All of it is visible to whoever acquires what the caller releases next. */
void tt_stream_copy(void *dst, const void *src, size_t n);

#endif /* TT_KERNELS_STREAM_H */

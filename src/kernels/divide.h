/* SPDX-License-Identifier: Apache-2.0
 *
 * divide.h - integers in a buffer divided in place, toward zero: the finish of an integer AVG.
 *
 * Vector sets call it on the block they have just stored. No alignment is needed; divisor > 0.
 */
#ifndef TT_KERNELS_DIVIDE_H
#define TT_KERNELS_DIVIDE_H

#include <stddef.h>
#include <stdint.h>

void tt_divide_int8(void *values, size_t bytes, uint32_t divisor);
void tt_divide_uint8(void *values, size_t bytes, uint32_t divisor);
void tt_divide_int16(void *values, size_t bytes, uint32_t divisor);
void tt_divide_uint16(void *values, size_t bytes, uint32_t divisor);
void tt_divide_int32(void *values, size_t bytes, uint32_t divisor);
void tt_divide_uint32(void *values, size_t bytes, uint32_t divisor);
void tt_divide_int64(void *values, size_t bytes, uint32_t divisor);
void tt_divide_uint64(void *values, size_t bytes, uint32_t divisor);

#endif /* TT_KERNELS_DIVIDE_H */

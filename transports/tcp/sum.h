/* SPDX-License-Identifier: Apache-2.0
 *
 * sum.h - a checksum over the bytes of a message, in any pieces.
 *
 * For damage that the network's own checks let through. Every step is a bijection of the state, so that damage to
 * one word of 8 bytes is always found, and any other with all but 2^-64 of certainty. It is no protection against
 * malice.
 */
#ifndef TT_TCP_SUM_H
#define TT_TCP_SUM_H

#include <stddef.h>
#include <stdint.h>

#define TT_SUM_BYTES 8 /* behind the bytes that it is about */

struct tt_sum {
	uint64_t state[4]; /* words in turn, so that the multiplications overlap */
	unsigned char rest[32]; /* less than a turn */
	uint64_t bytes;
};

void tt_sum_init(struct tt_sum *sum);
void tt_sum_add(struct tt_sum *sum, const void *bytes, size_t n);
/* What travels. */
void tt_sum_end(const struct tt_sum *sum, unsigned char out[TT_SUM_BYTES]);

#endif /* TT_TCP_SUM_H */

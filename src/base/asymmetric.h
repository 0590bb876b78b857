/* SPDX-License-Identifier: Apache-2.0
 *
 * asymmetric.h - a fence of which one side pays everything and the other nothing.
 *
 * Two sides each write a word and then read the other's; at least one of them must see the other's. With a full fence on
 * both sides that is so, but then he who is in a hurry waits until his write has reached memory. Here the side that
 * has time runs tt_heavy_fence(): every processor that runs a thread of a process that has joined passes a
 * full fence before it returns. The other side only keeps the compiler from changing the order, tt_light_fence():
 * either its read comes after the heavy fence and sees the word, or its write was before and is seen.
 */
#ifndef TT_BASE_ASYMMETRIC_H
#define TT_BASE_ASYMMETRIC_H

#include <stdbool.h>

#include "base/atomics.h"

/* From now on this process is reached by the heavy fences of all processes. False: the kernel does not offer it, and
 * both sides need a full fence. */
bool tt_heavy_fence_join(void);
/* A full fence in any case. False: it was only this thread's. */
bool tt_heavy_fence(void);

#define tt_light_fence() atomic_signal_fence(memory_order_seq_cst)

#endif /* TT_BASE_ASYMMETRIC_H */

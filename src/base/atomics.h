/* SPDX-License-Identifier: Apache-2.0
 *
 * atomics.h - C11 atomics with named orders.
 *
 * Each acquire and each release in the tree says in a comment what it pairs with. `relaxed` is for counters that
 * order nothing. Types are plain _Atomic; the sizes below are asserted to be lock-free, because shared memory
 * cannot hold a lock of the C library.
 */
#ifndef TT_BASE_ATOMICS_H
#define TT_BASE_ATOMICS_H

#include <stdatomic.h>
#include <stdint.h>

typedef _Atomic uint32_t tt_atomic_u32;
typedef _Atomic uint64_t tt_atomic_u64;

_Static_assert(sizeof(tt_atomic_u32) == 4 && sizeof(tt_atomic_u64) == 8, "atomics must be plain words");
_Static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LLONG_LOCK_FREE == 2, "atomics must be lock-free");

#define tt_load_relaxed(p) atomic_load_explicit((p), memory_order_relaxed)
#define tt_load_acquire(p) atomic_load_explicit((p), memory_order_acquire)
#define tt_store_relaxed(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define tt_store_release(p, v) atomic_store_explicit((p), (v), memory_order_release)
#define tt_fetch_add_relaxed(p, v) atomic_fetch_add_explicit((p), (v), memory_order_relaxed)
#define tt_fetch_add_acq_rel(p, v) atomic_fetch_add_explicit((p), (v), memory_order_acq_rel)
#define tt_exchange_acq_rel(p, v) atomic_exchange_explicit((p), (v), memory_order_acq_rel)
/* true if *p was *expected and is now v; else *expected is what it was. */
#define tt_cas_acq_rel(p, expected, v) \
	atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_acq_rel, memory_order_acquire)
/* Orders an earlier store before a later load: the sleeper's "I sleep" before its last look, and the waker's
 * "it is there" before its look at the sleeper. */
#define tt_fence_seq_cst() atomic_thread_fence(memory_order_seq_cst)

#endif /* TT_BASE_ATOMICS_H */

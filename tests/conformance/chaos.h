/* SPDX-License-Identifier: Apache-2.0
 *
 * chaos.h - a transport around another that makes rare things frequent.
 *
 * Keeps every promise of the inner one, but at random (seeded) refuses posts, holds transfers back before it hands
 * them on, tells completions late, cuts parts and folds into smaller ones, makes no progress or much, and refuses to
 * sleep. What survives it does not depend on lucky timing.
 *
 * One inner transport and seed per process: call tt_chaos() before any rank starts.
 */
#ifndef TT_CONFORMANCE_CHAOS_H
#define TT_CONFORMANCE_CHAOS_H

#include <tutti/transport.h>

const tutti_transport *tt_chaos(const tutti_transport *inner, uint64_t seed);

#endif /* TT_CONFORMANCE_CHAOS_H */

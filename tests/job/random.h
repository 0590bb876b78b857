/* SPDX-License-Identifier: Apache-2.0
 *
 * random.h - the same choices on every rank and in every run: a mixing function and a generator for tests.
 */
#ifndef TT_TESTS_RANDOM_H
#define TT_TESTS_RANDOM_H

#include <stdint.h>

static inline uint64_t
mix64(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

struct random {
	uint64_t state;
};

static inline uint64_t
random_next(struct random *random)
{
	random->state += UINT64_C(0x9e3779b97f4a7c15);
	return mix64(random->state);
}

/* 0 ... n - 1 */
static inline uint64_t
random_below(struct random *random, uint64_t n)
{
	return random_next(random) % n;
}

#endif /* TT_TESTS_RANDOM_H */

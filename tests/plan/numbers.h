/* SPDX-License-Identifier: Apache-2.0
 *
 * numbers.h - runs plans on real numbers in a random interleaving: the checker's second opinion.
 */
#ifndef TESTS_PLAN_NUMBERS_H
#define TESTS_PLAN_NUMBERS_H

#include "plan/plan.h"

/* Runs the plans of all ranks `rounds` times in a row, each transfer at a random moment between its post and its
 * wait, and says whether every run ends with what the collective promises. The plans must have passed the checker's
 * tests of their spans. */
bool numbers_right(const struct tt_plan *const *plans, int nranks, size_t count, int rounds, uint64_t seed);

#endif /* TESTS_PLAN_NUMBERS_H */

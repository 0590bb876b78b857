/* SPDX-License-Identifier: Apache-2.0
 *
 * operators.h - the lists of scenarios of job_operators.
 */
#ifndef TT_TESTS_OPERATORS_H
#define TT_TESTS_OPERATORS_H

#include "scenario.h"

extern const struct scenario custom_scenarios[], premul_scenarios[], dispute_scenarios[];

/* All names that algorithms of reductions have; ends with NULL. */
extern const char *const operators_algorithms[];

#endif /* TT_TESTS_OPERATORS_H */

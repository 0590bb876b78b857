/* SPDX-License-Identifier: Apache-2.0
 *
 * env.h - an environment as the readers of launchers see it: the process's, or a test's table.
 *
 * A variable that is set to nothing counts as not set.
 */
#ifndef TT_BOOTSTRAP_ENV_H
#define TT_BOOTSTRAP_ENV_H

#include <tutti/tutti.h>

#include "base/port.h"

struct tt_env {
	const char *(*get)(void *context, const char *name);
	void *context;
};

/* NULL or `other` if it is not set. Lent by the environment. */
const char *tt_env_value(const struct tt_env *env, const char *name);
const char *tt_env_value_or(const struct tt_env *env, const char *name, const char *other);
bool tt_env_has(const struct tt_env *env, const char *name);
/* A variable that is set, as a number. ERR_ARGUMENT names it and the limits. */
tutti_status tt_env_number(const struct tt_env *env, const char *name, int64_t least, int64_t most, int *number);
/* Digits and nothing else, from 0 to `most`. */
bool tt_parse_number(const char *text, int64_t most, int64_t *number);

#endif /* TT_BOOTSTRAP_ENV_H */

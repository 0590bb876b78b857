/* SPDX-License-Identifier: Apache-2.0
 *
 * env.c - variables and the numbers in them, read strictly.
 */
#include "bootstrap/env.h"

#include "base/error.h"

const char *
tt_env_value(const struct tt_env *env, const char *name)
{
	const char *text = env->get(env->context, name);

	return text != NULL && *text != '\0' ? text : NULL;
}

const char *
tt_env_value_or(const struct tt_env *env, const char *name, const char *other)
{
	const char *text = tt_env_value(env, name);

	return text != NULL ? text : other;
}

bool
tt_env_has(const struct tt_env *env, const char *name)
{
	return tt_env_value(env, name) != NULL;
}

/* Digits and nothing else. */
bool
tt_parse_number(const char *text, int64_t most, int64_t *number)
{
	int64_t n = 0;

	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return false;
		n = n * 10 + (*text - '0');
		if (n > most)
			return false;
	}
	*number = n;
	return true;
}

tutti_status
tt_env_number(const struct tt_env *env, const char *name, int64_t least, int64_t most, int *number)
{
	const char *text = tt_env_value(env, name);
	int64_t n;

	if (!tt_parse_number(text, most, &n) || n < least)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "%s=\"%.40s\" should be a number from %lld to %lld", name,
		    text, (long long)least, (long long)most);
	*number = (int)n;
	return TUTTI_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * rules.c - a parser for lists of forced algorithms. Sizes are in bytes as in nccl-tests, K, M, G in powers of
 * 1024, a range holds lo ≤ bytes < hi; "collective=name" means every size.
 */
#include "select/rules.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/settings.h"
#include "select/select.h"

struct rule {
	int collective;
	uint64_t low, high;
	const struct tt_algorithm *algorithm;
};

static tutti_status
parse_bound(const char *text, size_t len, uint64_t initial, uint64_t *bound)
{
	char number[32];
	size_t bytes;

	if (len == 0) {
		*bound = initial;
		return TUTTI_OK;
	}
	if (len >= sizeof(number))
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "TUTTI_ALGORITHM: \"%.*s\" is not a size", (int)len, text);
	memcpy(number, text, len);
	number[len] = '\0';
	if (tt_parse_size(number, &bytes) != TUTTI_OK)
		return tt_fail(
		    TUTTI_ERR_ARGUMENT, -1, "TUTTI_ALGORITHM: \"%s\" is not a size such as 8, 64K or 1.5M", number);
	*bound = bytes;
	return TUTTI_OK;
}

static tutti_status
find_named(int collective, const char *name, size_t len, const struct tt_algorithm **algorithm)
{
	char known[256] = "", text[64];
	size_t used = 0;

	snprintf(text, sizeof(text), "%.*s", (int)(len < sizeof(text) ? len : sizeof(text) - 1), name);
	*algorithm = tt_algorithm_find((enum tt_collective)collective, text);
	if (*algorithm != NULL)
		return TUTTI_OK;
	for (size_t i = 0; tt_algorithms[i] != NULL && used < sizeof(known); i++)
		if ((int)tt_algorithms[i]->collective == collective)
			used += (size_t)snprintf(
			    known + used, sizeof(known) - used, "%s%s", used ? ", " : "", tt_algorithms[i]->name);
	return tt_fail(TUTTI_ERR_ARGUMENT, -1, "TUTTI_ALGORITHM: there is no algorithm \"%s\" for %s; there are: %s",
	    text, tt_collective_name((enum tt_collective)collective), known);
}

/* One rule, from *at to the next ',' or ';' or the end. `collective`: of the rules before it in its group, -1 at the
 * start of a group. */
static tutti_status
parse_rule(const char **at, int collective, struct rule *rule)
{
	const size_t len = strcspn(*at, ",;");
	const char *end = *at + len, *p = *at, *equals, *dash;

	*rule = (struct rule){.collective = collective, .low = 0, .high = UINT64_MAX};
	if (collective < 0) {
		const size_t name = strcspn(p, ":=,;");
		char text[32];

		snprintf(text, sizeof(text), "%.*s", (int)(name < 31 ? name : 31), p);
		rule->collective = tt_collective_parse(text);
		if (rule->collective < 0)
			return tt_fail(
			    TUTTI_ERR_ARGUMENT, -1, "TUTTI_ALGORITHM: there is no collective \"%s\"", text);
		p += name + (p[name] == ':');
	}
	equals = memchr(p, '=', (size_t)(end - p));
	if (equals == NULL)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "TUTTI_ALGORITHM: \"%.*s\" has no \"=NAME\"; write for example "
		    "\"all_reduce:0-8K=oneshot,8K-=ring\"",
		    (int)len, *at);
	dash = memchr(p, '-', (size_t)(equals - p));
	if (equals != p) {
		if (dash == NULL)
			return tt_fail(TUTTI_ERR_ARGUMENT, -1, "TUTTI_ALGORITHM: \"%.*s\" is not a range like 0-8K",
			    (int)(equals - p), p);
		TT_TRY(parse_bound(p, (size_t)(dash - p), 0, &rule->low));
		TT_TRY(parse_bound(dash + 1, (size_t)(equals - dash - 1), UINT64_MAX, &rule->high));
		if (rule->low >= rule->high)
			return tt_fail(TUTTI_ERR_ARGUMENT, -1,
			    "TUTTI_ALGORITHM: no size is in \"%.*s\": a range holds its lower end, not its upper one",
			    (int)(equals - p), p);
	}
	TT_TRY(find_named(rule->collective, equals + 1, (size_t)(end - equals - 1), &rule->algorithm));
	*at = end;
	return TUTTI_OK;
}

static bool
next_rule(const char **at, int *collective)
{
	if (**at == '\0')
		return false;
	if (**at == ';')
		*collective = -1;
	if (**at == ';' || **at == ',')
		++*at;
	return **at != '\0';
}

tutti_status
tt_select_rules_check(const char *rules)
{
	int collective = -1;

	for (const char *at = rules; next_rule(&at, &collective);) {
		struct rule rule;

		TT_TRY(parse_rule(&at, collective, &rule));
		collective = rule.collective;
	}
	return TUTTI_OK;
}

static bool
covers(const struct rule *rule, uint64_t bytes)
{
	if (bytes == TT_RULES_ANY_SIZE)
		return rule->low == 0 && rule->high == UINT64_MAX;
	return bytes >= rule->low && bytes < rule->high;
}

const struct tt_algorithm *
tt_rules_find(const char *rules, enum tt_collective wanted, uint64_t bytes)
{
	int collective = -1;

	for (const char *at = rules; next_rule(&at, &collective);) {
		struct rule rule;

		if (parse_rule(&at, collective, &rule) != TUTTI_OK)
			return NULL;
		collective = rule.collective;
		if (collective == (int)wanted && covers(&rule, bytes))
			return rule.algorithm;
	}
	return NULL;
}

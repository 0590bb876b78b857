/* SPDX-License-Identifier: Apache-2.0
 *
 * hostlist.c - Slurm's host lists and task counts, read in one pass.
 *
 *     list   = item { "," item }
 *     item   = { name | "[" ranges "]" }          at least one of them
 *     ranges = number [ "-" number ] { "," number [ "-" number ] }
 *
 * The first host is the first number of every bracket, with its leading zeros. Nothing is expanded: a list of a
 * million hosts costs as much as its text. Text from outside decides no size: the name goes into the caller's room.
 */
#include "bootstrap/hostlist.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "base/error.h"

#define NUMBER_DIGITS 9

struct reader {
	const char *text, *at;
	char *host; /* NULL: only count */
	size_t bytes, length;
};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_name(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '-' || c == '_';
}

static int64_t
at_most_int_max(int64_t n)
{
	return n < INT_MAX ? n : INT_MAX;
}

static tutti_status
stop(const struct reader *r, const char *why)
{
	return tt_fail(TUTTI_ERR_ARGUMENT, -1, "the host list \"%.80s%s\" cannot be read at character %zu: %s",
	    r->text, strlen(r->text) > 80 ? "..." : "", (size_t)(r->at - r->text) + 1, why);
}

static tutti_status
add_to_host(struct reader *r, const char *text, size_t n)
{
	if (r->host == NULL)
		return TUTTI_OK;
	if (n >= r->bytes - r->length)
		return stop(r, "the name of the first host is too long");
	memcpy(r->host + r->length, text, n);
	r->length += n;
	r->host[r->length] = '\0';
	return TUTTI_OK;
}

static tutti_status
read_number(struct reader *r, int64_t *value)
{
	const char *start = r->at;

	*value = 0;
	while (is_digit(*r->at) && r->at - start < NUMBER_DIGITS)
		*value = *value * 10 + (*r->at++ - '0');
	if (r->at == start)
		return stop(r, "a number should be here");
	if (is_digit(*r->at))
		return stop(r, "the number is too long");
	return TUTTI_OK;
}

/* "[1-3,7]" after its "[" ; *count is how many numbers it stands for. */
static tutti_status
read_ranges(struct reader *r, int64_t *count)
{
	bool first = true;

	*count = 0;
	do {
		const char *start = r->at;
		int64_t low, high;

		TT_TRY(read_number(r, &low));
		if (first)
			TT_TRY(add_to_host(r, start, (size_t)(r->at - start)));
		first = false;
		high = low;
		if (*r->at == '-') {
			r->at++;
			TT_TRY(read_number(r, &high));
		}
		if (high < low)
			return stop(r, "the range runs backwards");
		*count = at_most_int_max(*count + (high - low + 1));
	} while (*r->at++ == ',');
	r->at--;
	if (*r->at != ']')
		return stop(r, "a \"]\" should be here");
	r->at++;
	return TUTTI_OK;
}

static tutti_status
read_item(struct reader *r, int64_t *count)
{
	const char *item = r->at;

	*count = 1;
	for (;;) {
		const char *start = r->at;
		int64_t numbers;

		while (is_name(*r->at))
			r->at++;
		TT_TRY(add_to_host(r, start, (size_t)(r->at - start)));
		if (*r->at != '[')
			break;
		r->at++;
		TT_TRY(read_ranges(r, &numbers));
		*count = at_most_int_max(*count * numbers);
	}
	return r->at == item ? stop(r, "the name of a host should be here") : TUTTI_OK;
}

tutti_status
tt_hostlist_first(const char *list, char *host, size_t bytes, int *count)
{
	struct reader r = {list, list, host, bytes, 0};
	int64_t total = 0, hosts;

	if (bytes == 0)
		return stop(&r, "there is no room for a name");
	host[0] = '\0';
	do {
		TT_TRY(read_item(&r, &hosts));
		total = at_most_int_max(total + hosts);
		r.host = NULL;
	} while (*r.at++ == ',');
	r.at--;
	if (*r.at != '\0')
		return stop(&r, "this character does not belong into a host list");
	*count = (int)total;
	return TUTTI_OK;
}

int
tt_tasks_of_node(const char *text, int node)
{
	struct reader r = {text, text, NULL, 0, 0};
	int64_t nodes_before = 0, tasks, repeat;

	do {
		repeat = 1;
		if (!is_digit(*r.at) || read_number(&r, &tasks) != TUTTI_OK)
			return -1;
		if (r.at[0] == '(' && r.at[1] == 'x' && is_digit(r.at[2])) {
			r.at += 2;
			if (read_number(&r, &repeat) != TUTTI_OK || *r.at++ != ')')
				return -1;
		}
		nodes_before = at_most_int_max(nodes_before + repeat);
		if (node >= 0 && node < nodes_before)
			return (int)tasks;
	} while (*r.at++ == ',');
	return -1;
}

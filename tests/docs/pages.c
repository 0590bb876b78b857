/* SPDX-License-Identifier: Apache-2.0
 *
 * pages.c - the pages that list things are held against the tables they describe: algorithms, settings, statuses.
 * usage: docs_pages ROOT
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/algorithms.h"
#include "base/settings.h"

#define MOST_PAGE ((size_t)1 << 20)

static int failures;

static void
miss(const char *page, const char *what, const char *name)
{
	fprintf(stderr, "%s: %s %s\n", page, what, name);
	failures++;
}

/* The page's text, to be freed. */
static char *
read_page(const char *root, const char *page)
{
	char path[4096], *text = calloc(1, MOST_PAGE + 1);
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", root, page);
	file = fopen(path, "r");
	if (text == NULL || file == NULL || fread(text, 1, MOST_PAGE, file) == 0)
		miss(page, "cannot be read:", path);
	if (file != NULL)
		fclose(file);
	return text;
}

/* From "\n## NAME\n" to the next one or the end; NULL if there is none. */
static char *
section(const char *text, const char *name)
{
	char heading[64];
	const char *from, *to;

	snprintf(heading, sizeof(heading), "\n## %s\n", name);
	from = strstr(text, heading);
	if (from == NULL)
		return NULL;
	to = strstr(from + 1, "\n## ");
	return to != NULL ? strndup(from, (size_t)(to - from)) : strdup(from);
}

/* The row of a table that begins with the name; NULL if there is none. */
static char *
row(const char *text, const char *name)
{
	char begin[64];
	const char *from;

	snprintf(begin, sizeof(begin), "\n| `%s` |", name);
	from = strstr(text, begin);
	return from != NULL ? strndup(from + 1, strcspn(from + 1, "\n")) : NULL;
}

static void
check_algorithm(const char *page, const char *text, const struct tt_algorithm *algorithm)
{
	char *there = section(text, tt_collective_name(algorithm->collective));
	char *line = there != NULL ? row(there, algorithm->name) : NULL;
	char name[128];

	snprintf(name, sizeof(name), "%s by %s", tt_collective_name(algorithm->collective), algorithm->name);
	if (line == NULL)
		miss(page, "has no row for", name);
	else if (strstr(line, algorithm->source) == NULL)
		miss(page, "names another source for", name);
	else if (((algorithm->flags & TT_ALG_ONE_ROUNDING) != 0) != (strstr(line, "one rounding") != NULL))
		miss(page, "is wrong about one rounding of", name);
	else if (((algorithm->flags & TT_ALG_UNEVEN) != 0) != (strstr(line, "uneven") != NULL))
		miss(page, "is wrong about uneven counts of", name);
	free(line);
	free(there);
}

static void
check_algorithms(const char *root)
{
	static const char page[] = "docs/algorithms.md";
	char *text = read_page(root, page);
	size_t listed = 0, rows = 0;

	for (; tt_algorithms[listed] != NULL; listed++)
		check_algorithm(page, text, tt_algorithms[listed]);
	for (const char *at = text; (at = strstr(at, "\n| `")) != NULL; at++)
		rows++;
	if (rows != listed)
		miss(page, "has rows for algorithms that do not exist,", "or has them twice");
	free(text);
}

static void
check_settings(const char *root)
{
	static const char page[] = "docs/guide.md";
	char *text = read_page(root, page);
	const struct tt_setting_info *given;

	for (int i = 0; i < TT_SETTINGS; i++) {
		char *line = row(text, tt_setting_info((enum tt_setting)i)->variable);

		if (line == NULL)
			miss(page, "has no row for", tt_setting_info((enum tt_setting)i)->variable);
		free(line);
	}
	for (size_t i = 0; (given = tt_setting_given(i)) != NULL; i++)
		if (strstr(text, given->variable) == NULL)
			miss(page, "does not mention", given->variable);
	free(text);
}

static void
check_statuses(const char *root)
{
	static const char page[] = "docs/operations.md";
	char *text = read_page(root, page);

	for (int status = TUTTI_ERR_ARGUMENT; status <= TUTTI_ERR_INTERNAL; status++) {
		char *line = row(text, tutti_status_string((tutti_status)status));

		if (line == NULL)
			miss(page, "has no row for", tutti_status_string((tutti_status)status));
		free(line);
	}
	free(text);
}

int
main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: docs_pages ROOT\n");
		return 2;
	}
	check_algorithms(argv[1]);
	check_settings(argv[1]);
	check_statuses(argv[1]);
	return failures > 0;
}

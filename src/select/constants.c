/* SPDX-License-Identifier: Apache-2.0
 *
 * constants.c - the table of constants. Values are kept in their units, so that what people read is what is priced.
 */
#include "select/constants.h"

#include <stdio.h>
#include <string.h>

#define INFO(number, name, unit, value, meaning) {name, unit, meaning, value},
static const struct tt_constant_info infos[] = {TT_CONSTANT_LIST(INFO)};
#undef INFO

const struct tt_constant_info *
tt_constant_info(enum tt_constant constant)
{
	return &infos[constant];
}

int
tt_constant_find(const char *name)
{
	for (int i = 0; i < TT_CONSTANTS; i++)
		if (strcmp(infos[i].name, name) == 0)
			return i;
	return -1;
}

const char *
tt_constant_source_name(enum tt_constant_source source)
{
	static const char *const names[TT_CONSTANT_SOURCES] = {"assumed", "derived", "measured", "tuned"};

	return names[source];
}

bool
tt_constant_allows(enum tt_constant constant, double value)
{
	const bool is_size = strcmp(infos[constant].unit, "B") == 0;

	if (strcmp(infos[constant].unit, "chunks") == 0)
		return value >= 2 && value <= 64;
	/* A millisecond for a handoff or a megabyte per second is no machine but an accident; NaN compares false. */
	return is_size ? value >= 64 && value <= 1e12 : value >= 0.01 && value <= 1e8;
}

void
tt_constants_init(struct tt_constants *constants)
{
	*constants = (struct tt_constants){.value = {0}};
	for (int i = 0; i < TT_CONSTANTS; i++)
		constants->value[i] = infos[i].assumed;
}

void
tt_constants_set(
    struct tt_constants *constants, enum tt_constant constant, double value, enum tt_constant_source source)
{
	if (!tt_constant_allows(constant, value))
		return;
	constants->value[constant] = value;
	constants->source[constant] = (uint8_t)source;
}

void
tt_constants_worst(struct tt_constants *constants, const struct tt_constants *other)
{
	for (int i = 0; i < TT_CONSTANTS; i++) {
		/* Of sizes up to which something is good the smaller one, of one from which on it is the larger one. */
		const bool least =
		    strcmp(infos[i].unit, "B") == 0 && i != TT_CONSTANT_SINGLE_FROM && i != TT_CONSTANT_ROWS_FROM;

		if (least ? other->value[i] < constants->value[i] : other->value[i] > constants->value[i]) {
			constants->value[i] = other->value[i];
			constants->source[i] = other->source[i];
		}
	}
}

void
tt_constant_print(const struct tt_constants *constants, enum tt_constant constant, char *text, size_t capacity)
{
	const bool is_size = strcmp(infos[constant].unit, "B") == 0;

	snprintf(text, capacity, is_size && constants->value[constant] < 1e12 ? "%.0f" : "%.5g",
	    constants->value[constant]);
}

double
tt_constant_s(const struct tt_constants *constants, enum tt_constant constant)
{
	const double value = constants->value[constant];

	return strcmp(infos[constant].unit, "ps/B") == 0 ? value * 1e-12 : value * 1e-9;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * collective.c - facts about the collectives: their names, and how many rows their buffers have.
 */
#include <string.h>

#include "plan/plan.h"

enum rows { NO_ROWS, ONE_ROW, ROW_PER_RANK };

static const struct {
	const char *name;
	enum rows in, out;
	bool reduces, has_root;
} facts[TT_COLLECTIVES] = {
    [TT_ALL_REDUCE] = {"all_reduce", ONE_ROW, ONE_ROW, true, false},
    [TT_REDUCE_SCATTER] = {"reduce_scatter", ROW_PER_RANK, ONE_ROW, true, false},
    [TT_ALL_GATHER] = {"all_gather", ONE_ROW, ROW_PER_RANK, false, false},
    [TT_BROADCAST] = {"broadcast", ONE_ROW, ONE_ROW, false, true},
    [TT_REDUCE] = {"reduce", ONE_ROW, ONE_ROW, true, true},
    [TT_SCATTER] = {"scatter", ROW_PER_RANK, ONE_ROW, false, true},
    [TT_GATHER] = {"gather", ONE_ROW, ROW_PER_RANK, false, true},
    [TT_ALL_TO_ALL] = {"all_to_all", ROW_PER_RANK, ROW_PER_RANK, false, false},
    [TT_BARRIER] = {"barrier", NO_ROWS, NO_ROWS, false, false},
};

static int
count_rows(enum rows rows, int nranks)
{
	if (rows == ROW_PER_RANK)
		return nranks;
	return rows == ONE_ROW ? 1 : 0;
}

const char *
tt_collective_name(enum tt_collective collective)
{
	return (unsigned)collective < TT_COLLECTIVES ? facts[collective].name : "unknown";
}

int
tt_collective_parse(const char *name)
{
	for (int i = 0; i < TT_COLLECTIVES; i++)
		if (strcmp(facts[i].name, name) == 0)
			return i;
	return -1;
}

int
tt_collective_in_rows(enum tt_collective collective, int nranks)
{
	return count_rows(facts[collective].in, nranks);
}

int
tt_collective_out_rows(enum tt_collective collective, int nranks)
{
	return count_rows(facts[collective].out, nranks);
}

bool
tt_collective_reduces(enum tt_collective collective)
{
	return facts[collective].reduces;
}

bool
tt_collective_has_root(enum tt_collective collective)
{
	return facts[collective].has_root;
}

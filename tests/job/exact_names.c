/* SPDX-License-Identifier: Apache-2.0
 *
 * exact_names.c - what a case is called, so that one line of text repeats it (see exact.h).
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "exact.h"

const char *const exact_kind_names[EXACT_KINDS] = {"all_reduce", "reduce_scatter", "all_gather", "broadcast",
    "reduce", "scatter", "gather", "all_to_all", "barrier", "all_gatherv", "reduce_scatterv", "scatterv", "gatherv",
    "all_to_allv"};

const char *const exact_dtype_names[TUTTI_BOOL + 1] = {"int8", "uint8", "int16", "uint16", "int32", "uint32", "int64",
    "uint64", "float16", "bfloat16", "float32", "float64", "float8_e4m3", "float8_e5m2", "bool"};

static const char *const inputs_names[EXACT_WILD + 1] = {"exact", "rough", "wild"};

const char *const exact_op_names[EXACT_OPS] = {
    "sum", "prod", "min", "max", "avg", "band", "bor", "bxor", "premul", "custom", "ordered"};

bool
exact_reduces(enum exact_kind kind)
{
	return kind == EXACT_ALL_REDUCE || kind == EXACT_REDUCE_SCATTER || kind == EXACT_REDUCE ||
	       kind == EXACT_REDUCE_SCATTERV;
}

bool
exact_has_root(enum exact_kind kind)
{
	return kind == EXACT_BROADCAST || kind == EXACT_REDUCE || kind == EXACT_SCATTER || kind == EXACT_GATHER ||
	       kind == EXACT_SCATTERV || kind == EXACT_GATHERV;
}

bool
exact_is_uneven(enum exact_kind kind)
{
	return kind >= EXACT_ALL_GATHERV;
}

const char *
exact_collective(enum exact_kind kind)
{
	static const enum exact_kind even[] = {
	    EXACT_ALL_GATHER, EXACT_REDUCE_SCATTER, EXACT_SCATTER, EXACT_GATHER, EXACT_ALL_TO_ALL};

	return exact_kind_names[exact_is_uneven(kind) ? even[kind - EXACT_ALL_GATHERV] : kind];
}

bool
exact_is_float(tutti_dtype dtype)
{
	return dtype >= TUTTI_FLOAT16 && dtype <= TUTTI_FLOAT8_E5M2;
}

bool
exact_allows(tutti_op op, tutti_dtype dtype)
{
	if (op >= EXACT_PREMUL)
		return dtype != TUTTI_BOOL;
	if (dtype == TUTTI_BOOL)
		return op != TUTTI_AVG;
	return op < TUTTI_BAND || !exact_is_float(dtype);
}

void
exact_print(const struct exact_case *c, char *text, size_t bytes)
{
	snprintf(text, bytes, "%s %s %s %s %zu %d %d %" PRIu64 " %s", exact_kind_names[c->kind],
	    exact_dtype_names[c->dtype], exact_op_names[c->op], c->algorithm[0] != '\0' ? c->algorithm : "auto",
	    c->count, (int)c->place, c->root, c->seed, inputs_names[c->inputs]);
}

static int
find(const char *const *names, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

bool
exact_parse(const char *text, int size, struct exact_case *c)
{
	char kind[EXACT_NAME], dtype[EXACT_NAME], op[EXACT_NAME], algorithm[EXACT_NAME], inputs[EXACT_NAME];
	int k, d, o, v, place;

	*c = (struct exact_case){.size = size};
	if (sscanf(text, "%31s %31s %31s %31s %zu %d %d %" SCNu64 " %31s", kind, dtype, op, algorithm, &c->count,
		&place, &c->root, &c->seed, inputs) != 9)
		return false;
	k = find(exact_kind_names, EXACT_KINDS, kind);
	d = find(exact_dtype_names, TUTTI_BOOL + 1, dtype);
	o = find(exact_op_names, EXACT_OPS, op);
	v = find(inputs_names, EXACT_WILD + 1, inputs);
	if (v < 0 || (v != EXACT_EXACT && (k != EXACT_ALL_REDUCE || d < 0 || !exact_is_float((tutti_dtype)d))))
		return false;
	if (v != EXACT_EXACT && o >= EXACT_PREMUL)
		return false;
	if (k < 0 || d < 0 || o < 0 || place < EXACT_APART || place > EXACT_MIXED || c->root < 0 || c->root >= size)
		return false;
	c->kind = (enum exact_kind)k;
	c->dtype = (tutti_dtype)d;
	c->op = o;
	c->inputs = (enum exact_inputs)v;
	c->place = (enum exact_place)place;
	if (strcmp(algorithm, "auto") != 0)
		memcpy(c->algorithm, algorithm, sizeof(c->algorithm));
	return true;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * dtypes.c - names, sizes and kinds of the element types, and which operators go with which.
 *
 * The rule: an unknown value is answered (0, "?", false), never trusted.
 */
#include "kernels/kernels.h"

enum kind { KIND_INTEGER, KIND_FLOAT, KIND_BOOL };

struct dtype_row {
	const char *name;
	uint8_t bytes;
	uint8_t kind;
};

static const struct dtype_row dtypes[] = {
    [TUTTI_INT8] = {"int8", 1, KIND_INTEGER},
    [TUTTI_UINT8] = {"uint8", 1, KIND_INTEGER},
    [TUTTI_INT16] = {"int16", 2, KIND_INTEGER},
    [TUTTI_UINT16] = {"uint16", 2, KIND_INTEGER},
    [TUTTI_INT32] = {"int32", 4, KIND_INTEGER},
    [TUTTI_UINT32] = {"uint32", 4, KIND_INTEGER},
    [TUTTI_INT64] = {"int64", 8, KIND_INTEGER},
    [TUTTI_UINT64] = {"uint64", 8, KIND_INTEGER},
    [TUTTI_FLOAT16] = {"float16", 2, KIND_FLOAT},
    [TUTTI_BFLOAT16] = {"bfloat16", 2, KIND_FLOAT},
    [TUTTI_FLOAT32] = {"float32", 4, KIND_FLOAT},
    [TUTTI_FLOAT64] = {"float64", 8, KIND_FLOAT},
    [TUTTI_FLOAT8_E4M3] = {"float8_e4m3", 1, KIND_FLOAT},
    [TUTTI_FLOAT8_E5M2] = {"float8_e5m2", 1, KIND_FLOAT},
    [TUTTI_BOOL] = {"bool", 1, KIND_BOOL},
};

static const char *const op_names[] = {
    [TUTTI_SUM] = "sum",
    [TUTTI_PROD] = "prod",
    [TUTTI_MIN] = "min",
    [TUTTI_MAX] = "max",
    [TUTTI_AVG] = "avg",
    [TUTTI_BAND] = "band",
    [TUTTI_BOR] = "bor",
    [TUTTI_BXOR] = "bxor",
};

static const struct dtype_row *
row_of(tutti_dtype dtype)
{
	return (size_t)dtype < TT_COUNT_OF(dtypes) ? &dtypes[dtype] : NULL;
}

size_t
tt_dtype_size(tutti_dtype dtype)
{
	const struct dtype_row *row = row_of(dtype);

	return row != NULL ? row->bytes : 0;
}

const char *
tt_dtype_name(tutti_dtype dtype)
{
	const struct dtype_row *row = row_of(dtype);

	return row != NULL ? row->name : "?";
}

const char *
tt_op_name(tutti_op op)
{
	return (size_t)op < TT_COUNT_OF(op_names) ? op_names[op] : "custom";
}

bool
tt_dtype_is_float(tutti_dtype dtype)
{
	const struct dtype_row *row = row_of(dtype);

	return row != NULL && row->kind == KIND_FLOAT;
}

static const char *
refusal(tutti_op op, tutti_dtype dtype)
{
	const struct dtype_row *row = row_of(dtype);

	if (row == NULL)
		return "the data type is unknown";
	if ((size_t)op >= TT_COUNT_OF(op_names))
		return "the operator is not a built-in one";
	if (row->kind == KIND_FLOAT && op >= TUTTI_BAND)
		return "bitwise operators need an integer type or bool";
	if (row->kind == KIND_BOOL && op == TUTTI_AVG)
		return "the average of bool values is not defined";
	return NULL;
}

bool
tt_op_allows(tutti_op op, tutti_dtype dtype, const char **why)
{
	const char *reason = refusal(op, dtype);

	if (reason != NULL && why != NULL)
		*why = reason;
	return reason == NULL;
}

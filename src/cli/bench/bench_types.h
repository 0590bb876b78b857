/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_types.h - data types, operators and collectives as the benchmark names and counts them: nccl-tests' names,
 * size columns and bus bandwidth factors.
 */
#ifndef TT_CLI_BENCH_TYPES_H
#define TT_CLI_BENCH_TYPES_H

#include <tutti/tutti.h>

#include "base/port.h"

enum tt_bench_collective {
	TT_BENCH_ALL_REDUCE,
	TT_BENCH_REDUCE_SCATTER,
	TT_BENCH_ALL_GATHER,
	TT_BENCH_BROADCAST,
	TT_BENCH_REDUCE,
	TT_BENCH_SCATTER,
	TT_BENCH_GATHER,
	TT_BENCH_ALL_TO_ALL,
	TT_BENCH_BARRIER,
	TT_BENCH_COLLECTIVES
};

struct tt_bench_collective_info {
	const char *name;
	bool reduces, rooted;
	bool blocks; /* a buffer holds one block per rank, and `count` is of one block */
	/* Bus bandwidth = algorithm bandwidth times this: 2(n-1)/n, (n-1)/n or 1. */
	int passes; /* 2, 1, or 0 for the factor 1 */
};

enum tt_bench_kind { TT_BENCH_SIGNED, TT_BENCH_UNSIGNED, TT_BENCH_FLOAT, TT_BENCH_BOOLEAN };

struct tt_bench_dtype {
	const char *name; /* nccl-tests' */
	const char *alias; /* the other usual name, or the same */
	tutti_dtype dtype;
	enum tt_bench_kind kind;
	size_t bytes;
	int exponent_bits, mantissa_bits; /* of a float */
	long exact; /* whole numbers up to this are exact, and so are sums that stay below it */
};

struct tt_bench_op {
	const char *name;
	tutti_op op;
};

enum { TT_BENCH_DTYPES = 15, TT_BENCH_OPS = 8 };

extern const struct tt_bench_collective_info tt_bench_collectives[TT_BENCH_COLLECTIVES];
extern const struct tt_bench_dtype tt_bench_dtypes[TT_BENCH_DTYPES];
extern const struct tt_bench_op tt_bench_ops[TT_BENCH_OPS];

/* Index of a name, -1 if there is none. Collectives are found with or without _ and -. */
int tt_bench_find_collective(const char *name);
int tt_bench_find_dtype(const char *name);
int tt_bench_find_op(const char *name);

/* Is the operator defined for the type? */
bool tt_bench_op_fits(tutti_op op, const struct tt_bench_dtype *dtype);
/* The call's count for a size of about `bytes`, rounded down; 0 if the size is too small for one element each. */
size_t tt_bench_count(enum tt_bench_collective collective, size_t bytes, size_t element_bytes, int nranks);
/* The size column: the larger of a rank's whole send and receive buffer. */
size_t tt_bench_bytes(enum tt_bench_collective collective, size_t count, size_t element_bytes, int nranks);
double tt_bench_bus_factor(enum tt_bench_collective collective, int nranks);

/* Writes a whole number as one element. It must be exact in the type. */
void tt_bench_encode(const struct tt_bench_dtype *dtype, long value, void *element);

#endif /* TT_CLI_BENCH_TYPES_H */

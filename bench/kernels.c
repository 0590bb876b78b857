/* SPDX-License-Identifier: Apache-2.0
 *
 * kernels.c - how fast each set reduces, as a ratio to memcpy in the same run.
 *
 * kernels [-k SOURCES] [-s SET] [-d DTYPE] [-o OP]
 *
 * A reduction of k sources touches k + 1 buffers, a copy 2. `ratio` compares bytes touched per second: 1.00 is a
 * reduction at copy speed. The rates shown are bytes of the destination. Both are the best of several turns, and a
 * copy is timed next to every reduction, so that a change of the machine's pace meets both.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "kernels/kernels.h"

enum { TURNS = 5, TURN_NS = 2000000 };

static const size_t sizes[] = {16u << 10, 256u << 10, 16u << 20};

struct choice {
	int k;
	const char *set, *dtype, *op; /* NULL = all */
};

struct buffers {
	unsigned char *dst, *src[TT_REDUCE_SOURCES];
	int k;
};

struct work {
	const struct buffers *buffers;
	tt_reduce_fn reduce; /* NULL = a copy */
	size_t bytes, count;
	enum tt_finish finish;
};

static bool
buffers_init(struct buffers *buffers, int k, size_t bytes)
{
	memset(buffers, 0, sizeof *buffers);
	buffers->k = k;
	for (int j = -1; j < k; j++) {
		unsigned char *memory = aligned_alloc(4096, bytes);
		if (memory == NULL)
			return false;
		/* Small ordinary numbers in every type: 0x3c3c... is about 0.01 to 1, never a NaN or subnormal. */
		memset(memory, 0x3c, bytes);
		*(j < 0 ? &buffers->dst : &buffers->src[j]) = memory;
	}
	return true;
}

static void
buffers_fini(struct buffers *buffers)
{
	free(buffers->dst);
	for (int j = 0; j < buffers->k; j++)
		free(buffers->src[j]);
}

static void
work_once(const struct work *work)
{
	const struct buffers *b = work->buffers;

	if (work->reduce == NULL)
		memcpy(b->dst, b->src[0], work->bytes);
	else
		work->reduce(b->dst, (const void *const *)b->src, b->k, work->count, work->finish, 3);
	/* The result counts as used. */
	__asm__ __volatile__("" ::"r"(b->dst) : "memory");
}

/* Nanoseconds of one pass, over a turn. */
static double
work_time(const struct work *work)
{
	const int64_t start = tt_now_ns();
	int64_t now = start;
	int64_t passes = 0;

	do {
		for (int i = 0; i < 4; i++)
			work_once(work);
		passes += 4;
		now = tt_now_ns();
	} while (now - start < TURN_NS);
	return (double)(now - start) / (double)passes;
}

static void
measure(const struct buffers *buffers, const struct tt_kernels *set, tutti_dtype dtype, tutti_op op)
{
	printf("%-9s %-11s %-4s", set->name, tt_dtype_name(dtype), tt_op_name(op));
	for (size_t s = 0; s < TT_COUNT_OF(sizes); s++) {
		const struct work copy = {.buffers = buffers, .bytes = sizes[s]};
		const struct work work = {.buffers = buffers,
		    .reduce = set->reduce[dtype][op],
		    .bytes = sizes[s],
		    .count = sizes[s] / tt_dtype_size(dtype),
		    .finish = op == TUTTI_AVG ? TT_FINISH_DIVIDE : TT_FINISH_NONE};
		double copy_ns = 1e18, work_ns = 1e18;

		for (int turn = 0; turn < TURNS; turn++) {
			const double c = work_time(&copy), w = work_time(&work);
			copy_ns = c < copy_ns ? c : copy_ns;
			work_ns = w < work_ns ? w : work_ns;
		}
		printf("  %8.2f %6.2f", (double)sizes[s] / work_ns,
		    (double)(buffers->k + 1) / work_ns / (2.0 / copy_ns));
	}
	printf("\n");
	(void)fflush(stdout);
}

static void
measure_set(const struct buffers *buffers, const struct choice *choice, const struct tt_kernels *set)
{
	for (int dtype = 0; dtype <= TUTTI_BOOL; dtype++) {
		if (choice->dtype != NULL && strcmp(choice->dtype, tt_dtype_name((tutti_dtype)dtype)) != 0)
			continue;
		for (int op = 0; op <= TUTTI_BXOR; op++) {
			if (choice->op != NULL && strcmp(choice->op, tt_op_name(op)) != 0)
				continue;
			if (set->reduce[dtype][op] != NULL)
				measure(buffers, set, (tutti_dtype)dtype, op);
		}
	}
}

static bool
choice_parse(struct choice *choice, int argc, char **argv)
{
	for (int option; (option = getopt(argc, argv, "k:s:d:o:")) != -1;)
		switch (option) {
		case 'k':
			choice->k = atoi(optarg);
			break;
		case 's':
			choice->set = optarg;
			break;
		case 'd':
			choice->dtype = optarg;
			break;
		case 'o':
			choice->op = optarg;
			break;
		default:
			return false;
		}
	return optind == argc && choice->k >= 1 && choice->k <= TT_REDUCE_SOURCES;
}

int
main(int argc, char **argv)
{
	static const char *const names[] = {"reference", "avx2", "avx512", "avx512fp16", "neon"};
	struct choice choice = {.k = 2};
	struct buffers buffers;

	if (!choice_parse(&choice, argc, argv)) {
		(void)fprintf(stderr, "usage: kernels [-k 1..%d] [-s SET] [-d DTYPE] [-o OP]\n", TT_REDUCE_SOURCES);
		return 2;
	}
	if (!buffers_init(&buffers, choice.k, sizes[TT_COUNT_OF(sizes) - 1])) {
		(void)fprintf(stderr, "kernels: no memory for %d buffers\n", choice.k + 1);
		buffers_fini(&buffers);
		return 1;
	}
	printf("%d sources; GB/s of the destination, and bytes touched per second relative to memcpy\n", choice.k);
	printf("%-9s %-11s %-4s  %15s  %15s  %15s\n", "set", "dtype", "op", "16 KiB", "256 KiB", "16 MiB");
	for (size_t i = 0; i < TT_COUNT_OF(names); i++) {
		const struct tt_kernels *set = tt_kernels_named(names[i]);
		if (set != NULL && (choice.set == NULL || strcmp(choice.set, names[i]) == 0))
			measure_set(&buffers, &choice, set);
	}
	buffers_fini(&buffers);
	return 0;
}

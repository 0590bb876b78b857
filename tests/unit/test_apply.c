/* SPDX-License-Identifier: Apache-2.0
 *
 * test_apply.c - operators that are not built in, over more sources than one pass takes.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/combine.h"

#define MOST 2100
#define COUNT 1100

/* x -> a x + b modulo 2^32, a and b in one word: composition is associative and does not commute. */
static void
compose(const void *in, void *inout, size_t count, void *context)
{
	const uint64_t *first = in;
	uint64_t *second = inout;

	cr_assert_eq((uintptr_t)in % 8, 0);
	cr_assert_eq((uintptr_t)inout % 8, 0);
	++*(int *)context;
	for (size_t i = 0; i < count; i++) {
		const uint32_t a = (uint32_t)first[i], b = (uint32_t)(first[i] >> 32);
		const uint32_t c = (uint32_t)second[i], d = (uint32_t)(second[i] >> 32);

		second[i] = (uint64_t)(c * a) | (uint64_t)(c * b + d) << 32;
	}
}

struct field {
	unsigned char *memory;
	struct iovec piece[MOST];
	struct tt_pieces src[MOST];
};

static uint64_t
value(int source, size_t i)
{
	return ((uint64_t)source * 77 + i * 3 + 1) | (uint64_t)(source + 1) * (i + 5) << 32;
}

static void
field_init(struct field *f, int n, size_t shift)
{
	f->memory = malloc((size_t)n * COUNT * 8 + 8);
	for (int j = 0; j < n; j++) {
		unsigned char *at = f->memory + shift + (size_t)j * COUNT * 8;

		f->piece[j] = (struct iovec){at, COUNT * 8};
		f->src[j] = (struct tt_pieces){&f->piece[j], 1};
		for (size_t i = 0; i < COUNT; i++) {
			const uint64_t v = value(j, i);

			memcpy(at + i * 8, &v, 8);
		}
	}
}

static void
check_order(int n, size_t shift, int in_place)
{
	struct field f;
	int calls = 0;
	const struct tt_applied applied = {.combine = compose, .context = &calls};
	const struct tt_arithmetic how = {.element = 8, .applied = &applied};
	unsigned char *out = malloc(COUNT * 8 + 8);
	struct iovec piece = {out + shift, COUNT * 8};

	field_init(&f, n, shift);
	if (in_place >= 0)
		piece.iov_base = f.piece[in_place].iov_base;
	tt_combine_reduce(&how, (struct tt_pieces){&piece, 1}, f.src, n, COUNT * 8);
	for (size_t i = 0; i < COUNT; i++) {
		uint64_t want = value(n - 1, i), got;

		for (int j = n - 2; j >= 0; j--) {
			const uint64_t in = value(j, i);

			compose(&in, &want, 1, &calls);
		}
		memcpy(&got, (unsigned char *)piece.iov_base + i * 8, 8);
		cr_assert(eq(u64, got, want), "%d sources: element %zu", n, i);
	}
	cr_expect(gt(int, calls, 0));
	free(out);
	free(f.memory);
}

Test(apply, sources_are_combined_in_order_however_many)
{
	static const int counts[] = {1, 2, 3, 1024, 1025, 2048, 2049, MOST};

	for (size_t c = 0; c < TT_COUNT_OF(counts); c++)
		check_order(counts[c], 0, -1);
}

/* A rank beyond the first pass that reduces in place. */
Test(apply, the_result_may_be_any_source)
{
	check_order(MOST, 0, 0);
	check_order(MOST, 0, 1023);
	check_order(MOST, 0, 1500);
	check_order(MOST, 1, MOST - 1);
}

Test(apply, operators_get_aligned_memory_only)
{
	check_order(5, 3, -1);
	check_order(1030, 1, -1);
}

Test(apply, every_source_has_its_own_weight_however_many)
{
	union tt_weight weights[MOST];
	const struct tt_applied applied = {
	    .weighted = tt_weighted_sum(TUTTI_INT64), .weights = weights, .one = tt_weight_one(TUTTI_INT64)};
	const struct tt_arithmetic how = {.element = 8, .applied = &applied};

	for (int j = 0; j < MOST; j++)
		weights[j].integer = (uint64_t)j * 5 + 3;
	for (int n = 1; n <= MOST; n = n * 2 + 1) {
		uint64_t out[COUNT];
		struct iovec piece = {out, sizeof(out)};
		struct field f;

		field_init(&f, n, 0);
		tt_combine_reduce(&how, (struct tt_pieces){&piece, 1}, f.src, n, COUNT * 8);
		for (size_t i = 0; i < COUNT; i++) {
			uint64_t want = 0;

			for (int j = 0; j < n; j++)
				want += value(j, i) * weights[j].integer;
			cr_assert(eq(u64, out[i], want), "%d sources: element %zu", n, i);
		}
		free(f.memory);
	}
}

/* As many as the largest node has ranks. */
Test(apply, sums_of_small_floats_round_once)
{
	static const tutti_dtype dtypes[] = {TUTTI_FLOAT16, TUTTI_BFLOAT16, TUTTI_FLOAT8_E4M3, TUTTI_FLOAT8_E5M2};
	enum { RANKS = 1000, ELEMENTS = 64 };
	static unsigned char memory[RANKS][2 * ELEMENTS];
	static struct iovec piece[RANKS];
	static struct tt_pieces src[RANKS];

	for (size_t d = 0; d < TT_COUNT_OF(dtypes); d++) {
		const size_t element = tt_dtype_size(dtypes[d]);

		for (int j = 0; j < RANKS; j++) {
			for (size_t i = 0; i < ELEMENTS * element; i++) /* small exponents, all mantissas */
				memory[j][i] = (unsigned char)(((unsigned)j * 131 + (unsigned)i * 29) % 256) & 0x3b;
			piece[j] = (struct iovec){memory[j], ELEMENTS * element};
			src[j] = (struct tt_pieces){&piece[j], 1};
		}
		for (int n = 60; n <= RANKS; n += 47) {
			const struct tt_arithmetic how = {.reduce = tt_kernels_best()->reduce[dtypes[d]][TUTTI_SUM],
			    .finish = TT_FINISH_DIVIDE,
			    .divisor = 7,
			    .element = element};
			unsigned char got[ELEMENTS * 2];
			struct iovec to = {got, ELEMENTS * element};

			tt_combine_reduce(&how, (struct tt_pieces){&to, 1}, src, n, ELEMENTS * element);
			for (size_t i = 0; i < ELEMENTS; i++) {
				float sum = 0;
				uint16_t half, want;
				uint8_t byte;

				for (int j = 0; j < n; j++) {
					memcpy(&half, memory[j] + i * element, element);
					byte = memory[j][i];
					sum += dtypes[d] == TUTTI_FLOAT16       ? tt_half_to_float(half)
					       : dtypes[d] == TUTTI_BFLOAT16    ? tt_bfloat16_to_float(half)
					       : dtypes[d] == TUTTI_FLOAT8_E4M3 ? tt_e4m3_to_float(byte)
										: tt_e5m2_to_float(byte);
				}
				sum /= 7;
				want = dtypes[d] == TUTTI_FLOAT16       ? tt_float_to_half(sum)
				       : dtypes[d] == TUTTI_BFLOAT16    ? tt_float_to_bfloat16(sum)
				       : dtypes[d] == TUTTI_FLOAT8_E4M3 ? tt_float_to_e4m3(sum)
									: tt_float_to_e5m2(sum);
				half = 0;
				memcpy(&half, got + i * element, element);
				cr_assert(eq(u16, half, want), "%s, %d sources: element %zu",
				    tt_dtype_name(dtypes[d]), n, i);
			}
		}
	}
}

Test(apply, a_message_is_combined_on_its_side)
{
	int calls = 0;
	const struct tt_applied applied = {.combine = compose, .context = &calls};
	uint64_t message[3], own[3], out[3], want;

	for (int first = 0; first < 2; first++) {
		struct iovec from = {own, sizeof(own)}, to = {out, sizeof(out)};
		struct tt_fold_context fold = {.how = {.element = 8, .applied = &applied},
		    .dst = {&to, 1},
		    .src = {&from, 1},
		    .message_first = first != 0};

		for (size_t i = 0; i < 3; i++) {
			message[i] = value(1, i);
			own[i] = value(2, i);
		}
		tt_combine_fold(&fold, 0, message, sizeof(message));
		for (size_t i = 0; i < 3; i++) {
			want = first ? own[i] : message[i];
			compose(first ? &message[i] : &own[i], &want, 1, &calls);
			cr_assert(eq(u64, out[i], want));
		}
	}
}

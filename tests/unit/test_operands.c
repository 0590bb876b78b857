/* SPDX-License-Identifier: Apache-2.0
 *
 * test_operands.c - the short way to an operand's memory finds what the long way finds.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

#include "engine/operands.h"

#define TIMED .timeout = 20

static unsigned char memory[1 << 16];

/* Where the long way finds the span; its pieces are adjacent and come as one. */
static struct iovec
long_way(const struct tt_operands *o, const struct tt_scratch *scratch, const struct tt_span *span, int slice)
{
	struct iovec pieces[8] = {{NULL, 0}};
	size_t bytes;
	const uint32_t n = tt_operand_pieces(o, scratch, span, slice, pieces, &bytes);

	cr_assert(n <= 1, "%u pieces", n);
	cr_assert(n == 0 ? bytes == 0 : bytes == pieces[0].iov_len);
	return n == 1 ? pieces[0] : (struct iovec){NULL, 0};
}

Test(operands, one_piece_is_where_all_pieces_are, TIMED)
{
	struct tt_lookup lookup;

	srand(1);
	for (int round = 0; round < 20000; round++) {
		const int rows = 1 + rand() % 4, of = 1 + rand() % 7, part = rand() % of, slices = 1 + rand() % 4;
		const bool in_slot = rand() % 3 == 0;
		const struct tt_operands o = {.in = {memory, rows, (size_t)(rand() % 50), NULL, NULL},
		    .out = {memory + 8192, 1, (size_t)(rand() % 50), NULL, NULL},
		    .element = 4,
		    .slices = slices};
		const struct tt_scratch scratch = {memory + 16384, 512, &o.in};
		const int row = rand() % rows, parts = rand() % (of - part + 1), slice = rand() % slices;
		const struct tt_span span = in_slot      ? tt_span_slot(row, row, part, parts, of)
					    : rand() % 2 ? tt_span_part(TT_IN, row, part, parts, of)
							 : tt_span_part(TT_OUT, 0, part, parts, of);
		struct iovec expected;
		unsigned char *at;
		size_t elements;

		tt_lookup_init(&lookup, &o, &scratch);
		tt_lookup_slice(&lookup, slice);
		expected = long_way(&o, &scratch, &span, slice);
		for (int again = 0; again < 2; again++) { /* the second time without a division */
			cr_assert(tt_lookup_piece(&lookup, &span, &at, &elements));
			cr_assert(eq(sz, elements * o.element, expected.iov_len));
			cr_assert(eq(ptr, at, expected.iov_base));
		}
	}
}

Test(operands, what_may_be_several_pieces_takes_the_long_way, TIMED)
{
	const size_t counts[2] = {3, 5}, offsets[2] = {0, 3};
	const struct tt_operands even = {
	    .in = {memory, 2, 8, NULL, NULL}, .out = {memory, 2, 8, NULL, NULL}, .element = 4, .slices = 1};
	struct tt_operands uneven = even;
	const struct tt_scratch scratch = {memory, 512, &even.in};
	const struct tt_span rows = tt_span_rows(TT_IN, 0, 2), round = tt_span_part(TT_IN, 0, 2, 2, 3),
			     token = tt_span_token(), row = tt_span_part(TT_IN, 1, 0, 1, 1);
	struct tt_lookup lookup;
	unsigned char *at;
	size_t elements;

	uneven.in.counts = counts;
	uneven.in.offsets = offsets;
	tt_lookup_init(&lookup, &even, &scratch);
	cr_assert(not(tt_lookup_piece(&lookup, &rows, &at, &elements)));
	cr_assert(not(tt_lookup_piece(&lookup, &round, &at, &elements)));
	cr_assert(not(tt_lookup_piece(&lookup, &token, &at, &elements)));
	cr_assert(tt_lookup_piece(&lookup, &row, &at, &elements));
	cr_assert(eq(ptr, at, memory + 32));
	cr_assert(eq(sz, elements, 8));
	tt_lookup_init(&lookup, &uneven, &scratch);
	cr_assert(not(tt_lookup_piece(&lookup, &row, &at, &elements)));
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * test_memory.c - heap memory and the arithmetic on sizes.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/memory.h"

Test(memory, is_zeroed_and_aligned_even_if_it_was_used_before)
{
	for (size_t bytes = 1; bytes < 2000; bytes += 37) {
		unsigned char *block;
		void *memory;

		cr_assert(eq(int, tt_alloc(bytes, 1, "a test", &memory), TUTTI_OK));
		block = memory;
		cr_assert(eq(sz, (size_t)((uintptr_t)block % TT_LINE), 0));
		for (size_t i = 0; i < bytes; i++)
			cr_assert(eq(int, block[i], 0));
		memset(block, 0xff, bytes);
		tt_free(block);
	}
}

Test(memory, nothing_is_a_block_too)
{
	void *memory = NULL;

	cr_assert(eq(int, tt_alloc(0, 8, "a test", &memory), TUTTI_OK));
	cr_assert(memory != NULL);
	tt_free(memory);
	tt_free(NULL);
}

Test(memory, a_product_that_wraps_is_no_memory_and_says_for_what)
{
	void *memory = &memory;

	cr_assert(eq(int, tt_alloc(SIZE_MAX / 4, 8, "the flux table", &memory), TUTTI_ERR_NOMEM));
	cr_assert(strstr(tt_last_error()->message, "the flux table") != NULL);
	cr_assert(eq(int, tt_alloc(1, SIZE_MAX - 3, "the flux table", &memory), TUTTI_ERR_NOMEM));
	cr_assert(memory == &memory, "an output is written only on success");
}

Test(memory, a_text_is_copied_and_no_text_stays_none)
{
	char text[] = "abc", *copy = text;

	cr_assert(eq(int, tt_strdup(text, &copy), TUTTI_OK));
	text[0] = 'x';
	cr_assert(strcmp(copy, "abc") == 0);
	tt_free(copy);
	cr_assert(eq(int, tt_strdup(NULL, &copy), TUTTI_OK));
	cr_assert(copy == NULL);
}

Test(memory, sizes_never_wrap_unseen)
{
	size_t out = 7;

	cr_assert(not(tt_add_size(SIZE_MAX, 1, &out)));
	cr_assert(not(tt_mul_size(SIZE_MAX / 2 + 1, 2, &out)));
	cr_assert(eq(sz, out, 7));
	cr_assert(tt_add_size(SIZE_MAX - 1, 1, &out) && out == SIZE_MAX);
	cr_assert(tt_mul_size(SIZE_MAX / 2, 2, &out) && out == SIZE_MAX - 1);
	cr_assert(eq(sz, tt_round_up(1, 128), 128));
	cr_assert(eq(sz, tt_round_up(128, 128), 128));
	cr_assert(eq(sz, tt_round_up(0, 128), 0));
}

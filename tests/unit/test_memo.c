/* SPDX-License-Identifier: Apache-2.0
 *
 * test_memo.c - the memo of choices: what it holds, and whom a new entry drives out.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "comm/memo.h"

static struct tt_memo memo;

static struct tt_memo_key
key_of(uint64_t count)
{
	return (struct tt_memo_key){.count = count, .root = -1, .collective = 1, .dtype = 8};
}

/* As issue.c does it. True: it was there. */
static bool
call(uint64_t count)
{
	static char any;
	const struct tt_memo_key key = key_of(count);

	if (tt_memo_find(&memo, &key) != NULL)
		return true;
	*tt_memo_place(&memo, &key) =
	    (struct tt_memo_entry){.key = key, .plan = (const struct tt_plan *)(const void *)&any};
	tt_memo_take(&memo, &key);
	return false;
}

Test(memo, remembers_a_call_and_no_other)
{
	const struct tt_memo_key key = key_of(7);

	cr_assert(not(call(7)));
	cr_assert(call(7));
	for (int field = 0; field < 6; field++) {
		struct tt_memo_key other = key;

		other.count += field == 0;
		other.root += field == 1;
		other.collective += field == 2;
		other.dtype += field == 3;
		other.op += field == 4;
		other.in_place += field == 5;
		cr_assert(eq(ptr, tt_memo_find(&memo, &other), NULL), "field %d", field);
	}
}

/* Whatever was called before, as many calls by turns as a set has entries are found from the third turn on: in the second one, those that
 * were there already may have been the oldest. */
Test(memo, calls_by_turns_do_not_drive_each_other_out)
{
	uint64_t counts[TT_MEMO_WAYS];

	for (uint64_t first = 1; first < 200; first++) {
		const struct tt_memo_key key = key_of(first);
		int n = 0;

		for (uint64_t count = first; n < TT_MEMO_WAYS; count++) {
			const struct tt_memo_key other = key_of(count);

			if (tt_memo_set(&other) == tt_memo_set(&key))
				counts[n++] = count;
		}
		for (int turn = 0; turn < 5; turn++)
			for (int i = 0; i < TT_MEMO_WAYS; i++) {
				const bool held = call(counts[i]);

				cr_assert(turn < 2 || held, "turn %d, count %d", turn, (int)counts[i]);
			}
		for (uint64_t count = 1; count < 3 * first; count++)
			(void)call(1000 * count);
	}
}

Test(memo, a_program_of_few_calls_finds_them_all)
{
	int missing = 0;

	for (int turn = 0; turn < 2; turn++)
		for (uint64_t count = 0; count < TT_MEMO_ENTRIES / 4; count++)
			missing += !call(1 + count * 4096) && turn > 0;
	cr_assert(eq(int, missing, 0));
}

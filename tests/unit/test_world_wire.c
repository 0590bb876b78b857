/* SPDX-License-Identifier: Apache-2.0
 *
 * test_world_wire.c - frames of the control plane: what was written is read, and whatever is read stays in bounds.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdlib.h>
#include <string.h>

#include "bootstrap/world_wire.h"

TestSuite(world_wire, .timeout = 30);

static uint64_t state = 1;

static unsigned
draw(unsigned below)
{
	state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(state >> 33) % below;
}

Test(world_wire, a_card_is_read_as_it_was_written)
{
	struct tt_card card = {.rank = 3, .size = 7, .home = 2, .flags = TT_CARD_SHARES, .left_ms = 4711}, read;
	unsigned char bytes[TT_CARD_BYTES];

	memset(card.process, 0x5a, sizeof(card.process));
	card.address = (struct tt_address){.family = 6, .port = 65535, .ip = {1, 2, 3, 4, 5}};
	tt_card_write(&card, bytes);
	cr_assert(tt_card_read(bytes, sizeof(bytes), &read));
	cr_assert(eq(int, memcmp(&card, &read, sizeof(card)), 0));
}

Test(world_wire, a_card_outside_of_its_own_size_is_refused)
{
	const struct tt_card bad[] = {{.rank = 7, .size = 7}, {.rank = -1, .size = 7}, {.rank = 0, .size = 0},
	    {.rank = 0, .size = -3}, {.rank = 1, .size = 7, .home = 7}, {.rank = 1, .size = 7, .home = -1},
	    {.rank = 1, .size = 7, .address.family = 5}};
	unsigned char bytes[TT_CARD_BYTES];
	struct tt_card read;

	for (size_t i = 0; i < TT_COUNT_OF(bad); i++) {
		tt_card_write(&bad[i], bytes);
		cr_assert(eq(int, tt_card_read(bytes, sizeof(bytes), &read), 0), "%zu", i);
	}
}

Test(world_wire, a_table_is_read_run_by_run_and_nothing_else)
{
	static int32_t homes[2500], read[2500];
	unsigned char bytes[TT_FRAME_MOST];
	int done = 0;

	for (int i = 0; i < 2500; i++)
		homes[i] = i / 3 * 3;
	while (done < 2500) {
		const int n = 2500 - done < TT_TABLE_RUN ? 2500 - done : TT_TABLE_RUN;
		const size_t length = tt_table_write(done, n, homes, bytes);

		/* Out of turn, cut short, beyond the end, or of a smaller world. */
		cr_assert(eq(int, tt_table_read(bytes, length, done + 1, 2500, read), -1));
		cr_assert(eq(int, tt_table_read(bytes, length - 1, done, 2500, read), -1));
		cr_assert(eq(int, tt_table_read(bytes, length, done, done + n - 1, read), -1));
		cr_assert(eq(int, tt_table_read(bytes, length, done, 2500, read), n));
		done += n;
	}
	cr_assert(eq(int, memcmp(homes, read, sizeof(homes)), 0));
}

Test(world_wire, a_failure_keeps_its_words_and_ranks)
{
	unsigned char bytes[TT_FRAME_MOST];
	tutti_error error = TUTTI_ERROR_INIT, read;
	size_t n;

	error.status = TUTTI_ERR_TIMEOUT;
	error.nranks = 40;
	for (int i = 0; i < 16; i++)
		error.ranks[i] = 100 + i;
	error.rank = 100;
	memset(error.message, 'm', sizeof(error.message) - 1);
	n = tt_failure_write(&error, bytes);
	cr_assert(tt_failure_read(bytes, n, &read));
	cr_assert(eq(int, read.status, TUTTI_ERR_TIMEOUT));
	cr_assert(eq(int, read.rank, 100));
	cr_assert(eq(int, read.nranks, 40));
	cr_assert(eq(int, read.ranks[15], 115));
	cr_assert(eq(str, (char *)read.message, (char *)error.message));
	/* Success is no failure. */
	error.status = TUTTI_OK;
	n = tt_failure_write(&error, bytes);
	cr_assert(eq(int, tt_failure_read(bytes, n, &read), 0));
}

/* Every reader on random bytes of every length, in memory of exactly that length, for the sanitizers to watch. */
Test(world_wire, no_bytes_lead_a_reader_astray)
{
	for (int round = 0; round < 100000; round++) {
		const size_t n = draw(4) == 0 ? draw(TT_FRAME_MOST + 1) : draw(80);
		unsigned char *bytes = malloc(n);
		int32_t homes[64];
		struct tt_card card;
		struct tt_offer offer;
		struct tt_part part;
		struct tt_address address;
		tutti_error error;
		int a, b;

		/* Small numbers are the likely ones to pass the first checks. */
		for (size_t i = 0; i < n; i++)
			bytes[i] = (unsigned char)(draw(3) == 0 ? draw(256) : i % 4 == 0 ? draw(16) : 0);
		if (tt_card_read(bytes, n, &card))
			cr_assert(card.rank >= 0 && card.rank < card.size && card.home >= 0 && card.home < card.size);
		a = tt_table_read(bytes, n, 3, 64, homes);
		cr_assert(a >= -1 && a <= 61);
		for (int i = 0; i < a; i++)
			cr_assert(homes[3 + i] >= 0 && homes[3 + i] < 64);
		if (tt_route_read(bytes, n, 5, &a, &b))
			cr_assert(a >= -1 && a < 5 && b >= 0 && b < 5);
		if (tt_failure_read(bytes, n, &error))
			cr_assert(error.status > TUTTI_IN_PROGRESS && error.nranks >= 0 &&
				  strnlen(error.message, sizeof(error.message)) < sizeof(error.message));
		if (tt_redirect_read(bytes, n, &a, &address))
			cr_assert(address.family == 4 || address.family == 6);
		tt_offer_read(bytes, n, &offer);
		tt_part_read(bytes, n, &part);
		free(bytes);
	}
}

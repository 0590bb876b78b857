/* SPDX-License-Identifier: Apache-2.0
 *
 * test_shm_lane.c - rings in shared memory: their places, and what they do with memory that lies.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "shm/lane.h"

#define RING 4096

static struct tt_shm_ring *ring;
static struct tt_shm_lane out, in;
static unsigned char mark[TUTTI_MARK_BYTES] = "a mark";

static void
set_up(void)
{
	ring = aligned_alloc(TT_LINE, sizeof(*ring) + RING);
	memset(ring, 0, sizeof(*ring) + RING);
	tt_shm_lane_init(&out, NULL, 0, true, ring, RING);
	tt_shm_lane_init(&in, NULL, 0, false, ring, RING);
}

static void
tear_down(void)
{
	free(ring);
}

TestSuite(shm_lane, .init = set_up, .fini = tear_down, .timeout = 20);

static tutti_transfer
transfer_of(struct iovec *part, void *bytes, size_t n)
{
	*part = (struct iovec){bytes, n};
	return (tutti_transfer){.parts = part, .nparts = 1, .bytes = n, .mark = mark, .grain = 1};
}

static tutti_status
put(const void *bytes, size_t n)
{
	static struct iovec part;
	static tutti_transfer transfer;

	transfer = transfer_of(&part, (void *)(uintptr_t)bytes, n);
	return tt_shm_lane_put(&out, &transfer);
}

static tutti_status
get(void *bytes, size_t n)
{
	static struct iovec part;
	static tutti_transfer transfer;

	transfer = transfer_of(&part, bytes, n);
	return tt_shm_lane_get(&in, &transfer);
}

Test(shm_lane, rings_stay_within_the_staging_bound)
{
	static const int ranks[] = {1, 2, 3, 16, 64, 256};

	for (size_t i = 0; i < TT_COUNT_OF(ranks); i++) {
		for (uint32_t lanes = 1; lanes <= 64; lanes *= 4) {
			const tutti_environment env = {.nlocal = ranks[i], .lanes = lanes};
			const size_t rings = (size_t)(ranks[i] - 1) * lanes;
			struct tt_shm_layout layout;

			cr_assert(tt_shm_layout_init(&layout, &env));
			cr_assert(eq(sz, layout.ring_bytes & (layout.ring_bytes - 1), 0));
			cr_assert(layout.ring_bytes >= TT_SHM_RING_MIN && layout.ring_bytes <= TT_SHM_RING_MAX);
			cr_assert(
			    layout.ring_bytes == TT_SHM_RING_MIN || rings * layout.ring_bytes <= TT_SHM_STAGING);
		}
	}
}

Test(shm_lane, rings_stay_within_what_the_environment_allows)
{
	static const size_t allowed[] = {1, 32 << 10, 1 << 20, 64 << 20};

	for (size_t i = 0; i < TT_COUNT_OF(allowed); i++) {
		const tutti_environment env = {.nlocal = 4, .lanes = 8, .staging_bytes = allowed[i]};
		struct tt_shm_layout layout;

		cr_assert(tt_shm_layout_init(&layout, &env));
		cr_expect(layout.ring_bytes <= TT_SHM_RING_MAX);
		cr_expect(layout.ring_bytes == TT_SHM_RING_MIN || 24 * layout.ring_bytes <= allowed[i]);
		cr_expect(layout.ring_bytes == TT_SHM_RING_MAX || 48 * layout.ring_bytes > allowed[i]);
	}
}

Test(shm_lane, places_are_apart_and_within_the_memory)
{
	const tutti_environment env = {.nlocal = 3, .lanes = 2};
	struct tt_shm_layout layout;
	char *end, *base = (char *)(uintptr_t)TT_LINE;

	cr_assert(tt_shm_layout_init(&layout, &env));
	end = (char *)tt_shm_rank_at(&layout, base, 2) + sizeof(struct tt_shm_rank);
	for (size_t sender = 0; sender < 3; sender++) {
		for (size_t receiver = 0; receiver < 3; receiver++) {
			for (size_t lane = 0; lane < 2; lane++) {
				char *at = (char *)tt_shm_ring_at(&layout, base, sender, receiver, lane);

				cr_assert(eq(ptr, at, end));
				end = at + sizeof(struct tt_shm_ring) + tt_shm_ring_bytes(&layout, sender, receiver);
			}
		}
	}
	cr_assert(eq(sz, (size_t)(end - base), layout.bytes));
}

Test(shm_lane, sizes_that_no_memory_has_are_refused)
{
	struct tt_shm_layout layout;
	const tutti_environment huge = {.nlocal = INT32_MAX, .lanes = UINT32_MAX};
	const tutti_environment none = {.nlocal = 0, .lanes = 1};

	cr_assert(not(tt_shm_layout_init(&layout, &huge)));
	cr_assert(not(tt_shm_layout_init(&layout, &none)));
}

Test(shm_lane, every_size_passes_through_a_small_ring_for_many_rounds)
{
	unsigned char sent[3 * RING], got[3 * RING];

	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (unsigned char)(i * 7 + i / 251);
	for (size_t n = 0; n <= sizeof(sent); n = n < 300 ? n + 1 : n + 61) {
		struct iovec parts[2];
		tutti_transfer send = transfer_of(&parts[0], sent, n), recv = transfer_of(&parts[1], got, n);
		tutti_status put_status = TUTTI_IN_PROGRESS, get_status = TUTTI_IN_PROGRESS;

		memset(got, 0, sizeof(got));
		for (int turn = 0; turn < 100 && get_status != TUTTI_OK; turn++) {
			if (put_status != TUTTI_OK)
				put_status = tt_shm_lane_put(&out, &send);
			get_status = tt_shm_lane_get(&in, &recv);
		}
		cr_assert(eq(int, put_status, TUTTI_OK));
		cr_assert(eq(int, get_status, TUTTI_OK));
		cr_assert(eq(int, memcmp(sent, got, n), 0));
	}
}

/* The payload is made of the very stamps that the next rounds will wait for at these places. */
Test(shm_lane, a_payload_is_never_taken_for_a_message)
{
	unsigned char sent[15 * TT_SHM_LINE], got[sizeof(sent)];

	for (int i = 0; i < 1000; i++) {
		const size_t lines = 1 + (size_t)i % 14;

		for (size_t line = 0; line < lines; line++) {
			const uint64_t stamp = (out.position + (line + 1) * TT_SHM_LINE + RING) | 1;

			memcpy(sent + line * TT_SHM_LINE, &stamp, sizeof(stamp));
		}
		cr_assert(eq(int, put(sent, lines * TT_SHM_LINE), TUTTI_OK));
		cr_assert(eq(int, get(got, lines * TT_SHM_LINE), TUTTI_OK));
		cr_assert(eq(int, get(got, 8), TUTTI_IN_PROGRESS));
	}
}

Test(shm_lane, a_full_ring_takes_nothing_and_loses_nothing)
{
	unsigned char bytes[100] = {0}, got[100];
	int taken = 0;

	while (put(bytes, sizeof(bytes)) == TUTTI_OK) {
		bytes[0]++;
		taken++;
		cr_assert(taken * 100 < RING);
	}
	for (int i = 0; i < taken; i++) {
		cr_assert(eq(int, get(got, sizeof(got)), TUTTI_OK));
		cr_assert(eq(u8, got[0], (unsigned char)i));
	}
	cr_assert(eq(int, get(got, sizeof(got)), TUTTI_IN_PROGRESS));
	cr_assert(eq(int, put(bytes, sizeof(bytes)), TUTTI_OK));
}

Test(shm_lane, an_impossible_head_is_an_error)
{
	unsigned char bytes[900] = {0};

	tt_store_relaxed(&ring->head, UINT64_C(1) << 40);
	while (put(bytes, sizeof(bytes)) == TUTTI_OK)
		cr_assert(out.position <= RING);
	cr_assert(eq(int, put(bytes, sizeof(bytes)), TUTTI_ERR_INTERNAL));
}

Test(shm_lane, an_impossible_stamp_is_an_error)
{
	unsigned char byte = 0;

	cr_assert(eq(int, put(&byte, 1), TUTTI_OK));
	tt_store_relaxed((tt_atomic_u64 *)(void *)ring->data, 129);
	cr_assert(eq(int, get(&byte, 1), TUTTI_ERR_INTERNAL));
}

Test(shm_lane, an_impossible_tail_is_an_error)
{
	static const uint64_t tails[] = {UINT64_C(1) << 40, 2 * RING, 65};
	unsigned char bytes[2 * RING] = {0};

	for (size_t i = 0; i < TT_COUNT_OF(tails); i++) {
		tear_down();
		set_up();
		cr_assert(eq(int, put(bytes, sizeof(bytes)), TUTTI_IN_PROGRESS));
		tt_store_relaxed(&ring->tail, tails[i]);
		cr_assert(eq(int, get(bytes, sizeof(bytes)), TUTTI_ERR_INTERNAL));
	}
}

Test(shm_lane, a_length_that_lies_is_a_mismatch_and_never_a_length)
{
	unsigned char bytes[8] = {0};
	const size_t lie = (size_t)1 << 40;
	struct iovec part;
	tutti_transfer recv = transfer_of(&part, bytes, sizeof(bytes));

	cr_assert(eq(int, put(bytes, sizeof(bytes)), TUTTI_OK));
	memcpy(ring->data + offsetof(struct tt_shm_message, bytes), &lie, sizeof(lie));
	cr_assert(eq(int, tt_shm_lane_get(&in, &recv), TUTTI_ERR_MISMATCH));
	cr_assert(eq(sz, recv.peer_bytes, lie));
}

Test(shm_lane, both_ends_of_a_streamed_message_learn_of_a_mismatch)
{
	static const unsigned char other[TUTTI_MARK_BYTES] = "another mark";
	unsigned char bytes[2 * RING] = {0};
	struct iovec parts[2];
	tutti_transfer send = transfer_of(&parts[0], bytes, sizeof(bytes)), recv = transfer_of(&parts[1], bytes, 10);

	recv.mark = other;
	cr_assert(eq(int, tt_shm_lane_put(&out, &send), TUTTI_IN_PROGRESS));
	cr_assert(not(tt_shm_lane_fault(&out, &send)));
	cr_assert(eq(int, tt_shm_lane_get(&in, &recv), TUTTI_ERR_MISMATCH));
	cr_assert(eq(sz, recv.peer_bytes, sizeof(bytes)));
	cr_assert(eq(int, memcmp(recv.peer_mark, mark, sizeof(mark)), 0));
	cr_assert(tt_shm_lane_fault(&out, &send));
	cr_assert(eq(sz, send.peer_bytes, 10));
	cr_assert(eq(int, memcmp(send.peer_mark, other, sizeof(other)), 0));
}

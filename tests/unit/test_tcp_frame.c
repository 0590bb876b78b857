/* SPDX-License-Identifier: Apache-2.0
 *
 * test_tcp_frame.c - frames and address blobs: what goes in comes out, and what is damaged is found.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "tcp/blob.h"
#include "tcp/frame.h"

static uint64_t
next_random(uint64_t *state)
{
	*state += UINT64_C(0x9e3779b97f4a7c15);
	return (*state ^ *state >> 31) * UINT64_C(0xbf58476d1ce4e5b9) ^ *state >> 27;
}

static struct tt_frame
some_frame(unsigned kind, uint64_t seed)
{
	struct tt_frame frame = {.kind = (enum tt_frame_kind)kind};

	frame.lane = (uint32_t)next_random(&seed);
	frame.number = next_random(&seed);
	frame.size = next_random(&seed);
	frame.count = (uint32_t)next_random(&seed);
	for (size_t i = 0; i < sizeof(frame.mark); i++)
		frame.mark[i] = (unsigned char)next_random(&seed);
	return frame;
}

Test(tcp_frame, every_kind_comes_out_as_it_went_in, .timeout = 20)
{
	for (unsigned kind = TT_FRAME_EAGER; kind <= TT_FRAME_AGREE; kind++) {
		const struct tt_frame in = some_frame(kind, kind);
		unsigned char bytes[TT_FRAME_LONG] = {0};
		struct tt_frame out = {0};
		const size_t n = tt_frame_encode(&in, bytes);

		cr_assert(eq(sz, n, tt_frame_bytes(kind)));
		cr_assert(tt_frame_decode(bytes, &out));
		cr_assert(eq(int, (int)out.kind, (int)in.kind));
		cr_assert(eq(u32, out.lane, in.lane));
		cr_assert(eq(u64, out.number, in.number));
		cr_assert(eq(u64, out.size, in.size));
		cr_assert(eq(u32, out.count, in.count));
		if (n == TT_FRAME_LONG)
			cr_assert(eq(int, memcmp(out.mark, in.mark, sizeof(in.mark)), 0));
	}
}

Test(tcp_frame, every_flipped_bit_is_found, .timeout = 20)
{
	for (unsigned kind = TT_FRAME_EAGER; kind <= TT_FRAME_AGREE; kind++) {
		for (uint64_t seed = 0; seed < 50; seed++) {
			const struct tt_frame in = some_frame(kind, seed);
			unsigned char bytes[TT_FRAME_LONG] = {0};
			struct tt_frame out;
			const size_t n = tt_frame_encode(&in, bytes);

			for (size_t bit = 0; bit < 8 * n; bit++) {
				bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
				cr_assert(not(tt_frame_decode(bytes, &out)), "kind %u bit %zu", kind, bit);
				bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
			}
		}
	}
}

Test(tcp_frame, noise_is_no_frame, .timeout = 20)
{
	uint64_t random = 11;
	int accepted = 0;

	for (int i = 0; i < 200000; i++) {
		unsigned char bytes[TT_FRAME_LONG];
		struct tt_frame out;

		for (size_t j = 0; j < sizeof(bytes); j += 8) {
			const uint64_t word = next_random(&random);

			memcpy(bytes + j, &word, 8);
		}
		bytes[0] %= 16;
		memset(bytes + 1, 0, 3);
		accepted += tt_frame_decode(bytes, &out);
	}
	cr_assert(eq(int, accepted, 0));
}

Test(tcp_frame, unknown_kinds_have_no_length, .timeout = 20)
{
	int known = 0;

	for (unsigned kind = 0; kind < 256; kind++)
		known += tt_frame_bytes(kind) > 0;
	cr_assert(eq(int, known, TT_FRAME_AGREE));
	cr_assert(eq(sz, tt_frame_bytes(0), (size_t)0));
}

static const struct tt_place two[2] = {
    {.address = {.family = 4, .port = 4711, .ip = {10, 0, 0, 1}}, .nic = 0, .speed = 15},
    {.address = {.family = 6, .port = 65535, .ip = {0xfd, [15] = 1}}, .nic = 15, .speed = 0},
};

Test(tcp_blob, addresses_come_out_as_they_went_in, .timeout = 20)
{
	const unsigned char nonce[TT_TCP_NONCE] = "fifteen letters";
	unsigned char blob[TT_BLOB_BYTES(2)], got_nonce[TT_TCP_NONCE];
	struct tt_place got[TT_TCP_ADDRESSES];
	int n = 0;

	tt_blob_encode(nonce, two, 2, blob);
	cr_assert(tt_blob_decode(blob, sizeof(blob), got_nonce, got, &n));
	cr_assert(eq(int, n, 2));
	cr_assert(eq(int, memcmp(got, two, sizeof(two)), 0));
	cr_assert(eq(int, memcmp(got_nonce, nonce, sizeof(nonce)), 0));
}

Test(tcp_blob, other_bytes_are_refused, .timeout = 20)
{
	unsigned char blob[TT_BLOB_BYTES(TT_TCP_ADDRESSES + 1)] = {0}, nonce[TT_TCP_NONCE];
	struct tt_place got[TT_TCP_ADDRESSES];
	int n = 7;

	for (int i = 0; i < TT_TCP_ADDRESSES; i++)
		tt_blob_encode(nonce, two, 1, blob + (size_t)i * TT_BLOB_ADDRESS);
	for (size_t bytes = 0; bytes < TT_BLOB_BYTES(1); bytes++)
		cr_assert(not(tt_blob_decode(blob, bytes, nonce, got, &n)));
	cr_assert(not(tt_blob_decode(blob, TT_BLOB_BYTES(1) + 1, nonce, got, &n)));
	cr_assert(not(tt_blob_decode(blob, sizeof(blob), nonce, got, &n)));
	tt_blob_encode(nonce, two, 2, blob);
	blob[TT_TCP_NONCE] = 5; /* family */
	cr_assert(not(tt_blob_decode(blob, TT_BLOB_BYTES(2), nonce, got, &n)));
	blob[TT_TCP_NONCE] = 4;
	blob[TT_TCP_NONCE + 2] = blob[TT_TCP_NONCE + 3] = 0; /* port */
	cr_assert(not(tt_blob_decode(blob, TT_BLOB_BYTES(2), nonce, got, &n)));
	cr_assert(eq(int, n, 7));
}

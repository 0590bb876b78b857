/* SPDX-License-Identifier: Apache-2.0
 *
 * promises_data.c - what arrives is what was sent.
 *
 * Where two ranks suffice, rank 0 sends and rank 1 receives; the others wait at the barrier.
 */
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "promises.h"

void
promise_says_sane_things_about_itself(struct kit *kit)
{
	const tutti_transport *transport = kit->transport;
	const tutti_properties *properties = &kit->properties;
	const bool waits = transport->wait_fd != NULL && transport->arm != NULL && transport->disarm != NULL;
	char text[256];

	kit_check(kit, transport->abi == TUTTI_TRANSPORT_ABI && transport->size >= sizeof(*transport), "another ABI");
	kit_check(kit, transport->name != NULL && transport->name[0] != '\0', "it has no name");
	kit_check(kit, properties->size == sizeof(*properties), "properties.size is %zu", properties->size);
	kit_check(kit, properties->latency_ns > 0 && properties->bytes_per_s > 0 && properties->best_chunk > 0,
	    "the first guesses are not positive");
	kit_check(
	    kit, (properties->capabilities & TUTTI_CAN_WAIT) == 0 || waits, "it can wait, but has no functions to");
	for (int peer = 0; peer < kit->nranks; peer++)
		kit_check(kit, transport->error(kit->links[peer], text, sizeof(text)) == TUTTI_OK,
		    "the link to rank %d is dead before its first use: %s", peer, text);
	kit_barrier(kit);
}

void
promise_keeps_the_order_of_a_lane(struct kit *kit)
{
	enum { MESSAGES = 2000, WINDOW = 32 };
	struct kit_message window[WINDOW];
	const bool sends = kit->rank == 0;

	for (uint64_t i = 0; i < MESSAGES + WINDOW && kit->rank < 2; i++) {
		struct kit_message *message = &window[i % WINDOW];

		if (i >= WINDOW && !kit_finish(kit, message))
			return;
		if (i >= MESSAGES)
			continue;
		/* Lengths that both ranks can tell, so that a swap shows as a mismatch or as wrong bytes. */
		if (!(sends ? kit_message_send(kit, message, 1, 0, (i * 37) % 200, i, 0)
			    : kit_message_recv(kit, message, 0, 0, (i * 37) % 200, i, 0)) ||
		    !kit_post(kit, message))
			return;
	}
	kit_barrier(kit);
}

static bool
carry(struct kit *kit, size_t bytes, uint64_t number)
{
	const uint32_t lane = (uint32_t)(number % kit->lanes);

	return kit->rank == 0 ? kit_send_now(kit, 1, lane, bytes, number) : kit_recv_now(kit, 0, lane, bytes, number);
}

void
promise_carries_every_size(struct kit *kit)
{
	const size_t largest = (size_t)4 << 20;
	uint64_t number = 0;

	for (size_t bytes = 0; bytes <= 600 && kit->rank < 2; bytes++) {
		if (!carry(kit, bytes, number++))
			return;
	}
	for (size_t power = 1024; power <= largest && kit->rank < 2; power *= 2) {
		if (!carry(kit, power - 1, number++) || !carry(kit, power, number++) ||
		    !carry(kit, power + 1, number++))
			return;
	}
	for (size_t bytes = 3 * 1024; bytes <= 300 * 1024 && kit->rank < 2; bytes += 8191) {
		if (!carry(kit, bytes, number++))
			return;
	}
	kit_barrier(kit);
}

void
promise_gathers_and_scatters_any_parts(struct kit *kit)
{
	static const struct {
		size_t bytes;
		uint32_t send_parts, recv_parts;
	} cases[] = {{0, 3, 5}, {1, 4, 1}, {1, 1, 7}, {17, 17, 3}, {64, 2, 9}, {1000, 1, 50}, {1000, 50, 1},
	    {4096, 300, 200}, {100000, 7, 1}, {100000, 1, 7}, {100000, 13, 17}, {1000003, 2500, 1300},
	    {3000000, 3, 4000}};

	for (size_t i = 0; i < TT_COUNT_OF(cases) && kit->rank < 2; i++) {
		struct kit_message message;
		const uint32_t lane = (uint32_t)(i % kit->lanes);
		const bool made =
		    kit->rank == 0 ? kit_message_send(kit, &message, 1, lane, cases[i].bytes, i, cases[i].send_parts)
				   : kit_message_recv(kit, &message, 0, lane, cases[i].bytes, i, cases[i].recv_parts);

		if (!made || !kit_post(kit, &message) || !kit_finish(kit, &message))
			return;
	}
	kit_barrier(kit);
}

static bool
folded(struct kit *kit, size_t bytes, uint32_t grain, uint64_t number)
{
	struct kit_message message;

	if (kit->rank == 0)
		return kit_message_send(kit, &message, 1, 1, bytes, number, (uint32_t)(number % 5)) &&
		       kit_post(kit, &message) && kit_finish(kit, &message);
	if (!kit_message_recv(kit, &message, 0, 1, bytes, number, 0))
		return false;
	kit_message_fold(&message, grain);
	return kit_post(kit, &message) && kit_finish(kit, &message);
}

void
promise_folds_in_order_with_every_grain(struct kit *kit)
{
	static const size_t counts[] = {0, 1, 2, 3, 7, 8, 9, 31, 100, 1000, 4097, 100001, 400003};
	uint64_t number = 0;

	for (uint32_t grain = 1; grain <= 8 && kit->rank < 2; grain *= 2) {
		for (size_t i = 0; i < TT_COUNT_OF(counts); i++) {
			if (!folded(kit, counts[i] * grain, grain, number++))
				return;
		}
	}
	kit_barrier(kit);
}

void
promise_reaches_itself(struct kit *kit)
{
	static const size_t sizes[] = {0, 1, 8, 64, 100, 4096, 65536, 3000001};

	for (size_t i = 0; i < TT_COUNT_OF(sizes); i++) {
		struct kit_message send, recv;
		const bool send_first = i % 2 == 0;

		if (!kit_message_send(kit, &send, kit->rank, 0, sizes[i], i, 3) ||
		    !kit_message_recv(kit, &recv, kit->rank, 0, sizes[i], i, 2) ||
		    !kit_post(kit, send_first ? &send : &recv) || !kit_post(kit, send_first ? &recv : &send) ||
		    !kit_finish(kit, &send) || !kit_finish(kit, &recv))
			return;
	}
	kit_barrier(kit);
}

/* Length of the k-th message of a pair and lane: both ends compute it. */
static size_t
length_of(int from, int to, uint32_t lane, uint64_t k)
{
	const uint64_t z =
	    ((uint64_t)from * 131 + (uint64_t)to * 31 + lane * 7 + k + 1) * UINT64_C(0x9e3779b97f4a7c15);

	return k % 8 == 7 ? (z >> 40) % 300000 : (z >> 50) % 2000;
}

void
promise_serves_all_pairs_at_once(struct kit *kit)
{
	enum { ROUNDS = 48, LANES = 3 };
	static const size_t channels_max = (size_t)KIT_RANKS * LANES * 2;
	struct kit_message messages[KIT_RANKS * LANES * 2];

	for (uint64_t k = 0; k < ROUNDS; k++) {
		const size_t channels = (size_t)kit->nranks * LANES * 2;
		const size_t first = kit_below(kit, channels);

		/* Every channel once, from a random one on, so that posting orders differ between ranks. */
		for (size_t i = 0; i < tt_min_size(channels, channels_max); i++) {
			const size_t channel = (first + i) % channels;
			const int peer = (int)(channel / (LANES * 2));
			const uint32_t lane = (uint32_t)(channel / 2 % LANES);
			struct kit_message *message = &messages[channel];
			const bool made = channel % 2 == 0 ? kit_message_send(kit, message, peer, lane,
								 length_of(kit->rank, peer, lane, k), k, 2)
							   : kit_message_recv(kit, message, peer, lane,
								 length_of(peer, kit->rank, lane, k), k, 3);

			if (!made || !kit_post(kit, message))
				return;
		}
		for (size_t i = 0; i < channels; i++) {
			if (!kit_finish(kit, &messages[i]))
				return;
		}
	}
	kit_barrier(kit);
}

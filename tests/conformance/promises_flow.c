/* SPDX-License-Identifier: Apache-2.0
 *
 * promises_flow.c - who waits for whom, and who does not.
 */
#include <poll.h>
#include <stdlib.h>

#include "promises.h"

/* Posts what the transport takes without a receiver; returns how many. */
static size_t
post_without_receiver(struct kit *kit, struct kit_message *messages, size_t n, uint32_t lane, size_t bytes)
{
	size_t posted = 0;

	for (; posted < n; posted++) {
		tutti_status status = TUTTI_IN_PROGRESS;

		if (!kit_message_send(kit, &messages[posted], 1, lane, bytes, posted, 0))
			return posted;
		for (int attempt = 0; attempt < 50 && status == TUTTI_IN_PROGRESS; attempt++) {
			status = kit_try(kit, &messages[posted]);
			kit->transport->progress(kit->endpoint);
		}
		if (status == TUTTI_IN_PROGRESS)
			return posted;
		if (!kit_check(kit, status == TUTTI_OK, "send() failed with status %d", status))
			return posted;
	}
	return posted;
}

/* Then the rest, waiting as long as it takes, and the end of all. */
static bool
post_rest(struct kit *kit, struct kit_message *messages, size_t n, size_t posted, uint32_t lane, size_t bytes)
{
	for (size_t i = posted; i < n; i++) {
		/* The refused one was made already. */
		if (i > posted && !kit_message_send(kit, &messages[i], 1, lane, bytes, i, 0))
			return false;
		if (!kit_post(kit, &messages[i]))
			return false;
	}
	for (size_t i = 0; i < n; i++) {
		if (!kit_finish(kit, &messages[i]))
			return false;
	}
	return true;
}

static bool
receive_all(struct kit *kit, size_t n, uint32_t lane, size_t bytes)
{
	for (size_t i = 0; i < n; i++) {
		if (!kit_recv_now(kit, 0, lane, bytes, i))
			return false;
	}
	return true;
}

static bool
ping_pong(struct kit *kit, uint32_t lane, size_t bytes, uint64_t rounds)
{
	const int peer = 1 - kit->rank;

	for (uint64_t i = 0; i < rounds; i++) {
		if (kit->rank == 1 && !kit_recv_now(kit, peer, lane, bytes, i))
			return false;
		if (!kit_send_now(kit, peer, lane, bytes, i))
			return false;
		if (kit->rank == 0 && !kit_recv_now(kit, peer, lane, bytes, i))
			return false;
	}
	return true;
}

void
promise_an_unposted_message_delays_no_other_lane(struct kit *kit)
{
	enum { MESSAGES = 40 };
	const size_t bytes = 200000; /* times MESSAGES: more than any buffer on the way */
	struct kit_message messages[MESSAGES];
	size_t posted = 0;

	if (kit->rank == 0)
		posted = post_without_receiver(kit, messages, MESSAGES, 0, bytes);
	if (kit->rank < 2 && (!ping_pong(kit, 1, 8, 200) || !ping_pong(kit, 2, 100000, 10)))
		return;
	if (kit->rank == 0 && !post_rest(kit, messages, MESSAGES, posted, 0, bytes))
		return;
	if (kit->rank == 1 && !receive_all(kit, MESSAGES, 0, bytes))
		return;
	kit_barrier(kit);
}

void
promise_messages_wait_for_late_receives(struct kit *kit)
{
	enum { MESSAGES = 30 };
	struct kit_message messages[MESSAGES];

	if (kit->rank == 0) {
		const size_t posted = post_without_receiver(kit, messages, MESSAGES, 1, 700);

		kit_flag_raise(kit, 0);
		if (!post_rest(kit, messages, MESSAGES, posted, 1, 700))
			return;
	}
	if (kit->rank == 1 && (!kit_flag_wait(kit, 0, false) || !receive_all(kit, MESSAGES, 1, 700)))
		return;
	kit_barrier(kit);
}

void
promise_receives_wait_for_late_messages(struct kit *kit)
{
	enum { MESSAGES = 30 };
	struct kit_message messages[MESSAGES];

	if (kit->rank == 1) {
		for (uint64_t i = 0; i < MESSAGES; i++) {
			if (!kit_message_recv(kit, &messages[i], 0, 0, 5000, i, 0) || !kit_post(kit, &messages[i]))
				return;
		}
		for (int i = 0; i < 100; i++)
			kit->transport->progress(kit->endpoint);
		kit_flag_raise(kit, 0);
		for (int i = 0; i < MESSAGES; i++) {
			if (!kit_finish(kit, &messages[i]))
				return;
		}
	}
	if (kit->rank == 0) {
		if (!kit_flag_wait(kit, 0, true))
			return;
		for (uint64_t i = 0; i < MESSAGES; i++) {
			if (!kit_send_now(kit, 1, 0, 5000, i))
				return;
		}
	}
	kit_barrier(kit);
}

/* All posted before the first is waited for, and waited for from the last on. */
static bool
post_then_finish(struct kit *kit, struct kit_message *messages, size_t n, size_t bytes)
{
	const int peer = 1 - kit->rank;

	for (size_t i = 0; i < n; i++) {
		const uint32_t lane = (uint32_t)(i % kit->lanes);
		const bool made = kit->rank == 0 ? kit_message_send(kit, &messages[i], peer, lane, bytes, i, 0)
						 : kit_message_recv(kit, &messages[i], peer, lane, bytes, i, 0);

		if (!made || !kit_post(kit, &messages[i]))
			return false;
	}
	for (size_t i = n; i > 0; i--) {
		if (!kit_finish(kit, &messages[i - 1]))
			return false;
	}
	return true;
}

void
promise_takes_many_transfers_at_once(struct kit *kit)
{
	enum { MESSAGES = 1500 };
	struct kit_message *messages = calloc(MESSAGES, sizeof(*messages));
	bool good = kit_check(kit, messages != NULL, "no memory");

	if (good && kit->rank < 2)
		good = post_then_finish(kit, messages, MESSAGES, 300);
	if (good)
		kit_barrier(kit);
	free(messages);
}

void
promise_a_flood_is_refused_or_kept_but_never_lost(struct kit *kit)
{
	enum { MESSAGES = 600 };
	const size_t bytes = 20000;
	struct kit_message *messages = calloc(MESSAGES, sizeof(*messages));
	bool good = kit_check(kit, messages != NULL, "no memory");

	if (good && kit->rank == 0) {
		const size_t posted = post_without_receiver(kit, messages, MESSAGES, 2, bytes);

		kit_flag_raise(kit, 0);
		good = post_rest(kit, messages, MESSAGES, posted, 2, bytes);
	}
	if (good && kit->rank == 1)
		good = kit_flag_wait(kit, 0, false) && receive_all(kit, MESSAGES, 2, bytes);
	if (good)
		kit_barrier(kit);
	free(messages);
}

void
promise_both_directions_at_once(struct kit *kit)
{
	const size_t bytes = (size_t)3 << 20;
	const int peer = 1 - kit->rank;

	for (uint64_t i = 0; i < 4 && kit->rank < 2; i++) {
		struct kit_message send, recv;

		if (!kit_message_send(kit, &send, peer, 0, bytes, i, 0) ||
		    !kit_message_recv(kit, &recv, peer, 0, bytes, i, 0) || !kit_post(kit, &send) ||
		    !kit_post(kit, &recv) || !kit_finish(kit, &send) || !kit_finish(kit, &recv))
			return;
	}
	kit_barrier(kit);
}

void
promise_a_passive_receive_connects_to_nobody(struct kit *kit)
{
	const int before = kit_descriptors();
	struct kit_message message;

	if (kit->rank == 0) {
		if (!kit_message_recv(kit, &message, 1, 0, 1000, 0, 0))
			return;
		message.transfer.passive = 1;
		if (!kit_post(kit, &message))
			return;
	}
	/* Longer than the higher rank of two leaves it to the lower one to connect. */
	for (int i = 0; i < 50; i++) {
		kit->transport->progress(kit->endpoint);
		poll(NULL, 0, 1);
	}
	if (!kit_barrier(kit))
		return;
	if (kit->processes &&
	    !kit_check(kit, kit_descriptors() == before, "%d descriptors have become %d", before, kit_descriptors()))
		return;
	if (!kit_barrier(kit))
		return;
	if (kit->rank == 1 && !kit_send_now(kit, 0, 0, 1000, 0))
		return;
	if (kit->rank == 0 && !kit_finish(kit, &message))
		return;
	kit_barrier(kit);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * promises_sleep.c - wait_fd, arm and disarm: nobody sleeps over news, and nobody is kept awake by nothing.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "promises.h"

#define LOST_MS 10000 /* a poll that lasts this long while the peer is awake missed its wake-up */

static int
poll_once(struct kit *kit, int timeout_ms)
{
	struct pollfd entry = {.fd = kit->transport->wait_fd(kit->endpoint), .events = POLLIN};
	int n;

	do
		n = poll(&entry, 1, timeout_ms);
	while (n < 0 && errno == EINTR);
	return n;
}

/* Waits for a transfer's end as a sleeper does. */
static bool
sleep_until_ended(struct kit *kit, struct kit_message *message)
{
	while (message->transfer.status == TUTTI_IN_PROGRESS) {
		int n;

		if (kit->transport->progress(kit->endpoint) != 0 || message->transfer.status != TUTTI_IN_PROGRESS)
			continue;
		if (!kit_pause(kit, "a transfer, asleep"))
			return false;
		if (kit->transport->arm(kit->endpoint) != TUTTI_OK)
			continue;
		n = poll_once(kit, LOST_MS);
		kit->transport->disarm(kit->endpoint);
		if (n == 0 && kit->transport->progress(kit->endpoint) != 0)
			return kit_check(
			    kit, false, "a wake-up was lost: the news was found only after the time limit");
	}
	return kit_going(kit);
}

/* One round in turn; a random bit of idling moves the moments of arming against those of sending. */
static bool
asleep(struct kit *kit, bool sends, int peer, uint32_t lane, size_t bytes, uint64_t number)
{
	struct kit_message message;

	for (size_t i = kit_below(kit, 40) * kit_below(kit, 40); i > 0; i--)
		tt_pause();
	return (sends ? kit_message_send(kit, &message, peer, lane, bytes, number, 0)
		      : kit_message_recv(kit, &message, peer, lane, bytes, number, 0)) &&
	       kit_post(kit, &message) && sleep_until_ended(kit, &message) && kit_finish(kit, &message);
}

static bool
sleepy_ping_pong(struct kit *kit, uint64_t rounds, size_t bytes)
{
	for (uint64_t i = 0; i < 2 * rounds && kit->rank < 2; i++) {
		const bool sends = i % 2 == (uint64_t)kit->rank;

		if (!asleep(kit, sends, 1 - kit->rank, (uint32_t)(i % kit->lanes), bytes, i))
			return false;
	}
	return kit_barrier(kit);
}

void
promise_no_wake_up_is_lost(struct kit *kit)
{
	sleepy_ping_pong(kit, 2000, 40);
}

void
promise_no_wake_up_is_lost_with_long_messages(struct kit *kit)
{
	sleepy_ping_pong(kit, 30, 2500000);
}

void
promise_sleeps_when_nothing_happens(struct kit *kit)
{
	const int peer = (kit->rank + 1) % kit->nranks;
	struct kit_message recv;
	bool slept = false;

	/* After some real sleeping and waking, nothing comes until all have slept undisturbed. */
	if (kit->nranks > 1 && !sleepy_ping_pong(kit, 50, 40))
		return;
	if (!kit_message_recv(kit, &recv, peer, 0, 100, 1000, 0) || !kit_post(kit, &recv))
		return;
	while (!slept) {
		if (!kit_pause(kit, "a poll that is not woken by nothing"))
			return;
		if (kit->transport->progress(kit->endpoint) != 0 || kit->transport->arm(kit->endpoint) != TUTTI_OK)
			continue;
		slept = poll_once(kit, 20) == 0;
		kit->transport->disarm(kit->endpoint);
	}
	if (!kit_barrier(kit) || !kit_send_now(kit, (kit->rank + kit->nranks - 1) % kit->nranks, 0, 100, 1000) ||
	    !kit_finish(kit, &recv))
		return;
	kit_barrier(kit);
}

void
promise_does_not_sleep_over_news(struct kit *kit)
{
	struct kit_message recv;

	/* The message is surely there (or under way) when the receiver arms. */
	for (uint64_t i = 0; i < 200 && kit->rank < 2; i++) {
		if (kit->rank == 0) {
			if (!kit_send_now(kit, 1, 0, 16, i) || !kit_recv_now(kit, 1, 1, 0, i))
				return;
			continue;
		}
		if (!kit_message_recv(kit, &recv, 0, 0, 16, i, 0) || !kit_post(kit, &recv))
			return;
		while (recv.transfer.status == TUTTI_IN_PROGRESS) {
			int n = 1;

			if (kit->transport->arm(kit->endpoint) == TUTTI_OK) {
				n = poll_once(kit, LOST_MS);
				kit->transport->disarm(kit->endpoint);
			}
			kit->transport->progress(kit->endpoint);
			if (!kit_check(kit, n != 0, "slept over a message") || !kit_pause(kit, "a message, armed"))
				return;
		}
		if (!kit_finish(kit, &recv) || !kit_send_now(kit, 0, 1, 0, i))
			return;
	}
	kit_barrier(kit);
}

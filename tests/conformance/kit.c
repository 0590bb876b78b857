/* SPDX-License-Identifier: Apache-2.0
 *
 * kit.c - the helpers of promises: failures, barriers, patterns, messages.
 */
#include "kit.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/clock.h"

#define GUARD_BYTES 256
#define GUARD 0xC3
#define UNTOUCHED 0xA5
#define SCRIBBLE 0x5E

/* ---- failures and waiting ---- */

bool
kit_going(struct kit *kit)
{
	return tt_load_acquire(&kit->world->failed) == 0;
}

bool
kit_check(struct kit *kit, bool holds, const char *format, ...)
{
	uint32_t none = 0;

	if (!holds && tt_cas_acq_rel(&kit->world->failed, &none, (uint32_t)kit->rank + 1)) {
		char *why = kit->world->why;
		const size_t room = sizeof(kit->world->why);
		const int used = snprintf(why, room, "rank %d: ", kit->rank);
		va_list arguments;

		va_start(arguments, format);
		vsnprintf(why + used, room - (size_t)used, format, arguments);
		va_end(arguments);
	}
	return kit_going(kit);
}

bool
kit_pause(struct kit *kit, const char *what)
{
	sched_yield();
	return kit_check(kit, tt_now_ns() < kit->deadline_ns, "nothing happens any more while waiting for %s", what);
}

bool
kit_barrier(struct kit *kit)
{
	const uint32_t all = ++kit->barriers * (uint32_t)kit->nranks;

	tt_fetch_add_acq_rel(&kit->world->arrived, 1);
	while (tt_load_acquire(&kit->world->arrived) < all) {
		if (kit->endpoint != NULL)
			kit->transport->progress(kit->endpoint);
		if (!kit_pause(kit, "the other ranks"))
			return false;
	}
	return kit_going(kit);
}

void
kit_flag_raise(struct kit *kit, int flag)
{
	tt_store_release(&kit->world->flags[flag], 1);
}

bool
kit_flag_raised(struct kit *kit, int flag)
{
	return tt_load_acquire(&kit->world->flags[flag]) != 0;
}

bool
kit_flag_wait(struct kit *kit, int flag, bool progress)
{
	while (!kit_flag_raised(kit, flag)) {
		if (progress)
			kit->transport->progress(kit->endpoint);
		if (!kit_pause(kit, "a flag of another rank"))
			return false;
	}
	return kit_going(kit);
}

/* splitmix64 */
static uint64_t
mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

uint64_t
kit_random(struct kit *kit)
{
	kit->random += UINT64_C(0x9e3779b97f4a7c15);
	return mix(kit->random);
}

size_t
kit_below(struct kit *kit, size_t n)
{
	return (size_t)(kit_random(kit) % n);
}

/* ---- buffers ---- */

bool
kit_buffer_open(struct kit *kit, struct kit_buffer *buffer, size_t n)
{
	buffer->n = n;
	buffer->block = malloc(n + 2 * GUARD_BYTES);
	if (!kit_check(kit, buffer->block != NULL, "no memory for %zu bytes", n))
		return false;
	buffer->bytes = buffer->block + GUARD_BYTES;
	memset(buffer->block, GUARD, GUARD_BYTES);
	memset(buffer->bytes, UNTOUCHED, n);
	memset(buffer->bytes + n, GUARD, GUARD_BYTES);
	return true;
}

bool
kit_buffer_close(struct kit *kit, struct kit_buffer *buffer)
{
	bool good = true;

	for (size_t i = 0; i < GUARD_BYTES && buffer->block != NULL; i++)
		good = good && buffer->block[i] == GUARD && buffer->bytes[buffer->n + i] == GUARD;
	free(buffer->block);
	*buffer = (struct kit_buffer){0};
	return kit_check(kit, good, "bytes outside of a buffer were written");
}

/* ---- messages ---- */

static uint64_t
pattern_word(uint64_t pattern, size_t index)
{
	return (pattern + index) * UINT64_C(0x9e3779b97f4a7c15) ^ pattern;
}

static void
pattern_fill(uint64_t pattern, unsigned char *bytes, size_t n)
{
	for (size_t at = 0; at < n; at += sizeof(uint64_t)) {
		const uint64_t word = pattern_word(pattern, at / sizeof(word));

		memcpy(bytes + at, &word, tt_min_size(sizeof(word), n - at));
	}
}

/* The first byte that is wrong, n if none is. */
static size_t
pattern_differs(uint64_t pattern, const unsigned char *bytes, size_t n)
{
	for (size_t at = 0; at < n; at += sizeof(uint64_t)) {
		const uint64_t word = pattern_word(pattern, at / sizeof(word));

		if (memcmp(bytes + at, &word, tt_min_size(sizeof(word), n - at)) != 0)
			return at;
	}
	return n;
}

/* Cuts the buffer into nparts at random places; two cuts at one place make an empty part. */
static void
cut(struct kit *kit, struct kit_message *message, uint32_t nparts)
{
	size_t left = message->buffer.n, at = 0;

	for (uint32_t i = 0; i < nparts; i++) {
		const size_t fair = 2 * (left / (nparts - i)) + 1;
		const size_t now = i + 1 == nparts ? left : tt_min_size(left, kit_below(kit, fair + 1));

		message->parts[i].iov_base = message->buffer.bytes + at;
		message->parts[i].iov_len = now;
		at += now;
		left -= now;
	}
}

static bool
prepare(struct kit *kit, struct kit_message *message, int from, int to, uint32_t lane, size_t bytes, uint64_t number,
    uint32_t nparts)
{
	const uint64_t identity[4] = {(uint64_t)from, (uint64_t)to, lane, number};

	*message = (struct kit_message){.peer = from == kit->rank ? to : from};
	message->pattern = mix(mix(mix(mix((uint64_t)from) + (uint64_t)to) + lane) + number);
	memcpy(message->mark, identity, sizeof(message->mark));
	if (!kit_buffer_open(kit, &message->buffer, bytes))
		return false;
	nparts = nparts == 0 ? 1 : nparts;
	message->parts = calloc(nparts, sizeof(*message->parts));
	if (!kit_check(kit, message->parts != NULL, "no memory for %u parts", nparts))
		return false;
	cut(kit, message, nparts);
	message->transfer = (tutti_transfer){
	    .parts = message->parts,
	    .nparts = nparts,
	    .lane = lane,
	    .bytes = bytes,
	    .mark = message->mark,
	    .grain = 1,
	};
	return true;
}

bool
kit_message_send(struct kit *kit, struct kit_message *message, int peer, uint32_t lane, size_t bytes, uint64_t number,
    uint32_t nparts)
{
	if (!prepare(kit, message, kit->rank, peer, lane, bytes, number, nparts))
		return false;
	message->sends = true;
	pattern_fill(message->pattern, message->buffer.bytes, bytes);
	return true;
}

bool
kit_message_recv(struct kit *kit, struct kit_message *message, int peer, uint32_t lane, size_t bytes, uint64_t number,
    uint32_t nparts)
{
	return prepare(kit, message, peer, kit->rank, lane, bytes, number, nparts);
}

static void
fold(void *context, size_t offset, const void *data, size_t bytes)
{
	struct kit_message *message = context;
	const tutti_transfer *transfer = &message->transfer;

	if (offset != message->folded || bytes == 0 || bytes > transfer->bytes - offset ||
	    offset % transfer->grain != 0 || bytes % transfer->grain != 0) {
		message->fold_wrong = true;
		return;
	}
	memcpy(message->buffer.bytes + offset, data, bytes);
	message->folded += bytes;
}

void
kit_message_fold(struct kit_message *message, uint32_t grain)
{
	message->transfer.parts = NULL;
	message->transfer.nparts = 0;
	message->transfer.fold = fold;
	message->transfer.fold_context = message;
	message->transfer.grain = grain;
}

tutti_status
kit_try(struct kit *kit, struct kit_message *message)
{
	tutti_link *link = kit->links[message->peer];

	return message->sends ? kit->transport->send(link, &message->transfer)
			      : kit->transport->recv(link, &message->transfer);
}

/* Why the link to a peer is dead. */
static void
why_dead(struct kit *kit, int peer, char *text, size_t bytes)
{
	text[0] = '\0';
	if (kit->transport->error(kit->links[peer], text, bytes) == TUTTI_OK)
		snprintf(text, bytes, "error() says that the link lives");
}

bool
kit_post(struct kit *kit, struct kit_message *message)
{
	char why[256];

	for (;;) {
		const tutti_status status = kit_try(kit, message);

		if (status == TUTTI_OK)
			return true;
		if (status != TUTTI_IN_PROGRESS) {
			why_dead(kit, message->peer, why, sizeof(why));
			return kit_check(
			    kit, false, "posting to rank %d failed with status %d: %s", message->peer, status, why);
		}
		if (kit->transport->progress(kit->endpoint) == 0 && !kit_pause(kit, "a transfer to be taken"))
			return false;
	}
}

bool
kit_ended(struct kit *kit, struct kit_message *message)
{
	char what[96];

	snprintf(what, sizeof(what), "the end of a %s of %zu bytes, rank %d, lane %u",
	    message->sends ? "send" : "receive", message->transfer.bytes, message->peer, message->transfer.lane);
	while (message->transfer.status == TUTTI_IN_PROGRESS) {
		if (kit->transport->progress(kit->endpoint) == 0 && !kit_pause(kit, what))
			return false;
	}
	return kit_going(kit);
}

bool
kit_drop(struct kit *kit, struct kit_message *message)
{
	memset(message->buffer.bytes, SCRIBBLE, message->buffer.n);
	free(message->parts);
	message->parts = NULL;
	return kit_buffer_close(kit, &message->buffer);
}

static bool
content_good(struct kit *kit, struct kit_message *message)
{
	const size_t bytes = message->transfer.bytes;
	const size_t differs = pattern_differs(message->pattern, message->buffer.bytes, bytes);

	if (!kit_check(kit, !message->fold_wrong && (message->transfer.fold == NULL || message->folded == bytes),
		"fold was not called in order and without gaps (%zu of %zu bytes)", message->folded, bytes))
		return false;
	return kit_check(kit, differs == bytes, "%s a message of %zu bytes, rank %d, lane %u: wrong from byte %zu on",
	    message->sends ? "the transport changed" : "received", bytes, message->peer, message->transfer.lane,
	    differs);
}

bool
kit_finish(struct kit *kit, struct kit_message *message)
{
	char why[256];

	if (!kit_ended(kit, message))
		return false;
	if (message->transfer.status != TUTTI_OK) {
		why_dead(kit, message->peer, why, sizeof(why));
		return kit_check(kit, false, "a %s of %zu bytes, rank %d, ended with status %d: %s",
		    message->sends ? "send" : "receive", message->transfer.bytes, message->peer,
		    message->transfer.status, why);
	}
	return content_good(kit, message) && kit_drop(kit, message);
}

bool
kit_send_now(struct kit *kit, int peer, uint32_t lane, size_t bytes, uint64_t number)
{
	struct kit_message message;

	return kit_message_send(kit, &message, peer, lane, bytes, number, 0) && kit_post(kit, &message) &&
	       kit_finish(kit, &message);
}

bool
kit_recv_now(struct kit *kit, int peer, uint32_t lane, size_t bytes, uint64_t number)
{
	struct kit_message message;

	return kit_message_recv(kit, &message, peer, lane, bytes, number, 0) && kit_post(kit, &message) &&
	       kit_finish(kit, &message);
}

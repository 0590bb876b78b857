/* SPDX-License-Identifier: Apache-2.0
 *
 * world_wire.c - frames to bytes and back.
 */
#include "bootstrap/world_wire.h"

#include <string.h>

#include "base/checked.h"
#include "bootstrap/bytes.h"

enum {
	CARD_RANK = 0,
	CARD_SIZE = 4,
	CARD_HOME = 8,
	CARD_FLAGS = 12,
	CARD_LEFT = 16,
	CARD_PROCESS = 20,
	CARD_ADDRESS = 36
};

static void
put_address(unsigned char *at, const struct tt_address *address)
{
	at[0] = address->family;
	at[1] = 0;
	tt_put_u16(at + 2, address->port);
	memcpy(at + 4, address->ip, sizeof(address->ip));
}

static bool
get_address(const unsigned char *at, struct tt_address *address)
{
	memset(address, 0, sizeof(*address));
	address->family = at[0];
	address->port = tt_get_u16(at + 2);
	memcpy(address->ip, at + 4, sizeof(address->ip));
	return address->family == 0 || address->family == 4 || address->family == 6;
}

static int32_t
get_i32(const unsigned char *at)
{
	return (int32_t)tt_get_u32(at);
}

void
tt_card_write(const struct tt_card *card, unsigned char bytes[TT_CARD_BYTES])
{
	memset(bytes, 0, TT_CARD_BYTES);
	tt_put_u32(bytes + CARD_RANK, (uint32_t)card->rank);
	tt_put_u32(bytes + CARD_SIZE, (uint32_t)card->size);
	tt_put_u32(bytes + CARD_HOME, (uint32_t)card->home);
	tt_put_u32(bytes + CARD_FLAGS, card->flags);
	tt_put_u32(bytes + CARD_LEFT, card->left_ms);
	memcpy(bytes + CARD_PROCESS, card->process, sizeof(card->process));
	put_address(bytes + CARD_ADDRESS, &card->address);
}

bool
tt_card_read(const void *bytes, size_t n, struct tt_card *card)
{
	const unsigned char *at = bytes;

	if (n != TT_CARD_BYTES)
		return false;
	card->rank = get_i32(at + CARD_RANK);
	card->size = get_i32(at + CARD_SIZE);
	card->home = get_i32(at + CARD_HOME);
	card->flags = tt_get_u32(at + CARD_FLAGS);
	card->left_ms = tt_get_u32(at + CARD_LEFT);
	memcpy(card->process, at + CARD_PROCESS, sizeof(card->process));
	return get_address(at + CARD_ADDRESS, &card->address) && card->size > 0 && card->rank >= 0 &&
	       card->rank < card->size && card->home >= 0 && card->home < card->size;
}

void
tt_redirect_write(int rank, const struct tt_address *address, unsigned char bytes[TT_REDIRECT_BYTES])
{
	tt_put_u32(bytes, (uint32_t)rank);
	put_address(bytes + 4, address);
}

bool
tt_redirect_read(const void *bytes, size_t n, int *rank, struct tt_address *address)
{
	if (n != TT_REDIRECT_BYTES)
		return false;
	*rank = get_i32(bytes);
	return get_address((const unsigned char *)bytes + 4, address) && address->family != 0;
}

void
tt_offer_write(const struct tt_offer *offer, unsigned char bytes[TT_OFFER_BYTES])
{
	memset(bytes, 0, TT_OFFER_BYTES);
	tt_put_u64(bytes, offer->nonce_at);
	tt_put_u32(bytes + 8, offer->descriptor_follows);
	memcpy(bytes + 12, offer->id, sizeof(offer->id));
}

bool
tt_offer_read(const void *bytes, size_t n, struct tt_offer *offer)
{
	const unsigned char *at = bytes;

	if (n != TT_OFFER_BYTES)
		return false;
	offer->nonce_at = tt_get_u64(at);
	offer->descriptor_follows = tt_get_u32(at + 8) != 0;
	memcpy(offer->id, at + 12, sizeof(offer->id));
	return true;
}

_Static_assert(8 + TT_TABLE_RUN * 4 <= TT_FRAME_MOST, "a run of the table fits a frame");

size_t
tt_table_write(int first, int n, const int32_t *homes, unsigned char bytes[TT_FRAME_MOST])
{
	tt_put_u32(bytes, (uint32_t)first);
	tt_put_u32(bytes + 4, (uint32_t)n);
	for (int i = 0; i < n; i++)
		tt_put_u32(bytes + 8 + 4 * i, (uint32_t)homes[first + i]);
	return 8 + (size_t)n * 4;
}

int
tt_table_read(const void *bytes, size_t n, int expected, int size, int32_t *homes)
{
	const unsigned char *at = bytes;
	int run;

	if (n < 8 || get_i32(at) != expected)
		return -1;
	run = get_i32(at + 4);
	if (run < 1 || run > TT_TABLE_RUN || run > size - expected || n != 8 + (size_t)run * 4)
		return -1;
	for (int i = 0; i < run; i++) {
		const int32_t home = get_i32(at + 8 + 4 * i);

		if (home < 0 || home >= size)
			return -1;
		homes[expected + i] = home;
	}
	return run;
}

#define KEPT_RANKS ((int)TT_COUNT_OF(((tutti_error *)NULL)->ranks))
#define FAILURE_HEAD (8 + 4 * KEPT_RANKS)

size_t
tt_failure_write(const tutti_error *error, unsigned char bytes[TT_FRAME_MOST])
{
	const size_t length = strnlen(error->message, sizeof(error->message) - 1);

	tt_put_u32(bytes, (uint32_t)error->status);
	tt_put_u32(bytes + 4, (uint32_t)error->nranks);
	for (int i = 0; i < KEPT_RANKS; i++)
		tt_put_u32(bytes + 8 + 4 * i, (uint32_t)error->ranks[i]);
	memcpy(bytes + FAILURE_HEAD, error->message, length);
	return FAILURE_HEAD + length;
}

bool
tt_failure_read(const void *bytes, size_t n, tutti_error *error)
{
	const unsigned char *at = bytes;
	const tutti_error empty = TUTTI_ERROR_INIT;
	const uint32_t status = n >= FAILURE_HEAD ? tt_get_u32(at) : 0;

	if (status < TUTTI_ERR_ARGUMENT || status > TUTTI_ERR_INTERNAL || n - FAILURE_HEAD >= sizeof(error->message))
		return false;
	*error = empty;
	error->status = (tutti_status)status;
	error->nranks = get_i32(at + 4) < 0 ? 0 : get_i32(at + 4);
	for (int i = 0; i < KEPT_RANKS; i++)
		error->ranks[i] = get_i32(at + 8 + 4 * i);
	if (error->nranks > 0)
		error->rank = error->ranks[0];
	memcpy(error->message, at + FAILURE_HEAD, n - FAILURE_HEAD);
	return true;
}

void
tt_part_write(const struct tt_part *part, unsigned char bytes[TT_PART_HEAD])
{
	memset(bytes, 0, TT_PART_HEAD);
	tt_put_u32(bytes, (uint32_t)part->rank);
	tt_put_u32(bytes + 4, part->number);
	tt_put_u64(bytes + 8, part->bytes);
	tt_put_u64(bytes + 16, part->offset);
}

bool
tt_part_read(const void *bytes, size_t n, struct tt_part *part)
{
	const unsigned char *at = bytes;

	if (n < TT_PART_HEAD)
		return false;
	part->rank = get_i32(at);
	part->number = tt_get_u32(at + 4);
	part->bytes = tt_get_u64(at + 8);
	part->offset = tt_get_u64(at + 16);
	return true;
}

void
tt_route_write(int to, int from, unsigned char bytes[TT_ROUTE_BYTES])
{
	tt_put_u32(bytes, (uint32_t)to);
	tt_put_u32(bytes + 4, (uint32_t)from);
}

bool
tt_route_read(const void *bytes, size_t n, int size, int *to, int *from)
{
	const unsigned char *at = bytes;

	if (n < TT_ROUTE_BYTES)
		return false;
	*to = get_i32(at);
	*from = get_i32(at + 4);
	return *to >= -1 && *to < size && *from >= 0 && *from < size;
}

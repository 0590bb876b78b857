/* SPDX-License-Identifier: Apache-2.0
 *
 * create_cards.c - what ranks tell each other while a communicator is created, and whose failure ends it.
 */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "comm/create_parts.h"

void
tt_card_note(tutti_status status, int32_t *card_status, char message[TT_CARD_MESSAGE])
{
	*card_status = (int32_t)status;
	if (status != TUTTI_OK)
		snprintf(message, TT_CARD_MESSAGE, "%.250s", tt_last_error()->message);
}

/* The first rank that failed decides for all. cards: size cards of `bytes` each, starting with an int32 status. */
static tutti_status
first_failure(const tutti_comm *comm, const void *cards, size_t bytes, size_t message_at)
{
	for (int r = 0; r < comm->size; r++) {
		const char *card = (const char *)cards + (size_t)r * bytes;
		int32_t status;

		memcpy(&status, card, sizeof(status));
		if (status == TUTTI_OK)
			continue;
		if (r == comm->rank)
			return (tutti_status)status; /* recorded where it was decided */
		return tt_fail((tutti_status)status, r, "rank %d could not join: %.255s", r, card + message_at);
	}
	return TUTTI_OK;
}

tutti_status
tt_cards_exchange(
    tutti_comm *comm, const void *mine, size_t bytes, size_t message_at, int64_t deadline_ns, void **cards)
{
	tutti_status status;

	TT_TRY(tt_alloc((size_t)comm->size, bytes, "cards of the ranks", cards));
	status = tt_world_exchange(comm->world, mine, bytes, *cards, deadline_ns);
	if (status == TUTTI_OK)
		status = first_failure(comm, *cards, bytes, message_at);
	if (status != TUTTI_OK) {
		tt_free(*cards);
		*cards = NULL;
	}
	return status;
}

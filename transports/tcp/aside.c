/* SPDX-License-Identifier: Apache-2.0
 *
 * aside.c - the ring of messages set aside. A message's bytes may wrap around the end of the ring, its head never.
 */
#include "tcp/aside.h"

#include <string.h>

#include "base/checked.h"

static struct tt_aside_head *
head_at(const struct tt_aside *aside, uint32_t unit)
{
	return (struct tt_aside_head *)(void *)(aside->memory + (size_t)(unit & (aside->units - 1)) * TT_UNIT);
}

/* n bytes of the message whose head is at `unit`, from `offset` on. */
static int
pieces_of(const struct tt_aside *aside, uint32_t unit, size_t offset, size_t n, struct iovec pieces[2])
{
	const size_t size = (size_t)aside->units * TT_UNIT;
	const size_t start = ((size_t)((unit + 1) & (aside->units - 1)) * TT_UNIT + offset) & (size - 1);
	const size_t straight = tt_min_size(n, size - start);
	int npieces = 0;

	if (straight > 0)
		pieces[npieces++] = (struct iovec){aside->memory + start, straight};
	if (n > straight)
		pieces[npieces++] = (struct iovec){aside->memory, n - straight};
	return npieces;
}

uint32_t
tt_aside_units(unsigned kind, uint64_t bytes)
{
	return kind == TT_FRAME_EAGER ? 1 + (uint32_t)((bytes + TT_UNIT - 1) / TT_UNIT) : 1;
}

bool
tt_aside_put(struct tt_aside *aside, const struct tt_frame *frame)
{
	const uint32_t need = tt_aside_units(frame->kind, frame->size);
	struct tt_aside_head *head;

	if (need > aside->units - (aside->last - aside->first))
		return false;
	head = head_at(aside, aside->last);
	head->bytes = frame->size;
	head->kind = frame->kind;
	head->kept = frame->kind == TT_FRAME_EAGER ? (uint32_t)frame->size : 0;
	memcpy(head->mark, frame->mark, sizeof(head->mark));
	aside->newest = aside->last;
	aside->missing = head->kept;
	aside->last += need;
	return true;
}

int
tt_aside_where(const struct tt_aside *aside, struct iovec pieces[2])
{
	return pieces_of(
	    aside, aside->newest, head_at(aside, aside->newest)->kept - aside->missing, aside->missing, pieces);
}

void
tt_aside_filled(struct tt_aside *aside, size_t n)
{
	aside->missing -= (uint32_t)n;
}

const struct tt_aside_head *
tt_aside_front(const struct tt_aside *aside, struct iovec pieces[2], int *npieces)
{
	const struct tt_aside_head *head;

	if (aside->first == aside->last || (aside->first == aside->newest && aside->missing > 0))
		return NULL;
	head = head_at(aside, aside->first);
	*npieces = pieces_of(aside, aside->first, 0, head->kept, pieces);
	return head;
}

uint32_t
tt_aside_drop(struct tt_aside *aside)
{
	const struct tt_aside_head *head = head_at(aside, aside->first);
	const uint32_t units = tt_aside_units(head->kind, head->bytes);

	aside->first += units;
	if (aside->first ==
	    aside->last) /* what has been used lately is in a cache, and what never is takes no memory */
		aside->first = aside->last = 0;
	return units;
}

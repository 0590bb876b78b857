/* SPDX-License-Identifier: Apache-2.0
 *
 * p2p_match.c - which send meets which receive.
 *
 * The rule: among the receives that fit a message, the one that was started first gets it; among the messages that
 * fit a receive, the one that arrived first is taken. Stamps order what is in different lists.
 */
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "engine/p2p_peer.h"

#define BLOCK_ENVELOPES 64

struct tt_p2p_block {
	struct tt_p2p_block *next;
	struct tt_p2p_early early[BLOCK_ENVELOPES];
};

/* ---- messages that came early ----------------------------------------------------------------------------------- */

static struct tt_p2p_early *
get_early(struct tt_p2p *p2p)
{
	struct tt_p2p_early *early;
	void *memory;

	if (p2p->free_early == NULL) {
		struct tt_p2p_block *block;

		if (tt_alloc(1, sizeof(*block), "messages without a receive", &memory) != TUTTI_OK)
			return NULL;
		block = memory;
		block->next = p2p->blocks;
		p2p->blocks = block;
		for (int i = 0; i < BLOCK_ENVELOPES; i++) {
			block->early[i].next = p2p->free_early;
			p2p->free_early = &block->early[i];
		}
	}
	early = p2p->free_early;
	p2p->free_early = early->next;
	early->next = NULL;
	return early;
}

static void
put_early(struct tt_p2p *p2p, struct tt_p2p_early *early)
{
	tt_free(early->data);
	early->data = NULL;
	early->next = p2p->free_early;
	p2p->free_early = early;
}

void
tt_p2p_free_early(struct tt_p2p *p2p)
{
	while (p2p->blocks != NULL) {
		struct tt_p2p_block *next = p2p->blocks->next;

		for (int i = 0; i < BLOCK_ENVELOPES; i++)
			tt_free(p2p->blocks->early[i].data);
		tt_free(p2p->blocks);
		p2p->blocks = next;
	}
}

/* The next short body of the peer goes to the operation, or else aside. */
static void
fetch(struct tt_p2p *p2p, int from, struct tt_p2p_fetch *fetch, struct tt_p2p_op *op, struct tt_p2p_early *early,
    size_t bytes)
{
	struct tt_p2p_peer *peer = &p2p->peers[from];

	fetch->next = NULL;
	fetch->op = op;
	fetch->early = early;
	fetch->posted = false;
	fetch->piece = (struct iovec){early != NULL ? early->data : op->buffer, bytes};
	if (peer->fetches == NULL)
		peer->fetches = fetch;
	else
		peer->fetch_last->next = fetch;
	peer->fetch_last = fetch;
}

static void
set_aside(struct tt_p2p *p2p, int from, const struct tt_p2p_envelope *envelope)
{
	struct tt_p2p_peer *peer = &p2p->peers[from];
	struct tt_p2p_early *early = get_early(p2p);
	void *memory = NULL;

	if (early == NULL) {
		tt_p2p_fail(p2p, TUTTI_ERR_NOMEM, -1);
		return;
	}
	early->stamp = ++p2p->stamps;
	early->envelope = *envelope;
	early->here = true;
	if (tt_p2p_body_follows(envelope->kind, envelope->bytes)) {
		if (tt_alloc(1, (size_t)envelope->bytes, "a message without a receive", &memory) != TUTTI_OK) {
			put_early(p2p, early);
			tt_p2p_fail(p2p, TUTTI_ERR_NOMEM, -1);
			return;
		}
		early->data = memory;
		early->here = false;
		fetch(p2p, from, &early->fetch, NULL, early, (size_t)envelope->bytes);
	}
	if (peer->early == NULL)
		peer->early = early;
	else
		peer->early_last->next = early;
	peer->early_last = early;
}

/* The first with that tag; *before is the one before it. */
static struct tt_p2p_early *
find_early(const struct tt_p2p_peer *peer, int tag, struct tt_p2p_early **before)
{
	struct tt_p2p_early *early = peer->early;

	*before = NULL;
	while (early != NULL && early->envelope.tag != tag) {
		*before = early;
		early = early->next;
	}
	return early;
}

static void
remove_early(struct tt_p2p_peer *peer, struct tt_p2p_early *before, struct tt_p2p_early *early)
{
	if (before == NULL)
		peer->early = early->next;
	else
		before->next = early->next;
	if (peer->early_last == early)
		peer->early_last = before;
	early->next = NULL;
}

/* ---- receives and own sends ------------------------------------------------------------------------------------- */

static struct tt_p2p_op *
find_tag(const struct tt_p2p_list *list, int tag, struct tt_p2p_op **before)
{
	struct tt_p2p_op *op = list->first;

	*before = NULL;
	while (op != NULL && op->tag != tag) {
		*before = op;
		op = op->next;
	}
	return op;
}

/* Takes the receive that a message of the peer belongs to out of its list; NULL: there is none. */
static struct tt_p2p_op *
take_wanted(struct tt_p2p *p2p, int from, int tag)
{
	struct tt_p2p_peer *peer = &p2p->peers[from];
	struct tt_p2p_op *before, *any_before;
	struct tt_p2p_op *op = find_tag(&peer->wanted, tag, &before);
	struct tt_p2p_op *any = find_tag(&p2p->any, tag, &any_before);

	if (any != NULL && (op == NULL || any->stamp < op->stamp)) {
		tt_p2p_list_remove(&p2p->any, any_before, any);
		peer->nops++; /* named from now on */
		return any;
	}
	if (op != NULL)
		tt_p2p_list_remove(&peer->wanted, before, op);
	return op;
}

static bool
agree(struct tt_p2p *p2p, int from, const struct tt_p2p_what *sent, size_t bytes, const struct tt_p2p_op *op)
{
	if (sent->count == op->count && sent->dtype == op->dtype && bytes == op->bytes)
		return true;
	tt_p2p_fail(p2p, TUTTI_ERR_MISMATCH, from);
	p2p->fault.sent = *sent;
	p2p->fault.wanted = (struct tt_p2p_what){op->count, op->tag, op->dtype};
	return false;
}

/* A short message is where it belongs. */
static void
taken(struct tt_p2p *p2p, int from, struct tt_p2p_op *op)
{
	struct tt_p2p_peer *peer = &p2p->peers[from];

	peer->taken++;
	if (op->kind == TT_P2P_EAGER_ASKS) {
		tt_p2p_list_add(&peer->to_thank, op);
		tt_p2p_mark_busy(p2p, from);
		return;
	}
	peer->nops--;
	tt_p2p_end(p2p, op);
}

void
tt_p2p_fetched(struct tt_p2p *p2p, int from, struct tt_p2p_fetch *done)
{
	struct tt_p2p_early *early = done->early;
	struct tt_p2p_op *op = done->op;

	if (early != NULL)
		early->here = true;
	if (op == NULL)
		return;
	if (early != NULL) {
		memcpy(op->buffer, early->data, op->bytes);
		put_early(p2p, early);
	}
	taken(p2p, from, op);
}

/* The message is the receive's, which is in no list. early: it was set aside there, and is in no list either. */
static void
deliver(struct tt_p2p *p2p, int from, const struct tt_p2p_envelope *envelope, struct tt_p2p_early *early,
    struct tt_p2p_op *op)
{
	const struct tt_p2p_what sent = {envelope->count, envelope->tag, envelope->dtype};
	struct tt_p2p_peer *peer = &p2p->peers[from];

	op->with = from;
	if (!agree(p2p, from, &sent, envelope->bytes, op))
		return;
	op->id = envelope->id;
	op->kind = envelope->kind;
	if (tt_p2p_body_follows(op->kind, op->bytes)) {
		tt_p2p_mark_busy(p2p, from);
		if (early == NULL)
			fetch(p2p, from, &op->fetch, op, NULL, op->bytes);
		else
			early->fetch.op = op;
		if (early != NULL && early->here)
			tt_p2p_fetched(p2p, from, &early->fetch);
		return;
	}
	if (op->kind == TT_P2P_HEAD) {
		tt_p2p_list_add(&peer->to_grant, op);
		tt_p2p_mark_busy(p2p, from);
	} else {
		if (op->bytes > 0)
			memcpy(op->buffer, envelope->data, op->bytes);
		taken(p2p, from, op);
	}
	if (early != NULL)
		put_early(p2p, early);
}

/* Both are in no list; nothing is counted for a message to oneself. */
static void
deliver_own(struct tt_p2p *p2p, struct tt_p2p_op *send, struct tt_p2p_op *op)
{
	const struct tt_p2p_what sent = {send->count, send->tag, send->dtype};

	op->with = p2p->rank;
	if (!agree(p2p, p2p->rank, &sent, send->bytes, op))
		return;
	if (op->bytes > 0)
		memmove(op->buffer, send->buffer, op->bytes);
	p2p->peers[p2p->rank].nops--;
	tt_p2p_end(p2p, send);
	tt_p2p_end(p2p, op);
}

void
tt_p2p_arrive(struct tt_p2p *p2p, int from, const struct tt_p2p_envelope *envelope)
{
	struct tt_p2p_op *op;

	if (envelope->kind < TT_P2P_EAGER || envelope->kind > TT_P2P_HEAD || envelope->tag < 0 ||
	    (envelope->kind != TT_P2P_HEAD && envelope->bytes > TT_P2P_EARLY_BYTES)) {
		tt_p2p_fail(p2p, TUTTI_ERR_INTERNAL, from);
		return;
	}
	tt_p2p_confirm(p2p, from, envelope->taken);
	op = take_wanted(p2p, from, envelope->tag);
	if (op != NULL)
		deliver(p2p, from, envelope, NULL, op);
	else
		set_aside(p2p, from, envelope);
}

void
tt_p2p_send_own(struct tt_p2p *p2p, struct tt_p2p_op *op)
{
	struct tt_p2p_op *receive = take_wanted(p2p, p2p->rank, op->tag);

	if (receive != NULL)
		deliver_own(p2p, op, receive);
	else
		tt_p2p_list_add(&p2p->own, op);
}

/* Takes the earliest message that is here for a receive; false: there is none. */
static bool
take_here(struct tt_p2p *p2p, struct tt_p2p_op *op)
{
	const int first = op->peer == TUTTI_ANY_PEER ? 0 : op->peer;
	const int last = op->peer == TUTTI_ANY_PEER ? p2p->nranks - 1 : op->peer;
	struct tt_p2p_early *best = NULL, *best_before = NULL;
	struct tt_p2p_op *own_before, *own = NULL;
	int from = -1;

	for (int r = first; r <= last; r++) {
		struct tt_p2p_early *before, *early = find_early(&p2p->peers[r], op->tag, &before);

		if (early == NULL || (best != NULL && best->stamp < early->stamp))
			continue;
		best = early;
		best_before = before;
		from = r;
	}
	if (first <= p2p->rank && p2p->rank <= last)
		own = find_tag(&p2p->own, op->tag, &own_before);
	if (own != NULL && (best == NULL || own->stamp < best->stamp)) {
		tt_p2p_list_remove(&p2p->own, own_before, own);
		p2p->peers[p2p->rank].nops++;
		deliver_own(p2p, own, op);
		return true;
	}
	if (best == NULL)
		return false;
	p2p->peers[from].nops++;
	remove_early(&p2p->peers[from], best_before, best);
	deliver(p2p, from, &best->envelope, best, op);
	return true;
}

void
tt_p2p_want(struct tt_p2p *p2p, struct tt_p2p_op *op)
{
	if (take_here(p2p, op))
		return;
	if (op->peer == TUTTI_ANY_PEER) {
		tt_p2p_list_add(&p2p->any, op);
		for (int r = 0; r < p2p->nranks; r++)
			tt_p2p_mark_busy(p2p, r);
		return;
	}
	tt_p2p_list_add(&p2p->peers[op->peer].wanted, op);
	p2p->peers[op->peer].nops++;
	tt_p2p_mark_busy(p2p, op->peer);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * p2p_flow.c - what goes over the links for sends and receives: posting, and noticing what has ended.
 *
 * Every list here is a queue in the order of its lane, so looking at its first operation is enough. How short
 * messages stay bounded at their receiver: no more than TT_P2P_EAGER_MOST may be under way without news that they were
 * taken; that news rides on envelopes of the other direction, and on a reply which every so many messages one of
 * them asks for. Who has no credit left announces the message as if it were long.
 */
#include <string.h>

#include "base/error.h"
#include "engine/p2p_peer.h"

#define ASK_AT (TT_P2P_EAGER_MOST / 2) /* so many are under way: the next one asks */
#define ARRIVALS_MOST 256 /* taken from one peer in one turn */

/* What the transport compares: nothing, the lanes are ours. */
static const unsigned char mark[TUTTI_MARK_BYTES] = {0xff, 'p', '2', 'p'};

/* ---- posting ----------------------------------------------------------------------------------------------------- */

static void
fill_transfer(const struct tt_p2p *p2p, tutti_transfer *transfer, struct iovec *piece, enum tt_p2p_lane lane)
{
	*transfer = (tutti_transfer){.parts = piece,
	    .nparts = piece->iov_len > 0,
	    .lane = p2p->first_lane + (uint32_t)lane,
	    .bytes = piece->iov_len,
	    .mark = mark,
	    .grain = 1,
	    .status = TUTTI_IN_PROGRESS};
}

/* A link that a collective's mismatch has ended is that collective's to report. */
static void
link_failed(struct tt_p2p *p2p, tutti_status status, int peer)
{
	if (status != TUTTI_ERR_MISMATCH)
		tt_p2p_fail(p2p, status, peer);
}

/* True: the transport has taken it. */
static bool
post(struct tt_p2p *p2p, int to, tutti_transfer *transfer, bool receive)
{
	const tutti_status status =
	    receive ? tt_ports_recv(p2p->ports, to, transfer) : tt_ports_send(p2p->ports, to, transfer);

	if (status == TUTTI_OK)
		return true;
	if (status != TUTTI_IN_PROGRESS)
		link_failed(p2p, status, to);
	return false;
}

/* True: it has ended well. */
static bool
ended(struct tt_p2p *p2p, int with, const tutti_transfer *transfer)
{
	if (TT_UNLIKELY(transfer->status != TUTTI_OK && transfer->status != TUTTI_IN_PROGRESS))
		link_failed(p2p, transfer->status, with);
	return transfer->status == TUTTI_OK;
}

/* True: a message is there. Once it has been used, the next call receives the next one. */
static bool
slot_take(struct tt_p2p *p2p, int from, struct tt_p2p_slot *slot, enum tt_p2p_lane lane, void *room, size_t bytes,
    bool passive)
{
	if (!slot->posted && !slot->closed) {
		tutti_status status;

		slot->piece = (struct iovec){room, bytes};
		fill_transfer(p2p, &slot->transfer, &slot->piece, lane);
		slot->transfer.passive = passive;
		status = tt_ports_recv(p2p->ports, from, &slot->transfer);
		if (status == TUTTI_IN_PROGRESS)
			return false;
		if (status != TUTTI_OK)
			slot->transfer.status = status;
		slot->posted = true;
	}
	if (slot->transfer.status == TUTTI_IN_PROGRESS)
		return false;
	slot->posted = false;
	slot->closed = slot->transfer.status != TUTTI_OK;
	return !slot->closed;
}

/* ---- sends --------------------------------------------------------------------------------------------------------- */

void
tt_p2p_confirm(struct tt_p2p *p2p, int from, uint32_t taken)
{
	struct tt_p2p_peer *peer = &p2p->peers[from];

	/* News may overtake each other: what is older than what we know looks like far too many. */
	if (taken - peer->eager_taken <= peer->eager_out - peer->eager_taken)
		peer->eager_taken = taken;
}

static enum tt_p2p_kind
kind_for(const struct tt_p2p_peer *peer, const struct tt_p2p_op *op)
{
	const uint32_t under_way = peer->eager_out - peer->eager_taken;

	if (op->body_posted)
		return (enum tt_p2p_kind)op->kind;
	if (op->bytes > TT_P2P_EARLY_BYTES || under_way >= TT_P2P_EAGER_MOST)
		return TT_P2P_HEAD;
	return under_way >= ASK_AT && !peer->asking ? TT_P2P_EAGER_ASKS : TT_P2P_EAGER;
}

static void
fill_envelope(const struct tt_p2p *p2p, const struct tt_p2p_peer *peer, struct tt_p2p_op *op, enum tt_p2p_kind kind)
{
	struct tt_p2p_envelope *envelope = &op->wire.envelope;

	envelope->id = op->id = peer->last_id + 1;
	envelope->count = op->count;
	envelope->bytes = op->bytes;
	envelope->tag = op->tag;
	envelope->taken = peer->taken;
	envelope->kind = (uint8_t)kind;
	envelope->dtype = op->dtype;
	if (kind != TT_P2P_HEAD && op->bytes > 0 && op->bytes <= TT_P2P_INLINE)
		memcpy(envelope->data, op->buffer, op->bytes);
	op->head_piece = (struct iovec){envelope, sizeof(*envelope)};
	fill_transfer(p2p, &op->head, &op->head_piece, TT_P2P_ENVELOPES);
}

/* True: the short body is posted, or there is none. Only then the envelope goes, so that none is ever alone. */
static bool
post_short_body(struct tt_p2p *p2p, int to, struct tt_p2p_op *op, enum tt_p2p_kind kind)
{
	if (op->body_posted || !tt_p2p_body_follows((uint8_t)kind, op->bytes))
		return true;
	op->piece = (struct iovec){op->buffer, op->bytes};
	fill_transfer(p2p, &op->body, &op->piece, TT_P2P_SHORT_BODIES);
	op->kind = (uint8_t)kind;
	op->body_posted = post(p2p, to, &op->body, false);
	return op->body_posted;
}

static int
announce(struct tt_p2p *p2p, int to)
{
	struct tt_p2p_peer *peer = &p2p->peers[to];
	struct tt_p2p_op *op;
	int moved = 0;

	while ((op = peer->to_announce.first) != NULL) {
		const enum tt_p2p_kind kind = kind_for(peer, op);

		if (kind == TT_P2P_HEAD && peer->heads_out == TT_P2P_HEADS_MOST)
			break;
		if (!post_short_body(p2p, to, op, kind))
			break;
		fill_envelope(p2p, peer, op, kind);
		if (!post(p2p, to, &op->head, false))
			break;
		peer->last_id++;
		peer->eager_out += kind != TT_P2P_HEAD;
		peer->heads_out += kind == TT_P2P_HEAD;
		peer->asking = peer->asking || kind == TT_P2P_EAGER_ASKS;
		peer->replies_due += kind != TT_P2P_EAGER;
		tt_p2p_list_add(&peer->announced, tt_p2p_list_pop(&peer->to_announce));
		moved++;
	}
	while ((op = peer->announced.first) != NULL && ended(p2p, to, &op->head) && ended(p2p, to, &op->body)) {
		(void)tt_p2p_list_pop(&peer->announced);
		if (op->wire.envelope.kind == TT_P2P_EAGER) {
			peer->nops--;
			tt_p2p_end(p2p, op);
		} else {
			tt_p2p_list_add(&peer->awaiting, op);
		}
		moved++;
	}
	return moved;
}

static struct tt_p2p_op *
take_id(struct tt_p2p_list *list, uint64_t id)
{
	struct tt_p2p_op *before = NULL, *op = list->first;

	while (op != NULL && op->id != id) {
		before = op;
		op = op->next;
	}
	if (op != NULL)
		tt_p2p_list_remove(list, before, op);
	return op;
}

static void
take_reply(struct tt_p2p *p2p, int from)
{
	struct tt_p2p_peer *peer = &p2p->peers[from];
	struct tt_p2p_op *op = take_id(&peer->awaiting, peer->reply.id);

	if (op == NULL) /* answered before our side of its envelope was done with */
		op = take_id(&peer->announced, peer->reply.id);
	if (op == NULL) {
		tt_p2p_fail(p2p, TUTTI_ERR_INTERNAL, from);
		return;
	}
	peer->replies_due--;
	tt_p2p_confirm(p2p, from, peer->reply.taken);
	if (op->wire.envelope.kind == TT_P2P_HEAD) {
		peer->heads_out--;
		tt_p2p_list_add(&peer->to_pay, op);
		return;
	}
	peer->asking = false;
	if (op->head.status != TUTTI_OK || op->body.status != TUTTI_OK) {
		tt_p2p_list_add(&peer->paid, op);
		return;
	}
	peer->nops--;
	tt_p2p_end(p2p, op);
}

static int
take_replies(struct tt_p2p *p2p, int from)
{
	struct tt_p2p_peer *peer = &p2p->peers[from];
	int moved = 0;

	while (peer->replies_due > 0 && p2p->fault.status == TUTTI_OK &&
	       slot_take(p2p, from, &peer->reply_in, TT_P2P_REPLIES, &peer->reply, sizeof(peer->reply), false)) {
		take_reply(p2p, from);
		moved++;
	}
	if (TT_UNLIKELY(peer->reply_in.closed && peer->replies_due > 0))
		link_failed(p2p, peer->reply_in.transfer.status, from);
	return moved;
}

static int
pay(struct tt_p2p *p2p, int to)
{
	struct tt_p2p_peer *peer = &p2p->peers[to];
	struct tt_p2p_op *op;
	int moved = 0;

	while ((op = peer->to_pay.first) != NULL && ended(p2p, to, &op->head)) {
		op->piece = (struct iovec){op->buffer, op->bytes};
		fill_transfer(p2p, &op->body, &op->piece, TT_P2P_BODIES);
		if (!post(p2p, to, &op->body, false))
			break;
		tt_p2p_list_add(&peer->paid, tt_p2p_list_pop(&peer->to_pay));
		moved++;
	}
	while ((op = peer->paid.first) != NULL && ended(p2p, to, &op->head) && ended(p2p, to, &op->body)) {
		(void)tt_p2p_list_pop(&peer->paid);
		peer->nops--;
		tt_p2p_end(p2p, op);
		moved++;
	}
	return moved;
}

/* ---- receives ------------------------------------------------------------------------------------------------------ */

static int
take_envelopes(struct tt_p2p *p2p, int from)
{
	struct tt_p2p_peer *peer = &p2p->peers[from];
	int moved = 0;

	while ((peer->wanted.first != NULL || p2p->any.first != NULL) && moved < ARRIVALS_MOST &&
	       p2p->fault.status == TUTTI_OK &&
	       slot_take(p2p, from, &peer->envelope_in, TT_P2P_ENVELOPES, &peer->envelope, sizeof(peer->envelope),
		   peer->wanted.first == NULL)) {
		tt_p2p_arrive(p2p, from, &peer->envelope);
		moved++;
	}
	if (TT_UNLIKELY(peer->envelope_in.closed && peer->wanted.first != NULL))
		link_failed(p2p, peer->envelope_in.transfer.status, from);
	return moved;
}

static int
take_short_bodies(struct tt_p2p *p2p, int from)
{
	struct tt_p2p_peer *peer = &p2p->peers[from];
	struct tt_p2p_fetch *fetch;
	int moved = 0;

	for (fetch = peer->fetches; fetch != NULL; fetch = fetch->next) {
		if (fetch->posted)
			continue;
		fill_transfer(p2p, &fetch->transfer, &fetch->piece, TT_P2P_SHORT_BODIES);
		fetch->posted = post(p2p, from, &fetch->transfer, true);
		if (!fetch->posted)
			break;
	}
	while ((fetch = peer->fetches) != NULL && fetch->posted && ended(p2p, from, &fetch->transfer)) {
		peer->fetches = fetch->next;
		tt_p2p_fetched(p2p, from, fetch);
		moved++;
	}
	return moved;
}

static bool
post_reply(struct tt_p2p *p2p, int to, struct tt_p2p_op *op)
{
	op->wire.reply = (struct tt_p2p_reply){.id = op->id, .taken = p2p->peers[to].taken};
	op->head_piece = (struct iovec){&op->wire.reply, sizeof(op->wire.reply)};
	fill_transfer(p2p, &op->head, &op->head_piece, TT_P2P_REPLIES);
	return post(p2p, to, &op->head, false);
}

static int
grant(struct tt_p2p *p2p, int to)
{
	struct tt_p2p_peer *peer = &p2p->peers[to];
	struct tt_p2p_op *op;
	int moved = 0;

	while ((op = peer->to_grant.first) != NULL) {
		if (!op->body_posted) {
			op->piece = (struct iovec){op->buffer, op->bytes};
			fill_transfer(p2p, &op->body, &op->piece, TT_P2P_BODIES);
			op->body_posted = post(p2p, to, &op->body, true);
		}
		if (!op->body_posted || !post_reply(p2p, to, op))
			break;
		tt_p2p_list_add(&peer->granted, tt_p2p_list_pop(&peer->to_grant));
		moved++;
	}
	while ((op = peer->granted.first) != NULL && ended(p2p, to, &op->body) && ended(p2p, to, &op->head)) {
		(void)tt_p2p_list_pop(&peer->granted);
		peer->nops--;
		tt_p2p_end(p2p, op);
		moved++;
	}
	return moved;
}

static int
thank(struct tt_p2p *p2p, int to)
{
	struct tt_p2p_peer *peer = &p2p->peers[to];
	struct tt_p2p_op *op;
	int moved = 0;

	while ((op = peer->to_thank.first) != NULL && post_reply(p2p, to, op)) {
		tt_p2p_list_add(&peer->thanked, tt_p2p_list_pop(&peer->to_thank));
		moved++;
	}
	while ((op = peer->thanked.first) != NULL && ended(p2p, to, &op->head)) {
		(void)tt_p2p_list_pop(&peer->thanked);
		peer->nops--;
		tt_p2p_end(p2p, op);
		moved++;
	}
	return moved;
}

int
tt_p2p_flow(struct tt_p2p *p2p, int peer)
{
	int moved = take_replies(p2p, peer);

	moved += take_envelopes(p2p, peer);
	moved += take_short_bodies(p2p, peer);
	moved += thank(p2p, peer);
	moved += grant(p2p, peer);
	moved += announce(p2p, peer);
	moved += pay(p2p, peer);
	return moved;
}

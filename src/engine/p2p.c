/* SPDX-License-Identifier: Apache-2.0
 *
 * p2p.c - the life of a send or receive; p2p_match.c says which meet, p2p_flow.c moves them.
 *
 *	sender                        receiver                          lane
 *	  envelope {tag, count, ...} ──►  matched, or set aside         0    up to TT_P2P_INLINE bytes: that was all
 *	                  short body ──►  straight, or set aside        3    up to TT_P2P_EARLY_BYTES: and that
 *	                   reply {id} ◄──  matched: body is posted       1
 *	                         body ──►  straight into the buffer      2
 *
 * The rule that keeps it correct: short bodies follow in the order of their envelopes; long ones are sent in the order in which replies came in, which is the order in which
 * the receiver has posted receives for them, so the position on the lane is all the matching they need. Envelopes
 * are only taken from a peer while a receive waits that could match one, and replies only as many as are due: what
 * nobody waits for stays in the transport, whose back-pressure holds the sender.
 */
#include "engine/p2p_peer.h"

#include <assert.h>

#include "base/error.h"
#include "base/memory.h"

tutti_status
tt_p2p_create(struct tt_ports *ports, uint32_t first_lane, struct tt_p2p **p2p)
{
	struct tt_p2p *made;
	void *memory;

	TT_TRY(tt_alloc(1, sizeof(*made), "the state of sends and receives", &memory));
	made = memory;
	made->ports = ports;
	made->first_lane = first_lane;
	made->rank = ports->rank;
	made->nranks = ports->nranks;
	*p2p = made;
	return TUTTI_OK;
}

void
tt_p2p_destroy(struct tt_p2p *p2p)
{
	if (p2p == NULL)
		return;
	tt_p2p_free_early(p2p);
	tt_free(p2p->peers);
	tt_free(p2p->busy);
	tt_free(p2p);
}

tutti_status
tt_p2p_open(struct tt_p2p *p2p)
{
	void *peers, *busy;
	tutti_status status;

	if (p2p->peers != NULL)
		return TUTTI_OK;
	TT_TRY(tt_alloc((size_t)p2p->nranks, sizeof(struct tt_p2p_peer), "the peers of sends and receives", &peers));
	status = tt_alloc((size_t)p2p->nranks, sizeof(int), "the busy peers", &busy);
	if (status != TUTTI_OK) {
		tt_free(peers);
		return status;
	}
	p2p->peers = peers;
	p2p->busy = busy;
	for (int r = 0; r < p2p->nranks; r++)
		p2p->peers[r].busy_at = -1;
	return TUTTI_OK;
}

/* ---- lists ---------------------------------------------------------------------------------------------------- */

void
tt_p2p_list_add(struct tt_p2p_list *list, struct tt_p2p_op *op)
{
	op->next = NULL;
	if (list->first == NULL)
		list->first = op;
	else
		list->last->next = op;
	list->last = op;
}

void
tt_p2p_list_remove(struct tt_p2p_list *list, struct tt_p2p_op *before, struct tt_p2p_op *op)
{
	if (before == NULL)
		list->first = op->next;
	else
		before->next = op->next;
	if (list->last == op)
		list->last = before;
	op->next = NULL;
}

struct tt_p2p_op *
tt_p2p_list_pop(struct tt_p2p_list *list)
{
	struct tt_p2p_op *op = list->first;

	tt_p2p_list_remove(list, NULL, op);
	return op;
}

/* ---- beginning and end ------------------------------------------------------------------------------------------ */

void
tt_p2p_mark_busy(struct tt_p2p *p2p, int peer)
{
	if (peer == p2p->rank || p2p->peers[peer].busy_at >= 0)
		return;
	p2p->peers[peer].busy_at = p2p->nbusy;
	p2p->busy[p2p->nbusy++] = peer;
}

static void
mark_idle(struct tt_p2p *p2p, int peer)
{
	const int last = p2p->busy[--p2p->nbusy], at = p2p->peers[peer].busy_at;

	p2p->busy[at] = last;
	p2p->peers[last].busy_at = at;
	p2p->peers[peer].busy_at = -1;
}

void
tt_p2p_start(struct tt_p2p *p2p, struct tt_p2p_op *op)
{
	assert(p2p->peers != NULL);
	op->stamp = ++p2p->stamps;
	op->with = op->peer == TUTTI_ANY_PEER ? -1 : op->peer;
	if (op->receives) {
		tt_p2p_want(p2p, op);
	} else if (op->peer == p2p->rank) {
		tt_p2p_send_own(p2p, op);
	} else {
		tt_p2p_list_add(&p2p->peers[op->peer].to_announce, op);
		p2p->peers[op->peer].nops++;
		tt_p2p_mark_busy(p2p, op->peer);
	}
}

void
tt_p2p_end(struct tt_p2p *p2p, struct tt_p2p_op *op)
{
	tt_p2p_list_add(&p2p->ended, op);
}

void
tt_p2p_fail(struct tt_p2p *p2p, tutti_status status, int peer)
{
	if (p2p->fault.status != TUTTI_OK)
		return;
	p2p->fault.status = status;
	p2p->fault.peer = peer;
}

int
tt_p2p_advance(struct tt_p2p *p2p)
{
	int moved = p2p->ended.first != NULL;

	for (int i = 0; i < p2p->nbusy && p2p->fault.status == TUTTI_OK;) {
		const int peer = p2p->busy[i];

		moved += tt_p2p_flow(p2p, peer);
		if (p2p->peers[peer].nops == 0 && p2p->any.first == NULL)
			mark_idle(p2p, peer);
		else
			i++;
	}
	return moved;
}

struct tt_p2p_op *
tt_p2p_take_ended(struct tt_p2p *p2p)
{
	return p2p->ended.first != NULL ? tt_p2p_list_pop(&p2p->ended) : NULL;
}

const struct tt_p2p_fault *
tt_p2p_fault(const struct tt_p2p *p2p)
{
	return &p2p->fault;
}

void
tt_p2p_drop(struct tt_p2p *p2p)
{
	static const struct tt_p2p_list none;

	for (int r = 0; p2p->peers != NULL && r < p2p->nranks; r++) {
		struct tt_p2p_peer *peer = &p2p->peers[r];

		peer->to_announce = peer->announced = peer->awaiting = peer->to_pay = peer->paid = none;
		peer->wanted = peer->to_grant = peer->granted = peer->to_thank = peer->thanked = none;
		peer->fetches = peer->fetch_last = NULL;
		peer->nops = 0;
		peer->busy_at = -1;
	}
	p2p->any = p2p->own = p2p->ended = none;
	p2p->nbusy = 0;
}

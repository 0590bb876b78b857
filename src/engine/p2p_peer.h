/* SPDX-License-Identifier: Apache-2.0
 *
 * p2p_peer.h - what the files of p2p share: the state of each peer, and the lists in which operations wait.
 */
#ifndef TT_ENGINE_P2P_PEER_H
#define TT_ENGINE_P2P_PEER_H

#include "engine/p2p.h"

enum tt_p2p_kind {
	TT_P2P_EAGER = 1, /* the data is in the envelope, or follows it; no reply */
	TT_P2P_EAGER_ASKS, /* the same, and a reply says that it was taken */
	TT_P2P_HEAD /* the reply asks for the data */
};

enum tt_p2p_lane { TT_P2P_ENVELOPES, TT_P2P_REPLIES, TT_P2P_BODIES, TT_P2P_SHORT_BODIES };

struct tt_p2p_list {
	struct tt_p2p_op *first, *last;
};

/* An envelope that came before its receive. */
struct tt_p2p_early {
	struct tt_p2p_early *next;
	uint64_t stamp; /* order of arrival over all peers */
	struct tt_p2p_envelope envelope;
	unsigned char *data; /* of a body that follows, else NULL; owned */
	bool here; /* all of it */
	struct tt_p2p_fetch fetch;
};

/* One message that is always being received, from the first interest on. */
struct tt_p2p_slot {
	bool posted;
	bool closed; /* the link is dead: nothing more will come */
	struct iovec piece;
	tutti_transfer transfer;
};

struct tt_p2p_peer {
	int busy_at; /* in p2p->busy, -1 = not there */
	uint32_t nops; /* operations that are in the lists below */
	/* sends, in the order of their stages */
	struct tt_p2p_list to_announce, announced; /* envelope to be posted; posted, and not out */
	struct tt_p2p_list awaiting; /* a reply */
	struct tt_p2p_list to_pay, paid; /* payload to be posted, in the order of the replies; posted */
	uint32_t eager_out, eager_taken; /* short messages posted, and known to be taken, in total */
	bool asking; /* one of them waits for a reply */
	uint32_t heads_out; /* longer ones announced and not replied to */
	uint32_t replies_due;
	uint64_t last_id;
	struct tt_p2p_slot reply_in;
	struct tt_p2p_reply reply;
	/* receives */
	struct tt_p2p_list wanted; /* that name this peer and have no message yet */
	struct tt_p2p_list to_grant, granted; /* body and reply to be posted; posted */
	struct tt_p2p_list to_thank, thanked; /* reply only */
	struct tt_p2p_early *early, *early_last;
	struct tt_p2p_fetch *fetches, *fetch_last;
	uint32_t taken; /* short messages of the peer taken here, in total */
	struct tt_p2p_slot envelope_in;
	struct tt_p2p_envelope envelope;
};

struct tt_p2p {
	struct tt_ports *ports;
	uint32_t first_lane;
	int rank, nranks;
	uint64_t stamps;
	struct tt_p2p_fault fault;
	struct tt_p2p_peer *peers; /* NULL until the first use; owned */
	int *busy; /* peers with something to do; owned */
	int nbusy;
	struct tt_p2p_list any; /* receives from any peer that have no message yet */
	struct tt_p2p_list own; /* sends to this rank itself that have no receive yet */
	struct tt_p2p_list ended;
	struct tt_p2p_early *free_early;
	struct tt_p2p_block *blocks; /* that the early ones come from; owned */
};

/* ---- p2p.c */
void tt_p2p_list_add(struct tt_p2p_list *list, struct tt_p2p_op *op);
struct tt_p2p_op *tt_p2p_list_pop(struct tt_p2p_list *list);
/* before: the one before it in the list, NULL = it is the first. */
void tt_p2p_list_remove(struct tt_p2p_list *list, struct tt_p2p_op *before, struct tt_p2p_op *op);
/* The operation is in no list any more, and has ended well. */
void tt_p2p_end(struct tt_p2p *p2p, struct tt_p2p_op *op);
/* The first fault is kept. */
void tt_p2p_fail(struct tt_p2p *p2p, tutti_status status, int peer);
void tt_p2p_mark_busy(struct tt_p2p *p2p, int peer);

/* ---- p2p_match.c: who gets what */
/* A receive that was just started: takes a message that is here, or waits for one. */
void tt_p2p_want(struct tt_p2p *p2p, struct tt_p2p_op *op);
/* A send to this rank itself. */
void tt_p2p_send_own(struct tt_p2p *p2p, struct tt_p2p_op *op);
/* The message whose body was fetched is whole. */
void tt_p2p_fetched(struct tt_p2p *p2p, int peer, struct tt_p2p_fetch *fetch);
/* The peer's envelope has arrived. */
void tt_p2p_arrive(struct tt_p2p *p2p, int peer, const struct tt_p2p_envelope *envelope);
void tt_p2p_free_early(struct tt_p2p *p2p);

/* ---- p2p_flow.c: what goes over the links */
/* Returns how much happened. */
int tt_p2p_flow(struct tt_p2p *p2p, int peer);
/* Does the body of a message follow its envelope without being asked for? */
static inline bool
tt_p2p_body_follows(uint8_t kind, uint64_t bytes)
{
	return kind != TT_P2P_HEAD && bytes > TT_P2P_INLINE;
}
/* The peer says how many short messages it has taken. */
void tt_p2p_confirm(struct tt_p2p *p2p, int peer, uint32_t taken);

#endif /* TT_ENGINE_P2P_PEER_H */

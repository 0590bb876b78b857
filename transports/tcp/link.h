/* SPDX-License-Identifier: Apache-2.0
 *
 * link.h - one peer: its stream of messages, the connection under it, and the way to get one.
 */
#ifndef TT_TCP_LINK_H
#define TT_TCP_LINK_H

#include "tcp/candidate.h"
#include "tcp/dial.h"
#include "tcp/endpoint.h"
#include "tcp/self.h"
#include "tcp/silence.h"
#include "tcp/stream.h"

/* One connection of a link: it carries the stream's channel of the same number. */
struct tt_flow {
	struct tt_watch watch; /* fd -1 = none */
	tutti_link *link;
	int index;
	bool blocked; /* the socket took no more */
	bool deferred; /* it gets no new chunk for now: others would be through with it earlier */
	uint32_t events; /* that epoll watches */
	int attempts; /* to connect it, so far */
	uint32_t batches; /* written since its speed was measured */
	double bytes_per_s; /* 0: not measured yet */
	int lowat; /* bytes that may wait in the kernel for their turn, as last set; 0: as many as it likes */
	struct tt_silence silence;
	struct tt_address remote; /* of the connection, or the last one tried */
};

struct tutti_link {
	struct tt_flow flows[TT_CHANNELS]; /* the first carries everything, the others chunks only */
	tutti_endpoint *endpoint;
	int peer;
	int live_index; /* in endpoint->live, -1 = not connected */
	bool known; /* connect() was called */
	bool widened; /* connections for chunks have been asked for */
	bool heard; /* since the deadline was set, an attempt reached a listener that did not answer: it is busy */
	bool cut; /* it died of a connection that is cut */
	uint32_t width; /* connections for chunks that both sides want; known to the lower rank */
	tutti_status status; /* TUTTI_OK while it lives */
	uint64_t told; /* of what moved, what endpoint->news has in it */
	struct tt_self self; /* in the place of a stream, if the peer is this rank */
	struct tt_stream stream;
	struct tt_dial dial;
	struct tt_candidate *choice; /* the connection that both sides are agreeing upon */
	struct tt_place places[TT_TCP_ADDRESSES];
	int nplaces;
	unsigned char nonce[TT_TCP_NONCE]; /* of the peer's endpoint */
	char why[256]; /* it is dead */
	char attempt[160]; /* why the last attempt to connect failed */
};

/* link.c */
tutti_status tt_tcp_link_create(tutti_endpoint *endpoint, int peer, tutti_link **link);
/* Its transfers have ended. */
void tt_tcp_link_destroy(tutti_link *link);
/* Takes the address that the peer published. */
tutti_status tt_tcp_link_know(tutti_link *link, const void *address, size_t bytes);
tutti_status tt_tcp_link_send(tutti_link *link, tutti_transfer *transfer);
tutti_status tt_tcp_link_recv(tutti_link *link, tutti_transfer *transfer);
tutti_status tt_tcp_link_error(const tutti_link *link, char *message, size_t message_bytes);
/* The link is over: records why, ends its transfers, gives up its connection. */
void tt_tcp_link_die(tutti_link *link, tutti_status status, const char *format, ...) TT_PRINTF(3, 4);

/* What moved or ended, whoever made it move, is news of the next progress(). */
void tt_tcp_link_count(tutti_link *link);

/* link_join.c: getting a connection */
/* Somebody wants something of the peer: connects, if it has not been begun. */
void tt_tcp_link_want(tutti_link *link, bool sends);
/* Tries the next address if it is time to; gives up after the deadline. */
void tt_tcp_link_tick(tutti_link *link, int64_t now_ns);
/* A candidate for this link has got further, or failed (why: of the thread's last error). */
void tt_tcp_link_consider(tutti_link *link, struct tt_candidate *candidate);
void tt_tcp_link_lost(tutti_link *link, struct tt_candidate *candidate, tutti_status status, const char *why);
/* No more attempts, no more candidates. */
void tt_tcp_link_stop(tutti_link *link);

/* link_wide.c: more than one connection */
/* Large messages are about: calls the peer for what is missing, if that is for this side to do. */
void tt_tcp_link_widen(tutti_link *link);
/* An attempt came to nothing: the next address, or none. */
void tt_tcp_link_narrow(tutti_link *link, int channel);
/* Decides, for each connection, whether it shall take the next chunk. */
void tt_tcp_link_defer(tutti_link *link);
/* Another chunk was written: how quick is the connection, and what does that mean for the chunks of all? */
void tt_tcp_flow_measure(struct tt_flow *flow);

/* link_io.c: using it */
/* Writes what there is, a bounded amount, on all connections that took everything so far. */
void tt_tcp_link_write(tutti_link *link);
/* Writes and reads, a bounded amount. `news`: the connection that has some, NULL: any. */
void tt_tcp_link_turn(tutti_link *link, struct tt_flow *news);
/* The network swallows what is sent on it, though nothing says so: the link dies. */
void tt_tcp_flow_cut(struct tt_flow *flow);
/* Watches a connection for these events from now on. */
void tt_tcp_flow_watch(struct tt_flow *flow, uint32_t events);
/* Closes it; the link goes on without it, or is over anyway. */
void tt_tcp_flow_close(struct tt_flow *flow);
/* A message differs: tells the peer as far as it does not know, then the link dies. */
void tt_tcp_link_differ(tutti_link *link);
/* Says goodbye as far as the socket takes it, and closes it for writing. */
void tt_tcp_link_leave(tutti_link *link);
/* Throws away what came; true if bytes are waiting here that the network has not taken yet. */
bool tt_tcp_link_drain(tutti_link *link);

/* silence.c */
/* Looks at all connections, now and then; whoever waits calls it often. */
void tt_tcp_look_for_cuts(tutti_endpoint *endpoint);

#endif /* TT_TCP_LINK_H */

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
#include "tcp/stream.h"

struct tutti_link {
	struct tt_watch watch; /* the connection; fd -1 = none */
	tutti_endpoint *endpoint;
	int peer;
	int live_index; /* in endpoint->live, -1 = not connected */
	bool known; /* connect() was called */
	bool blocked; /* the socket took no more */
	bool heard; /* since the deadline was set, an attempt reached a listener that did not answer: it is busy */
	bool watches_out;
	tutti_status status; /* TUTTI_OK while it lives */
	uint64_t told; /* of what moved, what endpoint->news has in it */
	struct tt_self self; /* in the place of a stream, if the peer is this rank */
	struct tt_stream stream;
	struct tt_dial dial;
	struct tt_candidate *choice; /* the connection that both sides are agreeing upon */
	struct tt_address addresses[TT_TCP_ADDRESSES];
	int naddresses;
	unsigned char nonce[TT_TCP_NONCE]; /* of the peer's endpoint */
	struct tt_address remote; /* of the connection, or the last one tried */
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
/* Somebody wants something from the peer: connects, if it has not been begun. */
void tt_tcp_link_want(tutti_link *link);
/* Tries the next address if it is time to; gives up after the deadline. */
void tt_tcp_link_tick(tutti_link *link, int64_t now_ns);
/* A candidate for this link has got further, or failed (why: of the thread's last error). */
void tt_tcp_link_consider(tutti_link *link, struct tt_candidate *candidate);
void tt_tcp_link_lost(tutti_link *link, struct tt_candidate *candidate, tutti_status status, const char *why);
/* No more attempts, no more candidates. */
void tt_tcp_link_stop(tutti_link *link);

/* link_io.c: using it */
/* Writes what there is, a bounded amount. */
void tt_tcp_link_write(tutti_link *link);
/* Writes and reads, a bounded amount. */
void tt_tcp_link_turn(tutti_link *link);
/* A message differs: tells the peer as far as it does not know, then the link dies. */
void tt_tcp_link_differ(tutti_link *link);
/* Says goodbye as far as the socket takes it, and closes it for writing. */
void tt_tcp_link_leave(tutti_link *link);
/* Throws away what came; true if bytes are waiting here that the network has not taken yet. */
bool tt_tcp_link_drain(tutti_link *link);

#endif /* TT_TCP_LINK_H */

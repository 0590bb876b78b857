/* SPDX-License-Identifier: Apache-2.0
 *
 * candidate.h - a connection that may become a link's: not yet made, not yet proven, or not yet agreed upon.
 *
 * Calls from outside have TT_HANDSHAKE_MS to prove who they are; there are at most TT_TCP_UNPROVEN of them, and the
 * oldest makes room for a new one. A proven one has as long as its link.
 */
#ifndef TT_TCP_CANDIDATE_H
#define TT_TCP_CANDIDATE_H

#include "tcp/endpoint.h"
#include "tcp/greeting.h"

struct tt_candidate {
	struct tt_watch watch;
	struct tt_candidate *next, *prev;
	tutti_endpoint *endpoint;
	tutti_link *link; /* NULL while nobody knows whose it is */
	int channel; /* dialed by the lower rank: which of the link's connections it is to be */
	struct tt_address remote;
	bool dialed, connecting, wants_out;
	int64_t deadline_ns;
	struct tt_greeting greeting;
};

/* Makes a new connection what the transport needs. */
tutti_status tt_candidate_tune(const tutti_endpoint *endpoint, int fd, const struct tt_address *remote);
/* Takes the descriptor over, also on failure. link NULL: a call from outside. */
tutti_status tt_candidate_create(tutti_endpoint *endpoint, int fd, tutti_link *link, int channel,
    const unsigned char nonce[TT_TCP_NONCE], const struct tt_address *remote, int64_t deadline_ns);
/* Closes it; the memory goes at the end of progress(). */
void tt_candidate_drop(struct tt_candidate *candidate);
/* Its socket has news, or it has something to say. */
void tt_candidate_step(struct tt_candidate *candidate);
/* The one from outside that has been unproven for longest; NULL if there is none. */
struct tt_candidate *tt_candidate_oldest(tutti_endpoint *endpoint);
/* Frees what was dropped. */
void tt_candidate_sweep(tutti_endpoint *endpoint);

#endif /* TT_TCP_CANDIDATE_H */

/* SPDX-License-Identifier: Apache-2.0
 *
 * survivors.h - who of a world is still there, found out without it: its hub, rank 0 or a leader may be gone.
 *
 * Every rank that calls listens at a place that all can work out (an abstract Unix name on its node, a sequence of
 * ports at its addresses) and connects to the lowest rank that it can reach; the lower one answers for it from then on.
 *
 *	 rank 1 (lowest that answers) ◄── ENROLL {1 3 5} ── rank 3 ◄── ENROLL {5} ── rank 5
 *	        └── SURVIVORS {1 3 5}, where to meet ─────────►└───────────────────────►
 *
 * Whether a rank of another node is dead or only late is found out by knocking: a host refuses connections to a
 * listener whose process is gone.
 *
 * Whoever has nobody lower above it concludes: when all that are not known to be gone have answered, or when the
 * time for answers is over. Source: the shape of agreement in "Run-through stabilization" (MPI Forum, ULFM), made
 * simple by one rule: a rank that did not answer in time is out, and is told so when it can be.
 */
#ifndef TT_BOOTSTRAP_SURVIVORS_H
#define TT_BOOTSTRAP_SURVIVORS_H

#include "base/log.h"
#include "bootstrap/rendezvous.h"

#define TT_SURVIVORS_ADDRESSES 4 /* of a rank */
#define TT_SURVIVORS_MOST 16000 /* ranks */

struct tt_survivors_config {
	int rank, size;
	const unsigned char *key; /* of the world, TT_KEY_BYTES */
	const int *node_of; /* [size] */
	/* [size * TT_SURVIVORS_ADDRESSES], family 0 = none; NULL: one node only. The port of a rank's first one is that of
	 * a listener which lives as long as its process: a refused connection tells that it is gone. 0 = there is none. */
	const struct tt_address *addresses;
	int listener; /* this rank's, or -1 */
	const struct tt_settings *settings;
	struct tt_log log;
	int64_t until_ns; /* so long answers are waited for */
	int64_t deadline_ns; /* so long a lower rank's conclusion is waited for */
	int64_t peer_timeout_ms;
	void *context;
	bool (*gone)(void *context, int rank); /* known to be dead or to have left? asked again and again */
	bool (*excluded)(void *context); /* have the others gone on without this rank? asked again and again */
};

struct tt_survivors {
	unsigned char member[TT_SURVIVORS_MOST / 8]; /* a bit each */
	tutti_unique_id id; /* where they meet, the lowest of them as rank 0 */
	struct tt_meeting meeting; /* the lowest one's ears */
	bool has_meeting;
};

static inline bool
tt_survivors_has(const struct tt_survivors *survivors, int rank)
{
	return (survivors->member[rank / 8] >> (rank % 8) & 1) != 0;
}

/* Blocks. ERR_STATE: the others have gone on without this rank; ERR_TIMEOUT: a lower rank answered but never
 * concluded. The meeting, if there is one, is the caller's. */
tutti_status tt_survivors_meet(const struct tt_survivors_config *config, struct tt_survivors *survivors);

#endif /* TT_BOOTSTRAP_SURVIVORS_H */

/* SPDX-License-Identifier: Apache-2.0
 *
 * links.h - one peer: its lanes, what is posted in them, and whether it lives.
 *
 * A transfer is moved as far as it goes when it is posted; what remains waits in its lane, and the lane is in the
 * endpoint's list of active lanes. Progress looks at those only, so that its cost does not grow with ranks or
 * lanes that have nothing to do.
 *
 * A link dies of a message that does not match, of counters that are impossible, or because its peer closed or
 * cancelled its endpoint; the sudden death of a process is seen elsewhere. A peer's closing counts only after
 * everything that it had sent was taken out, its cancelling at once.
 */
#ifndef TT_SHM_LINKS_H
#define TT_SHM_LINKS_H

#include "shm/doorbell.h"
#include "shm/lane.h"

/* An endpoint's address as it travels. */
struct tt_shm_address {
	uint32_t version;
	int32_t rank;
	struct tt_shm_name bell;
};

struct tutti_link {
	tutti_endpoint *endpoint;
	struct tt_shm_rank *peer; /* its block in shared memory */
	int rank;
	tutti_status status; /* TUTTI_OK while it lives */
	struct tt_shm_name bell;
	char message[256];
	struct tt_shm_lane lanes[]; /* 2 * lanes: sending ends, then receiving ends */
};

struct tutti_endpoint {
	struct tt_shm_layout layout;
	void *shared;
	struct tt_shm_rank *self;
	int bell;
	int rank;
	uint32_t index; /* own position in local_ranks */
	struct tt_shm_address address;
	tutti_link **links; /* nlocal of them, NULL where not connected; owned */
	int *local_ranks;
	struct tt_shm_lane **active; /* lanes with something posted */
	uint32_t nactive;
	bool cancelled;
};

/* Sets up the lanes of a link whose endpoint is known; index: the peer's position in local_ranks. */
void tt_shm_link_init(tutti_link *link, size_t index);
/* send() and recv() of the transport. */
tutti_status tt_shm_link_post(tutti_link *link, struct tt_shm_lane *lane, tutti_transfer *transfer);
/* One pass over all lanes with something posted; returns how many transfers moved or ended. */
int tt_shm_links_progress(tutti_endpoint *endpoint);
/* Would a pass find something? */
bool tt_shm_links_ready(tutti_endpoint *endpoint);
/* Ends everything that is posted. */
void tt_shm_links_cancel(tutti_endpoint *endpoint);
/* Tells all peers that nothing more comes from here; how: TT_SHM_CLOSED or TT_SHM_CANCELLED. */
void tt_shm_links_leave(tutti_endpoint *endpoint, uint32_t how);

#endif /* TT_SHM_LINKS_H */

/* SPDX-License-Identifier: Apache-2.0
 *
 * endpoint.h - this rank's end: the device, its memory, the links, and what it sleeps on.
 */
#ifndef TT_FABRIC_ENDPOINT_H
#define TT_FABRIC_ENDPOINT_H

#include "base/net.h"
#include "fabric/device.h"
#include "fabric/pending.h"
#include "fabric/registry.h"
#include "fabric/slots.h"

#define TT_FAB_ADDRESSES 4 /* listeners of an endpoint */
#define TT_FAB_NONCE 16
#define TT_FAB_LANDINGS 512 /* windows out, all links together */
#define TT_FAB_WRITES_OUT 128 /* writes with the provider */

enum tt_fab_watch_kind { TT_FAB_LISTENER, TT_FAB_GUARD, TT_FAB_TIMER, TT_FAB_QUEUE };

struct tt_fab_watch {
	enum tt_fab_watch_kind kind;
	int fd; /* -1: none */
};

struct tt_fab_write {
	struct tt_fab_op op;
	struct tt_fab_write *next;
	tutti_link *link; /* NULL: not in use */
	struct tt_fab_lane *lane;
	struct tt_fab_grant *grant;
	struct tt_fab_range *range; /* of the source, or NULL */
	unsigned char *chunk; /* that the source was gathered in, or NULL */
};

/* The receiver's side of a window. */
struct tt_fab_landing {
	tutti_link *link; /* NULL: not in use */
	struct tt_fab_lane *lane;
	tutti_transfer *transfer;
	uint64_t bytes, offset;
	unsigned char *chunk; /* NULL: straight into the caller's memory .. */
	struct tt_fab_range *range; /* .. which is registered */
	struct tt_fab_cursor cursor; /* where the chunk's bytes belong */
	uint32_t missing; /* writes */
	uint32_t age; /* of this place in the table: what a late write was meant for is gone */
	uint16_t next; /* of the same transfer, or in the list of free ones; 0 = none */
};

struct tutti_endpoint {
	int rank, nranks;
	uint32_t lanes;
	uint32_t credit; /* messages that each peer may send */
	uint32_t heads; /* of a lane that may wait for their receives */
	size_t slot_bytes, eager_most;
	int64_t connect_timeout_ms, peer_timeout_ms;
	unsigned char key[32];
	unsigned char nonce[TT_FAB_NONCE];
	struct tt_fab_device device;
	bool stopped; /* the device is closed: all links are dead */
	bool cancelled;
	tutti_link **links; /* nranks of them, owned */
	tutti_link **live; /* those that have begun */
	int nlive;
	struct tt_fab_slab *slabs; /* of slots to receive into, owned */
	struct tt_fab_slot *spare; /* of these, neither posted nor held */
	uint32_t strays; /* receives that somebody who is not known used up */
	struct tt_fab_chunks landing, bounce;
	struct tt_fab_registry registry;
	struct tt_fab_landing landings[TT_FAB_LANDINGS]; /* the first is not used */
	uint16_t landings_free, nlandings_free;
	struct tt_fab_write writes[TT_FAB_WRITES_OUT];
	struct tt_fab_write *writes_free;
	struct tt_fab_guard *strangers; /* guards that have not proven who they are */
	struct tt_fab_guard *dropped; /* to be freed at the end of progress() */
	int nstrangers;
	int nfailed; /* links that wait for their peers' last words */
	int ndialing; /* links that want a guard and have none */
	struct tt_fab_watch listeners[TT_FAB_ADDRESSES];
	struct tt_address addresses[TT_FAB_ADDRESSES];
	int nlisteners;
	struct tt_fab_watch timer, queue;
	bool timer_set;
	int epoll;
	int64_t look_ns; /* when to look again */
	int came; /* completions in this progress() */
	bool look; /* at the descriptors, at the next progress() */
	int news; /* what moved or ended since progress() told it */
};

tutti_status tt_fab_endpoint_open(const tutti_environment *env, tutti_endpoint **endpoint);
void tt_fab_endpoint_close(tutti_endpoint *endpoint);
void tt_fab_endpoint_cancel(tutti_endpoint *endpoint);
tutti_status tt_fab_endpoint_address(tutti_endpoint *endpoint, void *address, size_t *bytes);
/* The link to a peer, made if there is none. */
tutti_status tt_fab_endpoint_link(tutti_endpoint *endpoint, int peer, tutti_link **link);
int tt_fab_endpoint_progress(tutti_endpoint *endpoint);
int tt_fab_endpoint_wait_fd(tutti_endpoint *endpoint);
tutti_status tt_fab_endpoint_arm(tutti_endpoint *endpoint);
void tt_fab_endpoint_disarm(tutti_endpoint *endpoint);

/* Makes the provider forget all memory; the links die of what happened to `culprit`. */
void tt_fab_endpoint_stop(tutti_endpoint *endpoint, const tutti_link *culprit);
/* Takes what the provider has ready, without waiting. */
void tt_fab_endpoint_drain(tutti_endpoint *endpoint);
/* A chunk or a window is free again: links that wait for one have another look. */
void tt_fab_endpoint_stir(tutti_endpoint *endpoint);
tutti_status tt_fab_watch_add(const tutti_endpoint *endpoint, struct tt_fab_watch *watch, uint32_t events);
void tt_fab_watch_change(const tutti_endpoint *endpoint, struct tt_fab_watch *watch, uint32_t events);

/* The address that an endpoint publishes. */
struct tt_fab_address {
	char magic[4];
	uint32_t order; /* of bytes */
	struct tt_fab_way way;
	uint32_t libfabric;
	uint32_t naddresses;
	unsigned char nonce[TT_FAB_NONCE];
	struct tt_address addresses[TT_FAB_ADDRESSES];
};
#define TT_FAB_MAGIC "tof1"
#define TT_FAB_ORDER 0x01020304u

_Static_assert(sizeof(struct tt_fab_address) <= TUTTI_ADDRESS_BYTES, "must fit into an address");

#endif /* TT_FABRIC_ENDPOINT_H */

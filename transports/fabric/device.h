/* SPDX-License-Identifier: Apache-2.0
 *
 * device.h - libfabric's objects of one endpoint, opened for one way, and what they need to be told.
 *
 * One fabric, domain, address table, completion queue and endpoint per communicator and rank: nothing is shared
 * between threads. What differs between providers is asked of the provider and kept here; no name is looked at.
 */
#ifndef TT_FABRIC_DEVICE_H
#define TT_FABRIC_DEVICE_H

#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>

#include "fabric/choice.h"

struct tt_fab_device {
	struct fi_info *info; /* owned */
	struct fid_fabric *fabric;
	struct fid_domain *domain;
	struct fid_av *av;
	struct fid_cq *cq;
	struct fid_ep *ep;
	struct tt_fab_way way;
	char provider[64]; /* for sentences: name and version */
	bool local; /* memory of local operations must be registered */
	bool virtual; /* remote addresses are virtual ones, not offsets */
	bool own_keys; /* the user chooses keys */
	bool bind; /* registrations are bound to the endpoint */
	bool pins; /* a registration holds on to pages: memory that is freed and mapped anew is other memory to it */
	uint64_t next_key;
	size_t inject, most; /* bytes that may be injected; of one operation */
	int wait_fd; /* -1: cannot wait */
};

/* A registered range. Zeroed: none, and none needed. */
struct tt_fab_mr {
	struct fid_mr *mr;
	void *desc;
	uint64_t key;
	unsigned char *base; /* of remote addresses: NULL = they are virtual */
};

/* info is taken over, also on failure. */
tutti_status tt_fab_device_open(
    struct tt_fab_device *device, struct fi_info *info, const struct tt_fab_way *way, int nranks);
/* Ends all operations: afterwards the provider touches no memory of ours. Any state, twice is fine. */
void tt_fab_device_stop(struct tt_fab_device *device);
/* After that all registrations are ended, and this closes the rest. Any state, twice is fine. */
void tt_fab_device_close(struct tt_fab_device *device);
/* This endpoint's address for the peers. */
tutti_status tt_fab_device_name(struct tt_fab_device *device, void *name, size_t *bytes);

/* access: FI_SEND | FI_RECV ..., FI_WRITE for the source of writes, FI_REMOTE_WRITE for their target. */
tutti_status tt_fab_register(
    struct tt_fab_device *device, void *memory, size_t bytes, uint64_t access, struct tt_fab_mr *mr);
void tt_fab_unregister(struct tt_fab_mr *mr);

static inline uint64_t
tt_fab_remote_address(const struct tt_fab_mr *mr, const void *at)
{
	return mr->base == NULL ? (uint64_t)(uintptr_t)at : (uint64_t)((const unsigned char *)at - mr->base);
}

#endif /* TT_FABRIC_DEVICE_H */

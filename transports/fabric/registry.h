/* SPDX-License-Identifier: Apache-2.0
 *
 * registry.h - the callers' memory that is registered with the provider.
 *
 * A registration is kept after its use, because registering may cost more than a transfer, but only where that is
 * safe: a provider that pins pages goes on using the old pages of a buffer that was freed and mapped anew, and
 * nothing tells a transport of that. With such a provider a registration ends with its last use (the provider has a
 * cache of its own behind it, with hooks that a library cannot have).
 */
#ifndef TT_FABRIC_REGISTRY_H
#define TT_FABRIC_REGISTRY_H

#include "fabric/device.h"

#define TT_FAB_RANGES 256

struct tt_fab_range {
	unsigned char *at;
	size_t bytes; /* 0: not in use */
	uint64_t access;
	struct tt_fab_mr mr;
	uint32_t users;
	uint64_t stamp; /* of its last use */
};

struct tt_fab_registry {
	struct tt_fab_range ranges[TT_FAB_RANGES];
	uint64_t clock;
	uint32_t recent; /* where the last hit was */
};

/* A registration that covers the range, until it is put back. TUTTI_IN_PROGRESS: all are in use. */
tutti_status tt_fab_range_get(struct tt_fab_registry *registry, struct tt_fab_device *device, void *at, size_t bytes,
    uint64_t access, struct tt_fab_range **range);
void tt_fab_range_put(const struct tt_fab_device *device, struct tt_fab_range *range);
/* Ends all registrations, used or not. */
void tt_fab_registry_clear(struct tt_fab_registry *registry);

#endif /* TT_FABRIC_REGISTRY_H */

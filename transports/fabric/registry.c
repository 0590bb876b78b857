/* SPDX-License-Identifier: Apache-2.0
 *
 * registry.c - a small table, searched from the last hit on: transfers of an operation follow each other in memory.
 */
#include "fabric/registry.h"

#include "base/error.h"

static bool
covers(const struct tt_fab_range *range, const unsigned char *at, size_t bytes, uint64_t access)
{
	return range->bytes > 0 && range->access == access && at >= range->at &&
	       (size_t)(at - range->at) <= range->bytes && bytes <= range->bytes - (size_t)(at - range->at);
}

static void
drop(struct tt_fab_range *range)
{
	tt_fab_unregister(&range->mr);
	*range = (struct tt_fab_range){0};
}

/* A free one, or the one that was not used for the longest time. */
static struct tt_fab_range *
room(struct tt_fab_registry *registry)
{
	struct tt_fab_range *oldest = NULL;

	for (int i = 0; i < TT_FAB_RANGES; i++) {
		struct tt_fab_range *range = &registry->ranges[i];

		if (range->bytes == 0)
			return range;
		if (range->users == 0 && (oldest == NULL || range->stamp < oldest->stamp))
			oldest = range;
	}
	if (oldest != NULL)
		drop(oldest);
	return oldest;
}

tutti_status
tt_fab_range_get(struct tt_fab_registry *registry, struct tt_fab_device *device, void *at, size_t bytes,
    uint64_t access, struct tt_fab_range **range)
{
	struct tt_fab_range *found = NULL;

	for (uint32_t i = 0; i < TT_FAB_RANGES && found == NULL; i++) {
		const uint32_t index = (registry->recent + i) % TT_FAB_RANGES;

		if (covers(&registry->ranges[index], at, bytes, access)) {
			found = &registry->ranges[index];
			registry->recent = index;
		}
	}
	if (found == NULL) {
		found = room(registry);
		if (found == NULL)
			return TUTTI_IN_PROGRESS;
		TT_TRY(tt_fab_register(device, at, bytes, access, &found->mr));
		found->at = at;
		found->bytes = bytes;
		found->access = access;
		registry->recent = (uint32_t)(found - registry->ranges);
	}
	found->users++;
	found->stamp = ++registry->clock;
	*range = found;
	return TUTTI_OK;
}

void
tt_fab_range_put(const struct tt_fab_device *device, struct tt_fab_range *range)
{
	range->users--;
	if (range->users == 0 && device->pins)
		drop(range);
}

void
tt_fab_registry_clear(struct tt_fab_registry *registry)
{
	for (int i = 0; i < TT_FAB_RANGES; i++)
		if (registry->ranges[i].bytes > 0)
			drop(&registry->ranges[i]);
}

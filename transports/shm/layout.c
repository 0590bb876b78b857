/* SPDX-License-Identifier: Apache-2.0
 *
 * layout.c - sizes and places in the shared memory.
 */
#include "shm/layout.h"

#include "base/checked.h"

/* The largest power of two that keeps a sender's rings within the staging bound, within the limits. */
static size_t
ring_bytes(size_t rings_per_sender)
{
	size_t bytes = TT_SHM_RING_MAX;

	while (bytes > TT_SHM_RING_MIN && bytes > TT_SHM_STAGING / rings_per_sender)
		bytes /= 2;
	return bytes;
}

bool
tt_shm_layout_init(struct tt_shm_layout *layout, const tutti_environment *env)
{
	const size_t nlocal = env->nlocal > 0 ? (size_t)env->nlocal : 0;
	size_t per_sender, rings, data;

	if (nlocal == 0 || env->lanes == 0 || !tt_mul_size(nlocal, env->lanes, &per_sender) ||
	    !tt_mul_size(per_sender, nlocal, &rings))
		return false;
	layout->nlocal = nlocal;
	layout->lanes = env->lanes;
	layout->ring_bytes = ring_bytes(per_sender);
	return tt_mul_size(rings, sizeof(struct tt_shm_ring) + layout->ring_bytes, &data) &&
	       tt_add_size(data, nlocal * sizeof(struct tt_shm_rank), &layout->bytes);
}

struct tt_shm_rank *
tt_shm_rank_at(const struct tt_shm_layout *layout, void *shared, size_t rank)
{
	(void)layout;
	return (struct tt_shm_rank *)shared + rank;
}

struct tt_shm_ring *
tt_shm_ring_at(const struct tt_shm_layout *layout, void *shared, size_t sender, size_t receiver, size_t lane)
{
	const size_t index = (sender * layout->nlocal + receiver) * layout->lanes + lane;
	char *rings = (char *)shared + layout->nlocal * sizeof(struct tt_shm_rank);

	return (struct tt_shm_ring *)(void *)(rings + index * (sizeof(struct tt_shm_ring) + layout->ring_bytes));
}

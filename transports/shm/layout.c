/* SPDX-License-Identifier: Apache-2.0
 *
 * layout.c - sizes and places in the shared memory.
 */
#include "shm/layout.h"

#include "base/checked.h"

/* The largest power of two that keeps a sender's rings within the bound, within the limits. */
static size_t
choose_bytes(size_t rings_per_sender, size_t bound)
{
	size_t bytes = TT_SHM_RING_MAX;

	while (bytes > TT_SHM_RING_MIN && rings_per_sender > bound / bytes)
		bytes /= 2;
	return bytes;
}

bool
tt_shm_layout_init(struct tt_shm_layout *layout, const tutti_environment *env)
{
	const size_t nlocal = env->nlocal > 0 ? (size_t)env->nlocal : 0;
	const size_t own = sizeof(struct tt_shm_ring) + TT_SHM_RING_MIN;
	size_t rings, data;

	if (nlocal == 0 || env->lanes == 0 || !tt_mul_size(nlocal - 1, env->lanes, &rings))
		return false;
	layout->nlocal = nlocal;
	layout->lanes = env->lanes;
	layout->ring_bytes = choose_bytes(rings, env->staging_bytes > 0 ? env->staging_bytes : TT_SHM_STAGING);
	return tt_mul_size(rings, sizeof(struct tt_shm_ring) + layout->ring_bytes, &data) &&
	       tt_mul_size(env->lanes, own, &layout->sender_bytes) &&
	       tt_add_size(layout->sender_bytes, data, &layout->sender_bytes) &&
	       tt_mul_size(nlocal, layout->sender_bytes, &data) &&
	       tt_add_size(data, nlocal * sizeof(struct tt_shm_rank), &layout->bytes);
}

size_t
tt_shm_ring_bytes(const struct tt_shm_layout *layout, size_t sender, size_t receiver)
{
	return sender == receiver ? TT_SHM_RING_MIN : layout->ring_bytes;
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
	const size_t all = sizeof(struct tt_shm_ring) + layout->ring_bytes;
	const size_t each = sizeof(struct tt_shm_ring) + tt_shm_ring_bytes(layout, sender, receiver);
	char *rings = (char *)shared + layout->nlocal * sizeof(struct tt_shm_rank) + sender * layout->sender_bytes;

	/* Those to itself stand where its place is in the order of receivers. */
	rings += receiver * layout->lanes * all;
	if (receiver > sender)
		rings -= layout->lanes * (layout->ring_bytes - TT_SHM_RING_MIN);
	return (struct tt_shm_ring *)(void *)(rings + lane * each);
}

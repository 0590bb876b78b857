/* SPDX-License-Identifier: Apache-2.0
 *
 * world_internal.h - a world from inside, for the files world*.c only.
 */
#ifndef TT_BOOTSTRAP_WORLD_INTERNAL_H
#define TT_BOOTSTRAP_WORLD_INTERNAL_H

#include "bootstrap/world.h"
#include "bootstrap/world_death.h"
#include "bootstrap/world_link.h"

struct tt_world_thread;

struct tt_world {
	int rank, size;
	uint32_t generation; /* of the process that made it */
	struct tt_log log;
	unsigned char key[TT_KEY_BYTES], epoch[16];

	int *node_of;
	int nnodes;
	int *local_ranks;
	int nlocal, local_rank;
	struct tt_segment *segment;
	struct tt_death_word *words; /* [nlocal] in the segment; NULL if alone */

	struct tt_link *parent, *children; /* the tree */
	struct tt_link **route; /* [size]: the link that leads to a rank; NULL for this one */
	tt_atomic_u32 *left; /* [size]: has said goodbye */

	tutti_status (*go_on)(void *context); /* see struct tt_world_config; may be NULL */
	void *go_on_context;
	uint32_t exchanges; /* done so far */
	bool broken; /* an exchange has failed */
	struct tt_world_thread *thread;
};

/* How long at most to wait before asking it again. */
#define TT_WORLD_GO_ON_MS 20
static inline tutti_status
tt_world_go_on(const struct tt_world *world)
{
	return world->go_on != NULL ? world->go_on(world->go_on_context) : TUTTI_OK;
}

/* world_create.c: finds the others and fills in everything above that is about them. */
tutti_status tt_world_gather(struct tt_world *world, const struct tt_world_config *config);
/* world.c: nodes and places out of each rank's home. */
tutti_status tt_world_place(struct tt_world *world, const int32_t *homes);
/* world_thread.c: does the thread serve the links? */
bool tt_world_is_started(const struct tt_world *world);
/* world_thread.c: stops the thread, if there is one, and says goodbye on the links. */
void tt_world_stop(struct tt_world *world);

#endif /* TT_BOOTSTRAP_WORLD_INTERNAL_H */

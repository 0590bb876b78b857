/* SPDX-License-Identifier: Apache-2.0
 *
 * world.c - a world as its owner sees it: created, asked, destroyed.
 */
#include "bootstrap/world.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"
#include "bootstrap/world_internal.h"

static tutti_status
check_config(const struct tt_world_config *config)
{
	if (config->size < 1 || config->rank < 0 || config->rank >= config->size)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "rank %d of %d ranks: ranks go from 0 to size - 1",
		    config->rank, config->size);
	if (config->size > 1 && config->rendezvous == NULL)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "%d ranks need a unique id to find each other", config->size);
	if (config->size > 1 && (config->rank == 0) != (config->meeting != NULL))
		return tt_fail(
		    TUTTI_ERR_ARGUMENT, -1, "rank 0, and nobody else, brings the listeners of the unique id");
	return TUTTI_OK;
}

static tutti_status
allocate(struct tt_world *world)
{
	const size_t size = (size_t)world->size;
	void *memory;

	TT_TRY(tt_alloc(size, sizeof(*world->node_of), "the table of nodes", &memory));
	world->node_of = memory;
	TT_TRY(tt_alloc(size, sizeof(*world->local_ranks), "the table of local ranks", &memory));
	world->local_ranks = memory;
	TT_TRY(tt_alloc(size, sizeof(struct tt_link *), "the table of ways", &memory));
	world->route = memory;
	TT_TRY(tt_alloc(size, sizeof(*world->left), "the table of who left", &memory));
	world->left = memory;
	return TUTTI_OK;
}

static void
release(struct tt_world *world)
{
	tt_link_destroy(world->parent);
	while (world->children != NULL) {
		struct tt_link *child = world->children;

		world->children = child->next;
		tt_link_destroy(child);
	}
	tt_segment_close(world->segment);
	tt_free(world->node_of);
	tt_free(world->local_ranks);
	tt_free(world->route);
	tt_free(world->left);
	tt_free(world);
}

/* In a forked child: the descriptors were closed at the fork and their numbers may be somebody else's, and neither
 * the thread nor the mapping came along. */
static void
disown(struct tt_world *world)
{
	if (world->parent != NULL)
		world->parent->fd = -1;
	for (struct tt_link *child = world->children; child != NULL; child = child->next)
		child->fd = -1;
	world->segment = NULL;
	tt_free(world->thread);
}

tutti_status
tt_world_place(struct tt_world *world, const int32_t *homes)
{
	const int me = world->rank;
	void *memory;
	int *node_at; /* the node that a rank is home to */

	TT_TRY(tt_alloc((size_t)world->size, sizeof(*node_at), "the table of homes", &memory));
	node_at = memory;
	for (int rank = 0; rank < world->size; rank++)
		node_at[rank] = -1;
	for (int rank = 0; rank < world->size; rank++) {
		if (node_at[homes[rank]] < 0)
			node_at[homes[rank]] = world->nnodes++;
		world->node_of[rank] = node_at[homes[rank]];
	}
	for (int rank = 0; rank < world->size; rank++) {
		if (world->node_of[rank] != world->node_of[me])
			continue;
		if (rank == me)
			world->local_rank = world->nlocal;
		world->local_ranks[world->nlocal++] = rank;
	}
	tt_free(node_at);
	return TUTTI_OK;
}

/* A world of one needs nobody. */
static tutti_status
be_alone(struct tt_world *world)
{
	const int32_t home = 0;

	tt_random(world->key, sizeof(world->key));
	tt_random(world->epoch, sizeof(world->epoch));
	return tt_world_place(world, &home);
}

tutti_status
tt_world_create(const struct tt_world_config *config, struct tt_world **world)
{
	struct tt_world *made;
	tutti_status status = check_config(config);
	void *memory = NULL;

	if (status == TUTTI_OK)
		status = tt_alloc(1, sizeof(*made), "a world", &memory);
	if (status != TUTTI_OK) {
		if (config->meeting != NULL)
			tt_meeting_close(config->meeting);
		return status;
	}
	made = memory;
	made->rank = config->rank;
	made->size = config->size;
	made->log = config->log;
	made->go_on = config->go_on;
	made->go_on_context = config->go_on_context;
	made->generation = tt_process_generation();
	status = allocate(made);
	if (status == TUTTI_OK)
		status = made->size == 1 ? be_alone(made) : tt_world_gather(made, config);
	if (config->meeting != NULL)
		tt_meeting_close(config->meeting);
	if (status != TUTTI_OK) {
		release(made);
		return status;
	}
	*world = made;
	return TUTTI_OK;
}

void
tt_world_destroy(struct tt_world *world)
{
	if (world == NULL)
		return;
	if (world->generation == tt_process_generation())
		tt_world_stop(world);
	else
		disown(world);
	release(world);
}

int
tt_world_rank(const struct tt_world *world)
{
	return world->rank;
}

int
tt_world_size(const struct tt_world *world)
{
	return world->size;
}

const int *
tt_world_node_of(const struct tt_world *world)
{
	return world->node_of;
}

int
tt_world_nnodes(const struct tt_world *world)
{
	return world->nnodes;
}

const int *
tt_world_local_ranks(const struct tt_world *world, int *n)
{
	*n = world->nlocal;
	return world->local_ranks;
}

int
tt_world_local_rank(const struct tt_world *world)
{
	return world->local_rank;
}

struct tt_segment *
tt_world_segment(const struct tt_world *world)
{
	return world->segment;
}

const unsigned char *
tt_world_key(const struct tt_world *world)
{
	return world->key;
}

const unsigned char *
tt_world_epoch(const struct tt_world *world)
{
	return world->epoch;
}

int
tt_world_dead(struct tt_world *world)
{
	if (world->words == NULL)
		return -1;
	for (int i = 0; i < world->nlocal; i++)
		if (i != world->local_rank && tt_death_is_dead(&world->words[i]))
			return world->local_ranks[i];
	return -1;
}

/* The death word of a rank of this node; NULL: it is not, or there are none. */
static struct tt_death_word *
word_of(const struct tt_world *world, int rank)
{
	for (int i = 0; i < world->nlocal && world->words != NULL; i++)
		if (world->local_ranks[i] == rank)
			return &world->words[i];
	return NULL;
}

bool
tt_world_is_dead(struct tt_world *world, int rank)
{
	struct tt_death_word *word = word_of(world, rank);

	return word != NULL && rank != world->rank && tt_death_is_dead(word);
}

void
tt_world_revoke(struct tt_world *world, uint32_t word)
{
	for (int i = 0; i < world->nlocal && world->words != NULL; i++) {
		uint32_t none = 0;

		(void)tt_cas_acq_rel(&world->words[i].revoked, &none, word);
	}
}

uint32_t
tt_world_revoked(const struct tt_world *world)
{
	return world->words != NULL ? tt_load_relaxed(&world->words[world->local_rank].revoked) : 0;
}

void
tt_world_exclude(struct tt_world *world, int rank)
{
	struct tt_death_word *word = word_of(world, rank);

	if (word != NULL)
		tt_store_release(&word->excluded, 1); /* pairs with the acquire in tt_world_is_excluded() */
}

bool
tt_world_is_excluded(const struct tt_world *world)
{
	return world->words != NULL && tt_load_acquire(&world->words[world->local_rank].excluded) != 0;
}

bool
tt_world_has_left(struct tt_world *world, int rank)
{
	if (tt_load_relaxed(&world->left[rank]) != 0)
		return true;
	for (int i = 0; i < world->nlocal && world->words != NULL; i++)
		if (world->local_ranks[i] == rank)
			return tt_death_has_left(&world->words[i]);
	return false;
}

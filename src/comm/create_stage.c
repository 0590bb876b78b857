/* SPDX-License-Identifier: Apache-2.0
 *
 * create_stage.c - the node's part of a communicator: the stage its ranks meet in, and whose memory they may read.
 */
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "comm/create_parts.h"
#include "topology/map.h"

size_t
tt_create_stage_need(const tutti_comm *comm)
{
	return tt_node_stage_need(comm->node_size, &comm->facts.stage);
}

/* ---- groups ---------------------------------------------------------------------------------------------------- */

/* Which group of the level is each of the node's ranks in? False: not all are in one, or all in the same. */
static bool
fill_near(const struct tt_map *map, enum tt_map_level level, const tutti_environment *env, int *near)
{
	bool several = false;

	for (int i = 0; i < env->nlocal; i++) {
		near[i] = level == TT_MAP_NODE ? 0 : map->place[env->local_ranks[i]].group[level];
		several = several || near[i] != near[0];
		if (near[i] < 0)
			return false;
	}
	return several || level == TT_MAP_NODE;
}

/* The narrowest level, unless a wider one saves a quarter of the lines that are fetched one after the other: where few ranks
 * share an L3 cache, there are as many groups as there are caches. */
static enum tt_map_level
level_of(const tutti_comm *comm, const tutti_environment *env, int *near)
{
	enum tt_map_level best = TT_MAP_NODE;
	int fewest = INT_MAX / 4;

	for (int level = TT_MAP_L3; level >= TT_MAP_NODE; level--) {
		int lines;

		if (!fill_near(comm->map, (enum tt_map_level)level, env, near))
			continue;
		lines = tt_node_stage_group_lines(comm->stage, near);
		if (4 * lines < 3 * fewest) {
			fewest = lines;
			best = (enum tt_map_level)level;
		}
	}
	(void)fill_near(comm->map, best, env, near);
	return best;
}

/* Many members meet by groups that follow the machine. Where they share cores each wait is a turn of the scheduler, so
 * there are as few as can be; on a machine that is described nothing is measured, and all is done as there. */
static tutti_status
use_groups(tutti_comm *comm, const tutti_environment *env)
{
	enum tt_map_level level;
	void *memory;
	int *near;

	if (comm->map == NULL || (comm->node_crowded && !comm->described))
		return TUTTI_OK;
	TT_TRY(tt_alloc((size_t)env->nlocal, sizeof(int), "the places of the node's ranks", &memory));
	near = memory;
	level = level_of(comm, env, near);
	if (tt_node_stage_wants_groups(comm->stage, near)) {
		tt_node_stage_use_groups(comm->stage, near);
		tt_log(
		    &comm->log, TT_LOG_DEBUG, "the node's ranks meet by groups of one %s", tt_map_level_name(level));
	}
	tt_free(memory);
	return TUTTI_OK;
}

/* ---- the stage ---------------------------------------------------------------------------------------------------- */

/* Memory of the program's is in the segments that all ranks of the node have: `agreed` says which level is one. */
static void
use_memory(tutti_comm *comm, const bool *agreed)
{
	struct tt_segment *levels[TT_STAGE_LEVELS];
	int n = 0;

	for (int i = 0; i < TT_STAGE_LEVELS; i++)
		if (agreed[i])
			levels[n++] = tt_lineage_segment(&comm->lineage, i);
	tt_node_stage_use_memory(comm->stage, levels, n);
}

tutti_status
tt_create_stage(tutti_comm *comm, const bool agreed[TT_STAGE_LEVELS])
{
	const tutti_environment env = tt_create_environment(comm);

	if (comm->node_size == 1)
		return TUTTI_OK;
	TT_TRY(tt_node_stage_create(tt_segment_at(comm->segment, comm->stage_offset), comm->node_size,
	    comm->node_rank, env.local_ranks, &comm->facts.stage, &comm->stage));
	if (comm->crowded)
		tt_node_stage_share_cores(comm->stage, comm->cores);
	TT_TRY(use_groups(comm, &env));
	TT_TRY(tt_executor_use_stage(comm->executor, comm->stage));
	use_memory(comm, agreed);
	return TUTTI_OK;
}

/* ---- others' memory ------------------------------------------------------------------------------------------------- */

static struct tt_remote
process_of(const struct tt_remote *remotes, size_t stride, int rank)
{
	struct tt_remote remote;

	memcpy(&remote, (const char *)remotes + (size_t)rank * stride, sizeof(remote));
	return remote;
}

bool
tt_create_prove_remotes(tutti_comm *comm, const struct tt_remote *remotes, size_t stride)
{
	const tutti_environment env = tt_create_environment(comm);
	void *memory;

	if (comm->node_size == 1)
		return true;
	if (process_of(remotes, stride, comm->rank).pid == 0) /* it is not to be read itself, and reads nobody */
		return false;
	if (tt_alloc((size_t)comm->node_size, sizeof(struct tt_remote), "the node's processes", &memory) != TUTTI_OK)
		return false;
	comm->remotes = memory;
	for (int i = 0; i < comm->node_size; i++) {
		struct tt_remote *remote = &comm->remotes[i];
		int why;

		*remote = process_of(remotes, stride, env.local_ranks[i]);
		if (remote->pid == 0)
			return false;
		why = tt_remote_prove(remote);
		if (why == 0)
			continue;
		tt_log(&comm->log, TT_LOG_INFO,
		    "rank %d cannot read the memory of rank %d (errno %d): large rows are copied twice; `tutti topo "
		    "--check` says what to do",
		    comm->rank, env.local_ranks[i], why);
		return false;
	}
	return true;
}

static bool
says_yes(const uint32_t *reads, size_t stride, int rank)
{
	uint32_t word;

	memcpy(&word, (const char *)reads + (size_t)rank * stride, sizeof(word));
	return word != 0;
}

void
tt_create_use_remotes(tutti_comm *comm, const uint32_t *reads, size_t stride)
{
	const tutti_environment env = tt_create_environment(comm);
	bool all = comm->remotes != NULL;

	comm->facts.reads_far = 1;
	for (int r = 0; r < comm->size; r++)
		if (!says_yes(reads, stride, r))
			comm->facts.reads_far = 0;
	for (int i = 0; i < env.nlocal; i++)
		all = all && says_yes(reads, stride, env.local_ranks[i]);
	if (all) {
		tt_node_stage_use_remotes(comm->stage, comm->remotes);
		tt_log(&comm->log, TT_LOG_DEBUG,
		    "ranks of this node read each other's memory from %" PRIu64 " bytes on",
		    tt_stage_far_least(&comm->facts.stage, comm->node_size));
		return;
	}
	tt_free(comm->remotes);
	comm->remotes = NULL;
}

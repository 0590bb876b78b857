/* SPDX-License-Identifier: Apache-2.0
 *
 * described.c - from a description of a machine to the facts of a job on it.
 */
#include "cli/described.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/settings.h"
#include "profile/profile.h"

#define LANES 4 /* as a communicator has them */

static tutti_status
place_ranks(struct tt_described *job)
{
	void *memory;

	TT_TRY(tt_alloc((size_t)job->ranks, sizeof(*job->node_of), "a described job", &memory));
	job->node_of = memory;
	TT_TRY(tt_alloc((size_t)job->ranks, sizeof(*job->cards), "a described job", &memory));
	job->cards = memory;
	for (int r = 0; job->one_host && r < job->ranks; r++) {
		struct tt_cpu_set set;

		job->node_of[r] = r;
		tt_topology_binding(job->topology, r, job->ranks, &set);
		tt_rank_card_of(job->topology, &set, 1, &job->cards[r]);
	}
	for (int node = 0, r = 0; !job->one_host && node < job->nodes; node++) {
		const int each = job->ranks / job->nodes + (node < job->ranks % job->nodes);

		for (int i = 0; i < each; i++, r++) {
			struct tt_cpu_set set;

			job->node_of[r] = node;
			if (node > 0 && job->ranks % job->nodes == 0) {
				job->cards[r] = job->cards[i]; /* the nodes are alike */
				job->cards[r].host = (uint64_t)node + 1;
				continue;
			}
			tt_topology_binding(job->topology, i, each, &set);
			tt_rank_card_of(job->topology, &set, (uint64_t)node + 1, &job->cards[r]);
		}
	}
	return tt_map_create(job->cards, job->node_of, job->ranks, &job->map);
}

static tutti_status
make(const char *where, struct tt_described *job)
{
	struct tt_profile profile;
	struct tt_settings settings;
	size_t single = 1;

	TT_TRY(tt_topology_load(where, &job->topology));
	if (job->ranks == 0)
		job->ranks = job->topology->cores * job->nodes;
	if (job->ranks < job->nodes || job->ranks > TT_DESCRIBED_RANKS)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "%d ranks on %d nodes: give 1 to %d ranks, at least one for each node", job->ranks, job->nodes,
		    TT_DESCRIBED_RANKS);
	TT_TRY(place_ranks(job));
	tt_profile_init(&profile);
	tt_calibrate_caches(job->topology->l1d_bytes, job->topology->l2_bytes, &profile.constants);
	if (job->topology->is_here) {
		TT_TRY(tt_settings_init(&settings, NULL));
		const struct tt_log log = tt_settings_log(&settings, 0);
		const tutti_status status = tt_profile_get(settings.text[TT_SET_PROFILE], &log, &profile);

		single = settings.cma;
		tt_settings_fini(&settings);
		TT_TRY(status);
	}
	tt_select_facts_init(&job->facts, job->ranks, job->nodes, job->node_of);
	job->facts.most_per_host = job->map->most_per_host;
	job->facts.cores = job->topology->cores;
	job->facts.lanes = LANES;
	job->facts.reads_far = single > 0;
	job->facts.single_from = single > 1 ? single : 0;
	tt_select_facts_use(&job->facts, &profile.constants, job->map);
	return TUTTI_OK;
}

static tutti_status
make_or_drop(const char *where, int ranks, int nodes, bool one_host, struct tt_described *job)
{
	tutti_status status;

	memset(job, 0, sizeof(*job));
	job->ranks = ranks;
	job->nodes = nodes;
	job->one_host = one_host;
	status = make(where, job);
	if (status != TUTTI_OK)
		tt_described_drop(job);
	return status;
}

tutti_status
tt_described_make(const char *where, int ranks, int nodes, struct tt_described *job)
{
	return make_or_drop(where, ranks, nodes, false, job);
}

tutti_status
tt_described_make_apart(const char *where, int ranks, struct tt_described *job)
{
	return make_or_drop(where, ranks, ranks, true, job);
}

void
tt_described_drop(struct tt_described *job)
{
	tt_map_destroy(job->map);
	tt_free(job->node_of);
	tt_free(job->cards);
	tt_topology_destroy(job->topology);
	memset(job, 0, sizeof(*job));
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * topo_job.c - the ranks tell each other where they are, through the collectives themselves.
 */
#include "cli/topo/topo_job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "profile/profile.h"

static void
describe_rank(tutti_comm *comm, struct tt_topo_rank *rank)
{
	memset(rank, 0, sizeof(*rank));
	tt_rank_card_here(true, &rank->card);
	rank->cores = tt_host_cores();
	rank->kind = tt_profile_host("", "", rank->model, sizeof(rank->model));
	rank->node = tutti_comm_node(comm);
	if (gethostname(rank->host, sizeof(rank->host) - 1) != 0)
		snprintf(rank->host, sizeof(rank->host), "unknown");
}

tutti_status
tt_topo_job_gather(tutti_comm *comm, struct tt_topo_job *job)
{
	const int size = tutti_comm_size(comm);
	struct tt_topo_rank mine;
	struct tt_rank_card *cards;
	tutti_status status;

	*job = (struct tt_topo_job){.comm = comm, .nranks = size};
	job->ranks = calloc((size_t)size, sizeof(*job->ranks));
	job->node_of = calloc((size_t)size, sizeof(*job->node_of));
	cards = calloc((size_t)size, sizeof(*cards));
	if (job->ranks == NULL || job->node_of == NULL || cards == NULL) {
		free(cards);
		return tt_fail(TUTTI_ERR_NOMEM, -1, "no memory for the places of %d ranks", size);
	}
	describe_rank(comm, &mine);
	status = tutti_all_gather(comm, &mine, job->ranks, sizeof(mine), TUTTI_UINT8, NULL, NULL);
	for (int r = 0; r < size && status == TUTTI_OK; r++) {
		job->node_of[r] = job->ranks[r].node;
		cards[r] = job->ranks[r].card;
	}
	if (status == TUTTI_OK)
		status = tt_map_create(cards, job->node_of, size, &job->map);
	free(cards);
	return status;
}

void
tt_topo_job_drop(struct tt_topo_job *job)
{
	tt_map_destroy(job->map);
	free(job->ranks);
	free(job->node_of);
	free(job->latency_us);
	free(job->bandwidth_gbps);
	free(job->findings);
	*job = (struct tt_topo_job){.comm = NULL};
}

/* ---- diagnoses ---------------------------------------------------------------------------------------------------- */

static bool
is_first_of_host(const struct tt_topo_job *job, int rank)
{
	for (int r = 0; r < rank; r++)
		if (job->map->place[r].host == job->map->place[rank].host)
			return false;
	return true;
}

/* How many cores the ranks of that host are bound to together; 0 = not each of them is bound to one. */
static int
bound_cores(const struct tt_topo_job *job, int host)
{
	int cores = 0;

	for (int r = 0; r < job->nranks; r++) {
		const int core = job->ranks[r].card.group[TT_MAP_CORE];
		bool known = false;

		if (job->map->place[r].host != host)
			continue;
		if (core < 0)
			return 0;
		for (int before = 0; before < r; before++)
			known = known || (job->map->place[before].host == host &&
					     job->ranks[before].card.group[TT_MAP_CORE] == core);
		cores += !known;
	}
	return cores;
}

static void
look_at_host(const struct tt_topo_job *job, int me, char *findings)
{
	struct tt_topo_host host = {.alone = job->map->nhosts == 1, .bound = true};
	struct tt_topology *topology;
	int last = -1;

	if (tt_topology_load(NULL, &topology) != TUTTI_OK) {
		snprintf(
		    findings, TT_TOPO_FINDINGS, "the machine cannot be looked at: %s\n", tt_last_error()->message);
		return;
	}
	host.topology = topology;
	host.cores = job->ranks[me].cores;
	for (int r = 0; r < job->nranks; r++) {
		if (job->map->place[r].host != job->map->place[me].host)
			continue;
		host.ranks++;
		host.bound = host.bound && job->ranks[r].card.group[TT_MAP_NUMA] >= 0;
		host.groups += job->node_of[r] > last; /* nodes are numbered in the order of first ranks */
		last = job->node_of[r] > last ? job->node_of[r] : last;
		host.cores = job->ranks[r].cores > host.cores ? job->ranks[r].cores : host.cores;
	}
	if (bound_cores(job, job->map->place[me].host) > 0)
		host.cores = bound_cores(job, job->map->place[me].host);
	else if (job->ranks[me].card.cpus < host.ranks) /* bound to parts of the machine, they have more together */
		host.cores = host.bound ? topology->cores : host.cores;
	host.quota = tt_host_quota_at("");
	tt_topo_check_host(&host, findings, TT_TOPO_FINDINGS);
	tt_topology_destroy(topology);
}

tutti_status
tt_topo_job_check(struct tt_topo_job *job)
{
	const int me = tutti_comm_rank(job->comm);
	char *mine = calloc(1, TT_TOPO_FINDINGS);
	tutti_status status;

	job->findings = calloc(me == 0 ? (size_t)job->nranks : 1, TT_TOPO_FINDINGS);
	if (mine == NULL || job->findings == NULL) {
		free(mine);
		return tt_fail(TUTTI_ERR_NOMEM, -1, "no memory for what %d ranks find", job->nranks);
	}
	if (is_first_of_host(job, me))
		look_at_host(job, me, mine);
	status = tutti_gather(job->comm, mine, job->findings, TT_TOPO_FINDINGS, TUTTI_UINT8, 0, NULL, NULL);
	free(mine);
	return status;
}

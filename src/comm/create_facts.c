/* SPDX-License-Identifier: Apache-2.0
 *
 * create_facts.c - what all ranks of a communicator know alike: who sits where, on what machines, by which rules and
 * constants algorithms are chosen, and which transports all allow.
 *
 * The rule that keeps it correct: whatever a choice depends on comes out of the cards of all ranks, in the same way on each.
 */
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/memory.h"
#include "comm/create_parts.h"
#include "profile/profile.h"
#include "topology/host.h"
#include "topology/map.h"

/* What every rank tells the others before anything is opened. */
struct facts_card {
	int32_t status;
	int32_t cores; /* of this rank alone */
	uint64_t cpus[TT_HOST_CPUS /
		      64]; /* it may run on: a rank that is bound to a core leaves the others to the others */
	uint32_t transports; /* that it allows */
	uint32_t described; /* the machine that it sits on is not this one */
	struct tt_transport_card plugin;
	struct tt_rank_card place;
	struct tt_constants constants; /* of the node's first rank: this host's */
	struct tt_select_facts facts; /* rank 0's count */
	char message[TT_CARD_MESSAGE];
};

/* ---- places --------------------------------------------------------------------------------------------------- */

/* The cores that the ranks of a host have together: CPUs that one of them may use, no more than the quota allows. */
static int
host_cores(const tutti_comm *comm, const struct facts_card *cards, int host)
{
	struct tt_cpu_set all = {{0}};
	int cores, quota = 0;

	for (int r = 0; r < comm->size; r++) {
		struct tt_cpu_set mine;

		if (comm->map->place[r].host != host)
			continue;
		memcpy(mine.bits, cards[r].cpus, sizeof(mine.bits));
		if (tt_cpu_set_count(&mine) > cards[r].cores && (quota == 0 || cards[r].cores < quota))
			quota = cards[r].cores; /* fewer than the mask has: a quota, which the ranks share */
		for (size_t i = 0; i < TT_COUNT_OF(all.bits); i++)
			all.bits[i] |= mine.bits[i];
	}
	cores = tt_cpu_set_count(&all);
	if (quota > 0 && quota < cores)
		cores = quota;
	return cores > 0 ? cores : 1;
}

/* Every rank of the slowest host is waited for: prices count with the most crowded one. How a rank waits is its own
 * host's affair. */
static void
take_hosts(tutti_comm *comm, const struct facts_card *cards)
{
	const int *node_of = tt_world_node_of(comm->world);

	comm->facts.most_per_host = 0;
	for (int host = 0; host < comm->map->nhosts; host++) {
		const int cores = host_cores(comm, cards, host);
		bool near = false;
		int ranks = 0;

		for (int r = 0; r < comm->size; r++) {
			ranks += comm->map->place[r].host == host;
			near = near || (comm->map->place[r].host == host && node_of[r] == node_of[comm->rank]);
		}
		comm->node_crowded = comm->node_crowded || (near && ranks > cores);
		tt_select_facts_host(&comm->facts, ranks, cores);
		if (comm->map->place[comm->rank].host != host)
			continue;
		comm->cores = cores;
		comm->crowded = ranks > cores;
	}
}

/* The map, the most crowded host, and constants that no host falls short of. */
static tutti_status
take_places(tutti_comm *comm, const struct facts_card *cards)
{
	const int *node_of = tt_world_node_of(comm->world);
	struct tt_constants constants = cards[0].constants;
	struct tt_rank_card *places;
	void *memory;
	tutti_status status;

	TT_TRY(tt_alloc((size_t)comm->size, sizeof(*places), "the places of the ranks", &memory));
	places = memory;
	for (int r = 0, nodes = 0; r < comm->size; r++) {
		places[r] = cards[r].place;
		if (node_of[r] < nodes)
			continue;
		nodes++;
		tt_constants_worst(&constants, &cards[r].constants);
	}
	status = tt_map_create(places, node_of, comm->size, &comm->map);
	tt_free(memory);
	TT_TRY(status);
	take_hosts(comm, cards);
	tt_select_facts_use(&comm->facts, &constants, comm->map);
	return TUTTI_OK;
}

/* This host's constants: one rank of each node knows them. A child's hosts are its parent's. */
static tutti_status
know_host(tutti_comm *comm, struct tt_constants *constants)
{
	struct tt_profile profile;
	int n;

	tt_constants_init(constants);
	if (comm->parent != NULL) {
		*constants = comm->parent->facts.constants;
		return TUTTI_OK;
	}
	if (comm->size == 1 || (comm->world != NULL && tt_world_local_ranks(comm->world, &n)[0] != comm->rank))
		return TUTTI_OK; /* alone there is nothing to choose */
	TT_TRY(tt_profile_get(comm->settings.text[TT_SET_PROFILE], &comm->log, &profile));
	*constants = profile.constants;
	return TUTTI_OK;
}

/* Where this rank sits, or, on a machine that is described, would sit: its node's ranks get a core each. What a rank costs
 * its neighbours in waiting is of the machine that is here: cores are counted there. A child's ranks sit where they did. */
static tutti_status
take_place(tutti_comm *comm, bool with_nic)
{
	const char *described = comm->settings.text[TT_SET_TOPOLOGY];
	struct tt_topology *topology;
	struct tt_cpu_set set;
	uint64_t host;
	int n = 1;

	if (described != NULL && comm->parent != NULL) {
		comm->place = comm->parent->place;
		return TUTTI_OK;
	}
	tt_rank_card_here(with_nic && described == NULL, &comm->place);
	if (described == NULL)
		return TUTTI_OK;
	TT_TRY(tt_topology_load(described, &topology));
	if (comm->world != NULL)
		(void)tt_world_local_ranks(comm->world, &n);
	tt_topology_binding(topology, comm->world != NULL ? tt_world_local_rank(comm->world) : 0, n, &set);
	host = comm->place.host;
	tt_rank_card_of(topology, &set, host, &comm->place);
	tt_topology_destroy(topology);
	return TUTTI_OK;
}

void
tt_create_log_place(const tutti_comm *comm)
{
	const struct tt_rank_card *p = &comm->place;

	tt_log(&comm->log, TT_LOG_DEBUG,
	    "this rank's place: package %d, NUMA node %d, L3 %d, core %d (by their first CPUs, -1: "
	    "in none)%s%s; place %d in the ring, the map's parent is rank %d",
	    p->group[TT_MAP_PACKAGE], p->group[TT_MAP_NUMA], p->group[TT_MAP_L3], p->group[TT_MAP_CORE],
	    comm->settings.text[TT_SET_TOPOLOGY] != NULL ? " of " : "",
	    comm->settings.text[TT_SET_TOPOLOGY] != NULL ? comm->settings.text[TT_SET_TOPOLOGY] : "",
	    comm->map != NULL ? comm->map->position[comm->rank] : 0,
	    comm->map != NULL ? comm->map->parent[comm->rank] : -1);
}

/* ---- transports ------------------------------------------------------------------------------------------------ */

tutti_environment
tt_create_environment(const tutti_comm *comm)
{
	tutti_environment env = {.size = sizeof(env),
	    .rank = comm->rank,
	    .nranks = comm->size,
	    .lanes = TT_EXECUTOR_LANES + TT_P2P_LANES,
	    .key = tt_world_key(comm->world),
	    .interfaces = comm->settings.text[TT_SET_INTERFACES],
	    .port_range = comm->settings.text[TT_SET_PORT_RANGE],
	    .cores = comm->cores,
	    .connect_timeout_ms = comm->settings.timeout_ms > 0 ? comm->settings.timeout_ms : 300000,
	    .peer_timeout_ms = TT_PEER_TIMEOUT_MS,
	    .connections = comm->settings.connections,
	    .checksum = comm->settings.checksum,
	    .staging_bytes = (size_t)comm->facts.staging_bytes / 2, /* the other half is the node stage's */
	    .provider = comm->provider,
	    .offers = comm->offers};

	env.local_ranks = tt_world_local_ranks(comm->world, &env.nlocal);
	return env;
}

/* Ranks that share no memory may want a plug-in. It stays in the set only if it can be used. */
static tutti_status
load_plugin(tutti_comm *comm, struct tt_transport_wish *wish, struct tt_transport_card *card)
{
	tutti_environment env;

	if (comm->world == NULL || (wish->set & TT_TRANSPORT_PLUGIN) == 0)
		return TUTTI_OK;
	if (comm->node_size == comm->size && (wish->set & TT_TRANSPORT_SHM) != 0) {
		wish->set &= ~TT_TRANSPORT_PLUGIN;
		return TUTTI_OK;
	}
	comm->provider = wish->provider;
	env = tt_create_environment(comm);
	return tt_transports_load(wish, &env, &comm->log, &comm->plugin, card);
}

/* Have all ranks the same plug-in, and one way in common to use it? */
static tutti_status
agree_plugin(tutti_comm *comm, const struct facts_card *cards, uint32_t *set)
{
	tutti_environment env;
	void *memory;

	for (int r = 1; r < comm->size; r++)
		if (strncmp(cards[r].plugin.name, cards[0].plugin.name, TT_TRANSPORT_NAME) != 0)
			*set &= ~TT_TRANSPORT_PLUGIN;
	if ((*set & TT_TRANSPORT_PLUGIN) == 0)
		return TUTTI_OK;
	TT_TRY(tt_alloc((size_t)comm->size, TUTTI_OFFER_BYTES, "the offers of the ranks", &memory));
	comm->offers = memory;
	for (int r = 0; r < comm->size; r++)
		memcpy((char *)memory + (size_t)r * TUTTI_OFFER_BYTES, cards[r].plugin.offer, TUTTI_OFFER_BYTES);
	env = tt_create_environment(comm);
	return tt_transports_agree(comm->plugin, &env, &comm->log, set);
}

/* ---- agreement --------------------------------------------------------------------------------------------------- */

static tutti_status
take_rules(const char *rules, struct tt_select_facts *facts)
{
	if (rules == NULL)
		return TUTTI_OK;
	if (strlen(rules) >= sizeof(facts->rules))
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "TUTTI_ALGORITHM has %zu characters: no more than %zu fit",
		    strlen(rules), sizeof(facts->rules) - 1);
	snprintf(facts->rules, sizeof(facts->rules), "%s", rules);
	return tt_select_rules_check(facts->rules);
}

/* What this rank knows by itself, into its card and the communicator. */
static tutti_status
fill_card(tutti_comm *comm, struct tt_transport_wish *wish, struct facts_card *mine)
{
	struct tt_cpu_set cpus = {{0}};
	tutti_status status;

	(void)tt_host_affinity(&cpus); /* unknown: an empty set, and one core is assumed */
	memcpy(mine->cpus, cpus.bits, sizeof(mine->cpus));
	tt_select_facts_init(&mine->facts, comm->size, comm->world ? tt_world_nnodes(comm->world) : 1,
	    comm->world ? tt_world_node_of(comm->world) : NULL);
	mine->facts.staging_bytes = (int64_t)comm->settings.staging_bytes;
	mine->facts.lanes = TT_EXECUTOR_LANES;
	mine->facts.reproducible = comm->settings.reproducible;
	mine->facts.single_from = comm->settings.cma > 1 ? comm->settings.cma : 0;
	status = take_rules(comm->settings.text[TT_SET_ALGORITHM], &mine->facts);
	if (status == TUTTI_OK)
		status = take_place(comm, mine->facts.nnodes > 1);
	mine->place = comm->place;
	mine->described = comm->settings.text[TT_SET_TOPOLOGY] != NULL;
	if (status == TUTTI_OK)
		status = know_host(comm, &mine->constants);
	comm->facts = mine->facts;
	comm->facts.cores = comm->cores = mine->cores;
	if (status == TUTTI_OK)
		status = load_plugin(comm, wish, &mine->plugin);
	mine->transports = wish->set;
	return status;
}

/* The transports that all ranks allow. */
static uint32_t
common_transports(const tutti_comm *comm, const struct facts_card *cards)
{
	uint32_t set = cards[0].transports;

	for (int r = 1; r < comm->size; r++) {
		set &= cards[r].transports;
		if (cards[r].transports != cards[0].transports && comm->rank == 0)
			tt_log(&comm->log, TT_LOG_WARN,
			    "rank %d allows other transports than rank 0; only those that all "
			    "allow are used",
			    r);
	}
	return set;
}

tutti_status
tt_create_agree(
    tutti_comm *comm, struct tt_transport_wish *wish, int64_t deadline_ns, uint32_t *agreed, tutti_status *own)
{
	struct facts_card mine = {.cores = tt_host_cores()};
	const tutti_status status = fill_card(comm, wish, &mine);
	const struct facts_card *cards;
	void *memory;

	*agreed = mine.transports;
	if (comm->world == NULL)
		return status;
	tt_card_note(status, &mine.status, mine.message);
	TT_TRY(
	    tt_cards_exchange(comm, &mine, sizeof(mine), offsetof(struct facts_card, message), deadline_ns, &memory));
	cards = memory;
	comm->facts = cards[0].facts;
	comm->described = cards[0].described != 0;
	*own = take_places(comm, cards);
	*agreed = common_transports(comm, cards);
	if (*own == TUTTI_OK)
		*own = agree_plugin(comm, cards, agreed);
	tt_free(memory);
	return TUTTI_OK;
}

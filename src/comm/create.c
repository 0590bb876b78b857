/* SPDX-License-Identifier: Apache-2.0
 *
 * create.c - from a rendezvous to a communicator.
 *
 *	world (who, where) ── agree on facts ── node's shared piece ── open transports ── addresses ── links ── go
 *
 * Every step that can fail on one rank only is followed by an exchange that carries the failure, so that all
 * ranks return an error, and the same one.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"
#include "bootstrap/identity.h"
#include "comm/arguments.h"
#include "comm/comm.h"
#include "comm/transports.h"
#include "profile/profile.h"
#include "topology/host.h"
#include "topology/map.h"

#define PEER_TIMEOUT_MS 10000
#define PLAN_CACHE_BYTES ((size_t)8 << 20)

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
	char message[256];
};

struct address_card {
	int32_t status;
	uint64_t shared_offset, stage_offset;
	uint64_t decisions; /* tt_select_digest() */
	unsigned char levels[TT_STAGE_LEVELS][TT_SEGMENT_ID]; /* the segments of its lineage */
	struct tt_remote remote; /* the first time; all zero: its memory is not to be read */
	uint32_t reads; /* the second time: it can read all others of its node, if there are any */
	uint16_t bytes[TT_PORTS_TRANSPORTS];
	char message[256];
	unsigned char address[TT_PORTS_TRANSPORTS][TUTTI_ADDRESS_BYTES];
};

/* ---- agreement ------------------------------------------------------------------------------------------------- */

/* The first rank that failed decides for all. cards: size cards of `bytes` each, starting with an int32 status. */
static tutti_status
first_failure(const tutti_comm *comm, const void *cards, size_t bytes, size_t message_at)
{
	for (int r = 0; r < comm->size; r++) {
		const char *card = (const char *)cards + (size_t)r * bytes;
		int32_t status;

		memcpy(&status, card, sizeof(status));
		if (status == TUTTI_OK)
			continue;
		if (r == comm->rank)
			return (tutti_status)status; /* recorded where it was decided */
		return tt_fail((tutti_status)status, r, "rank %d could not join: %.255s", r, card + message_at);
	}
	return TUTTI_OK;
}

static tutti_status
agree(tutti_comm *comm, const void *mine, size_t bytes, size_t message_at, int64_t deadline_ns, void **cards)
{
	tutti_status status;

	TT_TRY(tt_alloc((size_t)comm->size, bytes, "cards of the ranks", cards));
	status = tt_world_exchange(comm->world, mine, bytes, *cards, deadline_ns);
	if (status == TUTTI_OK)
		status = first_failure(comm, *cards, bytes, message_at);
	if (status != TUTTI_OK) {
		tt_free(*cards);
		*cards = NULL;
	}
	return status;
}

static void
note_failure(tutti_status status, int32_t *card_status, char *message, size_t bytes)
{
	*card_status = (int32_t)status;
	if (status != TUTTI_OK)
		snprintf(message, bytes, "%.250s", tt_last_error()->message);
}

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

/* What the ranks' places have led to. */
static void
log_place(const tutti_comm *comm)
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

static tutti_environment
environment(const tutti_comm *comm)
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
	    .peer_timeout_ms = PEER_TIMEOUT_MS,
	    .connections = comm->settings.connections,
	    .checksum = comm->settings.checksum,
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
	env = environment(comm);
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
	env = environment(comm);
	return tt_transports_agree(comm->plugin, &env, &comm->log, set);
}

/* Rank 0's rules, everybody's limits; without a world the rank's own. *own: what failed on this rank alone, after the
 * cards were exchanged. */
static tutti_status
agree_facts(
    tutti_comm *comm, struct tt_transport_wish *wish, int64_t deadline_ns, uint32_t *agreed, tutti_status *own)
{
	struct facts_card mine = {.cores = tt_host_cores()};
	struct facts_card *cards;
	void *memory;
	tutti_status status;

	struct tt_cpu_set cpus = {{0}};

	(void)tt_host_affinity(&cpus); /* unknown: an empty set, and one core is assumed */
	memcpy(mine.cpus, cpus.bits, sizeof(mine.cpus));
	tt_select_facts_init(&mine.facts, comm->size, comm->world ? tt_world_nnodes(comm->world) : 1,
	    comm->world ? tt_world_node_of(comm->world) : NULL);
	mine.facts.staging_bytes = (int64_t)comm->settings.staging_bytes;
	mine.facts.lanes = TT_EXECUTOR_LANES;
	mine.facts.reproducible = comm->settings.reproducible;
	mine.facts.single_from = comm->settings.cma > 1 ? comm->settings.cma : 0;
	status = take_rules(comm->settings.text[TT_SET_ALGORITHM], &mine.facts);
	if (status == TUTTI_OK)
		status = take_place(comm, mine.facts.nnodes > 1);
	mine.place = comm->place;
	mine.described = comm->settings.text[TT_SET_TOPOLOGY] != NULL;
	if (status == TUTTI_OK)
		status = know_host(comm, &mine.constants);
	comm->facts = mine.facts;
	comm->facts.cores = comm->cores = mine.cores;
	if (status == TUTTI_OK)
		status = load_plugin(comm, wish, &mine.plugin);
	*agreed = mine.transports = wish->set;
	if (comm->world == NULL)
		return status;

	note_failure(status, &mine.status, mine.message, sizeof(mine.message));
	TT_TRY(agree(comm, &mine, sizeof(mine), offsetof(struct facts_card, message), deadline_ns, &memory));
	cards = memory;
	comm->facts = cards[0].facts;
	comm->described = cards[0].described != 0;
	*own = take_places(comm, cards);
	for (int r = 1; r < comm->size; r++) {
		*agreed &= cards[r].transports;
		if (cards[r].transports != cards[0].transports && comm->rank == 0)
			tt_log(&comm->log, TT_LOG_WARN,
			    "rank %d allows other transports than rank 0; only those that all "
			    "allow are used",
			    r);
	}
	if (*own == TUTTI_OK)
		*own = agree_plugin(comm, cards, agreed);
	tt_free(memory);
	return TUTTI_OK;
}

/* Do all ranks decide alike? They do, unless they run different versions, or a processor that rounds differently. */
static tutti_status
check_decisions(const tutti_comm *comm, const char *cards, size_t bytes)
{
	uint64_t first, other;

	memcpy(&first, cards + offsetof(struct address_card, decisions), sizeof(first));
	for (int r = 1; r < comm->size; r++) {
		memcpy(&other, cards + (size_t)r * bytes + offsetof(struct address_card, decisions), sizeof(other));
		if (other != first)
			return tt_fail(TUTTI_ERR_VERSION, r,
			    "rank %d would choose other algorithms than rank 0: all ranks must run the same build "
			    "of Tutti",
			    r);
	}
	return TUTTI_OK;
}

/* ---- transports ------------------------------------------------------------------------------------------------ */

/* The node's first rank takes the piece of memory that the local transports of its ranks share. */
static tutti_status
take_shared(tutti_comm *comm, const tutti_transport *transport, const tutti_environment *env)
{
	const size_t need = transport->shared_need != NULL ? transport->shared_need(env) : 0;

	if (need == 0 || comm->node_rank != 0 || comm->node_size == 1)
		return TUTTI_OK;
	TT_TRY(tt_segment_take(comm->segment, need, &comm->shared_offset));
	return TUTTI_OK;
}

static size_t
stage_need(const tutti_comm *comm)
{
	return tt_node_stage_need(comm->node_size, &comm->facts.stage);
}

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

static tutti_status
open_stage(tutti_comm *comm, const tutti_environment *env)
{
	if (comm->node_size == 1)
		return TUTTI_OK;
	TT_TRY(tt_node_stage_create(tt_segment_at(comm->segment, comm->stage_offset), comm->node_size,
	    comm->node_rank, env->local_ranks, &comm->facts.stage, &comm->stage));
	if (comm->crowded)
		tt_node_stage_share_cores(comm->stage, comm->cores);
	TT_TRY(use_groups(comm, env));
	return tt_executor_use_stage(comm->executor, comm->stage);
}

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

/* Does this rank of the node name the same segments? */
static void
compare_levels(const struct address_card *mine, const char *card, bool *agreed)
{
	static const unsigned char none[TT_SEGMENT_ID];

	for (int i = 0; i < TT_STAGE_LEVELS; i++)
		agreed[i] =
		    agreed[i] && memcmp(mine->levels[i], none, TT_SEGMENT_ID) != 0 &&
		    memcmp(mine->levels[i], card + offsetof(struct address_card, levels) + (size_t)i * TT_SEGMENT_ID,
			TT_SEGMENT_ID) == 0;
}

/* Keeps the cards of the node's ranks and tries to read what they prove with. False: one of them cannot be read. */
static bool
prove_remotes(tutti_comm *comm, const struct address_card *mine, const char *cards)
{
	const tutti_environment env = environment(comm);
	void *memory;

	if (comm->node_size == 1 || mine->remote.pid == 0 ||
	    tt_alloc((size_t)comm->node_size, sizeof(struct tt_remote), "the node's processes", &memory) != TUTTI_OK)
		return false;
	comm->remotes = memory;
	for (int i = 0; i < comm->node_size; i++) {
		struct tt_remote *remote = &comm->remotes[i];
		int why;

		memcpy(remote,
		    cards + (size_t)env.local_ranks[i] * offsetof(struct address_card, address) +
			offsetof(struct address_card, remote),
		    sizeof(*remote));
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

/* If all of the node can read all others, they do; prices count with it if all nodes' do. */
static void
use_remotes(tutti_comm *comm, const struct address_card *cards)
{
	const tutti_environment env = environment(comm);
	bool all = comm->remotes != NULL;

	comm->facts.reads_far = 1;
	for (int r = 0; r < comm->size; r++)
		if (cards[r].reads == 0)
			comm->facts.reads_far = 0;
	for (int i = 0; i < env.nlocal; i++)
		all = all && cards[env.local_ranks[i]].reads != 0;
	if (all) {
		tt_node_stage_use_remotes(comm->stage, comm->remotes);
		tt_log(&comm->log, TT_LOG_DEBUG,
		    "ranks of this node read each other's memory from %" PRIu64 " bytes on",
		    comm->facts.stage.single_least);
		return;
	}
	tt_free(comm->remotes);
	comm->remotes = NULL;
}

/* Does the set of transports reach every rank? The first port that does, in order of preference. */
static tutti_status
port_for(const tutti_comm *comm, int peer, int *port)
{
	const int *node_of = tt_world_node_of(comm->world);
	const bool local = node_of[peer] == node_of[comm->rank];

	for (int i = 0; i < comm->ports.nports; i++) {
		if ((comm->ports.port[i].properties.capabilities & TUTTI_IS_LOCAL) != 0 && !local)
			continue;
		*port = i;
		return TUTTI_OK;
	}
	return tt_fail(TUTTI_ERR_UNSUPPORTED, peer, "no transport that all ranks allow joins ranks %d and %d%s",
	    comm->rank, peer, local ? "" : ", which share no memory: allow \"tcp\"");
}

static tutti_status
connect_all(tutti_comm *comm, const struct address_card *cards, const int *port_of)
{
	for (int r = 0; r < comm->size; r++) {
		int port = 0;

		if (r == comm->rank)
			continue;
		TT_TRY(port_for(comm, r, &port));
		TT_TRY(tt_ports_connect(
		    &comm->ports, port, r, cards[r].address[port_of[port]], cards[r].bytes[port_of[port]]));
	}
	return TUTTI_OK;
}

/* With the transports that are open: then the rest is not needed. */
static bool
reaches_everybody(const tutti_comm *comm)
{
	for (int i = 0; i < comm->ports.nports; i++)
		if (comm->node_size == comm->size ||
		    (comm->ports.port[i].properties.capabilities & TUTTI_IS_LOCAL) == 0)
			return true;
	return false;
}

static tutti_status
open_transports(tutti_comm *comm, uint32_t set, const uint64_t *offset_of, struct address_card *card, int *port_of)
{
	for (int i = 0; i < TT_PLACES; i++) {
		const tutti_transport *transport = tt_transport_at(i, comm->plugin);
		tutti_environment env = environment(comm);
		size_t need, bytes = TUTTI_ADDRESS_BYTES;

		if ((set & (1u << i)) == 0 || reaches_everybody(comm))
			continue;
		need = transport->shared_need != NULL ? transport->shared_need(&env) : 0;
		if (need > 0) {
			if (comm->node_size == 1)
				continue; /* a local transport, and nobody to reach */
			env.shared = tt_segment_at(comm->segment, offset_of[env.local_ranks[0]]);
			env.shared_bytes = need;
		}
		TT_TRY(tt_ports_open(&comm->ports, transport, &env));
		TT_TRY(tt_ports_address(&comm->ports, comm->ports.nports - 1, card->address[i], &bytes));
		card->bytes[i] = (uint16_t)bytes;
		port_of[comm->ports.nports - 1] = i;
		if (i == TT_PLACE_TCP)
			tt_transports_tell(env.interfaces, &comm->log);
	}
	return TUTTI_OK;
}

/* The last that can fail, and the last round: when everybody knows that everybody can, nothing is left to go wrong.
 * `mine` is used again. */
static tutti_status
finish_up(tutti_comm *comm, struct address_card *mine, const struct address_card *cards, const int *port_of,
    int64_t deadline_ns)
{
	tutti_status status = connect_all(comm, cards, port_of);
	void *all;

	if (status == TUTTI_OK)
		status = tt_world_prepare(comm->world);
	if (status == TUTTI_OK && comm->settings.progress_thread)
		status = tt_comm_progress_start(comm);
	/* Whoever has come that far does not look at the parent any more: a rank that is through may already do to it
	 * what it wants. */
	comm->parent = NULL;
	note_failure(status, &mine->status, mine->message, sizeof(mine->message));
	TT_TRY(agree(comm, mine, offsetof(struct address_card, address), offsetof(struct address_card, message),
	    deadline_ns, &all));
	tt_free(all);
	return TUTTI_OK;
}

/* `status`: how this rank's own parts came out; a failure is told to all. */
static tutti_status
join_up(tutti_comm *comm, uint32_t set, tutti_status status, int64_t deadline_ns)
{
	int port_of[TT_PORTS_TRANSPORTS] = {0};
	bool agreed[TT_STAGE_LEVELS];
	struct address_card *mine;
	uint64_t *offsets;
	void *memory, *all;
	const tutti_environment env = environment(comm);

	/* The pieces first: a card each with the offset. */
	TT_TRY(tt_alloc(1, sizeof(*mine) + (size_t)comm->size * sizeof(uint64_t), "an address card", &memory));
	mine = memory;
	offsets = (uint64_t *)(void *)(mine + 1);
	for (int i = 0; i < TT_PLACES && status == TUTTI_OK; i++)
		if ((set & (1u << i)) != 0)
			status = take_shared(comm, tt_transport_at(i, comm->plugin), &env);
	if (status == TUTTI_OK && comm->node_size > 1 && comm->node_rank == 0)
		status = tt_segment_take(comm->segment, stage_need(comm), &comm->stage_offset);
	note_failure(status, &mine->status, mine->message, sizeof(mine->message));
	mine->shared_offset = comm->shared_offset;
	mine->stage_offset = comm->stage_offset;
	mine->decisions = tt_select_digest(&comm->facts);
	if (comm->settings.cma && comm->node_size > 1)
		tt_remote_init(&mine->remote, comm->proof);
	for (int i = 0; i < TT_STAGE_LEVELS; i++) {
		tt_lineage_id(&comm->lineage, i, mine->levels[i]);
		agreed[i] = true;
	}
	status = agree(comm, mine, offsetof(struct address_card, address), offsetof(struct address_card, message),
	    deadline_ns, &all);
	if (status == TUTTI_OK) {
		status = check_decisions(comm, all, offsetof(struct address_card, address));
		if (status != TUTTI_OK)
			tt_free(all);
	}
	if (status == TUTTI_OK) {
		for (int r = 0; r < comm->size; r++) {
			const char *card = (const char *)all + (size_t)r * offsetof(struct address_card, address);

			memcpy(&offsets[r], card + offsetof(struct address_card, shared_offset), sizeof(uint64_t));
			if (tt_world_node_of(comm->world)[r] == tt_world_node_of(comm->world)[comm->rank])
				compare_levels(mine, card, agreed);
			if (r == env.local_ranks[0])
				memcpy(&comm->stage_offset, card + offsetof(struct address_card, stage_offset),
				    sizeof(uint64_t));
		}
		mine->reads = comm->node_size == 1 || prove_remotes(comm, mine, all);
		tt_free(all);
		status = open_stage(comm, &env);
		if (status == TUTTI_OK && comm->stage != NULL)
			use_memory(comm, agreed);
		if (status == TUTTI_OK)
			status = open_transports(comm, set, offsets, mine, port_of);
		note_failure(status, &mine->status, mine->message, sizeof(mine->message));
		status = agree(comm, mine, sizeof(*mine), offsetof(struct address_card, message), deadline_ns, &all);
	}
	if (status == TUTTI_OK) {
		use_remotes(comm, all);
		status = finish_up(comm, mine, all, port_of, deadline_ns);
		tt_free(all);
	}
	tt_free(memory);
	return status;
}

/* ---- the background thread's way up ------------------------------------------------------------------------------ */

static void
on_message(void *context, int from, const void *bytes, size_t n)
{
	tutti_comm *comm = context;

	tt_failure_message(comm->failure, from, bytes, n, tt_now_ns());
}

static void
on_lost(void *context, int rank, const char *why)
{
	tutti_comm *comm = context;
	char text[256];

	snprintf(
	    text, sizeof(text), "rank %d died or became unreachable: %s (noticed by rank %d)", rank, why, comm->rank);
	tt_failure_lost(comm->failure, rank, text, tt_now_ns());
}

/* While it is created, a child goes the way of its parent. */
static tutti_status
parent_is_well(void *context)
{
	const tutti_comm *comm = context;
	tutti_error cause;

	if (comm->parent == NULL || !tt_failure_raised(comm->parent->failure))
		return TUTTI_OK;
	tt_failure_cause(comm->parent->failure, &cause);
	return tt_fail_with(&cause);
}

static void
on_left(void *context, int rank)
{
	tutti_comm *comm = context;

	tt_failure_left(comm->failure, rank);
}

static void
on_alarm(void *context, int64_t now_ns)
{
	tutti_comm *comm = context;

	tt_failure_alarm(comm->failure, now_ns);
}

static void
way_send(void *context, int to, const void *bytes, size_t n)
{
	tutti_comm *comm = context;

	if (comm->world != NULL)
		(void)tt_world_send(comm->world, to, bytes, n);
}

static void
way_alarm(void *context, int64_t when_ns)
{
	tutti_comm *comm = context;

	if (comm->world != NULL)
		tt_world_set_alarm(comm->world, when_ns);
}

static void
way_wake(void *context)
{
	tutti_comm *comm = context;

	tt_comm_wake(comm);
}

/* ---- building ---------------------------------------------------------------------------------------------------- */

/* Finds the others. Takes the meeting over, also when it fails. */
static tutti_status
meet(tutti_comm *comm, const struct tt_rendezvous *rendezvous, struct tt_meeting *meeting, bool share_memory,
    int64_t deadline_ns)
{
	const struct tt_world_config config = {.rank = comm->rank,
	    .size = comm->size,
	    .rendezvous = rendezvous,
	    .meeting = meeting,
	    .share_memory = share_memory,
	    .settings = &comm->settings,
	    .log = comm->log,
	    .deadline_ns = deadline_ns,
	    .peer_timeout_ms = PEER_TIMEOUT_MS,
	    .go_on = comm->parent != NULL ? parent_is_well : NULL,
	    .go_on_context = comm};

	TT_TRY(tt_world_create(&config, &comm->world));
	(void)tt_world_local_ranks(comm->world, &comm->node_size);
	comm->node_rank = tt_world_local_rank(comm->world);
	if (tt_world_segment(comm->world) != NULL)
		comm->segment = tt_segment_share(tt_world_segment(comm->world));
	return TUTTI_OK;
}

/* What a rank needs for itself. */
static tutti_status
make_parts(tutti_comm *comm)
{
	TT_TRY(tt_ports_init(&comm->ports, comm->rank, comm->size));
	TT_TRY(tt_executor_create(&comm->ports, (size_t)comm->facts.staging_bytes, &comm->executor));
	TT_TRY(tt_p2p_create(&comm->ports, TT_EXECUTOR_LANES, &comm->p2p));
	return tt_plan_cache_create(PLAN_CACHE_BYTES, &comm->plans);
}

static void
introduce(tutti_comm *comm)
{
	uint32_t id = 0;

	if (comm->world != NULL)
		memcpy(&id, tt_world_epoch(comm->world), sizeof(id));
	tt_trace_introduce(comm->trace, comm->settings.name, comm->rank, comm->size, id);
}

static tutti_status
build(tutti_comm *comm, const struct tt_rendezvous *rendezvous, struct tt_meeting *meeting, int64_t deadline_ns)
{
	const struct tt_failure_ways ways = {comm, way_send, way_alarm, way_wake};
	const struct tt_world_handler handler = {comm, on_message, on_lost, on_left, on_alarm};
	struct tt_transport_wish wish = {0};
	uint32_t set;
	tutti_status status = tt_failure_create(comm->rank, comm->size, &ways, &comm->log, &comm->failure);

	if (status == TUTTI_OK)
		status = tt_transports_wish(comm->settings.text[TT_SET_TRANSPORTS],
		    comm->settings.text[TT_SET_PLUGINS], comm->settings.text[TT_SET_FABRIC_PROVIDER], &wish);
	if (status == TUTTI_OK)
		status = tt_trace_open(comm->settings.text[TT_SET_TRACE], &comm->log, &comm->trace);
	if (status != TUTTI_OK && meeting != NULL)
		tt_meeting_close(meeting);
	TT_TRY(status);
	if (comm->size > 1) {
		TT_TRY(meet(comm, rendezvous, meeting, (wish.set & TT_TRANSPORT_SHM) != 0, deadline_ns));
		TT_TRY(tt_shrink_prepare(comm, deadline_ns));
	}
	TT_TRY(tt_lineage_found(&comm->lineage, comm->segment, comm->parent != NULL ? &comm->parent->lineage : NULL));
	TT_TRY(agree_facts(comm, &wish, deadline_ns, &set, &status));
	comm->facts.stage.staging_bytes = (uint64_t)comm->facts.staging_bytes;
	if (tt_select_crowd(&comm->facts) > 1) /* the same on all hosts, as all facts */
		comm->facts.stage.slots = comm->facts.stage.crowded_slots;
	tt_ladder_init(&comm->ladder, comm->crowded);
	if (status == TUTTI_OK)
		status = make_parts(comm);
	if (comm->world != NULL)
		status = join_up(comm, set, status, deadline_ns);
	else if (status == TUTTI_OK && comm->settings.progress_thread)
		status = tt_comm_progress_start(comm);
	TT_TRY(status);
	if (comm->world != NULL)
		tt_world_start(comm->world, &handler);
	introduce(comm);
	tt_log(&comm->log, TT_LOG_INFO, "communicator of %d ranks on %d nodes, %d on mine, kernels %s", comm->size,
	    comm->facts.nnodes, comm->node_size, comm->kernels->name);
	log_place(comm);
	return TUTTI_OK;
}

/* Requests that the program has not waited for outlive their communicator: the wait will say so. */
static void
let_go_requests(tutti_comm *comm)
{
	tutti_request *request = comm->all_requests;

	while (request != NULL) {
		tutti_request *next = request->sibling;

		tt_free(request->tables);
		request->tables = NULL;
		if (request->state == TT_REQUEST_FREE || request->in_group) {
			tt_free(request);
		} else {
			if (request->state != TT_REQUEST_ENDED) {
				request->status = TUTTI_ERR_STATE;
				tt_error_fill(&request->error, TUTTI_ERR_STATE, NULL, 0, request->call.sequence,
				    "the communicator was destroyed while this operation was pending");
			}
			request->state = TT_REQUEST_ENDED;
			request->comm = NULL;
		}
		request = next;
	}
}

/* Any half-built state. */
static void
dismantle(tutti_comm *comm)
{
	tt_comm_progress_stop(comm);
	tt_free(comm->homes);
	tt_fd_close(comm->door);
	tt_world_destroy(comm->world); /* the background thread rings the ports' bell: it ends first */
	tt_ports_fini(&comm->ports);
	tt_free(comm->offers);
	tt_free(comm->remotes);
	tt_lineage_leave(&comm->lineage);
	tt_segment_close(comm->segment);
	tt_executor_destroy(comm->executor);
	tt_node_stage_destroy(comm->stage);
	tt_p2p_destroy(comm->p2p);
	let_go_requests(comm);
	tt_operators_fini(comm);
	tt_map_destroy(comm->map);
	tt_fuse_fini(comm);
	if (comm->plans != NULL)
		tt_plan_cache_destroy(comm->plans);
	tt_failure_destroy(comm->failure);
	tt_trace_close(comm->trace);
	tt_settings_fini(&comm->settings);
	tt_owned_lock_destroy(&comm->lock);
	tt_free(comm);
}

tutti_status
tt_comm_build(int size, int rank, const struct tt_rendezvous *rendezvous, struct tt_meeting *meeting,
    struct tt_settings *settings, int64_t deadline_ns, tutti_comm **comm)
{
	return tt_comm_build_child(NULL, size, rank, rendezvous, meeting, settings, deadline_ns, comm);
}

tutti_status
tt_comm_build_child(const tutti_comm *parent, int size, int rank, const struct tt_rendezvous *rendezvous,
    struct tt_meeting *meeting, struct tt_settings *settings, int64_t deadline_ns, tutti_comm **comm)
{
	tutti_comm *c;
	void *memory;
	tutti_status status;

	status = tt_alloc(1, sizeof(*c), "a communicator", &memory);
	if (status != TUTTI_OK) {
		if (meeting != NULL)
			tt_meeting_close(meeting);
		tt_settings_fini(settings);
		return status;
	}
	c = memory;
	c->rank = rank;
	c->size = size;
	c->node_size = 1;
	c->parent = parent;
	c->generation = tt_process_generation();
	c->settings = *settings;
	c->log = tt_settings_log(&c->settings, rank);
	c->kernels = tt_kernels_best();
	c->ports.bell = -1;
	c->door = -1;
	/* Race detectors do not know heavy fences. */
	tt_owned_lock_init(&c->lock, !TT_TSAN && tt_heavy_fence_join());
	status = build(c, rendezvous, meeting, deadline_ns);
	if (status != TUTTI_OK) {
		const tutti_error error = *tt_last_error();

		dismantle(c);
		return tt_fail_with(&error);
	}
	c->parent = NULL;
	*comm = c;
	return TUTTI_OK;
}

/* Is something begun that others cannot end once this rank has gone? What is in the node's stage alone, they can, unless
 * they still read what this rank has lent. */
static bool
leaves_unfinished(const tutti_comm *comm)
{
	const tutti_request *behind = comm->head;

	if (comm->head == NULL)
		return false;
	if (comm->node_size < comm->size || !tt_executor_in_stage(comm->executor) ||
	    tt_node_stage_is_owed(comm->stage))
		return true;
	for (uint32_t i = 0; behind != NULL && (i == 0 || i < comm->head->members_too); i++)
		behind = behind->next;
	return behind != NULL;
}

tutti_status
tutti_comm_destroy(tutti_comm *comm)
{
	if (comm == NULL)
		return TUTTI_OK;
	/* A forked child has a copy of the memory, but not the threads and not the say over the connections. */
	TT_TRY(tt_check_comm(comm, "tutti_comm_destroy"));
	tt_family_leave(comm);
	tt_comm_progress_stop(comm);
	if (comm->world != NULL && !tt_failure_raised(comm->failure))
		tt_failure_leave(comm->failure, leaves_unfinished(comm));
	if (tt_comm_busy(comm)) { /* else what was sent must still arrive */
		tt_ports_cancel(&comm->ports);
		tt_lineage_taint(&comm->lineage);
		if (comm->stage != NULL)
			tt_node_stage_withdraw(comm->stage);
	}
	dismantle(comm);
	return TUTTI_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * create_join.c - how ranks that know of each other come to share memory and have links.
 *
 *	pieces of the node's segment ──► stage, transports, addresses ──► connections ──► all are ready
 *	          first round                       second round               last round
 */
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "comm/create_parts.h"

/* First round: which pieces of the node's segment its first rank has taken, and what must be the same. */
struct piece_card {
	int32_t status;
	uint64_t shared_offset, stage_offset;
	uint64_t decisions; /* tt_select_digest() */
	unsigned char levels[TT_STAGE_LEVELS][TT_SEGMENT_ID]; /* the segments of its lineage */
	struct tt_remote remote; /* all zero: its memory is not to be read */
	char message[TT_CARD_MESSAGE];
};

/* Second round: where its transports are found. */
struct address_card {
	int32_t status;
	uint32_t reads; /* it can read all others of its node, if there are any */
	uint16_t bytes[TT_PORTS_TRANSPORTS];
	char message[TT_CARD_MESSAGE];
	unsigned char address[TT_PORTS_TRANSPORTS][TUTTI_ADDRESS_BYTES];
};

/* Last round: it is ready. */
struct ready_card {
	int32_t status;
	char message[TT_CARD_MESSAGE];
};

/* ---- pieces ------------------------------------------------------------------------------------------------------ */

/* Do all ranks decide alike? They do, unless they run different versions, or a processor that rounds differently. */
static tutti_status
check_decisions(const tutti_comm *comm, const struct piece_card *cards)
{
	for (int r = 1; r < comm->size; r++)
		if (cards[r].decisions != cards[0].decisions)
			return tt_fail(TUTTI_ERR_VERSION, r,
			    "rank %d would choose other algorithms than rank 0: all ranks must run the same build "
			    "of Tutti",
			    r);
	return TUTTI_OK;
}

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

static tutti_status
take_pieces(tutti_comm *comm, uint32_t set)
{
	const tutti_environment env = tt_create_environment(comm);

	for (int i = 0; i < TT_PLACES; i++)
		if ((set & (1u << i)) != 0)
			TT_TRY(take_shared(comm, tt_transport_at(i, comm->plugin), &env));
	if (comm->node_size > 1 && comm->node_rank == 0)
		TT_TRY(tt_segment_take(comm->segment, tt_create_stage_need(comm), &comm->stage_offset));
	return TUTTI_OK;
}

static tutti_status
exchange_pieces(tutti_comm *comm, uint32_t set, tutti_status status, int64_t deadline_ns, struct piece_card **cards)
{
	struct piece_card mine = {0};
	void *all;

	if (status == TUTTI_OK)
		status = take_pieces(comm, set);
	tt_card_note(status, &mine.status, mine.message);
	mine.shared_offset = comm->shared_offset;
	mine.stage_offset = comm->stage_offset;
	mine.decisions = tt_select_digest(&comm->facts);
	if (comm->settings.cma && comm->node_size > 1)
		tt_remote_init(&mine.remote, comm->proof);
	for (int i = 0; i < TT_STAGE_LEVELS; i++)
		tt_lineage_id(&comm->lineage, i, mine.levels[i]);
	TT_TRY(tt_cards_exchange(comm, &mine, sizeof(mine), offsetof(struct piece_card, message), deadline_ns, &all));
	*cards = all;
	return check_decisions(comm, *cards);
}

/* ---- addresses ----------------------------------------------------------------------------------------------------- */

/* Which levels are the same segment on all ranks of the node? */
static void
compare_levels(const tutti_comm *comm, const struct piece_card *cards, bool agreed[TT_STAGE_LEVELS])
{
	static const unsigned char none[TT_SEGMENT_ID];
	const struct piece_card *mine = &cards[comm->rank];
	int n;
	const int *ranks = tt_world_local_ranks(comm->world, &n);

	for (int i = 0; i < TT_STAGE_LEVELS; i++) {
		agreed[i] = memcmp(mine->levels[i], none, TT_SEGMENT_ID) != 0;
		for (int k = 0; k < n; k++)
			agreed[i] =
			    agreed[i] && memcmp(mine->levels[i], cards[ranks[k]].levels[i], TT_SEGMENT_ID) == 0;
	}
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
open_transports(tutti_comm *comm, uint32_t set, uint64_t shared_offset, struct address_card *card, int *port_of)
{
	for (int i = 0; i < TT_PLACES; i++) {
		const tutti_transport *transport = tt_transport_at(i, comm->plugin);
		tutti_environment env = tt_create_environment(comm);
		size_t need, bytes = TUTTI_ADDRESS_BYTES;

		if ((set & (1u << i)) == 0 || reaches_everybody(comm))
			continue;
		need = transport->shared_need != NULL ? transport->shared_need(&env) : 0;
		if (need > 0) {
			if (comm->node_size == 1)
				continue; /* a local transport, and nobody to reach */
			env.shared = tt_segment_at(comm->segment, shared_offset);
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

/* What the node's ranks share, as its first rank has laid it out, and what this rank is found by. */
static tutti_status
open_parts(tutti_comm *comm, uint32_t set, const struct piece_card *cards, struct address_card *mine, int *port_of)
{
	bool agreed[TT_STAGE_LEVELS];
	int n;
	const int first = tt_world_local_ranks(comm->world, &n)[0];

	compare_levels(comm, cards, agreed);
	mine->reads = tt_create_prove_remotes(comm, &cards[0].remote, sizeof(*cards));
	comm->stage_offset = cards[first].stage_offset;
	TT_TRY(tt_create_stage(comm, agreed));
	return open_transports(comm, set, cards[first].shared_offset, mine, port_of);
}

static tutti_status
exchange_addresses(tutti_comm *comm, uint32_t set, const struct piece_card *pieces, int *port_of, int64_t deadline_ns,
    struct address_card **cards)
{
	struct address_card *mine;
	void *memory, *all = NULL;
	tutti_status status;

	TT_TRY(tt_alloc(1, sizeof(*mine), "an address card", &memory));
	mine = memory;
	status = open_parts(comm, set, pieces, mine, port_of);
	tt_card_note(status, &mine->status, mine->message);
	status =
	    tt_cards_exchange(comm, mine, sizeof(*mine), offsetof(struct address_card, message), deadline_ns, &all);
	tt_free(memory);
	*cards = all;
	return status;
}

/* ---- connections --------------------------------------------------------------------------------------------------- */

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

/* The last that can fail, and the last round: when everybody knows that everybody can, nothing is left to go wrong. */
static tutti_status
finish_up(tutti_comm *comm, const struct address_card *cards, const int *port_of, int64_t deadline_ns)
{
	struct ready_card mine = {0};
	tutti_status status = connect_all(comm, cards, port_of);
	void *all;

	if (status == TUTTI_OK)
		status = tt_world_prepare(comm->world);
	if (status == TUTTI_OK && comm->settings.progress_thread)
		status = tt_comm_progress_start(comm);
	/* Whoever has come that far does not look at the parent any more: a rank that is through may already do to it
	 * what it wants. */
	comm->parent = NULL;
	tt_card_note(status, &mine.status, mine.message);
	TT_TRY(tt_cards_exchange(comm, &mine, sizeof(mine), offsetof(struct ready_card, message), deadline_ns, &all));
	tt_free(all);
	return TUTTI_OK;
}

tutti_status
tt_create_join(tutti_comm *comm, uint32_t set, tutti_status status, int64_t deadline_ns)
{
	int port_of[TT_PORTS_TRANSPORTS] = {0};
	struct piece_card *pieces = NULL;
	struct address_card *addresses = NULL;

	status = exchange_pieces(comm, set, status, deadline_ns, &pieces);
	if (status == TUTTI_OK)
		status = exchange_addresses(comm, set, pieces, port_of, deadline_ns, &addresses);
	if (status == TUTTI_OK) {
		tt_create_use_remotes(comm, &addresses[0].reads, sizeof(*addresses));
		status = finish_up(comm, addresses, port_of, deadline_ns);
	}
	tt_free(pieces);
	tt_free(addresses);
	return status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * create_parts.h - what the files that create a communicator know of each other: the cards that ranks exchange, and the steps.
 *
 * The rule that keeps it correct: a step that can fail on one rank only is followed by an exchange of cards, so that all ranks
 * return an error, and the same one. A card begins with the status and has a message.
 */
#ifndef TT_COMM_CREATE_PARTS_H
#define TT_COMM_CREATE_PARTS_H

#include "comm/comm.h"
#include "comm/transports.h"

#define TT_CARD_MESSAGE 256
#define TT_PEER_TIMEOUT_MS 10000

/* ---- cards (create_cards.c) --------------------------------------------------------------------------------------- */

/* A rank's status and why, as its card says it. */
void tt_card_note(tutti_status status, int32_t *card_status, char message[TT_CARD_MESSAGE]);
/* Gives this rank's card, of `bytes`, to all and takes theirs: *cards, owned by the caller, by rank. The first rank that
 * failed decides for all. message_at: where a card has its message. */
tutti_status tt_cards_exchange(
    tutti_comm *comm, const void *mine, size_t bytes, size_t message_at, int64_t deadline_ns, void **cards);

/* ---- what all know (create_facts.c) --------------------------------------------------------------------------------- */

/* The environment of this rank's transports, as far as it is known. */
tutti_environment tt_create_environment(const tutti_comm *comm);
/* Rank 0's rules, everybody's limits, and where all sit; without a world the rank's own. *agreed: the transports that all
 * allow. *own: what failed on this rank alone after the cards were exchanged; the next exchange tells it. */
tutti_status tt_create_agree(
    tutti_comm *comm, struct tt_transport_wish *wish, int64_t deadline_ns, uint32_t *agreed, tutti_status *own);
/* Says, on the level DEBUG, what the ranks' places have led to. */
void tt_create_log_place(const tutti_comm *comm);

/* ---- the node's part (create_stage.c) --------------------------------------------------------------------------------- */

/* Bytes of the node's segment that its stage takes. */
size_t tt_create_stage_need(const tutti_comm *comm);
/* agreed[i]: level i of the lineage is the same segment on all ranks of the node. */
tutti_status tt_create_stage(tutti_comm *comm, const bool agreed[TT_STAGE_LEVELS]);
/* Keeps the cards of the node's processes and tries to read what they prove with. remotes: by rank, `stride` bytes apart.
 * False: one of them cannot be read. */
bool tt_create_prove_remotes(tutti_comm *comm, const struct tt_remote *remotes, size_t stride);
/* reads: of each rank, `stride` bytes apart, whether it can read all others of its node. If all of the node can, they do;
 * prices count with it if all nodes' do. */
void tt_create_use_remotes(tutti_comm *comm, const uint32_t *reads, size_t stride);

/* ---- links (create_join.c) ----------------------------------------------------------------------------------------------- */

/* Memory, transports, addresses, connections. `status`: how this rank's own parts came out; a failure is told to all. */
tutti_status tt_create_join(tutti_comm *comm, uint32_t set, tutti_status status, int64_t deadline_ns);

/* ---- the end (destroy.c) ------------------------------------------------------------------------------------------------- */

/* Frees a communicator in any half-built state. */
void tt_comm_dismantle(tutti_comm *comm);

#endif /* TT_COMM_CREATE_PARTS_H */

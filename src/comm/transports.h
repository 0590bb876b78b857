/* SPDX-License-Identifier: Apache-2.0
 *
 * transports.h - the transports a communicator may use: two that are built in, and one plug-in.
 *
 * The order is the order of preference: shared memory, then a plug-in, then TCP. A plug-in is loaded only if ranks
 * are out of the reach of shared memory: what fabric brings with it costs a process 0.2 s.
 */
#ifndef TT_COMM_TRANSPORTS_H
#define TT_COMM_TRANSPORTS_H

#include <tutti/transport.h>

#include "base/log.h"
#include "base/port.h"

enum tt_transport_place { TT_PLACE_SHM, TT_PLACE_PLUGIN, TT_PLACE_TCP, TT_PLACES };

#define TT_TRANSPORT_SHM (1u << TT_PLACE_SHM)
#define TT_TRANSPORT_PLUGIN (1u << TT_PLACE_PLUGIN)
#define TT_TRANSPORT_TCP (1u << TT_PLACE_TCP)
#define TT_TRANSPORT_NAME 32

/* What was asked for. */
struct tt_transport_wish {
	uint32_t set; /* of places */
	bool automatic; /* nothing was asked for: a plug-in is used only if it has a card to drive */
	char plugin[TT_TRANSPORT_NAME]; /* "fabric", "" if none */
	const char *folder; /* where plug-ins are, NULL = beside the library; lent */
	const char *provider; /* for the plug-in; lent */
};

/* What a rank tells the others of its plug-in. */
struct tt_transport_card {
	char name[TT_TRANSPORT_NAME]; /* "": it has none */
	unsigned char offer[TUTTI_OFFER_BYTES];
};

/* text: as in TUTTI_TRANSPORTS, NULL = automatic. ERR_ARGUMENT names those there are. folder and provider (both may be
 * NULL) are lent for as long as the wish is used. */
tutti_status tt_transports_wish(
    const char *text, const char *folder, const char *provider, struct tt_transport_wish *wish);
/* The table behind a place; plugin: of the plug-in, may be NULL. */
const tutti_transport *tt_transport_at(int place, const tutti_transport *plugin);
/* Loads the plug-in and has it say what it offers. Where TCP may be used instead, a failure is a line in the log and
 * the plug-in leaves the set; else it is an error. */
tutti_status tt_transports_load(struct tt_transport_wish *wish, const tutti_environment *env,
    const struct tt_log *log, const tutti_transport **plugin, struct tt_transport_card *card);
/* Looks at what all ranks have in common; the same result on each. env->offers is set. *set loses the plug-in if TCP
 * can take its place. */
tutti_status tt_transports_agree(
    const tutti_transport *plugin, const tutti_environment *env, const struct tt_log *log, uint32_t *set);

/* Says, on the level INFO, by which network cards this rank's data goes to ranks that it shares no memory with. */
void tt_transports_tell(const char *interfaces, const struct tt_log *log);

#endif /* TT_COMM_TRANSPORTS_H */

/* SPDX-License-Identifier: Apache-2.0
 *
 * identity_meet.c - how the ranks of a launcher's job find each other: told by rank 0, or worked out.
 *
 * TUTTI_ROOT is a person's word and goes first. A launcher that carries messages (PMI-1, PMIx) carries rank 0's
 * unique id, secret and all. Otherwise the rendezvous is derived, which needs to know where rank 0 is, unless all
 * ranks are on one machine. Every rank must come to the same way: only what they all see alike decides.
 */
#include "bootstrap/identity.h"

#include <string.h>

#include "base/error.h"
#include "base/process.h"
#include "bootstrap/pmi1_exchange.h"
#include "bootstrap/pmix_client.h"

static void
clear_meeting(struct tt_meeting *meeting)
{
	memset(meeting, 0, sizeof(*meeting));
	for (int i = 0; i < TT_MEETING_ADDRESSES; i++)
		meeting->tcp[i] = -1;
	meeting->local = -1;
}

/* Alone there is nobody to meet, and the key is nobody's business. */
static void
meet_nobody(struct tt_rendezvous *rendezvous)
{
	memset(rendezvous, 0, sizeof(*rendezvous));
	tt_random(rendezvous->key, sizeof(rendezvous->key));
	tt_random(rendezvous->epoch, sizeof(rendezvous->epoch));
	rendezvous->authenticated = true;
}

static tutti_status
nowhere_to_meet(const struct tt_identity *identity)
{
	const char *why = identity->pmix ? tt_last_error()->message : "there is no PMIx server";

	return tt_fail(TUTTI_ERR_UNSUPPORTED, 0,
	    "%s does not say where rank 0 is (%s): pass TUTTI_ROOT=HOST:PORT of rank 0 to all ranks",
	    tt_launcher_name(identity->launcher), why);
}

tutti_status
tt_identity_meet(const struct tt_identity *identity, const struct tt_settings *settings, const struct tt_log *log,
    unsigned call, int64_t deadline_ns, struct tt_rendezvous *rendezvous, struct tt_meeting *meeting)
{
	struct tt_pmi1_call pmi1 = {identity, call};
	tutti_status status;

	clear_meeting(meeting);
	if (identity->warning[0] != '\0')
		tt_log(log, TT_LOG_WARN, "%s", identity->warning);
	if (identity->size == 1) {
		meet_nobody(rendezvous);
		return TUTTI_OK;
	}
	if (identity->launcher == TT_LAUNCHER_PMI && !identity->root_given)
		return tt_exchange_meet(
		    identity->rank, tt_pmi1_exchange, &pmi1, settings, deadline_ns, rendezvous, meeting);
	if (identity->pmix && !identity->root_given) {
		status = tt_exchange_meet(
		    identity->rank, tt_pmix_exchange, &call, settings, deadline_ns, rendezvous, meeting);
		if (status != TUTTI_ERR_UNSUPPORTED)
			return status;
		clear_meeting(meeting);
		tt_log(log, TT_LOG_INFO, "PMIx is not used: %s", tt_last_error()->message);
	}
	if (!identity->one_machine && identity->root_host[0] == '\0')
		return nowhere_to_meet(identity);
	return tt_derived_meet(identity, settings, log, call, deadline_ns, rendezvous, meeting);
}

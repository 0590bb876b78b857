/* SPDX-License-Identifier: Apache-2.0
 *
 * exchange_meet.c - rank 0 opens a meeting and its id travels to the others over something that exists already.
 *
 * The id holds the job's secret: copies of it are wiped when they have served.
 */
#include "bootstrap/identity.h"

#include <sodium.h>

#include "base/error.h"

static tutti_status
host(tt_id_exchange *exchange, void *context, const struct tt_settings *settings, int64_t deadline_ns,
    struct tt_rendezvous *rendezvous, struct tt_meeting *meeting)
{
	tutti_unique_id id;
	tutti_status status;

	TT_TRY(tt_meeting_open(settings, rendezvous, meeting));
	tt_unique_id_write(rendezvous, &id);
	status = exchange(context, 0, &id, deadline_ns);
	sodium_memzero(&id, sizeof(id));
	if (status != TUTTI_OK)
		tt_meeting_close(meeting);
	return status;
}

static tutti_status
join(int rank, tt_id_exchange *exchange, void *context, int64_t deadline_ns, struct tt_rendezvous *rendezvous)
{
	tutti_unique_id id;
	tutti_status status;

	status = exchange(context, rank, &id, deadline_ns);
	if (status == TUTTI_OK)
		status = tt_unique_id_read(&id, rendezvous);
	sodium_memzero(&id, sizeof(id));
	return status;
}

tutti_status
tt_exchange_meet(int rank, tt_id_exchange *exchange, void *context, const struct tt_settings *settings,
    int64_t deadline_ns, struct tt_rendezvous *rendezvous, struct tt_meeting *meeting)
{
	if (rank == 0)
		return host(exchange, context, settings, deadline_ns, rendezvous, meeting);
	return join(rank, exchange, context, deadline_ns, rendezvous);
}

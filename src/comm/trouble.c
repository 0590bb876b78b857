/* SPDX-License-Identifier: Apache-2.0
 *
 * trouble.c - what the driving thread notices and reports: failed transfers, deaths, deserters, deadlines, stalls.
 *
 * It only reports; what comes of it is the judge's business (failure.h).
 */
#include "comm/comm.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"

#define STALL_NS (1000 * TT_MS) /* an operation that has not moved for so long is asked about */

static void
report_mismatch(tutti_comm *comm, const tutti_request *request, const struct tt_run_fault *fault, int64_t now_ns)
{
	const uint64_t mine = request->call.sequence;
	struct tt_call theirs;
	char text[512], call[160], other[160];

	memcpy(&theirs, fault->peer_mark, sizeof(theirs));
	tt_call_print(&request->call, call, sizeof(call));
	tt_call_print(&theirs, other, sizeof(other));
	if (theirs.sequence == 0)
		snprintf(text, sizeof(text),
		    "rank %d says that its operations differ from those of rank %d, whose operation %" PRIu64
		    " is %s; "
		    "every rank must issue the same operations in the same order",
		    fault->peer, comm->rank, mine, call);
	else if (tt_call_equal(&theirs, &request->call))
		snprintf(text, sizeof(text),
		    "in operation %" PRIu64 ", %s, rank %d and rank %d disagree on the size of a "
		    "message: %zu and %zu bytes; check the counts that each rank gives",
		    mine, call, fault->peer, comm->rank, fault->peer_bytes, fault->bytes);
	else
		snprintf(text, sizeof(text),
		    "rank %d called %s as its operation %" PRIu64 ", rank %d called %s as its "
		    "operation %" PRIu64 "; every rank must issue the same operations in the same order",
		    fault->peer, other, theirs.sequence, comm->rank, call, mine);
	tt_failure_report(comm->failure, TT_REPORT_MISMATCH, fault->peer,
	    theirs.sequence > 0 && theirs.sequence < mine ? theirs.sequence : mine, text, now_ns);
}

static bool
has_left(void *failure, int rank)
{
	return tt_failure_has_left(failure, rank);
}

int
tt_comm_culprit(const tutti_comm *comm, int peer, char *message, size_t bytes, tutti_status *status)
{
	return tt_ports_culprit(&comm->ports, peer, has_left, comm->failure, message, bytes, status);
}

void
tt_comm_report_fault(tutti_comm *comm, const tutti_request *request, int64_t now_ns)
{
	const struct tt_run_fault *fault = tt_executor_fault(comm->executor);
	enum tt_report_kind kind = TT_REPORT_LINK;
	char text[512], call[160], why[256];
	tutti_status status = TUTTI_OK;
	int accused = fault->peer;

	if (comm->reported)
		return;
	comm->reported = true;
	if (fault->status == TUTTI_ERR_MISMATCH) {
		report_mismatch(comm, request, fault, now_ns);
		return;
	}
	tt_call_print(&request->call, call, sizeof(call));
	if (fault->peer >= 0)
		accused = tt_comm_culprit(comm, fault->peer, why, sizeof(why), &status);
	if (status == TUTTI_OK)
		snprintf(why, sizeof(why), "%.255s",
		    tt_last_error()->status == fault->status ? tt_last_error()->message
							     : tutti_status_string(fault->status));
	else if (status == TUTTI_ERR_MISMATCH)
		kind = TT_REPORT_MISMATCH;
	snprintf(text, sizeof(text), "%s; seen by rank %d in operation %" PRIu64 " (%s)", why, comm->rank,
	    request->call.sequence, call);
	tt_failure_report(
	    comm->failure, kind, accused, kind == TT_REPORT_LINK ? 0 : request->call.sequence, text, now_ns);
}

/* The first operation that is over its time limit, which counts from the call and not from its turn; NULL: none. */
static const tutti_request *
overdue(tutti_request *head, int64_t now_ns)
{
	for (tutti_request *request = head; request != NULL; request = request->next) {
		if (request->deadline_ns == 0)
			request->deadline_ns =
			    request->timeout_ms < 0 ? TT_FOREVER : now_ns + request->timeout_ms * TT_MS;
		if (now_ns >= request->deadline_ns)
			return request;
	}
	return NULL;
}

static void
report_overdue(tutti_comm *comm, const tutti_request *late, int64_t now_ns)
{
	const uint64_t running = comm->head->call.sequence;
	const int awaited = tt_executor_awaited(comm->executor);
	char text[300], call[160], which[64] = "", wait[128] = "";

	comm->reported = true;
	tt_call_print(&late->call, call, sizeof(call));
	/* Perhaps all ranks are well, and a connection between two of them carries nothing any more. */
	if (late->call.sequence != running)
		snprintf(which, sizeof(which), "in operation %" PRIu64 " ", running);
	if (awaited >= 0)
		snprintf(wait, sizeof(wait), ", %srank %d waits for rank %d", which, comm->rank, awaited);
	snprintf(text, sizeof(text), "operation %" PRIu64 " (%s) did not end within %" PRId64 " ms%s",
	    late->call.sequence, call, late->timeout_ms, wait);
	tt_failure_report(comm->failure, TT_REPORT_TIMEOUT, -1, late->call.sequence, text, now_ns);
}

static void
look_at_queue(tutti_comm *comm, tutti_request *head, int64_t now_ns)
{
	const tutti_request *late;
	char text[300], call[160];
	int rank;

	tt_call_print(&head->call, call, sizeof(call));
	rank = tt_failure_deserter(comm->failure, head->call.sequence);
	if (rank >= 0) {
		snprintf(text, sizeof(text),
		    "rank %d has destroyed its communicator before operation %" PRIu64 " (%s) was over", rank,
		    head->call.sequence, call);
		tt_failure_report(comm->failure, TT_REPORT_DEATH, rank, head->call.sequence, text, now_ns);
		return;
	}
	late = overdue(head, now_ns);
	if (late != NULL && !comm->reported) {
		report_overdue(comm, late, now_ns);
		return;
	}
	if (comm->stall_sequence != head->call.sequence) {
		comm->stall_sequence = head->call.sequence;
		comm->stall_since_ns = now_ns;
		comm->stall_wait_ns = STALL_NS;
	} else if (now_ns - comm->stall_since_ns > comm->stall_wait_ns && !comm->reported) {
		/* Perhaps a mismatch in which no two messages meet: ask, less and less often. */
		comm->stall_since_ns = now_ns;
		comm->stall_wait_ns *= 2;
		tt_failure_report(comm->failure, TT_REPORT_STALL, -1, head->call.sequence, call, now_ns);
	}
}

void
tt_comm_look_around(tutti_comm *comm, int64_t now_ns)
{
	char text[160];
	int dead;

	tt_failure_driven(comm->failure, now_ns);
	if (comm->world == NULL) {
		tt_messages_look(comm, now_ns);
		tt_failure_alarm(comm->failure, now_ns);
		return;
	}
	if (tt_failure_raised(comm->failure))
		return;
	tt_comm_look_for_revocation(comm);
	dead = tt_world_dead(comm->world);
	if (dead >= 0) {
		snprintf(
		    text, sizeof(text), "rank %d died: its process is gone (noticed by rank %d)", dead, comm->rank);
		tt_failure_report(comm->failure, TT_REPORT_DEATH, dead, 0, text, now_ns);
	}
	if (comm->head != NULL)
		look_at_queue(comm, comm->head, now_ns);
	tt_messages_look(comm, now_ns);
}

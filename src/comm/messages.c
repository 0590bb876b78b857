/* SPDX-License-Identifier: Apache-2.0
 *
 * messages.c - tutti_send and tutti_recv: from a call to its end, beside the queue of collectives.
 *
 * A send or receive that is pending is in the list comm->messages and in the engine's p2p; nothing here waits for a
 * collective, and no collective waits for anything here. They have no sequence number.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/error.h"
#include "comm/arguments.h"
#include "comm/comm.h"

#define LEFT_NS (500 * TT_MS) /* after so much silence, a peer that has left has sent nothing more */
#define CALL_BYTES 128

static tutti_request *
request_of(struct tt_p2p_op *op)
{
	return (tutti_request *)(void *)((char *)op - offsetof(tutti_request, message));
}

/* ---- words ------------------------------------------------------------------------------------------------------ */

void
tt_message_print(const struct tt_p2p_op *op, char *text, size_t bytes)
{
	char peer[32];

	if (op->with < 0)
		snprintf(peer, sizeof(peer), "any rank");
	else
		snprintf(peer, sizeof(peer), "rank %d", op->with);
	snprintf(text, bytes, "%s(%" PRIu64 " x %s %s %s, tag %d)", op->receives ? "recv" : "send", op->count,
	    tt_dtype_name((tutti_dtype)op->dtype), op->receives ? "from" : "to", peer, op->tag);
}

static void
report(tutti_comm *comm, enum tt_report_kind kind, int rank, const char *text, int64_t now_ns)
{
	comm->reported = true;
	tt_failure_report(comm->failure, kind, rank, 0, text, now_ns);
}

static void
report_mismatch(tutti_comm *comm, const struct tt_p2p_fault *fault, int64_t now_ns)
{
	const struct tt_p2p_what *sent = &fault->sent, *wanted = &fault->wanted;
	char text[320];

	snprintf(text, sizeof(text),
	    "rank %d sent %" PRIu64 " x %s to rank %d with tag %d, whose receive is for %" PRIu64
	    " x %s; a send and its receive must have the same count and data type",
	    fault->peer, sent->count, tt_dtype_name((tutti_dtype)sent->dtype), comm->rank, sent->tag, wanted->count,
	    tt_dtype_name((tutti_dtype)wanted->dtype));
	/* Two ranks differ: it is the one that is not the lowest. */
	report(comm, TT_REPORT_MISMATCH, fault->peer > comm->rank ? fault->peer : comm->rank, text, now_ns);
}

static void
report_fault(tutti_comm *comm, const struct tt_p2p_fault *fault)
{
	char text[400], why[256];
	const int64_t now_ns = tt_now_ns();
	tutti_status status = TUTTI_OK;
	int accused = comm->rank;

	if (comm->reported)
		return;
	if (fault->status == TUTTI_ERR_MISMATCH) {
		report_mismatch(comm, fault, now_ns);
		return;
	}
	if (fault->peer < 0)
		snprintf(why, sizeof(why), "%.200s", tt_last_error()->message);
	else
		accused = tt_comm_culprit(comm, fault->peer, why, sizeof(why), &status);
	if (fault->peer >= 0 && status == TUTTI_OK)
		snprintf(why, sizeof(why), "rank %d broke the protocol of sends and receives", fault->peer);
	snprintf(text, sizeof(text), "%s; seen by rank %d in a send or receive", why, comm->rank);
	report(comm, TT_REPORT_LINK, accused, text, now_ns);
}

/* ---- pending ---------------------------------------------------------------------------------------------------- */

static void
unlink_message(tutti_comm *comm, tutti_request *request)
{
	if (request->before != NULL)
		request->before->next = request->next;
	else
		comm->messages = request->next;
	if (request->next != NULL)
		request->next->before = request->before;
	request->next = request->before = NULL;
}

void
tt_messages_start(tutti_comm *comm, tutti_request *request)
{
	request->state = TT_REQUEST_RUNNING;
	if (TT_UNLIKELY(comm->trace != NULL))
		request->issue_ns = request->start_ns = tt_now_ns();
	request->before = NULL;
	request->next = comm->messages;
	if (comm->messages != NULL)
		comm->messages->before = request;
	comm->messages = request;
	tt_p2p_start(comm->p2p, &request->message);
}

int
tt_messages_advance(tutti_comm *comm)
{
	int moved = tt_p2p_advance(comm->p2p);
	struct tt_p2p_op *op;

	while ((op = tt_p2p_take_ended(comm->p2p)) != NULL) {
		tutti_request *request = request_of(op);

		unlink_message(comm, request);
		if (request->sender != NULL)
			*request->sender = op->with;
		tt_request_end(request, TUTTI_OK);
		moved++;
	}
	if (TT_UNLIKELY(tt_p2p_fault(comm->p2p)->status != TUTTI_OK))
		report_fault(comm, tt_p2p_fault(comm->p2p));
	return moved;
}

/* A death or an abort says nothing of messages: this one is what it ended here. */
static void
name_message(tutti_request *request)
{
	tutti_error *error = &request->error;
	const size_t used = strlen(error->message);
	char call[CALL_BYTES];

	if (error->status != TUTTI_ERR_PEER && error->status != TUTTI_ERR_ABORTED)
		return;
	tt_message_print(&request->message, call, sizeof(call));
	snprintf(error->message + used, sizeof(error->message) - used, "; it ended %s", call);
}

void
tt_messages_end_all(tutti_comm *comm, const tutti_error *cause)
{
	tt_p2p_drop(comm->p2p);
	while (comm->messages != NULL) {
		tutti_request *request = comm->messages;

		unlink_message(comm, request);
		request->error = *cause;
		name_message(request);
		comm->told = true;
		tt_request_end(request, cause->status);
	}
}

/* ---- trouble ------------------------------------------------------------------------------------------------------ */

/* The rank that will never answer this one, because it has left; -1: none. */
static int
deserter(tutti_comm *comm, const struct tt_p2p_op *op)
{
	int left = -1;

	if (op->with >= 0)
		return op->with != comm->rank && tt_failure_has_left(comm->failure, op->with) ? op->with : -1;
	for (int r = 0; r < comm->size; r++) {
		if (r == comm->rank)
			continue;
		if (!tt_failure_has_left(comm->failure, r))
			return -1;
		left = left < 0 ? r : left;
	}
	return left;
}

static void
look_for_deserters(tutti_comm *comm, int64_t now_ns)
{
	char text[300], call[CALL_BYTES];

	if (comm->messages_quiet_ns == 0)
		comm->messages_quiet_ns = now_ns;
	if (now_ns - comm->messages_quiet_ns < LEFT_NS)
		return;
	for (const tutti_request *request = comm->messages; request != NULL; request = request->next) {
		const int left = deserter(comm, &request->message);

		if (left < 0)
			continue;
		tt_message_print(&request->message, call, sizeof(call));
		snprintf(text, sizeof(text), "rank %d has destroyed its communicator while rank %d was in %s", left,
		    comm->rank, call);
		report(comm, TT_REPORT_DEATH, left, text, now_ns);
		return;
	}
}

void
tt_messages_look(tutti_comm *comm, int64_t now_ns)
{
	const tutti_request *late = NULL;
	char text[300], call[CALL_BYTES];

	if (comm->messages == NULL || comm->reported)
		return;
	for (const tutti_request *request = comm->messages; request != NULL; request = request->next)
		if (now_ns >= request->deadline_ns && (late == NULL || request->deadline_ns < late->deadline_ns))
			late = request;
	if (late != NULL) {
		tt_message_print(&late->message, call, sizeof(call));
		snprintf(text, sizeof(text),
		    "%s of rank %d did not end within %" PRId64 " ms: %s has not done its part", call, comm->rank,
		    late->timeout_ms, late->message.with < 0 ? "no rank" : "the other side");
		report(comm, TT_REPORT_TIMEOUT, late->message.with, text, now_ns);
		return;
	}
	if (comm->world != NULL)
		look_for_deserters(comm, now_ns);
}

/* ---- the calls ------------------------------------------------------------------------------------------------------ */

static tutti_status
check_peer(const tutti_comm *comm, int peer, bool any)
{
	if (peer >= 0 && peer < comm->size)
		return TUTTI_OK;
	if (any && peer == TUTTI_ANY_PEER)
		return TUTTI_OK;
	return tt_fail(TUTTI_ERR_ARGUMENT, -1, "the peer is %d, but the ranks are 0 to %d%s", peer, comm->size - 1,
	    any ? ", or TUTTI_ANY_PEER" : "");
}

static tutti_status
check(const tutti_comm *comm, const struct tt_p2p_op *op, tutti_dtype dtype, const tutti_options *options,
    tutti_options *full)
{
	*full = (tutti_options)TUTTI_OPTIONS_INIT;
	TT_TRY(tt_check_options(options));
	if (options != NULL)
		memcpy(full, options, tt_min_size(options->size, sizeof(*full)));
	if (full->algorithm != NULL)
		return tt_fail(TUTTI_ERR_UNSUPPORTED, -1, "a send or receive has no algorithm to choose");
	TT_TRY(tt_check_dtype(dtype)); /* before it is cut to the envelope's width */
	TT_TRY(tt_check_buffer("buffer", op->buffer, op->count, dtype));
	TT_TRY(check_peer(comm, op->peer, op->receives));
	if (op->tag < 0)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "the tag is %d: tags are 0 to 2147483647", op->tag);
	return TUTTI_OK;
}

static tutti_status
issue_locked(tutti_comm *comm, const struct tt_p2p_op *op, int *sender, int64_t timeout_ms, tutti_request **issued)
{
	tutti_request *request;

	TT_TRY(tt_comm_usable(comm));
	TT_TRY(tt_p2p_open(comm->p2p));
	TT_TRY(tt_request_get(comm, &request));
	request->is_message = true;
	request->message = *op;
	request->message.bytes = (size_t)op->count * tt_dtype_size((tutti_dtype)op->dtype);
	request->sender = sender;
	request->call = (struct tt_call){.sequence = 0};
	request->timeout_ms = timeout_ms != 0 ? timeout_ms : comm->settings.timeout_ms;
	if (tt_group_recording(comm)) {
		tt_group_record(comm, request);
		return TUTTI_OK;
	}
	request->deadline_ns = tt_deadline_ns(request->timeout_ms);
	tt_messages_start(comm, request);
	(void)tt_comm_advance(comm);
	*issued = request;
	return TUTTI_OK;
}

static tutti_status
issue(tutti_comm *comm, const struct tt_p2p_op *op, tutti_dtype dtype, int *sender, const tutti_options *options,
    tutti_request **request)
{
	tutti_request *issued = NULL;
	tutti_options full;
	tutti_status status;

	tt_group_call_begins(comm);
	TT_TRY(check(comm, op, dtype, options, &full));
	TT_TRY(tt_group_check(comm, request));
	tt_comm_lock(comm);
	status = issue_locked(comm, op, sender, full.timeout_ms, &issued);
	if (status == TUTTI_OK && issued != NULL)
		status = tt_comm_hand_over(comm, issued, request);
	tt_comm_unlock(comm);
	return status;
}

tutti_status
tutti_send(tutti_comm *comm, const void *buffer, size_t count, tutti_dtype dtype, int peer, int tag,
    const tutti_options *options, tutti_request **request)
{
	const struct tt_p2p_op op = {.buffer = (unsigned char *)(uintptr_t)buffer,
	    .count = count,
	    .dtype = (uint8_t)dtype,
	    .peer = peer,
	    .tag = tag};

	TT_TRY(tt_check_comm(comm, "tutti_send"));
	return issue(comm, &op, dtype, NULL, options, request);
}

tutti_status
tutti_recv(tutti_comm *comm, void *buffer, size_t count, tutti_dtype dtype, int peer, int tag, int *sender,
    const tutti_options *options, tutti_request **request)
{
	const struct tt_p2p_op op = {
	    .receives = true, .buffer = buffer, .count = count, .dtype = (uint8_t)dtype, .peer = peer, .tag = tag};

	TT_TRY(tt_check_comm(comm, "tutti_recv"));
	return issue(comm, &op, dtype, sender, options, request);
}

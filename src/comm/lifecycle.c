/* SPDX-License-Identifier: Apache-2.0
 *
 * lifecycle.c - a request from the free list to its end, and how the end is told.
 *
 * A communicator's failure ends all that is pending with its cause; the program hears the cause once, afterwards
 * TUTTI_ERR_STATE.
 */
#include "comm/comm.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#define ABORT_NS (1000 * TT_MS) /* as long as an abort may take anywhere */

tutti_status
tt_request_get(tutti_comm *comm, tutti_request **request)
{
	void *memory;

	if (comm->free_requests == NULL) {
		TT_TRY(tt_alloc(1, sizeof(tutti_request), "a request", &memory));
		comm->free_requests = memory;
		comm->free_requests->sibling = comm->all_requests;
		comm->all_requests = comm->free_requests;
	}
	*request = comm->free_requests;
	comm->free_requests = (*request)->next;
	(*request)->comm = comm;
	(*request)->next = NULL;
	(*request)->run.plan = NULL;
	(*request)->plan_is_memo = false;
	(*request)->group = NULL;
	(*request)->members_too = 0;
	(*request)->is_message = (*request)->in_group = (*request)->started = (*request)->parked = false;
	(*request)->next_run = NULL;
	(*request)->op = NULL;
	return TUTTI_OK;
}

void
tt_request_drop_plan(tutti_request *request)
{
	if (request->run.plan != NULL && !request->plan_is_memo)
		tt_plan_unpin(request->comm->plans, request->run.plan);
	request->run.plan = NULL;
	request->plan_is_memo = false;
}

static void
let_go(tutti_request *request)
{
	if (request->op != NULL)
		tt_operator_put(request->comm, request->op);
	request->op = NULL;
	tt_request_drop_plan(request);
}

void
tt_request_put(tutti_comm *comm, tutti_request *request)
{
	let_go(request);
	request->state = TT_REQUEST_FREE;
	request->next = comm->free_requests;
	comm->free_requests = request;
}

void
tt_request_mark_ended(tutti_request *request)
{
	request->state = TT_REQUEST_ENDED;
	if (!request->parked)
		return;
	/* Its waiter wants the lock again: whoever drives may have more to do, and must not keep it. */
	request->parked = false;
	tt_fetch_add_acq_rel(&request->comm->contenders, 1u);
}

static void
trace(const tutti_request *request)
{
	const struct tt_call none = {.sequence = 0}, *call = request->is_message ? &none : &request->call;
	uint64_t bytes = call->count * tt_dtype_size((tutti_dtype)call->dtype);
	char what[160];

	if (request->is_message) {
		tt_message_print(&request->message, what, sizeof(what));
		bytes = request->message.bytes;
	} else {
		tt_call_print(call, what, sizeof(what));
	}
	tt_trace_operation(
	    request->comm->trace, what, call, bytes, request->issue_ns, request->start_ns, request->status);
}

void
tt_request_end(tutti_request *request, tutti_status status)
{
	request->status = status;
	if (TT_UNLIKELY(request->comm->trace != NULL))
		trace(request);
	tt_request_mark_ended(request);
	let_go(request);
	if (request->group != NULL)
		tt_group_member_ended(request);
}

void
tt_comm_pop(tutti_comm *comm)
{
	comm->head = comm->head->next;
	if (comm->head == NULL)
		comm->tail = NULL;
}

/* A death or an abort says nothing of operations: this rank's own is the one that it ended. */
static void
name_operation(tutti_request *request)
{
	tutti_error *error = &request->error;
	const size_t used = strlen(error->message);
	char call[160];

	tt_call_print(&request->call, call, sizeof(call));
	error->sequence = request->call.sequence;
	snprintf(error->message + used, sizeof(error->message) - used, "; it ended operation %" PRIu64 ", %s%s",
	    error->sequence, call,
	    error->status == TUTTI_ERR_PEER ? "; start again, or make a new communicator of the ranks that are left"
					    : "");
}

void
tt_comm_end_all(tutti_comm *comm)
{
	tutti_error cause;

	tt_failure_cause(comm->failure, &cause);
	tt_lineage_taint(&comm->lineage);
	tt_ports_cancel(&comm->ports);
	tt_executor_drop(comm->executor);
	if (comm->stage != NULL) {
		tt_node_stage_take_back(comm->stage);
		tt_node_stage_withdraw(comm->stage); /* before the program has its memory back */
	}
	while (comm->head != NULL) {
		tutti_request *request = comm->head;

		tt_comm_pop(comm);
		request->error = cause;
		if (cause.sequence == 0)
			name_operation(request);
		comm->told = true;
		tt_request_end(request, cause.status);
	}
	tt_messages_end_all(comm, &cause);
	tt_trace_flush(comm->trace);
}

tutti_status
tt_comm_finish(tutti_comm *comm, tutti_request *request)
{
	const tutti_status status = request->status;

	if (status != TUTTI_OK)
		(void)tt_fail_with(&request->error);
	tt_request_put(comm, request);
	return status;
}

/* After an abort of this rank's own the verdict is on its way: what is called next must not slip in before it. */
static void
await_verdict(const tutti_comm *comm)
{
	const int64_t until_ns = tt_now_ns() + ABORT_NS;
	const struct timespec moment = {.tv_nsec = 100000};

	while (!tt_failure_raised(comm->failure) && tt_now_ns() < until_ns)
		nanosleep(&moment, NULL);
}

tutti_status
tt_comm_usable(tutti_comm *comm)
{
	tutti_error cause;

	if (TT_UNLIKELY(tt_load_relaxed(&comm->aborting) != 0))
		await_verdict(comm);
	if (TT_LIKELY(!tt_failure_raised(comm->failure)))
		return TUTTI_OK;
	tt_comm_end_all(comm);
	tt_failure_cause(comm->failure, &cause);
	if (!comm->told) {
		comm->told = true;
		return tt_fail_with(&cause);
	}
	return tt_fail(TUTTI_ERR_STATE, cause.rank, "the communicator has failed before (%s): %.400s",
	    tutti_status_string(cause.status), cause.message);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * group.c - operations that are issued together.
 *
 *	begin   call   call   call   end          recorded: checked and planned, but neither numbered nor started
 *	                              └─► all start, in the order of the calls; one request for all of them
 *
 * A group belongs to the thread that has opened it; calls of other threads are not recorded. Each collective keeps its
 * own number. Small all-reduces may run as one, if all ranks turn out to have them in a group (fuse.c); a group here may
 * meet single calls on another rank.
 */
#include <pthread.h>

#include "base/clock.h"
#include "base/error.h"
#include "comm/arguments.h"
#include "comm/comm.h"

static uint64_t
this_thread(void)
{
	return (uint64_t)(uintptr_t)pthread_self();
}

bool
tt_group_recording(const tutti_comm *comm)
{
	/* Another thread's value, old or new, is never ours. */
	const uint64_t owner = tt_load_relaxed(&comm->group.owner);

	return TT_UNLIKELY(owner != 0) && owner == this_thread();
}

/* Has the latest call failed? Its error is still this thread's latest. */
static void
keep_error(struct tt_group *group)
{
	if (group->begun == group->recorded)
		return;
	group->recorded = group->begun;
	if (group->error.status == TUTTI_OK)
		group->error = *tt_last_error();
}

void
tt_group_call_begins(tutti_comm *comm)
{
	if (!tt_group_recording(comm))
		return;
	keep_error(&comm->group);
	comm->group.begun++;
}

tutti_status
tt_group_check(const tutti_comm *comm, tutti_request **request)
{
	if (request == NULL || !tt_group_recording(comm))
		return TUTTI_OK;
	return tt_fail(TUTTI_ERR_ARGUMENT, -1,
	    "an operation in a group has no request of its own: pass NULL, tutti_group_end gives one for all");
}

void
tt_group_record(tutti_comm *comm, tutti_request *request)
{
	struct tt_group *group = &comm->group;

	request->in_group = true;
	request->next = NULL;
	if (group->first == NULL)
		group->first = request;
	else
		group->last->next = request;
	group->last = request;
	group->recorded++;
}

/* Is the call what the latest one was, but for its memory? That one has been checked and planned. */
static bool
is_like(const tutti_request *last, const struct tt_intent *call, const void *send, const void *recv)
{
	const struct tt_operands *operands = &last->run.operands;
	const size_t bytes = call->count * operands->element;
	const uintptr_t from = (uintptr_t)send, to = (uintptr_t)recv;

	if (!last->fusable || !last->plan_is_memo || last->op != NULL || last->call.count != call->count ||
	    last->call.collective != (uint8_t)call->collective || last->call.dtype != (uint8_t)call->dtype ||
	    last->call.op != (uint8_t)call->op || call->count == 0 || send == NULL || recv == NULL)
		return false;
	if (operands->in.base == operands->out.base)
		return from == to;
	return from + bytes <= to || to + bytes <= from;
}

static void
copy(const tutti_comm *comm, tutti_request *request, const tutti_request *last, const void *send, void *recv)
{
	request->timeout_ms = comm->settings.timeout_ms;
	request->deadline_ns = 0;
	request->next_run = last->next_run;
	request->next_context = last->next_context;
	request->call = last->call;
	request->run = last->run;
	request->run.operands.in.base = (unsigned char *)(uintptr_t)send;
	request->run.operands.out.base = recv;
	request->plan_is_memo = request->fusable = true;
}

bool
tt_group_repeat(tutti_comm *comm, const struct tt_intent *call, const void *send, void *recv)
{
	struct tt_group *group = &comm->group;
	tutti_request *request;
	bool done;

	if (!tt_group_recording(comm) || group->last == NULL || group->error.status != TUTTI_OK ||
	    group->begun != group->recorded || (unsigned)call->dtype > UINT8_MAX || (unsigned)call->op > TUTTI_BXOR ||
	    !is_like(group->last, call, send, recv))
		return false;
	tt_comm_lock(comm);
	/* What goes wrong does so on the long way, which says what it is. */
	done = !tt_failure_raised(comm->failure) && tt_load_relaxed(&comm->aborting) == 0 &&
	       comm->free_requests != NULL && tt_request_get(comm, &request) == TUTTI_OK;
	if (done) {
		copy(comm, request, group->last, send, recv);
		tt_group_record(comm, request);
		group->begun++;
	}
	tt_comm_unlock(comm);
	return done;
}

tutti_status
tutti_group_begin(tutti_comm *comm)
{
	struct tt_group *group;
	tutti_status status = TUTTI_OK;

	TT_TRY(tt_check_comm(comm, "tutti_group_begin"));
	group = &comm->group;
	tt_comm_lock(comm);
	if (tt_group_recording(comm)) {
		group->depth++;
	} else if (tt_load_relaxed(&group->owner) != 0) {
		status = tt_fail(TUTTI_ERR_STATE, -1, "another thread has a group open on this communicator");
	} else {
		group->depth = 1;
		group->begun = group->recorded = 0;
		group->first = group->last = NULL;
		group->error = (tutti_error)TUTTI_ERROR_INIT;
		tt_store_relaxed(&group->owner, this_thread());
	}
	tt_comm_unlock(comm);
	return status;
}

/* ---- the end ------------------------------------------------------------------------------------------------------ */

void
tt_group_member_ended(tutti_request *member)
{
	tutti_request *group = member->group;

	if (group->status == TUTTI_OK && member->status != TUTTI_OK) {
		group->status = member->status;
		group->error = member->error;
	}
	member->group = NULL;
	tt_request_put(member->comm, member);
	if (--group->members == 0)
		tt_request_mark_ended(group);
}

static void
forget(tutti_comm *comm)
{
	struct tt_group *group = &comm->group;

	while (group->first != NULL) {
		tutti_request *member = group->first;

		group->first = member->next;
		tt_request_put(comm, member);
	}
	group->last = NULL;
}

/* The members start in the order of the calls. */
static void
start(tutti_comm *comm, tutti_request *whole)
{
	struct tt_group *group = &comm->group;
	tutti_request *first = NULL;
	const int64_t now_ns = tt_now_ns();

	whole->state = TT_REQUEST_RUNNING;
	whole->status = TUTTI_OK;
	whole->call = (struct tt_call){.sequence = 0};
	whole->members = 1; /* this function, so that it cannot end before all have started */
	while (group->first != NULL) {
		tutti_request *member = group->first;

		group->first = member->next;
		member->group = whole;
		member->deadline_ns = member->timeout_ms < 0 ? TT_FOREVER : now_ns + member->timeout_ms * TT_MS;
		whole->members++;
		if (member->is_message) {
			tt_messages_start(comm, member);
			continue;
		}
		tt_comm_enqueue(comm, member);
		first = first == NULL ? member : first;
	}
	group->last = NULL;
	tt_fuse_note(comm, first);
	if (--whole->members == 0)
		tt_request_mark_ended(whole);
	(void)tt_comm_advance(comm);
}

static tutti_status
end_locked(tutti_comm *comm, tutti_request **request)
{
	struct tt_group *group = &comm->group;
	tutti_request *whole = NULL;
	tutti_status status = TUTTI_OK;

	keep_error(group);
	tt_store_relaxed(&group->owner, 0);
	if (group->error.status != TUTTI_OK)
		status = tt_fail_with(&group->error);
	else
		status = tt_comm_usable(comm);
	if (status == TUTTI_OK)
		status = tt_request_get(comm, &whole);
	if (status != TUTTI_OK) {
		forget(comm);
		return status;
	}
	start(comm, whole);
	return tt_comm_hand_over(comm, whole, request);
}

tutti_status
tutti_group_end(tutti_comm *comm, tutti_request **request)
{
	tutti_status status = TUTTI_OK;

	TT_TRY(tt_check_comm(comm, "tutti_group_end"));
	if (!tt_group_recording(comm))
		return tt_fail(
		    TUTTI_ERR_STATE, -1, "tutti_group_end without a tutti_group_begin of the same thread before it");
	if (comm->group.depth > 1 && request != NULL)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "the end of an inner group gives no request: pass NULL, the outermost end gives one for all");
	tt_comm_lock(comm);
	if (comm->group.depth-- == 1)
		status = end_locked(comm, request);
	tt_comm_unlock(comm);
	return status;
}

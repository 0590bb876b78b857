/* SPDX-License-Identifier: Apache-2.0
 *
 * operation.c - from an intent to its end: number it, choose, plan, queue, drive, wait.
 *
 * Operations of a communicator run in the order of issue, one after the other. Whoever waits drives. Everything
 * that is slow (the clock, deaths, deadlines) is looked at only when the waiting ladder is at its end.
 */
#include "comm/comm.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"

#define SLEEP_MS 10 /* a sleeper looks around at least this often */
#define LOOK_TURNS 4096 /* and who never needs to sleep looks around as often as this */
#define PORTS_TURNS 64
#define STALL_NS (1000 * TT_MS) /* an operation that has not moved for so long is asked about */

void
tt_comm_sleep(tutti_comm *comm, int most_ms)
{
	/* A send or receive that is pending too does not ring there. */
	if (comm->stage != NULL && tt_executor_in_stage(comm->executor))
		tt_node_stage_sleep(comm->stage, tt_deadline_ns(comm->messages != NULL ? 1 : most_ms));
	else
		tt_ports_sleep(&comm->ports, most_ms);
}

void
tt_comm_wake(tutti_comm *comm)
{
	tt_ports_ring(&comm->ports);
	if (comm->stage != NULL)
		tt_node_stage_wake(comm->stage);
}

void
tt_comm_lock(tutti_comm *comm)
{
	if (pthread_mutex_trylock(&comm->lock) == 0)
		return;
	tt_fetch_add_acq_rel(&comm->contenders, 1u);
	tt_comm_wake(comm);
	pthread_mutex_lock(&comm->lock);
	tt_fetch_add_acq_rel(&comm->contenders, (uint32_t)-1);
}

void
tt_comm_unlock(tutti_comm *comm)
{
	tt_family_note(comm, tt_comm_busy(comm));
	pthread_mutex_unlock(&comm->lock);
}

/* ---- ends ----------------------------------------------------------------------------------------------------- */

static void
let_go(tutti_request *request)
{
	if (request->op != NULL)
		tt_operator_put(request->comm, request->op);
	request->op = NULL;
	if (request->run.plan != NULL && !request->plan_is_memo)
		tt_plan_unpin(request->comm->plans, request->run.plan);
	request->run.plan = NULL;
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
tt_request_end(tutti_request *request, tutti_status status)
{
	request->status = status;
	request->state = TT_REQUEST_ENDED;
	let_go(request);
	if (request->group != NULL)
		tt_group_member_ended(request);
}

static void
pop(tutti_comm *comm)
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

static void
end_all(tutti_comm *comm)
{
	tutti_error cause;

	tt_failure_cause(comm->failure, &cause);
	tt_ports_cancel(&comm->ports);
	tt_executor_drop(comm->executor);
	while (comm->head != NULL) {
		tutti_request *request = comm->head;

		pop(comm);
		request->error = cause;
		if (cause.sequence == 0)
			name_operation(request);
		comm->told = true;
		tt_request_end(request, cause.status);
	}
	tt_messages_end_all(comm, &cause);
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

tutti_status
tt_comm_usable(tutti_comm *comm)
{
	tutti_error cause;

	if (TT_LIKELY(!tt_failure_raised(comm->failure)))
		return TUTTI_OK;
	end_all(comm);
	tt_failure_cause(comm->failure, &cause);
	if (!comm->told) {
		comm->told = true;
		return tt_fail_with(&cause);
	}
	return tt_fail(TUTTI_ERR_STATE, cause.rank, "the communicator has failed before (%s): %.400s",
	    tutti_status_string(cause.status), cause.message);
}

/* ---- trouble -------------------------------------------------------------------------------------------------- */

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

static void
report_fault(tutti_comm *comm, const tutti_request *request, int64_t now_ns)
{
	const struct tt_run_fault *fault = tt_executor_fault(comm->executor);
	char text[512], call[160], why[256];

	if (comm->reported)
		return;
	comm->reported = true;
	if (fault->status == TUTTI_ERR_MISMATCH) {
		report_mismatch(comm, request, fault, now_ns);
		return;
	}
	tt_call_print(&request->call, call, sizeof(call));
	if (fault->peer < 0 || tt_ports_error(&comm->ports, fault->peer, why, sizeof(why)) == TUTTI_OK)
		snprintf(why, sizeof(why), "%s", tutti_status_string(fault->status));
	snprintf(text, sizeof(text), "%s; seen by rank %d in operation %" PRIu64 " (%s)", why, comm->rank,
	    request->call.sequence, call);
	tt_failure_report(comm->failure, TT_REPORT_LINK, fault->peer, 0, text, now_ns);
}

static void
look_at_head(tutti_comm *comm, tutti_request *head, int64_t now_ns)
{
	char text[300], call[160];
	int rank;

	tt_call_print(&head->call, call, sizeof(call));
	rank = tt_failure_deserter(comm->failure, head->call.sequence);
	if (rank >= 0) {
		snprintf(text, sizeof(text),
		    "rank %d has destroyed its communicator without calling operation %" PRIu64 " (%s)", rank,
		    head->call.sequence, call);
		tt_failure_report(comm->failure, TT_REPORT_DEATH, rank, head->call.sequence, text, now_ns);
		return;
	}
	if (head->deadline_ns == 0)
		head->deadline_ns = head->timeout_ms < 0 ? TT_FOREVER : now_ns + head->timeout_ms * TT_MS;
	if (now_ns >= head->deadline_ns && !comm->reported) {
		comm->reported = true;
		snprintf(text, sizeof(text), "operation %" PRIu64 " (%s) did not end within %" PRId64 " ms",
		    head->call.sequence, call, head->timeout_ms);
		tt_failure_report(comm->failure, TT_REPORT_TIMEOUT, -1, head->call.sequence, text, now_ns);
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
	dead = tt_world_dead(comm->world);
	if (dead >= 0) {
		snprintf(
		    text, sizeof(text), "rank %d died: its process is gone (noticed by rank %d)", dead, comm->rank);
		tt_failure_report(comm->failure, TT_REPORT_DEATH, dead, 0, text, now_ns);
	}
	if (comm->head != NULL)
		look_at_head(comm, comm->head, now_ns);
	tt_messages_look(comm, now_ns);
}

/* ---- driving ---------------------------------------------------------------------------------------------------- */

/* NULL: the operation has no run left. */
static const struct tt_run *
next_run(tutti_request *request)
{
	if (TT_UNLIKELY(request->next_run != NULL))
		return request->next_run(request);
	if (request->started || request->run.plan == NULL)
		return NULL;
	request->started = true;
	return &request->run;
}

/* While the one thing to do is a meeting in shared memory, the ports are looked at now and then only. */
static bool
wants_ports(tutti_comm *comm)
{
	return comm->messages != NULL || !tt_executor_in_stage(comm->executor) || ++comm->turns % PORTS_TURNS == 0;
}

int
tt_comm_advance(tutti_comm *comm)
{
	int moved = 0;

	if (TT_UNLIKELY(tt_failure_raised(comm->failure))) {
		moved = tt_comm_busy(comm);
		end_all(comm);
		return moved;
	}
	if (tt_comm_busy(comm) && !comm->reported && wants_ports(comm))
		moved += tt_ports_progress(&comm->ports);
	if (comm->messages != NULL && !comm->reported) {
		moved += tt_messages_advance(comm);
		comm->messages_quiet_ns = moved > 0 ? 0 : comm->messages_quiet_ns;
	}
	while (comm->head != NULL && !comm->reported) {
		tutti_request *head = comm->head;
		const struct tt_run *run;
		tutti_status status = TUTTI_OK;

		if (head->state == TT_REQUEST_RUNNING)
			status = tt_executor_advance(comm->executor, &moved);
		if (status == TUTTI_IN_PROGRESS)
			return moved;
		if (status != TUTTI_OK) {
			report_fault(comm, head, tt_now_ns());
			return moved;
		}
		run = next_run(head);
		if (run != NULL) {
			head->state = TT_REQUEST_RUNNING;
			if (tt_executor_start(comm->executor, run) == TUTTI_OK)
				continue;
			/* No memory: the other ranks must not wait for us. */
			comm->reported = true;
			tt_failure_report(comm->failure, TT_REPORT_LINK, comm->rank, head->call.sequence,
			    tt_last_error()->message, tt_now_ns());
			return moved;
		}
		pop(comm);
		tt_failure_finished(comm->failure, head->call.sequence);
		tt_request_end(head, TUTTI_OK);
		moved++;
	}
	return moved;
}

void
tt_comm_wait(tutti_comm *comm, tutti_request *request)
{
	struct tt_ladder *ladder = &comm->ladder;
	uint32_t turns = 0;

	tt_comm_lock(comm);
	if (request->state != TT_REQUEST_ENDED && tt_comm_advance(comm) > 0 && request->state == TT_REQUEST_ENDED) {
		tt_comm_unlock(comm);
		return;
	}
	tt_ladder_reset(ladder);
	while (request->state != TT_REQUEST_ENDED) {
		if (tt_comm_advance(comm) > 0) {
			tt_ladder_reset(ladder);
			comm->stall_sequence = 0;
			if (++turns % LOOK_TURNS == 0)
				tt_comm_look_around(comm, tt_now_ns());
		} else if (tt_family_busy(comm) && tt_family_advance(comm, 0) > 0) {
			tt_ladder_reset(ladder);
		} else if (tt_ladder_step(ladder)) {
			const int64_t now_ns = tt_now_ns();

			tt_comm_look_around(comm, now_ns);
			(void)tt_family_advance(comm, now_ns);
			if (!tt_failure_raised(comm->failure) && tt_load_relaxed(&comm->contenders) == 0)
				tt_comm_sleep(comm, tt_family_busy(comm) ? TT_FAMILY_SLEEP_MS : SLEEP_MS);
		}
		if (TT_UNLIKELY(tt_load_relaxed(&comm->contenders) != 0)) {
			tt_comm_unlock(comm);
			sched_yield();
			pthread_mutex_lock(&comm->lock);
		}
	}
	tt_comm_unlock(comm);
}

/* ---- issuing ------------------------------------------------------------------------------------------------------ */

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
	(*request)->is_message = (*request)->in_group = (*request)->started = false;
	(*request)->next_run = NULL;
	(*request)->op = NULL;
	return TUTTI_OK;
}

/* Copies an uneven side's counts and offsets (packed if NULL) into the request's tables at *at. */
static void
copy_table(const tutti_comm *comm, tutti_request *request, size_t *at, const size_t *counts, const size_t *offsets,
    struct tt_rows *rows)
{
	const size_t n = (size_t)comm->size;
	size_t *to = request->tables + *at, packed = 0;

	for (size_t r = 0; r < n; r++) {
		to[r] = counts[r];
		to[n + r] = offsets != NULL ? offsets[r] : packed;
		packed += counts[r];
	}
	rows->counts = to;
	rows->offsets = to + n;
	if (n == 1) {
		rows->base += to[n] * request->run.operands.element;
		rows->count = to[0];
	}
	*at += 2 * n;
}

static void
fill_rows(const tutti_comm *comm, const struct tt_intent *intent, struct tt_operands *operands)
{
	operands->element = tt_dtype_size(intent->dtype);
	operands->in = (struct tt_rows){.base = (unsigned char *)(uintptr_t)intent->send,
	    .nrows = tt_collective_in_rows(intent->collective, comm->size),
	    .count = intent->count};
	operands->out = (struct tt_rows){.base = intent->recv,
	    .nrows = tt_collective_out_rows(intent->collective, comm->size),
	    .count = intent->count};
}

static tutti_status
fill_operands(const tutti_comm *comm, const struct tt_intent *intent, tutti_request *request)
{
	struct tt_operands *operands = &request->run.operands;
	const size_t need = 4 * (size_t)comm->size;
	size_t at = 0;
	void *memory;

	fill_rows(comm, intent, operands);
	if (!intent->uneven)
		return TUTTI_OK;
	if (request->tables_room < need) {
		tt_free(request->tables);
		request->tables = NULL;
		request->tables_room = 0;
		TT_TRY(tt_alloc(need, sizeof(size_t), "count tables", &memory));
		request->tables = memory;
		request->tables_room = need;
	}
	if (intent->in_counts != NULL)
		copy_table(comm, request, &at, intent->in_counts, intent->in_offsets, &operands->in);
	if (intent->out_counts != NULL)
		copy_table(comm, request, &at, intent->out_counts, intent->out_offsets, &operands->out);
	return TUTTI_OK;
}

static uint16_t
algorithm_index(const struct tt_algorithm *algorithm)
{
	for (uint16_t i = 0; tt_algorithms[i] != NULL; i++)
		if (tt_algorithms[i] == algorithm)
			return (uint16_t)(i + 1);
	return 0;
}

/* Bytes as in nccl-tests: the larger of a rank's whole send and receive buffer. */
static uint64_t
whole_bytes(const tutti_comm *comm, const struct tt_intent *intent)
{
	const int in = tt_collective_in_rows(intent->collective, comm->size);
	const int out = tt_collective_out_rows(intent->collective, comm->size);

	return (uint64_t)intent->count * tt_dtype_size(intent->dtype) * (uint64_t)(in > out ? in : out);
}

static void
fill_arithmetic(
    const tutti_comm *comm, const struct tt_intent *intent, const struct tt_operator *op, struct tt_run *run)
{
	run->first_lane = 0;
	if (!tt_collective_reduces(intent->collective))
		return;
	run->applied = op != NULL ? tt_operator_applied(op) : NULL;
	run->reduce = op != NULL ? NULL : comm->kernels->reduce[intent->dtype][intent->op];
	run->finish = intent->op == TUTTI_AVG ? TT_FINISH_DIVIDE : TT_FINISH_NONE;
	run->divisor = (uint32_t)comm->size;
}

/* As marks and the memo say it: of operators that are not built in, the kind. */
static uint8_t
op_byte(const struct tt_intent *intent, const struct tt_operator *op)
{
	return op != NULL ? (uint8_t)tt_operator_kind(op) : (uint8_t)intent->op;
}

static struct tt_memo_key
memo_key(const struct tt_intent *intent, const struct tt_operator *op)
{
	return (struct tt_memo_key){.count = intent->count,
	    .root = intent->root,
	    .collective = (uint8_t)intent->collective,
	    .dtype = (uint8_t)intent->dtype,
	    .op = op_byte(intent, op),
	    .in_place = intent->in_place};
}

static bool
recall(tutti_comm *comm, const struct tt_intent *intent, const struct tt_select_call *call, tutti_request *request)
{
	const struct tt_memo_key key = memo_key(intent, request->op);
	const struct tt_memo_entry *entry = tt_memo_slot(&comm->memo, &key);
	struct tt_run *run = &request->run;

	if (call->forced != NULL || call->uneven || intent->nothing || !tt_memo_holds(entry, &key))
		return false;
	request->call.algorithm = entry->algorithm;
	request->plan_is_memo = true;
	run->plan = entry->plan;
	run->window = entry->window;
	run->operands.slices = entry->slices;
	fill_arithmetic(comm, intent, request->op, run);
	return true;
}

/* The memo takes the request's pin over. A plan that a pending request still uses stays where it is. */
static void
remember(tutti_comm *comm, const struct tt_intent *intent, const struct tt_select_call *call, tutti_request *request)
{
	const struct tt_memo_key key = memo_key(intent, request->op);
	struct tt_memo_entry *entry = tt_memo_slot(&comm->memo, &key);

	if (call->forced != NULL || call->uneven ||
	    (entry->plan != NULL && (comm->head != NULL || comm->group.first != NULL)))
		return;
	if (entry->plan != NULL)
		tt_plan_unpin(comm->plans, entry->plan);
	*entry = (struct tt_memo_entry){
	    key, request->run.plan, request->call.algorithm, request->run.window, request->run.operands.slices};
	request->plan_is_memo = true;
}

/* Algorithm, plan, slices: everything that must be the same on every rank comes from agreed inputs only. */
static tutti_status
plan_run(tutti_comm *comm, const struct tt_intent *intent, const struct tt_select_call *call, struct tt_run *run,
    uint16_t *algorithm)
{
	const struct tt_shape shape = {.collective = intent->collective,
	    .rank = comm->rank,
	    .nranks = comm->size,
	    .root = intent->root,
	    .in_place = intent->in_place,
	    .node_of = comm->world != NULL ? tt_world_node_of(comm->world) : NULL,
	    .nnodes = comm->facts.nnodes};
	struct tt_choice choice;
	int least;

	TT_TRY(tt_select(&comm->facts, call, &choice));
	*algorithm = algorithm_index(choice.algorithm);
	if (intent->nothing)
		return TUTTI_OK;
	TT_TRY(tt_plan_cache_get(comm->plans, choice.algorithm->make, &shape, &run->plan));
	run->window = choice.window;
	run->operands.slices = choice.slices;
	if (!intent->uneven) {
		least = tt_executor_slices(comm->executor, run->plan, &run->operands, run->window);
		run->operands.slices = least > choice.slices ? least : choice.slices;
	}
	if (run->window > run->operands.slices)
		run->window = run->operands.slices;
	return TUTTI_OK;
}

static struct tt_select_call
select_call(const tutti_comm *comm, const struct tt_intent *intent)
{
	return (struct tt_select_call){.collective = intent->collective,
	    .dtype = intent->dtype,
	    .op = intent->op,
	    .uneven = intent->uneven,
	    .bytes = intent->uneven ? 0 : whole_bytes(comm, intent),
	    .row_bytes = intent->uneven ? 0 : (uint64_t)intent->count * tt_dtype_size(intent->dtype)};
}

tutti_status
tt_comm_plan(tutti_comm *comm, const struct tt_intent *intent, struct tt_run *run)
{
	const struct tt_select_call call = select_call(comm, intent);
	uint16_t algorithm;

	fill_rows(comm, intent, &run->operands);
	TT_TRY(plan_run(comm, intent, &call, run, &algorithm));
	fill_arithmetic(comm, intent, NULL, run);
	return TUTTI_OK;
}

static tutti_status
choose(tutti_comm *comm, const struct tt_intent *intent, const tutti_options *options, tutti_request *request)
{
	struct tt_select_call call = select_call(comm, intent);

	call.forced = options != NULL ? options->algorithm : NULL;
	if (request->op != NULL) {
		call.custom_op = true;
		call.ordered = tt_operator_kind(request->op) == TT_OP_CUSTOM_ORDERED;
		call.weighted = tt_operator_kind(request->op) == TT_OP_PREMUL_SUM;
	}
	if (recall(comm, intent, &call, request))
		return TUTTI_OK;
	TT_TRY(plan_run(comm, intent, &call, &request->run, &request->call.algorithm));
	if (intent->nothing)
		return TUTTI_OK;
	remember(comm, intent, &call, request);
	fill_arithmetic(comm, intent, request->op, &request->run);
	return TUTTI_OK;
}

static tutti_status
prepare(tutti_comm *comm, const struct tt_intent *intent, const tutti_options *options, tutti_request *request)
{
	const int64_t timeout =
	    options != NULL && options->timeout_ms != 0 ? options->timeout_ms : comm->settings.timeout_ms;
	const bool reduces = tt_collective_reduces(intent->collective);

	request->timeout_ms = timeout;
	request->deadline_ns = 0;
	request->op = reduces ? tt_operator_get(comm, intent->op) : NULL;
	request->next_run = request->op != NULL ? tt_operator_next_run : intent->next_run;
	request->next_context = intent->next_context;
	request->call = (struct tt_call){.count = intent->uneven ? 0 : intent->count,
	    .root = intent->root,
	    .collective = (uint8_t)intent->collective,
	    .dtype = (uint8_t)intent->dtype,
	    .op = reduces ? op_byte(intent, request->op) : 0,
	    .op_number = request->op != NULL ? tt_operator_number(request->op) : 0,
	    .flags = (uint8_t)(intent->flags | (intent->uneven ? TT_CALL_UNEVEN : 0)),
	    .counts = intent->counts_hash};
	TT_TRY(fill_operands(comm, intent, request));
	return choose(comm, intent, options, request);
}

void
tt_comm_enqueue(tutti_comm *comm, tutti_request *request)
{
	request->call.sequence = ++comm->issued;
	memcpy(request->run.mark, &request->call, sizeof(request->call));
	tt_failure_called(comm->failure, &request->call);
	request->state = TT_REQUEST_QUEUED;
	request->next = NULL;
	if (comm->tail != NULL)
		comm->tail->next = request;
	else
		comm->head = request;
	comm->tail = request;
}

static tutti_status
issue_locked(tutti_comm *comm, const struct tt_intent *intent, const tutti_options *options, tutti_request **issued)
{
	tutti_request *request;
	tutti_status status;

	TT_TRY(tt_comm_usable(comm));
	TT_TRY(tt_request_get(comm, &request));
	status = prepare(comm, intent, options, request);
	if (status != TUTTI_OK) {
		/* Nothing has happened yet: the call had no effect. */
		tt_request_put(comm, request);
		return status;
	}
	if (TT_UNLIKELY(tt_group_recording(comm))) {
		tt_group_record(comm, request);
		return TUTTI_OK;
	}
	tt_comm_enqueue(comm, request);
	(void)tt_comm_advance(comm);
	*issued = request;
	return TUTTI_OK;
}

tutti_status
tt_comm_hand_over(tutti_comm *comm, tutti_request *issued, tutti_request **request)
{
	if (request != NULL) {
		*request = issued;
		tt_comm_progress_wake(comm);
		return TUTTI_OK;
	}
	if (issued->state != TT_REQUEST_ENDED) {
		tt_comm_unlock(comm);
		tt_comm_wait(comm, issued);
		tt_comm_lock(comm);
	}
	return tt_comm_finish(comm, issued);
}

tutti_status
tt_comm_issue(tutti_comm *comm, const struct tt_intent *intent, const tutti_options *options, tutti_request **request)
{
	tutti_request *issued = NULL;
	tutti_status status;

	TT_TRY(tt_group_check(comm, request));
	tt_comm_lock(comm);
	status = issue_locked(comm, intent, options, &issued);
	if (status == TUTTI_OK && request != NULL && issued != NULL)
		issued->deadline_ns = tt_deadline_ns(issued->timeout_ms);
	if (status == TUTTI_OK && issued != NULL)
		status = tt_comm_hand_over(comm, issued, request);
	tt_comm_unlock(comm);
	return status;
}

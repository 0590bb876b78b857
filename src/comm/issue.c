/* SPDX-License-Identifier: Apache-2.0
 *
 * issue.c - from an intent to a queued operation: choose, plan, number, mark.
 *
 * Whatever decides here is the same on every rank: the call, and facts that were agreed at creation. A call that fails
 * here had no effect.
 */
#include "comm/comm.h"

#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

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
	operands->portions = NULL;
	operands->nportions = 0;
	operands->in_portions = false;
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

/* The same of uneven calls: 0 where ranks do not know each other's counts. */
static uint64_t
uneven_bytes(const tutti_comm *comm, const struct tt_intent *intent)
{
	const size_t *counts = intent->in_counts != NULL ? intent->in_counts : intent->out_counts;
	uint64_t elements = 0;

	for (int r = 0; r < comm->size && intent->counts_hash != 0; r++)
		elements += counts[r];
	return elements * tt_dtype_size(intent->dtype);
}

#define FEW_BYTES 16 /* to fill vectors with them takes longer than to add them one by one */

/* All sets compute the same. */
static const struct tt_kernels *
kernels_for(const tutti_comm *comm, const struct tt_intent *intent)
{
	const bool few = !intent->uneven && intent->count <= FEW_BYTES / tt_dtype_size(intent->dtype);

	return few ? &tt_kernels_reference : comm->kernels;
}

static void
fill_arithmetic(
    const tutti_comm *comm, const struct tt_intent *intent, const struct tt_operator *op, struct tt_run *run)
{
	run->first_lane = 0;
	if (!tt_collective_reduces(intent->collective))
		return;
	run->applied = op != NULL ? tt_operator_applied(op) : NULL;
	run->reduce = op != NULL ? NULL : kernels_for(comm, intent)->reduce[intent->dtype][intent->op];
	/* Bytes are looked up or put together from bits to be added. */
	run->heavy = op != NULL || (tt_dtype_is_float(intent->dtype) && tt_dtype_size(intent->dtype) == 1);
	run->finish = intent->op == TUTTI_AVG ? TT_FINISH_DIVIDE : TT_FINISH_NONE;
	run->divisor = (uint32_t)comm->size;
}

/* As marks and the memo say it: of operators that are not built in, the kind. */
static uint8_t
op_byte(const struct tt_intent *intent, const struct tt_operator *op)
{
	return op != NULL ? (uint8_t)tt_operator_kind(op) : (uint8_t)intent->op;
}

struct tt_memo_key
tt_comm_memo_key(const struct tt_intent *intent, const struct tt_operator *op)
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
	const struct tt_memo_key key = tt_comm_memo_key(intent, request->op);
	const struct tt_memo_entry *entry = tt_memo_find(&comm->memo, &key);
	struct tt_run *run = &request->run;

	if (call->forced != NULL || call->uneven || intent->nothing || entry == NULL)
		return false;
	request->call.algorithm = entry->algorithm;
	request->plan_is_memo = true;
	run->plan = entry->plan;
	run->empty_too = false;
	run->window = entry->window;
	run->operands.slices = entry->slices;
	fill_arithmetic(comm, intent, request->op, run);
	return true;
}

/* The memo takes the request's pin over. A plan that a pending request still uses stays where it is. */
static void
remember(tutti_comm *comm, const struct tt_intent *intent, const struct tt_select_call *call, tutti_request *request)
{
	const struct tt_memo_key key = tt_comm_memo_key(intent, request->op);
	struct tt_memo_entry *entry = tt_memo_place(&comm->memo, &key);

	if (call->forced != NULL || call->uneven ||
	    (entry->plan != NULL && (comm->head != NULL || comm->group.first != NULL)))
		return;
	if (entry->plan != NULL)
		tt_plan_unpin(comm->plans, entry->plan);
	*entry = (struct tt_memo_entry){.key = key,
	    .plan = request->run.plan,
	    .algorithm = request->call.algorithm,
	    .window = request->run.window,
	    .slices = request->run.operands.slices};
	tt_memo_take(&comm->memo, &key);
	request->plan_is_memo = true;
	tt_shortcut_open(comm, request, &entry->shortcut);
}

/* Algorithm, plan, slices: everything that must be the same on every rank comes from agreed inputs only. */
static tutti_status
plan_run(tutti_comm *comm, const struct tt_intent *intent, const struct tt_select_call *call, struct tt_run *run,
    uint16_t *algorithm)
{
	struct tt_shape shape = {.collective = intent->collective,
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
	if ((choice.algorithm->flags & TT_ALG_NEIGHBOURS) != 0 && comm->map != NULL && !comm->map->is_plain) {
		shape.order = comm->map->order;
		shape.position = comm->map->position;
	}
	TT_TRY(tt_plan_cache_get(comm->plans, choice.algorithm->make, &shape, &run->plan));
	run->window = choice.window;
	run->operands.slices = choice.slices;
	run->empty_too = call->any_size;
	if (!intent->uneven || intent->counts_hash != 0) { /* rows that all ranks know */
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
	    .any_size = intent->uneven && intent->counts_hash == 0,
	    .internal = (intent->flags & TT_CALL_SPLIT) != 0,
	    .bytes = intent->uneven ? uneven_bytes(comm, intent) : whole_bytes(comm, intent)};
}

tutti_status
tt_comm_plan(tutti_comm *comm, const struct tt_intent *intent, struct tt_run *run)
{
	struct tt_select_call call = select_call(comm, intent);
	uint16_t algorithm;

	call.internal = true;
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
		call.ordered = tt_operator_kind(request->op) == TT_OP_CUSTOM_ORDERED;
		call.weighted = tt_operator_kind(request->op) == TT_OP_PREMUL_SUM;
	}
	if (recall(comm, intent, &call, request))
		return TUTTI_OK;
	TT_TRY(plan_run(comm, intent, &call, &request->run, &request->call.algorithm));
	if (intent->nothing)
		return TUTTI_OK;
	fill_arithmetic(comm, intent, request->op, &request->run);
	remember(comm, intent, &call, request);
	return TUTTI_OK;
}

tutti_status
tt_comm_prepare_again(tutti_comm *comm, const struct tt_intent *intent, tutti_request *request)
{
	tt_request_drop_plan(request);
	fill_rows(comm, intent, &request->run.operands);
	fill_arithmetic(comm, intent, request->op, &request->run);
	request->call.count = intent->count;
	request->run.has_note = tt_fuse_has_note(comm, &request->call);
	return choose(comm, intent, NULL, request);
}

tutti_status
tt_comm_prepare(
    tutti_comm *comm, const struct tt_intent *intent, const tutti_options *options, tutti_request *request)
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
	request->run.has_note = !intent->uneven && tt_fuse_has_note(comm, &request->call);
	request->run.note = 0;
	request->fusable = tt_fuse_allows(comm, &request->call, options);
	TT_TRY(fill_operands(comm, intent, request));
	return choose(comm, intent, options, request);
}

static void
enqueue(tutti_comm *comm, tutti_request *request, enum tt_request_state state)
{
	request->call.sequence = comm->issued;
	memcpy(request->run.mark, &request->call, sizeof(request->call));
	request->state = state;
	request->next = NULL;
	if (comm->tail != NULL)
		comm->tail->next = request;
	else
		comm->head = request;
	comm->tail = request;
}

void
tt_comm_enqueue(tutti_comm *comm, tutti_request *request)
{
	++comm->issued;
	if (TT_UNLIKELY(comm->trace != NULL)) {
		request->issue_ns = tt_now_ns();
		request->start_ns = 0;
	}
	enqueue(comm, request, TT_REQUEST_QUEUED);
	tt_failure_called(comm->failure, &request->call);
}

void
tt_comm_enqueue_running(tutti_comm *comm, tutti_request *request)
{
	request->started = true;
	enqueue(comm, request, TT_REQUEST_RUNNING);
}

static tutti_status
issue_locked(tutti_comm *comm, const struct tt_intent *intent, const tutti_options *options, tutti_request **issued)
{
	tutti_request *request;
	tutti_status status;

	TT_TRY(tt_comm_usable(comm));
	TT_TRY(tt_request_get(comm, &request));
	status = tt_comm_prepare(comm, intent, options, request);
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

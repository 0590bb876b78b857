/* SPDX-License-Identifier: Apache-2.0
 *
 * shortcut.c - see shortcut.h.
 */
#include "base/error.h"
#include "comm/comm.h"

#define BYTES_MOST ((size_t)64 << 10) /* of all rows: beyond it the long way is nothing beside the work */
#define TIGHT_POLLS 1000 /* without a pause: 1 to 2 us, in which most others come */
#define PAUSED_POLLS 100 /* 2 to 5 us more */
#define TURNS 200 /* of advancing: more means that it is not a small call */
#define CROWDED_TURNS 64 /* with a yield */
#define PORTS_CALLS 256

/* ---- opening one ------------------------------------------------------------------------------------------------ */

/* Is the plan one step of the node stage, on whole rows? */
static bool
is_one_job(const tutti_comm *comm, const struct tt_run *run)
{
	const struct tt_plan *plan = run->plan;

	if (comm->stage == NULL || tt_node_stage_members(comm->stage) != comm->size)
		return false;
	if (plan->nsteps != 1 || plan->steps[0].kind < TT_NODE_ALL_REDUCE || plan->steps[0].kind > TT_NODE_BARRIER)
		return false;
	for (uint32_t i = 0; i < plan->nspans; i++)
		if (plan->spans[i].buffer == TT_TMP || plan->spans[i].part != 0 ||
		    plan->spans[i].parts != plan->spans[i].of)
			return false;
	return run->operands.slices == 1 && run->window == 1;
}

void
tt_shortcut_open(const tutti_comm *comm, const tutti_request *request, struct tt_shortcut *shortcut)
{
	const struct tt_run *run = &request->run;
	const enum tt_collective collective = (enum tt_collective)request->call.collective;
	const bool root = !tt_collective_has_root(collective) || request->call.root == comm->rank;
	const bool gives = root || (collective != TT_BROADCAST && collective != TT_SCATTER);
	const bool takes = root || (collective != TT_REDUCE && collective != TT_GATHER);
	const int in = tt_collective_in_rows(collective, comm->size);
	const int out = tt_collective_out_rows(collective, comm->size);
	const size_t row = run->operands.in.count * run->operands.element;

	shortcut->open = false;
	if (comm->trace != NULL || !is_one_job(comm, run) || request->op != NULL || request->next_run != NULL ||
	    row * (size_t)comm->size > BYTES_MOST)
		return;
	shortcut->open = true;
	shortcut->call = request->call;
	shortcut->row_bytes = row;
	shortcut->in_bytes = gives ? row * (size_t)in : 0;
	shortcut->out_bytes = takes ? row * (size_t)out : 0;
	shortcut->place = (ptrdiff_t)row * comm->rank * (in > out ? 1 : out > in ? -1 : 0);
	shortcut->in_pieces = in > 1 && gives;
	shortcut->out_pieces = out > 1 && takes;
	shortcut->job = (struct tt_node_job){.kind = (enum tt_step_kind)run->plan->steps[0].kind,
	    .root = tt_collective_has_root(collective) ? tt_node_stage_member(comm->stage, request->call.root) : -1,
	    .bytes = row,
	    .how = tt_executor_arithmetic(run, &run->plan->steps[0]),
	    .is_awaited = true,
	    .has_note = run->has_note}; /* a single call has nothing to say in it */
}

/* ---- taking it ---------------------------------------------------------------------------------------------------- */

/* Are send and recv apart, as they were in the call before? If that was in place: are they again? */
static bool
fits(const struct tt_shortcut *shortcut, bool in_place, uintptr_t send, uintptr_t recv)
{
	if ((send == 0 && shortcut->in_bytes > 0) || (recv == 0 && shortcut->out_bytes > 0))
		return false;
	if (in_place)
		return recv - send == (uintptr_t)shortcut->place;
	return shortcut->in_bytes == 0 || shortcut->out_bytes == 0 || send + shortcut->in_bytes <= recv ||
	       recv + shortcut->out_bytes <= send;
}

static struct tt_shortcut *
find_one(tutti_comm *comm, struct tt_memo_key *key, bool in_place, const void *send, void *recv)
{
	struct tt_memo_entry *entry;

	key->in_place = in_place;
	entry = tt_memo_find(&comm->memo, key);
	if (entry == NULL || !entry->shortcut.open ||
	    !fits(&entry->shortcut, in_place, (uintptr_t)send, (uintptr_t)recv))
		return NULL;
	comm->latest = entry;
	return &entry->shortcut;
}

/* The latest call, if this one repeats it. */
static struct tt_shortcut *
find_latest(tutti_comm *comm, struct tt_memo_key *key, const void *send, void *recv)
{
	struct tt_memo_entry *entry = comm->latest;

	if (entry == NULL)
		return NULL;
	key->in_place = entry->key.in_place;
	if (!tt_memo_holds(entry, key) || !entry->shortcut.open ||
	    !fits(&entry->shortcut, key->in_place != 0, (uintptr_t)send, (uintptr_t)recv))
		return NULL;
	return &entry->shortcut;
}

/* Of the calls that have been made before, the one that this one repeats. */
static struct tt_shortcut *
find(tutti_comm *comm, const struct tt_intent *call, const void *send, void *recv, bool *in_place)
{
	struct tt_memo_key key = {.count = call->count,
	    .root = call->root,
	    .collective = (uint8_t)call->collective,
	    .dtype = (uint8_t)call->dtype,
	    .op = (uint8_t)call->op};
	struct tt_shortcut *shortcut = find_latest(comm, &key, send, recv);

	if (TT_UNLIKELY(shortcut == NULL))
		shortcut = find_one(comm, &key, false, send, recv);
	if (shortcut == NULL)
		shortcut = find_one(comm, &key, true, send, recv);
	*in_place = key.in_place != 0;
	return shortcut;
}

static void
fill_pieces(const tutti_comm *comm, struct iovec *pieces, unsigned char *base, size_t row)
{
	for (int j = 0; j < comm->size; j++)
		pieces[j] = (struct iovec){base + (size_t)j * row, row};
}

static tutti_status
start(tutti_comm *comm, unsigned char *send, unsigned char *recv, struct tt_shortcut *shortcut)
{
	struct tt_node_job *const job = tt_node_stage_job(comm->stage);
	struct iovec *const pieces = tt_executor_stage_pieces(comm->executor);
	const void *mark;
	int moved = 0, rank;
	tutti_status status;

	shortcut->call.sequence = ++comm->issued;
	*job = shortcut->job;
	job->mark = &shortcut->call;
	job->pieces = pieces;
	job->into = pieces + comm->size;
	job->src = shortcut->in_bytes > 0 ? send : NULL;
	job->dst = shortcut->out_bytes > 0 ? recv : NULL;
	if (shortcut->in_pieces)
		fill_pieces(comm, pieces, send, shortcut->row_bytes);
	if (shortcut->out_pieces)
		fill_pieces(comm, pieces + (shortcut->in_pieces ? comm->size : 0), recv, shortcut->row_bytes);
	tt_node_stage_start(comm->stage, job);
	status = tt_node_stage_advance(comm->stage, &moved, &rank, &mark);
	tt_failure_called(comm->failure, &shortcut->call); /* while the others' lines are on their way */
	return status;
}

/* Is it worth another look? */
static bool
may_have_come(tutti_comm *comm, uint32_t turn)
{
	if (TT_LIKELY(!comm->crowded && comm->ladder.beside == 0))
		return turn < TURNS && tt_node_stage_spin(comm->stage, TIGHT_POLLS, PAUSED_POLLS);
	if (comm->crowded && !tt_node_stage_needs_core(comm->stage) &&
	    tt_node_stage_spin(comm->stage, TIGHT_POLLS, PAUSED_POLLS))
		return true;
	return turn < CROWDED_TURNS && tt_load_relaxed(&comm->contenders) == 0 && !tt_ladder_step(&comm->ladder);
}

/* Looks for the end as long as it is likely to be near. */
static bool
ends_soon(tutti_comm *comm, tutti_status status)
{
	const void *mark;
	int moved = 0, rank;

	tt_ladder_reset(&comm->ladder);
	for (uint32_t turn = 0; status == TUTTI_IN_PROGRESS && may_have_come(comm, turn); turn++)
		status = tt_node_stage_advance(comm->stage, &moved, &rank, &mark);
	return status == TUTTI_OK;
}

/* ---- the lock ----------------------------------------------------------------------------------------------------- */

enum hold { NOT_HELD, INSIDE, TAKEN };

/* Who makes small calls is soon the owner, unless others drive the communicator, too. */
static enum hold
lock(tutti_comm *comm)
{
	if (TT_LIKELY(tt_owned_lock_enter(&comm->lock)))
		return INSIDE;
	if (!tt_comm_trylock(comm))
		return NOT_HELD;
	tt_owned_lock_adopt(&comm->lock);
	return TAKEN;
}

/* Nothing is pending that was not before, so relatives need not be told. */
static void
unlock(tutti_comm *comm, enum hold hold)
{
	if (TT_LIKELY(hold == INSIDE))
		tt_owned_lock_leave(&comm->lock);
	else
		tt_owned_lock_release(&comm->lock);
}

/* ---- the end ------------------------------------------------------------------------------------------------------ */

/* The long way from here: a request, which has been running. */
static tutti_status
go_the_long_way(tutti_comm *comm, const struct tt_intent *intent, const tutti_options *options)
{
	tutti_request *request;

	TT_TRY(tt_request_get(comm, &request)); /* there is a free one */
	TT_TRY(tt_comm_prepare(comm, intent, options, request)); /* the memo has it */
	tt_comm_enqueue_running(comm, request);
	tt_executor_adopt(comm->executor, &request->run);
	return tt_comm_hand_over(comm, request, NULL);
}

/* Is there nothing but this call? */
static bool
is_quiet(tutti_comm *comm)
{
	return comm->head == NULL && comm->messages == NULL && comm->free_requests != NULL && !comm->reported &&
	       tt_load_relaxed(&comm->group.owner) == 0 && tt_load_relaxed(&comm->aborting) == 0 &&
	       tt_load_relaxed(&comm->contenders) == 0 && !tt_failure_raised(comm->failure) &&
	       ++comm->turns % PORTS_CALLS != 0;
}

bool
tt_shortcut_take(tutti_comm *comm, const struct tt_intent *call, const void *send, void *recv,
    const tutti_options *options, tutti_status *status)
{
	struct tt_intent intent;
	struct tt_shortcut *shortcut;
	enum hold hold;
	bool in_place;

	if (comm->stage == NULL || (unsigned)call->dtype > UINT8_MAX || (unsigned)call->op > TUTTI_BXOR)
		return false;
	hold = lock(comm);
	if (hold == NOT_HELD)
		return false;
	shortcut = find(comm, call, send, recv, &in_place);
	if (shortcut == NULL || !is_quiet(comm)) {
		unlock(comm, hold);
		return false;
	}
	if (TT_LIKELY(ends_soon(comm, start(comm, (unsigned char *)(uintptr_t)send, recv, shortcut)))) {
		tt_failure_finished(comm->failure, comm->issued);
		unlock(comm, hold);
		*status = TUTTI_OK;
		return true;
	}
	intent = *call;
	intent.send = shortcut->in_bytes > 0 ? send : NULL;
	intent.recv = shortcut->out_bytes > 0 ? recv : NULL;
	intent.in_place = in_place;
	if (hold == INSIDE)
		tt_owned_lock_deepen(&comm->lock);
	*status = go_the_long_way(comm, &intent, options);
	tt_comm_unlock(comm);
	return true;
}

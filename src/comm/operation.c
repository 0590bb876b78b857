/* SPDX-License-Identifier: Apache-2.0
 *
 * operation.c - driving: who holds the lock advances the queue, waits, sleeps and is woken.
 *
 * Operations of a communicator run in the order of issue, one after the other. Whoever waits drives. Everything
 * that is slow (the clock, deaths, deadlines) is looked at only when the waiting ladder is at its end.
 */
#include "comm/comm.h"

#include <sched.h>

#include "base/clock.h"
#include "base/error.h"

#define SLEEP_MS 10 /* a sleeper looks around at least this often */
#define BESIDE_MESSAGES_NS INT64_C(200000) /* a sleeper in the stage, whose other slices have messages under way */
#define LOOK_TURNS 4096 /* and who never needs to sleep looks around as often as this */
#define PORTS_TURNS 64

void
tt_comm_sleep(tutti_comm *comm, int most_ms)
{
	tt_ladder_slept(&comm->ladder);
	if (comm->stage == NULL || !tt_executor_in_stage(comm->executor)) {
		tt_ports_sleep(&comm->ports, most_ms);
		return;
	}
	/* The ports do not ring in the stage, and their peers may need them: see wants_ports(). */
	if (!comm->reported && tt_ports_progress(&comm->ports) > 0)
		return;
	/* Nor does what is pending beside the meeting: a send or receive of the program's, and other slices' messages, on
	 * which a peer's wire may wait. */
	if (tt_executor_has_messages(comm->executor))
		tt_node_stage_sleep(comm->stage, tt_now_ns() + BESIDE_MESSAGES_NS);
	else
		tt_node_stage_sleep(comm->stage, tt_deadline_ns(comm->messages != NULL ? 1 : most_ms));
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
	if (tt_comm_trylock(comm))
		return;
	tt_fetch_add_acq_rel(&comm->contenders, 1u);
	tt_comm_wake(comm);
	tt_owned_lock_take(&comm->lock);
	tt_fetch_add_acq_rel(&comm->contenders, (uint32_t)-1);
}

bool
tt_comm_trylock(tutti_comm *comm)
{
	return tt_owned_lock_try(&comm->lock);
}

void
tt_comm_unlock(tutti_comm *comm)
{
	if (TT_UNLIKELY(comm->family != NULL))
		tt_family_note(comm, tt_comm_busy(comm));
	tt_owned_lock_release(&comm->lock);
}

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

/* While the one thing to do is a meeting in shared memory, the ports are looked at now and then only, and before a
 * sleep. */
static bool
wants_ports(tutti_comm *comm)
{
	return comm->messages != NULL || !tt_executor_in_stage(comm->executor) || ++comm->turns % PORTS_TURNS == 0 ||
	       tt_executor_has_messages(comm->executor);
}

/* No memory: the other ranks must not wait for us. */
static void
give_up(tutti_comm *comm, const tutti_request *head)
{
	comm->reported = true;
	tt_failure_report(
	    comm->failure, TT_REPORT_LINK, comm->rank, head->call.sequence, tt_last_error()->message, tt_now_ns());
}

/* The head has run, and with it what it was fused with. The next ones may be fused, if all ranks have said so. */
static void
end_head(tutti_comm *comm)
{
	const uint64_t note = comm->head->run.note != 0 ? tt_executor_agreed(comm->executor) : 0;
	const int64_t start_ns = comm->head->start_ns;
	uint32_t members = comm->head->members_too;

	do {
		tutti_request *head = comm->head;

		head->start_ns = start_ns;
		tt_comm_pop(comm);
		tt_failure_finished(comm->failure, head->call.sequence);
		tt_request_end(head, TUTTI_OK);
	} while (members-- > 1);
	if (TT_UNLIKELY(note != 0) && tt_fuse_members(comm, note) != TUTTI_OK)
		give_up(comm, comm->head);
}

int
tt_comm_advance(tutti_comm *comm)
{
	int moved = 0;

	if (TT_UNLIKELY(tt_failure_raised(comm->failure))) {
		moved = tt_comm_busy(comm);
		tt_comm_end_all(comm);
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
			tt_comm_report_fault(comm, head, tt_now_ns());
			return moved;
		}
		run = next_run(head);
		if (run != NULL) {
			head->state = TT_REQUEST_RUNNING;
			if (TT_UNLIKELY(comm->trace != NULL) && head->start_ns == 0)
				head->start_ns = tt_now_ns();
			if (tt_executor_start(comm->executor, run) == TUTTI_OK)
				continue;
			give_up(comm, head);
			return moved;
		}
		end_head(comm);
		moved++;
	}
	return moved;
}

/* Somebody wants the lock. If it is to drive, this thread has nothing to do until the request has ended, and is no
 * contender meanwhile: two that wait would only hand each other the lock. */
static void
park(tutti_comm *comm, tutti_request *request)
{
	request->parked = true;
	tt_comm_unlock(comm);
	sched_yield();
	tt_owned_lock_take(&comm->lock);
	if (request->parked)
		request->parked = false;
	else /* it has ended, and was counted for that: see tt_request_mark_ended() */
		tt_fetch_add_acq_rel(&comm->contenders, (uint32_t)-1);
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
		if (TT_UNLIKELY(tt_load_relaxed(&comm->contenders) != 0) && request->state != TT_REQUEST_ENDED)
			park(comm, request);
	}
	tt_comm_unlock(comm);
}

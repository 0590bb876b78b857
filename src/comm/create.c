/* SPDX-License-Identifier: Apache-2.0
 *
 * create.c - from a rendezvous to a communicator.
 *
 *	meet (who, where) ── agree on facts ── make what a rank has for itself ── join (memory, transports, links) ── go
 *	    bootstrap          create_facts.c                                          create_join.c, create_stage.c
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"
#include "comm/create_parts.h"

#define PLAN_CACHE_BYTES ((size_t)8 << 20)

/* ---- the background thread's way up ------------------------------------------------------------------------------ */

static void
on_message(void *context, int from, const void *bytes, size_t n)
{
	tutti_comm *comm = context;

	tt_failure_message(comm->failure, from, bytes, n, tt_now_ns());
}

static void
on_lost(void *context, int rank, const char *why)
{
	tutti_comm *comm = context;
	char text[256];

	snprintf(
	    text, sizeof(text), "rank %d died or became unreachable: %s (noticed by rank %d)", rank, why, comm->rank);
	tt_failure_lost(comm->failure, rank, text, tt_now_ns());
}

/* While it is created, a child goes the way of its parent. */
static tutti_status
parent_is_well(void *context)
{
	const tutti_comm *comm = context;
	tutti_error cause;

	if (comm->parent == NULL || !tt_failure_raised(comm->parent->failure))
		return TUTTI_OK;
	tt_failure_cause(comm->parent->failure, &cause);
	return tt_fail_with(&cause);
}

static void
on_left(void *context, int rank)
{
	tutti_comm *comm = context;

	tt_failure_left(comm->failure, rank);
}

static void
on_alarm(void *context, int64_t now_ns)
{
	tutti_comm *comm = context;

	tt_failure_alarm(comm->failure, now_ns);
}

static void
way_send(void *context, int to, const void *bytes, size_t n)
{
	tutti_comm *comm = context;

	if (comm->world != NULL)
		(void)tt_world_send(comm->world, to, bytes, n);
}

static void
way_alarm(void *context, int64_t when_ns)
{
	tutti_comm *comm = context;

	if (comm->world != NULL)
		tt_world_set_alarm(comm->world, when_ns);
}

static void
way_wake(void *context)
{
	tutti_comm *comm = context;

	tt_comm_wake(comm);
}

/* ---- building ---------------------------------------------------------------------------------------------------- */

/* Finds the others. Takes the meeting over, also when it fails. */
static tutti_status
meet(tutti_comm *comm, const struct tt_rendezvous *rendezvous, struct tt_meeting *meeting, bool share_memory,
    int64_t deadline_ns)
{
	const struct tt_world_config config = {.rank = comm->rank,
	    .size = comm->size,
	    .rendezvous = rendezvous,
	    .meeting = meeting,
	    .share_memory = share_memory,
	    .settings = &comm->settings,
	    .log = comm->log,
	    .deadline_ns = deadline_ns,
	    .peer_timeout_ms = TT_PEER_TIMEOUT_MS,
	    .go_on = comm->parent != NULL ? parent_is_well : NULL,
	    .go_on_context = comm};

	TT_TRY(tt_world_create(&config, &comm->world));
	(void)tt_world_local_ranks(comm->world, &comm->node_size);
	comm->node_rank = tt_world_local_rank(comm->world);
	if (tt_world_segment(comm->world) != NULL)
		comm->segment = tt_segment_share(tt_world_segment(comm->world));
	return TUTTI_OK;
}

/* What a rank needs for itself. */
static tutti_status
make_parts(tutti_comm *comm)
{
	TT_TRY(tt_ports_init(&comm->ports, comm->rank, comm->size));
	TT_TRY(tt_executor_create(&comm->ports, (size_t)comm->facts.staging_bytes, &comm->executor));
	TT_TRY(tt_p2p_create(&comm->ports, TT_EXECUTOR_LANES, &comm->p2p));
	return tt_plan_cache_create(PLAN_CACHE_BYTES, &comm->plans);
}

static void
introduce(tutti_comm *comm)
{
	uint32_t id = 0;

	if (comm->world != NULL)
		memcpy(&id, tt_world_epoch(comm->world), sizeof(id));
	tt_trace_introduce(comm->trace, comm->settings.name, comm->rank, comm->size, id);
}

static tutti_status
build(tutti_comm *comm, const struct tt_rendezvous *rendezvous, struct tt_meeting *meeting, int64_t deadline_ns)
{
	const struct tt_failure_ways ways = {comm, way_send, way_alarm, way_wake};
	const struct tt_world_handler handler = {comm, on_message, on_lost, on_left, on_alarm};
	struct tt_transport_wish wish = {0};
	uint32_t set;
	tutti_status status = tt_failure_create(comm->rank, comm->size, &ways, &comm->log, &comm->failure);

	if (status == TUTTI_OK)
		status = tt_transports_wish(comm->settings.text[TT_SET_TRANSPORTS],
		    comm->settings.text[TT_SET_PLUGINS], comm->settings.text[TT_SET_FABRIC_PROVIDER], &wish);
	if (status == TUTTI_OK)
		status = tt_trace_open(comm->settings.text[TT_SET_TRACE], &comm->log, &comm->trace);
	if (status != TUTTI_OK && meeting != NULL)
		tt_meeting_close(meeting);
	TT_TRY(status);
	if (comm->size > 1) {
		TT_TRY(meet(comm, rendezvous, meeting, (wish.set & TT_TRANSPORT_SHM) != 0, deadline_ns));
		TT_TRY(tt_shrink_prepare(comm, deadline_ns));
	}
	TT_TRY(tt_lineage_found(&comm->lineage, comm->segment, comm->parent != NULL ? &comm->parent->lineage : NULL));
	TT_TRY(tt_create_agree(comm, &wish, deadline_ns, &set, &status));
	comm->facts.stage.staging_bytes = (uint64_t)comm->facts.staging_bytes;
	if (tt_select_crowd(&comm->facts) > 1) /* the same on all hosts, as all facts */
		comm->facts.stage.slots = comm->facts.stage.crowded_slots;
	tt_ladder_init(&comm->ladder, comm->crowded);
	if (status == TUTTI_OK)
		status = make_parts(comm);
	if (comm->world != NULL)
		status = tt_create_join(comm, set, status, deadline_ns);
	else if (status == TUTTI_OK && comm->settings.progress_thread)
		status = tt_comm_progress_start(comm);
	TT_TRY(status);
	if (comm->world != NULL)
		tt_world_start(comm->world, &handler);
	introduce(comm);
	tt_log(&comm->log, TT_LOG_INFO, "communicator of %d ranks on %d nodes, %d on mine, kernels %s", comm->size,
	    comm->facts.nnodes, comm->node_size, comm->kernels->name);
	tt_create_log_place(comm);
	return TUTTI_OK;
}

tutti_status
tt_comm_build(int size, int rank, const struct tt_rendezvous *rendezvous, struct tt_meeting *meeting,
    struct tt_settings *settings, int64_t deadline_ns, tutti_comm **comm)
{
	return tt_comm_build_child(NULL, size, rank, rendezvous, meeting, settings, deadline_ns, comm);
}

tutti_status
tt_comm_build_child(const tutti_comm *parent, int size, int rank, const struct tt_rendezvous *rendezvous,
    struct tt_meeting *meeting, struct tt_settings *settings, int64_t deadline_ns, tutti_comm **comm)
{
	tutti_comm *c;
	void *memory;
	tutti_status status;

	status = tt_alloc(1, sizeof(*c), "a communicator", &memory);
	if (status != TUTTI_OK) {
		if (meeting != NULL)
			tt_meeting_close(meeting);
		tt_settings_fini(settings);
		return status;
	}
	c = memory;
	c->rank = rank;
	c->size = size;
	c->node_size = 1;
	c->parent = parent;
	c->generation = tt_process_generation();
	c->settings = *settings;
	c->log = tt_settings_log(&c->settings, rank);
	c->kernels = tt_kernels_best();
	c->ports.bell = -1;
	c->door = -1;
	/* Race detectors do not know heavy fences. */
	tt_owned_lock_init(&c->lock, !TT_TSAN && tt_heavy_fence_join());
	status = build(c, rendezvous, meeting, deadline_ns);
	if (status != TUTTI_OK) {
		const tutti_error error = *tt_last_error();

		tt_comm_dismantle(c);
		return tt_fail_with(&error);
	}
	c->parent = NULL;
	*comm = c;
	return TUTTI_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * communicator.c - the public functions on communicators other than operations.
 */
#include <string.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/error.h"
#include "bootstrap/identity.h"
#include "comm/arguments.h"
#include "comm/comm.h"

tutti_status
tutti_unique_id_create(tutti_unique_id *id)
{
	return tutti_unique_id_create_with(NULL, id);
}

tutti_status
tutti_unique_id_create_with(const tutti_config *config, tutti_unique_id *id)
{
	struct tt_rendezvous rendezvous;
	struct tt_meeting meeting;
	struct tt_settings settings;
	tutti_status status;

	if (id == NULL)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "tutti_unique_id_create needs the address of an id");
	TT_TRY(tt_settings_init(&settings, config));
	status = tt_meeting_open(&settings, &rendezvous, &meeting);
	if (status == TUTTI_OK) {
		status = tt_meeting_keep(&rendezvous, &meeting, tt_deadline_ns(settings.timeout_ms));
		if (status != TUTTI_OK)
			tt_meeting_close(&meeting);
	}
	tt_settings_fini(&settings);
	TT_TRY(status);
	tt_unique_id_write(&rendezvous, id);
	return TUTTI_OK;
}

static tutti_status
check_ranks(int size, int rank, tutti_comm **comm)
{
	if (comm == NULL)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "the address for the new communicator is NULL");
	if (size < 1 || rank < 0 || rank >= size)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "rank %d of %d ranks cannot be: size ≥ 1 and 0 ≤ rank < size",
		    rank, size);
	return TUTTI_OK;
}

/* Nothing that somebody has set is ignored in silence. */
static void
warn_of_settings(const struct tt_settings *settings, int rank)
{
	const struct tt_log log = tt_settings_log(settings, rank);
	const char *names[8];
	const int n = rank == 0 ? tt_settings_unknown(names, 8) : 0;

	for (int i = 0; i < n; i++)
		tt_log(&log, TT_LOG_WARN, "%.*s is not a variable that Tutti knows (see `tutti env`)",
		    (int)strcspn(names[i], "="), names[i]);
}

tutti_status
tutti_comm_create(int size, int rank, const tutti_unique_id *id, const tutti_config *config, tutti_comm **comm)
{
	struct tt_settings settings;
	struct tt_rendezvous rendezvous;
	struct tt_meeting meeting;
	int64_t deadline_ns;
	tutti_status status = TUTTI_OK;

	TT_TRY(check_ranks(size, rank, comm));
	if (size > 1 && id == NULL)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "%d ranks need a unique id: make it on rank 0 with "
		    "tutti_unique_id_create and hand its bytes to the others",
		    size);
	TT_TRY(tt_settings_init(&settings, config));
	warn_of_settings(&settings, rank);
	deadline_ns = tt_deadline_ns(settings.timeout_ms);
	if (size == 1) {
		if (id != NULL && tt_unique_id_read(id, &rendezvous) == TUTTI_OK &&
		    tt_meeting_claim(&rendezvous, true, &meeting) == TUTTI_OK)
			tt_meeting_close(&meeting);
		return tt_comm_build(1, 0, NULL, NULL, &settings, deadline_ns, comm);
	}
	status = tt_unique_id_read(id, &rendezvous);
	if (status == TUTTI_OK) {
		if (rank == 0)
			status = tt_meeting_claim(&rendezvous, true, &meeting);
		else
			(void)tt_meeting_claim(&rendezvous, false, &meeting);
	}
	if (status != TUTTI_OK) {
		tt_settings_fini(&settings);
		return status;
	}
	return tt_comm_build(size, rank, &rendezvous, rank == 0 ? &meeting : NULL, &settings, deadline_ns, comm);
}

tutti_status
tutti_comm_create_from_env(const tutti_config *config, tutti_comm **comm)
{
	struct tt_identity identity;
	struct tt_settings settings;
	struct tt_rendezvous rendezvous;
	struct tt_meeting meeting;
	struct tt_log log;
	int64_t deadline_ns;
	tutti_status status;

	TT_TRY(check_ranks(1, 0, comm));
	TT_TRY(tt_identity_from_env(&identity));
	TT_TRY(tt_settings_init(&settings, config));
	warn_of_settings(&settings, identity.rank);
	log = tt_settings_log(&settings, identity.rank);
	deadline_ns = tt_deadline_ns(settings.timeout_ms);
	if (identity.launcher == TT_LAUNCHER_NONE)
		tt_log(&log, TT_LOG_INFO, "no launcher found%s%s: alone", identity.seen[0] != '\0' ? ", but " : "",
		    identity.seen);
	else
		tt_log(&log, TT_LOG_INFO, "rank %d of %d, told by %s (seen: %s)", identity.rank, identity.size,
		    tt_launcher_name(identity.launcher), identity.seen);
	if (identity.size == 1)
		return tt_comm_build(1, 0, NULL, NULL, &settings, deadline_ns, comm);
	status =
	    tt_identity_meet(&identity, &settings, &log, tt_identity_next_call(), deadline_ns, &rendezvous, &meeting);
	if (status != TUTTI_OK) {
		tt_settings_fini(&settings);
		return status;
	}
	return tt_comm_build(identity.size, identity.rank, &rendezvous, identity.rank == 0 ? &meeting : NULL,
	    &settings, deadline_ns, comm);
}

tutti_status
tutti_comm_create_from_store(
    int size, int rank, const tutti_store *store, const tutti_config *config, tutti_comm **comm)
{
	struct tt_settings settings;
	struct tt_rendezvous rendezvous;
	struct tt_meeting meeting;
	int64_t deadline_ns;
	tutti_status status;

	TT_TRY(check_ranks(size, rank, comm));
	TT_TRY(tt_settings_init(&settings, config));
	warn_of_settings(&settings, rank);
	deadline_ns = tt_deadline_ns(settings.timeout_ms);
	if (size == 1)
		return tt_comm_build(1, 0, NULL, NULL, &settings, deadline_ns, comm);
	status = tt_store_meet(rank, store, &settings, deadline_ns, &rendezvous, &meeting);
	if (status != TUTTI_OK) {
		tt_settings_fini(&settings);
		return status;
	}
	return tt_comm_build(size, rank, &rendezvous, rank == 0 ? &meeting : NULL, &settings, deadline_ns, comm);
}

tutti_status
tutti_comm_abort(tutti_comm *comm)
{
	TT_TRY(tt_check_comm(comm, "tutti_comm_abort"));
	tt_comm_revoke(comm, false);
	tt_store_relaxed(&comm->aborting, 1);
	return TUTTI_OK;
}

int
tutti_comm_rank(const tutti_comm *comm)
{
	return comm != NULL ? comm->rank : -1;
}

int
tutti_comm_size(const tutti_comm *comm)
{
	return comm != NULL ? comm->size : -1;
}

int
tutti_comm_node_rank(const tutti_comm *comm)
{
	return comm != NULL ? comm->node_rank : -1;
}

int
tutti_comm_node(const tutti_comm *comm)
{
	if (comm == NULL)
		return -1;
	return comm->world != NULL ? tt_world_node_of(comm->world)[comm->rank] : 0;
}

int
tutti_comm_node_size(const tutti_comm *comm)
{
	return comm != NULL ? comm->node_size : -1;
}

tutti_status
tutti_comm_error(const tutti_comm *comm, tutti_error *error)
{
	tutti_error cause;

	TT_TRY(tt_check_comm(comm, "tutti_comm_error"));
	tt_failure_cause(comm->failure, &cause);
	if (error != NULL)
		TT_TRY(tt_error_copy(error, &cause));
	return cause.status;
}

tutti_status
tutti_last_error(tutti_error *error)
{
	if (error == NULL)
		return TUTTI_ERR_ARGUMENT;
	return tt_error_copy(error, tt_last_error());
}

tutti_status
tutti_explain(
    tutti_comm *comm, const char *collective, size_t bytes, int json, char *report, size_t capacity, size_t *length)
{
	struct tt_select_call call = {.dtype = TUTTI_FLOAT32, .op = TUTTI_SUM, .bytes = bytes};
	size_t need;
	int number;

	TT_TRY(tt_check_comm(comm, "tutti_explain"));
	if (collective == NULL || (report == NULL && capacity > 0))
		return tt_fail(
		    TUTTI_ERR_ARGUMENT, -1, "tutti_explain needs a collective's name and room for the report");
	number = tt_collective_parse(collective);
	if (number < 0)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "there is no collective \"%.40s\" (all_reduce, broadcast, ...)", collective);
	call.collective = (enum tt_collective)number;
	need = tt_select_explain(&comm->facts, &call, json != 0, report, capacity);
	if (length != NULL)
		*length = need;
	if (need == 0)
		return tt_last_error()->status;
	if (need >= capacity)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "the report needs room for %zu bytes and a final zero", need);
	return TUTTI_OK;
}

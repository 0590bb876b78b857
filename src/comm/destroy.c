/* SPDX-License-Identifier: Apache-2.0
 *
 * destroy.c - the end of a communicator on this rank. Others are told only if they would wait for it.
 */
#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"
#include "comm/arguments.h"
#include "comm/create_parts.h"
#include "topology/map.h"

/* Requests that the program has not waited for outlive their communicator: the wait will say so. */
static void
let_go_requests(tutti_comm *comm)
{
	tutti_request *request = comm->all_requests;

	while (request != NULL) {
		tutti_request *next = request->sibling;

		tt_free(request->tables);
		request->tables = NULL;
		if (request->state == TT_REQUEST_FREE || request->in_group) {
			tt_free(request);
		} else {
			if (request->state != TT_REQUEST_ENDED) {
				request->status = TUTTI_ERR_STATE;
				tt_error_fill(&request->error, TUTTI_ERR_STATE, NULL, 0, request->call.sequence,
				    "the communicator was destroyed while this operation was pending");
			}
			request->state = TT_REQUEST_ENDED;
			request->comm = NULL;
		}
		request = next;
	}
}

void
tt_comm_dismantle(tutti_comm *comm)
{
	tt_comm_progress_stop(comm);
	tt_free(comm->homes);
	tt_fd_close(comm->door);
	tt_world_destroy(comm->world); /* the background thread rings the ports' bell: it ends first */
	tt_ports_fini(&comm->ports);
	tt_free(comm->offers);
	tt_free(comm->remotes);
	tt_lineage_leave(&comm->lineage);
	tt_segment_close(comm->segment);
	tt_executor_destroy(comm->executor);
	tt_node_stage_destroy(comm->stage);
	tt_p2p_destroy(comm->p2p);
	let_go_requests(comm);
	tt_operators_fini(comm);
	tt_map_destroy(comm->map);
	tt_fuse_fini(comm);
	if (comm->plans != NULL)
		tt_plan_cache_destroy(comm->plans);
	tt_failure_destroy(comm->failure);
	tt_trace_close(comm->trace);
	tt_settings_fini(&comm->settings);
	tt_owned_lock_destroy(&comm->lock);
	tt_free(comm);
}

/* Is something begun that others cannot end once this rank has gone? What is in the node's stage alone, they can, unless
 * they still read what this rank has lent. */
static bool
leaves_unfinished(const tutti_comm *comm)
{
	const tutti_request *behind = comm->head;

	if (comm->head == NULL)
		return false;
	if (comm->node_size < comm->size || !tt_executor_in_stage(comm->executor) ||
	    tt_node_stage_is_owed(comm->stage))
		return true;
	for (uint32_t i = 0; behind != NULL && (i == 0 || i < comm->head->members_too); i++)
		behind = behind->next;
	return behind != NULL;
}

tutti_status
tutti_comm_destroy(tutti_comm *comm)
{
	if (comm == NULL)
		return TUTTI_OK;
	/* A forked child has a copy of the memory, but not the threads and not the say over the connections. */
	TT_TRY(tt_check_comm(comm, "tutti_comm_destroy"));
	tt_family_leave(comm);
	tt_comm_progress_stop(comm);
	if (comm->world != NULL && !tt_failure_raised(comm->failure))
		tt_failure_leave(comm->failure, leaves_unfinished(comm));
	if (tt_comm_busy(comm)) { /* else what was sent must still arrive */
		tt_ports_cancel(&comm->ports);
		tt_lineage_taint(&comm->lineage);
		if (comm->stage != NULL)
			tt_node_stage_withdraw(comm->stage);
	}
	tt_comm_dismantle(comm);
	return TUTTI_OK;
}

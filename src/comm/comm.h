/* SPDX-License-Identifier: Apache-2.0
 *
 * comm.h - a communicator from the inside: what creation builds and operations use.
 *
 * Threads: `lock` is held by the thread that drives the operations (one at a time; the others ring the bell and
 * wait for it). The background thread of the world touches `failure` and the bell only.
 */
#ifndef TT_COMM_COMM_H
#define TT_COMM_COMM_H

#include <pthread.h>

#include "base/settings.h"
#include "base/wait.h"
#include "bootstrap/world.h"
#include "comm/call.h"
#include "comm/failure.h"
#include "engine/executor.h"
#include "select/select.h"

enum tt_request_state {
	TT_REQUEST_FREE,
	TT_REQUEST_QUEUED, /* behind others of its communicator */
	TT_REQUEST_RUNNING,
	TT_REQUEST_ENDED
};

/* One operation of this rank, from the call until its end has been told. */
struct tutti_request {
	struct tutti_comm *comm; /* NULL: its communicator has been destroyed before it was waited for */
	struct tutti_request *next; /* in the queue, or in the list of free ones */
	struct tutti_request *sibling; /* in the list of all requests of the communicator */
	enum tt_request_state state;
	tutti_status status; /* once ended */
	tutti_error error; /* once ended and failed */
	int64_t deadline_ns;
	int64_t timeout_ms; /* what the caller asked for, for messages */
	struct tt_call call;
	struct tt_run run;
	size_t *tables; /* copies of counts and offsets of an uneven operation; owned, kept */
	size_t tables_room; /* entries */
};

struct tutti_comm {
	int rank, size, node_rank, node_size;
	uint32_t generation; /* of the process that made it: a forked child's differs */
	struct tt_settings settings;
	struct tt_log log;
	struct tt_world *world; /* NULL if size is 1 */
	struct tt_ports ports;
	struct tt_segment *segment; /* a share of the world's, NULL if alone on the node */
	uint64_t shared_offset; /* of the node's piece for the local transport; goes with the segment */
	struct tt_node_stage *stage; /* NULL if alone on the node */
	uint64_t stage_offset;
	struct tt_executor *executor;
	struct tt_plan_cache *plans;
	struct tt_select_facts facts;
	const struct tt_kernels *kernels;
	struct tt_failure *failure;
	bool crowded; /* more ranks than cores on this host */

	pthread_mutex_t lock;
	tt_atomic_u32 contenders; /* threads that want the lock */
	struct tutti_request *head, *tail; /* queue: the head runs */
	struct tutti_request *free_requests, *all_requests;
	uint64_t issued;
	bool told; /* the failure has been told to the program: from now on ERR_STATE */
	bool reported; /* this rank has reported the trouble it is in */
	uint64_t stall_sequence; /* the operation last seen not advancing, ... */
	int64_t stall_since_ns, stall_wait_ns;

	pthread_t progress_thread;
	bool progress_running;
	tt_atomic_u32 progress_wanted, progress_stop; /* futex words */
};

/* ---- creation (create.c) ------------------------------------------------------------------------------------ */

/* What the three public ways of creation have in common. Takes the meeting over, whatever happens. */
tutti_status tt_comm_build(int size, int rank, const struct tt_rendezvous *rendezvous, struct tt_meeting *meeting,
    struct tt_settings *settings, int64_t deadline_ns, tutti_comm **comm);

/* ---- operations (operation.c) --------------------------------------------------------------------------------- */

/* What a public call asks for, checked. */
struct tt_intent {
	enum tt_collective collective;
	const void *send;
	void *recv;
	size_t count; /* of the call; uneven: of this rank's single row */
	tutti_dtype dtype;
	tutti_op op;
	int root;
	bool in_place;
	bool uneven;
	const size_t *in_counts, *in_offsets, *out_counts, *out_offsets; /* uneven, lent for the call */
	uint32_t counts_hash;
	bool nothing; /* no elements on any rank: takes a sequence number and ends */
};

/* May this communicator be used now? Tells a failure once, afterwards ERR_STATE. */
tutti_status tt_comm_usable(tutti_comm *comm);
/* Starts an operation; blocks if request is NULL. */
tutti_status tt_comm_issue(
    tutti_comm *comm, const struct tt_intent *intent, const tutti_options *options, tutti_request **request);
/* Advances as far as possible without waiting; the lock is held. Returns how much moved. */
int tt_comm_advance(tutti_comm *comm);
/* Waits until the request has ended. */
void tt_comm_wait(tutti_comm *comm, tutti_request *request);
/* Deadlines, deaths, stalls: what is looked at off the hot path; the lock is held. */
void tt_comm_look_around(tutti_comm *comm, int64_t now_ns);
/* The ended request's status and error record go to the caller; the request is free again. */
tutti_status tt_comm_finish(tutti_comm *comm, tutti_request *request);
/* The lock for a thread that is about to drive or to issue. */
void tt_comm_lock(tutti_comm *comm);
void tt_comm_unlock(tutti_comm *comm);

/* ---- progress (progress.c) -------------------------------------------------------------------------------------- */

tutti_status tt_comm_progress_start(tutti_comm *comm);
void tt_comm_progress_stop(tutti_comm *comm);
void tt_comm_progress_wake(tutti_comm *comm);

#endif /* TT_COMM_COMM_H */

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

#include "base/owned_lock.h"
#include "base/remote.h"
#include "base/settings.h"
#include "base/wait.h"
#include "bootstrap/world.h"
#include "comm/arena.h"
#include "comm/call.h"
#include "comm/failure.h"
#include "comm/family.h"
#include "comm/fuse.h"
#include "comm/memo.h"
#include "comm/operator.h"
#include "comm/trace.h"
#include "engine/executor.h"
#include "engine/p2p.h"
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
	int64_t deadline_ns; /* 0: a blocking call's, not yet computed: the clock is read only if it has to wait */
	bool plan_is_memo; /* the plan is pinned by the memo */
	int64_t timeout_ms; /* what the caller asked for, for messages */
	struct tt_call call;
	struct tt_run run;
	bool started; /* the run */
	int64_t issue_ns, start_ns; /* if there is a trace; 0 = not yet */
	bool fusable; /* in a group: it may be one of many in a run */
	uint64_t digest; /* of its call, as a member (fuse.c) */
	uint32_t
	    members_too; /* so many requests of the queue, this one included, end with its run; 0: just this one */
	/* An operation of several runs: tells the next one, NULL behind the last. NULL: one run. The lock is held. */
	const struct tt_run *(*next_run)(struct tutti_request *request);
	void *next_context; /* of next_run */
	struct tt_operator *op; /* one that is not built in; counted */
	size_t *tables; /* copies of counts and offsets of an uneven operation; owned, kept */
	size_t tables_room; /* entries */
	bool is_message; /* a send or receive: */
	struct tt_p2p_op message;
	int *sender; /* the caller's, or NULL */
	struct tutti_request *before; /* in the list of pending messages */
	bool
	    parked; /* whoever waits for it has left the driving to another thread; its end makes it a contender again */
	bool in_group; /* the program has no handle of it; once it has ended it is free */
	struct tutti_request *group; /* the one that the program waits for, once started */
	size_t members; /* of a group: so many have not ended */
};

/* What one thread issues between tutti_group_begin and tutti_group_end. */
struct tt_group {
	tt_atomic_u64 owner; /* the thread, 0 = no group is open */
	int depth;
	size_t begun, recorded; /* calls; they differ if the latest one has failed */
	struct tutti_request *first, *last; /* recorded, linked by next */
	tutti_error error; /* of the first call that failed */
};

struct tutti_comm {
	int rank, size, node_rank, node_size;
	uint32_t generation; /* of the process that made it: a forked child's differs */
	struct tt_settings settings;
	struct tt_log log;
	struct tt_trace *trace; /* NULL: none is wanted */
	struct tt_world *world; /* NULL if size is 1 */
	struct tt_address
	    *homes; /* where each rank can be found without the world (shrink.c); NULL: all on one node */
	int door; /* a listener that tells by its being there that this process is; -1 = none */
	struct tt_ports ports;
	struct tt_segment *segment; /* a share of the world's, NULL if alone on the node */
	const tutti_transport *plugin; /* that ranks of other nodes may be reached by; NULL: none */
	const char *provider; /* for it; of the settings, or constant */
	void *offers; /* of all ranks for it, owned */
	uint64_t shared_offset; /* of the node's piece for the local transport; goes with the segment */
	struct tt_node_stage *stage; /* NULL if alone on the node */
	uint64_t stage_offset;
	unsigned char proof[TT_REMOTE_PROOF]; /* what the node's ranks have read here, see base/remote.h */
	struct tt_remote *remotes; /* of the node's ranks, owned; NULL: not all can read each other's memory */
	struct tt_lineage lineage; /* where memory from tutti_alloc is */
	struct tt_executor *executor;
	struct tt_p2p *p2p;
	struct tt_plan_cache *plans;
	struct tt_memo memo; /* its plans stay pinned until the communicator goes */
	struct tt_memo_entry *latest; /* what the latest shortcut was taken by; NULL: none has been */
	struct tt_operators operators;
	struct tt_select_facts facts;
	struct tt_rank_card place; /* this rank's */
	struct tt_map *map; /* where the ranks sit; NULL if alone */
	const struct tt_kernels *kernels;
	struct tt_failure *failure;
	int cores; /* of this host, for its ranks together */
	bool crowded; /* they are fewer than its ranks */
	bool
	    node_crowded; /* that holds for a host of the node's ranks: the same for all of them, whatever they call a host */
	bool described; /* rank 0 was told of another machine (TUTTI_TOPOLOGY) */
	struct tt_ladder ladder; /* of the thread that drives; it remembers from wait to wait */

	struct tt_owned_lock lock; /* of who drives; the owner is who makes small blocking calls again and again */
	tt_atomic_u32 contenders; /* threads that want the lock */
	struct tutti_request *head, *tail; /* queue: the head runs */
	struct tutti_request *messages; /* sends and receives that are pending */
	int64_t messages_quiet_ns; /* nothing has moved since then, 0 = it has */
	struct tt_group group;
	struct tt_fuse fuse;
	struct tutti_request *free_requests, *all_requests;
	uint64_t issued;
	uint32_t turns; /* of driving, counted for what is done now and then */
	tt_atomic_u32 aborting; /* this rank has called tutti_comm_abort */
	bool told; /* the failure has been told to the program: from now on ERR_STATE */
	bool reported; /* this rank has reported the trouble it is in */
	uint64_t stall_sequence; /* the operation last seen not advancing, ... */
	int64_t stall_since_ns, stall_wait_ns;

	const tutti_comm *parent; /* while it is created by a split; lent */
	struct tt_family *family; /* NULL: it has no relatives */
	struct tutti_comm *relative; /* the next one in the family's list */
	tt_atomic_u32 family_busy; /* operations are pending, as of the last unlock; the family has counted it */

	pthread_t progress_thread;
	bool progress_running;
	tt_atomic_u32 progress_wanted, progress_stop; /* futex words */
};

/* ---- creation (create.c) ------------------------------------------------------------------------------------ */

/* What the three public ways of creation have in common. Takes the meeting over, whatever happens. */
tutti_status tt_comm_build(int size, int rank, const struct tt_rendezvous *rendezvous, struct tt_meeting *meeting,
    struct tt_settings *settings, int64_t deadline_ns, tutti_comm **comm);
/* The same; ends if the parent (may be NULL, lent for the call) fails before all ranks have come together. */
tutti_status tt_comm_build_child(const tutti_comm *parent, int size, int rank, const struct tt_rendezvous *rendezvous,
    struct tt_meeting *meeting, struct tt_settings *settings, int64_t deadline_ns, tutti_comm **comm);

/* ---- the end, for all (shrink.c) ---------------------------------------------------------------------------------- */

/* Where every rank could be found if the world were gone; every rank calls it before the world is started. */
tutti_status tt_shrink_prepare(tutti_comm *comm, int64_t deadline_ns);
/* This rank ends the communicator for all (any thread): by tutti_comm_shrink or tutti_comm_abort. */
void tt_comm_revoke(tutti_comm *comm, bool shrink);
/* Has a rank of this node done so? Then it has failed. There is a world. */
void tt_comm_look_for_revocation(tutti_comm *comm);

/* ---- operations (issue.c, operation.c, lifecycle.c, trouble.c) --------------------------------------------------------------------------------- */

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
	uint32_t counts_hash; /* uneven: of counts that are the same on every rank, else 0 */
	bool nothing; /* no elements on any rank: takes a sequence number and ends */
	uint8_t flags; /* TT_CALL_SPLIT */
	const struct tt_run *(*next_run)(tutti_request *request); /* see struct tutti_request */
	void *next_context;
};

/* May this communicator be used now? Tells a failure once, afterwards ERR_STATE. */
tutti_status tt_comm_usable(tutti_comm *comm);
/* Starts an operation; blocks if request is NULL. In a group it only records it. */
tutti_status tt_comm_issue(
    tutti_comm *comm, const struct tt_intent *intent, const tutti_options *options, tutti_request **request);
/* Is anything pending? */
static inline bool
tt_comm_busy(const tutti_comm *comm)
{
	return comm->head != NULL || comm->messages != NULL;
}
/* Advances as far as possible without waiting; the lock is held. Returns how much moved. */
int tt_comm_advance(tutti_comm *comm);
/* Waits until the request has ended. */
void tt_comm_wait(tutti_comm *comm, tutti_request *request);
/* Deadlines, deaths, stalls: what is looked at off the hot path; the lock is held. */
void tt_comm_look_around(tutti_comm *comm, int64_t now_ns);
/* The ended request's status and error record go to the caller; the request is free again. */
tutti_status tt_comm_finish(tutti_comm *comm, tutti_request *request);
/* A request of the pool, with nothing in it; back to the pool, if it has not been started; its end. The lock is held. */
tutti_status tt_request_get(tutti_comm *comm, tutti_request **request);
void tt_request_put(tutti_comm *comm, tutti_request *request);
void tt_request_end(tutti_request *request, tutti_status status);
/* It needs its plan no more. */
void tt_request_drop_plan(tutti_request *request);
/* It counts as ended from now on. */
void tt_request_mark_ended(tutti_request *request);
/* Plans an even operation that is not one of the program's own: operands, algorithm, slices. The plan is pinned by the
 * run. The lock is held. */
tutti_status tt_comm_plan(tutti_comm *comm, const struct tt_intent *intent, struct tt_run *run);
/* Operands, algorithm and plan of a request that is new; the lock is held. */
tutti_status tt_comm_prepare(
    tutti_comm *comm, const struct tt_intent *intent, const tutti_options *options, tutti_request *request);
/* Plans a request that has been prepared before once more, for another count and other memory, as if that had been
 * called. The lock is held. */
tutti_status tt_comm_prepare_again(tutti_comm *comm, const struct tt_intent *intent, tutti_request *request);
/* A collective that is prepared takes its number and its place in the queue; the lock is held. */
void tt_comm_enqueue(tutti_comm *comm, tutti_request *request);
/* The same for one that has been started under the latest number, before it had a request. */
void tt_comm_enqueue_running(tutti_comm *comm, tutti_request *request);
/* Under what the memo keeps a call. */
struct tt_memo_key tt_comm_memo_key(const struct tt_intent *intent, const struct tt_operator *op);
/* Gives a started request to the caller, or waits for it if there is no place to put it. The lock is held, but for
 * the waiting. */
tutti_status tt_comm_hand_over(tutti_comm *comm, tutti_request *issued, tutti_request **request);
/* Sleeps until something may have happened, at most for `most_ms`; the lock is held. */
void tt_comm_sleep(tutti_comm *comm, int most_ms);
/* Wakes the thread that sleeps there; any thread. */
void tt_comm_wake(tutti_comm *comm);
/* Ends all that is pending with the failure's cause. */
void tt_comm_end_all(tutti_comm *comm);
/* Takes the head off the queue. */
void tt_comm_pop(tutti_comm *comm);
/* The head's run has failed: reports why, once. */
void tt_comm_report_fault(tutti_comm *comm, const tutti_request *request, int64_t now_ns);
/* See tt_ports_culprit(). */
int tt_comm_culprit(const tutti_comm *comm, int peer, char *message, size_t bytes, tutti_status *status);
/* The lock for a thread that is about to drive or to issue. */
void tt_comm_lock(tutti_comm *comm);
bool tt_comm_trylock(tutti_comm *comm);
void tt_comm_unlock(tutti_comm *comm);

/* ---- shortcuts (shortcut.c); see shortcut.h ---------------------------------------------------------------------- */

/* Is there one for calls like this, which has just been planned? The lock is held. */
void tt_shortcut_open(const tutti_comm *comm, const tutti_request *request, struct tt_shortcut *shortcut);
/* Takes it, if all is as usual: true, and how the call ended. The call is an even one of a collective of the program's, a
 * blocking one without a forced algorithm; it need not have been checked. False: nothing has happened. */
bool tt_shortcut_take(tutti_comm *comm, const struct tt_intent *call, const void *send, void *recv,
    const tutti_options *options, tutti_status *status);

/* ---- sends and receives (messages.c); the lock is held ------------------------------------------------------------ */

void tt_messages_start(tutti_comm *comm, tutti_request *request);
int tt_messages_advance(tutti_comm *comm);
void tt_messages_look(tutti_comm *comm, int64_t now_ns);
void tt_messages_end_all(tutti_comm *comm, const tutti_error *cause);
/* "send(10 x float32 to rank 3, tag 0)" */
void tt_message_print(const struct tt_p2p_op *op, char *text, size_t bytes);

/* ---- groups (group.c) --------------------------------------------------------------------------------------------- */

/* Is the calling thread in a group of this communicator? */
bool tt_group_recording(const tutti_comm *comm);
/* An operation is about to be checked: if it fails, nothing follows, and the group keeps its error. */
void tt_group_call_begins(tutti_comm *comm);
/* The operation has been recorded; the lock is held. */
void tt_group_record(tutti_comm *comm, tutti_request *request);
/* The shortest way of a call without options that repeats the latest one of this thread's group, but for its memory:
 * recorded, without the checks and the choice that were made for that one. Else false, and nothing has happened. */
bool tt_group_repeat(tutti_comm *comm, const struct tt_intent *call, const void *send, void *recv);
/* In a group there are no requests. */
tutti_status tt_group_check(const tutti_comm *comm, tutti_request **request);
/* A member has ended. */
void tt_group_member_ended(tutti_request *member);

/* ---- progress (progress.c) -------------------------------------------------------------------------------------- */

tutti_status tt_comm_progress_start(tutti_comm *comm);
void tt_comm_progress_stop(tutti_comm *comm);
void tt_comm_progress_wake(tutti_comm *comm);

#endif /* TT_COMM_COMM_H */

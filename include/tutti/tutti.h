/* SPDX-License-Identifier: Apache-2.0
 *
 * tutti.h - collective communication between the ranks of a job, in host memory.
 *
 * A rank is one thread of control with one communicator. Operations on a communicator are matched across
 * ranks by the order in which they are issued. Every function returns a tutti_status unless it cannot fail;
 * the reason of the calling thread's latest failure is told by tutti_last_error(), the reason why a
 * communicator no longer works by tutti_comm_error().
 *
 * Units: `count` is in elements of `dtype`, `bytes` in bytes, times in milliseconds. Buffers are host memory of
 * any alignment, owned by the caller, and lent to the library from the call until the operation has ended.
 */
#ifndef TUTTI_TUTTI_H
#define TUTTI_TUTTI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TUTTI_VERSION_MAJOR 0
#define TUTTI_VERSION_MINOR 1
#define TUTTI_VERSION_PATCH 0

#if defined(__GNUC__)
#define TUTTI_API __attribute__((visibility("default")))
#else
#define TUTTI_API
#endif

/* ---- types ---------------------------------------------------------------------------------------------- */

typedef enum tutti_status {
	TUTTI_OK = 0,
	TUTTI_IN_PROGRESS,     /* not an error: ask again */
	TUTTI_ERR_ARGUMENT,    /* bad argument; the call had no effect */
	TUTTI_ERR_STATE,       /* the object cannot do this now (aborted, failed, used in a forked child) */
	TUTTI_ERR_MISMATCH,    /* ranks issued different operations; the message names both calls */
	TUTTI_ERR_PEER,        /* a peer died or became unreachable; tutti_error.rank says which */
	TUTTI_ERR_TIMEOUT,     /* the deadline passed; tutti_error.rank is the rank waited for, if known */
	TUTTI_ERR_ABORTED,     /* someone called tutti_comm_abort */
	TUTTI_ERR_AUTH,        /* a connection did not prove that it belongs to the job */
	TUTTI_ERR_VERSION,     /* peers run incompatible versions */
	TUTTI_ERR_NOMEM,       /* no memory, or a memory limit is reached */
	TUTTI_ERR_SYSTEM,      /* a system call failed; errno is in the message */
	TUTTI_ERR_UNSUPPORTED, /* a legal request that this build or algorithm cannot serve; the message says why */
	TUTTI_ERR_INTERNAL     /* a fault of the library itself */
} tutti_status;

typedef enum tutti_dtype {
	TUTTI_INT8,
	TUTTI_UINT8,
	TUTTI_INT16,
	TUTTI_UINT16,
	TUTTI_INT32,
	TUTTI_UINT32,
	TUTTI_INT64,
	TUTTI_UINT64,
	TUTTI_FLOAT16,
	TUTTI_BFLOAT16,
	TUTTI_FLOAT32,
	TUTTI_FLOAT64,
	TUTTI_FLOAT8_E4M3, /* the "fn" form: no infinities, NaN is 0x7f or 0xff */
	TUTTI_FLOAT8_E5M2,
	TUTTI_BOOL /* one byte, 0 or 1; SUM and MAX act as OR, PROD and MIN as AND */
} tutti_dtype;

/* A built-in operator below, or a handle from tutti_op_create_premul_sum / tutti_op_create_custom. */
typedef int tutti_op;
enum {
	TUTTI_SUM,
	TUTTI_PROD,
	TUTTI_MIN,
	TUTTI_MAX,
	TUTTI_AVG,
	TUTTI_BAND, /* bitwise: integer types and BOOL only */
	TUTTI_BOR,
	TUTTI_BXOR
};

enum { TUTTI_ANY_PEER = -1 };

typedef struct tutti_comm tutti_comm;
typedef struct tutti_request tutti_request;

/* Rendezvous addresses and the job's secret: hand it to the other ranks over a channel you trust. */
typedef struct tutti_unique_id {
	char bytes[256];
} tutti_unique_id;

typedef struct tutti_error {
	size_t size;
	tutti_status status;
	int rank;          /* the rank at fault, -1 if unknown or none; several: the first of them */
	int ranks[16];     /* all ranks at fault (dead, missing, disagreeing) ... */
	int nranks;        /* ... how many there are; may exceed 16 */
	uint64_t sequence; /* the operation's number on its communicator, 0 = outside an operation */
	char message[512]; /* one sentence a person can act on */
} tutti_error;
#define TUTTI_ERROR_INIT {sizeof(tutti_error), TUTTI_OK, -1, {0}, 0, 0, {0}}

/* Per communicator. Unset fields take the environment, then the default. */
typedef struct tutti_config {
	size_t size;
	const char *name;            /* shown in logs, errors and traces */
	int64_t timeout_ms;          /* for creation and every operation; 0 = default (300 s), -1 = none */
	const char *transports;      /* "shm,tcp", "shm,fabric", "tcp" ...; NULL = automatic */
	const char *fabric_provider; /* libfabric provider name, NULL = automatic */
	const char *interfaces;      /* "eth0,ib0" or "^docker0"; NULL = automatic */
	const char *port_range;      /* "20000-20100"; NULL = any */
	int reproducible;            /* 1: same bits for a given number of ranks, whatever the placement, transport,
	                                chunking, memory, in or out of place; -1 off; 0 unset */
	int progress_thread;         /* 1: nonblocking operations advance in the background; -1 off; 0 unset */
} tutti_config;
#define TUTTI_CONFIG_INIT {sizeof(tutti_config), NULL, 0, NULL, NULL, NULL, NULL, 0, 0}

typedef struct tutti_options {
	size_t size;
	int64_t timeout_ms;    /* 0 = the communicator's */
	const char *algorithm; /* force one, e.g. "ring"; the same on every rank; NULL = the selector's choice */
} tutti_options;
#define TUTTI_OPTIONS_INIT {sizeof(tutti_options), 0, NULL}

/* A key-value store the caller already has. Called only by the creating thread and only during creation. */
typedef struct tutti_store {
	size_t size;
	void *context;
	tutti_status (*set)(void *context, const char *key, const void *value, size_t bytes);
	/* Waits for the key. *bytes is the room on entry, the length on return. */
	tutti_status (*get)(void *context, const char *key, void *value, size_t *bytes, int64_t timeout_ms);
} tutti_store;
#define TUTTI_STORE_INIT {sizeof(tutti_store), NULL, NULL, NULL}

/* ---- communicators -------------------------------------------------------------------------------------- */

/* Makes an id in the process of rank 0, which listens from now on until the communicator is complete or the
 * creation's limit has passed. One id makes one communicator. ERR_SYSTEM, ERR_NOMEM. */
TUTTI_API tutti_status tutti_unique_id_create(tutti_unique_id *id);
/* The same with interfaces, port range and time limit taken from `config`. */
TUTTI_API tutti_status tutti_unique_id_create_with(const tutti_config *config, tutti_unique_id *id);

/* Joins `size` ranks into a communicator; every rank calls it with the same id and size and its own rank. With
 * size == 1 the id may be NULL and no network is needed. ERR_TIMEOUT names the ranks that never came,
 * ERR_MISMATCH two ranks with one number or different sizes. The caller owns *comm: tutti_comm_destroy(). */
TUTTI_API tutti_status tutti_comm_create(int size, int rank, const tutti_unique_id *id, const tutti_config *config,
    tutti_comm **comm);
/* The same, identity taken from the launcher: tutti run, torchrun, Open MPI, MPICH/PMI, Slurm; alone if none.
 * Several calls are matched by their order. */
TUTTI_API tutti_status tutti_comm_create_from_env(const tutti_config *config, tutti_comm **comm);
/* The same, the id handed over through the caller's key-value store. */
TUTTI_API tutti_status tutti_comm_create_from_store(int size, int rank, const tutti_store *store,
    const tutti_config *config, tutti_comm **comm);
/* Divides the ranks of `comm`: those that give the same color (≥ 0) become a communicator, in the order of their keys,
 * equal keys in the order of `comm`. color < 0: takes part and gets *child = NULL. Every rank of `comm` calls it; it takes
 * its turn behind pending operations, counts as one, and blocks. config NULL inherits that of `comm`; its time limit
 * is the split's too. The child does not share the fate of `comm`: it has failures and an end of its own. */
TUTTI_API tutti_status tutti_comm_split(tutti_comm *comm, int color, int key, const tutti_config *config,
    tutti_comm **child);
/* The ranks that are left make a communicator of their own, after a failure, an abort, or because one of them wants it:
 * whoever of them is pending elsewhere in `comm` ends with ERR_ABORTED, and `comm` has failed. Every rank that wants to
 * go on calls it; they find each other without rank 0 or any other that is gone. It blocks until all ranks that are
 * not known to be gone have called it, or until half of the config's time limit (0 or no config: 30 s) is over; a rank
 * that had not answered by then is not part of *child, and gets ERR_STATE when it calls. Ranks keep their order; config
 * NULL inherits that of `comm`. ERR_TIMEOUT, ERR_PEER: the survivors could not agree or connect in time; it may be
 * called again. Source: MPI's user-level failure mitigation (MPI_Comm_revoke, MPI_Comm_shrink). */
TUTTI_API tutti_status tutti_comm_shrink(tutti_comm *comm, const tutti_config *config, tutti_comm **child);
/* Ends the communicator. Local; never waits for a peer. Its pending requests end with ERR_STATE. */
TUTTI_API tutti_status tutti_comm_destroy(tutti_comm *comm);
/* Ends every rank's pending operations with ERR_ABORTED. Any thread, any time, twice is fine. */
TUTTI_API tutti_status tutti_comm_abort(tutti_comm *comm);

TUTTI_API int tutti_comm_rank(const tutti_comm *comm);
TUTTI_API int tutti_comm_size(const tutti_comm *comm);
TUTTI_API int tutti_comm_node_rank(const tutti_comm *comm); /* among the ranks that share this node's memory */
TUTTI_API int tutti_comm_node_size(const tutti_comm *comm);
TUTTI_API int tutti_comm_node(const tutti_comm *comm); /* my node's number: nodes are counted in the order of their first rank */
/* Why the communicator failed; TUTTI_OK while healthy. `error` may be NULL, else error->size must be set. */
TUTTI_API tutti_status tutti_comm_error(const tutti_comm *comm, tutti_error *error);
/* The calling thread's latest failure of any function. */
TUTTI_API tutti_status tutti_last_error(tutti_error *error);

/* ---- collectives ----------------------------------------------------------------------------------------
 *
 * With request == NULL a call blocks until this rank's part is complete; otherwise it returns at once with a
 * request that must be finished by tutti_wait or a successful tutti_test. In place: send == recv; for all_gather
 * and gather (root) send == recv + rank*count; for reduce_scatter and scatter (root) recv == send + rank*count.
 * Any other overlap is ERR_ARGUMENT. Send buffers are never written (in place, the result replaces the input). */

/* recv[i] = op over all ranks of send[i], i < count, on every rank, the same bits everywhere. */
TUTTI_API tutti_status tutti_all_reduce(tutti_comm *comm, const void *send, void *recv, size_t count,
    tutti_dtype dtype, tutti_op op, const tutti_options *options, tutti_request **request);
/* send: size*recv_count elements; rank r receives the reduced block r in recv. */
TUTTI_API tutti_status tutti_reduce_scatter(tutti_comm *comm, const void *send, void *recv, size_t recv_count,
    tutti_dtype dtype, tutti_op op, const tutti_options *options, tutti_request **request);
/* recv: size*send_count elements, block r from rank r. */
TUTTI_API tutti_status tutti_all_gather(tutti_comm *comm, const void *send, void *recv, size_t send_count,
    tutti_dtype dtype, const tutti_options *options, tutti_request **request);
/* send is read at the root only; recv is written on every rank, the root included. */
TUTTI_API tutti_status tutti_broadcast(tutti_comm *comm, const void *send, void *recv, size_t count,
    tutti_dtype dtype, int root, const tutti_options *options, tutti_request **request);
/* recv is written at the root only. */
TUTTI_API tutti_status tutti_reduce(tutti_comm *comm, const void *send, void *recv, size_t count, tutti_dtype dtype,
    tutti_op op, int root, const tutti_options *options, tutti_request **request);
/* send: size*recv_count elements, read at the root only. */
TUTTI_API tutti_status tutti_scatter(tutti_comm *comm, const void *send, void *recv, size_t recv_count,
    tutti_dtype dtype, int root, const tutti_options *options, tutti_request **request);
/* recv: size*send_count elements, written at the root only. */
TUTTI_API tutti_status tutti_gather(tutti_comm *comm, const void *send, void *recv, size_t send_count,
    tutti_dtype dtype, int root, const tutti_options *options, tutti_request **request);
/* Block j of rank i's send becomes block i of rank j's recv; both hold size*count_per_peer elements. */
TUTTI_API tutti_status tutti_all_to_all(tutti_comm *comm, const void *send, void *recv, size_t count_per_peer,
    tutti_dtype dtype, const tutti_options *options, tutti_request **request);
/* Returns after every rank has called it. */
TUTTI_API tutti_status tutti_barrier(tutti_comm *comm, const tutti_options *options, tutti_request **request);

/* ---- uneven forms: counts[] and offsets[] have one entry per rank, in elements; offsets NULL = packed ------ */

TUTTI_API tutti_status tutti_all_gatherv(tutti_comm *comm, const void *send, size_t send_count, void *recv,
    const size_t *recv_counts, const size_t *recv_offsets, tutti_dtype dtype, const tutti_options *options,
    tutti_request **request);
TUTTI_API tutti_status tutti_reduce_scatterv(tutti_comm *comm, const void *send, void *recv,
    const size_t *recv_counts, tutti_dtype dtype, tutti_op op, const tutti_options *options,
    tutti_request **request);
TUTTI_API tutti_status tutti_scatterv(tutti_comm *comm, const void *send, const size_t *send_counts,
    const size_t *send_offsets, void *recv, size_t recv_count, tutti_dtype dtype, int root,
    const tutti_options *options, tutti_request **request);
TUTTI_API tutti_status tutti_gatherv(tutti_comm *comm, const void *send, size_t send_count, void *recv,
    const size_t *recv_counts, const size_t *recv_offsets, tutti_dtype dtype, int root,
    const tutti_options *options, tutti_request **request);
TUTTI_API tutti_status tutti_all_to_allv(tutti_comm *comm, const void *send, const size_t *send_counts,
    const size_t *send_offsets, void *recv, const size_t *recv_counts, const size_t *recv_offsets,
    tutti_dtype dtype, const tutti_options *options, tutti_request **request);

/* ---- point to point --------------------------------------------------------------------------------------
 *
 * A send meets the first receive with its peer and tag that no earlier send has met; order counts for each (peer,
 * tag) only, and independently of collectives. Count and dtype must be equal on both sides, else ERR_MISMATCH ends
 * the communicator's operations, as any disagreement does. Tags are 0 to 2^31 - 1. A send may wait for its receive; a send
 * to oneself works when it, or its receive, is nonblocking or in a group. */

TUTTI_API tutti_status tutti_send(tutti_comm *comm, const void *buffer, size_t count, tutti_dtype dtype, int peer,
    int tag, const tutti_options *options, tutti_request **request);
/* peer may be TUTTI_ANY_PEER: the message with that tag that arrived first. *sender (may be NULL) is its rank, once
 * the receive has ended well. */
TUTTI_API tutti_status tutti_recv(tutti_comm *comm, void *buffer, size_t count, tutti_dtype dtype, int peer, int tag,
    int *sender, const tutti_options *options, tutti_request **request);

/* ---- groups ---------------------------------------------------------------------------------------------
 *
 * What one thread issues on a communicator between begin and end is only recorded, with a NULL request, and started
 * together by the outermost end: sends and receives cannot block each other. The calls must not depend on each
 * other's results. Groups nest. A group here may meet single calls on another rank. Small all-reduces of one type and
 * operator that follow each other run as one operation if all ranks have them in the same group; each counts by itself
 * all the same. A call that fails on its arguments says so at once, and the outermost end then returns that error
 * and starts nothing. */

TUTTI_API tutti_status tutti_group_begin(tutti_comm *comm);
/* Blocks until all of the group has ended if request is NULL, else gives one request for all of it. The status is that
 * of the first operation that failed. An inner end takes a NULL request. ERR_STATE without a begin. */
TUTTI_API tutti_status tutti_group_end(tutti_comm *comm, tutti_request **request);

/* ---- requests ------------------------------------------------------------------------------------------- */

/* *done = 0: pending. *done = 1: ended, freed, *request = NULL, and the operation's status is returned. */
TUTTI_API tutti_status tutti_test(tutti_request **request, int *done);
/* Ends the request and sets *request = NULL. A NULL request is done. */
TUTTI_API tutti_status tutti_wait(tutti_request **request);
/* Ends all, sets all to NULL, returns the first error by position. */
TUTTI_API tutti_status tutti_wait_all(size_t n, tutti_request *requests[]);

/* ---- operators -------------------------------------------------------------------------------------------
 *
 * Local calls: every rank creates its operators in the same order. An operator that differs in kind, data type or
 * commutativity from that of another rank is ERR_MISMATCH in the operation that uses it; another function behind it
 * cannot be noticed. What is not destroyed goes with the communicator. */

/* Each rank's input times that rank's scalar (one element of dtype, read by the call), then the sum. The scalars may differ.
 * 8- and 16-bit floats are multiplied and added in fp32 and rounded once. Not for BOOL. */
TUTTI_API tutti_status tutti_op_create_premul_sum(tutti_comm *comm, const void *scalar, tutti_dtype dtype,
    tutti_op *op);
/* combine: inout[i] = in[i] (op) inout[i] for `count` elements of any dtype that the operator is used with, where `in`
 * comes from the lower ranks. Associative always, commutative if said so; otherwise contributions are combined in rank
 * order. It gets element-aligned pointers and any count, on whichever thread drives the operation, and must not call
 * Tutti. `context` is handed on. */
TUTTI_API tutti_status tutti_op_create_custom(tutti_comm *comm,
    void (*combine)(const void *in, void *inout, size_t count, void *context), void *context, int commutative,
    tutti_op *op);
/* The handle is gone at once; pending operations that use the operator still end as they should. */
TUTTI_API tutti_status tutti_op_destroy(tutti_comm *comm, tutti_op op);

/* ---- memory ----------------------------------------------------------------------------------------------
 *
 * Memory that every rank of the node can see: collectives read and write it where it is and copy nothing in between.
 * Worth it from some 16 KiB on. */

/* *memory: `bytes` zeroed bytes, 4 KiB aligned. A local call: ranks need not allocate alike, and any part of such memory may
 * be used in any operation of `comm` and of the communicators split from it, in any mix with other memory on the same and
 * on other ranks. Its pages exist when the call returns; ERR_NOMEM says which limit is met. A child made by fork does
 * not have this memory. What is not freed goes with `comm`. */
TUTTI_API tutti_status tutti_alloc(tutti_comm *comm, size_t bytes, void **memory);
/* Gives back what tutti_alloc has given on the same communicator, when no operation that uses it is pending on this
 * rank. NULL is ignored. After a failure of `comm`, or of a communicator split from it, the memory itself returns to the system
 * when the last rank of the node has destroyed those communicators: peers that have not heard of the failure may still use it. */
TUTTI_API tutti_status tutti_free(tutti_comm *comm, void *memory);

/* ---- explain -------------------------------------------------------------------------------------------- */

/* Writes a text (json = 0) or JSON report of the candidates for `collective` ("all_reduce", ...) at `bytes` (the
 * larger of a rank's whole send and receive buffer) into report[capacity]. Too little room: ERR_ARGUMENT and
 * *length (without the final zero) says how much is needed. `length` may be NULL. */
TUTTI_API tutti_status tutti_explain(tutti_comm *comm, const char *collective, size_t bytes, int json, char *report,
    size_t capacity, size_t *length);

/* ---- odds and ends -------------------------------------------------------------------------------------- */

TUTTI_API const char *tutti_status_string(tutti_status status); /* "TUTTI_ERR_PEER"; never NULL */
TUTTI_API size_t tutti_dtype_size(tutti_dtype dtype);           /* bytes of an element; 0 if unknown */
TUTTI_API void tutti_version(int *major, int *minor, int *patch);

#ifdef __cplusplus
}
#endif
#endif /* TUTTI_TUTTI_H */

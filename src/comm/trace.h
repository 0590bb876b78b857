/* SPDX-License-Identifier: Apache-2.0
 *
 * trace.h - what this rank's operations did when, as Chrome trace events in a file (TUTTI_TRACE=FILE).
 *
 *	one process of the picture: a process of the job         one row: a communicator
 *
 *	  host 4711  │ world (rank 0 of 4)  ▐███ all_reduce ███▌ ▐ barrier ▌
 *	             │ tp    (rank 0 of 2)            ▐██ all_gather ██▌
 *
 * All ranks of a host append to the same file, in whole lines; chrome://tracing and https://ui.perfetto.dev open it. Used
 * with the communicator's lock held.
 */
#ifndef TT_COMM_TRACE_H
#define TT_COMM_TRACE_H

#include "base/log.h"
#include "comm/call.h"

struct tt_trace;

/* Opens the file; *trace is NULL if path is. */
tutti_status tt_trace_open(const char *path, const struct tt_log *log, struct tt_trace **trace);
/* Writes what is left. NULL is allowed. */
void tt_trace_close(struct tt_trace *trace);

/* Whose row it is. `id`: any number that the communicator's ranks share. */
void tt_trace_introduce(struct tt_trace *trace, const char *name, int rank, int size, uint32_t id);
/* From issue_ns an operation waited for its turn, from start_ns it ran, now it has ended. start_ns 0: it never ran. */
void tt_trace_operation(struct tt_trace *trace, const char *what, const struct tt_call *call, uint64_t bytes,
    int64_t issue_ns, int64_t start_ns, tutti_status status);
/* What has been told so far is in the file from now on. */
void tt_trace_flush(struct tt_trace *trace);

#endif /* TT_COMM_TRACE_H */

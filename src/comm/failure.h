/* SPDX-License-Identifier: Apache-2.0
 *
 * failure.h - how a communicator fails: once, for one cause, the same on every rank.
 *
 * Whoever notices trouble (a death, a passed deadline, a mismatched message, an abort) reports it to the judge,
 * the lowest rank that is alive. A death and an abort are judged at once. A mismatch, a timeout and a stall need
 * an inquest: the judge asks every rank what it called, and names the ranks that differ from the majority, or
 * those that have not called, or those whose part does not advance. The verdict is flooded; the first one counts,
 * on every rank. A rank that hears nothing in time judges by what it saw itself.
 *
 *	reporter ── REPORT ──► judge ── QUERY ──► all        all ── STATUS ──► judge ── VERDICT ──► all
 *
 * A state machine without I/O: messages, losses and the time come in, messages and an alarm go out through
 * `struct tt_failure_ways`. Several threads call it; it locks itself. It must not know transports or plans.
 */
#ifndef TT_COMM_FAILURE_H
#define TT_COMM_FAILURE_H

#include <pthread.h>

#include "base/atomics.h"
#include "base/log.h"
#include "comm/call.h"

#define TT_FAILURE_HISTORY 64 /* calls that are remembered for an inquest */

/* What goes out. Called with the failure's lock held: must not call back. */
struct tt_failure_ways {
	void *context;
	void (*send)(void *context, int to, const void *bytes, size_t n); /* to: a rank or -1 = all others */
	void (*alarm)(void *context, int64_t when_ns);
	void (*wake)(void *context); /* the verdict is in: wake this rank's waiters */
};

enum tt_report_kind {
	TT_REPORT_DEATH, /* a process is gone */
	TT_REPORT_LINK, /* a link died: perhaps a death, perhaps the echo of another failure */
	TT_REPORT_MISMATCH, /* a message said something else than expected */
	TT_REPORT_TIMEOUT, /* an operation's deadline has passed */
	TT_REPORT_STALL, /* an operation does not advance: is there a mismatch? */
	TT_REPORT_ABORT
};

struct tt_failure;

tutti_status tt_failure_create(
    int rank, int size, const struct tt_failure_ways *ways, const struct tt_log *log, struct tt_failure **failure);
void tt_failure_destroy(struct tt_failure *failure);

/* The one hot function: has the verdict been given? */
bool tt_failure_raised(const struct tt_failure *failure);
/* The cause; status TUTTI_OK if there is none. */
void tt_failure_cause(struct tt_failure *failure, tutti_error *error);

/* ---- what this rank does, for the inquest (the driving thread) */
void tt_failure_called(struct tt_failure *failure, const struct tt_call *call);
void tt_failure_finished(struct tt_failure *failure, uint64_t sequence);
/* This rank was in the library and drove its operations at that time (so it "only waits"). */
void tt_failure_driven(struct tt_failure *failure, int64_t now_ns);

/* ---- what was noticed (any thread). `rank`: the one accused, -1 = none known. `sequence`: the operation. */
void tt_failure_report(struct tt_failure *failure, enum tt_report_kind kind, int rank, uint64_t sequence,
    const char *text, int64_t now_ns);
/* The control connection to `rank` has ended without a goodbye, and all that came over it has been read: a death. */
void tt_failure_lost(struct tt_failure *failure, int rank, const char *text, int64_t now_ns);
/* A rank that has left (destroyed its side) and never called operation `sequence`: -1 = none. */
int tt_failure_deserter(struct tt_failure *failure, uint64_t sequence);

/* Has this rank left? */
bool tt_failure_has_left(struct tt_failure *failure, int rank);
/* Has it left, or is it known to have died? Also after the failure. */
bool tt_failure_is_gone(struct tt_failure *failure, int rank);
/* What another rank has decided, heard in a way that needs no judge: adopted at once, unless there is a cause already. */
void tt_failure_learn(struct tt_failure *failure, enum tt_report_kind kind, int rank, const char *text);
/* Tells `rank` that the others go on without it; has this rank been told so? */
void tt_failure_exclude(struct tt_failure *failure, int rank);
bool tt_failure_is_excluded(const struct tt_failure *failure);

/* ---- what comes in (the background thread) */
void tt_failure_message(struct tt_failure *failure, int from, const void *bytes, size_t n, int64_t now_ns);
void tt_failure_left(struct tt_failure *failure, int rank);
void tt_failure_alarm(struct tt_failure *failure, int64_t now_ns);

/* Tells the others how far this rank came before it says goodbye. `unfinished`: what it has begun and not ended, others
 * cannot end either. */
void tt_failure_leave(struct tt_failure *failure, bool unfinished);

#endif /* TT_COMM_FAILURE_H */

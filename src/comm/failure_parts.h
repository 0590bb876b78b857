/* SPDX-License-Identifier: Apache-2.0
 *
 * failure_parts.h - a failure from inside, for failure.c (reports, verdicts, messages) and inquest.c only. All of it is
 * used with the failure's lock held, but for what says otherwise.
 */
#ifndef TT_COMM_FAILURE_PARTS_H
#define TT_COMM_FAILURE_PARTS_H

#include "comm/failure.h"

enum tt_failure_message_type {
	TT_MESSAGE_REPORT = 1,
	TT_MESSAGE_QUERY,
	TT_MESSAGE_STATUS,
	TT_MESSAGE_VERDICT,
	TT_MESSAGE_LEAVING,
	TT_MESSAGE_EXCLUDED
};

struct tt_failure_message {
	uint32_t type;
	uint32_t inquest;
	uint64_t sequence;
	int32_t rank; /* report: the accused */
	uint32_t kind; /* report */
	uint64_t issued, finished;
	uint32_t has_call, driving;
	struct tt_call call;
	int32_t status, nranks; /* verdict */
	int32_t ranks[16];
	char text[512];
};

/* A call as the driving thread publishes it and the background thread reads it: words of a seqlock. */
struct tt_call_record {
	tt_atomic_u64 sequence; /* 0 while it is written */
	tt_atomic_u64 word[sizeof(struct tt_call) / 8];
};

struct tt_rank_state {
	bool dead, left;
	uint64_t left_issued;
	/* of the current inquest */
	bool answered, has_call, driving;
	uint64_t issued, finished;
	struct tt_call call;
};

/* A judgement that waits for its time. */
struct tt_pending_verdict {
	bool set;
	bool certain; /* own: of a death */
	bool awaits_news; /* own: the judge died, and may have said why before */
	int64_t when_ns;
	tutti_error error;
};

struct tt_failure {
	pthread_mutex_t lock;
	int rank, size;
	struct tt_failure_ways ways;
	struct tt_log log;
	tt_atomic_u32 raised, excluded;
	tutti_error cause;
	tt_atomic_u64 issued, finished;
	tt_atomic_u64 driven_ns;
	struct tt_call_record history[TT_FAILURE_HISTORY];
	struct tt_rank_state *ranks;
	struct tt_pending_verdict adopt; /* the judge's own verdict, already sent */
	struct tt_pending_verdict own; /* what this rank will say if the judge does not */
	struct {
		bool open;
		uint32_t number;
		enum tt_report_kind kind;
		uint64_t sequence;
		int accused;
		int64_t ends_ns, asks_ns;
		char text[256];
	} inquest;
};

/* ---- failure.c ---------------------------------------------------------------------------------------------- */

/* What this rank called as operation `sequence`, if it is remembered. No lock is needed. */
bool tt_failure_find_call(struct tt_failure *f, uint64_t sequence, struct tt_call *call);
void tt_failure_describe(tutti_error *error, enum tt_report_kind kind, int rank, uint64_t sequence, const char *text);
/* The judge's: tells everybody, and adopts it a moment later. */
void tt_failure_give_verdict(struct tt_failure *f, const tutti_error *error, int64_t now_ns);

/* ---- inquest.c ---------------------------------------------------------------------------------------------- */

/* What this rank answers to a question about operation `sequence`. */
void tt_inquest_fill(
    struct tt_failure *f, uint64_t sequence, uint32_t number, int64_t now_ns, struct tt_failure_message *m);
void tt_inquest_answer(struct tt_failure *f, int rank, const struct tt_failure_message *m);
/* Begins to ask everybody, unless an inquest that counts for more is open. */
void tt_inquest_open(
    struct tt_failure *f, enum tt_report_kind kind, int accused, uint64_t sequence, const char *text, int64_t now_ns);
/* Gives the verdict if enough is known or the time is over. */
void tt_inquest_conclude(struct tt_failure *f, int64_t now_ns);
/* Asks again if it is time, and concludes. */
void tt_inquest_alarm(struct tt_failure *f, int64_t now_ns);

#endif /* TT_COMM_FAILURE_PARTS_H */

/* SPDX-License-Identifier: Apache-2.0
 *
 * failure.c - see failure.h. Two rules keep it correct: the first verdict that a rank adopts is never replaced,
 * and the judge lets its verdict out to the others before it adopts it itself (a process that exits on the error
 * must not take the news with it).
 */
#include "comm/failure_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

/* How long others wait for the judge; how long if all they have is a link that ended (who knows of a death, and has lost
 * the way to the judge with it, speaks before them); how long for news that a dead judge may have left, where its
 * connection may not have been read to the end and where it has; how long the judge lets its verdict travel before it
 * adopts it. */
#define JUDGE_NS (1500 * TT_MS)
#define SUSPICION_NS (2500 * TT_MS)
#define UNREAD_NEWS_NS (500 * TT_MS)
#define LAST_NEWS_NS (20 * TT_MS)
#define ADOPT_NS (TT_MS / 2)
#define HISTORY_LOGGED 8

tutti_status
tt_failure_create(
    int rank, int size, const struct tt_failure_ways *ways, const struct tt_log *log, struct tt_failure **failure)
{
	struct tt_failure *f;
	void *memory, *ranks;
	tutti_status status;

	TT_TRY(tt_alloc(1, sizeof(*f), "the failure record", &memory));
	status = tt_alloc((size_t)size, sizeof(struct tt_rank_state), "the ranks' states", &ranks);
	if (status != TUTTI_OK) {
		tt_free(memory);
		return status;
	}
	f = memory;
	f->ranks = ranks;
	f->rank = rank;
	f->size = size;
	f->ways = *ways;
	f->log = *log;
	f->cause = (tutti_error)TUTTI_ERROR_INIT;
	pthread_mutex_init(&f->lock, NULL);
	*failure = f;
	return TUTTI_OK;
}

void
tt_failure_destroy(struct tt_failure *f)
{
	if (f == NULL)
		return;
	pthread_mutex_destroy(&f->lock);
	tt_free(f->ranks);
	tt_free(f);
}

bool
tt_failure_raised(const struct tt_failure *f)
{
	/* Pairs with the release in adopt(): the cause is complete. */
	return tt_load_acquire(&f->raised) != 0;
}

void
tt_failure_cause(struct tt_failure *f, tutti_error *error)
{
	pthread_mutex_lock(&f->lock);
	*error = f->cause;
	pthread_mutex_unlock(&f->lock);
}

/* ---- what this rank does ---------------------------------------------------------------------------------- */

void
tt_failure_called(struct tt_failure *f, const struct tt_call *call)
{
	struct tt_call_record *record = &f->history[call->sequence % TT_FAILURE_HISTORY];
	uint64_t words[sizeof(*call) / 8];

	memcpy(words, call, sizeof(words));
	tt_store_relaxed(&record->sequence, 0);
	atomic_thread_fence(
	    memory_order_release); /* pairs with the fence in tt_failure_find_call(): 0 is seen before new words */
	for (size_t i = 0; i < TT_COUNT_OF(words); i++)
		tt_store_relaxed(&record->word[i], words[i]);
	tt_store_release(&record->sequence, call->sequence); /* pairs with the acquire in tt_failure_find_call() */
	tt_store_release(&f->issued, call->sequence);
}

void
tt_failure_finished(struct tt_failure *f, uint64_t sequence)
{
	tt_store_relaxed(&f->finished, sequence);
}

void
tt_failure_driven(struct tt_failure *f, int64_t now_ns)
{
	tt_store_relaxed(&f->driven_ns, (uint64_t)now_ns);
}

bool
tt_failure_find_call(struct tt_failure *f, uint64_t sequence, struct tt_call *call)
{
	struct tt_call_record *record = &f->history[sequence % TT_FAILURE_HISTORY];
	uint64_t words[sizeof(*call) / 8];

	if (sequence == 0 || tt_load_acquire(&record->sequence) != sequence)
		return false;
	for (size_t i = 0; i < TT_COUNT_OF(words); i++)
		words[i] = tt_load_relaxed(&record->word[i]);
	atomic_thread_fence(memory_order_acquire); /* pairs with the fence in tt_failure_called() */
	if (tt_load_relaxed(&record->sequence) != sequence)
		return false;
	memcpy(call, words, sizeof(words));
	return true;
}

/* ---- verdicts ----------------------------------------------------------------------------------------------- */

static int
judge(const struct tt_failure *f)
{
	for (int r = 0; r < f->size; r++)
		if (!f->ranks[r].dead && !f->ranks[r].left)
			return r;
	return f->rank;
}

static void
set_alarm(struct tt_failure *f)
{
	int64_t when = TT_FOREVER;

	if (f->adopt.set && f->adopt.when_ns < when)
		when = f->adopt.when_ns;
	if (f->own.set && f->own.when_ns < when)
		when = f->own.when_ns;
	if (f->inquest.open && f->inquest.asks_ns < when)
		when = f->inquest.asks_ns;
	if (when != TT_FOREVER)
		f->ways.alarm(f->ways.context, when);
}

/* What this rank did last: most of what is asked after a failure. */
static void
log_history(struct tt_failure *f)
{
	const uint64_t issued = tt_load_acquire(&f->issued), finished = tt_load_relaxed(&f->finished);
	struct tt_call call;
	char text[160];

	for (uint64_t s = issued > HISTORY_LOGGED ? issued - HISTORY_LOGGED + 1 : 1; s <= issued; s++) {
		if (!tt_failure_find_call(f, s, &call))
			continue;
		tt_call_print(&call, text, sizeof(text));
		tt_log(&f->log, TT_LOG_INFO, "operation %" PRIu64 ": %s, %s", s, text,
		    s <= finished ? "ended" : "pending");
	}
}

static void
adopt(struct tt_failure *f, const tutti_error *error)
{
	if (tt_failure_raised(f))
		return;
	f->cause = *error;
	f->adopt.set = f->own.set = false;
	f->inquest.open = false;
	tt_store_release(&f->raised, 1); /* pairs with tt_failure_raised() */
	tt_log(&f->log, TT_LOG_INFO, "the communicator failed: %s", error->message);
	log_history(f);
	f->ways.wake(f->ways.context);
}

static void
send_verdict(struct tt_failure *f, int to, const tutti_error *error)
{
	struct tt_failure_message m = {.type = TT_MESSAGE_VERDICT,
	    .sequence = error->sequence,
	    .status = (int32_t)error->status,
	    .rank = error->rank,
	    .nranks = error->nranks};

	memcpy(m.ranks, error->ranks, sizeof(m.ranks));
	memcpy(m.text, error->message, sizeof(m.text));
	f->ways.send(f->ways.context, to, &m, sizeof(m));
}

void
tt_failure_give_verdict(struct tt_failure *f, const tutti_error *error, int64_t now_ns)
{
	if (tt_failure_raised(f) || f->adopt.set)
		return;
	send_verdict(f, -1, error);
	f->adopt = (struct tt_pending_verdict){.set = true, .when_ns = now_ns + ADOPT_NS, .error = *error};
	f->inquest.open = false;
}

void
tt_failure_describe(tutti_error *error, enum tt_report_kind kind, int rank, uint64_t sequence, const char *text)
{
	static const tutti_status status[] = {
	    [TT_REPORT_DEATH] = TUTTI_ERR_PEER,
	    [TT_REPORT_LINK] = TUTTI_ERR_PEER,
	    [TT_REPORT_MISMATCH] = TUTTI_ERR_MISMATCH,
	    [TT_REPORT_TIMEOUT] = TUTTI_ERR_TIMEOUT,
	    [TT_REPORT_STALL] = TUTTI_ERR_TIMEOUT,
	    [TT_REPORT_ABORT] = TUTTI_ERR_ABORTED,
	};

	tt_error_fill(error, status[kind], &rank, rank >= 0 ? 1 : 0, sequence, "%s", text);
}

/* ---- reports ------------------------------------------------------------------------------------------------ */

/* At the judge. */
static void
hear(struct tt_failure *f, enum tt_report_kind kind, int accused, uint64_t sequence, const char *text, int64_t now_ns)
{
	tutti_error error;

	tt_log(&f->log, TT_LOG_DEBUG, "judges a report: %s", text);

	if (tt_failure_raised(f) || f->adopt.set)
		return;
	tt_failure_describe(&error, kind, accused, sequence, text);
	if (sequence == 0 && (kind == TT_REPORT_MISMATCH || kind == TT_REPORT_TIMEOUT)) {
		/* Of a send or receive: two ranks know all there is to know. */
		tt_failure_give_verdict(f, &error, now_ns);
		return;
	}
	switch (kind) {
	case TT_REPORT_DEATH:
	case TT_REPORT_ABORT:
		tt_failure_give_verdict(f, &error, now_ns);
		break;
	case TT_REPORT_LINK:
	case TT_REPORT_MISMATCH:
	case TT_REPORT_TIMEOUT:
	case TT_REPORT_STALL:
		tt_inquest_open(f, kind, accused, sequence, text, now_ns);
		tt_inquest_conclude(f, now_ns);
		break;
	}
}

/* What this rank will say at `when_ns` if nobody has said anything by then. A death is certain, and of several the first
 * is the cause; anything else may be the echo of one. */
static void
prepare_own(
    struct tt_failure *f, enum tt_report_kind kind, int rank, uint64_t sequence, const char *text, int64_t when_ns)
{
	const bool certain = kind == TT_REPORT_DEATH;

	if (!f->own.set || (certain && !f->own.certain)) {
		tt_failure_describe(&f->own.error, kind, rank, sequence, text);
		f->own.certain = certain;
	}
	if (!f->own.set || when_ns < f->own.when_ns)
		f->own.when_ns = when_ns;
	f->own.set = true;
}

/* To the judge; `news_ns`: if the dead one was the judge, until when its last words may come. */
static void
pass_on(struct tt_failure *f, enum tt_report_kind kind, int rank, uint64_t sequence, const char *text, int64_t now_ns,
    int64_t news_ns)
{
	struct tt_failure_message m = {.type = TT_MESSAGE_REPORT, .rank = rank, .kind = kind, .sequence = sequence};
	const int before = judge(f);
	int to;

	if (kind == TT_REPORT_DEATH && rank >= 0) {
		if (f->ranks[rank].dead) {
			if (f->own.set && f->own.awaits_news && news_ns < f->own.when_ns)
				f->own.when_ns = news_ns;
			return;
		}
		f->ranks[rank].dead = true;
	}
	if (tt_failure_raised(f))
		return;
	tt_log(&f->log, TT_LOG_DEBUG, "reports: %s", text);
	to = judge(f);
	if (kind == TT_REPORT_DEATH && rank == before) {
		/* The judge died, and with it perhaps the way to the next one: everybody decides alike, after a moment
		 * for news that it may have sent before. */
		prepare_own(f, kind, rank, sequence, text, news_ns);
		f->own.awaits_news = true;
	} else if (to == f->rank) {
		hear(f, kind, rank, sequence, text, now_ns);
	} else {
		snprintf(m.text, sizeof(m.text), "%s", text);
		f->ways.send(f->ways.context, to, &m, sizeof(m));
		if (kind != TT_REPORT_STALL)
			prepare_own(f, kind, rank, sequence, text,
			    now_ns + (kind == TT_REPORT_LINK ? SUSPICION_NS : JUDGE_NS));
	}
}

void
tt_failure_report(
    struct tt_failure *f, enum tt_report_kind kind, int rank, uint64_t sequence, const char *text, int64_t now_ns)
{
	pthread_mutex_lock(&f->lock);
	pass_on(f, kind, rank, sequence, text, now_ns, now_ns + UNREAD_NEWS_NS);
	set_alarm(f);
	pthread_mutex_unlock(&f->lock);
}

void
tt_failure_lost(struct tt_failure *f, int rank, const char *text, int64_t now_ns)
{
	pthread_mutex_lock(&f->lock);
	pass_on(f, TT_REPORT_DEATH, rank, 0, text, now_ns, now_ns + LAST_NEWS_NS);
	set_alarm(f);
	pthread_mutex_unlock(&f->lock);
}

int
tt_failure_deserter(struct tt_failure *f, uint64_t sequence)
{
	int found = -1;

	pthread_mutex_lock(&f->lock);
	for (int r = 0; r < f->size && found < 0; r++)
		if (f->ranks[r].left && f->ranks[r].left_issued < sequence)
			found = r;
	pthread_mutex_unlock(&f->lock);
	return found;
}

bool
tt_failure_has_left(struct tt_failure *f, int rank)
{
	bool left;

	pthread_mutex_lock(&f->lock);
	left = f->ranks[rank].left;
	pthread_mutex_unlock(&f->lock);
	return left;
}

bool
tt_failure_is_gone(struct tt_failure *f, int rank)
{
	bool gone;

	pthread_mutex_lock(&f->lock);
	gone = f->ranks[rank].left || f->ranks[rank].dead;
	pthread_mutex_unlock(&f->lock);
	return gone;
}

void
tt_failure_learn(struct tt_failure *f, enum tt_report_kind kind, int rank, const char *text)
{
	tutti_error error;

	tt_failure_describe(&error, kind, rank, 0, text);
	pthread_mutex_lock(&f->lock);
	if (!tt_failure_raised(f)) {
		if (f->adopt.set) /* told to the others already: it is what they hear */
			error = f->adopt.error;
		else if (judge(f) == f->rank) /* others may have no way to learn it but from the judge */
			send_verdict(f, -1, &error);
		adopt(f, &error);
	}
	pthread_mutex_unlock(&f->lock);
}

void
tt_failure_exclude(struct tt_failure *f, int rank)
{
	const struct tt_failure_message m = {.type = TT_MESSAGE_EXCLUDED};

	f->ways.send(f->ways.context, rank, &m, sizeof(m));
}

bool
tt_failure_is_excluded(const struct tt_failure *f)
{
	return tt_load_relaxed(&f->excluded) != 0;
}

/* ---- what comes in -------------------------------------------------------------------------------------------- */

static void
take_verdict(struct tt_failure *f, const struct tt_failure_message *m)
{
	tutti_error error = TUTTI_ERROR_INIT;

	if (m->status <= TUTTI_IN_PROGRESS || m->status > TUTTI_ERR_INTERNAL || m->nranks < 0)
		return;
	error.status = (tutti_status)m->status;
	error.rank = m->rank;
	error.nranks = m->nranks;
	error.sequence = m->sequence;
	memcpy(error.ranks, m->ranks, sizeof(error.ranks));
	memcpy(error.message, m->text, sizeof(error.message));
	error.message[sizeof(error.message) - 1] = '\0';
	adopt(f, &error);
}

void
tt_failure_message(struct tt_failure *f, int from, const void *bytes, size_t n, int64_t now_ns)
{
	struct tt_failure_message m, answer;

	if (n != sizeof(m) || from < 0 || from >= f->size)
		return;
	memcpy(&m, bytes, sizeof(m));
	m.text[sizeof(m.text) - 1] = '\0';
	pthread_mutex_lock(&f->lock);
	switch (m.type) {
	case TT_MESSAGE_REPORT:
		if (m.rank < -1 || m.rank >= f->size || m.kind > TT_REPORT_ABORT)
			break;
		if (tt_failure_raised(f) || f->adopt.set)
			send_verdict(f, from, f->adopt.set ? &f->adopt.error : &f->cause);
		else
			hear(f, (enum tt_report_kind)m.kind, m.rank, m.sequence, m.text, now_ns);
		break;
	case TT_MESSAGE_QUERY:
		tt_inquest_fill(f, m.sequence, m.inquest, now_ns, &answer);
		f->ways.send(f->ways.context, from, &answer, sizeof(answer));
		break;
	case TT_MESSAGE_STATUS:
		if (f->inquest.open && m.inquest == f->inquest.number) {
			tt_inquest_answer(f, from, &m);
			tt_inquest_conclude(f, now_ns);
		}
		break;
	case TT_MESSAGE_VERDICT:
		take_verdict(f, &m);
		break;
	case TT_MESSAGE_LEAVING:
		f->ranks[from].left_issued = m.issued;
		f->ranks[from].left = true;
		break;
	case TT_MESSAGE_EXCLUDED:
		tt_store_relaxed(&f->excluded, 1);
		break;
	default:
		break;
	}
	set_alarm(f);
	pthread_mutex_unlock(&f->lock);
}

void
tt_failure_left(struct tt_failure *f, int rank)
{
	pthread_mutex_lock(&f->lock);
	f->ranks[rank].left = true;
	pthread_mutex_unlock(&f->lock);
}

void
tt_failure_alarm(struct tt_failure *f, int64_t now_ns)
{
	tutti_error error;

	pthread_mutex_lock(&f->lock);
	if (f->adopt.set && now_ns >= f->adopt.when_ns) {
		error = f->adopt.error;
		adopt(f, &error);
	}
	tt_inquest_alarm(f, now_ns);
	if (f->own.set && now_ns >= f->own.when_ns) {
		error = f->own.error;
		f->own.set = false;
		tt_failure_give_verdict(f, &error, now_ns);
	}
	set_alarm(f);
	pthread_mutex_unlock(&f->lock);
}

void
tt_failure_leave(struct tt_failure *f, bool unfinished)
{
	struct tt_failure_message m = {.type = TT_MESSAGE_LEAVING,
	    .issued = unfinished ? tt_load_relaxed(&f->finished) : tt_load_acquire(&f->issued)};

	f->ways.send(f->ways.context, -1, &m, sizeof(m));
}

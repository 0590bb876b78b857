/* SPDX-License-Identifier: Apache-2.0
 *
 * failure.c - see failure.h. Two rules keep it correct: the first verdict that a rank adopts is never replaced,
 * and the judge lets its verdict out to the others before it adopts it itself (a process that exits on the error
 * must not take the news with it).
 */
#include "comm/failure.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

/* How long the judge collects answers; how often it asks again; how long a link's death may be the echo of
 * something else; how long others wait for the judge; how long for news that a dead judge may have left. */
#define INQUEST_NS (300 * TT_MS)
#define ASK_AGAIN_NS (60 * TT_MS)
#define LINK_NS (150 * TT_MS)
#define JUDGE_NS (800 * TT_MS)
#define LAST_NEWS_NS (20 * TT_MS)
#define ADOPT_NS (TT_MS / 2)
#define DRIVEN_NS (200 * TT_MS) /* who drove its operations so recently only waits */

enum message_type { MESSAGE_REPORT = 1, MESSAGE_QUERY, MESSAGE_STATUS, MESSAGE_VERDICT, MESSAGE_LEAVING };

struct message {
	uint32_t type;
	uint32_t inquest;
	uint64_t sequence;
	int32_t rank; /* report: the accused */
	uint32_t kind; /* report */
	uint64_t issued;
	uint32_t has_call, driving;
	struct tt_call call;
	int32_t status, nranks; /* verdict */
	int32_t ranks[16];
	char text[512];
};

/* A call as the driving thread publishes it and the background thread reads it: words of a seqlock. */
struct record {
	tt_atomic_u64 sequence; /* 0 while it is written */
	tt_atomic_u64 word[sizeof(struct tt_call) / 8];
};

struct rank_state {
	bool dead, left;
	uint64_t left_issued;
	/* of the current inquest */
	bool answered, has_call, driving;
	uint64_t issued;
	struct tt_call call;
};

/* A judgement that waits for its time. */
struct pending {
	bool set;
	int64_t when_ns;
	tutti_error error;
};

struct tt_failure {
	pthread_mutex_t lock;
	int rank, size;
	struct tt_failure_ways ways;
	struct tt_log log;
	tt_atomic_u32 raised;
	tutti_error cause;
	tt_atomic_u64 issued, finished;
	tt_atomic_u64 driven_ns;
	struct record history[TT_FAILURE_HISTORY];
	struct rank_state *ranks;
	struct pending adopt; /* the judge's own verdict, already sent */
	struct pending own; /* what this rank will say if the judge does not */
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

tutti_status
tt_failure_create(
    int rank, int size, const struct tt_failure_ways *ways, const struct tt_log *log, struct tt_failure **failure)
{
	struct tt_failure *f;
	void *memory, *ranks;
	tutti_status status;

	TT_TRY(tt_alloc(1, sizeof(*f), "the failure record", &memory));
	status = tt_alloc((size_t)size, sizeof(struct rank_state), "the ranks' states", &ranks);
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
	struct record *record = &f->history[call->sequence % TT_FAILURE_HISTORY];
	uint64_t words[sizeof(*call) / 8];

	memcpy(words, call, sizeof(words));
	tt_store_relaxed(&record->sequence, 0);
	atomic_thread_fence(
	    memory_order_release); /* pairs with the fence in find_call(): 0 is seen before new words */
	for (size_t i = 0; i < TT_COUNT_OF(words); i++)
		tt_store_relaxed(&record->word[i], words[i]);
	tt_store_release(&record->sequence, call->sequence); /* pairs with the acquire in find_call() */
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

static bool
find_call(struct tt_failure *f, uint64_t sequence, struct tt_call *call)
{
	struct record *record = &f->history[sequence % TT_FAILURE_HISTORY];
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
	f->ways.wake(f->ways.context);
}

static void
send_verdict(struct tt_failure *f, int to, const tutti_error *error)
{
	struct message m = {.type = MESSAGE_VERDICT,
	    .sequence = error->sequence,
	    .status = (int32_t)error->status,
	    .rank = error->rank,
	    .nranks = error->nranks};

	memcpy(m.ranks, error->ranks, sizeof(m.ranks));
	memcpy(m.text, error->message, sizeof(m.text));
	f->ways.send(f->ways.context, to, &m, sizeof(m));
}

static void
give_verdict(struct tt_failure *f, const tutti_error *error, int64_t now_ns)
{
	if (tt_failure_raised(f) || f->adopt.set)
		return;
	send_verdict(f, -1, error);
	f->adopt = (struct pending){true, now_ns + ADOPT_NS, *error};
	f->inquest.open = false;
}

static void
describe(tutti_error *error, enum tt_report_kind kind, int rank, uint64_t sequence, const char *text)
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

/* ---- the inquest ------------------------------------------------------------------------------------------ */

static void
note_answer(struct tt_failure *f, int rank, const struct message *m)
{
	struct rank_state *state = &f->ranks[rank];

	state->answered = true;
	state->issued = m->issued;
	state->driving = m->driving != 0;
	state->has_call = m->has_call != 0;
	state->call = m->call;
}

static void
fill_status(struct tt_failure *f, uint64_t sequence, uint32_t number, int64_t now_ns, struct message *m)
{
	const int64_t driven_ns = (int64_t)tt_load_relaxed(&f->driven_ns);

	*m = (struct message){.type = MESSAGE_STATUS, .inquest = number, .sequence = sequence};
	m->issued = tt_load_acquire(&f->issued);
	/* A rank that has finished its part does not hold the operation up. */
	m->driving = now_ns - driven_ns < DRIVEN_NS || tt_load_relaxed(&f->finished) >= sequence;
	m->has_call = find_call(f, sequence, &m->call);
}

static void
ask(struct tt_failure *f, int64_t now_ns)
{
	struct message m = {.type = MESSAGE_QUERY, .inquest = f->inquest.number, .sequence = f->inquest.sequence};
	struct message mine;

	f->ways.send(f->ways.context, -1, &m, sizeof(m));
	fill_status(f, f->inquest.sequence, f->inquest.number, now_ns, &mine);
	note_answer(f, f->rank, &mine);
	f->inquest.asks_ns = now_ns + ASK_AGAIN_NS;
}

/* A stall's inquest gives way to one that must end in a verdict; what came of a mismatch or a stall, to what came
 * before it: the same mismatch makes ranks stall in different operations. */
static bool
overrules(const struct tt_failure *f, enum tt_report_kind kind, uint64_t sequence)
{
	if (kind != f->inquest.kind)
		return f->inquest.kind == TT_REPORT_STALL ||
		       (f->inquest.kind == TT_REPORT_LINK && kind == TT_REPORT_MISMATCH);
	return kind != TT_REPORT_TIMEOUT && sequence < f->inquest.sequence;
}

static void
open_inquest(
    struct tt_failure *f, enum tt_report_kind kind, int accused, uint64_t sequence, const char *text, int64_t now_ns)
{
	if (f->inquest.open && !overrules(f, kind, sequence))
		return;
	f->inquest.open = true;
	f->inquest.number++;
	f->inquest.kind = kind;
	f->inquest.sequence = sequence;
	f->inquest.accused = accused;
	f->inquest.ends_ns = now_ns + (kind == TT_REPORT_LINK ? LINK_NS : INQUEST_NS);
	snprintf(f->inquest.text, sizeof(f->inquest.text), "%s", text);
	for (int r = 0; r < f->size; r++)
		f->ranks[r].answered = f->ranks[r].has_call = false;
	ask(f, now_ns);
}

/* The call that most ranks made; a tie goes to the lowest rank's. -1: nobody made one. */
static int
majority(const struct tt_failure *f, int *votes)
{
	int best = -1;

	*votes = 0;
	for (int r = 0; r < f->size; r++) {
		int same = 0;

		if (!f->ranks[r].has_call)
			continue;
		for (int q = 0; q < f->size; q++)
			same += f->ranks[q].has_call && tt_call_equal(&f->ranks[q].call, &f->ranks[r].call);
		if (same > *votes) {
			*votes = same;
			best = r;
		}
		if (*votes * 2 > f->size)
			break;
	}
	return best;
}

static bool
judge_mismatch(struct tt_failure *f, int64_t now_ns)
{
	int votes, ranks[16], n = 0;
	const int best = majority(f, &votes);
	char theirs[160], ours[160];
	tutti_error error;

	for (int r = 0; best >= 0 && r < f->size; r++) {
		if (!f->ranks[r].has_call || tt_call_equal(&f->ranks[r].call, &f->ranks[best].call))
			continue;
		if (n < 16)
			ranks[n] = r;
		n++;
	}
	if (n == 0)
		return false;
	tt_call_print(&f->ranks[ranks[0]].call, theirs, sizeof(theirs));
	tt_call_print(&f->ranks[best].call, ours, sizeof(ours));
	tt_error_fill(&error, TUTTI_ERR_MISMATCH, ranks, n, f->inquest.sequence,
	    "operation %" PRIu64
	    " differs between ranks: rank %d called %s, rank %d called %s; every rank must issue "
	    "the same operations in the same order",
	    f->inquest.sequence, ranks[0], theirs, best, ours);
	give_verdict(f, &error, now_ns);
	return true;
}

static size_t
list_ranks(char *text, size_t room, const int *ranks, int n)
{
	size_t used = (size_t)snprintf(text, room, n == 1 ? "rank" : "ranks");

	for (int i = 0; i < n && i < 16 && used < room; i++)
		used += (size_t)snprintf(text + used, room - used, " %d", ranks[i]);
	if (n > 16 && used < room)
		used += (size_t)snprintf(text + used, room - used, " ... (%d in all)", n);
	return used;
}

static void
judge_timeout(struct tt_failure *f, int64_t now_ns)
{
	int absent[16], idle[16], nabsent = 0, nidle = 0;
	char list[128];
	tutti_error error;

	for (int r = 0; r < f->size; r++) {
		const struct rank_state *state = &f->ranks[r];

		if (!state->answered || state->issued < f->inquest.sequence) {
			if (nabsent < 16)
				absent[nabsent] = r;
			nabsent++;
		} else if (!state->driving) {
			if (nidle < 16)
				idle[nidle] = r;
			nidle++;
		}
	}
	if (nabsent > 0) {
		list_ranks(list, sizeof(list), absent, nabsent);
		tt_error_fill(&error, TUTTI_ERR_TIMEOUT, absent, nabsent, f->inquest.sequence,
		    "%s: %s %s not called it (stopped, still computing, or gone another way?)", f->inquest.text, list,
		    nabsent == 1 ? "has" : "have");
	} else if (nidle > 0) {
		list_ranks(list, sizeof(list), idle, nidle);
		tt_error_fill(&error, TUTTI_ERR_TIMEOUT, idle, nidle, f->inquest.sequence,
		    "%s: %s started it but %s not advance it (tutti_wait, tutti_test or progress_thread = 1 would)",
		    f->inquest.text, list, nidle == 1 ? "does" : "do");
	} else {
		tt_error_fill(&error, TUTTI_ERR_TIMEOUT, NULL, 0, f->inquest.sequence,
		    "%s: all ranks called it and wait; a longer timeout_ms may be needed", f->inquest.text);
	}
	give_verdict(f, &error, now_ns);
}

/* A link's death may be the echo of another rank's: somebody who left because of it. Whoever does not answer is more
 * likely the cause than an accused who does. */
static void
judge_link(struct tt_failure *f, int64_t now_ns)
{
	int silent[16], n = 0;
	char list[128];
	tutti_error error;

	for (int r = 0; r < f->size; r++)
		if (!f->ranks[r].answered && !f->ranks[r].left) {
			if (n < 16)
				silent[n] = r;
			n++;
		}
	describe(&error, TT_REPORT_LINK, f->inquest.accused, f->inquest.sequence, f->inquest.text);
	if (n > 0 && f->inquest.accused >= 0 && f->ranks[f->inquest.accused].answered) {
		if (now_ns < f->inquest.ends_ns + LINK_NS)
			return; /* perhaps they are only slow */
		list_ranks(list, sizeof(list), silent, n);
		tt_error_fill(&error, TUTTI_ERR_PEER, silent, n, 0, "%s %s not answer any more (%.300s)", list,
		    n == 1 ? "does" : "do", f->inquest.text);
	}
	give_verdict(f, &error, now_ns);
}

static void
conclude(struct tt_failure *f, int64_t now_ns)
{
	const bool late = now_ns >= f->inquest.ends_ns;
	bool all_answered = true, all_called = true;
	tutti_error error;

	for (int r = 0; r < f->size; r++) {
		if (f->ranks[r].left || f->ranks[r].dead)
			continue;
		all_answered = all_answered && f->ranks[r].answered;
		all_called = all_called && f->ranks[r].has_call;
	}
	if (f->inquest.kind == TT_REPORT_LINK) {
		if (late)
			judge_link(f, now_ns);
		return;
	}
	/* A mismatch is judged when every rank's call is known, so that the majority is one. */
	if (!late && !all_called && !(f->inquest.kind == TT_REPORT_TIMEOUT && all_answered))
		return;
	if (judge_mismatch(f, now_ns))
		return;
	if (f->inquest.kind == TT_REPORT_TIMEOUT) {
		judge_timeout(f, now_ns);
	} else if (f->inquest.kind == TT_REPORT_MISMATCH && late) {
		describe(&error, TT_REPORT_MISMATCH, f->inquest.accused, f->inquest.sequence, f->inquest.text);
		give_verdict(f, &error, now_ns);
	} else if (f->inquest.kind == TT_REPORT_STALL) {
		f->inquest.open = false;
	}
}

/* ---- reports ------------------------------------------------------------------------------------------------ */

/* At the judge. */
static void
hear(struct tt_failure *f, enum tt_report_kind kind, int accused, uint64_t sequence, const char *text, int64_t now_ns)
{
	tutti_error error;

	if (tt_failure_raised(f) || f->adopt.set)
		return;
	describe(&error, kind, accused, sequence, text);
	if (sequence == 0 && (kind == TT_REPORT_MISMATCH || kind == TT_REPORT_TIMEOUT)) {
		/* Of a send or receive: two ranks know all there is to know. */
		give_verdict(f, &error, now_ns);
		return;
	}
	switch (kind) {
	case TT_REPORT_DEATH:
	case TT_REPORT_ABORT:
		give_verdict(f, &error, now_ns);
		break;
	case TT_REPORT_LINK:
	case TT_REPORT_MISMATCH:
	case TT_REPORT_TIMEOUT:
	case TT_REPORT_STALL:
		open_inquest(f, kind, accused, sequence, text, now_ns);
		conclude(f, now_ns);
		break;
	}
}

void
tt_failure_report(
    struct tt_failure *f, enum tt_report_kind kind, int rank, uint64_t sequence, const char *text, int64_t now_ns)
{
	struct message m = {.type = MESSAGE_REPORT, .rank = rank, .kind = kind, .sequence = sequence};
	int before, to;

	snprintf(m.text, sizeof(m.text), "%s", text);
	pthread_mutex_lock(&f->lock);
	if (tt_failure_raised(f)) {
		pthread_mutex_unlock(&f->lock);
		return;
	}
	before = judge(f);
	if (kind == TT_REPORT_DEATH && rank >= 0)
		f->ranks[rank].dead = true;
	to = judge(f);
	if (kind == TT_REPORT_DEATH && rank == before) {
		/* The judge died, and with it perhaps the way to the next one: everybody decides alike, after a moment
		 * for news that it may have sent before. */
		if (!f->own.set || f->own.when_ns > now_ns + LAST_NEWS_NS) {
			f->own = (struct pending){.set = true, .when_ns = now_ns + LAST_NEWS_NS};
			describe(&f->own.error, kind, rank, sequence, text);
		}
	} else if (to == f->rank) {
		hear(f, kind, rank, sequence, text, now_ns);
	} else {
		f->ways.send(f->ways.context, to, &m, sizeof(m));
		if (kind != TT_REPORT_STALL && !f->own.set) {
			f->own = (struct pending){.set = true, .when_ns = now_ns + JUDGE_NS};
			describe(&f->own.error, kind, rank, sequence, text);
		}
	}
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

/* ---- what comes in -------------------------------------------------------------------------------------------- */

static void
take_verdict(struct tt_failure *f, const struct message *m)
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
	struct message m, answer;

	if (n != sizeof(m) || from < 0 || from >= f->size)
		return;
	memcpy(&m, bytes, sizeof(m));
	m.text[sizeof(m.text) - 1] = '\0';
	pthread_mutex_lock(&f->lock);
	switch (m.type) {
	case MESSAGE_REPORT:
		if (m.rank < -1 || m.rank >= f->size || m.kind > TT_REPORT_ABORT)
			break;
		if (tt_failure_raised(f) || f->adopt.set)
			send_verdict(f, from, f->adopt.set ? &f->adopt.error : &f->cause);
		else
			hear(f, (enum tt_report_kind)m.kind, m.rank, m.sequence, m.text, now_ns);
		break;
	case MESSAGE_QUERY:
		fill_status(f, m.sequence, m.inquest, now_ns, &answer);
		f->ways.send(f->ways.context, from, &answer, sizeof(answer));
		break;
	case MESSAGE_STATUS:
		if (f->inquest.open && m.inquest == f->inquest.number) {
			note_answer(f, from, &m);
			conclude(f, now_ns);
		}
		break;
	case MESSAGE_VERDICT:
		take_verdict(f, &m);
		break;
	case MESSAGE_LEAVING:
		f->ranks[from].left_issued = m.issued;
		f->ranks[from].left = true;
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
	if (f->inquest.open && now_ns >= f->inquest.asks_ns) {
		if (now_ns < f->inquest.ends_ns)
			ask(f, now_ns);
		else
			f->inquest.asks_ns = now_ns + ASK_AGAIN_NS;
		conclude(f, now_ns);
	}
	if (f->own.set && now_ns >= f->own.when_ns) {
		error = f->own.error;
		f->own.set = false;
		give_verdict(f, &error, now_ns);
	}
	set_alarm(f);
	pthread_mutex_unlock(&f->lock);
}

void
tt_failure_leave(struct tt_failure *f)
{
	struct message m = {.type = MESSAGE_LEAVING, .issued = tt_load_acquire(&f->issued)};

	f->ways.send(f->ways.context, -1, &m, sizeof(m));
}

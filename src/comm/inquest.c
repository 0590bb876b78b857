/* SPDX-License-Identifier: Apache-2.0
 *
 * inquest.c - the judge asks every rank what it called, and finds who differs, who is absent, who does not advance.
 *
 * Questions are repeated until everybody has answered or the time is over; a rank that has not come to the operation
 * yet says so, and is waited for a little, so that a majority is one.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "comm/failure_parts.h"

/* How long the judge collects answers, and how often it asks again; how long a link's death may be the echo of something
 * else. */
#define INQUEST_NS (700 * TT_MS)
#define ASK_AGAIN_NS (60 * TT_MS)
#define LINK_NS (150 * TT_MS)
#define DRIVEN_NS (200 * TT_MS) /* who drove its operations so recently only waits */

void
tt_inquest_answer(struct tt_failure *f, int rank, const struct tt_failure_message *m)
{
	struct tt_rank_state *state = &f->ranks[rank];

	state->answered = true;
	state->issued = m->issued;
	state->finished = m->finished;
	state->driving = m->driving != 0;
	state->has_call = m->has_call != 0;
	state->call = m->call;
}

void
tt_inquest_fill(
    struct tt_failure *f, uint64_t sequence, uint32_t number, int64_t now_ns, struct tt_failure_message *m)
{
	const int64_t driven_ns = (int64_t)tt_load_relaxed(&f->driven_ns);

	*m = (struct tt_failure_message){.type = TT_MESSAGE_STATUS, .inquest = number, .sequence = sequence};
	m->finished = tt_load_relaxed(&f->finished);
	m->issued = tt_load_acquire(&f->issued);
	/* A rank that has finished its part does not hold the operation up. */
	m->driving = now_ns - driven_ns < DRIVEN_NS || m->finished >= sequence;
	m->has_call = tt_failure_find_call(f, sequence, &m->call);
}

static void
ask(struct tt_failure *f, int64_t now_ns)
{
	struct tt_failure_message m = {
	    .type = TT_MESSAGE_QUERY, .inquest = f->inquest.number, .sequence = f->inquest.sequence};
	struct tt_failure_message mine;

	f->ways.send(f->ways.context, -1, &m, sizeof(m));
	tt_inquest_fill(f, f->inquest.sequence, f->inquest.number, now_ns, &mine);
	tt_inquest_answer(f, f->rank, &mine);
	f->inquest.asks_ns = now_ns + ASK_AGAIN_NS;
}

/* A stall's inquest gives way to one that must end in a verdict; what came of a mismatch or a stall, to what came
 * before it: the same mismatch makes ranks stall in different operations. */
static bool
overrules(const struct tt_failure *f, enum tt_report_kind kind, int accused, uint64_t sequence)
{
	if (kind != f->inquest.kind)
		return f->inquest.kind == TT_REPORT_STALL ||
		       (f->inquest.kind == TT_REPORT_LINK && kind == TT_REPORT_MISMATCH);
	if (kind == TT_REPORT_LINK && f->inquest.accused < 0 && accused >= 0)
		return true;
	return kind != TT_REPORT_TIMEOUT && sequence < f->inquest.sequence;
}

void
tt_inquest_open(
    struct tt_failure *f, enum tt_report_kind kind, int accused, uint64_t sequence, const char *text, int64_t now_ns)
{
	if (f->inquest.open && !overrules(f, kind, accused, sequence))
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
	tt_failure_give_verdict(f, &error, now_ns);
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

/* The operation to judge: a rank that waits in an earlier one is a victim too, and whoever keeps the earliest waiting is
 * the cause. */
static uint64_t
earliest_awaited(const struct tt_failure *f)
{
	uint64_t sequence = f->inquest.sequence;

	for (int r = 0; r < f->size; r++) {
		const struct tt_rank_state *state = &f->ranks[r];

		if (state->answered && state->driving && state->finished < state->issued &&
		    state->finished + 1 < sequence)
			sequence = state->finished + 1;
	}
	return sequence;
}

struct rank_list {
	int rank[16], n;
};

static void
add_rank(struct rank_list *list, int rank)
{
	if (list->n < (int)TT_COUNT_OF(list->rank))
		list->rank[list->n] = rank;
	list->n++;
}

/* Who did not call operation `sequence`, and who called it but does not drive it. */
static void
find_culprits(const struct tt_failure *f, uint64_t sequence, struct rank_list *absent, struct rank_list *idle)
{
	absent->n = idle->n = 0;
	for (int r = 0; r < f->size; r++) {
		const struct tt_rank_state *state = &f->ranks[r];

		if (!state->answered || state->issued < sequence)
			add_rank(absent, r);
		else if (!state->driving && state->finished < sequence)
			add_rank(idle, r);
	}
}

static void
judge_timeout(struct tt_failure *f, int64_t now_ns)
{
	uint64_t sequence = earliest_awaited(f);
	struct rank_list absent, idle;
	char list[128], which[64] = "it";
	tutti_error error;

	find_culprits(f, sequence, &absent, &idle);
	if (absent.n + idle.n == 0 && sequence != f->inquest.sequence) {
		sequence = f->inquest.sequence;
		find_culprits(f, sequence, &absent, &idle);
	}
	if (sequence != f->inquest.sequence)
		snprintf(which, sizeof(which), "operation %" PRIu64 " before it", sequence);
	if (absent.n > 0) {
		list_ranks(list, sizeof(list), absent.rank, absent.n);
		tt_error_fill(&error, TUTTI_ERR_TIMEOUT, absent.rank, absent.n, f->inquest.sequence,
		    "%s: %s %s not called %s (stopped, still computing, or gone another way?)", f->inquest.text, list,
		    absent.n == 1 ? "has" : "have", which);
	} else if (idle.n > 0) {
		list_ranks(list, sizeof(list), idle.rank, idle.n);
		tt_error_fill(&error, TUTTI_ERR_TIMEOUT, idle.rank, idle.n, f->inquest.sequence,
		    "%s: %s started %s but %s not advance it (tutti_wait, tutti_test or progress_thread = 1 would)",
		    f->inquest.text, list, which, idle.n == 1 ? "does" : "do");
	} else {
		tt_error_fill(&error, TUTTI_ERR_TIMEOUT, NULL, 0, f->inquest.sequence,
		    "%s: all ranks called it and wait; a longer timeout_ms may be needed", f->inquest.text);
	}
	tt_failure_give_verdict(f, &error, now_ns);
}

/* A link's death may be the echo of another rank's: somebody who left because of it. Whoever does not answer is more
 * likely the cause than an accused who does. Nobody is accused where the other end said that it only gives up: then a
 * better report is on its way. */
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
	/* One of several that are silent is dead, the others are slow, or leave because of it: that word is on its way. */
	if ((n > 1 || (n == 0 && f->inquest.accused < 0)) && now_ns < f->inquest.ends_ns + INQUEST_NS - LINK_NS)
		return;
	tt_failure_describe(&error, TT_REPORT_LINK, f->inquest.accused, f->inquest.sequence, f->inquest.text);
	if (n > 0 && (f->inquest.accused < 0 || f->ranks[f->inquest.accused].answered)) {
		if (now_ns < f->inquest.ends_ns + (f->inquest.accused < 0 ? INQUEST_NS - LINK_NS : LINK_NS))
			return; /* perhaps they are only slow */
		list_ranks(list, sizeof(list), silent, n);
		tt_error_fill(&error, TUTTI_ERR_PEER, silent, n, 0, "%s %s not answer any more (%.300s)", list,
		    n == 1 ? "does" : "do", f->inquest.text);
	}
	tt_failure_give_verdict(f, &error, now_ns);
}

void
tt_inquest_conclude(struct tt_failure *f, int64_t now_ns)
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
		tt_failure_describe(
		    &error, TT_REPORT_MISMATCH, f->inquest.accused, f->inquest.sequence, f->inquest.text);
		tt_failure_give_verdict(f, &error, now_ns);
	} else if (f->inquest.kind == TT_REPORT_STALL) {
		f->inquest.open = false;
	}
}

void
tt_inquest_alarm(struct tt_failure *f, int64_t now_ns)
{
	if (!f->inquest.open || now_ns < f->inquest.asks_ns)
		return;
	if (now_ns < f->inquest.ends_ns)
		ask(f, now_ns);
	else
		f->inquest.asks_ns = now_ns + ASK_AGAIN_NS;
	tt_inquest_conclude(f, now_ns);
}

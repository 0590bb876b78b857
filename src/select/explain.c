/* SPDX-License-Identifier: Apache-2.0
 *
 * explain.c - the selector's reasons, as text or JSON.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/port.h"
#include "select/rules.h"
#include "select/select.h"

#define MOST_CANDIDATES 64

struct writer {
	char *text;
	size_t capacity, used;
};

TT_PRINTF(2, 3)
static void
put(struct writer *w, const char *format, ...)
{
	const size_t room = w->used < w->capacity ? w->capacity - w->used : 0;
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vsnprintf(room > 0 ? w->text + w->used : NULL, room, format, arguments);
	va_end(arguments);
	w->used += n > 0 ? (size_t)n : 0;
}

/* What the second best spends more on than the best. */
static const char *
spends_more_on(const struct tt_candidate *second, const struct tt_candidate *best)
{
	static const char *const names[] = {"latency", "the wire", "reducing", "copies"};
	const double more[] = {second->latency_s - best->latency_s, second->wire_s - best->wire_s,
	    second->reduce_s - best->reduce_s, second->copy_s - best->copy_s};
	size_t most = 0;

	for (size_t i = 1; i < TT_COUNT_OF(more); i++)
		if (more[i] > more[most])
			most = i;
	return names[most];
}

static void
compare(const struct tt_choice *choice, const struct tt_candidate *candidates, int n, char *text, size_t bytes)
{
	const struct tt_candidate *best = NULL, *second = NULL;
	int used;

	for (int i = 0; i < n; i++)
		if (candidates[i].algorithm == choice->algorithm)
			best = &candidates[i];
		else if (candidates[i].eligible &&
			 (second == NULL || candidates[i].predicted_s < second->predicted_s))
			second = &candidates[i];
	used = snprintf(text, bytes, "it has the lowest predicted time (%.2f us)", choice->predicted_s * 1e6);
	if (best == NULL || second == NULL)
		snprintf(text + used, bytes - (size_t)used, ", and nothing else can serve this");
	else if (second->predicted_s > best->predicted_s)
		snprintf(text + used, bytes - (size_t)used, "; the next, %s (%.2f us), spends more on %s",
		    second->algorithm->name, second->predicted_s * 1e6, spends_more_on(second, best));
	else
		snprintf(text + used, bytes - (size_t)used, ", as %s has, and comes first in the list",
		    second->algorithm->name);
}

static void
reason(const struct tt_select_facts *facts, const struct tt_select_call *call, const struct tt_choice *choice,
    const struct tt_candidate *candidates, int n, char *text, size_t bytes)
{
	if (call->forced != NULL)
		snprintf(text, bytes, "it was asked for");
	else if (tt_select_ruled(facts, call) != NULL)
		snprintf(text, bytes, "TUTTI_ALGORITHM asks for it");
	else
		compare(choice, candidates, n, text, bytes);
}

static void
put_json(struct writer *w, const struct tt_select_facts *facts, const struct tt_select_call *call,
    const struct tt_choice *choice, const struct tt_candidate *candidates, int n, const char *why)
{
	put(w,
	    "{\"collective\": \"%s\", \"bytes\": %" PRIu64 ", \"ranks\": %d, \"nodes\": %d, \"chosen\": \"%s\", "
	    "\"slices\": %d, \"window\": %d, \"reason\": \"%s\", \"candidates\": [",
	    tt_collective_name(call->collective), call->bytes, facts->nranks, facts->nnodes, choice->algorithm->name,
	    choice->slices, choice->window, why);
	for (int i = 0; i < n; i++) {
		const struct tt_candidate *c = &candidates[i];

		put(w, "%s{\"algorithm\": \"%s\", \"eligible\": %s, \"why_not\": ", i ? ", " : "", c->algorithm->name,
		    c->eligible ? "true" : "false");
		if (c->why_not != NULL)
			put(w, "\"%s\"", c->why_not);
		else
			put(w, "null");
		put(w,
		    ", \"predicted_us\": %.3f, \"latency_us\": %.3f, \"wire_us\": %.3f, \"reduce_us\": %.3f, "
		    "\"copy_us\": %.3f, \"single_copy\": %s}",
		    c->predicted_s * 1e6, c->latency_s * 1e6, c->wire_s * 1e6, c->reduce_s * 1e6, c->copy_s * 1e6,
		    c->single_copy ? "true" : "false");
	}
	put(w, "], \"constants\": {");
	for (int i = 0; i < TT_CONSTANTS; i++)
		put(w, "%s\"%s\": {\"value\": %.10g, \"unit\": \"%s\", \"source\": \"%s\"}", i ? ", " : "",
		    tt_constant_info((enum tt_constant)i)->name, facts->constants.value[i],
		    tt_constant_info((enum tt_constant)i)->unit,
		    tt_constant_source_name((enum tt_constant_source)facts->constants.source[i]));
	put(w, "}}\n");
}

static void
put_constant(struct writer *w, const struct tt_select_facts *facts, enum tt_constant constant)
{
	const struct tt_constant_info *info = tt_constant_info(constant);
	char value[32];

	tt_constant_print(&facts->constants, constant, value, sizeof(value));
	put(w, "  %-14s %10s %-6s %-9s %s\n", info->name, value, info->unit,
	    tt_constant_source_name((enum tt_constant_source)facts->constants.source[constant]), info->meaning);
}

/* The constants that these prices are made of. */
static void
put_constants(struct writer *w, const struct tt_select_facts *facts)
{
	const bool network = facts->nnodes > 1 && facts->nhosts > 1;
	const enum tt_constant wire = facts->nnodes == 1 ? TT_CONSTANT_SHM_MESSAGE
				      : network          ? TT_CONSTANT_NET_MESSAGE
							 : TT_CONSTANT_LOOP_MESSAGE;
	const enum tt_constant used[] = {TT_CONSTANT_CALL, TT_CONSTANT_MEET, wire, wire + 1, wire + 2, wire + 3,
	    network ? TT_CONSTANT_CARD_BYTE : TT_CONSTANT_HANDOFF, TT_CONSTANT_COPY_SHARED, TT_CONSTANT_COPY_NEAR,
	    TT_CONSTANT_COPY_CACHED, TT_CONSTANT_COPY_MEMORY, TT_CONSTANT_CACHE, TT_CONSTANT_REDUCE_CACHED,
	    TT_CONSTANT_REDUCE_MEMORY, TT_CONSTANT_YIELD,
	    facts->nnodes > 1 ? TT_CONSTANT_LOOP_LOOK : TT_CONSTANT_ONE_MEETING,
	    facts->nnodes > 1 ? TT_CONSTANT_CHUNK : TT_CONSTANT_STAGE_CHUNK, TT_CONSTANT_SINGLE_FROM,
	    TT_CONSTANT_STREAM_FROM, TT_CONSTANT_REMOTE_CALL, TT_CONSTANT_REMOTE_BYTE};
	/* No price knows them. */
	static const enum tt_constant also[] = {TT_CONSTANT_NEAREST_CACHE, TT_CONSTANT_ROWS_FROM,
	    TT_CONSTANT_STAGE_SLOTS, TT_CONSTANT_CROWDED_SLOTS, TT_CONSTANT_STAGE_APART, TT_CONSTANT_STAGE_BLOCK,
	    TT_CONSTANT_STAGE_STEP};

	put(w, "\nprices are made of:\n\n");
	for (size_t i = 0; i < TT_COUNT_OF(used); i++)
		put_constant(w, facts, used[i]);
	if (facts->most_per_node < 2)
		return;
	put(w, "\nranks of a node go by these, too:\n\n");
	for (size_t i = 0; i < TT_COUNT_OF(also); i++)
		put_constant(w, facts, also[i]);
}

static void
put_text(struct writer *w, const struct tt_select_facts *facts, const struct tt_select_call *call,
    const struct tt_choice *choice, const struct tt_candidate *candidates, int n, const char *why)
{
	bool far = false;

	put(w, "%s", tt_collective_name(call->collective));
	if (call->collective != TT_BARRIER)
		put(w, " of %" PRIu64 " bytes", call->bytes);
	put(w, ", %d rank%s on %d node%s\n", facts->nranks, facts->nranks == 1 ? "" : "s", facts->nnodes,
	    facts->nnodes == 1 ? "" : "s");
	put(w, "chosen: %s in %d slice%s, %d at a time: %s\n\n", choice->algorithm->name, choice->slices,
	    choice->slices == 1 ? "" : "s", choice->window, why);
	put(w, "  %-22s %12s %10s %10s %10s %10s\n", "algorithm", "predicted us", "latency", "wire", "reduce",
	    "copy");
	for (int i = 0; i < n; i++) {
		const struct tt_candidate *c = &candidates[i];

		if (!c->eligible) {
			put(w, "  %-22s not possible: %s\n", c->algorithm->name, c->why_not);
			continue;
		}
		put(w, "%c %-22s %12.2f %10.2f %10.2f %10.2f %10.2f%s\n",
		    c->algorithm == choice->algorithm ? '*' : ' ', c->algorithm->name, c->predicted_s * 1e6,
		    c->latency_s * 1e6, c->wire_s * 1e6, c->reduce_s * 1e6, c->copy_s * 1e6,
		    c->single_copy ? "  k" : "");
		far = far || c->single_copy;
	}
	if (far)
		put(w,
		    "\n  k: ranks of a node read these rows out of each other's memory: one copy, by the kernel\n");
	put_constants(w, facts);
}

size_t
tt_select_explain(
    const struct tt_select_facts *facts, const struct tt_select_call *call, bool json, char *text, size_t capacity)
{
	struct tt_candidate candidates[MOST_CANDIDATES];
	struct writer w = {text, capacity, 0};
	struct tt_choice choice;
	char why[192];
	int n;

	if (capacity > 0)
		text[0] = '\0';
	if (tt_select(facts, call, &choice) != TUTTI_OK)
		return 0;
	n = tt_select_candidates(facts, call, candidates, MOST_CANDIDATES);
	reason(facts, call, &choice, candidates, n, why, sizeof(why));
	if (json)
		put_json(&w, facts, call, &choice, candidates, n, why);
	else
		put_text(&w, facts, call, &choice, candidates, n, why);
	return w.used;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * select.c - eligibility, price, choice.
 *
 * The price is LogGP's: α for each message that must wait for another, o for each message beyond those, β and γ for
 * bytes on the wire and bytes reduced, plus copies. With more ranks than cores every dependent round costs a turn of
 * the scheduler instead, which is what makes the algorithms with few rounds win there.
 */
#include "select/select.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "kernels/kernels.h"
#include "select/rules.h"

#define CHUNK_BYTES 65536.0 /* of one message where there is enough to cut: amortizes α, stays in a core's cache */
#define SWITCH_S 1.5e-6 /* a core's change from one rank to another */

void
tt_select_facts_init(struct tt_select_facts *facts, int nranks, int nnodes, const int *node_of)
{
	*facts = (struct tt_select_facts){.nranks = nranks,
	    .nnodes = nnodes,
	    .cores = 1,
	    .staging_bytes = 4 << 20,
	    .lanes = 1,
	    .meet_s = 0.12e-6,
	    .one_meeting_bytes = 32 << 10,
	    .same_node = {.alpha_s = 0.4e-6, .over_s = 0.15e-6, .beta_s = 1 / 8e9},
	    .between_nodes = {.alpha_s = 12e-6, .over_s = 3e-6, .beta_s = 1 / 2.5e9},
	    .reduce_s_per_byte = 1 / 30e9,
	    .copy_s_per_byte = 1 / 40e9};
	facts->least_per_node = nranks;
	for (int node = 0; node < nnodes; node++) {
		int members = node_of == NULL && nnodes == 1 ? nranks : 0;

		for (int r = 0; node_of != NULL && r < nranks; r++)
			members += node_of[r] == node;
		facts->most_per_node = members > facts->most_per_node ? members : facts->most_per_node;
		facts->least_per_node = members < facts->least_per_node ? members : facts->least_per_node;
	}
}

/* ---- eligibility ------------------------------------------------------------------------------------------- */

/* fp16, bf16, fp8 sums are promised one rounding over all ranks that share memory; the reproducible mode and
 * operators that do not commute ask for one order. */
static const char *
needs_one_rounding(const struct tt_select_facts *facts, const struct tt_select_call *call)
{
	if (!tt_collective_reduces(call->collective) || facts->nranks == 1)
		return NULL;
	if (call->ordered)
		return "the operator does not commute, and this algorithm does not keep the order of ranks";
	if (call->weighted)
		return "a premultiplied sum is one reduction over all ranks, and this algorithm adds step by step";
	if (facts->reproducible)
		return "reproducible = 1 asks for one order of summation, and this algorithm has its own";
	if (facts->most_per_node > 1 && tt_dtype_is_float(call->dtype) && tt_dtype_size(call->dtype) <= 2 &&
	    (call->op == TUTTI_SUM || call->op == TUTTI_PROD || call->op == TUTTI_AVG))
		return "8- and 16-bit floats are summed over the ranks of a node with one rounding, and this "
		       "algorithm "
		       "rounds at every step";
	return NULL;
}

static const char *
why_not(const struct tt_select_facts *facts, const struct tt_select_call *call, const struct tt_algorithm *algorithm)
{
	static const int any_node; /* that there is a map is all that is asked */
	const struct tt_shape shape = {
	    .collective = call->collective, .nranks = facts->nranks, .nnodes = facts->nnodes, .node_of = &any_node};
	const char *why = NULL;

	if ((algorithm->flags & TT_ALG_NODE) != 0 && facts->least_per_node < 2)
		return "it needs at least two ranks that share memory on every node";
	if (!tt_algorithm_serves(algorithm, &shape, &why))
		return why;
	if (call->uneven && (algorithm->flags & TT_ALG_UNEVEN) == 0)
		return "it does not serve uneven counts";
	if ((algorithm->flags & TT_ALG_ONE_ROUNDING) == 0)
		return needs_one_rounding(facts, call);
	return NULL;
}

/* ---- price ---------------------------------------------------------------------------------------------------- */

static void
price(const struct tt_select_facts *facts, const struct tt_select_call *call, struct tt_candidate *candidate)
{
	const struct tt_algorithm_cost cost = candidate->algorithm->cost(facts->nranks, facts->nnodes);
	const struct tt_link_cost *link = facts->nnodes > 1 ? &facts->between_nodes : &facts->same_node;
	const double n = (double)call->bytes;
	const double crowd = (double)facts->most_per_node / (facts->cores > 0 ? facts->cores : 1);
	const double turn = crowd > 1 ? crowd * SWITCH_S : 0;
	const double share = crowd > 1 ? crowd : 1;
	double alpha = link->alpha_s, messages = cost.messages;

	if ((candidate->algorithm->flags & TT_ALG_ONE_NODE) != 0 && (candidate->algorithm->flags & TT_ALG_NODE) != 0)
		alpha = facts->meet_s;
	if (candidate->algorithm->flags & TT_ALG_NODE &&
	    call->bytes <= facts->one_meeting_bytes / (uint64_t)facts->nranks && messages > 1 && facts->nnodes == 1)
		messages = 1; /* one meeting is enough for little */
	candidate->latency_s = messages * (alpha + turn) + cost.overheads * link->over_s * share;
	candidate->wire_s = cost.bytes * n * link->beta_s * share;
	candidate->reduce_s = cost.reduced * n * facts->reduce_s_per_byte * share;
	candidate->copy_s = cost.copied * n * facts->copy_s_per_byte * share;
	candidate->predicted_s = candidate->latency_s + candidate->wire_s + candidate->reduce_s + candidate->copy_s;
}

int
tt_select_candidates(const struct tt_select_facts *facts, const struct tt_select_call *call,
    struct tt_candidate *candidates, int capacity)
{
	int n = 0;

	for (size_t i = 0; tt_algorithms[i] != NULL && n < capacity; i++) {
		if (tt_algorithms[i]->collective != call->collective)
			continue;
		candidates[n] = (struct tt_candidate){.algorithm = tt_algorithms[i]};
		candidates[n].why_not = why_not(facts, call, tt_algorithms[i]);
		candidates[n].eligible = candidates[n].why_not == NULL;
		price(facts, call, &candidates[n]);
		n++;
	}
	return n;
}

/* ---- choice ----------------------------------------------------------------------------------------------------- */

/* Slices so that a message is about CHUNK_BYTES: enough to overlap, not so many that α rules. */
static void
cut(const struct tt_select_facts *facts, const struct tt_select_call *call, struct tt_choice *choice)
{
	const struct tt_algorithm_cost cost = choice->algorithm->cost(facts->nranks, facts->nnodes);
	const double posted = cost.messages + cost.overheads;
	double message = (double)call->bytes, slices;

	if (posted >= 1 && cost.bytes > 0)
		message = cost.bytes * (double)call->bytes / posted;
	slices = message / CHUNK_BYTES;
	if ((choice->algorithm->flags & TT_ALG_NODE) != 0)
		return; /* the stage has chunks of its own, and its steps must come in one order: one slice at a time */
	choice->slices = slices < 1 ? 1 : slices > 1e6 ? 1000000 : (int)slices;
	choice->window = choice->slices < facts->lanes ? choice->slices : facts->lanes;
	if (choice->window < 1)
		choice->window = 1;
}

static tutti_status
forced(const struct tt_select_facts *facts, const struct tt_select_call *call, struct tt_choice *choice)
{
	const struct tt_algorithm *algorithm = tt_algorithm_find(call->collective, call->forced);
	char known[256] = "";
	const char *why;
	size_t used = 0;

	if (algorithm == NULL) {
		for (size_t i = 0; tt_algorithms[i] != NULL && used < sizeof(known); i++)
			if (tt_algorithms[i]->collective == call->collective)
				used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", used ? ", " : "",
				    tt_algorithms[i]->name);
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "there is no algorithm \"%.40s\" for %s; there are: %s",
		    call->forced, tt_collective_name(call->collective), known);
	}
	why = why_not(facts, call, algorithm);
	if (why != NULL)
		return tt_fail(TUTTI_ERR_UNSUPPORTED, -1, "%s by %s is not possible here: %s",
		    tt_collective_name(call->collective), algorithm->name, why);
	choice->algorithm = algorithm;
	cut(facts, call, choice);
	return TUTTI_OK;
}

tutti_status
tt_select(const struct tt_select_facts *facts, const struct tt_select_call *call, struct tt_choice *choice)
{
	const struct tt_algorithm *ruled = NULL;
	double best = 0;

	*choice = (struct tt_choice){.algorithm = NULL, .slices = 1, .window = 1};
	if (call->forced != NULL)
		return forced(facts, call, choice);
	if (facts->rules[0] != '\0')
		ruled = tt_rules_find(facts->rules, call->collective, call->bytes);
	for (size_t i = 0; tt_algorithms[i] != NULL; i++) {
		struct tt_candidate candidate = {.algorithm = tt_algorithms[i]};

		if (tt_algorithms[i]->collective != call->collective ||
		    why_not(facts, call, tt_algorithms[i]) != NULL)
			continue;
		price(facts, call, &candidate);
		if (choice->algorithm != NULL && candidate.predicted_s >= best && tt_algorithms[i] != ruled)
			continue;
		choice->algorithm = tt_algorithms[i];
		choice->predicted_s = best = candidate.predicted_s;
		if (tt_algorithms[i] == ruled)
			break;
	}
	if (choice->algorithm == NULL)
		return tt_fail(TUTTI_ERR_UNSUPPORTED, -1, "no algorithm serves %s with %s here",
		    tt_collective_name(call->collective), tt_dtype_name(call->dtype));
	cut(facts, call, choice);
	return TUTTI_OK;
}

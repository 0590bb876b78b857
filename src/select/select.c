/* SPDX-License-Identifier: Apache-2.0
 *
 * select.c - eligibility and choice; price.c says what an algorithm costs.
 *
 * Prices are compared on every rank, and ranks may be different machines: this file and the algorithms are compiled so
 * that every product and sum is rounded by itself (no fused multiply-add), and use nothing whose last bit is free.
 */
#include "select/select.h"

#include <float.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "kernels/kernels.h"
#include "select/price.h"
#include "select/rules.h"

#if FLT_EVAL_METHOD != 0
#error "prices must be the same on every rank: build for an instruction set whose doubles are doubles (SSE2)"
#endif

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
		tt_price(facts, call, &candidates[n]);
		n++;
	}
	return n;
}

/* ---- choice ----------------------------------------------------------------------------------------------------- */

/* Slices so that a message is about a chunk: enough to overlap, not so many that α rules. */
static void
cut(const struct tt_select_facts *facts, const struct tt_select_call *call, struct tt_choice *choice)
{
	const double slices = tt_price_pieces(facts, call, choice->algorithm);

	if ((choice->algorithm->flags & TT_ALG_NODE) != 0 && facts->nhosts == 1)
		return; /* the stage has chunks of its own, and no processor waits for a card meanwhile */
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

const struct tt_algorithm *
tt_select_ruled(const struct tt_select_facts *facts, const struct tt_select_call *call)
{
	if (facts->rules[0] == '\0' || call->internal || facts->nranks == 1)
		return NULL;
	return tt_rules_find(facts->rules, call->collective, call->any_size ? TT_RULES_ANY_SIZE : call->bytes);
}

/* A rule that cannot be followed is an error: whoever wrote it would take the figures for those of its algorithm. */
static tutti_status
follow_rule(const struct tt_select_facts *facts, const struct tt_select_call *call, const struct tt_algorithm *ruled,
    struct tt_choice *choice)
{
	struct tt_candidate candidate = {.algorithm = ruled, .why_not = why_not(facts, call, ruled)};

	if (candidate.why_not != NULL)
		return tt_fail(TUTTI_ERR_UNSUPPORTED, -1,
		    "TUTTI_ALGORITHM asks for %s by %s, which is not possible here: %s; give the rule a range of "
		    "bytes, or "
		    "leave it out",
		    tt_collective_name(call->collective), ruled->name, candidate.why_not);
	tt_price(facts, call, &candidate);
	choice->algorithm = ruled;
	choice->predicted_s = candidate.predicted_s;
	cut(facts, call, choice);
	return TUTTI_OK;
}

tutti_status
tt_select(const struct tt_select_facts *facts, const struct tt_select_call *call, struct tt_choice *choice)
{
	const struct tt_algorithm *ruled;
	double best = 0;

	*choice = (struct tt_choice){.algorithm = NULL, .slices = 1, .window = 1};
	if (call->forced != NULL)
		return forced(facts, call, choice);
	ruled = tt_select_ruled(facts, call);
	if (ruled != NULL)
		return follow_rule(facts, call, ruled, choice);
	for (size_t i = 0; tt_algorithms[i] != NULL; i++) {
		struct tt_candidate candidate = {.algorithm = tt_algorithms[i]};

		if (tt_algorithms[i]->collective != call->collective ||
		    why_not(facts, call, tt_algorithms[i]) != NULL)
			continue;
		tt_price(facts, call, &candidate);
		if (choice->algorithm != NULL && candidate.predicted_s >= best)
			continue;
		choice->algorithm = tt_algorithms[i];
		choice->predicted_s = best = candidate.predicted_s;
	}
	if (choice->algorithm == NULL)
		return tt_fail(TUTTI_ERR_UNSUPPORTED, -1, "no algorithm serves %s with %s here",
		    tt_collective_name(call->collective), tt_dtype_name(call->dtype));
	cut(facts, call, choice);
	return TUTTI_OK;
}

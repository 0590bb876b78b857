/* SPDX-License-Identifier: Apache-2.0
 *
 * test_select.c - the selector is total, honest about what it refuses, and follows the rules it is given.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "select/rules.h"
#include "select/select.h"

static struct tt_select_facts
facts(int nranks, int nnodes)
{
	struct tt_select_facts f;
	int node_of[64];

	for (int r = 0; r < nranks; r++)
		node_of[r] = r * nnodes / nranks;
	tt_select_facts_init(&f, nranks, nnodes, node_of);
	f.cores = 64;
	f.lanes = 4;
	tt_select_facts_use(&f, &f.constants, NULL);
	return f;
}

static struct tt_select_call
call(enum tt_collective collective, uint64_t bytes)
{
	return (struct tt_select_call){
	    .collective = collective, .dtype = TUTTI_FLOAT32, .op = TUTTI_SUM, .bytes = bytes};
}

/* A profile may say anything that a constant can be. */
Test(select, no_profile_makes_a_stage_that_cannot_be)
{
	static const double values[] = {64, 1e3, 1e5, 3e9, 1e12};

	for (int i = 0; i < TT_CONSTANTS; i++)
		for (size_t v = 0; v < TT_COUNT_OF(values); v++) {
			struct tt_select_facts f = facts(8, 2);

			if (!tt_constant_allows((enum tt_constant)i, values[v]))
				continue;
			f.constants.value[i] = values[v];
			tt_select_facts_use(&f, &f.constants, NULL);
			cr_expect(f.stage.chunk_least >= 4096 && f.stage.chunk_most >= f.stage.chunk_least);
			cr_expect(f.stage.slots >= 2 && f.stage.crowded_slots >= 2 && f.stage.pieces > 0);
			cr_expect(f.stage.block >= 256 && f.stage.step >= 256 && f.stage.run_least > 0);
		}
}

Test(select, ranks_that_would_decide_otherwise_have_another_digest)
{
	const struct tt_select_facts same = facts(8, 2);
	struct tt_select_facts other[8];

	for (size_t i = 0; i < TT_COUNT_OF(other); i++)
		other[i] = facts(8, 2);
	cr_assert(eq(u64, tt_select_digest(&other[0]), tt_select_digest(&same)));
	for (int i = 0; i < TT_CONSTANTS; i++) {
		struct tt_select_facts f = facts(8, 2);

		f.constants.value[i] *= 1.5;
		cr_expect(ne(u64, tt_select_digest(&f), tt_select_digest(&same)), "%s",
		    tt_constant_info((enum tt_constant)i)->name);
	}
	snprintf(other[0].rules, sizeof(other[0].rules), "all_reduce=ring");
	other[1].reproducible = 1;
	other[2].most_per_host = 64 * 8;
	other[3].stage.add_least++;
	other[4].stage.single_least++;
	other[5].chunk_bytes *= 2;
	other[6] = facts(8, 4);
	other[7].meet_s *= 2;
	for (size_t i = 0; i < TT_COUNT_OF(other); i++)
		cr_expect(ne(u64, tt_select_digest(&other[i]), tt_select_digest(&same)), "%zu", i);
}

Test(select, there_is_always_a_legal_choice, .timeout = 20)
{
	const int ranks[] = {1, 2, 3, 4, 5, 7, 8, 12, 16, 31, 32, 64};

	for (size_t i = 0; i < sizeof(ranks) / sizeof(ranks[0]); i++)
		for (int nodes = 1; nodes <= ranks[i]; nodes++)
			for (int c = 0; c < TT_COLLECTIVES; c++)
				for (uint64_t bytes = 0; bytes < (uint64_t)1 << 40; bytes = bytes * 17 + 3)
					for (int variant = 0; variant < 8; variant++) {
						struct tt_select_facts f = facts(ranks[i], nodes);
						struct tt_select_call k = call((enum tt_collective)c, bytes);
						struct tt_choice choice;

						f.reproducible = variant & 1;
						k.uneven = (variant & 2) != 0 && c != TT_ALL_REDUCE &&
							   c != TT_REDUCE && c != TT_BROADCAST && c != TT_BARRIER;
						k.dtype = variant & 4 ? TUTTI_BFLOAT16 : TUTTI_FLOAT64;
						cr_assert(tt_select(&f, &k, &choice) == TUTTI_OK,
						    "%s, %d ranks on %d nodes, variant %d: %s",
						    tt_collective_name(k.collective), ranks[i], nodes, variant,
						    tt_last_error()->message);
						cr_assert(choice.slices >= 1 && choice.window >= 1 &&
							  choice.window <= f.lanes);
					}
}

Test(select, small_floats_are_summed_with_one_rounding_where_ranks_share_memory)
{
	const struct tt_select_facts f = facts(8, 2);
	struct tt_select_call k = call(TT_ALL_REDUCE, 1 << 20);
	struct tt_choice choice;

	k.dtype = TUTTI_FLOAT8_E4M3;
	cr_assert(eq(int, tt_select(&f, &k, &choice), TUTTI_OK));
	cr_expect(ne(uint, choice.algorithm->flags & TT_ALG_ONE_ROUNDING, 0));
	k.forced = "ring";
	cr_assert(eq(int, tt_select(&f, &k, &choice), TUTTI_ERR_UNSUPPORTED));
	cr_expect(strstr(tt_last_error()->message, "rounding") != NULL);
	k.op = TUTTI_MAX;
	cr_expect(eq(int, tt_select(&f, &k, &choice), TUTTI_OK));
}

static double
price_of(const struct tt_select_facts *f, enum tt_collective collective, uint64_t bytes, const char *name)
{
	const struct tt_select_call k = call(collective, bytes);
	struct tt_candidate candidates[64];
	const int n = tt_select_candidates(f, &k, candidates, 64);

	for (int i = 0; i < n; i++)
		if (strcmp(candidates[i].algorithm->name, name) == 0)
			return candidates[i].predicted_s;
	cr_assert(n < 0, "there is no %s", name);
	return 0;
}

Test(select, rows_that_the_kernel_copies_once_are_priced_so)
{
	static const enum tt_collective which[] = {TT_ALL_TO_ALL, TT_SCATTER};

	for (int cores = 2; cores <= 8; cores += 6)
		for (size_t i = 0; i < sizeof(which) / sizeof(which[0]); i++) {
			struct tt_select_facts far = facts(8, 1), staged;
			const uint64_t large = 8 * far.stage.single_least;

			far.cores = cores;
			staged = far;
			staged.reads_far = 0;
			cr_expect(lt(dbl, price_of(&far, which[i], large, "node"),
			    price_of(&staged, which[i], large, "node")));
			cr_expect(eq(dbl, price_of(&far, which[i], large / 2, "node"),
			    price_of(&staged, which[i], large / 2, "node")));
			cr_expect(eq(dbl, price_of(&far, which[i], large, i ? "linear" : "pairwise"),
			    price_of(&staged, which[i], large, i ? "linear" : "pairwise")));
		}
}

Test(select, a_report_marks_what_the_kernel_copies_once)
{
	struct tt_select_facts f = facts(4, 1);
	const struct tt_select_call large = call(TT_ALL_TO_ALL, 16 * f.stage.single_least),
				    gather = call(TT_ALL_GATHER, large.bytes);
	static char text[32768];

	tt_select_explain(&f, &large, false, text, sizeof(text));
	cr_expect(strstr(text, "one copy, by the kernel") != NULL);
	tt_select_explain(&f, &large, true, text, sizeof(text));
	cr_expect(strstr(text, "\"single_copy\": true") != NULL);
	tt_select_explain(&f, &gather, false, text, sizeof(text));
	cr_expect(strstr(text, "one copy, by the kernel") == NULL, "it would save nothing");
	f.reads_far = 0;
	tt_select_explain(&f, &large, false, text, sizeof(text));
	cr_expect(strstr(text, "one copy, by the kernel") == NULL);
}

Test(select, of_unlike_hosts_the_most_crowded_counts_with_its_own_cores)
{
	struct tt_select_facts f = facts(10, 2);

	f.most_per_host = 0;
	tt_select_facts_host(&f, 8, 64);
	tt_select_facts_host(&f, 2, 2);
	cr_expect(eq(int, f.most_per_host, 2), "not the many ranks of one and the few cores of the other");
	cr_expect(eq(int, f.cores, 2));
	cr_expect(epsilon_eq(dbl, tt_select_crowd(&f), 1, 1e-12));
	tt_select_facts_host(&f, 4, 4);
	tt_select_facts_host(&f, 8, 64);
	cr_expect(eq(int, f.most_per_host, 4), "as crowded, and larger");
	tt_select_facts_host(&f, 6, 2);
	cr_expect(epsilon_eq(dbl, tt_select_crowd(&f), 3, 1e-12));
}

Test(select, ranks_that_share_cores_pay_for_turns)
{
	struct tt_select_facts alone = facts(8, 1), crowded = alone;

	crowded.cores = 2;
	tt_select_facts_use(&crowded, &crowded.constants, NULL);
	cr_expect(epsilon_eq(dbl, tt_select_crowd(&alone), 1, 1e-12));
	cr_expect(epsilon_eq(dbl, tt_select_crowd(&crowded), 4, 1e-12));
	cr_expect(gt(dbl, price_of(&crowded, TT_ALL_REDUCE, 8, "node"),
	    price_of(&alone, TT_ALL_REDUCE, 8, "node") + 4 * crowded.turn_s));
	cr_expect(
	    ge(u64, crowded.stage.reduce_least, alone.stage.reduce_least), "a meeting that is saved is worth more");
}

Test(select, an_unknown_algorithm_is_answered_with_those_there_are)
{
	const struct tt_select_facts f = facts(4, 1);
	struct tt_select_call k = call(TT_ALL_REDUCE, 64);
	struct tt_choice choice;

	k.forced = "rign";
	cr_assert(eq(int, tt_select(&f, &k, &choice), TUTTI_ERR_ARGUMENT));
	cr_expect(strstr(tt_last_error()->message, "ring") != NULL);
	k.forced = "";
	cr_expect(eq(int, tt_select(&f, &k, &choice), TUTTI_ERR_ARGUMENT));
}

Test(select, rules_name_algorithms_by_size)
{
	const char *rules = "all_reduce:0-8K=oneshot,8K-=ring;broadcast=chain";

	cr_assert(eq(int, tt_select_rules_check(rules), TUTTI_OK));
	cr_expect(eq(str, (char *)tt_rules_find(rules, TT_ALL_REDUCE, 0)->name, "oneshot"));
	cr_expect(eq(str, (char *)tt_rules_find(rules, TT_ALL_REDUCE, 8191)->name, "oneshot"));
	cr_expect(eq(str, (char *)tt_rules_find(rules, TT_ALL_REDUCE, 8192)->name, "ring"));
	cr_expect(eq(str, (char *)tt_rules_find(rules, TT_BROADCAST, 1)->name, "chain"));
	cr_expect(tt_rules_find(rules, TT_BARRIER, 1) == NULL);
}

Test(select, a_rule_is_obeyed_or_an_error_that_says_why_not)
{
	struct tt_select_facts f = facts(4, 1);
	struct tt_select_call k = call(TT_ALL_REDUCE, 1 << 20);
	struct tt_choice choice;

	strcpy(f.rules, "all_reduce=tree");
	cr_assert(eq(int, tt_select(&f, &k, &choice), TUTTI_OK));
	cr_expect(eq(str, (char *)choice.algorithm->name, "tree"));
	f.reproducible = 1;
	cr_assert(eq(int, tt_select(&f, &k, &choice), TUTTI_ERR_UNSUPPORTED));
	cr_expect(strstr(tt_last_error()->message, "TUTTI_ALGORITHM") != NULL);
	cr_expect(strstr(tt_last_error()->message, "reproducible") != NULL);
	k.collective = TT_BROADCAST;
	cr_expect(eq(int, tt_select(&f, &k, &choice), TUTTI_OK));
}

Test(select, rules_bind_neither_the_library_nor_a_rank_that_is_alone)
{
	struct tt_select_facts f = facts(4, 4), alone = facts(1, 1);
	struct tt_select_call k = call(TT_ALL_GATHER, 64);
	struct tt_choice choice;

	strcpy(f.rules, "all_gather=node");
	strcpy(alone.rules, f.rules);
	cr_expect(eq(int, tt_select(&f, &k, &choice), TUTTI_ERR_UNSUPPORTED));
	cr_expect(eq(int, tt_select(&alone, &k, &choice), TUTTI_OK));
	k.internal = true;
	cr_expect(eq(int, tt_select(&f, &k, &choice), TUTTI_OK));
}

Test(select, rules_for_some_sizes_leave_calls_of_unknown_size_alone)
{
	struct tt_select_facts f = facts(4, 1);
	struct tt_select_call k = call(TT_ALL_TO_ALL, 0);
	struct tt_choice choice;

	k.uneven = k.any_size = true;
	strcpy(f.rules, "all_to_all:0-8K=bruck,8K-=pairwise");
	cr_assert(eq(int, tt_select(&f, &k, &choice), TUTTI_OK));
	strcpy(f.rules, "all_to_all=pairwise");
	cr_assert(eq(int, tt_select(&f, &k, &choice), TUTTI_OK));
	cr_expect(eq(str, (char *)choice.algorithm->name, "pairwise"));
}

Test(select, bad_rules_say_what_is_wrong)
{
	const char *bad[] = {"all_reduce", "all_reduce:", "nothing=ring", "all_reduce=rign", "all_reduce:8=ring",
	    "all_reduce:0-8Q=ring", "all_reduce:0-8K=", ":0-8K=ring", "all_reduce:0-8K=ring,;=x"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_expect(tt_select_rules_check(bad[i]) == TUTTI_ERR_ARGUMENT, "\"%s\" was accepted", bad[i]);
		cr_expect(tt_last_error()->message[0] != '\0');
	}
}

Test(select, random_rules_do_no_harm, .timeout = 20)
{
	const char alphabet[] = "all_reduce:0-8K=ring,;chn9M";
	unsigned seed = 5;

	for (int round = 0; round < 200000; round++) {
		char text[40];
		const size_t n = (size_t)rand_r(&seed) % sizeof(text);

		for (size_t i = 0; i < n; i++)
			text[i] = alphabet[(size_t)rand_r(&seed) % (sizeof(alphabet) - 1)];
		text[n ? n - 1 : 0] = '\0';
		if (tt_select_rules_check(text) != TUTTI_OK)
			continue;
		(void)tt_rules_find(text, TT_ALL_REDUCE, 100);
	}
}

Test(select, the_report_is_as_long_as_it_says)
{
	const struct tt_select_facts f = facts(4, 1);
	const struct tt_select_call k = call(TT_ALL_REDUCE, 1 << 20);

	for (int json = 0; json < 2; json++) {
		const size_t need = tt_select_explain(&f, &k, json, NULL, 0);
		char *text = malloc(need + 1);

		cr_assert(gt(sz, need, 100));
		cr_expect(eq(sz, tt_select_explain(&f, &k, json, text, need + 1), need));
		cr_expect(eq(sz, strlen(text), need));
		cr_expect(strstr(text, "ring") != NULL);
		free(text);
	}
}

static const char *
chosen(int nranks, int nnodes, enum tt_collective collective, uint64_t bytes)
{
	const struct tt_select_facts f = facts(nranks, nnodes);
	const struct tt_select_call k = call(collective, bytes);
	struct tt_choice choice;

	cr_assert(eq(int, tt_select(&f, &k, &choice), TUTTI_OK));
	return choice.algorithm->name;
}

Test(select, ranks_of_one_node_meet_in_shared_memory)
{
	for (int c = 0; c < TT_COLLECTIVES; c++)
		for (int n = 2; n <= 64; n *= 2)
			for (uint64_t bytes = 8; bytes <= (uint64_t)1 << 26; bytes *= 8) {
				const char *name = chosen(n, 1, (enum tt_collective)c, bytes);

				if (n == 2 && tt_collective_has_root((enum tt_collective)c) && bytes > 4096)
					continue; /* that is one message, which may be as good */
				cr_expect(strcmp(name, "node") == 0, "%s of %llu bytes on %d ranks of one node: %s",
				    tt_collective_name((enum tt_collective)c), (unsigned long long)bytes, n, name);
			}
}

Test(select, nodes_of_many_ranks_are_crossed_once)
{
	const enum tt_collective each[] = {
	    TT_ALL_REDUCE, TT_REDUCE_SCATTER, TT_ALL_GATHER, TT_GATHER, TT_SCATTER, TT_BARRIER};

	for (size_t i = 0; i < sizeof(each) / sizeof(each[0]); i++)
		for (uint64_t bytes = 1 << 20; bytes <= 1 << 26; bytes *= 8) {
			const char *name = chosen(32, 4, each[i], bytes);

			cr_expect(strcmp(name, "hierarchical") == 0, "%s of %llu bytes on 4 nodes of 8: %s",
			    tt_collective_name(each[i]), (unsigned long long)bytes, name);
		}
}

Test(select, what_is_hopeless_between_nodes_is_not_chosen)
{
	const char *many = chosen(48, 48, TT_ALL_GATHER, 64), *large = chosen(48, 48, TT_REDUCE, 1 << 26);

	cr_expect(strcmp(many, "ring") != 0 && strcmp(many, "direct") != 0, "small all_gather: %s", many);
	cr_expect(strcmp(large, "direct") != 0 && strcmp(large, "binomial") != 0, "large reduce: %s", large);
}

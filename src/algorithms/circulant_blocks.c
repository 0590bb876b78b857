/* SPDX-License-Identifier: Apache-2.0
 *
 * circulant_blocks.c - a row in blocks over a circulant graph, one block per rank and round: what the broadcasts and
 * reductions with few and with many blocks share.
 *
 * Ranks are counted from the root. The skips are 1, ..., P/4, P/2: P halved again and again, rounded up; there are
 * q = log2(P) of them, rounded up, and the rounds take them in turn. In each round everyone sends to the rank one skip
 * further on and receives from the one that is one skip back.
 *
 *	skip     2       3       1       2       3         P = 5, blocks a, b, c
 *	 	0>2:a   0>3:b   0>1:c   0>2:c   0>3:c     "0>2:a": rank 0 sends rank 2 block a
 *	 	                2>3:a   2>4:a   1>4:c
 *	 	                3>4:b   4>1:b   3>1:a
 *	 	                                4>2:b
 *
 * Which block it is follows from a schedule of q entries for each rank. What a rank hears in q rounds in a row are
 * the same q blocks for all ranks, but one: instead of that one it hears a block q newer, which is the number of the
 * smallest skip in the way from the root to it. Blocks before the first are not sent; those after the last are the last.
 * So everybody has all b blocks after b - 1 + q rounds; with one block per round nothing can do with fewer. A reduction
 * is the same thing backwards: who was sent a block sends what it has added up of it.
 *
 * A rank works out its schedule by itself, in O(q) looks at a skip, and likewise those of the q ranks that it sends to:
 * what it sends is what they receive.
 */
#include "algorithms/build.h"

enum { MOST_SKIPS = 31, MOST_BLOCKS = 16 };

/* Ways from the root are sums of different skips. */
struct search {
	int n, nskips;
	int target; /* the rank, once round */
	int limit; /* where the way found last has led to: the next one ends before */
	int found;
	uint32_t left; /* skips that may still be the last of a way */
	int last[MOST_SKIPS]; /* of the way to where the block of round i comes from */
};

static int
skip(const struct search *s, int k)
{
	return k > s->nskips ? 2 * s->n : tt_skip(s->n, s->nskips - k);
}

/* The smallest skip in the way to a rank, largest skips first; of the root, as if it were once round. */
static int
smallest_skip(const struct search *s, int rank)
{
	int k = s->nskips;

	while (rank > 0)
		if (skip(s, --k) <= rank)
			rank -= skip(s, k);
	return k;
}

/* Follows all ways that begin with `at` and go on with skips below `below`, the longest first. */
static void
follow(struct search *s, int at, int below)
{
	uint32_t left;

	for (int k = below; s->found < s->nskips && (left = s->left & ((UINT32_C(1) << k) - 1)) != 0;) {
		const int end = at + skip(s, k = 31 - __builtin_clz(left));

		if (end > s->target - skip(s, s->found) || end >= s->limit)
			continue;
		if (end <= s->target - skip(s, s->found + 1))
			follow(s, end, k);
		if (s->found == s->nskips || at > s->target - skip(s, s->found + 1))
			return;
		s->limit = end;
		s->last[s->found++] = k;
		s->left &= ~(UINT32_C(1) << k);
	}
}

/* What `rank` receives in the rounds of each skip: blocks that count from 0 before the first of them could be there. */
static void
find_entries(int n, int rank, int *entry)
{
	struct search s = {.n = n, .nskips = tt_log2_up(n), .target = n + rank, .limit = 2 * n};
	const int own = smallest_skip(&s, rank);

	s.left = ((UINT32_C(2) << s.nskips) - 1) & ~(UINT32_C(1) << own);
	follow(&s, 0, s.nskips + 1);
	for (int k = 0; k < s.nskips; k++)
		entry[k] = s.last[k] == s.nskips ? own : s.last[k] - s.nskips;
}

/* One rank's part in one round. */
struct round {
	int to, by; /* ranks */
	int give, take; /* blocks, -1 = none */
	bool first_of_root; /* the root gives a block that it has not given before */
};

struct schedule {
	int n, root, me; /* me: counted from the root */
	int blocks, nskips, idle, rounds; /* idle: rounds that are left out at the start, so that the last is whole */
	int give[MOST_SKIPS], take[MOST_SKIPS];
};

static void
plan_schedule(struct schedule *s, const struct tt_shape *shape, int blocks)
{
	int entry[MOST_SKIPS];

	*s = (struct schedule){.n = shape->nranks,
	    .root = shape->root,
	    .me = tt_mod(shape->rank - shape->root, shape->nranks),
	    .blocks = blocks,
	    .nskips = tt_log2_up(shape->nranks)};
	s->idle = tt_mod(1 - blocks, s->nskips);
	s->rounds = blocks - 1 + s->nskips;
	find_entries(s->n, s->me, s->take);
	for (int k = 0; k < s->nskips; k++) {
		find_entries(s->n, (s->me + tt_skip(s->n, s->nskips - k)) % s->n, entry);
		s->give[k] = entry[k];
	}
}

static struct round
round_at(const struct schedule *s, int i)
{
	const int turn = i + s->idle, k = turn % s->nskips, skip_k = tt_skip(s->n, s->nskips - k);
	const int to = (s->me + skip_k) % s->n, by = tt_mod(s->me - skip_k, s->n), base = i - k;
	const int give = base + s->give[k], take = base + s->take[k];
	struct round round = {.to = tt_mod(to + s->root, s->n),
	    .by = tt_mod(by + s->root, s->n),
	    .give = -1,
	    .take = -1,
	    .first_of_root = s->me == 0 && give < s->blocks};

	if (to != 0 && give >= 0)
		round.give = give < s->blocks ? give : s->blocks - 1;
	if (s->me != 0 && take >= 0)
		round.take = take < s->blocks ? take : s->blocks - 1;
	return round;
}

void
tt_build_circulant_broadcast(struct tt_plan *plan, int blocks)
{
	const enum tt_buffer from = plan->shape.rank == plan->shape.root ? TT_IN : TT_OUT;
	struct schedule s;

	plan_schedule(&s, &plan->shape, blocks);
	for (int i = 0; i < s.rounds; i++) {
		const struct round round = round_at(&s, i);

		tt_plan_wait(plan);
		if (round.give >= 0)
			tt_plan_send(plan, round.to, tt_span_part(from, 0, round.give, 1, blocks));
		if (round.take >= 0)
			tt_plan_recv(plan, round.by, tt_span_part(TT_OUT, 0, round.take, 1, blocks));
	}
	if (from == TT_IN)
		tt_build_own_row(plan, 0, 0);
}

/* Adds the message to what this rank has of the block. */
static void
add(struct tt_plan *plan, const struct round *round, int blocks, bool begun)
{
	const struct tt_span own = tt_span_part(TT_IN, 0, round->give, 1, blocks);
	const struct tt_span sum = plan->shape.rank == plan->shape.root
				       ? tt_span_part(TT_OUT, 0, round->give, 1, blocks)
				       : tt_span_slot(round->give, 0, round->give, 1, blocks);

	tt_plan_recv_reduce(plan, round->to, sum, begun ? sum : own, round->first_of_root ? TT_FINAL : 0);
}

void
tt_build_circulant_reduce(struct tt_plan *plan, int blocks)
{
	uint32_t begun = 0; /* blocks of which there is more than this rank's own */
	struct schedule s;

	plan_schedule(&s, &plan->shape, blocks);
	tt_plan_tmp(plan, blocks, 1, blocks);
	for (int i = s.rounds - 1; i >= 0; i--) {
		const struct round round = round_at(&s, i);

		tt_plan_wait(plan);
		if (round.take >= 0)
			tt_plan_send(plan, round.by,
			    begun >> round.take & 1 ? tt_span_slot(round.take, 0, round.take, 1, blocks)
						    : tt_span_part(TT_IN, 0, round.take, 1, blocks));
		if (round.give < 0)
			continue;
		add(plan, &round, blocks, begun >> round.give & 1);
		begun |= UINT32_C(1) << round.give;
	}
}

struct tt_algorithm_cost
tt_circulant_cost(int nranks, int nnodes, int blocks, double reduced)
{
	const double rounds = blocks - 1.0 + tt_log2_up(nranks);

	if (nranks == 1)
		return (struct tt_algorithm_cost){.reduced = reduced / 2};
	return (struct tt_algorithm_cost){.messages = rounds,
	    .bytes = rounds / blocks,
	    .both = nranks > 3 ? 2 : nranks / 2.0,
	    .folded = reduced / 2 * rounds / blocks,
	    .reduced = reduced * rounds / blocks,
	    .leaves = nnodes == nranks ? rounds / blocks
		      : nnodes > 1     ? (double)nranks / nnodes - 1 + 0.5
				       : 0,
	    .all_messages = (double)blocks * (nranks - 1),
	    .all_bytes = nranks - 1,
	    .all_reduced = reduced * (nranks - 1)};
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * build.c - what algorithms share: see build.h.
 */
#include "algorithms/build.h"

#include "base/memory.h"

enum { MOST_DISTANCES = 16 /* in flight */ };

bool
tt_build_alone(struct tt_plan *plan)
{
	const struct tt_span in = tt_in(0);

	if (plan->shape.nranks > 1)
		return false;
	if (tt_collective_reduces(plan->shape.collective))
		tt_plan_reduce(plan, tt_out(0), &in, 1, TT_FINAL);
	else if (plan->shape.collective != TT_BARRIER)
		tt_build_own_row(plan, 0, 0);
	return true;
}

void
tt_build_own_row(struct tt_plan *plan, int row, int from)
{
	if (!plan->shape.in_place)
		tt_plan_copy(plan, tt_out(row), tt_in(from));
}

void
tt_build_reduce_all(struct tt_plan *plan, struct tt_span dst, struct tt_span own, struct tt_span slot)
{
	const int me = plan->shape.rank;

	for (int r = 0; r < plan->shape.nranks; r++) {
		struct tt_span src = own;

		if (r != me) {
			src = slot;
			src.row = tt_slot_of(r, me);
		}
		if (r == 0)
			tt_plan_reduce(plan, dst, &src, 1, TT_FINAL);
		else
			tt_plan_reduce_also(plan, src);
	}
}

bool
tt_build_everyone(struct tt_plan *plan, int **ranks)
{
	void *memory;

	if (plan->error != TUTTI_OK)
		return false;
	plan->error = tt_alloc((size_t)plan->shape.nranks, sizeof(int), "a list of ranks", &memory);
	if (plan->error != TUTTI_OK)
		return false;
	*ranks = memory;
	for (int r = 0; r < plan->shape.nranks; r++)
		(*ranks)[r] = r;
	return true;
}

void
tt_build_drop(int *ranks)
{
	tt_free(ranks);
}

void
tt_build_lane_direct(struct tt_plan *plan, const struct tt_lane *lane, enum tt_buffer from, unsigned flags)
{
	const int n = lane->n, me = lane->me, mine = lane->first + me;
	const struct tt_span result = tt_span_part(TT_OUT, 0, mine, 1, lane->of);
	const struct tt_span own = tt_span_part(from, 0, mine, 1, lane->of);

	for (int k = 1; k < n; k++) {
		const int to = tt_mod(me + k, n), by = tt_mod(me - k, n);

		tt_plan_send(plan, lane->ranks[to], tt_span_part(from, 0, lane->first + to, 1, lane->of));
		if (n == 2) /* one message alone is added as it arrives */
			tt_plan_recv_reduce(
			    plan, lane->ranks[by], result, own, flags | (by < me ? TT_MESSAGE_FIRST : 0));
		else
			tt_plan_recv(plan, lane->ranks[by],
			    tt_span_slot(lane->slot + tt_slot_of(by, me), 0, mine, 1, lane->of));
	}
	tt_plan_wait(plan);
	for (int k = 0; k < n && n != 2; k++) {
		struct tt_span src = tt_span_slot(lane->slot + tt_slot_of(k, me), 0, mine, 1, lane->of);

		if (k == me)
			src = own;
		if (k == 0)
			tt_plan_reduce(plan, result, &src, 1, flags);
		else
			tt_plan_reduce_also(plan, src);
	}
	for (int k = 1; k < n; k++) {
		const int to = tt_mod(me + k, n), by = tt_mod(me - k, n);

		tt_plan_send(plan, lane->ranks[to], result);
		tt_plan_recv(plan, lane->ranks[by], tt_span_part(TT_OUT, 0, lane->first + by, 1, lane->of));
	}
	tt_plan_wait(plan);
}

/* Rank of survivor v when the first 2 * extra ranks were folded in pairs. */
static int
rank_of_survivor(int v, int extra)
{
	return v < extra ? 2 * v : v + extra;
}

/* One round: everything to the `radix` survivors whose numbers differ in one digit; lower ones are added first. */
static void
multiply(struct tt_plan *plan, int v, int extra, int mask, int radix, struct tt_span own, unsigned flags)
{
	const int digit = v / mask % radix;

	for (int k = 1; k < radix; k++) {
		const int to = tt_mod(digit + k, radix), by = tt_mod(digit - k, radix);

		tt_plan_send(plan, rank_of_survivor(v + (to - digit) * mask, extra), own);
		tt_plan_recv(
		    plan, rank_of_survivor(v + (by - digit) * mask, extra), tt_slot(tt_slot_of(by, digit), 0));
	}
	tt_plan_wait(plan);
	for (int d = 0; d < radix; d++) {
		const struct tt_span src = d == digit ? own : tt_slot(tt_slot_of(d, digit), 0);

		if (d == 0)
			tt_plan_reduce(plan, tt_out(0), &src, 1, flags);
		else
			tt_plan_reduce_also(plan, src);
	}
}

static void
multiply_all(struct tt_plan *plan, int v, int survivors, int extra, int radix, bool folded)
{
	for (int mask = 1, digits; mask < survivors; mask *= digits) {
		digits = mask * radix <= survivors ? radix : survivors / mask;
		multiply(plan, v, extra, mask, digits, folded || mask > 1 ? tt_out(0) : tt_in(0),
		    mask * digits == survivors ? TT_FINAL : 0);
	}
}

void
tt_build_recursive(struct tt_plan *plan, int radix)
{
	const int n = plan->shape.nranks, me = plan->shape.rank;
	int survivors = 1;

	while (2 * survivors <= n)
		survivors *= 2;

	const int extra = n - survivors;
	const bool folded = me < 2 * extra;

	tt_plan_tmp(plan, radix - 1, 1, 1);
	if (folded && me % 2) {
		tt_plan_send(plan, me - 1, tt_in(0));
		tt_plan_wait(plan);
		tt_plan_recv(plan, me - 1, tt_out(0));
		return;
	}
	if (folded) {
		tt_plan_recv_reduce(plan, me + 1, tt_out(0), tt_in(0), 0);
		tt_plan_wait(plan);
	}
	multiply_all(plan, folded ? me / 2 : me - extra, survivors, extra, radix, folded);
	if (folded)
		tt_plan_send(plan, me + 1, tt_out(0));
}

/* Ranks are looked at in order: how many of each node, and the first one. */
static void
count_members(struct tt_groups *groups, const struct tt_shape *shape)
{
	for (int r = 0; r < shape->nranks; r++) {
		const int node = tt_node_of(shape, r);

		groups->place[r] = groups->sizes[node]++;
		if (groups->place[r] == 0)
			groups->first[node] = r;
		if (node == groups->node)
			groups->within[groups->members++] = r;
		groups->blocks = groups->blocks && r == groups->first[node] + groups->place[r];
	}
	groups->local = groups->place[shape->rank];
}

bool
tt_build_groups(struct tt_plan *plan, const struct tt_shape *shape, struct tt_groups *groups)
{
	const int n = shape->nranks, nnodes = shape->node_of ? shape->nnodes : n;
	void *memory;

	if (plan->error != TUTTI_OK)
		return false;
	plan->error = tt_alloc(2 * (size_t)n + 3 * (size_t)nnodes, sizeof(int), "groups of ranks", &memory);
	if (plan->error != TUTTI_OK)
		return false;
	*groups = (struct tt_groups){.within = memory,
	    .nnodes = nnodes,
	    .node = tt_node_of(shape, shape->rank),
	    .lanes = n,
	    .even = true,
	    .blocks = true};
	groups->place = groups->within + n;
	groups->across = groups->place + n;
	groups->first = groups->across + nnodes;
	groups->sizes = groups->first + nnodes;
	count_members(groups, shape);
	for (int i = 0; i < nnodes; i++) {
		const int size = groups->sizes[i];

		groups->even = groups->even && size == groups->sizes[0];
		groups->lanes = size < groups->lanes ? size : groups->lanes;
		groups->most = size > groups->most ? size : groups->most;
	}
	groups->blocks = groups->blocks && groups->even;
	for (int r = 0; r < n; r++)
		if (groups->place[r] == groups->local)
			groups->across[tt_node_of(shape, r)] = r;
	return true;
}

int
tt_groups_rank(const struct tt_groups *groups, const struct tt_shape *shape, int node, int place)
{
	int r = groups->first[node];

	place %= groups->sizes[node];
	while (tt_node_of(shape, r) != node || groups->place[r] != place)
		r++;
	return r;
}

int
tt_groups_leader(const struct tt_groups *groups, const struct tt_shape *shape, int node)
{
	return node == tt_node_of(shape, shape->root) ? shape->root : groups->first[node];
}

bool
tt_groups_block(const struct tt_groups *groups, const struct tt_shape *shape, int node)
{
	const int last = groups->first[node] + groups->sizes[node] - 1;

	return last < shape->nranks && tt_node_of(shape, last) == node &&
	       groups->place[last] == groups->sizes[node] - 1;
}

void
tt_build_drop_groups(struct tt_groups *groups)
{
	tt_free(groups->within);
	*groups = (struct tt_groups){0};
}

/* Positions 1..n stand for the ranks in order. Position x has the height of its lowest set bit; in the infinite
 * in-order tree its parent is the neighbour at distance x & -x whose height is one more. Positions beyond n do not
 * exist: whoever would hang there hangs from that position's parent. */
static int
parent_position(int x, int n)
{
	do {
		const int low = x & -x;

		if (x == low && 2 * x > n)
			return 0;
		x = (x + low) & low << 1 ? x + low : x - low;
	} while (x > n);
	return x;
}

/* The right child: the nearest existing position down the left edge of the right half. */
static int
higher_position(int x, int n)
{
	for (int half = (x & -x) >> 1; half; half >>= 1)
		if (x + half <= n)
			return x + half;
	return 0;
}

struct tt_tree_place
tt_double_tree(int tree, int rank, int n)
{
	const int shift = tree ? 1 : 0; /* in tree 1 everyone stands one further: leaves become inner */
	const int x = tt_mod(rank + shift, n) + 1;
	const int parent = parent_position(x, n), lower = x - ((x & -x) >> 1), higher = higher_position(x, n);

	return (struct tt_tree_place){
	    .parent = parent ? tt_mod(parent - 1 - shift, n) : -1,
	    .lower = lower != x ? tt_mod(lower - 1 - shift, n) : -1,
	    .higher = higher ? tt_mod(higher - 1 - shift, n) : -1,
	};
}

/* ---- all-to-all by distance ---------------------------------------------------------------------------------- */

static void
swap_rows(struct tt_plan *plan, int peer, int slot)
{
	tt_plan_send(plan, peer, tt_in(peer));
	tt_plan_recv(plan, peer, plan->shape.in_place ? tt_slot(slot, peer) : tt_out(peer));
}

static void
exchange_distances(struct tt_plan *plan, int first, int end)
{
	const int n = plan->shape.nranks, me = plan->shape.rank;
	int peers[2 * MOST_DISTANCES], npeers = 0;

	for (int distance = first; distance < end; distance++) {
		peers[npeers++] = tt_mod(me + distance, n);
		if (2 * distance != n)
			peers[npeers++] = tt_mod(me - distance, n);
	}
	for (int i = 0; i < npeers; i++)
		swap_rows(plan, peers[i], i);
	if (first == 1)
		tt_build_own_row(plan, me, me);
	tt_plan_wait(plan);
	for (int i = 0; i < npeers && plan->shape.in_place; i++)
		tt_plan_copy(plan, tt_out(peers[i]), tt_slot(i, peers[i]));
}

void
tt_build_pairwise(struct tt_plan *plan, int window)
{
	const int n = plan->shape.nranks, farthest = n / 2;

	tt_plan_tmp(plan, n - 1 < 2 * window ? n - 1 : 2 * window, 1, 1);
	for (int first = 1; first <= farthest; first += window)
		exchange_distances(plan, first, first + window <= farthest ? first + window : farthest + 1);
}

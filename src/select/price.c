/* SPDX-License-Identifier: Apache-2.0
 *
 * price.c - what an algorithm costs, in closed form.
 *
 * The price is LogGP's: α for each message that must wait for another, o for each message beyond those, β and γ for
 * bytes on the wire and bytes reduced, plus copies. Processors move the bytes: β is of a rank that sends and receives at
 * once, less is paid for bytes that go one way; and what does not fit a core's cache costs more. With more ranks than
 * cores all that the ranks of a host do is shared by its cores, if that is longer than what the busiest rank does, and
 * every dependent round costs a turn of the scheduler, which is what makes the algorithms with few rounds win there.
 *
 * Prices are compared on every rank, and ranks may be different machines: this file and the algorithms are compiled so
 * that every product and sum is rounded by itself (no fused multiply-add), and use nothing whose last bit is free.
 */
#include "select/price.h"

#include <float.h>

#if FLT_EVAL_METHOD != 0
#error "prices must be the same on every rank: build for an instruction set whose doubles are doubles (SSE2)"
#endif

/* A price in parts. */
struct price {
	double latency, wire, reduce, copy;
};

/* What prices of a call have in common. */
struct rates {
	const struct tt_link_cost *link;
	struct tt_algorithm_cost cost;
	double n; /* bytes */
	double crowd; /* ranks for each core, at least 1 */
	double turn; /* of the scheduler, where ranks share cores */
	double beyond; /* more for each byte that is copied, because not all is in the nearest caches */
	double add; /* a byte that is reduced */
	double fold; /* less for a byte that is added as it arrives */
	double far, all_far; /* bytes that the kernel copies for a rank, and for all, in units of n */
	double calls, all_calls; /* in so many calls */
	double slices;
};

static double
larger(double a, double b)
{
	return a > b ? a : b;
}

static double
total(const struct price *price)
{
	return price->latency + price->wire + price->reduce + price->copy;
}

/* A rank has its buffers in its core's cache while both are at most half of it; then less and less. */
static double
beyond_cache(const struct tt_select_facts *facts, double bytes, double crowd)
{
	const double half = facts->cache_bytes / 2, outside = (2 * bytes * crowd - half) / half;

	/* Most of what has left it is in a larger cache yet. */
	return facts->beyond_s_per_byte / 2 * (outside < 0 ? 0 : outside > 1 ? 1 : outside);
}

static bool
has_rows(const struct tt_select_facts *facts, enum tt_collective collective)
{
	return tt_collective_in_rows(collective, facts->nranks) > 1 ||
	       tt_collective_out_rows(collective, facts->nranks) > 1;
}

/* Pieces that follow each other: slices, or chunks of the node stage. */
static double
pieces_of(const struct tt_select_facts *facts, const struct tt_select_call *call, unsigned flags,
    const struct tt_algorithm_cost *cost)
{
	const double posted = cost->messages + cost->overheads;
	const double rows = has_rows(facts, call->collective) ? facts->nranks : 1;
	double message = (double)call->bytes;

	if ((flags & TT_ALG_NODE) != 0)
		return larger(1, message / rows / facts->stage.chunk_least);
	if (cost->all_messages > 0 && cost->all_bytes > 0)
		message *= cost->all_bytes / cost->all_messages;
	else if (posted >= 1 && cost->bytes > 0)
		message *= cost->bytes / posted;
	return message / facts->chunk_bytes;
}

/* The node stage does all in one step, and little in one meeting, each whole by whoever wants the result. */
static bool
is_stage(const struct tt_algorithm *algorithm)
{
	return (algorithm->flags & TT_ALG_ONE_NODE) != 0 && (algorithm->flags & TT_ALG_NODE) != 0;
}

static struct tt_algorithm_cost
cost_of(const struct tt_select_facts *facts, const struct tt_select_call *call, const struct tt_algorithm *algorithm)
{
	struct tt_algorithm_cost cost = algorithm->cost(facts->nranks, facts->nnodes);

	if (!is_stage(algorithm))
		return cost;
	if (cost.messages > 1 && call->bytes <= facts->one_meeting_bytes / (uint64_t)facts->nranks) {
		cost.messages = 1;
		cost.reduced = facts->nranks;
		cost.all_reduced = call->collective == TT_REDUCE ? facts->nranks : 0;
		cost.copied = 1;
		cost.all_copied = 0;
		cost.kept = 0;
	}
	cost.meetings = cost.messages;
	return cost;
}

/* In the node stage a rank adds what the others have just written, but its own. */
static double
add_rate(const struct tt_select_facts *facts, const struct tt_algorithm *algorithm)
{
	const double members = facts->most_per_node;

	if ((algorithm->flags & TT_ALG_NODE) == 0 || members < 2)
		return facts->reduce_s_per_byte;
	return facts->reduce_s_per_byte / members +
	       larger(facts->reduce_s_per_byte, facts->copy_s_per_byte / 2) * (members - 1) / members;
}

/* Where the stage reads rows out of other processes' memory, the kernel's copies stand for those through slots. */
static void
take_far(const struct tt_select_facts *facts, const struct tt_select_call *call, struct rates *r)
{
	const double all = facts->nranks, row = 1 / all;

	if (!facts->reads_far || !tt_stage_reads_far(&facts->stage, call->collective, facts->nranks,
				     call->bytes / (uint64_t)facts->nranks))
		return;
	r->calls = call->collective == TT_SCATTER ? 1 : all - 1;
	r->all_calls = call->collective == TT_SCATTER ? all - 1 : all * (all - 1);
	r->far = r->calls * row;
	r->all_far = r->all_calls * row;
	r->cost.copied = r->cost.all_copied = r->cost.fill = 0;
}

static struct rates
rates_of(const struct tt_select_facts *facts, const struct tt_select_call *call, const struct tt_algorithm *algorithm)
{
	const double crowd = (double)facts->most_per_host / (facts->cores > 0 ? facts->cores : 1);
	struct rates r = {.link = facts->nnodes > 1 ? &facts->between_nodes : &facts->same_node,
	    .cost = cost_of(facts, call, algorithm),
	    .n = (double)call->bytes,
	    .crowd = larger(crowd, 1),
	    .turn = crowd > 1 ? facts->turn_s : 0};

	r.beyond = beyond_cache(facts, r.n, r.crowd);
	r.add = add_rate(facts, algorithm) + r.beyond / 2;
	r.fold = facts->nnodes > 1 ? 0 : facts->copy_s_per_byte / 2;
	r.slices = larger(1, pieces_of(facts, call, algorithm->flags, &r.cost));
	if (is_stage(algorithm) && facts->nnodes == 1)
		take_far(facts, call, &r);
	return r;
}

/* What all ranks of a host put through the card they share. */
static double
card_s(const struct tt_select_facts *facts, const struct tt_algorithm *algorithm, double bytes)
{
	double leaving; /* the host */

	if (facts->nnodes == 1 || facts->card_s_per_byte <= 0)
		return 0;
	if (tt_collective_has_root(algorithm->collective))
		leaving = bytes; /* the root's, or one rank's of each host */
	else if ((algorithm->flags & TT_ALG_NODE) != 0)
		leaving = bytes * facts->most_per_node;
	else if ((algorithm->flags & TT_ALG_NEIGHBOURS) != 0)
		leaving = bytes;
	else
		leaving = bytes * facts->most_per_node * (facts->nnodes - 1) / facts->nnodes;
	return leaving * facts->card_s_per_byte;
}

/* The rank that has most to do, on a core of its own, or half of the time: what it waits for is done in between. */
static struct price
alone(const struct tt_select_facts *facts, const struct rates *r)
{
	const struct tt_algorithm_cost *c = &r->cost;
	const struct tt_link_cost *link = r->link;
	const double both = c->both > 0 ? c->both : 2 * c->bytes, rounds = c->messages;
	const double one_way = link->one_way_s + r->beyond, each = link->beta_s / 2 + r->beyond;
	const double moved = (larger(c->bytes * one_way, both * each) - c->folded * r->fold) * r->n;
	const double fill = c->fill * r->n / r->slices;

	return (struct price){.latency = facts->call_s + (rounds - c->meetings) * link->alpha_s +
					 c->meetings * facts->meet_s + c->overheads * link->over_s +
					 rounds * r->crowd / 2 * r->turn,
	    .wire = moved + (c->bytes > 0 ? fill * one_way : 0),
	    .reduce = c->reduced * r->n * r->add,
	    .copy = (c->copied * r->n + (c->bytes > 0 ? 0 : fill)) * (facts->copy_s_per_byte + r->beyond) +
		    c->kept * r->n * (facts->kept_s_per_byte + r->beyond) +
		    r->far * r->n * (facts->far_s_per_byte + r->beyond) + r->calls * facts->far_call_s};
}

/* All that the ranks of a host have to do, on its cores: what counts where there are more ranks than cores. A message
 * costs its sender and its receiver time; half of the bytes pass between ranks of one core, in its cache. */
static struct price
together(const struct tt_select_facts *facts, const struct rates *r)
{
	const struct tt_algorithm_cost *c = &r->cost;
	const double all = facts->nranks, of_cores = (double)facts->most_per_host / all / facts->cores;
	const double share = of_cores * r->n;
	const double posted = c->messages - c->meetings + c->overheads;
	const double messages = c->all_messages > 0 ? c->all_messages : posted * all;
	const double each = larger(r->link->alpha_s, r->link->over_s);
	const double byte = (r->link->beta_s + r->link->one_way_s) / 2 + 2 * r->beyond;
	const double folded = c->folded > 0 && c->all_reduced > 0 ? c->all_reduced / 2 : all * c->folded;

	return (struct price){.latency = r->crowd * (facts->call_s + r->turn) + c->messages * r->turn +
					 c->meetings * facts->meet_s +
					 messages * each * facts->most_per_host / all / facts->cores,
	    .wire = ((c->all_bytes > 0 ? c->all_bytes : all * c->bytes) * byte - folded * r->fold) * share,
	    .reduce = (c->all_reduced > 0 ? c->all_reduced : all * c->reduced) * share * r->add,
	    .copy =
		(c->all_copied > 0 ? c->all_copied : all * c->copied) * share * (facts->copy_s_per_byte + r->beyond) +
		all * c->kept * share * (facts->kept_s_per_byte + r->beyond) +
		r->all_far * share * (facts->far_s_per_byte + r->beyond) +
		r->all_calls * of_cores * facts->far_call_s};
}

/* What is made for several nodes does on one in several steps what the node stage does in one: it takes longer by at least a
 * call than that. */
static double
beyond_stage(const struct tt_select_facts *facts, const struct tt_select_call *call,
    const struct tt_algorithm *algorithm, double seconds)
{
	struct tt_candidate stage = {.algorithm = tt_algorithm_find(call->collective, "node")};

	if (facts->nnodes > 1 || facts->nranks == 1 || stage.algorithm == NULL ||
	    (algorithm->flags & (TT_ALG_NODE | TT_ALG_ONE_NODE)) != TT_ALG_NODE)
		return 0;
	tt_price(facts, call, &stage);
	return larger(stage.predicted_s + facts->call_s - seconds, 0);
}

void
tt_price(const struct tt_select_facts *facts, const struct tt_select_call *call, struct tt_candidate *candidate)
{
	const struct rates r = rates_of(facts, call, candidate->algorithm);
	struct price price = alone(facts, &r);

	if (r.turn > 0) {
		const struct price crowded = together(facts, &r);

		if (total(&crowded) > total(&price))
			price = crowded;
	}
	price.wire = larger(price.wire, card_s(facts, candidate->algorithm, r.cost.bytes * r.n));
	price.latency += beyond_stage(facts, call, candidate->algorithm, total(&price));
	candidate->latency_s = price.latency;
	candidate->wire_s = price.wire;
	candidate->reduce_s = price.reduce;
	candidate->copy_s = price.copy;
	candidate->predicted_s = total(&price);
}

double
tt_price_pieces(
    const struct tt_select_facts *facts, const struct tt_select_call *call, const struct tt_algorithm *algorithm)
{
	const struct tt_algorithm_cost cost = algorithm->cost(facts->nranks, facts->nnodes);

	return pieces_of(facts, call, algorithm->flags, &cost);
}

static struct tt_link_class
link_class(const struct tt_link_cost *link, double beyond)
{
	return (struct tt_link_class){.latency_s = link->alpha_s,
	    .overhead_s = link->over_s,
	    .s_per_byte = link->beta_s + 2 * beyond,
	    .one_way_s_per_byte = link->one_way_s + beyond};
}

void
tt_price_machine(const struct tt_select_facts *facts, uint64_t bytes, struct tt_machine *machine)
{
	const double crowd = (double)facts->most_per_host / (facts->cores > 0 ? facts->cores : 1);
	const double beyond = beyond_cache(facts, (double)bytes, larger(crowd, 1)),
		     turn = crowd > 1 ? facts->turn_s : 0;

	*machine = (struct tt_machine){.same_node = link_class(&facts->same_node, beyond),
	    .between_nodes = link_class(&facts->between_nodes, beyond),
	    .reduce_s_per_byte = facts->reduce_s_per_byte + beyond / 2,
	    .read_s_per_byte = larger(facts->reduce_s_per_byte, facts->copy_s_per_byte / 2) + beyond / 2,
	    .copy_s_per_byte = facts->copy_s_per_byte + beyond,
	    .kept_s_per_byte = facts->kept_s_per_byte + beyond,
	    .node_s_per_byte = facts->card_s_per_byte,
	    .node_chunk = facts->stage.chunk_least,
	    .call_s = facts->call_s,
	    .meet_s = facts->meet_s + turn,
	    .turn_s = turn,
	    .cores = crowd > 1 ? facts->cores : 0};
}

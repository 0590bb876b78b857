/* SPDX-License-Identifier: Apache-2.0
 *
 * price.c - what an algorithm costs, in closed form.
 *
 * The price is LogGP's: α for each message that must wait for another, o for each message beyond those, β and γ for
 * bytes on the wire and bytes reduced, plus copies. Processors move the bytes: β is of a rank that sends and receives at
 * once, less is paid for bytes that go one way; and what does not fit a core's cache costs more. With more ranks than
 * cores all that the ranks of a core do comes one after the other, if that is longer than what the busiest rank does, and
 * every dependent round costs a turn of the scheduler, which is what makes the algorithms with few rounds win there.
 * Nothing moves ranks between cores within a call: of unequal cores the fullest counts.
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
	double crowd; /* ranks for each core */
	double even; /* the same if they share them evenly, in shared memory */
	bool one_has_all; /* a row of each: nobody else keeps one, or reads it from afar */
	bool rooted; /* one rank has, or gets, what the others get or have */
	double turn; /* of the scheduler, where ranks share cores */
	double
	    beyond; /* more for each byte that is copied to or from another rank, because not all is in the nearest caches */
	double kept; /* a byte that is copied from a rank's own memory to its own */
	double add; /* a byte that is reduced */
	double fold; /* less for a byte that is added as it arrives */
	double far; /* bytes that the kernel copies from process to process, in units of n ... */
	double calls; /* ... and system calls that ask for it */
	double slices;
	double asked; /* 1: each message is so large that it is asked for by another, 0: none is */
	double again; /* how often more than once the receiver of a message comes for the rest of it */
	bool root_receives; /* and sends nothing */
	double sent,
	    received; /* the sender's part of what a byte takes, and the receiver's, where a rank has more of one */
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

static bool
one_has_all(enum tt_collective collective)
{
	return collective == TT_GATHER || collective == TT_SCATTER;
}

/* The part of what a core's ranks touch that is not in its cache: of each what it gives and what it gets, but where one has
 * a row for each of the others the others have a row. The first to leave it do when they fill three quarters of it. */
static double
outside_cache(const struct tt_select_facts *facts, const struct tt_select_call *call)
{
	const double bytes = (double)call->bytes, crowd = tt_select_crowd(facts), row = bytes / facts->nranks;
	const bool gives_or_gets_a_row = call->collective == TT_ALL_GATHER || call->collective == TT_REDUCE_SCATTER;
	const double touched = one_has_all(call->collective) ? bytes + crowd * row
			       : gives_or_gets_a_row         ? (bytes + row) * crowd
							     : 2 * bytes * crowd;
	const double outside = touched / facts->cache_bytes - 0.75;

	return outside < 0 ? 0 : outside > 1 ? 1 : outside;
}

static bool
has_rows(const struct tt_select_facts *facts, enum tt_collective collective)
{
	return tt_collective_in_rows(collective, facts->nranks) > 1 ||
	       tt_collective_out_rows(collective, facts->nranks) > 1;
}

/* The kernel hands over so many bytes at once, and its headers. */
#define KERNEL_PIECE (65536 - 53)

/* Messages between hosts that the node stage feeds are larger: each slice costs the members of a node their meetings, and
 * where they share cores, turns of the scheduler. */
#define CHUNKS_BETWEEN_HOSTS 2
#define CROWDED_CHUNKS_BETWEEN_HOSTS 8

/* The part of n that is in one message. */
static double
message_of(const struct tt_algorithm_cost *cost)
{
	const double posted = cost->messages - cost->meetings + cost->overheads;

	if (cost->all_messages > 0 && cost->all_bytes > 0)
		return cost->all_bytes / cost->all_messages;
	return posted >= 1 && cost->bytes > 0 ? cost->bytes / posted : 1;
}

/* What the node stage hands on at once of a row that is not small; where a slot has a row for each member, less. */
static double
stage_chunk(const struct tt_select_facts *facts, const struct tt_select_call *call)
{
	const bool by_rows = call->collective == TT_REDUCE_SCATTER || call->collective == TT_ALL_TO_ALL ||
			     call->collective == TT_SCATTER;
	const double row = (double)call->bytes / (has_rows(facts, call->collective) ? facts->nranks : 1);
	const double parts = by_rows ? facts->most_per_node : 1;
	const double least = facts->stage.chunk_least / parts, most = facts->stage.chunk_most / parts;
	const double wanted = larger(row / facts->stage.pieces, least);

	return wanted < most ? wanted : most;
}

/* Pieces that follow each other: slices, or chunks of the node stage. */
static double
pieces_of(const struct tt_select_facts *facts, const struct tt_select_call *call, unsigned flags,
    const struct tt_algorithm_cost *cost)
{
	const double rows = has_rows(facts, call->collective) ? facts->nranks : 1, n = (double)call->bytes;

	if ((flags & TT_ALG_NODE) == 0)
		return n * message_of(cost) / facts->chunk_bytes;
	if (facts->nhosts == 1)
		return larger(1, n / rows / stage_chunk(facts, call));
	return n * message_of(cost) / facts->chunk_bytes /
	       (tt_select_crowd(facts) > 1 ? CROWDED_CHUNKS_BETWEEN_HOSTS : CHUNKS_BETWEEN_HOSTS);
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
	if (cost.messages > 1 &&
	    call->bytes <= (call->collective == TT_REDUCE ? facts->stage.reduce_least
							  : facts->stage.add_least / (uint64_t)facts->nranks)) {
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

/* Rows that are read out of the other process's memory, once (engine/node_far.c), instead of being copied in and out. The
 * members meet again at the end: nobody leaves while another reads. */
static void
go_far(const struct tt_select_facts *facts, const struct tt_select_call *call, unsigned flags, struct rates *r)
{
	const double members = facts->most_per_node, nodes = facts->nnodes, all = facts->nranks;

	if ((flags & TT_ALG_NODE) == 0 || !facts->reads_far ||
	    !tt_stage_reads_far(
		&facts->stage, call->collective, facts->most_per_node, call->bytes / (uint64_t)facts->nranks))
		return;
	r->far = call->collective == TT_SCATTER ? 1 / all : (members - 1) / members;
	r->calls = call->collective == TT_SCATTER ? 1 : (members - 1) * nodes;
	r->cost.copied = r->cost.all_copied = r->cost.fill = 0;
	r->cost.messages++;
	r->cost.meetings++;
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

/* Ranks whose messages come through the kernel sleep and wake, and do not always do so on the same core: where one more rank
 * is on some cores than on others, that is so half of the time. */
static double
crowd_of(const struct tt_select_facts *facts)
{
	const double fullest = tt_select_crowd(facts);

	return fullest > 1 && facts->nnodes > 1 ? (fullest + (double)facts->most_per_host / facts->cores) / 2
						: fullest;
}

/* Through this host's own network the sender's core carries a byte to the other's socket, too: alone it is what a stream of
 * bytes one way takes. */
static void
divide(const struct tt_select_facts *facts, const struct tt_select_call *call, struct rates *r)
{
	const bool loop = facts->nnodes > 1 && facts->nhosts == 1 && r->link->beta_s > 0;

	r->sent = loop && tt_collective_has_root(call->collective) ? r->link->one_way_s / r->link->beta_s : 0.5;
	r->received = 1 - r->sent;
	r->root_receives = call->collective == TT_REDUCE || call->collective == TT_GATHER;
	r->again = loop ? (double)(int64_t)(r->n * message_of(&r->cost) / r->slices / KERNEL_PIECE) : 0;
}

/* Has one rank, or gets, what the others get or have, while no two others wait for each other? */
static bool
is_rooted(
    const struct tt_select_call *call, const struct tt_algorithm *algorithm, const struct tt_algorithm_cost *cost)
{
	if (call->collective == TT_REDUCE) /* of the node stage's slices each member adds one */
		return (algorithm->flags & TT_ALG_NODE) == 0 || cost->messages < 2;
	return call->collective == TT_BROADCAST || one_has_all(call->collective);
}

static struct rates
rates_of(const struct tt_select_facts *facts, const struct tt_select_call *call, const struct tt_algorithm *algorithm)
{
	struct rates r = {.link = facts->nnodes > 1 ? &facts->between_nodes : &facts->same_node,
	    .cost = cost_of(facts, call, algorithm),
	    .n = (double)call->bytes,
	    .crowd = crowd_of(facts),
	    .even = facts->nnodes == 1 ? tt_select_even_crowd(facts) : crowd_of(facts),
	    .one_has_all = one_has_all(call->collective)};

	const double outside = outside_cache(facts, call);

	r.rooted = is_rooted(call, algorithm, &r.cost);
	r.turn = r.crowd > 1 ? facts->turn_s : 0;
	/* Of what passes between ranks one side is in a cache. Of what is added one source of two is, having just arrived, and
	 * where it is added as it arrives, the rest hides behind its coming. */
	r.beyond = outside * facts->beyond_s_per_byte / 2;
	r.kept = facts->kept_s_per_byte + outside * facts->beyond_s_per_byte;
	r.add = add_rate(facts, algorithm) + outside * facts->beyond_add_s_per_byte / (r.cost.folded > 0 ? 4 : 2);
	r.fold = facts->nnodes > 1 ? 0 : facts->copy_s_per_byte / 2;
	go_far(facts, call, algorithm->flags, &r);
	r.slices = larger(1, pieces_of(facts, call, algorithm->flags, &r.cost));
	divide(facts, call, &r);
	r.asked = r.link->asked_from > 0 && r.n * message_of(&r.cost) > r.link->asked_from * r.slices;
	return r;
}

/* How long the card takes that the ranks of a host share. */
static double
card_s(const struct tt_select_facts *facts, const struct tt_algorithm *algorithm, double n)
{
	if (facts->nnodes == 1 || facts->card_s_per_byte <= 0)
		return 0;
	return tt_algorithm_leaves(algorithm, facts->nranks, facts->nnodes, facts->most_per_node) * n *
	       facts->card_s_per_byte;
}

/* What processors do meanwhile: while a slice is on the wire they copy and add others. */
static double
beside_card(const struct rates *r, const struct price *price)
{
	return (price->reduce + price->copy) * (1 - 1 / r->slices);
}

/* What has just been written is in the nearest cache of the core that wrote it, out of which others fetch it more slowly. Of
 * much only the first piece is. */
#define FIRST_PIECE 4096

static double
first_piece_s(const struct tt_select_facts *facts, const struct rates *r)
{
	const struct tt_algorithm_cost *c = &r->cost;
	const double message = c->bytes > 0 ? message_of(c) : c->copied / 2;
	const double rounds = c->bytes > 0 ? c->messages - c->meetings : c->meetings;
	const double bytes = message * r->n;

	if (facts->nnodes > 1)
		return 0;
	return rounds * (bytes < FIRST_PIECE ? bytes : FIRST_PIECE) * facts->near_s_per_byte;
}

/* Turns of the scheduler until what a rank waits for is there: in each round half of its core's ranks have theirs first. In
 * shared memory nobody is ahead of the others for long, and the rank that is one more than the others on its core is now this
 * one, now that: they share the cores evenly. And there what a root gives, or gets, waits for nobody once more. */
static double
waits_of(const struct tt_select_facts *facts, const struct rates *r)
{
	return (r->cost.messages - (facts->nnodes == 1 && r->rooted)) * r->even / 2;
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

	return (struct price){.latency = facts->call_s + (rounds - c->meetings) * (1 + r->asked) * link->alpha_s +
					 c->meetings * facts->meet_s + c->overheads * link->over_s +
					 r->calls * facts->far_call_s + waits_of(facts, r) * r->turn,
	    .wire = moved + first_piece_s(facts, r) + (c->bytes > 0 ? fill * one_way : 0),
	    .reduce = c->reduced * r->n * r->add,
	    .copy = (c->copied * r->n + (c->bytes > 0 ? 0 : fill)) * (facts->copy_s_per_byte + r->beyond) +
		    c->kept * r->n * r->kept + r->far * r->n * (facts->far_s_per_byte + r->beyond)};
}

/* Of the turns of the scheduler in a round where messages come through the kernel, so many more for each other rank of a
 * core: it is given the core, looks, and what it waits for has not come. */
#define TURNS_IN_VAIN 0.25

/* Until all have begun; who is alone on a core has begun at once. */
#define TURNS_TO_BEGIN 0.75

static double
turns_of(const struct tt_select_facts *facts, const struct rates *r)
{
	const double posted = (r->cost.messages - r->cost.meetings) * (1 + r->asked);

	if (facts->nnodes == 1)
		return TURNS_TO_BEGIN * r->even + waits_of(facts, r);
	return r->crowd + r->cost.meetings + posted * (1 + TURNS_IN_VAIN * (r->crowd - 1));
}

/* Bytes that a core's ranks send and receive, a part of each. Messages through the kernel are work of the core that the rank
 * with most of them is on, and of its neighbours there; what passes through memory is spread over all. */
static double
moved_of(const struct tt_select_facts *facts, const struct rates *r)
{
	const struct tt_algorithm_cost *c = &r->cost;
	const double all = facts->nranks, most = c->both > 0 ? c->both : 2 * c->bytes;
	const double total = c->all_bytes > 0 ? c->all_bytes : all * c->bytes;
	const double busiest = r->root_receives ? c->bytes * r->received + (most - c->bytes) * r->sent
						: c->bytes * r->sent + (most - c->bytes) * r->received;

	if (facts->nnodes == 1)
		return total * r->crowd / all;
	return busiest + (r->crowd - 1) * (total - busiest) / (all - 1);
}

/* All that the ranks of a core have to do: what counts where there are more ranks than cores. A message
 * costs its sender and its receiver time, and so does a byte: as much as a rank's that sends one and receives one. */
static struct price
together(const struct tt_select_facts *facts, const struct rates *r)
{
	const struct tt_algorithm_cost *c = &r->cost;
	const double all = facts->nranks, each_core = r->crowd / all, share = each_core * r->n;
	const double posted = c->messages - c->meetings + c->overheads;
	const double messages = c->all_messages > 0 ? c->all_messages : posted * all;
	const double each = larger(r->link->alpha_s, r->link->over_s);
	const double message = each * (1 + r->asked) + (each - r->link->over_s) * r->again;
	const double byte = r->link->beta_s + 2 * r->beyond;
	/* What has come through a socket of this host is in no near cache any more when other ranks have had the core. */
	const bool loop = facts->nnodes > 1 && facts->nnodes == facts->nranks && facts->nhosts == 1;
	const double kept = r->kept * (loop ? 2 : 1);
	const double folded = c->folded > 0 && c->all_reduced > 0 ? c->all_reduced / 2 : all * c->folded;
	/* Who has nothing to do yet polls in shared memory, and sleeps where messages come through the kernel. One core of a host
	 * works meanwhile. */
	const double idle = c->bytes > 0 && facts->nnodes > 1
				? c->fill * r->n / r->slices * (r->link->one_way_s + r->beyond) *
				      (facts->nhosts > 1 ? 1 : 1 - 1.0 / facts->cores)
				: 0;

	/* Each of a core's ranks looks for the others itself where they share memory. */
	const double meetings = c->meetings * (facts->nnodes == 1 ? r->even : 1);

	return (struct price){.latency = r->even * facts->call_s + turns_of(facts, r) * r->turn +
					 meetings * facts->meet_s + r->calls * facts->far_call_s * r->crowd +
					 messages * message * r->even / all,
	    .wire = moved_of(facts, r) * r->n * byte - folded * r->fold * share + idle,
	    .reduce = (c->all_reduced > 0 ? c->all_reduced : all * c->reduced) * share * r->add,
	    .copy =
		(c->all_copied > 0 ? c->all_copied : all * c->copied) * share * (facts->copy_s_per_byte + r->beyond) +
		(r->one_has_all ? 1 / each_core : all) * c->kept * share * kept +
		(all - r->one_has_all) * r->far * share * (facts->far_s_per_byte + r->beyond)};
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
		const double latency = larger(price.latency, crowded.latency);

		if (total(&crowded) - crowded.latency > total(&price) - price.latency)
			price = crowded;
		price.latency = latency;
	}
	price.wire = larger(price.wire, card_s(facts, candidate->algorithm, r.n) - beside_card(&r, &price));
	price.latency += beyond_stage(facts, call, candidate->algorithm, total(&price));
	candidate->single_copy = r.far > 0;
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
tt_price_machine(const struct tt_select_facts *facts, const struct tt_select_call *call, struct tt_machine *machine)
{
	const double crowd = tt_select_crowd(facts), turn = crowd > 1 ? facts->turn_s : 0;
	const double outside = outside_cache(facts, call);
	const double beyond = outside * facts->beyond_s_per_byte, add = outside * facts->beyond_add_s_per_byte / 2;

	*machine = (struct tt_machine){.same_node = link_class(&facts->same_node, beyond / 2),
	    .between_nodes = link_class(&facts->between_nodes, beyond / 2),
	    .reduce_s_per_byte = facts->reduce_s_per_byte + add,
	    .read_s_per_byte = larger(facts->reduce_s_per_byte, facts->copy_s_per_byte / 2) + add,
	    .copy_s_per_byte = facts->copy_s_per_byte + beyond / 2,
	    .kept_s_per_byte = facts->kept_s_per_byte + beyond,
	    .node_s_per_byte = facts->card_s_per_byte,
	    .far_s_per_byte = facts->reads_far ? facts->far_s_per_byte + beyond / 2 : 0,
	    .far_call_s = facts->far_call_s,
	    .far_least = (double)tt_stage_far_least(&facts->stage, facts->most_per_node),
	    .far_most = (double)facts->stage.stream_least / 2,
	    .far_most_of_root = 2 * (double)facts->stage.stream_least,
	    .node_chunk = facts->stage.chunk_least,
	    .call_s = facts->call_s,
	    .meet_s = facts->meet_s,
	    .turn_s = turn,
	    .cores = crowd > 1 ? facts->cores : 0};
}

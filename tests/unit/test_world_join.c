/* SPDX-License-Identifier: Apache-2.0
 *
 * test_world_join.c - the creation protocol in virtual time: seeded latencies, refusals, cuts, crashes.
 *
 * Every rank is a struct tt_join; the simulator is its driver. A connection is a pair of ends; what one end sends
 * arrives at the other in order, after a random time. A failing seed fails again: nothing here depends on the
 * machine or the clock.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "bootstrap/world_join.h"

#define MOST 24
#define MOST_EVENTS 20000
#define LIMIT (10000 * TT_MS)

TestSuite(world_join, .timeout = 50);

struct end {
	struct tt_join_peer peer; /* must be first */
	int owner;
	struct end *other, *next;
	bool open; /* its owner still listens to it */
	int64_t last_ns; /* when the latest frame on its way to here arrives */
};

enum kind { DIALED, FRAME, CLOSED, SETTLED, STARTED, CRASHED };

struct event {
	int64_t when_ns;
	unsigned order;
	enum kind kind;
	int rank;
	struct end *end;
	enum tt_join_target target;
	struct tt_address address;
	enum tt_frame type;
	size_t n;
	unsigned char *bytes;
	bool shares;
};

struct node {
	struct sim *sim;
	struct tt_join join;
	int host;
	int number, size; /* what it says */
	bool started, alive, listens, separate;
	int64_t ended_ns;
};

struct sim {
	int n, fanout, refusals /* of 100 connections */;
	bool cuts, no_way_between_leaders;
	uint64_t random;
	int64_t now_ns;
	struct node nodes[MOST];
	int leaders[MOST]; /* of hosts; -1 = the name is free */
	struct tt_rendezvous rendezvous;
	int64_t limit_ns;
	struct event *events;
	int nevents;
	unsigned order;
	struct end *ends;
};

static unsigned
draw(struct sim *sim, unsigned below)
{
	sim->random = sim->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(sim->random >> 33) % below;
}

static int64_t
latency(struct sim *sim)
{
	/* Mostly short, now and then long. */
	return (int64_t)(draw(sim, 10) == 0 ? draw(sim, 200) : draw(sim, 5) + 1) * TT_MS / 2;
}

static struct event *
schedule(struct sim *sim, enum kind kind, int rank, int64_t when_ns)
{
	struct event *event = &sim->events[sim->nevents++];

	cr_assert(lt(int, sim->nevents, MOST_EVENTS));
	memset(event, 0, sizeof(*event));
	event->kind = kind;
	event->rank = rank;
	event->when_ns = when_ns;
	event->order = sim->order++;
	return event;
}

/* To the other end, behind everything that is on its way there. */
static struct event *
schedule_across(struct sim *sim, enum kind kind, struct end *from)
{
	struct end *to = from->other;
	int64_t when_ns = sim->now_ns + latency(sim);
	struct event *event;

	if (when_ns < to->last_ns)
		when_ns = to->last_ns;
	to->last_ns = when_ns;
	event = schedule(sim, kind, to->owner, when_ns);
	event->end = to;
	return event;
}

static void
close_end(struct sim *sim, struct end *end)
{
	if (!end->open)
		return;
	end->open = false;
	schedule_across(sim, CLOSED, end);
}

static struct end *
make_end(struct sim *sim, int owner, int peer, bool local)
{
	struct end *end = calloc(1, sizeof(*end));

	end->owner = owner;
	end->peer.rank = sim->nodes[peer].number;
	end->peer.local = local;
	end->open = true;
	end->next = sim->ends;
	sim->ends = end;
	return end;
}

/* ---- the driver ------------------------------------------------------------------------------------------- */

/* Which of the simulated it is, whatever it says. */
static int
index_of(const struct node *node)
{
	return (int)(node - node->sim->nodes);
}

static void
dial(void *context, enum tt_join_target target, const struct tt_address *address)
{
	struct node *node = context;
	struct event *event = schedule(node->sim, DIALED, index_of(node), node->sim->now_ns + latency(node->sim));

	event->target = target;
	if (address != NULL)
		event->address = *address;
}

static tutti_status
lead(void *context)
{
	struct node *node = context;

	if (node->sim->leaders[node->host] >= 0)
		return TUTTI_IN_PROGRESS;
	node->sim->leaders[node->host] = index_of(node);
	return TUTTI_OK;
}

static void
unlead(void *context)
{
	struct node *node = context;

	if (node->sim->leaders[node->host] == index_of(node))
		node->sim->leaders[node->host] = -1;
}

static void
listen_for_leaders(void *context, struct tt_join_peer *peer, struct tt_address *address)
{
	struct node *node = context;

	*address = (struct tt_address){.family = 4, .port = (uint16_t)(1000 + index_of(node))};
	node->listens = true;
}

static void
send_frame(void *context, struct tt_join_peer *peer, enum tt_frame type, const void *bytes, size_t n)
{
	struct node *node = context;
	struct end *end = (struct end *)peer;
	struct event *event;

	if (!end->open)
		return;
	event = schedule_across(node->sim, FRAME, end);
	event->type = type;
	event->n = n;
	event->bytes = malloc(n + 1);
	if (n > 0)
		memcpy(event->bytes, bytes, n);
}

static void
drop(void *context, struct tt_join_peer *peer)
{
	close_end(((struct node *)context)->sim, (struct end *)peer);
}

static void
offer(void *context, struct tt_join_peer *peer)
{
	struct node *node = context;
	struct event *event = schedule(node->sim, SETTLED, index_of(node), node->sim->now_ns + latency(node->sim));

	event->end = (struct end *)peer;
	event->shares = !node->sim->nodes[event->end->other->owner].separate;
}

static tutti_status
words(void *context, int n, uint64_t *offset)
{
	*offset = 4096;
	return TUTTI_OK;
}

/* ---- events ----------------------------------------------------------------------------------------------- */

static bool
is_in(const struct node *node)
{
	return node->started && node->alive && node->join.state < TT_JOIN_DONE;
}

/* Who answers there; -1 = nobody. */
static int
whom(const struct sim *sim, const struct event *event)
{
	const int host = sim->nodes[event->rank].host;
	int rank = -1;

	if (event->target == TT_JOIN_ROOT)
		rank = host == sim->nodes[0].host ? 0 : -1;
	else if (event->target == TT_JOIN_NODE)
		rank = sim->leaders[host];
	else if (event->address.port == 1)
		rank = 0;
	else if (!sim->no_way_between_leaders && sim->nodes[event->address.port - 1000].listens)
		rank = event->address.port - 1000;
	return rank >= 0 && is_in(&sim->nodes[rank]) ? rank : -1;
}

static void
connect_them(struct sim *sim, const struct event *event)
{
	struct tt_join *join = &sim->nodes[event->rank].join;
	const int other = whom(sim, event);
	const bool local = event->target != TT_JOIN_TCP;
	struct end *mine, *theirs;

	if (other < 0 || (int)draw(sim, 100) < sim->refusals) {
		tt_join_dialed(join, NULL, TUTTI_ERR_PEER, sim->now_ns);
		return;
	}
	mine = make_end(sim, event->rank, other, local);
	theirs = make_end(sim, other, event->rank, local);
	mine->other = theirs;
	theirs->other = mine;
	/* Cut at once, after the handshake: nothing has been said yet, so nothing may come of it. */
	if (sim->cuts && draw(sim, 8) == 0) {
		struct event *cut = schedule(sim, CLOSED, event->rank, sim->now_ns + 1);

		cut->end = mine;
		theirs->open = false;
	}
	tt_join_dialed(join, &mine->peer, TUTTI_OK, sim->now_ns);
}

static void
start(struct sim *sim, int rank)
{
	struct node *node = &sim->nodes[rank];
	const struct tt_join_io io = {node, dial, lead, unlead, listen_for_leaders, send_frame, drop, offer, words};
	const struct tt_join_config config = {.rank = node->number,
	    .size = node->size,
	    .fanout = sim->fanout,
	    .shares = !node->separate,
	    .rendezvous = &sim->rendezvous,
	    .deadline_ns = sim->now_ns + sim->limit_ns,
	    .seed = draw(sim, 1u << 30)};

	node->started = node->alive = true;
	node->join.config.rank = node->number;
	cr_assert(tt_join_init(&node->join, &config, &io, sim->now_ns) == TUTTI_OK);
}

static void
end_of(struct sim *sim, int rank)
{
	struct node *node = &sim->nodes[rank];

	node->ended_ns = sim->now_ns;
	node->listens = false;
	unlead(node);
	for (struct end *end = sim->ends; end != NULL; end = end->next)
		if (end->owner == rank && (!node->alive || node->join.state == TT_JOIN_FAILED))
			close_end(sim, end);
}

static void
handle(struct sim *sim, struct event *event)
{
	struct node *node = &sim->nodes[event->rank];

	if (event->kind == STARTED) {
		start(sim, event->rank);
	} else if (event->kind == CRASHED) {
		if (!is_in(node))
			return;
		node->alive = false;
		end_of(sim, event->rank);
	}
	if (!is_in(node) || (event->end != NULL && !event->end->open))
		return;
	switch (event->kind) {
	case DIALED:
		connect_them(sim, event);
		break;
	case FRAME:
		tt_join_frame(&node->join, &event->end->peer, event->type, event->bytes, event->n, sim->now_ns);
		break;
	case CLOSED:
		event->end->open = false;
		tt_join_closed(&node->join, &event->end->peer, sim->now_ns);
		break;
	case SETTLED:
		tt_join_settle(&node->join, &event->end->peer, event->shares, sim->now_ns);
		break;
	default:
		break;
	}
	if (node->join.state >= TT_JOIN_DONE)
		end_of(sim, event->rank);
}

static struct event *
next_event(struct sim *sim)
{
	struct event *next = NULL;

	for (int i = 0; i < sim->nevents; i++) {
		struct event *event = &sim->events[i];

		if (next == NULL || event->when_ns < next->when_ns ||
		    (event->when_ns == next->when_ns && event->order < next->order))
			next = event;
	}
	return next;
}

static int
next_alarm(const struct sim *sim)
{
	int next = -1;

	for (int rank = 0; rank < sim->n; rank++)
		if (is_in(&sim->nodes[rank]) &&
		    (next < 0 || tt_join_alarm(&sim->nodes[rank].join) < tt_join_alarm(&sim->nodes[next].join)))
			next = rank;
	return next;
}

/* Until nothing is left to happen. */
static void
run(struct sim *sim)
{
	for (;;) {
		struct event *event = next_event(sim);
		const int rank = next_alarm(sim);

		if (event == NULL && rank < 0)
			return;
		if (rank >= 0 && (event == NULL || tt_join_alarm(&sim->nodes[rank].join) < event->when_ns)) {
			if (tt_join_alarm(&sim->nodes[rank].join) > sim->now_ns)
				sim->now_ns = tt_join_alarm(&sim->nodes[rank].join);
			tt_join_tick(&sim->nodes[rank].join, sim->now_ns);
			if (sim->nodes[rank].join.state >= TT_JOIN_DONE)
				end_of(sim, rank);
		} else {
			struct event now = *event;

			*event = sim->events[--sim->nevents];
			sim->now_ns = now.when_ns;
			handle(sim, &now);
			free(now.bytes);
		}
	}
}

static void
sim_init(struct sim *sim, uint64_t seed, int n, int hosts)
{
	memset(sim, 0, sizeof(*sim));
	sim->n = n;
	sim->fanout = 2 + (int)(seed % 3);
	sim->random = seed * 2 + 1;
	sim->limit_ns = LIMIT;
	sim->now_ns = 1000 * TT_MS;
	sim->events = calloc(MOST_EVENTS, sizeof(*sim->events));
	sim->rendezvous.naddresses = 1;
	sim->rendezvous.addresses[0] = (struct tt_address){.family = 4, .port = 1};
	for (int i = 0; i < MOST; i++)
		sim->leaders[i] = -1;
	for (int rank = 0; rank < n; rank++) {
		sim->nodes[rank].sim = sim;
		sim->nodes[rank].number = rank;
		sim->nodes[rank].size = n;
		sim->nodes[rank].host = (int)draw(sim, (unsigned)hosts);
		sim->nodes[rank].separate = draw(sim, 6) == 0;
		schedule(sim, STARTED, rank, sim->now_ns + draw(sim, 1500) * TT_MS);
	}
}

static void
sim_fini(struct sim *sim)
{
	for (int rank = 0; rank < sim->n; rank++)
		tt_join_fini(&sim->nodes[rank].join);
	while (sim->ends != NULL) {
		struct end *end = sim->ends;

		sim->ends = end->next;
		free(end);
	}
	free(sim->events);
}

/* ---- promises --------------------------------------------------------------------------------------------- */

static void
expect_all_done(const struct sim *sim, unsigned seed)
{
	for (int rank = 0; rank < sim->n; rank++) {
		const struct tt_join *join = &sim->nodes[rank].join;

		cr_assert(join->state == TT_JOIN_DONE, "seed %u rank %d of %d: %s", seed, rank, sim->n,
		    join->error.message);
		for (int other = 0; other < sim->n; other++) {
			const int32_t home = join->homes[other];

			cr_assert(eq(int, home, sim->nodes[0].join.homes[other]));
			cr_assert(eq(int, join->homes[home], home));
			cr_assert(eq(int, sim->nodes[home].host, sim->nodes[other].host));
			/* Each way leads to an open connection, and one step down is one step nearer. */
			if (join->via[other] != NULL) {
				const struct tt_join *below = &sim->nodes[join->via[other]->rank].join;

				cr_assert(below->config.rank == other || below->via[other] != NULL);
				cr_assert(eq(int, below->parent->rank, rank));
			}
		}
	}
}

/* Ranks of one host share its memory, unless one of them does not want to. */
static void
expect_whole_hosts(const struct sim *sim, unsigned seed)
{
	bool mixed[MOST] = {false};

	for (int rank = 0; rank < sim->n; rank++)
		mixed[sim->nodes[rank].host] |= sim->nodes[rank].separate;
	for (int a = 0; a < sim->n; a++)
		for (int b = 0; b < a; b++)
			if (sim->nodes[a].host == sim->nodes[b].host && !mixed[sim->nodes[a].host])
				cr_assert(eq(int, sim->nodes[0].join.homes[a], sim->nodes[0].join.homes[b]),
				    "seed %u", seed);
}

Test(world_join, all_ranks_meet_whatever_the_order_and_the_latencies)
{
	for (unsigned seed = 1; seed <= 400; seed++) {
		struct sim sim;

		sim_init(&sim, seed, 2 + (int)(seed % (MOST - 1)), 1 + (int)(seed / 7 % MOST));
		run(&sim);
		expect_all_done(&sim, seed);
		expect_whole_hosts(&sim, seed);
		sim_fini(&sim);
	}
}

Test(world_join, refused_and_cut_connections_are_tried_again)
{
	for (unsigned seed = 1; seed <= 400; seed++) {
		struct sim sim;

		sim_init(&sim, seed, 2 + (int)(seed % (MOST - 1)), 1 + (int)(seed / 5 % MOST));
		sim.refusals = 30;
		sim.cuts = true;
		run(&sim);
		expect_all_done(&sim, seed);
		sim_fini(&sim);
	}
}

Test(world_join, leaders_that_cannot_reach_each_other_stay_with_rank_0)
{
	for (unsigned seed = 1; seed <= 200; seed++) {
		struct sim sim;

		sim_init(&sim, seed, 12, MOST);
		sim.no_way_between_leaders = true;
		run(&sim);
		expect_all_done(&sim, seed);
		sim_fini(&sim);
	}
}

static bool
names(const tutti_error *error, int rank)
{
	for (int i = 0; i < error->nranks && i < 16; i++)
		if (error->ranks[i] == rank)
			return true;
	return false;
}

Test(world_join, who_never_comes_is_named_to_all_who_did)
{
	for (unsigned seed = 1; seed <= 200; seed++) {
		struct sim sim;
		int missing;

		sim_init(&sim, seed, 10, 5);
		missing = 1 + (int)draw(&sim, 9);
		for (int i = 0; i < sim.nevents; i++)
			if (sim.events[i].rank == missing)
				sim.events[i--] = sim.events[--sim.nevents];
		run(&sim);
		for (int rank = 0; rank < sim.n; rank++) {
			const tutti_error *error = &sim.nodes[rank].join.error;

			if (rank == missing)
				continue;
			cr_assert(eq(int, error->status, TUTTI_ERR_TIMEOUT), "seed %u rank %d", seed, rank);
			cr_assert(eq(int, error->nranks, 1));
			cr_assert(names(error, missing), "seed %u rank %d: %s", seed, rank, error->message);
		}
		sim_fini(&sim);
	}
}

/* ---- ranks that do not fit together ----------------------------------------------------------------------- */

/* They come one after another, within a time that is shorter than rank 0's patience with latecomers. */
static void
come_within(struct sim *sim, int64_t span_ns)
{
	for (int i = 0; i < sim->nevents; i++)
		sim->events[i].when_ns = sim->now_ns + draw(sim, (unsigned)(span_ns / TT_MS)) * TT_MS;
}

/* One of them says what is wrong: another's number, or another size (in turns). Which? */
static int
make_misfit(struct sim *sim, unsigned seed)
{
	const int misfit = 1 + (int)draw(sim, (unsigned)sim->n - 1);

	if (seed % 2 == 0)
		sim->nodes[misfit].number = 1 + misfit % (sim->n - 1);
	else
		sim->nodes[misfit].size += (int)draw(sim, 2) == 0 ? 1 : 5;
	return misfit;
}

static int64_t
last_end(const struct sim *sim)
{
	int64_t last_ns = 0;

	for (int rank = 1; rank < sim->n; rank++)
		if (sim->nodes[rank].started && sim->nodes[rank].ended_ns > last_ns)
			last_ns = sim->nodes[rank].ended_ns;
	return last_ns;
}

Test(world_join, a_mismatch_is_told_to_those_who_come_after_it)
{
	for (unsigned seed = 1; seed <= 400; seed++) {
		struct sim sim;
		int late = 0;

		sim_init(&sim, seed, 3 + (int)(seed % (MOST - 3)), 1 + (int)(seed / 5 % 6));
		come_within(&sim, 300 * TT_MS);
		make_misfit(&sim, seed);
		run(&sim);
		for (int rank = 0; rank < sim.n; rank++) {
			const tutti_error *error = &sim.nodes[rank].join.error;

			cr_assert(eq(int, error->status, TUTTI_ERR_MISMATCH), "seed %u rank %d of %d: %s", seed, rank,
			    sim.n, error->message);
			cr_assert(eq(str, (char *)error->message, sim.nodes[0].join.error.message));
			late += sim.nodes[rank].join.state == TT_JOIN_FAILED;
		}
		cr_assert(eq(int, late, sim.n));
		sim_fini(&sim);
	}
}

Test(world_join, rank_0_leaves_when_the_last_one_has_been_told)
{
	for (unsigned seed = 2; seed <= 200; seed += 2) {
		struct sim sim;

		sim_init(&sim, seed, 3 + (int)(seed % (MOST - 3)), 1);
		come_within(&sim, 300 * TT_MS);
		make_misfit(&sim, seed);
		run(&sim);
		cr_assert(eq(int, sim.nodes[0].join.error.status, TUTTI_ERR_MISMATCH));
		cr_assert(le(long, sim.nodes[0].ended_ns, last_end(&sim)), "seed %u", seed);
		sim_fini(&sim);
	}
}

/* Not for ever: `absent` never comes. */
static void
expect_patience(struct sim *sim, unsigned seed, int64_t most_ns)
{
	int64_t first_ns = INT64_MAX;

	cr_assert(eq(int, sim->nodes[0].join.state, TT_JOIN_FAILED));
	for (int rank = 1; rank < sim->n; rank++)
		if (sim->nodes[rank].started && sim->nodes[rank].ended_ns < first_ns)
			first_ns = sim->nodes[rank].ended_ns;
	cr_assert(le(long, sim->nodes[0].ended_ns, first_ns + most_ns), "seed %u", seed);
}

Test(world_join, rank_0_does_not_wait_for_ever_for_those_who_never_come)
{
	for (unsigned seed = 1; seed <= 100; seed++) {
		struct sim sim;
		int misfit, absent;

		sim_init(&sim, seed, 8, 1 + (int)(seed % 4));
		come_within(&sim, 300 * TT_MS);
		misfit = make_misfit(&sim, seed);
		/* Neither the misfit nor the one whose number it has. */
		for (absent = 1; absent == misfit || absent == sim.nodes[misfit].number; absent++)
			;
		for (int i = 0; i < sim.nevents; i++)
			if (sim.events[i].rank == absent)
				sim.events[i--] = sim.events[--sim.nevents];
		run(&sim);
		expect_patience(&sim, seed, TT_JOIN_LINGER);
		for (int rank = 0; rank < sim.n; rank++)
			cr_assert(rank == absent || sim.nodes[rank].join.error.status == TUTTI_ERR_MISMATCH,
			    "seed %u rank %d: %s", seed, rank, sim.nodes[rank].join.error.message);
		sim_fini(&sim);
	}
}

Test(world_join, rank_0_tells_nobody_after_its_own_deadline)
{
	for (unsigned seed = 1; seed <= 100; seed++) {
		struct sim sim;
		int64_t start_ns;

		sim_init(&sim, seed, 8, 1);
		sim.limit_ns = 500 * TT_MS;
		come_within(&sim, 300 * TT_MS);
		make_misfit(&sim, seed);
		run(&sim);
		start_ns = sim.nodes[0].join.start_ns;
		cr_assert(le(long, sim.nodes[0].ended_ns, start_ns + sim.limit_ns), "seed %u", seed);
		sim_fini(&sim);
	}
}

Test(world_join, a_crash_at_any_time_ends_in_time_with_an_error_or_complete)
{
	int failed = 0, named = 0;

	for (unsigned seed = 1; seed <= 1000; seed++) {
		struct sim sim;
		int victim;

		sim_init(&sim, seed, 2 + (int)(seed % 11), 1 + (int)(seed / 3 % 6));
		victim = (int)draw(&sim, (unsigned)sim.n);
		schedule(&sim, CRASHED, victim, sim.now_ns + draw(&sim, 1800) * TT_MS);
		run(&sim);
		for (int rank = 0; rank < sim.n; rank++) {
			const struct node *node = &sim.nodes[rank];

			if (!node->alive)
				continue;
			cr_assert(node->join.state >= TT_JOIN_DONE);
			cr_assert(le(long, node->ended_ns, 1000 * TT_MS + 1500 * TT_MS + LIMIT + 400 * TT_MS));
			if (node->join.state != TT_JOIN_FAILED)
				continue;
			failed++;
			/* Not a word against the living, but for rank 0 from those who never got to it. */
			for (int other = 0; other < sim.n; other++)
				cr_assert(other == victim || !names(&node->join.error, other) || other == 0,
				    "seed %u rank %d: %s", seed, rank, node->join.error.message);
			named += names(&node->join.error, victim);
		}
		sim_fini(&sim);
	}
	cr_assert(gt(int, failed, 0));
	/* Those who start after the world has failed find nobody; most others know whom to blame. */
	cr_assert(gt(int, named * 100, failed * 80), "%d of %d", named, failed);
}

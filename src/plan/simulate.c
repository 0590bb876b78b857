/* SPDX-License-Identifier: Apache-2.0
 *
 * simulate.c - prices a plan on a machine: events in virtual time.
 *
 * Every lane of every rank has its own time, and so has every rank's sender, which lets one message go after the
 * other; whoever is furthest behind moves next. Shared things are
 * free from some time on: a rank's processor (copies, reductions, posting), its sending and its receiving side, and
 * the two sides of its node's network card. A message is under way for latency + bytes * s_per_byte; its sender may
 * go on when the last byte has left. Receives are posted in time or late, never flow-controlled. Node-stage steps
 * have closed forms. Nothing here knows of real time.
 */
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/port.h"
#include "plan/geometry.h"
#include "plan/labour.h"

#define FIRST_PAIRS 4096 /* a power of two */
#define IN_VAIN 0.5 /* of turns that ranks are given which wait for something, too */
#define NOT_YET (-1)
#define NOBODY (-2)

struct arrival {
	double first, at; /* its first byte, and its last */
	uint32_t next;
};

/* Posted at its sender; free again when its lane has waited for it. */
struct message {
	double at; /* posted; once it has gone: when its last byte has left */
	size_t bytes;
	int dst, lane;
	uint32_t next, waiter; /* waiter: lane + 1 */
	bool gone;
};

/* One direction of one pair on one lane: arrivals nobody has taken yet. */
struct line {
	uint32_t first, last, waiter; /* 0 = none; waiter: lane + 1 */
};

struct pair {
	uint64_t key; /* src * nranks + dst + 1; 0 = empty */
	size_t line; /* of lane 0 */
};

struct posted {
	double at; /* of a receive */
	uint32_t step, message;
};

struct lane {
	double now;
	int rank, lane, slice;
	uint32_t pc, nposted, waited;
	struct posted *posted;
	uint32_t next; /* of its rank's that wait for their core, + 1 */
	bool asleep; /* until its time has come: its core is free for others */
};

struct host {
	double sends_free, receives_free; /* the network card */
	int members;
};

/* The members of one node on one lane at a step of the node stage. */
struct meeting {
	int arrived;
	double latest;
};

struct side {
	double sends, receives; /* free from then on */
	double next_send; /* the sender's time, while it has messages */
	uint32_t first, last; /* its messages, 0 = none */
	int left, awake; /* lanes that have not ended; that want the core */
	bool called;
	uint32_t waits; /* its lanes that wait for the core, + 1 */
	int next; /* in the core's queue, + 1 */
	bool queued; /* ... in which it is, perhaps with no lane that still waits */
};

struct core {
	double free_at;
	int rank; /* that it works for, NOT_YET, or NOBODY */
	int ranks; /* that share it */
	int waiting; /* of them: in the middle of the call */
	int first, last; /* ranks that wait for it, + 1 */
};

struct simulation {
	const struct tt_plan *const *plans;
	const struct tt_machine *machine;
	const int *node_of;
	int nranks, nhosts, slices, window;
	struct tt_widths widths;
	struct tt_geometry *geometry;
	struct side *sides;
	struct core *cores; /* of ranks, or as the machine says */
	struct host *hosts;
	struct meeting *meetings; /* [nhosts * window] */
	struct lane *lanes;
	struct posted *posted;
	uint32_t *heap, nheap; /* lanes and, after all lanes, senders that can move, by time */
	struct pair *pairs; /* a table by src and dst, [pairs_room], a power of two */
	size_t npairs, pairs_room;
	struct line *lines;
	size_t nlines, lines_room;
	struct arrival *arrivals;
	size_t narrivals, arrivals_room;
	struct message *messages;
	size_t nmessages, messages_room;
	uint32_t free_arrival, free_message;
	struct tt_piece *pieces;
	double end;
	uint32_t lanes_left;
};

/* ---- who is next ------------------------------------------------------------------------------------------- */

static uint32_t
sender_of(const struct simulation *s, int rank)
{
	return (uint32_t)(s->nranks * s->window + rank);
}

static double
time_of(const struct simulation *s, uint32_t who)
{
	const uint32_t lanes = sender_of(s, 0);

	return who < lanes ? s->lanes[who].now : s->sides[who - lanes].next_send;
}

static bool
earlier(const struct simulation *s, uint32_t a, uint32_t b)
{
	const double at = time_of(s, a), bt = time_of(s, b);

	return at < bt || (at <= bt && a < b);
}

static void
heap_push(struct simulation *s, uint32_t lane)
{
	uint32_t i = s->nheap++;

	for (; i && earlier(s, lane, s->heap[(i - 1) / 2]); i = (i - 1) / 2)
		s->heap[i] = s->heap[(i - 1) / 2];
	s->heap[i] = lane;
}

static uint32_t
heap_pop(struct simulation *s)
{
	const uint32_t top = s->heap[0], last = s->heap[--s->nheap];
	uint32_t i = 0;

	for (uint32_t child = 1; child < s->nheap; child = 2 * i + 1) {
		if (child + 1 < s->nheap && earlier(s, s->heap[child + 1], s->heap[child]))
			child++;
		if (!earlier(s, s->heap[child], last))
			break;
		s->heap[i] = s->heap[child];
		i = child;
	}
	s->heap[i] = last;
	return top;
}

/* ---- resources ----------------------------------------------------------------------------------------------- */

static double
later(double a, double b)
{
	return a > b ? a : b;
}

static struct core *
core_of(const struct simulation *s, int rank)
{
	return &s->cores[s->machine->core_of ? s->machine->core_of[rank] : rank];
}

static void
use_processor(struct simulation *s, struct lane *l, double seconds)
{
	struct core *core = core_of(s, l->rank);

	if (seconds <= 0)
		return;
	l->now = later(l->now, core->free_at) + seconds;
	core->free_at = l->now;
}

static void
rouse(struct simulation *s, const struct lane *l)
{
	if (s->sides[l->rank].awake++ == 0)
		core_of(s, l->rank)->waiting--;
}

static bool
push_waiting(struct simulation *s, struct side *side, double from)
{
	const bool any = side->waits != 0;

	for (; side->waits; side->waits = s->lanes[side->waits - 1].next) {
		struct lane *l = &s->lanes[side->waits - 1];

		l->now = later(l->now, from);
		heap_push(s, side->waits - 1);
	}
	return any;
}

/* First come, first served; all lanes of a rank together. */
static void
wait_for_core(struct simulation *s, struct core *core, uint32_t lane)
{
	struct lane *l = &s->lanes[lane];
	struct side *side = &s->sides[l->rank];

	if (!side->queued) {
		side->queued = true;
		side->next = 0;
		*(core->first ? &s->sides[core->last - 1].next : &core->first) = l->rank + 1;
		core->last = l->rank + 1;
	}
	l->next = side->waits;
	side->waits = lane + 1;
}

/* A rank has its core until all its lanes wait for something. Then whoever wants it gets it, which takes a turn of the
 * scheduler. false: the lane has to wait. */
static bool
take_core(struct simulation *s, uint32_t lane)
{
	struct lane *l = &s->lanes[lane];
	struct core *core = core_of(s, l->rank);

	if (l->asleep) {
		l->asleep = false;
		rouse(s, l);
	}
	if (core->rank == l->rank || s->machine->core_of == NULL)
		return true;
	if (core->rank >= 0 && s->sides[core->rank].awake > 0) {
		wait_for_core(s, core, lane);
		return false;
	}
	if (core->rank != NOT_YET)
		l->now = later(l->now, core->free_at) + s->machine->turn_s * (1 + core->waiting * IN_VAIN);
	core->free_at = later(core->free_at, l->now);
	core->rank = l->rank;
	(void)push_waiting(s, &s->sides[l->rank], core->free_at);
	return true;
}

/* A lane waits, or has ended. */
static void
leave_core(struct simulation *s, const struct lane *l)
{
	struct core *core = core_of(s, l->rank);

	if (--s->sides[l->rank].awake > 0)
		return;
	core->waiting += s->sides[l->rank].left > 0;
	if (core->ranks > 1)
		core->rank = NOBODY; /* others look for what they wait for */
	while (core->first) {
		struct side *side = &s->sides[core->first - 1];

		core->first = side->next;
		side->queued = false;
		if (push_waiting(s, side, core->free_at))
			return;
	}
}

/* A lane knows when it can go on: its core is free until then, if others share it. */
static bool
sleeps_until(struct simulation *s, uint32_t lane, double at)
{
	struct lane *l = &s->lanes[lane];

	if (s->machine->core_of == NULL || at <= l->now)
		return false;
	l->now = at;
	l->asleep = true;
	heap_push(s, lane);
	return true;
}

/* What a lane has waited for is there. */
static void
wake(struct simulation *s, uint32_t lane)
{
	rouse(s, &s->lanes[lane]);
	heap_push(s, lane);
}

static int
host_of(const struct simulation *s, int rank)
{
	return s->node_of ? s->node_of[rank] : rank;
}

static size_t
bytes_of(struct simulation *s, const struct lane *l, const struct tt_span *span)
{
	size_t bytes = 0;

	if (span->buffer == TT_TOKEN)
		return 0;
	const int n = tt_geometry_pieces(&s->geometry[l->rank], span, l->slice, l->lane, s->pieces);

	for (int i = 0; i < n; i++)
		bytes += s->pieces[i].len;
	return bytes;
}

static tutti_status
grow(void **array, size_t used, size_t *room, size_t size)
{
	const size_t to = 2 * *room + 256;
	void *more;

	if (used < *room)
		return TUTTI_OK;
	TT_TRY(tt_alloc(to, size, "the simulation", &more));
	if (*array)
		memcpy(more, *array, used * size);
	tt_free(*array);
	*array = more;
	*room = to;
	return TUTTI_OK;
}

static struct pair *
find_pair(struct pair *pairs, size_t room, uint64_t key)
{
	size_t at = (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (room - 1);

	while (pairs[at].key != 0 && pairs[at].key != key)
		at = (at + 1) & (room - 1);
	return &pairs[at];
}

/* Few pairs of many ranks ever talk: a table of all would be most of the memory. */
static tutti_status
grow_pairs(struct simulation *s)
{
	const size_t room = 4 * s->pairs_room;
	void *memory;

	if (2 * s->npairs < s->pairs_room)
		return TUTTI_OK;
	TT_TRY(tt_alloc(room, sizeof(*s->pairs), "the simulation", &memory));
	for (size_t i = 0; i < s->pairs_room; i++)
		if (s->pairs[i].key != 0)
			*find_pair(memory, room, s->pairs[i].key) = s->pairs[i];
	tt_free(s->pairs);
	s->pairs = memory;
	s->pairs_room = room;
	return TUTTI_OK;
}

static tutti_status
line_of(struct simulation *s, int src, int dst, int lane, struct line **line)
{
	const uint64_t key = (uint64_t)src * (uint64_t)s->nranks + (uint64_t)dst + 1;
	struct pair *pair = find_pair(s->pairs, s->pairs_room, key);

	if (pair->key == 0) {
		TT_TRY(grow_pairs(s));
		pair = find_pair(s->pairs, s->pairs_room, key);
		*pair = (struct pair){.key = key, .line = s->nlines};
		s->npairs++;
		for (int i = 0; i < s->window; i++) {
			TT_TRY(grow((void **)&s->lines, s->nlines, &s->lines_room, sizeof(*s->lines)));
			s->lines[s->nlines++] = (struct line){0};
		}
	}
	*line = &s->lines[pair->line + (size_t)lane];
	return TUTTI_OK;
}

/* ---- messages ------------------------------------------------------------------------------------------------ */

static tutti_status
arrive(struct simulation *s, struct line *line, struct arrival arrival)
{
	uint32_t i = s->free_arrival;

	if (i) {
		s->free_arrival = s->arrivals[i].next;
	} else {
		TT_TRY(grow((void **)&s->arrivals, s->narrivals, &s->arrivals_room, sizeof(*s->arrivals)));
		i = (uint32_t)s->narrivals++;
	}
	s->arrivals[i] = arrival;
	if (line->last)
		s->arrivals[line->last].next = i;
	else
		line->first = i;
	line->last = i;
	if (line->waiter) {
		wake(s, line->waiter - 1);
		line->waiter = 0;
	}
	return TUTTI_OK;
}

static const struct tt_link_class *
link_between(const struct simulation *s, int a, int b)
{
	return host_of(s, a) == host_of(s, b) ? &s->machine->same_node : &s->machine->between_nodes;
}

static double
one_way_of(const struct tt_link_class *link)
{
	return link->one_way_s_per_byte > 0 ? link->one_way_s_per_byte : link->s_per_byte;
}

/* A message goes at `begin`, or when the node's card is free: when is it there? */
static struct arrival
transmit(struct simulation *s, int src, struct message *m, double begin)
{
	struct host *from = &s->hosts[host_of(s, src)], *to = &s->hosts[host_of(s, m->dst)];
	const bool inside = from == to;
	const struct tt_link_class *link = link_between(s, src, m->dst);
	const double card = inside ? 0 : (double)m->bytes * s->machine->node_s_per_byte;
	const double wire = later((double)m->bytes * one_way_of(link), card);
	double comes;

	if (!inside) {
		begin = later(begin, from->sends_free);
		from->sends_free = begin + card;
	}
	m->at = begin + wire;
	m->gone = true;
	s->sides[src].sends = m->at;
	comes = later(begin + link->latency_s, s->sides[m->dst].receives);
	if (!inside) {
		comes = later(comes, to->receives_free);
		to->receives_free = comes + card;
	}
	s->sides[m->dst].receives = comes + later(wire, link->overhead_s);
	return (struct arrival){.first = comes, .at = comes + wire};
}

/* The sender lets its first message go. */
static tutti_status
run_sender(struct simulation *s, int rank)
{
	struct side *side = &s->sides[rank];
	struct message *m = &s->messages[side->first];
	struct line *line;

	TT_TRY(line_of(s, rank, m->dst, m->lane, &line));
	TT_TRY(arrive(s, line, transmit(s, rank, m, side->next_send)));
	if (m->waiter)
		wake(s, m->waiter - 1);
	m->waiter = 0;
	side->first = m->next;
	if (side->first) {
		side->next_send = later(s->messages[side->first].at, side->sends);
		heap_push(s, sender_of(s, rank));
	} else {
		side->last = 0;
	}
	return TUTTI_OK;
}

static tutti_status
run_send(struct simulation *s, struct lane *l, const struct tt_step *step, bool token, size_t bytes)
{
	const struct tt_link_class *link = link_between(s, l->rank, step->peer);
	struct side *side = &s->sides[l->rank];
	uint32_t i = s->free_message;

	if (bytes == 0 && !token)
		return TUTTI_OK;
	if (i) {
		s->free_message = s->messages[i].next;
	} else {
		TT_TRY(grow((void **)&s->messages, s->nmessages, &s->messages_room, sizeof(*s->messages)));
		i = (uint32_t)s->nmessages++;
	}
	l->now = later(l->now, core_of(s, l->rank)->free_at);
	s->messages[i] = (struct message){.at = l->now, .bytes = bytes, .dst = step->peer, .lane = l->lane};
	l->posted[l->nposted++] = (struct posted){.step = l->pc, .message = i};
	if (side->last) {
		s->messages[side->last].next = i;
	} else {
		side->first = i;
		side->next_send = later(l->now, side->sends);
		heap_push(s, sender_of(s, l->rank));
	}
	side->last = i;
	use_processor(s, l, link->overhead_s + (double)bytes * link->s_per_byte / 2);
	return TUTTI_OK;
}

/* A posted send: has its last byte left? */
static bool
take_message(struct simulation *s, uint32_t lane, const struct posted *posted)
{
	struct message *m = &s->messages[posted->message];
	struct lane *l = &s->lanes[lane];

	if (!m->gone) {
		m->waiter = lane + 1;
		return false;
	}
	if (sleeps_until(s, lane, m->at))
		return false;
	l->now = later(l->now, m->at);
	m->next = s->free_message;
	s->free_message = posted->message;
	return true;
}

/* The processor's part of what has come. What is added as it arrives in shared memory is read there, not copied. */
static void
take_in(struct simulation *s, struct lane *l, const struct tt_step *step)
{
	const struct tt_machine *m = s->machine;
	const double bytes = (double)bytes_of(s, l, &s->plans[l->rank]->spans[step->span]);
	const double folded = host_of(s, l->rank) == host_of(s, step->peer) ? m->copy_s_per_byte / 2 : 0;
	double each = link_between(s, l->rank, step->peer)->s_per_byte / 2;

	if (step->kind == TT_RECV_REDUCE)
		each = later(each - folded, 0) + 2 * m->reduce_s_per_byte;
	use_processor(s, l, bytes * each);
}

/* A posted receive: take the arrival if it is there. */
static tutti_status
take_arrival(struct simulation *s, uint32_t lane, const struct posted *posted, bool *taken)
{
	struct lane *l = &s->lanes[lane];
	const struct tt_plan *plan = s->plans[l->rank];
	const struct tt_step *step = &plan->steps[posted->step];
	struct line *line;

	TT_TRY(line_of(s, step->peer, l->rank, l->lane, &line));
	*taken = line->first != 0;
	if (!*taken) {
		line->waiter = lane + 1;
		return TUTTI_OK;
	}
	const uint32_t i = line->first;

	if (sleeps_until(s, lane, s->arrivals[i].first)) {
		*taken = false;
		return TUTTI_OK;
	}
	line->first = s->arrivals[i].next;
	if (line->first == 0)
		line->last = 0;
	l->now = later(later(l->now, s->arrivals[i].first), posted->at);
	take_in(s, l, step);
	l->now = later(l->now, s->arrivals[i].at);
	s->arrivals[i].next = s->free_arrival;
	s->free_arrival = i;
	return TUTTI_OK;
}

static tutti_status
run_wait(struct simulation *s, uint32_t lane, bool *over)
{
	struct lane *l = &s->lanes[lane];

	*over = true;
	for (; l->waited < l->nposted; l->waited++) {
		const struct posted *p = &l->posted[l->waited];

		if (s->plans[l->rank]->steps[p->step].kind == TT_SEND)
			*over = take_message(s, lane, p);
		else
			TT_TRY(take_arrival(s, lane, p, over));
		if (!*over)
			return TUTTI_OK;
	}
	l->nposted = l->waited = 0;
	return TUTTI_OK;
}

/* ---- the node stage ------------------------------------------------------------------------------------------ */

static double
node_seconds(struct simulation *s, const struct lane *l, const struct tt_step *step)
{
	const struct tt_machine *m = s->machine;
	const struct tt_span *spans = &s->plans[l->rank]->spans[step->span];
	const double meet = tt_machine_meet(m);
	const double members = s->hosts[host_of(s, l->rank)].members;
	const double dst = step->nspans > 0 ? (double)bytes_of(s, l, &spans[0]) : 0;
	const double src = step->nspans > 1 ? (double)bytes_of(s, l, &spans[1]) : 0;
	const struct tt_labour labour = tt_labour_of(m, (enum tt_step_kind)step->kind, dst, src, members);
	const double share = m->cores > 0 ? (double)(((int)members - 1) / m->cores + 1) : 0; /* of a core */
	const double again = meet + share * m->turn_s;

	return (members > 1 ? meet + again * labour.meetings : 0) +
	       later(labour.busiest, labour.all * share / members);
}

/* Of others a root needs what they have, or they what it has: no two wait for each other. */
static bool
waits_one_way(const struct tt_step *step)
{
	return step->kind == TT_NODE_REDUCE || step->kind == TT_NODE_GATHER || step->kind == TT_NODE_BROADCAST ||
	       step->kind == TT_NODE_SCATTER;
}

/* The last member to come lets all go on. */
static void
run_node(struct simulation *s, uint32_t lane, const struct tt_step *step)
{
	struct lane *l = &s->lanes[lane];
	const int host = host_of(s, l->rank);
	struct meeting *meeting = &s->meetings[host * s->window + l->lane];

	meeting->latest = later(meeting->latest, later(l->now, core_of(s, l->rank)->free_at));
	if (++meeting->arrived < s->hosts[host].members)
		return;
	const double end = meeting->latest + node_seconds(s, l, step);

	*meeting = (struct meeting){0};
	for (int r = 0; r < s->nranks; r++) {
		const uint32_t other = (uint32_t)(r * s->window + l->lane);

		if (host_of(s, r) != host)
			continue;
		s->lanes[other].now = end;
		s->lanes[other].pc++;
		core_of(s, r)->free_at = end;
		if (s->machine->core_of != NULL && !waits_one_way(step))
			core_of(s, r)->rank = NOBODY;
		wake(s, other);
	}
}

/* ---- the run ------------------------------------------------------------------------------------------------- */

static tutti_status
run_step(struct simulation *s, uint32_t lane, bool *over)
{
	struct lane *l = &s->lanes[lane];
	const struct tt_plan *plan = s->plans[l->rank];
	const struct tt_step *step = &plan->steps[l->pc];
	const struct tt_span *spans = step->nspans ? &plan->spans[step->span] : NULL;
	const bool token = spans && spans->buffer == TT_TOKEN;

	*over = true;
	if (step->kind >= TT_NODE_ALL_REDUCE) {
		run_node(s, lane, step);
		*over = false;
		return TUTTI_OK;
	}
	if (step->kind == TT_WAIT)
		return run_wait(s, lane, over);

	const size_t bytes = bytes_of(s, l, spans);

	if (step->kind == TT_COPY)
		use_processor(s, l, (double)bytes * tt_machine_kept(s->machine));
	else if (step->kind == TT_REDUCE_STEP)
		use_processor(s, l, (step->nspans - 1) * (double)bytes * s->machine->reduce_s_per_byte);
	else if (step->kind == TT_SEND)
		return run_send(s, l, step, token, bytes);
	else if (bytes || token)
		l->posted[l->nposted++] = (struct posted){.at = l->now, .step = l->pc};
	return TUTTI_OK;
}

static tutti_status
run_lane(struct simulation *s, uint32_t lane)
{
	struct lane *l = &s->lanes[lane];
	const struct tt_plan *plan = s->plans[l->rank];

	if (!take_core(s, lane))
		return TUTTI_OK;
	if (!s->sides[l->rank].called)
		use_processor(s, l, s->machine->call_s);
	s->sides[l->rank].called = true;
	for (;;) {
		bool over;

		if (l->pc == plan->nsteps) {
			l->pc = 0;
			l->slice += s->window;
			if (l->slice >= s->slices) {
				s->end = later(s->end, l->now);
				s->lanes_left--;
				s->sides[l->rank].left--;
				leave_core(s, l);
				return TUTTI_OK;
			}
			continue;
		}
		TT_TRY(run_step(s, lane, &over));
		if (!over) {
			leave_core(s, l);
			return TUTTI_OK;
		}
		l->pc++;
		if (s->nheap && earlier(s, s->heap[0], lane)) {
			heap_push(s, lane);
			return TUTTI_OK;
		}
	}
}

static tutti_status
take(void *array, size_t n, size_t size)
{
	void *memory;

	TT_TRY(tt_alloc(n ? n : 1, size, "the simulation", &memory));
	memcpy(array, &memory, sizeof(memory));
	return TUTTI_OK;
}

static tutti_status
build(struct simulation *s)
{
	const size_t n = (size_t)s->nranks, lanes = n * (size_t)s->window;
	size_t rows = n, posts = 0, at = 0;
	int ncores = s->nranks;

	for (int r = 0; r < s->nranks; r++) {
		const size_t slots = (size_t)s->plans[r]->tmp_slots;

		rows = slots > rows ? slots : rows;
		posts += s->plans[r]->posted_most;
		s->nhosts = host_of(s, r) >= s->nhosts ? host_of(s, r) + 1 : s->nhosts;
		if (s->machine->core_of != NULL && s->machine->core_of[r] >= ncores)
			ncores = s->machine->core_of[r] + 1;
	}
	TT_TRY(take(&s->geometry, n, sizeof(*s->geometry)));
	TT_TRY(take(&s->sides, n, sizeof(*s->sides)));
	TT_TRY(take(&s->cores, (size_t)ncores, sizeof(*s->cores)));
	TT_TRY(take(&s->hosts, (size_t)s->nhosts, sizeof(*s->hosts)));
	TT_TRY(take(&s->meetings, (size_t)(s->nhosts * s->window), sizeof(*s->meetings)));
	TT_TRY(take(&s->lanes, lanes, sizeof(*s->lanes)));
	TT_TRY(take(&s->heap, lanes + n, sizeof(*s->heap)));
	TT_TRY(take(&s->posted, posts * (size_t)s->window, sizeof(*s->posted)));
	s->pairs_room = FIRST_PAIRS;
	TT_TRY(take(&s->pairs, s->pairs_room, sizeof(*s->pairs)));
	TT_TRY(take(&s->pieces, 2 * rows, sizeof(*s->pieces)));
	s->narrivals = s->nmessages = 1; /* number 0 means none */
	TT_TRY(take(&s->arrivals, 256, sizeof(*s->arrivals)));
	TT_TRY(take(&s->messages, 256, sizeof(*s->messages)));
	s->arrivals_room = s->messages_room = 256;
	for (int c = 0; c < ncores; c++)
		s->cores[c].rank = NOT_YET;
	for (int r = 0; r < s->nranks; r++) {
		tt_geometry_init(&s->geometry[r], s->plans[r], &s->widths, s->slices, s->window);
		s->hosts[host_of(s, r)].members++;
		s->sides[r].left = s->sides[r].awake = s->window;
		core_of(s, r)->ranks++;
		for (int l = 0; l < s->window; l++) {
			s->lanes[r * s->window + l] =
			    (struct lane){.rank = r, .lane = l, .slice = l, .posted = s->posted + at};
			at += s->plans[r]->posted_most;
		}
	}
	return TUTTI_OK;
}

static void
drop(struct simulation *s)
{
	void *const owned[] = {s->geometry, s->sides, s->cores, s->hosts, s->meetings, s->lanes, s->heap, s->posted,
	    s->pairs, s->pieces, s->lines, s->arrivals, s->messages};

	for (size_t i = 0; i < TT_COUNT_OF(owned); i++)
		tt_free(owned[i]);
}

tutti_status
tt_plan_simulate(const struct tt_plan *const *plans, int nranks, const int *node_of, const struct tt_machine *machine,
    size_t row_bytes, int slices, int window, double *seconds)
{
	struct simulation s = {.plans = plans,
	    .machine = machine,
	    .node_of = node_of,
	    .nranks = nranks,
	    .slices = slices,
	    .window = window < slices ? window : slices};
	tutti_status status;

	if (nranks < 1 || slices < 1 || window < 1)
		return tt_fail(
		    TUTTI_ERR_ARGUMENT, -1, "a simulation needs ranks, slices and a window: at least one each");
	s.widths = (struct tt_widths){
	    .collective = plans[0]->shape.collective, .nranks = nranks, .count = row_bytes, .widest = row_bytes};
	status = build(&s);
	s.lanes_left = sender_of(&s, 0);
	for (uint32_t i = 0; status == TUTTI_OK && i < s.lanes_left; i++)
		heap_push(&s, i);
	while (status == TUTTI_OK && s.nheap) {
		const uint32_t who = heap_pop(&s);

		status = who < sender_of(&s, 0) ? run_lane(&s, who) : run_sender(&s, (int)(who - sender_of(&s, 0)));
	}
	drop(&s);
	if (status == TUTTI_OK && s.lanes_left)
		status = tt_fail(
		    TUTTI_ERR_INTERNAL, -1, "the plans of %s never end: check them first", plans[0]->algorithm);
	if (status == TUTTI_OK)
		*seconds = s.end;
	return status;
}

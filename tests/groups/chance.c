/* SPDX-License-Identifier: Apache-2.0
 *
 * chance.c - the same calls on all ranks, cut into groups and single calls as each rank likes, or alike on all.
 *
 * What is called follows from the seed; how it is cut, in or out of place, aligned or not, blocking or not, is each
 * rank's own choice. Inputs are exact, and every byte of every buffer and around it is checked (exact.h).
 */
#include <stdio.h>
#include <string.h>

#include "exact.h"
#include "groups.h"
#include "random.h"

#define MOST_CALLS 72
#define VOLLEYS 2 /* in flight at once */
#define COMMS 4 /* communicators of one family */

struct shot {
	struct exact_case c;
	struct exact_call *call;
	tutti_request *request;
	tutti_status status;
};

struct volley {
	int comm, n;
	struct shot shot[MOST_CALLS];
};

struct chance {
	struct job_rank *me;
	tutti_comm *comm[COMMS];
	int ncomms;
	struct random shared, own;
	struct volley volley[VOLLEYS];
	int step;
};

/* ---- what is called ----------------------------------------------------------------------------------------------- */

static void
draw_type(struct random *random, struct exact_case *c)
{
	do {
		c->dtype = (tutti_dtype)random_below(random, TUTTI_BOOL + 1);
		c->op = (tutti_op)random_below(random, TUTTI_BXOR + 1);
	} while (!exact_allows(c->op, c->dtype));
}

static size_t
draw_count(struct random *random, size_t usual)
{
	static const size_t most[] = {2, 9, 100, 1000, 20000};

	switch (random_below(random, 12)) {
	case 0:
		return 0;
	case 1:
		return random_below(random, most[random_below(random, 5)]);
	default:
		return usual;
	}
}

/* Mostly runs of one type and count, as gradients are; something else now and then. */
static void
draw(struct chance *chance, struct volley *v)
{
	struct random *random = &chance->shared;
	static const size_t most[] = {8, 64, 600, 5000};
	struct exact_case c = {.kind = EXACT_ALL_REDUCE};
	size_t usual = 1 + random_below(random, most[random_below(random, 4)]);

	v->comm = (int)random_below(random, (uint64_t)chance->ncomms);
	v->n = 1 + (int)random_below(random, MOST_CALLS);
	c.size = tutti_comm_size(chance->comm[v->comm]);
	draw_type(random, &c);
	for (int i = 0; i < v->n; i++) {
		const uint64_t seed = random_next(random);

		/* One half of a communicator need not know what the other half calls. */
		c.kind = random_below(random, 25) == 0 ? EXACT_BROADCAST : EXACT_ALL_REDUCE;
		c.root = (int)(seed % (uint64_t)c.size);
		c.place = (enum exact_place)(seed % 3);
		c.count = draw_count(random, usual);
		c.seed = seed % 1000;
		v->shot[i] = (struct shot){.c = c};
		if (random_below(random, 20) == 0)
			draw_type(random, &c);
	}
}

/* ---- how ------------------------------------------------------------------------------------------------------------ */

static void
call(struct chance *chance, struct volley *v, int i, tutti_request **request)
{
	struct shot *shot = &v->shot[i];

	shot->call = exact_issue(chance->comm[v->comm], &shot->c, request);
	shot->status = exact_issued(shot->call);
}

/* Calls begin ... end - 1. The request of a group is that of its last call. */
static void
call_group(struct chance *chance, struct volley *v, int begin, int end, bool blocking)
{
	tutti_comm *comm = chance->comm[v->comm];
	struct shot *last = &v->shot[end - 1];
	tutti_status status = tutti_group_begin(comm);

	for (int i = begin; i < end; i++)
		call(chance, v, i, NULL);
	if (status == TUTTI_OK)
		status = tutti_group_end(comm, blocking ? NULL : &last->request);
	if (status != TUTTI_OK)
		last->status = status;
}

static void
issue(struct chance *chance, struct volley *v, bool alike)
{
	struct random *own = &chance->own;
	const bool pieces = !alike && random_below(own, 3) == 0;
	int begin = 0;

	while (begin < v->n) {
		const uint64_t left = (uint64_t)(v->n - begin);
		const int end = begin + (pieces ? 1 + (int)random_below(own, left) : (int)left);
		const bool blocking = random_below(own, 2) == 0;

		if (alike || random_below(own, 3) != 0)
			call_group(chance, v, begin, end, blocking);
		else
			for (int i = begin; i < end; i++)
				call(chance, v, i, blocking ? NULL : &v->shot[i].request);
		begin = end;
	}
}

/* ---- and whether it was right --------------------------------------------------------------------------------------- */

static int
finish(struct chance *chance, struct volley *v)
{
	char why[768], text[256];
	int bad = 0;

	for (int i = v->n - 1; i >= 0; i--)
		if (v->shot[i].request != NULL)
			v->shot[i].status = tutti_wait(&v->shot[i].request);
	for (int i = 0; i < v->n; i++) {
		if (exact_end(v->shot[i].call, v->shot[i].status, why, sizeof(why)) == EXACT_RIGHT || bad)
			continue;
		exact_print(&v->shot[i].c, text, sizeof(text));
		bad = job_complain(chance->me, "step %d, call %d of %d (%s) on communicator %d: %s", chance->step, i,
		    v->n, text, v->comm, why);
	}
	v->n = 0;
	return bad;
}

static int
add(struct chance *chance, int color, int key, const tutti_config *config)
{
	const int bad = groups_check(chance->me,
	    tutti_comm_split(chance->comm[0], color, key, config, &chance->comm[chance->ncomms]), "a split");

	chance->ncomms += bad == 0;
	return bad;
}

/* A communicator and what is split from it: in another order, in halves, over TCP if that is allowed. */
static int
gather_family(struct chance *chance)
{
	const struct plan *plan = chance->me->context;
	tutti_config config = TUTTI_CONFIG_INIT;
	int bad = groups_comm(chance->me, 0, &chance->comm[0]), rank;

	if (bad)
		return bad;
	chance->ncomms = 1;
	rank = tutti_comm_rank(chance->comm[0]);
	config.transports = "tcp";
	bad = add(chance, 0, -rank, NULL) || add(chance, rank % 2, rank, NULL);
	if (!bad && (plan->transports == NULL || strstr(plan->transports, "tcp") != NULL))
		bad = add(chance, 0, rank, &config);
	return bad;
}

static int
campaign(struct job_rank *me)
{
	const struct plan *plan = me->context;
	static _Thread_local struct chance chance;
	int bad;

	memset(&chance, 0, sizeof(chance));
	chance.me = me;
	chance.shared.state = mix64(plan->seed);
	chance.own.state = mix64(plan->seed * 1000 + (uint64_t)me->rank);
	bad = gather_family(&chance);
	for (chance.step = 0; chance.step < plan->steps && !bad; chance.step++) {
		struct volley *v = &chance.volley[chance.step % VOLLEYS];

		draw(&chance, v);
		if (!plan->env)
			job_doing(me, "step %d, %d calls", chance.step, v->n);
		issue(&chance, v, random_below(&chance.shared, 2) == 0);
		bad = finish(&chance, &chance.volley[(chance.step + 1) % VOLLEYS]);
	}
	for (int i = 0; i < VOLLEYS; i++)
		bad = finish(&chance, &chance.volley[i]) || bad;
	while (chance.ncomms > 0)
		tutti_comm_destroy(chance.comm[--chance.ncomms]);
	return bad;
}

const struct scenario chance_scenarios[] = {
    {"chance", "however ranks cut the same calls into groups, every result is exact", 1, false, campaign},
    {NULL, NULL, 0, false, NULL},
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * family.c - pending operations of parents, children and siblings advance together.
 */
#include <stdlib.h>

#include "splits.h"

#define COUNT 300000

static void
fill(int32_t *v, int value)
{
	for (int i = 0; i < COUNT; i++)
		v[i] = value;
}

static int
check(struct job_rank *me, const int32_t *v, int value, const char *what)
{
	for (int i = 0; i < COUNT; i++)
		if (v[i] != value)
			return job_complain(me, "%s: element %d is %d, not %d", what, i, v[i], value);
	return 0;
}

/* Of each relative: one operation on every rank. */
struct pending {
	tutti_comm *comm[3];
	int32_t *v[3];
	tutti_request *request[3];
};

static int
begin(struct job_rank *me, struct pending *p)
{
	int bad = scenario_comm(me, &p->comm[0]);

	bad = bad || scenario_check(me, tutti_comm_split(p->comm[0], 0, -me->rank, NULL, &p->comm[1]), "split");
	bad = bad || scenario_check(me, tutti_comm_split(p->comm[1], 0, 0, NULL, &p->comm[2]), "split");
	for (int c = 0; c < 3 && !bad; c++) {
		p->v[c] = malloc(COUNT * sizeof(int32_t));
		fill(p->v[c], me->rank + c);
	}
	for (int c = 0; c < 3 && !bad; c++)
		bad = scenario_check(me,
		    tutti_all_reduce(
			p->comm[c], p->v[c], p->v[c], COUNT, TUTTI_INT32, TUTTI_SUM, NULL, &p->request[c]),
		    "all_reduce");
	return bad;
}

static int
end(struct job_rank *me, struct pending *p, int bad)
{
	for (int c = 0; c < 3; c++) {
		bad = bad || check(me, p->v[c], me->size * (me->size - 1) / 2 + c * me->size, "a relative");
		tutti_comm_destroy(p->comm[c]);
		free(p->v[c]);
	}
	return bad;
}

/* Rank r begins to wait at relative r mod 3. */
static int
opposite(struct job_rank *me)
{
	struct pending p = {{NULL}, {NULL}, {NULL}};
	int bad = begin(me, &p);

	for (int c = 0; c < 3 && !bad; c++) {
		job_doing(me, "waiting for relative %d", (c + me->rank) % 3);
		bad = scenario_check(me, tutti_wait(&p.request[(c + me->rank) % 3]), "wait");
	}
	return end(me, &p, bad);
}

static int
opposite_tests(struct job_rank *me)
{
	struct pending p = {{NULL}, {NULL}, {NULL}};
	int bad = begin(me, &p);

	for (int c = 0; c < 3 && !bad; c++) {
		tutti_request **request = &p.request[(c + me->rank) % 3];

		job_doing(me, "testing relative %d", (c + me->rank) % 3);
		for (int done = 0; !done && !bad;)
			bad = scenario_check(me, tutti_test(request, &done), "test");
	}
	return end(me, &p, bad);
}

/* A blocking call drives what is pending on a relative. */
static int
blocking(struct job_rank *me)
{
	struct pending p = {{NULL}, {NULL}, {NULL}};
	int bad = begin(me, &p);

	if (me->rank == 0)
		bad = bad || scenario_check(me, tutti_wait(&p.request[0]), "wait");
	bad = bad || scenario_check(me, tutti_barrier(p.comm[2], NULL, NULL), "barrier of the grandchild");
	for (int c = 0; c < 3 && !bad; c++)
		bad = scenario_check(me, tutti_wait(&p.request[c]), "wait");
	return end(me, &p, bad);
}

/* The parent's operations are pending while it splits. */
static int
pending_split(struct job_rank *me)
{
	enum { MANY = 5 };
	int32_t *v = malloc(MANY * COUNT * sizeof(*v));
	tutti_request *requests[MANY] = {NULL};
	tutti_comm *comm, *child;
	int bad = scenario_comm(me, &comm);

	if (bad)
		return bad;
	for (int k = 0; k < MANY && !bad; k++) {
		fill(v + (size_t)k * COUNT, me->rank + k);
		bad = scenario_check(me,
		    tutti_all_reduce(comm, v + (size_t)k * COUNT, v + (size_t)k * COUNT, COUNT, TUTTI_INT32,
			TUTTI_SUM, NULL, &requests[k]),
		    "all_reduce");
	}
	bad = bad || scenario_check(me, tutti_comm_split(comm, 0, 0, NULL, &child), "split");
	if (bad)
		return bad;
	bad = splits_use_all(me, child, "the child");
	bad = bad || scenario_check(me, tutti_wait_all(MANY, requests), "wait_all");
	for (int k = 0; k < MANY && !bad; k++)
		bad = check(me, v + (size_t)k * COUNT, me->size * (me->size - 1) / 2 + k * me->size, "the parent's");
	tutti_comm_destroy(comm);
	tutti_comm_destroy(child);
	free(v);
	return bad;
}

/* With threads that drive in the background, and one that is destroyed while others are driven. */
static int
background(struct job_rank *me)
{
	tutti_config config = scenario_config(me);
	tutti_request *request = NULL;
	int32_t *v = malloc(COUNT * sizeof(*v));
	tutti_comm *comm, *child, *other;
	int bad;

	config.progress_thread = 1;
	bad = scenario_check(me, job_comm(me, &config, &comm), "creation");
	bad = bad || scenario_check(me, tutti_comm_split(comm, 0, 0, NULL, &child), "split");
	for (int i = 0; i < 5 && !bad; i++) {
		fill(v, me->rank);
		bad = scenario_check(me, tutti_comm_split(child, 0, 0, NULL, &other), "split");
		bad = bad ||
		      scenario_check(me, tutti_all_reduce(child, v, v, COUNT, TUTTI_INT32, TUTTI_SUM, NULL, &request),
			  "all_reduce");
		bad = bad || splits_use_all(me, other, "a sibling");
		if (!bad)
			tutti_comm_destroy(other);
		bad = bad || scenario_check(me, tutti_wait(&request), "wait");
		bad = bad || check(me, v, me->size * (me->size - 1) / 2, "the child's");
	}
	if (!bad)
		tutti_comm_destroy(child);
	tutti_comm_destroy(comm);
	free(v);
	return bad;
}

const struct scenario family_scenarios[] = {
    {"opposite", "ranks may wait for relatives in different orders", 2, false, opposite},
    {"opposite_tests", "ranks may test relatives in different orders", 2, false, opposite_tests},
    {"blocking", "a blocking call drives what is pending on relatives", 2, false, blocking},
    {"pending_split", "a split takes its turn behind pending operations", 1, false, pending_split},
    {"background", "progress threads and relatives do not disturb each other", 1, false, background},
    {NULL, NULL, 0, false, NULL},
};

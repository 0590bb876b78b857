/* SPDX-License-Identifier: Apache-2.0
 *
 * children.c - who is in a child, in which order, and that it works; and that nothing stays behind.
 */
#include <stdlib.h>
#include <string.h>

#include "random.h"
#include "splits.h"

int
splits_use(struct job_rank *me, tutti_comm *comm, int id, const int *ids, int n, const char *what)
{
	enum { COUNT = 20000 };
	int32_t *v = malloc(COUNT * sizeof(*v)), all[JOB_RANKS] = {0}, sum = 0;
	int bad;

	job_doing(me, "using %s", what);
	for (int i = 0; i < n; i++)
		sum += ids[i];
	for (int i = 0; i < COUNT; i++)
		v[i] = i + id;
	bad = scenario_check(me, tutti_all_gather(comm, &id, all, 1, TUTTI_INT32, NULL, NULL), "all_gather");
	if (!bad && (tutti_comm_size(comm) != n || memcmp(all, ids, (size_t)n * sizeof(*ids)) != 0))
		bad = job_complain(me, "%s has %d ranks, the first of which is %d, or their order is wrong", what,
		    tutti_comm_size(comm), all[0]);
	if (!bad && ids[tutti_comm_rank(comm)] != id)
		bad = job_complain(me, "%s: this rank has number %d", what, tutti_comm_rank(comm));
	bad =
	    bad || scenario_check(me, tutti_all_reduce(comm, v, v, COUNT, TUTTI_INT32, TUTTI_SUM, NULL, NULL), what);
	for (int i = 0; i < COUNT && !bad; i++)
		if (v[i] != i * n + sum)
			bad = job_complain(me, "%s: element %d is %d", what, i, v[i]);
	free(v);
	return bad;
}

int
splits_use_all(struct job_rank *me, tutti_comm *comm, const char *what)
{
	const int n = tutti_comm_size(comm);
	int ids[JOB_RANKS];

	for (int r = 0; r < n; r++)
		ids[r] = r;
	return splits_use(me, comm, tutti_comm_rank(comm), ids, n, what);
}

/* ---- by chance --------------------------------------------------------------------------------------------------- */

struct choice {
	int color, key;
};

/* Every rank's, the same on all ranks. */
static void
choose(struct random *random, int n, struct choice *choices)
{
	for (int r = 0; r < n; r++) {
		choices[r].color = (int)random_below(random, (uint64_t)n + 1) - 1;
		choices[r].key = (int)random_below(random, 3) * 1000 - 1000;
	}
}

/* The members of a rank's child in their order. */
static int
members(const struct choice *choices, int n, int color, int *ids)
{
	int found = 0;

	for (int key = -1000; key <= 1000; key += 1000)
		for (int r = 0; r < n; r++)
			if (choices[r].color == color && choices[r].key == key)
				ids[found++] = r;
	return found;
}

static int
by_chance(struct job_rank *me)
{
	struct random random = {.state = 77};
	struct choice choices[JOB_RANKS];
	tutti_comm *comm, *child;
	int bad = scenario_comm(me, &comm);

	if (bad)
		return bad;
	for (int round = 0; round < 12 && !bad; round++) {
		const struct choice *mine = &choices[me->rank];
		int ids[JOB_RANKS], n;

		choose(&random, me->size, choices);
		child = comm;
		job_doing(me, "split %d", round);
		bad = scenario_check(me, tutti_comm_split(comm, mine->color, mine->key, NULL, &child), "split");
		if (bad)
			break;
		n = members(choices, me->size, mine->color, ids);
		if ((child == NULL) != (mine->color < 0) || child == comm)
			bad = job_complain(
			    me, "color %d in round %d: %s child", mine->color, round, child ? "a" : "no");
		else if (child != NULL)
			bad = splits_use(me, child, me->rank, ids, n, "a child");
		tutti_comm_destroy(child);
	}
	bad = bad || splits_use_all(me, comm, "the parent");
	tutti_comm_destroy(comm);
	return bad;
}

/* Halves of halves, all of them alive; parents are destroyed first. */
static int
generations(struct job_rank *me)
{
	tutti_comm *comm[16];
	int n = 1, bad = scenario_comm(me, &comm[0]);

	if (bad)
		return bad;
	while (tutti_comm_size(comm[n - 1]) > 1 && !bad) {
		const int size = tutti_comm_size(comm[n - 1]), rank = tutti_comm_rank(comm[n - 1]);

		bad = scenario_check(me, tutti_comm_split(comm[n - 1], rank * 2 / size, 0, NULL, &comm[n]), "split");
		n += !bad;
	}
	bad = bad || scenario_check(me, tutti_comm_split(comm[n - 1], 5, 0, NULL, &comm[n]), "split of one");
	n += !bad;
	if (!bad && tutti_comm_size(comm[n - 1]) != 1)
		bad = job_complain(me, "the last one has %d ranks", tutti_comm_size(comm[n - 1]));
	for (int i = n - 1; i >= 0 && !bad; i--)
		bad = splits_use_all(me, comm[i], "a generation");
	for (int i = 0; i < n; i++) {
		tutti_comm_destroy(comm[i]);
		if (i + 1 < n && !bad)
			bad = splits_use_all(me, comm[i + 1], "one whose parent is gone");
	}
	return bad;
}

static int
many(struct job_rank *me)
{
	const int turns = 40;
	tutti_comm *comm, *child = NULL;
	int before = 0, after, bad = scenario_comm(me, &comm);

	if (bad)
		return bad;
	for (int i = 0; i < turns && !bad; i++) {
		job_doing(me, "split %d", i);
		bad = scenario_check(
		    me, tutti_comm_split(comm, i % 3 == 0 ? me->rank % 2 : 0, -me->rank, NULL, &child), "split");
		bad = bad || scenario_check(me, tutti_barrier(child, NULL, NULL), "barrier");
		tutti_comm_destroy(child);
		bad = bad || scenario_check(me, tutti_barrier(comm, NULL, NULL), "barrier");
		if (i == 2)
			before = job_descriptors();
	}
	after = job_descriptors();
	if (!bad && after > before)
		bad = job_complain(me, "%d descriptors after 3 splits, %d after %d", before, after, turns);
	tutti_comm_destroy(comm);
	return bad;
}

/* ---- settings ------------------------------------------------------------------------------------------------------ */

static int
inherits(struct job_rank *me)
{
	tutti_config tcp = scenario_config(me);
	tutti_comm *comm, *child, *apart, *grandchild;
	int bad = scenario_comm(me, &comm);

	tcp.transports = "tcp";
	if (bad)
		return bad;
	bad = scenario_check(me, tutti_comm_split(comm, 0, 0, NULL, &child), "split");
	bad = bad || scenario_check(me, tutti_comm_split(child, 1, 0, &tcp, &apart), "split with a config");
	bad = bad || scenario_check(me, tutti_comm_split(apart, 2, 0, NULL, &grandchild), "split of that");
	if (bad)
		return bad;
	if (tutti_comm_node_size(child) != tutti_comm_node_size(comm))
		bad = job_complain(me, "the child shares memory with %d ranks", tutti_comm_node_size(child));
	else if (tutti_comm_node_size(apart) != 1 || tutti_comm_node_size(grandchild) != 1)
		bad = job_complain(me, "the child that is told to use tcp, or its own, shares memory");
	bad = bad || splits_use_all(me, child, "the child") || splits_use_all(me, apart, "the one apart") ||
	      splits_use_all(me, grandchild, "the grandchild");
	tutti_comm_destroy(apart);
	tutti_comm_destroy(comm);
	tutti_comm_destroy(grandchild);
	tutti_comm_destroy(child);
	return bad;
}

static int
arguments(struct job_rank *me)
{
	tutti_comm *comm, *child = NULL;
	int bad = scenario_comm(me, &comm);

	if (bad)
		return bad;
	bad = scenario_error(me, tutti_comm_split(comm, 0, 0, NULL, NULL), TUTTI_ERR_ARGUMENT, "no place");
	bad = bad || scenario_error(me, tutti_comm_split(NULL, 0, 0, NULL, &child), TUTTI_ERR_ARGUMENT, "no parent");
	bad = bad || scenario_check(me, tutti_group_begin(comm), "group_begin");
	bad = bad || scenario_error(me, tutti_comm_split(comm, 0, 0, NULL, &child), TUTTI_ERR_STATE, "in a group");
	bad = bad || scenario_check(me, tutti_group_end(comm, NULL), "group_end");
	bad = bad || splits_use_all(me, comm, "the parent");
	tutti_comm_destroy(comm);
	return bad;
}

const struct scenario children_scenarios[] = {
    {"by_chance", "a child has the ranks of one color, in the order of keys, then of the parent", 1, false,
	by_chance},
    {"generations", "children have children, and outlive their parents", 1, false, generations},
    {"many", "what a child used is given back", 1, true, many},
    {"inherits", "a child has its parent's settings, or those that it is given", 2, false, inherits},
    {"split_arguments", "a bad call has no effect", 1, false, arguments},
    {NULL, NULL, 0, false, NULL},
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * fate.c - what goes wrong: in a split, before it, and in one of parent and child.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "random.h"
#include "splits.h"

/* Every rank but one calls split, that one something else. */
static int
mismatch(struct job_rank *me)
{
	tutti_error error = TUTTI_ERROR_INIT;
	const bool odd = me->rank == me->size / 2;
	tutti_comm *comm, *child = NULL;
	int32_t v = 1;
	int bad = scenario_comm(me, &comm);

	if (bad)
		return bad;
	bad = scenario_check(me, tutti_barrier(comm, NULL, NULL), "barrier");
	bad = bad || scenario_check(me, tutti_comm_split(comm, -1, 0, NULL, &child), "split");
	bad = bad || scenario_error(me,
			 odd ? tutti_all_reduce(comm, &v, &v, 1, TUTTI_INT32, TUTTI_SUM, NULL, NULL)
			     : tutti_comm_split(comm, 0, 0, NULL, &child),
			 TUTTI_ERR_MISMATCH, "split and all_reduce");
	if (bad)
		return bad;
	(void)tutti_comm_error(comm, &error);
	if (error.sequence != 3 || strstr(error.message, "comm_split()") == NULL || child != NULL)
		bad = job_complain(me, "operation %d: \"%s\"", (int)error.sequence, error.message);
	tutti_comm_destroy(comm);
	return bad;
}

/* A config that cannot be: the members of that child all fail, the others do not notice. */
static int
bad_config(struct job_rank *me)
{
	tutti_config nonsense = scenario_config(me);
	const int ids[] = {0, 2, 4, 6, 8, 10, 12, 14};
	const int color = me->rank % 2;
	tutti_comm *comm, *child = NULL;
	tutti_status status;
	int bad = scenario_comm(me, &comm);

	nonsense.transports = "pigeon";
	if (bad)
		return bad;
	status = tutti_comm_split(comm, color, 0, me->rank == 1 ? &nonsense : NULL, &child);
	if (color == 1)
		bad = scenario_error(me, status, TUTTI_ERR_ARGUMENT, "a member's bad config");
	else
		bad = scenario_check(me, status, "the other child") ||
		      splits_use(me, child, me->rank, ids, (me->size + 1) / 2, "the other child");
	bad = bad || splits_use_all(me, comm, "the parent");
	if (child != NULL)
		tutti_comm_destroy(child);
	tutti_comm_destroy(comm);
	return bad;
}

/* One rank does not come; the split's own time limit counts. */
static int
late(struct job_rank *me)
{
	tutti_config config = scenario_config(me);
	tutti_error error = TUTTI_ERROR_INIT;
	tutti_comm *comm, *child;
	int bad = scenario_comm(me, &comm);

	config.timeout_ms = 400;
	if (bad)
		return bad;
	if (me->rank != 0)
		bad = scenario_error(
		    me, tutti_comm_split(comm, 0, 0, &config, &child), TUTTI_ERR_TIMEOUT, "a split without rank 0");
	(void)tutti_last_error(&error);
	if (!bad && me->rank != 0 && error.rank != 0)
		bad = job_complain(me, "rank %d is blamed: %s", error.rank, error.message);
	job_meet(me, 1);
	tutti_comm_destroy(comm);
	return bad;
}

/* ---- parent and child ----------------------------------------------------------------------------------------------- */

static int
isolation(struct job_rank *me)
{
	tutti_comm *comm, *child, *other;
	tutti_status status;
	int32_t v = 1;
	int bad = scenario_comm(me, &comm);

	if (bad)
		return bad;
	bad = scenario_check(me, tutti_comm_split(comm, 0, 0, NULL, &child), "split");
	bad = bad || scenario_check(me, tutti_comm_split(comm, 0, -me->rank, NULL, &other), "split");
	if (bad)
		return bad;
	if (me->rank == 0)
		bad = scenario_check(me, tutti_comm_abort(comm), "abort");
	while ((status = tutti_all_reduce(comm, &v, &v, 1, TUTTI_INT32, TUTTI_MAX, NULL, NULL)) == TUTTI_OK)
		;
	bad = bad || scenario_error(me, status, TUTTI_ERR_ABORTED, "the parent");
	bad = bad || scenario_error(
			 me, tutti_comm_split(comm, 0, 0, NULL, &other), TUTTI_ERR_STATE, "split of a failed one");
	bad = bad || splits_use_all(me, child, "the child of an aborted parent");
	bad = bad || scenario_error(me,
			 tutti_all_reduce(
			     other, &v, &v, 1, me->rank == 0 ? TUTTI_INT32 : TUTTI_UINT32, TUTTI_SUM, NULL, NULL),
			 TUTTI_ERR_MISMATCH, "a mismatch on a child");
	bad = bad || splits_use_all(me, child, "its sibling");
	tutti_comm_destroy(comm);
	bad = bad || splits_use_all(me, child, "the child without a parent");
	tutti_comm_destroy(other);
	tutti_comm_destroy(child);
	return bad;
}

/* ---- in the midst of splits --------------------------------------------------------------------------------------- */

struct fuse {
	tutti_comm *comm;
	long us;
	bool dies;
};

static void *
burn(void *argument)
{
	const struct fuse *fuse = argument;

	job_sleep_us(fuse->us);
	if (fuse->dies)
		_exit(0);
	(void)tutti_comm_abort(fuse->comm);
	return NULL;
}

/* Splits until one fails, for the reason that the parent fails for: rank `size - 1` died, or aborted. */
static int
split_until(struct job_rank *me, tutti_comm *comm, tutti_status wanted)
{
	tutti_error error = TUTTI_ERROR_INIT;
	tutti_comm *child = NULL;
	tutti_status status;

	for (int i = 0;; i++) {
		job_doing(me, "split %d", i);
		child = NULL;
		status = tutti_comm_split(comm, i % 2 == 0 ? 0 : me->rank % 2, 0, NULL, &child);
		if (status != TUTTI_OK)
			break;
		if (i > 5000)
			return job_complain(me, "nothing has happened");
		tutti_comm_destroy(child);
	}
	(void)tutti_last_error(&error);
	if (scenario_error(me, status, wanted, "a split that is disturbed"))
		return 1;
	if (error.rank != me->size - 1 || child != NULL)
		return job_complain(me, "rank %d is blamed: %s", error.rank, error.message);
	return scenario_error(me, tutti_barrier(comm, NULL, NULL), TUTTI_ERR_STATE, "a call after that");
}

static int
disturbed(struct job_rank *me, bool dies)
{
	int bad = 0;

	for (int round = 0; round < (dies ? 1 : 5) && !bad; round++) {
		struct fuse fuse = {
		    .us = 1000 + (long)(mix64((uint64_t)(round * 7 + getpid())) % 40000), .dies = dies};
		pthread_t thread;
		tutti_comm *comm;

		bad = scenario_comm(me, &comm);
		if (bad)
			return bad;
		fuse.comm = comm;
		if (me->rank == me->size - 1)
			pthread_create(&thread, NULL, burn, &fuse);
		bad = split_until(me, comm, dies ? TUTTI_ERR_PEER : TUTTI_ERR_ABORTED);
		if (me->rank == me->size - 1)
			pthread_join(thread, NULL);
		tutti_comm_destroy(comm);
	}
	return bad;
}

static int
aborted(struct job_rank *me)
{
	return disturbed(me, false);
}

static int
died(struct job_rank *me)
{
	return disturbed(me, true);
}

const struct scenario fate_scenarios[] = {
    {"split_mismatch", "a rank that calls something else is a mismatch", 2, false, mismatch},
    {"bad_config", "a rank that cannot take part fails its child, and no other", 2, false, bad_config},
    {"late", "the time limit of the config counts, and names who is late", 2, false, late},
    {"isolation", "parent, child and siblings fail each for itself", 2, false, isolation},
    {"aborted", "an abort ends splits", 2, false, aborted},
    {"died", "a death ends splits", 2, true, died},
    {NULL, NULL, 0, false, NULL},
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * trouble.c - a group that cannot end says why, on every rank, and names the member: each counts by itself, fused or
 * not.
 */
#include "groups.h"

#define MEMBERS 20
#define ODD_ONE 7 /* a member of the second group */

/* MEMBERS all-reduces in a group; member `odd` has one element more. */
static tutti_status
issue(tutti_comm *comm, int members, int odd, const tutti_options *options, tutti_request **request)
{
	static _Thread_local float in[MEMBERS][4], out[MEMBERS][4];
	tutti_status status = tutti_group_begin(comm);

	for (int i = 0; i < members && status == TUTTI_OK; i++)
		status =
		    tutti_all_reduce(comm, in[i], out[i], i == odd ? 4 : 3, TUTTI_FLOAT32, TUTTI_SUM, options, NULL);
	return status == TUTTI_OK ? tutti_group_end(comm, request) : status;
}

/* A communicator on which a group of MEMBERS has run. */
static int
begin(struct job_rank *me, tutti_comm **comm)
{
	int bad = groups_comm(me, 0, comm);

	return bad || groups_check(me, issue(*comm, MEMBERS, -1, NULL, NULL), "the first group");
}

static int
end(struct job_rank *me, tutti_comm *comm, int bad)
{
	job_meet(me, 9);
	tutti_comm_destroy(comm);
	return bad;
}

static int
expect(struct job_rank *me, tutti_status got, tutti_status wanted, int rank, uint64_t sequence)
{
	tutti_error error = TUTTI_ERROR_INIT;

	(void)tutti_last_error(&error);
	if (got != wanted)
		return job_complain_status(me, got, "not %s", tutti_status_string(wanted));
	if (error.rank != rank || error.sequence != sequence)
		return job_complain_status(me, got, "rank %d and operation %llu expected, not %d and %llu", rank,
		    (unsigned long long)sequence, error.rank, (unsigned long long)error.sequence);
	return 0;
}

static int
mismatch(struct job_rank *me, bool nonblocking)
{
	const int last = me->size - 1;
	tutti_request *request = NULL;
	tutti_comm *comm;
	tutti_status status;
	int bad = begin(me, &comm);

	if (bad)
		return bad;
	status = issue(comm, MEMBERS, me->rank == last ? ODD_ONE : -1, NULL, nonblocking ? &request : NULL);
	if (status == TUTTI_OK)
		status = tutti_wait(&request);
	bad = expect(me, status, TUTTI_ERR_MISMATCH, last, MEMBERS + ODD_ONE + 1);
	return end(me, comm, bad);
}

static int
other_count(struct job_rank *me)
{
	return mismatch(me, false);
}

static int
other_count_later(struct job_rank *me)
{
	return mismatch(me, true);
}

/* One rank's group is shorter, and something else follows. */
static int
shorter(struct job_rank *me)
{
	const int last = me->size - 1;
	tutti_comm *comm;
	tutti_status status;
	int bad = begin(me, &comm);

	if (bad)
		return bad;
	status = issue(comm, me->rank == last ? ODD_ONE : MEMBERS, -1, NULL, NULL);
	if (status == TUTTI_OK && me->rank == last)
		status = tutti_barrier(comm, NULL, NULL);
	bad = expect(me, status, TUTTI_ERR_MISMATCH, last, MEMBERS + ODD_ONE + 1);
	return end(me, comm, bad);
}

static int
late(struct job_rank *me)
{
	const int last = me->size - 1;
	tutti_options options = TUTTI_OPTIONS_INIT;
	tutti_comm *comm;
	tutti_status status;
	int bad = begin(me, &comm);

	if (bad)
		return bad;
	options.timeout_ms = 300;
	if (me->rank != last) {
		status = issue(comm, MEMBERS, -1, &options, NULL);
		bad = expect(me, status, TUTTI_ERR_TIMEOUT, last, MEMBERS + 1);
	}
	return end(me, comm, bad);
}

/* One rank leaves behind the first members. */
static int
left(struct job_rank *me)
{
	const int last = me->size - 1;
	tutti_comm *comm;
	tutti_status status;
	int bad = begin(me, &comm);

	if (bad)
		return bad;
	status = issue(comm, me->rank == last ? ODD_ONE : MEMBERS, -1, NULL, NULL);
	if (me->rank == last) {
		tutti_comm_destroy(comm);
		return groups_check(me, status, "a shorter group") || (job_meet(me, 9), 0);
	}
	bad = expect(me, status, TUTTI_ERR_PEER, last, MEMBERS + ODD_ONE + 1);
	return end(me, comm, bad);
}

static int
aborted(struct job_rank *me)
{
	const int last = me->size - 1;
	tutti_request *request = NULL;
	tutti_comm *comm;
	int bad = begin(me, &comm);

	if (bad)
		return bad;
	if (me->rank != last)
		bad = groups_check(me, issue(comm, MEMBERS, -1, NULL, &request), "a group");
	job_meet(me, 1);
	if (me->rank == last)
		bad = groups_check(me, tutti_comm_abort(comm), "abort");
	else
		bad = bad || expect(me, tutti_wait(&request), TUTTI_ERR_ABORTED, last, MEMBERS + 1);
	return end(me, comm, bad);
}

/* A call like the one before it, but for its memory, which cannot be. */
static int
wrong_memory(struct job_rank *me)
{
	static _Thread_local float in[2][4], out[2][4];
	float *const wrong[][2] = {{in[1], in[1] + 1}, {NULL, out[1]}, {in[1], NULL}};
	tutti_comm *comm;
	int bad = begin(me, &comm);

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]) && !bad; i++) {
		bad = groups_check(me, tutti_group_begin(comm), "begin") ||
		      groups_check(me, tutti_all_reduce(comm, in[0], out[0], 3, TUTTI_FLOAT32, TUTTI_SUM, NULL, NULL),
			  "the first");
		if (!bad && tutti_all_reduce(comm, wrong[i][0], wrong[i][1], 3, TUTTI_FLOAT32, TUTTI_SUM, NULL,
				NULL) != TUTTI_ERR_ARGUMENT)
			bad = job_complain(me, "wrong memory %zu was taken", i);
		if (!bad && tutti_group_end(comm, NULL) != TUTTI_ERR_ARGUMENT)
			bad = job_complain(me, "the group with wrong memory %zu ended well", i);
	}
	bad = bad || groups_check(me, issue(comm, MEMBERS, -1, NULL, NULL), "a group after them");
	return end(me, comm, bad);
}

const struct scenario trouble_scenarios[] = {
    {"wrong_memory", "a member whose memory cannot be is refused, and so is its group, behind a like one too", 1,
	true, wrong_memory},
    {"other_count", "a member that differs is found, and named by its number", 2, true, other_count},
    {"other_count_later", "the request of a group tells of the member that differs", 2, true, other_count_later},
    {"shorter", "a group that is shorter elsewhere is found where it ends", 2, true, shorter},
    {"late", "a group that a rank does not call ends in time and names it", 2, true, late},
    {"left", "a rank that leaves in the middle of a group is named", 2, true, left},
    {"aborted", "an abort ends a group", 2, true, aborted},
    {NULL, NULL, 0, false, NULL},
};

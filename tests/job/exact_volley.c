/* SPDX-License-Identifier: Apache-2.0
 *
 * exact_volley.c - several cases in flight at once, on communicators of one family (see exact.h).
 *
 * All choices that ranks must share follow from the volley's number and a case's place in it, never from what one rank
 * has seen; a member of one half of a communicator need not know the cases of the other half. What is a rank's
 * own business - the order across communicators, how it waits, whether it issues in a group - follows from its rank.
 */
#include <sched.h>
#include <string.h>

#include "exact.h"
#include "random.h"

#define MOST_SHOTS 8

/* One case of the volley. */
struct shot {
	struct exact_case c;
	int comm; /* its place in the fleet */
	struct exact_call *call;
	tutti_request *request; /* NULL: ended, or in a group */
	tutti_status status;
};

struct volley {
	struct exact_fleet *fleet;
	struct shot shot[MOST_SHOTS];
	int n;
	struct exact_mail *mail; /* on communicator `mailed`, NULL = none */
	int letters, mailed;
	struct random own; /* choices of this rank */
	struct exact_tally *tally;
};

/* ---- the fleet ---------------------------------------------------------------------------------------------------- */

static tutti_status
add(struct exact_fleet *fleet, int color, int key, const tutti_config *config)
{
	tutti_comm *child;
	tutti_status status = tutti_comm_split(fleet->comm[0], color, key, config, &child);

	if (status == TUTTI_OK)
		fleet->comm[fleet->n++] = child;
	return status;
}

tutti_status
exact_fleet_init(struct exact_fleet *fleet, tutti_comm *comm, bool tcp)
{
	const int rank = tutti_comm_rank(comm);
	tutti_config config = TUTTI_CONFIG_INIT;
	tutti_status status;

	*fleet = (struct exact_fleet){.n = 1, .comm = {comm}};
	config.transports = "tcp";
	config.timeout_ms = 60000;
	status = add(fleet, 0, -rank, NULL);
	if (status == TUTTI_OK)
		status = add(fleet, rank % 2, rank, NULL);
	if (status == TUTTI_OK && tcp)
		status = add(fleet, 0, rank, &config);
	for (int k = 0; k < fleet->n && status == TUTTI_OK; k++)
		for (int kind = 0; kind < EXACT_KINDS && status == TUTTI_OK; kind++)
			if (!exact_list(fleet->comm[k], (enum exact_kind)kind, &fleet->lists[k][kind]))
				status = TUTTI_ERR_INTERNAL;
	return status;
}

void
exact_fleet_fini(struct exact_fleet *fleet)
{
	while (fleet->n > 1)
		(void)tutti_comm_destroy(fleet->comm[--fleet->n]);
}

/* ---- issuing ------------------------------------------------------------------------------------------------------ */

static void
draw(struct volley *v, uint64_t number, size_t most, bool grouped)
{
	struct random shared = {mix64(number)};
	const int one = (int)random_below(&shared, (uint64_t)v->fleet->n);

	v->n = 1 + (int)random_below(&shared, MOST_SHOTS);
	for (int i = 0; i < v->n; i++) {
		struct random random = {mix64(number + (uint64_t)i + 1)};
		struct shot *shot = &v->shot[i];

		*shot = (struct shot){.comm = grouped ? one : (int)random_below(&shared, (uint64_t)v->fleet->n)};
		exact_draw(&random, tutti_comm_size(v->fleet->comm[shot->comm]), most, v->fleet->lists[shot->comm],
		    &shot->c);
		/* A call that is refused would refuse its group. */
		if (grouped)
			shot->c.algorithm[0] = '\0';
	}
	v->letters = random_below(&shared, 2) ? (int)random_below(&shared, EXACT_LETTERS + 1) : 0;
	v->mailed = (int)random_below(&shared, (uint64_t)v->fleet->n);
}

/* In order on each communicator, which is all that ranks must agree on. */
static void
issue_singly(struct volley *v)
{
	int comms[EXACT_COMMS];

	for (int k = 0; k < v->fleet->n; k++)
		comms[k] = k;
	for (int k = v->fleet->n; k > 1; k--) {
		const int other = (int)random_below(&v->own, (uint64_t)k), kept = comms[k - 1];

		comms[k - 1] = comms[other];
		comms[other] = kept;
	}
	for (int k = 0; k < v->fleet->n; k++)
		for (int i = 0; i < v->n; i++) {
			struct shot *shot = &v->shot[i];

			if (shot->comm != comms[k])
				continue;
			shot->call = exact_issue(v->fleet->comm[shot->comm], &shot->c, &shot->request);
			shot->status = exact_issued(shot->call);
		}
}

/* The request of the group, if it has one, is that of its last member. */
static void
issue_group(struct volley *v)
{
	tutti_comm *comm = v->fleet->comm[v->shot[0].comm];
	const bool blocking = random_below(&v->own, 2) == 0;
	struct shot *last = &v->shot[v->n - 1];
	tutti_status status = tutti_group_begin(comm);

	for (int i = 0; i < v->n; i++) {
		v->shot[i].call = exact_issue(comm, &v->shot[i].c, NULL);
		v->shot[i].status = status == TUTTI_OK ? exact_issued(v->shot[i].call) : status;
	}
	status = tutti_group_end(comm, blocking ? NULL : &last->request);
	if (status != TUTTI_OK)
		last->status = status;
}

/* ---- finishing ---------------------------------------------------------------------------------------------------- */

static int
pending(const struct volley *v, int *list)
{
	int n = 0;

	for (int i = 0; i < v->n; i++)
		if (v->shot[i].request != NULL)
			list[n++] = i;
	return n;
}

static void
test_in_turn(struct volley *v)
{
	int list[MOST_SHOTS], n, done;

	while ((n = pending(v, list)) > 0) {
		for (int i = 0; i < n; i++) {
			struct shot *shot = &v->shot[list[i]];
			const tutti_status status = tutti_test(&shot->request, &done);

			if (status != TUTTI_OK)
				shot->status = status;
		}
		sched_yield();
	}
}

static void
wait_in_own_order(struct volley *v)
{
	int list[MOST_SHOTS], n;

	while ((n = pending(v, list)) > 0) {
		struct shot *shot = &v->shot[list[random_below(&v->own, (uint64_t)n)]];

		shot->status = tutti_wait(&shot->request);
	}
}

static void
wait_for_all(struct volley *v)
{
	tutti_request *requests[MOST_SHOTS];
	int list[MOST_SHOTS];
	const int n = pending(v, list);
	tutti_status status;

	for (int i = 0; i < n; i++)
		requests[i] = v->shot[list[i]].request;
	status = tutti_wait_all((size_t)n, requests);
	for (int i = 0; i < n; i++) {
		v->shot[list[i]].request = NULL;
		v->shot[list[i]].status = status; /* of the first that failed: one is enough */
	}
}

static bool
judge(struct volley *v)
{
	bool whole = true;
	char why[768];

	for (int i = 0; i < v->n; i++) {
		struct shot *shot = &v->shot[i];
		enum exact_verdict verdict;

		verdict = exact_end(shot->call, shot->status, why, sizeof(why));
		v->tally->run++;
		v->tally->unsupported += verdict == EXACT_UNSUPPORTED;
		if (verdict == EXACT_RIGHT || verdict == EXACT_UNSUPPORTED)
			continue;
		v->tally->wrong++;
		v->tally->tell(v->tally->context, &shot->c, why);
		whole = whole && verdict != EXACT_BROKEN;
	}
	return whole;
}

static void
post(struct volley *v, uint64_t number, size_t most)
{
	if (v->letters > 0)
		v->mail = exact_mail_post(v->fleet->comm[v->mailed], number, v->letters, most);
}

static bool
judge_mail(struct volley *v)
{
	enum exact_verdict verdict;
	char why[768];

	if (v->mail == NULL)
		return true;
	v->tally->run += v->letters;
	verdict = exact_mail_end(v->mail, why, sizeof(why));
	if (verdict == EXACT_RIGHT)
		return true;
	v->tally->wrong++;
	v->tally->tell(v->tally->context, NULL, why);
	return verdict != EXACT_BROKEN;
}

bool
exact_volley(struct exact_fleet *fleet, uint64_t seed, long k, size_t most, struct exact_tally *tally)
{
	const uint64_t number = mix64(mix64(seed) + (uint64_t)k) & ~UINT64_C(0xff);
	const bool grouped = (number >> 20) % 4 == 0;
	struct volley v = {.fleet = fleet, .tally = tally};

	v.own.state = mix64(number ^ (uint64_t)tutti_comm_rank(fleet->comm[0]));
	draw(&v, number, most, grouped);
	if (tally->doing != NULL)
		tally->doing(tally->context, &v.shot[0].c);
	if (v.n == 1) {
		const bool whole = exact_one(fleet->comm[v.shot[0].comm], &v.shot[0].c, tally);

		post(&v, number, most);
		return judge_mail(&v) && whole;
	}
	post(&v, number, most);
	/* Calls of a group may meet single ones. */
	if (grouped && random_below(&v.own, 4) != 0)
		issue_group(&v);
	else
		issue_singly(&v);
	switch (random_below(&v.own, 3)) {
	case 0:
		test_in_turn(&v);
		break;
	case 1:
		wait_in_own_order(&v);
		break;
	default:
		wait_for_all(&v);
	}
	const bool right = judge(&v), mail_right = judge_mail(&v); /* both complain */

	return right && mail_right;
}

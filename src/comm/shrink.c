/* SPDX-License-Identifier: Apache-2.0
 *
 * shrink.c - tutti_comm_shrink: the ranks that are left make a communicator of their own.
 *
 *	revoke   the old communicator fails everywhere, so that nobody keeps waiting in it
 *	count    who is still there (bootstrap/survivors.h), without the old world, whose hub may be gone
 *	build    like any communicator; if somebody dies meanwhile, count again
 *
 * Half of the time that is left is for counting: who has not answered by then is out, and is told so.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"
#include "bootstrap/survivors.h"
#include "comm/arguments.h"
#include "comm/comm.h"
#include "comm/transports.h"

#define DEFAULT_MS 30000
#define PEER_TIMEOUT_MS 10000
#define REVOKE_NS (300 * TT_MS) /* for the judge; then what the node's memory says counts */

struct shrink {
	tutti_comm *comm;
	struct tt_settings settings; /* the child's */
	int64_t deadline_ns;
	struct tt_survivors survivors;
	int size, rank; /* the child's */
	int *of_parent; /* [comm->size] the parent's number of the child's rank */
};

/* Where every rank could be found if the world were gone. */
tutti_status
tt_shrink_prepare(tutti_comm *comm, int64_t deadline_ns)
{
	struct tt_address mine[TT_SURVIVORS_ADDRESSES] = {{0}};
	int n = 0;
	void *memory;

	if (tt_world_nnodes(comm->world) == 1)
		return TUTTI_OK;
	if (tt_interfaces(comm->settings.text[TT_SET_INTERFACES], mine, TT_SURVIVORS_ADDRESSES, &n) != TUTTI_OK)
		n = 0; /* whoever needs an interface says so */
	TT_TRY(tt_alloc((size_t)comm->size, sizeof(mine), "the addresses of the ranks", &memory));
	for (int i = 0; i < n; i++)
		mine[i].port = 0;
	/* Without it a late rank is told from a dead one by the time limit only. */
	if (n > 0 && tt_listen_tcp(&mine[0], comm->settings.text[TT_SET_PORT_RANGE], &comm->door) != TUTTI_OK)
		comm->door = -1;
	comm->homes = memory;
	return tt_world_exchange(comm->world, mine, sizeof(mine), memory, deadline_ns);
}

/* ---- revoke ------------------------------------------------------------------------------------------------------ */

#define BY_SHRINK ((uint32_t)1 << 31)

static void
describe_revocation(int rank, bool shrink, char *text, size_t bytes)
{
	snprintf(text, bytes, "rank %d called %s", rank, shrink ? "tutti_comm_shrink" : "tutti_comm_abort");
}

void
tt_comm_look_for_revocation(tutti_comm *comm)
{
	const uint32_t word = tt_world_revoked(comm->world);
	const int rank = (int)(word & ~BY_SHRINK) - 1;
	char text[128];

	if (TT_LIKELY(word == 0) || rank >= comm->size)
		return;
	describe_revocation(rank, (word & BY_SHRINK) != 0, text, sizeof(text));
	tt_failure_learn(comm->failure, TT_REPORT_ABORT, rank, text);
}

void
tt_comm_revoke(tutti_comm *comm, bool shrink)
{
	char text[128];

	if (tt_failure_raised(comm->failure))
		return;
	describe_revocation(comm->rank, shrink, text, sizeof(text));
	tt_failure_report(comm->failure, TT_REPORT_ABORT, comm->rank, 0, text, tt_now_ns());
	if (comm->world != NULL)
		tt_world_revoke(comm->world, (uint32_t)(comm->rank + 1) | (shrink ? BY_SHRINK : 0));
	else /* nobody to tell: it counts at once */
		tt_failure_alarm(comm->failure, tt_now_ns() + 1000 * TT_MS);
}

/* The old communicator is over for this rank, too. */
static void
end_parent(tutti_comm *comm)
{
	const int64_t until_ns = tt_now_ns() + REVOKE_NS;
	char text[128];

	tt_comm_revoke(comm, true);
	while (!tt_failure_raised(comm->failure) && tt_now_ns() < until_ns)
		(void)poll(NULL, 0, 1);
	if (comm->world != NULL && !tt_failure_raised(comm->failure))
		tt_comm_look_for_revocation(comm);
	/* Alone on its node a rank has no such memory: what ends here must not end without a cause. The first one counts. */
	describe_revocation(comm->rank, true, text, sizeof(text));
	tt_failure_learn(comm->failure, TT_REPORT_ABORT, comm->rank, text);
	tt_comm_lock(comm);
	tt_comm_end_all(comm);
	comm->told = true;
	tt_comm_unlock(comm);
}

/* ---- count ------------------------------------------------------------------------------------------------------- */

static bool
is_gone(void *context, int rank)
{
	const struct shrink *s = context;
	tutti_comm *comm = s->comm;

	return tt_failure_is_gone(comm->failure, rank) || tt_world_is_dead(comm->world, rank) ||
	       tt_world_has_left(comm->world, rank);
}

static bool
is_excluded(void *context)
{
	const struct shrink *s = context;

	return tt_failure_is_excluded(s->comm->failure) || tt_world_is_excluded(s->comm->world);
}

/* Who has not answered may wake up later. */
static void
tell_excluded(struct shrink *s)
{
	for (int r = 0; r < s->comm->size; r++) {
		if (tt_survivors_has(&s->survivors, r))
			continue;
		tt_failure_exclude(s->comm->failure, r);
		tt_world_exclude(s->comm->world, r);
	}
}

static tutti_status
count(struct shrink *s)
{
	const int64_t now_ns = tt_now_ns();
	const struct tt_survivors_config config = {.rank = s->comm->rank,
	    .size = s->comm->size,
	    .key = tt_world_key(s->comm->world),
	    .node_of = tt_world_node_of(s->comm->world),
	    .addresses = s->comm->homes,
	    .listener = s->comm->door,
	    .settings = &s->settings,
	    .log = s->comm->log,
	    .until_ns = now_ns + (s->deadline_ns - now_ns) / 2,
	    .deadline_ns = s->deadline_ns,
	    .peer_timeout_ms = PEER_TIMEOUT_MS,
	    .context = s,
	    .gone = is_gone,
	    .excluded = is_excluded};

	TT_TRY(tt_survivors_meet(&config, &s->survivors));
	s->size = s->rank = 0;
	for (int r = 0; r < s->comm->size; r++) {
		if (!tt_survivors_has(&s->survivors, r))
			continue;
		if (r == s->comm->rank)
			s->rank = s->size;
		s->of_parent[s->size++] = r;
	}
	tell_excluded(s);
	return TUTTI_OK;
}

/* ---- build ------------------------------------------------------------------------------------------------------- */

/* In the parent's numbers, which are the only ones that the caller knows. */
static tutti_status
tell_failure(const struct shrink *s)
{
	tutti_error error = *tt_last_error();
	char reason[300];

	snprintf(reason, sizeof(reason), "%.299s", error.message);
	for (int i = 0; i < error.nranks && i < (int)TT_COUNT_OF(error.ranks); i++)
		if (error.ranks[i] >= 0 && error.ranks[i] < s->size)
			error.ranks[i] = s->of_parent[error.ranks[i]];
	if (error.rank >= 0 && error.rank < s->size)
		error.rank = s->of_parent[error.rank];
	snprintf(error.message, sizeof(error.message),
	    "the %d ranks that are left could not make a communicator (ranks counted among them): %s", s->size,
	    reason);
	return tt_fail_with(&error);
}

static tutti_status
build(struct shrink *s, tutti_comm **child)
{
	const int64_t now_ns = tt_now_ns();
	struct tt_rendezvous rendezvous;
	struct tt_settings settings;
	tutti_status status = tt_settings_copy(&s->settings, &settings);

	if (status == TUTTI_OK && s->size > 1)
		status = tt_unique_id_read(&s->survivors.id, &rendezvous);
	if (status != TUTTI_OK || s->size == 1) {
		if (s->survivors.has_meeting)
			tt_meeting_close(&s->survivors.meeting);
		TT_TRY(status);
		return tt_comm_build(1, 0, NULL, NULL, &settings, s->deadline_ns, child);
	}
	/* Some time is left for another try. */
	return tt_comm_build(s->size, s->rank, &rendezvous, s->survivors.has_meeting ? &s->survivors.meeting : NULL,
	    &settings, now_ns + (s->deadline_ns - now_ns) * 2 / 3, child);
}

/* May another count help? */
static bool
may_try_again(const struct shrink *s, tutti_status status)
{
	return (status == TUTTI_ERR_PEER || status == TUTTI_ERR_TIMEOUT) && s->deadline_ns - tt_now_ns() > 50 * TT_MS;
}

static tutti_status
shrink(struct shrink *s, tutti_comm **child)
{
	tutti_status status;

	do {
		TT_TRY(count(s));
		status = build(s, child);
	} while (status != TUTTI_OK && may_try_again(s, status));
	return status == TUTTI_OK ? TUTTI_OK : tell_failure(s);
}

static tutti_status
settle(struct shrink *s, const tutti_config *config)
{
	struct tt_transport_wish wish;
	int64_t timeout_ms = DEFAULT_MS;
	tutti_status status;

	if (config == NULL)
		TT_TRY(tt_settings_copy(&s->comm->settings, &s->settings));
	else
		TT_TRY(tt_settings_init(&s->settings, config));
	status =
	    tt_transports_wish(s->settings.text[TT_SET_TRANSPORTS], s->settings.text[TT_SET_PLUGINS], NULL, &wish);
	if (status != TUTTI_OK)
		tt_settings_fini(&s->settings);
	if (config != NULL && config->timeout_ms > 0)
		timeout_ms = config->timeout_ms;
	s->deadline_ns = tt_deadline_ns(timeout_ms);
	return status;
}

static tutti_status
shrink_settled(struct shrink *s, tutti_comm **child)
{
	tutti_comm *made = NULL;
	tutti_status status;
	void *memory;

	TT_TRY(tt_family_found(s->comm));
	TT_TRY(tt_alloc((size_t)s->comm->size, sizeof(int), "the list of survivors", &memory));
	s->of_parent = memory;
	end_parent(s->comm);
	if (s->comm->world == NULL) {
		s->size = 1;
		status = build(s, &made);
	} else {
		status = shrink(s, &made);
	}
	tt_free(memory);
	TT_TRY(status);
	tt_family_join(s->comm, made);
	*child = made;
	return TUTTI_OK;
}

tutti_status
tutti_comm_shrink(tutti_comm *comm, const tutti_config *config, tutti_comm **child)
{
	struct shrink *s;
	void *memory;
	tutti_status status;

	TT_TRY(tt_check_comm(comm, "tutti_comm_shrink"));
	if (child == NULL)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "the address for the new communicator is NULL");
	if (tt_group_recording(comm))
		return tt_fail(
		    TUTTI_ERR_STATE, -1, "tutti_comm_shrink cannot be part of a group: end the group first");
	TT_TRY(tt_alloc(1, sizeof(*s), "a shrink", &memory));
	s = memory;
	s->comm = comm;
	status = settle(s, config);
	if (status == TUTTI_OK) {
		status = shrink_settled(s, child);
		tt_settings_fini(&s->settings);
	}
	tt_free(memory);
	return status;
}

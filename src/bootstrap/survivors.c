/* SPDX-License-Identifier: Apache-2.0
 *
 * survivors.c - see survivors.h. One loop under poll(2).
 *
 * The rule: a rank has at most one link upwards, to a rank lower than itself, so links form no circle; what it tells
 * upwards is itself and what its callers told it. A conclusion only travels downwards, and whoever has heard one is
 * done.
 */
#include "bootstrap/survivors.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"
#include "bootstrap/bytes.h"
#include "bootstrap/world_link.h"

#define TURN_MS 20
#define AGAIN_NS (30 * TT_MS) /* between two searches for a lower rank */
#define DIAL_NS (400 * TT_MS)
#define STEADY_NS (400 * TT_MS) /* one that was stopped hears first what came meanwhile */
#define JUMP_NS (500 * TT_MS) /* more between two turns: this process was stopped, or nearly */
#define PARTING_NS (500 * TT_MS) /* for the conclusion to go out */
#define MOST_CALLERS 1024
#define PORTS 16
#define MOST_KNOCKS 16
#define KNOCK_AGAIN_NS (300 * TT_MS)
#define FIRST_PORT 20000
#define PORT_RANGE 12000

enum { ENROLL_HEAD = 8, SURVIVORS_HEAD = sizeof(tutti_unique_id) };

struct caller {
	struct caller *next;
	struct tt_link *link;
	bool enrolled;
	unsigned char roster[TT_SURVIVORS_MOST / 8];
};

/* A connection to the listener of a rank that has not answered. */
struct knock {
	int fd; /* -1 = free */
	int rank;
	int64_t until_ns;
};

struct roll {
	const struct tt_survivors_config *config;
	size_t bytes; /* of a set */
	struct tt_meeting meeting;
	struct caller *callers;
	int ncallers;
	struct tt_link *above; /* being dialed, greeted, or open; NULL = none */
	int candidate, address; /* what is tried next */
	int searches; /* that found nobody, one after the other */
	int64_t search_ns, until_ns, now_ns, turn_ns, steady_ns;
	unsigned char gone[TT_SURVIVORS_MOST / 8], roster[TT_SURVIVORS_MOST / 8], told[TT_SURVIVORS_MOST / 8];
	bool has_told, done;
	struct knock knocks[MOST_KNOCKS];
	int next_knock; /* the rank whose turn it is */
	int64_t knock_ns; /* when the next round of them begins */
	struct tt_survivors *survivors;
};

static bool
has(const unsigned char *set, int rank)
{
	return (set[rank / 8] >> (rank % 8) & 1) != 0;
}

static void
put(unsigned char *set, int rank)
{
	set[rank / 8] = (unsigned char)(set[rank / 8] | 1u << (rank % 8));
}

/* ---- where a rank is ------------------------------------------------------------------------------------------- */

/* Everybody works it out alike. */
static void
place_of(const struct tt_survivors_config *config, int rank, struct tt_rendezvous *place)
{
	unsigned char bytes[TT_KEY_BYTES];
	uint16_t port;

	memset(place, 0, sizeof(*place));
	place->authenticated = true;
	tt_key_derive(config->key, "survivor", (uint64_t)rank, place->key);
	tt_key_derive(place->key, "survivor epoch", 0, bytes);
	memcpy(place->epoch, bytes, sizeof(place->epoch));
	if (config->addresses == NULL)
		return;
	tt_key_derive(place->key, "survivor ports", 0, bytes);
	port = (uint16_t)(FIRST_PORT + tt_get_u32(bytes) % PORT_RANGE);
	place->ports = PORTS;
	place->port_step = (uint16_t)(1 + bytes[4]);
	for (int i = 0; i < TT_SURVIVORS_ADDRESSES; i++) {
		const struct tt_address *address =
		    &config->addresses[(size_t)rank * TT_SURVIVORS_ADDRESSES + (size_t)i];

		if (address->family == 0)
			continue;
		place->addresses[place->naddresses] = *address;
		place->addresses[place->naddresses++].port = port;
	}
}

static void
begin(struct roll *r, struct tt_link *link, int place_rank)
{
	struct tt_hello mine = {.purpose = TT_PURPOSE_SURVIVORS, .rank = r->config->rank};
	struct tt_rendezvous place;

	place_of(r->config, place_rank, &place);
	memcpy(mine.epoch, place.epoch, sizeof(mine.epoch));
	link->until_ns = r->now_ns + TT_HANDSHAKE_MS * TT_MS;
	tt_link_begin(link, place.key, &mine);
}

/* ---- who is gone -------------------------------------------------------------------------------------------------- */

static const struct tt_address *
door_of(const struct roll *r, int rank)
{
	const struct tt_address *door;

	if (r->config->addresses == NULL || r->config->node_of[rank] == r->config->node_of[r->config->rank])
		return NULL;
	door = &r->config->addresses[(size_t)rank * TT_SURVIVORS_ADDRESSES];
	return door->family != 0 && door->port != 0 ? door : NULL;
}

/* False: all have been asked. */
static bool
begin_knock(struct roll *r, struct knock *knock)
{
	while (r->next_knock < r->config->size) {
		const int rank = r->next_knock++;
		const struct tt_address *door = door_of(r, rank);

		if (door == NULL || has(r->gone, rank) || has(r->roster, rank))
			continue;
		if (tt_connect_tcp(door, &knock->fd) != TUTTI_OK) {
			knock->fd = -1;
			if (errno == ECONNREFUSED)
				put(r->gone, rank);
		}
		knock->rank = rank;
		knock->until_ns = r->now_ns + DIAL_NS;
		return true;
	}
	return false;
}

static void
look_at_knock(struct roll *r, struct knock *knock)
{
	struct pollfd door = {knock->fd, POLLOUT, 0};
	int error = 0;
	socklen_t bytes = sizeof(error);

	if (poll(&door, 1, 0) <= 0 && r->now_ns < knock->until_ns)
		return;
	if (door.revents != 0 && getsockopt(knock->fd, SOL_SOCKET, SO_ERROR, &error, &bytes) == 0 &&
	    error == ECONNREFUSED)
		put(r->gone, knock->rank);
	tt_fd_close(knock->fd);
	knock->fd = -1;
}

static void
knock_on_doors(struct roll *r)
{
	int fd;

	while (r->config->listener >= 0 && tt_accept(r->config->listener, &fd) == TUTTI_OK && fd >= 0)
		tt_fd_close(fd);
	for (int i = 0; i < MOST_KNOCKS; i++)
		if (r->knocks[i].fd >= 0)
			look_at_knock(r, &r->knocks[i]);
	if (r->now_ns < r->knock_ns)
		return;
	for (int i = 0; i < MOST_KNOCKS; i++)
		if (r->knocks[i].fd < 0 && !begin_knock(r, &r->knocks[i])) {
			r->next_knock = 0;
			r->knock_ns = r->now_ns + KNOCK_AGAIN_NS;
			return;
		}
}

/* ---- upwards --------------------------------------------------------------------------------------------------- */

static bool
is_near(const struct roll *r, int rank)
{
	return r->config->node_of[rank] == r->config->node_of[r->config->rank];
}

static tutti_status
dial_near(struct roll *r, const struct tt_rendezvous *place)
{
	unsigned char name[TT_NAME_BYTES];
	int fd;

	tt_rendezvous_name(place, "root", 0, name);
	TT_TRY(tt_connect_unix(name, sizeof(name), &fd));
	if (!tt_peer_is_me(fd)) {
		tt_fd_close(fd);
		return TUTTI_ERR_AUTH;
	}
	TT_TRY(tt_link_create(fd, true, true, &r->above));
	begin(r, r->above, r->candidate);
	return TUTTI_OK;
}

static tutti_status
dial_far(struct roll *r, const struct tt_rendezvous *place)
{
	struct tt_address address;
	int fd;

	tt_rendezvous_address(place, r->address, &address);
	TT_TRY(tt_connect_tcp(&address, &fd));
	TT_TRY(tt_link_create(fd, false, true, &r->above));
	r->above->state = TT_LINK_CONNECTING;
	r->above->until_ns = r->now_ns + DIAL_NS;
	return TUTTI_OK;
}

/* Starts the next connection that can be started, or ends the search. */
static void
search(struct roll *r)
{
	const int me = r->config->rank;

	while (r->above == NULL && r->candidate < me) {
		struct tt_rendezvous place;
		tutti_status status = TUTTI_ERR_PEER;
		bool more;

		place_of(r->config, r->candidate, &place);
		more = !is_near(r, r->candidate) && r->address < tt_rendezvous_count(&place);
		if (has(r->gone, r->candidate))
			more = false;
		else if (is_near(r, r->candidate))
			status = dial_near(r, &place);
		else if (more)
			status = dial_far(r, &place);
		if (status == TUTTI_OK)
			return;
		r->address++;
		if (!more) {
			r->candidate++;
			r->address = 0;
		}
	}
	if (r->above == NULL) {
		r->searches++;
		r->candidate = r->address = 0;
		r->search_ns = r->now_ns + AGAIN_NS;
	}
}

/* It was not there, was not the one, or is gone: on to the next. */
static void
lose_above(struct roll *r)
{
	const bool was_open = r->above->state == TT_LINK_OPEN;
	const bool near = r->above->peer.local;
	/* Neither taken nor refused: its kernel does not answer, and will not at its other ports either. */
	const bool silent = r->above->state == TT_LINK_CONNECTING && r->now_ns >= r->above->until_ns;
	struct tt_rendezvous place;

	place_of(r->config, r->candidate, &place);
	tt_link_destroy(r->above);
	r->above = NULL;
	r->has_told = false;
	if (was_open) {
		r->searches = r->candidate = r->address = 0;
	} else if (near || (silent && r->address + 1 >= place.naddresses)) {
		r->candidate++;
		r->address = 0;
	} else {
		r->address++;
	}
}

static void
tell_above(struct roll *r)
{
	unsigned char head[ENROLL_HEAD];
	unsigned char sets[2 * sizeof(r->roster)];
	const int64_t left_ns = r->until_ns - r->now_ns;

	if (r->has_told && memcmp(r->told, r->roster, r->bytes) == 0)
		return;
	tt_put_u32(head, (uint32_t)r->config->rank);
	tt_put_u32(head + 4, left_ns <= 0                  ? 0
			     : left_ns / TT_MS > INT32_MAX ? INT32_MAX
							   : (uint32_t)(left_ns / TT_MS));
	memcpy(sets, r->roster, r->bytes);
	memcpy(sets + r->bytes, r->gone, r->bytes);
	if (tt_link_send(r->above, TT_FRAME_ENROLL, head, sizeof(head), sets, 2 * r->bytes) != TUTTI_OK)
		return;
	memcpy(r->told, r->roster, r->bytes);
	r->has_told = true;
}

/* ---- the conclusion --------------------------------------------------------------------------------------------- */

/* For all that called here, and for those that called there. */
static void
pass_down(struct roll *r)
{
	for (struct caller *caller = r->callers; caller != NULL; caller = caller->next)
		if (caller->link->state == TT_LINK_OPEN)
			(void)tt_link_send(caller->link, TT_FRAME_SURVIVORS, r->survivors->id.bytes,
			    sizeof(r->survivors->id), r->survivors->member, r->bytes);
	r->done = true;
}

static tutti_status
take_conclusion(struct roll *r, const unsigned char *bytes, size_t n)
{
	if (n != SURVIVORS_HEAD + r->bytes)
		return TUTTI_ERR_PEER;
	memcpy(&r->survivors->id, bytes, sizeof(r->survivors->id));
	memcpy(r->survivors->member, bytes + SURVIVORS_HEAD, r->bytes);
	pass_down(r);
	return TUTTI_OK;
}

static tutti_status
open_ears(struct roll *r)
{
	struct tt_rendezvous rendezvous = {.authenticated = true};
	bool home = true;

	for (int rank = 0; rank < r->config->size; rank++)
		home = home && (!tt_survivors_has(r->survivors, rank) || is_near(r, rank));
	if (home) {
		tt_random(rendezvous.key, sizeof(rendezvous.key));
		tt_random(rendezvous.epoch, sizeof(rendezvous.epoch));
		TT_TRY(tt_meeting_open_at(&rendezvous, &r->survivors->meeting));
	} else {
		TT_TRY(tt_meeting_open(r->config->settings, &rendezvous, &r->survivors->meeting));
	}
	r->survivors->has_meeting = true;
	tt_unique_id_write(&rendezvous, &r->survivors->id);
	return TUTTI_OK;
}

/* Nobody lower is there: is everybody else? */
static tutti_status
conclude(struct roll *r)
{
	bool all = true;

	for (int rank = 0; rank < r->config->size; rank++)
		all = all && (has(r->roster, rank) || has(r->gone, rank));
	if (!all && (r->now_ns < r->until_ns || r->searches == 0 || r->now_ns - r->steady_ns < STEADY_NS))
		return TUTTI_OK;
	for (int rank = 0; rank < r->config->size; rank++)
		if (has(r->roster, rank) && (rank == r->config->rank || !has(r->gone, rank)))
			put(r->survivors->member, rank);
	TT_TRY(open_ears(r));
	pass_down(r);
	return TUTTI_OK;
}

/* ---- those who call ---------------------------------------------------------------------------------------------- */

static void
add_up(struct roll *r)
{
	memset(r->roster, 0, r->bytes);
	put(r->roster, r->config->rank);
	for (struct caller *caller = r->callers; caller != NULL; caller = caller->next)
		for (size_t i = 0; i < r->bytes && caller->enrolled; i++)
			r->roster[i] |= caller->roster[i];
}

static tutti_status
enroll(struct roll *r, struct caller *caller, const unsigned char *bytes, size_t n)
{
	int64_t until_ns;

	if (n != ENROLL_HEAD + 2 * r->bytes)
		return TUTTI_ERR_PEER;
	until_ns = r->now_ns + (int64_t)tt_get_u32(bytes + 4) * TT_MS;
	if (until_ns < r->until_ns)
		r->until_ns = until_ns;
	memcpy(caller->roster, bytes + ENROLL_HEAD, r->bytes);
	for (size_t i = 0; i < r->bytes; i++)
		r->gone[i] |= bytes[ENROLL_HEAD + r->bytes + i];
	caller->enrolled = true;
	return TUTTI_OK;
}

static void
drop_callers(struct roll *r, bool all)
{
	struct caller **at = &r->callers;

	while (*at != NULL) {
		struct caller *caller = *at;

		if (!all && caller->link->state != TT_LINK_CLOSED) {
			at = &caller->next;
			continue;
		}
		*at = caller->next;
		tt_link_destroy(caller->link);
		tt_free(caller);
		r->ncallers--;
	}
}

static void
take_in(struct roll *r, int fd, bool local)
{
	struct caller *caller;
	struct tt_link *link;
	void *memory;

	if ((local && !tt_peer_is_me(fd)) || r->ncallers >= MOST_CALLERS ||
	    tt_alloc(1, sizeof(*caller), "a survivor's call", &memory) != TUTTI_OK) {
		tt_fd_close(fd);
		return;
	}
	caller = memory;
	if (tt_link_create(fd, local, false, &link) != TUTTI_OK) {
		tt_free(caller);
		return;
	}
	caller->link = link;
	caller->next = r->callers;
	r->callers = caller;
	r->ncallers++;
	begin(r, link, r->config->rank);
}

static void
accept_all(struct roll *r)
{
	int fd;

	while (tt_accept(r->meeting.local, &fd) == TUTTI_OK && fd >= 0)
		take_in(r, fd, true);
	for (int i = 0; i < r->meeting.ntcp; i++)
		while (tt_accept(r->meeting.tcp[i], &fd) == TUTTI_OK && fd >= 0)
			take_in(r, fd, false);
}

/* ---- links -------------------------------------------------------------------------------------------------------- */

/* TUTTI_OK: open. TUTTI_IN_PROGRESS: not yet. */
static tutti_status
come_up(struct roll *r, struct tt_link *link, int place_rank)
{
	tutti_status status;

	if (r->now_ns >= link->until_ns)
		return TUTTI_ERR_TIMEOUT;
	if (link->revents == 0 && link->state == TT_LINK_CONNECTING)
		return TUTTI_IN_PROGRESS;
	if (link->state == TT_LINK_CONNECTING) {
		status = tt_connect_result(link->fd);
		if (status != TUTTI_OK)
			return status;
		begin(r, link, place_rank);
	}
	status = tt_link_greet(link);
	if (status == TUTTI_OK && !link->peer.local)
		status = tt_tcp_tune(link->fd, r->config->peer_timeout_ms, false);
	return status;
}

static tutti_status
serve_above(struct roll *r)
{
	const unsigned char *bytes;
	enum tt_frame type;
	size_t n;

	if (r->above->state != TT_LINK_OPEN)
		return come_up(r, r->above, r->candidate);
	tell_above(r);
	TT_TRY(tt_link_flush(r->above));
	for (;;) {
		TT_TRY(tt_link_read(r->above, &type, &bytes, &n));
		if (type == TT_FRAME_SURVIVORS)
			return take_conclusion(r, bytes, n);
	}
}

static tutti_status
serve_caller(struct roll *r, struct caller *caller)
{
	const unsigned char *bytes;
	enum tt_frame type;
	size_t n;

	if (caller->link->state != TT_LINK_OPEN)
		return come_up(r, caller->link, r->config->rank);
	for (;;) {
		TT_TRY(tt_link_read(caller->link, &type, &bytes, &n));
		if (type == TT_FRAME_ENROLL)
			TT_TRY(enroll(r, caller, bytes, n));
	}
}

static void
serve(struct roll *r)
{
	tutti_status status;

	for (struct caller *caller = r->callers; caller != NULL; caller = caller->next) {
		status = serve_caller(r, caller);
		if (status != TUTTI_OK && status != TUTTI_IN_PROGRESS)
			tt_link_close(caller->link);
	}
	drop_callers(r, false);
	add_up(r);
	if (r->above == NULL)
		return;
	status = serve_above(r);
	if (status != TUTTI_OK && status != TUTTI_IN_PROGRESS)
		lose_above(r);
}

static tutti_status
wait_a_turn(struct roll *r)
{
	struct pollfd polls[MOST_CALLERS + TT_MEETING_ADDRESSES + 2];
	const nfds_t first_caller = (nfds_t)r->meeting.ntcp + 2;
	nfds_t n = 0;

	polls[n++] = (struct pollfd){r->meeting.local, POLLIN, 0};
	polls[n++] = (struct pollfd){
	    r->above != NULL ? r->above->fd : -1, r->above != NULL ? tt_link_events(r->above) : (short)0, 0};
	for (int i = 0; i < r->meeting.ntcp; i++)
		polls[n++] = (struct pollfd){r->meeting.tcp[i], POLLIN, 0};
	for (struct caller *caller = r->callers; caller != NULL; caller = caller->next)
		polls[n++] = (struct pollfd){caller->link->fd, tt_link_events(caller->link), 0};
	if (poll(polls, n, TURN_MS) < 0) {
		if (errno != EINTR)
			return tt_fail_errno("cannot wait for the other survivors");
		for (nfds_t i = 0; i < n; i++)
			polls[i].revents = 0;
	}
	if (r->above != NULL)
		r->above->revents = polls[1].revents;
	n = first_caller;
	for (struct caller *caller = r->callers; caller != NULL; caller = caller->next)
		caller->link->revents = polls[n++].revents;
	r->now_ns = tt_now_ns();
	if (r->now_ns - r->turn_ns > JUMP_NS)
		r->steady_ns = r->now_ns;
	r->turn_ns = r->now_ns;
	return TUTTI_OK;
}

static void
ask_who_is_gone(struct roll *r)
{
	for (int rank = 0; rank < r->config->size; rank++)
		if (rank != r->config->rank && r->config->gone(r->config->context, rank))
			put(r->gone, rank);
}

static tutti_status
turn(struct roll *r)
{
	TT_TRY(wait_a_turn(r));
	if (r->config->excluded(r->config->context))
		return tt_fail(TUTTI_ERR_STATE, r->config->rank,
		    "the other ranks have gone on without rank %d, which did not answer in time: it cannot be part "
		    "of "
		    "what they made",
		    r->config->rank);
	ask_who_is_gone(r);
	knock_on_doors(r);
	accept_all(r);
	serve(r);
	if (r->done)
		return TUTTI_OK;
	if (r->above == NULL && r->now_ns >= r->search_ns)
		search(r);
	if (r->above == NULL || r->above->state != TT_LINK_OPEN) {
		TT_TRY(conclude(r));
		if (!r->done && r->now_ns >= r->config->deadline_ns)
			return tt_fail(TUTTI_ERR_TIMEOUT, -1,
			    "the survivors were not counted in time: give more with timeout_ms");
		return TUTTI_OK;
	}
	if (r->now_ns >= r->config->deadline_ns)
		return tt_fail(TUTTI_ERR_TIMEOUT, r->above->peer.rank,
		    "rank %d answered, but the survivors were not agreed on in time: give more with timeout_ms",
		    r->above->peer.rank);
	return TUTTI_OK;
}

/* What is queued goes out. */
static void
part(struct roll *r)
{
	const int64_t end_ns = tt_now_ns() + PARTING_NS;
	bool queued = true;

	while (queued && tt_now_ns() < end_ns) {
		queued = false;
		for (struct caller *caller = r->callers; caller != NULL; caller = caller->next) {
			if (caller->link->state == TT_LINK_OPEN && tt_link_flush(caller->link) != TUTTI_OK)
				tt_link_close(caller->link);
			queued =
			    queued || (caller->link->state == TT_LINK_OPEN && tt_link_wants_to_write(caller->link));
		}
		if (queued)
			(void)poll(NULL, 0, 1);
	}
	for (struct caller *caller = r->callers; caller != NULL; caller = caller->next)
		if (caller->link->state == TT_LINK_OPEN)
			tt_link_part(caller->link);
	drop_callers(r, true);
	if (r->above != NULL)
		tt_link_destroy(r->above);
	for (int i = 0; i < MOST_KNOCKS; i++)
		tt_fd_close(r->knocks[i].fd);
}

tutti_status
tt_survivors_meet(const struct tt_survivors_config *config, struct tt_survivors *survivors)
{
	struct tt_rendezvous mine;
	struct roll *r;
	void *memory;
	tutti_status status;

	memset(survivors, 0, sizeof(*survivors));
	if (config->size > TT_SURVIVORS_MOST)
		return tt_fail(TUTTI_ERR_UNSUPPORTED, -1, "survivors of more than %d ranks cannot be counted",
		    TT_SURVIVORS_MOST);
	TT_TRY(tt_alloc(1, sizeof(*r), "a roll of survivors", &memory));
	r = memory;
	r->config = config;
	r->bytes = ((size_t)config->size + 7) / 8;
	r->survivors = survivors;
	r->until_ns = config->until_ns;
	for (int i = 0; i < MOST_KNOCKS; i++)
		r->knocks[i].fd = -1;
	r->now_ns = r->turn_ns = r->steady_ns = tt_now_ns();
	place_of(config, config->rank, &mine);
	status = tt_meeting_open_at(&mine, &r->meeting);
	if (status == TUTTI_OK) {
		add_up(r);
		while (status == TUTTI_OK && !r->done)
			status = turn(r);
		part(r);
		tt_meeting_close(&r->meeting);
	}
	if (status != TUTTI_OK && survivors->has_meeting)
		tt_meeting_close(&survivors->meeting);
	tt_free(r);
	if (status == TUTTI_OK && !tt_survivors_has(survivors, config->rank))
		return tt_fail(TUTTI_ERR_STATE, config->rank,
		    "the other ranks have gone on without rank %d, whose answer came too late", config->rank);
	return status;
}

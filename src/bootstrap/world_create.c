/* SPDX-License-Identifier: Apache-2.0
 *
 * world_create.c - drives the creation protocol: poll(2) loop, listeners, connections, the node's segment.
 *
 * The rule: whoever has not proved that it knows the key costs one link of fixed size for at most two seconds, and
 * there are at most MOST_STRANGERS of those; when all are taken, the silent ones go first. So strangers can delay a
 * world but not stop it. All waiting ends at the machine's alarm.
 */
#include "bootstrap/world_internal.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"
#include "bootstrap/world_node.h"

#define MOST_STRANGERS 64
#define SILENT_FOR (20 * TT_MS) /* a stranger that has said nothing can go when another one comes */
#define BUSY_FOR (250 * TT_MS) /* the same for one in the middle of its handshake */
#define MOST_FRAMES 64 /* of one link before the next one has its turn */
#define MOST_LISTENERS (TT_MEETING_ADDRESSES + 3)
#define LINGER (500 * TT_MS) /* for the last words of a world that failed */
#define POLL_MOST_MS 1000

struct creation {
	struct tt_world *world;
	const struct tt_world_config *config;
	struct tt_join join;
	struct tt_node node;
	struct tt_link *links;
	bool dial_failed; /* before there was a link; still to be told */
	tutti_status dial_status;
	int node_listener, tcp_listener;
	int64_t now_ns;
	struct pollfd *polls;
	size_t room;
};

static int64_t
patience(const struct creation *creation, int64_t first)
{
	return creation->now_ns + (first << (creation->join.rounds < 3 ? creation->join.rounds : 3));
}

static void
add_link(struct creation *creation, struct tt_link *link)
{
	link->next = creation->links;
	link->since_ns = creation->now_ns;
	link->until_ns = TT_FOREVER;
	creation->links = link;
}

static void
begin(struct creation *creation, struct tt_link *link)
{
	const struct tt_rendezvous *rendezvous = creation->config->rendezvous;
	struct tt_hello mine = {.purpose = link->peer.local ? TT_PURPOSE_NODE : TT_PURPOSE_JOIN};

	mine.rank = creation->config->rank;
	memcpy(mine.epoch, rendezvous->epoch, sizeof(mine.epoch));
	link->since_ns = creation->now_ns;
	if (!link->dialed)
		link->until_ns = creation->now_ns + TT_HANDSHAKE_MS * TT_MS;
	else if (!link->peer.local)
		link->until_ns = patience(creation, TT_HANDSHAKE_MS * TT_MS / 4);
	else
		/* Whoever owns the name is ours; it may still be busy elsewhere. */
		link->until_ns = TT_FOREVER;
	tt_link_begin(link, rendezvous->key, &mine);
}

/* ---- what the machine asks for --------------------------------------------------------------------------- */

static struct tt_link *
link_of(struct tt_join_peer *peer)
{
	_Static_assert(offsetof(struct tt_link, peer) == 0, "a peer is the beginning of its link");
	return (struct tt_link *)peer;
}

static void
node_name(const struct creation *creation, unsigned char name[TT_NAME_BYTES])
{
	tt_rendezvous_name(creation->config->rendezvous, "node", creation->config->host, name);
}

static tutti_status
dial_local(struct creation *creation, enum tt_join_target target)
{
	unsigned char name[TT_NAME_BYTES];
	struct tt_link *link;
	int fd;

	if (target == TT_JOIN_ROOT)
		tt_rendezvous_name(creation->config->rendezvous, "root", 0, name);
	else
		node_name(creation, name);
	TT_TRY(tt_connect_unix(name, sizeof(name), &fd));
	TT_TRY(tt_link_create(fd, true, true, &link));
	add_link(creation, link);
	/* A stranger has taken the name: nobody of ours is there. */
	if (!tt_peer_is_me(fd)) {
		tt_link_close(link);
		return TUTTI_IN_PROGRESS;
	}
	begin(creation, link);
	return TUTTI_OK;
}

static tutti_status
dial_tcp(struct creation *creation, const struct tt_address *address)
{
	struct tt_link *link;
	int fd;

	TT_TRY(tt_connect_tcp(address, &fd));
	TT_TRY(tt_link_create(fd, false, true, &link));
	add_link(creation, link);
	link->state = TT_LINK_CONNECTING;
	link->until_ns = patience(creation, 1000 * TT_MS);
	return TUTTI_OK;
}

static void
dial(void *context, enum tt_join_target target, const struct tt_address *address)
{
	struct creation *creation = context;

	creation->dial_status = target == TT_JOIN_TCP ? dial_tcp(creation, address) : dial_local(creation, target);
	creation->dial_failed = creation->dial_status != TUTTI_OK;
}

static tutti_status
lead(void *context)
{
	struct creation *creation = context;
	unsigned char name[TT_NAME_BYTES];

	node_name(creation, name);
	return tt_listen_unix(name, sizeof(name), &creation->node_listener);
}

static void
unlead(void *context)
{
	struct creation *creation = context;

	tt_fd_close(creation->node_listener);
	creation->node_listener = -1;
	tt_node_drop(&creation->node);
}

static void
listen_for_leaders(void *context, struct tt_join_peer *peer, struct tt_address *address)
{
	struct creation *creation = context;
	struct sockaddr_storage name;
	socklen_t bytes = sizeof(name);

	tt_fd_close(creation->tcp_listener);
	creation->tcp_listener = -1;
	memset(address, 0, sizeof(*address));
	if (peer->local || getsockname(link_of(peer)->fd, (struct sockaddr *)&name, &bytes) != 0)
		return;
	tt_address_from_sockaddr(&name, address);
	address->port = 0;
	if (tt_listen_tcp(address, creation->config->settings->text[TT_SET_PORT_RANGE], &creation->tcp_listener) !=
	    TUTTI_OK)
		memset(address, 0, sizeof(*address));
}

static void
send_frame(void *context, struct tt_join_peer *peer, enum tt_frame type, const void *bytes, size_t n)
{
	struct creation *creation = context;
	struct tt_link *link = link_of(peer);

	/* Without memory for a frame the connection is as good as gone, and is reported so. */
	if (tt_link_send(link, type, bytes, n, NULL, 0) != TUTTI_OK)
		link->until_ns = creation->now_ns;
}

static void
drop(void *context, struct tt_join_peer *peer)
{
	struct creation *creation = context;
	struct tt_link *link = link_of(peer);

	if (creation->node.from == link)
		creation->node.from = NULL;
	link->state = TT_LINK_DOOMED;
	link->until_ns = creation->now_ns + LINGER;
}

static void
offer(void *context, struct tt_join_peer *peer)
{
	struct creation *creation = context;
	struct tt_link *link = link_of(peer);

	if (tt_node_offer(&creation->node, link, peer->card.process) == TUTTI_OK)
		return;
	tt_log(&creation->config->log, TT_LOG_WARN, "no memory is shared with rank %d: %s", peer->rank,
	    tt_last_error()->message);
	/* The machine learns it as if the member had answered so. */
	link->unshared = true;
}

static tutti_status
make_words(void *context, int n, uint64_t *offset)
{
	struct creation *creation = context;
	struct tt_segment *segment = creation->node.segment;
	struct tt_death_word *words;

	TT_TRY(tt_segment_take(segment, (size_t)n * sizeof(*words), offset));
	words = tt_segment_at(segment, *offset);
	for (int i = 0; i < n; i++)
		TT_TRY(tt_death_init(&words[i]));
	return TUTTI_OK;
}

/* ---- connections ----------------------------------------------------------------------------------------- */

static void
lose(struct creation *creation, struct tt_link *link, tutti_status status)
{
	const enum tt_link_state state = link->state;

	/* The machine no longer listens: the connection stays, and whoever uses the world next meets its end. */
	if (creation->join.state >= TT_JOIN_DONE)
		return;
	if (creation->node.from == link)
		creation->node.from = NULL;
	tt_link_close(link);
	if (state == TT_LINK_OPEN)
		tt_join_closed(&creation->join, &link->peer, creation->now_ns);
	else if (link->dialed && state != TT_LINK_DOOMED)
		tt_join_dialed(&creation->join, NULL, status, creation->now_ns);
}

static void
link_opened(struct creation *creation, struct tt_link *link)
{
	if (!link->peer.local && tt_tcp_tune(link->fd, creation->config->peer_timeout_ms) != TUTTI_OK) {
		lose(creation, link, TUTTI_ERR_SYSTEM);
		return;
	}
	if (link->dialed) {
		link->until_ns = TT_FOREVER;
		tt_join_dialed(&creation->join, &link->peer, TUTTI_OK, creation->now_ns);
	} else {
		/* Its card is expected within the same time as its handshake. */
		link->until_ns = creation->now_ns + TT_HANDSHAKE_MS * TT_MS;
	}
}

static tutti_status
take_frame(struct creation *creation, struct tt_link *link, enum tt_frame type, const unsigned char *bytes, size_t n)
{
	const int rank = creation->config->rank;
	const bool from_parent = &link->peer == creation->join.parent;
	bool shares;

	switch (type) {
	case TT_FRAME_OFFER:
		return from_parent ? tt_node_take_offer(&creation->node, link, rank, bytes, n) : TUTTI_OK;
	case TT_FRAME_DESCRIPTOR:
		return tt_node_take_descriptor(&creation->node, link, rank);
	case TT_FRAME_PROOF:
		shares = tt_node_check_proof(&creation->node, link, bytes, n);
		if (!shares)
			tt_log(&creation->config->log, TT_LOG_WARN,
			    "rank %d is on this host but could not map the node's memory: it is reached as another "
			    "node",
			    link->peer.rank);
		tt_join_settle(&creation->join, &link->peer, shares, creation->now_ns);
		return TUTTI_OK;
	default:
		tt_join_frame(&creation->join, &link->peer, type, bytes, n, creation->now_ns);
		if (link->peer.carded)
			link->until_ns = TT_FOREVER;
		return TUTTI_OK;
	}
}

static void
read_frames(struct creation *creation, struct tt_link *link)
{
	/* What comes after the end of creation is for those who come after. */
	for (int i = 0; i < MOST_FRAMES && link->state == TT_LINK_OPEN && creation->join.state < TT_JOIN_DONE; i++) {
		const unsigned char *bytes;
		enum tt_frame type;
		size_t n;
		tutti_status status = tt_link_read(link, &type, &bytes, &n);

		if (status == TUTTI_IN_PROGRESS)
			return;
		if (status == TUTTI_OK)
			status = take_frame(creation, link, type, bytes, n);
		if (status != TUTTI_OK) {
			lose(creation, link, status);
			return;
		}
	}
}

static void
serve_open(struct creation *creation, struct tt_link *link)
{
	if ((link->revents & ~POLLOUT) != 0)
		read_frames(creation, link);
	if (link->unshared) {
		link->unshared = false;
		tt_join_settle(&creation->join, &link->peer, false, creation->now_ns);
	}
	if (link->state == TT_LINK_OPEN && tt_link_flush(link) != TUTTI_OK && link->revents == POLLOUT)
		lose(creation, link, TUTTI_ERR_PEER);
}

static void
serve(struct creation *creation, struct tt_link *link)
{
	tutti_status status = TUTTI_IN_PROGRESS;

	switch (link->state) {
	case TT_LINK_CONNECTING:
		if (link->revents != 0)
			status = tt_connect_result(link->fd);
		if (status == TUTTI_OK)
			begin(creation, link);
		break;
	case TT_LINK_GREETING:
		if (link->revents != 0)
			status = tt_link_greet(link);
		if (status == TUTTI_OK)
			link_opened(creation, link);
		break;
	case TT_LINK_OPEN:
		serve_open(creation, link);
		break;
	case TT_LINK_DOOMED:
		if (tt_link_flush(link) != TUTTI_OK || !tt_link_wants_to_write(link))
			tt_link_close(link);
		break;
	default:
		break;
	}
	if (status != TUTTI_OK && status != TUTTI_IN_PROGRESS)
		lose(creation, link, status);
	else if (link->state != TT_LINK_CLOSED && creation->now_ns >= link->until_ns)
		lose(creation, link, TUTTI_ERR_TIMEOUT);
}

static void
serve_all(struct creation *creation)
{
	for (struct tt_link *link = creation->links; link != NULL && creation->join.state < TT_JOIN_DONE;
	     link = link->next)
		serve(creation, link);
}

static void
sweep(struct creation *creation)
{
	struct tt_link **at = &creation->links;

	while (*at != NULL) {
		struct tt_link *link = *at;

		if (link->state != TT_LINK_CLOSED) {
			at = &link->next;
			continue;
		}
		*at = link->next;
		tt_link_destroy(link);
	}
}

/* ---- strangers ------------------------------------------------------------------------------------------- */

/* The strangers there are, and the one that may be sent away if there are too many. */
static int
count_strangers(const struct creation *creation, struct tt_link **victim)
{
	int n = 0;

	*victim = NULL;
	for (struct tt_link *link = creation->links; link != NULL; link = link->next) {
		const int64_t age = creation->now_ns - link->since_ns;

		if (link->dialed || link->state != TT_LINK_GREETING)
			continue;
		n++;
		if (age >= (link->greeting.out_bytes == 0 ? SILENT_FOR : BUSY_FOR) &&
		    (*victim == NULL || link->since_ns < (*victim)->since_ns))
			*victim = link;
	}
	return n;
}

static bool
is_full(const struct creation *creation)
{
	struct tt_link *victim;

	return count_strangers(creation, &victim) >= MOST_STRANGERS && victim == NULL;
}

static tutti_status
take_stranger(struct creation *creation, int fd, bool local)
{
	struct tt_link *link, *victim;

	if (local && !tt_peer_is_me(fd)) {
		tt_fd_close(fd);
		return TUTTI_OK;
	}
	if (count_strangers(creation, &victim) >= MOST_STRANGERS)
		tt_link_close(victim);
	TT_TRY(tt_link_create(fd, local, false, &link));
	add_link(creation, link);
	begin(creation, link);
	return TUTTI_OK;
}

static tutti_status
accept_from(struct creation *creation, int listener, bool local)
{
	while (!is_full(creation)) {
		int fd;

		TT_TRY(tt_accept(listener, &fd));
		if (fd < 0)
			break;
		TT_TRY(take_stranger(creation, fd, local));
	}
	return TUTTI_OK;
}

static int
list_listeners(const struct creation *creation, int fds[MOST_LISTENERS], bool local[MOST_LISTENERS])
{
	const struct tt_meeting *meeting = creation->config->meeting;
	int n = 0;

	if (meeting != NULL && meeting->local >= 0) {
		local[n] = true;
		fds[n++] = meeting->local;
	}
	for (int i = 0; meeting != NULL && i < meeting->ntcp; i++) {
		local[n] = false;
		fds[n++] = meeting->tcp[i];
	}
	if (creation->node_listener >= 0) {
		local[n] = true;
		fds[n++] = creation->node_listener;
	}
	if (creation->tcp_listener >= 0) {
		local[n] = false;
		fds[n++] = creation->tcp_listener;
	}
	return n;
}

static void
accept_all(struct creation *creation)
{
	bool local[MOST_LISTENERS];
	int fds[MOST_LISTENERS];
	const int n = list_listeners(creation, fds, local);

	for (int i = 0; i < n && creation->join.state < TT_JOIN_DONE; i++)
		if (accept_from(creation, fds[i], local[i]) != TUTTI_OK)
			tt_join_give_up(&creation->join);
}

/* ---- the loop -------------------------------------------------------------------------------------------- */

static tutti_status
make_polls(struct creation *creation, size_t n)
{
	void *memory;

	if (n <= creation->room)
		return TUTTI_OK;
	TT_TRY(tt_alloc(n * 2, sizeof(*creation->polls), "a list of descriptors", &memory));
	tt_free(creation->polls);
	creation->polls = memory;
	creation->room = n * 2;
	return TUTTI_OK;
}

static size_t
count_links(const struct creation *creation)
{
	size_t n = 0;

	for (const struct tt_link *link = creation->links; link != NULL; link = link->next)
		n++;
	return n;
}

static int64_t
next_alarm(const struct creation *creation, bool full)
{
	int64_t when = tt_join_alarm(&creation->join);

	for (const struct tt_link *link = creation->links; link != NULL; link = link->next)
		if (link->until_ns < when)
			when = link->until_ns;
	/* While there is no room for strangers, their ages are what is waited for. */
	if (full && when > creation->now_ns + SILENT_FOR)
		when = creation->now_ns + SILENT_FOR;
	return when;
}

static tutti_status
wait_for_events(struct creation *creation)
{
	const bool full = is_full(creation);
	const int64_t when = next_alarm(creation, full);
	bool local[MOST_LISTENERS];
	int fds[MOST_LISTENERS];
	const int nlisteners = full ? 0 : list_listeners(creation, fds, local);
	size_t n = 0;

	TT_TRY(make_polls(creation, count_links(creation) + MOST_LISTENERS));
	for (struct tt_link *link = creation->links; link != NULL; link = link->next)
		creation->polls[n++] = (struct pollfd){link->fd, tt_link_events(link), 0};
	for (int i = 0; i < nlisteners; i++)
		creation->polls[n++] = (struct pollfd){fds[i], POLLIN, 0};
	if (poll(creation->polls, n, tt_poll_ms(when, tt_now_ns(), POLL_MOST_MS)) < 0) {
		if (errno != EINTR)
			return tt_fail_errno("cannot wait for connections");
		memset(creation->polls, 0, n * sizeof(*creation->polls));
	}
	n = 0;
	for (struct tt_link *link = creation->links; link != NULL; link = link->next)
		link->revents = creation->polls[n++].revents;
	creation->now_ns = tt_now_ns();
	return TUTTI_OK;
}

static void
run(struct creation *creation)
{
	while (creation->join.state < TT_JOIN_DONE) {
		sweep(creation);
		if (creation->dial_failed) {
			creation->dial_failed = false;
			tt_join_dialed(&creation->join, NULL, creation->dial_status, creation->now_ns);
			continue;
		}
		if (wait_for_events(creation) != TUTTI_OK) {
			tt_join_give_up(&creation->join);
			return;
		}
		serve_all(creation);
		if (creation->join.state < TT_JOIN_DONE)
			accept_all(creation);
		tt_join_tick(&creation->join, creation->now_ns);
	}
}

/* ---- the end --------------------------------------------------------------------------------------------- */

static bool
is_in_tree(const struct creation *creation, const struct tt_link *link)
{
	return link->state == TT_LINK_OPEN && (&link->peer == creation->join.parent || link->peer.welcomed);
}

/* Sends what is queued and, if `drains`, reads until the other sides have closed, so that closing here does not
 * take words back that are still on their way; until the time given. */
static void
finish_sending(struct creation *creation, int64_t until_ns, bool drains)
{
	for (;;) {
		size_t n = 0;

		sweep(creation);
		if (make_polls(creation, count_links(creation)) != TUTTI_OK)
			return;
		for (struct tt_link *link = creation->links; link != NULL; link = link->next) {
			const bool failed = tt_link_flush(link) != TUTTI_OK;

			if (drains && (failed || link->state != TT_LINK_OPEN))
				tt_link_close(link);
			else if (!failed && (drains || tt_link_wants_to_write(link)))
				creation->polls[n++] =
				    (struct pollfd){link->fd, drains ? tt_link_events(link) : POLLOUT, 0};
		}
		if (n == 0 || tt_now_ns() >= until_ns)
			return;
		poll(creation->polls, n, tt_poll_ms(until_ns, tt_now_ns(), POLL_MOST_MS));
		for (struct tt_link *link = creation->links; link != NULL && drains; link = link->next) {
			unsigned char bytes[4096];
			size_t done;

			if (link->state == TT_LINK_OPEN &&
			    tt_read_some(link->fd, bytes, sizeof(bytes), &done) != TUTTI_OK)
				tt_link_close(link);
		}
	}
}

/* Moves the connections of the tree into the world; the others are closed. */
static void
hand_over_links(struct creation *creation)
{
	struct tt_world *world = creation->world;

	while (creation->links != NULL) {
		struct tt_link *link = creation->links;

		creation->links = link->next;
		link->next = NULL;
		if (!is_in_tree(creation, link)) {
			tt_link_destroy(link);
		} else if (&link->peer == creation->join.parent) {
			world->parent = link;
		} else {
			link->next = world->children;
			world->children = link;
		}
	}
	for (int rank = 0; rank < world->size; rank++) {
		struct tt_join_peer *via = creation->join.via[rank];

		if (rank != world->rank)
			world->route[rank] = via != NULL ? link_of(via) : world->parent;
	}
}

static tutti_status
hand_over(struct creation *creation)
{
	struct tt_world *world = creation->world;
	const struct tt_join *join = &creation->join;

	TT_TRY(tt_world_place(world, join->homes));
	tt_node_end_offers(&creation->node);
	if (world->nlocal > 1) {
		const size_t bytes = (size_t)world->nlocal * sizeof(*world->words);

		world->segment = creation->node.segment;
		creation->node.segment = NULL;
		if (tt_segment_at(world->segment, join->words_at + bytes - 1) == NULL)
			return tt_fail(TUTTI_ERR_INTERNAL, join->homes[world->rank],
			    "the leader of this node, rank %d, sent a place outside of the shared memory",
			    join->homes[world->rank]);
		world->words = tt_segment_at(world->segment, join->words_at);
	}
	hand_over_links(creation);
	return TUTTI_OK;
}

static tutti_status
conclude(struct creation *creation)
{
	if (creation->join.state == TT_JOIN_DONE) {
		finish_sending(creation, creation->config->deadline_ns, false);
		return hand_over(creation);
	}
	finish_sending(creation, tt_now_ns() + LINGER, true);
	return tt_fail_with(&creation->join.error);
}

static void
configure(const struct tt_world_config *config, struct tt_join_config *join)
{
	const char *transports = config->settings->text[TT_SET_TRANSPORTS];

	join->rank = config->rank;
	join->size = config->size;
	join->fanout = config->fanout > 0 ? config->fanout : TT_WORLD_FANOUT;
	join->shares = config->share_memory && (transports == NULL || strcmp(transports, "tcp") != 0);
	join->elsewhere = config->host != 0;
	join->rendezvous = config->rendezvous;
	join->deadline_ns = config->deadline_ns;
	tt_process_identity(join->process);
	tt_random(&join->seed, sizeof(join->seed));
}

tutti_status
tt_world_gather(struct tt_world *world, const struct tt_world_config *config)
{
	struct creation creation = {.world = world, .config = config, .node_listener = -1, .tcp_listener = -1};
	const struct tt_join_io io = {.context = &creation,
	    .dial = dial,
	    .lead = lead,
	    .unlead = unlead,
	    .listen = listen_for_leaders,
	    .send = send_frame,
	    .drop = drop,
	    .offer = offer,
	    .words = make_words};
	struct tt_join_config join = {.rank = 0};
	tutti_status status;

	memcpy(world->epoch, config->rendezvous->epoch, sizeof(world->epoch));
	tt_key_derive(config->rendezvous->key, "world", 0, world->key);
	configure(config, &join);
	creation.now_ns = tt_now_ns();
	status = tt_join_init(&creation.join, &join, &io, creation.now_ns);
	if (status == TUTTI_OK) {
		run(&creation);
		status = conclude(&creation);
	}
	tt_fd_close(creation.node_listener);
	tt_fd_close(creation.tcp_listener);
	while (creation.links != NULL) {
		struct tt_link *link = creation.links;

		creation.links = link->next;
		tt_link_destroy(link);
	}
	tt_node_drop(&creation.node);
	tt_free(creation.polls);
	tt_join_fini(&creation.join);
	return status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * world_actions.c - does what the creation protocol asks for.
 *
 * Nothing here answers the machine: results are told later, by the loop, so that the machine is never entered twice.
 */
#include "bootstrap/world_creation.h"

#include <string.h>

#include "base/error.h"
#include "base/process.h"

static int64_t
patience(const struct tt_creation *creation, int64_t first)
{
	return creation->now_ns + (first << (creation->join.rounds < 3 ? creation->join.rounds : 3));
}

void
tt_creation_add(struct tt_creation *creation, struct tt_link *link)
{
	link->next = creation->links;
	link->since_ns = creation->now_ns;
	link->until_ns = TT_FOREVER;
	creation->links = link;
}

void
tt_creation_begin(struct tt_creation *creation, struct tt_link *link)
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

static void
node_name(const struct tt_creation *creation, unsigned char name[TT_NAME_BYTES])
{
	tt_rendezvous_name(creation->config->rendezvous, "node", creation->config->host, name);
}

static tutti_status
dial_local(struct tt_creation *creation, enum tt_join_target target)
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
	tt_creation_add(creation, link);
	/* A stranger has taken the name: nobody of ours is there. */
	if (!tt_peer_is_me(fd)) {
		tt_link_close(link);
		return TUTTI_IN_PROGRESS;
	}
	tt_creation_begin(creation, link);
	return TUTTI_OK;
}

static tutti_status
dial_tcp(struct tt_creation *creation, const struct tt_address *address)
{
	struct tt_link *link;
	int fd;

	TT_TRY(tt_connect_tcp(address, &fd));
	TT_TRY(tt_link_create(fd, false, true, &link));
	tt_creation_add(creation, link);
	link->state = TT_LINK_CONNECTING;
	link->until_ns = patience(creation, 1000 * TT_MS);
	return TUTTI_OK;
}

static void
dial(void *context, enum tt_join_target target, const struct tt_address *address)
{
	struct tt_creation *creation = context;

	creation->dial_status = target == TT_JOIN_TCP ? dial_tcp(creation, address) : dial_local(creation, target);
	creation->dial_failed = creation->dial_status != TUTTI_OK;
}

static tutti_status
lead(void *context)
{
	struct tt_creation *creation = context;
	unsigned char name[TT_NAME_BYTES];

	node_name(creation, name);
	return tt_listen_unix(name, sizeof(name), &creation->node_listener);
}

static void
unlead(void *context)
{
	struct tt_creation *creation = context;

	tt_fd_close(creation->node_listener);
	creation->node_listener = -1;
	tt_node_drop(&creation->node);
}

static void
listen_for_leaders(void *context, struct tt_join_peer *peer, struct tt_address *address)
{
	struct tt_creation *creation = context;
	struct sockaddr_storage name;
	socklen_t bytes = sizeof(name);

	tt_fd_close(creation->tcp_listener);
	creation->tcp_listener = -1;
	memset(address, 0, sizeof(*address));
	if (peer->local || getsockname(tt_creation_link(peer)->fd, (struct sockaddr *)&name, &bytes) != 0)
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
	struct tt_creation *creation = context;
	struct tt_link *link = tt_creation_link(peer);

	/* Without memory for a frame the connection is as good as gone, and is reported so. */
	if (tt_link_send(link, type, bytes, n, NULL, 0) != TUTTI_OK)
		link->until_ns = creation->now_ns;
}

static void
drop(void *context, struct tt_join_peer *peer)
{
	struct tt_creation *creation = context;
	struct tt_link *link = tt_creation_link(peer);

	if (creation->node.from == link)
		creation->node.from = NULL;
	link->state = TT_LINK_DOOMED;
	link->until_ns = creation->now_ns + TT_CREATION_LINGER;
}

static void
offer(void *context, struct tt_join_peer *peer)
{
	struct tt_creation *creation = context;
	struct tt_link *link = tt_creation_link(peer);

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
	struct tt_creation *creation = context;
	struct tt_segment *segment = creation->node.segment;
	struct tt_death_word *words;

	TT_TRY(tt_segment_take(segment, (size_t)n * sizeof(*words), offset));
	words = tt_segment_at(segment, *offset);
	for (int i = 0; i < n; i++)
		TT_TRY(tt_death_init(&words[i]));
	return TUTTI_OK;
}

struct tt_join_io
tt_creation_io(struct tt_creation *creation)
{
	return (struct tt_join_io){.context = creation,
	    .dial = dial,
	    .lead = lead,
	    .unlead = unlead,
	    .listen = listen_for_leaders,
	    .send = send_frame,
	    .drop = drop,
	    .offer = offer,
	    .words = make_words};
}

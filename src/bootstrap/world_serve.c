/* SPDX-License-Identifier: Apache-2.0
 *
 * world_serve.c - what happens on the connections of a world in the making.
 *
 * A link goes from connecting to greeting to open, and is given up when its time is over. Frames about memory are
 * dealt with here, all others are the machine's.
 */
#include "bootstrap/world_creation.h"

#include <poll.h>

#include "base/error.h"

#define MOST_FRAMES 64 /* of one link before the next one has its turn */

static void
lose(struct tt_creation *creation, struct tt_link *link, tutti_status status)
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
link_opened(struct tt_creation *creation, struct tt_link *link)
{
	if (!link->peer.local && tt_tcp_tune(link->fd, creation->config->peer_timeout_ms, false) != TUTTI_OK) {
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
take_frame(
    struct tt_creation *creation, struct tt_link *link, enum tt_frame type, const unsigned char *bytes, size_t n)
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
read_frames(struct tt_creation *creation, struct tt_link *link)
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
serve_open(struct tt_creation *creation, struct tt_link *link)
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
serve(struct tt_creation *creation, struct tt_link *link)
{
	tutti_status status = TUTTI_IN_PROGRESS;

	switch (link->state) {
	case TT_LINK_CONNECTING:
		if (link->revents != 0)
			status = tt_connect_result(link->fd);
		if (status == TUTTI_OK)
			tt_creation_begin(creation, link);
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

void
tt_creation_serve(struct tt_creation *creation)
{
	for (struct tt_link *link = creation->links; link != NULL && creation->join.state < TT_JOIN_DONE;
	     link = link->next)
		serve(creation, link);
}

void
tt_creation_sweep(struct tt_creation *creation)
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

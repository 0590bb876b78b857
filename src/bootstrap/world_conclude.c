/* SPDX-License-Identifier: Apache-2.0
 *
 * world_conclude.c - the end of a creation: its last words are sent, its connections and memory become the world's.
 */
#include "bootstrap/world_creation.h"

#include <string.h>

#include "base/error.h"
#include "base/process.h"

static bool
is_in_tree(const struct tt_creation *creation, const struct tt_link *link)
{
	return link->state == TT_LINK_OPEN && (&link->peer == creation->join.parent || link->peer.welcomed);
}

static void
wait_until(struct tt_creation *creation, size_t n, int64_t until_ns)
{
	poll(creation->polls, n, tt_poll_ms(until_ns, tt_now_ns(), TT_CREATION_POLL_MS));
}

/* The others wait for what is queued. What they do not take in time stays queued. */
static void
send_all(struct tt_creation *creation)
{
	const int64_t until_ns = creation->config->deadline_ns;

	tt_creation_sweep(creation);
	while (tt_creation_make_polls(creation, tt_creation_count(creation)) == TUTTI_OK) {
		size_t n = 0;

		for (struct tt_link *link = creation->links; link != NULL; link = link->next)
			if (is_in_tree(creation, link) && tt_link_flush(link) == TUTTI_OK &&
			    tt_link_wants_to_write(link))
				creation->polls[n++] = (struct pollfd){link->fd, POLLOUT, 0};
		if (n == 0 || tt_now_ns() >= until_ns)
			return;
		wait_until(creation, n, until_ns);
	}
}

/* Goes on with the end of one connection: all is written, then what comes is read until the other side has closed,
 * because closing with unread bytes would take back what was written. */
static void
see_off(struct tt_link *link)
{
	unsigned char bytes[4096];
	size_t done = 0;

	if (link->state != TT_LINK_OPEN || tt_link_flush(link) != TUTTI_OK) {
		tt_link_close(link);
		return;
	}
	/* So that the other side, which may be waiting for the same, sees the end. */
	if (!tt_link_wants_to_write(link))
		shutdown(link->fd, SHUT_WR);
	do {
		if (tt_read_some(link->fd, bytes, sizeof(bytes), &done) != TUTTI_OK)
			tt_link_close(link);
	} while (link->state == TT_LINK_OPEN && done > 0);
}

static void
say_last_words(struct tt_creation *creation)
{
	const int64_t until_ns = tt_now_ns() + TT_CREATION_LINGER;

	while (tt_creation_make_polls(creation, tt_creation_count(creation)) == TUTTI_OK) {
		size_t n = 0;

		for (struct tt_link *link = creation->links; link != NULL; link = link->next)
			see_off(link);
		tt_creation_sweep(creation);
		for (struct tt_link *link = creation->links; link != NULL; link = link->next)
			creation->polls[n++] = (struct pollfd){link->fd, tt_link_events(link), 0};
		if (n == 0 || tt_now_ns() >= until_ns)
			return;
		wait_until(creation, n, until_ns);
	}
}

/* Moves the connections of the tree into the world; the others are closed. */
static void
hand_over_links(struct tt_creation *creation)
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
			world->route[rank] = via != NULL ? tt_creation_link(via) : world->parent;
	}
}

static tutti_status
hand_over(struct tt_creation *creation)
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

tutti_status
tt_creation_conclude(struct tt_creation *creation)
{
	if (creation->join.state == TT_JOIN_DONE) {
		send_all(creation);
		return hand_over(creation);
	}
	/* Whoever still wants to join this rank shall look for rank 0 instead. */
	tt_fd_close(creation->node_listener);
	tt_fd_close(creation->tcp_listener);
	creation->node_listener = creation->tcp_listener = -1;
	say_last_words(creation);
	return tt_fail_with(&creation->join.error);
}

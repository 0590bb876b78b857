/* SPDX-License-Identifier: Apache-2.0
 *
 * world_strangers.c - connections from whoever: accepted, counted, and sent away.
 *
 * The rule: whoever has not proved that it knows the key costs one link of fixed size for at most two seconds, and
 * there are at most MOST_STRANGERS of those; when all are taken, the silent ones go first. So strangers can delay a
 * world but not stop it.
 */
#include "bootstrap/world_creation.h"

#include "base/error.h"
#include "base/process.h"

#define MOST_STRANGERS 64
#define BUSY_FOR (250 * TT_MS) /* in the middle of a handshake, one may take so long when others want to come in */

/* The strangers there are, and the one that may be sent away if there are too many. */
static int
count_strangers(const struct tt_creation *creation, struct tt_link **victim)
{
	int n = 0;

	*victim = NULL;
	for (struct tt_link *link = creation->links; link != NULL; link = link->next) {
		const int64_t age = creation->now_ns - link->since_ns;

		if (link->dialed || link->state != TT_LINK_GREETING)
			continue;
		n++;
		if (age >= (link->greeting.out_bytes == 0 ? TT_CREATION_SILENT : BUSY_FOR) &&
		    (*victim == NULL || link->since_ns < (*victim)->since_ns))
			*victim = link;
	}
	return n;
}

bool
tt_creation_is_full(const struct tt_creation *creation)
{
	struct tt_link *victim;

	return count_strangers(creation, &victim) >= MOST_STRANGERS && victim == NULL;
}

static tutti_status
take_stranger(struct tt_creation *creation, int fd, bool local)
{
	struct tt_link *link, *victim;

	if (local && !tt_peer_is_me(fd)) {
		tt_fd_close(fd);
		return TUTTI_OK;
	}
	if (count_strangers(creation, &victim) >= MOST_STRANGERS)
		tt_link_close(victim);
	TT_TRY(tt_link_create(fd, local, false, &link));
	tt_creation_add(creation, link);
	tt_creation_begin(creation, link);
	return TUTTI_OK;
}

static tutti_status
accept_from(struct tt_creation *creation, int listener, bool local)
{
	while (!tt_creation_is_full(creation)) {
		int fd;

		TT_TRY(tt_accept(listener, &fd));
		if (fd < 0)
			break;
		TT_TRY(take_stranger(creation, fd, local));
	}
	return TUTTI_OK;
}

int
tt_creation_listeners(
    const struct tt_creation *creation, int fds[TT_CREATION_LISTENERS], bool local[TT_CREATION_LISTENERS])
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

void
tt_creation_accept(struct tt_creation *creation)
{
	bool local[TT_CREATION_LISTENERS];
	int fds[TT_CREATION_LISTENERS];
	const int n = tt_creation_listeners(creation, fds, local);

	for (int i = 0; i < n && creation->join.state < TT_JOIN_DONE; i++)
		if (accept_from(creation, fds[i], local[i]) != TUTTI_OK)
			tt_join_give_up(&creation->join);
}

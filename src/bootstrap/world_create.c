/* SPDX-License-Identifier: Apache-2.0
 *
 * world_create.c - drives the creation protocol: the poll(2) loop.
 *
 * All waiting ends at the alarm of the machine or of a connection, whichever is first.
 */
#include "bootstrap/world_creation.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"

tutti_status
tt_creation_make_polls(struct tt_creation *creation, size_t n)
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

size_t
tt_creation_count(const struct tt_creation *creation)
{
	size_t n = 0;

	for (const struct tt_link *link = creation->links; link != NULL; link = link->next)
		n++;
	return n;
}

static int64_t
next_alarm(const struct tt_creation *creation, bool full)
{
	int64_t when = tt_join_alarm(&creation->join);

	for (const struct tt_link *link = creation->links; link != NULL; link = link->next)
		if (link->until_ns < when)
			when = link->until_ns;
	/* While there is no room for strangers, their ages are what is waited for. */
	if (full && when > creation->now_ns + TT_CREATION_SILENT)
		when = creation->now_ns + TT_CREATION_SILENT;
	return when;
}

static tutti_status
wait_for_events(struct tt_creation *creation)
{
	const bool full = tt_creation_is_full(creation);
	const int64_t when = next_alarm(creation, full);
	const int most_ms = creation->world->go_on != NULL ? TT_WORLD_GO_ON_MS : TT_CREATION_POLL_MS;
	bool local[TT_CREATION_LISTENERS];
	int fds[TT_CREATION_LISTENERS];
	const int nlisteners = full ? 0 : tt_creation_listeners(creation, fds, local);
	size_t n = 0;

	TT_TRY(tt_creation_make_polls(creation, tt_creation_count(creation) + TT_CREATION_LISTENERS));
	for (struct tt_link *link = creation->links; link != NULL; link = link->next)
		creation->polls[n++] = (struct pollfd){link->fd, tt_link_events(link), 0};
	for (int i = 0; i < nlisteners; i++)
		creation->polls[n++] = (struct pollfd){fds[i], POLLIN, 0};
	if (poll(creation->polls, n, tt_poll_ms(when, tt_now_ns(), most_ms)) < 0) {
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
run(struct tt_creation *creation)
{
	while (creation->join.state < TT_JOIN_DONE) {
		tt_creation_sweep(creation);
		if (creation->dial_failed) {
			creation->dial_failed = false;
			tt_join_dialed(&creation->join, NULL, creation->dial_status, creation->now_ns);
			continue;
		}
		if (wait_for_events(creation) != TUTTI_OK || tt_world_go_on(creation->world) != TUTTI_OK) {
			tt_join_give_up(&creation->join);
			return;
		}
		tt_creation_serve(creation);
		if (creation->join.state < TT_JOIN_DONE)
			tt_creation_accept(creation);
		tt_join_tick(&creation->join, creation->now_ns);
	}
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
	struct tt_creation creation = {.world = world, .config = config, .node_listener = -1, .tcp_listener = -1};
	const struct tt_join_io io = tt_creation_io(&creation);
	struct tt_join_config join = {.rank = 0};
	tutti_status status;

	memcpy(world->epoch, config->rendezvous->epoch, sizeof(world->epoch));
	tt_key_derive(config->rendezvous->key, "world", 0, world->key);
	configure(config, &join);
	creation.now_ns = tt_now_ns();
	status = tt_join_init(&creation.join, &join, &io, creation.now_ns);
	if (status == TUTTI_OK) {
		run(&creation);
		status = tt_creation_conclude(&creation);
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

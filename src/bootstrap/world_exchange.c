/* SPDX-License-Identifier: Apache-2.0
 *
 * world_exchange.c - all-gather over the tree, before the background thread exists.
 *
 *	      up: every rank sends what it has of its subtree, when it has all of it
 *	    down: rank 0 sends the whole, everybody passes it on
 *
 * Each part says which exchange it belongs to and how many bytes a rank contributes, so that ranks that do not
 * agree find out. A child that has contributed is not read any further: what it sends then belongs to the next
 * exchange. Queues are filled part by part from the result itself and stay short.
 */
#include "bootstrap/world_internal.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#define MOST_BYTES (64 * 1024)
#define MOST_QUEUED (16 * 1024)
#define POLL_MOST_MS 1000
#define LAST_WORDS_MS 200

struct exchange {
	struct tt_world *world;
	uint32_t number;
	size_t bytes, total;
	unsigned char *all;
	size_t *here; /* [size]: bytes of each rank's contribution that are here */
	int wanted; /* contributions of my subtree that are not complete */
	int up_rank; /* next to be queued for the parent, and from which byte */
	size_t up_at;
	size_t down; /* bytes of the result that are here */
	struct pollfd *polls;
	tutti_error error; /* why it failed; known to those whom it has been told to */
	struct tt_link *told_by;
};

static tutti_status
fail(struct exchange *exchange, struct tt_link *from)
{
	exchange->error = *tt_last_error();
	exchange->told_by = from;
	return exchange->error.status;
}

static bool
is_mine(const struct exchange *exchange, int rank)
{
	const struct tt_world *world = exchange->world;

	return rank == world->rank || world->route[rank] != world->parent;
}

static tutti_status
check_part(const struct exchange *exchange, const struct tt_link *link, const struct tt_part *part, size_t n)
{
	const size_t whole = part->rank < 0 ? exchange->total : exchange->bytes;
	const int other = part->rank < 0 ? link->peer.rank : part->rank;

	if (part->number != exchange->number || part->bytes != exchange->bytes)
		return tt_fail(TUTTI_ERR_MISMATCH, other,
		    "rank %d exchanges %llu bytes (exchange %u) and rank %d %zu bytes (exchange %u): all ranks must "
		    "call "
		    "the same functions in the same order",
		    other, (unsigned long long)part->bytes, part->number, exchange->world->rank, exchange->bytes,
		    exchange->number);
	if (part->rank >= exchange->world->size || n > whole || part->offset > whole - n)
		return tt_fail(TUTTI_ERR_INTERNAL, link->peer.rank,
		    "rank %d sent a part of an exchange that has no place", link->peer.rank);
	return TUTTI_OK;
}

static tutti_status
take_gather(struct exchange *exchange, struct tt_link *link, const unsigned char *bytes, size_t n)
{
	struct tt_part part;

	if (!tt_part_read(bytes, n, &part) || part.rank < 0 || link == exchange->world->parent)
		return tt_fail(
		    TUTTI_ERR_INTERNAL, link->peer.rank, "rank %d sent a part that cannot be read", link->peer.rank);
	n -= TT_PART_HEAD;
	TT_TRY(check_part(exchange, link, &part, n));
	if (exchange->world->route[part.rank] != link || part.offset != exchange->here[part.rank] || n == 0)
		return tt_fail(
		    TUTTI_ERR_INTERNAL, link->peer.rank, "rank %d sent a part out of order", link->peer.rank);
	memcpy(exchange->all + (size_t)part.rank * exchange->bytes + part.offset, bytes + TT_PART_HEAD, n);
	exchange->here[part.rank] += n;
	if (exchange->here[part.rank] == exchange->bytes) {
		exchange->wanted--;
		link->owed--;
	}
	return TUTTI_OK;
}

static tutti_status
take_scatter(struct exchange *exchange, struct tt_link *link, const unsigned char *bytes, size_t n)
{
	struct tt_part part;

	if (!tt_part_read(bytes, n, &part) || part.rank >= 0 || link != exchange->world->parent)
		return tt_fail(
		    TUTTI_ERR_INTERNAL, link->peer.rank, "rank %d sent a part that cannot be read", link->peer.rank);
	n -= TT_PART_HEAD;
	TT_TRY(check_part(exchange, link, &part, n));
	if (part.offset != exchange->down)
		return tt_fail(
		    TUTTI_ERR_INTERNAL, link->peer.rank, "rank %d sent a part out of order", link->peer.rank);
	if (n > 0)
		memcpy(exchange->all + part.offset, bytes + TT_PART_HEAD, n);
	exchange->down += n;
	return TUTTI_OK;
}

static tutti_status
take_failure(const struct tt_link *link, const unsigned char *bytes, size_t n)
{
	tutti_error error;

	if (!tt_failure_read(bytes, n, &error))
		return tt_fail(TUTTI_ERR_INTERNAL, link->peer.rank,
		    "rank %d gave up and its reason could not be read", link->peer.rank);
	return tt_fail_with(&error);
}

static tutti_status
take_goodbye(struct tt_world *world, const struct tt_link *link, const unsigned char *bytes, size_t n)
{
	int to, from;

	if (!tt_route_read(bytes, n, world->size, &to, &from))
		from = link->peer.rank;
	tt_store_relaxed(&world->left[from], 1);
	return tt_fail(TUTTI_ERR_PEER, from, "rank %d left while the communicator was being made", from);
}

static tutti_status
take(struct exchange *exchange, struct tt_link *link, enum tt_frame type, const unsigned char *bytes, size_t n)
{
	switch (type) {
	case TT_FRAME_GATHER:
		return take_gather(exchange, link, bytes, n);
	case TT_FRAME_SCATTER:
		return take_scatter(exchange, link, bytes, n);
	case TT_FRAME_FAIL:
		return take_failure(link, bytes, n);
	case TT_FRAME_GOODBYE:
		return take_goodbye(exchange->world, link, bytes, n);
	default:
		return tt_fail(TUTTI_ERR_MISMATCH, link->peer.rank,
		    "rank %d is past the exchanges that rank %d is still in: all ranks must call the same functions",
		    link->peer.rank, exchange->world->rank);
	}
}

/* Is anything of this exchange still to come through this link? Else what it has is not for now. */
static bool
wants_from(const struct exchange *exchange, const struct tt_link *link)
{
	if (link == exchange->world->parent)
		return exchange->down < exchange->total;
	return link->owed > 0;
}

static tutti_status
read_link(struct exchange *exchange, struct tt_link *link)
{
	while (wants_from(exchange, link)) {
		const unsigned char *bytes;
		enum tt_frame type = 0;
		size_t n;
		tutti_status status = tt_link_read(link, &type, &bytes, &n);

		if (status == TUTTI_IN_PROGRESS)
			break;
		if (status == TUTTI_ERR_PEER)
			tt_fail(TUTTI_ERR_PEER, link->peer.rank,
			    "rank %d went away while the communicator was being made", link->peer.rank);
		if (status == TUTTI_OK)
			status = take(exchange, link, type, bytes, n);
		if (status != TUTTI_OK)
			return fail(exchange, type == TT_FRAME_FAIL ? link : NULL);
	}
	return TUTTI_OK;
}

/* ---- sending --------------------------------------------------------------------------------------------- */

static tutti_status
send_part(const struct exchange *exchange, struct tt_link *link, int rank, size_t offset, size_t end, size_t *n)
{
	const struct tt_part part = {rank, exchange->number, exchange->bytes, offset};
	const size_t base = rank < 0 ? 0 : (size_t)rank * exchange->bytes;
	unsigned char head[TT_PART_HEAD];

	*n = tt_min_size(end - offset, TT_PART_MOST);
	tt_part_write(&part, head);
	return tt_link_send(link, rank < 0 ? TT_FRAME_SCATTER : TT_FRAME_GATHER, head, sizeof(head),
	    exchange->all + base + offset, *n);
}

/* What can be queued for the parent now. */
static tutti_status
fill_up(struct exchange *exchange)
{
	struct tt_world *world = exchange->world;

	if (exchange->wanted > 0)
		return TUTTI_OK;
	while (exchange->up_rank < world->size && tt_link_queued(world->parent) < MOST_QUEUED) {
		size_t n = 0;

		if (is_mine(exchange, exchange->up_rank)) {
			TT_TRY(send_part(
			    exchange, world->parent, exchange->up_rank, exchange->up_at, exchange->bytes, &n));
			exchange->up_at += n;
			if (exchange->up_at < exchange->bytes)
				continue;
		}
		exchange->up_rank++;
		exchange->up_at = 0;
	}
	return TUTTI_OK;
}

static tutti_status
fill_down(struct exchange *exchange, struct tt_link *child)
{
	/* Rank 0 has the whole when its subtree has contributed. */
	const bool is_root = exchange->world->parent == NULL;
	const size_t here = is_root ? (exchange->wanted > 0 ? 0 : exchange->total) : exchange->down;

	while (child->sent_down < here && tt_link_queued(child) < MOST_QUEUED) {
		size_t n = 0;

		TT_TRY(send_part(exchange, child, -1, child->sent_down, here, &n));
		child->sent_down += n;
	}
	return TUTTI_OK;
}

/* Fills the queue and empties it until there is nothing more, or no more room in the socket. */
static tutti_status
write_link(struct exchange *exchange, struct tt_link *link)
{
	for (;;) {
		if ((link == exchange->world->parent ? fill_up(exchange) : fill_down(exchange, link)) != TUTTI_OK)
			return fail(exchange, NULL);
		if (!tt_link_wants_to_write(link))
			return TUTTI_OK;
		if (tt_link_flush(link) != TUTTI_OK)
			break;
		if (tt_link_wants_to_write(link))
			return TUTTI_OK;
	}
	/* What cannot be written to may still hold the reason, to be read. */
	if (wants_from(exchange, link))
		return TUTTI_OK;
	tt_fail(TUTTI_ERR_PEER, link->peer.rank, "rank %d went away while the communicator was being made",
	    link->peer.rank);
	return fail(exchange, link);
}

/* Writes what can be written; *over: nothing is left to do in this exchange. */
static tutti_status
write_all(struct exchange *exchange, bool *over)
{
	struct tt_world *world = exchange->world;

	*over = world->parent == NULL ? exchange->wanted == 0 : exchange->down == exchange->total;
	if (world->parent != NULL) {
		TT_TRY(write_link(exchange, world->parent));
		*over = *over && !tt_link_wants_to_write(world->parent);
	}
	for (struct tt_link *child = world->children; child != NULL; child = child->next) {
		TT_TRY(write_link(exchange, child));
		*over = *over && child->sent_down == exchange->total && !tt_link_wants_to_write(child);
	}
	return TUTTI_OK;
}

/* ---- waiting --------------------------------------------------------------------------------------------- */

static void
poll_for(const struct exchange *exchange, const struct tt_link *link, struct pollfd *entry)
{
	entry->events =
	    (short)((wants_from(exchange, link) ? POLLIN : 0) | (tt_link_wants_to_write(link) ? POLLOUT : 0));
	/* Asked for nothing, poll(2) would still tell of a closed connection, again and again. */
	entry->fd = entry->events != 0 ? link->fd : -1;
	entry->revents = 0;
}

static tutti_status
wait_for_links(struct exchange *exchange, int64_t deadline_ns)
{
	struct tt_world *world = exchange->world;
	const int most_ms = world->go_on != NULL ? TT_WORLD_GO_ON_MS : POLL_MOST_MS;
	size_t n = 0;

	if (world->parent != NULL)
		poll_for(exchange, world->parent, &exchange->polls[n++]);
	for (struct tt_link *child = world->children; child != NULL; child = child->next)
		poll_for(exchange, child, &exchange->polls[n++]);
	if (poll(exchange->polls, n, tt_poll_ms(deadline_ns, tt_now_ns(), most_ms)) < 0 && errno != EINTR)
		return tt_fail_errno("cannot wait for the other ranks");
	return tt_world_go_on(world);
}

static tutti_status
fail_late(struct exchange *exchange)
{
	const struct tt_world *world = exchange->world;
	int late = 0;

	while (late < world->size - 1 && (!is_mine(exchange, late) || exchange->here[late] == exchange->bytes))
		late++;
	if (exchange->wanted > 0)
		tt_fail(TUTTI_ERR_TIMEOUT, late, "rank %d waited in vain for rank %d and %d others below it",
		    world->rank, late, exchange->wanted - 1);
	else
		tt_fail(
		    TUTTI_ERR_TIMEOUT, -1, "rank %d waited in vain for what the other ranks contribute", world->rank);
	return fail(exchange, NULL);
}

static tutti_status
run(struct exchange *exchange, int64_t deadline_ns)
{
	struct tt_world *world = exchange->world;

	for (;;) {
		bool over;

		if (world->parent != NULL)
			TT_TRY(read_link(exchange, world->parent));
		for (struct tt_link *child = world->children; child != NULL; child = child->next)
			TT_TRY(read_link(exchange, child));
		TT_TRY(write_all(exchange, &over));
		if (over)
			return TUTTI_OK;
		if (tt_now_ns() >= deadline_ns)
			return fail_late(exchange);
		if (wait_for_links(exchange, deadline_ns) != TUTTI_OK)
			return fail(exchange, NULL);
	}
}

/* Tells everybody but the one who told it, as far as they take it at once or soon. */
static void
spread_failure(struct exchange *exchange)
{
	const int64_t until_ns = tt_deadline_ns(LAST_WORDS_MS);
	struct tt_world *world = exchange->world;
	unsigned char bytes[TT_FRAME_MOST];
	const size_t n = tt_failure_write(&exchange->error, bytes);
	struct tt_link *link = world->parent != NULL ? world->parent : world->children;

	while (link != NULL) {
		if (link != exchange->told_by && tt_link_send(link, TT_FRAME_FAIL, bytes, n, NULL, 0) == TUTTI_OK)
			while (tt_link_flush(link) == TUTTI_OK && tt_link_wants_to_write(link) &&
			       tt_now_ns() < until_ns) {
				struct pollfd entry = {link->fd, POLLOUT, 0};

				poll(&entry, 1, tt_poll_ms(until_ns, tt_now_ns(), LAST_WORDS_MS));
			}
		link = link == world->parent ? world->children : link->next;
	}
}

static tutti_status
prepare(struct exchange *exchange, const void *mine)
{
	struct tt_world *world = exchange->world;
	size_t nlinks = 1;
	void *memory;

	for (struct tt_link *child = world->children; child != NULL; child = child->next) {
		child->sent_down = 0;
		child->owed = 0;
		nlinks++;
	}
	TT_TRY(tt_alloc((size_t)world->size, sizeof(*exchange->here), "an exchange", &memory));
	exchange->here = memory;
	TT_TRY(tt_alloc(nlinks, sizeof(*exchange->polls), "an exchange", &memory));
	exchange->polls = memory;
	memmove(exchange->all + (size_t)world->rank * exchange->bytes, mine, exchange->bytes);
	exchange->here[world->rank] = exchange->bytes;
	for (int rank = 0; rank < world->size; rank++)
		if (rank != world->rank && is_mine(exchange, rank)) {
			world->route[rank]->owed++;
			exchange->wanted++;
		}
	return TUTTI_OK;
}

tutti_status
tt_world_exchange(struct tt_world *world, const void *mine, size_t bytes, void *all, int64_t deadline_ns)
{
	struct exchange exchange = {.world = world,
	    .number = world->exchanges,
	    .bytes = bytes,
	    .total = bytes * (size_t)world->size,
	    .all = all};
	tutti_status status;

	if (bytes < 1 || bytes > MOST_BYTES)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "an exchange of %zu bytes per rank: 1 to %d are possible",
		    bytes, MOST_BYTES);
	if (world->broken || tt_world_is_started(world))
		return tt_fail(TUTTI_ERR_STATE, -1, "an exchange after %s",
		    world->broken ? "one that failed" : "the start of the background thread");
	status = prepare(&exchange, mine);
	if (status == TUTTI_OK)
		status = run(&exchange, deadline_ns);
	else
		fail(&exchange, NULL);
	if (status != TUTTI_OK) {
		world->broken = true;
		spread_failure(&exchange);
		status = tt_fail_with(&exchange.error);
	}
	world->exchanges++;
	tt_free(exchange.here);
	tt_free(exchange.polls);
	return status;
}

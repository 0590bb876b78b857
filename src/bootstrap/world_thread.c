/* SPDX-License-Identifier: Apache-2.0
 *
 * world_thread.c - the background thread: messages along the tree, goodbyes, losses, the alarm, the death word.
 *
 *	  from a child ─┐                    ┌─► to the handler, if it is for this rank or for all
 *	 from the parent┼─► route by `to` ───┼─► to the one link that leads there
 *	    own outbox ─┘                    └─► to all links but the one it came from
 *
 * The rule: links belong to this thread alone. Other threads put what they want sent into the outbox and ring the
 * bell; handlers are called without any lock. It sleeps in epoll_wait(2) unless something happens, and it never
 * waits for a peer: a queue that a peer does not take ends the connection.
 *
 * It is made before the ranks agree for the last time, so that none of them fails after that, and sleeps until it is
 * started: until then the links belong to the exchanges.
 */
#include "bootstrap/world_internal.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/wait.h"
#include "bootstrap/world_outbox.h"

#define MUCH ((size_t)1 << 20) /* in the queue for a peer: it must be seen to read */
#define TOO_MUCH ((size_t)1 << 24) /* for any peer */
#define STUCK_AFTER (1000 * TT_MS)
#define MOST_EVENTS 32
#define MOST_FRAMES 64 /* of one link before the next one has its turn */
#define MOST_SLEEP_MS 60000

enum phase { COMES_UP, PREPARED, SERVES, ENDS };

struct tt_world_thread {
	struct tt_world *world;
	struct tt_world_handler handler;
	pthread_t id;
	int epoll, bell;
	tt_atomic_u64 alarm_ns;
	tt_atomic_u32 phase;
	bool is_behind; /* much is queued for somebody */

	struct tt_outbox outbox;
};

static void
ring(struct tt_world_thread *thread)
{
	const uint64_t one = 1;

	/* It can only fail if the bell has been rung 2^64 times and not been heard. */
	while (write(thread->bell, &one, sizeof(one)) < 0 && errno == EINTR)
		continue;
}

static struct tt_link *
first_link(const struct tt_world *world)
{
	return world->parent != NULL ? world->parent : world->children;
}

static struct tt_link *
next_link(const struct tt_world *world, const struct tt_link *link)
{
	return link == world->parent ? world->children : link->next;
}

/* ---- peers ----------------------------------------------------------------------------------------------- */

static void
note_left(struct tt_world_thread *thread, int rank)
{
	struct tt_world *world = thread->world;

	if (tt_load_relaxed(&world->left[rank]) != 0)
		return;
	tt_store_relaxed(&world->left[rank], 1);
	if (thread->handler.left != NULL)
		thread->handler.left(thread->handler.context, rank);
}

/* The connection is over. Is that a goodbye that was said otherwise, or a loss? */
static void
end_link(struct tt_world_thread *thread, struct tt_link *link, const char *why)
{
	struct tt_world *world = thread->world;
	const int rank = link->peer.rank;

	if (link->state != TT_LINK_OPEN)
		return;
	epoll_ctl(thread->epoll, EPOLL_CTL_DEL, link->fd, NULL);
	tt_link_close(link);
	if (tt_world_has_left(world, rank))
		note_left(thread, rank);
	else if (thread->handler.lost != NULL)
		thread->handler.lost(thread->handler.context, rank, why);
}

static void
put(struct tt_world_thread *thread, struct tt_link *link, enum tt_frame type, const void *head, const void *bytes,
    size_t n)
{
	if (link == NULL || link->state != TT_LINK_OPEN)
		return;
	if (tt_link_queued(link) == 0)
		link->since_ns = tt_now_ns();
	if (tt_link_queued(link) > TOO_MUCH)
		end_link(thread, link, "more is sent to it than it reads");
	else if (tt_link_send(link, type, head, TT_ROUTE_BYTES, bytes, n) != TUTTI_OK)
		end_link(thread, link, "there is no memory for what is to be sent to it");
}

static void
put_to_all(struct tt_world_thread *thread, const struct tt_link *but, enum tt_frame type, const void *head,
    const void *bytes, size_t n)
{
	struct tt_world *world = thread->world;

	for (struct tt_link *link = first_link(world); link != NULL; link = next_link(world, link))
		if (link != but)
			put(thread, link, type, head, bytes, n);
}

/* ---- what goes out ---------------------------------------------------------------------------------------- */

/* Writes what is queued. Someone for whom much is queued must read some of it now and then. */
static void
write_link(struct tt_world_thread *thread, struct tt_link *link)
{
	const size_t before = tt_link_queued(link);
	const tutti_status status = tt_link_flush(link);
	const size_t left = tt_link_queued(link);
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = link};

	/* If it failed, what the peer said last is still to be read, and its end after that. */
	if (status == TUTTI_OK && left > 0)
		event.events |= EPOLLOUT;
	if (left < before)
		link->since_ns = tt_now_ns();
	if (left > MUCH) {
		thread->is_behind = true;
		if (tt_now_ns() - link->since_ns > STUCK_AFTER) {
			end_link(thread, link, "it does not read what is sent to it");
			return;
		}
	}
	if (event.events == link->listening)
		return;
	if (epoll_ctl(thread->epoll, EPOLL_CTL_MOD, link->fd, &event) == 0)
		link->listening = event.events;
	else
		end_link(thread, link, "it cannot be listened to any longer");
}

static void
write_links(struct tt_world_thread *thread)
{
	struct tt_world *world = thread->world;

	thread->is_behind = false;
	for (struct tt_link *link = first_link(world); link != NULL; link = next_link(world, link))
		if (link->state == TT_LINK_OPEN)
			write_link(thread, link);
}

/* ---- frames ---------------------------------------------------------------------------------------------- */

/* Passes a message on and delivers it; `came_by` is NULL for this rank's own. */
static void
route(struct tt_world_thread *thread, struct tt_link *came_by, int to, int from, const void *bytes, size_t n)
{
	struct tt_world *world = thread->world;
	const bool for_me = to == world->rank || (to == TT_TO_ALL && from != world->rank);
	unsigned char head[TT_ROUTE_BYTES];

	tt_route_write(to, from, head);
	if (to == TT_TO_ALL)
		put_to_all(thread, came_by, TT_FRAME_MESSAGE, head, bytes, n);
	else if (world->route[to] != came_by)
		put(thread, world->route[to], TT_FRAME_MESSAGE, head, bytes, n);
	/* A process that ends on the news must not take it with it. */
	if (to == TT_TO_ALL && for_me)
		write_links(thread);
	if (for_me && thread->handler.message != NULL)
		thread->handler.message(thread->handler.context, from, bytes, n);
}

static void
take(struct tt_world_thread *thread, struct tt_link *link, enum tt_frame type, const unsigned char *bytes, size_t n)
{
	struct tt_world *world = thread->world;
	int to, from;

	if (type != TT_FRAME_MESSAGE && type != TT_FRAME_GOODBYE)
		return;
	/* What claims to be from a rank must come from where that rank is. */
	if (!tt_route_read(bytes, n, world->size, &to, &from) || world->route[from] != link)
		return;
	if (type == TT_FRAME_GOODBYE) {
		put_to_all(thread, link, TT_FRAME_GOODBYE, bytes, NULL, 0);
		note_left(thread, from);
	} else if (n - TT_ROUTE_BYTES <= TT_WORLD_MESSAGE) {
		route(thread, link, to, from, bytes + TT_ROUTE_BYTES, n - TT_ROUTE_BYTES);
	}
}

static void
read_link(struct tt_world_thread *thread, struct tt_link *link)
{
	for (int i = 0; i < MOST_FRAMES && link->state == TT_LINK_OPEN; i++) {
		const unsigned char *bytes;
		enum tt_frame type;
		size_t n;
		const tutti_status status = tt_link_read(link, &type, &bytes, &n);

		if (status == TUTTI_IN_PROGRESS)
			return;
		if (status != TUTTI_OK) {
			end_link(thread, link, tt_last_error()->message);
			return;
		}
		take(thread, link, type, bytes, n);
	}
}

/* ---- the outbox and the alarm ---------------------------------------------------------------------------- */

static void
send_own(void *context, int to, const void *bytes, size_t n)
{
	struct tt_world_thread *thread = context;

	route(thread, NULL, to, thread->world->rank, bytes, n);
}

bool
tt_world_is_started(const struct tt_world *world)
{
	return world->thread != NULL && tt_load_relaxed(&world->thread->phase) == SERVES;
}

tutti_status
tt_world_send(struct tt_world *world, int to, const void *bytes, size_t n)
{
	struct tt_world_thread *thread = world->thread;
	tutti_status status;

	if (n > TT_WORLD_MESSAGE || to < TT_TO_ALL || to >= world->size)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "a message of %zu bytes to rank %d: at most %d bytes, to one of %d ranks", n, to,
		    TT_WORLD_MESSAGE, world->size);
	if (!tt_world_is_started(world))
		return tt_fail(TUTTI_ERR_STATE, -1, "a message before the background thread was started");
	status = tt_outbox_put(&thread->outbox, to, bytes, n);
	ring(thread);
	return status;
}

void
tt_world_set_alarm(struct tt_world *world, int64_t when_ns)
{
	struct tt_world_thread *thread = world->thread;
	uint64_t set;

	if (!tt_world_is_started(world))
		return;
	set = tt_load_acquire(&thread->alarm_ns);
	while (when_ns == INT64_MAX || (int64_t)set > when_ns)
		/* Pairs with the load in sleep_ms and the exchange in look_at_alarm. */
		if (tt_cas_acq_rel(&thread->alarm_ns, &set, (uint64_t)when_ns)) {
			if (when_ns != INT64_MAX)
				ring(thread);
			break;
		}
}

static void
look_at_alarm(struct tt_world_thread *thread)
{
	const int64_t now_ns = tt_now_ns();

	/* Pairs with the compare-and-swap in tt_world_set_alarm. */
	if (now_ns < (int64_t)tt_load_acquire(&thread->alarm_ns))
		return;
	tt_exchange_acq_rel(&thread->alarm_ns, (uint64_t)INT64_MAX);
	/* What was sent before the alarm was set is out before it goes off: the process may end on it. */
	if (!thread->is_behind)
		tt_outbox_empty(&thread->outbox, send_own, thread);
	write_links(thread);
	if (thread->handler.alarm != NULL)
		thread->handler.alarm(thread->handler.context, now_ns);
}

static int
sleep_ms(struct tt_world_thread *thread)
{
	const int64_t alarm_ns = (int64_t)tt_load_acquire(&thread->alarm_ns);

	if (thread->is_behind)
		return tt_poll_ms(alarm_ns, tt_now_ns(), (int)(STUCK_AFTER / TT_MS) / 4);
	return alarm_ns == INT64_MAX ? -1 : tt_poll_ms(alarm_ns, tt_now_ns(), MOST_SLEEP_MS);
}

/* ---- the thread ------------------------------------------------------------------------------------------ */

static void
listen_once(struct tt_world_thread *thread)
{
	struct epoll_event events[MOST_EVENTS];
	const int n = epoll_wait(thread->epoll, events, MOST_EVENTS, sleep_ms(thread));

	for (int i = 0; i < n; i++) {
		uint64_t rings;

		if (events[i].data.ptr != thread)
			read_link(thread, events[i].data.ptr);
		else if (read(thread->bell, &rings, sizeof(rings)) < 0 && errno != EAGAIN && errno != EINTR)
			return;
	}
}

static struct tt_death_word *
own_word(const struct tt_world *world)
{
	return world->words != NULL ? &world->words[world->local_rank] : NULL;
}

/* Pairs with the acquires in thread_main and launch: who sees the phase sees what was done before. */
static void
enter(struct tt_world_thread *thread, enum phase phase)
{
	tt_store_release(&thread->phase, phase);
	tt_futex_wake(&thread->phase, 1);
}

/* While that is the phase. Pairs with the release in enter. */
static void
sleep_through(struct tt_world_thread *thread, enum phase phase)
{
	while (tt_load_acquire(&thread->phase) == phase)
		tt_futex_wait(&thread->phase, phase, TT_FOREVER);
}

static void *
thread_main(void *context)
{
	struct tt_world_thread *thread = context;
	struct tt_death_word *word = own_word(thread->world);

	pthread_setname_np(pthread_self(), "tutti");
	if (word != NULL)
		tt_death_hold(word);
	enter(thread, PREPARED);
	sleep_through(thread, PREPARED);
	while (tt_load_acquire(&thread->phase) == SERVES) { /* pairs with the release in enter */
		/* While a queue is long, what this rank wants sent waits in the outbox, and is refused when that is full. */
		if (!thread->is_behind)
			tt_outbox_empty(&thread->outbox, send_own, thread);
		write_links(thread);
		listen_once(thread);
		look_at_alarm(thread);
	}
	/* What was sent before the goodbye goes out before it. */
	thread->handler = (struct tt_world_handler){.context = NULL};
	tt_outbox_empty(&thread->outbox, send_own, thread);
	if (word != NULL)
		tt_death_release(word);
	return NULL;
}

static void
destroy(struct tt_world_thread *thread)
{
	tt_fd_close(thread->epoll);
	tt_fd_close(thread->bell);
	tt_outbox_fini(&thread->outbox);
	tt_free(thread);
}

static tutti_status
prepare(struct tt_world_thread *thread)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = thread};

	thread->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (thread->epoll < 0)
		return tt_fail_errno("cannot make an epoll descriptor");
	tt_fd_guard(thread->epoll);
	thread->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (thread->bell < 0)
		return tt_fail_errno("cannot make an event descriptor");
	tt_fd_guard(thread->bell);
	if (epoll_ctl(thread->epoll, EPOLL_CTL_ADD, thread->bell, &event) != 0)
		return tt_fail_errno("cannot listen to an event descriptor");
	for (struct tt_link *link = first_link(thread->world); link != NULL; link = next_link(thread->world, link)) {
		event.data.ptr = link;
		if (epoll_ctl(thread->epoll, EPOLL_CTL_ADD, link->fd, &event) != 0)
			return tt_fail_errno("cannot listen to a connection");
		link->listening = event.events;
	}
	return TUTTI_OK;
}

/* The program's signals are not this thread's business. */
static tutti_status
launch(struct tt_world_thread *thread)
{
	sigset_t all, before;
	int result;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	result = pthread_create(&thread->id, NULL, thread_main, thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = result;
	if (result != 0)
		return tt_fail_errno("cannot start the background thread");
	/* From here on the death word is held. */
	sleep_through(thread, COMES_UP);
	return TUTTI_OK;
}

tutti_status
tt_world_prepare(struct tt_world *world)
{
	struct tt_world_thread *thread;
	tutti_status status;
	void *memory;

	if (world->thread != NULL)
		return tt_fail(TUTTI_ERR_STATE, -1, "the background thread has been prepared before");
	TT_TRY(tt_alloc(1, sizeof(*thread), "the background thread", &memory));
	thread = memory;
	thread->world = world;
	thread->epoll = thread->bell = -1;
	tt_store_relaxed(&thread->alarm_ns, (uint64_t)INT64_MAX);
	tt_outbox_init(&thread->outbox);
	world->thread = thread;
	status = prepare(thread);
	if (status == TUTTI_OK)
		status = launch(thread);
	if (status != TUTTI_OK) {
		world->thread = NULL;
		destroy(thread);
	}
	return status;
}

void
tt_world_start(struct tt_world *world, const struct tt_world_handler *handler)
{
	assert(world->thread != NULL && !tt_world_is_started(world));
	world->thread->handler = *handler;
	enter(world->thread, SERVES);
}

void
tt_world_stop(struct tt_world *world)
{
	struct tt_world_thread *thread = world->thread;
	struct tt_death_word *word = own_word(world);
	unsigned char head[TT_ROUTE_BYTES];

	/* First of all, so that nobody takes what follows for a death. */
	if (word != NULL)
		tt_death_leave(word);
	if (thread != NULL) {
		enter(thread, ENDS);
		ring(thread);
		pthread_join(thread->id, NULL);
		destroy(thread);
		world->thread = NULL;
	}
	tt_route_write(TT_TO_ALL, world->rank, head);
	for (struct tt_link *link = first_link(world); link != NULL; link = next_link(world, link))
		if (link->state == TT_LINK_OPEN &&
		    tt_link_send(link, TT_FRAME_GOODBYE, head, sizeof(head), NULL, 0) == TUTTI_OK)
			tt_link_part(link);
}

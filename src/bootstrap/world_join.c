/* SPDX-License-Identifier: Apache-2.0
 *
 * world_join.c - how a rank finds its parent in the tree.
 *
 *	            rank 0's Unix name
 *	           there |        | not there
 *	                 v        v
 *	          its member    the node's name
 *	                         free |      | taken
 *	                              v      v
 *	              lead: TCP to rank 0   the leader's member
 *	             (and its Unix name
 *	              again, every time)
 *
 * The rule: a rank has at most one connection being made, and one parent. Whatever fails before the parent's
 * WELCOME leads to a pause and to a new start, so that the order in which ranks come does not matter.
 */
#include "bootstrap/world_join.h"

#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "bootstrap/bytes.h"
#include "bootstrap/world_roll.h"

#define LEAST_PAUSE (4 * TT_MS)
#define MOST_DOUBLINGS 6 /* of the pause */
#define MOST_ATTEMPTS 3 /* to reach the leader that one was sent to */

static void try_tcp(struct tt_join *join);

static void
dial(struct tt_join *join, enum tt_join_state state, enum tt_join_target target, const struct tt_address *address)
{
	join->state = state;
	join->io.dial(join->io.context, target, address);
}

/* Pauses grow and differ from rank to rank, so that those who were turned away do not come back all at once. */
static void
pause_a_while(struct tt_join *join)
{
	const int doublings = join->rounds < MOST_DOUBLINGS ? join->rounds : MOST_DOUBLINGS;
	const int64_t span = LEAST_PAUSE << doublings;

	join->random = join->random * 1664525u + 1013904223u;
	join->rounds++;
	join->state = TT_JOIN_PAUSES;
	join->wake_ns = join->now_ns + span / 2 + (int64_t)(join->random >> 8) % (span / 2);
}

static void
try_to_lead(struct tt_join *join)
{
	const tutti_status status = join->io.lead(join->io.context);

	if (status == TUTTI_IN_PROGRESS) {
		dial(join, TT_JOIN_TRIES_NODE, TT_JOIN_NODE, NULL);
	} else if (status != TUTTI_OK) {
		tt_join_give_up(join);
	} else {
		join->leads = true;
		try_tcp(join);
	}
}

static void
root_is_not_here(struct tt_join *join)
{
	if (join->config.rendezvous->naddresses == 0)
		pause_a_while(join);
	else if (join->leads)
		try_tcp(join);
	else
		try_to_lead(join);
}

static void
try_root(struct tt_join *join)
{
	if (join->config.elsewhere)
		root_is_not_here(join);
	else
		dial(join, TT_JOIN_TRIES_ROOT, TT_JOIN_ROOT, NULL);
}

static void
try_tcp(struct tt_join *join)
{
	struct tt_address address = join->redirect;

	if (!join->redirected)
		tt_rendezvous_address(join->config.rendezvous, join->address, &address);
	dial(join, TT_JOIN_TRIES_TCP, TT_JOIN_TCP, &address);
}

static void
tcp_failed(struct tt_join *join)
{
	if (join->redirected) {
		if (++join->attempts >= MOST_ATTEMPTS) {
			join->redirected = false;
			join->stays = true;
		}
		pause_a_while(join);
	} else if (++join->address < tt_rendezvous_count(join->config.rendezvous)) {
		try_tcp(join);
	} else {
		join->address = 0;
		pause_a_while(join);
	}
}

static uint32_t
left_ms(const struct tt_join *join)
{
	const int64_t left = (join->deadline_ns - join->now_ns) / TT_MS;

	if (join->deadline_ns == TT_FOREVER || left >= UINT32_MAX)
		return UINT32_MAX;
	return left > 0 ? (uint32_t)left : 0;
}

static void
introduce(struct tt_join *join, struct tt_join_peer *parent)
{
	const struct tt_join_config *config = &join->config;
	struct tt_card card = {.rank = config->rank, .size = config->size, .home = config->rank};
	unsigned char bytes[TT_CARD_BYTES];

	join->parent = parent;
	join->state = TT_JOIN_INTRODUCED;
	card.flags = (config->shares ? TT_CARD_SHARES : 0) | (join->stays ? TT_CARD_STAYS : 0);
	card.left_ms = left_ms(join);
	memcpy(card.process, config->process, sizeof(card.process));
	if (join->leads)
		join->io.listen(join->io.context, parent, &card.address);
	tt_card_write(&card, bytes);
	join->io.send(join->io.context, parent, TT_FRAME_CARD, bytes, sizeof(bytes));
}

/* Rank 0 is on this host after all: a leader's members shall join it themselves, and so does the leader. */
static void
stop_leading(struct tt_join *join)
{
	while (join->children != NULL) {
		struct tt_join_peer *child = join->children;

		tt_roll_forget(join, child);
		join->io.send(join->io.context, child, TT_FRAME_MOVE, NULL, 0);
		join->io.drop(join->io.context, child);
	}
	if (join->leads)
		join->io.unlead(join->io.context);
	join->leads = join->redirected = false;
}

static void
take_root(struct tt_join *join, struct tt_join_peer *root)
{
	if (join->held != NULL)
		join->io.drop(join->io.context, join->held);
	join->held = NULL;
	stop_leading(join);
	introduce(join, root);
}

static void
take_held(struct tt_join *join)
{
	struct tt_join_peer *held = join->held;

	join->held = NULL;
	if (held != NULL)
		introduce(join, held);
	else
		tcp_failed(join);
}

static void
tcp_answered(struct tt_join *join, struct tt_join_peer *peer)
{
	if (peer == NULL) {
		tcp_failed(join);
		return;
	}
	join->held = peer;
	if (join->config.elsewhere)
		take_held(join);
	else
		dial(join, TT_JOIN_TRIES_ROOT_AGAIN, TT_JOIN_ROOT, NULL);
}

void
tt_join_dialed(struct tt_join *join, struct tt_join_peer *peer, tutti_status status, int64_t now_ns)
{
	join->now_ns = now_ns;
	if (peer == NULL && (status == TUTTI_ERR_AUTH || status == TUTTI_ERR_VERSION))
		join->refusal = *tt_last_error();
	switch (join->state) {
	case TT_JOIN_TRIES_ROOT:
		if (peer != NULL)
			take_root(join, peer);
		else
			root_is_not_here(join);
		break;
	case TT_JOIN_TRIES_NODE:
		if (peer != NULL)
			introduce(join, peer);
		else
			pause_a_while(join);
		break;
	case TT_JOIN_TRIES_TCP:
		tcp_answered(join, peer);
		break;
	case TT_JOIN_TRIES_ROOT_AGAIN:
		if (peer != NULL)
			take_root(join, peer);
		else
			take_held(join);
		break;
	default:
		if (peer != NULL)
			join->io.drop(join->io.context, peer);
	}
}

static void
take_welcome(struct tt_join *join, const void *bytes, size_t n)
{
	const struct tt_join_config *config = &join->config;
	int32_t home = config->rank;

	if (join->state != TT_JOIN_INTRODUCED)
		return;
	if (n == 4)
		home = (int32_t)tt_get_u32(bytes);
	join->homes[config->rank] = home == join->parent->rank ? home : config->rank;
	join->state = TT_JOIN_JOINED;
	tt_roll_begin(join);
}

static void
take_redirect(struct tt_join *join, const void *bytes, size_t n)
{
	if (join->state != TT_JOIN_INTRODUCED || !join->leads)
		return;
	join->redirected = tt_redirect_read(bytes, n, &join->redirected_to, &join->redirect);
	join->attempts = 0;
	join->io.drop(join->io.context, join->parent);
	join->parent = NULL;
	try_tcp(join);
}

static void
take_move(struct tt_join *join)
{
	if (join->state != TT_JOIN_INTRODUCED)
		return;
	join->io.drop(join->io.context, join->parent);
	join->parent = NULL;
	try_root(join);
}

static void
take_failure(struct tt_join *join, struct tt_join_peer *peer, const void *bytes, size_t n)
{
	tutti_error error;

	if (!tt_failure_read(bytes, n, &error))
		tt_error_fill(&error, TUTTI_ERR_INTERNAL, &peer->rank, 1, 0,
		    "rank %d gave up the making of the communicator and its reason could not be read", peer->rank);
	/* One that ran out of time does not know who is missing, rank 0 does. */
	if (error.status == TUTTI_ERR_TIMEOUT && join->config.rank == 0)
		tt_roll_time_out(join);
	else
		tt_roll_fail(join, peer, &error);
}

static void
take_from_parent(struct tt_join *join, enum tt_frame type, const void *bytes, size_t n)
{
	switch (type) {
	case TT_FRAME_WELCOME:
		take_welcome(join, bytes, n);
		break;
	case TT_FRAME_REDIRECT:
		take_redirect(join, bytes, n);
		break;
	case TT_FRAME_MOVE:
		take_move(join);
		break;
	case TT_FRAME_TABLE:
		tt_roll_table(join, bytes, n);
		break;
	case TT_FRAME_WORDS:
		tt_roll_words(join, bytes, n);
		break;
	case TT_FRAME_GO:
		tt_roll_go(join);
		break;
	default:
		break;
	}
}

void
tt_join_frame(
    struct tt_join *join, struct tt_join_peer *peer, enum tt_frame type, const void *bytes, size_t n, int64_t now_ns)
{
	join->now_ns = now_ns;
	if (join->state == TT_JOIN_REFUSES && type == TT_FRAME_CARD)
		tt_roll_refuse(join, peer, bytes, n);
	if (join->state >= TT_JOIN_REFUSES)
		return;
	if (type == TT_FRAME_FAIL)
		take_failure(join, peer, bytes, n);
	else if (peer == join->parent)
		take_from_parent(join, type, bytes, n);
	else if (type == TT_FRAME_CARD && peer != join->held)
		tt_roll_card(join, peer, bytes, n);
	else if (type == TT_FRAME_READY && peer->welcomed)
		tt_roll_ready(join, peer);
}

void
tt_join_settle(struct tt_join *join, struct tt_join_peer *peer, bool shares, int64_t now_ns)
{
	join->now_ns = now_ns;
	if (join->state < TT_JOIN_REFUSES && peer->carded && !peer->settled)
		tt_roll_settle(join, peer, shares);
}

static void
parent_closed(struct tt_join *join)
{
	const struct tt_join_peer *parent = join->parent;
	tutti_error error;

	join->parent = NULL;
	if (join->state == TT_JOIN_INTRODUCED) {
		if (join->leads)
			tcp_failed(join);
		else
			pause_a_while(join);
		return;
	}
	tt_error_fill(&error, TUTTI_ERR_PEER, &parent->rank, 1, 0,
	    "rank %d went away while the communicator was being made", parent->rank);
	tt_roll_fail(join, NULL, &error);
}

void
tt_join_closed(struct tt_join *join, struct tt_join_peer *peer, int64_t now_ns)
{
	join->now_ns = now_ns;
	if (join->state >= TT_JOIN_REFUSES)
		return;
	if (peer == join->held)
		join->held = NULL;
	else if (peer == join->parent)
		parent_closed(join);
	else if (peer->carded)
		tt_roll_lost(join, peer);
}

void
tt_join_tick(struct tt_join *join, int64_t now_ns)
{
	join->now_ns = now_ns;
	if (join->state >= TT_JOIN_DONE)
		return;
	if (join->state == TT_JOIN_REFUSES) {
		if (now_ns >= join->wake_ns)
			join->state = TT_JOIN_FAILED;
		return;
	}
	if (now_ns >= tt_join_alarm(join) && join->state != TT_JOIN_PAUSES)
		tt_roll_time_out(join);
	else if (join->state == TT_JOIN_PAUSES && now_ns >= join->deadline_ns)
		tt_roll_time_out(join);
	else if (join->state == TT_JOIN_PAUSES && now_ns >= join->wake_ns)
		try_root(join);
}

int64_t
tt_join_alarm(const struct tt_join *join)
{
	/* Rank 0 knows who is missing: who has joined it gives it a moment longer to say so. */
	const int64_t grace = 300 * TT_MS;

	if (join->state == TT_JOIN_REFUSES || (join->state == TT_JOIN_PAUSES && join->wake_ns < join->deadline_ns))
		return join->wake_ns;
	if (join->state == TT_JOIN_JOINED && join->config.rank != 0 && join->deadline_ns < TT_FOREVER - grace)
		return join->deadline_ns + grace;
	return join->deadline_ns;
}

void
tt_join_give_up(struct tt_join *join)
{
	const tutti_error error = *tt_last_error();

	if (join->state == TT_JOIN_REFUSES)
		join->state = TT_JOIN_FAILED; /* cannot even tell */
	else if (join->state < TT_JOIN_DONE)
		tt_roll_fail(join, NULL, &error);
}

tutti_status
tt_join_init(struct tt_join *join, const struct tt_join_config *config, const struct tt_join_io *io, int64_t now_ns)
{
	const size_t size = (size_t)config->size;
	const tutti_error none = TUTTI_ERROR_INIT;
	void *memory;

	memset(join, 0, sizeof(*join));
	join->config = *config;
	join->io = *io;
	join->start_ns = join->now_ns = now_ns;
	join->deadline_ns = config->deadline_ns;
	join->random = config->seed;
	join->error = join->refusal = none;
	TT_TRY(tt_alloc(size, sizeof(*join->homes), "the table of ranks", &memory));
	join->homes = memory;
	TT_TRY(tt_alloc(size, sizeof(struct tt_join_peer *), "the table of ways", &memory));
	join->via = memory;
	for (size_t i = 0; i < size; i++)
		join->homes[i] = -1;
	join->homes[config->rank] = config->rank;
	join->most = config->size;
	if (config->rank == 0) {
		join->known = 1;
		join->state = TT_JOIN_JOINED;
	} else {
		try_root(join);
	}
	return TUTTI_OK;
}

void
tt_join_fini(struct tt_join *join)
{
	tt_free(join->homes);
	tt_free(join->via);
	join->homes = NULL;
	join->via = NULL;
}

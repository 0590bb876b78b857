/* SPDX-License-Identifier: Apache-2.0
 *
 * world_link.h - one connection of the control plane: connecting, handshake, then frames both ways.
 *
 * It reads exactly one frame at a time and nothing behind it, because a descriptor may travel between two frames
 * and because what follows a phase of the world belongs to the next phase. Nothing blocks.
 */
#ifndef TT_BOOTSTRAP_WORLD_LINK_H
#define TT_BOOTSTRAP_WORLD_LINK_H

#include "base/handshake.h"
#include "base/net.h"
#include "bootstrap/world_join.h"
#include "bootstrap/world_wire.h"

enum tt_link_state {
	TT_LINK_CONNECTING, /* TCP: no answer yet */
	TT_LINK_GREETING, /* handshake */
	TT_LINK_OPEN,
	TT_LINK_DOOMED, /* sends what is queued, then closes */
	TT_LINK_CLOSED
};

struct tt_link {
	struct tt_join_peer peer; /* what the creation protocol knows of the other side; must be first */
	struct tt_link *next;
	int fd;
	enum tt_link_state state;
	bool dialed; /* by this side */
	bool unshared; /* leader: no memory could be offered */
	short revents; /* what poll(2) said last */
	int64_t since_ns, until_ns; /* of the present state; until: when it is given up */
	struct tt_handshake greeting;

	unsigned char head[TT_FRAME_HEAD], body[TT_FRAME_MOST];
	size_t in; /* bytes of head and body that are here */
	bool expects_descriptor;
	int descriptor_in;

	size_t sent_down; /* of the present exchange's result */
	int owed; /* contributions to it that are still to come from here */
	uint32_t listening; /* what epoll(7) was asked for */
	unsigned char *out; /* bytes out_at .. out_end are to be sent */
	size_t out_at, out_end, out_room;
	int descriptor_out; /* to be sent when out_at gets to descriptor_at; -1 = none */
	size_t descriptor_at;
};

/* Takes the descriptor over, also when it fails. */
tutti_status tt_link_create(int fd, bool local, bool dialed, struct tt_link **link);
void tt_link_destroy(struct tt_link *link);
/* Closes the descriptor; the link stays. */
void tt_link_close(struct tt_link *link);

void tt_link_begin(struct tt_link *link, const unsigned char key[TT_KEY_BYTES], const struct tt_hello *mine);
/* Goes on with the handshake: TUTTI_OK once the link is open. */
tutti_status tt_link_greet(struct tt_link *link);

/* Queues a frame in two parts; `rest` may be NULL. ERR_NOMEM. */
tutti_status tt_link_send(
    struct tt_link *link, enum tt_frame type, const void *bytes, size_t n, const void *rest, size_t nrest);
/* Queues a descriptor behind what is queued now; one at a time. It stays the caller's. */
void tt_link_send_descriptor(struct tt_link *link, int fd);
size_t tt_link_queued(const struct tt_link *link);
bool tt_link_wants_to_write(const struct tt_link *link);
/* Writes what is possible. ERR_PEER. */
tutti_status tt_link_flush(struct tt_link *link);

/* The last words: writes what is possible, and reads what has come, because a connection that is closed with unread
 * bytes in it takes back what was written to it. */
void tt_link_part(struct tt_link *link);

/* The next frame, whose bytes stay until the next call. TUTTI_IN_PROGRESS: not yet. ERR_PEER: there will be none. */
tutti_status tt_link_read(struct tt_link *link, enum tt_frame *type, const unsigned char **bytes, size_t *n);
/* After an offer whose descriptor follows: the next thing read is TT_FRAME_DESCRIPTOR, in descriptor_in; -1 there: it came, but
 * could not be taken. */
void tt_link_expect_descriptor(struct tt_link *link);

/* For poll(2). */
short tt_link_events(const struct tt_link *link);

#endif /* TT_BOOTSTRAP_WORLD_LINK_H */

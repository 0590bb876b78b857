/* SPDX-License-Identifier: Apache-2.0
 *
 * dial.h - when to call a peer, and at which of its addresses.
 *
 * All addresses in their order, one after the other; when none answers, a pause that grows, and again, until the
 * deadline. A machine without I/O: the time comes in, the address to try comes out.
 */
#ifndef TT_TCP_DIAL_H
#define TT_TCP_DIAL_H

#include <stdint.h>

#include "base/port.h"

enum tt_dial_state {
	TT_DIAL_IDLE,
	TT_DIAL_WAITING, /* for at_ns */
	TT_DIAL_BUSY, /* an attempt is under way */
};

struct tt_dial {
	enum tt_dial_state state;
	int naddresses;
	int next; /* the address to try next */
	bool tried; /* any yet */
	int64_t at_ns, pause_ns, deadline_ns;
};

/* The first attempt is due at first_ns. */
void tt_dial_start(struct tt_dial *dial, int naddresses, int64_t first_ns, int64_t deadline_ns);
/* The first attempt is due at `at_ns` already, if it has not been made. */
void tt_dial_hurry(struct tt_dial *dial, int64_t at_ns);
void tt_dial_stop(struct tt_dial *dial);
/* The address to try now (an attempt is then under way), or -1: not yet. */
int tt_dial_due(struct tt_dial *dial, int64_t now_ns);
/* When the attempt that begins now should be given up, if it has proved nothing until then. */
int64_t tt_dial_attempt_deadline(const struct tt_dial *dial, int64_t now_ns);
/* The attempt came to nothing. */
void tt_dial_failed(struct tt_dial *dial, int64_t now_ns);
/* When to look again: the next attempt or the deadline. */
int64_t tt_dial_timer(const struct tt_dial *dial);
bool tt_dial_expired(const struct tt_dial *dial, int64_t now_ns);

#endif /* TT_TCP_DIAL_H */

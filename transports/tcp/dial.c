/* SPDX-License-Identifier: Apache-2.0
 *
 * dial.c - the order and the pauses of attempts to connect.
 */
#include "tcp/dial.h"

#include "base/clock.h"
#include "base/handshake.h"

#define PAUSE_LEAST_NS (10 * TT_MS)
#define PAUSE_MOST_NS (500 * TT_MS)

void
tt_dial_start(struct tt_dial *dial, int naddresses, int64_t first_ns, int64_t deadline_ns)
{
	*dial = (struct tt_dial){.state = TT_DIAL_WAITING,
	    .naddresses = naddresses,
	    .at_ns = first_ns,
	    .pause_ns = PAUSE_LEAST_NS,
	    .deadline_ns = deadline_ns};
}

void
tt_dial_hurry(struct tt_dial *dial, int64_t at_ns)
{
	if (dial->state == TT_DIAL_WAITING && !dial->tried && at_ns < dial->at_ns)
		dial->at_ns = at_ns;
}

void
tt_dial_stop(struct tt_dial *dial)
{
	dial->state = TT_DIAL_IDLE;
}

int
tt_dial_due(struct tt_dial *dial, int64_t now_ns)
{
	if (dial->state != TT_DIAL_WAITING || now_ns < dial->at_ns || dial->naddresses == 0)
		return -1;
	dial->state = TT_DIAL_BUSY;
	dial->tried = true;
	return dial->next;
}

int64_t
tt_dial_attempt_deadline(const struct tt_dial *dial, int64_t now_ns)
{
	const int64_t limit = now_ns + TT_HANDSHAKE_MS * TT_MS;

	/* With nowhere else to go, a peer that is busy with something else is worth waiting for. */
	return dial->naddresses == 1 || limit > dial->deadline_ns ? dial->deadline_ns : limit;
}

void
tt_dial_failed(struct tt_dial *dial, int64_t now_ns)
{
	if (dial->state != TT_DIAL_BUSY)
		return;
	dial->state = TT_DIAL_WAITING;
	dial->at_ns = now_ns;
	if (++dial->next < dial->naddresses)
		return;
	dial->next = 0;
	dial->at_ns += dial->pause_ns;
	dial->pause_ns = dial->pause_ns * 2 < PAUSE_MOST_NS ? dial->pause_ns * 2 : PAUSE_MOST_NS;
}

int64_t
tt_dial_timer(const struct tt_dial *dial)
{
	if (dial->state == TT_DIAL_IDLE)
		return TT_FOREVER;
	if (dial->state == TT_DIAL_WAITING && dial->naddresses > 0 && dial->at_ns < dial->deadline_ns)
		return dial->at_ns;
	return dial->deadline_ns;
}

bool
tt_dial_expired(const struct tt_dial *dial, int64_t now_ns)
{
	return dial->state != TT_DIAL_IDLE && now_ns >= dial->deadline_ns;
}

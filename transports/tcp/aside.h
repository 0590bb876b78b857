/* SPDX-License-Identifier: Apache-2.0
 *
 * aside.h - messages of one lane that came before their receives were posted, in the order of their coming.
 *
 * A ring of whole units. Each message takes one unit for its head and as many as its bytes need, and that is also
 * what it costs its sender in credit: a sender that keeps to its credit never meets a full ring.
 */
#ifndef TT_TCP_ASIDE_H
#define TT_TCP_ASIDE_H

#include <tutti/transport.h>

#include "base/port.h"
#include "tcp/frame.h"

#define TT_UNIT 64 /* bytes; what credit is counted in */

struct tt_aside_head {
	uint64_t bytes; /* of the message */
	uint32_t kept; /* bytes of it that follow: all of an EAGER message, none of an OFFER */
	uint32_t kind; /* TT_FRAME_EAGER or TT_FRAME_OFFER */
	unsigned char mark[TUTTI_MARK_BYTES];
	unsigned char zero[16];
};

_Static_assert(sizeof(struct tt_aside_head) == TT_UNIT, "a head is one unit");

struct tt_aside {
	unsigned char *memory; /* lent; NULL until the link is connected */
	uint32_t units; /* a power of two */
	uint32_t first, last; /* units taken out and put in since it was last empty */
	uint32_t newest; /* unit of the newest message's head */
	uint32_t missing; /* bytes of the newest message that have not come yet */
};

/* Units that a frame of this kind with that many bytes takes. */
uint32_t tt_aside_units(unsigned kind, uint64_t bytes);
/* Keeps a head, and room for the bytes that follow it. False: it does not fit. */
bool tt_aside_put(struct tt_aside *aside, const struct tt_frame *frame);
/* Where the missing bytes of the newest message belong: one or two pieces. */
int tt_aside_where(const struct tt_aside *aside, struct iovec pieces[2]);
/* n of them are there now. */
void tt_aside_filled(struct tt_aside *aside, size_t n);
/* The oldest message if it is whole, else NULL; its bytes in one or two pieces. Valid until tt_aside_drop(). */
const struct tt_aside_head *tt_aside_front(const struct tt_aside *aside, struct iovec pieces[2], int *npieces);
/* Forgets the oldest message and returns its units. */
uint32_t tt_aside_drop(struct tt_aside *aside);

#endif /* TT_TCP_ASIDE_H */

/* SPDX-License-Identifier: Apache-2.0
 *
 * wait.h - the waiting ladder: poll, spin, pause, yield, sleep.
 *
 * A waiter asks its condition, and after each "not yet" calls tt_ladder_step(), which says what to do. The
 * ladder spins for about as long as a sleep and wake-up would cost (2-competitive: Karlin et al., SOSP 1991), and
 * skips the spinning where more ranks than cores are waiting.
 */
#ifndef TT_BASE_WAIT_H
#define TT_BASE_WAIT_H

#include "base/atomics.h"
#include "base/port.h"

struct tt_ladder {
	uint32_t spins; /* polls without giving up the core, before yielding */
	uint32_t yields; /* polls with a yield between them, before sleeping */
	uint32_t step; /* polls so far */
	bool crowded; /* more ranks than cores: yield at once */
	uint32_t beside; /* so many yields in a row went to somebody who gave the core back soon, as a peer does */
	uint32_t beside_most; /* then to sleep once, later to ask for another core */
	uint32_t beside_least; /* what beside_most comes back to */
	int64_t since_ns; /* where `hogged` is not 0: when the wait began */
	uint32_t hogged; /* moves left in which not to yield: somebody else took the whole time slice */
	uint32_t slow; /* how much longer than among ranks yields have taken lately */
	uint32_t hog_moves; /* what `hogged` began with the last time */
	uint32_t calm; /* quick yields since then */
	int64_t back_ns; /* when the last yield was over; 0 = this rank has slept since */
	int64_t worked_ns; /* what it did last between two yields */
	uint32_t unread; /* yields since the clock was read, ... */
	bool brisk; /* ... which it is not at each, because all have been quick and nothing else was done */
};

/* `crowded`: more ranks than cores share this host. */
void tt_ladder_init(struct tt_ladder *ladder, bool crowded);
/* Something moved, or another wait begins. */
static inline void
tt_ladder_reset(struct tt_ladder *ladder)
{
	ladder->step = 0;
	ladder->hogged -= ladder->hogged > 0;
}
/* Pauses or yields. Returns true when it is time to sleep (or to look at slow things: deadlines, deaths). */
bool tt_ladder_step(struct tt_ladder *ladder);

/* Tells the ladder that its user goes to sleep. */
void tt_ladder_slept(struct tt_ladder *ladder);

/* What the ladder makes of a yield that took so long: true, if this wait has had enough of them. A yield to a peer comes
 * back soon; one to a program that only computes comes back a time slice later, and where ranks share cores with such
 * programs, or compute themselves, a sleeper gets its core back sooner. Among ranks that only wait for each other yields
 * are the quickest way, and a slow one is an accident. */
bool tt_ladder_yielded(struct tt_ladder *ladder, int64_t ns);
/* So long it has done something else than to wait. Ranks do much the same: where they share cores, whom this one yields to
 * may do it, too, before it waits as well. */
void tt_ladder_worked(struct tt_ladder *ladder, int64_t ns);

/* Sleeps while *word == value, at most until deadline_ns; shared between processes. Spurious returns happen. */
void tt_futex_wait(tt_atomic_u32 *word, uint32_t value, int64_t deadline_ns);
void tt_futex_wake(tt_atomic_u32 *word, int n);

#endif /* TT_BASE_WAIT_H */

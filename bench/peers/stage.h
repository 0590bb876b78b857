/* SPDX-License-Identifier: Apache-2.0
 *
 * stage.h - a page that the ranks of a contest share, whatever the library: a common start, the times, and the
 * one-way handoff of a cache line. It is a file, named by MEASURE_STAGE, that the parent made and removes.
 */
#ifndef STAGE_H
#define STAGE_H

#include <stddef.h>

#define STAGE_RANKS 256
#define STAGE_TEXT 4096

/* How a rank waits for the others. */
enum stage_wait {
	STAGE_SPINS,
	STAGE_YIELDS, /* they may need its core */
	STAGE_NAPS_AFTER, /* and sleep after the call: who yields and is back at once delays a library that sleeps */
	STAGE_NAPS, /* threads of the library need its core, whom a yield does not reach */
};

struct stage;

/* NULL: the file cannot be mapped, or there are more than STAGE_RANKS ranks (said on stderr). */
struct stage *stage_open(int rank, int size, enum stage_wait wait);
/* All ranks leave together; gives the time (microseconds) at which the last one came. */
double stage_meet(struct stage *stage);
/* The same, but all ranks leave at one time, which it gives, and not in the order in which they hear of each other. Where
 * waits do not spin it is as stage_meet(). */
double stage_start(struct stage *stage);
/* The latest `us` of all ranks; all call it. */
double stage_latest(struct stage *stage, double us);
/* One way between ranks 0 and 1, nanoseconds; 0 if there is one rank, or more ranks than cores. All call it. */
double stage_handoff(struct stage *stage);
/* Rank 0's text, STAGE_TEXT bytes at most, for libraries whose ranks must be told of an address. All call it. */
void stage_tell(struct stage *stage, void *text, size_t n);
double stage_now_us(void);

#endif /* STAGE_H */

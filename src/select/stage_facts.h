/* SPDX-License-Identifier: Apache-2.0
 *
 * stage_facts.h - how the node stage goes about large jobs: sizes that are right on one machine and wrong on another.
 *
 * Agreed at creation like all facts, so that every rank cuts a job alike. What is here are bytes and counts, which a
 * profile may replace, and what follows from them for the stage and for its price alike. Jobs that fit a core's own cache
 * are not cut: two cores that write and read neighbouring lines at the same time hinder each other.
 */
#ifndef TT_SELECT_STAGE_FACTS_H
#define TT_SELECT_STAGE_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "plan/plan.h"

struct tt_stage_facts {
	uint64_t staging_bytes; /* of each member: a bound of all that is staged */
	uint64_t add_least; /* all_reduce of more is large: of all members' inputs together */
	uint64_t
	    reduce_least; /* reduce of more is: of one member's input. Less is added by the root, which meets the others once */
	uint64_t row_least; /* what moves or adds rows is large from this many bytes in the longest row on */
	/* ... and goes by one copy of the kernel's from this many on, where ranks can read each other's memory. UINT64_MAX:
	 * never. */
	uint64_t single_least;
	/* Then so much is taken at once, of each row: a system call is nothing beside it; and of all rows together: those that
	 * are taken by turns disturb each other in the caches. */
	uint64_t run_least, run_most;
	uint32_t
	    pair_times; /* ... between two members from so many times that on: their slots stay in cache longer */
	uint32_t chunk_least, chunk_most; /* bytes of a member's chunk ... */
	uint32_t
	    pieces; /* ... of which a job should have so many: the second is copied in while the first is copied out */
	uint32_t slots; /* chunks that a member may be ahead of the others */
	uint32_t crowded_slots; /* the same with more members than cores: each wait is a turn of the scheduler */
	uint32_t block; /* of a sum that goes to several places: it stays in the nearest cache meanwhile */
	uint32_t
	    step; /* of a sum of two, and what is fetched ahead of it: it is there when it is added, and is there still */
	/* What a member stages before it writes to the same place again, if its slots have room: lines that two cores have had
	 * in their nearest caches a moment ago are the slowest to write. */
	uint64_t apart;
	/* Results that nobody reads soon go past the caches if a member's whole buffer has as many bytes. UINT64_MAX: never. */
	uint64_t stream_least;
};

/* It is compared as bytes: it has no holes. */
_Static_assert(sizeof(struct tt_stage_facts) == 9 * sizeof(uint64_t) + 8 * sizeof(uint32_t), "padding");

/*
 * Bytes that cores copy for rows of n bytes, among P members:
 *
 *	                through slots                        from afar
 *	all_to_all      2 (P - 1) n of each                  (P - 1) n of each
 *	all_gather      P n of each                          (P - 1) n of each
 *	scatter         (P - 1) n of the root, n of others   n of each
 *	gather          (P - 1) n of the root, n of others   (P - 1) n of the root
 *	broadcast       n of each                            n of each
 *
 * The kernel's copy takes up to half as long again as one's own, so it must save one of two to be worth it. A sum is made
 * of what is in reach, and to fetch a row is as much work as to stage it.
 */
static inline bool
tt_stage_saves_copies(enum tt_collective collective, int members)
{
	switch (collective) {
	case TT_ALL_TO_ALL:
		return true;
	case TT_ALL_GATHER:
		return members == 2;
	case TT_SCATTER:
		return members > 2;
	default:
		return false;
	}
}

/* Rows from which on that is so. */
static inline uint64_t
tt_stage_far_least(const struct tt_stage_facts *facts, int members)
{
	return members == 2 && facts->single_least < UINT64_MAX / facts->pair_times
		   ? facts->single_least * facts->pair_times
		   : facts->single_least;
}

/* Is a job with rows of so many bytes (the longest) one whose rows the kernel copies from process to process, where
 * ranks can read each other's memory? */
static inline bool
tt_stage_reads_far(const struct tt_stage_facts *facts, enum tt_collective collective, int members, uint64_t row_bytes)
{
	/* Of what fills the caches, stores that go past them make two copies the cheaper ones, but for a root that would
	 * make one of them alone. */
	const uint64_t least_for_slots = collective == TT_SCATTER && facts->stream_least < UINT64_MAX / 2
					     ? 2 * facts->stream_least
					     : facts->stream_least / 2;

	return row_bytes >= tt_stage_far_least(facts, members) && row_bytes < least_for_slots &&
	       tt_stage_saves_copies(collective, members);
}

#endif /* TT_SELECT_STAGE_FACTS_H */

/* SPDX-License-Identifier: Apache-2.0
 *
 * notes.pml - how ranks agree to run members of a group as one (src/comm/fuse.c): in all ways to cut the same calls into
 * groups, all ranks run the same; and if a call differs, it is found where it is.
 *
 * An all-reduce is a ring: in each round a rank says to the next one what it runs and the note that it knows of, and
 * hears the same from the one before. What is said to be run must be what the hearer runs, else it is a mismatch.
 *
 *	-DDIFFER    the last rank's call number ODD is another one: must be found there, and by itself
 *	-DEARLY     ranks judge after one round, before they have heard of everybody: must fail
 *	-DGUESS     ranks trust their own notes: must fail
 */
#ifndef RANKS
#define RANKS 3
#endif
#define CALLS 5
#define ODD 3
#ifdef EARLY
#define ROUNDS 1
#else
#define ROUNDS (RANKS - 1)
#endif
#ifdef DIFFER
#define OTHER(from, n) (me == RANKS - 1 && from <= ODD && ODD < from + n)
#else
#define OTHER(from, n) 0
#endif

chan link[RANKS] = [1] of { byte, byte, bool, byte }; /* to each rank: first call, members, their digest, note */
bool found = false;

proctype rank(byte me)
{
	byte at = 1, members = 1, behind, note, round, first, many, told;
	bool joined[CALLS]; /* to the call before it, in a group */
	bool digest;

	do
	:: at < CALLS -> if :: joined[at] = true :: joined[at] = false fi; at++
	:: else -> break
	od;
	at = 0;
	do
	:: at < CALLS ->
		behind = 0;
		do
		:: at + members + behind < CALLS && joined[at + members + behind] -> behind++
		:: else -> break
		od;
		note = (behind > 1 -> behind + 8 * OTHER((at + members), behind) : 0);
		round = 0;
		do
		:: round < ROUNDS ->
			if
			:: link[(me + 1) % RANKS]!at, members, OTHER(at, members), note -> skip
			:: found -> goto stop
			fi;
			if
			:: link[me]?first, many, digest, told -> skip
			:: found -> goto stop
			fi;
			if
			:: first == at && many == members && digest == OTHER(at, members) -> skip
			:: else ->
#ifdef DIFFER
				assert(at == ODD && members == 1 && first == ODD && many == 1);
				found = true;
				goto stop;
#else
				assert(false)
#endif
			fi;
#ifndef GUESS
			note = (told == note -> note : 0);
#endif
			round++
		:: else -> break
		od;
		at = at + members;
		members = (note == 0 -> 1 : note % 8)
	:: else -> break
	od;
#ifdef DIFFER
	assert(found);
#endif
stop:
	skip
}

init {
	byte r = 0;

	atomic {
		do
		:: r < RANKS -> run rank(r); r++
		:: else -> break
		od
	}
}

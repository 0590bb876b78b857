/* SPDX-License-Identifier: Apache-2.0
 *
 * hands.pml - slots that change hands between two members (src/engine/node_large_pair.c), among jobs of other kinds: who reads
 * a slot finds the chunk that it reads, whatever jobs follow each other, and nobody waits for ever.
 *
 * Chunks go through RING slots of each member. In a job of a PAIR both fill and both read, and of every second use of a slot
 * the other member is the one who fills; in a job FROM member 0 only that one fills, always its own, and the other reads.
 * A member fills as far ahead as it may. Counts are released and acquired, so a slot and its count reach the other in order:
 * here, at once.
 *
 *	-DCHUNKS=n     of each job
 *	-DNO_OTHER     who fills does not look whether the other has taken what was there before the job: must fail
 *	-DNO_OWN       nor whether it has itself: must fail
 */
#ifndef CHUNKS
#define CHUNKS 3
#endif
#define JOBS 3
#define RING 2
#define ALL (JOBS * CHUNKS)

bool pair[JOBS]; /* what both members call, agreed */
byte slot[2 * RING]; /* of member m: slot[RING * m + c % RING] holds chunk c of member w as 2 * c + w + 1 */
byte filled[2], taken[2];

#define IS_PAIR(c) pair[(c) / CHUNKS]
/* Whose slot member w fills. */
#define PLACE(w, c) (RING * ((IS_PAIR(c) && ((c) / RING) % 2) -> 1 - (w) : (w)) + (c) % RING)
#define HELD(c) ((c) + 1 > RING -> (c) + 1 - RING : 0)
#define BASE(c) ((c) / CHUNKS * CHUNKS)
#define LEAST(c) ((IS_PAIR(c) && HELD(c) > BASE(c)) -> BASE(c) : HELD(c))
#define FILLS(w, c) (IS_PAIR(c) || (w) == 0)
#define READS(w, c) (IS_PAIR(c) || (w) == 1)
#ifdef NO_OTHER
#define OTHER_DONE(c) true
#else
#define OTHER_DONE(c) (taken[1 - me] >= LEAST(c))
#endif
#ifdef NO_OWN
#define OWN_DONE(c) true
#else
#define OWN_DONE(c) (!IS_PAIR(c) || taken[me] >= HELD(c))
#endif

proctype member(byte me)
{
	byte end = CHUNKS; /* of the job that this member is in: it goes on to the next when it has ended this one */

	do
	:: atomic { filled[me] < end && FILLS(me, filled[me]) && OWN_DONE(filled[me]) && OTHER_DONE(filled[me]) ->
		slot[PLACE(me, filled[me])] = 2 * filled[me] + me + 1;
		filled[me]++ }
	:: atomic { filled[me] < end && !FILLS(me, filled[me]) -> filled[me]++ }
	:: atomic { taken[me] < end && taken[me] < filled[me] && READS(me, taken[me]) && filled[1 - me] > taken[me] ->
		assert(slot[PLACE(1 - me, taken[me])] == 2 * taken[me] + (1 - me) + 1);
		taken[me]++ }
	:: atomic { taken[me] < end && taken[me] < filled[me] && !READS(me, taken[me]) -> taken[me]++ }
	:: atomic { filled[me] == end && taken[me] == end && end < ALL -> end = end + CHUNKS }
	:: filled[me] == ALL && taken[me] == ALL -> break
	od
}

init {
	byte i = 0;

	do
	:: i < JOBS -> if :: pair[i] = true :: pair[i] = false fi; i++
	:: else -> break
	od;
	atomic { run member(0); run member(1) }
}

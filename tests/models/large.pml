/* SPDX-License-Identifier: Apache-2.0
 *
 * large.pml - the protocol of large jobs (src/engine/node_large.c): members go through a ring of slots and results at their
 * own pace, by counts of what they have filled, added and taken; whoever reads a slot or a result finds in it the chunk
 * that it looks for, whatever jobs follow each other; and nobody waits for ever, unless a member has died.
 *
 * Memory is as in ticks.pml: what a member writes waits in its buffer; a plain store (a slot, a result) may overtake
 * anything but a store to the same place, a release (a count) reaches memory when all that was written before it has.
 * Loads are acquires, and happen in order.
 *
 * A job has one chunk or several; chunks are counted over all jobs. What members meet for before a job (ticks.pml) is left
 * out: it only makes them wait. So is memory that others reach: nobody leaves before all have counted to the job's end.
 *
 *	-DMEMBERS=n -DCHUNKS=n -DRING=n
 *	-DCRASH        a member may stop at any step
 *	-DNO_FILL      a slot is filled without a look at who has still to read it: must fail
 *	-DNO_RESULT    a result is written without a look at who has still to take it: must fail
 *	-DOWN_ONLY     a slice is added when this member has filled, whatever the others have: must fail
 *	-DNO_RELEASE   a count may overtake the slot or result that it stands for: must fail
 */
#ifndef MEMBERS
#define MEMBERS 2
#endif
#ifndef CHUNKS
#define CHUNKS 3
#endif
#ifndef RING
#define RING 2
#endif

#define SUM 0 /* everybody fills a slot and adds a slice of all slots to a result, which everybody takes */
#define OWN 1 /* the same, but a slice is its member's own, and nobody takes it */
#define ROWS 2 /* everybody fills a slot, and takes from all slots */
#define FROM 3 /* the root fills a slot, and everybody takes from it */
#define TO 4 /* everybody but the root fills a slot, and the root takes from all */

mtype = { SLOT, RESULT, FILLED, ADDED, TAKEN };

byte kind[CHUNKS], root[CHUNKS], base[CHUNKS]; /* of the job that the chunk belongs to, whose first is base */
byte slot[MEMBERS * RING], result[MEMBERS * RING]; /* chunk + 1 */
byte filled[MEMBERS], added[MEMBERS], taken[MEMBERS];
chan buffer[MEMBERS] = [6] of { mtype, byte };
bool dead = false;

#ifdef CRASH
#define STEP if :: !dead -> dead = true; goto stop :: true fi
#define OR_DEAD :: dead -> goto stop /* the verdict ends all that waits */
#else
#define STEP skip
#define OR_DEAD
#endif

/* What is in a member's buffer reaches memory. Stores to one place stay in order: a ring has two places, and a member does
 * not write to one again before others have seen what it wrote to the other. */
proctype memory(byte m)
{
	byte v;
end:
	do
	:: atomic { buffer[m]??SLOT, v -> slot[m * RING + (v - 1) % RING] = v; v = 0 }
	:: atomic { buffer[m]??RESULT, v -> result[m * RING + (v - 1) % RING] = v; v = 0 }
#ifdef NO_RELEASE
	:: atomic { buffer[m]??FILLED, v -> filled[m] = v; v = 0 }
	:: atomic { buffer[m]??ADDED, v -> added[m] = v; v = 0 }
	:: atomic { buffer[m]??TAKEN, v -> taken[m] = v; v = 0 }
#else
	:: atomic { buffer[m]?FILLED, v -> filled[m] = v; v = 0 }
	:: atomic { buffer[m]?ADDED, v -> added[m] = v; v = 0 }
	:: atomic { buffer[m]?TAKEN, v -> taken[m] = v; v = 0 }
#endif
	od
}

#if MEMBERS == 2
#define OTHERS(count, least) (count[1 - m] >= (least))
#else
#define OTHERS(count, least) ((m == 0 || count[0] >= (least)) && (m == 1 || count[1] >= (least)) && (m == 2 || count[2] >= (least)))
#endif
/* Chunks before that are done with, when chunk c goes where c - RING was. */
#define HELD(c) ((c) + 1 > RING -> (c) + 1 - RING : 0)

#define ADDS (kind[b] == SUM || kind[b] == OWN)
#define FILLS (kind[b] == FROM -> m == root[b] : kind[b] != TO || m != root[b])
#define TAKES (kind[b] == TO -> m == root[b] : kind[b] != OWN)

/* may_fill(): of a gather, only the root reads; but what the slot held may be of a job before it. */
#define DONE_BEFORE(c) (HELD(c) < b -> HELD(c) : b)
#ifdef NO_FILL
#define MAY_FILL true
#else
#define MAY_FILL (ADDS -> OTHERS(added, HELD(f)) : \
    (kind[b] == TO -> taken[root[b]] >= HELD(f) && OTHERS(taken, DONE_BEFORE(f)) : OTHERS(taken, HELD(f))))
#endif
#ifdef OWN_ONLY
#define ALL_FILLED(c) (f > (c))
#else
#define ALL_FILLED(c) (f > (c) && OTHERS(filled, (c) + 1))
#endif
#ifdef NO_RESULT
#define MAY_ADD ALL_FILLED(a)
#else
#define MAY_ADD (ALL_FILLED(a) && (kind[b] != SUM || OTHERS(taken, HELD(a))))
#endif
#define MAY_TAKE (kind[b] == SUM -> a > t && OTHERS(added, t + 1) : \
    (kind[b] != FROM -> ALL_FILLED(t) : (m == root[b] -> f > t : filled[root[b]] > t)))

inline read_slots(c)
{
	j = 0;
	do
	:: j < MEMBERS ->
		if
		:: j != m -> assert(slot[j * RING + (c) % RING] == (c) + 1)
		:: else
		fi;
		j++
	:: else -> break
	od;
	j = 0
}

inline read_results(c)
{
	j = 0;
	do
	:: j < MEMBERS ->
		if
		:: j != m -> assert(result[j * RING + (c) % RING] == (c) + 1)
		:: else
		fi;
		j++
	:: else -> break
	od;
	j = 0
}

/* enter(), and of a gather go_on(): the next job, and what there is not to do in it. */
inline begin()
{
	b = e;
	do
	:: e < CHUNKS && base[e] == b -> e++
	:: else -> break
	od;
	if
	:: FILLS
	:: else -> f = e; buffer[m]!FILLED, f
	fi;
	STEP;
	if
	:: kind[b] == TO && m != root[b] -> a = e; buffer[m]!ADDED, a; STEP; t = e; buffer[m]!TAKEN, t
	:: else
	fi
}

inline take()
{
	if
	:: kind[b] == SUM -> read_results(t)
	:: kind[b] == FROM && m != root[b] -> assert(slot[root[b] * RING + t % RING] == t + 1)
	:: kind[b] == FROM && m == root[b]
	:: else -> read_slots(t)
	fi;
	t++;
	if
	:: a < t -> a = t; buffer[m]!ADDED, a
	:: else
	fi;
	STEP;
	buffer[m]!TAKEN, t
}

/* try_take(), try_add() and try_fill() in any order; each at once, for what it writes reaches memory when it likes, and what it
 * reads may as well all be read at the last moment; a job is over when all of its chunks are counted. */
proctype member(byte m)
{
	byte f = 0, a = 0, t = 0, b = 0, e = 0, j = 0;

	do
	:: f == e && a == e && t == e && e == CHUNKS -> break
	:: atomic { f == e && a == e && t == e && e < CHUNKS -> begin() }
	:: atomic {
		f < e && MAY_FILL ->
			buffer[m]!SLOT, f + 1;
			STEP;
			f++;
			buffer[m]!FILLED, f
	   }
	:: atomic {
		a < e && ADDS && MAY_ADD ->
			read_slots(a);
			if
			:: kind[b] == SUM -> buffer[m]!RESULT, a + 1
			:: else
			fi;
			STEP;
			a++;
			buffer[m]!ADDED, a;
			STEP;
			if
			:: !TAKES -> t = a; buffer[m]!TAKEN, t
			:: else
			fi
	   }
	:: atomic { t < e && TAKES && MAY_TAKE -> take() }
	OR_DEAD
	od;
stop:
	skip
}

init {
	byte c = 0;

	/* Jobs of one chunk or more, of any kind and root, one after the other. */
	do
	:: c < CHUNKS ->
		if
		:: c > 0 -> kind[c] = kind[c - 1]; root[c] = root[c - 1]; base[c] = base[c - 1]
		:: base[c] = c;
			if
			:: kind[c] = SUM
			:: kind[c] = OWN
			:: kind[c] = ROWS
			:: kind[c] = FROM; if :: root[c] = 0 :: root[c] = 1 fi
			:: kind[c] = TO; if :: root[c] = 0 :: root[c] = 1 fi
			fi
		fi;
		c++
	:: else -> break
	od;
	atomic {
		c = 0;
		do
		:: c < MEMBERS -> run memory(c); run member(c); c++
		:: else -> break
		od
	}
}

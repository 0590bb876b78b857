/* SPDX-License-Identifier: Apache-2.0
 *
 * ticks.pml - the protocol of ticks (src/engine/node_meet.c): nobody reads a slot that is not, or no longer, of the tick
 * that it reads, whatever jobs follow each other; and nobody waits for ever, unless a member has died.
 *
 * Memory. What a member writes waits in its buffer. A plain store (a slot) may overtake anything but a store to the same
 * place; a release (a line's tick, a count of ticks done) reaches memory when all that was written before it has. That is
 * as weak as C11 allows for stores. Loads are acquires, and happen in order.
 *
 *	-DMEMBERS=n -DTICKS=n
 *	-DCRASH        a member may stop at any step
 *	-DGROUPS       members 0 and 1 are a group, the others another one: who meets all meets the first of each, which has
 *	               met the rest of its group there (src/engine/node_groups.c)
 *	-DNO_TO        no job has a root that reads everybody: there are fewer states
 *	-DNO_GATHER    it has not: must fail
 *	-DNO_RULE      a member writes without knowing that everybody is done with what the slot held: must fail
 *	-DNO_RELEASE   a tick may overtake the slot that it announces: must fail
 */
#ifndef MEMBERS
#define MEMBERS 2
#endif
#ifndef TICKS
#define TICKS 4
#endif

#define ALL 0 /* everybody writes, everybody reads everybody */
#define FROM 1 /* the root writes, everybody reads it */
#define TO 2 /* everybody writes, the root reads everybody */

mtype = { SLOT0, SLOT1, TICK0, TICK1, DONE, SHEAF0, SHEAF1, BOUND0, BOUND1 };

byte kind[TICKS], root[TICKS]; /* what all members call, agreed */
byte slot[MEMBERS * 2]; /* of member m, the tick t: slot[2 * m + t % 2] = t + 1 */
byte tick[MEMBERS * 2];
byte ended[MEMBERS];
byte sheaf[MEMBERS * 2]; /* like slots, of those who lead a group */
byte bound[MEMBERS * 2]; /* their ticks */
chan buffer[MEMBERS] = [5] of { mtype, byte };
bool dead = false;

#ifdef CRASH
#define STEP if :: !dead -> dead = true; goto stop :: true fi
#define AWAIT(c) if :: c :: dead -> goto stop /* the verdict ends all that waits */ fi
#else
#define STEP skip
#define AWAIT(c) (c)
#endif

/* What is in a member's buffer reaches memory. */
proctype memory(byte m)
{
	byte v;
end:
	do
	:: atomic { buffer[m]??SLOT0, v -> slot[2 * m] = v; v = 0 }
	:: atomic { buffer[m]??SLOT1, v -> slot[2 * m + 1] = v; v = 0 }
#ifdef NO_RELEASE
	:: atomic { buffer[m]??TICK0, v -> tick[2 * m] = v; v = 0 }
	:: atomic { buffer[m]??TICK1, v -> tick[2 * m + 1] = v; v = 0 }
#else
	:: atomic { buffer[m]?TICK0, v -> tick[2 * m] = v; v = 0 }
	:: atomic { buffer[m]?TICK1, v -> tick[2 * m + 1] = v; v = 0 }
#endif
	:: atomic { buffer[m]?DONE, v -> ended[m] = v; v = 0 }
#ifdef GROUPS
	:: atomic { buffer[m]??SHEAF0, v -> sheaf[2 * m] = v; v = 0 }
	:: atomic { buffer[m]??SHEAF1, v -> sheaf[2 * m + 1] = v; v = 0 }
	:: atomic { buffer[m]?BOUND0, v -> bound[2 * m] = v; v = 0 }
	:: atomic { buffer[m]?BOUND1, v -> bound[2 * m + 1] = v; v = 0 }
#endif
	od
}

/* tt_stage_may_write(): everybody is done with the ticks before t - 1. */
inline await_room()
{
#ifndef NO_RULE
	if
	:: finished + 1 >= t
	:: else ->
		j = 0;
		do
		:: j < MEMBERS ->
			STEP;
			AWAIT(j == m || ended[j] + 1 >= t);
			j++
		:: else -> break
		od;
		finished = t - 1
	fi;
#endif
	j = 0
}

/* tt_stage_look_ahead(): perhaps they are done with more than was asked. Some do not look. */
inline look_ahead()
{
	if
	:: true
	:: atomic { j = 0; least = t };
		do
		:: j < MEMBERS ->
			atomic {
				if
				:: j != m && ended[j] < least -> least = ended[j]
				:: else
				fi;
				j++
			}
		:: else -> break
		od;
		atomic {
			if
			:: finished < least -> finished = least
			:: else
			fi;
			least = 0;
			j = 0
		}
	fi
}

/* Slot and line. */
inline publish()
{
	STEP;
	if
	:: t % 2 == 0 -> buffer[m]!SLOT0, t + 1; STEP; buffer[m]!TICK0, t + 1
	:: else -> buffer[m]!SLOT1, t + 1; STEP; buffer[m]!TICK1, t + 1
	fi
}

inline meet(who)
{
	STEP;
	AWAIT(tick[2 * (who) + t % 2] >= t + 1)
}

/* The slot is of this tick still. */
inline read(who)
{
	STEP;
	assert(slot[2 * (who) + t % 2] == t + 1)
}

#ifdef GROUPS
#define LEADS(i) ((i) == 0 || (i) == 2)
#define LED_BY(i, l) ((i) != (l) && (i) / 2 == (l) / 2)

/* A leader binds what its group has written; everybody meets the leaders, but a leader not itself. */
inline meet_groups()
{
	j = 0;
	do
	:: j < MEMBERS ->
#ifndef NO_GATHER
		if
		:: LEADS(m) && LED_BY(j, m) -> meet(j); read(j)
		:: else
		fi;
#endif
		j++
	:: else -> break
	od;
	if
	:: LEADS(m) && t % 2 == 0 -> buffer[m]!SHEAF0, t + 1; STEP; buffer[m]!BOUND0, t + 1
	:: LEADS(m) && t % 2 == 1 -> buffer[m]!SHEAF1, t + 1; STEP; buffer[m]!BOUND1, t + 1
	:: else
	fi;
	j = 0;
	do
	:: j < MEMBERS ->
		if
		:: LEADS(j) && j != m ->
			STEP;
			AWAIT(bound[2 * j + t % 2] >= t + 1);
			STEP;
			assert(sheaf[2 * j + t % 2] == t + 1)
		:: else
		fi;
		j++
	:: else -> break
	od
}
#endif

inline meet_all()
{
	j = 0;
	do
	:: j < MEMBERS ->
		if
		:: j != m -> meet(j)
		:: else
		fi;
		j++
	:: else -> break
	od;
	if
	:: finished < t -> finished = t
	:: else
	fi
}

inline read_all()
{
	j = 0;
	do
	:: j < MEMBERS ->
		if
		:: j != m -> read(j);
#ifdef GROUPS
			if
			:: LEADS(j) && kind[t] == ALL -> assert(sheaf[2 * j + t % 2] == t + 1)
			:: else
			fi
#endif
		:: else
		fi;
		j++
	:: else -> break
	od;
	j = 0
}

inline be_done()
{
	STEP;
	buffer[m]!DONE, t + 1
}

proctype member(byte m)
{
	byte t = 0, finished = 0, least = 0, j = 0;

	do
	:: t < TICKS && kind[t] == ALL ->
		await_room();
		publish();
#ifdef GROUPS
		meet_groups();
		if
		:: finished < t -> finished = t
		:: else
		fi;
#else
		meet_all();
#endif
		read_all();
		t++
	:: t < TICKS && kind[t] == TO ->
		await_room();
		publish();
		if
		:: m == root[t] -> meet_all(); read_all()
		:: else -> look_ahead()
		fi;
		be_done();
		t++
	:: t < TICKS && kind[t] == FROM && m == root[t] ->
		await_room();
		publish();
		look_ahead();
		be_done();
		t++
	:: t < TICKS && kind[t] == FROM && m != root[t] ->
		meet(root[t]);
		read(root[t]);
		be_done();
		t++
	:: t == TICKS -> break
	od;
stop:
	skip
}

init
{
	byte i = 0;

	do
	:: i < TICKS ->
		if
		:: kind[i] = ALL
		:: kind[i] = FROM
#ifndef NO_TO
		:: kind[i] = TO
#endif
		fi;
		if
		:: kind[i] != ALL -> root[i] = 0
		:: kind[i] != ALL -> root[i] = 1
		:: kind[i] == ALL
		fi;
		i++
	:: else -> break
	od;
	atomic {
		i = 0;
		do
		:: i < MEMBERS -> run member(i); run memory(i); i++
		:: else -> break
		od
	}
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * owned.pml - a lock whose owner enters it with plain stores (src/base/owned_lock.h): never are two threads where only one
 * may be, and nobody waits for ever (the checker calls that an invalid end state).
 *
 * Two threads want the lock in turns, each the short way if it is the owner, and may go on to the mutex from there. Whoever
 * has the mutex by the short way's failure adopts the lock if nobody has. Stores wait in buffers, in order; an
 * atomic instruction passes when the thread's own buffer is empty, a heavy fence when every buffer has been since it began.
 *
 *	-DTHREADS=n, -DTURNS=n
 *	-DNO_HEAVY  a fence of one's own instead of the heavy one: must fail
 *	-DNO_CHECK  who has the mutex does not look whether another has become the owner: must fail
 *	-DNO_LOOK   the owner does not look again once it is inside: must fail
 */
#ifndef THREADS
#define THREADS 2
#endif
#ifndef TURNS
#define TURNS 2
#endif

#define NOT_YET 100
#define REVOKED 101
#define NEVER 102

byte owner = NOT_YET;
bool inside = false;
bool mutex = false;
byte there = 0; /* threads that have the lock */
chan buffer[THREADS] = [2] of { bool };

#define OTHERS(me) (owner != NOT_YET && owner != NEVER && owner != me)

proctype memory(byte m)
{
	bool v;
end:
	do
	:: atomic { buffer[m]?v -> inside = v; v = false }
	od
}

inline work()
{
	there++;
	assert(there == 1);
	there--
}

inline disown()
{
	do
	:: !OTHERS(me) -> break
	:: OTHERS(me) ->
		/* compare and swap: whatever else it has become meanwhile stays */
		atomic { empty(buffer[me]); if :: owner < THREADS -> owner = REVOKED :: else fi };
#ifndef NO_HEAVY
		i = 0;
		do
		:: i < THREADS -> empty(buffer[i]); i++
		:: i == THREADS -> break
		od;
#endif
		if
		:: inside
		:: !inside ->
			atomic { if :: owner == REVOKED -> owner = NEVER :: else fi };
			break
		fi
	od
}

inline take()
{
	do
	:: true ->
		disown();
		atomic { !mutex && empty(buffer[me]) -> mutex = true };
#ifdef NO_CHECK
		break
#else
		if
		:: !OTHERS(me) -> break
		:: OTHERS(me) -> mutex = false
		fi
#endif
	od
}

proctype thread(byte me)
{
	byte turn = 0, i = 0;

	do
	:: turn == TURNS -> break
	:: turn < TURNS ->
		turn++;
		if
		:: owner == me ->
			buffer[me]!true;
#ifndef NO_LOOK
			if
			:: owner == me -> skip
			:: owner != me -> buffer[me]!false; goto the_mutex
			fi;
#endif
			work();
			if
			:: buffer[me]!false /* leaves */
			:: /* deepens */
				atomic { !mutex && empty(buffer[me]) -> mutex = true };
				buffer[me]!false;
				work();
				atomic { empty(buffer[me]) -> mutex = false }
			fi
		:: owner != me ->
the_mutex:
			take();
			work();
			if
			:: owner == NOT_YET -> owner = me
			:: true
			fi;
			work();
			atomic { empty(buffer[me]) -> mutex = false }
		fi
	od
}

init
{
	byte m = 0;

	atomic {
		do
		:: m < THREADS -> run thread(m); run memory(m); m++
		:: m == THREADS -> break
		od
	}
}

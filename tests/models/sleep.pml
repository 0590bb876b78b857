/* SPDX-License-Identifier: Apache-2.0
 *
 * sleep.pml - how a member of the node stage sleeps and is woken (src/engine/node_sleep.c): no wake-up is lost. A lost one
 * is a state in which nothing can happen any more, which the checker calls an invalid end state.
 *
 * Two publishers each write two ticks; the sleeper waits for each of them in turn. Stores wait in buffers, in order.
 * A heavy fence passes when every buffer has been empty since it began. A sleep has a time limit, which counts here only
 * when a publisher has died: alive, they must ring.
 *
 *	-DFULL      publishers pass a full fence and the sleeper only its own (some member has not joined)
 *	-DMIXED     publishers pass a full fence, and the sleeper a heavy one (they do not know yet that all have joined)
 *	-DCRASH     a publisher may stop at any step
 *	-DNO_HEAVY  the sleeper passes its own fence only, the publishers none: must fail
 *	-DDEAF      the sleeper forgets rings that came before its sleep: must fail
 */
#define TICKS 2
#define SLEEPER 2

byte tick[2]; /* of each publisher */
bool sleeping; /* says the sleeper in its bed */
byte sleepers = 0; /* beds that say so */
byte rung; /* futex word */
bool asleep; /* in the kernel */
bool dead = false;

mtype = { TICK, SLEEPING };
chan buffer[3] = [3] of { mtype, byte };

#ifdef CRASH
#define STEP if :: !dead -> dead = true; goto stop :: true fi
#else
#define STEP skip
#endif

proctype memory(byte p)
{
	byte v;
end:
	do
	:: atomic { buffer[p]?TICK, v -> tick[p] = v; v = 0 }
	:: atomic { buffer[p]?SLEEPING, v -> sleeping = v; v = 0 }
	od
}

proctype publisher(byte p)
{
	byte t = 0;

	do
	:: t < TICKS ->
		t++;
		STEP;
		buffer[p]!TICK, t;
		STEP;
#if defined(FULL) || defined(MIXED)
		empty(buffer[p]);
#endif
		STEP;
		if
		:: sleepers > 0 ->
			STEP;
			if
			:: sleeping ->
				STEP;
				empty(buffer[p]); /* an atomic addition drains the buffer */
				rung++;
				STEP;
				asleep = false
			:: !sleeping
			fi
		:: sleepers == 0
		fi
	:: else -> break
	od;
stop:
	skip
}

proctype sleeper()
{
	byte want = 1, heard = 0, p = 0;

	do
	:: want > TICKS -> break
	:: want <= TICKS && tick[p] >= want ->
		if
		:: p == 0 -> p = 1
		:: p == 1 -> p = 0; want++
		fi
	:: want <= TICKS && tick[p] < want ->
		buffer[SLEEPER]!SLEEPING, true;
		atomic { empty(buffer[SLEEPER]) -> sleepers++ };
#if !defined(FULL) && !defined(NO_HEAVY)
		empty(buffer[0]);
		empty(buffer[1]);
#endif
		if
		:: tick[p] >= want
		:: tick[p] < want ->
			/* futex: compares and sleeps in one step */
#ifdef DEAF
			heard = rung;
#endif
			atomic {
				if
				:: rung == heard -> asleep = true
				:: rung != heard
				fi
			}
			do
			:: !asleep -> break
			:: asleep && dead -> asleep = false /* the time limit; then it looks around */
			od
		fi;
		atomic { empty(buffer[SLEEPER]) -> sleepers-- };
		buffer[SLEEPER]!SLEEPING, false;
		heard = rung;
		if
		:: dead -> break /* the long way out: the operation ends with an error */
		:: !dead
		fi
	od
}

init
{
	atomic {
		run publisher(0);
		run publisher(1);
		run sleeper();
		run memory(0);
		run memory(1);
		run memory(SLEEPER)
	}
}

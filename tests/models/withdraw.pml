/* SPDX-License-Identifier: Apache-2.0
 *
 * withdraw.pml - memory that is lent to a reader while an operation runs (src/engine/node_far.c): whoever ends the
 * operation well has read what its owner gave; and nobody waits for ever, for a failure ends all that waits.
 *
 * A ring of members, each of which reads the next one's memory. A member leaves when all others have taken, or at any
 * moment because of the failure, which it makes known first; its program then writes its memory.
 *
 * Memory is as in ticks.pml: what a member writes waits in its buffer; a fence or a release keeps what was written
 * before it in front. Loads happen in order: the fences on the reader's side.
 *
 *	-DMEMBERS=n
 *	-DNO_LOOK      a reader ends without a look at who has withdrawn: must fail
 *	-DNO_FENCE     a program's stores may overtake the withdrawal: must fail
 *	-DNO_WAIT      an owner leaves as soon as it has taken itself: must fail
 */
#ifndef MEMBERS
#define MEMBERS 3
#endif

mtype = { DATA, WITHDRAWN, TAKEN };

byte data[MEMBERS]; /* 1: what the owner gives; 2: what its program has put there afterwards */
bool withdrawn[MEMBERS], taken[MEMBERS];
chan buffer[MEMBERS] = [3] of { mtype };
bool failed = false; /* known to all */

/* What is in a member's buffer reaches memory, in order, but for what is written without a fence. */
proctype memory(byte m)
{
end:
	do
	:: atomic { buffer[m]?TAKEN -> taken[m] = true }
#ifdef NO_FENCE
	:: atomic { buffer[m]??DATA -> data[m] = 2 }
	:: atomic { buffer[m]??WITHDRAWN -> withdrawn[m] = true }
#else
	:: atomic { buffer[m]?DATA -> data[m] = 2 }
	:: atomic { buffer[m]?WITHDRAWN -> withdrawn[m] = true }
#endif
	od
}

proctype member(byte m)
{
	byte got, j;
	bool ok = true;

	/* tt_far_read() */
	if
	:: got = data[(m + 1) % MEMBERS]
	:: failed -> goto fail
	fi;
	buffer[m]!TAKEN;
	/* may_leave() */
#ifndef NO_WAIT
	j = 0;
	do
	:: j < MEMBERS ->
		if
		:: j == m || taken[j]
		:: failed -> goto fail
		fi;
		j++
	:: else -> break
	od;
#endif
	/* tt_far_withdrawn() */
#ifndef NO_LOOK
	j = 0;
	do
	:: j < MEMBERS ->
		ok = ok && !withdrawn[j];
		j++
	:: else -> break
	od;
#endif
	if
	:: ok -> assert(got == 1); buffer[m]!DATA; goto done
	:: else -> failed; goto fail
	fi;
fail:
	/* tt_node_stage_withdraw(), and back to the program */
	buffer[m]!WITHDRAWN;
	buffer[m]!DATA;
done:
	skip
}

/* Somebody aborts, or does not: at any moment. */
proctype trouble()
{
	if
	:: failed = true
	:: true
	fi
}

init {
	byte m = 0;

	atomic {
		do
		:: m < MEMBERS -> data[m] = 1; run memory(m); run member(m); m++
		:: else -> break
		od;
		run trouble()
	}
}

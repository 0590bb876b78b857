/* SPDX-License-Identifier: Apache-2.0
 *
 * lane.pml - messages through a ring in shared memory (transports/shm/lane.c) and how who waits for them sleeps
 * (transports/shm/doorbell.h): what is received is what was sent, in order, nothing is overwritten before it was read, and
 * nobody sleeps for ever, unless the other side has died.
 *
 * A ring of lines. A tiny message is one line, a whole one two: a head with a stamp, and what it carries. Of a streamed one
 * the head is stamped first, and a count says how far what follows may be read. Positions only grow; a stamp is its position
 * + 1, and the place behind a message says 0 before the message can be seen.
 *
 * Memory is as in ticks.pml: a plain store may overtake anything but a store to the same line; a release (a stamp, a count)
 * reaches memory when all that was written before it has. A fence waits until all has.
 *
 *	-DMESSAGES=n
 *	-DCRASH        the sender may stop at any step
 *	-DNO_ROOM      a message is written without a look at what the receiver has given back: must fail
 *	-DNO_CLEAR     the place behind a message keeps what it held: must fail
 *	-DNO_RELEASE   a stamp may overtake what it stands for: must fail
 *	-DNO_FENCE     the sleeper looks again before it is known to sleep: must fail
 */
#ifndef MESSAGES
#define MESSAGES 3
#endif
#define LINES 4
#define PAYLOAD 100 /* + its position */

mtype = { TINY, WHOLE, STREAMED };
mtype = { PLAIN, STAMP, TAIL, ASLEEP };

mtype kind[MESSAGES];
byte line[LINES]; /* a stamp, 0, or what a message carries */
byte tail = 0, head = 0;
bool asleep[2]; /* the sender, for room; the receiver, for messages */
bool bell[2];
bool dead = false, ended = false;
chan buffer[2] = [7] of { mtype, byte, byte };

#ifdef CRASH
#define STEP if :: !dead -> dead = true; goto stop :: true fi
#define OR_DEAD :: dead && empty(buffer[0]) -> goto stop
#else
#define STEP skip
#define OR_DEAD
#endif

/* What is in a side's buffer reaches memory. */
proctype memory(byte s)
{
	byte i, v;
end:
	do
	:: atomic { buffer[s]??PLAIN, eval(0), v -> line[0] = v; v = 0 }
	:: atomic { buffer[s]??PLAIN, eval(1), v -> line[1] = v; v = 0 }
	:: atomic { buffer[s]??PLAIN, eval(2), v -> line[2] = v; v = 0 }
	:: atomic { buffer[s]??PLAIN, eval(3), v -> line[3] = v; v = 0 }
#ifdef NO_RELEASE
	:: atomic { buffer[s]??STAMP, i, v -> line[i] = v; i = 0; v = 0 }
#else
	:: atomic { buffer[s]?STAMP, i, v -> line[i] = v; i = 0; v = 0 }
#endif
	:: atomic { buffer[s]?TAIL, i, v -> tail = v; i = 0; v = 0 }
	:: atomic { buffer[s]??ASLEEP, i, v -> asleep[s] = v; i = 0; v = 0 }
	od
}

/* tt_shm_doorbell_ring(), after news */
inline ring(who, other)
{
	empty(buffer[who]); /* the fence */
	STEP;
	if
	:: atomic { asleep[other] -> asleep[other] = false; bell[other] = true }
	:: !asleep[other]
	fi
}

/* tt_shm_doorbell_arm(), a last look, and sleep; any news of the bell is enough to look again. */
inline sleep(who, news)
{
	buffer[who]!ASLEEP, 0, 1;
#ifndef NO_FENCE
	empty(buffer[who]);
#endif
	if
	:: news
	:: else ->
		if
		:: bell[who] -> bell[who] = false
		OR_DEAD
		fi
	fi;
	empty(buffer[who]);
	asleep[who] = false
}

#ifdef NO_ROOM
#define ROOM(need) true
#else
#define ROOM(need) (position + (need) - seen <= LINES)
#endif

/* room_for(): the receiver's count is looked at when what is known of it does not suffice. */
inline await_room(need)
{
	do
	:: ROOM(need) -> break
	:: else ->
		seen = head;
		if
		:: ROOM(need)
		:: else -> sleep(0, head != seen)
		fi
	od
}

inline clear(at)
{
#ifndef NO_CLEAR
	if
	:: shown != (at) -> buffer[0]!PLAIN, (at) % LINES, 0
	:: else
	fi
#else
	skip
#endif
}

/* clear_ahead(): the line after the next, if it is free. */
inline clear_ahead()
{
	if
	:: position + 2 - seen <= LINES -> buffer[0]!PLAIN, (position + 1) % LINES, 0; shown = position + 1
	:: else
	fi
}

proctype sender()
{
	byte position = 0, seen = 0, shown = 0, m = 0, record, done;

	do
	:: m < MESSAGES && kind[m] != STREAMED ->
		record = (kind[m] == TINY -> 1 : 2);
		await_room(record + 1);
		STEP;
		if
		:: record == 2 -> buffer[0]!PLAIN, (position + 1) % LINES, PAYLOAD + position + 1
		:: else
		fi;
		clear(position + record);
		STEP;
		buffer[0]!STAMP, position % LINES, position + 1;
		position = position + record;
		clear_ahead();
		ring(0, 1);
		m++
	:: m < MESSAGES && kind[m] == STREAMED ->
		await_room(1);
		STEP;
		buffer[0]!STAMP, position % LINES, position + 1;
		position++;
		done = 0;
		do
		:: done < 2 ->
			await_room(2);
			STEP;
			buffer[0]!PLAIN, position % LINES, PAYLOAD + position;
			position++;
			done++;
			if
			:: done == 2 -> clear(position)
			:: else
			fi;
			STEP;
			buffer[0]!TAIL, 0, position;
			ring(0, 1)
		:: else -> break
		od;
		m++
	:: m == MESSAGES -> break
	od;
stop:
	skip
}

proctype receiver()
{
	byte position = 0, m = 0, from, done;

	do
	:: m < MESSAGES ->
		/* arrived() */
		do
		:: line[position % LINES] != 0 -> break
		:: else -> sleep(1, line[position % LINES] != 0)
		od;
		assert(line[position % LINES] == position + 1);
		from = position;
		if
		:: kind[m] == TINY -> position++
		:: kind[m] == WHOLE ->
			assert(line[(position + 1) % LINES] == PAYLOAD + position + 1);
			position = position + 2
		:: else ->
			position++;
			done = 0;
			do
			:: done < 2 ->
				do
				:: tail > position -> break
				:: else -> sleep(1, tail > position)
				od;
				assert(line[position % LINES] == PAYLOAD + position);
				position++;
				done++;
				head = position;
				ring(1, 0)
			:: else -> break
			od
		fi;
		/* receiver_moved(): what it has given back, a store that nobody waits for. */
		head = position;
		ring(1, 0);
		m++
	:: m == MESSAGES -> break
	od;
stop:
	skip
}

init {
	byte m = 0;

	do
	:: m < MESSAGES ->
		if
		:: kind[m] = TINY
		:: kind[m] = WHOLE
		:: kind[m] = STREAMED
		fi;
		m++
	:: else -> break
	od;
	atomic {
		run memory(0);
		run memory(1);
		run sender();
		run receiver()
	}
}

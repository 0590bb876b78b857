/* SPDX-License-Identifier: Apache-2.0
 *
 * constants.h - what the selector knows of a machine's speed: each constant with its name, its unit, what it means, and
 * where its value came from. There are no other numbers in a price.
 */
#ifndef TT_SELECT_CONSTANTS_H
#define TT_SELECT_CONSTANTS_H

#include <stdbool.h>
#include <stddef.h>
#include <tutti/tutti.h>

/* clang-format off */
/* entry(NUMBER, name, unit, value that stands in where nothing was measured, meaning) */
#define TT_CONSTANT_LIST(entry) \
	entry(HANDOFF, "handoff", "ns", 90, "a cache line from one core to another that shares its last cache, one way") \
	entry(HANDOFF_CACHE, "handoff_cache", "ns", 140, "the same between cores of one package under different last caches") \
	entry(HANDOFF_PACKAGE, "handoff_package", "ns", 250, "the same between packages") \
	entry(MEET, "meet", "ns", 250, "all ranks of a node meet in shared memory once, sharing a cache") \
	entry(COPY_CACHED, "copy_cached", "ps/B", 25, "copying what lies in a core's own cache") \
	entry(COPY_SHARED, "copy_shared", "ps/B", 60, "copying into or out of memory that another core has just used") \
	entry(COPY_NEAR, "copy_near", "ps/B", 120, "the same while it is still in the nearest cache of the core that has written it") \
	entry(COPY_MEMORY, "copy_memory", "ps/B", 150, "copying what lies in no cache, two cores at once") \
	entry(COPY_STREAM, "copy_stream", "ps/B", 130, "the same with stores that go past the caches") \
	entry(REDUCE_CACHED, "reduce_cached", "ps/B", 33, "adding fp32 in cache, per byte of each source") \
	entry(REDUCE_MEMORY, "reduce_memory", "ps/B", 100, "adding fp32 that lies in no cache, per byte of each source") \
	entry(SYSCALL, "syscall", "ns", 150, "entering the kernel and coming back") \
	entry(YIELD, "yield", "ns", 1500, "a core changes from one rank to another by sched_yield") \
	entry(WAKE, "wake", "ns", 25000, "waking a rank that sleeps, until it runs") \
	entry(CALL, "call", "ns", 300, "a call's way through the library, beside what it moves") \
	entry(SHM_MESSAGE, "shm_message", "ns", 400, "a small message between ranks that share memory, end to end") \
	entry(SHM_POST, "shm_post", "ns", 150, "the processor's part of one more such message") \
	entry(SHM_BYTE, "shm_byte", "ps/B", 125, "each byte of such a message, with as many coming back") \
	entry(SHM_ONE_WAY, "shm_one_way", "ps/B", 85, "the same with none coming back") \
	entry(LOOP_MESSAGE, "loop_message", "ns", 12000, "a small TCP message between ranks of one host") \
	entry(LOOP_POST, "loop_post", "ns", 3000, "the processor's part of one more such message") \
	entry(LOOP_BYTE, "loop_byte", "ps/B", 400, "each byte of such a message, with as many coming back") \
	entry(LOOP_ONE_WAY, "loop_one_way", "ps/B", 250, "the same with none coming back") \
	entry(LOOP_LOOK, "loop_look", "ns", 1000, "looking for such messages where none has come") \
	entry(NET_MESSAGE, "net_message", "ns", 20000, "a small message between hosts") \
	entry(NET_POST, "net_post", "ns", 3000, "the processor's part of one more such message") \
	entry(NET_BYTE, "net_byte", "ps/B", 400, "each byte of such a message, with as many coming back") \
	entry(NET_ONE_WAY, "net_one_way", "ps/B", 250, "the same with none coming back") \
	entry(CARD_BYTE, "card_byte", "ps/B", 320, "each byte through the network card that the ranks of a host share") \
	entry(CACHE, "cache", "B", 1048576, "what a core has in a cache of its own") \
	entry(NEAREST_CACHE, "nearest_cache", "B", 32768, "what a core has in its nearest cache, for data") \
	entry(STAGE_CHUNK, "stage_chunk", "B", 65536, "of what ranks of a node pass through shared memory, at a time") \
	entry(STAGE_SLOTS, "stage_slots", "chunks", 3, "of that, which a rank may be ahead of the others") \
	entry(CROWDED_SLOTS, "crowded_slots", "chunks", 8, "the same where ranks share cores") \
	entry(STAGE_APART, "stage_apart", "B", 262144, "what a rank puts there before it writes to the same place again") \
	entry(STAGE_BLOCK, "stage_block", "B", 8192, "of a sum that goes to several places, at a time") \
	entry(STAGE_STEP, "stage_step", "B", 2048, "of a sum of two ranks, at a time, and how much is fetched ahead of it") \
	entry(ROWS_FROM, "rows_from", "B", 16384, "rows from which on ranks of a node go chunk by chunk, each at its own pace") \
	entry(ONE_MEETING, "one_meeting", "B", 32768, "up to so many bytes one meeting is enough: of all ranks together, or, where one has the sum, of each") \
	entry(CHUNK, "chunk", "B", 65536, "of one message where there is enough to cut") \
	entry(LOOP_CHUNK, "loop_chunk", "B", 262144, "the same over TCP within one host") \
	entry(ASKED_FROM, "asked_from", "B", 131072, "messages of more are asked for before they are sent, over one connection of TCP") \
	entry(STREAM_FROM, "stream_from", "B", 8388608, "buffers from which on stores past the caches pay") \
	entry(REMOTE_CALL, "remote_call", "ns", 1300, "reading another process's memory, besides its bytes") \
	entry(REMOTE_BYTE, "remote_byte", "ps/B", 60, "each byte of that, in cache") \
	entry(SINGLE_FROM, "single_from", "B", 65536, "rows from which on one copy by the kernel beats two through shared memory")
/* clang-format on */

#define TT_CONSTANT_NUMBER(number, name, unit, value, meaning) TT_CONSTANT_##number,
enum tt_constant { TT_CONSTANT_LIST(TT_CONSTANT_NUMBER) TT_CONSTANTS };
#undef TT_CONSTANT_NUMBER

/* From weak to strong: what is measured later or better replaces what was there. */
enum tt_constant_source {
	TT_CONSTANT_ASSUMED, /* stands in: typical of machines of these years */
	TT_CONSTANT_DERIVED, /* from other constants that were measured, or from a network card's speed */
	TT_CONSTANT_MEASURED, /* briefly, at first use */
	TT_CONSTANT_TUNED, /* by `tutti tune` */
	TT_CONSTANT_SOURCES
};

struct tt_constant_info {
	const char *name, *unit, *meaning;
	double assumed;
};

struct tt_constants {
	double value[TT_CONSTANTS]; /* in the constant's unit */
	uint8_t source[TT_CONSTANTS]; /* enum tt_constant_source */
};

const struct tt_constant_info *tt_constant_info(enum tt_constant constant);
int tt_constant_find(const char *name); /* -1 = there is none */
const char *tt_constant_source_name(enum tt_constant_source source); /* "measured" */
/* Is it a value that this constant can have? */
bool tt_constant_allows(enum tt_constant constant, double value);
void tt_constants_init(struct tt_constants *constants);
void tt_constants_set(
    struct tt_constants *constants, enum tt_constant constant, double value, enum tt_constant_source source);
/* The worse of both machines, constant by constant: every rank waits for the slowest. */
void tt_constants_worst(struct tt_constants *constants, const struct tt_constants *other);

/* The value as people read it: five digits, all of a size. */
void tt_constant_print(const struct tt_constants *constants, enum tt_constant constant, char *text, size_t capacity);
/* In seconds, or seconds per byte. */
double tt_constant_s(const struct tt_constants *constants, enum tt_constant constant);

#endif /* TT_SELECT_CONSTANTS_H */

/* SPDX-License-Identifier: Apache-2.0
 *
 * kit.h - what a promise of the conformance kit is written with.
 *
 * A promise is a function that every rank runs, over endpoints that are already open and connected, all with all.
 * Ranks are threads of one process or forked processes; the promise does not know which. The kit owns the shared
 * memory, carries the addresses, counts descriptors before and after, and ends a promise that hangs.
 *
 * Helpers return false once the promise is broken (here or on another rank): return then. Every buffer lies between
 * guard bytes, and a sender's buffer is scribbled over as soon as its transfer has ended.
 */
#ifndef TT_CONFORMANCE_KIT_H
#define TT_CONFORMANCE_KIT_H

#include <tutti/transport.h>

#include "base/atomics.h"
#include "base/port.h"

#define KIT_RANKS 16
#define KIT_FLAGS 8
#define KIT_TIMEOUT_MS 60000 /* of one promise */

/* What the ranks of a run share beside the transport's memory. */
struct kit_world {
	TT_ALIGNED(TT_LINE) tt_atomic_u32 arrived; /* barriers passed, times ranks */
	tt_atomic_u32 failed; /* 1 + the rank that found the promise broken */
	tt_atomic_u32 flags[KIT_FLAGS]; /* for the promise's own use */
	unsigned char key[32];
	size_t address_bytes[KIT_RANKS];
	unsigned char address[KIT_RANKS][TUTTI_ADDRESS_BYTES];
	int asked; /* 1 + enum kit_result: could the transport be asked, is it to be skipped? */
	uint32_t capabilities;
	char why[512];
};

/* One rank. */
struct kit {
	const tutti_transport *transport;
	struct kit_world *world;
	void *shared; /* the transport's */
	size_t shared_bytes;
	int rank, nranks;
	uint32_t lanes;
	bool processes;
	const char *interfaces, *provider;
	int64_t deadline_ns;
	uint64_t random; /* state of kit_random() */
	uint32_t barriers;
	tutti_endpoint *endpoint;
	tutti_link *links[KIT_RANKS];
	tutti_properties properties;
};

struct kit_promise {
	const char *name;
	void (*body)(struct kit *kit);
	uint32_t needs; /* TUTTI_CAN_... without which it is skipped */
	uint32_t excludes; /* TUTTI_... with which it is skipped */
	bool kills; /* rank 1 ends itself: only as processes */
	int least_ranks;
};

struct kit_options {
	int nranks;
	int connections, checksum; /* as in the environment */
	bool processes;
	bool
	    apart; /* processes, and what a parent opens is of no use to its children: none of it before they begin */
	uint64_t seed;
	const char *interfaces;
	const char *provider; /* NULL: the transport chooses */
};

enum kit_result { KIT_KEPT, KIT_BROKEN, KIT_SKIPPED };

/* Runs one promise; why[] says what broke or why it was skipped. */
enum kit_result kit_run(const tutti_transport *transport, const struct kit_promise *promise,
    const struct kit_options *options, char *why, size_t why_bytes);

/* ---- for promises ---- */

/* Records the first failure of the run; returns `holds`, and false as well once another rank has failed. */
bool kit_check(struct kit *kit, bool holds, const char *format, ...) TT_PRINTF(3, 4);
bool kit_going(struct kit *kit);
/* false after the deadline or a failure. Call it in every waiting loop, after a round without news. */
bool kit_pause(struct kit *kit, const char *what);
/* All ranks meet; each makes progress while it waits. */
bool kit_barrier(struct kit *kit);
void kit_flag_raise(struct kit *kit, int flag);
bool kit_flag_raised(struct kit *kit, int flag);
/* Waits for it, with or without making progress meanwhile. */
bool kit_flag_wait(struct kit *kit, int flag, bool progress);
/* Open ones of this process; of all ranks, if they are threads. */
int kit_descriptors(void);
uint64_t kit_random(struct kit *kit);
/* 0..n-1. */
size_t kit_below(struct kit *kit, size_t n);

/* Bytes with guards around them. */
struct kit_buffer {
	unsigned char *bytes; /* n of them */
	size_t n;
	unsigned char *block;
};
bool kit_buffer_open(struct kit *kit, struct kit_buffer *buffer, size_t n);
/* Checks the guards and frees. */
bool kit_buffer_close(struct kit *kit, struct kit_buffer *buffer);

/* One message; its content and mark follow from sender, receiver, lane and number. */
struct kit_message {
	tutti_transfer transfer;
	struct kit_buffer buffer;
	struct iovec *parts;
	unsigned char mark[TUTTI_MARK_BYTES];
	uint64_t pattern;
	size_t folded; /* bytes that the fold has taken */
	bool fold_wrong, sends;
	int peer;
};
/* Zeroes and fills in *message. nparts 0: one part; else that many, cut at random, some empty. */
bool kit_message_send(struct kit *kit, struct kit_message *message, int peer, uint32_t lane, size_t bytes,
    uint64_t number, uint32_t nparts);
bool kit_message_recv(struct kit *kit, struct kit_message *message, int peer, uint32_t lane, size_t bytes,
    uint64_t number, uint32_t nparts);
/* Makes a prepared receive a folding one. */
void kit_message_fold(struct kit_message *message, uint32_t grain);
/* One attempt: TUTTI_OK, TUTTI_IN_PROGRESS (refused) or the link's death. */
tutti_status kit_try(struct kit *kit, struct kit_message *message);
/* Posts, again and again while it is refused. */
bool kit_post(struct kit *kit, struct kit_message *message);
/* Makes progress until it has ended, in whatever way. */
bool kit_ended(struct kit *kit, struct kit_message *message);
/* The same, and it ended well: content, guards, folds. Frees. */
bool kit_finish(struct kit *kit, struct kit_message *message);
/* Frees after a look at the guards. The transfer is not pending. */
bool kit_drop(struct kit *kit, struct kit_message *message);

/* Whole exchanges, for promises about something else. */
bool kit_send_now(struct kit *kit, int peer, uint32_t lane, size_t bytes, uint64_t number);
bool kit_recv_now(struct kit *kit, int peer, uint32_t lane, size_t bytes, uint64_t number);

#endif /* TT_CONFORMANCE_KIT_H */

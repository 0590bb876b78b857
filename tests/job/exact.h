/* SPDX-License-Identifier: Apache-2.0
 *
 * exact.h - one case of a correctness campaign: a call, its inputs as a pure function of the case, and what every
 * byte of every rank's memory must be afterwards.
 *
 * Inputs of reductions are chosen so that every partial result in every order is exactly representable: there is one
 * right answer, and it is worked out here without the library's kernels.
 */
#ifndef TT_TESTS_EXACT_H
#define TT_TESTS_EXACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tutti/tutti.h>

#define EXACT_RANKS 64
#define EXACT_NAME 32

enum exact_kind {
	EXACT_ALL_REDUCE,
	EXACT_REDUCE_SCATTER,
	EXACT_ALL_GATHER,
	EXACT_BROADCAST,
	EXACT_REDUCE,
	EXACT_SCATTER,
	EXACT_GATHER,
	EXACT_ALL_TO_ALL,
	EXACT_BARRIER,
	EXACT_ALL_GATHERV,
	EXACT_REDUCE_SCATTERV,
	EXACT_SCATTERV,
	EXACT_GATHERV,
	EXACT_ALL_TO_ALLV,
	EXACT_KINDS
};

/* Operators that a program makes, beyond the built-in ones: for every type but BOOL. */
enum {
	EXACT_PREMUL = TUTTI_BXOR + 1, /* each rank has a scalar of its own */
	EXACT_CUSTOM, /* adds bits: commutes */
	EXACT_ORDERED, /* composes x -> a x + b, a and b half of the bits each: does not commute */
	EXACT_OPS
};

enum exact_place { EXACT_APART, EXACT_IN_PLACE, EXACT_MIXED }; /* mixed: by rank */

/* Exact inputs have one right answer. Rough ones are sums that round, and wild ones any bits, many of them NaN or
 * infinite: all that is known there is that every rank ends with the same bits, near the sum or NaN. */
enum exact_inputs { EXACT_EXACT, EXACT_ROUGH, EXACT_WILD };

/* The same on every rank; all else follows from it. */
struct exact_case {
	enum exact_kind kind;
	tutti_dtype dtype;
	tutti_op op;
	char algorithm[EXACT_NAME]; /* "" = the library's choice */
	size_t count; /* v-forms: the mean */
	enum exact_place place;
	enum exact_inputs inputs; /* other than exact ones: all_reduce of floats only */
	int root;
	uint64_t seed;
	int size; /* of the communicator */
};

/* ---- names (exact_names.c) ------------------------------------------------------------------------------------- */

extern const char *const exact_kind_names[EXACT_KINDS];
extern const char *const exact_dtype_names[TUTTI_BOOL + 1];
extern const char *const exact_op_names[EXACT_OPS];
bool exact_reduces(enum exact_kind kind);
bool exact_has_root(enum exact_kind kind);
bool exact_is_uneven(enum exact_kind kind);
/* The name under which tutti_explain and algorithms know it. */
const char *exact_collective(enum exact_kind kind);
bool exact_is_float(tutti_dtype dtype);
bool exact_allows(tutti_op op, tutti_dtype dtype);
/* "all_reduce float32 sum ring 17 1 0 5 exact", and back; the second returns false if it is no case. */
void exact_print(const struct exact_case *c, char *text, size_t bytes);
bool exact_parse(const char *text, int size, struct exact_case *c);

/* ---- values (exact_values.c) ------------------------------------------------------------------------------------ */

/* The bits of element `index` of what `rank` gives. */
uint64_t exact_input(const struct exact_case *c, int rank, uint64_t index);
/* The bits of the reduction of element `index` over all ranks. */
uint64_t exact_reduced(const struct exact_case *c, uint64_t index);
bool exact_is_nan(tutti_dtype dtype, uint64_t bits);
/* The bits of a rank's scalar (EXACT_PREMUL). */
uint64_t exact_weight(const struct exact_case *c, int rank);
/* What EXACT_CUSTOM and EXACT_ORDERED make of two elements of `bytes` bytes, the first from the lower ranks. */
uint64_t exact_custom(tutti_op op, size_t bytes, uint64_t first, uint64_t second);
/* Can the bits be the result of element `index`, if inputs are not exact? */
bool exact_is_plausible(const struct exact_case *c, uint64_t index, uint64_t bits);
void exact_store(tutti_dtype dtype, uint64_t bits, void *to);
uint64_t exact_load(tutti_dtype dtype, const void *from);

/* ---- layout (exact_layout.c) ------------------------------------------------------------------------------------ */

/* A run of elements in a buffer. */
struct exact_block {
	size_t count, offset;
	int from; /* whose input it holds; -1: a reduction */
	uint64_t index; /* of its first element */
};

struct exact_side {
	int n; /* blocks; 0: the buffer is not used */
	size_t extent; /* elements */
	struct exact_block block[EXACT_RANKS];
};

struct exact_layout {
	struct exact_side send, recv;
	bool send_holds_recv; /* in place: recv lies in send, at `place` elements; else send lies in recv */
	bool may_be_in_place;
	size_t place;
	size_t send_counts[EXACT_RANKS], send_offsets[EXACT_RANKS]; /* arguments of the v-forms */
	size_t recv_counts[EXACT_RANKS], recv_offsets[EXACT_RANKS];
	bool packed; /* offsets are passed as NULL */
};

void exact_layout(const struct exact_case *c, int rank, struct exact_layout *layout);

/* ---- running (exact_run.c) -------------------------------------------------------------------------------------- */

enum exact_verdict {
	EXACT_RIGHT,
	EXACT_WRONG, /* why says what; the communicator still works */
	EXACT_UNSUPPORTED, /* the forced algorithm cannot do it, says the library */
	EXACT_BROKEN /* the communicator failed */
};

/* Issues it, waits for it and judges. */
enum exact_verdict exact_run(tutti_comm *comm, const struct exact_case *c, char *why, size_t bytes);

/* The same in parts, for several in flight. With request == NULL the call blocks, or is recorded in a group. The
 * status of the call is kept: exact_end needs to be told only that of what was waited for later. */
struct exact_call;
struct exact_call *exact_issue(tutti_comm *comm, const struct exact_case *c, tutti_request **request);
tutti_status exact_issued(const struct exact_call *call);
/* Judges and frees. If inputs are not exact the ranks meet here: calls of one communicator end in one order. */
enum exact_verdict exact_end(struct exact_call *call, tutti_status status, char *why, size_t bytes);

/* ---- campaigns (exact_campaign.c) ------------------------------------------------------------------------------- */

struct exact_tally {
	long run, wrong, unsupported;
	void (*tell)(void *context, const struct exact_case *c, const char *why); /* c NULL: sends and receives */
	void (*doing)(void *context, const struct exact_case *c); /* may be NULL */
	void *context;
};

/* Every kind, dtype, operator, algorithm and count; one case in `sample`. false: the communicator broke. */
bool exact_matrix(tutti_comm *comm, uint64_t seed, int sample, struct exact_tally *tally);
/* `n` cases by chance, counts up to `most` elements. */
bool exact_random(tutti_comm *comm, uint64_t seed, long n, size_t most, struct exact_tally *tally);
bool exact_one(tutti_comm *comm, const struct exact_case *c, struct exact_tally *tally);

/* ---- algorithms and chance (exact_campaign.c) ------------------------------------------------------------------- */

#define EXACT_ALGORITHMS 32

struct exact_algorithms {
	int n;
	char name[EXACT_ALGORITHMS][EXACT_NAME];
	bool eligible[EXACT_ALGORITHMS];
};

/* What tutti_explain knows for a kind of call; false: nothing. */
bool exact_list(tutti_comm *comm, enum exact_kind kind, struct exact_algorithms *list);
/* A case by chance, for a communicator of `size`; lists: one per kind. */
struct random;
void exact_draw(
    struct random *random, int size, size_t most, const struct exact_algorithms *lists, struct exact_case *c);

/* ---- mail (exact_mail.c) ---------------------------------------------------------------------------------------- */

#define EXACT_LETTERS 8

/* Sends and receives of one communicator that are in flight together, with tags, to oneself, from any peer. */
struct exact_mail;
/* All follows from `number` and the communicator's size, but for how a rank goes about it. Blocking ones have ended. */
struct exact_mail *exact_mail_post(tutti_comm *comm, uint64_t number, int letters, size_t most);
/* Waits and judges, frees. */
enum exact_verdict exact_mail_end(struct exact_mail *mail, char *why, size_t bytes);

/* ---- volleys (exact_volley.c) ----------------------------------------------------------------------------------- */

#define EXACT_COMMS 4

/* A family of communicators that are used at the same time by one thread. */
struct exact_fleet {
	int n;
	tutti_comm *comm[EXACT_COMMS];
	struct exact_algorithms lists[EXACT_COMMS][EXACT_KINDS];
};

/* Of `comm` itself and what is split from it: in another order, in halves, over TCP if that is allowed. */
tutti_status exact_fleet_init(struct exact_fleet *fleet, tutti_comm *comm, bool tcp);
void exact_fleet_fini(struct exact_fleet *fleet);
/* Volley number k of a seed, a pure function of both: cases on communicators of the fleet that are in flight together,
 * alone or in groups, finished in an order of each rank's own. false: a communicator broke. */
bool exact_volley(struct exact_fleet *fleet, uint64_t seed, long k, size_t most, struct exact_tally *tally);

#endif /* TT_TESTS_EXACT_H */

/* SPDX-License-Identifier: Apache-2.0
 *
 * plan.h - the plan language: what one rank does in a collective, as a short linear program.
 *
 * A plan is made by a pure function (src/algorithms) from a shape, and moves nothing itself. Its operands are
 * symbolic, so one plan serves every count of its shape. Steps run in program order; SEND, RECV and RECV_REDUCE
 * are only posted, COPY and REDUCE happen where they stand, WAIT ends all that was posted before it. Between two
 * WAITs posted steps may happen in any order. Messages match by position: the k-th send to a peer meets the
 * k-th receive from this rank there.
 *
 * Operands. Each buffer is a list of rows, each row a run of elements; a row is cut into `of` balanced parts.
 *
 *	IN, OUT of             IN rows   OUT rows          row r of P is ...
 *	all_reduce, reduce        1         1
 *	broadcast                 1         1
 *	reduce_scatter            P         1              for rank r
 *	all_gather                1         P              from rank r
 *	scatter                   P (root)  1              for rank r
 *	gather                    1         P (root)       from rank r
 *	all_to_all                P         P              for / from rank r
 *	barrier                   0         0
 *
 * The executor cuts every row into the same number of slices and runs the plan once per slice, several at a
 * time, each on its own lane: so algorithms stay simple, memory stays bounded, and transfers overlap. TMP is
 * scratch memory of one running slice: slots, each of tt_slot_count() elements, enough for `tmp_parts` of `tmp_of`
 * parts of the widest row's slice.
 *
 * The uneven (v) forms use the same plans: rows then have their own widths and offsets. A message whose length is 0
 * is not sent and not received, except a token.
 */
#ifndef TT_PLAN_H
#define TT_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tutti/tutti.h>

enum tt_collective {
	TT_ALL_REDUCE,
	TT_REDUCE_SCATTER,
	TT_ALL_GATHER,
	TT_BROADCAST,
	TT_REDUCE,
	TT_SCATTER,
	TT_GATHER,
	TT_ALL_TO_ALL,
	TT_BARRIER,
	TT_COLLECTIVES
};

const char *tt_collective_name(enum tt_collective collective); /* "all_reduce" */
int tt_collective_parse(const char *name); /* -1: unknown */
int tt_collective_in_rows(enum tt_collective collective, int nranks); /* 0, 1 or nranks */
int tt_collective_out_rows(enum tt_collective collective, int nranks);
bool tt_collective_reduces(enum tt_collective collective);
bool tt_collective_has_root(enum tt_collective collective);

/* What a plan is made from. */
struct tt_shape {
	enum tt_collective collective;
	int rank, nranks;
	int root; /* 0 where the collective has none */
	bool in_place; /* this rank's OUT is its IN (the positions that tutti.h names) */
	const int *node_of; /* node of each rank, 0.. in order of first rank; NULL = every rank a node of its own */
	int nnodes;
	/* The ranks in the order of the machine and each rank's place in it, for algorithms that follow it (see
	 * tt_plan_make_ordered); NULL = as they are numbered. */
	const int *order, *position;
};

enum tt_buffer { TT_IN, TT_OUT, TT_TMP, TT_TOKEN /* nothing: a message of 0 bytes that is sent all the same */ };

/* rows × parts of a buffer: for row, row+1, ... (modulo the number of rows) the parts part, part+1, ... (modulo
 * `of`) of each. In TMP, `row` is the first slot and `like` the row whose width the contents have; each slot holds
 * its contents packed from its start; slot row+j holds row like+j if along_rows, else parts part+j*parts... */
struct tt_span {
	uint8_t buffer; /* enum tt_buffer */
	uint8_t along_rows;
	uint16_t zero;
	int32_t row, rows;
	int32_t like; /* for IN and OUT equal to row. For TMP the rank whose row of the buffer with P rows it is like
	                     (OUT if both have P rows); anything, say 0, where all rows are alike */
	int32_t part, parts, of;
};

enum tt_step_kind {
	TT_COPY, /* spans: dst, src */
	TT_REDUCE_STEP, /* spans: dst, src...: dst = src0 op src1 op ..., in this order */
	TT_SEND, /* spans: src */
	TT_RECV, /* spans: dst */
	TT_RECV_REDUCE, /* spans: dst, src: dst = src op message; with TT_MESSAGE_FIRST message op src */
	TT_WAIT, /* everything posted before has ended */
	/* Superinstructions of the node stage, over the ranks of this rank's node; see tt_plan_expand(). */
	TT_NODE_ALL_REDUCE, /* spans: dst, src */
	TT_NODE_REDUCE_SCATTER, /* spans: dst, src (a part or row for each member, in order) */
	TT_NODE_ALL_GATHER, /* spans: dst (a part or row for each member), src */
	TT_NODE_ALL_TO_ALL, /* spans: dst, src (each a part or row for each member); even rows only */
	TT_NODE_BROADCAST, /* spans: dst, src; peer = the root's rank */
	/* The same, but whoever is not the root has a token for a span that is the root's: */
	TT_NODE_REDUCE, /* spans: dst (the root's), src */
	TT_NODE_GATHER, /* spans: dst (the root's: a part or row for each member), src; even rows only */
	TT_NODE_SCATTER, /* spans: dst, src (the root's: a part or row for each member); even rows only */
	TT_NODE_BARRIER, /* no spans */
	TT_STEP_KINDS
};

enum {
	TT_FINAL = 1u << 0, /* this reduction completes the result: AVG divides here */
	TT_MESSAGE_FIRST = 1u << 1 /* the message's ranks come before src's */
};

struct tt_step {
	uint8_t kind; /* enum tt_step_kind */
	uint8_t flags;
	uint16_t nspans;
	int32_t peer;
	uint32_t span; /* index of the first span */
};

struct tt_plan {
	const char *algorithm; /* its name in the table */
	struct tt_shape shape; /* node_of, order and position are not kept: NULL */
	struct tt_step *steps; /* owned */
	struct tt_span *spans; /* owned */
	uint32_t nsteps, nspans, steps_room, spans_room;
	int32_t tmp_slots, tmp_parts, tmp_of; /* 0 slots: no scratch memory */
	uint32_t posted; /* of the builder: transfers since the last wait */
	uint32_t posted_most; /* most transfers posted between two waits */
	uint32_t pieces_most; /* most pieces a span of a posted step can have (rows × at most 2) */
	/* Once ended: */
	uint32_t rows_most; /* of a span */
	uint32_t spans_most; /* of a step */
	bool uses_tmp;
	tutti_status error; /* the first failure of the builder; later calls do nothing */
};

/* ---- building: all failures are sticky, check once with tt_plan_end() -------------------------------------- */

void tt_plan_init(struct tt_plan *plan, const char *algorithm, const struct tt_shape *shape);
void tt_plan_fini(struct tt_plan *plan);
/* Slots of scratch memory. The same on every rank of a shape, in place or not, used or not: the number of slices is
 * computed from it, and must be agreed. */
void tt_plan_tmp(struct tt_plan *plan, int slots, int parts, int of);
void tt_plan_copy(struct tt_plan *plan, struct tt_span dst, struct tt_span src);
void tt_plan_reduce(struct tt_plan *plan, struct tt_span dst, const struct tt_span *src, int nsrc, unsigned flags);
void tt_plan_reduce_also(struct tt_plan *plan, struct tt_span src); /* one more source for the reduction just added */
void tt_plan_send(struct tt_plan *plan, int peer, struct tt_span src);
void tt_plan_recv(struct tt_plan *plan, int peer, struct tt_span dst);
void tt_plan_recv_reduce(struct tt_plan *plan, int peer, struct tt_span dst, struct tt_span src, unsigned flags);
void tt_plan_wait(struct tt_plan *plan); /* no step if nothing was posted since the last */
void tt_plan_node(
    struct tt_plan *plan, enum tt_step_kind kind, int root, struct tt_span dst, struct tt_span src, unsigned flags);
tutti_status tt_plan_end(struct tt_plan *plan); /* adds the last wait; TUTTI_OK or the first failure */

/* Spans. A whole row: part 0, parts 1, of 1. */
struct tt_span tt_span_part(enum tt_buffer buffer, int row, int part, int parts, int of);
struct tt_span tt_span_rows(enum tt_buffer buffer, int row, int rows);
struct tt_span tt_span_slot(int slot, int like, int part, int parts, int of);
struct tt_span tt_span_token(void);

/* Member j's piece of a node-stage span that has a row, or a run of parts, for each of n members. */
struct tt_span tt_span_member(struct tt_span span, int j, int n);

/* Part `k` of `of` of n elements: [*begin, *begin + *len), the first n % of parts one longer. */
static inline void
tt_part(size_t n, size_t of, size_t k, size_t *begin, size_t *len)
{
	const size_t each = n / of, more = n % of;

	*begin = k * each + (k < more ? k : more);
	*len = each + (k < more ? 1 : 0);
}

/* Elements in a slot of TMP, where the widest row's slice has `widest` elements (the largest over all slices). */
static inline size_t
tt_slot_count(const struct tt_plan *plan, size_t widest)
{
	const size_t of = (size_t)plan->tmp_of, parts = (size_t)plan->tmp_parts;

	return of ? widest / of * parts + (widest % of < parts ? widest % of : parts) : 0;
}

/* ---- looking at plans ----------------------------------------------------------------------------------- */

/* One line per step, for people. Returns the length needed without the final zero, like snprintf. */
size_t tt_plan_print(const struct tt_plan *plan, char *text, size_t capacity);

/* The same plan with every node-stage step replaced by primitive steps among the node's members (the reference
 * that the node stage must equal bit for bit: sources in rank order, one k-ary reduction). `shape` with node_of. */
tutti_status tt_plan_expand(const struct tt_plan *plan, const struct tt_shape *shape, struct tt_plan *expanded);

/* What the checker found. */
struct tt_check_report {
	bool ok;
	int rank; /* where, -1 = nowhere in particular */
	int step;
	char message[256]; /* one sentence: which promise is broken, where, by which step */
};

/* Runs the plans of all ranks (plans[r] for rank r, node-stage steps expanded already) symbolically on rows of
 * `count` elements (uneven: counts[r], may be NULL) cut into `slices` slices, `rounds` consecutive operations
 * (2 checks reuse of memory). Proves: no deadlock with `slots` messages of room per pair and lane (0 =
 * rendezvous); sends match receives in number and length; nothing undefined is read; nothing is overwritten while
 * still to be read; IN is never written (unless in place); every contribution is counted exactly once; the final
 * state is what the collective promises; with `ordered`, contributions are combined in rank order. */
struct tt_check_options {
	size_t count;
	const size_t *counts;
	int slices, window; /* window: slices running at once */
	int rounds;
	int slots;
	bool ordered;
	bool one_rounding; /* every result is one reduction over raw contributions */
};
tutti_status tt_plan_check(const struct tt_plan *const *plans, int nranks, const struct tt_check_options *options,
    struct tt_check_report *report);

/* Prices a plan on a machine (LogGP per link class): seconds until the last rank is done. Rows of `row_bytes`
 * bytes; node-stage steps are priced as they stand (node_of as in the shape, NULL = every rank its own node). */
struct tt_link_class {
	double latency_s; /* one message end to end, tiny payload */
	double overhead_s; /* of the CPU per message posted or received */
	double s_per_byte; /* where a rank sends and receives at once: the processors' part is half of it each */
	double one_way_s_per_byte; /* from its first byte to its last; 0 = s_per_byte */
};
struct tt_machine {
	struct tt_link_class same_node, between_nodes;
	double reduce_s_per_byte; /* per source byte */
	double read_s_per_byte; /* the same where the source is another rank's; 0 = the same */
	double copy_s_per_byte; /* into or out of memory that ranks share */
	double kept_s_per_byte; /* from a rank's own memory to its own; 0 = the same */
	double node_s_per_byte; /* of a node's network card, shared by its ranks, each direction */
	double
	    far_s_per_byte; /* the node stage reads rows from far_least to far_most bytes out of other processes' memory; 0 = none */
	double far_call_s; /* ... each by a system call */
	double far_least, far_most, far_most_of_root; /* far_most_of_root: of a scatter's rows */
	double node_chunk; /* bytes that the node stage hands on at once; 0 = all */
	double call_s; /* of each rank's processor before anything else */
	double meet_s; /* the ranks of a node meet in the node stage; 0 = as long as a message takes */
	double turn_s; /* a core changes from one rank to another */
	int cores; /* of a host; 0 = each rank has one */
	const int *core_of; /* of each rank: ranks with equal numbers share a core; NULL = each rank has one */
};
tutti_status tt_plan_simulate(const struct tt_plan *const *plans, int nranks, const int *node_of,
    const struct tt_machine *machine, size_t row_bytes, int slices, int window, double *seconds);

/* ---- cache: plans by shape and algorithm, bounded, least recently used goes first --------------------------- */

struct tt_plan_cache; /* one thread at a time */
typedef tutti_status (*tt_plan_maker)(const struct tt_shape *shape, struct tt_plan *plan);

/* The plan that `maker` makes for the shape, with places in shape->order for ranks if it has one; then the algorithm has
 * neither node-stage steps nor spans of several rows. */
tutti_status tt_plan_make_ordered(tt_plan_maker maker, const struct tt_shape *shape, struct tt_plan *plan);

tutti_status tt_plan_cache_create(size_t most_bytes, struct tt_plan_cache **cache);
void tt_plan_cache_destroy(struct tt_plan_cache *cache);
/* The plan of this maker for this shape; made if it is not there. Lent until tt_plan_unpin(); pinned plans stay. */
tutti_status tt_plan_cache_get(
    struct tt_plan_cache *cache, tt_plan_maker maker, const struct tt_shape *shape, const struct tt_plan **plan);
void tt_plan_unpin(struct tt_plan_cache *cache, const struct tt_plan *plan);

#endif /* TT_PLAN_H */

/* SPDX-License-Identifier: Apache-2.0
 *
 * call.h - what a rank called, in 32 bytes: the mark that every message carries, so that a mismatched call is
 * noticed by the first message that it exchanges, at no extra cost.
 */
#ifndef TT_COMM_CALL_H
#define TT_COMM_CALL_H

#include <tutti/transport.h>

#include "plan/plan.h"

/* Kinds of operators that programs create. */
enum tt_call_op {
	TT_OP_PREMUL_SUM = TUTTI_BXOR + 1,
	TT_OP_CUSTOM,
	TT_OP_CUSTOM_ORDERED /* does not commute */
};

enum {
	TT_CALL_UNEVEN = 1u << 0,
	TT_CALL_SPLIT = 1u << 1, /* tutti_comm_split, which is an all_gather underneath */
	TT_CALL_FUSED = 1u << 2 /* several all_reduces of a group as one; `sequence` is the first one's */
};

struct tt_call {
	uint64_t sequence; /* of the operation on its communicator, from 1 */
	uint64_t count; /* elements, as given to the call */
	uint8_t collective; /* enum tt_collective */
	uint8_t dtype;
	uint8_t op; /* 0 where there is none; enum tt_call_op beyond the built-in ones */
	uint8_t flags; /* TT_CALL_* */
	uint16_t algorithm; /* index in the table + 1 */
	uint16_t op_number; /* of an operator that is not built in: which of those created, modulo 2^16 */
	/* From here on all_reduces have zeros in the call, and a note in their messages (TT_MARK_NOTE_AT). */
	int32_t root; /* 0 where there is none */
	uint32_t counts; /* hash of the counts that all ranks agree on; 0 = none */
};

_Static_assert(sizeof(struct tt_call) == TUTTI_MARK_BYTES, "a call is a mark");

/* "all_reduce(1024 × float32, sum)": what a person would have written. Always terminated. */
void tt_call_print(const struct tt_call *call, char *text, size_t bytes);
/* Do they say the same? The sequence counts too. */
bool tt_call_equal(const struct tt_call *a, const struct tt_call *b);

#endif /* TT_COMM_CALL_H */

/* SPDX-License-Identifier: Apache-2.0
 *
 * values.h - symbolic values of the checker: which ranks' contributions an element holds, and how they were added.
 *
 * Equal numbers mean equal expressions (every combination is kept once), so two elements with one number have the
 * same bits in every real run. 0 is "undefined"; 1 + r is the untouched contribution of rank r.
 */
#ifndef TT_PLAN_VALUES_H
#define TT_PLAN_VALUES_H

#include "plan/plan.h"

struct tt_value {
	int32_t least, most; /* ranks in it */
	int32_t ranks; /* how many */
	bool final; /* its last reduction was marked so */
	bool raw; /* a contribution as it came */
	bool once; /* at most one reduction, over raw contributions */
	bool ordered; /* contributions were combined in rank order */
};

struct tt_values {
	int nranks;
	size_t words; /* of 64 ranks, per set */
	struct tt_value *value; /* [n], and their sets */
	uint64_t *sets;
	uint32_t n, room;
	struct tt_memo *memo; /* [memo_room], open addressing: how values came to be */
	uint32_t memo_n, memo_room;
	uint32_t *tuples; /* operands of the memoized combinations, one after the other */
	size_t tuples_n, tuples_room;
};

enum tt_combine { TT_COMBINE_ADD, TT_COMBINE_ADD_FINAL, TT_COMBINE_UNION };

tutti_status tt_values_init(struct tt_values *values, int nranks);
void tt_values_fini(struct tt_values *values);

/* The value of operands[0] op operands[1] ... (all defined). *fault (static text) says why there is none: a rank
 * counted twice, a final value added to. A union may overlap. The status is about memory only. */
tutti_status tt_values_combine(struct tt_values *values, const uint32_t *operands, int n, enum tt_combine how,
    uint32_t *result, const char **fault);

#endif /* TT_PLAN_VALUES_H */

/* SPDX-License-Identifier: Apache-2.0
 *
 * rules.h - TUTTI_ALGORITHM: "all_reduce:0-8K=oneshot,8K-=ring;broadcast=chain".
 */
#ifndef TT_SELECT_RULES_H
#define TT_SELECT_RULES_H

#include "algorithms/algorithms.h"

#define TT_RULES_ANY_SIZE \
	UINT64_MAX /* for calls of which ranks do not know the size: only rules for every size count */

/* The algorithm that the rules name for this collective at this size; NULL if they name none. */
const struct tt_algorithm *tt_rules_find(const char *rules, enum tt_collective collective, uint64_t bytes);

#endif /* TT_SELECT_RULES_H */

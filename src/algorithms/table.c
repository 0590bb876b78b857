/* SPDX-License-Identifier: Apache-2.0
 *
 * table.c - the table of algorithms. A new algorithm is one file and one line here.
 */
#include <string.h>

#include "algorithms/algorithms.h"
#include "algorithms/list.h"

#define TT_ENTRY(name) &name,
const struct tt_algorithm *const tt_algorithms[] = {TT_ALGORITHM_LIST(TT_ENTRY) NULL};
#undef TT_ENTRY

const struct tt_algorithm *
tt_algorithm_find(enum tt_collective collective, const char *name)
{
	for (size_t i = 0; tt_algorithms[i]; i++)
		if (tt_algorithms[i]->collective == collective && strcmp(tt_algorithms[i]->name, name) == 0)
			return tt_algorithms[i];
	return NULL;
}

bool
tt_algorithm_serves(const struct tt_algorithm *algorithm, const struct tt_shape *shape, const char **why)
{
	const char *reason = NULL;

	if (algorithm->collective != shape->collective)
		reason = "it is for another collective";
	else if ((algorithm->flags & TT_ALG_NODE) && !shape->node_of && shape->nranks > 1)
		reason = "no ranks share memory";
	else if ((algorithm->flags & TT_ALG_ONE_NODE) && shape->nranks > 1 && shape->nnodes != 1)
		reason = "the ranks are on several nodes";
	else if ((algorithm->flags & TT_ALG_POWER_OF_TWO) && (shape->nranks & (shape->nranks - 1)))
		reason = "the number of ranks is not a power of two";
	if (why)
		*why = reason;
	return reason == NULL;
}

double
tt_algorithm_leaves(const struct tt_algorithm *algorithm, int nranks, int nnodes, int members)
{
	const struct tt_algorithm_cost c = algorithm->cost(nranks, nnodes);
	const double far = nranks > 1 ? (double)(nranks - members) / (nranks - 1) : 0; /* of a rank's messages */

	if (c.leaves > 0 || nnodes < 2)
		return c.leaves;
	if ((algorithm->flags & TT_ALG_NODE) != 0)
		return tt_collective_has_root(algorithm->collective) ? c.bytes : c.bytes * members;
	if ((algorithm->flags & TT_ALG_NEIGHBOURS) != 0)
		return c.bytes;
	if (!tt_collective_has_root(algorithm->collective))
		return c.bytes * members * far;
	return (c.bytes > c.all_bytes / nnodes ? c.bytes : c.all_bytes / nnodes) * far;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * call.c - see call.h. A call that came over a wire is printed too, so nothing in it is trusted as an index.
 */
#include "comm/call.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "algorithms/algorithms.h"
#include "kernels/kernels.h"

static const char *
algorithm_name(uint32_t index)
{
	for (uint32_t i = 0; tt_algorithms[i] != NULL; i++)
		if (i + 1 == index)
			return tt_algorithms[i]->name;
	return "?";
}

static void
print_op(const struct tt_call *call, char *text, size_t bytes)
{
	if (call->op < TT_OP_PREMUL_SUM)
		snprintf(text, bytes, ", %s", tt_op_name((tutti_op)call->op));
	else
		snprintf(text, bytes, ", %s #%u",
		    call->op == TT_OP_PREMUL_SUM       ? "premultiplied sum"
		    : call->op == TT_OP_CUSTOM         ? "custom operator"
		    : call->op == TT_OP_CUSTOM_ORDERED ? "custom operator that does not commute"
						       : "unknown operator",
		    call->op_number + 1u);
}

void
tt_call_print(const struct tt_call *call, char *text, size_t bytes)
{
	const enum tt_collective collective = (enum tt_collective)call->collective;
	const bool known = call->collective < TT_COLLECTIVES;
	char op[64] = "", root[24] = "";

	if (!known) {
		snprintf(text, bytes, "an unknown operation");
		return;
	}
	if ((call->flags & TT_CALL_SPLIT) != 0) {
		snprintf(text, bytes, "comm_split()");
		return;
	}
	if (collective == TT_BARRIER) {
		snprintf(text, bytes, "barrier()");
		return;
	}
	if (tt_collective_reduces(collective))
		print_op(call, op, sizeof(op));
	if (tt_collective_has_root(collective))
		snprintf(root, sizeof(root), ", root %" PRId32, call->root);
	if ((call->flags & TT_CALL_UNEVEN) != 0)
		snprintf(text, bytes, "%sv(%s%s%s, counts #%08" PRIx32 ") by %s", tt_collective_name(collective),
		    tt_dtype_name((tutti_dtype)call->dtype), op, root, call->counts, algorithm_name(call->algorithm));
	else if ((call->flags & TT_CALL_FUSED) != 0)
		snprintf(text, bytes, "%ss of a group, fused (%" PRIu64 " x %s%s in all) by %s",
		    tt_collective_name(collective), call->count, tt_dtype_name((tutti_dtype)call->dtype), op,
		    algorithm_name(call->algorithm));
	else
		snprintf(text, bytes, "%s(%" PRIu64 " x %s%s%s) by %s", tt_collective_name(collective), call->count,
		    tt_dtype_name((tutti_dtype)call->dtype), op, root, algorithm_name(call->algorithm));
}

bool
tt_call_equal(const struct tt_call *a, const struct tt_call *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

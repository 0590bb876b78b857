/* SPDX-License-Identifier: Apache-2.0
 *
 * dispute.c - operators that differ between ranks, and arguments that cannot be.
 */
#include <string.h>

#include "operators.h"

static void
add(const void *in, void *inout, size_t count, void *context)
{
	const int32_t *a = in;
	int32_t *b = inout;

	(void)context;
	for (size_t i = 0; i < count; i++)
		b[i] += a[i];
}

/* What the odd one out creates instead. */
enum odd { ODD_COMMUTES, ODD_IS_PREMUL, ODD_TYPE, ODD_POSITION, ODD_BUILT_IN };

static tutti_status
create(tutti_comm *comm, enum odd how, bool odd, tutti_op *op)
{
	const int32_t scalar = 3;
	const float real = 3;

	switch (how) {
	case ODD_COMMUTES:
		return tutti_op_create_custom(comm, add, NULL, odd, op);
	case ODD_IS_PREMUL:
		return odd ? tutti_op_create_premul_sum(comm, &scalar, TUTTI_INT32, op)
			   : tutti_op_create_custom(comm, add, NULL, 1, op);
	case ODD_TYPE:
		return odd ? tutti_op_create_premul_sum(comm, &real, TUTTI_FLOAT32, op)
			   : tutti_op_create_premul_sum(comm, &scalar, TUTTI_INT32, op);
	case ODD_POSITION:
		if (odd)
			(void)tutti_op_create_custom(comm, add, NULL, 1, op);
		return tutti_op_create_custom(comm, add, NULL, 1, op);
	default:
		*op = TUTTI_SUM;
		return odd ? TUTTI_OK : tutti_op_create_premul_sum(comm, &scalar, TUTTI_INT32, op);
	}
}

static int
dispute(struct job_rank *me, enum odd how)
{
	const bool odd = me->rank == me->size - 1;
	tutti_error error = TUTTI_ERROR_INIT;
	int32_t v[100] = {0};
	tutti_comm *comm;
	tutti_op op;
	int bad = scenario_comm(me, &comm);

	if (bad)
		return bad;
	bad = scenario_check(me, tutti_barrier(comm, NULL, NULL), "barrier");
	bad = bad || scenario_check(me, create(comm, how, odd, &op), "creating");
	bad = bad || scenario_error(me,
			 tutti_all_reduce(
			     comm, v, v, 100, how == ODD_TYPE && odd ? TUTTI_FLOAT32 : TUTTI_INT32, op, NULL, NULL),
			 TUTTI_ERR_MISMATCH, "an all_reduce with different operators");
	if (!bad && (tutti_comm_error(comm, &error) != TUTTI_ERR_MISMATCH || error.sequence != 2))
		bad = job_complain(me, "the communicator says \"%s\"", error.message);
	tutti_comm_destroy(comm);
	return bad;
}

static int
odd_commutes(struct job_rank *me)
{
	return dispute(me, ODD_COMMUTES);
}

static int
odd_kind(struct job_rank *me)
{
	return dispute(me, ODD_IS_PREMUL);
}

static int
odd_type(struct job_rank *me)
{
	return dispute(me, ODD_TYPE);
}

static int
odd_position(struct job_rank *me)
{
	return dispute(me, ODD_POSITION);
}

static int
odd_built_in(struct job_rank *me)
{
	return dispute(me, ODD_BUILT_IN);
}

/* Every bad call is refused and has no effect: the communicator still works, and ranks still match. */
static int
arguments(struct job_rank *me)
{
	const float real = 2;
	const unsigned char byte = 1;
	float v = 1;
	tutti_comm *comm;
	tutti_op op, gone;
	int bad = scenario_comm(me, &comm);

	if (bad)
		return bad;
	bad = scenario_error(me, tutti_op_create_custom(comm, NULL, NULL, 1, &op), TUTTI_ERR_ARGUMENT, "no function");
	bad = bad ||
	      scenario_error(me, tutti_op_create_custom(comm, add, NULL, 1, NULL), TUTTI_ERR_ARGUMENT, "no place");
	bad = bad || scenario_error(me, tutti_op_create_premul_sum(comm, &byte, TUTTI_BOOL, &op), TUTTI_ERR_ARGUMENT,
			 "a premultiplied sum of truths");
	bad = bad || scenario_error(me, tutti_op_create_premul_sum(comm, NULL, TUTTI_FLOAT32, &op),
			 TUTTI_ERR_ARGUMENT, "no scalar");
	bad = bad || scenario_error(me, tutti_op_create_premul_sum(comm, &real, (tutti_dtype)99, &op),
			 TUTTI_ERR_ARGUMENT, "no such type");
	bad = bad ||
	      scenario_error(me, tutti_op_destroy(comm, TUTTI_SUM), TUTTI_ERR_ARGUMENT, "destroying a built-in one");
	bad = bad || scenario_check(me, tutti_op_create_premul_sum(comm, &real, TUTTI_FLOAT32, &gone), "creating");
	bad = bad || scenario_check(me, tutti_op_destroy(comm, gone), "destroying");
	bad = bad || scenario_error(me, tutti_all_reduce(comm, &v, &v, 1, TUTTI_FLOAT32, gone, NULL, NULL),
			 TUTTI_ERR_ARGUMENT, "an operator that is gone");
	bad = bad || scenario_error(me, tutti_all_reduce(comm, &v, &v, 1, TUTTI_FLOAT32, 12345, NULL, NULL),
			 TUTTI_ERR_ARGUMENT, "an operator that never was");
	bad = bad || scenario_check(me, tutti_op_create_premul_sum(comm, &real, TUTTI_FLOAT32, &op), "creating");
	bad = bad || scenario_error(me, tutti_all_reduce(comm, &v, &v, 1, TUTTI_INT32, op, NULL, NULL),
			 TUTTI_ERR_ARGUMENT, "another type");
	if (!bad && op == gone)
		bad = job_complain(me, "a handle is used again");
	bad =
	    bad || scenario_check(me, tutti_all_reduce(comm, &v, &v, 1, TUTTI_FLOAT32, op, NULL, NULL), "all_reduce");
	if (!bad && v != 2 * (float)me->size)
		bad = job_complain(me, "the sum is %g", (double)v);
	tutti_comm_destroy(comm);
	return bad;
}

const struct scenario dispute_scenarios[] = {
    {"odd_commutes", "operators that differ in whether they commute are a mismatch", 2, false, odd_commutes},
    {"odd_kind", "operators of different kinds are a mismatch", 2, false, odd_kind},
    {"odd_type", "premultiplied sums of different types are a mismatch", 2, false, odd_type},
    {"odd_position", "operators that were not created alike are a mismatch", 2, false, odd_position},
    {"odd_built_in", "a created and a built-in operator are a mismatch", 2, false, odd_built_in},
    {"operator_arguments", "a bad call has no effect", 1, false, arguments},
    {NULL, NULL, 0, false, NULL},
};

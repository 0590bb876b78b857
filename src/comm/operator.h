/* SPDX-License-Identifier: Apache-2.0
 *
 * operator.h - the operators that a program has created on a communicator.
 *
 * Handles are numbers behind the built-in ones, counted in the order of creation and never used again, so that ranks
 * which create alike say alike. What a pending operation uses stays until it has ended, also if it is destroyed.
 *
 * A premultiplied sum needs every rank's scalar wherever contributions are added: they are gathered once, as a run of
 * its own before that of the first operation that uses the operator, under that operation's number and mark.
 */
#ifndef TT_COMM_OPERATOR_H
#define TT_COMM_OPERATOR_H

#include "comm/call.h"
#include "engine/apply.h"

struct tt_run;
struct tt_operator;

struct tt_operators {
	struct tt_operator *live; /* the program's calls come in order, so they look here without the lock */
	struct tt_operator *dying; /* destroyed and still in use; the lock is held */
	int created;
};

/* ERR_ARGUMENT: there is no such operator, or it does not go with this type. */
tutti_status tt_operator_check(const tutti_comm *comm, tutti_op op, tutti_dtype dtype);
/* NULL: it is a built-in one. Counted: to be put back. The lock is held. */
struct tt_operator *tt_operator_get(tutti_comm *comm, tutti_op op);
void tt_operator_put(tutti_comm *comm, struct tt_operator *op);

enum tt_call_op tt_operator_kind(const struct tt_operator *op);
/* Which of those created, for marks. */
uint16_t tt_operator_number(const struct tt_operator *op);
const struct tt_applied *tt_operator_applied(const struct tt_operator *op);
/* What an operation that uses one runs next; see struct tutti_request. */
const struct tt_run *tt_operator_next_run(tutti_request *request);

void tt_operators_fini(tutti_comm *comm);

#endif /* TT_COMM_OPERATOR_H */

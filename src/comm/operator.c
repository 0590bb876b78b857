/* SPDX-License-Identifier: Apache-2.0
 *
 * operator.c - see operator.h.
 */
#include "comm/operator.h"

#include <limits.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "comm/arguments.h"
#include "comm/comm.h"

#define FIRST_HANDLE (TUTTI_BXOR + 1)
#define SCALAR_BYTES 8 /* of any type, in the exchange */

struct tt_operator {
	struct tt_operator *next; /* live or dying */
	tutti_op handle;
	enum tt_call_op kind;
	struct tt_applied applied;
	int uses; /* by operations that have not ended */
	bool destroyed;
	/* of a premultiplied sum: */
	tutti_dtype dtype;
	bool asked, known; /* the ranks' scalars */
	struct tt_run exchange; /* its plan is pinned until they are known */
	union tt_weight *weights; /* [size] */
	unsigned char *scalars; /* [size * SCALAR_BYTES] */
	unsigned char scalar[SCALAR_BYTES]; /* mine */
};

static struct tt_operator *
find(const tutti_comm *comm, tutti_op handle)
{
	struct tt_operator *op = comm->operators.live;

	while (op != NULL && op->handle != handle)
		op = op->next;
	return op;
}

tutti_status
tt_operator_check(const tutti_comm *comm, tutti_op handle, tutti_dtype dtype)
{
	const struct tt_operator *op = find(comm, handle);

	if (op == NULL)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "there is no operator number %d on this communicator: never created here, or destroyed", handle);
	if (op->kind == TT_OP_PREMUL_SUM && op->dtype != dtype)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "the premultiplied sum was created for %s: it does not go with %s", tt_dtype_name(op->dtype),
		    tt_dtype_name(dtype));
	return TUTTI_OK;
}

enum tt_call_op
tt_operator_kind(const struct tt_operator *op)
{
	return op->kind;
}

uint16_t
tt_operator_number(const struct tt_operator *op)
{
	return (uint16_t)(op->handle - FIRST_HANDLE);
}

const struct tt_applied *
tt_operator_applied(const struct tt_operator *op)
{
	return &op->applied;
}

/* ---- life ------------------------------------------------------------------------------------------------------- */

static void
drop_exchange(tutti_comm *comm, struct tt_operator *op)
{
	if (op->exchange.plan != NULL)
		tt_plan_unpin(comm->plans, op->exchange.plan);
	op->exchange.plan = NULL;
	tt_free(op->scalars);
	op->scalars = NULL;
}

static void
release(tutti_comm *comm, struct tt_operator *op)
{
	drop_exchange(comm, op);
	tt_free(op->weights);
	tt_free(op);
}

static void
unlink_from(struct tt_operator **list, const struct tt_operator *op)
{
	while (*list != op)
		list = &(*list)->next;
	*list = op->next;
}

struct tt_operator *
tt_operator_get(tutti_comm *comm, tutti_op handle)
{
	struct tt_operator *op;

	if (handle < FIRST_HANDLE)
		return NULL;
	op = find(comm, handle);
	op->uses++;
	return op;
}

void
tt_operator_put(tutti_comm *comm, struct tt_operator *op)
{
	if (--op->uses > 0 || !op->destroyed)
		return;
	unlink_from(&comm->operators.dying, op);
	release(comm, op);
}

void
tt_operators_fini(tutti_comm *comm)
{
	struct tt_operator **lists[] = {&comm->operators.live, &comm->operators.dying};

	for (size_t i = 0; i < TT_COUNT_OF(lists); i++)
		while (*lists[i] != NULL) {
			struct tt_operator *op = *lists[i];

			*lists[i] = op->next;
			release(comm, op);
		}
}

/* ---- the ranks' scalars -------------------------------------------------------------------------------------------- */

static tutti_status
plan_exchange(tutti_comm *comm, struct tt_operator *op)
{
	struct tt_intent intent = {.collective = TT_ALL_GATHER, .send = op->scalar, .count = 1, .dtype = TUTTI_INT64};
	void *memory;

	TT_TRY(tt_alloc((size_t)comm->size, sizeof(*op->weights), "the ranks' scalars", &memory));
	op->weights = memory;
	op->applied.weights = op->weights;
	TT_TRY(tt_alloc((size_t)comm->size, SCALAR_BYTES, "the ranks' scalars", &memory));
	op->scalars = memory;
	intent.recv = op->scalars;
	return tt_comm_plan(comm, &intent, &op->exchange);
}

static void
learn(tutti_comm *comm, struct tt_operator *op)
{
	for (int r = 0; r < comm->size; r++)
		op->weights[r] = tt_weight_read(op->dtype, op->scalars + (size_t)r * SCALAR_BYTES);
	op->known = true;
	drop_exchange(comm, op);
}

const struct tt_run *
tt_operator_next_run(tutti_request *request)
{
	struct tt_operator *op = request->op;

	if (request->started || request->run.plan == NULL)
		return NULL;
	if (op->kind == TT_OP_PREMUL_SUM && !op->asked) {
		op->asked = true;
		memcpy(op->exchange.mark, request->run.mark, sizeof(op->exchange.mark));
		return &op->exchange;
	}
	if (op->kind == TT_OP_PREMUL_SUM && !op->known)
		learn(request->comm, op);
	request->started = true;
	return &request->run;
}

/* ---- the public functions ------------------------------------------------------------------------------------------ */

/* Takes the operator's place in the order of creation. */
static tutti_status
enter(tutti_comm *comm, const struct tt_operator *what, tutti_op *handle)
{
	struct tt_operator *op;
	void *memory;
	tutti_status status = TUTTI_OK;

	if (comm->operators.created > INT_MAX - FIRST_HANDLE)
		return tt_fail(TUTTI_ERR_UNSUPPORTED, -1,
		    "no more operators can be created on this communicator: it has had as many as there are numbers");
	TT_TRY(tt_alloc(1, sizeof(*op), "an operator", &memory));
	op = memory;
	*op = *what;
	if (op->kind == TT_OP_PREMUL_SUM)
		status = plan_exchange(comm, op);
	if (status != TUTTI_OK) {
		release(comm, op);
		return status;
	}
	op->handle = FIRST_HANDLE + comm->operators.created++;
	op->next = comm->operators.live;
	comm->operators.live = op;
	*handle = op->handle;
	return TUTTI_OK;
}

static tutti_status
create(tutti_comm *comm, const struct tt_operator *what, tutti_op *handle)
{
	tutti_status status;

	if (handle == NULL)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "the address for the new operator is NULL");
	tt_comm_lock(comm);
	status = enter(comm, what, handle);
	tt_comm_unlock(comm);
	return status;
}

tutti_status
tutti_op_create_premul_sum(tutti_comm *comm, const void *scalar, tutti_dtype dtype, tutti_op *op)
{
	struct tt_operator what = {.kind = TT_OP_PREMUL_SUM, .dtype = dtype};

	TT_TRY(tt_check_comm(comm, "tutti_op_create_premul_sum"));
	TT_TRY(tt_check_dtype(dtype));
	what.applied.weighted = tt_weighted_sum(dtype);
	if (what.applied.weighted == NULL)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "there are no premultiplied sums of %s", tt_dtype_name(dtype));
	if (scalar == NULL)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "scalar is NULL: it is read by the call, in host memory");
	what.applied.one = tt_weight_one(dtype);
	memcpy(what.scalar, scalar, tt_dtype_size(dtype));
	return create(comm, &what, op);
}

tutti_status
tutti_op_create_custom(tutti_comm *comm, void (*combine)(const void *in, void *inout, size_t count, void *context),
    void *context, int commutative, tutti_op *op)
{
	const struct tt_operator what = {.kind = commutative ? TT_OP_CUSTOM : TT_OP_CUSTOM_ORDERED,
	    .applied = {.combine = combine, .context = context}};

	TT_TRY(tt_check_comm(comm, "tutti_op_create_custom"));
	if (combine == NULL)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "combine is NULL: it is what the operator does");
	return create(comm, &what, op);
}

tutti_status
tutti_op_destroy(tutti_comm *comm, tutti_op handle)
{
	struct tt_operator *op;
	tutti_status status = TUTTI_OK;

	TT_TRY(tt_check_comm(comm, "tutti_op_destroy"));
	tt_comm_lock(comm);
	op = find(comm, handle);
	if (op == NULL) {
		status = tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    handle < FIRST_HANDLE && handle >= 0
			? "operator number %d is built in and cannot be destroyed"
			: "there is no operator number %d on this communicator: never created here, or destroyed",
		    handle);
	} else {
		unlink_from(&comm->operators.live, op);
		op->destroyed = true;
		op->next = comm->operators.dying;
		comm->operators.dying = op;
		op->uses++;
		tt_operator_put(comm, op);
	}
	tt_comm_unlock(comm);
	return status;
}

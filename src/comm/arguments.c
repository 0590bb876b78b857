/* SPDX-License-Identifier: Apache-2.0
 *
 * arguments.c - see arguments.h.
 */
#include "comm/arguments.h"

#include "base/checked.h"
#include "base/error.h"
#include "base/process.h"

tutti_status
tt_check_comm(const tutti_comm *comm, const char *function)
{
	if (comm == NULL)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "%s: the communicator is NULL", function);
	if (comm->generation != tt_process_generation())
		return tt_fail(TUTTI_ERR_STATE, -1,
		    "%s: this communicator belongs to the parent process: a child made by "
		    "fork cannot use it",
		    function);
	return TUTTI_OK;
}

tutti_status
tt_check_options(const tutti_options *options)
{
	const unsigned char *bytes = (const unsigned char *)options;

	if (options == NULL)
		return TUTTI_OK;
	if (options->size == 0)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "options->size is 0: start from TUTTI_OPTIONS_INIT");
	for (size_t i = sizeof(*options); i < options->size; i++)
		if (bytes[i] != 0)
			return tt_fail(TUTTI_ERR_VERSION, -1,
			    "the program sets options that this version of the library does "
			    "not know: use a newer libtutti");
	if (options->size >= offsetof(tutti_options, algorithm) && options->timeout_ms < -1)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "options->timeout_ms is %lld: give milliseconds, 0 for the "
		    "communicator's, -1 for none",
		    (long long)options->timeout_ms);
	return TUTTI_OK;
}

tutti_status
tt_check_dtype(tutti_dtype dtype)
{
	if (tt_dtype_size(dtype) == 0)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "there is no data type number %d", (int)dtype);
	return TUTTI_OK;
}

tutti_status
tt_check_op(const tutti_comm *comm, tutti_op op, tutti_dtype dtype)
{
	const char *why;

	if (op > TUTTI_BXOR)
		return tt_operator_check(comm, op, dtype);
	if (op < TUTTI_SUM)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "there is no operator number %d", op);
	if (!tt_op_allows(op, dtype, &why))
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "operator %s does not go with %s: %s", tt_op_name(op),
		    tt_dtype_name(dtype), why);
	return TUTTI_OK;
}

tutti_status
tt_check_root(const tutti_comm *comm, int root)
{
	if (root < 0 || root >= comm->size)
		return tt_fail(
		    TUTTI_ERR_ARGUMENT, -1, "the root is %d, but the ranks are 0 to %d", root, comm->size - 1);
	return TUTTI_OK;
}

tutti_status
tt_check_buffer(const char *name, const void *buffer, size_t elements, tutti_dtype dtype)
{
	size_t bytes;

	if (!tt_mul_size(elements, tt_dtype_size(dtype), &bytes) || bytes > PTRDIFF_MAX)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "%s would have %zu elements of %s: more than memory can hold",
		    name, elements, tt_dtype_name(dtype));
	if (buffer == NULL && bytes > 0)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "%s is NULL, but has %zu elements", name, elements);
	return TUTTI_OK;
}

tutti_status
tt_check_overlap(const struct tt_overlap *o, bool *in_place)
{
	const size_t element = tt_dtype_size(o->dtype);
	const uintptr_t send = (uintptr_t)o->send, recv = (uintptr_t)o->recv;
	const size_t ns = o->send_elements * element, nr = o->recv_elements * element, place = o->place * element;
	const bool at_place = o->send_is_larger ? recv == send + place : send == recv + place;

	*in_place = false;
	if (ns == 0 || nr == 0 || send + ns <= recv || recv + nr <= send)
		return TUTTI_OK;
	if (!at_place)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "send and recv overlap: they must be apart, or in place exactly as "
		    "tutti.h says");
	*in_place = true;
	return TUTTI_OK;
}

tutti_status
tt_check_counts(const tutti_comm *comm, const char *name, const size_t *counts, const size_t *offsets, size_t *extent)
{
	size_t packed = 0, farthest = 0;

	if (counts == NULL)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "%s is NULL: it needs one count for each of the %d ranks",
		    name, comm->size);
	for (int r = 0; r < comm->size; r++) {
		size_t end;

		if (!tt_add_size(offsets != NULL ? offsets[r] : packed, counts[r], &end))
			return tt_fail(
			    TUTTI_ERR_ARGUMENT, -1, "%s[%d] is %zu: more than memory can hold", name, r, counts[r]);
		packed = end;
		if (counts[r] > 0)
			farthest = tt_max_size(farthest, end);
	}
	*extent = farthest;
	return TUTTI_OK;
}

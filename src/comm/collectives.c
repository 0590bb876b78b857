/* SPDX-License-Identifier: Apache-2.0
 *
 * collectives.c - the public operations: check the arguments, say what is meant, issue it.
 *
 * A call that fails here had no effect; a call that is issued has taken its number.
 */
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/process.h"
#include "comm/arguments.h"
#include "comm/comm.h"

/* The caller's options in the form of this version, fields that it does not have unset. */
static tutti_status
begin(tutti_comm *comm, const char *function, const tutti_options *options, tutti_options *full)
{
	*full = (tutti_options)TUTTI_OPTIONS_INIT;
	TT_TRY(tt_check_comm(comm, function));
	tt_group_call_begins(comm);
	TT_TRY(tt_check_options(options));
	if (options != NULL)
		memcpy(full, options, tt_min_size(options->size, sizeof(*full)));
	return TUTTI_OK;
}

/* Has this very call been made before, and can it go the shortest way? Then `status` is how it ended (in a group: that it
 * has been recorded). */
static inline bool
again(tutti_comm *comm, const struct tt_intent *intent, const void *send, void *recv, const tutti_options *options,
    tutti_request **request, tutti_status *status)
{
	if (request != NULL || comm == NULL || comm->generation != tt_process_generation())
		return false;
	if (options != NULL &&
	    (options->size != sizeof(*options) || options->timeout_ms < -1 || options->algorithm != NULL))
		return false;
	if (TT_LIKELY(tt_load_relaxed(&comm->group.owner) == 0))
		return tt_shortcut_take(comm, intent, send, recv, options, status);
	*status = TUTTI_OK;
	return options == NULL && tt_group_repeat(comm, intent, send, recv);
}

static tutti_status
whole(const tutti_comm *comm, size_t count, size_t *elements)
{
	if (!tt_mul_size(count, (size_t)comm->size, elements))
		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "a count of %zu for each of %d ranks is more than memory can hold", count, comm->size);
	return TUTTI_OK;
}

/* Checks both buffers and whether they are apart or in place; fills the intent's pointers. */
static tutti_status
buffers(struct tt_intent *intent, const void *send, size_t ns, void *recv, size_t nr, size_t place)
{
	const struct tt_overlap overlap = {.send = send,
	    .send_elements = ns,
	    .recv = recv,
	    .recv_elements = nr,
	    .place = place,
	    .send_is_larger = ns > nr,
	    .dtype = intent->dtype};

	TT_TRY(tt_check_buffer("send", send, ns, intent->dtype));
	TT_TRY(tt_check_buffer("recv", recv, nr, intent->dtype));
	TT_TRY(tt_check_overlap(&overlap, &intent->in_place));
	intent->send = send;
	intent->recv = recv;
	return TUTTI_OK;
}

tutti_status
tutti_all_reduce(tutti_comm *comm, const void *send, void *recv, size_t count, tutti_dtype dtype, tutti_op op,
    const tutti_options *options, tutti_request **request)
{
	struct tt_intent intent = {
	    .collective = TT_ALL_REDUCE, .count = count, .dtype = dtype, .op = op, .nothing = count == 0};
	tutti_options full;
	tutti_status status;

	if (again(comm, &intent, send, recv, options, request, &status))
		return status;
	TT_TRY(begin(comm, "tutti_all_reduce", options, &full));
	TT_TRY(tt_check_dtype(dtype));
	TT_TRY(tt_check_op(comm, op, dtype));
	TT_TRY(buffers(&intent, send, count, recv, count, 0));
	return tt_comm_issue(comm, &intent, &full, request);
}

tutti_status
tutti_reduce_scatter(tutti_comm *comm, const void *send, void *recv, size_t recv_count, tutti_dtype dtype,
    tutti_op op, const tutti_options *options, tutti_request **request)
{
	struct tt_intent intent = {.collective = TT_REDUCE_SCATTER,
	    .count = recv_count,
	    .dtype = dtype,
	    .op = op,
	    .nothing = recv_count == 0};
	tutti_options full;
	tutti_status status;
	size_t all = 0;

	if (again(comm, &intent, send, recv, options, request, &status))
		return status;
	TT_TRY(begin(comm, "tutti_reduce_scatter", options, &full));
	TT_TRY(tt_check_dtype(dtype));
	TT_TRY(tt_check_op(comm, op, dtype));
	TT_TRY(whole(comm, recv_count, &all));
	TT_TRY(buffers(&intent, send, all, recv, recv_count, (size_t)comm->rank * recv_count));
	return tt_comm_issue(comm, &intent, &full, request);
}

tutti_status
tutti_all_gather(tutti_comm *comm, const void *send, void *recv, size_t send_count, tutti_dtype dtype,
    const tutti_options *options, tutti_request **request)
{
	struct tt_intent intent = {
	    .collective = TT_ALL_GATHER, .count = send_count, .dtype = dtype, .nothing = send_count == 0};
	tutti_options full;
	tutti_status status;
	size_t all = 0;

	if (again(comm, &intent, send, recv, options, request, &status))
		return status;
	TT_TRY(begin(comm, "tutti_all_gather", options, &full));
	TT_TRY(tt_check_dtype(dtype));
	TT_TRY(whole(comm, send_count, &all));
	TT_TRY(buffers(&intent, send, send_count, recv, all, (size_t)comm->rank * send_count));
	return tt_comm_issue(comm, &intent, &full, request);
}

tutti_status
tutti_broadcast(tutti_comm *comm, const void *send, void *recv, size_t count, tutti_dtype dtype, int root,
    const tutti_options *options, tutti_request **request)
{
	struct tt_intent intent = {
	    .collective = TT_BROADCAST, .count = count, .dtype = dtype, .root = root, .nothing = count == 0};
	tutti_options full;
	tutti_status status;

	if (again(comm, &intent, send, recv, options, request, &status))
		return status;
	TT_TRY(begin(comm, "tutti_broadcast", options, &full));
	TT_TRY(tt_check_dtype(dtype));
	TT_TRY(tt_check_root(comm, root));
	if (comm->rank == root)
		TT_TRY(buffers(&intent, send, count, recv, count, 0));
	else
		TT_TRY(buffers(&intent, NULL, 0, recv, count, 0));
	return tt_comm_issue(comm, &intent, &full, request);
}

tutti_status
tutti_reduce(tutti_comm *comm, const void *send, void *recv, size_t count, tutti_dtype dtype, tutti_op op, int root,
    const tutti_options *options, tutti_request **request)
{
	struct tt_intent intent = {
	    .collective = TT_REDUCE, .count = count, .dtype = dtype, .op = op, .root = root, .nothing = count == 0};
	tutti_options full;
	tutti_status status;

	if (again(comm, &intent, send, recv, options, request, &status))
		return status;
	TT_TRY(begin(comm, "tutti_reduce", options, &full));
	TT_TRY(tt_check_dtype(dtype));
	TT_TRY(tt_check_op(comm, op, dtype));
	TT_TRY(tt_check_root(comm, root));
	if (comm->rank == root)
		TT_TRY(buffers(&intent, send, count, recv, count, 0));
	else
		TT_TRY(buffers(&intent, send, count, NULL, 0, 0));
	return tt_comm_issue(comm, &intent, &full, request);
}

tutti_status
tutti_scatter(tutti_comm *comm, const void *send, void *recv, size_t recv_count, tutti_dtype dtype, int root,
    const tutti_options *options, tutti_request **request)
{
	struct tt_intent intent = {
	    .collective = TT_SCATTER, .count = recv_count, .dtype = dtype, .root = root, .nothing = recv_count == 0};
	tutti_options full;
	tutti_status status;
	size_t all = 0;

	if (again(comm, &intent, send, recv, options, request, &status))
		return status;
	TT_TRY(begin(comm, "tutti_scatter", options, &full));
	TT_TRY(tt_check_dtype(dtype));
	TT_TRY(tt_check_root(comm, root));
	TT_TRY(whole(comm, recv_count, &all));
	if (comm->rank == root)
		TT_TRY(buffers(&intent, send, all, recv, recv_count, (size_t)root * recv_count));
	else
		TT_TRY(buffers(&intent, NULL, 0, recv, recv_count, 0));
	return tt_comm_issue(comm, &intent, &full, request);
}

tutti_status
tutti_gather(tutti_comm *comm, const void *send, void *recv, size_t send_count, tutti_dtype dtype, int root,
    const tutti_options *options, tutti_request **request)
{
	struct tt_intent intent = {
	    .collective = TT_GATHER, .count = send_count, .dtype = dtype, .root = root, .nothing = send_count == 0};
	tutti_options full;
	tutti_status status;
	size_t all = 0;

	if (again(comm, &intent, send, recv, options, request, &status))
		return status;
	TT_TRY(begin(comm, "tutti_gather", options, &full));
	TT_TRY(tt_check_dtype(dtype));
	TT_TRY(tt_check_root(comm, root));
	TT_TRY(whole(comm, send_count, &all));
	if (comm->rank == root)
		TT_TRY(buffers(&intent, send, send_count, recv, all, (size_t)root * send_count));
	else
		TT_TRY(buffers(&intent, send, send_count, NULL, 0, 0));
	return tt_comm_issue(comm, &intent, &full, request);
}

tutti_status
tutti_all_to_all(tutti_comm *comm, const void *send, void *recv, size_t count_per_peer, tutti_dtype dtype,
    const tutti_options *options, tutti_request **request)
{
	struct tt_intent intent = {
	    .collective = TT_ALL_TO_ALL, .count = count_per_peer, .dtype = dtype, .nothing = count_per_peer == 0};
	tutti_options full;
	tutti_status status;
	size_t all = 0;

	if (again(comm, &intent, send, recv, options, request, &status))
		return status;
	TT_TRY(begin(comm, "tutti_all_to_all", options, &full));
	TT_TRY(tt_check_dtype(dtype));
	TT_TRY(whole(comm, count_per_peer, &all));
	TT_TRY(buffers(&intent, send, all, recv, all, 0));
	return tt_comm_issue(comm, &intent, &full, request);
}

tutti_status
tutti_barrier(tutti_comm *comm, const tutti_options *options, tutti_request **request)
{
	const struct tt_intent intent = {.collective = TT_BARRIER, .dtype = TUTTI_INT8};
	tutti_options full;
	tutti_status status;

	if (again(comm, &intent, NULL, NULL, options, request, &status))
		return status;
	TT_TRY(begin(comm, "tutti_barrier", options, &full));
	return tt_comm_issue(comm, &intent, &full, request);
}

/* ---- uneven forms -------------------------------------------------------------------------------------------- */

/* FNV-1a over the counts: ranks that were given different ones say different marks. */
static uint32_t
hash_counts(const tutti_comm *comm, const size_t *counts)
{
	uint32_t h = 2166136261u;

	for (int r = 0; r < comm->size; r++)
		for (unsigned shift = 0; shift < 64; shift += 8)
			h = (h ^ (uint32_t)(((uint64_t)counts[r] >> shift) & 0xff)) * 16777619u;
	return h == 0 ? 1 : h;
}

static size_t
row_start(const size_t *counts, const size_t *offsets, int row)
{
	size_t start = 0;

	if (offsets != NULL)
		return offsets[row];
	for (int r = 0; r < row; r++)
		start += counts[r];
	return start;
}

tutti_status
tutti_all_gatherv(tutti_comm *comm, const void *send, size_t send_count, void *recv, const size_t *recv_counts,
    const size_t *recv_offsets, tutti_dtype dtype, const tutti_options *options, tutti_request **request)
{
	struct tt_intent intent = {.collective = TT_ALL_GATHER,
	    .count = send_count,
	    .dtype = dtype,
	    .uneven = true,
	    .out_counts = recv_counts,
	    .out_offsets = recv_offsets};
	tutti_options full;
	size_t extent = 0;

	TT_TRY(begin(comm, "tutti_all_gatherv", options, &full));
	TT_TRY(tt_check_dtype(dtype));
	TT_TRY(tt_check_counts(comm, "recv_counts", recv_counts, recv_offsets, &extent));
	if (send_count != recv_counts[comm->rank])
		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "send_count is %zu, but recv_counts says %zu for this rank (%d)", send_count,
		    recv_counts[comm->rank], comm->rank);
	TT_TRY(buffers(&intent, send, send_count, recv, extent, row_start(recv_counts, recv_offsets, comm->rank)));
	intent.counts_hash = hash_counts(comm, recv_counts);
	intent.nothing = extent == 0;
	return tt_comm_issue(comm, &intent, &full, request);
}

tutti_status
tutti_reduce_scatterv(tutti_comm *comm, const void *send, void *recv, const size_t *recv_counts, tutti_dtype dtype,
    tutti_op op, const tutti_options *options, tutti_request **request)
{
	struct tt_intent intent = {
	    .collective = TT_REDUCE_SCATTER, .dtype = dtype, .op = op, .uneven = true, .in_counts = recv_counts};
	tutti_options full;
	size_t extent = 0;

	TT_TRY(begin(comm, "tutti_reduce_scatterv", options, &full));
	TT_TRY(tt_check_dtype(dtype));
	TT_TRY(tt_check_op(comm, op, dtype));
	TT_TRY(tt_check_counts(comm, "recv_counts", recv_counts, NULL, &extent));
	intent.count = recv_counts[comm->rank];
	TT_TRY(buffers(&intent, send, extent, recv, intent.count, row_start(recv_counts, NULL, comm->rank)));
	intent.counts_hash = hash_counts(comm, recv_counts);
	intent.nothing = extent == 0;
	return tt_comm_issue(comm, &intent, &full, request);
}

tutti_status
tutti_scatterv(tutti_comm *comm, const void *send, const size_t *send_counts, const size_t *send_offsets, void *recv,
    size_t recv_count, tutti_dtype dtype, int root, const tutti_options *options, tutti_request **request)
{
	struct tt_intent intent = {
	    .collective = TT_SCATTER, .count = recv_count, .dtype = dtype, .root = root, .uneven = true};
	tutti_options full;
	size_t extent = 0;

	TT_TRY(begin(comm, "tutti_scatterv", options, &full));
	TT_TRY(tt_check_dtype(dtype));
	TT_TRY(tt_check_root(comm, root));
	if (comm->rank != root) {
		TT_TRY(buffers(&intent, NULL, 0, recv, recv_count, 0));
		return tt_comm_issue(comm, &intent, &full, request);
	}
	TT_TRY(tt_check_counts(comm, "send_counts", send_counts, send_offsets, &extent));
	if (recv_count != send_counts[root])
		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "recv_count is %zu, but send_counts says %zu for the root (%d)", recv_count, send_counts[root],
		    root);
	intent.in_counts = send_counts;
	intent.in_offsets = send_offsets;
	TT_TRY(buffers(&intent, send, extent, recv, recv_count, row_start(send_counts, send_offsets, root)));
	return tt_comm_issue(comm, &intent, &full, request);
}

tutti_status
tutti_gatherv(tutti_comm *comm, const void *send, size_t send_count, void *recv, const size_t *recv_counts,
    const size_t *recv_offsets, tutti_dtype dtype, int root, const tutti_options *options, tutti_request **request)
{
	struct tt_intent intent = {
	    .collective = TT_GATHER, .count = send_count, .dtype = dtype, .root = root, .uneven = true};
	tutti_options full;
	size_t extent = 0;

	TT_TRY(begin(comm, "tutti_gatherv", options, &full));
	TT_TRY(tt_check_dtype(dtype));
	TT_TRY(tt_check_root(comm, root));
	if (comm->rank != root) {
		TT_TRY(buffers(&intent, send, send_count, NULL, 0, 0));
		return tt_comm_issue(comm, &intent, &full, request);
	}
	TT_TRY(tt_check_counts(comm, "recv_counts", recv_counts, recv_offsets, &extent));
	if (send_count != recv_counts[root])
		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "send_count is %zu, but recv_counts says %zu for the root (%d)", send_count, recv_counts[root],
		    root);
	intent.out_counts = recv_counts;
	intent.out_offsets = recv_offsets;
	TT_TRY(buffers(&intent, send, send_count, recv, extent, row_start(recv_counts, recv_offsets, root)));
	return tt_comm_issue(comm, &intent, &full, request);
}

tutti_status
tutti_all_to_allv(tutti_comm *comm, const void *send, const size_t *send_counts, const size_t *send_offsets,
    void *recv, const size_t *recv_counts, const size_t *recv_offsets, tutti_dtype dtype,
    const tutti_options *options, tutti_request **request)
{
	struct tt_intent intent = {.collective = TT_ALL_TO_ALL,
	    .dtype = dtype,
	    .uneven = true,
	    .in_counts = send_counts,
	    .in_offsets = send_offsets,
	    .out_counts = recv_counts,
	    .out_offsets = recv_offsets};
	tutti_options full;
	size_t ns = 0, nr = 0;

	TT_TRY(begin(comm, "tutti_all_to_allv", options, &full));
	TT_TRY(tt_check_dtype(dtype));
	TT_TRY(tt_check_counts(comm, "send_counts", send_counts, send_offsets, &ns));
	TT_TRY(tt_check_counts(comm, "recv_counts", recv_counts, recv_offsets, &nr));
	TT_TRY(buffers(&intent, send, ns, recv, nr, 0));
	for (int r = 0; intent.in_place && r < comm->size; r++)
		if (send_counts[r] != recv_counts[r] ||
		    row_start(send_counts, send_offsets, r) != row_start(recv_counts, recv_offsets, r))
			return tt_fail(TUTTI_ERR_ARGUMENT, -1,
			    "all_to_allv in place needs the same counts and offsets both "
			    "ways; they differ for rank %d",
			    r);
	if (send_counts[comm->rank] != recv_counts[comm->rank])
		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "this rank sends itself %zu elements, but expects %zu from itself", send_counts[comm->rank],
		    recv_counts[comm->rank]);
	return tt_comm_issue(comm, &intent, &full, request);
}

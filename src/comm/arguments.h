/* SPDX-License-Identifier: Apache-2.0
 *
 * arguments.h - what is checked of a call before it has any effect. Each failure is one sentence for a person.
 */
#ifndef TT_COMM_ARGUMENTS_H
#define TT_COMM_ARGUMENTS_H

#include "comm/comm.h"

/* The communicator: not NULL, and of this process. The options: of a known size, if there are any. */
tutti_status tt_check_comm(const tutti_comm *comm, const char *function);
tutti_status tt_check_options(const tutti_options *options);
tutti_status tt_check_dtype(tutti_dtype dtype);
tutti_status tt_check_op(const tutti_comm *comm, tutti_op op, tutti_dtype dtype);
tutti_status tt_check_root(const tutti_comm *comm, int root);

/* A buffer that an operation reads or writes: NULL only if it has no bytes; its bytes fit the address space. */
tutti_status tt_check_buffer(const char *name, const void *buffer, size_t elements, tutti_dtype dtype);
/* send (ns elements) and recv (nr elements): apart, or in place, which is when send is recv + place elements (or recv
 * is send - place: place counts from the larger buffer's start). Sets *in_place. */
struct tt_overlap {
	const void *send;
	size_t send_elements;
	const void *recv;
	size_t recv_elements;
	size_t place; /* where the smaller buffer lies in the larger one when in place */
	bool send_is_larger;
	tutti_dtype dtype;
};
tutti_status tt_check_overlap(const struct tt_overlap *overlap, bool *in_place);
/* Sum of counts, or the end of the farthest row that has elements if offsets are given. */
tutti_status tt_check_counts(
    const tutti_comm *comm, const char *name, const size_t *counts, const size_t *offsets, size_t *extent);

#endif /* TT_COMM_ARGUMENTS_H */

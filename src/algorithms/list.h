/* SPDX-License-Identifier: Apache-2.0
 *
 * list.h - the names of all algorithms, in the order of the table.
 */
#ifndef TT_ALGORITHMS_LIST_H
#define TT_ALGORITHMS_LIST_H

#include "algorithms/algorithms.h"

/* clang-format off */
#define TT_ALGORITHM_LIST(entry) \
	entry(tt_all_reduce_oneshot) \
	entry(tt_all_reduce_direct) \
	entry(tt_all_reduce_ring) \
	entry(tt_all_reduce_tree) \
	entry(tt_all_reduce_recursive_doubling) \
	entry(tt_all_reduce_recursive_multiplying) \
	entry(tt_all_reduce_binomial) \
	entry(tt_all_reduce_halving) \
	entry(tt_all_reduce_circulant) \
	entry(tt_all_reduce_node) \
	entry(tt_all_reduce_hierarchical) \
	entry(tt_reduce_scatter_direct) \
	entry(tt_reduce_scatter_ring) \
	entry(tt_reduce_scatter_circulant) \
	entry(tt_reduce_scatter_halving) \
	entry(tt_reduce_scatter_tree) \
	entry(tt_reduce_scatter_node) \
	entry(tt_reduce_scatter_hierarchical) \
	entry(tt_all_gather_direct) \
	entry(tt_all_gather_ring) \
	entry(tt_all_gather_recursive_doubling) \
	entry(tt_all_gather_circulant) \
	entry(tt_all_gather_tree) \
	entry(tt_all_gather_node) \
	entry(tt_all_gather_hierarchical) \
	entry(tt_broadcast_binomial) \
	entry(tt_broadcast_chain) \
	entry(tt_broadcast_knomial) \
	entry(tt_broadcast_tree) \
	entry(tt_broadcast_scatter_gather) \
	entry(tt_broadcast_circulant) \
	entry(tt_broadcast_circulant16) \
	entry(tt_broadcast_node) \
	entry(tt_broadcast_hierarchical) \
	entry(tt_broadcast_lanes) \
	entry(tt_reduce_direct) \
	entry(tt_reduce_binomial) \
	entry(tt_reduce_knomial) \
	entry(tt_reduce_chain) \
	entry(tt_reduce_tree) \
	entry(tt_reduce_scatter_gather) \
	entry(tt_reduce_circulant) \
	entry(tt_reduce_circulant16) \
	entry(tt_reduce_node) \
	entry(tt_reduce_hierarchical) \
	entry(tt_reduce_lanes) \
	entry(tt_scatter_linear) \
	entry(tt_scatter_binomial) \
	entry(tt_scatter_node) \
	entry(tt_scatter_hierarchical) \
	entry(tt_gather_linear) \
	entry(tt_gather_binomial) \
	entry(tt_gather_node) \
	entry(tt_gather_hierarchical) \
	entry(tt_all_to_all_pairwise) \
	entry(tt_all_to_all_direct) \
	entry(tt_all_to_all_bruck) \
	entry(tt_all_to_all_bruck4) \
	entry(tt_all_to_all_node) \
	entry(tt_all_to_all_hierarchical) \
	entry(tt_barrier_dissemination) \
	entry(tt_barrier_node) \
	entry(tt_barrier_hierarchical)
/* clang-format on */

#define TT_DECLARE(name) extern const struct tt_algorithm name;
TT_ALGORITHM_LIST(TT_DECLARE)
#undef TT_DECLARE

#endif /* TT_ALGORITHMS_LIST_H */

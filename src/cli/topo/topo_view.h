/* SPDX-License-Identifier: Apache-2.0
 *
 * topo_view.h - what `tutti topo` shows: a machine, the ranks on it or on many like it, and what was measured between
 * them. Filled by topo_job.c or from a description; text, JSON and SVG are views of it.
 */
#ifndef TT_CLI_TOPO_VIEW_H
#define TT_CLI_TOPO_VIEW_H

#include <stdio.h>

#include "topology/map.h"

#define TT_TOPO_FINDINGS 8192 /* most bytes of a host's diagnoses */

/* One for each rank. As it travels. */
struct tt_topo_rank {
	struct tt_rank_card card;
	int32_t node, cores; /* usable by this rank's process: affinity and quota */
	uint64_t kind; /* of host: equal numbers, equal pictures */
	char host[64], model[96];
};

enum tt_topo_path { TT_TOPO_NO_PATH, TT_TOPO_RING, TT_TOPO_TREE };

struct tt_topo_view {
	const struct tt_topology *topology;
	int usable; /* cores of this process */
	double quota; /* CPUs' worth of time, 0 = no limit */
	int nranks; /* 0 = only the machine */
	const struct tt_topo_rank *ranks;
	const struct tt_map *map; /* NULL without ranks */
	const char *transport[2]; /* that joins ranks that share a node, and ranks that do not */
	enum tt_topo_path path;
	/* [nranks * nranks], row by row; NULL = not measured. Zero on the diagonal. */
	const double *latency_us, *bandwidth_gbps;
};

/* The core that a rank is bound to on the picture; -1 = it may run on several. */
int tt_topo_core_of(const struct tt_topo_view *view, int rank);
/* "32 MiB" */
const char *tt_topo_bytes(uint64_t bytes, char *text, size_t capacity);
/* What two ranks share, or the transport that joins them, in a few words, and as one letter. */
const char *tt_topo_joined(const struct tt_topo_view *view, int a, int b, char *letter);

void tt_topo_text(FILE *file, const struct tt_topo_view *view);
void tt_topo_json(FILE *file, const struct tt_topo_view *view);
void tt_topo_svg(FILE *file, const struct tt_topo_view *view);
/* The matrices below the picture, y pixels from the top; returns how high they are. Nothing without measurements. */
double tt_topo_svg_matrices(FILE *file, const struct tt_topo_view *view, double y);
double tt_topo_matrices_width(const struct tt_topo_view *view);

#endif /* TT_CLI_TOPO_VIEW_H */

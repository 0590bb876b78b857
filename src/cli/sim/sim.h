/* SPDX-License-Identifier: Apache-2.0
 *
 * sim.h - what the files of `tutti sim` share: algorithms priced over sizes on a job that does not run.
 */
#ifndef TT_CLI_SIM_H
#define TT_CLI_SIM_H

#include <stdio.h>

#include "cli/described.h"

#define TT_SIM_SIZES 64
#define TT_SIM_ALGORITHMS 64

enum tt_sim_method { TT_SIM_NOT_POSSIBLE, TT_SIM_CLOSED_FORM, TT_SIM_EVENTS };

struct tt_sim_price {
	enum tt_sim_method method;
	double seconds; /* by the method */
	double closed_s; /* by the closed form, too */
};

struct tt_sim {
	const struct tt_described *job;
	enum tt_collective collective;
	uint64_t size[TT_SIM_SIZES];
	int nsizes;
	const struct tt_algorithm *algorithm[TT_SIM_ALGORITHMS];
	int nalgorithms;
	struct tt_sim_price price[TT_SIM_ALGORITHMS][TT_SIM_SIZES];
	const struct tt_algorithm *chosen[TT_SIM_SIZES]; /* by the selector */
	int *core_of; /* [placements][ranks] */
	int placements; /* of ranks on cores, all of which are run */
};

/* Fills the prices: every plan that is not too large is run in virtual time, the others are priced by their closed forms. */
tutti_status tt_sim_run(struct tt_sim *sim);
/* The cheapest at a size, among prices of one kind: events if any was run. -1: none is possible. */
int tt_sim_best(const struct tt_sim *sim, int size);
const char *tt_sim_size_text(uint64_t bytes, char *text, size_t capacity);

/* "on 4 nodes", "over TCP on 1 node" */
const char *tt_sim_where(const struct tt_sim *sim, char *text, size_t capacity);
void tt_sim_text(FILE *file, const struct tt_sim *sim);
void tt_sim_json(FILE *file, const struct tt_sim *sim);
void tt_sim_svg(FILE *file, const struct tt_sim *sim);

#endif /* TT_CLI_SIM_H */
